//! Which rotations of a log may be given up. It is said here, and nowhere else: what its owner's own rule does not keep, of
//! a row of rotations that its owner is known to have made.
//!
//! It decides from names and times alone, and touches nothing.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use super::name::{Naming, Order};

const DAY: i64 = 86_400;
/// How long a run takes that renames and compresses all rotations of a log.
const RUN: i64 = 6 * 3600;

/// What the owner of a log says of its rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux::domain::disk) struct Rule {
    /// How many are kept; `None` when their number is no limit.
    pub(in crate::linux::domain::disk) count: Option<u64>,
    /// How old they become, in days; `None` when age is no limit.
    pub(in crate::linux::domain::disk) days_max: Option<u64>,
    /// What they are called, and where they lie.
    pub(in crate::linux::domain::disk) naming: Naming,
    /// When the owner made the newest one, in seconds, by its own record; `None` when another mark has shown that it was
    /// the owner.
    pub(in crate::linux::domain::disk) made: Option<RangeInclusive<i64>>,
    /// The words by which it is known, as `rotate 4`.
    pub(in crate::linux::domain::disk) said: String,
    /// Where it stands, as `/etc/logrotate.d/app, line 3`.
    pub(in crate::linux::domain::disk) source: String,
}

/// One rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linux::domain::disk) struct Rotation {
    /// Its place in the row.
    pub(in crate::linux::domain::disk) order: Order,
    /// The second at which it was written to last.
    pub(in crate::linux::domain::disk) written: i64,
    /// The second at which it was renamed or made.
    pub(in crate::linux::domain::disk) changed: i64,
}

/// Which limit of the owner a rotation is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::linux::domain::disk) enum Beyond {
    /// As many newer ones as are kept are there.
    Count,
    /// It is older than any is kept.
    Age,
}

impl Rule {
    /// Why a rotation is given up, in words that follow its name.
    pub(in crate::linux::domain::disk) fn why(&self, beyond: Beyond) -> impl fmt::Display {
        let limit = match (beyond, self.days_max) {
            (Beyond::Age, Some(days)) => format!("maxage {days}"),
            _ => self.said.clone(),
        };
        format!("beyond `{limit}` of {}", self.source)
    }
}

/// What is known of all that share a place in the row.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The youngest.
    written: i64,
    /// The first and the last to be renamed.
    changed: (i64, i64),
}

/// For each rotation of one log, in the same order: which limit it is beyond, when it may be given up at all.
///
/// None is when the newest was not made at the time at which the owner says it rotated last: then somebody else rotates
/// this log too, as many programs do themselves, and keeps what the owner knows nothing of.
pub(in crate::linux::domain::disk) fn given_up(rule: &Rule, found: &[Rotation], now: i64) -> Vec<Option<Beyond>> {
    let mut row: BTreeMap<Order, Place> = BTreeMap::new();
    for Rotation { order, written, changed } in found.iter().copied() {
        let place = row.entry(order).or_insert(Place { written, changed: (changed, changed) });
        place.written = place.written.max(written);
        place.changed = (place.changed.0.min(changed), place.changed.1.max(changed));
    }
    let newest = match row.keys().next().copied() {
        Some(Order::Number(_)) => rule.naming.first().map(Order::Number),
        Some(Order::Date(_)) => row.keys().next_back().copied(),
        None => None,
    };
    let made = |rotation: &Rotation| rule.made.as_ref().is_none_or(|made| made.contains(&rotation.changed));
    if !found.iter().any(|rotation| Some(rotation.order) == newest && made(rotation)) {
        return vec![None; found.len()];
    }
    let places: BTreeMap<Order, u64> = match rule.naming.first() {
        None => row.keys().rev().copied().zip(0..).collect(),
        Some(first) => numbered(&row, first, rule.count),
    };
    let judge = |rotation: &Rotation| {
        let place = places.get(&rotation.order)?;
        let days = u64::try_from(now.saturating_sub(rotation.written) / DAY).unwrap_or(0);
        match (rule.count, rule.days_max) {
            (Some(count), _) if *place >= count => Some(Beyond::Count),
            (_, Some(days_max)) if days > days_max => Some(Beyond::Age),
            _ => None,
        }
    };
    found.iter().map(judge).collect()
}

/// The numbered ones that the owner made, by their place from 0 on: all that are kept, without a gap and none younger than
/// the one before, and behind them those that an earlier rule kept. These were renamed in one run, the last under that
/// rule. The run after it took the place behind the kept ones and left it empty; then one alone behind it may be
/// anybody's. A number that was skipped, or a younger one behind an older, shows a copy that was made by hand.
fn numbered(row: &BTreeMap<Order, Place>, first: u64, count: Option<u64>) -> BTreeMap<Order, u64> {
    let count = count.unwrap_or(u64::MAX);
    let mut places = BTreeMap::new();
    let (mut before, mut run, mut is_apart) = (i64::MAX, None, false);
    for place in 0.. {
        let order = Order::Number(first + place);
        let Some(found) = row.get(&order) else {
            if place != count {
                break;
            }
            is_apart = true;
            continue;
        };
        if place >= count {
            let (from, to) = run.unwrap_or(found.changed);
            run = Some((from.min(found.changed.0), to.max(found.changed.1)));
        }
        if found.written > before || run.is_some_and(|(from, to)| to - from > RUN) {
            break;
        }
        before = found.written;
        places.insert(order, place);
    }
    if is_apart && places.values().filter(|place| **place > count).count() < 2 {
        places.retain(|_, place| *place < count);
    }
    places
}
