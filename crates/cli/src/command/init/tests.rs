//! What is proposed for hosts of the fixtures: word for word, valid, and without a warning.

use ansai_model::{
    domain::{
        certificate::Endpoint,
        container::{ContainerFacts, Owner},
        database::DatabaseFacts,
    },
    id::UnitName,
    inventory::{
        Answering, CertificateFacts, CertificateIdentity, Inventory, MountFacts, Signer, SocketFacts, TlsListener,
        UnitFacts,
    },
    probe::{HttpProbe, Probe, Protocol},
    time::WallTime,
    unit::ActiveState,
    units::{ByteSize, Room},
};

use super::*;

/// The first of January 2030, in milliseconds since 1970.
const NEW_YEAR: i64 = 1_893_456_000_000;

fn unit(name: &str, description: &str) -> UnitFacts {
    let unit = UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active);
    UnitFacts { description: description.into(), ..unit }
}

fn socket(name: &str, starts: Option<&str>) -> SocketFacts {
    let starts = starts.map(|unit| UnitName::new(unit).expect("valid"));
    SocketFacts { name: UnitName::new(name).expect("valid"), description: "A socket".into(), starts }
}

fn mount(path: &str, kind: &str, source: &str, gib: u64) -> MountFacts {
    let (path, kind, source) = (path.to_owned(), kind.to_owned(), source.to_owned());
    MountFacts { path, kind, source, is_read_only: false, size: ByteSize(gib << 30) }
}

fn certificate(digest: &str, names: &[&str], signer: Signer) -> CertificateIdentity {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateIdentity { names, expires: WallTime(NEW_YEAR), signer, digest: digest.to_owned() }
}

fn file(path: &str, key: Option<&str>, certificate: &CertificateIdentity) -> CertificateFacts {
    CertificateFacts { path: path.to_owned(), key: key.map(str::to_owned), certificate: certificate.clone() }
}

fn listener(endpoint: &str, unit: &str, certificate: &CertificateIdentity) -> TlsListener {
    let endpoint: Endpoint = endpoint.parse().expect("an endpoint");
    TlsListener { endpoint, certificate: certificate.clone(), unit: UnitName::new(unit).ok() }
}

fn asked_for(name: &str) -> Endpoint {
    Endpoint { server_name: Some(name.to_owned()), ..("tls://[::1]:8443".parse().expect("an endpoint")) }
}

/// One look of each kind that can be proposed.
fn answering() -> Vec<Answering> {
    let tcp = |host: &str, port, speaks| Probe::Tcp { host: host.into(), port, speaks };
    let missing = HttpProbe { statuses: vec![(200, 499)], ..HttpProbe::get("https://127.0.0.1:8443/") };
    [
        ("app.service", Probe::Http(Box::new(HttpProbe { verify_certificate: false, ..missing }))),
        ("cups.service", tcp("127.0.0.1", 631, None)),
        ("mariadb.service", Probe::UnixSocket { path: "/run/my.sock".into(), speaks: Some(Protocol::Mysql) }),
        ("nginx.service", Probe::Http(Box::new(HttpProbe::get("http://127.0.0.1:80/")))),
        ("redis-server.service", tcp("::1", 6380, Some(Protocol::Redis))),
        ("ssh.service", tcp("127.0.0.1", 22, Some(Protocol::Ssh))),
        ("worker.service", tcp("10.0.0.2", 7000, None)),
    ]
    .map(|(unit, probe)| Answering { unit: UnitName::new(unit).expect("valid"), probe })
    .into()
}

fn container(name: &str, owner: Owner) -> ContainerFacts {
    let image = "example/app:1".into();
    ContainerFacts { name: name.into(), image, owner, needs: Vec::new(), settles_within: None }
}

fn databases() -> Vec<DatabaseFacts> {
    let other = "/var/run/postgresql/.s.PGSQL.5433".to_owned();
    vec![
        DatabaseFacts { postgresql: "/var/run/postgresql".into(), owner: None },
        DatabaseFacts { postgresql: other, owner: Some("Patroni runs here".into()) },
    ]
}

