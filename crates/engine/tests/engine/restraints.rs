//! Holds, silences and maintenance windows last as long as was said, whatever the clock on the wall is set to.

use ansai_engine::Input;
use ansai_model::{operator::Operation, policy::Scope};

use crate::host::{Host, secs, target};

/// Somebody sets the clock on the wall, by so many milliseconds.
fn wall_is_set(host: &mut Host, milliseconds: i64) {
    host.now.wall.0 += milliseconds;
    host.step(Input::Tick);
}

const YEARS_MS: i64 = 3 * 365 * 86_400_000;

#[test]
fn a_wall_clock_that_jumps_by_years_ends_no_hold_no_window_and_no_silence_and_makes_none_eternal() {
    let hour = secs(3600);
    type Said = fn(&Host) -> Operation;
    let said: [Said; 2] = [
        |host| {
            let until = Some(host.now.plus(secs(3600)).wall);
            Operation::Hold { scope: Scope::All, reason: "lunch".into(), until }
        },
        |_| Operation::Maintenance { scope: Scope::All, reason: "lunch".into(), lasts: secs(3600) },
    ];
    for (operation, jump) in said.iter().flat_map(|said| [(said, YEARS_MS), (said, -YEARS_MS)]) {
        let mut host = Host::plain();
        let operation = operation(&host);
        host.operator(operation);
        let silence = Operation::Silence { scope: Scope::All, reason: "lunch".into(), lasts: hour };
        host.operator(silence);
        wall_is_set(&mut host, jump);
        host.fails("app.service#unit");
        host.pass(hour - secs(2));
        assert_eq!(host.done(), Vec::<&str>::new(), "{jump}");
        let explained = host.engine.explain(host.now, &target("app.service")).expect("a target");
        assert!(explained.silence.is_some() && (explained.hold.is_some() || explained.maintenance.is_some()));
        // A new agent knows no more of the clock that was set than the old one did.
        host.restart(None);
        host.fails("app.service#unit");
        host.pass(secs(3));
        assert_eq!(host.done(), ["restart app.service"], "{jump}");
        let explained = host.engine.explain(host.now, &target("app.service")).expect("a target");
        assert_eq!((explained.hold, explained.maintenance, explained.silence), (None, None, None));
    }
}

#[test]
fn the_end_of_a_hold_is_shown_by_the_clock_as_it_is_set_now() {
    let mut host = Host::plain();
    let until = host.now.plus(secs(3600)).wall;
    host.operator(Operation::Hold { scope: Scope::All, reason: "lunch".into(), until: Some(until) });
    let shown = |host: &Host| host.engine.state().holds[0].end(host.now).expect("an end").wall;
    host.pass(secs(60));
    assert_eq!(shown(&host), until);
    wall_is_set(&mut host, YEARS_MS);
    assert_eq!(shown(&host).since(host.now.wall).as_secs().div_ceil(60), 59);
}

#[test]
fn what_an_older_version_left_ends_when_it_was_to_end() {
    let mut host = Host::plain();
    let until = Some(host.now.plus(secs(600)).wall);
    host.operator(Operation::Hold { scope: Scope::All, reason: "lunch".into(), until });
    host.operator(Operation::Silence { scope: Scope::All, reason: "y".into(), lasts: secs(600) });
    host.operator(Operation::Maintenance { scope: Scope::All, reason: "z".into(), lasts: secs(600) });
    let mut old = serde_json::to_value(host.engine.state()).expect("the state is written");
    for what in ["holds", "silences", "maintenance"] {
        old[what][0].as_object_mut().expect("one").remove("ends").expect("it was there");
    }
    let old: ansai_engine::State = serde_json::from_value(old).expect("the state is read");
    let engine = ansai_engine::HostEngine::new(host.engine.bundle().clone(), old, host.now);
    let (state, before) = (engine.state(), host.now.plus(secs(599)));
    assert!(state.holds[0].is_on(before) && state.silences[0].end(before).is_some());
    assert!(state.maintenance[0].end(before).is_some());
    let after = host.now.plus(secs(601));
    assert!(!state.holds[0].is_on(after) && state.silences[0].end(after).is_none());
    assert!(state.maintenance[0].end(after).is_none());
}
