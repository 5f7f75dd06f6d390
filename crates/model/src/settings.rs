//! The agent's own settings and limits, which no rule can widen.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    notify::{SecretRef, WebhookUrl},
    policy::Budget,
    units::ByteSize,
};

/// What the agent is told of itself.
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
    /// Loopback address of the Prometheus metrics, when wanted.
    pub metrics_listen: Option<String>,
    /// The dead-man's switch, when wanted.
    pub heartbeat: Option<Heartbeat>,
    /// Largest flight recorder on disk.
    pub journal_bytes_max: ByteSize,
    /// Longest that reports are kept.
    pub reports_kept_for: Duration,
    /// The agent's own memory above which it drops what it can and says so.
    pub memory_max: ByteSize,
    /// Words whose values are redacted, besides the shipped ones.
    pub redact: Vec<String>,
    /// Labels of the host.
    pub labels: BTreeMap<String, String>,
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
