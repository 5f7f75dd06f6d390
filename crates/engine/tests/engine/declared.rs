//! What a unit declares is obeyed: how long its starts and stops may take.

use std::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, ActionOutcome},
    domain::service::{ActiveState, Intent, UnitSnapshot},
    observation::Observation,
};

use crate::host::{Host, PLAIN, judged, secs, succeeded, unit};

/// A unit on its way, with the limit that it declares.
fn on_its_way(active: ActiveState, sub: &str, limit: Duration) -> Observation {
    judged(UnitSnapshot { sub: sub.into(), limit: Some(limit), exit: None, ..unit(active, Intent::Unknown) })
}

/// A service whose restart has just begun, and takes what it takes.
fn restarting(limit: Duration) -> Host {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
    assert_eq!(host.under_way[0].timeout, AS_DECLARED, "a limit of ours");
    host.sees("app.service#unit", on_its_way(ActiveState::Activating, "start", limit));
    host
}

#[test]
fn w04_a_start_is_awaited_as_long_as_the_unit_says() {
    let mut host = restarting(secs(900));
    host.pass(secs(800));
    assert_eq!(host.done(), ["restart app.service"], "it was cut off: {:#?}", host.story(1));
    let said = "app.service after 1m55s: starting (start), at most 15m as the unit says; it is awaited";
    assert!(host.story(1).iter().any(|step| step.contains(said)), "{:#?}", host.story(1));
    assert!(host.told().is_empty(), "{:?}", host.told());
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
}

#[test]
fn w04_what_takes_very_long_is_told_and_still_awaited() {
    let mut host = restarting(Duration::MAX);
    host.pass(secs(3 * 3600));
    assert_eq!(host.done(), ["restart app.service"]);
    assert_eq!(host.told(), ["Escalated to 1"], "a person hears of it, once");
    assert!(host.last_step(1).contains("the unit sets no limit"), "{:#?}", host.story(1));
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
}

#[test]
fn w04_an_outcome_that_nobody_reports_is_lost_once_the_unit_has_arrived() {
    let mut host = restarting(secs(900));
    host.pass(secs(200));
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert!(host.story(1).iter().any(|step| step.starts_with("restart lost:")), "{:#?}", host.story(1));
}

#[test]
fn w04_a_start_outlives_a_restart_of_the_agent() {
    let mut host = restarting(secs(900));
    host.pass(secs(30));
    host.restart(None);
    host.step(ansai_engine::Input::Hint(ansai_model::hint::Hint::Everything));
    host.pass(secs(600));
    assert_eq!(host.done(), ["restart app.service"], "it was begun anew: {:#?}", host.story(1));
    host.is_well("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
}

#[test]
fn w04_a_clean_stop_within_a_restart_is_no_failed_try() {
    let mut host = restarting(secs(1800));
    host.sees("app.service#unit", on_its_way(ActiveState::Deactivating, "stop-sigterm", secs(1800)));
    host.pass(secs(1700));
    assert_eq!(host.done(), ["restart app.service"], "{:#?}", host.story(1));
}

#[test]
fn w04_the_next_try_waits_for_a_start_that_somebody_else_began() {
    let mut host = Host::plain().actions_end(ActionOutcome::Failed { why: "it said no".into() });
    host.fails("app.service#unit");
    host.sees("app.service#unit", on_its_way(ActiveState::Activating, "start", secs(600)));
    host.pass(secs(300));
    assert_eq!(host.done(), ["restart app.service"], "an operator's start was cut off: {:#?}", host.story(1));
    // A wait before a restart of systemd's own is no work of it.
    host.sees("app.service#unit", on_its_way(ActiveState::Activating, "auto-restart", secs(600)));
    host.pass(secs(60));
    assert!(host.done().len() > 1, "{:#?}", host.story(1));
}

#[test]
fn w04_a_time_that_the_configuration_declares_goes_before_the_units() {
    let rung =
        "runbooks:\n  service/app.service:\n    - {name: first, steps: [{restart_unit: app.service, timeout: 30s}]}\n";
    let mut host = Host::new(&format!("{PLAIN}{rung}"));
    host.fails("app.service#unit");
    assert_eq!(host.under_way[0].timeout, secs(30));
    host.sees("app.service#unit", on_its_way(ActiveState::Activating, "start", secs(900)));
    host.pass(secs(60));
    assert!(host.story(1).iter().any(|step| step.starts_with("first lost:")), "{:#?}", host.story(1));
}
