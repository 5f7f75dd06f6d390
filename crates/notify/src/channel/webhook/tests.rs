//! Web hooks against a real HTTP server on loopback.

use std::{collections::BTreeMap, sync::Arc};

use ansai_model::notify::{NoticeKind, SecretRef, WebhookFormat, WebhookUrl};
use jiff::tz::TimeZone;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::channel::{
    http::{HyperClient, testing::TestCertificate},
    render::fixtures,
};

/// Serves one request with an answer, and says what was asked.
async fn serve_once(listener: TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        asked.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&asked).into_owned();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|l| l.parse::<usize>());
        let is_whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| Some(Ok(body.len())) == length);
        if is_whole || count == 0 {
            stream.write_all(answer.as_bytes()).await.unwrap();
            return text;
        }
    }
}

fn message() -> Message {
    Message::One(Box::new(fixtures::notice(NoticeKind::Escalated, fixtures::escalated(), &["hook"])))
}

async fn post(answer: &str) -> (Result<(), DeliverError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = Webhook {
        url: WebhookUrl::Secret(SecretRef::Env("URL".into())),
        format: WebhookFormat::Generic,
        secret: Some(SecretRef::Env("KEY".into())),
        headers: BTreeMap::from([("x-team".to_owned(), "web".to_owned())]),
    };
    let url = format!("http://{}/hook/s3cret?x=1", listener.local_addr().unwrap());
    let secrets =
        Resolver::with_environment(move |name| Some(if name == "URL" { url.clone() } else { "key".into() }.into()));
    let (message, render) = (message(), RenderOptions::new("web-01", TimeZone::UTC));
    let http = Arc::new(HyperClient::new());
    tokio::join!(send(&webhook, &message, &render, &secrets, &*http), serve_once(listener, answer))
}

#[tokio::test]
async fn a_message_is_posted_with_a_signature_that_the_receiver_can_check() {
    let (result, asked) = post("HTTP/1.1 204 No Content\r\n\r\n").await;
    result.unwrap();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook/s3cret?x=1 HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_else(|| panic!("{head}"))
    };
    assert_eq!(header("x-team"), "web");
    let timestamp = header(TIMESTAMP_HEADER).parse().unwrap();
    assert_eq!(header(SIGNATURE_HEADER), signature(b"key", timestamp, body.as_bytes()));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["notices"][0]["kind"], "escalated");
}

#[tokio::test]
async fn answers_are_told_apart_and_the_address_is_in_no_error() {
    let cases = [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nno such\nhook",
            DeliverError::Never("HTTP 404: no such h".into()),
        ),
        ("HTTP/1.1 429 Slow down\r\ncontent-length: 0\r\n\r\n", DeliverError::Later("HTTP 429: ".into())),
        ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", DeliverError::Later("HTTP 302: ".into())),
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", DeliverError::Later("HTTP 500: ".into())),
    ];
    for (answer, expected) in cases {
        assert_eq!(post(answer).await.0, Err(expected));
    }
    let error = post("not HTTP at all").await.0.unwrap_err();
    assert!(matches!(&error, DeliverError::Later(why) if !why.contains("s3cret")), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_read_to_its_limit() {
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(100_000));
    post(&endless).await.0.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_is_tried_later() {
    let client = HyperClient::new();
    let request = |url: &str| Request {
        method: Method::GET,
        url: url.to_owned(),
        headers: vec![],
        body: Bytes::new(),
        timeout: Duration::from_millis(300),
    };
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cases = [
        (format!("http://{free}/"), "no connection"),
        (format!("http://{}/", silent.local_addr().unwrap()), "no answer within 300ms"),
        ("ftp://127.0.0.1/".to_owned(), "neither with http://"),
        ("not an address".to_owned(), "not valid"),
    ];
    for (url, expected) in cases {
        let why = client.send(request(&url)).await.unwrap_err();
        assert!(why.contains(expected), "{url}: {why}");
    }
}

#[test]
fn a_signature_is_the_one_that_others_compute() {
    // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
    let expected = "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
    assert_eq!(signature(b"key", 1_700_000_000, br#"{"a":1}"#), expected);
}

#[tokio::test]
async fn tls_is_spoken_with_whom_is_trusted_and_with_nobody_else() {
    let certificate = TestCertificate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = certificate.acceptor().accept(stream).await else { continue };
            let mut part = [0; 4096];
            let _ = stream.read(&mut part).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    };
    let client = async {
        let request = |host: &str| Request {
            method: Method::GET,
            url: format!("https://{host}:{port}/"),
            headers: vec![],
            body: Bytes::new(),
            timeout: Duration::from_secs(10),
        };
        let trusting = HyperClient::trusting(certificate.roots());
        let answer = trusting.send(request("localhost")).await.unwrap();
        assert_eq!(answer, Response { status: 200, body: "ok".into() });
        // Another name than the certificate's, and an authority that nobody told of.
        assert!(trusting.send(request("127.0.0.1")).await.unwrap_err().contains("TLS"));
        let strange = HyperClient::trusting(TestCertificate::new().roots());
        assert!(strange.send(request("localhost")).await.unwrap_err().contains("TLS"));
    };
    tokio::select! {
        () = server => {}
        () = client => {}
    }
}

#[tokio::test]
async fn a_server_is_reached_with_tls_and_asked_nothing() {
    let (certificate, other) = (TestCertificate::new(), TestCertificate::new());
    for (trusted, is_well) in [(&certificate, true), (&other, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/s3cret", listener.local_addr().unwrap().port());
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = certificate.acceptor().accept(stream).await else { return Vec::new() };
            let mut asked = Vec::new();
            // A client that goes without a word of farewell has asked nothing either.
            let _ = stream.read_to_end(&mut asked).await;
            asked
        };
        let client = HyperClient::trusting(trusted.roots());
        let (reached, asked) = tokio::join!(client.reach(&url), server);
        assert_eq!((reached.is_ok(), asked.len()), (is_well, 0), "{reached:?}");
    }
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dead = HyperClient::new().reach(&format!("http://127.0.0.1:{port}/s3cret")).await.unwrap_err();
    assert!(dead.contains("refused") && !dead.contains("s3cret"), "{dead}");
}
