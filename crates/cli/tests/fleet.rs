//! The fleet's thin path with the program itself: a controller is made and run, hosts join it over real mutual TLS, what they
//! tell stands there, a hold reaches them all, and a controller that is killed comes back with nothing lost and nothing doubled.
//! The hosts are played here, over the same link that agents use.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use ansai_link::{
    dial::{Caller, Link, Route},
    joining,
    key::Key,
};
use ansai_model::{
    fleet::Acknowledged,
    id::{CheckId, IncidentId, TargetId},
    incident::{Phase, Resolution},
    observation::Health,
    report::Report,
    rule::Severity,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{
    IncidentSummary, TargetStatus,
    link::{
        Change, FeedId, FromController, FromHost, Held, Hello, Identity, Join, JoinAnswer, RestraintsAt, Token,
        VERSION, VERSION_OLDEST, Welcome,
    },
};
use serde_json::{Value, json};

#[path = "fleet/network.rs"]
mod network;
#[path = "fleet/once.rs"]
mod once;
#[path = "fleet/rollout.rs"]
mod rollout;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(20);
/// A controller in a folder of its own.
struct Controller {
    folder: tempfile::TempDir,
    child: Option<Child>,
    port: u16,
    token: Token,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    command
        .env("ANSAI_CONTROLLER_CONFIG", folder.join("controller.yaml"))
        .env("ANSAI_CONTROLLER_STATE_DIR", folder.join("state"))
        .env("ANSAI_CONTROLLER_RUNTIME_DIR", folder.join("run"));
    command
}

impl Controller {
    /// Makes one and runs it.
    fn begin() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("known").port();
        let address = format!("127.0.0.1:{port}");
        let made = command(folder.path()).args(["--json", "controller", "init", "--address", &address]).output();
        let made: Value = serde_json::from_slice(&made.expect("run").stdout).expect("JSON");
        let token = made["token"].as_str().expect("a token").parse().expect("a token");
        let settings = folder.path().join("controller.yaml");
        let text = std::fs::read_to_string(&settings).expect("read");
        std::fs::write(&settings, format!("{text}\nlisten: \"{address}\"\n")).expect("written");
        drop(taken);
        let mut controller = Self { folder, child: None, port, token };
        controller.start();
        controller
    }

    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        let child = command(self.folder.path()).args(["controller", "run"]).stderr(log).stdin(Stdio::null()).spawn();
        self.child = Some(child.expect("started"));
        self.wait("it answers", |controller| controller.run(&["hosts", "list"]).status.success());
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// As SIGKILL does it.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn run(&self, words: &[&str]) -> Output {
        command(self.folder.path()).args(words).stdin(Stdio::null()).output().expect("run")
    }

    /// Asks on its socket, as programs do.
    fn ask(&self, path: &str, body: &Value) -> Value {
        let mut stream = UnixStream::connect(self.folder.path().join("run/api.sock")).expect("connected");
        let (body, mut answer) = (body.to_string(), String::new());
        write!(stream, "POST {path} HTTP/1.0\r\nHost: ansai\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .expect("asked");
        stream.read_to_string(&mut answer).expect("answered");
        let (_, document) = answer.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(document).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[&["--json"], words].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
    }

    /// Waits for a condition, and says what the controller logged when it does not come.
    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            assert!(begun.elapsed() < LIMIT, "{what} did not come: {log}");
            std::thread::yield_now();
        }
    }
}