/// A host that has some of everything.
fn full() -> Found {
    let site = certificate("a", &["www.example.com", "example.com"], Signer::Trusted);
    let mail = certificate("b", &["mail.example.com"], Signer::Trusted);
    let snakeoil = certificate("c", &["host-1"], Signer::Itself);
    let inside = certificate("d", &["*.corp.test", "10.0.0.2"], Signer::Unknown);
    let other = certificate("e", &["www.example.com"], Signer::Unknown);
    let old = certificate("f", &["old.example.com"], Signer::Trusted);
    let nameless = certificate("g", &[], Signer::Itself);
    let live = "/etc/letsencrypt/live/www.example.com";
    let inventory = Inventory {
        timesync: UnitName::new("chrony.service").ok(),
        engines: vec!["docker".into()],
        containers: vec![
            container("db", Owner::Nobody),
            container("node-agent", Owner::Other("a kubelet runs it".into())),
            container("web", Owner::Unit(UnitName::new("web.service").expect("valid"))),
        ],
        databases: databases(),
        units: vec![
            unit("app.service", "An app\nof two lines"),
            unit("cups.service", "CUPS Scheduler"),
            UnitFacts { active: ActiveState::Inactive, ..unit("echo.service", "Echo") },
            unit("mariadb.service", "A database"),
            unit("nginx.service", "A high performance web server"),
            unit("redis-server.service", "A store"),
            unit("ssh.service", "The way in"),
            unit("worker.service", "Speaks a language of its own"),
            unit("systemd-journald.service", "Journal Service"),
        ],
        mounts: vec![
            mount("/", "ext4", "/dev/vda1", 40),
            MountFacts { is_read_only: true, ..mount("/srv/old data", "xfs", "/dev/vdb", 2048) },
        ],
        certificates: vec![
            file("/etc/haproxy/corp.pem", None, &inside),
            file(&format!("{live}/fullchain.pem"), Some(&format!("{live}/privkey.pem")), &site),
            file("/etc/nginx/ssl/mail.crt", Some("/etc/nginx/ssl/mail.key"), &mail),
            file("/etc/nginx/ssl/old.pem", Some("/etc/nginx/ssl/old.key"), &old),
            file("/etc/postfix/site.pem", Some("/etc/postfix/site-key.pem"), &site),
            file("/etc/ssl/certs/snakeoil.pem", Some("/etc/ssl/private/snakeoil.key"), &snakeoil),
            file("/var/lib/app/server.v2.crt", Some("/var/lib/app/server.v2.key"), &nameless),
        ],
        tls_listeners: vec![
            listener("https://127.0.0.1", "nginx.service", &site),
            listener("smtp://127.0.0.1:25", "postfix.service", &site),
            listener("https://127.0.0.1", "nginx.service", &mail),
            listener("imaps://127.0.0.1", "dovecot.service", &mail),
            listener("postgresql://127.0.0.1:5432", "postgresql@15-main.service", &snakeoil),
            TlsListener { endpoint: asked_for("www.corp.test"), ..listener("tls://[::1]:8443", "", &inside) },
            listener("tls://127.0.0.1:9443", "app.service", &other),
            listener("tls://127.0.0.1:9444", "app.service", &nameless),
        ],
        answering: answering(),
        sockets: vec![
            socket("chat.socket", None),
            socket("cups.socket", Some("cups.service")),
            socket("agent-browser.socket", Some("agent.service")),
            socket("agent-extra.socket", Some("agent.service")),
            socket("agent.socket", Some("agent.service")),
            socket("echo.socket", Some("echo.service")),
            socket("systemd-initctl.socket", Some("systemd-initctl.service")),
        ],
        ..Inventory::default()
    };
    let gib = |gib: u64| ByteSize(gib << 30);
    let room = Room { size: gib(40), used: gib(24), available: gib(14) };
    Found { used: [("/".to_owned(), room)].into(), renewals: ["www.example.com".to_owned()].into(), inventory }
}

