//! HTTP and HTTPS: one request, and what its answer must be. Redirects are answers like others.
//!
//! Servers are judged as a lenient client would: an answer is one whenever it comes, and whatever happens behind it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use ansai_model::{condition::Value, observation::Observation, probe::HttpProbe, time::Shown};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, Response, Uri, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::reach::{Why, addresses, to_any, within};
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

/// How long the look may take, and since when it takes.
#[derive(Clone, Copy)]
struct Time {
    begun: Instant,
    timeout: Duration,
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
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Why::Ours(error.to_string()))?;
    let connecting = TlsConnector::from(config).connect(name, stream).await;
    connecting.map_err(|error| Why::Theirs(format!("TLS: {}", tls::io_in_words(&error))))
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
    request: Request<Empty<Bytes>>,
    wanted: Option<&str>,
    time: Time,
) -> Result<Answer, Why> {
    let theirs = |error: hyper::Error| Why::Theirs(hyper_words(&error));
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX).ignore_invalid_headers_in_responses(true);
    let shaking = builder.handshake(TokioIo::new(stream));
    let (mut sender, connection) = shaking.await.map_err(theirs)?;
    let exchange = async {
        let response = within(time.timeout, time.begun, async {
            sender.send_request(request).await.map_err(|error| Why::Theirs(hyper_words(&error)))
        });
        Ok(read(response.await?, wanted, time).await)
    };
    let mut exchange = pin!(exchange);
    // The connection is driven beside the exchange and dropped with it: nothing outlives the look. The exchange comes first,
    // so that a server that answers before it was asked is not taken for one that talks out of turn.
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
    async fn a_body_without_an_end_is_read_until_its_text_has_come() {
        const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ready\n\n";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        // Kept open: the answer has no end.
        let serve = async {
            let (mut first, _) = listener.accept().await.expect("accepted");
            first.write_all(STREAM.as_bytes()).await.expect("written");
            let (mut second, _) = listener.accept().await.expect("accepted");
            second.write_all(STREAM.as_bytes()).await.expect("written");
            std::future::pending::<()>().await;
            drop((first, second));
        };
        let looks = async {
            let mut wanted = probe(port);
            wanted.body_contains = Some("ready".into());
            let seen = observe(&wanted, Duration::from_secs(20)).await;
            assert_eq!(seen.health(), Health::Healthy, "{}", seen.summary());
            wanted.body_contains = Some("other".into());
            let seen = observe(&wanted, Duration::from_millis(300)).await;
            assert!(seen.summary().as_str().contains("without the text `other` in the 13 bytes"), "{}", seen.summary());
        };
        tokio::select! {
            () = serve => {}
            () = looks => {}
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_before_the_request_and_then_closes_is_an_answer() {
        for end in ["content-length: 2\r\n\r\nok", "connection: close\r\n\r\nok", "\r\nok and more"] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let mut probe = probe(listener.local_addr().expect("an address").port());
            probe.body_contains = Some("ok".into());
            let serve = async {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                stream.write_all(format!("HTTP/1.0 200 OK\r\n{end}").as_bytes()).await.expect("written");
                // What was asked is never read, so the kernel resets the connection behind the answer.
            };
            let (seen, ()) = tokio::join!(observe(&probe, Duration::from_secs(5)), serve);
            assert_eq!(seen.health(), Health::Healthy, "{end:?}: {}", seen.summary());
        }
    }

    #[tokio::test]
    async fn many_headers_are_read_and_too_many_are_not() {
        for (count, health) in [(150, Health::Healthy), (900, Health::Healthy), (100_000, Health::Failing)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let probe = probe(listener.local_addr().expect("an address").port());
            let lines: String = (0..count).map(|number| format!("x-{number}: {}\r\n", "v".repeat(60))).collect();
            let serve = async {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                let _ = stream.read(&mut [0; 1024]).await;
                // Whoever has read enough closes amid it.
                let _ =
                    stream.write_all(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n").as_bytes()).await;
            };
            let (seen, ()) = tokio::join!(observe(&probe, Duration::from_secs(5)), serve);
            assert_eq!(seen.health(), health, "{count}: {}", seen.summary());
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_fails_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let seen = observe(&probe(listener.local_addr().expect("an address").port()), Duration::from_millis(200)).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("no answer within 200ms"), "{}", seen.summary());
    }
}
