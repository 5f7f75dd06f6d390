//! The agent is killed and starts again, in every stage of a remediation: it looks before it acts, and loses nothing.

use ansai_model::{
    operator::Operation,
    policy::Scope,
    unit::{ActiveState, Intent},
};

use crate::host::{Host, PLAIN, changed, check, failed, judged, only, secs, succeeded, unit};

#[test]
fn killed_while_an_action_is_under_way_it_looks_before_it_acts_again() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    assert_eq!(host.begun.len(), 1);
    // The unit does not answer at first: nothing is known, and nothing is done.
    host.hanging.insert(check("app.service#unit"));
    host.restart(None);
    host.pass(secs(2));
    let lost = "interrupted: the agent stopped while this was under way; its outcome is unknown";
    assert_eq!(host.story(1)[2..], [lost, "restart lost: the agent was restarted"]);
    assert_eq!(host.begun.len(), 1);
    host.hanging.clear();
    host.pass(secs(60));
    assert!(host.begun.len() > 1, "{:?}", host.story(1));
}

#[test]
fn what_came_up_while_no_agent_ran_is_verified_and_not_restarted_once_more() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.is_well("app.service#unit");
    host.pass(secs(5));
    host.restart(None);
    host.pass(secs(40));
    assert_eq!((host.phase("app.service"), host.done()), ("none", vec!["restart app.service"]));
    assert_eq!(host.last_step(1), "resolved: healed by `restart`, and it has stayed well");
}

#[test]
fn a_try_that_the_restart_interrupted_is_counted_for_the_incident_but_not_for_its_rung() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.pass(secs(1));
    host.restart(None);
    host.pass(secs(6));
    assert_eq!(host.last_step(1), "restart: restart app.service");
    host.action_ends(failed());
    host.pass(secs(11));
    assert_eq!(host.last_step(1), "restart: restart app.service", "its second try of two");
}

#[test]
fn killed_again_and_again_it_does_not_go_on_for_ever() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    for _ in 0..20 {
        host.pass(secs(61));
        host.restart(None);
    }
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "escalated");
    assert_eq!(host.begun.len(), 4, "the attempts of the policy: {:?}", host.begun);
}

#[test]
fn killed_in_a_wait_it_waits_as_long_as_it_would_have() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.action_ends(failed());
    host.pass(secs(3));
    host.restart(None);
    host.pass(secs(1));
    assert_eq!(host.begun.len(), 1);
    host.pass(secs(2));
    assert_eq!(host.begun.len(), 2);
}

#[test]
fn killed_while_it_must_stay_well_it_is_resolved_when_it_would_have_been() {
    let mut host = Host::plain().mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(10));
    host.restart(None);
    host.pass(secs(19));
    assert_eq!(host.phase("app.service"), "stabilizing");
    host.pass(secs(2));
    assert_eq!((host.phase("app.service"), host.done().len()), ("none", 1));
}

#[test]
fn killed_while_an_effect_is_taken_back_it_goes_on_with_the_next_try() {
    let ladder = "runbooks:\n  service/app.service:\n    \
                  - {name: restart, steps: [{restart_unit: app.service}], undo: [{stop_unit: app.service}]}\n    \
                  - {name: start, steps: [{start_unit: app.service}]}\n";
    let mut host = Host::new(&(PLAIN.to_owned() + ladder));
    host.fails("app.service#unit");
    host.action_ends(failed());
    assert_eq!(host.done().last(), Some(&"stop app.service"));
    host.restart(None);
    let story = host.story(1);
    assert_eq!(story[story.len() - 2..], ["undo: stop app.service: lost: the agent was restarted", "waits 5s"]);
    host.pass(secs(6));
    assert_eq!(host.done().last(), Some(&"start app.service"));
}

#[test]
fn killed_while_it_waits_for_an_approval_it_still_waits_and_tells_nobody_twice() {
    let mut host = Host::new(&changed("autonomy: act", "autonomy: approve"));
    host.fails("app.service#unit");
    host.pass(secs(1800));
    host.restart(None);
    host.pass(secs(1700));
    assert_eq!((host.phase("app.service"), host.told().len()), ("awaiting approval", 1));
    host.pass(secs(200));
    assert_eq!((host.phase("app.service"), host.told().len()), ("escalated", 2));
}

