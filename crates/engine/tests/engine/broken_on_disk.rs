//! A service that runs with what it has read before, and whose configuration on the disk is broken, is well: people are told before
//! it is started next, and nothing is done.

use ansai_model::{
    action::ActionOutcome,
    incident::IncidentKind,
    notify::NoticeKind,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, judged, secs, succeeded, unit};

const ASKED: &str = "app.service: {validate: [/bin/check], configuration: [/etc/app]}";
const KEPT: &str = "app.service: {validate: [/bin/check], configuration: [/etc/app], restore_configuration: true}";

fn host(service: &str) -> Host {
    let mut host = Host::new(&PLAIN.replace("app.service: {}", service)).actions_end(succeeded());
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::Unknown)));
    host.pass(secs(60));
    host
}

fn says_no() -> ActionOutcome {
    ActionOutcome::Failed { why: "`/bin/check` ended with code 1: line 7 is wrong".into() }
}

/// The words of an open warning, when there is one.
fn warning(host: &Host) -> Option<String> {
    let open = host.open("app.service").filter(|incident| incident.kind == IncidentKind::Warning)?;
    Some(open.observation.summary().to_string())
}

#[test]
fn a_validator_that_says_no_while_it_runs_is_told_until_the_file_is_mended() {
    let mut host = host(KEPT);
    assert_eq!(warning(&host), None);
    host.set_always(says_no());
    host.pass(secs(1200));
    let said = warning(&host).expect("told");
    assert!(
        said.contains("it may not come back when it is started next: ") && said.ends_with("line 7 is wrong"),
        "{said}"
    );
    assert!(host.dispatches.iter().any(|told| told.kind == NoticeKind::Escalated));
    let begun = host.done();
    assert!(begun.iter().all(|what| !what.contains("restart")), "{begun:?}");
    host.set_always(succeeded());
    host.pass(secs(300));
    assert!(host.open("app.service").is_none());
    assert_eq!(host.dispatches.last().map(|told| told.kind), Some(NoticeKind::Recovered));
}

#[test]
fn what_was_started_with_it_and_runs_has_shown_that_it_does_not_mind() {
    let mut host = host(KEPT);
    host.set_always(says_no());
    host.pass(secs(1200));
    assert!(warning(&host).is_some());
    let anew = UnitSnapshot { since: Some(host.now.wall), ..unit(ActiveState::Active, Intent::Unknown) };
    host.sees("app.service#unit", judged(anew));
    host.pass(secs(1200));
    assert_eq!(warning(&host), None);
}

#[test]
fn a_reload_that_failed_is_told_and_asks_the_validator_soon() {
    let mut host = host(ASKED);
    assert_eq!(host.done(), [""; 0], "nothing is kept, and so nobody is asked");
    host.set_always(says_no());
    let failed = UnitSnapshot { has_failed_to_reload: true, ..unit(ActiveState::Active, Intent::Unknown) };
    host.sees("app.service#unit", judged(failed));
    host.pass(secs(180));
    let said = warning(&host).expect("told");
    assert!(said.contains("its last reload failed, so that it may not come back"), "{said}");
    let standing = host.engine.standing(host.now, &crate::host::target("app.service")).expect("known");
    assert!(standing.warning.is_some_and(|warning| warning.as_str().ends_with("line 7 is wrong")));
}
