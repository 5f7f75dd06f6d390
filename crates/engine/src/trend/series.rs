//! The bounded history of one figure: the latest values one by one, and its whole life in buckets that widen as it
//! grows older. It draws no conclusions.

use alloc::vec::Vec;
use core::time::Duration;

use ansai_model::time::MonoTime;
use serde::{Deserialize, Serialize};

use super::held::Held;

/// The most latest values that are kept one by one.
const FINE_MAX: usize = 96;
/// The most buckets of a life.
const LIFE_MAX: usize = 168;
/// The widest bucket is two to the power of this many seconds: 168 of 2 h 16 min are almost sixteen days.
const SHIFT_MAX: u8 = 13;
/// The most earlier lives that are remembered.
const PAST_MAX: usize = 8;
/// Ticks of the series' own clock in a second.
const TICKS: u32 = 10;

/// One value at one time, in tenths of a second since the series began.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) at: u32,
    pub(super) value: f32,
}

/// What was seen within one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// When its last value was seen.
    pub(super) at: u32,
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) last: f32,
}

/// How an earlier life went: from its start to the restart that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    seconds: u32,
    first: f32,
    last: f32,
    /// Whether it ended while its growth was believed to lead to the limit.
    #[serde(default)]
    is_cut_short: bool,
}

/// The history of one figure, of at most 4 KiB.
///
/// The latest values stand one by one; the life since the last [`Series::cut`] stands in buckets of lowest, highest and
/// last value, whose width doubles whenever there are too many, so that a second's test and a fortnight's service have
/// the same resolution. What is older than a fortnight is forgotten.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    origin: MonoTime,
    shift: u8,
    mark: Option<f64>,
    fine: Vec<Point>,
    life: Vec<Bucket>,
    past: Vec<Past>,
    #[serde(default)]
    pub(super) held: Option<Held>,
    /// Whether the limit was within the horizon at the latest look.
    #[serde(default)]
    pub(super) was_near: bool,
}

impl Past {
    /// How long it lasted.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// Its first and its last value.
    #[must_use]
    pub fn ends(&self) -> (f64, f64) {
        (f64::from(self.first), f64::from(self.last))
    }
}

impl Series {
    /// A series without a value yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; one that is no number, or not after the latest, is dropped.
    pub fn push(&mut self, at: MonoTime, value: f64) {
        let value = super::forecast::narrow(value);
        if !value.is_finite() {
            return;
        }
        if self.fine.is_empty() && self.life.is_empty() {
            self.origin = at;
        }
        let at = self.tick(at);
        if self.fine.last().is_some_and(|latest| latest.at >= at) {
            return;
        }
        // One more may be loaded than fits, when a limit has become smaller since it was stored.
        let surplus = (self.fine.len() + 1).saturating_sub(FINE_MAX);
        self.fine.drain(..surplus);
        self.fine.push(Point { at, value });
        let key = self.key(at);
        match self.life.last_mut() {
            Some(bucket) if (bucket.at / TICKS) >> self.shift.min(SHIFT_MAX) == key => {
                bucket.at = at;
                bucket.low = bucket.low.min(value);
                bucket.high = bucket.high.max(value);
                bucket.last = value;
            }
            Some(_) | None => self.life.push(Bucket { at, low: value, high: value, last: value }),
        }
        self.widen();
    }

    /// The life ends here, as when the process was restarted: growth is counted anew, and how it went is remembered.
    pub fn cut(&mut self) {
        if let (Some(first), Some(last)) = (self.life.first(), self.life.last()) {
            let seconds = last.at.saturating_sub(first.at) / TICKS;
            let surplus = (self.past.len() + 1).saturating_sub(PAST_MAX);
            self.past.drain(..surplus);
            let is_cut_short = self.held.is_some();
            self.past.push(Past { seconds, first: first.last, last: last.last, is_cut_short });
        }
        self.fine.clear();
        self.life.clear();
        self.shift = 0;
        self.held = None;
        self.was_near = false;
    }

    /// Ends the life when `mark`, which names it, is not the one seen before.
    pub fn live(&mut self, mark: f64) {
        if self.mark.is_some_and(|known| known.to_bits() != mark.to_bits()) {
            self.cut();
        }
        self.mark = Some(mark);
    }

