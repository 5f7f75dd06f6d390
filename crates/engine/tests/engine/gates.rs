//! Every gate: when it allows, when it does not, in which words, and when it is asked again.

use ansai_engine::Input;
use ansai_model::{
    decision::Gate,
    observation::Observation,
    operator::Operation,
    policy::Scope,
    unit::{ActiveState, Intent, LoadState},
};

use crate::host::{Host, changed, failed, judged, only, secs, succeeded, target, unit};

fn hold(scope: Scope) -> Operation {
    Operation::Hold { scope, reason: "an upgrade".into(), until: None }
}

#[test]
fn when_nothing_objects_every_gate_says_why_it_allows() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    let table = [
        (Gate::Hold, "allow: nothing is held"),
        (Gate::Ledger, "allow: the ledger is saved before every action"),
        (Gate::Maintenance, "allow: no maintenance window is open"),
        (Gate::Existence, "allow: it was asked for when this healing was decided on"),
        (Gate::Intent, "allow: nobody has stopped it on purpose"),
        (Gate::Autonomy, "allow: the rule may act"),
        (Gate::Cooldown, "allow: between the tries of one healing the back-off counts instead"),
        (Gate::TargetBudget, "allow: no action on this target before"),
        (Gate::HostBudget, "allow: 0 of 20 repeated actions on this host within 1h are used"),
        (Gate::CircuitBreaker, "allow: closed"),
        (Gate::Dependency, "allow: what it needs was looked at when this healing was decided on"),
        (
            Gate::Concurrency,
            "allow: 0 remedies of others are under way; at most 4 at once (4 at first, one more with each that succeeds, half as many with each that fails)",
        ),
        (Gate::BackOff, "allow: nothing is waited for"),
        (Gate::Quiet, "allow: no quiet hours are asked for"),
        (Gate::Permit, "allow: the host has joined no controller"),
    ];
    assert_eq!(table.len(), Gate::ALL.len());
    for (gate, said) in table {
        assert_eq!(host.gate_said("app.service", gate), said);
    }
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn a_hold_stops_all_action_in_its_scope_until_it_is_released() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {}\n  db.service: {}"));
    assert_eq!(
        host.operator(hold(only("app.service"))),
        "done: held: app.service (1 target); nothing is done there until `ansai release app.service`"
    );
    host.fails("app.service#unit");
    host.fails("db.service#unit");
    assert_eq!(host.done(), ["restart db.service"]);
    let why = "ann has held it since 2026-11-18T11:06:40Z (an upgrade); `ansai release app.service` ends that";
    assert_eq!(host.gate("app.service", Gate::Hold), format!("defer: {why}"));
    assert_eq!(host.summary("app.service"), format!("nothing is done: {why}"));
    host.pass(secs(86_400));
    assert_eq!(host.phase("app.service"), "open");
    assert_eq!(host.operator(Operation::Release { scope: only("app.service") }), "done: 1 hold ended");
    assert_eq!(host.done().last(), Some(&"restart app.service"));
}

#[test]
fn who_ends_one_of_two_holds_is_told_that_the_other_still_holds() {
    let mut host = Host::plain();
    host.operator(hold(only("app.service")));
    host.operator(hold(Scope::All));
    let release = |scope| Operation::Release { scope };
    let answer = host.operator(release(only("app.service")));
    assert_eq!(answer, "done: 1 hold ended; still held by another, on all targets, by ann");
    assert_eq!(host.operator(release(Scope::All)), "done: 1 hold ended");
    assert_eq!(host.operator(release(Scope::All)), "not found: there is no hold, so nothing was ended");
}

#[test]
fn an_empty_scope_holds_nothing_and_is_released_by_nobody_else() {
    let mut host = Host::plain();
    host.operator(hold(Scope::Matching(Vec::new())));
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
    let answer = host.operator(Operation::Release { scope: only("app.service") });
    assert_eq!(answer, "not found: there is no hold, so nothing was ended");
    host.operator(hold(Scope::All));
    let answer = host.operator(Operation::Release { scope: only("app.service") });
    assert_eq!(answer, "not found: there is no hold on exactly this scope");
}

