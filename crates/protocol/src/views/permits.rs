//! What a controller shows of permits: who holds one, who waits and why, and how much of each role may be disturbed.

use ansai_model::{
    id::{IncidentId, PermitId, TargetId},
    rule::Severity,
    text::Text,
};
use serde::{Deserialize, Serialize};

use crate::link::Short;

/// The permits of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPermits {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// Why no host gets one at this moment, when none does.
    pub none_is_given: Option<Text>,
    /// Those that are held, the oldest first.
    pub permits: Vec<PermitView>,
    /// Those that wait, in the order in which they are looked at.
    pub waiting: Vec<WaitingView>,
    /// Each role that hosts have, by its name; last the hosts without one.
    pub roles: Vec<RoleView>,
}

/// A permit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitView {
    /// Its number.
    pub id: PermitId,
    /// Who holds it, by name.
    pub host: Short,
    /// What the host was for when it was given.
    pub role: Option<Short>,
    /// For which incident of the host.
    pub incident: IncidentId,
    /// What is disturbed.
    pub target: TargetId,
    /// What is done to it, in words.
    pub what: Text,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it ends if it is not given back, in milliseconds since 1970.
    pub until_ms: i64,
}

/// What waits for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingView {
    /// Which host, by name.
    pub host: Short,
    /// What it is for.
    pub role: Option<Short>,
    /// For which incident of the host.
    pub incident: IncidentId,
    /// What would be disturbed.
    pub target: TargetId,
    /// What would be done to it, in words.
    pub what: Text,
    /// How soon a person must act.
    pub severity: Severity,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// Why it waits; nothing before it was looked at.
    pub why: Option<Text>,
}

/// How much of a role may be disturbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleView {
    /// Its name; none for hosts without a role.
    pub role: Option<Short>,
    /// How many members it has, those included that are expected and have not joined.
    pub members: usize,
    /// How many of them are known to be well.
    pub healthy: usize,
    /// How many must stay so.
    pub healthy_min: usize,
    /// How many may be disturbed at once.
    pub disturbed_max: usize,
}
