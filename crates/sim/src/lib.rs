//! The production engine under seeded faults: a small world of units that break, a clock that jumps, operators that
//! meddle, a disk that fills, an agent that is killed. After each step the invariants are checked, first safety, then,
//! when the faults have stopped, liveness.
//!
//! All chance of a run flows from one seed; a failure prints it. No IO, no async: thousands of seeds a second.

pub mod checker;
pub mod random;
pub mod world;

use anyhow::{Result, bail};

/// Runs the seeds in `from..until`; stops at the first that breaks an invariant.
///
/// # Errors
/// The seed with what it broke.
pub fn run(from: u64, until: u64) -> Result<Totals> {
    let mut totals = Totals::default();
    for seed in from..until {
        match world::World::new(seed).run() {
            Ok(run) => totals.add(&run),
            Err(broken) => bail!("seed {seed}: {broken}"),
        }
    }
    Ok(totals)
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
        self.seeds += 1;
        self.steps += other.steps;
        self.actions += other.actions;
        self.healed += other.healed;
        self.escalated += other.escalated;
        self.restarts += other.restarts;
    }
}
