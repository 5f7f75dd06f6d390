//! What is remembered of containers between two looks, and what the stream of events adds to it: which run was seen failing,
//! how often an engine restarted it of late, and whom a stop came from.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{
    domain::container::{ContainerFacts, ContainerProbe, ContainerSnapshot, EndedBy},
    inventory::Inventory,
    time::WallTime,
};

use super::{engines::Engine, events::Listeners};

/// Most restarts that are remembered of one container.
const RESTARTS_MAX: usize = 64;
/// Most stops that are remembered.
const STOPS_MAX: usize = 4_096;
/// How long one that hangs is left alone at first, and at most: each question that is not answered stays with its engine.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSE_MAX: Duration = Duration::from_secs(900);

/// Which run of which container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) started: Option<WallTime>,
}

/// What is remembered of one container.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) engine: Option<Engine>,
    /// The run that was last found failing, and how it was looked at.
    pub(super) failing: Option<(Run, ContainerProbe)>,
    /// Whether a restart of ours is under way.
    pub(super) is_being_restarted: bool,
    id: String,
    restarts: u32,
    restarted: VecDeque<Instant>,
    hangs: Option<Hangs>,
}

/// That it has not answered.
#[derive(Clone, Copy, Debug)]
struct Hangs {
    since: Instant,
    until: Instant,
    pause: Duration,
}

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(in crate::linux::domain) struct Seen {
    known: Mutex<BTreeMap<String, Known>>,
    /// What was last found of each engine; one that does not answer has what it had.
    pub(super) facts: Mutex<BTreeMap<Engine, Vec<ContainerFacts>>>,
    /// By id: what never changes of a container, its facts without what it needs.
    pub(super) fixed: Mutex<BTreeMap<String, ContainerFacts>>,
    pub(super) listeners: Listeners,
    /// The engines, and when they were looked for.
    pub(super) engines: tokio::sync::Mutex<Option<(Instant, Vec<Engine>)>>,
}

/// Held for a moment; whoever broke off while holding it left a whole value.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// What is remembered of a container.
    pub(super) fn of(&self, name: &str) -> Known {
        held(&self.known).get(name).cloned().unwrap_or_default()
    }

    /// Changes what is remembered of a container.
    pub(super) fn change<T>(&self, name: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = held(&self.known);
        if known.len() >= Inventory::CONTAINERS_MAX && !known.contains_key(name) {
            // They are found anew by the next looks.
            known.clear();
        }
        change(known.entry(name.to_owned()).or_default())
    }
}

impl Known {
    /// Takes a look in: says how often its engine restarted it within so long, as far as looks saw it.
    pub(super) fn counts(&mut self, run: &Run, seen: &ContainerSnapshot, within: Duration, now: Instant) -> u32 {
        self.hangs = None;
        if self.id != run.id {
            (self.id, self.restarts) = (run.id.clone(), seen.restarts);
            self.restarted.clear();
        }
        // Somebody who starts it begins the engine's count anew.
        if seen.restarts < self.restarts {
            self.restarted.clear();
        }
        for _ in 0..seen.restarts.saturating_sub(self.restarts).min(u32::try_from(RESTARTS_MAX).unwrap_or(u32::MAX)) {
            self.restarted.push_back(now);
        }
        self.restarts = seen.restarts;
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > within;
        while self.restarted.len() > RESTARTS_MAX || self.restarted.front().is_some_and(is_old) {
            self.restarted.pop_front();
        }
        u32::try_from(self.restarted.len()).unwrap_or(u32::MAX)
    }

    /// It has not answered: it is left alone for a while, longer each time.
    pub(super) fn hangs(&mut self, now: Instant) {
        let before = self.hangs;
        let pause = before.map_or(PAUSE, |hangs| (hangs.pause * 2).min(PAUSE_MAX));
        self.hangs = Some(Hangs { since: before.map_or(now, |hangs| hangs.since), until: now + pause, pause });
    }

    /// Since when it has not answered, while it is left alone for that.
    pub(super) fn is_left_alone(&self, now: Instant) -> Option<Duration> {
        let hangs = self.hangs.filter(|hangs| now < hangs.until)?;
        Some(now.saturating_duration_since(hangs.since))
    }
}

