//! Permits between a host and its controller: a host says all that it wants to disturb and all that it holds, each time anew, and
//! the controller answers with a lease or a reason. What is said twice does no harm, and what is not said any more is given back.
//! Who gets one is decided by the controller, what needs one by the host; neither stands here.

use alloc::{boxed::Box, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, PermitId, TargetId},
    rule::Severity,
    text::Text,
};

/// Most permits that one host wants, and most that it holds.
pub const PERMITS_OF_HOST_MAX: usize = 64;

/// All that a host has to say of permits at a moment: what is said replaces what it said before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitsSaid {
    /// Grows with each message of one process of the agent; a grant names the one that it answers.
    pub number: u64,
    /// The newest permit that this process has heard of; an older one that is not in `holds` is given back.
    #[serde(default)]
    pub through: PermitId,
    /// Whether everything that the host looks after serves, as far as it knows.
    pub is_well: bool,
    /// What it waits to be allowed.
    #[serde(default)]
    pub wants: Vec<PermitWanted>,
    /// What it holds.
    #[serde(default)]
    pub holds: Vec<PermitId>,
}

/// Something that a host wants to do to what still serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitWanted {
    /// For which incident of the host.
    pub incident: IncidentId,
    /// What is disturbed.
    pub target: TargetId,
    /// What is to be done, in words.
    pub what: Text,
    /// How soon a person must act.
    #[serde(default)]
    pub severity: Severity,
    /// For how long it has waited, in milliseconds.
    #[serde(default)]
    pub waits_ms: u64,
    /// How long it may take until it is known whether it helped, in milliseconds.
    pub lasts_ms: u64,
    /// Whether a person has asked for exactly this.
    #[serde(default)]
    pub is_approved: bool,
}

/// A lease for one disruption. The host counts its end from when it asked, the controller from when it was given, which is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitGranted {
    /// Which one; the number grows.
    pub id: PermitId,
    /// The controller's life in which it was given.
    pub epoch: u64,
    /// For which incident of the host.
    pub incident: IncidentId,
    /// The message of the host that it answers.
    pub number: u64,
    /// How long it lasts from when that message was made, in milliseconds.
    pub lasts_ms: u64,
}

/// Why there is none yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitDenied {
    /// For which incident of the host.
    pub incident: IncidentId,
    /// The reason, as people read it: who holds one, and since when.
    pub why: Text,
}

/// A permit that is one no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitFreed {
    /// Which one.
    pub id: PermitId,
    /// The reason, as people read it.
    pub why: Text,
}

/// How a host stands with the controller that it has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkStanding {
    /// There is no link, or none yet.
    Away,
    /// The link is up.
    Up {
        /// Which one, counted by the agent: what was heard on one before it is not said on this one.
        session: u64,
        /// The controller's life.
        epoch: u64,
        /// Whether the controller is of a version that gives permits.
        gives_permits: bool,
    },
}

/// What a controller says of permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermitNews {
    /// The host may do what it asked for, until the lease ends.
    Granted(PermitGranted),
    /// Why it may not yet.
    Denied(Box<PermitDenied>),
    /// A permit is one no more.
    Freed(Box<PermitFreed>),
}
