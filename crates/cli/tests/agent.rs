//! The program as an operator meets it while an agent answers: previews, rehearsals, what is asked of the agent, exit
//! codes. The agent is a listener with fixed answers; what the real one does is tested in its crate and on lab hosts.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

/// An agent that watches some services and says yes to whatever is asked of it, but to some drills; or to nothing.
struct Agent {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Value>>>,
}

/// What it refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refuses {
    Nothing,
    Some,
    All,
}

fn target(name: &str, health: &str) -> Value {
    let id = if name.contains('/') { name.to_owned() } else { format!("service/{name}.service") };
    json!({
        "target": id, "health": health, "summary": "active (running)",
        "incident": null, "explanation": "nothing is to be done", "is_critical": name == "db", "autonomy": "act",
    })
}

fn status(names: &[&str]) -> Value {
    let window =
        json!({"scope": "nginx.service", "by": "root", "reason": "moving", "until_ms": 253_370_764_800_000i64});
    json!({
        "schema": 1, "version": env!("CARGO_PKG_VERSION"), "pid": 1, "host": "web1", "uptime_seconds": 60,
        "generation": 1, "configuration_error": null, "ledger_error": null, "held": null, "holds": [],
        "silences": [], "maintenance": [window], "messages_waiting": 0,
        "targets": names.iter().map(|name| target(name, "healthy")).collect::<Vec<_>>(),
    })
}

impl Agent {
    fn new(names: &[&str]) -> Self {
        Self::that_refuses(names, Refuses::Some)
    }

    fn that_refuses(names: &[&str], refuses: Refuses) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("api.sock")).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (status, told) = (status(names), asked.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &status, &told, refuses);
            }
        });
        Self { folder, asked }
    }

    fn ansai(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
        command.env("ANSAI_RUNTIME_DIR", self.folder.path()).env("ANSAI_CONFIG", self.folder.path().join("ansai.yaml"));
        command.env("ANSAI_STATE_DIR", self.folder.path()).env("ANSAI_HOLD_FILE", "/nonexistent/HOLD");
        command.args(arguments).stdin(Stdio::null()).output().expect("the program runs")
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, expected: &str) {
        let output = self.ansai(arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} said {said}");
        assert!(said.contains(expected), "{arguments:?} said {said}");
    }

    /// What was asked for since the last time.
    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().expect("no panic holds it"))
    }
}

fn reloaded(refuses: Refuses) -> (u16, Value) {
    match refuses {
        Refuses::Nothing => (200, json!({"schema": 1, "text": "configuration 3 is in force"})),
        Refuses::Some | Refuses::All => {
            (422, json!({"schema": 1, "what": "the new configuration is not applied", "suggestion": "mend it"}))
        }
    }
}

