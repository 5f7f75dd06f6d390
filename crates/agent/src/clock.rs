//! The agent's two clocks. The monotonic one goes on across restarts of the agent and of the host, so that cooldowns and
//! budgets outlive them; the wall clock may jump, and is watched for it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ansai_engine::state::Boot;
use ansai_model::{
    text::Text,
    time::{Jump, MonoTime, Now, WallTime},
};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// A host that says that it was off for longer had its clock set: that time is not believed, so waits are longer.
const OFF_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The kernel's name for this boot has 36 characters.
const BOOT_ID_BYTES_MAX: u64 = 128;

/// Where times are read: of the system, or of tokio's clock, which a test may pause. A clone is the same source.
#[derive(Clone, Debug, Default)]
pub struct TimeSource(Option<Arc<Simulated>>);

/// Times that are tokio's, and a wall clock that somebody may set.
#[derive(Debug)]
struct Simulated {
    begun: Instant,
    /// Nanoseconds of the boot clock when it began.
    boot: AtomicI64,
    /// Milliseconds since 1970 when it began.
    wall: AtomicI64,
    /// How often the host has booted.
    boots: AtomicI64,
}

impl TimeSource {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// Tokio's clock, on a host that booted an hour ago.
    #[must_use]
    pub fn simulated(wall: WallTime) -> Self {
        let boot = AtomicI64::new(3_600_000_000_000);
        Self(Some(Arc::new(Simulated {
            begun: Instant::now(),
            boot,
            wall: AtomicI64::new(wall.0),
            boots: AtomicI64::new(1),
        })))
    }

    /// Somebody sets the wall clock, by this many milliseconds. The system's own is left alone.
    pub fn jump(&self, milliseconds: i64) {
        if let Some(simulated) = &self.0 {
            simulated.wall.fetch_add(milliseconds, Relaxed);
        }
    }

    /// The host reboots: its boot clock begins anew. The system's own does not.
    pub fn reboot(&self) {
        if let Some(simulated) = &self.0 {
            simulated.boot.store(-nanos(simulated.begun.elapsed()), Relaxed);
            simulated.boots.fetch_add(1, Relaxed);
        }
    }

    /// Nanoseconds since the host started, time asleep included.
    fn boot_time(&self) -> i64 {
        match &self.0 {
            Some(simulated) => simulated.boot.load(Relaxed).saturating_add(nanos(simulated.begun.elapsed())),
            None => {
                let time = clock_gettime(ClockId::Boottime);
                time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
            }
        }
    }

    /// A name for this boot, that no other has; none when it cannot be known.
    fn boot_id(&self) -> Option<Text> {
        match &self.0 {
            Some(simulated) => Some(Text::new(simulated.boots.load(Relaxed).to_string())),
            None => {
                let id = ansai_files::text(Path::new("/proc/sys/kernel/random/boot_id"), BOOT_ID_BYTES_MAX).ok()?;
                Some(Text::new(id.trim())).filter(|id| !id.as_str().is_empty())
            }
        }
    }

    /// Time as on the wall; before 1970 it is negative.
    #[must_use]
    pub fn wall_time(&self) -> WallTime {
        match &self.0 {
            Some(simulated) => WallTime(simulated.wall.load(Relaxed)).plus(simulated.begun.elapsed()),
            None => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => WallTime::default().plus(since),
                Err(before) => WallTime(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms)),
            },
        }
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Reads both times. A clone reads the same clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    source: TimeSource,
    offset: i64,
    boot_id: Option<Text>,
}

impl Clock {
    /// A clock that continues from the last moment that a state knows, when it knows one.
    ///
    /// Within one boot the source's clock is simply read on, whatever the clock on the wall was set to meanwhile. After a
    /// reboot it has begun anew: the wall time that passed is added, and none when the wall clock went backwards, or says
    /// that the host was off for more than thirty days; both only make waits longer.
    #[must_use]
    pub fn continuing(source: TimeSource, last: Now, boot: Option<&Boot>) -> Self {
        let (time, wall, boot_id) = (source.boot_time(), source.wall_time(), source.boot_id());
        let same = boot.filter(|boot| Some(&boot.id) == boot_id.as_ref()).map(|boot| boot.offset);
        let goes_on = |offset: i64| last.mono.0 <= time.saturating_add(offset);
        // What an older version left says nothing of its boot.
        let same = same.or_else(|| boot.is_none().then_some(0)).filter(|offset| goes_on(*offset));
        let offset = same.unwrap_or_else(|| {
            let off = Some(wall.since(last.wall)).filter(|off| *off <= OFF_MAX).unwrap_or_default();
            last.mono.0.saturating_add(nanos(off)).saturating_sub(time)
        });
        Self { source, offset, boot_id }
    }

