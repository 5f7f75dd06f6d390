//! The looks that wait for a place: so many probes are under way at once, and the others are no more than a name.
//! It begins nothing; the shell does.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use ansai_model::id::CheckId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// ProbeQueue in the order in which they were asked for, each check once.
#[derive(Debug)]
pub(crate) struct ProbeQueue {
    waiting: VecDeque<CheckId>,
    /// The same, to be found: a check that is asked for anew while it waits does not wait twice.
    known: BTreeSet<CheckId>,
    places: Arc<Semaphore>,
    places_max: usize,
}

impl ProbeQueue {
    /// None yet; at most `places_max` under way.
    pub(crate) fn new(places_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(places_max));
        Self { waiting: VecDeque::new(), known: BTreeSet::new(), places, places_max }
    }

    /// A look is asked for.
    pub(crate) fn ask(&mut self, check: CheckId) {
        if self.known.insert(check.clone()) {
            self.waiting.push_back(check);
        }
    }

    /// The next one to begin, when there is one and a place for it. The place is free again when it is dropped.
    pub(crate) fn next(&mut self) -> Option<(CheckId, OwnedSemaphorePermit)> {
        self.waiting.front()?;
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let check = self.waiting.pop_front()?;
        self.known.remove(&check);
        Some((check, place))
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.places_max - self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_wait_for_a_place_in_order_and_once() {
        let check = |name: &str| CheckId::new(format!("service/{name}#unit")).expect("valid");
        let mut looks = ProbeQueue::new(1);
        for name in ["b", "a", "b"] {
            looks.ask(check(name));
        }
        let (first, place) = looks.next().expect("a place");
        assert_eq!((first, looks.under_way()), (check("b"), 1));
        assert!(looks.next().is_none(), "there is one place");
        looks.ask(check("b"));
        drop(place);
        assert_eq!(looks.next().map(|(check, _)| check), Some(check("a")));
        assert_eq!(looks.next().map(|(check, _)| check), Some(check("b")));
        assert!(looks.next().is_none());
        assert_eq!(looks.under_way(), 0);
    }
}
