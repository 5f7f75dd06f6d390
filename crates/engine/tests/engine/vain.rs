//! What did nothing costs nothing: no circuit breaker, no budget, no back-off and no cooldown remember it.

use ansai_model::{
    action::ActionOutcome,
    decision::Gate,
    operator::{DrillKind, Operation},
};

use crate::host::{ACTION, Host, changed, failed, not_needed, secs, succeeded, target};

fn refused() -> ActionOutcome {
    ActionOutcome::Refused { why: "a package manager is at work".into() }
}

/// A service that fails and is handed over after each of its tries has come to this.
fn handed_over(outcome: ActionOutcome) -> Host {
    let mut host = Host::new(&changed("actions: 6", "actions: 60")).actions_end(outcome);
    host.fails("app.service#unit");
    host.pass(secs(300));
    assert_eq!(host.phase("app.service"), "escalated", "{:?}", host.story(1));
    host
}

fn heal(host: &mut Host) -> String {
    host.operator(Operation::Heal { target: target("app.service") })
}

#[test]
fn what_did_nothing_is_remembered_by_no_limit() {
    for outcome in [refused(), not_needed()] {
        let mut host = handed_over(outcome);
        // As often as would open the circuit breaker.
        for _ in 0..3 {
            assert!(heal(&mut host).starts_with("done: healing of"), "{}", host.summary("app.service"));
            host.pass(secs(300));
        }
        let memory = &host.engine.state().targets[&target("app.service")];
        assert_eq!((memory.failures.len(), memory.actions.len(), memory.backoff_level), (0, 0, 0));
        assert_eq!((memory.remediated, host.explain("app.service").breaker.as_str()), (None, "closed"));
        assert_eq!(host.gate("app.service", Gate::Cooldown), "allow: nothing is waited for");
        assert_eq!(host.gate("app.service", Gate::BackOff), "allow: nothing is waited for");
    }
}

#[test]
fn what_failed_is_remembered_and_not_told_as_healed() {
    let mut host = handed_over(failed());
    let said = host.gate("app.service", Gate::Cooldown);
    assert!(said.contains("the last remediation ended") && !said.contains("healed"), "{said}");
    for _ in 0..2 {
        heal(&mut host);
        host.pass(secs(300));
    }
    assert_eq!(host.engine.state().targets[&target("app.service")].failures.len(), 3);
    assert_eq!(host.explain("app.service").breaker.as_str(), "open");
}

#[test]
fn tries_that_do_nothing_wait_between_each_other_and_end() {
    let host = handed_over(refused());
    let waits = host.story(1).iter().filter(|step| step.starts_with("waits")).count();
    assert!(waits >= 1 && host.begun.len() <= 8, "{:?}", host.story(1));
}

/// A service of which a remedy has only looked at something while it became well by itself.
fn became_well(mut host: Host) -> Host {
    // It is seen only after the look has begun.
    host.is_mended("app.service");
    host.now = host.now.plus(ACTION);
    host.action_ends(succeeded());
    host.pass(secs(1));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
    host
}

fn only_looks() -> Host {
    let ladder = "[{name: look, steps: [{validate: [/bin/ask]}], then: verify}]";
    Host::new(&changed("app.service: {}", &format!("app.service: {{}}\nrunbooks:\n  service/app.service: {ladder}")))
}

#[test]
fn what_became_well_while_a_remedy_only_looked_has_recovered_by_itself() {
    let mut host = only_looks();
    host.fails("app.service#unit");
    let mut host = became_well(host);
    host.pass(secs(120));
    assert_eq!(host.last_step(1), "resolved: it recovered by itself", "{:?}", host.story(1));
    assert_eq!(host.engine.state().targets[&target("app.service")].remediated, None);
}

#[test]
fn what_a_person_had_and_became_well_while_a_remedy_only_looked_has_recovered_after_that() {
    let mut host = only_looks();
    host.fails("app.service#unit");
    host.action_ends(failed());
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "escalated", "{:?}", host.story(1));
    assert!(heal(&mut host).starts_with("done: healing of"), "{}", host.summary("app.service"));
    let mut host = became_well(host);
    host.pass(secs(120));
    let expected = "resolved: it recovered after it had been handed to a person";
    assert_eq!(host.last_step(1), expected, "{:?}", host.story(1));
}

#[test]
fn a_drill_that_was_over_while_a_remedy_only_looked_was_healed_by_nothing() {
    let mut host = only_looks();
    let drill = Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    assert!(host.operator(drill).starts_with("done"));
    host.action_ends(succeeded());
    host.fails("app.service#unit");
    let mut host = became_well(host);
    // It is a failure of its own, and the drill's incident is over.
    host.fails("app.service#unit");
    assert_eq!(host.open("app.service").expect("an incident").id.0, 2);
    assert_eq!(host.last_step(1), "resolved: it recovered by itself", "{:?}", host.story(1));
}
