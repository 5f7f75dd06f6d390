//! What a controller shows of its fleet, on its own socket and as `--json`: the documented, stable shapes. What they are made
//! of is the controller's.

use std::collections::BTreeMap;

use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    id::RestraintId,
    observation::Health,
    text::Text,
};
use serde::{Deserialize, Serialize};

use crate::{
    IncidentSummary, TargetStatus,
    access::Access,
    link::{ControllerId, Fingerprint, HostId, Short, TokenId},
    operation::FleetOperation,
    record::Audited,
};

mod permits;
mod rollout;

pub use permits::{FleetPermits, PermitView, RoleView, WaitingView};
pub use rollout::{
    DriftView, FleetDrift, FleetPlan, FleetRollouts, PlanAsked, PlannedHost, RolloutHostView, RolloutView,
};

/// The fleet at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetStatus {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The controller's version.
    pub version: String,
    /// The controller, by its id.
    pub controller: ControllerId,
    /// Its life: it grows each time that it is brought back from a copy.
    pub epoch: u64,
    /// For how many seconds it has been running.
    pub uptime_seconds: u64,
    /// Why nothing new is kept, when it is so: nothing is said to hosts then that depends on it.
    pub store_error: Option<Text>,
    /// How many messages hosts have given to be told of which nobody is told: no route is left at the controller.
    #[serde(default)]
    pub untold: usize,
    /// How many hosts wait for a person.
    pub pending: usize,
    /// How many hosts are expected by name and have not joined.
    #[serde(default)]
    pub expected: usize,
    /// What the controller itself has found and nobody has ended: hosts that are not heard, two with one identity.
    #[serde(default)]
    pub own: Vec<IncidentSummary>,
    /// What holds over many.
    pub restraints: Vec<RestraintView>,
    /// Each host that was asked about, by name.
    pub hosts: Vec<HostView>,
    /// Their targets that are not healthy.
    pub unwell: Vec<HostTargetView>,
}

/// A host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostView {
    /// What it is known by.
    pub id: HostId,
    /// Its name.
    pub name: Short,
    /// What it is for.
    #[serde(default)]
    pub role: Option<Short>,
    /// What else is said of it.
    #[serde(default)]
    pub labels: BTreeMap<Short, Short>,
    /// The version of its agent.
    pub program: Short,
    /// From where it came last.
    pub address: Short,
    /// Whether its link is up.
    pub is_connected: bool,
    /// When it was last heard, in milliseconds since 1970; nothing when it never was.
    pub heard_ms: Option<i64>,
    /// By how much its clock is ahead of the controller's, in milliseconds.
    pub ahead_ms: i64,
    /// When it joined, in milliseconds since 1970.
    pub joined_ms: i64,
    /// That another host has the same key: both only observe.
    #[serde(default)]
    pub is_twin: bool,
    /// The worst of its targets as it told them last; unknown while it is not heard.
    pub health: Health,
    /// How many targets it has.
    pub targets: usize,
    /// How many of them are failing.
    pub failing: usize,
    /// How many incidents are open on it.
    pub open: usize,
    /// As what `ssh` reaches it, when it is kept well over SSH; nothing when it has an agent of its own.
    #[serde(default)]
    pub over_ssh: Option<Text>,
    /// Why it is not reached over SSH at this moment.
    #[serde(default)]
    pub ssh_trouble: Option<Text>,
}

/// A target of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostTargetView {
    /// The host's name.
    pub host: Short,
    /// When it was told so, in milliseconds since 1970.
    pub told_ms: i64,
    /// Whether the host is heard: what it told last is old otherwise.
    pub is_connected: bool,
    /// As it stands.
    pub status: TargetStatus,
}

/// Hosts, by name, and those that wait for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetHosts {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// Members.
    pub hosts: Vec<HostView>,
    /// Those that asked to join.
    pub pending: Vec<PendingView>,
    /// The names of those that are expected and have not joined.
    #[serde(default)]
    pub expected: Vec<String>,
    /// Behind which name the next page begins; nothing when there are no more, or when all were asked for.
    #[serde(default)]
    pub next: Option<Short>,
}

