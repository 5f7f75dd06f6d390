//! Settings and limits that no rule can widen: those that decisions go by, and those of the agent on its host.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    cluster::Cluster,
    notify::{SecretRef, WebhookUrl},
    policy::Budget,
    units::ByteSize,
};

/// What decisions go by on the whole host; it is a part of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The role of this host, for conditions and reports.
    pub role: Option<String>,
    /// Most disruptive actions on the whole host.
    pub host_budget: Budget,
    /// Most remediations at work at once, which the ramp comes up to; what is only watched is not counted.
    pub remediations_at_once_max: u32,
    /// Period of the full pass that looks at everything, hinted or not.
    pub full_pass_every: Duration,
    /// Most lines of log in the evidence.
    pub evidence_lines_max: u32,
    /// Labels of the host.
    pub labels: BTreeMap<String, String>,
}

/// What the owner of a host says of the agent on it: what it may take, keep and open. No decision goes by it, so that it is
/// no part of a bundle: who sends one to many hosts changes nothing of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// Loopback address of the Prometheus metrics, when wanted.
    pub metrics_listen: Option<String>,
    /// The dead-man's switch, when wanted.
    pub heartbeat: Option<Heartbeat>,
    /// The fleet that the host is of, when its owner says so in the predecessor's words.
    pub cluster: Option<Cluster>,
    /// Largest flight recorder on disk.
    pub journal_bytes_max: ByteSize,
    /// Longest that reports are kept.
    pub reports_kept_for: Duration,
    /// The agent's own memory above which it drops what it can and says so.
    pub memory_max: ByteSize,
    /// Words whose values are redacted, besides the shipped ones.
    pub redact: Vec<String>,
}

/// A ping to a healthchecks-style address, so that the healer is watched too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Where to; `/start` and `/fail` are appended for those.
    pub url: WebhookUrl,
    /// Period.
    pub every: Duration,
    /// Sent as a bearer token when the service wants one.
    pub token: Option<SecretRef>,
}