#[test]
fn killed_after_an_escalation_it_does_not_begin_anew_and_tells_nobody_twice() {
    let mut host = Host::plain().actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(600));
    let begun = host.begun.len();
    for _ in 0..3 {
        host.restart(None);
        host.pass(secs(600));
    }
    assert_eq!((host.phase("app.service"), host.begun.len()), ("escalated", begun));
    assert_eq!(host.told(), ["Escalated to 1"]);
}

#[test]
fn an_escalation_that_waited_for_its_evidence_is_told_after_a_restart() {
    let mut host = Host::plain().actions_end(failed());
    host.has_evidence = false;
    host.fails("app.service#unit");
    while host.phase("app.service") != "escalated" {
        host.pass(secs(1));
    }
    // Told neither before nor twice.
    let before = host.told().len();
    host.restart(None);
    host.pass(secs(11));
    assert!(host.told().len() == 1 && before <= 1, "{:?}", host.told());
}

#[test]
fn holds_cooldowns_budgets_and_breakers_outlive_the_agent() {
    let two = format!("{}  other.service: {{}}\n", changed("actions: 6", "actions: 1"));
    let mut host = Host::new(&two).mended_by("restart");
    host.operator(Operation::Hold { scope: only("other.service"), reason: "x".into(), until: None });
    host.operator(Operation::Silence { scope: Scope::All, reason: "y".into(), lasts: secs(3600) });
    host.fails("app.service#unit");
    host.pass(secs(70));
    host.restart(None);
    assert_eq!((host.engine.state().holds.len(), host.engine.state().silences.len()), (1, 1));
    host.fails("app.service#unit");
    assert!(host.last_step(2).starts_with("escalated: 1 of 1 actions"), "{}", host.last_step(2));
    assert_eq!(host.done().len(), 1);
}

#[test]
fn a_service_that_was_stopped_while_no_agent_ran_goes_to_a_person() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.action_ends(failed());
    host.restart(None);
    // Nobody saw whether it was stopped on request.
    host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Unknown)));
    host.pass(secs(60));
    let why = "not running, and ansai was not watching when it stopped: perhaps somebody stopped it on purpose";
    assert_eq!(host.last_step(1), format!("escalated: {why}"));
    assert_eq!((host.begun.len(), host.told()), (1, vec!["Escalated to 1".into()]));
}

#[test]
fn a_service_that_a_lost_action_of_ours_may_have_stopped_is_started_again() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.restart(None);
    host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Unknown)));
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service", "restart app.service"]);
}

#[test]
fn the_numbers_of_runs_and_incidents_go_on() {
    let mut host = Host::plain().mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(60));
    host.restart(None);
    host.fails("app.service#unit");
    host.pass(secs(60));
    let state = host.engine.state();
    assert_eq!((state.incidents_counted, state.runs_counted), (2, 2));
}

/// Takes keys out of a document, wherever they stand.
fn without(value: &mut serde_json::Value, keys: &[&str]) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
            fields.values_mut().for_each(|value| without(value, keys));
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(|value| without(value, keys)),
        _ => {}
    }
}

#[test]
fn the_ledger_of_an_agent_from_before_storms_and_tries_after_escalations_is_read() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    let mut ledger = serde_json::to_value(host.engine.state()).expect("written");
    let of_storms = ["storms", "ramp", "host_drills", "drills", "repeats", "storm"];
    let of_tries = ["retry", "is_at_once", "is_repetition"];
    without(&mut ledger, &of_storms);
    without(&mut ledger, &of_tries);
    if let Some(runs) = ledger.get_mut("runs") {
        without(runs, &["is_drill"]);
    }
    let state: ansai_engine::State = serde_json::from_value(ledger).expect("an older ledger is read");
    assert_eq!((state.incidents.len(), state.remediations.len(), state.runs.len()), (1, 1, 1));
}