    /// Earlier lives, oldest first.
    #[must_use]
    pub fn past(&self) -> &[Past] {
        &self.past
    }

    /// How long the present life has been followed.
    #[must_use]
    pub fn span(&self) -> Duration {
        match (self.life.first(), self.life.last()) {
            (Some(first), Some(last)) => Duration::from_millis(u64::from(last.at.saturating_sub(first.at)) * 100),
            (None, _) | (_, None) => Duration::ZERO,
        }
    }

    /// What earlier lives needed that ended below `most`, and for other reasons than their growth: so much is no leak.
    pub(super) fn needed_before(&self, most: f32) -> Option<f32> {
        let sound = self.past.iter().filter(|past| !past.is_cut_short && past.last < most);
        sound.map(|past| past.last).max_by(f32::total_cmp)
    }

    pub(super) fn fine(&self) -> &[Point] {
        &self.fine
    }

    pub(super) fn life(&self) -> &[Bucket] {
        &self.life
    }

    /// The tenths of a second from the series' begin to `at`.
    pub(super) fn tick(&self, at: MonoTime) -> u32 {
        u32::try_from(at.since(self.origin).as_millis() / 100).unwrap_or(u32::MAX)
    }

    fn key(&self, at: u32) -> u32 {
        (at / TICKS) >> self.shift.min(SHIFT_MAX)
    }

    /// Makes buckets twice as wide until they fit; the widest are forgotten from the oldest on.
    fn widen(&mut self) {
        while self.life.len() > LIFE_MAX && self.shift < SHIFT_MAX {
            self.shift += 1;
            let shift = self.shift;
            self.life.dedup_by(|later, earlier| {
                let same = (later.at / TICKS) >> shift == (earlier.at / TICKS) >> shift;
                if same {
                    let (low, high) = (earlier.low.min(later.low), earlier.high.max(later.high));
                    *earlier = Bucket { low, high, ..*later };
                }
                same
            });
        }
        let surplus = self.life.len().saturating_sub(LIFE_MAX);
        self.life.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: usize, period: Duration) -> Series {
        let mut series = Series::new();
        let mut at = MonoTime(7);
        for value in 0..values {
            series.push(at, value as f64);
            at = at.plus(period);
        }
        series
    }

    #[test]
    fn it_stays_small_however_long_it_is_followed() {
        for (values, seconds) in [(100_000, 1), (100_000, 60), (1_000, 86_400)] {
            let series = filled(values, Duration::from_secs(seconds));
            let bytes = series.fine.capacity() * size_of::<Point>() + series.life.capacity() * size_of::<Bucket>();
            assert!(bytes <= 6 * 1024, "{bytes}");
            assert!(series.fine.len() <= FINE_MAX && series.life.len() <= LIFE_MAX);
            assert_eq!(series.life.last().map(|bucket| bucket.last), Some((values - 1) as f32));
        }
    }

    #[test]
    fn a_fortnight_of_minutes_is_remembered_and_its_lowest_values_are_exact() {
        let series = filled(14 * 24 * 60, Duration::from_secs(60));
        assert_eq!(series.life.first().map(|bucket| bucket.low), Some(0.0));
        assert!(series.span() >= Duration::from_secs(14 * 86_400 - 3 * 3600), "all but the first bucket");
        assert!(series.life.windows(2).all(|pair| pair[0].high < pair[1].low));
    }

    #[test]
    fn a_new_life_begins_with_a_new_mark_and_the_old_one_is_remembered() {
        let mut series = Series::new();
        for life in 0..20 {
            for value in 0..10 {
                series.live(f64::from(life));
                series.push(MonoTime(i64::from(life * 100 + value) * 1_000_000_000), f64::from(value));
            }
        }
        assert_eq!(series.past().len(), PAST_MAX);
        assert_eq!(series.past()[0].ends(), (0.0, 9.0));
        assert_eq!(series.span(), Duration::from_secs(9));
    }

    #[test]
    fn what_is_no_number_or_comes_late_is_dropped() {
        let mut series = filled(3, Duration::from_secs(1));
        let before = series.clone();
        series.push(MonoTime(0), 5.0);
        series.push(MonoTime(i64::MAX), f64::NAN);
        series.push(MonoTime(i64::MAX), f64::INFINITY);
        assert_eq!(series, before);
    }
}
