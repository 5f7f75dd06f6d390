//! Which units let connections wait: one question to the kernel for the whole host, kept for a few seconds, and whose they are
//! found out only of those that waited twice. It judges nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ansai_model::id::UnitName;

use super::bus::Bus;
use crate::linux::{
    aside::{self, Kind, Work},
    backlog::{self, Backlog},
    listening,
};

/// How long an answer is kept.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// How often whose sockets they are is found out, which reads what each process of the host has open.
const OWNERS_EVERY: Duration = Duration::from_secs(30);
/// Longest wait for either.
const ASKED_TIME: Duration = Duration::from_secs(2);

/// What is known of queues.
#[derive(Debug, Default)]
pub(super) struct Queues {
    asked: Option<Instant>,
    owned: Option<Instant>,
    /// At the last two times.
    waiting: BTreeMap<u64, Backlog>,
    before: BTreeSet<u64>,
    /// Whose sockets they are, of those that were asked for.
    units: BTreeMap<u64, UnitName>,
}

impl Queues {
    /// Whether the kernel has to be asked again; who is told so asks.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.asked.is_none_or(|asked| now.duration_since(asked) >= ASKED_EVERY);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// Takes an answer in; says of which sockets the owner has to be found out.
    fn saw(&mut self, now: Instant, waiting: Vec<Backlog>) -> BTreeSet<u64> {
        self.before = self.waiting.keys().copied().collect();
        self.waiting = waiting.into_iter().map(|one| (one.inode, one)).collect();
        let twice: BTreeSet<u64> =
            self.before.iter().copied().filter(|inode| self.waiting.contains_key(inode)).collect();
        self.units.retain(|inode, _| twice.contains(inode));
        let is_due = self.owned.is_none_or(|owned| now.duration_since(owned) >= OWNERS_EVERY);
        if !is_due || twice.iter().all(|inode| self.units.contains_key(inode)) {
            return BTreeSet::new();
        }
        self.owned = Some(now);
        twice
    }

    /// The fullest queue of a unit.
    fn of(&self, unit: &UnitName) -> Option<Backlog> {
        let own = self.units.iter().filter(|(_, owner)| *owner == unit);
        own.filter_map(|(inode, _)| self.waiting.get(inode)).max_by_key(|one| (one.is_full, one.waiting)).cloned()
    }
}

/// The fullest queue of a unit in which connections wait for longer than a moment.
pub(super) async fn of(bus: &Bus, root: &Path, unit: &UnitName) -> Option<Backlog> {
    let now = Instant::now();
    if bus.with_queues(|queues| queues.is_due(now)) {
        let work = Work::new(Kind::Look, "the queues of this host");
        if let Ok(waiting) = aside::run(work, ASKED_TIME, backlog::all).await {
            let unknown = bus.with_queues(|queues| queues.saw(now, waiting));
            if !unknown.is_empty() {
                find_owners(bus, root.to_owned(), unknown).await;
            }
        }
    }
    // A process is known by its unit's own name.
    let own = bus.own_name(unit);
    bus.with_queues(|queues| queues.of(&own))
}

async fn find_owners(bus: &Bus, root: PathBuf, inodes: BTreeSet<u64>) {
    let work = Work::new(Kind::Look, "whose queues these are");
    let Ok(found) = aside::run(work, ASKED_TIME, move || listening::owners(&root, &inodes)).await else { return };
    let unit = |owners: Vec<crate::linux::port_owner::Owner>| {
        let units: BTreeSet<String> = owners.into_iter().filter_map(|owner| owner.unit).collect();
        let mut daemons = units.into_iter().filter(|unit| unit.ends_with(".service"));
        let unit = daemons.next()?;
        // Where two hold one queue nobody knows whose connections wait.
        if daemons.next().is_some() { None } else { UnitName::new(unit).ok() }
    };
    let units: BTreeMap<u64, UnitName> =
        found.into_iter().filter_map(|(inode, owners)| Some((inode, unit(owners)?))).collect();
    bus.with_queues(|queues| queues.units.extend(units));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::backlog::At;

    #[test]
    fn only_of_what_waits_twice_the_owner_is_asked_for_and_seldom() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let waits = |inode, waiting, is_full| Backlog { inode, at: At::Port(80), waiting, is_full };
        let unit = UnitName::new("app.service").expect("valid");
        let mut queues = Queues::default();
        assert_eq!((queues.is_due(at(0)), queues.is_due(at(1)), queues.is_due(at(5))), (true, false, true));
        assert!(queues.saw(at(0), vec![waits(1, 1, false), waits(2, 1, false)]).is_empty());
        assert_eq!(queues.saw(at(5), vec![waits(1, 2, false), waits(3, 1, false)]), BTreeSet::from([1]));
        queues.units.insert(1, unit.clone());
        assert_eq!(queues.of(&unit).map(|one| one.waiting), Some(2));
        assert!(queues.saw(at(10), vec![waits(1, 2, true), waits(3, 1, false)]).is_empty(), "asked a moment ago");
        assert_eq!(queues.of(&unit).map(|one| one.is_full), Some(true));
        assert_eq!(queues.saw(at(40), vec![waits(1, 2, true), waits(3, 1, false)]), BTreeSet::from([1, 3]));
        assert!(queues.saw(at(45), Vec::new()).is_empty());
        assert_eq!(queues.of(&unit), None, "somebody accepted them");
    }
}
