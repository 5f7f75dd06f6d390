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

/// A restraint on everything, as it is begun.
type Begun = fn(&Host, &str, Option<u64>) -> Operation;

const BEGUN: [(&str, Begun); 3] = [
    ("hold", |host, reason, seconds| {
        let until = seconds.map(|seconds| host.now.plus(secs(seconds)).wall);
        Operation::Hold { scope: Scope::All, reason: reason.into(), until }
    }),
    ("silence", |_, reason, seconds| {
        let lasts = secs(seconds.unwrap_or(3_600));
        Operation::Silence { scope: Scope::All, reason: reason.into(), lasts }
    }),
    ("window", |_, reason, seconds| {
        let lasts = secs(seconds.unwrap_or(3_600));
        Operation::Maintenance { scope: Scope::All, reason: reason.into(), lasts }
    }),
];

#[test]
fn whoever_repeats_a_restraint_is_told_what_it_replaces_and_loses_no_reason() {
    for (what, begun) in BEGUN {
        let mut host = Host::plain();
        let first = begun(&host, "lunch", Some(7_200));
        let said = host.operator(first);
        assert!(!said.contains("replaces"), "{said}");
        let until = host.now.plus(secs(7_200)).wall;
        host.pass(secs(60));
        // A rehearsal of it is answered in the same words.
        let again = begun(&host, "", Some(3_600));
        let rehearsed = host.rehearsed(again.clone());
        let said = host.operator(again);
        let expected = format!(
            "; this replaces the {what} by ann until {until}, and its reason stays: lunch; it ends 59m earlier than that"
        );
        assert!(said.ends_with(&expected), "{said}");
        assert_eq!(rehearsed, said);
        let state = host.engine.state();
        let reasons = state.holds.iter().map(|hold| hold.reason.to_string());
        let reasons = reasons.chain(state.silences.iter().map(|silence| silence.reason.to_string()));
        let reasons = reasons.chain(state.maintenance.iter().map(|window| window.author().1.to_owned()));
        assert_eq!(reasons.collect::<Vec<_>>(), ["lunch"], "{what}");
        // One that is longer is not said to be shorter; a reason that is given takes the place of the old one.
        let longer = begun(&host, "dinner", Some(9_000));
        let said = host.operator(longer);
        assert!(said.ends_with(", whose reason was: lunch"), "{said}");
        // What is over is replaced by nothing.
        host.pass(secs(9_001));
        let anew = begun(&host, "", Some(60));
        let said = host.operator(anew);
        assert!(!said.contains("replaces") && !said.contains("dinner"), "{said}");
    }
}

#[test]
fn a_hold_without_an_end_that_is_given_one_is_said_to_end_earlier_and_the_other_way_round_not() {
    let mut host = Host::plain();
    let (_, hold) = BEGUN[0];
    let first = hold(&host, "", None);
    host.operator(first);
    let shorter = hold(&host, "", Some(120));
    let said = host.operator(shorter);
    assert!(said.ends_with("; this replaces the hold by ann without an end; it ends earlier than that"), "{said}");
    let until = host.now.plus(secs(120)).wall;
    let endless = hold(&host, "", None);
    let said = host.operator(endless);
    assert!(said.ends_with(&format!("; this replaces the hold by ann until {until}")), "{said}");
}
