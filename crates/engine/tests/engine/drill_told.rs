//! What people read of a drill while it lasts: what it does, and how it is ended.

use ansai_engine::Input;
use ansai_model::{
    action::ActionOutcome,
    observation::Observation,
    operator::{DrillKind, Operation},
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::{
    drilled::{TCP, UNIT, drilled, is_drill, run},
    host::{Host, check, failed, judged, not_needed, secs, target, unit},
};

#[test]
fn a_hang_is_named_as_the_drills_wherever_its_target_is_told() {
    let hung = |is_main_stopped: bool| {
        let up = UnitSnapshot { invocation: Some("one".into()), ..unit(ActiveState::Active, Intent::ByItself) };
        judged(UnitSnapshot { is_main_stopped, ..up })
    };
    let ours = "a drill hangs it on purpose, and `ansai drill service/app.service --undo` lets it go on";
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, hung(true));
    assert_eq!(host.summary("app.service"), format!("all checks are healthy, but {ours}"));
    assert_eq!(host.explain("app.service").warning.expect("a warning").as_str(), ours);
    host.sees(TCP, Observation::failing("no answer"));
    assert!(host.summary("app.service").ends_with(ours), "{}", host.summary("app.service"));
    // Another one that does nothing ends nothing of it.
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, hung(true));
    assert!(
        host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Hang }).starts_with("done")
    );
    host.action_ends(not_needed());
    assert!(host.summary("app.service").ends_with(ours), "{}", host.summary("app.service"));
    host.sees(TCP, Observation::failing("no answer"));
    assert!(is_drill(&host));
    // It is known from the drill before it can be seen, until somebody ends it.
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, hung(false));
    assert_eq!(host.summary("app.service"), format!("all checks are healthy, but {ours}"));
    host.operator(Operation::EndDrill { target: target("app.service") });
    assert_eq!(host.summary("app.service"), "all checks are healthy");
    // Nothing tells of a process that goes on again, so it is looked at soon.
    host.sees(UNIT, hung(true));
    host.sees.insert(check(UNIT), hung(false));
    host.operator(Operation::EndDrill { target: target("app.service") });
    assert!(host.explain("app.service").warning.is_some());
    host.pass(secs(2));
    assert_eq!(host.explain("app.service").warning, None);
    // What goes on again, another drill and what others have stopped are none of its doing.
    let mut host = drilled(DrillKind::Hang);
    host.pass(secs(20));
    host.sees(UNIT, hung(false));
    assert_eq!(host.summary("app.service"), "all checks are healthy");
    let mut host = drilled(DrillKind::Crash);
    host.sees(UNIT, hung(true));
    assert!(!host.summary("app.service").contains("drill"), "{}", host.summary("app.service"));
    let mut host = drilled(DrillKind::Hang);
    host.pass(secs(300));
    host.sees(UNIT, hung(true));
    assert!(!host.summary("app.service").contains("drill"), "{}", host.summary("app.service"));
}

#[test]
fn a_drill_that_does_nothing_changes_nothing_of_the_one_before_it() {
    for outcome in [not_needed(), ActionOutcome::Refused { why: "it hangs already".into() }] {
        let mut host = drilled(DrillKind::Hang);
        // Its unit runs anew, and not all of it has been seen well since.
        host.happens("app.service", run("two", ActiveState::Active));
        let drill = |host: &Host| host.engine.state().targets[&target("app.service")].drill.clone();
        let before = drill(&host);
        assert!(before.as_ref().is_some_and(|drill| drill.runs_anew.is_some()), "{before:?}");
        let again = Operation::Drill { target: target("app.service"), kind: DrillKind::Hang };
        assert!(host.operator(again).starts_with("done"));
        let id = host.under_way.remove(0).id;
        host.engine.step(host.now, Input::ActionEnded { run: id, outcome });
        assert_eq!(drill(&host), before);
    }
}

#[test]
fn what_a_drill_broke_says_so_and_how_it_is_ended_as_long_as_it_fails() {
    let ours = "; a drill broke it on purpose, and `ansai drill service/app.service --undo` ends that";
    for kind in [DrillKind::Port, DrillKind::Configuration, DrillKind::Crash] {
        let mut host = drilled(kind).actions_end(failed());
        host.sees(UNIT, run("one", ActiveState::Failed));
        host.pass(secs(2));
        assert!(host.summary("app.service").ends_with(ours), "{kind:?}: {}", host.summary("app.service"));
        host.sees(UNIT, run("two", ActiveState::Active));
        host.pass(secs(2));
        assert!(!host.summary("app.service").contains("drill"), "{kind:?}: {}", host.summary("app.service"));
        // A failure of its own, of which no drill is the cause.
        host.pass(secs(180));
        host.sees(UNIT, run("two", ActiveState::Failed));
        host.pass(secs(2));
        assert!(!host.summary("app.service").contains("drill"), "{kind:?}: {}", host.summary("app.service"));
    }
}