/// Stops that somebody asked an engine for, as its events told of them.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// When by whom it was ended last, by id.
    asked: BTreeMap<String, WallTime>,
}

impl Stops {
    /// Somebody asked for its end.
    pub(super) fn asked(&mut self, id: &str, at: WallTime) {
        if self.asked.len() >= STOPS_MAX {
            self.asked.clear();
        }
        self.asked.insert(id.to_owned(), at);
    }

    /// It was started: what ends it later is another matter.
    pub(super) fn started(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// Who ended its last run, from when to when that lasted; it was listened since then without a break.
    pub(super) fn ended_by(
        &self,
        id: &str,
        (started, finished): (Option<WallTime>, Option<WallTime>),
        since: Option<WallTime>,
    ) -> EndedBy {
        if self.asked.get(id).is_some_and(|at| started.is_none_or(|started| started <= *at)) {
            return EndedBy::Somebody;
        }
        match (finished, since) {
            (Some(finished), Some(since)) if since < finished => EndedBy::Itself,
            _ => EndedBy::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_counted_as_looks_see_them_and_forgotten_in_time() {
        let (within, begun) = (Duration::from_secs(600), Instant::now());
        let run = |id: &str| Run { id: id.into(), started: None };
        let seen = |restarts| ContainerSnapshot { restarts, ..ContainerSnapshot::running(None) };
        let mut known = Known::default();
        // What was before the first look is not of late.
        assert_eq!(known.counts(&run("a"), &seen(7), within, begun), 0);
        assert_eq!(known.counts(&run("a"), &seen(10), within, begun), 3);
        assert_eq!(known.counts(&run("a"), &seen(11), within, begun + within / 2), 4);
        assert_eq!(known.counts(&run("a"), &seen(11), within, begun + within * 11 / 10), 1);
        assert_eq!(known.counts(&run("a"), &seen(0), within, begun + within * 11 / 10), 0, "somebody started it");
        assert_eq!(known.counts(&run("a"), &seen(u32::MAX), within, begun + within * 11 / 10), 64);
        assert_eq!(known.counts(&run("b"), &seen(5), within, begun + within * 11 / 10), 0, "it is another one");
    }

    #[test]
    fn what_hangs_is_asked_less_and_less_often_until_it_answers() {
        let (mut known, begun) = (Known::default(), Instant::now());
        known.hangs(begun);
        assert_eq!(known.is_left_alone(begun + PAUSE / 2), Some(PAUSE / 2));
        assert_eq!(known.is_left_alone(begun + PAUSE), None);
        known.hangs(begun + PAUSE);
        assert_eq!(known.is_left_alone(begun + PAUSE * 2), Some(PAUSE * 2), "since it first did");
        (0..20).for_each(|_| known.hangs(begun));
        assert!(
            known.is_left_alone(begun + PAUSE_MAX - PAUSE).is_some()
                && known.is_left_alone(begun + PAUSE_MAX).is_none()
        );
        let run = Run { id: "a".into(), started: None };
        known.counts(&run, &ContainerSnapshot::running(None), PAUSE, begun);
        assert_eq!(known.is_left_alone(begun), None);
    }

    #[test]
    fn who_ended_it_is_known_only_to_who_listened() {
        let mut stops = Stops::default();
        let (before, at, after) = (WallTime(1), WallTime(2), WallTime(3));
        assert_eq!(stops.ended_by("a", (None, Some(at)), None), EndedBy::Unknown);
        assert_eq!(stops.ended_by("a", (None, Some(at)), Some(after)), EndedBy::Unknown);
        assert_eq!(stops.ended_by("a", (Some(before), Some(at)), Some(before)), EndedBy::Itself);
        stops.asked("a", at);
        assert_eq!(stops.ended_by("a", (Some(before), Some(at)), Some(before)), EndedBy::Somebody);
        let later = (Some(after), Some(WallTime(4)));
        assert_eq!(stops.ended_by("a", later, Some(before)), EndedBy::Itself, "that was an earlier run");
        stops.started("a");
        assert_eq!(stops.ended_by("a", (Some(before), Some(at)), Some(before)), EndedBy::Itself);
        (0..STOPS_MAX * 2).for_each(|number| stops.asked(&number.to_string(), at));
        assert!(stops.asked.len() <= STOPS_MAX);
    }
}
