//! Steady growth that has no end in sight, told from warm-up, a cache that fills, and the rhythm of day and week.
//!
//! One growth is looked for over several stretches of the past, in the floors of the figure, which garbage that comes and
//! goes does not move. Each stretch must pass every test: the floors rise one after the other, on a line, without bending
//! towards a plateau below the limit, above what was seen before, and by a good part of what is left: the nearer the
//! limit, the less evidence is needed, for then there is less time to gather more.

use alloc::vec::Vec;

use ansai_model::time::MonoTime;

use super::{
    forecast::{Forecast, narrow, ramp},
    robust::{Slopes, median, slopes},
    series::{Bucket, Series},
};

const TICKS_PER_HOUR: f32 = 36_000.0;
const DAY: f32 = 24.0;
/// Floors of one stretch: enough to tell a line from a bend, few enough that a sawtooth's teeth are within one.
const FLOORS: usize = 12;

/// An earlier life that ended above this share of the limit may have ended by it, and shows no need.
const OWN_END: f32 = 0.85;
/// A leak whose figure falls below this share of its rise was given back.
const GIVEN_BACK: f32 = 0.3;

/// One value at one time, in hours before now (so never above zero).
#[derive(Clone, Copy)]
struct LeakSample {
    at: f32,
    low: f32,
    high: f32,
}

/// How the figure grew over one stretch of the past.
struct Growth {
    slopes: Slopes,
    /// The stretch in hours.
    hours: f32,
    /// The floors, oldest first, with the time of each.
    floors: Vec<(f32, f32)>,
    /// What the floor rose above all that was seen before the stretch.
    rise: f32,
    /// Where it may be by now at most.
    top: f32,
    /// The latest value.
    last: f32,
    /// Whether the rhythm of a day cannot look like this.
    outlasts_day: bool,
}

/// The leak that `series` shows, if any growth at all is seen; how sure it is stands in the forecast's confidence.
#[must_use]
pub fn leak(series: &Series, limit: f64, now: MonoTime) -> Option<Forecast> {
    let now = series.tick(now);
    let hours = |at: u32| -(now.saturating_sub(at) as f32) / TICKS_PER_HOUR;
    let life: Vec<LeakSample> = series.life().iter().map(|bucket| seen(hours(bucket.at), bucket)).collect();
    let fine: Vec<LeakSample> = series
        .fine()
        .iter()
        .map(|point| LeakSample { at: hours(point.at), low: point.value, high: point.value })
        .collect();
    let limit = narrow(limit);
    let mut best: Option<(f32, Growth)> = None;
    let mut scratch = Vec::new();
    let span = -life.first()?.at;
    let needed = series.needed_before(limit * OWN_END);
    let mut consider = |growth: Option<Growth>| {
        let Some(mut growth) = growth else { return };
        if let Some(needed) = needed {
            growth.rise = growth.rise.min(growth.last - needed);
        }
        let confidence = confidence(&growth, limit);
        if best.as_ref().is_none_or(|(known, _)| confidence > *known) {
            best = Some((confidence, growth));
        }
    };
    for share in [0.85, 0.5, 0.25, 0.125] {
        consider(stretch(&life, &life, span * share, &mut scratch));
    }
    let fine_span = fine.first().map_or(0.0, |first| -first.at);
    if fine_span < span * 0.1 {
        consider(stretch(&life, &fine, fine_span, &mut scratch));
    }
    let (confidence, growth) = best?;
    forecast(&growth, onset(&life, &growth), limit, confidence)
}

/// For how many hours it has grown on this line: the stretch, and what was on its line before it.
fn onset(life: &[LeakSample], growth: &Growth) -> f32 {
    let mut offsets: Vec<f32> = growth.floors.iter().map(|(at, value)| value - growth.slopes.middle * at).collect();
    let Some(offset) = median(&mut offsets) else { return growth.hours };
    let near = growth.rise.max(0.0) * 0.1;
    let on_line = |seen: &&LeakSample| (seen.low - offset - growth.slopes.middle * seen.at).abs() <= near;
    let before = life.iter().rev().skip_while(|seen| seen.at >= -growth.hours);
    before.take_while(on_line).last().map_or(growth.hours, |first| -first.at)
}

fn seen(at: f32, bucket: &Bucket) -> LeakSample {
    LeakSample { at, low: bucket.low, high: bucket.high }
}

