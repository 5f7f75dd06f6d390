//! HTTP and HTTPS: one request, and what its answer must be. Redirects are answers like others.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ansai_model::{condition::Value, observation::Observation, probe::HttpProbe, time::Shown};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, Response, Uri, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::reach::{Why, addresses, to_any, within};
use crate::linux::{
    aside::{self, Kind, Work},
    tls,
};

/// Most bytes of a body that are looked at.
const BODY_MAX: usize = 64 * 1024;

/// Looks once.
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
    if let Some(text) = &probe.body_contains
        && !answer.body.as_ref().is_some_and(|body| body.contains(text.as_str()))
    {
        return failing(format!("answered without the text `{text}` in its first 64 KiB"));
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
    let begun = Instant::now();
    let uri: Uri = probe.url.parse().map_err(|error| Why::Ours(format!("not a valid address: {error}")))?;
    let host = uri.host().ok_or_else(|| Why::Ours("the address has no host".into()))?.trim_matches(['[', ']']);
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let addresses = addresses(host, port, timeout).await?;
    let found = Instant::now();
    let answer = within(timeout, begun, exchange(probe, &uri, host, &addresses, timeout)).await?;
    Ok((answer, found.elapsed()))
}

async fn exchange(
    probe: &HttpProbe,
    uri: &Uri,
    host: &str,
    addresses: &[SocketAddr],
    timeout: Duration,
) -> Result<Answer, Why> {
    let request = request(probe, uri).map_err(|error| Why::Ours(format!("no valid request: {error}")))?;
    let stream = to_any(addresses).await?;
    if uri.scheme_str() != Some("https") {
        return talk(stream, probe, request).await.map_err(Why::Theirs);
    }
    let config = match probe.verify_certificate {
        true => verifying(probe.ca_file.as_deref(), timeout).await?,
        false => tls::trusting_anything().map_err(|error| Why::Ours(error.to_string()))?,
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Why::Ours(error.to_string()))?;
    let connecting = TlsConnector::from(config).connect(name, stream).await;
    let stream = connecting.map_err(|error| Why::Theirs(format!("TLS: {error}")))?;
    talk(stream, probe, request).await.map_err(Why::Theirs)
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

fn request(probe: &HttpProbe, uri: &Uri) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let mut request = Request::builder()
        .method(probe.method.as_str())
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .header("user-agent", concat!("ansai/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close");
    for (name, value) in &probe.headers {
        request = request.header(name, value);
    }
    request.body(Empty::new())
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    probe: &HttpProbe,
    request: Request<Empty<Bytes>>,
) -> Result<Answer, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| hyper_words(&error))?;
        read(response, probe.body_contains.is_some()).await
    };
    // The connection is driven beside the exchange and dropped with it: nothing outlives the look.
    tokio::select! {
        answer = exchange => answer,
        ended = drive(connection) => Err(ended),
    }
}

async fn drive<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    connection: http1::Connection<TokioIo<T>, Empty<Bytes>>,
) -> String {
    match connection.await {
        // It ended in good order: the exchange says what it read.
        Ok(()) => std::future::pending().await,
        Err(error) => hyper_words(&error),
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

async fn read(response: Response<Incoming>, wants_body: bool) -> Result<Answer, String> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = match wants_body {
        false => None,
        true => {
            let mut kept = Vec::new();
            let mut body = Limited::new(response.into_body(), BODY_MAX);
            // What is beyond the limit is not looked at; that is no error.
            while let Some(Ok(frame)) = body.frame().await {
                if let Some(data) = frame.data_ref() {
                    kept.extend_from_slice(data);
                }
            }
            Some(String::from_utf8_lossy(&kept).into_owned())
        }
    };
    Ok(Answer { status, headers, body })
}

#[cfg(test)]
mod tests {

    use ansai_model::observation::Health;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn probe(port: u16) -> HttpProbe {
        HttpProbe { statuses: vec![(200, 299)], ..HttpProbe::get(format!("http://127.0.0.1:{port}/health")) }
    }

    async fn check(answer: &'static str, change: fn(&mut HttpProbe), health: Health, says: &str) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(answer.as_bytes()).await.expect("written");
        };
        let mut probe = probe(port);
        change(&mut probe);
        let (seen, ()) = tokio::join!(observe(&probe, Duration::from_secs(2)), serve);
        assert_eq!(seen.health(), health, "{}", seen.summary());
        assert!(seen.summary().as_str().contains(says), "{}", seen.summary());
    }

    #[tokio::test]
    async fn a_file_of_ours_that_is_missing_says_nothing_of_the_service() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("https://{}/", listener.local_addr().expect("an address"));
        let without = HttpProbe { ca_file: Some("/no/such/ca.pem".into()), ..HttpProbe::get(url) };
        let seen = observe(&without, Duration::from_secs(2)).await;
        assert_eq!(seen.health(), Health::Unknown, "{}", seen.summary());
        assert!(seen.summary().as_str().contains("/no/such/ca.pem"), "{}", seen.summary());
    }

    #[tokio::test]
    async fn answers_are_judged_by_status_body_and_header() {
        let ok = "HTTP/1.1 200 OK\r\nx-app: 1\r\ncontent-length: 5\r\n\r\nhello";
        check(ok, |_| (), Health::Healthy, "answered 200").await;
        check("HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n", |_| (), Health::Failing, "502 instead of 200-299").await;
        check(ok, |p| p.body_contains = Some("hello".into()), Health::Healthy, "200").await;
        check(ok, |p| p.body_contains = Some("bye".into()), Health::Failing, "without the text").await;
        check(ok, |p| drop(p.answer_headers.insert("x-app".into(), "2".into())), Health::Failing, "header").await;
        check(ok, |p| p.within = Some(Duration::ZERO), Health::Failing, "slower than").await;
        check("", |_| (), Health::Failing, "closed before an answer").await;
        check("nonsense\r\n\r\n", |_| (), Health::Failing, "http").await;
    }

    #[tokio::test]
    async fn a_server_that_never_answers_fails_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let seen = observe(&probe(listener.local_addr().expect("an address").port()), Duration::from_millis(200)).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("no answer within 200ms"), "{}", seen.summary());
    }
}
