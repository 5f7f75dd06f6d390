//! Servers with a certificate for each kind of key, as OpenSSL's own test server shows them.

use tokio::process::Child;

use super::*;

/// Makes `NAME.pem` and `NAME.key` with a key of this kind.
fn make(workshop: &Workshop, name: &str, kind: &[&str]) {
    let (key, pem) = (workshop.path(&format!("{name}.key")), workshop.path(&format!("{name}.pem")));
    let names = ["-subj", "/CN=a", "-addext", "subjectAltName=DNS:a.example.com", "-days", "80", "-nodes"];
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-keyout", &key, "-out", &pem])
        .args(kind)
        .args(names)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success(), "{name}");
}

/// A server with these pairs, in this version of TLS, and its port. What it says must not be dropped before it.
async fn serve(workshop: &Workshop, pairs: [&str; 2], version: &str) -> (Child, Said, u16) {
    let file = |name: &str, ending| workshop.path(&format!("{name}.{ending}"));
    let [certificate, other] = pairs.map(|name| (file(name, "pem"), file(name, "key")));
    let first = ["-cert", &certificate.0, "-key", &certificate.1];
    let second = ["-dcert", &other.0, "-dkey", &other.1];
    openssl_server(&[&[version][..], &first, &second].concat()).await
}

#[tokio::test]
async fn w12_each_kind_of_key_is_asked_for() {
    let workshop = Workshop::new();
    make(&workshop, "rsa", &["-newkey", "rsa:2048"]);
    make(&workshop, "ecdsa", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    make(&workshop, "ed25519", &["-newkey", "ed25519"]);
    make(&workshop, "renewed", &["-newkey", "rsa:2048"]);
    for version in ["-tls1_2", "-tls1_3"] {
        for pairs in [["rsa", "ecdsa"], ["rsa", "ed25519"]] {
            let (_server, _said, port) = serve(&workshop, pairs, version).await;
            let look = async |file: &str| {
                let endpoint = Endpoint {
                    protocol: EndpointProtocol::Tls,
                    host: "127.0.0.1".into(),
                    port,
                    server_name: Some("a.example.com".into()),
                };
                let expect = Expectation { trust: Trust::Nobody, ..Expectation::of(Vec::new()) };
                let probe = ServedProbe { endpoint, expect, same_as: Some(workshop.path(&format!("{file}.pem"))) };
                observe_served(Path::new("/"), &probe, Duration::from_secs(10)).await
            };
            for file in pairs {
                let seen = look(file).await;
                assert_eq!(seen.health(), Health::Healthy, "{version} {pairs:?} {file}: {}", seen.summary());
            }
            // One of a kind that is shown, and is another; and one of a kind that is not shown at all.
            let absent = if pairs[1] == "ecdsa" { "ed25519" } else { "ecdsa" };
            for file in ["renewed", absent] {
                let seen = look(file).await;
                assert!(
                    seen.summary().as_str().contains("not taken over here"),
                    "{version} {file}: {}",
                    seen.summary()
                );
            }
        }
    }
}
