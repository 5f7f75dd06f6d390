//! A forecast that was believed stands for a while when the next look is not sure of it, so that an incident does not come
//! and go with the rhythm of a day or with each rotation. It ends at once with a restart, or when what grew was given back.

use core::time::Duration;

use ansai_model::{check::TrendKind, time::MonoTime};
use serde::{Deserialize, Serialize};

use super::{
    forecast::{Forecast, narrow},
    series::Series,
};

/// A limit that was within the horizon is so until it is this much farther away.
const HORIZON_LEFT: f64 = 1.25;

/// The latest forecast that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    at: u32,
    slope: f32,
    reached_in: Duration,
    earliest: Duration,
    latest: Duration,
    growing_for: Duration,
    confidence: f32,
    given_back_below: f32,
}

impl Held {
    fn new(at: u32, forecast: &Forecast) -> Self {
        Self {
            at,
            slope: narrow(forecast.slope_per_hour),
            reached_in: forecast.reached_in,
            earliest: forecast.earliest,
            latest: forecast.latest,
            growing_for: forecast.growing_for,
            confidence: narrow(forecast.confidence),
            given_back_below: narrow(forecast.given_back_below),
        }
    }

    /// For how long it stands: as long as the gaps that growth of this kind has in it.
    fn stands_for(&self, kind: TrendKind) -> Duration {
        match kind {
            TrendKind::Fill => (self.growing_for / 8).min(Duration::from_secs(3 * 3600)),
            TrendKind::Leak => (self.growing_for / 4).min(Duration::from_secs(24 * 3600)),
        }
    }

    /// The forecast as it is after some time has passed.
    fn after(&self, passed: Duration) -> Forecast {
        Forecast {
            slope_per_hour: f64::from(self.slope),
            reached_in: self.reached_in.saturating_sub(passed),
            earliest: self.earliest.saturating_sub(passed),
            latest: self.latest.saturating_sub(passed),
            growing_for: self.growing_for.saturating_add(passed),
            confidence: f64::from(self.confidence),
            given_back_below: f64::from(self.given_back_below),
        }
    }
}

/// The forecast that is believed at this look: the fresh one, or the one that still stands.
pub(super) fn believed(
    kind: TrendKind,
    series: &mut Series,
    now: MonoTime,
    value: f64,
    fresh: Option<Forecast>,
) -> Option<Forecast> {
    let at = series.tick(now);
    if let Some(fresh) = fresh.filter(Forecast::is_believed) {
        series.held = Some(Held::new(at, &fresh));
        return Some(fresh);
    }
    let held = series.held?;
    let passed = Duration::from_millis(u64::from(at.saturating_sub(held.at)) * 100);
    if passed > held.stands_for(kind) || narrow(value) < held.given_back_below {
        series.held = None;
        return None;
    }
    Some(held.after(passed))
}

/// Whether the limit is within the horizon, with some slack once it was.
pub(super) fn is_near(series: &mut Series, horizon: Duration, reached_in: Duration) -> bool {
    let horizon = if series.was_near { horizon.mul_f64(HORIZON_LEFT) } else { horizon };
    series.was_near = reached_in <= horizon;
    series.was_near
}
