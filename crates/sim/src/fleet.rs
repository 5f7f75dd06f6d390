//! A fleet under seeded faults: production host engines against the production fleet engine, over connections that delay, part,
//! break and come back, with clocks that disagree, disks that fill, agents and a controller that are killed, a controller
//! that is brought back from a copy, and a cloned host. After each event the named functions of [`checks`] are asked, first
//! what must never happen, then, when the faults have stopped, what must have come about.

pub mod checks;
mod controller;
mod host;
mod made;
mod operators;
mod peace;
mod turmoil;
mod world;

/// What happened in all runs together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Seeds run.
    pub seeds: u64,
    /// Hosts in all of them.
    pub hosts: u64,
    /// Actions that hosts began.
    pub actions: u64,
    /// Restraints that operators set or ended, and that were answered with how many hosts obey.
    pub answered: u64,
    /// Orders that were answered.
    pub ordered: u64,
    /// Hosts that acknowledged a hold or a maintenance window.
    pub acknowledged: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Controllers killed and started again.
    pub killed: u64,
    /// Controllers brought back from a copy.
    pub restored: u64,
    /// Saves of the controller that failed.
    pub unsaved: u64,
    /// Hosts that were cloned.
    pub clones: u64,
    /// Messages to people that hosts have told by themselves.
    pub told_by_hosts: u64,
    /// Those that the controller has told for them.
    pub told_by_controller: u64,
}

impl crate::Summed for Totals {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.hosts += other.hosts;
        self.actions += other.actions;
        self.answered += other.answered;
        self.ordered += other.ordered;
        self.acknowledged += other.acknowledged;
        self.broken += other.broken;
        self.killed += other.killed;
        self.restored += other.restored;
        self.unsaved += other.unsaved;
        self.clones += other.clones;
        self.told_by_hosts += other.told_by_hosts;
        self.told_by_controller += other.told_by_controller;
    }
}

/// Runs the seeds in `from..until`, each with a fleet of its own.
///
/// # Errors
/// The lowest seed that broke something, with what it broke.
pub fn run(from: u64, until: u64) -> anyhow::Result<Totals> {
    crate::run_seeds(from, until, |seed| {
        let totals = world::World::new(seed).run()?;
        Ok(Totals { seeds: 1, ..totals })
    })
}
