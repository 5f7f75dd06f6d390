//! When a unit was last started, by whomever: another run of it is a start. It judges nothing.

use core::time::Duration;

use ansai_model::{
    text::Text,
    time::{MonoTime, Now},
    unit::{ActiveState, UnitSnapshot},
};

/// The last start of a unit that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    at: Option<MonoTime>,
    /// Which run of the unit that was.
    invocation: Option<Text>,
}

impl Start {
    /// Takes a look in. How long ago the start was is systemd's word, as far as the clock makes sense.
    pub(super) fn saw(&mut self, now: Now, unit: &UnitSnapshot) {
        let is_up = unit.active == ActiveState::Active;
        if !is_up || unit.invocation.is_none() || unit.invocation == self.invocation {
            return;
        }
        let age = unit.since.map_or(Duration::ZERO, |since| now.wall.since(since));
        self.at = Some(now.mono.minus(age));
        self.invocation.clone_from(&unit.invocation);
    }

    /// When the unit was last started, when that was seen.
    pub(crate) fn at(&self) -> Option<MonoTime> {
        self.at
    }
}
