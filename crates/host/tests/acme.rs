//! Certificates from a real ACME server (Debian's `pebble`, with its small DNS server), on loopback: issued by each way of
//! proving, put in place, put back, revoked, and never asked for too often.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use ansai_host::{
    linux::{LinuxHost, Options},
    port::Host,
};
use ansai_lab::setup;
use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::certificate::{
        AcmeIssuer, CertificateAction, CertificateProbe, Deployment, Expectation, FileProbe, KeyPlace, Pair, Place,
        PutBack, Renewal, RenewalReason, Renewer, Replacement, Revocation, Solver, Trust,
    },
    id::{RunId, TargetId},
    observation::Health,
    probe::CommandLine,
};
use rcgen::{CertificateParams, KeyPair};
use tokio_util::task::TaskTracker;

const NAME: &str = "api.example.com";
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server, its DNS, and a host that asks it.
struct Bench {
    folder: tempfile::TempDir,
    directory_port: u16,
    challenge_port: u16,
    dns_management_port: u16,
    host: LinuxHost,
    _processes: [Running; 2],
}

/// A port that nobody else gets: below those that the kernel gives to whoever asks for none, and no other test's.
fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another run beside this one begins elsewhere.
    let own = u16::try_from(std::process::id() % u32::from(COUNT)).expect("it is small");
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(own) % COUNT;
        if TcpListener::bind(("127.0.0.1", FIRST + next)).is_ok() {
            return FIRST + next;
        }
    }
}

fn await_port(port: u16) {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nothing listens on port {port}");
        std::thread::yield_now();
    }
}

