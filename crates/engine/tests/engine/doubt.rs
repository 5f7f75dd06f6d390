//! A validator's word against a start: which of them is believed, and until when.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    observation::Observation,
    operator::Operation,
    time::WallTime,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, bundle_of, changed, failed, judged, lost, not_needed, secs, succeeded, target, unit};

const CHECK: &str = "app.service#unit";
const RESTART: &str = "restart app.service";
const VALIDATE: &str = "validate the configuration with `/bin/app-check`";

fn validated() -> String {
    changed("app.service: {}", "app.service: {validate: [/bin/app-check]}")
}

/// A unit that has been running since so long before now.
fn running(host: &Host, lasts: Duration) -> Observation {
    let since = host.now.wall.0 - i64::try_from(lasts.as_millis()).expect("small");
    judged(UnitSnapshot { since: Some(WallTime(since)), ..unit(ActiveState::Active, Intent::Unknown) })
}

/// A host whose validator has said no to a unit that failed.
fn said_no() -> Host {
    let mut host = Host::new(&validated());
    host.fails(CHECK);
    host.action_ends(failed());
    assert_eq!((host.phase("app.service"), host.done()), ("escalated", vec![VALIDATE]));
    host
}

/// Somebody starts it, and it is well; the validator is asked once more.
fn started(host: &mut Host) {
    host.pass(secs(60));
    let running = running(host, secs(1));
    host.sees(CHECK, running);
    assert_eq!(host.done(), [VALIDATE, VALIDATE]);
}

#[test]
fn a_no_that_a_start_refutes_is_told_and_the_next_failure_is_healed_without_asking() {
    let mut host = said_no();
    started(&mut host);
    host.action_ends(failed());
    let told = host.story(1).last().cloned().unwrap_or_default();
    assert!(told.contains("it is not believed until `ansai heal`"), "{told}");
    host.pass(secs(120));
    host.fails(CHECK);
    assert_eq!(host.done(), [VALIDATE, VALIDATE, RESTART], "{:?}", host.story(2));
}

#[test]
fn a_configuration_that_was_mended_leaves_the_validator_believed() {
    for mended in [succeeded(), not_needed()] {
        let mut host = said_no();
        started(&mut host);
        host.action_ends(mended);
        host.pass(secs(120));
        host.fails(CHECK);
        assert_eq!(host.done(), [VALIDATE; 3]);
    }
}

#[test]
fn a_unit_that_has_run_since_before_the_no_says_nothing_of_it() {
    let mut host = said_no();
    host.pass(secs(60));
    let running = running(&host, secs(600));
    host.sees(CHECK, running);
    host.pass(secs(60));
    assert_eq!(host.done(), [VALIDATE]);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again() {
    let mut host = said_no();
    started(&mut host);
    host.action_ends(lost());
    host.pass(secs(30));
    assert_eq!(host.done(), [VALIDATE; 3]);
}

#[test]
fn a_person_who_asks_for_healing_has_looked() {
    let mut host = said_no();
    started(&mut host);
    host.action_ends(failed());
    host.pass(secs(120));
    host = host.actions_end(failed());
    host.fails(CHECK);
    host.pass(secs(600));
    assert_eq!(
        (host.phase("app.service"), host.done().iter().filter(|what| **what == VALIDATE).count()),
        ("escalated", 2)
    );
    host.operator(Operation::Heal { target: target("app.service") });
    assert_eq!(host.done().last(), Some(&VALIDATE), "{:?}", host.done());
}

#[test]
fn a_new_configuration_has_been_looked_at() {
    let mut host = said_no();
    started(&mut host);
    host.action_ends(failed());
    host.pass(secs(120));
    host.step(Input::Apply(Box::new(bundle_of(&validated(), 9))));
    host.fails(CHECK);
    assert_eq!(host.done().last(), Some(&VALIDATE));
}

#[test]
fn what_is_not_believed_is_known_after_a_restart_of_the_agent() {
    let mut host = said_no();
    started(&mut host);
    host.action_ends(failed());
    host.pass(secs(120));
    host.restart(None);
    host.fails(CHECK);
    assert_eq!(host.done().last(), Some(&RESTART));
}

#[test]
fn a_question_that_could_not_be_begun_is_asked_with_the_next_look() {
    let mut host = said_no();
    started(&mut host);
    let run = host.under_way.pop().expect("the question").id;
    host.step(Input::NotStarted { run, why: "the disk is full".into() });
    host.pass(secs(60));
    let running = running(&host, secs(61));
    host.sees(CHECK, running);
    assert_eq!(host.done(), [VALIDATE; 3]);
}