#[test]
fn a_hold_with_an_end_is_over_at_its_wall_time_and_the_engine_wakes_for_it() {
    let mut host = Host::plain();
    let until = Some(host.now.plus(secs(600)).wall);
    host.operator(Operation::Hold { scope: Scope::All, reason: "lunch".into(), until });
    host.fails("app.service#unit");
    assert!(host.gate("app.service", Gate::Hold).starts_with("defer 10m"), "{}", host.gate("app.service", Gate::Hold));
    host.pass(secs(599));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.pass(secs(2));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn the_hold_file_stops_everything_amid_a_rung_too() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.hold_file(Some("ticket 7"));
    host.action_ends(failed());
    host.pass(secs(3600));
    assert_eq!(host.begun.len(), 1);
    assert_eq!(
        host.gate_said("app.service", Gate::Hold),
        "defer: the HOLD file stops all action (ticket 7); it is over \
        when /etc/ansai/HOLD is removed"
    );
    assert_eq!(
        host.operator(Operation::Release { scope: Scope::All }),
        "refused: the HOLD file is still there",
        "nobody can release it but by removing it"
    );
    host.hold_file(None);
    assert_eq!(host.begun.len(), 2);
}

#[test]
fn a_ledger_that_cannot_be_saved_stops_all_action_and_says_so() {
    let mut host = Host::plain();
    host.step(Input::Ledger(Some("no space left on device".into())));
    host.fails("app.service#unit");
    let said = "defer: the ledger cannot be saved, so nothing may be done: no space left on device";
    assert_eq!(host.gate("app.service", Gate::Ledger), said);
    host.pass(secs(3600));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.step(Input::Ledger(None));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn in_a_maintenance_window_nothing_is_healed_and_it_ends_by_itself() {
    let mut host = Host::plain();
    let lasts = secs(1800);
    let answer = host.operator(Operation::Maintenance { scope: Scope::All, reason: "new disks".into(), lasts });
    assert_eq!(answer, "done: in maintenance for 30m: all targets; nothing is healed there, and nobody is told of it");
    host.fails("app.service#unit");
    assert!(host.gate("app.service", Gate::Maintenance).starts_with("defer 30m"));
    let why = "it is in a maintenance window that ann opened (new disks), until 2026-11-18T11:36:40Z; \
               `ansai maintenance end --all` ends that";
    assert!(
        host.gate("app.service", Gate::Maintenance).ends_with(why),
        "{}",
        host.gate("app.service", Gate::Maintenance)
    );
    host.pass(secs(1799));
    assert_eq!((host.done(), host.told()), (vec![], vec![]));
    host.pass(secs(2));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn what_somebody_stopped_is_not_started_and_the_incident_is_withdrawn() {
    let table = [
        (unit(ActiveState::Inactive, Intent::Stopped), "stopped on request, not by a failure"),
        (unit(ActiveState::Failed, Intent::Stopped), "stopped on request, not by a failure"),
    ];
    for (stopped, why) in table {
        let mut host = Host::new(&changed("autonomy: act", "autonomy: approve"));
        host.fails("app.service#unit");
        assert_eq!(host.phase("app.service"), "awaiting approval");
        host.sees("app.service#unit", judged(stopped));
        assert_eq!(host.phase("app.service"), "none");
        assert_eq!(host.last_step(1), format!("resolved: withdrawn: {why}"));
        host.pass(secs(3600));
        assert_eq!((host.phase("app.service"), host.done()), ("none", vec![]));
        assert_eq!(host.summary("app.service"), format!("nothing is done: {why}"));
    }
}

#[test]
fn a_unit_that_does_not_exist_goes_to_a_person_who_may_have_it_healed_once_it_does() {
    let mut host = Host::plain();
    let mut missing = unit(ActiveState::Inactive, Intent::ByItself);
    missing.load = LoadState::NotFound;
    host.sees("app.service#unit", judged(missing));
    assert_eq!(
        host.last_step(1),
        "escalated: its unit does not exist: install it, or take it out of the configuration"
    );
    assert_eq!(host.told(), ["Escalated to 1"]);
    assert!(host.operator(Operation::Heal { target: target("app.service") }).starts_with("done"));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn in_doubt_nothing_is_done() {
    let mut host = Host::plain();
    host.operator(hold(Scope::All));
    host.fails("app.service#unit");
    host.sees("app.service#unit", Observation::unknown("the bus does not answer"));
    host.operator(Operation::Release { scope: Scope::All });
    assert_eq!(host.gate("app.service", Gate::Intent), "defer: whether it fails is not known: the bus does not answer");
    host.pass(secs(3600));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn a_target_whose_budget_is_used_up_goes_to_a_person() {
    let mut host = Host::new(&changed("actions: 6", "actions: 1")).mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(600));
    host.fails("app.service#unit");
    let why = "1 of 1 actions on this target within 1h are used; there is room again at 2026-11-18T12:06:40Z";
    assert_eq!(host.last_step(2), format!("escalated: {why}"));
    assert_eq!(host.summary("app.service"), format!("a person must see to it: {why}"));
    assert_eq!(host.done().len(), 1);
    // An hour after the first action there is room again, but a person has the incident.
    host.pass(secs(3600));
    assert_eq!((host.phase("app.service"), host.done().len()), ("escalated", 1));
    assert!(host.operator(Operation::Heal { target: target("app.service") }).starts_with("done"));
    assert_eq!(host.done().len(), 2);
}

#[test]
fn an_action_that_was_not_needed_costs_no_budget() {
    let mut host = Host::new(&changed("actions: 6", "actions: 1"));
    host.fails("app.service#unit");
    host.action_ends(ansai_model::action::ActionOutcome::NotNeeded { why: "it runs".into() });
    assert_eq!(host.engine.state().host_actions.len(), 0);
    assert_eq!(
        host.gate_said("app.service", Gate::TargetBudget),
        "deny: 0 of 1 actions on this target within 1h are used, and the rung needs 2 more"
    );
}

/// Three remediations that fail, one after the other, each in an incident of its own.
fn with_an_open_breaker() -> Host {
    let yaml = changed("attempts: 4", "attempts: 1").replace("failures: 3, within: 1h", "failures: 2, within: 1h");
    let mut host = Host::new(&yaml).actions_end(succeeded());
    for _ in 0..2 {
        host.fails("app.service#unit");
        host.pass(secs(60));
        assert_eq!(host.phase("app.service"), "escalated");
        host.is_well("app.service#unit");
        host.pass(secs(60));
        assert_eq!(host.phase("app.service"), "none");
    }
    assert_eq!((host.done().len(), host.explain("app.service").breaker.as_str()), (2, "open"));
    host
}

#[test]
fn an_open_circuit_breaker_sends_the_next_failure_to_a_person_at_once() {
    let mut host = with_an_open_breaker();
    host.fails("app.service#unit");
    assert_eq!(host.phase("app.service"), "escalated");
    assert!(
        host.last_step(3).starts_with("escalated: healing failed too often, so it is not tried before 2026-11-18T1"),
        "{}",
        host.last_step(3)
    );
    assert_eq!(host.done().len(), 2);
}

#[test]
fn a_half_open_circuit_breaker_lets_one_remediation_try_which_closes_it() {
    let mut host = with_an_open_breaker();
    host.pass(secs(1800));
    assert_eq!(host.explain("app.service").breaker.as_str(), "half-open");
    host.set_mending(Some("restart"));
    host.fails("app.service#unit");
    assert_eq!(host.gate_said("app.service", Gate::CircuitBreaker), "allow: half-open: this remediation may try");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.explain("app.service").breaker.as_str()), ("none", "closed"));
}

#[test]
fn a_half_open_circuit_breaker_is_opened_again_by_a_remediation_that_fails() {
    let mut host = with_an_open_breaker();
    // Later than the window in which failures are counted: it is this one failure that opens it.
    host.pass(secs(7200));
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.explain("app.service").breaker.as_str()), ("escalated", "open"));
}

