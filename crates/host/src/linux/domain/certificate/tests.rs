//! Observes at files and at small real servers, with certificates made for the occasion.

use std::{fs, sync::Arc};

use ansai_model::{
    domain::{
        Look,
        certificate::{Endpoint, EndpointProtocol, Expectation, Trust},
    },
    inventory::Signer,
    observation::{Details, Health},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

mod chains;
mod changes;
mod discovered;
mod forms;
mod kinds;

const DAY: u64 = 86_400;

/// An authority, a folder, and what it takes to make certificates in it.
pub(super) struct Workshop {
    pub(super) folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Workshop {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Workshop");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), issuer.as_ref().pem()).expect("written");
        Self { folder, issuer }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    /// Makes `NAME.pem` and `NAME.key`, with so many days left.
    pub(super) fn make(&self, name: &str, names: &[&str], days: u64) {
        let (certificate, key) = self.pair(names, days);
        fs::write(self.path(&format!("{name}.pem")), certificate).expect("written");
        fs::write(self.path(&format!("{name}.key")), key).expect("written");
    }

    /// A certificate and its key as PEM, a hundred days old and with a minute less than so many days left: whether a look in the
    /// same millisecond, or by a clock that was set back a little, sees a whole day more would be chance.
    pub(super) fn pair(&self, names: &[&str], days: u64) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        let now = u64::try_from(wall_now().0 / 1000).expect("after 1970");
        let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        params.not_before = at(now - 100 * DAY);
        params.not_after = at(now + days * DAY - 60);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    pub(super) fn expect(&self, names: &[&str]) -> Expectation {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Expectation { trust: Trust::File(self.path("ca.pem")), ..Expectation::of(names) }
    }

    fn probe(&self, name: &str) -> FileProbe {
        FileProbe {
            path: self.path(&format!("{name}.pem")),
            key: KeyPlace::Apart(self.path(&format!("{name}.key"))),
            expect: self.expect(&["api.example.com"]),
            same_as: None,
        }
    }
}

#[track_caller]
fn check(probe: &FileProbe, health: Health, says: &str) {
    let seen = observe_file(Path::new("/"), probe, wall_now());
    assert_eq!(seen.health(), health, "{}", seen.summary());
    assert!(seen.summary().as_str().contains(says), "{}", seen.summary());
    if health != Health::Unknown {
        let Details::Figures(figures) = seen.details() else { panic!("no figures: {seen:?}") };
        let seen: Vec<_> = figures.iter().map(|(name, value)| (name, value.value_type())).collect();
        assert_eq!(seen, CertificateProbe::File(probe.clone()).figures(), "as conditions may name them, sorted");
    }
}

#[test]
fn a_file_is_judged_with_its_key_its_chain_and_its_names() {
    let workshop = Workshop::new();
    workshop.make("good", &["api.example.com"], 365);
    workshop.make("ending", &["api.example.com"], 20);
    workshop.make("other", &["www.example.com"], 365);
    let good = workshop.probe("good");
    check(&good, Health::Healthy, "good for 364d");
    check(&workshop.probe("ending"), Health::Failing, "expires in 19d");
    check(&workshop.probe("other"), Health::Failing, "does not cover api.example.com (it covers www.example.com)");
    check(&workshop.probe("none"), Health::Failing, "does not exist");
    let other_key = FileProbe { key: KeyPlace::Apart(workshop.path("other.key")), ..good.clone() };
    check(&other_key, Health::Failing, "does not belong to its key");
    let no_key = FileProbe { key: KeyPlace::Apart(workshop.path("no.key")), ..good.clone() };
    check(&no_key, Health::Failing, "has no key");
    let untrusted = FileProbe { expect: Expectation { trust: Trust::Host, ..good.expect.clone() }, ..good.clone() };
    check(&untrusted, Health::Failing, "is its chain missing?");
    let nobody = FileProbe { expect: Expectation { trust: Trust::Nobody, ..good.expect.clone() }, ..good.clone() };
    check(&nobody, Health::Healthy, "");
    let copy = FileProbe { same_as: Some(workshop.path("other.pem")), ..good.clone() };
    check(&copy, Health::Failing, "is not the certificate in");
    check(&FileProbe { same_as: Some(good.path.clone()), ..good.clone() }, Health::Healthy, "");
    let in_steps = |probe: FileProbe| {
        let aspect = Aspect::EndInSteps([30, 10].map(|days| Duration::from_secs(days * 86_400)).into());
        FileProbe { expect: Expectation { aspect, ..probe.expect }, ..probe }
    };
    check(&in_steps(good), Health::Healthy, "");
    check(&in_steps(workshop.probe("ending")), Health::Failing, "expires in 19d");
    check(&in_steps(workshop.probe("other")), Health::Healthy, "good for");
}

#[test]
fn files_come_as_pem_as_der_in_bundles_and_as_nonsense() {
    let workshop = Workshop::new();
    let (certificate, key) = workshop.pair(&["api.example.com"], 365);
    let probe = |name: &str| FileProbe {
        path: workshop.path(name),
        key: KeyPlace::Inside,
        expect: workshop.expect(&["api.example.com"]),
        same_as: None,
    };
    let write = |name: &str, bytes: &[u8]| fs::write(workshop.path(name), bytes).expect("written");
    write("haproxy.pem", format!("{certificate}{key}").as_bytes());
    check(&probe("haproxy.pem"), Health::Healthy, "good");
    write("alone.pem", certificate.as_bytes());
    check(&probe("alone.pem"), Health::Failing, "holds no key");
    let der = read::parse(certificate.as_bytes()).expect("a certificate").remove(0);
    write("a.der", &der);
    write("a.key", key.as_bytes());
    check(&FileProbe { key: KeyPlace::Apart(workshop.path("a.key")), ..probe("a.der") }, Health::Healthy, "good");
    let der_key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    write("a.key.der", der_key.secret_der());
    check(&FileProbe { key: KeyPlace::Apart(workshop.path("a.key.der")), ..probe("a.der") }, Health::Healthy, "good");
    write("key.pem", key.as_bytes());
    check(&probe("key.pem"), Health::Unknown, "PEM of another kind");
    write("nonsense.pem", &[0xff; 1000]);
    check(&probe("nonsense.pem"), Health::Unknown, "neither PEM nor DER");
    write("empty.pem", b" \n");
    check(&probe("empty.pem"), Health::Failing, "is empty");
    write("huge.pem", &vec![b'-'; 1024 * 1024 + 1]);
    check(&probe("huge.pem"), Health::Unknown, "larger than 1 MiB");
    let fifo = workshop.path("fifo.pem");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    check(&probe("fifo.pem"), Health::Unknown, "no regular file");
    write("locked.key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    check(
        &FileProbe { key: KeyPlace::Apart(workshop.path("locked.key")), ..probe("alone.pem") },
        Health::Unknown,
        "encrypted",
    );
}

proptest::proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000), at in 0usize..400) {
        let _ = read::parse(&bytes);
        let _ = read::parse_key(&bytes);
        // And a real certificate with some bytes turned over.
        let (certificate, _) = Workshop::new().pair(&["api.example.com"], 30);
        let mut der = read::parse(certificate.as_bytes()).expect("a certificate").remove(0).to_vec();
        for (offset, byte) in bytes.iter().take(8).enumerate() {
            let place = (at + offset) % der.len();
            der[place] ^= byte;
        }
        let broken = rustls::pki_types::CertificateDer::from(der);
        let _ = seen::described(&broken);
        let _ = seen::seen(&[broken], &Expectation::of(Vec::new()), wall_now(), KeyMatch::NotAsked, Sameness::NotAsked);
    }
}

