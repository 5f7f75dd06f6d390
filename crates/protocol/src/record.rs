//! What a controller keeps: each record with the key under which a newer one replaces it, and all of them that its engine needs
//! to begin. How they are kept is the store's, what they mean the fleet engine's.

use std::collections::BTreeMap;

use ansai_model::{
    fleet::Restraint,
    id::{IncidentId, PermitId, RestraintId, TargetId},
    message::MessageKey,
    report::Report,
    text::Text,
    time::WallTime,
};
use serde::{Deserialize, Serialize};

use crate::{
    IncidentSummary, TargetStatus,
    access::Access,
    link::{
        ControllerId, FeedId, Fingerprint, FleetFile, Held, HostId, RefusedBundle, Request, RestraintsAt, Short,
        TokenId,
    },
    ssh::OverSsh,
};

mod message;
mod permit;
mod rollout;

pub use message::{MessageRecord, TakenRecord};
pub use permit::PermitRecord;
pub use rollout::{HostRollout, Progress, RolloutRecord, RolloutState};

/// One change of what is kept. Those that are saved together are kept together, or none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A host, by its id.
    Host(HostRecord),
    /// A host is gone, with its identities, targets and where its changes stood. Its incidents and reports stay.
    HostGone(HostId),
    /// A certificate that was given to a host, by its serial number.
    Identity(IdentityRecord),
    /// A certificate of which nothing need be known any more: it is good for nothing.
    IdentityGone(Text),
    /// A token, by its id.
    Token(TokenRecord),
    /// A token of which nothing need be known any more: it is good for nothing.
    TokenGone(TokenId),
    /// A host that waits for a person, by the fingerprint of its key.
    Pending(PendingRecord),
    /// It waits no more.
    PendingGone(Fingerprint),
    /// A restraint, by its number.
    Restraint(Restraint),
    /// It has ended.
    RestraintGone(RestraintId),
    /// The generation of restraints, one for the whole fleet. It only grows: an older one changes nothing.
    Generation(u64),
    /// A target as its host told it last, by both.
    Target(HostTarget),
    /// A host has this target no more.
    TargetGone {
        /// The host.
        host: HostId,
        /// The target.
        target: TargetId,
    },
    /// An incident, by its host, its number and when it was opened: a host that lost its ledger counts anew.
    Incident(HostIncident),
    /// A report, by its host, the incident's number and when that was opened.
    Report {
        /// The host.
        host: HostId,
        /// The newest report.
        report: Box<Report>,
    },
    /// Up to where a host's changes are kept, by the host: saved with them.
    Kept(Kept),
    /// Something that was done, behind all that was done before.
    Audit(Audited),
    /// A configuration of the fleet, by its generation.
    Bundle(BundleRecord),
    /// How it is brought to the hosts, by its generation.
    Rollout(RolloutRecord),
    /// The configuration of this generation is kept no more, nor how it was brought to the hosts.
    RolloutGone(u64),
    /// A permit, by its number.
    Permit(PermitRecord),
    /// It was given back, freed, or has ended.
    PermitGone(PermitId),
    /// A message to people that a host has given, by the host and its key.
    Message(MessageRecord),
    /// It is told.
    MessageGone {
        /// Whose it was.
        host: HostId,
        /// Which one.
        key: MessageKey,
    },
    /// The newest messages that a host has given, by the host.
    Taken(TakenRecord),
}

/// A host of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// What it is known by; names are labels.
    pub id: HostId,
    /// Its name, which no other member has.
    pub name: Short,
    /// What it is for, as its configuration or its token says.
    #[serde(default)]
    pub role: Option<Short>,
    /// What else is said of it.
    #[serde(default)]
    pub labels: BTreeMap<Short, Short>,
    /// The machine id that it tells: evidence, no identity.
    #[serde(default)]
    pub machine_id: Short,
    /// The boot that it told last.
    #[serde(default)]
    pub boot_id: Short,
    /// The version of its agent.
    #[serde(default)]
    pub program: Short,
    /// From where it came last.
    #[serde(default)]
    pub address: Short,
    /// When it joined, by the controller's clock.
    pub joined: WallTime,
    /// When it was last heard, as far as that was worth keeping.
    #[serde(default)]
    pub heard: Option<WallTime>,
    /// By how much its clock is ahead of the controller's, in milliseconds.
    #[serde(default)]
    pub ahead_ms: i64,
    /// The restraints that it said it has saved.
    #[serde(default)]
    pub acknowledged: RestraintsAt,
    /// What was still going on there when it said so.
    #[serde(default)]
    pub under_way: Vec<TargetId>,
    /// The configuration of the fleet that it said it has.
    #[serde(default)]
    pub configuration: Held,
    /// The one that it said it does not take.
    #[serde(default)]
    pub refused: Option<RefusedBundle>,
    /// How it is reached, when it is kept well over SSH; nothing when it has an agent of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_ssh: Option<Box<OverSsh>>,
}

