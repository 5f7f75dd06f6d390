//! HTTP and HTTPS: one request, and what its answer must be. Redirects are answers like others.
//!
//! Servers are judged as a lenient client would: an answer is one whenever it comes, and whatever happens behind it.

mod asks_first;

use std::{
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use ansai_model::{condition::Value, observation::Observation, probe::HttpProbe, time::Shown};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1,
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::asks_first::AsksFirst;
use super::reach::{Time, Why, addresses, to_any, within};
use crate::linux::{
    aside::{self, Kind, Work},
    tls,
};

/// Most bytes of a body that are looked at.
const BODY_MAX: usize = 64 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 1000;
/// Most bytes of an answer's head: 64 KiB, and what the reading of the next bytes takes.
const HEAD_BYTES_MAX: usize = 80 * 1024;

/// Observes once.
pub(super) async fn observe(probe: &HttpProbe, timeout: Duration) -> Observation {
    match ask(probe, timeout).await {
        Ok((answer, took)) => judge(probe, &answer, took),
        Err(why) => why.seen(&probe.url),
    }
}

struct Answer {
    status: u16,
    headers: hyper::HeaderMap,
    /// Only read when something is expected of it.
    body: Option<String>,
}

fn judge(probe: &HttpProbe, answer: &Answer, took: Duration) -> Observation {
    let figures = |seen: Observation| {
        seen.with_figure("http.status", Value::Number(f64::from(answer.status)))
            .with_figure("latency", Value::Duration(took))
    };
    let failing = |why: String| figures(Observation::failing(format!("{} {why}", probe.url)));
    if !probe.statuses.iter().any(|(from, to)| (*from..=*to).contains(&answer.status)) {
        let wanted: Vec<String> = probe
            .statuses
            .iter()
            .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
            .collect();
        return failing(format!("answered {} instead of {}", answer.status, wanted.join(" or ")));
    }
    for (name, value) in &probe.answer_headers {
        if answer.headers.get(name).and_then(|found| found.to_str().ok()) != Some(value.as_str()) {
            return failing(format!("answered without the header `{name}: {value}`"));
        }
    }
    if let (Some(text), Some(body)) = (&probe.body_contains, &answer.body)
        && !body.contains(text.as_str())
    {
        return failing(format!("answered without the text `{text}` in the {} bytes that came", body.len()));
    }
    if let Some(within) = probe.within
        && took > within
    {
        return failing(format!("answered in {}, slower than {}", Shown(took), Shown(within)));
    }
    figures(Observation::healthy(format!("answered {} in {}", answer.status, Shown(took))))
}

/// The answer, and how long it took once the name was found.
async fn ask(probe: &HttpProbe, timeout: Duration) -> Result<(Answer, Duration), Why> {
    let time = Time { begun: Instant::now(), timeout };
    let uri: Uri = probe.url.parse().map_err(|error| Why::Ours(format!("not a valid address: {error}")))?;
    let host = uri.host().ok_or_else(|| Why::Ours("the address has no host".into()))?.trim_matches(['[', ']']);
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let request = request(probe, &uri).map_err(|error| Why::Ours(format!("no valid request: {error}")))?;
    let addresses = addresses(host, port, timeout).await?;
    let found = Instant::now();
    let stream = within(timeout, time.begun, to_any(&addresses)).await?;
    let wanted = probe.body_contains.as_deref();
    let answer = match is_tls {
        false => talk(stream, request, wanted, time).await?,
        true => {
            let stream = within(timeout, time.begun, encrypted(probe, host, stream, timeout)).await?;
            talk(stream, request, wanted, time).await?
        }
    };
    Ok((answer, found.elapsed()))
}

async fn encrypted(
    probe: &HttpProbe,
    host: &str,
    stream: TcpStream,
    timeout: Duration,
) -> Result<TlsStream<TcpStream>, Why> {
    let config = match probe.verify_certificate {
        true => verifying(probe.ca_file.as_deref(), timeout).await?,
        false => tls::trusting_anything().map_err(|error| Why::Ours(error.to_string()))?,
    };
    let name = ServerName::try_from(asked_for(probe, host).to_owned()).map_err(|error| Why::Ours(error.to_string()))?;
    let connecting = TlsConnector::from(config).connect(name, stream).await;
    connecting.map_err(|error| Why::Theirs(format!("TLS: {}", tls::io_in_words(&error))))
}

/// The name that a server is asked to show a certificate for. At a bare address that is the one that the request is sent to:
/// many servers refuse whoever asks for none.
fn asked_for<'a>(probe: &'a HttpProbe, host: &'a str) -> &'a str {
    let sent =
        probe.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.as_str());
    let bare = |name: &'a str| name.rsplit_once(':').map_or(name, |(name, _)| name);
    sent.filter(|_| host.parse::<IpAddr>().is_ok()).map_or(host, bare)
}

