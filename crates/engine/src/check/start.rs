//! When a unit was last started, by whomever: another run of it is a start. It judges nothing.

use core::time::Duration;

use ansai_model::{
    text::Text,
    time::{MonoTime, Now},
    unit::{ActiveState, UnitSnapshot},
};

/// A run that ends within this time was hardly well, whatever a look in between has found.
const SHORT: Duration = Duration::from_secs(60);

/// The last start of a unit that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// [`NEVER`] when none was seen: of thousands of checks each has room for it.
    at: MonoTime,
    /// When the run before that one was started, likewise.
    before: MonoTime,
    /// Which run of the unit that was.
    invocation: Option<Text>,
}

/// No time at which anything was started.
const NEVER: MonoTime = MonoTime(i64::MIN);

impl Default for Start {
    fn default() -> Self {
        Self { at: NEVER, before: NEVER, invocation: None }
    }
}

impl Start {
    /// Takes a look in. How long ago the start was is systemd's word, as far as the clock makes sense.
    pub(super) fn saw(&mut self, now: Now, unit: &UnitSnapshot) {
        let is_up = unit.active == ActiveState::Active;
        if !is_up || unit.invocation.is_none() || unit.invocation == self.invocation {
            return;
        }
        let age = unit.since.map_or(Duration::ZERO, |since| now.wall.since(since));
        (self.before, self.at) = (self.at, now.mono.minus(age));
        self.invocation.clone_from(&unit.invocation);
    }

    /// When the run began that was well before this one, which has failed since then: another one than was seen last, or the
    /// one before it when that did not last. Nothing when it failed in the run that was well.
    pub(crate) fn of_well_run(&self, unit: &UnitSnapshot, failed: MonoTime) -> Option<MonoTime> {
        let is_other = self.invocation.is_some() && unit.invocation.is_some() && unit.invocation != self.invocation;
        let was_short = self.at().is_some_and(|at| failed.since(at) < SHORT);
        match (is_other, was_short) {
            (true, _) => known(self.at),
            (false, true) => known(self.before),
            (false, false) => None,
        }
    }

    /// When the unit was last started, when that was seen.
    pub(crate) fn at(&self) -> Option<MonoTime> {
        known(self.at)
    }
}

fn known(at: MonoTime) -> Option<MonoTime> {
    (at != NEVER).then_some(at)
}
