//! Sequences made to break a promise of safety, each one found by looking for it: what an operator would be angry about.

use ansai_engine::Input;
use ansai_model::{
    action::ActionOutcome,
    decision::Gate,
    observation::Observation,
    operator::{DrillKind, Operation},
    policy::Scope,
    time::Shown,
    unit::{ActiveState, Intent},
};

use crate::host::{Host, PLAIN, changed, failed, judged, only, secs, succeeded, target, unit};

#[test]
fn what_left_the_configuration_while_the_agent_was_away_is_not_acted_on() {
    let kill = "
runbooks:
  service/app.service:
    - {name: kill, steps: [{kill_unit: app.service}, {wait: 1m}, {start_unit: app.service}], undo: [{stop_unit: app.service}]}
";
    let with_kill = PLAIN.to_owned() + kill;
    let without = changed("app.service: {}", "other.service: {}");
    // Killed while an action is under way, and between two of them.
    for ends_before in [None, Some(succeeded())] {
        let mut host = Host::new(&with_kill);
        host.fails("app.service#unit");
        ends_before.into_iter().for_each(|outcome| host.action_ends(outcome));
        host.restart(Some(&without));
        host.pass(secs(3600));
        assert_eq!(host.done(), ["kill the processes of app.service"], "{:#?}", host.story(1));
        // That it has left, and is not only unknown yet, is said by a bundle: nobody is called before.
        assert_eq!(host.phase("app.service"), "remediating", "{:#?}", host.story(1));
        host.apply(&without);
        assert_eq!(host.phase("app.service"), "none");
        assert_eq!(host.last_step(1), "resolved: withdrawn: its check is no longer configured");
    }
}

#[test]
fn taking_an_effect_back_counts_against_the_budget_like_any_action() {
    let ladder = "
runbooks:
  service/app.service:
    - {name: restart, steps: [{restart_unit: app.service}], undo: [{stop_unit: app.service}]}
";
    let yaml = changed("actions: 6", "actions: 1") + ladder;
    let mut host = Host::new(&yaml).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(600));
    assert_eq!(host.done(), ["restart app.service"]);
    assert_eq!(host.phase("app.service"), "escalated");
}

#[test]
fn a_service_is_not_killed_when_the_budget_has_no_room_to_start_it() {
    let mut host = Host::new(&changed("actions: 6", "actions: 3")).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(600));
    assert_eq!(host.done(), ["restart app.service", "restart app.service"]);
    assert_eq!(host.phase("app.service"), "escalated");
}

