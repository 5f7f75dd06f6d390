//! The production engine under seeded faults: a small world of units that break, a clock that jumps, operators that
//! meddle, a disk that fills, an agent that is killed. After each step the invariants are checked, first safety, then,
//! when the faults have stopped, liveness.
//!
//! All chance of a run flows from one seed; a failure prints it. No IO, no async: thousands of seeds a second.

pub mod checker;
pub mod fleet;
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
    run_seeds(from, until, |seed| {
        let run = world::World::new(seed).run()?;
        Ok(Totals { seeds: 1, ..run })
    })
}

/// What is counted over many runs.
trait Summed: Default + Send {
    fn add(&mut self, other: &Self);
}

/// Runs one seed after another on all processors.
fn run_seeds<T: Summed>(from: u64, until: u64, one: fn(u64) -> Result<T, String>) -> Result<T> {
    let (next, broken) = (AtomicU64::new(from), AtomicU64::new(until));
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<_> = thread::scope(|scope| {
        let begun: Vec<_> = (0..workers).map(|_| scope.spawn(|| run_some(&next, &broken, one))).collect();
        begun.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut totals = T::default();
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
fn run_some<T: Summed>(
    next: &AtomicU64,
    broken: &AtomicU64,
    one: fn(u64) -> Result<T, String>,
) -> (T, Option<(u64, String)>) {
    let mut totals = T::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= broken.load(Ordering::Relaxed) {
            return (totals, None);
        }
        // A panic is one more way to break, and its seed is worth as much.
        let run = panic::catch_unwind(|| one(seed));
        match run.unwrap_or_else(|_| Err("it panicked; the message above says where".to_owned())) {
            Ok(run) => totals.add(&run),
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

impl Summed for Totals {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.actions += other.actions;
        self.healed += other.healed;
        self.escalated += other.escalated;
        self.restarts += other.restarts;
    }
}
