//! What is told of an incident: what was measured, and nothing else.
//! Rendering it as text, HTML or JSON is the agent's and the program's.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    decision::{Decision, Gate},
    id::{CheckId, IncidentId, RuleId, TargetId},
    incident::{Evidence, IncidentKind, Phase, Relapse, SinceBy, Step},
    retry::Retry,
    rule::Severity,
    text::Text,
    time::{Now, WallTime},
};

/// A report on one incident at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The incident, by its number.
    pub incident: IncidentId,
    /// The target, by its name.
    pub target: TargetId,
    /// The check that failed.
    pub check: CheckId,
    /// The rule that was applied, when one was.
    pub rule: Option<RuleId>,
    /// How soon a person must act, when it was not healed.
    pub severity: Severity,
    /// What the incident is about.
    #[serde(default)]
    pub kind: IncidentKind,
    /// Whether it was a drill.
    pub is_drill: bool,
    /// Whether nothing was broken when it was opened: a forecast said that it would be.
    #[serde(default)]
    pub is_foreseen: bool,
    /// The storm that it is part of: many failures of this host within seconds.
    #[serde(default)]
    pub storm: Option<Storm>,
    /// When it was made.
    pub at: Now,
    /// One line: what happened.
    pub headline: Text,
    /// What broke: the symptom seen.
    pub symptom: Text,
    /// When it went.
    pub failing_since: Now,
    /// By what that is known.
    #[serde(default)]
    pub since_by: SinceBy,
    /// That it was well in between and went again, when it did.
    #[serde(default)]
    pub relapse: Option<Relapse>,
    /// Whether what failed was down by it; a filesystem that fills up is not.
    #[serde(default = "is_down")]
    pub is_outage: bool,
    /// The last moment at which a look found all well, when one did: never after it went.
    #[serde(default)]
    pub well_until: Option<WallTime>,
    /// When it became an incident.
    pub opened: Now,
    /// Where it stands.
    pub phase: Phase,
    /// Since when all that it is about has been seen well, when it is so now.
    #[serde(default)]
    pub well_since: Option<Now>,
    /// What was found, with sources.
    pub evidence: Vec<Evidence>,
    /// The probable cause with the rule that says so, of what it fails for now; none when no rule of ours applies.
    pub cause: Option<Cause>,
    /// What began it, when that is known and something else keeps it broken now.
    #[serde(default)]
    pub began_by: Option<Cause>,
    /// Each step with its time and outcome.
    pub steps: Vec<Step>,
    /// Steps that did not fit.
    pub steps_dropped: u32,
    /// Why it was acted on or not.
    pub decision: Option<Decision>,
    /// When it is tried again, when a person has it.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Who wants its target left alone at this moment, and what ends that: until then nothing more is done about it.
    #[serde(default)]
    pub restrained: Option<Text>,
    /// How it was verified, when it was.
    pub verified_by: Option<Text>,
    /// How long it was down in all its outages, when it recovered and was down.
    pub downtime: Option<Duration>,
    /// What the same failure cost before.
    pub history: History,
    /// What to change so that it does not come back.
    pub advice: Vec<Text>,
    /// Commands that a person may want next.
    pub commands: Vec<String>,
}

impl Report {
    /// Whether its remediation is kept from going on at this moment.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let keeps = |gate: Gate| matches!(gate, Gate::Hold | Gate::Maintenance | Gate::Ledger | Gate::Autonomy);
        let is_asked = self.decision.as_ref().filter(|_| self.phase == Phase::Remediating);
        is_asked.is_some_and(|decision| decision.objections().any(|said| keeps(said.gate)))
    }

    /// A report of an incident in this phase, seen at this moment, of which nothing more is known: there is no headline, no
    /// evidence and no step, and a person must act now.
    #[must_use]
    pub fn bare(incident: IncidentId, target: TargetId, check: CheckId, at: Now, phase: Phase) -> Self {
        let (headline, symptom) = (Text::new(""), Text::new(""));
        Self {
            incident,
            target,
            check,
            rule: None,
            severity: Severity::Now,
            kind: IncidentKind::Failure,
            is_drill: false,
            storm: None,
            retry: None,
            is_foreseen: false,
            at,
            headline,
            symptom,
            failing_since: at,
            since_by: SinceBy::Look,
            relapse: None,
            is_outage: true,
            well_until: None,
            opened: at,
            phase,
            well_since: None,
            evidence: Vec::new(),
            cause: None,
            steps: Vec::new(),
            steps_dropped: 0,
            decision: None,
            restrained: None,
            began_by: None,
            verified_by: None,
            downtime: None,
            history: History::default(),
            advice: Vec::new(),
            commands: Vec::new(),
        }
    }
}

/// Of reports that were kept by older versions.
fn is_down() -> bool {
    true
}

/// What the incidents of one storm have in common: people are told of them together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    /// The first of its incidents, by which it is known.
    pub first: IncidentId,
    /// How many incidents it has had.
    pub incidents: u32,
    /// How many of them may still be told of soon; whoever sends messages waits a while for them.
    pub undecided: u32,
    /// How many of them are well at this moment: ended, or mended and only watched.
    #[serde(default)]
    pub well: u32,
    /// What is behind all of them, when that was seen.
    pub cause: Option<Cause>,
}

/// The probable cause, and what makes us say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The cause in words.
    pub text: Text,
    /// The name of the rule of inference, for `docs/`.
    pub rule: Text,
    /// What it was seen in.
    pub seen_in: Text,
}

/// What the same target and check cost before this incident, in the time that the ledger keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// Earlier incidents of this check.
    pub incidents: u32,
    /// Earlier incidents of the target by its other checks, those that are not over included.
    #[serde(default)]
    pub by_others: u32,
    /// How often it failed in these: what fails again while it is watched is one incident still.
    #[serde(default)]
    pub outages: u32,
    /// Of these, healed by ansai.
    pub healed: u32,
    /// Their downtime together.
    pub downtime: Duration,
    /// When the last one opened.
    pub last: Option<Now>,
}
