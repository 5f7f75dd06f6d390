//! When the host is quiet: its load by hour of the day, learned. It does not know whether waiting for that is allowed.

use core::time::Duration;

use ansai_model::time::WallTime;
use serde::{Deserialize, Serialize};

const HOURS: usize = 24;
const HOUR_MILLIS: i64 = 3_600_000;
/// Of what an hour was before, this share is kept when the same hour of a later day is over.
const KEPT: f32 = 0.75;
/// So many whole hours must have been seen before anything is said: three days.
const HOURS_SEEN_MIN: u32 = 72;

/// The host's load by hour of the day (in UTC), later days counting more than earlier ones.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Quiet {
    mean: [f32; HOURS],
    known: [bool; HOURS],
    hours_seen: u32,
    /// The hour that is being seen: hours since 1970, the sum of its values and their number.
    hour: i64,
    sum: f32,
    count: u32,
}

impl Quiet {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the load of this moment; what is no number is dropped.
    pub fn push(&mut self, at: WallTime, load: f64) {
        let load = super::forecast::narrow(load);
        if !load.is_finite() {
            return;
        }
        let hour = at.0.div_euclid(HOUR_MILLIS);
        if hour != self.hour {
            self.close();
            self.hour = hour;
        }
        self.sum += load;
        self.count = self.count.saturating_add(1);
    }

    fn close(&mut self) {
        if self.count > 0 {
            let index = index(self.hour);
            let mean = self.sum / self.count as f32;
            self.mean[index] = if self.known[index] { KEPT * self.mean[index] + (1.0 - KEPT) * mean } else { mean };
            self.known[index] = true;
            self.hours_seen = self.hours_seen.saturating_add(1);
        }
        self.sum = 0.0;
        self.count = 0;
    }

    /// The next begin of the quietest `length` (at least an hour, at most half a day) of the day, if three days have
    /// been seen and the day has a rhythm at all.
    #[must_use]
    pub fn next(&self, now: WallTime, length: Duration) -> Option<WallTime> {
        let hours = usize::try_from(length.as_secs().div_ceil(3600)).unwrap_or(HOURS / 2).clamp(1, HOURS / 2);
        if self.hours_seen < HOURS_SEEN_MIN || !self.known.iter().all(|known| *known) {
            return None;
        }
        let load = |start: usize| (start..start + hours).map(|hour| self.mean[hour % HOURS]).sum::<f32>();
        let quietest = (0..HOURS).min_by(|one, other| load(*one).total_cmp(&load(*other)))?;
        let average = self.mean.iter().sum::<f32>() / HOURS as f32;
        if load(quietest) / hours as f32 > average * 0.9 {
            return None;
        }
        let begin = i64::try_from(quietest).unwrap_or(0);
        let today = now.0.div_euclid(HOUR_MILLIS * 24) * HOUR_MILLIS * 24 + begin * HOUR_MILLIS;
        let open = today + i64::try_from(hours).unwrap_or(1) * HOUR_MILLIS;
        let next = if now.0 < open { today } else { today.saturating_add(HOUR_MILLIS * 24) };
        Some(WallTime(next))
    }
}

fn index(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(24)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(days: i64, load: impl Fn(i64) -> f64) -> (Quiet, WallTime) {
        let mut quiet = Quiet::new();
        let end = days * 24 * 60;
        for minute in 0..=end {
            quiet.push(WallTime(minute * 60_000), load(minute / 60 % 24));
        }
        (quiet, WallTime(end * 60_000))
    }

    #[test]
    fn the_quietest_hours_of_the_day_are_told_after_three_days() {
        let load = |hour| if (2..5).contains(&hour) { 0.1 } else { 2.0 };
        let (quiet, now) = seen(4, load);
        let hours = Duration::from_secs(3 * 3600);
        assert_eq!(quiet.next(now, hours), Some(WallTime(now.0 + 2 * HOUR_MILLIS)));
        let within = WallTime(now.0 + 3 * HOUR_MILLIS);
        assert_eq!(quiet.next(within, hours), Some(WallTime(now.0 + 2 * HOUR_MILLIS)), "it is open already");
        let after = WallTime(now.0 + 6 * HOUR_MILLIS);
        assert_eq!(quiet.next(after, hours), Some(WallTime(now.0 + 26 * HOUR_MILLIS)));
        assert_eq!(seen(2, load).0.next(now, hours), None, "two days are no rhythm");
    }

    #[test]
    fn a_host_without_a_rhythm_has_no_quiet_hours() {
        let (quiet, now) = seen(5, |_| 1.0);
        assert_eq!(quiet.next(now, Duration::from_secs(3600)), None);
    }
}
