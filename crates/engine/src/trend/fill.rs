//! When something will be full, with an interval.
//!
//! What reaches a limit is a peak, so the growth of the high-water mark counts: rotations, checkpoints and cleanings that
//! come and go do not move it, bursts count with what they add, and what happened lately counts more.
//! The near future is told from the near past and the far future from the far past; a drop that was never made up for
//! (somebody cleaned) ends the past.

use alloc::vec::Vec;

use ansai_model::time::MonoTime;

use super::{
    forecast::{Forecast, narrow, ramp},
    series::Series,
};

const TICKS_PER_HOUR: f32 = 36_000.0;
/// After these shares of the past, growth counts half: in its mean, and in the line through the marks.
const HALF_LIVES: (f32, f32) = (0.4, 0.25);
/// Shares of the past with other half-lives; how far they disagree is the interval.
const OTHERS: [f32; 5] = [0.1, 0.2, 0.4, 0.8, 2.0];
/// A drop was for good when so much of the rise before it is not regained in so much of the past.
const FOR_GOOD: (f32, f32) = (0.3, 0.15);
/// A drop so many times as large as any before is no rotation: somebody cleaned.
const UNHEARD_OF: f32 = 1.5;
/// A stretch of the past tells the future as far as this share of it.
const NEAR: f32 = 0.25;
/// With fewer values nothing is forecast.
const VALUES_MIN: usize = 8;

/// One value at one time, in hours before now (so never above zero).
#[derive(Clone, Copy)]
struct FillSample {
    at: f32,
    high: f32,
}

/// How the high-water mark of one stretch of the past grows.
struct Growth {
    hours: f32,
    slope: f32,
    low: f32,
    high: f32,
    /// Between the high-water mark and the latest value: what reaches the limit may be either.
    level: f32,
    /// A value below this means that somebody cleaned.
    cleaned_below: f32,
}

/// When `limit` is reached, if `series` grows towards it at all.
#[must_use]
pub fn fill(series: &Series, limit: f64, now: MonoTime) -> Option<Forecast> {
    let now = series.tick(now);
    let limit = narrow(limit);
    let hours = |at: u32| -(now.saturating_sub(at) as f32) / TICKS_PER_HOUR;
    let fine_from = series.fine().first()?.at;
    let coarse = series.life().iter().filter(|bucket| bucket.at < fine_from);
    let coarse = coarse.map(|bucket| FillSample { at: hours(bucket.at), high: bucket.high });
    let fine = series.fine().iter().map(|point| FillSample { at: hours(point.at), high: point.value });
    let past: Vec<FillSample> = coarse.chain(fine).collect();
    let span = -past.first()?.at;
    // From the latest values on, each stretch four times as long as the one before; sixteen are more than a lifetime.
    let mut stretch = -hours(fine_from);
    for _ in 0..16 {
        if stretch >= span {
            break;
        }
        let recent = growth(past.get(past.partition_point(|seen| seen.at < -stretch)..)?);
        if let Some(recent) = recent.filter(|growth| left(growth, limit) <= growth.slope * stretch * NEAR) {
            return Some(forecast(&recent, limit));
        }
        stretch *= 4.0;
    }
    growth(&past).map(|growth| forecast(&growth, limit))
}

fn left(growth: &Growth, limit: f32) -> f32 {
    (limit - growth.level).max(0.0)
}

fn growth(past: &[FillSample]) -> Option<Growth> {
    let past = since_last_cleaning(past);
    if past.len() < VALUES_MIN {
        return None;
    }
    let (first, last) = (past.first()?, past.last()?);
    let hours = last.at - first.at;
    let slope = (mark_slope(past, hours * HALF_LIVES.0)? + line_slope(past, hours * HALF_LIVES.1)?) / 2.0;
    if slope <= 0.0 {
        return None;
    }
    let (mut low, mut high) = (slope, slope);
    for share in OTHERS {
        let other = mark_slope(past, hours * share).unwrap_or(slope);
        low = low.min(other);
        high = high.max(other);
    }
    let (level, cleaned_below) = level(past)?;
    Some(Growth { hours, slope, low, high, level, cleaned_below })
}

/// From where it grows: between the high-water mark and the latest value, for what reaches the limit may be either;
/// after a drop larger than all before, somebody cleaned, and it is the latest value. Then what tells such a drop.
fn level(past: &[FillSample]) -> Option<(f32, f32)> {
    let last = past.last()?.high;
    let (mut mark, mut drop, mut drop_before) = (f32::MIN, 0.0f32, 0.0f32);
    for seen in past {
        if seen.high >= mark {
            mark = seen.high;
            drop_before = drop_before.max(drop);
            drop = 0.0;
        }
        drop = drop.max(mark - seen.high);
    }
    // A tenth of the rise at least: a figure that never fell may do so a little.
    let lowest = past.iter().map(|seen| seen.high).fold(f32::MAX, f32::min);
    let cleaned_below = mark - (drop_before * UNHEARD_OF).max((mark - lowest) * 0.1);
    Some((if last < cleaned_below { last } else { f32::midpoint(mark, last) }, cleaned_below))
}

