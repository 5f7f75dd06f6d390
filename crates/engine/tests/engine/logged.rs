//! Whose log is asked for: that of the run that failed, and of a start that failed after it.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    incident::{Evidence, EvidenceKind, EvidencePart},
    observation::Observation,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::*;

fn run(name: &str, active: ActiveState) -> Observation {
    judged(UnitSnapshot { invocation: Some(name.into()), ..unit(active, Intent::ByItself) })
}

/// A service of which the first run has died, and whose restart is under way.
fn died() -> Host {
    let mut host = Host::plain();
    host.has_evidence = false;
    host.sees("app.service#unit", run("one", ActiveState::Active));
    host.pass(Duration::from_secs(60));
    host.happens("app.service", run("one", ActiveState::Failed));
    assert_eq!(host.done(), ["restart app.service"]);
    host
}

/// Answers what is asked for until a log is, and says of which run.
fn asked_for(host: &mut Host) -> Option<String> {
    let incident = host.open("app.service").expect("open").id;
    for _ in 0..4 {
        if let Some(asked) = host.requests.last().filter(|asked| asked.part == EvidencePart::Lasting) {
            return asked.run.as_ref().map(ToString::to_string);
        }
        host.step(Input::Gathered { request: None, incident, evidence: vec![] });
        host.pass(Duration::from_millis(10));
    }
    panic!("no log is asked for: {:?}", host.requests);
}

#[test]
fn a_start_that_fails_is_another_run_than_the_one_that_died_and_both_have_their_log_told() {
    // The start has failed before anybody looked, or when somebody had looked only before that: what all runs have logged is
    // told.
    for seen in [None, Some("one"), Some("two")] {
        let mut host = died();
        host.pass(ACTION);
        if let Some(seen) = seen {
            host.sees("app.service#unit", run(seen, ActiveState::Failed));
            host.pass(ACTION);
        }
        host.action_ends(failed());
        assert_eq!(asked_for(&mut host), None, "{seen:?}");
    }
}

#[test]
fn what_is_seen_once_a_start_is_over_is_of_that_start() {
    // It has started nothing.
    let mut host = died();
    host.pass(ACTION);
    host.action_ends(succeeded());
    assert_eq!(asked_for(&mut host).as_deref(), Some("one"));
    // What it has started dies at once: the log of the run that died before was still to come.
    let mut host = died();
    host.pass(ACTION);
    host.sees.insert(check("app.service#unit"), run("two", ActiveState::Failed));
    host.action_ends(succeeded());
    assert_eq!(asked_for(&mut host), None);
    // It dies later: the log of the run that died before has been told.
    let mut host = died();
    host.pass(ACTION);
    host.sees.insert(check("app.service#unit"), run("two", ActiveState::Active));
    host.action_ends(succeeded());
    assert_eq!(asked_for(&mut host).as_deref(), Some("one"));
    let incident = host.open("app.service").expect("open").id;
    host.step(Input::Gathered { request: None, incident, evidence: vec![] });
    host.pass(Duration::from_secs(1));
    host.happens("app.service", run("two", ActiveState::Failed));
    let asked = host.requests.last().expect("evidence is asked for");
    assert_eq!(asked.run.as_ref().map(ToString::to_string).as_deref(), Some("two"));
}

#[test]
fn a_line_that_one_log_has_told_is_not_told_by_another() {
    let mut host = died();
    let incident = host.open("app.service").expect("open").id;
    let log = |source: &str, lines: &str| Evidence::new(source, EvidenceKind::Log, lines);
    host.step(Input::Gathered { request: None, incident, evidence: vec![log("the run that failed", "a\nb")] });
    host.step(Input::Gathered {
        request: None,
        incident,
        evidence: vec![log("all of them", "a\nb\nc"), log("the run that failed", "b\nd")],
    });
    let found = &host.open("app.service").expect("open").evidence;
    let logs = found.iter().filter(|found| found.kind == EvidenceKind::Log).map(|found| found.text.to_string());
    assert_eq!(logs.collect::<Vec<_>>(), ["a\nb", "c", "d"]);
}

#[test]
fn the_answer_to_an_older_search_does_not_stand_for_that_of_the_newer_one() {
    let mut host = died();
    host.pass(ACTION);
    let first = host.requests.last().expect("what passes is asked for").clone();
    // The remedy fails, and another search begins before the first one is answered.
    host.action_ends(failed());
    host.pass(Duration::from_secs(1));
    let second = host.requests.last().expect("asked for").clone();
    assert!(second.number > first.number && second.incident == first.incident, "{:?}", host.requests);
    let answered = |host: &mut Host, request| {
        let before = host.requests.len();
        host.step(Input::Gathered {
            incident: first.incident,
            request,
            evidence: vec![Evidence::new("journal", EvidenceKind::Log, "a line")],
        });
        host.pass(Duration::from_millis(10));
        host.requests.len() - before
    };
    assert_eq!(answered(&mut host, Some(first.number)), 0, "the newer search is still awaited");
    let told = |host: &Host| {
        host.open("app.service").expect("open").evidence.iter().any(|found| found.text.as_str() == "a line")
    };
    assert!(told(&host), "what it found is evidence all the same");
    assert_eq!(answered(&mut host, Some(first.number)), 0, "nor does it when it comes twice");
    let is_whole = second.part == EvidencePart::Lasting;
    assert_eq!(answered(&mut host, Some(second.number)), usize::from(!is_whole), "it goes on to what lasts");
}

/// Older versions gave their requests no numbers: what a journal of theirs answers is the newest.
#[test]
fn an_answer_without_a_number_is_of_the_newest_search() {
    let input: Input = serde_json::from_str(r#"{"gathered":{"incident":1,"evidence":[]}}"#).expect("as it was written");
    let Input::Gathered { incident, request: None, .. } = input else { panic!("{input:?}") };
    let mut host = died();
    host.pass(ACTION);
    let before = host.requests.len();
    assert_eq!(host.open("app.service").expect("open").id, incident);
    host.step(Input::Gathered { incident, request: None, evidence: vec![] });
    host.action_ends(failed());
    host.pass(Duration::from_secs(1));
    assert!(host.requests.len() > before);
}