/// A server that shows `NAME.pem` once, after saying and hearing these lines.
async fn serve(workshop: &Workshop, name: &str, listener: TcpListener, says: &[&str]) {
    let chain = read::certificates(Path::new("/"), &workshop.path(&format!("{name}.pem"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(workshop.path(&format!("{name}.key"))).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    let (mut stream, _) = listener.accept().await.expect("accepted");
    for line in says {
        stream.write_all(line.as_bytes()).await.expect("said");
        if *line != says[says.len() - 1] {
            let _ = stream.read(&mut [0; 64]).await;
        }
    }
    let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await;
}

async fn check_served(protocol: EndpointProtocol, says: &[&str], file: &str, health: Health, expect: &str) {
    let workshop = Workshop::new();
    workshop.make("served", &["api.example.com"], 365);
    workshop.make("renewed", &["api.example.com"], 365);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let endpoint = Endpoint { protocol, host: "127.0.0.1".into(), port, server_name: Some("api.example.com".into()) };
    let probe = ServedProbe {
        endpoint,
        expect: workshop.expect(&["api.example.com"]),
        same_as: Some(workshop.path(&format!("{file}.pem"))),
    };
    let look = observe_served(Path::new("/"), &probe, Duration::from_secs(10));
    let (seen, ()) = tokio::join!(look, serve(&workshop, "served", listener, says));
    assert_eq!(seen.health(), health, "{}", seen.summary());
    assert!(seen.summary().as_str().contains(expect), "{}", seen.summary());
}

#[tokio::test]
async fn what_a_server_shows_is_compared_with_the_file() {
    check_served(EndpointProtocol::Tls, &[], "served", Health::Healthy, "good for 364d").await;
    check_served(EndpointProtocol::Tls, &[], "renewed", Health::Failing, "renewed there, but not taken over here")
        .await;
}

#[tokio::test]
async fn tls_is_begun_by_request_where_the_protocol_wants_it() {
    let smtp = ["220 mail\r\n", "250 STARTTLS\r\n", "220 go\r\n"];
    check_served(EndpointProtocol::Smtp, &smtp, "served", Health::Healthy, "smtp://127.0.0.1:").await;
    let imap = ["* OK hello\r\n", "a1 OK go\r\n"];
    check_served(EndpointProtocol::Imap, &imap, "served", Health::Healthy, "imap://127.0.0.1:").await;
    // The server's first word is an answer here, so it hears the request with the handshake's first bytes.
    check_served(EndpointProtocol::Smtp, &["220 mail\r\n", "250 SIZE\r\n"], "served", Health::Failing, "STARTTLS")
        .await;
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_no_certificates_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let workshop = Workshop::new();
    let endpoint = Endpoint { protocol: EndpointProtocol::Tls, host: "127.0.0.1".into(), port, server_name: None };
    let probe = ServedProbe { endpoint, expect: workshop.expect(&[]), same_as: None };
    let seen = observe_served(Path::new("/"), &probe, Duration::from_millis(200)).await;
    assert_eq!(seen.health(), Health::Unknown, "{}", seen.summary());
    drop(listener);
    let seen = observe_served(Path::new("/"), &probe, Duration::from_secs(5)).await;
    assert_eq!(seen.health(), Health::Unknown, "{}", seen.summary());
    assert!(seen.summary().as_str().contains("refused"), "{}", seen.summary());
}

#[test]
fn certificates_with_their_keys_are_found_and_others_are_not() {
    let workshop = Workshop::new();
    let root = tempfile::tempdir().expect("a root");
    let (certificate, key) = workshop.pair(&["api.example.com"], 90);
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("etc/nginx/ssl/api.pem", &certificate);
    write("etc/nginx/ssl/api.key", &key);
    write("etc/nginx/ssl/authority.pem", &certificate);
    write("etc/letsencrypt/live/a/fullchain.pem", &certificate);
    write("etc/letsencrypt/live/a/cert.pem", &certificate);
    write("etc/letsencrypt/live/a/privkey.pem", &key);
    write("etc/haproxy/all.pem", &format!("{certificate}{key}"));
    // Paths that lead to the same file are no copies of it, and a certificate among authorities is found by its key.
    for (part, link) in [("fullchain.pem", "link.pem"), ("privkey.pem", "link.key")] {
        let link = root.path().join("etc/nginx").join(link);
        std::os::unix::fs::symlink(format!("../letsencrypt/live/a/{part}"), link).expect("linked");
    }
    write("etc/ssl/certs/authority.pem", &certificate);
    write("etc/ssl/certs/own.pem", &certificate);
    write("etc/ssl/private/own.key", &key);
    let found = discover::files(root.path());
    let paths: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.key.as_deref())).collect();
    assert_eq!(
        paths,
        [
            ("/etc/haproxy/all.pem", None),
            ("/etc/letsencrypt/live/a/fullchain.pem", Some("/etc/letsencrypt/live/a/privkey.pem")),
            ("/etc/nginx/ssl/api.pem", Some("/etc/nginx/ssl/api.key")),
            ("/etc/ssl/certs/own.pem", Some("/etc/ssl/private/own.key")),
        ]
    );
    let first = &found[0].certificate;
    assert!(found.iter().all(|file| file.certificate == *first));
    assert_eq!((&first.names[..], first.signer), (&["api.example.com".to_owned()][..], Signer::Unknown));
}

/// What a server of OpenSSL says; it must not be dropped before the server.
pub(super) type Said = tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>;

/// A server of OpenSSL with these arguments, and the port that it took.
pub(super) async fn openssl_server(arguments: &[&str]) -> (tokio::process::Child, Said, u16) {
    // Port 0: the program says which one it took.
    let mut server = tokio::process::Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0"])
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut lines = tokio::io::BufReader::new(server.stdout.take().expect("piped")).lines();
    let port = loop {
        let line = lines.next_line().await.expect("read").expect("the port is said");
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.rsplit_once(':').expect("an address").1.parse().expect("a port");
        }
    };
    (server, lines, port)
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_ours_has_shown_its_own() {
    let workshop = Workshop::new();
    workshop.make("server", &["api.example.com"], 80);
    let (certificate, key) = (workshop.path("server.pem"), workshop.path("server.key"));
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [version, "-Verify", "1", "-verify_return_error", "-cert", &certificate, "-key", &key];
        let (_server, _said, port) = openssl_server(&arguments).await;
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port,
            server_name: Some("api.example.com".into()),
            protocol: EndpointProtocol::Tls,
        };
        let chain = handshake::shake(&endpoint, None, Duration::from_secs(10)).await;
        assert!(chain.as_ref().is_ok_and(|chain| !chain.is_empty()), "{version}: {chain:?}");
    }
}
