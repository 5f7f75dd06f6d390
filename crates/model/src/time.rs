//! Time as the engine sees it: handed in as an argument, in two kinds that cannot be mixed up.
//! There is no clock here, and no calendar: time zones are the shell's.

use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A point on the agent's monotonic clock, in nanoseconds.
///
/// It goes on across restarts of the agent and of the host: the shell adds the wall time that passed while no agent
/// ran, so that cooldowns and budgets outlive a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct MonoTime(pub i64);

/// A point in civil time, in milliseconds since 1970-01-01T00:00:00Z; it may jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct WallTime(pub i64);

/// Both times of one moment: durations use `mono`, schedules and reports use `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Now {
    /// For durations.
    pub mono: MonoTime,
    /// For schedules and for people.
    pub wall: WallTime,
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl MonoTime {
    /// This time plus `duration`; saturates at the end of time (292 years).
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// This time minus `duration`; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl WallTime {
    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time plus `duration`; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for WallTime {
    /// In UTC, to the second, as `2026-11-30T01:02:03Z`. Whoever shows a text to people tells its moments in their zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000);
        let (year, month, day) = date(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3_600, of_day % 3_600 / 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The year, month and day of the Gregorian calendar so many days after 1970-01-01. Years are counted from March on, so that
/// the day that is not in each year is the last.
fn date(days: i64) -> (i64, i64, i64) {
    const CENTURIES: i64 = 146_097;
    // From the first of March of the year 0.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(CENTURIES), days.rem_euclid(CENTURIES));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (CENTURIES - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

impl Now {
    /// The moment `duration` later, on both clocks.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self { mono: self.mono.plus(duration), wall: self.wall.plus(duration) }
    }

    /// An earlier moment of the monotonic clock, by the wall clock as it is now; a later one is this one.
    #[must_use]
    pub fn at(self, earlier: MonoTime) -> Self {
        let ago = i64::try_from(self.mono.since(earlier).as_millis()).unwrap_or(i64::MAX);
        Self { mono: earlier.min(self.mono), wall: WallTime(self.wall.0.saturating_sub(ago)) }
    }
}

/// From two years on, in seconds, a duration is told in years of 365 days.
const YEARS_FROM: u64 = 2 * 365 * 86400;

/// A duration as a person writes it: `150ms`, `1.5s`, `30s`, `10m`, `2h30m`, `3d`; what is longer than anybody writes is told
/// in words, as `9 years 364 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(pub Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match seconds {
            0 if millis == 0 && !self.0.is_zero() => write!(f, "{}µs", self.0.subsec_micros()),
            0 if millis == 0 => f.write_str("0s"),
            0 => write!(f, "{millis}ms"),
            1..10 if millis >= 100 => write!(f, "{seconds}.{}s", millis / 100),
            1..60 => write!(f, "{seconds}s"),
            60..3600 => pair(f, seconds / 60, "m", seconds % 60, "s"),
            3600..86400 => pair(f, seconds / 3600, "h", seconds % 3600 / 60, "m"),
            86400..YEARS_FROM => pair(f, seconds / 86400, "d", seconds % 86400 / 3600, "h"),
            _ => years(f, seconds / 86400),
        }
    }
}

fn years(f: &mut fmt::Formatter<'_>, days: u64) -> fmt::Result {
    match (days / 365, days % 365) {
        (years, 0) => write!(f, "{years} years"),
        (years, 1) => write!(f, "{years} years 1 day"),
        (years, days) => write!(f, "{years} years {days} days"),
    }
}

fn pair(f: &mut fmt::Formatter<'_>, big: u64, unit: &str, small: u64, small_unit: &str) -> fmt::Result {
    match small {
        0 => write!(f, "{big}{unit}"),
        _ => write!(f, "{big}{unit}{small}{small_unit}"),
    }
}

/// The wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// By so much.
    Forward(Duration),
    /// By so much.
    Back(Duration),
}

impl Jump {
    /// A wall clock that runs this much faster or slower between two moments has jumped; less is a clock being slewed.
    pub const MIN: Duration = Duration::from_secs(2);

    /// How the wall clock was set between two moments, when it was.
    #[must_use]
    pub fn between(earlier: Now, later: Now) -> Option<Self> {
        let passed = i64::try_from(later.mono.since(earlier.mono).as_millis()).unwrap_or(i64::MAX);
        let shown = later.wall.0.saturating_sub(earlier.wall.0);
        let by = Duration::from_millis(shown.abs_diff(passed));
        (by >= Self::MIN).then_some(if shown > passed { Self::Forward(by) } else { Self::Back(by) })
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward(by) => write!(f, "set forward by {}", Shown(*by)),
            Self::Back(by) => write!(f, "set back by {}", Shown(*by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [(0, "0s"), (150, "150ms"), (1500, "1.5s"), (30_000, "30s"), (90_000, "1m30s"), (7_200_000, "2h")];
        for (millis, shown) in cases {
            assert_eq!(Shown(Duration::from_millis(millis)).to_string(), shown);
        }
        assert_eq!(Shown(Duration::from_secs(86400 * 3 + 3600)).to_string(), "3d1h");
        let days = |days: u64, hours: u64| Shown(Duration::from_secs(86400 * days + 3600 * hours)).to_string();
        assert_eq!((days(729, 23), days(730, 0)), ("729d23h".into(), "2 years".into()));
        assert_eq!((days(3649, 22), days(3651, 0)), ("9 years 364 days".into(), "10 years 1 day".into()));
    }

    #[test]
    fn an_earlier_moment_is_told_by_the_wall_clock_of_now() {
        let now = Now { mono: MonoTime(5_000_000_000), wall: WallTime(90_000) };
        assert_eq!(now.at(MonoTime(3_500_000_000)), Now { mono: MonoTime(3_500_000_000), wall: WallTime(88_500) });
        assert_eq!(now.at(MonoTime(i64::MAX)), now);
    }

    #[test]
    fn a_moment_is_told_in_utc_to_the_second() {
        for (millis, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_799_999, "2000-02-29T23:59:59Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(WallTime(millis).to_string(), told);
        }
        for far in [i64::MIN, i64::MAX] {
            assert!(WallTime(far).to_string().ends_with('Z'));
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_zero_and_never_panics() {
        assert_eq!(MonoTime(5).since(MonoTime(9)), Duration::ZERO);
        assert_eq!(WallTime(i64::MIN).since(WallTime(i64::MAX)), Duration::ZERO);
        assert_eq!(MonoTime(i64::MAX).plus(Duration::MAX), MonoTime(i64::MAX));
    }
}
