//! Servers that answer well, badly, otherwise or not at all, in every protocol.

use std::time::Instant;

use ansai_model::observation::Health;
use tokio::net::{TcpListener, UnixListener};

use super::*;

/// Longest that a look takes where an answer comes.
const LONG: Duration = Duration::from_secs(20);
/// Longest where none comes.
const SHORT: Duration = Duration::from_millis(200);

/// What a server that is well says, once it was asked where its clients speak first.
fn answer(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Dns => b"\0\x1ean\x84\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03",
        Protocol::Fastcgi => b"\x01\x0a\0\0\0\0\0\0",
        Protocol::Ftp => b"220 (vsFTPd 3.0.3)\r\n",
        Protocol::Imap => b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n",
        Protocol::Memcached => b"VERSION 1.6.18\r\n",
        Protocol::Mysql => b"\x64\0\0\0\x0a5.5.5-10.11.19-MariaDB\0",
        Protocol::Nats => b"INFO {\"server_id\":\"N\"}\r\n",
        Protocol::Pop3 => b"+OK ready\r\n",
        Protocol::Postgresql => b"G",
        Protocol::Redis => b"+PONG\r\n",
        Protocol::Smtp => b"220 mail.example.com ESMTP\r\n",
        Protocol::Ssh => b"SSH-2.0-OpenSSH_9.2p1\r\n",
    }
}

