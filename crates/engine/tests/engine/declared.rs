//! What a unit declares is obeyed: how long its starts and stops may take.

use std::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, ActionOutcome},
    observation::Observation,
    operator::Operation,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, failed, judged, lost, secs, succeeded, target, unit};

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
fn w04_a_unit_at_which_nobody_looks_any_more_is_not_awaited_for_ever() {
    let rung = "runbooks:\n  service/app.service:\n    - {name: first, steps: [{restart_unit: db.service}]}\n";
    let with_db = PLAIN.replace("app.service: {}", "app.service: {}\n  db.service: {}");
    let mut host = Host::new(&format!("{with_db}{rung}"));
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart db.service"]);
    host.sees("db.service#unit", on_its_way(ActiveState::Activating, "start", secs(900)));
    host.pass(secs(600));
    host.apply(&format!("{PLAIN}{rung}"));
    host.pass(secs(2400));
    assert_eq!(host.done().len(), 1, "its start may take long still: {:#?}", host.story(1));
    host.pass(secs(1200));
    assert!(host.story(1).iter().any(|step| step.starts_with("first lost:")), "{:#?}", host.story(1));
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

#[test]
fn what_never_arrives_is_told_while_a_try_waits_for_it_and_while_it_is_verified() {
    let for_ever = || on_its_way(ActiveState::Activating, "start-pre", Duration::MAX);
    // The next try waits for a start that somebody else has begun.
    let mut host = Host::plain().actions_end(ActionOutcome::Failed { why: "it said no".into() });
    host.fails("app.service#unit");
    host.sees("app.service#unit", for_ever());
    host.pass(secs(800));
    assert!(host.told().is_empty(), "{:?}", host.told());
    host.pass(secs(3 * 3600));
    assert_eq!(host.told(), ["Escalated to 1"], "a person hears of it, once");
    assert!(host.last_step(1).contains("on its way for 15m"), "{:#?}", host.story(1));
    assert_eq!(host.done(), ["restart app.service"]);
    // A remedy whose outcome is lost is verified, and the unit does not arrive either.
    let mut host = Host::plain().actions_end(lost());
    host.fails("app.service#unit");
    host.sees("app.service#unit", for_ever());
    host.pass(secs(3 * 3600));
    assert_eq!(host.told(), ["Escalated to 1"], "{:#?}", host.story(1));
    assert_eq!(host.done(), ["restart app.service"]);
    host.is_well("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
}

/// A unit that runs since this moment, as a run of its own.
fn run(name: &str) -> Observation {
    judged(UnitSnapshot { invocation: Some(name.into()), ..unit(ActiveState::Active, Intent::Unknown) })
}

/// A service with a probe, both well, that somebody has just restarted and whose probe fails since.
fn restarted_by_somebody(lines: &str) -> Host {
    let probe = "{http: \"http://app.example/\", every: 1s, every_soft: 1s, fail_after: 2, recover_after: 1}";
    let yaml = PLAIN.replace("app.service: {}", &format!("app.service: {{probe: {probe}{lines}}}"));
    let mut host = Host::new(&yaml);
    host.sees("app.service#unit", run("one"));
    host.pass(secs(300));
    is_restarted(&mut host, "two");
    host
}

/// Somebody restarts it, and its probe fails since.
fn is_restarted(host: &mut Host, name: &str) {
    host.sees("app.service#unit", on_its_way(ActiveState::Deactivating, "stop-sigterm", secs(90)));
    host.fails("app.service#http");
    host.pass(secs(1));
    host.sees("app.service#unit", run(name));
}

#[test]
fn w05_what_has_not_answered_since_its_start_is_shown_and_not_judged_for_a_while() {
    let mut host = restarted_by_somebody("");
    host.pass(secs(90));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
    assert!(host.done().is_empty());
    host.is_well("app.service#http");
    // It has answered: from now on it is judged, though the period goes on.
    host.fails("app.service#http");
    host.pass(secs(5));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn w05_the_period_has_an_end() {
    let mut host = restarted_by_somebody("");
    host.pass(secs(110));
    assert!(host.done().is_empty(), "{:#?}", host.story(1));
    host.pass(secs(20));
    assert_eq!(host.done(), ["restart app.service"]);
    let mut host = restarted_by_somebody(", start_period: 10m");
    host.pass(secs(590));
    assert!(host.done().is_empty(), "a declared period: {:#?}", host.story(1));
    host.pass(secs(20));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn w05_who_restarts_it_again_and_again_does_not_keep_that_it_never_answers_from_being_seen() {
    let mut host = restarted_by_somebody(", autonomy: observe");
    for invocation in ["three", "four", "five", "six"] {
        host.pass(secs(90));
        is_restarted(&mut host, invocation);
    }
    assert!(host.open("app.service").is_some(), "{:#?}", host.story(1));
}

#[test]
fn w05_what_a_start_needed_is_learned_and_a_remedy_waits_as_long() {
    let mut host = restarted_by_somebody("");
    host.pass(secs(80));
    host.is_well("app.service#http");
    host.pass(secs(600));
    // Now it hangs; the remedy starts it, and it needs its 80 s again, where 20 s would be waited for.
    host.fails("app.service#http");
    host.pass(secs(5));
    host.sees("app.service#unit", on_its_way(ActiveState::Activating, "start", secs(90)));
    host.pass(secs(1));
    host.action_ends(succeeded());
    host.sees("app.service#unit", run("three"));
    host.pass(secs(100));
    assert_eq!(host.done(), ["restart app.service"], "{:#?}", host.story(1));
    // A service that is known to need 80 s is judged after half as long again.
    host.pass(secs(30));
    assert!(host.done().len() > 1 || !host.under_way.is_empty(), "{:#?}", host.story(1));
}

#[test]
fn w05_what_is_starting_is_no_doubt_that_a_person_hears_of() {
    let mut host = restarted_by_somebody(", critical: true, start_period: 10m");
    host.pass(secs(590));
    assert!(host.told().is_empty(), "{:?}", host.told());
}

#[test]
fn w05_what_crashed_has_its_start_period_after_the_remedy_too() {
    let probe = "{http: \"http://app.example/\", every: 1s, every_soft: 1s, fail_after: 2, recover_after: 1}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", &format!("app.service: {{probe: {probe}}}")));
    host.sees("app.service#unit", run("one"));
    host.pass(secs(600));
    host.fails("app.service#unit");
    host.fails("app.service#http");
    host.sees("app.service#unit", run("three"));
    host.action_ends(succeeded());
    host.pass(secs(100));
    host.is_well("app.service#http");
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"], "{:#?}", host.story(1));
    assert_eq!(host.phase("app.service"), "none", "{:#?}", host.story(1));
}

#[test]
fn w05_one_failure_at_a_start_does_not_make_every_later_one_wait_as_long() {
    let mut host = restarted_by_somebody(", autonomy: observe");
    host.pass(secs(3600));
    host.is_well("app.service#http");
    host.pass(secs(300));
    is_restarted(&mut host, "three");
    host.pass(secs(300));
    assert!(host.open("app.service").is_none(), "half as long again as twice the time of what is not known");
    host.pass(secs(100));
    assert!(host.open("app.service").is_some());
}

#[test]
fn w05_a_unit_that_dies_while_it_starts_is_judged() {
    let mut host = restarted_by_somebody("");
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn w03_a_one_shot_is_run_again_only_where_that_is_declared() {
    let has_failed = || judged(UnitSnapshot { is_job: true, ..unit(ActiveState::Failed, Intent::ByItself) });
    let mut host = Host::plain();
    host.sees("app.service#unit", has_failed());
    host.pass(secs(600));
    assert!(host.done().is_empty(), "{:?}", host.done());
    assert_eq!(host.phase("app.service"), "escalated");
    host.pass(secs(4 * 3600));
    assert_eq!(host.told(), ["Escalated to 1"], "nothing is tried again, and nobody is told twice");
    host.operator(Operation::Heal { target: target("app.service") });
    assert_eq!(host.done(), ["restart app.service"], "a person asks for it");
    host.action_ends(failed());
    host.pass(secs(4 * 3600));
    assert_eq!(host.done(), ["restart app.service"], "once: {:#?}", host.story(1));
    let mut host =
        Host::new(&PLAIN.replace("app.service: {}", "app.service: {run_again: true}")).actions_end(succeeded());
    host.sees("app.service#unit", has_failed());
    host.pass(secs(600));
    assert_eq!(host.done(), ["restart app.service", "restart app.service"], "it is never killed");
    assert_eq!(host.phase("app.service"), "escalated");
}

#[test]
fn w03_a_one_shot_that_cannot_be_seen_at_this_moment_is_one_still() {
    let one_shot = || judged(UnitSnapshot { is_job: true, ..unit(ActiveState::Failed, Intent::ByItself) });
    let mut host = Host::new(&PLAIN.replace("    retry: never\n", ""));
    host.sees("app.service#unit", one_shot());
    let waits = |host: &Host| host.open("app.service").is_some_and(|incident| incident.retry.is_some());
    assert_eq!((host.phase("app.service"), waits(&host)), ("escalated", false));
    host.operator(Operation::Heal { target: target("app.service") });
    // While the job runs, systemd's bus goes away.
    host.sees("app.service#unit", Observation::unknown("the bus is gone"));
    host.action_ends(failed());
    assert!(!waits(&host), "it would be run again when time has passed: {:#?}", host.story(1));
    host.sees("app.service#unit", one_shot());
    host.pass(secs(4 * 3600));
    assert_eq!(host.done(), ["restart app.service"], "{:#?}", host.story(1));
}

#[test]
fn w09_a_stop_because_of_a_failed_unit_is_no_operators_and_is_healed() {
    let stopped = UnitSnapshot { exit: None, ..unit(ActiveState::Inactive, Intent::Stopped) };
    let mut host = Host::plain();
    host.sees("app.service#unit", judged(stopped.clone()));
    assert_eq!(host.phase("app.service"), "none");
    host.sees("app.service#unit", judged(UnitSnapshot { stopped_with: Some("db.service".into()), ..stopped }));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn w16_a_failed_socket_is_a_failure_of_what_it_starts() {
    let resting = UnitSnapshot { exit: None, ..unit(ActiveState::Inactive, Intent::ByItself) };
    let expect = ansai_model::unit::UnitExpectation::NotFailed;
    let look = |unit: UnitSnapshot| ansai_model::unit::judge(expect, unit);
    let mut host = Host::plain();
    host.sees("app.service#unit", look(resting.clone()));
    assert_eq!(host.phase("app.service"), "none");
    host.sees(
        "app.service#unit",
        look(UnitSnapshot {
            failed_trigger: Some("its socket has failed: app.socket (trigger-limit-hit)".into()),
            ..resting
        }),
    );
    assert_eq!(host.done(), ["restart app.service"]);
}