/// The growth over the last `hours` of `values`, as floors of equal stretches of time.
fn stretch(life: &[LeakSample], values: &[LeakSample], hours: f32, scratch: &mut Vec<f32>) -> Option<Growth> {
    let start = values.partition_point(|seen| seen.at < -hours);
    let values = values.get(start..)?;
    if values.len() < FLOORS {
        return None;
    }
    let begin = values.first()?.at;
    let width = -begin / FLOORS as f32;
    let mut floors: Vec<(f32, f32)> = Vec::with_capacity(FLOORS);
    let mut rest = values;
    for index in 1..=FLOORS {
        let end = begin + width * index as f32;
        let count = if index == FLOORS { rest.len() } else { rest.partition_point(|seen| seen.at < end) };
        let (part, others) = rest.split_at(count);
        rest = others;
        if let Some(lowest) = part.iter().min_by(|one, other| one.low.total_cmp(&other.low)) {
            floors.push((end - width / 2.0, lowest.low));
        }
    }
    let slopes = slopes(&floors, scratch)?;
    let outlasts_day = hours >= 3.0 * DAY;
    let before = life.iter().take_while(|seen| seen.at < begin).map(|seen| seen.low).max_by(f32::total_cmp);
    let grown = (slopes.middle * hours).min(ends(&floors)?);
    let rise = match before {
        Some(before) if !outlasts_day => grown.min(floors.last()?.1 - before),
        Some(_) | None => grown,
    };
    let (top, last) = (top(values, hours), values.last()?.low);
    Some(Growth { slopes, hours, floors, rise, top, last, outlasts_day })
}

/// How much the last third lies above the first, carried on to the whole stretch.
fn ends(floors: &[(f32, f32)]) -> Option<f32> {
    let (early, _, late) = thirds(floors)?;
    Some((late - early) * 1.5)
}

/// The middles of the first, second and last third.
fn thirds(floors: &[(f32, f32)]) -> Option<(f32, f32, f32)> {
    let third = floors.len().div_ceil(3);
    let middle = |part: &[(f32, f32)]| median(&mut part.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let early = middle(floors.get(..third)?)?;
    let mid = middle(floors.get((floors.len() - third) / 2..(floors.len() + third).div_ceil(2))?)?;
    let late = middle(floors.get(floors.len() - third..)?)?;
    Some((early, mid, late))
}

/// The highest value of the latest part of a stretch: what reaches the limit is a peak, not a floor.
fn top(values: &[LeakSample], hours: f32) -> f32 {
    let latest = if hours >= 2.0 * DAY { DAY } else { hours / 6.0 };
    values.iter().filter(|seen| seen.at >= -latest).map(|seen| seen.high).fold(f32::MIN, f32::max)
}

/// How sure it is that this growth is a leak which will reach `limit`, from 0 to 1: as weak as its weakest test.
fn confidence(growth: &Growth, limit: f32) -> f32 {
    let Some((early, mid, late)) = thirds(&growth.floors) else { return 0.0 };
    let headroom = (limit - growth.top).max(limit * 0.02);
    let (first, last) = (mid - early, late - mid);
    if growth.rise <= 0.0 || growth.slopes.middle <= 0.0 || first <= 0.0 || last <= 0.0 {
        return 0.0;
    }
    let monotone = ramp(growth.slopes.tau, 0.5, 0.85);
    let line = ramp(spread(growth), 0.16, 0.07);
    // What was given back, on request or by itself, is no leak any more.
    let kept = ramp(growth.last - early, GIVEN_BACK * growth.rise, 2.0 * GIVEN_BACK * growth.rise);
    let bend = last / first;
    // Each third adds `bend` times what the one before it added: when that is less than one, it ends at a plateau.
    let ahead = if bend >= 0.97 { f32::MAX } else { last * bend / (1.0 - bend) };
    let endless = ramp(ahead / headroom, 0.5, 1.0);
    let enough = if growth.outlasts_day { 0.6 } else { 1.1 };
    let large = ramp(growth.rise / headroom, enough * 0.5, enough);
    [monotone, line, endless, large, kept].into_iter().fold(1.0, f32::min)
}

/// How far the floors are from their line, in the middle, as a share of the rise.
fn spread(growth: &Growth) -> f32 {
    let slope = growth.slopes.middle;
    let mut offsets: Vec<f32> = growth.floors.iter().map(|(at, value)| value - slope * at).collect();
    let Some(offset) = median(&mut offsets) else { return f32::MAX };
    let mut distances: Vec<f32> = offsets.iter().map(|other| (other - offset).abs()).collect();
    median(&mut distances).unwrap_or(f32::MAX) / growth.rise
}

fn forecast(growth: &Growth, growing_for: f32, limit: f32, confidence: f32) -> Option<Forecast> {
    let slope = growth.slopes.middle;
    if slope <= 0.0 {
        return None;
    }
    let floor = growth.floors.last()?.1.min(growth.top);
    let (near, far) = ((limit - growth.top).max(0.0), (limit - floor).max(0.0));
    let slow = growth.slopes.low.max(slope * 0.5);
    let (early, _, _) = thirds(&growth.floors)?;
    let forecast = Forecast::new(
        slope,
        near / slope,
        (near / growth.slopes.high.max(slope * 1.05), far / slow),
        growing_for,
        confidence,
    );
    Some(forecast.given_back_below(early + GIVEN_BACK * growth.rise))
}
