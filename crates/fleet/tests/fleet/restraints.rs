//! What is said for many hosts at once: who gets it, and who is said to obey.

use std::time::Duration;

use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    policy::Scope,
};
use ansai_protocol::{
    link::RestraintsAt,
    operation::{FleetAnswer, FleetOperation},
};

use crate::paper::{Paper, hold, said, secs, short};

fn web() -> FleetScope {
    FleetScope::Role("web".into())
}

fn three() -> Paper {
    Paper::of(&[("web-1", "web"), ("web-2", "web"), ("db-1", "db")])
}

#[test]
fn a_hold_reaches_who_is_meant_and_is_answered_when_all_have_acknowledged() {
    let mut fleet = three();
    let request = fleet.holds(web());
    assert_eq!((fleet.set(1).map(|set| set.restraints.len()), fleet.set(3)), (Some(1), None));
    fleet.acknowledges(1);
    assert_eq!(fleet.answer(request), None);
    fleet.acknowledges(2);
    let answer = fleet.answer(request).expect("an answer");
    assert_eq!(
        said(answer),
        "done: held: every host of role web, all targets; until `ansai release --role web`; 2 of 2 hold"
    );
    let request = fleet.releases(web());
    assert_eq!(fleet.set(1).map(|set| (set.restraints.len(), set.generation)), Some((0, 2)));
    fleet.acknowledges(1);
    fleet.acknowledges(2);
    assert!(
        said(fleet.answer(request).expect("an answer"))
            .ends_with("1 hold for every host of role web ended; 2 of 2 know it")
    );
}

#[test]
fn who_is_not_reached_is_named_with_why() {
    let mut fleet = three();
    fleet.disconnects(2);
    fleet.passes(secs(30), &[1, 3]);
    let request = fleet.holds(FleetScope::Fleet);
    fleet.acknowledges(1);
    assert_eq!(fleet.answer(request), None);
    fleet.passes(Duration::from_secs(5), &[]);
    let answer = fleet.answer(request).expect("an answer in time");
    let text = said(answer);
    for piece in ["1 of 3 hold", "web-2 (not heard for 35s)", "db-1 (it has not answered yet)", "they act as before"] {
        assert!(text.contains(piece), "{text}");
    }
    // It is told as soon as it comes back, and is counted when it says so.
    fleet.connects(9, 2);
    assert_eq!(fleet.set(9).map(|set| set.restraints.len()), Some(1));
    let count = |fleet: &Paper| fleet.engine.restraints().next().expect("one").1.acknowledged;
    assert_eq!(count(&fleet), 1);
    fleet.acknowledges(9);
    assert_eq!(count(&fleet), 2);
}

#[test]
fn of_many_who_are_not_reached_the_first_by_name_are_named() {
    let mut fleet =
        Paper::of(&["web-7", "web-3", "web-6", "web-1", "web-5", "web-2", "web-4"].map(|name| (name, "web")));
    let request = fleet.holds(web());
    fleet.passes(Duration::from_secs(5), &[]);
    let text = said(fleet.answer(request).expect("an answer in time"));
    let names: Vec<&str> = text.split(" (it has not").filter_map(|part| part.rsplit(' ').next()).collect();
    assert_eq!(names[..5], ["web-1", "web-2", "web-3", "web-4", "web-5"], "{text}");
    assert!(text.contains("2 more"), "{text}");
    let (_, reached) = fleet.engine.restraints().next().expect("one");
    assert!(reached.missing.is_sorted_by_key(|one| one.host.clone()), "{:?}", reached.missing);
}

#[test]
fn one_that_goes_while_it_is_awaited_keeps_nobody_waiting() {
    let mut fleet = three();
    let request = fleet.holds(web());
    fleet.acknowledges(1);
    fleet.disconnects(2);
    assert!(said(fleet.answer(request).expect("an answer")).contains("1 of 2 hold; not reached: web-2"));
}

#[test]
fn what_is_older_newer_refused_or_anothers_is_no_acknowledgement() {
    let mut fleet = three();
    let first = fleet.holds(web());
    fleet.acknowledges(1);
    fleet.acknowledges(2);
    assert!(fleet.answer(first).is_some());
    let request = fleet.asks(FleetOperation::Restrain {
        kind: RestraintKind::Hold,
        over: FleetScope::Host("web-1".into()),
        scope: Scope::All,
        reason: "x".into(),
        lasts: None,
    });
    let at = fleet.set(1).expect("a set").age();
    for (age, refused) in [((at.0, at.1 - 1), None), ((at.0 + 1, 1), None), ((at.0, at.1 + 9), None), (at, Some("no"))]
    {
        fleet.acknowledges_with(1, age, refused);
        assert_eq!(fleet.answer(request), None, "{age:?} {refused:?}");
    }
    fleet.acknowledges_with(1, at, None);
    assert!(said(fleet.answer(request).expect("an answer")).contains("1 of 1 hold"));
}

#[test]
fn a_scope_that_means_nobody_or_nothing_is_refused() {
    let mut fleet = three();
    for over in [FleetScope::Role("wbe".into()), FleetScope::Host("web-9".into())] {
        let answer = fleet.operates(hold(over));
        assert!(
            matches!(&answer, FleetAnswer::NotFound { what, .. } if what.as_str().contains("none of the 3 hosts")),
            "{answer:?}"
        );
    }
    let empty = |scope, lasts| FleetOperation::Restrain {
        kind: RestraintKind::Silence,
        over: FleetScope::Fleet,
        scope,
        reason: "x".into(),
        lasts,
    };
    for (scope, lasts) in [
        (Scope::Matching(vec![]), Some(secs(60))),
        (Scope::All, None),
        (Scope::All, Some(Duration::ZERO)),
        (Scope::All, Some(Duration::MAX)),
    ] {
        let operation = empty(scope, lasts);
        assert!(fleet.engine.rehearse(&operation).is_err());
        assert!(matches!(fleet.operates(operation), FleetAnswer::Refused { .. }));
    }
    let over = FleetScope::Role(" ".into());
    assert!(matches!(fleet.operates(hold(over)), FleetAnswer::Refused { .. }));
    assert_eq!(fleet.engine.books().generation, 0);
    let nothing = fleet.operates(FleetOperation::End { kind: RestraintKind::Hold, over: web(), scope: Scope::All });
    assert!(matches!(nothing, FleetAnswer::NotFound { .. }));
}

