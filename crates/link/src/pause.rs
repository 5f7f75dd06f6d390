//! How long to wait before dialing: full jitter, so that hosts that lost their controller in one moment do not come back in one
//! (Marc Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). It has no clock and no chance of its own.

use std::time::Duration;

/// The first wait is shorter than this.
const FIRST: Duration = Duration::from_secs(2);
/// Every wait is shorter than this.
pub const MOST: Duration = Duration::from_secs(15);

/// Counts how often it did not work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    failures: u32,
}

impl Pause {
    /// How long to wait before the next try, by a number that came by chance: anything up to twice as much as the last time,
    /// from two seconds up to [`MOST`].
    pub fn next(&mut self, chance: u32) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(8)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis((u64::from(chance).saturating_mul(millis)) >> 32)
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_most_and_begin_anew() {
        let mut pause = Pause::default();
        let longest: Vec<u128> = (0..5).map(|_| pause.next(u32::MAX).as_millis()).collect();
        assert_eq!(longest, [1999, 3999, 7999, 14999, 14999]);
        assert_eq!(pause.next(0), Duration::ZERO, "anything from nothing on");
        for _ in 0..100 {
            assert!(pause.next(u32::MAX) < MOST);
        }
        pause.reset();
        assert!(pause.next(u32::MAX) < FIRST);
    }
}
