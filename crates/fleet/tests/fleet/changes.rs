//! What hosts tell is kept once, and confirmed when it is.

use ansai_model::observation::Health;
use ansai_protocol::{
    link::{Change, FromController},
    record::Record,
};

use crate::paper::{Paper, secs, target, tells};

fn one() -> Paper {
    Paper::of(&[("web-1", "web")])
}

fn confirmed(fleet: &Paper) -> Vec<u64> {
    let through = fleet.sent.iter().filter_map(|(_, message)| match message {
        FromController::Kept { through } => Some(*through),
        _ => None,
    });
    through.collect()
}

fn told(fleet: &Paper) -> usize {
    fleet.kept.iter().filter(|record| matches!(record, Record::Target(_))).count()
}

#[test]
fn what_comes_again_is_kept_once() {
    let mut fleet = one();
    let changes = || vec![tells("a.service", Health::Healthy), tells("b.service", Health::Failing)];
    fleet.changes(1, 1, changes());
    fleet.changes(1, 1, changes());
    assert_eq!((told(&fleet), confirmed(&fleet)), (2, vec![2, 2]));
    // The link broke, and some of it was on its way.
    let mut more = changes();
    more.push(tells("c.service", Health::Healthy));
    fleet.changes(1, 1, more);
    assert_eq!((told(&fleet), confirmed(&fleet)), (3, vec![2, 2, 3]));
}

#[test]
fn a_telling_that_is_whole_ends_what_it_does_not_name_and_half_a_one_counts_nothing() {
    let mut fleet = one();
    fleet.changes(
        1,
        1,
        vec![Change::Anew, tells("a.service", Health::Healthy), tells("b.service", Health::Healthy), Change::Told],
    );
    let host = fleet.identity(1).host;
    assert_eq!(fleet.engine.books().targets[&host].len(), 2);
    fleet.changes(1, 5, vec![Change::Anew, tells("b.service", Health::Healthy)]);
    assert_eq!((confirmed(&fleet), fleet.engine.books().targets[&host].len()), (vec![4], 2));
    fleet.changes(1, 7, vec![Change::Told]);
    assert_eq!(confirmed(&fleet), [4, 7]);
    assert_eq!(fleet.engine.books().targets[&host].iter().collect::<Vec<_>>(), [&target("b.service")]);
}

#[test]
fn while_nothing_can_be_kept_nothing_is_taken_and_all_comes_again() {
    let mut fleet = one();
    fleet.disk_is_full = true;
    fleet.changes(1, 1, vec![tells("a.service", Health::Healthy)]);
    assert_eq!((told(&fleet), confirmed(&fleet)), (0, vec![]));
    assert_eq!(fleet.closed.len(), 1);
    fleet.connects(2, 1);
    fleet.changes(2, 1, vec![tells("a.service", Health::Healthy)]);
    fleet.passes(secs(10), &[2]);
    assert_eq!((told(&fleet), confirmed(&fleet), fleet.closed.len()), (0, vec![], 1));
    // There is room again: who was not heard out is asked to come again.
    fleet.disk_is_full = false;
    fleet.passes(secs(10), &[2]);
    assert_eq!(fleet.closed.len(), 2);
    fleet.connects(3, 1);
    fleet.changes(3, 1, vec![tells("a.service", Health::Healthy)]);
    assert_eq!((told(&fleet), confirmed(&fleet)), (1, vec![1]));
}

#[test]
fn what_cannot_be_understood_is_counted_as_told() {
    let mut fleet = one();
    fleet.changes(1, 1, vec![Change::Unknown, Change::Lost { count: 7 }]);
    assert_eq!(confirmed(&fleet), [2]);
    let lost = fleet
        .kept
        .iter()
        .any(|record| matches!(record, Record::Audit(one) if one.what.as_str().contains("could not tell 7")));
    assert!(lost);
}

#[test]
fn one_host_tells_no_more_than_may_be_kept_of_it() {
    let mut fleet = one();
    let most = ansai_fleet::limits::TARGETS_OF_HOST_MAX as u64;
    for first in (1..=most + 500).step_by(250) {
        let changes =
            (first..first + 250).map(|number| tells(&format!("s{number}.service"), Health::Healthy)).collect();
        fleet.changes(1, first, changes);
    }
    let host = fleet.identity(1).host;
    assert_eq!(fleet.engine.books().targets[&host].len() as u64, most);
}
