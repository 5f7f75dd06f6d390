//! Which failures are a drill's: what fails while it lasts and in the way in which it breaks its unit, and nothing else.

use ansai_model::{
    domain::service::{ActiveState, Intent, UnitResult, UnitSnapshot},
    observation::Observation,
    operator::{DrillKind, Operation},
};

use crate::host::{Host, QUIET, TWO_MATTERS, changed, judged, not_needed, secs, succeeded, target, unit};

const UNIT: &str = "app.service#unit";
const TCP: &str = "app.service#tcp";

/// A unit in one of its runs.
fn run(name: &str, active: ActiveState) -> Observation {
    judged(UnitSnapshot { invocation: Some(name.into()), ..unit(active, Intent::ByItself) })
}

/// A service that runs, is looked at through its port, and is drilled.
fn drilled(kind: DrillKind) -> Host {
    let look = "app.service: {port: 5000, probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&changed("app.service: {}", look));
    host.sees(UNIT, run("one", ActiveState::Active));
    host.pass(secs(60));
    assert!(host.operator(Operation::Drill { target: target("app.service"), kind }).starts_with("done"));
    host.action_ends(succeeded());
    host.pass(secs(1));
    host
}

fn is_drill(host: &Host) -> bool {
    host.open("app.service").expect("an incident").is_drill
}

#[test]
fn a_service_that_does_not_answer_after_it_was_hung_on_purpose_is_a_drills() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(TCP, Observation::failing("no answer"));
    host.pass(secs(20));
    assert!(is_drill(&host));
}

#[test]
fn a_service_that_ends_after_it_was_hung_on_purpose_is_no_drills() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(!is_drill(&host), "a hang ends nothing");
    let mut host = drilled(DrillKind::Hang);
    let ended = UnitSnapshot { result: UnitResult::Watchdog, ..unit(ActiveState::Failed, Intent::ByItself) };
    host.sees(UNIT, judged(ended));
    assert!(is_drill(&host), "but it has systemd's watchdog end it");
}

#[test]
fn a_hang_is_over_when_somebody_has_started_the_service_anew() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, run("two", ActiveState::Active));
    host.sees(TCP, Observation::failing("no answer"));
    host.pass(secs(30));
    assert!(!is_drill(&host));
}

#[test]
fn what_was_seen_well_in_another_run_has_outlived_its_drill() {
    for kind in [DrillKind::Crash, DrillKind::Exit, DrillKind::Port] {
        let mut host = drilled(kind);
        host.sees(UNIT, run("two", ActiveState::Active));
        host.pass(secs(40));
        host.sees(UNIT, run("two", ActiveState::Failed));
        assert!(!is_drill(&host), "{kind:?}");
        let mut host = drilled(kind);
        host.sees(UNIT, run("one", ActiveState::Failed));
        assert!(is_drill(&host), "{kind:?}");
    }
}

#[test]
fn what_fails_again_after_a_drill_was_healed_is_real_and_counts_as_such() {
    let mut host = drilled(DrillKind::Crash);
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(is_drill(&host));
    // The port was free, and the restart helps.
    let mut host = host.mended_by("restart");
    host.next_actions_end([succeeded()]);
    host.action_ends(not_needed());
    host.pass(secs(45));
    assert_eq!(host.phase("app.service"), "none", "{:?}", host.story(1));
    host.next_actions_end([not_needed()]);
    host.sees(UNIT, run("two", ActiveState::Failed));
    assert!(!is_drill(&host));
    let memory = &host.engine.state().targets[&target("app.service")];
    assert_eq!((memory.actions.len(), memory.drills.len()), (1, 2), "{:?}", host.begun);
}

#[test]
fn a_drill_that_was_refused_breaks_nothing() {
    let mut host = drilled(DrillKind::Crash);
    host.pass(secs(600));
    assert!(
        host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash }).starts_with("done")
    );
    host.action_ends(ansai_model::action::ActionOutcome::Refused { why: "no".into() });
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(!is_drill(&host));
}

#[test]
fn a_matter_beside_the_unit_is_no_drills() {
    let mut host = Host::new(&format!("{}{TWO_MATTERS}", changed("notify:", QUIET)));
    let drill = Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    assert!(host.operator(drill).starts_with("done"));
    host.action_ends(succeeded());
    host.pass(secs(1));
    host.fails("app.service#memory");
    assert!(!is_drill(&host));
}
