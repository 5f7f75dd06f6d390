//! The ramp: how many actions may be under way at once. It opens as they succeed and closes as they fail, so that many
//! services that died at once are back soon, and many that cannot be healed are not all tried at once.
//! It does not count what is under way; the gate of concurrency does.

use core::time::Duration;

use ansai_model::time::{MonoTime, Now};
use serde::{Deserialize, Serialize};

/// So many actions may begin at once when nothing is known yet.
const START: u32 = 4;
/// After so long without an outcome nothing is known any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// How wide the way is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    /// So many at once, as of the last outcome.
    width: u32,
    /// When that was; never before the first.
    changed: Option<MonoTime>,
}

impl Ramp {
    /// How many actions may be under way at once, at least 1 and at most `most`.
    #[must_use]
    pub fn width(&self, now: Now, most: u32) -> u32 {
        let is_known = self.changed.is_some_and(|at| now.mono.since(at) < FORGOTTEN_AFTER);
        let width = if is_known { self.width } else { START };
        width.clamp(1, most.max(1))
    }

    /// Why no more may be under way, in words.
    #[must_use]
    pub fn why(&self, now: Now, most: u32) -> &'static str {
        match self.width(now, most) >= most {
            true => "`agent.remediations_at_once` allows no more",
            false => "4 at first, one more with each that succeeds, half as many with each that fails",
        }
    }

    /// An action succeeded: one more may be under way, so that a full way doubles with each round.
    pub(crate) fn opens(&mut self, now: Now, most: u32) {
        *self = Self { width: self.width(now, most).saturating_add(1).min(most.max(1)), changed: Some(now.mono) };
    }

    /// A try failed: half as many may be.
    pub(crate) fn closes(&mut self, now: Now, most: u32) {
        *self = Self { width: (self.width(now, most) / 2).max(1), changed: Some(now.mono) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_by_success_closes_by_failure_and_forgets_both() {
        let now = Now::default();
        let mut ramp = Ramp::default();
        assert_eq!((ramp.width(now, 32), ramp.width(now, 2), ramp.width(now, 0)), (4, 2, 1));
        assert!(ramp.why(now, 32).starts_with(&alloc::format!("{START} at first")));
        for _ in 0..100 {
            ramp.opens(now, 32);
        }
        assert!(ramp.why(now, 32).contains("remediations_at_once"));
        assert_eq!(ramp.width(now, 32), 32);
        let widths: [u32; 7] = core::array::from_fn(|_| {
            ramp.closes(now, 32);
            ramp.width(now, 32)
        });
        assert_eq!(widths, [16, 8, 4, 2, 1, 1, 1]);
        ramp.opens(now, 32);
        assert_eq!((ramp.width(now, 32), ramp.width(now.plus(FORGOTTEN_AFTER), 32)), (2, 4));
    }
}