/// Which hosts are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsAsked {
    /// These; all when it is left out.
    #[serde(default)]
    pub over: Option<FleetScope>,
    /// At most so many; never more than a thousand.
    pub limit: usize,
    /// Those behind this name: `next` of the page before.
    #[serde(default)]
    pub after: Option<Short>,
}

/// A host that waits for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingView {
    /// Of its key; its short form is what people compare.
    pub fingerprint: Fingerprint,
    /// What it calls itself.
    pub name: Short,
    /// From where it asks.
    pub address: Short,
    /// The machine id that it tells.
    pub machine_id: Short,
    /// The version of its agent.
    pub program: Short,
    /// What it is for, by its own configuration.
    #[serde(default)]
    pub role: Option<Short>,
    /// What else it says of itself.
    #[serde(default)]
    pub labels: BTreeMap<Short, Short>,
    /// When it asked first, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it is forgotten, in milliseconds since 1970.
    pub until_ms: i64,
    /// The name of the member that it would replace.
    #[serde(default)]
    pub replaces: Option<Short>,
}

/// What was said for many at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestraintView {
    /// Its number.
    pub id: RestraintId,
    /// What it stops.
    pub kind: RestraintKind,
    /// Over which hosts, in words.
    pub over: String,
    /// Which of their targets, in words.
    pub scope: String,
    /// Why.
    pub reason: Text,
    /// Who said it.
    pub by: Text,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it ends by itself, in milliseconds since 1970; nothing when a person must end it.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// How many hosts it means now.
    pub hosts: usize,
    /// The names of those that have not said that they obey it.
    pub missing: Vec<Short>,
    /// The command that ends it.
    pub end: String,
}

/// Tokens, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetTokens {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The tokens; none of them with its secret.
    pub tokens: Vec<TokenView>,
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenView {
    /// Its name.
    pub id: TokenId,
    /// The role of the hosts that join by it.
    #[serde(default)]
    pub role: Option<Short>,
    /// How many hosts may still join by it.
    pub uses_left: u32,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: i64,
    /// Who made it.
    pub by: Text,
    /// When it was last used, in milliseconds since 1970.
    #[serde(default)]
    pub used_ms: Option<i64>,
    /// Whether it can be used now.
    pub is_good: bool,
    /// Who asks the API by it, and what they may; nothing of a token by which hosts join.
    #[serde(default)]
    pub access: Option<Access>,
}

/// A token that was just made. Its secret is shown here and nowhere again.
#[derive(Clone, Serialize, Deserialize)]
pub struct FreshTokenView {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// All of it, as a host is given it.
    pub token: String,
    /// How many hosts may join by it.
    pub uses: u32,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: i64,
    /// Who asks the API by it, and what they may; nothing of a token by which hosts join.
    #[serde(default)]
    pub access: Option<Access>,
}

/// A token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAsked {
    /// The role of the hosts that join by it.
    #[serde(default)]
    pub role: Option<Short>,
    /// How many hosts may join by it; none by one of the API.
    #[serde(default)]
    pub uses: u32,
    /// For how long, in milliseconds.
    pub lasts_ms: u64,
    /// What may be asked of the API by it, and under whose name, in place of joining.
    #[serde(default)]
    pub access: Option<Access>,
}

/// Which incidents are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentsAsked {
    /// Of these hosts; of all, and the controller's own, when it is left out.
    #[serde(default)]
    pub over: Option<FleetScope>,
    /// Only those whose target's name has one of these parts.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Only those that have not ended.
    #[serde(default)]
    pub open: bool,
    /// At most so many; never more than a thousand.
    pub limit: usize,
    /// Those behind this place: `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// An operation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetOperate {
    /// What.
    pub operation: FleetOperation,
}

/// What would come of an operation that is not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRehearsed {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// How many hosts it means.
    pub hosts: usize,
}

/// Incidents of the fleet, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetIncidents {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// A page of them.
    pub incidents: Vec<FleetIncident>,
    /// Where the next page begins; nothing when there are no more.
    #[serde(default)]
    pub next: Option<String>,
}

/// An incident of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetIncident {
    /// The host's name, or its id when it is no member any more; none when the controller itself found it.
    #[serde(default)]
    pub host: Option<String>,
    /// In a line.
    pub incident: IncidentSummary,
}

/// What was done, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FleetAudit {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The entries, with their numbers.
    pub entries: Vec<(u64, Audited)>,
}
