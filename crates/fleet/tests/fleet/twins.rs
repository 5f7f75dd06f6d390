//! Two hosts with one identity.

use ansai_model::{
    fleet::{FleetScope, RESTRAINTS_MAX, RestraintKind},
    observation::Health,
    policy::Scope,
};
use ansai_protocol::{
    link::{Change, FeedId, FromController, RestraintsAt},
    operation::FleetOperation,
    record::Record,
};

use crate::paper::{Paper, TOKEN, secs, tells};

#[test]
fn two_that_speak_under_one_identity_are_both_held_and_are_one_incident() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.connects(7, 1);
    fleet.sent.clear();
    fleet.passes(secs(11), &[1, 7, 2]);
    for session in [1, 7] {
        let set = fleet.set(session).expect("it is told");
        assert_eq!((set.restraints.len(), set.restraints[0].by.as_str()), (1, "the controller"));
    }
    assert_eq!((fleet.set(2), fleet.closed.len(), fleet.own().len()), (None, 0, 1));
    assert!(fleet.own()[0].contains("two hosts have the identity of web-1"), "{:?}", fleet.own());
    fleet.passes(secs(60), &[1, 7, 2]);
    assert_eq!((fleet.own().len(), fleet.engine.books().restraints.len(), fleet.told.len()), (1, 1, 1));
    // Both must have acknowledged.
    let obey = |fleet: &Paper| fleet.engine.restraints().next().expect("one").1.acknowledged;
    fleet.acknowledges(1);
    assert_eq!(obey(&fleet), 0);
    fleet.acknowledges(7);
    assert_eq!(obey(&fleet), 1);
    // One of them leaves; a person releases the other.
    fleet.disconnects(7);
    fleet.passes(secs(1), &[]);
    assert_eq!((fleet.own().len(), fleet.engine.books().restraints.len()), (0, 1));
    fleet.releases(FleetScope::Host("web-1".into()));
    fleet.passes(secs(30), &[1, 2]);
    assert_eq!(fleet.engine.books().restraints.len(), 0);
}

/// What is not kept is no hold: until there is one, both are told again and again to begin nothing.
#[test]
fn twins_that_cannot_be_held_stand_back_for_as_long_as_that_is_so() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    let stood_back = |fleet: &mut Paper, session: u64| -> usize {
        let told = fleet.sent.extract_if(.., |(to, message)| {
            *to == session && matches!(message, FromController::StandBack { lasts_ms: 30_000, .. })
        });
        told.count()
    };
    // Something that concerns no connection finds out that nothing can be kept.
    fleet.disk_is_full = true;
    fleet.operates(FleetOperation::RevokeToken { id: TOKEN });
    fleet.connects(7, 1);
    fleet.passes(secs(12), &[1, 7, 2]);
    assert_eq!([1, 7, 2].map(|session| stood_back(&mut fleet, session)), [1, 1, 0]);
    fleet.passes(secs(60), &[1, 7, 2]);
    let again = [1, 7, 2].map(|session| stood_back(&mut fleet, session));
    assert!((5..=6).contains(&again[0]) && again[1] == again[0] && again[2] == 0, "{again:?}");
    assert_eq!((fleet.closed.len(), fleet.engine.books().restraints.len()), (0, 0), "{:?}", fleet.closed);
    // Who is held needs it no more, and neither does who is alone.
    fleet.disk_is_full = false;
    fleet.passes(secs(40), &[1, 7, 2]);
    assert_eq!(fleet.engine.books().restraints.len(), 1);
    assert_eq!(stood_back(&mut fleet, 1) + stood_back(&mut fleet, 7), 0);
    fleet.disk_is_full = true;
    fleet.operates(FleetOperation::RevokeToken { id: TOKEN });
    fleet.connects(8, 2);
    fleet.disconnects(2);
    fleet.passes(secs(60), &[1, 7, 8]);
    assert_eq!(stood_back(&mut fleet, 8), 0);
}

/// Operators leave room for the holds of twins, but not for all that there can be.
#[test]
fn twins_for_whose_hold_there_is_no_room_stand_back() {
    let names: Vec<String> = (1..=40).map(|number| format!("web-{number}")).collect();
    let hosts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "web")).collect();
    let mut fleet = Paper::of(&hosts);
    for number in 0..RESTRAINTS_MAX {
        let scope = Scope::Matching(vec![format!("app-{number}.service")]);
        let (kind, over) = (RestraintKind::Hold, FleetScope::Fleet);
        fleet.asks(FleetOperation::Restrain { kind, over, scope, reason: "moving".into(), lasts: None });
    }
    let before = fleet.engine.books().restraints.len();
    (1..=40).for_each(|number| fleet.connects(100 + u64::from(number), number));
    let all: Vec<u64> = (1..=40).chain(101..=140).collect();
    fleet.passes(secs(12), &all);
    let held = fleet.engine.books().restraints.len() - before;
    let told =
        |session: u64, message: &FromController| session > 100 && matches!(message, FromController::StandBack { .. });
    let stand_back = fleet.sent.iter().filter(|(session, message)| told(*session, message)).count();
    assert!((1..40).contains(&held), "{held} are held");
    assert_eq!(held + stand_back, 40);
}

#[test]
fn a_connection_that_is_only_not_seen_to_be_gone_is_no_twin() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.passes(secs(20), &[1]);
    fleet.connects(7, 1);
    // What was still on its way arrives.
    fleet.beats(1);
    fleet.passes(secs(60), &[7]);
    assert_eq!((fleet.own().len(), fleet.engine.books().restraints.len()), (0, 0));
}

#[test]
fn what_a_twin_told_is_told_again_when_it_is_alone() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.connects(7, 1);
    fleet.passes(secs(11), &[1, 7]);
    fleet.changes(7, 1, vec![tells("a.service", Health::Failing)]);
    let kept = |fleet: &Paper| fleet.kept.iter().filter(|one| matches!(one, Record::Target(_))).count();
    assert_eq!(kept(&fleet), 0, "it would mix with what the other tells");
    fleet.disconnects(1);
    fleet.changes(7, 2, vec![tells("b.service", Health::Healthy)]);
    fleet.passes(secs(1), &[]);
    assert_eq!((kept(&fleet), fleet.closed.len()), (0, 1));
    fleet.connects(8, 1);
    fleet.changes(8, 1, vec![tells("a.service", Health::Failing), tells("b.service", Health::Healthy)]);
    assert_eq!(kept(&fleet), 2);
}

/// A controller that is killed before it has had them tell everything knows all the same that what it has is mixed.
#[test]
fn what_two_have_told_is_told_anew_to_a_controller_that_was_killed_meanwhile() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    let whole = |health| vec![Change::Anew, tells("a.service", health), Change::Told];
    fleet.changes(1, 1, whole(Health::Healthy));
    let mut hello = fleet.hello(1, RestraintsAt::default());
    hello.feed = FeedId::of_chance([7; 16]);
    fleet.connects_with(7, 1, hello);
    fleet.changes(7, 1, whole(Health::Failing));
    fleet.changes(1, 4, vec![tells("b.service", Health::Healthy)]);
    fleet.is_killed();
    fleet.connects(8, 1);
    let welcome = fleet.sent.iter().rev().find_map(|(session, message)| match message {
        FromController::Welcome(welcome) if *session == 8 => Some(welcome.kept),
        _ => None,
    });
    let goes_on_from = welcome.expect("it is welcome").map_or(0, |(_, through)| through);
    assert_eq!(goes_on_from, 0, "a.service is told as the other one has it");
}