#[test]
fn a_host_that_comes_is_told_what_is_in_force_and_one_that_has_it_is_not() {
    let mut fleet = three();
    fleet.holds(FleetScope::Fleet);
    fleet.acknowledges(1);
    fleet.disconnects(1);
    fleet.sent.clear();
    let hello = fleet.hello(1, RestraintsAt { epoch: 1, generation: 1 });
    fleet.connects_with(8, 1, hello);
    assert_eq!(fleet.set(8), None);
    assert_eq!(fleet.engine.restraints().next().expect("one").1.acknowledged, 1);
    fleet.connects(9, 2);
    assert_eq!(fleet.set(9).map(|set| set.restraints.len()), Some(1));
}

#[test]
fn a_host_that_is_called_otherwise_or_for_something_else_keeps_and_gets_what_concerns_it() {
    let mut fleet = three();
    fleet.holds(FleetScope::Host("web-1".into()));
    fleet.acknowledges(1);
    fleet.operates(FleetOperation::Rename { host: "web-1".into(), name: short("www") });
    let set = fleet.set(1).expect("a set");
    assert_eq!((set.restraints.len(), set.generation), (1, 2));
    assert_eq!(set.restraints[0].over, FleetScope::Host("www".into()));
    // It is for something else by its own configuration: what is held there holds it too.
    fleet.holds(FleetScope::Role("db".into()));
    fleet.disconnects(2);
    fleet.sent.clear();
    let mut hello = fleet.hello(2, RestraintsAt { epoch: 1, generation: 3 });
    hello.role = Some("db".into());
    fleet.connects_with(9, 2, hello);
    let obeys = |fleet: &Paper| fleet.engine.restraints().last().expect("one").1.acknowledged;
    fleet.passes(secs(1), &[]);
    assert_eq!(fleet.set(9).map(|set| set.restraints.len()), Some(1));
    assert_eq!(obeys(&fleet), 0, "it has said that it obeys what was before");
    fleet.acknowledges(9);
    assert_eq!(obeys(&fleet), 1);
}

#[test]
fn a_host_that_has_left_and_joined_anew_is_told_what_concerns_what_it_is_now() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.holds(FleetScope::Host("web-1".into()));
    let before = fleet.set(1).expect("it is told");
    fleet.joins(5, "web-5", "web", true);
    // Its ledger is the same.
    let hello = fleet.hello(5, RestraintsAt { epoch: before.epoch, generation: before.generation });
    fleet.connects_with(5, 5, hello);
    let after = fleet.set(5).expect("it is told");
    assert!(after.restraints.is_empty() && after.generation > before.generation, "{after:?}");
}

#[test]
fn one_that_is_said_again_is_replaced_and_keeps_its_reason() {
    let mut fleet = three();
    fleet.holds(FleetScope::Fleet);
    fleet.asks(FleetOperation::Restrain {
        kind: RestraintKind::Hold,
        over: FleetScope::Fleet,
        scope: Scope::All,
        reason: "".into(),
        lasts: Some(secs(60)),
    });
    let set = fleet.set(1).expect("a set");
    assert_eq!((set.restraints.len(), set.restraints[0].reason.as_str()), (1, "moving"));
    assert!(set.restraints[0].until.is_some());
    // It ends by itself, and is forgotten a while later, whatever the wall clock is set to meanwhile.
    fleet.now.wall.0 += 365 * 86_400_000;
    fleet.passes(secs(61), &[1, 2, 3]);
    assert_eq!(fleet.engine.books().restraints.len(), 1);
    fleet.passes(secs(61), &[1, 2, 3]);
    assert_eq!((fleet.engine.books().restraints.len(), fleet.engine.books().generation), (0, 3));
}

#[test]
fn no_more_are_set_than_may_be() {
    let mut fleet = three();
    for number in 0..300 {
        fleet.asks(FleetOperation::Restrain {
            kind: RestraintKind::Hold,
            over: FleetScope::Fleet,
            scope: Scope::Matching(vec![format!("s{number}")]),
            reason: "x".into(),
            lasts: None,
        });
    }
    assert_eq!(fleet.engine.books().restraints.len(), ansai_model::fleet::RESTRAINTS_MAX - 32);
    assert_eq!(fleet.set(1).expect("a set").check(), Ok(()));
}

#[test]
fn hosts_that_know_newer_restraints_are_an_incident_and_obey_nothing_of_this_controller() {
    let mut fleet = three();
    fleet.disconnects(1);
    let hello = fleet.hello(1, RestraintsAt { epoch: 1, generation: 40 });
    fleet.connects_with(9, 1, hello);
    fleet.passes(secs(1), &[]);
    assert!(fleet.own()[0].contains("web-1 know newer restraints"), "{:?}", fleet.own());
    let request = fleet.holds(FleetScope::Host("web-1".into()));
    fleet.acknowledges_with(9, (1, 40), Some("older"));
    fleet.passes(secs(5), &[]);
    assert!(said(fleet.answer(request).expect("an answer")).contains("0 of 1 hold"));
}
