//! How far off the time is at which a filesystem will be full, beside a plain linear prediction over the same past.
//! `cargo xtask bench forecast` prints the table.

use std::time::Duration;

use ansai_engine::trend::{Series, fill};
use ansai_model::time::MonoTime;

use crate::recorded::{self, Recorded};

/// A reading stands for a minute.
const MINUTE: Duration = Duration::from_secs(60);
/// Before so many readings nobody is asked, and then every so many.
const FIRST: usize = 60;
const EVERY: usize = 10;
/// A filesystem is taken to be full at these shares of what the recording ended with.
const FULL_AT: [f64; 3] = [0.6, 0.8, 1.0];
/// An error is this times the time that was left at most: "never" is no further off than that.
const ERROR_MAX: f64 = 10.0;

/// The errors of one curve, as shares of the time that was left, and how often the truth lay within the interval.
#[derive(Default)]
struct Errors {
    ours: Vec<f64>,
    linear: Vec<f64>,
    six_hours: Vec<f64>,
    within: usize,
}

/// What Prometheus' `predict_linear` does: least squares over the values, and where the line crosses the limit.
fn predict_linear(values: &[f64], limit: f64) -> f64 {
    let count = values.len() as f64;
    let (mean_at, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let at = index as f64 - mean_at;
        above += at * (value - mean);
        below += at * at;
    }
    let slope = above / below;
    let level = mean + slope * (count - 1.0 - mean_at);
    if slope > 0.0 { (limit - level) / slope } else { f64::INFINITY }
}

fn errors(curve: &Recorded) -> Errors {
    let top = curve.values.iter().copied().fold(0.0, f64::max);
    let mut errors = Errors::default();
    for share in FULL_AT {
        let limit = top * share;
        let full = curve.values.iter().position(|value| *value >= limit).expect("it gets there");
        let mut series = Series::new();
        for (index, value) in curve.values.iter().enumerate().take(full.saturating_sub(5)) {
            let now = MonoTime(0).plus(MINUTE * u32::try_from(index).expect("few readings"));
            series.push(now, *value);
            if index < FIRST || index % EVERY != 0 {
                continue;
            }
            let left = (full - index) as f64;
            let error = |predicted: f64| ((predicted - left).abs() / left).min(ERROR_MAX);
            let forecast = fill(&series, limit, now);
            let minutes = |time: Duration| time.as_secs_f64() / 60.0;
            errors.ours.push(error(forecast.map_or(f64::INFINITY, |forecast| minutes(forecast.reached_in))));
            let within = |forecast: ansai_engine::trend::Forecast| {
                (minutes(forecast.earliest)..=minutes(forecast.latest)).contains(&left)
            };
            errors.within += usize::from(forecast.is_some_and(within));
            let past = &curve.values[..=index];
            errors.linear.push(error(predict_linear(past, limit)));
            errors.six_hours.push(error(predict_linear(&past[past.len().saturating_sub(360)..], limit)));
        }
    }
    errors
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    f64::midpoint(middle(values.len() / 2), middle((values.len() - 1) / 2))
}

#[test]
fn disks_are_forecast_better_than_by_a_line() {
    println!("\n| curve | forecasts | ours | least squares | least squares, 6 h | truth within our interval |");
    println!("|---|---|---|---|---|---|");
    let (mut ours, mut linear, mut six, mut all) = (Vec::new(), Vec::new(), Vec::new(), Errors::default());
    // The curves that were recorded when the method had been chosen.
    let (mut later, mut later_linear) = (Vec::new(), Vec::new());
    for curve in recorded::all("disk") {
        let mut errors = errors(&curve);
        let count = errors.ours.len();
        if count < 5 {
            continue;
        }
        all.ours.extend(&errors.ours);
        all.linear.extend(&errors.linear);
        all.within += errors.within;
        let (one, two) = (median(&mut errors.ours), median(&mut errors.linear));
        let three = median(&mut errors.six_hours);
        let within = errors.within * 100 / count;
        println!("| {} | {count} | {one:.2} | {two:.2} | {three:.2} | {within} % |", curve.name);
        if curve.name.ends_with("-again") {
            later.push(one);
            later_linear.push(two);
        }
        ours.push(one);
        linear.push(two);
        six.push(three);
    }
    let (curves, forecasts) = (ours.len(), all.ours.len());
    let (one, two, three) = (median(&mut ours), median(&mut linear), median(&mut six));
    let smaller = 1.0 - one / two;
    println!(
        "median of {curves} curves: ours {one:.3}, least squares {two:.3} ({three:.3} over 6 h): {smaller:.2} smaller"
    );
    let (one, two) = (median(&mut later), median(&mut later_linear));
    println!("median of the {} later ones alone: ours {one:.3}, least squares {two:.3}", later.len());
    let (one, two) = (median(&mut all.ours), median(&mut all.linear));
    let within = all.within * 100 / forecasts;
    println!("median of {forecasts} forecasts: ours {one:.3}, least squares {two:.3}; {within} % within the interval");
    assert!(curves >= 20);
    assert!(smaller >= 0.3, "only {smaller:.2} smaller");
}