impl Bench {
    fn new() -> Self {
        setup::prepare(ansai_lab::image::Kind::Base).expect("the machine is ready");
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        let own = params.self_signed(&key).expect("signed");
        fs::write(path("server.pem"), own.pem()).expect("written");
        fs::write(path("server.key"), key.serialize_pem()).expect("written");
        let [directory_port, management_port, challenge_port, dns_port, dns_management_port] =
            [(); 5].map(|()| free_port());
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{directory_port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": path("server.pem"), "privateKey": path("server.key"),
            "httpPort": challenge_port, "tlsPort": 1, "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        fs::write(path("pebble.json"), config.to_string()).expect("written");
        let quiet = |command: &mut Command| {
            Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("begun"))
        };
        let dns = quiet(Command::new("pebble-challtestsrv").args([
            "-dns01",
            &format!("127.0.0.1:{dns_port}"),
            "-management",
            &format!("127.0.0.1:{dns_management_port}"),
            "-http01=",
            "-https01=",
            "-tlsalpn01=",
            "-defaultIPv4=127.0.0.1",
            "-defaultIPv6=",
        ]));
        let server = quiet(
            Command::new("pebble")
                .args(["-config", &path("pebble.json"), "-dnsserver", &format!("127.0.0.1:{dns_port}")])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_AUTHZREUSE", "0")
                // It refuses one nonce in twenty by itself, and so now and then three in a row, after which we give up as well.
                .env("PEBBLE_WFE_NONCEREJECT", "1"),
        );
        for port in [directory_port, management_port, dns_management_port] {
            await_port(port);
        }
        fs::write(path("root.pem"), root_of(management_port)).expect("written");
        let state_dir = folder.path().join("state");
        let options =
            Options { buses: Vec::new(), root: "/".into(), unit_folders: Vec::new(), state_dir, redact: Vec::new() };
        let host = LinuxHost::new(options, &TaskTracker::new());
        Self { folder, directory_port, challenge_port, dns_management_port, host, _processes: [dns, server] }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn expect(&self) -> Expectation {
        Expectation { trust: Trust::File(self.path("root.pem")), ..Expectation::of(vec![NAME.to_owned()]) }
    }

    fn renewer(&self, solver: Solver) -> Renewer {
        Renewer::Acme(AcmeIssuer {
            directory: format!("https://localhost:{}/dir", self.directory_port),
            contacts: vec!["ops@example.com".to_owned()],
            trust: Trust::File(self.path("server.pem")),
            solver,
        })
    }

    fn renewal(&self, solver: Solver) -> Renewal {
        Renewal {
            name: "api".into(),
            current: Pair { certificate: self.path("a.pem"), key: Some(self.path("a.key")) },
            expect: self.expect(),
            by: self.renewer(solver),
            reason: RenewalReason::Due,
        }
    }

    fn listen(&self) -> Solver {
        Solver::Listen { address: format!("127.0.0.1:{}", self.challenge_port) }
    }

    async fn perform(&self, action: CertificateAction) -> ActionOutcome {
        let run = ActionRun {
            id: RunId(1),
            incident: None,
            target: TargetId::new("certificate/api").expect("valid"),
            action: action.into(),
            timeout: Duration::from_secs(40),
        };
        self.host.perform(&run).await
    }

    async fn deploy(&self) -> ActionOutcome {
        self.perform(CertificateAction::Deploy(self.deployment())).await
    }

    fn deployment(&self) -> Deployment {
        let source = Place {
            certificate: self.path("a.pem"),
            key: KeyPlace::Apart(self.path("a.key")),
            owner: None,
            group: None,
            mode: None,
        };
        let (copies, validators, units) = (Vec::new(), Vec::new(), Vec::new());
        Deployment { name: "api".into(), source, copies, validators, units }
    }

    /// How the certificate in its file is.
    async fn check(&self, health: Health, says: &str) {
        let file = FileProbe {
            path: self.path("a.pem"),
            key: KeyPlace::Apart(self.path("a.key")),
            expect: self.expect(),
            same_as: None,
        };
        let seen = self.host.observe(&CertificateProbe::File(file).into(), PATIENCE).await;
        assert_eq!(seen.health(), health, "{}", seen.summary());
        assert!(seen.summary().as_str().contains(says), "{}", seen.summary());
    }
}

/// The authority that this run of the server signs with.
fn root_of(management_port: u16) -> Vec<u8> {
    let address = format!("127.0.0.1:{management_port}");
    let mut asked = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("begun");
    asked.stdin.as_mut().expect("open").write_all(b"GET /roots/0 HTTP/1.0\r\n\r\n").expect("asked");
    let said = asked.wait_with_output().expect("ended").stdout;
    let text = String::from_utf8(said).expect("text");
    let begin = text.find("-----BEGIN").unwrap_or_else(|| panic!("no root: {text}"));
    text.as_bytes()[begin..].to_vec()
}

#[track_caller]
fn succeeded(outcome: ActionOutcome, says: &str) {
    let ActionOutcome::Succeeded { note } = &outcome else { panic!("{outcome:?}") };
    assert!(note.as_str().contains(says), "{note}");
}

#[tokio::test]
async fn a_certificate_is_issued_put_in_place_renewed_put_back_and_revoked() {
    let bench = Bench::new();
    bench.check(Health::Failing, "does not exist").await;
    let renewal = bench.renewal(bench.listen());
    succeeded(bench.perform(CertificateAction::Renew(renewal.clone())).await, "good for");
    bench.check(Health::Failing, "does not exist").await;
    succeeded(bench.perform(CertificateAction::Renew(renewal.clone())).await, "renewed before, and not in place yet");
    succeeded(bench.deploy().await, "a.pem");
    bench.check(Health::Healthy, "").await;
    let first = fs::read(bench.path("a.pem")).expect("there");
    let outcome = bench.perform(CertificateAction::Renew(renewal.clone())).await;
    assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    let account = fs::read_dir(bench.folder.path().join("state/certificates/.accounts")).expect("kept").flatten();
    assert!(account.into_iter().all(|file| is_private(&file.path())), "the account's key is for the agent alone");

    let asked = Renewal { reason: RenewalReason::Asked, ..renewal };
    succeeded(bench.perform(CertificateAction::Renew(asked.clone())).await, "good for");
    succeeded(bench.deploy().await, "a.pem");
    let second = fs::read(bench.path("a.pem")).expect("there");
    assert_ne!(second, first);
    bench.check(Health::Healthy, "").await;
    let put_back = CertificateAction::PutBack(PutBack { name: "api".into(), units: Vec::new() });
    succeeded(bench.perform(put_back.clone()).await, "put back");
    assert_eq!(fs::read(bench.path("a.pem")).expect("there"), first);
    bench.check(Health::Healthy, "").await;

    succeeded(bench.perform(CertificateAction::Renew(asked)).await, "");
    succeeded(bench.deploy().await, "");
    let revocation = Revocation { name: "api".into(), by: bench.renewer(bench.listen()) };
    succeeded(bench.perform(CertificateAction::Revoke(revocation.clone())).await, "revoked");
    let outcome = bench.perform(CertificateAction::Revoke(revocation)).await;
    assert!(matches!(outcome, ActionOutcome::Refused { .. }), "{outcome:?}");
    let outcome = bench.perform(put_back).await;
    assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "what is revoked is never put back: {outcome:?}");
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 == 0)
}