/// The settings that verify; authorities that cannot be read are ours.
async fn verifying(ca_file: Option<&str>, timeout: Duration) -> Result<Arc<ClientConfig>, Why> {
    let config = match ca_file.map(str::to_owned) {
        None => Ok(tls::verifying(None)),
        Some(file) => {
            let work = Work::new(Kind::Look, format!("the authorities of {file}")).on([&file]);
            aside::run(work, timeout, move || tls::verifying(Some(&file))).await
        }
    };
    config.map_err(|late| Why::Ours(late.to_string()))?.map_err(|error| Why::Ours(error.to_string()))
}

/// What is written in the configuration takes the place of what would be sent otherwise: two hosts in one request are refused.
fn request(probe: &HttpProbe, uri: &Uri) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let request = Request::builder()
        .method(probe.method.as_str())
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .header("user-agent", concat!("ansai/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close");
    let mut request = request.body(Empty::new())?;
    for (name, value) in &probe.headers {
        request.headers_mut().insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    Ok(request)
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    wanted: Option<&str>,
    time: Time,
) -> Result<Answer, Why> {
    let theirs = |error: hyper::Error| Why::Theirs(hyper_words(&error));
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX).ignore_invalid_headers_in_responses(true);
    let shaking = builder.handshake(TokioIo::new(AsksFirst::new(stream)));
    let (mut sender, connection) = shaking.await.map_err(theirs)?;
    let exchange = async {
        let response = within(time.timeout, time.begun, async {
            sender.send_request(request).await.map_err(|error| Why::Theirs(hyper_words(&error)))
        });
        Ok(read(response.await?, wanted, time).await)
    };
    let mut exchange = pin!(exchange);
    // The connection is driven beside the exchange and dropped with it: nothing outlives the look.
    let ended = tokio::select! {
        biased;
        answer = &mut exchange => return answer,
        ended = connection => ended,
    };
    // What was read before the connection ended is in the exchange's hands; the connection knows best why there is no more.
    match (exchange.await, ended) {
        (Err(Why::Theirs(_)), Err(error)) => Err(theirs(error)),
        (answer, _) => answer,
    }
}

fn hyper_words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "the connection was closed before an answer".to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The answer, with as much of its body as it takes to find what is wanted. A body may go on without end, and may break off:
/// what has come counts.
async fn read(response: Response<Incoming>, wanted: Option<&str>, time: Time) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let Some(wanted) = wanted else { return Answer { status, headers, body: None } };
    let mut kept = Vec::new();
    let mut body = Limited::new(response.into_body(), BODY_MAX);
    let left = time.timeout.saturating_sub(time.begun.elapsed());
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            // The text may begin in what came before.
            let searched = kept.len().saturating_sub(wanted.len());
            frame.data_ref().into_iter().for_each(|data| kept.extend_from_slice(data));
            if String::from_utf8_lossy(&kept[searched..]).contains(wanted) {
                break;
            }
        }
    };
    // Whoever waits for more than came says so in its judgement of the text.
    let _ = tokio::time::timeout(left, reading).await;
    Answer { status, headers, body: Some(String::from_utf8_lossy(&kept).into_owned()) }
}

#[cfg(test)]
mod tests;