/// Two drills: one that succeeds and one that does not, told to whoever listens.
fn events() -> String {
    let event = |event: Value| json!({"schema": 1, "at_ms": 1, "event": event});
    let begun = |run: u32, name: &str| {
        event(
            json!({"action-begun": {"run": run, "incident": null, "target": format!("service/{name}.service"), "what": "x"}}),
        )
    };
    let ended =
        |run: u32, outcome: Value| event(json!({"action-ended": {"run": run, "target": null, "outcome": outcome}}));
    let lines = [
        event(json!("alive")),
        json!({"schema": 1, "at_ms": 1, "event": {"something-new": 7}}),
        begun(1, "app1"),
        begun(2, "app2"),
        ended(2, json!({"failed": {"why": "app2.service declares no port"}})),
        ended(1, json!({"succeeded": {"note": "drill `crash` injected into app1.service"}})),
    ];
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What healing would come to.
fn plan(target: &str, refuses: Refuses) -> Value {
    let (refused, suggestion) = match refuses == Refuses::All || target == "service/app5.service" {
        true => (json!("it is held"), json!("release it")),
        false => (Value::Null, Value::Null),
    };
    let gates = json!([{"gate": "hold", "verdict": "deny", "why": "somebody holds it"}]);
    json!({"schema": 1, "target": target, "incident": 1, "refused": refused, "suggestion": suggestion, "gates": gates,
           "rungs": []})
}

fn answer(stream: UnixStream, status: &Value, asked: &Mutex<Vec<Value>>, refuses: Refuses) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a number");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let (code, value) = if first.starts_with("GET /v1/status") {
        (200, status.clone())
    } else if first.starts_with("POST /v1/operate") || first.starts_with("POST /v1/rehearse ") {
        let operation = serde_json::from_slice::<Value>(&body).expect("JSON")["operation"].clone();
        let is_well = operation["heal"]["target"] == "service/db.service";
        let is_refused = operation["drill"]["target"] == "service/nginx.service" || refuses == Refuses::All;
        let is_rehearsal = first.starts_with("POST /v1/rehearse ");
        let operation = if is_rehearsal { json!({"rehearse": operation}) } else { operation };
        asked.lock().expect("no panic holds it").push(operation);
        match is_refused {
            _ if is_well => (
                409,
                json!({"schema": 1, "what": "nothing is known to be wrong with service/db.service", "suggestion": "`ansai explain`"}),
            ),
            true => (409, json!({"schema": 1, "what": "it is held", "suggestion": "release it"})),
            false => (200, json!({"schema": 1, "text": "done"})),
        }
    } else if first.starts_with("GET /v1/events") {
        let lines = events();
        let head = "HTTP/1.0 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
        // Who only wanted to ask has gone.
        let _ = reader.into_inner().write_all(format!("{head}{lines}").as_bytes());
        return;
    } else if let Some(target) = first.strip_prefix("GET /v1/plan/") {
        let target = target.split(' ').next().unwrap_or_default();
        asked.lock().expect("no panic holds it").push(json!({"plan": target}));
        (200, plan(target, refuses))
    } else if first.starts_with("POST /v1/reload") || first.starts_with("POST /v1/rehearse-reload") {
        reloaded(refuses)
    } else if first.starts_with("GET /v1/routes") {
        let route = |name: &str, error: Value| json!({"route": name, "way": "web hook", "took_ms": 7, "error": error});
        (200, json!({"schema": 1, "routes": [route("ops", Value::Null), route("boss", json!("no connection"))]}))
    } else if first.starts_with("POST /v1/send-test") {
        let route = |name: &str, error: Value| json!({"route": name, "way": format!("mail to {name}@example.com through localhost:25"), "took_ms": 12, "error": error});
        (200, json!({"schema": 1, "routes": [route("ops", Value::Null), route("boss", json!("550 no such user"))]}))
    } else {
        (404, json!({"schema": 1, "what": "there is nothing", "suggestion": "look elsewhere"}))
    };
    let body = value.to_string();
    let head = format!("HTTP/1.1 {code} so\r\ncontent-length: {}\r\n\r\n", body.len());
    reader.into_inner().write_all(format!("{head}{body}").as_bytes()).expect("somebody reads");
}

const MANY: &[&str] = &["nginx", "db", "app1", "app2", "app3", "app4", "app5"];

#[test]
fn a_rehearsal_names_the_targets_and_has_nothing_done_by_the_agent() {
    let agent = Agent::new(MANY);
    let nothing = "1 target\n  service/nginx.service\nnothing was changed (--dry-run)";
    for arguments in [
        &["hold", "nginx"][..],
        &["release", "nginx"],
        &["silence", "nginx"],
        &["unsilence", "nginx"],
        &["maintenance", "start", "nginx"],
        &["maintenance", "end", "nginx"],
    ] {
        agent.check(&[arguments, &["--dry-run"]].concat(), 0, nothing);
        let json = agent.ansai(&[arguments, &["--dry-run", "--json"]].concat());
        let value: Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!((&value["schema"], &value["targets"]), (&json!(1), &json!(["service/nginx.service"])));
    }
    // Whether it would be allowed only the agent can say.
    let asked = agent.asked();
    assert_eq!(asked.len(), 12);
    assert!(asked.iter().all(|asked| asked["rehearse"].is_object()), "{asked:?}");
    agent.check(&["heal", "nginx", "--dry-run"], 0, "service/nginx.service\n  it would begin, for incident i1");
    // What the host says of it may take its time, so it is asked once; why it is refused stands beside all gates.
    assert_eq!(agent.asked(), [json!({"plan": "service/nginx.service"})]);
    let refused =
        "service/app5.service\n  it would be refused: it is held\n\n  deny   hold             somebody holds it\n";
    agent.check(&["heal", "app5", "--dry-run"], 4, refused);
    agent.check(&["heal", "app5", "--dry-run"], 4, "ansai: it is held\n  help: release it");
    assert_eq!(agent.asked().len(), 2);
}

/// Each command with `--dry-run`, as it is written without it.
const REHEARSED: &[&[&str]] = &[
    &["hold", "nginx"],
    &["release", "nginx"],
    &["silence", "nginx"],
    &["unsilence", "nginx"],
    &["maintenance", "start", "nginx"],
    &["maintenance", "end", "nginx"],
    &["approve", "i1"],
    &["reject", "i1"],
    &["heal", "nginx"],
    &["drill", "nginx", "crash"],
    &["drill", "nginx", "--undo"],
    &["certificate", "renew", "shop"],
    &["certificate", "revoke", "shop"],
    &["init"],
    &["reload"],
    // It has joined no controller.
    &["leave"],
];

