//! How a configuration of the fleet is brought to its hosts, as it is kept: in which waves, who was told, and what came of it.

use std::collections::BTreeMap;

use ansai_model::{id::IncidentId, text::Text, time::WallTime};
use serde::{Deserialize, Serialize};

use crate::link::HostId;

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// The generation that it brings.
    pub generation: u64,
    /// The generation whose files it brings back, when it does.
    #[serde(default)]
    pub reverts: Option<u64>,
    /// Who began it.
    pub by: Text,
    /// When.
    pub at: WallTime,
    /// How long a wave is watched before the next, in milliseconds.
    pub soak_ms: u64,
    /// Which hosts come together, the canary first.
    pub waves: Vec<Vec<HostId>>,
    /// The wave that was begun last, from 0.
    pub wave: usize,
    /// Since when that wave has been well, or was begun.
    pub since: WallTime,
    /// How it stands.
    pub state: RolloutState,
    /// The hosts that were told it, each with what came of that.
    pub hosts: BTreeMap<HostId, HostRollout>,
}

/// How a roll-out stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// It goes on by itself.
    Running,
    /// Every host has it that was there; the others get it when they come.
    Done,
    /// It goes on no more.
    Stopped {
        /// Why, as people read it.
        why: Text,
    },
}

/// A host within a roll-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRollout {
    /// When it was told.
    pub told: WallTime,
    /// What came of it.
    pub progress: Progress,
    /// The incidents that were open on it before, each by when it was opened and its number.
    pub before: Vec<(i64, IncidentId)>,
}

/// What came of a configuration at a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It has not answered yet.
    Told,
    /// It says that it has it in force.
    InForce,
    /// It does not take it.
    Refused {
        /// Why, as it says.
        why: Text,
    },
}
