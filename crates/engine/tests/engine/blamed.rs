//! Which change a report blames: each counts by itself, one that cannot have done it is not blamed, and the attempt to mend a
//! failure is not advised to be taken back.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    id::IncidentId,
    incident::{Change, Changed, Evidence, EvidenceKind},
    observation::Observation,
    report::Report,
    time::WallTime,
    unit::{ActiveState, Exit, Intent, UnitResult, UnitSnapshot},
};

use crate::host::{Host, failed, judged, secs, succeeded, unit};

/// A service that has been well for ten minutes and ends with an error of its own.
fn ended(outcome: Option<ansai_model::action::ActionOutcome>) -> (Host, IncidentId) {
    let mut host = Host::plain();
    if let Some(outcome) = outcome {
        host = host.actions_end(outcome);
    }
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(600));
    host.sees("app.service#unit", with_code(3));
    let incident = host.open("app.service").expect("open").id;
    (host, incident)
}

fn with_code(code: i32) -> Observation {
    let (result, exit) = (UnitResult::ExitCode, Some(Exit::Code(code)));
    judged(UnitSnapshot { result, exit, ..unit(ActiveState::Failed, Intent::ByItself) })
}

/// A finding of changes, each so many seconds after this moment.
fn changes(source: &str, is_own: bool, from: WallTime, each: &[(i64, &str, bool)]) -> Evidence {
    let at = |after: i64| WallTime(from.0 + after * 1000);
    let text = each.iter().map(|(_, line, _)| *line).collect::<Vec<_>>().join("\n");
    let each: Vec<_> =
        each.iter().map(|(after, _, is_harmless)| Change { at: at(*after), is_harmless: *is_harmless }).collect();
    let latest = each.iter().map(|change| change.at).max().expect("one at least");
    let changed = Some(Changed { at: latest, is_own, each });
    Evidence { changed, ..Evidence::new(source, EvidenceKind::Change, text) }
}

fn found(host: &mut Host, incident: IncidentId, evidence: Evidence) -> Report {
    host.step(Input::Gathered { request: None, incident, evidence: vec![evidence] });
    host.engine.report(host.now, incident).expect("open")
}

fn blamed(report: &Report) -> (String, String) {
    let cause = report.cause.as_ref().expect("a cause");
    (cause.rule.to_string(), cause.seen_in.to_string())
}

#[test]
fn an_older_bad_edit_is_blamed_though_another_file_was_changed_after_the_failure() {
    let (mut host, incident) = ended(None);
    let went = host.open("app.service").expect("open").opened.wall;
    host.pass(secs(5));
    let edits = changes("configuration", true, went, &[(4, "b was changed", false), (0, "a was changed", false)]);
    let report = found(&mut host, incident, edits);
    assert_eq!(blamed(&report), ("recent-change".to_owned(), "configuration: a was changed".to_owned()));
}

#[test]
fn what_was_changed_to_mend_it_is_told_beside_what_broke_it_and_is_not_advised_to_be_taken_back() {
    let (mut host, incident) = ended(Some(succeeded()));
    let went = host.open("app.service").expect("open").opened.wall;
    host.pass(secs(5));
    let lines = [(4, "b was changed", false), (0, "a was changed", false)];
    found(&mut host, incident, changes("configuration", true, went, &lines));
    host.is_well("app.service#unit");
    host.pass(secs(10));
    host.sees("app.service#unit", with_code(4));
    host.pass(secs(20));
    let both = host.engine.report(host.now, incident).expect("open");
    let expected = "configuration: a was changed; and while it was failing: b was changed";
    assert_eq!(blamed(&both), ("recent-change".to_owned(), expected.to_owned()));
}

