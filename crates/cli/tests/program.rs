//! The program as an operator meets it: exit codes, errors in their words, scenarios, replays. No agent is needed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use ansai_agent::recorder::Recorder;
use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    domain::service::ActiveState,
    id::{CheckId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    observation::Observation,
    time::{Now, WallTime},
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
                       try: start it: systemctl start ansai; journalctl -u ansai says why it ended\n";
    for arguments in [&["status"][..], &["incidents"], &["explain", "nginx"], &["release", "--all"], &["approve", "i1"]]
    {
        check(arguments, 3, unreachable);
    }
    check(&["hold", "--all"], 3, "try: nothing is done while no agent runs; touch /nonexistent/HOLD holds the next");
    let problem: serde_json::Value = serde_json::from_slice(&ansai(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(problem["what"], "no agent runs here: there is no socket /nonexistent/run/api.sock");
    check(&["approve", "seven"], 2, "ansai: `seven` is no incident\n  try: write its number as i7");
    check(&["silence", "--all", "--for", "soon"], 2, "soon");
    check(&["hold"], 2, "<TARGETS>...");
    check(&["drill", "nginx", "earthquake"], 2, "write crash, hang, exit, port, configuration or loop");
    check(&["check"], 2, "help: `ansai init` writes one");
    check(&["replay", "/nonexistent"], 2, "try: name a journal's folder");
    check(&["test", "/nonexistent/x.scenario"], 1, "0 passed, 1 failed");
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
    check(&["check", path], 0, "is valid");
    check(&["init", "--output", path], 2, "is there already and was not touched");
    check(&["init", "--output", path, "--force"], 0, "ansai.yaml written: ");
    assert!(folder.path().join("ansai.yaml.bak").exists());
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
    check(&["import", "ansai", &old], 2, "nothing was written\n  try: mend the old file");
    std::fs::write(&old, b"owner_email: \xff\n").expect("written");
    check(&["import", "ansai", &old], 2, "byte 13 is no UTF-8");
    check(&["import", "ansai", "/nonexistent"], 2, "name the predecessor's YAML file");
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
        &["init", "--dry-run", "--json"],
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
    check(&["test", folder.path().to_str().expect("text")], 0, "14 passed, 0 failed");
}

#[test]
fn scenarios_pass_and_one_that_differs_fails_and_can_be_blessed() {
    check(&["test", scenarios().to_str().expect("text")], 0, "13 passed, 0 failed");
