//! Secrets in their usual forms, and lines of real logs that only look like them: tables, counted.

use proptest::prelude::*;

use super::*;

/// A line each. `⟦…⟧` marks what must be gone, `⏎` a new line; `‖` stands for nothing, so that no line of the table looks
/// like a key of somebody's. All are made up.
const SECRETS: &str = include_str!("tests/secrets.txt");
/// A line each, of which nothing may be lost; `⏎` is a new line.
const HARMLESS: &str = include_str!("tests/harmless.txt");

fn rows(table: &str) -> Vec<String> {
    let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with("## "));
    rows.map(|line| line.replace('‖', "").replace('⏎', "\n")).collect()
}

/// The parts that must be gone.
fn marked(row: &str) -> Vec<&str> {
    row.split('⟦').skip(1).filter_map(|part| part.split('⟧').next()).collect()
}

#[test]
fn of_hundreds_of_secrets_none_is_missed_and_of_hundreds_of_harmless_lines_none_is_spoiled() {
    let redactor = Redactor::new(&["card_number".into()]);
    let (secrets, harmless) = (rows(SECRETS), rows(HARMLESS));
    let mut wrong = Vec::new();
    for row in &secrets {
        let text = row.replace(['⟦', '⟧'], "");
        let redacted = redactor.redact(&text);
        let parts = marked(row);
        assert!(!parts.is_empty(), "nothing is marked in {row}");
        let is_left =
            parts.iter().flat_map(|part| part.lines()).any(|part| !part.is_empty() && redacted.contains(part));
        // What stands before the first secret is kept: a line without its place is of no use.
        let before = row.split('⟦').next().unwrap_or_default();
        if is_left || !redacted.starts_with(before.trim_end()) {
            wrong.push(format!("missed: {row}\n    as: {redacted}"));
        }
    }
    let missed = wrong.len();
    for line in &harmless {
        let redacted = redactor.redact(line);
        if redacted != *line {
            wrong.push(format!("spoiled: {line}\n     as: {redacted}"));
        }
    }
    let spoiled = wrong.len() - missed;
    println!("{} secrets, {missed} missed; {} harmless lines, {spoiled} spoiled", secrets.len(), harmless.len());
    assert!(wrong.is_empty(), "{missed} missed, {spoiled} spoiled\n{}", wrong.join("\n"));
    assert!(secrets.len() >= 300 && harmless.len() >= 300, "{} and {}", secrets.len(), harmless.len());
}

/// The shipped redactor stands where text leaves the host: what a plugin or a command says is no exception.
#[tokio::test]
async fn symptoms_outcomes_and_figures_leave_the_host_without_secrets() {
    use std::time::Duration;

    use ansai_model::{
        action::{Action, ActionRun},
        id::{RunId, TargetId},
        probe::{CommandLine, Plugin, Probe},
    };

    use crate::{
        linux::{LinuxHost, Options},
        port::Host,
    };

    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { buses: Vec::new(), ..Options::this_machine(folder.path().into()) };
    let host = LinuxHost::new(options, &tokio_util::task::TaskTracker::new());
    let says =
        |code: u8| CommandLine::new(["sh", "-c", &format!("echo 'no login with password=hunter2 | a=1'; exit {code}")]);
    for code in 0..=3 {
        let plugin = Plugin { command: says(code), fails_on_warning: false };
        for probe in [Probe::Exec(says(code).into()), Probe::Nagios(plugin.into())] {
            let seen = host.observe(&probe, Duration::from_secs(10)).await;
            assert!(!format!("{seen:?}").contains("hunter2"), "{seen:?}");
            let is_quoted = matches!(probe, Probe::Nagios(_)) || code != 0;
            assert!(!is_quoted || seen.summary().as_str().contains(REDACTED), "{seen:?}");
        }
    }
    for code in [0, 1] {
        let run = ActionRun {
            id: RunId(1),
            incident: None,
            target: TargetId::new("service/app.service").expect("valid"),
            action: Action::Validate { command: Box::new(says(code)) },
            timeout: Duration::from_secs(10),
        };
        let outcome = host.perform(&run).await;
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    }
}

#[test]
fn words_of_the_configuration_announce_secrets_as_well() {
    let redactor = Redactor::new(&["PIN".into(), String::new()]);
    assert_eq!(redactor.redact("PIN=4711 of bob"), "PIN=[redacted] of bob");
    assert_eq!(Redactor::new(&[]).redact("PIN=4711 of bob"), "PIN=4711 of bob");
}

#[test]
fn a_key_whose_end_is_not_seen_hides_what_looks_like_it_and_no_more() {
    let part = "QUJD".repeat(16);
    let text = format!("key: -----BEGIN PRIVATE KEY-----\n{part}\nlistening on port 80\n{part}");
    assert_eq!(Redactor::new(&[]).redact(&text), "key: [redacted]\nlistening on port 80");
    let text = format!("it starts\n{part}\n{part}\n-----END PRIVATE KEY-----\nit goes on");
    assert_eq!(Redactor::new(&[]).redact(&text), "it starts\n[redacted]\nit goes on");
}

#[test]
fn the_length_of_a_line_is_bounded_and_so_is_the_time() {
    let redactor = Redactor::new(&[]);
    for unit in ["password: ", "authorization: a b ", "\"", "[", "://", "a:", "-----BEGIN PRIVATE KEY-----\n", "\\\""] {
        let redacted = redactor.redact(&unit.repeat(1 << 16));
        assert!(redacted.lines().all(|line| line.len() <= 2 * LINE_MAX), "{unit}");
    }
}

/// Pieces of which lines that are hard to read are made.
const PIECES: &[&str] = &[
    "password",
    "=",
    ":",
    " ",
    "\"",
    "'",
    "hunter2x",
    "token",
    "https://",
    "@",
    "[redacted]",
    "cookie: ",
    "-----BEGIN PRIVATE KEY-----",
    "\n",
    "  ",
    "|",
    "--password ",
    "authorization: Basic ",
    "ä",
    "\\",
    "$6$",
    ";",
    "name: ",
    "value: ",
    "mysql -p",
    "<secret>",
    "identified by ",
];

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        let redactor = Redactor::new(&[]);
        let once = redactor.redact(&text);
        prop_assert_eq!(redactor.redact(&once), once);
    }

    #[test]
    fn any_mixture_of_marks_is_survived_and_grows_by_marks_only(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..20)) {
        let text = pieces.concat();
        let redacted = Redactor::new(&[]).redact(&text);
        prop_assert!(redacted.len() <= text.len() + REDACTED.len() * redacted.matches(REDACTED).count(), "{}", redacted);
    }
}
