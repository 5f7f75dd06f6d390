//! When something will be full, with an interval.
//!
//! How far back to look is not fixed: several stretches are tried against the past itself, and the one that would have
//! told the later past best is believed. Its errors there are the interval.

use alloc::vec::Vec;

use ansai_model::time::MonoTime;

use super::{
    Forecast, Series,
    robust::{median, slopes},
};

const TICKS_PER_HOUR: f32 = 36_000.0;

/// When `limit` is reached, if `series` grows towards it at all.
#[must_use]
pub fn fill(series: &Series, limit: f64, now: MonoTime) -> Option<Forecast> {
    let now = series.tick(now);
    let hours = |at: u32| -(now.saturating_sub(at) as f32) / TICKS_PER_HOUR;
    let fine_from = series.fine().first().map_or(u32::MAX, |point| point.at);
    let old = series.life().iter().filter(|bucket| bucket.at < fine_from).map(|bucket| (hours(bucket.at), bucket.last));
    let points: Vec<(f32, f32)> = old.chain(series.fine().iter().map(|point| (hours(point.at), point.value))).collect();
    let limit = super::narrow(limit);
    let (begin, level) = (points.first()?.0, points.last()?.1);
    let mut scratch = Vec::new();
    let chosen = slopes(&thinned(&points, begin), &mut scratch)?;
    if chosen.middle <= 0.0 {
        return None;
    }
    let left = (limit - level).max(0.0);
    Some(Forecast::new(
        chosen.middle,
        left / chosen.middle,
        (left / chosen.high.max(chosen.middle), left / chosen.low.max(chosen.middle * 0.25)),
        -begin,
        chosen.tau.max(0.0),
    ))
}

/// At most two dozen of the points since `begin`: the middle one of equal stretches of time.
fn thinned(points: &[(f32, f32)], begin: f32) -> Vec<(f32, f32)> {
    const PARTS: usize = 20;
    let mut rest = points.get(points.partition_point(|(at, _)| *at < begin)..).unwrap_or_default();
    let width = -begin / PARTS as f32;
    let mut thin = Vec::with_capacity(PARTS);
    for part in 1..=PARTS {
        let end = begin + width * part as f32;
        let count = if part == PARTS { rest.len() } else { rest.partition_point(|(at, _)| *at < end) };
        let (these, others) = rest.split_at(count);
        rest = others;
        let mut values: Vec<f32> = these.iter().map(|(_, value)| *value).collect();
        if let (Some(value), Some((at, _))) = (median(&mut values), these.get(these.len() / 2)) {
            thin.push((*at, value));
        }
    }
    thin
}
