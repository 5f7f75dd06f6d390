//! Mails as they are written, and what becomes of a server's refusals. A real server is in the lab.

use ansai_model::notify::{NoticeKind, SecretRef};
use jiff::tz::TimeZone;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use super::*;
use crate::channel::{http::testing::TestCertificate, render::fixtures};

fn email(port: u16) -> Email {
    Email {
        to: vec!["Ops <ops@example.com>".into(), "second@example.com".into()],
        from: None,
        host: "127.0.0.1".into(),
        port,
        security: SmtpSecurity::None,
        user: None,
        password: None,
        ca_file: None,
    }
}

fn options() -> RenderOptions {
    RenderOptions::new("web-01.example.com", TimeZone::UTC)
}

fn one(kind: NoticeKind) -> Message {
    Message::One(Box::new(fixtures::notice(kind, fixtures::healed(), &["ops"])))
}

fn header<'mail>(mail: &'mail str, name: &str) -> Option<&'mail str> {
    mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn all_messages_about_an_incident_are_one_thread() {
    let mails = [NoticeKind::Escalated, NoticeKind::Recovered]
        .map(|kind| String::from_utf8(build(&email(25), &one(kind), &options()).unwrap().formatted()).unwrap());
    let root = header(&mails[0], "References").unwrap();
    assert_eq!(root, "<ansai.i7.1795226645002@web-01.example.com>");
    for mail in &mails {
        assert_eq!((header(mail, "References"), header(mail, "In-Reply-To")), (Some(root), Some(root)));
        assert_eq!(header(mail, "Auto-Submitted"), Some("auto-generated"));
        assert_eq!(header(mail, "From"), Some("ansai@web-01.example.com"));
        assert_eq!(header(mail, "To"), Some("Ops <ops@example.com>, second@example.com"));
        assert!(header(mail, "Date").is_some());
        assert!(mail.contains("multipart/alternative") && mail.contains("text/plain") && mail.contains("text/html"));
    }
    assert_ne!(header(&mails[0], "Message-ID"), header(&mails[1], "Message-ID"));
}

#[test]
fn a_headline_cannot_add_a_header() {
    let mut report = fixtures::healed();
    report.headline = "x\r\nBcc: thief@example.com".into();
    let message = Message::One(Box::new(fixtures::notice(NoticeKind::Healed, report, &[])));
    let mail = String::from_utf8(build(&email(25), &message, &options()).unwrap().formatted()).unwrap();
    assert_eq!(header(&mail, "Bcc"), None);
}

#[test]
fn a_wrong_address_is_named_and_a_strange_host_still_sends() {
    let wrong = Email { to: vec!["nobody".into()], ..email(25) };
    let error = build(&wrong, &one(NoticeKind::Healed), &options()).unwrap_err();
    assert_eq!(error.to_string(), "`nobody` is not a mail address");
    for host in ["web_01", "", "web 01", "-x", &"a".repeat(300)] {
        let options = RenderOptions::new(host, TimeZone::UTC);
        let mail = build(&email(25), &one(NoticeKind::Healed), &options).unwrap().formatted();
        assert_eq!(header(&String::from_utf8(mail).unwrap(), "From"), Some("ansai@localhost"), "{host}");
    }
    let short = RenderOptions::new("web-01", TimeZone::UTC);
    let mail = build(&email(25), &one(NoticeKind::Healed), &short).unwrap().formatted();
    assert_eq!(header(&String::from_utf8(mail).unwrap(), "From"), Some("ansai@web-01"));
}

/// Answers the commands whose beginning is named as told, and everything else with 250; returns what was sent.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, answers: &[(&str, &str)]) -> String {
    let mut stream = BufReader::new(stream);
    let (mut seen, mut is_data) = (String::new(), false);
    stream.write_all(b"220 test\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return seen;
        }
        seen.push_str(&line);
        if is_data && line != ".\r\n" {
            continue;
        }
        is_data = line.starts_with("DATA");
        let told = answers.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, answer)| *answer);
        let answer = told.unwrap_or(if is_data { "354 go on" } else { "250 fine" });
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
    }
}

/// Sends to a server that takes one connection after another, all but those in `done`; returns what it was sent in all of them.
async fn send_besides(done: &[String], answers: &[(&str, &str)]) -> (Result<Receipt, DeliverError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let email = email(listener.local_addr().unwrap().port());
    let (message, options, secrets) = (one(NoticeKind::Healed), options(), Resolver::default());
    let (finished, mut is_over) = tokio::sync::oneshot::channel();
    let client = async {
        let result = send(&email, &message, &options, &secrets, done).await;
        finished.send(()).unwrap();
        result
    };
    let server = async {
        let mut seen = String::new();
        loop {
            // A conversation that has begun is heard to its end.
            tokio::select! {
                biased;
                accepted = listener.accept() => seen.push_str(&speak(accepted.unwrap().0, answers).await),
                _ = &mut is_over => return seen,
            }
        }
    };
    tokio::join!(client, server)
}

async fn send_to(answers: &[(&str, &str)]) -> (Result<Receipt, DeliverError>, String) {
    send_besides(&[], answers).await
}