/// The growth of the high-water mark an hour; what is `half_life` hours older counts half.
fn mark_slope(past: &[FillSample], half_life: f32) -> Option<f32> {
    let (first, last) = (past.first()?, past.last()?);
    let mut mark = first.high;
    let (mut grown, mut lasted) = (0.0f32, 0.0f32);
    for pair in past.windows(2) {
        let [before, seen] = pair else { continue };
        let weight = halved((last.at - seen.at) / half_life);
        let higher = mark.max(seen.high);
        grown += weight * (higher - mark);
        lasted += weight * (seen.at - before.at);
        mark = higher;
    }
    (lasted > 0.0).then(|| grown / lasted)
}

/// The slope of the line through the high-water marks, by least squares; what is `half_life` hours older counts half.
fn line_slope(past: &[FillSample], half_life: f32) -> Option<f32> {
    let (first, last) = (past.first()?, past.last()?);
    let marks = past.iter().scan((first.high, first.at), |(mark, before), seen| {
        *mark = mark.max(seen.high);
        // Old values stand for a longer time each: they count with it.
        let lasted = seen.at - *before;
        *before = seen.at;
        Some((seen.at, *mark - first.high, lasted * halved((last.at - seen.at) / half_life)))
    });
    let (mut weights, mut ats, mut values) = (0.0f32, 0.0f32, 0.0f32);
    for (at, value, weight) in marks.clone() {
        weights += weight;
        ats += weight * at;
        values += weight * value;
    }
    let (mean_at, mean) = (ats / weights, values / weights);
    let (mut above, mut below) = (0.0f32, 0.0f32);
    for (at, value, weight) in marks {
        above += weight * (at - mean_at) * (value - mean);
        below += weight * (at - mean_at) * (at - mean_at);
    }
    (below > 0.0).then(|| above / below)
}

/// One half to the power of `times`, near enough: `core` has no exponential.
fn halved(times: f32) -> f32 {
    let mut weight = 1.0;
    let mut rest = times.clamp(0.0, 32.0);
    while rest >= 1.0 {
        weight *= 0.5;
        rest -= 1.0;
    }
    weight * (1.0 - rest * (0.6565 - 0.1565 * rest))
}

/// The past without what lies before a drop that was never made up for.
fn since_last_cleaning(past: &[FillSample]) -> &[FillSample] {
    let (drop, share) = FOR_GOOD;
    let whole = past.len() as f32;
    let mut rest = past;
    loop {
        let Some((peak, highest)) =
            rest.iter().enumerate().max_by(|(_, one), (_, other)| one.high.total_cmp(&other.high))
        else {
            return rest;
        };
        let after = rest.get(peak + 1..).unwrap_or_default();
        let regained = after.iter().map(|seen| seen.high).fold(f32::MIN, f32::max);
        let lowest = rest.iter().map(|seen| seen.high).fold(f32::MAX, f32::min);
        let enough = after.len() >= VALUES_MIN && after.len() as f32 >= share * whole;
        if !enough || highest.high - regained < drop * (highest.high - lowest) {
            return rest;
        }
        let low = after.iter().enumerate().min_by(|(_, one), (_, other)| one.high.total_cmp(&other.high));
        let from = low.map_or(0, |(index, _)| index);
        rest = after.get(from..).unwrap_or_default();
        // What is left is shorter by the peak at least, so this ends; a past that only falls leaves nothing.
        if rest.len() < VALUES_MIN {
            return rest;
        }
    }
}

fn forecast(growth: &Growth, limit: f32) -> Forecast {
    let left = left(growth, limit);
    let reached_in = left / growth.slope;
    let (soon, late) = (growth.high * 1.4, growth.low.max(growth.slope * 0.1) * 0.6);
    // A past that is short beside what is foretold, or in which growth came and went, is weak evidence.
    let evidence = ramp(growth.hours / reached_in.max(0.001), 0.05, 0.25);
    let steadiness = ramp(growth.low / growth.high, 0.05, 0.3);
    let confidence = evidence.min(steadiness);
    let forecast = Forecast::new(growth.slope, reached_in, (left / soon, left / late), growth.hours, confidence);
    forecast.given_back_below(growth.cleaned_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_is_near_enough() {
        for times in 0..80 {
            let exact = 0.5f64.powf(f64::from(times) / 10.0);
            let near = f64::from(halved(times as f32 / 10.0));
            assert!((near / exact - 1.0).abs() < 0.02, "{times}: {near} {exact}");
        }
    }

    #[test]
    fn a_past_is_cut_where_somebody_cleaned_but_not_at_each_rotation() {
        let seen = |value: fn(usize) -> f32| -> Vec<FillSample> {
            (0..100).map(|index| FillSample { at: index as f32 - 99.0, high: value(index) }).collect()
        };
        let cleaned = seen(|index| if index < 60 { index as f32 } else { index as f32 - 60.0 });
        assert_eq!(since_last_cleaning(&cleaned).len(), 40);
        let rotated = seen(|index| index as f32 + (index % 10) as f32 * 3.0);
        assert_eq!(since_last_cleaning(&rotated).len(), 100);
        let falling = seen(|index| 100.0 / (1 + index / 10) as f32);
        assert!(since_last_cleaning(&falling).len() < 100, "it ends");
    }
}
