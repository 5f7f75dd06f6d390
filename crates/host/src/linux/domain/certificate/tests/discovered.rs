//! What a host's own sockets show is found: by default, and to whom asks for a name.

use ansai_model::inventory::{CertificateFacts, TlsListener};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::*;

/// Shows one certificate to whom asks for `www.b.example.com`, and another one to everybody else.
#[derive(Debug)]
struct TwoSites([Arc<CertifiedKey>; 2]);

impl ResolvesServerCert for TwoSites {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let site = usize::from(hello.server_name() == Some("www.b.example.com"));
        Some(Arc::clone(&self.0[site]))
    }
}

fn certified(workshop: &Workshop, name: &str) -> Arc<CertifiedKey> {
    let path = workshop.path(&format!("{name}.pem"));
    let chain = read::certificates(Path::new("/"), &path).expect("a chain");
    let key = PrivateKeyDer::from_pem_file(workshop.path(&format!("{name}.key"))).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a usable key");
    Arc::new(CertifiedKey::new(chain, key))
}

async fn serve(sites: TwoSites, listener: TcpListener) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(sites));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        // Who asks has seen what it wants to see, and goes.
        let _ = acceptor.accept(stream).await;
    }
}

#[tokio::test]
async fn each_certificate_that_a_socket_shows_is_found_with_the_name_that_it_is_asked_for() {
    let workshop = Workshop::new();
    workshop.make("a", &["a.example.com"], 60);
    workshop.make("b", &["*.b.example.com"], 60);
    workshop.make("unused", &["unused.example.com"], 60);
    let sites = TwoSites(["a", "b"].map(|name| certified(&workshop, name)));
    let (tls, silent) = (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (tls, silent) = (tls.expect("bound"), silent.expect("bound"));
    let ports = [&tls, &silent].map(|listener| listener.local_addr().expect("an address").port());

    let root = tempfile::tempdir().expect("a root");
    fs::create_dir_all(root.path().join("proc/net")).expect("made");
    let lines: String = ports.iter().map(|port| format!("0: 00000000:{port:04X} 0:0 0A 0:0 0:0 0 0 0 1\n")).collect();
    fs::write(root.path().join("proc/net/tcp"), format!("sl\n{lines}")).expect("written");
    let held = root.path().join("proc/7/fd");
    fs::create_dir_all(&held).expect("made");
    std::os::unix::fs::symlink("socket:[1]", held.join("3")).expect("linked");
    let file = |name: &str| {
        let (path, key) = (workshop.path(&format!("{name}.pem")), Some(workshop.path(&format!("{name}.key"))));
        let chain = read::certificates(Path::new("/"), &path).expect("a chain");
        CertificateFacts { path, key, certificate: seen::identity(&chain, wall_now()).expect("understood") }
    };
    let files = ["a", "b", "unused"].map(file);

    let found = tokio::select! {
        found = discover::sockets(root.path(), &files, Duration::from_secs(3)) => found,
        () = serve(sites, tls) => panic!("the server ended"),
    };
    let shown = |listener: &TlsListener| {
        (listener.endpoint.server_name.clone(), listener.endpoint.port, listener.certificate.clone())
    };
    let expected = [
        (None, ports[0], files[0].certificate.clone()),
        (Some("www.b.example.com".to_owned()), ports[0], files[1].certificate.clone()),
    ];
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
}

/// What systemd holds for a service that rests is not connected to: that would start the service.
#[tokio::test]
async fn what_only_systemd_holds_is_not_asked() {
    let root = tempfile::tempdir().expect("a root");
    let listeners = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("bound"));
    let lines: String = listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let port = listener.local_addr().expect("an address").port();
            format!("0: 0100007F:{port:04X} 0:0 0A 0:0 0:0 0 0 0 {}\n", index + 1)
        })
        .collect();
    fs::create_dir_all(root.path().join("proc/net")).expect("made");
    fs::write(root.path().join("proc/net/tcp"), format!("sl\n{lines}")).expect("written");
    // systemd holds two, and a service one of them; who holds the third cannot be seen.
    for (pid, inode) in [(1, 1), (1, 2), (7, 2)] {
        let folder = root.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).expect("made");
        std::os::unix::fs::symlink(format!("socket:[{inode}]"), folder.join(inode.to_string())).expect("linked");
    }
    discover::sockets(root.path(), &[], Duration::from_millis(200)).await;
    let was_asked = listeners.map(|listener| {
        listener.set_nonblocking(true).expect("set");
        listener.accept().is_ok()
    });
    assert_eq!(was_asked, [false, true, false]);
}
