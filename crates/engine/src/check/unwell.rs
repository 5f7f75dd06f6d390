//! What a check has only while, or a while after, something is not well with it. Of thousands of checks nearly all have
//! none of it, and then it takes no room. It judges nothing.

use alloc::boxed::Box;

use ansai_model::{
    incident::SinceBy,
    text::Text,
    time::{MonoTime, Now},
};

use super::{restless::Restless, times::Times};

/// Since when something fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Since {
    pub(crate) at: Now,
    /// By what that is known.
    pub(crate) by: SinceBy,
    /// When the look ended that says so: of what it only missed nobody knows when in between it went.
    pub(crate) told: MonoTime,
}

/// What is remembered of a check that is not, or was not, well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unwell {
    /// Since when the first failing result of the current row says that it fails.
    pub(crate) failing_since: Option<Since>,
    /// What it had last seen when something happened to its unit, until that is seen to be well, and when.
    pub(crate) before: Option<(Now, Text)>,
    /// The first of the last looks in a row that could not tell how it is.
    pub(crate) unknown_since: Option<Now>,
    /// The first of the last looks in a row that found it well and warning.
    pub(crate) warned_since: Option<Now>,
    /// So many they are.
    pub(super) warnings: u32,
    /// Since when failing looks were not judged for a start, with no answer in between.
    pub(crate) spared_since: Option<MonoTime>,
    /// When the hard state changed, for flapping.
    pub(super) changes: Times<MonoTime>,
    /// Restarts that systemd did by itself, for loops.
    pub(super) restarts: Times<MonoTime>,
    /// The same over a longer time, for slow loops.
    pub(crate) restless: Restless,
}

impl Unwell {
    const NOTHING: Self = Self {
        failing_since: None,
        before: None,
        unknown_since: None,
        warned_since: None,
        warnings: 0,
        spared_since: None,
        changes: Times::NONE,
        restarts: Times::NONE,
        restless: Restless::NONE,
    };
}

/// The place of it in a check's state.
#[derive(Clone, Debug, Default)]
pub(super) struct Seldom(Option<Box<Unwell>>);

static NOTHING: Unwell = Unwell::NOTHING;

impl Seldom {
    pub(super) fn get(&self) -> &Unwell {
        self.0.as_deref().unwrap_or(&NOTHING)
    }

    /// To take note of something.
    pub(super) fn note(&mut self) -> &mut Unwell {
        self.0.get_or_insert_with(|| Box::new(Unwell::NOTHING))
    }

    /// What there is, to be forgotten in part or changed.
    pub(super) fn any(&mut self) -> Option<&mut Unwell> {
        self.0.as_deref_mut()
    }

    /// Gives the room back once there is nothing left.
    pub(super) fn settle(&mut self) {
        if self.0.as_deref().is_some_and(|unwell| *unwell == NOTHING) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CheckState;

    #[test]
    fn what_is_well_takes_no_room_for_it_and_gives_it_back() {
        let mut seldom = Seldom::default();
        seldom.note().changes.keep(MonoTime(1));
        seldom.note().unknown_since = Some(Now::default());
        seldom.settle();
        assert_eq!(seldom.get().changes.len(), 1, "there is something left");
        seldom.note().changes.forget(|_| true);
        seldom.note().unknown_since = None;
        seldom.settle();
        assert!(seldom.any().is_none());
        let size = size_of::<CheckState>();
        assert!(size <= 264, "{size} bytes for each of thousands of checks");
    }
}