/// A configuration of the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// The controller's life in which it was made.
    pub epoch: u64,
    /// Its number, which only grows.
    pub generation: u64,
    /// Its files, the weakest first.
    pub files: Vec<FleetFile>,
}

/// A certificate that was given to a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Its serial number, in hexadecimal digits.
    pub serial: Text,
    /// The host.
    pub host: HostId,
    /// Of its public key.
    pub fingerprint: Fingerprint,
    /// When it was given.
    pub since: WallTime,
    /// When it ends.
    pub until: WallTime,
    /// When it was taken back, if it was.
    #[serde(default)]
    pub revoked: Option<WallTime>,
}

/// A token: by which hosts join without being asked about, or by which somebody asks the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public part.
    pub id: TokenId,
    /// The digest of its secret part, which itself is kept nowhere.
    pub secret: Fingerprint,
    /// The role of the hosts that join by it.
    #[serde(default)]
    pub role: Option<Short>,
    /// How many hosts may still join by it; none by one of the API.
    pub uses_left: u32,
    /// When it ends.
    pub until: WallTime,
    /// Who made it.
    pub by: Text,
    /// When it was made.
    pub made: WallTime,
    /// When it was last used.
    #[serde(default)]
    pub used: Option<WallTime>,
    /// When it was taken back, if it was.
    #[serde(default)]
    pub revoked: Option<WallTime>,
    /// What may be asked of the API by it, when it is a token of the API: no host joins by such a one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// A host that asked to join and waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// Of its public key.
    pub fingerprint: Fingerprint,
    /// What it calls itself.
    pub name: Short,
    /// The machine id that it tells.
    pub machine_id: Short,
    /// The version of its agent.
    pub program: Short,
    /// From where it asks.
    pub address: Short,
    /// What it is for, by its own configuration.
    #[serde(default)]
    pub role: Option<Short>,
    /// What else it says of itself.
    #[serde(default)]
    pub labels: BTreeMap<Short, Short>,
    /// Its request for a certificate.
    pub request: Request,
    /// When it asked first.
    pub since: WallTime,
    /// When it is forgotten.
    pub until: WallTime,
    /// The member of the same name or machine id that it would replace.
    #[serde(default)]
    pub replaces: Option<HostId>,
    /// The host that it is, once a person has accepted it: it asks again for its certificate.
    #[serde(default)]
    pub accepted: Option<HostId>,
}

/// A target of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostTarget {
    /// The host.
    pub host: HostId,
    /// When it was told, by the controller's clock.
    pub at: WallTime,
    /// As it stands.
    pub status: TargetStatus,
}

/// An incident of a host, or of the controller's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostIncident {
    /// The host; none when the controller itself found it.
    #[serde(default)]
    pub host: Option<HostId>,
    /// In a line.
    pub incident: IncidentSummary,
}

/// Up to where the changes of a host's feed are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The host.
    pub host: HostId,
    /// The feed of one process of its agent.
    pub feed: FeedId,
    /// The number of its last change that is kept; 0 when what is kept goes on from nothing that the feed told.
    pub through: u64,
}

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// When.
    pub at: WallTime,
    /// Who.
    pub by: Text,
    /// What, in words.
    pub what: Text,
    /// On how many hosts.
    pub hosts: u32,
}

/// What is known of the whole when a controller begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetState {
    /// The controller, by its id.
    pub controller: ControllerId,
    /// How often the whole was brought back from a copy, or later: it only grows, and what a host was told under an older one
    /// binds it no more.
    pub epoch: u64,
    /// All hosts.
    pub hosts: Vec<HostRecord>,
    /// All identities.
    pub identities: Vec<IdentityRecord>,
    /// All tokens.
    pub tokens: Vec<TokenRecord>,
    /// All that wait.
    pub pending: Vec<PendingRecord>,
    /// All restraints.
    pub restraints: Vec<Restraint>,
    /// Their generation.
    pub generation: u64,
    /// Where each host's changes stand.
    pub kept: Vec<Kept>,
    /// All targets.
    pub targets: Vec<HostTarget>,
    /// The incidents that have not ended, the oldest first.
    pub open: Vec<HostIncident>,
    /// The highest number that an incident of the controller's own ever had.
    pub last_incident: IncidentId,
    /// The highest number that a restraint ever had.
    pub last_restraint: RestraintId,
    /// The configurations of the fleet that are kept.
    pub bundles: Vec<BundleRecord>,
    /// How they were, or are, brought to the hosts.
    pub rollouts: Vec<RolloutRecord>,
    /// The permits that are held.
    pub permits: Vec<PermitRecord>,
    /// The highest number that a permit ever had.
    pub last_permit: PermitId,
    /// The messages of hosts that are to be told.
    pub messages: Vec<MessageRecord>,
    /// Those that each host has given lately.
    pub taken: Vec<TakenRecord>,
    /// The highest number that a group of messages ever had.
    pub last_group: u64,
}