/// What is asked of a controller is tried beside one, in `fleet.rs`.
const OF_A_CONTROLLER: [&str; 7] = ["controller", "token", "hosts", "permits", "fleet", "context", "acknowledge"];

#[test]
fn a_dry_run_refuses_what_the_run_would_refuse_with_the_same_words_and_code() {
    let agent = Agent::that_refuses(&["nginx", "certificate/shop"], Refuses::All);
    std::fs::write(agent.folder.path().join("ansai.yaml"), "services: [").expect("written");
    let said = |arguments: &[&str], more: &[&str]| {
        let output = agent.ansai(&[arguments, more].concat());
        // A run says before that what it is about to do.
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let refusal = text.find("ansai: ").or_else(|| text.find("error: ")).map(|at| text[at..].to_owned());
        (output.status.code(), refusal)
    };
    for arguments in REHEARSED {
        let yes: &[&str] = if ["init", "reload"].contains(&arguments[0]) { &[] } else { &["--yes"] };
        let run = said(arguments, yes);
        assert!(run.1.is_some() && run.0 != Some(0), "{arguments:?} was not refused: {run:?}");
        assert_eq!(said(arguments, &["--dry-run"]), run, "{arguments:?}");
        let json = |more: &[&str]| agent.ansai(&[arguments, more, &["--json"]].concat()).stdout;
        assert_eq!(json(&["--dry-run"]), json(yes), "{arguments:?}");
    }
    // No command is forgotten.
    let reference = String::from_utf8(agent.ansai(&["reference"]).stdout).expect("text");
    for section in reference.split("\n#").filter(|section| section.contains("`--dry-run`")) {
        let name = section.split('`').nth(1).and_then(|name| name.strip_prefix("ansai ")).expect("a command");
        let is_elsewhere = OF_A_CONTROLLER.iter().any(|of| name.starts_with(of));
        let is_tried = is_elsewhere || REHEARSED.iter().any(|arguments| arguments.join(" ").starts_with(name));
        assert!(is_tried, "{name} has a dry run that is not tried");
    }
}

#[test]
fn a_maintenance_window_is_opened_listed_and_ended() {
    let agent = Agent::new(MANY);
    agent.check(
        &["maintenance", "start", "nginx", "--for", "2h", "--reason", "moving"],
        0,
        "open maintenance of: 1 target",
    );
    agent.check(&["maintenance", "end", "nginx"], 0, "done");
    let scope = json!({"matching": ["service/nginx.service"]});
    let lasts = json!({"secs": 7200, "nanos": 0});
    let opened = json!({"maintenance": {"scope": scope, "reason": "moving", "lasts": lasts}});
    assert_eq!(agent.asked(), [opened, json!({"end-maintenance": {"scope": scope}})]);
    agent.check(&["maintenance", "list"], 0, "nginx.service  9999-01-0");
    let value: Value = serde_json::from_slice(&agent.ansai(&["maintenance", "list", "--json"]).stdout).expect("JSON");
    assert_eq!(value["maintenance"][0]["by"], "root");
    agent.check(&["maintenance", "start", "nginx", "--for", "0s"], 2, "`ansai maintenance end` ends one");
    agent.check(&["maintenance", "start"], 2, "needs TARGETS or --all");
    assert_eq!(agent.asked(), Vec::<Value>::new());
}

#[test]
fn what_changes_many_targets_or_breaks_something_wants_a_yes() {
    let agent = Agent::new(MANY);
    let unconfirmed = "ansai: nothing was done: nobody is there to confirm this: ";
    for arguments in
        [&["silence", "--all"][..], &["maintenance", "start", "--all"], &["heal", "nginx"], &["drill", "app1", "crash"]]
    {
        agent.check(arguments, 4, unconfirmed);
    }
    let asked = agent.asked();
    assert!(asked.len() == 4 && asked.iter().all(|asked| asked["rehearse"].is_object()), "nothing was done: {asked:?}");
    agent.check(&["silence", "--all", "--yes"], 0, "silence: 7 targets\n  service/nginx.service");
    // One of them is in a window that an operator has opened, and that is all that ends.
    agent.check(&["maintenance", "end", "--all"], 0, "end maintenance of: 1 target\n  service/nginx.service");
    agent.check(&["drill", "nginx", "crash", "--yes"], 4, "ansai: it is held\n  help: release it");
    agent.check(
        &["drill", "app1", "crash", "--yes"],
        0,
        "drill `crash` injected into app1.service; `ansai status service/app1.service --watch`",
    );
    agent.check(
        &["drill", "app2", "port", "--yes"],
        1,
        "the drill on service/app2.service failed: app2.service declares no port",
    );
    agent.check(&["drill", "app3", "crash", "--yes"], 0, "done");
    // An emergency waits for no answer.
    agent.check(&["hold", "--all"], 0, "done");
    assert_eq!(agent.asked().len(), 7);
    // Who answers a question is not asked one, and a script need not know who asks.
    for arguments in [&["approve", "i1"][..], &["reject", "i1"], &["hold", "nginx"], &["unsilence", "nginx"]] {
        agent.check(arguments, 0, "done");
        agent.check(&[arguments, &["--yes"]].concat(), 0, "done");
    }
    assert_eq!(agent.asked().len(), 8);
}

