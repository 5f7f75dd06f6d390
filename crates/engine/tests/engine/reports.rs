//! What a report says of the failure is of the moment of the failure, and blames only what can have been why.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    domain::service::{ActiveState, Intent},
    id::IncidentId,
    incident::{Changed, Evidence, EvidenceKind},
    observation::Observation,
    report::Report,
    time::WallTime,
};

use crate::host::{Host, PLAIN, judged, secs, succeeded, unit};

/// A host whose service is up and does not answer.
fn hung(has_evidence: bool) -> Host {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look)).actions_end(succeeded());
    host.has_evidence = has_evidence;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(60));
    host.sees("app.service#tcp", Observation::failing("nobody answers"));
    host
}

/// Time passes until the failure is an incident.
fn until_open(host: &mut Host) {
    for _ in 0..1_000 {
        if host.open("app.service").is_some() {
            return;
        }
        host.pass(Duration::from_millis(100));
    }
    panic!("no incident was opened");
}

fn opened(host: &Host) -> IncidentId {
    host.open("app.service").expect("open").id
}

#[test]
fn a_service_that_is_up_is_looked_at_before_a_remedy_takes_its_traces() {
    let mut host = hung(false);
    until_open(&mut host);
    assert_eq!(host.done(), [""; 0], "its processes and its port are looked at first");
    let incident = opened(&host);
    host.step(Input::Gathered { incident, evidence: vec![] });
    assert_eq!(host.done(), ["free port 5000 from leftovers of app.service", "restart app.service"]);
}

#[test]
fn traces_that_do_not_come_keep_nothing_down() {
    let mut host = hung(false);
    until_open(&mut host);
    host.pass(secs(1));
    assert_eq!(host.done(), ["free port 5000 from leftovers of app.service", "restart app.service"]);
}

/// The report on a service that was well half a minute before, and in whose evidence is a change.
fn report_with(changed_ago: u64, is_own: bool) -> Report {
    let mut host = Host::plain().actions_end(succeeded());
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(600));
    host.sees("app.service#unit", Observation::failing("it does not run"));
    until_open(&mut host);
    let at = WallTime(host.now.wall.0 - i64::try_from(changed_ago * 1000).expect("short"));
    let changed = Some(Changed { at, is_own });
    let found = Evidence { changed, ..Evidence::new("unit files", EvidenceKind::Change, "it was changed") };
    let incident = opened(&host);
    host.step(Input::Gathered { incident, evidence: vec![found] });
    host.engine.report(host.now, incident).expect("open")
}

#[test]
fn a_change_is_blamed_when_it_is_the_targets_and_younger_than_when_all_was_well() {
    let blamed = |ago, is_own| report_with(ago, is_own).cause.map(|cause| cause.rule.as_str().to_owned());
    assert_eq!(blamed(0, true).as_deref(), Some("recent-change"));
    assert_eq!(blamed(120, true), None, "it was well with it");
    assert_eq!(blamed(0, false), None, "it is none of its own");
}

#[test]
fn what_other_checks_have_seen_of_a_target_is_counted_too() {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look)).actions_end(succeeded());
    let history = |host: &Host| {
        let history = host.engine.report(host.now, opened(host)).expect("open").history;
        (history.incidents, history.by_others)
    };
    host.fails("app.service#tcp");
    until_open(&mut host);
    assert_eq!(history(&host), (0, 0));
    host.sees("app.service#tcp", Observation::healthy("well"));
    host.pass(secs(3600));
    host.fails("app.service#unit");
    until_open(&mut host);
    assert_eq!(history(&host), (0, 1));
}

#[test]
fn a_service_all_of_whose_processes_are_stopped_was_stopped_by_somebody() {
    let mut host = hung(false);
    until_open(&mut host);
    let incident = opened(&host);
    let seen = "3 processes; all stopped (state T); memory 12 MiB";
    let evidence = vec![Evidence::new("processes of app.service", EvidenceKind::Resources, seen)];
    host.step(Input::Gathered { incident, evidence });
    let cause = host.engine.report(host.now, incident).and_then(|report| report.cause).expect("a cause");
    assert_eq!(
        (cause.rule.as_str(), cause.seen_in.as_str()),
        ("stopped", "processes of app.service: 3 processes; all stopped (state T); memory 12 MiB")
    );
}