#[track_caller]
fn check(found: &Found, whose: Whose, golden: &str, expected: &str) {
    let text = proposal(found, whose);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/init").join(golden);
    if text != expected {
        std::fs::write(path.with_extension("yaml.new"), &text).expect("written");
        panic!("it differs from {golden}; what is made now stands beside it:\n{text}");
    }
    let read = ansai_config::parse(&[("ansai.yaml".into(), text)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(read.warnings().is_empty(), "{:?}", read.warnings());
    let bundle = read.bundle(&found.inventory, 1).unwrap_or_else(|wrong| panic!("{wrong}"));
    let is_observed = bundle.parts().rules.values().all(|rule| rule.autonomy == ansai_model::rule::Autonomy::Observe);
    assert!(is_observed, "nothing is done before somebody says so");
}

#[test]
fn what_is_found_is_proposed_to_be_observed() {
    check(&full(), Whose::Host, "full.yaml", include_str!("../../../tests/init/full.yaml"));
    assert_eq!(counts(&full(), Whose::Host), "10 services, 2 filesystems, 6 certificates, 3 containers, 2 databases");
}

#[test]
fn somebody_without_root_is_proposed_their_own_services_and_no_more() {
    check(&full(), Whose::Person, "person.yaml", include_str!("../../../tests/init/person.yaml"));
    assert_eq!(counts(&full(), Whose::Person), "10 services, 3 containers");
}

#[test]
fn what_stands_in_comments_is_valid_once_it_is_uncommented() {
    let text = proposal(&full(), Whose::Host);
    let (before, example) = text.split_once("  # /var:\n").expect("an example");
    let (example, after) = example.split_once("\n\n").expect("its end");
    let example = example.replace("  # ", "  ");
    let uncommented = format!("{before}  /var:\n{example}\n\n{after}");
    let read = ansai_config::parse(&[("ansai.yaml".into(), uncommented)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(read.warnings().is_empty(), "{:?}", read.warnings());
    for example in ["renew: {acme", "renew: {exec"] {
        let uncommented = text.replace(&format!("    # {example}"), &format!("    {example}"));
        assert_ne!(text, uncommented);
        let read = ansai_config::parse(&[("ansai.yaml".into(), uncommented)]).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(read.warnings().is_empty(), "{:?}", read.warnings());
    }
}

#[test]
fn what_has_failed_right_now_is_proposed_and_said() {
    let of = |units: &[(&str, ActiveState, bool)]| {
        let made = |(name, active, is_oneshot): &(&str, ActiveState, bool)| UnitFacts {
            active: *active,
            is_oneshot: *is_oneshot,
            ..unit(name, "A unit")
        };
        let inventory = Inventory { units: units.iter().map(made).collect(), ..Inventory::default() };
        Found { inventory, ..Found::default() }
    };
    let well = ("a.service", ActiveState::Active, false);
    assert_eq!(failed_now(&of(&[well])), None);
    let one = of(&[well, ("b.service", ActiveState::Failed, false), ("c.service", ActiveState::Activating, false)]);
    let said = "warning: failed right now: b.service (`systemctl status b.service` says why)";
    assert_eq!(failed_now(&one).as_deref(), Some(said));
    let text = proposal(&one, Whose::Host);
    assert!(text.contains("\"b.service\": {}  # has failed") && text.contains("\"c.service\": {}\n"), "{text}");
    ansai_config::parse(&[("ansai.yaml".into(), text)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    // A one-shot and the system's own are not proposed, and said all the same.
    let more = of(&[
        ("b.service", ActiveState::Failed, false),
        ("job.service", ActiveState::Failed, true),
        ("logrotate.service", ActiveState::Failed, true),
    ]);
    let said = failed_now(&more).expect("three");
    assert!(
        said.contains("b.service, job.service, logrotate.service (")
            && said.ends_with("; not proposed: job.service, logrotate.service"),
        "{said}"
    );
    let names: Vec<String> = (0..9).map(|number| format!("u{number}.service")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), ActiveState::Failed, false)).collect();
    assert!(failed_now(&of(&many)).expect("many").contains("u4.service and others ("));
}

#[test]
fn a_host_with_nothing_gets_a_valid_file_as_well() {
    check(&Found::default(), Whose::Host, "empty.yaml", include_str!("../../../tests/init/empty.yaml"));
    assert_eq!(
        counts(&Found::default(), Whose::Host),
        "no service but the system's own, 0 filesystems, 0 certificates"
    );
}

#[test]
fn nothing_that_a_host_says_of_itself_breaks_out_of_its_place() {
    let evil = "a\"b\\\n  autonomy: act #";
    let mut found = full();
    for mount in &mut found.inventory.mounts {
        mount.source = evil.to_owned();
        mount.path.push_str(evil);
    }
    for unit in &mut found.inventory.units {
        unit.description = evil.into();
    }
    for socket in &mut found.inventory.sockets {
        socket.description = evil.into();
    }
    for file in &mut found.inventory.certificates {
        file.path.push_str(evil);
    }
    for listener in &mut found.inventory.tls_listeners {
        listener.certificate.names = vec![evil.to_owned(), "x\u{202e}y".repeat(100)];
    }
    let text = proposal(&found, Whose::Host);
    let read =
        ansai_config::parse(&[("ansai.yaml".into(), text.clone())]).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let bundle = read.bundle(&Inventory::default(), 1).expect("valid");
    assert!(!ansai_config::expanded(&bundle, read.host_settings()).contains("autonomy: act\n"));
}

#[test]
fn what_cannot_be_written_to_its_end_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().into_string().expect("text")).collect::<std::collections::BTreeSet<_>>()
    };
    // What is begun cannot take the place of a folder, as it cannot be ended on a disk that is full.
    let place = folder.path().join("taken");
    std::fs::create_dir(&place).expect("made");
    assert!(beside(&place, b"text", None).is_err());
    assert_eq!(names(), ["taken".to_owned()].into());
    // What was there is kept with its mode, and a link goes on to lead to what is written.
    let (file, link) = (folder.path().join("real.yaml"), folder.path().join("ansai.yaml"));
    std::fs::write(&file, "before\n").expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).expect("its mode");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    assert_eq!(write(&link, "after\n", false).expect_err("it is there").code, Code::Usage);
    write(&link, "after\n", true).expect("written");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("text");
    assert_eq!([read("real.yaml"), read("ansai.yaml.bak")], ["after\n", "before\n"]);
    let mode = |name: &str| {
        let permissions = std::fs::metadata(folder.path().join(name)).expect("there").permissions();
        std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777
    };
    assert_eq!([mode("real.yaml"), mode("ansai.yaml.bak")], [0o600; 2]);
    assert_eq!(names().len(), 4, "{:?}", names());
}

#[test]
fn a_place_that_cannot_be_written_to_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert_eq!(writable(&file.join("ansai.yaml"), false).expect_err("no folder").code, Code::Failing);
    assert!(writable(&folder.path().join("new/folder/ansai.yaml"), false).is_ok());
    assert!(!folder.path().join("new").exists(), "nothing is made");
}
