//! A check: a probe with its schedule and thresholds.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::{CheckId, TargetId},
    probe::Probe,
};

/// A probe, when to run it, and how many results in a row are believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
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