#[test]
fn an_operator_may_heal_past_an_open_circuit_breaker_which_closes_it() {
    let mut host = with_an_open_breaker();
    host.fails("app.service#unit");
    host.set_mending(Some("restart"));
    assert!(host.operator(Operation::Heal { target: target("app.service") }).starts_with("done"));
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.explain("app.service").breaker.as_str()), ("none", "closed"));
}

/// app needs db; both heal by a restart.
fn with_a_need() -> Host {
    Host::new(&changed("app.service: {}", "app.service: {needs: [db.service]}\n  db.service: {}"))
}

#[test]
fn a_cause_is_healed_before_its_symptom() {
    let mut host = with_a_need();
    host.fails("db.service#unit");
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart db.service"]);
    assert_eq!(host.open("app.service").and_then(|incident| incident.symptom_of).map(|id| id.0), Some(1));
    host.is_well("db.service#unit");
    host.action_ends(succeeded());
    // Its cause is verified, and it is down itself: it is not held back by what is only being watched.
    assert_eq!(host.phase("db.service"), "stabilizing");
    assert_eq!(host.done(), ["restart db.service", "restart app.service"]);
}

#[test]
fn a_symptom_that_only_does_not_answer_is_left_to_its_cause_until_that_is_over() {
    let answers = "app.service: {needs: [db.service], probe: {exec: [/bin/ask], fail_after: 1}}\n  db.service: {}";
    let mut host = Host::new(&changed("app.service: {}", answers));
    host.fails("db.service#unit");
    host.fails("app.service#exec");
    host.is_well("db.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(20));
    assert_eq!((host.phase("db.service"), host.done()), ("stabilizing", vec!["restart db.service"]));
    host.pass(secs(20));
    assert_eq!(host.done(), ["restart db.service", "restart app.service"]);
}

#[test]
fn what_dies_after_what_it_needs_was_healed_and_verified_is_healed_at_once() {
    let mut host = with_a_need();
    host.fails("db.service#unit");
    host.is_well("db.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(5));
    assert_eq!(host.phase("db.service"), "stabilizing");
    host.fails("app.service#unit");
    assert_eq!(host.open("app.service").and_then(|incident| incident.symptom_of), None);
    assert_eq!(host.done(), ["restart db.service", "restart app.service"]);
}

#[test]
fn a_symptom_that_recovers_with_its_cause_is_never_acted_on() {
    let mut host = with_a_need();
    host.fails("db.service#unit");
    host.fails("app.service#unit");
    host.is_well("db.service#unit");
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(120));
    assert_eq!((host.phase("app.service"), host.done()), ("none", vec!["restart db.service"]));
    assert_eq!(host.last_step(2), "resolved: it recovered by itself");
}

#[test]
fn what_is_needed_is_looked_at_before_anything_is_disrupted() {
    let mut host = with_a_need();
    host.hanging.insert(crate::host::check("db.service#unit"));
    host.pass(secs(60));
    host.fails("app.service#unit");
    let said = host.gate("app.service", Gate::Dependency);
    assert!(said.ends_with("it needs service/db.service, which is looked at first"), "{said}");
    assert_eq!(host.done(), Vec::<&str>::new());
    host.hanging.clear();
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn each_try_asks_anew_whether_what_it_needs_is_well() {
    let mut host = with_a_need();
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
    host.action_ends(failed());
    // What it needs is found down only now.
    host.fails("db.service#unit");
    host.pass(secs(20));
    assert_eq!(host.done(), ["restart app.service", "restart db.service"]);
    host.is_well("db.service#unit");
    host.pass(secs(1));
    host.action_ends(succeeded());
    host.pass(secs(40));
    assert_eq!(host.done().last(), Some(&"restart app.service"), "{:?}", host.done());
}

#[test]
fn a_need_that_somebody_stopped_is_no_reason_to_wait() {
    let mut host = with_a_need();
    host.sees("db.service#unit", judged(unit(ActiveState::Inactive, Intent::Stopped)));
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn a_need_that_is_not_healed_in_time_goes_to_a_person_with_its_name() {
    let mut host = with_a_need();
    // The symptom is there first, so that it is no symptom of an incident but waits for a failing target.
    host.operator(hold(only("app.service")));
    host.operator(hold(only("db.service")));
    host.fails("app.service#unit");
    host.fails("db.service#unit");
    host.operator(Operation::Release { scope: only("app.service") });
    host.pass(secs(299));
    assert_eq!(host.phase("app.service"), "open");
    let said = host.gate("app.service", Gate::Dependency);
    let words = "which is failing and is not healed now: ann has held it since 2026-11-18T11:06:40Z (an upgrade); nothing is done about this one before that is well";
    assert!(said.ends_with(words), "{said}");
    host.pass(secs(2));
    let words = "escalated: it needs service/db.service, which was not healed within 5m: ann has held it since \
         2026-11-18T11:06:40Z (an upgrade)";
    assert_eq!(host.last_step(1), words);
}

/// Whoever waits for what a person has is told so, and why, and whether anything is done meanwhile.
#[test]
fn what_waits_for_what_a_person_has_says_who_has_it_and_what_is_done_meanwhile() {
    let mut host = with_a_need().actions_end(failed());
    host.fails("db.service#unit");
    host.pass(secs(300));
    assert_eq!(host.phase("db.service"), "escalated");
    host.fails("app.service#unit");
    let said = host.summary("app.service");
    let who = "it needs service/db.service, which is failing and is not healed now: a person must see to it: ";
    assert!(said.contains(who), "{said}");
    assert!(said.ends_with("; nothing is done about this one before that is well"), "{said}");
    let left_to = host.explain("app.service").incidents[0].left_to.clone().expect("it is a symptom");
    let who = "it is taken for a symptom of i1 (service/db.service), with which a person is: a person must see to it: ";
    assert!(left_to.as_str().starts_with(who), "{left_to}");
    let db = host.done().len();
    host.pass(secs(600));
    assert_eq!(host.done().len(), db, "and nothing is: {:?}", host.done());
}

#[test]
fn waits_between_attempts_grow_and_begin_anew_after_a_stable_time() {
    let mut host =
        Host::new(&changed("attempts: 4", "attempts: 6").replace("max: 1m", "max: 18s")).actions_end(succeeded());
    let ladder = "\nrunbooks:\n  service/app.service:\n    - {name: restart, steps: [{restart_unit: app.service}], attempts: 5}\n";
    host.apply(&(changed("attempts: 4", "attempts: 6").replace("max: 1m", "max: 18s") + ladder));
    let waits =
        |host: &Host, id| host.story(id).into_iter().filter(|step| step.starts_with("waits")).collect::<Vec<_>>();
    host.fails("app.service#unit");
    host.pass(secs(300));
    assert_eq!(waits(&host, 1), ["waits 5s", "waits 10s", "waits 18s", "waits 18s"], "doubled, and capped");
    assert_eq!(host.phase("app.service"), "escalated");
    // Well for longer than `reset_after`: the first wait is the shortest again.
    host.is_well("app.service#unit");
    host.pass(secs(3600 + 700));
    host.fails("app.service#unit");
    host.pass(secs(6));
    assert_eq!(waits(&host, 2)[0], "waits 5s");
    // Well for a shorter time: they go on where they were.
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.action_ends(failed());
    host.is_well("app.service#unit");
    host.pass(secs(120));
    assert_eq!(host.phase("app.service"), "none");
    host.fails("app.service#unit");
    host.action_ends(failed());
    assert_eq!(host.last_step(2), "waits 10s");
}

#[test]
fn jitter_only_lengthens_a_wait_stays_within_its_share_and_differs_between_incidents() {
    use ansai_engine::remediation::backoff_wait;
    let backoff = ansai_model::policy::Backoff {
        initial: secs(10),
        factor: 2,
        wait_max: secs(60),
        jitter_percent: 20,
        reset_after: secs(600),
    };
    let mut seen = std::collections::BTreeSet::new();
    for salt in 0..200 {
        for (level, base) in [(0, 10), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (u32::MAX, 60)] {
            let wait = backoff_wait(&backoff, level, salt);
            assert!(wait >= secs(base) && wait <= secs(base) * 12 / 10, "{level} {salt}: {wait:?}");
            assert_eq!(wait, backoff_wait(&backoff, level, salt), "the same incident waits the same time");
        }
        seen.insert(backoff_wait(&backoff, 1, salt));
    }
    assert!(seen.len() > 10, "{seen:?}");
}