#[tokio::test]
async fn a_mail_is_handed_over() {
    let (result, seen) = send_to(&[]).await;
    result.unwrap();
    assert!(seen.starts_with("EHLO web-01.example.com\r\n"), "{seen}");
    assert!(seen.contains("RCPT TO:<ops@example.com>") && seen.contains("RCPT TO:<second@example.com>"));
    assert!(seen.contains("Subject: [web-01.example.com] healed: nginx.service was killed"));
}

#[tokio::test]
async fn refusals_for_now_and_for_good_are_told_apart() {
    let (result, _) = send_to(&[("RCPT", "451 greylisted")]).await;
    assert!(matches!(result, Err(DeliverError::Later(why)) if why.contains("451") || why.contains("greylisted")));
    let (result, _) = send_to(&[("RCPT", "550 no such mailbox")]).await;
    assert!(matches!(result, Err(DeliverError::Never(why)) if why.contains("no such mailbox")));
}

#[tokio::test]
async fn without_a_server_or_a_certificate_authority_it_is_tried_later() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let ca = Email { security: SmtpSecurity::Tls, ca_file: Some("/nowhere/ca.pem".into()), ..email(port) };
    for (email, expected) in [(email(port), "refused"), (ca, "/nowhere/ca.pem")] {
        let result = send(&email, &one(NoticeKind::Healed), &options(), &Resolver::default(), &[]).await;
        assert!(matches!(&result, Err(DeliverError::Later(why)) if why.contains(expected)), "{result:?}");
    }
}

#[tokio::test]
async fn a_server_is_greeted_and_sent_nothing() {
    let (options, secrets) = (options(), Resolver::default());
    for (answers, is_well) in [(&[][..], true), (&[("EHLO", "554 go away"), ("HELO", "554 go away")], false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let email = email(listener.local_addr().unwrap().port());
        let server = async { speak(listener.accept().await.unwrap().0, answers).await };
        let (reached, seen) = tokio::join!(reach(&email, &options, &secrets), server);
        assert_eq!(reached.is_ok(), is_well, "{reached:?}");
        assert!(seen.starts_with("EHLO web-01.example.com\r\n") && !seen.contains("MAIL"), "{seen}");
    }
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dead = reach(&email(port), &options, &secrets).await;
    assert!(matches!(&dead, Err(DeliverError::Later(why)) if why.contains("refused")), "{dead:?}");
}

#[tokio::test]
async fn a_password_is_never_sent_in_the_clear() {
    let email = Email { user: Some("u".into()), password: Some(SecretRef::Env("P".into())), ..email(1) };
    let result = send(&email, &one(NoticeKind::Healed), &options(), &Resolver::default(), &[]).await;
    assert!(matches!(result, Err(DeliverError::Never(_))));
}

/// A conversation within TLS, with a client that trusts the authority in `ca`.
async fn send_within_tls(server: &TestCertificate, ca: &TestCertificate) -> Result<Receipt, DeliverError> {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let email = Email {
        host: "localhost".into(),
        security: SmtpSecurity::Tls,
        user: Some("ops".into()),
        password: Some(SecretRef::Env("P".into())),
        ca_file: Some(ca_file.display().to_string()),
        ..email(listener.local_addr().unwrap().port())
    };
    let secrets = Resolver::with_environment(|_| Some("pass word".into()));
    let (message, options) = (one(NoticeKind::Healed), options());
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        match server.acceptor().accept(stream).await {
            Ok(stream) => speak(stream, &[("EHLO", "250-test\r\n250 AUTH PLAIN"), ("AUTH", "235 welcome")]).await,
            Err(error) => error.to_string(),
        }
    };
    let (result, seen) = tokio::join!(send(&email, &message, &options, &secrets, &[]), server);
    // base64 of NUL, the user, NUL and the password.
    assert_eq!(result.is_ok(), seen.contains("AUTH PLAIN AG9wcwBwYXNzIHdvcmQ="), "{seen}");
    result
}

#[tokio::test]
async fn a_password_is_sent_within_tls_to_whom_is_trusted() {
    let (server, other) = (TestCertificate::new(), TestCertificate::new());
    send_within_tls(&server, &server).await.unwrap();
    assert!(matches!(send_within_tls(&server, &other).await, Err(DeliverError::Later(_))));
}

/// W10.
#[tokio::test]
async fn one_bad_recipient_keeps_the_mail_from_nobody_else() {
    for (refusal, is_final) in [("550 5.1.1 no such user", true), ("450 4.2.0 greylisted", false), ("552 full", true)] {
        let (result, seen) = send_to(&[("RCPT TO:<ops@", refusal)]).await;
        let receipt = result.unwrap();
        assert_eq!(receipt.served, ["second@example.com"], "{refusal}");
        let refused = if is_final { &receipt.refused } else { &receipt.waiting };
        assert_eq!(refused.len(), 1, "{receipt:?}");
        assert!(refused[0].0 == "Ops <ops@example.com>" && refused[0].1.contains(&refusal[4..]), "{receipt:?}");
        assert_eq!(seen.matches("DATA\r\n").count(), 1, "the mail was sent once");
    }
    let (result, _) = send_besides(&["second@example.com".into()], &[("RCPT TO:<ops@", "450 later")]).await;
    assert!(result.is_ok_and(|receipt| receipt.waiting.len() == 1), "the others have it, so the route works");
    let (result, _) = send_to(&[("RCPT TO:<ops@", "421 too busy")]).await;
    assert!(matches!(result, Err(DeliverError::Later(_))), "what is not of a recipient is of the route: {result:?}");
}
