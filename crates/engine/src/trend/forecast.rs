//! A forecast as a value, and the small arithmetic that those share who make one.

use core::time::Duration;

/// From this confidence on a forecast is believed, and an observation fails for it.
pub const CONFIDENCE_MIN: f64 = 0.8;
/// The farthest that is forecast.
const AHEAD_MAX: Duration = Duration::from_secs(365 * 86_400);

/// When a limit will be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Growth in the figure's unit an hour; above zero.
    pub slope_per_hour: f64,
    /// The time until the limit is reached, at most a year.
    pub reached_in: Duration,
    /// It is hardly reached before this.
    pub earliest: Duration,
    /// It is hardly reached after this.
    pub latest: Duration,
    /// For how long it has grown like this.
    pub growing_for: Duration,
    /// How sure this is, from 0 to 1; believed from [`CONFIDENCE_MIN`] on.
    pub confidence: f64,
    /// When the figure falls below this, what grew has been given back, and nothing of this holds any more.
    pub(super) given_back_below: f64,
}

impl Forecast {
    /// From hours; the interval is put in order.
    pub(super) fn new(
        slope: f32,
        middle: f32,
        (earliest, latest): (f32, f32),
        growing_for: f32,
        confidence: f32,
    ) -> Self {
        Self {
            slope_per_hour: f64::from(slope),
            reached_in: hours(middle),
            earliest: hours(earliest.min(middle)),
            latest: hours(latest.max(middle)),
            growing_for: hours(growing_for),
            confidence: f64::from(confidence),
            given_back_below: 0.0,
        }
    }

    pub(super) fn given_back_below(self, value: f32) -> Self {
        Self { given_back_below: f64::from(value), ..self }
    }

    /// Whether it is sure enough to be believed.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.confidence >= CONFIDENCE_MIN
    }
}

fn hours(hours: f32) -> Duration {
    Duration::try_from_secs_f32(hours.max(0.0) * 3600.0).unwrap_or(AHEAD_MAX).min(AHEAD_MAX)
}

/// Zero at `none` and below, one at `all` and above; the other way round when `all` is less.
pub(super) fn ramp(value: f32, none: f32, all: f32) -> f32 {
    ((value - none) / (all - none)).clamp(0.0, 1.0)
}

/// A figure with the seven digits that a trend needs.
#[expect(clippy::cast_possible_truncation, reason = "seven digits of a size tell its trend, in half the memory")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}