#[test]
fn a_change_made_only_while_it_failed_is_told_as_that_and_not_advised_to_be_taken_back() {
    let (mut host, incident) = ended(Some(succeeded()));
    host.pass(secs(5));
    let now = host.now.wall;
    found(&mut host, incident, changes("configuration", true, now, &[(0, "b was changed", false)]));
    host.is_well("app.service#unit");
    host.pass(secs(10));
    host.sees("app.service#unit", with_code(4));
    host.pass(secs(20));
    let report = host.engine.report(host.now, incident).expect("open");
    assert_eq!(blamed(&report).0, "changed-while-failing");
    assert!(report.advice.iter().all(|advice| !advice.as_str().contains("take it back")), "{:?}", report.advice);
}

#[test]
fn a_change_of_comments_only_is_not_blamed() {
    for is_harmless in [false, true] {
        let (mut host, incident) = ended(None);
        let went = host.open("app.service").expect("open").opened.wall;
        let report =
            found(&mut host, incident, changes("configuration", true, went, &[(0, "a was changed", is_harmless)]));
        let expected = if is_harmless { "exit-code" } else { "recent-change" };
        assert_eq!(blamed(&report).0, expected);
    }
}

#[test]
fn what_is_well_again_with_all_that_was_changed_did_not_fail_for_it() {
    let (mut host, incident) = ended(None);
    let went = host.open("app.service").expect("open").opened.wall;
    let report = found(&mut host, incident, changes("configuration", true, went, &[(0, "a was changed", false)]));
    assert_eq!(blamed(&report).0, "recent-change");
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(10));
    let well = host.engine.report(host.now, incident).expect("watched still");
    assert_eq!((host.phase("app.service"), blamed(&well).0.as_str()), ("stabilizing", "exit-code"));
}

#[test]
fn what_is_well_only_after_a_failed_try_may_have_been_mended_in_between() {
    let (mut host, incident) = ended(Some(failed()));
    let went = host.open("app.service").expect("open").opened.wall;
    found(&mut host, incident, changes("configuration", true, went, &[(0, "a was changed", false)]));
    host.pass(Duration::from_millis(100));
    host.is_well("app.service#unit");
    host.pass(secs(2));
    let report = host.engine.report(host.now, incident).expect("watched still");
    assert_eq!(blamed(&report).0, "recent-change");
}

#[test]
fn changes_with_which_it_was_well_are_told_as_such_and_those_of_others_are_left_out() {
    let (mut host, incident) = ended(None);
    let went = host.open("app.service").expect("open").opened.wall;
    let lines = [(0, "new", false), (-3600, "old", false)];
    found(&mut host, incident, changes("dpkg's log, other packages", false, went, &lines));
    let report = found(&mut host, incident, changes("configuration", true, went, &lines));
    let told = report.evidence.iter().filter(|found| found.kind == EvidenceKind::Change);
    let told: Vec<_> = told.map(|found| (found.source.as_str(), found.text.as_str())).collect();
    let expected = [
        ("dpkg's log, other packages", "new"),
        ("configuration", "new"),
        ("configuration, older than when it was last well", "old"),
    ];
    assert_eq!(told, expected);
}

/// What runs has not read what was changed since, however well it was meanwhile.
#[test]
fn an_edit_that_a_reload_refused_is_the_cause_though_all_was_well_after_it() {
    let mut host = Host::plain().actions_end(succeeded());
    host.has_evidence = false;
    let up = |since: WallTime| UnitSnapshot {
        since: Some(since),
        invocation: Some("run".into()),
        ..unit(ActiveState::Active, Intent::Unknown)
    };
    host.sees("app.service#unit", judged(up(host.now.wall)));
    host.pass(secs(60));
    let edited = host.now.wall;
    host.pass(secs(600));
    // systemd counts the state from the end of the reload.
    let failed = UnitSnapshot { has_failed_to_reload: true, ..up(host.now.wall) };
    host.sees("app.service#unit", judged(failed));
    host.pass(secs(180));
    let incident = host.open("app.service").expect("a warning").id;
    let lines = [(0, "line 86 was changed", false), (-3600, "older than the run", false)];
    let report = found(&mut host, incident, changes("configuration", true, edited, &lines));
    let expected = ("changed-since-read".to_owned(), "configuration: line 86 was changed".to_owned());
    assert_eq!(blamed(&report), expected);
}
