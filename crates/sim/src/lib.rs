//! The production engine under seeded faults: a small world of units that break, a clock that jumps, operators that
//! meddle, a disk that fills, an agent that is killed. After each step the invariants are checked, first safety, then,
//! when the faults have stopped, liveness.
//!
//! All chance of a run flows from one seed; a failure prints it. No IO, no async: thousands of seeds a second.

pub mod checker;
pub mod random;
pub mod world;

use std::{
    num::NonZero,
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use anyhow::{Result, anyhow, bail};

/// Runs the seeds in `from..until` on all processors; stops at the first that breaks an invariant.
///
/// # Errors
/// The lowest such seed with what it broke: every seed below it has been run and is clean.
pub fn run(from: u64, until: u64) -> Result<Totals> {
    let (next, broken) = (AtomicU64::new(from), AtomicU64::new(until));
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<_> = thread::scope(|scope| {
        let begun: Vec<_> = (0..workers).map(|_| scope.spawn(|| run_some(&next, &broken))).collect();
        begun.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut totals = Totals::default();
    let mut first: Option<(u64, String)> = None;
    for part in parts {
        let (part, found) = part.map_err(|_| anyhow!("a thread that runs seeds panicked"))?;
        totals.add(&part);
        first = first.into_iter().chain(found).min_by_key(|(seed, _)| *seed);
    }
    match first {
        Some((seed, what)) => bail!("seed {seed}: {what}"),
        None => Ok(totals),
    }
}

/// Runs seeds as they come, until there are none or one below is broken.
fn run_some(next: &AtomicU64, broken: &AtomicU64) -> (Totals, Option<(u64, String)>) {
    let mut totals = Totals::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= broken.load(Ordering::Relaxed) {
            return (totals, None);
        }
        // A panic is one more way to break, and its seed is worth as much.
        let run = panic::catch_unwind(|| world::World::new(seed).run());
        match run.unwrap_or_else(|_| Err("it panicked; the message above says where".to_owned())) {
            Ok(run) => totals.add(&Totals { seeds: 1, ..run }),
            Err(what) => {
                broken.fetch_min(seed, Ordering::Relaxed);
                return (totals, Some((seed, what)));
            }
        }
    }
}

/// What happened in all runs together: a simulation in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Seeds run.
    pub seeds: u64,
    /// Steps of the engine.
    pub steps: u64,
    /// Disruptive actions.
    pub actions: u64,
    /// Incidents healed.
    pub healed: u64,
    /// Incidents escalated.
    pub escalated: u64,
    /// Agents killed and started again.
    pub restarts: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.actions += other.actions;
        self.healed += other.healed;
        self.escalated += other.escalated;
        self.restarts += other.restarts;
    }
}
