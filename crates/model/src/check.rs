//! A check: a probe with its schedule and thresholds.

use alloc::boxed::Box;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    condition::ValueType,
    id::{CheckId, TargetId},
    probe::Probe,
};

/// A probe, when to run it, and how many results in a row are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The name of the check.
    pub id: CheckId,
    /// What it looks at.
    pub target: TargetId,
    /// How it looks.
    pub probe: Probe,
    /// Period while nothing is wrong, at least [`Check::EVERY_MIN`].
    pub every: Duration,
    /// Period while its state is soft, or a verification waits: at most `every`.
    pub every_soft: Duration,
    /// A look that takes longer is unknown for a unit and failing for anything that has to answer.
    pub timeout: Duration,
    /// Failing results in a row that make the state hard failing; at least 1.
    pub fail_after: u32,
    /// Healthy results in a row that make the state hard healthy; at least 1.
    pub recover_after: u32,
    /// When the check flaps.
    pub flap: Flap,
    /// What of it is followed over time, so that it fails before its limit is reached.
    #[serde(default)]
    pub trend: Option<Box<Trend>>,
}

impl Check {
    /// The shortest period.
    pub const EVERY_MIN: Duration = Duration::from_millis(100);
}

/// More changes of the hard state (or restarts by systemd itself) than `changes_max` within `window` is flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// Most changes that are not flapping.
    pub changes_max: u32,
    /// The window in which they are counted.
    pub window: Duration,
}

/// A figure of a check's observations that is followed over time, and the figure that it must not reach.
///
/// The engine adds what it forecasts to each observation, and lets a healthy one fail when the limit is nearer than
/// the horizon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// The name of the figure that is followed, a size in bytes.
    pub figure: Box<str>,
    /// The name of the figure that it must not reach, a size in bytes.
    pub limit: Box<str>,
    /// The name of a figure that changes when what is followed begins anew, as a process does that was restarted.
    pub life: Option<Box<str>>,
    /// What kind of growth is looked for.
    pub kind: TrendKind,
    /// The check fails when the limit is forecast to be reached within this time.
    pub horizon: Duration,
}

impl Trend {
    /// The figures that a forecast adds to an observation.
    pub const FIGURES: &[(&str, ValueType)] = &[
        ("forecast.in", ValueType::Duration),
        ("forecast.earliest", ValueType::Duration),
        ("forecast.latest", ValueType::Duration),
        (Self::GROWING, ValueType::Duration),
        ("forecast.since", ValueType::Text),
        ("forecast.slope", ValueType::Bytes),
        ("forecast.confidence", ValueType::Percent),
        (Self::FORESEEN, ValueType::Bool),
    ];
    /// The figure of an observation that fails for its forecast alone: nothing is broken yet.
    pub const FORESEEN: &str = "forecast.alone";
    /// The figure that says for how long it has grown.
    pub const GROWING: &str = "forecast.growing";
}

/// What kind of growth is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrendKind {
    /// Something fills up, for whatever reason: a filesystem.
    Fill,
    /// Something grows that has no reason to: memory that is never given back.
    /// Warm-up, a cache that fills and the rhythm of day and week are no leak.
    Leak,
}
