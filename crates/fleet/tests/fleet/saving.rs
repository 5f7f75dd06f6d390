//! What was not kept was never said.

use ansai_model::{fleet::FleetScope, observation::Health};
use ansai_protocol::{
    link::{Change, JoinAnswer, RestraintsAt},
    operation::FleetOperation,
    record::Record,
};

use crate::paper::{Paper, hold, said, secs, short, target, tells};

#[test]
fn what_could_not_be_kept_is_refused_told_to_nobody_and_taken_back() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.holds(FleetScope::Fleet);
    for operation in [
        hold(FleetScope::Role("web".into())),
        FleetOperation::End {
            kind: ansai_model::fleet::RestraintKind::Hold,
            over: FleetScope::Fleet,
            scope: ansai_model::policy::Scope::All,
        },
        FleetOperation::Rename { host: "web-1".into(), name: short("www") },
        FleetOperation::Remove { host: "db-1".into() },
        FleetOperation::RevokeToken { id: crate::paper::TOKEN },
    ] {
        let before = fleet.engine.books().clone();
        fleet.disk_is_full = true;
        fleet.sent.clear();
        let answer = fleet.operates(operation.clone());
        assert!(said(&answer).contains("could not be kept: disk full"), "{answer:?}");
        assert_eq!((fleet.engine.books(), fleet.set(1)), (&before, None), "{operation:?}");
        // While it is so nothing is begun.
        assert!(said(&fleet.operates(operation)).contains("could not be kept"));
        assert!(matches!(fleet.joins(9, "new", "", true), JoinAnswer::Refused { .. }));
        fleet.disk_is_full = false;
        fleet.passes(secs(6), &[]);
        assert_eq!(fleet.engine.trouble(), None);
    }
    assert!(said(&fleet.operates(FleetOperation::RevokeToken { id: crate::paper::TOKEN })).starts_with("done"));
}

#[test]
fn a_join_that_could_not_be_kept_used_no_token() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.disk_is_full = true;
    assert!(matches!(fleet.joins(1, "web-1", "web", true), JoinAnswer::Refused { .. }));
    fleet.disk_is_full = false;
    fleet.passes(secs(6), &[]);
    assert!(matches!(fleet.joins(1, "web-1", "web", true), JoinAnswer::Joined(_)));
}

#[test]
fn a_controller_that_is_killed_goes_on_from_what_was_kept() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.holds(FleetScope::Role("web".into()));
    fleet.operates(FleetOperation::Rename { host: "db-1".into(), name: short("db-9") });
    fleet.operates(FleetOperation::Remove { host: "web-1".into() });
    let books = fleet.engine.books().clone();
    assert_eq!(fleet.replayed(), books);
    fleet.is_killed();
    assert_eq!(*fleet.engine.books(), books);
    assert_eq!(fleet.engine.restraints().next().expect("one").1.acknowledged, 0, "nobody has said that it obeys");
}

#[test]
fn what_a_host_has_no_more_is_gone_though_that_could_not_be_kept_at_first() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    let host = fleet.identity(1).host;
    let whole = |last: &str| vec![Change::Anew, tells(last, Health::Healthy), Change::Told];
    fleet.changes(1, 1, whole("a.service"));
    let before = fleet.engine.books().clone();
    fleet.disk_is_full = true;
    fleet.changes(1, 4, whole("b.service"));
    assert_eq!(*fleet.engine.books(), before);
    fleet.disk_is_full = false;
    fleet.passes(secs(6), &[]);
    fleet.connects(2, 1);
    fleet.changes(2, 4, whole("b.service"));
    for books in [&fleet.replayed(), fleet.engine.books()] {
        assert_eq!(books.targets[&host].iter().collect::<Vec<_>>(), [&target("b.service")]);
    }
}

#[test]
fn a_telling_of_which_a_part_could_not_be_kept_begins_anew() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.disk_is_full = true;
    fleet.changes(1, 1, vec![Change::Anew, tells("a.service", Health::Failing)]);
    fleet.disk_is_full = false;
    fleet.passes(secs(6), &[]);
    // The rest of it comes when all can be kept again.
    fleet.changes(1, 3, vec![tells("b.service", Health::Healthy), Change::Told]);
    let known = fleet.engine.books().targets.values().flatten().count();
    assert_eq!((known, fleet.closed.len()), (0, 1), "{:?}", fleet.closed);
}

#[test]
fn people_are_told_once_of_a_store_that_keeps_nothing_for_a_minute_and_when_it_does_again() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    let told = |fleet: &Paper| -> Vec<bool> {
        let of_the_store = fleet.told.iter().filter(|notice| notice.check.name() == "store");
        of_the_store.map(|notice| notice.is_over).collect()
    };
    fleet.disk_is_full = true;
    fleet.holds(FleetScope::Fleet);
    fleet.passes(secs(40), &[]);
    fleet.disk_is_full = false;
    fleet.passes(secs(10), &[]);
    assert!(told(&fleet).is_empty(), "a moment is everyday");
    fleet.disk_is_full = true;
    fleet.holds(FleetScope::Fleet);
    fleet.passes(secs(200), &[]);
    assert_eq!(told(&fleet), [false]);
    assert!(fleet.told[0].headline.as_str().contains("disk full"), "{:?}", fleet.told);
    fleet.disk_is_full = false;
    fleet.passes(secs(10), &[]);
    assert_eq!(told(&fleet), [false, true]);
}

/// Ten thousand hosts that only beat would otherwise write a thousand rows a second.
#[test]
fn a_beat_is_seldom_worth_a_row_and_what_is_news_is_at_once() {
    let rows = |fleet: &Paper| fleet.kept.iter().filter(|one| matches!(one, Record::Host(_))).count();
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.passes(secs(70), &[1, 2]);
    let before = rows(&fleet);
    fleet.passes(secs(600), &[1, 2]);
    let at_rest = rows(&fleet) - before;
    assert!((18..=20).contains(&at_rest), "{at_rest}");
    // While one is silent it counts when each of the others was heard.
    fleet.passes(secs(70), &[1]);
    let before = rows(&fleet);
    fleet.passes(secs(100), &[1]);
    assert_eq!(rows(&fleet) - before, 10);
    let mut hello = fleet.hello(1, RestraintsAt::default());
    hello.program = "1.6.0".into();
    fleet.connects_with(7, 1, hello);
    fleet.passes(secs(1), &[]);
    assert_eq!(fleet.replayed().hosts[&fleet.identity(1).host].program, short("1.6.0"));
}
