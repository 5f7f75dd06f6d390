//! The program as an operator meets it: exit codes, errors in their words, scenarios, replays. No agent is needed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use ansai_agent::recorder::Recorder;
use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    id::{CheckId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    observation::Observation,
    time::{Now, WallTime},
    unit::ActiveState,
};

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn ansai(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    // No agent, no configuration and no state of this machine is seen.
    command.env("ANSAI_RUNTIME_DIR", "/nonexistent/run").env("ANSAI_CONFIG", "/nonexistent/ansai.yaml");
    command.env("ANSAI_STATE_DIR", "/nonexistent/state").env("ANSAI_HOLD_FILE", "/nonexistent/HOLD");
    command.args(arguments).output().expect("the program runs")
}

fn check(arguments: &[&str], code: i32, expected: &str) {
    let output = ansai(arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said {said}");
    assert!(said.contains(expected), "{arguments:?} said {said}");
}

#[test]
fn errors_say_what_and_what_to_do_with_their_exit_code() {
    let unreachable = "ansai: no agent runs here: there is no socket /nonexistent/run/api.sock\n  \
                       help: start it: systemctl start ansai; journalctl -u ansai says why it ended\n";
    for arguments in [&["status"][..], &["incidents"], &["explain", "nginx"], &["release", "--all"], &["approve", "i1"]]
    {
        check(arguments, 3, unreachable);
    }
    check(&["hold", "--all"], 3, "help: nothing is done while no agent runs; touch /nonexistent/HOLD holds the next");
    let problem: serde_json::Value = serde_json::from_slice(&ansai(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(problem["what"], "no agent runs here: there is no socket /nonexistent/run/api.sock");
    // It may be the name of a target.
    check(&["approve", "seven"], 3, "no agent runs here");
    check(&["silence", "--all", "--for", "soon"], 2, "soon");
    check(
        &["hold"],
        2,
        "ansai: `ansai hold` needs TARGETS or --all or --fleet or --host\n  help: as in `ansai hold --all",
    );
    check(&["stauts"], 2, "ansai: `ansai` has no command `stauts`\n  help: did you mean `ansai status`?");
    let problem: serde_json::Value = serde_json::from_slice(&ansai(&["stauts", "--json"]).stdout).expect("JSON");
    assert_eq!(problem["what"], "`ansai` has no command `stauts`");
    check(
        &["silence", "--all", "--for", "-1h"],
        2,
        "ansai: `-1h` is neither a duration nor a time\n  help: write for how long, as 2h, or until when: 18:30",
    );
    check(&["drill", "nginx", "earthquake"], 2, "write crash, hang, exit, port, configuration or loop");
    check(&["check"], 2, "help: `ansai init` writes one");
    check(&["replay", "/nonexistent"], 2, "help: name a journal's folder");
    check(
        &["replay", "/etc/passwd"],
        2,
        "ansai: /etc/passwd is no journal: nothing in it is understood\n  help: name a",
    );
    check(
        &["test", "/nonexistent/x.scenario"],
        2,
        "x.scenario: there is no such file or folder\n  help: name a .scenario file",
    );
}

/// How the program ends when its answer goes there, and what it says beside it.
fn into(stdout: impl Into<Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    let output = command.args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().expect("the program runs");
    let output = output.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// One that answers by itself, one whose answer comes from a second process, and the help.
const ANSWERS: [&[&str]; 3] = [&["man"], &["config", "schema"], &["--help"]];

#[test]
fn whoever_reads_no_further_ends_the_program_in_silence() {
    for arguments in ANSWERS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(into(writer, arguments), (Some(141), String::new()), "{arguments:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    for arguments in ANSWERS {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("there");
        let (code, said) = into(full, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the answer could not be written: its filesystem is full"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_error_that_cannot_be_said_is_an_error_all_the_same() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("there");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
    let status = command.arg("check").env("ANSAI_CONFIG", "/nonexistent/x").stderr(full()).status().expect("it runs");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_time_zone_that_does_not_exist_is_said_and_times_are_utc() {
    let said = |zone: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ansai"));
        let output = command.arg("man").env("TZ", zone).output().expect("the program runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(said("Mars/Olympus"), "TZ=Mars/Olympus: there is no such time zone; times are UTC\n");
    assert_eq!(["UTC", "", "EST5EDT", ":UTC"].map(said), [""; 4]);
}

#[test]
fn the_help_names_the_exit_codes() {
    check(&["--help"], 0, "Exit codes: 0 well; 1 something is failing");
    check(&["--version"], 0, concat!("ansai ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_init_writes_is_valid_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ansai.yaml");
    let path = path.to_str().expect("text");
    check(&["init", "--output", path], 0, "ansai.yaml written: ");
    // No agent reads it, so no reload brings it into force.
    let other = folder.path().join("made/for/it.yaml");
    let other = other.to_str().expect("text");
    let expected =
        format!("next: read it, then `ansai check {other}`; the agent reads /nonexistent/ansai.yaml, not this file");
    check(&["init", "--output", other, "--dry-run"], 0, "made/for would be made for it");
    check(&["init", "--output", other], 0, "made/for was made for it");
    check(&["init", "--output", other, "--force"], 0, &expected);
    check(&["init", "--output", other, "--force", "--config", other], 0, "where ansai may heal, then systemctl enable");
    check(&["check", path], 0, "is valid");
    check(&["init", "--output", path], 2, "is there already and was not touched");
    check(&["init", "--output", path, "--force"], 0, "ansai.yaml written: ");
    assert!(folder.path().join("ansai.yaml.bak").exists());
}

#[test]
fn a_dry_run_of_init_says_that_a_filesystem_takes_no_files_and_leaves_none_where_it_does() {
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ansai")).args(arguments).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let run = said(&["init", "--output", "/proc/ansai.yaml"]);
    assert!(run.0 != Some(0) && run.1.contains("/proc"), "{run:?}");
    assert_eq!(said(&["init", "--output", "/proc/ansai.yaml", "--dry-run"]), run);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ansai.yaml");
    check(&["init", "--output", path.to_str().expect("text"), "--dry-run"], 0, "autonomy: observe");
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
}

#[test]
fn the_predecessor_is_imported_with_an_exit_code_that_tells_whether_something_is_left_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (old, out) = (place("old.yml"), place("ansai.yaml"));
    std::fs::write(&old, "self_healing_enabled: true\nmonitored_services: [{name: nginx, port: 80}]\n")
        .expect("written");
    check(&["import", "ansai", &old], 0, "\"nginx.service\":");
    check(&["import", "ansai", &old, "-o", &out], 0, "written: everything is carried over");
    check(&["check", &out], 0, "is valid");
    check(&["import", "ansai", &old, "-o", &out], 2, "is there already and was not touched");
    std::fs::write(&old, "owner_email: a@b.c\nsmtp_user: a\nsmtp_password: hunter2\nhealthcheck_grace: 60\n")
        .expect("written");
    check(
        &["import", "ansai", &old, "-o", &out, "--force"],
        1,
        "written: carried over, but for what is listed at its end: 1 to be completed by you, 1 not carried over",
    );
    let value: serde_json::Value =
        serde_json::from_slice(&ansai(&["import", "ansai", &old, "--json"]).stdout).expect("JSON");
    let note = &value["notes"][0];
    assert_eq!((&note["line"], &note["key"], &note["fate"]), (&3.into(), &"smtp_password".into(), &"wanted".into()));
    std::fs::write(&old, "owner_email: [\n").expect("written");
    check(&["import", "ansai", &old], 2, "nothing was written\n  help: mend the old file");
    std::fs::write(&old, b"owner_email: \xff\n").expect("written");
    check(&["import", "ansai", &old], 2, "byte 13 is no UTF-8");
    check(&["import", "ansai", "/nonexistent"], 2, "name the predecessor's YAML file");
}

#[test]
fn each_manual_page_is_the_programs_own_and_names_only_pages_that_exist() {
    let folder = tempfile::tempdir().expect("a folder");
    check(&["man", "--out", folder.path().to_str().expect("text")], 0, "ansai-drill.1");
    let mut pages = 0;
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        let page = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let version = format!("ansai {}", env!("CARGO_PKG_VERSION"));
        assert!(page.lines().any(|line| line.starts_with(".TH") && line.contains(&version)), "{page}");
        for name in page.lines().filter_map(|line| line.strip_suffix("(1)")).filter(|line| !line.contains(' ')) {
            assert!(folder.path().join(format!("{}.1", name.replace('\\', ""))).exists(), "{name} has no page");
        }
        pages += 1;
    }
    assert!(pages > 20, "{pages}");
}

#[test]
fn quiet_prints_nothing_and_json_is_json() {
    let path = scenarios().join("ansai.yaml");
    let path = path.to_str().expect("text");
    assert!(ansai(&["check", path, "--quiet"]).stdout.is_empty());
    for arguments in [
        &["check", path, "--json"][..],
        &["config", "show", "--expanded", "--json", "--config", path],
        &["doctor", "--json"],
        &["init", "--output", "-", "--json"],
    ] {
        let value: serde_json::Value = serde_json::from_slice(&ansai(arguments).stdout).expect("JSON");
        assert_eq!(value["schema"], 1, "{arguments:?}");
    }
}

#[test]
fn the_scenario_in_the_documents_passes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    for (language, name) in [("yaml", "ansai.yaml"), ("scenario", "app.scenario")] {
        let block = page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
        std::fs::write(folder.path().join(name), block.expect("a block")).expect("written");
    }
    check(&["test", folder.path().to_str().expect("text")], 0, "1 passed, 0 failed");
}

#[test]
fn scenarios_pass_and_one_that_differs_fails_and_can_be_blessed() {
    check(&["test", scenarios().to_str().expect("text")], 0, "15 passed, 0 failed");
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["ansai.yaml", "killed.scenario"] {
        let text = std::fs::read_to_string(scenarios().join(name)).expect("a file");
        // The service is now only observed, so nothing of what is expected happens.
        let text = text.replace("autonomy: act", "autonomy: observe");
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let path = folder.path().to_str().expect("text");
    check(&["test", path], 1, "it differs from line 1 of what is expected\n  - 00:00:10.000");
    check(&["test", path, "--bless"], 0, "blessed");
    check(&["test", path], 0, "1 passed, 0 failed");
}

fn start() -> Now {
    Now { wall: WallTime(1_700_000_000_000), ..Now::default() }
}

/// An engine for a host that runs the service.
fn engine(state: State) -> HostEngine {
    let configuration = ansai_config::load(&scenarios().join("ansai.yaml")).expect("valid");
    let unit = UnitFacts::plain(UnitName::new("app.service").expect("valid"), ActiveState::Active);
    let inventory = Inventory { units: vec![unit], ..Inventory::default() };
    HostEngine::new(configuration.bundle(&inventory, 1).expect("valid"), state, start())
}

/// A journal in which a service is well, then killed.
fn journal(folder: &Path) {
    live(folder, start(), None, State::default());
}

/// What an agent that starts then, with this state and this HOLD file, adds to a journal while a service is well, then
/// killed; the state that it leaves.
fn live(folder: &Path, from: Now, hold: Option<&str>, state: State) -> State {
    let mut engine = engine(state);
    let mut recorder = Recorder::open(folder, 1 << 20);
    let check = CheckId::new("service/app.service#unit").expect("valid");
    let observed = |observation| Input::Observed { check: check.clone(), observation };
    let inputs = [
        Input::HoldFile(hold.map(Into::into)),
        Input::Started,
        observed(Observation::healthy("active (running)")),
        observed(Observation::failing("the main process was killed by SIGKILL")),
        observed(Observation::failing("the main process was killed by SIGKILL")),
    ];
    let mut now = from;
    for input in inputs {
        now = now.plus(Duration::from_secs(5));
        recorder.record(now, &input, &engine);
        drop(engine.step(now, input));
    }
    recorder.flush(now);
    engine.state().clone()
}

#[test]
fn a_replay_tells_what_happened_and_what_another_configuration_would_have_decided() {
    let folder = tempfile::tempdir().expect("a folder");
    journal(folder.path());
    let path = folder.path().to_str().expect("text");
    check(&["replay", path], 0, "i1  app.service  decided: run service/app.service");
    let own = scenarios().join("ansai.yaml");
    check(
        &["replay", path, "--with", own.to_str().expect("text")],
        0,
        "4 inputs; no decision would have been different",
    );
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, "autonomy: observe\nservices: {app.service: {}}\n").expect("written");
    let difference = ansai(&["replay", path, "--with", other.to_str().expect("text")]);
    let said = String::from_utf8_lossy(&difference.stdout);
    assert!(said.starts_with("service/app.service\n  - run service/app.service"), "{said}");
    assert!(said.contains("  + nothing is done: the rule may only observe"), "{said}");
}

#[test]
fn a_hold_file_from_before_an_agents_start_holds_in_its_replay() {
    let told = |hold| {
        let folder = tempfile::tempdir().expect("a folder");
        let left = live(folder.path(), start(), Some("by hand"), State::default());
        live(folder.path(), start().plus(Duration::from_secs(60)), hold, left);
        let output = ansai(&["replay", folder.path().to_str().expect("text")]);
        // This test is another build, and has begun two segments.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.matches("warning: recorded by ansai ").count(), 1, "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (held, free) = (told(Some("by hand")), told(None));
    let begun = "restart: restart app.service";
    assert!(!held.contains(begun) && free.contains(begun), "{held}\n{free}");
}

fn docs(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).expect("a page")
}

#[test]
fn the_reference_page_is_what_the_program_says() {
    let output = ansai(&["reference"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(docs("reference/cli.md") == said, "write it anew: ansai reference > docs/reference/cli.md");
    let output = ansai(&["config", "reference"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let anew = "write it anew: ansai config reference > docs/reference/configuration.md";
    assert!(docs("reference/configuration.md") == said, "{anew}");
}

#[test]
fn the_page_on_json_names_every_key_of_a_status() {
    let status = ansai_protocol::Status {
        schema: ansai_protocol::SCHEMA,
        version: String::new(),
        pid: 1,
        host: String::new(),
        role: None,
        uptime_seconds: 1,
        generation: 1,
        configuration_error: None,
        ledger_error: None,
        held: None,
        holds: vec![],
        silences: vec![],
        maintenance: vec![],
        messages_waiting: 0,
        warnings: vec![],
        own: None,
        idle_patterns: vec![],
        controller: Some(ansai_protocol::ControllerView::default()),
        targets: vec![],
    };
    let value = serde_json::to_value(status).expect("JSON");
    for key in value.as_object().expect("an object").keys() {
        assert!(docs("reference/api.md").contains(&format!("`{key}`")), "docs/reference/api.md does not name `{key}`");
    }
}

/// The name of every key, at any depth; those of a bundle and of settings are the model's own.
fn keys(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                if !matches!(key.as_str(), "bundle" | "host_settings") {
                    keys(value, found);
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn the_page_on_json_names_every_key_that_is_printed_without_an_agent() {
    let folder = tempfile::tempdir().expect("a folder");
    journal(folder.path());
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let journal = folder.path().display().to_string();
    let [tests, own] = [scenarios(), scenarios().join("ansai.yaml")].map(|path| path.display().to_string());
    let wrong = write("wrong.yaml", "services: {app.service: {prob: 1}}\n");
    let old = write("old.yml", "monitored_services: [{name: nginx, domain: a.example.com}]\n");
    let page = docs("reference/api.md");
    for arguments in [
        &["check", &wrong][..],
        &["check", &own],
        &["config", "show", "--config", &own],
        &["config", "show", "--expanded", "--config", &own],
        &["config", "layers", "--config", &own],
        &["config", "explain", "autonomy", "--config", &own],
        &["doctor"],
        &["init", "--output", "-"],
        &["import", "ansai", &old],
        &["test", &tests],
        &["replay", &journal],
        &["replay", &journal, "--with", &own],
        &["status"],
    ] {
        let output = ansai(&[arguments, &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let mut found = BTreeSet::new();
        keys(&value, &mut found);
        assert!(found.remove("schema"), "{arguments:?} has no schema");
        for key in found {
            assert!(page.contains(&format!("`{key}`")), "docs/reference/api.md lacks `{key}` of {arguments:?}");
        }
    }
}

#[test]
fn the_page_on_json_names_every_key_of_an_explanation() {
    let page = docs("reference/api.md");
    let mut engine = engine(State::default());
    let (check, mut now) = (CheckId::new("service/app.service#unit").expect("valid"), start());
    for observation in [None, Some("killed"), Some("killed")] {
        now = now.plus(Duration::from_secs(5));
        drop(engine.step(
            now,
            observation.map_or(Input::Started, |why| Input::Observed {
                check: check.clone(),
                observation: Observation::failing(why),
            }),
        ));
    }
    let target = TargetId::new("service/app.service").expect("valid");
    let value = serde_json::to_value(engine.explain(now, &target)).expect("JSON");
    assert!(value["incidents"][0]["decision"]["gates"].is_array(), "{value:#}");
    let mut found = BTreeSet::new();
    keys(&value, &mut found);
    // Times and durations are described once, for all documents.
    for key in found {
        assert!(page.contains(&format!("`{key}`")), "docs/reference/api.md lacks `{key}` of an explanation");
    }
}

#[test]
fn the_operation_on_the_page_is_understood() {
    let page = docs("reference/api.md");
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    serde_json::from_str::<ansai_protocol::Operate>(json).expect("an operation");
}
