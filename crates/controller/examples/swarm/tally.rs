//! What all agents together have seen: one place that each of them writes to and whoever measures reads.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::id::IncidentId;
use ansai_protocol::link::HostId;
use serde_json::{Value, json};

/// A clone is another handle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// Links that are up now, and how many ever were.
    up: usize,
    links: u64,
    /// Changes that are said and not kept.
    waiting: usize,
    /// How long changes took from said to kept, in microseconds.
    kept_after: Vec<u64>,
    /// Ended incidents that were said to be kept.
    promised: BTreeSet<(HostId, IncidentId)>,
    /// When hosts said that they obey, of the round under way, in nanoseconds of the boot clock.
    obeyed: Vec<i64>,
    /// How often a host was told restraints that are older than those that it has.
    older: u64,
    /// Why links ended last, when a controller said so.
    closed: Option<String>,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        // No code panics while it holds the lock half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn linked(&self) {
        let mut counts = self.lock();
        counts.up += 1;
        counts.links += 1;
    }

    pub(crate) fn parted(&self) {
        self.lock().up -= 1;
    }

    pub(crate) fn closed(&self, why: String) {
        self.lock().closed = Some(why);
    }

    pub(crate) fn said(&self, changes: usize) {
        self.lock().waiting += changes;
    }

    /// A change is kept so long after it was said; of which ended incident it was the last, if of one.
    pub(crate) fn kept(&self, after: Duration, ended: Option<(HostId, IncidentId)>) {
        let mut counts = self.lock();
        counts.waiting -= 1;
        counts.kept_after.push(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
        counts.promised.extend(ended);
    }

    pub(crate) fn obeys(&self) {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        self.lock().obeyed.push(boot.tv_sec.saturating_mul(1_000_000_000).saturating_add(boot.tv_nsec));
    }

    pub(crate) fn told_older(&self) {
        self.lock().older += 1;
    }

    pub(crate) fn begin_round(&self) {
        self.lock().obeyed.clear();
    }

    pub(crate) fn obeyed(&self) -> Vec<i64> {
        self.lock().obeyed.clone()
    }

    /// How long changes took since this was asked last.
    pub(crate) fn kept_after(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock().kept_after)
    }

    pub(crate) fn promised(&self) -> BTreeSet<(HostId, IncidentId)> {
        self.lock().promised.clone()
    }

    pub(crate) fn state(&self) -> Value {
        let counts = self.lock();
        let Counts { up, links, waiting, promised, older, closed, .. } = &*counts;
        json!({
            "up": up, "links": links, "waiting": waiting, "promised": promised.len(), "older": older, "closed": closed,
        })
    }
}
