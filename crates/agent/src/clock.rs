//! The agent's two clocks. The monotonic one goes on across restarts of the agent and of the host, so that cooldowns and
//! budgets outlive them; the wall clock may jump.

use std::time::{SystemTime, UNIX_EPOCH};

use ansai_model::time::{MonoTime, Now, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Reads both times. A copy reads the same clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: i64,
}

impl Clock {
    /// A clock that continues from the last moment that the ledger knows, when it knows one.
    ///
    /// Within one boot the system's clock is simply read on. After a reboot it has begun anew: the wall time that passed
    /// is added, and none when the wall clock went backwards, which only makes waits longer.
    #[must_use]
    pub fn continuing(last: Now) -> Self {
        let (system, wall) = (boot_time(), wall_time());
        if last.mono.0 <= system {
            return Self { offset: 0 };
        }
        let passed = i64::try_from(wall.since(last.wall).as_nanos()).unwrap_or(0);
        Self { offset: last.mono.0.saturating_add(passed).saturating_sub(system) }
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: MonoTime(boot_time().saturating_add(self.offset)), wall: wall_time() }
    }
}

/// Nanoseconds since the host started, time asleep included.
fn boot_time() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_after_a_reboot_and_never_back() {
        let now = Clock::continuing(Now::default()).now();
        let before = Now { mono: now.mono.plus(Duration::from_secs(1000)), wall: WallTime(now.wall.0 - 60_000) };
        let after = Clock::continuing(before).now();
        assert!(after.mono >= before.mono.plus(Duration::from_secs(60)), "{after:?}");
        let wall_went_back = Now { wall: WallTime(i64::MAX), ..before };
        assert!(Clock::continuing(wall_went_back).now().mono >= before.mono);
    }
}