#[tokio::test]
async fn names_are_proven_below_a_web_root_and_by_records() {
    let bench = Bench::new();
    // The web server whose root it is.
    let webroot = bench.folder.path().join("www");
    fs::create_dir(&webroot).expect("made");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", bench.challenge_port)).await.expect("bound");
    let tasks = TaskTracker::new();
    let served = tasks.spawn(serve_files(listener, webroot.clone()));
    let solver = Solver::Webroot { path: bench.path("www") };
    succeeded(bench.perform(CertificateAction::Renew(bench.renewal(solver))).await, "good for");
    let left = fs::read_dir(webroot.join(".well-known/acme-challenge")).expect("there").count();
    assert_eq!(left, 0, "the proof is taken away");
    served.abort();
    succeeded(bench.deploy().await, "");

    let post = |command: &str, body: &str| {
        let script = format!(
            "body='{body}'; exec 3<>/dev/tcp/127.0.0.1/{}; printf 'POST /{command} HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n%s' ${{#body}} \"$body\" >&3; read -r status <&3; [[ $status == *200* ]] && echo {command} >> {}",
            bench.dns_management_port,
            bench.path("hooks"),
        );
        CommandLine::new([
            "bash",
            "-c",
            &script.replace("VALUE", "'$ANSAI_ACME_VALUE'").replace("RECORD", "'$ANSAI_ACME_RECORD'"),
        ])
    };
    let solver = Solver::Hook {
        set: post("set-txt", r#"{"host":"RECORD.","value":"VALUE"}"#),
        clear: Some(post("clear-txt", r#"{"host":"RECORD."}"#)),
        wait: Duration::ZERO,
    };
    let mut wild = Renewal { reason: RenewalReason::Asked, ..bench.renewal(solver) };
    wild.expect.names.push("*.example.com".into());
    succeeded(bench.perform(CertificateAction::Renew(wild)).await, "good for");
    assert_eq!(fs::read_to_string(bench.path("hooks")).expect("run"), "set-txt\nset-txt\nclear-txt\nclear-txt\n");
    succeeded(bench.deploy().await, "");
    bench.check(Health::Healthy, "").await;
}

/// A web server that serves the files of a folder, one request a connection.
async fn serve_files(listener: tokio::net::TcpListener, folder: std::path::PathBuf) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 2048];
        let count = stream.read(&mut request).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..count]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let body = fs::read(folder.join(path)).unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&body).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn a_replacement_that_no_server_shows_is_put_back_and_nothing_is_revoked() {
    let bench = Bench::new();
    succeeded(bench.perform(CertificateAction::Renew(bench.renewal(bench.listen()))).await, "good for");
    succeeded(bench.deploy().await, "a.pem");
    let before = fs::read(bench.path("a.pem")).expect("there");
    let replacement = |endpoints: Vec<String>| {
        let endpoints = endpoints.iter().map(|text| text.parse().expect("an endpoint")).collect();
        let renewal = Renewal { reason: RenewalReason::Asked, ..bench.renewal(bench.listen()) };
        CertificateAction::Replace(Box::new(Replacement {
            renewal,
            deployment: bench.deployment(),
            endpoints,
            revokes: true,
        }))
    };
    // The issuer's own server shows another certificate, for ever.
    let outcome = bench.perform(replacement(vec![format!("tls://127.0.0.1:{}", bench.directory_port)])).await;
    let ActionOutcome::Failed { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.as_str().contains("still shows another certificate") && why.as_str().contains("put back"), "{why}");
    assert_eq!(fs::read(bench.path("a.pem")).expect("there"), before);
    succeeded(bench.perform(replacement(Vec::new())).await, "the replaced certificate is revoked");
    assert_ne!(fs::read(bench.path("a.pem")).expect("there"), before);
}

#[tokio::test]
async fn an_issuer_that_cannot_reach_us_is_told_of_and_not_asked_again_at_once() {
    let bench = Bench::new();
    // Nobody answers on the port of the proof.
    fs::create_dir(bench.path("www")).expect("made");
    let renewal = bench.renewal(Solver::Webroot { path: bench.path("www") });
    let ActionOutcome::Failed { why } = bench.perform(CertificateAction::Renew(renewal.clone())).await else {
        panic!("it was issued")
    };
    assert!(why.as_str().contains("connection refused"), "the issuer's own words: {why}");
    let ActionOutcome::Refused { why } = bench.perform(CertificateAction::Renew(renewal)).await else {
        panic!("it was asked again")
    };
    assert!(why.as_str().contains("1 attempt failed in a row; the next is made in 4m"), "{why}");
    bench.check(Health::Failing, "does not exist").await;
}