#[test]
fn nobody_is_asked_about_what_is_refused_or_does_not_exist() {
    let agent = Agent::new(MANY);
    agent.check(
        &["heal", "db"],
        4,
        "ansai: nothing is known to be wrong with service/db.service\n  help: `ansai explain`",
    );
    agent.check(&["drill", "nginx", "crash"], 4, "ansai: it is held\n  help: release it");
    agent.asked();
    // The agent knows best that there is no hold; a maintenance window is open.
    agent.check(&["release", "--all", "--yes"], 0, "done");
    assert_eq!(agent.asked(), [json!({"release": {"scope": "all"}})]);
}

#[test]
fn nothing_is_announced_that_is_refused() {
    let agent = Agent::that_refuses(MANY, Refuses::All);
    for arguments in [
        &["hold", "nginx"][..],
        &["hold", "--all"],
        &["release", "nginx"],
        &["release", "--all"],
        &["silence", "nginx"],
        &["silence", "--all"],
        &["unsilence", "nginx"],
        &["maintenance", "start", "nginx"],
        &["maintenance", "end", "--all", "--yes"],
    ] {
        let output = agent.ansai(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(4), "ansai: it is held\n  help: release it\n"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_reload_repeats_what_is_dangerous_in_the_configuration() {
    let agent = Agent::that_refuses(MANY, Refuses::Nothing);
    let file = agent.folder.path().join("ansai.yaml");
    std::fs::write(&file, "services:\n  app.service: {critical: true}\n").expect("written");
    let warned = |arguments: &[&str]| {
        let output = agent.ansai(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let all = String::from_utf8_lossy(&output.stderr).into_owned();
        all.lines().filter(|line| line.starts_with("warning: ")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let checked = warned(&["check"]);
    assert!(!checked.is_empty());
    assert_eq!((warned(&["reload"]), warned(&["reload", "--dry-run"])), (checked.clone(), checked.clone()));
    agent.check(&["reload"], 0, "configuration 3 is in force");
    let json: Value = serde_json::from_slice(&agent.ansai(&["reload", "--json"]).stdout).expect("JSON");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(checked.len()), "{json}");
    // It is in force all the same when only the agent can read it.
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(warned(&["reload"]), Vec::<String>::new());
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let agent = Agent::new(MANY);
    agent.check(&["status"], 0, "in maintenance by root until 9999-01-0");
    agent.check(&["reload"], 2, "ansai: the new configuration is not applied\n  help: mend it");
    agent.check(&["report", "i1"], 1, "ansai: there is nothing\n  help: look elsewhere");
    agent.check(&["explain", "ngnix"], 2, "did you mean `nginx.service`?");
    agent.check(&["drill", "nginx"], 2, "needs KIND or --undo");
    agent.check(&["hold", "nginx", "--all"], 2, "exclude each other");
    agent.check(&["drill", "nginx", "crash", "--undo"], 2, "exclude each other");
}

#[test]
fn a_route_whose_server_is_away_is_told_without_a_test() {
    let agent = Agent::new(MANY);
    agent.check(&["doctor"], 1, "ok    route ops: web hook can be reached; it took 7 ms, and nothing was sent");
    let away = "FAIL  route boss: web hook cannot be reached, so nobody is told there: no connection\n      \
                help: see that its server runs and lets this host in, or mend `notify.boss`\n      \
                it is written here: ansai config explain notify.boss\n      then: ansai reload && ansai doctor --send-test";
    agent.check(&["doctor"], 1, away);
}

#[test]
fn a_test_is_sent_on_every_route_and_a_route_that_fails_fails_the_doctor() {
    let agent = Agent::new(MANY);
    let arrived = "ok    route ops: mail to ops@example.com through localhost:25 took a test over in 12 ms";
    agent.check(&["doctor", "--send-test"], 1, arrived);
    let failed = "FAIL  route boss: mail to boss@example.com through localhost:25 did not take a test over: 550 no such user\n      \
                  help: mend `notify.boss`";
    agent.check(&["doctor", "--send-test"], 1, failed);
    let value: Value = serde_json::from_slice(&agent.ansai(&["doctor", "--send-test", "--json"]).stdout).expect("JSON");
    let last = value["findings"].as_array().and_then(|findings| findings.last()).expect("findings");
    assert_eq!(last["level"], "fail");
}

#[test]
fn a_drill_on_a_configuration_is_undone() {
    let agent = Agent::new(MANY);
    let path = agent.folder.path().join("app.conf");
    let shown = path.display().to_string();
    let undo = |more: &[&'static str]| [&["drill", "app", "--undo"][..], more].concat();
    let configuration = format!("services: {{app.service: {{configuration: [{shown}]}}}}\n");
    std::fs::write(agent.folder.path().join("ansai.yaml"), configuration).expect("written");
    std::fs::write(&path, "listen 80\n").expect("written");
    agent.check(&undo(&[]), 0, "no drill has left anything of service/app.service");
    ansai_host::linux::drill::break_file(&path, &ansai_host::linux::owned_path::Trusted::own()).expect("broken");
    // Whether this machine is well is another question.
    let doctor = String::from_utf8(agent.ansai(&["doctor"]).stdout).expect("text");
    let warning = format!("warn  a drill has left {shown}.ansai-drill\n      help: ansai drill app.service --undo");
    assert!(doctor.contains(&warning), "{doctor}");
    agent.check(&undo(&["--dry-run"]), 0, &format!("put back {shown} from {shown}.ansai-drill\nnothing was changed"));
    assert!(text(&path).contains("ansai drill"));
    // Nobody is asked.
    agent.check(&undo(&[]), 0, "the drill is undone; `ansai heal service/app.service` heals it now");
    assert_eq!(text(&path), "listen 80\n");
    ansai_host::linux::drill::break_file(&path, &ansai_host::linux::owned_path::Trusted::own()).expect("broken");
    std::fs::write(&path, "listen 8080\n").expect("mended by hand");
    let value = agent.ansai(&undo(&["--yes", "--json"])).stdout;
    let value: Value = serde_json::from_slice(&value).expect("JSON");
    assert_eq!(value["files"], json!([{"path": shown, "outcome": "copy-removed"}]));
    assert_eq!(text(&path), "listen 8080\n");
    // What is not undone is not told as ended.
    let is_told = || agent.asked().iter().any(|asked| asked["end-drill"]["target"] == "service/app.service");
    assert!(is_told());
    ansai_host::linux::drill::break_file(&path, &ansai_host::linux::owned_path::Trusted::own()).expect("broken");
    let broken = text(&path);
    std::fs::write(&path, format!("{broken}{broken}")).expect("edited");
    agent.check(&undo(&[]), 1, "the drill is not ended: ");
    assert!(!is_told());
    std::fs::write(&path, broken).expect("as the drill left it");
    agent.check(&undo(&[]), 0, "the drill is undone");
    assert!(is_told());
    // It is ended also while a mistake stands in the configuration: the agent goes on with what was in force.
    let (folder, file) = (agent.folder.path(), agent.folder.path().join("ansai.yaml"));
    let kept = ansai_config::load(&file).expect("valid").rest(&ansai_model::inventory::Inventory::default());
    let place = serde_json::to_string(&file).expect("JSON");
    let in_force = format!("{place}\n{}", serde_json::to_string(kept.texts()).expect("JSON"));
    std::fs::write(folder.join("configuration"), in_force).expect("written");
    ansai_host::linux::drill::break_file(&path, &ansai_host::linux::owned_path::Trusted::own()).expect("broken");
    std::fs::write(&file, "servces: {}\n").expect("written");
    agent.check(&undo(&[]), 0, "the drill is undone");
    std::fs::remove_file(folder.join("configuration")).expect("removed");
    agent.check(&undo(&[]), 2, "servces");
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("text")
}

#[test]
fn the_first_picture_begins_with_its_first_line_and_nobody_waits_for_a_reader_who_has_gone() {
    let agent = Agent::new(&["nginx"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    command.env("ANSAI_RUNTIME_DIR", agent.folder.path()).args(["status", "--watch"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.starts_with("ansai "), "{first:?}");
    // The next picture stands apart from it.
    let before = lines.by_ref().map_while(Result::ok).take_while(|line| !line.starts_with("ansai ")).last();
    assert_eq!(before.as_deref(), Some(""));
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
}
