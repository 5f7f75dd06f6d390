//! What is asked for as evidence. How it is found is the host's, and what counts the engine's.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, TargetId},
    probe::Probe,
    text::Text,
    time::WallTime,
};

/// Which part of the evidence is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidencePart {
    /// What is so at this moment and which a remedy takes away: processes, who has the port, what the host has left.
    #[default]
    Passing,
    /// What is still there after a remedy: the log of the run that failed, and what was changed.
    Lasting,
}

/// What evidence is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRequest {
    /// Its number, which the answer bears; older versions gave none.
    #[serde(default)]
    pub number: u64,
    /// Which part of it; those of older versions asked for all at once.
    #[serde(default)]
    pub part: EvidencePart,
    /// For which incident.
    pub incident: IncidentId,
    /// About what.
    pub target: TargetId,
    /// The look that found it failing, when its check is configured: a domain knows by it what else is worth looking at.
    pub probe: Option<Probe>,
    /// Its unit, when it has one.
    pub unit: Option<crate::id::UnitName>,
    /// The run of the unit that failed (`InvocationID`), when that is known: what it logged is told apart by it from what a
    /// later run logs.
    #[serde(default)]
    pub run: Option<Text>,
    /// The main process of that run, when it has ended: its core is known by it.
    #[serde(default)]
    pub ended_pid: Option<u32>,
    /// When the failure was seen; what was logged later is of no interest where the run is not known.
    #[serde(default)]
    pub failed: WallTime,
    /// When a remedy of a run that was up began: what is logged of that run from then on is the remedy's doing. What has ended
    /// before logs nothing more, and what it logged last may come a moment later.
    #[serde(default)]
    pub until: Option<WallTime>,
    /// Whether it was running when it was seen: then its processes are evidence too.
    pub is_running: bool,
    /// Its port, when it has one and who has it is of interest: a remedy that is under way takes it.
    pub port: Option<u16>,
    /// What its validator has said against its configuration, when it has, and when: what that names is of interest.
    #[serde(default)]
    pub said: Option<(WallTime, Text)>,
    /// Its configuration.
    pub paths: Vec<alloc::string::String>,
    /// Changes since then are of interest.
    pub since: WallTime,
    /// Most lines of log.
    pub lines_max: u32,
}