/// A host of the tests.
struct Host {
    name: String,
    key: Key,
    identity: Identity,
    feed: FeedId,
    caller: Caller,
    route: Route,
    told: u64,
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Host {
    async fn join(controller: &Controller, name: &str) -> Self {
        Self::join_as(controller, name, Some("web")).await
    }

    /// The same, with the role of its own configuration.
    async fn join_as(controller: &Controller, name: &str, role: Option<&str>) -> Self {
        let key = Key::generate().expect("a key");
        let route = Route::new(&format!("https://127.0.0.1:{}", controller.port), None).expect("a route");
        let join = Join {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            token: Some((controller.token.id, controller.token.secret.clone())),
            request: key.request().expect("signed"),
            name: name.into(),
            machine_id: name.into(),
            program: "1.0.0".into(),
            role: role.map(Into::into),
            labels: vec![("zone".into(), "a".into())],
            now_ms: now_ms(),
        };
        let answer = joining::ask(&route, controller.token.authority, &join).await.expect("answered");
        let JoinAnswer::Joined(identity) = answer else { panic!("{answer:?}") };
        let caller = Caller::new(&key, &identity.certificate, identity.controller, &identity.roots).expect("a caller");
        let feed = FeedId::of_chance(ansai_link::chance().expect("chance"));
        Self { name: name.to_owned(), key, identity, feed, caller, route, told: 0 }
    }

    async fn dial(&self) -> (Link, Box<Welcome>) {
        let hello = Hello {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            program: "1.0.0".into(),
            name: self.name.as_str().into(),
            machine_id: self.name.as_str().into(),
            boot_id: "b".into(),
            started_ms: now_ms(),
            now_ms: now_ms(),
            feed: self.feed,
            restraints: RestraintsAt::default(),
            configuration: Held::default(),
            role: Some("web".into()),
            labels: Vec::new(),
        };
        self.caller.dial(&self.route, hello).await.expect("welcome")
    }

    /// Tells changes, and waits until they are kept.
    async fn tell(&mut self, link: &mut Link, changes: Vec<Change>) {
        let first = self.told + 1;
        self.told += u64::try_from(changes.len()).expect("few");
        link.send(&FromHost::Changes { first, changes }).await.expect("sent");
        loop {
            match link.receive::<FromController>().await.expect("heard") {
                FromController::Kept { through } if through >= self.told => return,
                _ => {}
            }
        }
    }
}

/// Obeys what it is told until it has been told this many restraints, and says so.
async fn obey(host: &Host, link: &mut Link, count: usize) {
    loop {
        if let FromController::Restraints(set) = link.receive::<FromController>().await.expect("heard") {
            let acknowledged = Acknowledged {
                controller: set.controller.clone(),
                epoch: set.epoch,
                generation: set.generation,
                under_way: Vec::new(),
                refused: None,
            };
            link.send(&FromHost::Restrained(Box::new(acknowledged))).await.expect("sent");
            if set.restraints.len() == count {
                return assert_eq!(host.identity.controller.to_string(), set.controller.as_str());
            }
        }
    }
}

fn target() -> TargetId {
    TargetId::new("service/app.service").expect("valid")
}

fn status(health: Health) -> Change {
    Change::Target(Box::new(TargetStatus {
        target: target(),
        health,
        summary: "as seen".into(),
        incident: None,
        explanation: "as it is".into(),
        is_critical: false,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    }))
}

fn incident(id: u64, phase: Phase) -> [Change; 2] {
    let check = CheckId::of(&target(), "unit").expect("valid");
    let at = Now { mono: MonoTime(1), wall: WallTime(1_700_000_000_000 + i64::try_from(id).expect("small")) };
    let report = Report::bare(IncidentId(id), target(), check.clone(), at, phase.clone());
    let summary = IncidentSummary {
        id: IncidentId(id),
        target: target(),
        check,
        severity: Severity::Now,
        phase,
        headline: "app.service was killed".into(),
        is_drill: false,
        opened_ms: at.wall.0,
        downtime_ms: None,
        is_well_again: false,
        is_kept: false,
        well_since_ms: None,
        seen_to: None,
        told: None,
    };
    let report = Report { headline: "app.service was killed".into(), ..report };
    [Change::Incident(Box::new(summary)), Change::Report(Box::new(report))]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn what_hosts_tell_stands_at_the_controller_and_outlives_it_once() {
    let mut controller = Controller::begin();
    let runtime = runtime();
    let mut hosts: Vec<Host> = ["web-01", "web-02", "web-03"]
        .map(|name| runtime.block_on(async { tokio::time::timeout(LIMIT, Host::join(&controller, name)).await }))
        .into_iter()
        .map(|joined| joined.expect("in time"))
        .collect();
    assert!(hosts.iter().all(|host| host.key.fingerprint() != controller.token.authority));
    let listed = controller.json(&["hosts", "list"]);
    assert_eq!(listed["hosts"].as_array().map(Vec::len), Some(3), "{listed}");

    // A page at a time they are the same.
    let page = |after: &Value| controller.ask("/v1/hosts", &json!({"limit": 2, "after": after}));
    let (first, names) = (page(&Value::Null), |page: &Value| [0, 1].map(|place| page["hosts"][place]["name"].clone()));
    assert_eq!((names(&first), &first["next"]), ([json!("web-01"), json!("web-02")], &json!("web-02")), "{first}");
    let last = page(&first["next"]);
    assert_eq!((names(&last), &last["next"]), ([json!("web-03"), Value::Null], &Value::Null), "{last}");

    // A service dies on one and is healed there.
    runtime.block_on(async {
        let (mut link, welcome) = hosts[0].dial().await;
        assert_eq!((welcome.name.as_str(), welcome.kept), ("web-01", None));
        let anew = vec![Change::Anew, status(Health::Failing), Change::Told];
        hosts[0].tell(&mut link, anew).await;
        hosts[0].tell(&mut link, incident(1, Phase::Remediating).into()).await;
        // What was answered as kept is there, whatever happens now.
        controller.kill();
    });
    controller.start();
    let found = controller.json(&["incidents", "--fleet"]);
    assert_eq!(found["incidents"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["incidents"][0]["host"], "web-01");
    runtime.block_on(async {
        let (mut link, welcome) = hosts[0].dial().await;
        assert_eq!(welcome.kept, Some((hosts[0].feed, 5)), "it goes on behind what is kept");
        // It does not know that, and says the last again.
        hosts[0].told = 3;
        hosts[0].tell(&mut link, incident(1, Phase::Remediating).into()).await;
        let seen_to = ["acknowledge", "app", "--host", "web-01", "--reason", "a new disk comes"];
        assert!(controller.run(&seen_to).status.success());
        let shown = controller.run(&["incidents", "--fleet"]).stdout;
        assert!(String::from_utf8_lossy(&shown).contains("sees to it: a new disk comes)"), "{shown:?}");
        let ended = incident(1, Phase::Resolved(Resolution::ByItself));
        hosts[0].tell(&mut link, ended.into_iter().chain([status(Health::Healthy)]).collect()).await;
    });
    let found = controller.json(&["incidents", "--fleet"]);
    assert_eq!(found["incidents"].as_array().map(Vec::len), Some(1), "once: {found}");
    assert!(controller.json(&["incidents", "--fleet", "--open"])["incidents"].as_array().is_some_and(Vec::is_empty));
    let report = controller.json(&["report", "--host", "web-01"]);
    assert_eq!(report["report"]["headline"], "app.service was killed", "{report}");
    let none = controller.run(&["report", "i9", "--host", "web-01"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("i9"), "{none:?}");
}

#[test]
fn a_hold_over_the_fleet_reaches_all_says_who_is_missing_and_outlives_the_controller() {
    let mut controller = Controller::begin();
    let runtime = runtime();
    let names = ["web-01", "web-02"];
    let hosts: Vec<Host> = names.map(|name| runtime.block_on(Host::join(&controller, name))).into_iter().collect();
    let counted = controller.run(&["hold", "--fleet", "--dry-run"]);
    let counted = String::from_utf8_lossy(&counted.stdout).into_owned();
    assert!(
        counted.contains("every host: 2 hosts: web-01, web-02") && counted.contains("nothing was changed"),
        "{counted}"
    );

    let answer = runtime.block_on(async {
        let (mut first, _) = hosts[0].dial().await;
        let program = command(controller.folder.path())
            .args(["hold", "--fleet", "--reason", "moving"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let obeying = async {
            obey(&hosts[0], &mut first, 1).await;
            // It stays there, and says nothing more.
            let _ = first.receive::<FromController>().await;
        };
        let (answer, ()) =
            tokio::join!(tokio::task::spawn_blocking(move || program.wait_with_output().expect("ended")), async {
                drop(tokio::time::timeout(Duration::from_secs(7), obeying).await)
            },);
        answer.expect("joined")
    });
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(answer.status.success() && said.contains("1 of 2") && said.contains("web-02"), "{said}");

    controller.kill();
    controller.start();
    let status = controller.json(&["status", "--fleet"]);
    assert_eq!(status["restraints"][0]["reason"], "moving", "{status}");
    // The one that was away hears of it as soon as it comes; whoever was told before still says so.
    runtime.block_on(async {
        let (mut second, _) = hosts[1].dial().await;
        tokio::time::timeout(LIMIT, obey(&hosts[1], &mut second, 1)).await.expect("in time");
        let (mut first, _) = hosts[0].dial().await;
        tokio::time::timeout(LIMIT, obey(&hosts[0], &mut first, 1)).await.expect("in time");
        tokio::task::yield_now().await;
    });
    controller.wait("all obey", |controller| {
        let status = controller.json(&["status", "--fleet"]);
        status["restraints"][0]["missing"].as_array().is_some_and(Vec::is_empty)
    });
    let released = controller.run(&["release", "--fleet", "--yes"]);
    assert!(released.status.success(), "{released:?}");
    let alone = controller.run(&["status"]);
    assert!(String::from_utf8_lossy(&alone.stderr).contains("`ansai status --fleet` shows its hosts"), "{alone:?}");
    assert!(controller.json(&["status", "--fleet"])["restraints"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn of_hosts_that_there_are_not_nothing_is_said_to_have_not_happened() {
    let controller = Controller::begin();
    for words in
        [&["incidents", "--host", "nobody"][..], &["incidents", "--role", "nobody"], &["report", "--host", "nobody"]]
    {
        let output = controller.run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("nobody is none"), "{words:?}: {output:?}");
    }
    assert!(controller.run(&["incidents", "--fleet"]).status.success(), "of all that there are there is none");
}

#[test]
fn a_token_is_good_for_as_many_as_it_says_and_is_shown_once() {
    let controller = Controller::begin();
    let fresh = controller.run(&["token", "create", "--role", "db"]);
    let token = String::from_utf8_lossy(&fresh.stdout).trim().to_owned();
    let parsed: Token = token.parse().expect("a token, alone on its line");
    let listed = controller.run(&["token", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let secret = token.split('.').nth(2).expect("a secret");
    assert!(listed.contains(&parsed.id.to_string()) && !listed.contains(secret), "{listed}");
    for entry in std::fs::read_dir(controller.folder.path().join("state")).expect("read").flatten() {
        let bytes = std::fs::read(entry.path()).expect("read");
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", entry.path().display());
    }
    assert!(!std::fs::read_to_string(controller.log()).expect("read").contains(secret));
    let runtime = runtime();
    let db = Controller {
        token: parsed,
        folder: tempfile::tempdir().expect("a folder"),
        child: None,
        port: controller.port,
    };
    runtime.block_on(Host::join_as(&db, "db-01", None));
    let listed = controller.json(&["hosts", "list", "--role", "db"]);
    assert_eq!(listed["hosts"][0]["name"], "db-01", "{listed}");
    let revoked = controller.run(&["token", "revoke", &controller.token.id.to_string()]);
    assert!(revoked.status.success(), "{revoked:?}");
    for refused in [&db.token, &controller.token] {
        let key = Key::generate().expect("a key");
        let join = Join {
            oldest: VERSION_OLDEST,
            newest: VERSION,
            token: Some((refused.id, refused.secret.clone())),
            request: key.request().expect("signed"),
            name: "late".into(),
            machine_id: "late".into(),
            program: "1.0.0".into(),
            role: None,
            labels: Vec::new(),
            now_ms: now_ms(),
        };
        let route = Route::new(&format!("https://127.0.0.1:{}", controller.port), None).expect("a route");
        let answer = runtime.block_on(joining::ask(&route, refused.authority, &join)).expect("answered");
        assert!(matches!(answer, JoinAnswer::Refused { .. }), "{answer:?}");
    }
}

#[test]
fn a_copy_made_while_it_runs_comes_back_as_another_life() {
    let mut controller = Controller::begin();
    let runtime = runtime();
    runtime.block_on(Host::join(&controller, "web-01"));
    let copy = controller.folder.path().join("copy");
    let copy = copy.to_str().expect("a name");
    assert!(controller.run(&["controller", "backup", copy]).status.success());
    let busy = controller.run(&["controller", "restore", copy, "--yes"]);
    assert!(!busy.status.success(), "{busy:?}");
    let doctor = controller.run(&["controller", "doctor"]);
    assert!(doctor.status.success(), "{doctor:?}");
    controller.kill();
    let before = controller.run(&["controller", "restore", copy, "--dry-run"]);
    assert!(String::from_utf8_lossy(&before.stdout).contains("1 host, "), "{before:?}");
    assert!(controller.run(&["controller", "doctor"]).status.code() == Some(1), "it does not run");
    assert!(controller.run(&["controller", "restore", copy, "--yes"]).status.success());
    controller.start();
    let status = controller.json(&["status", "--fleet"]);
    assert_eq!(status["hosts"][0]["name"], "web-01", "{status}");
    assert!(status["epoch"].as_u64().is_some_and(|epoch| epoch > 1_700_000_000), "{status}");
    let again = controller.run(&["controller", "init"]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
}
