//! Downtime is the time in which something was down: what was well between two outages of one incident is none of it, and
//! what is no outage has none.

use std::time::Duration;

use ansai_model::{incident::Phase, observation::Observation, operator::Operation, report::Report};

use crate::host::{Host, PLAIN, changed, failed, only, secs, succeeded};

const UNIT: &str = "app.service#unit";

fn report(host: &Host) -> Report {
    let open = host.open("app.service").and_then(|open| host.engine.report(host.now, open.id));
    open.or_else(|| host.dispatches.last().map(|told| told.report.clone())).expect("a report")
}

/// How long it was down in whole seconds, once it has recovered, and in how many outages.
fn down(host: &Host) -> (Option<u64>, u32) {
    let report = report(host);
    (report.downtime.map(|down| down.as_secs()), report.relapse.map_or(1, |relapse| relapse.outages + 1))
}

#[test]
fn what_was_healed_and_failed_again_was_not_down_in_between() {
    let mut host = Host::plain();
    host.fails(UNIT);
    host.pass(secs(3));
    host.is_mended("app.service");
    host.action_ends(succeeded());
    host.pass(secs(20));
    assert_eq!((host.phase("app.service"), down(&host)), ("stabilizing", (Some(3), 1)));
    host.fails(UNIT);
    assert_eq!(down(&host), (None, 2), "it is down");
    host.pass(secs(2));
    host.is_mended("app.service");
    host.action_ends(succeeded());
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), down(&host)), ("none", (Some(5), 2)));
    // What it cost before is what it cost.
    host.fails(UNIT);
    assert_eq!(report(&host).history.downtime.as_secs(), 5);
}

#[test]
fn how_it_was_verified_is_told_while_that_holds() {
    let verified = |host: &Host| report(host).verified_by.is_some();
    let mut host = Host::plain();
    host.fails(UNIT);
    host.pass(secs(1));
    host.is_mended("app.service");
    host.action_ends(succeeded());
    assert!(verified(&host), "{:?}", host.story(1));
    host.fails(UNIT);
    assert!(!verified(&host), "it is down again: {:?}", host.story(1));
    host.action_ends(failed());
    let mut host = host.actions_end(failed());
    host.pass(secs(200));
    assert_eq!((host.phase("app.service"), verified(&host)), ("escalated", false), "{:?}", host.story(1));
    host.is_well(UNIT);
    assert!(!verified(&host), "whoever mended it was another");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), verified(&host)), ("none", false));
}

#[test]
fn what_recovers_by_itself_again_and_again_was_down_only_while_it_was() {
    let mut host = Host::new(&changed("autonomy: act", "autonomy: observe"));
    for _ in 0..8 {
        host.fails(UNIT);
        host.pass(secs(2));
        host.is_well(UNIT);
        host.pass(secs(10));
    }
    assert!(host.explain("app.service").checks[0].is_flapping);
    let (lasted, outages) = down(&host);
    assert!(lasted.is_some_and(|lasted| (14..24).contains(&lasted)) && outages == 8, "{lasted:?} {outages}");
}

#[test]
fn what_somebody_mended_between_two_tries_is_well_until_it_goes_again() {
    let mut host = Host::new(&changed("initial: 5s, factor: 2, max: 1m", "initial: 1m, factor: 1, max: 1m"));
    host.fails(UNIT);
    host.action_ends(failed());
    assert!(host.summary("app.service").contains("the next attempt"), "{}", host.summary("app.service"));
    host.pass(secs(4));
    host.is_well(UNIT);
    host.pass(secs(30));
    assert_eq!(down(&host).1, 1);
    host.fails(UNIT);
    host.pass(secs(26));
    host.is_mended("app.service");
    host.action_ends(succeeded());
    host.pass(secs(60));
    let (lasted, outages) = down(&host);
    assert!(lasted.is_some_and(|lasted| (28..36).contains(&lasted)) && outages == 2, "{lasted:?} {outages}");
}

#[test]
fn what_somebody_mended_between_two_tries_is_said_to_be_well() {
    let mut host = Host::new(&changed("initial: 5s, factor: 2, max: 1m", "initial: 1m, factor: 1, max: 1m"));
    host.fails(UNIT);
    host.action_ends(failed());
    host.pass(secs(4));
    host.is_well(UNIT);
    host.pass(secs(2));
    let said = host.summary("app.service");
    assert!(said.starts_with("it is well again since "), "{said}");
    assert!(report(&host).headline.as_str().starts_with("app.service is well again"), "{}", report(&host).headline);
    assert!(matches!(host.open("app.service").map(|open| open.phase.clone()), Some(Phase::Remediating)));
}

#[test]
fn what_a_restart_of_the_agent_falls_into_is_counted_on() {
    let mut host = Host::new(&changed("autonomy: act", "autonomy: observe"));
    host.operator(Operation::Hold { scope: only("app.service"), reason: "".into(), until: None });
    host.fails(UNIT);
    host.pass(secs(2));
    host.is_well(UNIT);
    host.pass(secs(10));
    host.fails(UNIT);
    host.pass(secs(1));
    host.restart(None);
    host.fails(UNIT);
    host.pass(secs(1));
    host.is_well(UNIT);
    host.pass(secs(60));
    let (lasted, outages) = down(&host);
    assert!(lasted.is_some_and(|lasted| lasted < 10) && outages == 2, "{lasted:?} {outages}");
}

#[test]
fn what_is_no_outage_has_no_downtime() {
    let disk = format!("{PLAIN}disks:\n  /var: {{}}\n");
    let mut host = Host::new(&disk).actions_end(succeeded());
    host.sees("disk//var#space", Observation::failing("/var: 97 % used"));
    host.pass(secs(30));
    let open = host.engine.state().incidents.values().next().map(|open| open.id).expect("an incident");
    assert!(!host.engine.report(host.now, open).expect("open").is_outage);
    host.sees("disk//var#space", Observation::healthy("/var: 20 % used"));
    host.pass(Duration::from_secs(1_200));
    let told = &host.dispatches.last().expect("told").report;
    assert_eq!((told.incident, told.downtime, told.is_outage), (open, None, false));
}