/// How a server behaves to the one look that comes.
#[derive(Clone, Copy)]
enum Server<'a> {
    /// Reads the question, says this, and then reads to the end.
    Says(&'a [u8]),
    /// The same, a byte at a time.
    SaysSlowly(&'a [u8]),
    /// Says this without having been asked, and closes.
    SaysAndCloses(&'a [u8]),
    /// Accepts and says nothing.
    Hangs,
    /// Says this for ever.
    Endless(&'a [u8]),
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, protocol: Protocol, server: Server<'_>) -> Vec<u8> {
    let mut heard = Vec::new();
    let opens = protocol.manner().opens;
    match server {
        Server::Says(said) => {
            let mut asked = vec![0; opens.len()];
            stream.read_exact(&mut asked).await.expect("the question");
            assert_eq!(asked, opens);
            stream.write_all(said).await.expect("said");
            let _ = stream.read_to_end(&mut heard).await;
        }
        Server::SaysSlowly(said) => {
            for byte in said {
                // Whoever has heard enough leaves amid it.
                let _ = stream.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
            let _ = stream.read_to_end(&mut heard).await;
        }
        Server::SaysAndCloses(said) => {
            let _ = stream.write_all(said).await;
        }
        Server::Hangs => {
            let _ = stream.read_to_end(&mut heard).await;
        }
        Server::Endless(said) => while stream.write_all(said).await.is_ok() {},
    }
    heard
}

/// Observes once; says what was seen, and what the server heard after its answer.
async fn looked(protocol: Protocol, server: Server<'_>, timeout: Duration) -> (Observation, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    // Connections end with the look, as those do in the end that are left.
    let look = async {
        let partings = Partings::default();
        let stream = TcpStream::connect(address).await.expect("connected");
        look(&partings, stream, protocol, "the server", Time { begun: Instant::now(), timeout }).await
    };
    let serves = async { serve(listener.accept().await.expect("accepted").0, protocol, server).await };
    tokio::join!(look, serves)
}

#[track_caller]
fn check(protocol: Protocol, seen: &Observation, health: Health, says: &str) {
    assert_eq!(seen.health(), health, "{}: {}", protocol.name(), seen.summary());
    assert!(seen.summary().as_str().contains(says), "{}: {}", protocol.name(), seen.summary());
}

#[tokio::test]
async fn servers_that_are_well_are_asked_and_left_as_their_clients_do() {
    for protocol in Protocol::all() {
        let (seen, heard) = looked(protocol, Server::Says(answer(protocol)), LONG).await;
        check(protocol, &seen, Health::Healthy, &format!("the server answers as {}", protocol.name()));
        assert_eq!(heard, protocol.manner().leaves, "{}", protocol.name());
        if protocol != Protocol::Postgresql {
            let (seen, _) = looked(protocol, Server::SaysSlowly(answer(protocol)), LONG).await;
            check(protocol, &seen, Health::Healthy, "answers as");
        }
        // Whether it closes behind its answer is its own affair.
        let (seen, _) = looked(protocol, Server::SaysAndCloses(answer(protocol)), LONG).await;
        check(protocol, &seen, Health::Healthy, "answers as");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_fails_in_every_protocol() {
    for protocol in Protocol::all() {
        let (seen, _) = looked(protocol, Server::Hangs, SHORT).await;
        check(protocol, &seen, Health::Failing, "accepts connections and says nothing");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_with_its_first_words() {
    for protocol in Protocol::all() {
        let (seen, _) = looked(protocol, Server::SaysAndCloses(b"HTTP/1.1 400 Bad\r\n\r\nwhat?"), LONG).await;
        check(protocol, &seen, Health::Failing, &format!("but not as {}: `HTTP/1.1 400 Bad`", protocol.name()));
        let (seen, _) = looked(protocol, Server::SaysAndCloses(b"\x07\x1b[31m\xff\xfe\0\n"), LONG).await;
        check(protocol, &seen, Health::Failing, "but not as ");
        assert!(!seen.summary().as_str().contains(char::is_control), "{:?}", seen.summary());
    }
}

#[tokio::test]
async fn a_server_that_closes_without_a_word_or_amid_one_fails() {
    for protocol in Protocol::all() {
        let (seen, _) = looked(protocol, Server::SaysAndCloses(b""), LONG).await;
        assert_eq!(seen.health(), Health::Failing, "{}: {}", protocol.name(), seen.summary());
        let whole = answer(protocol);
        if protocol != Protocol::Postgresql {
            let (seen, _) = looked(protocol, Server::SaysAndCloses(&whole[..1]), LONG).await;
            check(protocol, &seen, Health::Failing, "but not as ");
        }
    }
}

#[tokio::test]
async fn who_talks_without_end_is_left() {
    for protocol in Protocol::all() {
        let (seen, _) = looked(protocol, Server::Endless(b"more and more\n"), LONG).await;
        let says = if protocol == Protocol::Ssh { "talks without end" } else { "but not as " };
        check(protocol, &seen, Health::Failing, says);
    }
}

#[tokio::test]
async fn who_serves_nobody_now_is_alive_and_says_why() {
    let (seen, _) = looked(Protocol::Smtp, Server::Says(b"421 4.7.0 too many connections\r\n"), LONG).await;
    check(Protocol::Smtp, &seen, Health::Healthy, "serves nobody now: 421 4.7.0 too many connections");
    assert!(seen.is_warning());
    let error = b"\x17\0\0\0\xff\x10\x04Too many connections";
    let (seen, _) = looked(Protocol::Mysql, Server::Says(error), LONG).await;
    check(Protocol::Mysql, &seen, Health::Healthy, "serves nobody now: Too many connections");
}

#[tokio::test]
async fn a_name_that_took_most_of_the_time_is_not_the_servers_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
    let begun = Instant::now().checked_sub(LONG.mul_f32(0.99)).expect("the machine is up for longer");
    let seen = look(&Partings::default(), stream, Protocol::Redis, "it", Time { begun, timeout: LONG }).await;
    check(Protocol::Redis, &seen, Health::Unknown, "went to finding its name");
}

#[tokio::test]
async fn unix_sockets_are_spoken_over_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    for protocol in Protocol::all() {
        let path = folder.path().join(protocol.name());
        let listener = UnixListener::bind(&path).expect("bound");
        let partings = Partings::default();
        let look = async {
            let stream = UnixStream::connect(&path).await.expect("connected");
            look(&partings, stream, protocol, "the server", Time { begun: Instant::now(), timeout: LONG }).await
        };
        let serves = async {
            serve(listener.accept().await.expect("accepted").0, protocol, Server::Says(answer(protocol))).await
        };
        let (seen, heard) = tokio::join!(look, serves);
        check(protocol, &seen, Health::Healthy, "answers as");
        assert_eq!(heard, protocol.manner().leaves, "{}", protocol.name());
    }
}
