//! Servers as they are found: well, ill, and odd in ways that a lenient client takes.

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

/// The same where the whole answer is there before the request is: the kernel took the connection, and the bytes, already.
#[tokio::test]
async fn an_answer_that_is_there_before_anything_is_asked_is_an_answer() {
    let (server, client) = tokio::io::duplex(1 << 12);
    let mut server = server;
    server.write_all(b"HTTP/1.0 200 OK\r\n\r\nok").await.expect("written");
    let probe = probe(80);
    let request = request(&probe, &probe.url.parse().expect("an address")).expect("valid");
    let time = Time { timeout: Duration::from_secs(5), begun: Instant::now() };
    let answer = talk(client, request, None, time).await;
    assert_eq!(answer.map(|answer| answer.status).ok(), Some(200));
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
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n").as_bytes()).await;
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

/// Serves one connection by these pieces, each once the one before has been sent, and closes it behind the last one.
async fn pieces(pieces: &[&'static str], address: &str, wanted: Option<&str>) -> Observation {
    let listener = tokio::net::TcpListener::bind((address, 0)).await.expect("bound");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let _ = stream.read(&mut [0; 1024]).await;
        for piece in pieces {
            let _ = stream.write_all(piece.as_bytes()).await;
            let _ = stream.flush().await;
            tokio::task::yield_now().await;
        }
    };
    let probe = HttpProbe { body_contains: wanted.map(str::to_owned), ..HttpProbe::get(url) };
    tokio::join!(observe(&probe, Duration::from_secs(20)), serve).0
}

#[tokio::test]
async fn an_answer_in_any_form_that_clients_take_is_one() {
    const CHUNKED: &[&str] =
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "3\r\nrea\r\n", "2\r\ndy\r\n", "0\r\n\r\n"];
    const CUT_OFF: &[&str] = &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "5\r\nready\r\n", "ff\r\n"];
    const NO_LENGTH: &[&str] = &["HTTP/1.0 200 OK\r\n\r\n", "rea", "dy"];
    const HINTS: &[&str] =
        &["HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready"];
    const CONTINUE: &[&str] = &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "ready"];
    const LINE_FEEDS: &[&str] = &["HTTP/1.1 200 OK\ncontent-length: 5\n\n", "ready"];
    for answer in [CHUNKED, CUT_OFF, NO_LENGTH, HINTS, CONTINUE, LINE_FEEDS] {
        for (address, wanted) in [("127.0.0.1", Some("ready")), ("127.0.0.1", None), ("::1", Some("ready"))] {
            let seen = pieces(answer, address, wanted).await;
            assert_eq!(seen.health(), Health::Healthy, "{answer:?} {address}: {}", seen.summary());
        }
    }
}

#[test]
fn a_server_at_an_address_is_asked_for_the_name_that_is_sent_to_it() {
    let name = |url: &str, host: Option<&str>| {
        let headers = host.map(|host| ("hOST".to_owned(), host.to_owned())).into_iter().collect();
        let probe = HttpProbe { headers, ..HttpProbe::get(url) };
        let uri: Uri = url.parse().expect("an address");
        asked_for(&probe, uri.host().unwrap_or_default().trim_matches(['[', ']'])).to_owned()
    };
    assert_eq!(name("https://127.0.0.1/", None), "127.0.0.1");
    assert_eq!(name("https://127.0.0.1/", Some("shop.example.com")), "shop.example.com");
    assert_eq!(name("https://[::1]:8443/", Some("shop.example.com:8443")), "shop.example.com");
    // A name that was written is meant, whatever is sent behind it.
    assert_eq!(name("https://www.example.com/", Some("shop.example.com")), "www.example.com");
}

#[test]
fn a_header_that_is_written_takes_the_place_of_its_namesake() {
    let headers = [("Host".to_owned(), "shop.example.com".to_owned()), ("User-Agent".to_owned(), "curl".to_owned())];
    let probe = HttpProbe { headers: headers.into(), ..HttpProbe::get("http://127.0.0.1/") };
    let request = request(&probe, &"http://127.0.0.1/".parse().expect("an address")).expect("valid");
    let sent = |name: &str| request.headers().get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
    assert_eq!((sent("host"), sent("user-agent")), (vec![&b"shop.example.com"[..]], vec![&b"curl"[..]]));
}
