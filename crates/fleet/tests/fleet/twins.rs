//! Two hosts with one identity.

use ansai_model::{fleet::FleetScope, observation::Health};
use ansai_protocol::{
    link::{Change, FeedId, FromController, RestraintsAt},
    record::Record,
};

use crate::paper::{Paper, secs, tells};

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