    /// What the next start needs to know to go on without the clock on the wall.
    #[must_use]
    pub fn boot(&self) -> Option<Boot> {
        Some(Boot { id: self.boot_id.clone()?, offset: self.offset })
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: MonoTime(self.source.boot_time().saturating_add(self.offset)), wall: self.source.wall_time() }
    }
}

/// Notices when somebody sets the wall clock.
#[derive(Clone, Debug, Default)]
pub struct JumpWatch {
    last: Option<Now>,
}

impl JumpWatch {
    /// Says how the wall clock jumped since the last look, when it did.
    pub fn look(&mut self, now: Now) -> Option<Jump> {
        let last = self.last.replace(now)?;
        Jump::between(last, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn time_goes_on_after_a_reboot_and_never_back() {
        let now = Clock::continuing(TimeSource::system(), Now::default(), None).now();
        let before = Now { mono: now.mono.plus(Duration::from_secs(1000)), wall: WallTime(now.wall.0 - 60_000) };
        let after = Clock::continuing(TimeSource::system(), before, None).now();
        assert!(after.mono >= before.mono.plus(Duration::from_secs(60)), "{after:?}");
        let wall_went_back = Now { wall: WallTime(i64::MAX), ..before };
        assert!(Clock::continuing(TimeSource::system(), wall_went_back, None).now().mono >= before.mono);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_wall_clock_moves_no_duration_and_is_noticed_once() {
        let source = TimeSource::simulated(WallTime(1_700_000_000_000));
        let clock = Clock::continuing(source.clone(), Now::default(), None);
        let (mut watch, begun) = (JumpWatch::default(), clock.now());
        assert_eq!(watch.look(begun), None);
        for (by, expected) in [(3 * HOUR, "set forward by 3h"), (5 * HOUR, "set back by 5h")] {
            let by = i64::try_from(by.as_millis()).expect("hours");
            source.jump(if expected.contains("forward") { by } else { -by });
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(watch.look(clock.now()).map(|jump| jump.to_string()).as_deref(), Some(expected));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(watch.look(clock.now()), None);
        }
        assert_eq!(clock.now().mono.since(begun.mono), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reboot_adds_the_time_that_passed() {
        let source = TimeSource::simulated(WallTime(1_700_000_000_000));
        let last = Clock::continuing(source.clone(), Now::default(), None).now();
        tokio::time::advance(HOUR).await;
        source.reboot();
        let after = Clock::continuing(source.clone(), last, None).now();
        assert_eq!(after.mono.since(last.mono), HOUR);
        tokio::time::advance(HOUR).await;
        assert_eq!(Clock::continuing(source, after, None).now().mono.since(last.mono), 2 * HOUR);
    }

    /// Agents that come one after the other, each with what the one before it has left.
    struct Lives {
        source: TimeSource,
        clock: Clock,
    }

    impl Lives {
        fn new() -> Self {
            let source = TimeSource::simulated(WallTime(1_700_000_000_000));
            Self { clock: Clock::continuing(source.clone(), Now::default(), None), source }
        }

        /// What passes between the last moment of one agent and the first of the next, during which this happens.
        fn passes(&mut self, happens: impl FnOnce(&TimeSource)) -> Duration {
            let (last, boot) = (self.clock.now(), self.clock.boot());
            happens(&self.source);
            self.clock = Clock::continuing(self.source.clone(), last, boot.as_ref());
            self.clock.now().mono.since(last.mono)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_between_two_agents_moves_nothing_within_one_boot() {
        const YEAR_MS: i64 = 365 * 86_400_000;
        let mut lives = Lives::new();
        for jump in [9 * YEAR_MS, -60 * YEAR_MS, 2 * 3_600_000] {
            assert_eq!(lives.passes(|source| source.jump(jump)), Duration::ZERO);
        }
        // After a reboot the times since the boot are smaller than those before it: nor is a new agent misled then.
        lives.passes(TimeSource::reboot);
        for jump in [9 * YEAR_MS, -60 * YEAR_MS, 2 * 3_600_000] {
            assert_eq!(lives.passes(|source| source.jump(jump)), Duration::ZERO);
        }
        tokio::time::advance(HOUR).await;
        assert_eq!(lives.passes(|source| source.jump(YEAR_MS)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reboot_believes_a_month_and_no_year() {
        let day_ms = 86_400_000;
        let mut lives = Lives::new();
        for (jump, expected) in
            [(29 * day_ms, 29 * 24 * HOUR), (31 * day_ms, Duration::ZERO), (-day_ms, Duration::ZERO)]
        {
            let passed = lives.passes(|source| {
                source.reboot();
                source.jump(jump);
            });
            assert_eq!(passed, expected, "{jump}");
        }
    }

    #[test]
    fn the_machines_own_boot_has_a_name() {
        let clock = Clock::continuing(TimeSource::system(), Now::default(), None);
        assert_eq!(clock.boot().map(|boot| boot.id.as_str().len()), Some(36));
    }
}
