//! What a controller shows of its fleet's configuration: what would come of files, how they come to the hosts, and which hosts
//! do not have what they are to have.

use ansai_model::text::Text;
use serde::{Deserialize, Serialize};

use crate::{
    link::{FleetFile, Short},
    operation::Canary,
    record::Progress,
};

/// What is asked of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAsked {
    /// The files, the weakest first.
    pub files: Vec<FleetFile>,
    /// How many hosts would come first.
    pub canary: Canary,
}

/// What would come of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPlan {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The generation that the files would be.
    pub generation: u64,
    /// The generation with which they are compared; 0 when there is none.
    pub before_generation: u64,
    /// Its files.
    pub before: Vec<FleetFile>,
    /// Every host, by name.
    pub hosts: Vec<PlannedHost>,
}

/// What a host would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHost {
    /// Its name.
    pub host: Short,
    /// What it is for.
    #[serde(default)]
    pub role: Option<Short>,
    /// In which wave, from 1; nothing when it gets it when it comes back.
    #[serde(default)]
    pub wave: Option<usize>,
    /// Whether that is another thing than what it has.
    pub is_changed: bool,
    /// The names of the files that it would get.
    pub files: Vec<Short>,
}

/// How configurations came to the hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetRollouts {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The newest first.
    pub rollouts: Vec<RolloutView>,
}

/// How one came to the hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutView {
    /// The generation that it brings.
    pub generation: u64,
    /// The generation whose files it brings back, 0 when there were none before; nothing when it brings new ones.
    #[serde(default)]
    pub reverts: Option<u64>,
    /// Who began it.
    pub by: Text,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// How long each wave is watched, in milliseconds.
    pub soak_ms: u64,
    /// `running`, `done` or `stopped`.
    pub state: String,
    /// Why it was stopped.
    #[serde(default)]
    pub why: Option<Text>,
    /// The wave that was begun last, from 1.
    pub wave: usize,
    /// How many there are.
    pub waves: usize,
    /// The hosts in its waves, in their order.
    pub hosts: Vec<RolloutHostView>,
}

/// A host in a roll-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutHostView {
    /// Its name, or its id when it is no member any more.
    pub host: String,
    /// In which wave, from 1.
    pub wave: usize,
    /// What came of it; nothing while it was not told.
    #[serde(default)]
    pub progress: Option<Progress>,
}

/// Hosts whose configuration is not what the fleet says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetDrift {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// How many hosts there are.
    pub hosts: usize,
    /// Those that are not as they are to be, by name.
    pub drift: Vec<DriftView>,
}

/// A host that is not as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftView {
    /// Its name.
    pub host: Short,
    /// The generation that it is to have; 0 when the fleet has none for it.
    pub wanted: u64,
    /// The generation that it has; 0 when it has none.
    pub has: u64,
    /// Why, as far as that is known.
    pub why: Text,
}
