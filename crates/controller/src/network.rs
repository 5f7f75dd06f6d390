//! The API over the network: HTTPS on an address of its own, for whoever shows a token. Here stands how a token comes in and who
//! is let in with what; what can be asked is [`crate::api`]'s, and whether a token is good the engine's. A token's secret is
//! logged nowhere, and a body is read only of whoever has shown a good one.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ansai_link::{Trouble, authority::Authority, digest, https::HttpsAcceptor, key::Key};
use ansai_model::{text::Text, time::Shown};
use ansai_protocol::{
    access::Access,
    link::{ApiToken, ControllerId, TokenId, TokenSecret},
};
use ansai_socket::{Answers, Asker, Body, Refusal, converse, problem, refusal, written_as};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{self, Asked, Reply},
    listening,
    settings::{ApiSettings, Settings},
    start::now,
    tries::{Places, Tries},
};

/// The wait after a connection that could not be taken, as for want of a file descriptor.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Most bytes of a certificate with its chain, or a key.
const PEM_BYTES_MAX: u64 = 128 << 10;
/// Longest head with a token: the longest token has 160 bytes.
const AUTHORIZATION_MAX: usize = 512;

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCertificate {
    /// A file.
    #[error("{0}")]
    File(String),
    /// The certificate or the key.
    #[error("{0}")]
    Link(#[from] Trouble),
}

/// What takes connections with the certificate that was given, or one that was just made. Such a key is kept nowhere.
pub(crate) fn acceptor(
    settings: &Settings,
    api: &ApiSettings,
    authority: &Authority,
    controller: ControllerId,
) -> Result<HttpsAcceptor, NoCertificate> {
    if let Some((certificate, key)) = &api.certificate {
        let read = |path: &Path| {
            let text = ansai_files::text(path, PEM_BYTES_MAX);
            text.map_err(|error| NoCertificate::File(format!("{}: {error}", path.display())))
        };
        return Ok(HttpsAcceptor::given(&read(certificate)?, &read(key)?)?);
    }
    let key = Key::generate()?;
    let signed = authority.sign_api(&key, controller, &names(settings, api), now().wall)?;
    Ok(HttpsAcceptor::own(&key, &signed.certificate, authority.certificate_pem())?)
}

/// By which names and addresses the API is dialed, as far as they are known here.
fn names(settings: &Settings, api: &ApiSettings) -> Vec<String> {
    let said = settings.address.as_ref().map(|address| address.host().to_owned());
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let listens = Some(api.listen.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names: Vec<String> = said.into_iter().chain([own]).chain(listens).chain(here).collect();
    names.sort();
    names.dedup();
    names
}

/// Takes connections until stopped, on a thread of its own: who shakes hands keeps nobody from the loop.
///
/// # Errors
/// When the system has no thread or no file to give.
pub(crate) fn serve(
    listener: TcpListener,
    acceptor: watch::Receiver<HttpsAcceptor>,
    asked: mpsc::Sender<Asked>,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> std::io::Result<()> {
    listening::begin("api", listener.into_std()?, |listener| take(listener, acceptor, asked, tasks, stop))
}

async fn take(
    listener: TcpListener,
    acceptor: watch::Receiver<HttpsAcceptor>,
    asked: mpsc::Sender<Asked>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let places = Places::new();
    let tries = Arc::new(Mutex::new(Tries::default()));
    loop {
        // What is taken when we stop is missed by nobody.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection to the API could not be taken: {}", ansai_files::said(&error));
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        // Who finds no place hears that the connection was closed, and comes again.
        let Some(place) = places.take(peer.ip()) else { continue };
        let stranger = Stranger { asked: asked.clone(), tries: tries.clone(), peer };
        let (acceptor, stop) = (acceptor.borrow().clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, acceptor, stranger) => {}
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: HttpsAcceptor, stranger: Stranger) {
    let peer = stranger.peer.ip().to_canonical();
    // The future of a handshake is large, and goes when it has ended.
    match Box::pin(acceptor.accept(stream)).await {
        Ok(stream) => {
            let asker = Asker { by: Text::new(peer.to_string()), is_trusted: false };
            Box::pin(converse(stream, stranger, asker)).await;
        }
        Err(trouble) => tracing::debug!("{peer}: {trouble}"),
    }
}

/// Somebody who has still to show a token.
#[derive(Clone)]
struct Stranger {
    asked: mpsc::Sender<Asked>,
    tries: Arc<Mutex<Tries>>,
    peer: SocketAddr,
}

impl Answers for Stranger {
    const NAME: &'static str = "the controller";

    async fn answer(&self, request: Request<Incoming>, _: Asker, _: CancellationToken) -> Response<Body> {
        match self.let_in(request.headers()).await {
            Ok(access) => {
                let kind = api::kind(request.uri().path());
                written_as(kind, self.asked(request, access).await)
            }
            Err(refused) => self.turned_away(refused),
        }
    }

    fn overdue(&self, _: &str) -> (&'static str, &'static str) {
        ("the controller did not answer in time", "try again; see its log")
    }
}

impl Stranger {
    /// Who asks, and what they may, by the token that they show.
    async fn let_in(&self, headers: &HeaderMap) -> Result<Access, Refusal> {
        if let Some(wait) = self.wait() {
            let what = format!("too many wrong tokens came from {}", self.peer.ip().to_canonical());
            let todo = format!("see which token is used there, and try again in {}", Shown(wait));
            return Err(problem(StatusCode::TOO_MANY_REQUESTS, what, todo));
        }
        let found = match shown(headers) {
            Ok((token, secret)) => {
                let secret = digest(secret.expose());
                api::ask(&self.asked, |reply| Asked::Access(token, secret, reply)).await
            }
            Err(refused) => Err(refused),
        };
        if let Err((StatusCode::UNAUTHORIZED, why)) = &found {
            tracing::info!("{}: not let in: {}", self.peer.ip().to_canonical(), why.what);
            self.tries().failed(self.peer.ip(), Instant::now());
        }
        found
    }

    async fn asked(&self, request: Request<Incoming>, access: Access) -> Reply {
        let Access { role, owner } = access;
        let query = api::query(request, owner).await?;
        if query.needs() > role {
            let what = format!("this token is a {role}'s, and this needs that of an {}", query.needs());
            return Err(problem(
                StatusCode::FORBIDDEN,
                what,
                "ask with another token; `ansai token create --api` makes one",
            ));
        }
        api::ask(&self.asked, |reply| Asked::Query(query, reply)).await
    }

    fn turned_away(&self, refused: Refusal) -> Response<Body> {
        let status = refused.0;
        let mut answer = refusal(refused);
        let headers = answer.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ansai\""));
        }
        if let (StatusCode::TOO_MANY_REQUESTS, Some(wait)) = (status, self.wait()) {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        answer
    }

    /// How long nobody is let in from there.
    fn wait(&self) -> Option<Duration> {
        self.tries().wait(self.peer.ip(), Instant::now())
    }

    fn tries(&self) -> std::sync::MutexGuard<'_, Tries> {
        // No code panics while it holds the lock half-changed.
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of a request.
fn shown(headers: &HeaderMap) -> Result<(TokenId, TokenSecret), Refusal> {
    const TODO: &str = "send `Authorization: Bearer TOKEN`; `ansai token create --api viewer` makes a token";
    let refused = |what: &str| problem(StatusCode::UNAUTHORIZED, what, TODO);
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(refused("the API is asked with one token"));
    };
    let text = value.to_str().ok().filter(|text| text.len() <= AUTHORIZATION_MAX);
    let bearer = text.and_then(|text| text.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let token = bearer.and_then(|(_, token)| token.parse::<ApiToken>().ok());
    token
        .map(|ApiToken(token)| (token.id, token.secret))
        .ok_or_else(|| refused("what was shown is no token of the API"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_is_refused_and_never_repeated() {
        let good = format!("ansai-api1.{}.{}.{}", "1f".repeat(6), "ab".repeat(32), "02".repeat(32));
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a value"));
            }
            shown(&headers)
        };
        let bearer = format!("Bearer {good}");
        assert!(of(&[bearer.as_bytes()]).is_ok() && of(&[format!("bearer  {good}").as_bytes()]).is_ok());
        let long = format!("Bearer {good}{}", " ".repeat(600));
        let join = bearer.replace("ansai-api1", "ansai1");
        let cut = &bearer[..bearer.len() - 1];
        let basic = bearer.replace("Bearer", "Basic");
        let wrong: &[&[&[u8]]] = &[
            &[],
            &[b""],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer \xff\xfe"],
            &[bearer.as_bytes(), bearer.as_bytes()],
            &[long.as_bytes()],
            &[join.as_bytes()],
            &[cut.as_bytes()],
            &[basic.as_bytes()],
            &[good.as_bytes()],
        ];
        for values in wrong {
            let (status, why) = of(values).expect_err("refused");
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{values:?}");
            assert!(!format!("{why:?}").contains("abab"), "{why:?}");
        }
    }
}