#[test]
fn another_check_of_the_target_that_fails_is_healed_though_the_first_is_content_again() {
    let probe = "app.service: {probe: {tcp: \"127.0.0.1:80\", fail_after: 1}}";
    let mut host = Host::new(&changed("app.service: {}", probe)).mended_by("restart");
    host.operator(Operation::Hold { scope: Scope::All, reason: "wait".into(), until: None });
    host.fails("app.service#unit");
    host.fails("app.service#tcp");
    host.is_well("app.service#unit");
    host.pass(secs(10));
    host.operator(Operation::Release { scope: Scope::All });
    host.pass(secs(120));
    assert_eq!(host.begun.iter().filter(|(_, what)| what.starts_with("restart")).count(), 1, "{:?}", host.story(1));
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn an_action_that_did_nothing_gives_back_its_own_place_in_the_budget_and_no_later_one() {
    let settings = "agent: {host_budget: {actions: 6, per: 1h}}\nservices:\n  b.service: {}\n";
    let mut host = Host::new(&changed("services:\n", settings));
    // Both have been acted on before, so that the host counts them, and both begin at one moment.
    for name in ["app.service#unit", "b.service#unit"] {
        host.fails(name);
        host.is_well(name);
        host.action_ends(succeeded());
        host.pass(secs(60));
    }
    host.operator(Operation::Hold { scope: Scope::All, reason: "r".into(), until: None });
    host.fails("app.service#unit");
    host.fails("b.service#unit");
    host.operator(Operation::Release { scope: Scope::All });
    let begun = host.now.mono;
    let first = host.under_way.remove(0).id;
    host.pass(secs(1));
    host.step(Input::ActionEnded { run: first, outcome: ActionOutcome::NotNeeded { why: "it runs".into() } });
    let counted = host.engine.state().host_actions.iter().filter(|at| **at == begun).count();
    assert_eq!(counted, 1, "b's action still counts from when it began");
}

#[test]
fn back_off_still_counts_when_the_target_was_well_for_a_moment_in_between() {
    let mut host = Host::plain().mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none");
    host.pass(secs(3600));
    // Two attempts fail, then it is well for a moment before the third.
    host.set_mending(None);
    host.fails("app.service#unit");
    host.pass(secs(6));
    host.is_well("app.service#unit");
    host.pass(secs(15));
    host.fails("app.service#unit");
    host.pass(secs(0));
    assert!(
        host.gate("app.service", Gate::BackOff).starts_with("defer"),
        "{}\n{:#?}",
        host.gate("app.service", Gate::BackOff),
        host.story(2)
    );
}

#[test]
fn a_heal_that_was_refused_is_not_done_later() {
    let yaml = changed("autonomy: act", "autonomy: observe")
        .replace("app.service: {}", "app.service: {needs: [db.service]}\n  db.service: {}");
    let mut host = Host::new(&yaml).actions_end(succeeded());
    host.fails("app.service#unit");
    host.fails("db.service#unit");
    let answer = host.operator(Operation::Heal { target: target("app.service") });
    assert!(answer.starts_with("refused: it needs"), "{answer}");
    host.is_well("db.service#unit");
    host.pass(secs(600));
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn a_hold_of_one_person_is_not_shortened_by_another() {
    let mut host = Host::plain().actions_end(succeeded());
    let forever = Operation::Hold { scope: Scope::All, reason: "the disk is being copied".into(), until: None };
    host.operator(forever);
    let until = Some(host.now.plus(secs(60)).wall);
    let short = Operation::Hold { scope: Scope::All, reason: "a moment".into(), until };
    let command = ansai_model::operator::OperatorCommand { by: "bob".into(), operation: short };
    host.step(Input::Operator { request: 2, command });
    host.fails("app.service#unit");
    host.pass(secs(600));
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn a_symptom_is_told_when_nobody_is_told_of_its_cause() {
    let services = "app.service: {needs: [db.service], critical: true}\n  db.service: {autonomy: observe}";
    let mut host = Host::new(&changed("app.service: {}", services)).actions_end(succeeded());
    host.fails("db.service#unit");
    host.fails("app.service#unit");
    let why = "escalated: it needs service/db.service, which is failing and which ansai only observes \
               (autonomy: observe)";
    assert_eq!((host.phase("app.service"), host.last_step(2).as_str()), ("escalated", why));
    assert_eq!(host.told(), ["Escalated to 1"], "at once: nobody heals what it waits for");
    // A person does, and then it is healed as well.
    let mut host = Host::new(&changed("app.service: {}", services).replace("    retry: never\n", ""));
    host.fails("db.service#unit");
    host.fails("app.service#unit");
    let mut host = host.mended_by("restart app.service");
    host.is_well("db.service#unit");
    host.pass(secs(120));
    assert_eq!((host.phase("app.service"), host.done()), ("none", vec!["restart app.service"]));
}

#[test]
fn what_a_person_is_to_approve_or_asked_for_is_waited_for() {
    for autonomy in ["approve", "suggest"] {
        let services = format!("app.service: {{needs: [db.service]}}\n  db.service: {{autonomy: {autonomy}}}");
        let mut host = Host::new(&changed("app.service: {}", &services)).actions_end(succeeded());
        host.fails("db.service#unit");
        host.fails("app.service#unit");
        host.pass(secs(299));
        assert_eq!(host.phase("app.service"), "open", "{autonomy}: somebody was told of what it needs");
        host.pass(secs(3));
        assert_eq!(host.phase("app.service"), "escalated", "{autonomy}");
    }
}

#[test]
fn a_long_hold_leaves_one_deadline_and_not_one_for_each_look() {
    let mut host = Host::plain();
    let until = host.now.plus(secs(7200)).wall;
    host.operator(Operation::Hold { scope: Scope::All, reason: "wait".into(), until: Some(until) });
    host.fails("app.service#unit");
    for _ in 0..1000 {
        // Odd times, as a real clock has them.
        host.pass(secs(3) + std::time::Duration::from_nanos(123_457));
    }
    host.pass(until.since(host.now.wall) - secs(2));
    let end = host.now.plus(secs(3));
    let mut deadlines = 0;
    while let Some(at) = host.engine.next_deadline().filter(|at| *at <= end.mono) {
        host.now = host.now.plus(at.since(host.now.mono));
        host.step(Input::Tick);
        deadlines += 1;
    }
    assert!(deadlines < 20, "{deadlines}");
}

#[test]
fn an_undo_that_could_not_be_saved_does_not_give_its_attempt_a_second_life() {
    let ladder = "
runbooks:
  service/app.service:
    - {name: restart, steps: [{restart_unit: app.service}], undo: [{stop_unit: app.service}]}
    - {name: start, steps: [{start_unit: app.service}]}
";
    let yaml = changed("attempts: 4", "attempts: 2") + ladder;
    let mut host = Host::new(&yaml);
    host.fails("app.service#unit");
    host.action_ends(failed());
    let undo = host.under_way.remove(0);
    assert_eq!(undo.action.describe().as_str(), "stop app.service");
    host.step(Input::Ledger(Some("the disk is full".into())));
    host.step(Input::NotStarted { run: undo.id, why: "the disk is full".into() });
    host.step(Input::Ledger(None));
    assert_eq!(host.under_way.len(), 0, "nothing before the back-off: {:#?}", host.story(1));
    host.pass(secs(5));
    assert_eq!(host.under_way[0].action.describe().as_str(), "start app.service");
}

#[test]
fn a_rung_that_hands_over_is_undone_and_counted_before_it_does() {
    let ladder = "
runbooks:
  service/app.service:
    - {name: restart, steps: [{restart_unit: app.service}], undo: [{start_unit: app.service}], on_failure: escalate}
";
    let mut host = Host::new(&(PLAIN.to_owned() + ladder));
    host.next_actions_end([failed(), succeeded()]);
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service", "start app.service"], "{:#?}", host.story(1));
    assert_eq!(host.phase("app.service"), "escalated");
    // It recovers and breaks again: the cooldown knows of the remedy.
    host.is_well("app.service#unit");
    host.pass(secs(31));
    assert_eq!(host.phase("app.service"), "none");
    let memory = &host.engine.state().targets[&target("app.service")];
    assert_eq!((memory.failures.len(), memory.remediated.is_some()), (1, true));
}

#[test]
fn lowering_the_autonomy_stops_what_is_under_way() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.apply(&changed("autonomy: act", "autonomy: observe"));
    host.action_ends(succeeded());
    host.pass(secs(600));
    assert_eq!(host.begun.len(), 1, "{:#?}", host.story(1));
}

#[test]
fn nobody_is_asked_for_what_is_over() {
    for (autonomy, kind) in [("approve", "ApprovalWanted"), ("suggest", "Suggested")] {
        let mut host = Host::new(&changed("autonomy: act", &format!("autonomy: {autonomy}")));
        host.has_evidence = false;
        host.fails("app.service#unit");
        host.pass(secs(2));
        let stopped = unit(ActiveState::Inactive, Intent::Stopped);
        host.sees("app.service#unit", judged(stopped));
        host.pass(secs(60));
        assert!(!host.told().iter().any(|told| told.starts_with(kind)), "{:?}", host.told());
    }
}

#[test]
fn one_that_cannot_be_seen_after_its_remedy_does_not_keep_the_others_waiting_for_ever() {
    let services = "app.service: {}\n  b.service: {}\n  c.service: {}";
    let mut host = Host::new(&changed("app.service: {}", services)).mended_by("restart");
    for name in ["app", "b"] {
        host.fails(&format!("{name}.service#unit"));
        host.pass(secs(5));
        host.sees(&format!("{name}.service#unit"), Observation::unknown("the bus does not answer"));
    }
    host.pass(secs(600));
    assert_eq!(host.phase("app.service"), "stabilizing");
    host.fails("c.service#unit");
    host.pass(secs(60));
    assert_eq!(host.phase("c.service"), "none", "{}", host.summary("c.service"));
    let _ = (only("x"), Shown(secs(1)));
}

#[test]
fn a_drill_leaves_room_for_the_remedy() {
    let mut host = Host::new(&changed("actions: 6", "actions: 1")).mended_by("restart");
    let drill = || Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    assert!(host.operator(drill()).starts_with("done"));
    host.fails("app.service#unit");
    host.pass(secs(200));
    let answer = host.operator(drill());
    assert!(answer.starts_with("refused"), "{answer}");
}

#[test]
fn a_drill_begins_with_a_target_that_has_no_open_incident() {
    let mut host = Host::plain().mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(5));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:#?}", host.story(1));
    let answer = host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash });
    assert!(answer.starts_with("refused"), "{answer}");
}
