//! HTTPS of a controller's API: a client knows whom it asks before it sends anything, by the CA that a token names or by a file
//! of CAs and the name that it dialed.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use ansai_link::{
    Trouble,
    authority::Authority,
    https::{self, HttpsAcceptor, Trust},
    key::Key,
};
use ansai_model::time::WallTime;
use ansai_protocol::link::{ControllerId, Fingerprint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const WITHIN: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    WallTime::default().plus(since)
}

/// A CA in a file, and what takes connections with a certificate of it for these names.
fn made(folder: &Path, names: &[&str]) -> (Authority, HttpsAcceptor) {
    let authority = Authority::create(now()).expect("made");
    std::fs::write(folder.join("ca.pem"), authority.certificate_pem()).expect("written");
    let (key, names) = (Key::generate().expect("a key"), names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let signed = authority.sign_api(&key, ControllerId::of_chance([1; 16]), &names, now()).expect("signed");
    let acceptor = HttpsAcceptor::own(&key, &signed.certificate, authority.certificate_pem()).expect("an acceptor");
    // The same as two files that somebody gives.
    let chain = format!("{}{}", signed.certificate.as_str(), authority.certificate_pem());
    HttpsAcceptor::given(&chain, &key.expose_pem()).expect("the same");
    let other = Key::generate().expect("a key");
    let wrong = HttpsAcceptor::given(&chain, &other.expose_pem()).expect_err("not its key");
    assert!(!wrong.to_string().contains("PRIVATE"), "{wrong}");
    for (chain, key) in [("", ""), (chain.as_str(), ""), ("", other.expose_pem().as_str()), ("garbage", "garbage")] {
        assert!(HttpsAcceptor::given(chain, key).is_err());
    }
    (authority, acceptor)
}

/// What a client hears of a server that answers with this, and whether the server has heard anything of it.
async fn asked(
    acceptor: HttpsAcceptor,
    name: &str,
    trust: Trust<'_>,
    answer: &[u8],
) -> (Result<Vec<u8>, Trouble>, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("known").port();
    let route = https::route(&format!("https://{name}:{port}"), None).expect("a route");
    let heard = AtomicUsize::new(0);
    let serving = async {
        let (stream, _) = listener.accept().await.expect("accepted");
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let mut request = [0; REQUEST.len()];
            heard.fetch_add(stream.read(&mut request).await.unwrap_or(0), Ordering::Relaxed);
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    };
    let asking = https::exchange(&route, &trust, REQUEST, 1_000, WITHIN);
    let (said, ()) = tokio::join!(asking, serving);
    (said, heard.into_inner() > 0)
}

#[tokio::test]
async fn a_client_sends_something_only_to_whom_it_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, acceptor) = made(folder.path(), &["localhost", "not a name", "", "10.0.0.7"]);
    let (file, digest) = (folder.path().join("ca.pem"), Trust::Digest(authority.fingerprint()));
    let other = tempfile::tempdir().expect("a folder");
    made(other.path(), &["localhost"]);
    let foreign = other.path().join("ca.pem");

    // By its CA whatever it is called, by a file only under a name of its own.
    for (name, trust) in [("127.0.0.1", digest.clone()), ("localhost", digest), ("localhost", Trust::File(&file))] {
        let (said, _) = asked(acceptor.clone(), name, trust, b"HTTP/1.1 200 OK\r\n\r\nyes").await;
        assert_eq!(said.expect("answered"), b"HTTP/1.1 200 OK\r\n\r\nyes");
    }
    let strange = Trust::Digest(Fingerprint([9; 32]));
    for (name, trust) in
        [("127.0.0.1", Trust::File(&file)), ("localhost", Trust::File(&foreign)), ("localhost", strange)]
    {
        let (said, is_heard) = asked(acceptor.clone(), name, trust.clone(), b"").await;
        assert!(said.is_err() && !is_heard, "{name} {trust:?}: {said:?}");
    }
    for wrong in ["none.pem", "."] {
        assert!(https::roots(&folder.path().join(wrong)).is_err());
    }
    std::fs::write(folder.path().join("empty.pem"), "-----BEGIN CERTIFICATE-----\nx\n").expect("written");
    assert!(https::roots(&folder.path().join("empty.pem")).is_err());
}

#[tokio::test]
async fn an_answer_has_a_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, acceptor) = made(folder.path(), &[]);
    let trust = Trust::Digest(authority.fingerprint());
    let (said, _) = asked(acceptor.clone(), "127.0.0.1", trust.clone(), &[b'x'; 1_001]).await;
    assert_eq!(said, Err(Trouble::TooLarge(1_000)));
    let (said, _) = asked(acceptor.clone(), "127.0.0.1", trust.clone(), &[b'x'; 1_000]).await;
    assert_eq!(said.map(|said| said.len()), Ok(1_000));
    let (said, _) = asked(acceptor, "127.0.0.1", trust, b"").await;
    assert_eq!(said, Ok(Vec::new()));
}
