//! Figures followed over time: when a disk will be full, whether a service leaks, and when the host is quiet.
//!
//! Pure arithmetic on a bounded [`Series`]: no clock, no chance, no IO. The shell keeps one series a check, and passes
//! each observation through [`follow`] before it becomes an input, so that the engine, its tests and a replay see
//! forecasts as figures like any other. How well it tells leaks and forecasts disks is in `docs/design/trends.md`.

mod fill;
mod forecast;
mod held;
mod leak;
mod quiet;
mod robust;
mod series;

use alloc::format;

use ansai_model::{
    check::{Trend, TrendKind},
    condition::Value,
    observation::{Details, Observation},
    text::Text,
    time::{Now, WallTime},
    units::{ByteSize, Percent},
};

use crate::meaning;

pub use fill::fill;
pub use forecast::{CONFIDENCE_MIN, Forecast};
pub use leak::leak;
pub use quiet::Quiet;
pub use series::{Past, Series};

/// Adds what is forecast to an observation, if it is believed, and the observation's figure to the series.
///
/// A healthy observation fails when the limit is forecast within the horizon.
/// A failing or unknown one keeps its health; one without the figure passes as it is.
#[must_use]
pub fn follow(trend: &Trend, series: &mut Series, now: Now, observation: Observation) -> Observation {
    let Some(value) = size(&observation, &trend.figure) else { return observation };
    if let Some(life) = trend.life.as_deref().and_then(|name| number(&observation, name)) {
        series.live(life);
    }
    series.push(now.mono, value);
    let Some(limit) = size(&observation, &trend.limit) else { return observation };
    let fresh = match trend.kind {
        TrendKind::Fill => fill(series, limit, now.mono),
        TrendKind::Leak => leak(series, limit, now.mono),
    };
    let Some(forecast) = held::believed(trend.kind, series, now.mono, value, fresh) else { return observation };
    let is_near = held::is_near(series, trend.horizon, forecast.reached_in);
    let observation = meaning::foreseen(observation, is_near, || told(now.wall, limit, &forecast));
    with_figures(observation, now.wall, &forecast)
}

/// The forecast in words: "reaches its limit of 2.0 GiB at about 2026-11-21T10:10:00Z (between 2026-11-21T09:10:00Z and
/// 2026-11-21T12:10:00Z); grows by 50.0 MiB an hour since 2026-11-21T04:10:00Z". It is read later as well, so it says when and not
/// how soon.
fn told(now: WallTime, limit: f64, forecast: &Forecast) -> Text {
    let at = |after| to_the_minute(now.plus(after));
    Text::from(format!(
        "reaches its limit of {} at about {} (between {} and {}); grows by {} an hour since {}",
        bytes(limit),
        at(forecast.reached_in),
        at(forecast.earliest),
        at(forecast.latest),
        bytes(forecast.slope_per_hour),
        grows_since(now, forecast),
    ))
}

/// More exactly it is not known, and not each look should say something else.
fn to_the_minute(at: WallTime) -> WallTime {
    WallTime(at.0.div_euclid(60_000).saturating_mul(60_000))
}

/// Since when it grows.
fn grows_since(now: WallTime, forecast: &Forecast) -> WallTime {
    let since = now.0.saturating_sub(i64::try_from(forecast.growing_for.as_millis()).unwrap_or(i64::MAX));
    to_the_minute(WallTime(since))
}

/// The observation with the forecast as figures.
fn with_figures(observation: Observation, now: WallTime, forecast: &Forecast) -> Observation {
    let confidence = Percent::of(whole(forecast.confidence * 10_000.0), 10_000);
    observation
        .with_figure("forecast.in", Value::Duration(forecast.reached_in))
        .with_figure("forecast.earliest", Value::Duration(forecast.earliest))
        .with_figure("forecast.latest", Value::Duration(forecast.latest))
        .with_figure(Trend::GROWING, Value::Duration(forecast.growing_for))
        .with_figure("forecast.since", Value::Text(Text::from(format!("{}", grows_since(now, forecast)))))
        .with_figure("forecast.slope", Value::Bytes(ByteSize(whole(forecast.slope_per_hour))))
        .with_figure("forecast.confidence", Value::Percent(confidence))
}

/// The figure `name` of an observation, when it is a size.
fn size(observation: &Observation, name: &str) -> Option<f64> {
    match figure(observation, name)? {
        Value::Bytes(size) => Some(size.0 as f64),
        Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Duration(_) | Value::Percent(_) => None,
    }
}

/// The figure `name` of an observation, when it is a number.
fn number(observation: &Observation, name: &str) -> Option<f64> {
    match figure(observation, name)? {
        Value::Number(number) => Some(*number),
        Value::Bool(_) | Value::Bytes(_) | Value::Text(_) | Value::Duration(_) | Value::Percent(_) => None,
    }
}

fn figure<'a>(observation: &'a Observation, name: &str) -> Option<&'a Value> {
    match observation.details() {
        Details::Figures(figures) => figures.get(name),
        Details::None | Details::Unit(_) => None,
    }
}

fn bytes(size: f64) -> ByteSize {
    ByteSize(whole(size))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, which is meant")]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}
