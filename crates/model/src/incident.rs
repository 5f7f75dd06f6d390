//! An incident: the time from hard failing to resolved, one per target and check.
//! How it moves from phase to phase is the engine's.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::{
    changed::{Change, Changed},
    outage::Relapse,
    request::{EvidencePart, EvidenceRequest},
};
use crate::{
    action::ActionOutcome,
    check::Trend,
    condition::Value,
    decision::Decision,
    id::{CheckId, IncidentId, RuleId, RunId, RungId, TargetId},
    observation::Observation,
    operator::DrillKind,
    report::Cause,
    retry::Retry,
    rule::Severity,
    text::Text,
    time::{Now, WallTime},
};

mod changed;
pub mod outage;
mod request;

/// What an incident is about. A failure may be healed; of everything else a person is only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// It is known to fail.
    #[default]
    Failure,
    /// For longer than is patient nobody can say how it is.
    Unknown,
    /// systemd restarts it by itself, too often or for too long, and each look may find it well.
    Restless,
    /// It is well, and warns of something for longer than a moment.
    Warning,
}

impl IncidentKind {
    /// Whether nothing is ever done about it: a person is told, and told when it is over.
    #[must_use]
    pub fn is_notify_only(self) -> bool {
        self != Self::Failure
    }
}

/// By what it is known when something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinceBy {
    /// The beginning of the first look that found it failing: it may have gone at any moment since the one before.
    #[default]
    Look,
    /// systemd's own stamp.
    Systemd,
    /// The first look at which none of its processes could run: none has run since.
    Stillness,
}

/// Something that is broken, or was; or something of which a person must know all the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The incident, by its number.
    pub id: IncidentId,
    /// What it is about; ledgers of older versions know failures only.
    #[serde(default)]
    pub kind: IncidentKind,
    /// What is broken.
    pub target: TargetId,
    /// The check that says so.
    pub check: CheckId,
    /// The rule that heals it, when one does.
    pub rule: Option<RuleId>,
    /// How soon a person must act.
    pub severity: Severity,
    /// When it went, from which downtime is counted.
    pub failing_since: Now,
    /// By what that is known.
    #[serde(default)]
    pub since_by: SinceBy,
    /// That it was well in between and went again, when it did.
    #[serde(default)]
    pub relapse: Option<Relapse>,
    /// When it became an incident.
    pub opened: Now,
    /// The last moment at which a look found all well, when one did: never after it went.
    #[serde(default)]
    pub well_until: Option<WallTime>,
    /// When the run of its unit began that was well before it, when it failed in a later one: what is read at a start may be
    /// why, if it was changed since then.
    #[serde(default)]
    pub well_run: Option<WallTime>,
    /// The observation that opened it.
    pub observation: Observation,
    /// What was last seen failing when it had been well and failed anew, or failed in another way after a remedy.
    #[serde(default)]
    pub seen_anew: Option<Observation>,
    /// What it failed for first, as far as that was known when it failed once more, or in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_cause: Option<Box<Cause>>,
    /// Since when it fails in another way than it did first, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise_since: Option<WallTime>,
    /// The incident of which this one is a symptom: same target, or a target that this one needs.
    pub symptom_of: Option<IncidentId>,
    /// Whether it was caused by a drill.
    pub is_drill: bool,
    /// By which kind of drill, when that is known.
    #[serde(default)]
    pub drill: Option<DrillKind>,
    /// The first incident of the storm that it is part of.
    #[serde(default)]
    pub storm: Option<IncidentId>,
    /// Where it stands.
    pub phase: Phase,
    /// The last decision of the gates.
    pub decision: Option<Decision>,
    /// What happened, in order; at most [`Incident::STEPS_MAX`], of those in the middle the others are counted only.
    pub steps: Vec<Step>,
    /// Steps that did not fit.
    pub steps_dropped: u32,
    /// What was found out about it.
    pub evidence: Vec<Evidence>,
    /// When all its checks were first healthy again after the last failure.
    pub healthy_since: Option<Now>,
    /// When it ended.
    pub ended: Option<Now>,
    /// When it is tried again, once a person has it.
    #[serde(default)]
    pub retry: Option<Retry>,
}

impl Incident {
    /// Most steps kept.
    pub const STEPS_MAX: usize = 64;
    /// Most pieces of evidence kept.
    pub const EVIDENCE_MAX: usize = 24;

    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it was opened by a forecast alone: nothing was broken then.
    #[must_use]
    pub fn is_foreseen(&self) -> bool {
        self.observation.figure(Trend::FORESEEN) == Some(&Value::Bool(true))
    }

    /// As what it was last seen to fail.
    #[must_use]
    pub fn seen_last(&self) -> &Observation {
        self.seen_anew.as_ref().unwrap_or(&self.observation)
    }

    /// Adds a step. When there are [`Incident::STEPS_MAX`], one from the middle gives its place: how it began and how it
    /// ended is the story.
    pub fn record(&mut self, at: Now, kind: StepKind) {
        if self.steps.len() >= Self::STEPS_MAX {
            self.steps.remove(Self::STEPS_MAX / 2);
            self.steps_dropped = self.steps_dropped.saturating_add(1);
        }
        self.steps.push(Step { at, kind });
    }
}

/// Where an incident stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is done yet; the decision says why.
    Open,
    /// Waits for `ansai approve`.
    AwaitingApproval {
        /// Until then.
        expires: Now,
    },
    /// A runbook is being run.
    Remediating,
    /// A rung worked; it waits until it has stayed well.
    Stabilizing {
        /// Resolved then, when it stays well.
        until: Now,
    },
    /// It is well again.
    Resolved(Resolution),
    /// A person has it; it is still watched, and resolved when it recovers.
    Escalated {
        /// The reason, as people read it.
        why: Text,
    },
}

/// How an incident was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// By a remedy of ours.
    Healed {
        /// The rung that did.
        rung: RungId,
    },
    /// Without us.
    ByItself,
    /// By a start that was somebody else's, as of a person who has mended it.
    StartedByOthers {
        /// When it was started.
        at: WallTime,
    },
    /// By a person, after it had been escalated.
    AfterEscalation,
    /// An operator wants the target stopped, or it left the configuration.
    Withdrawn {
        /// The reason, as people read it.
        why: Text,
    },
}

/// Something that happened in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The instant, on both clocks.
    pub at: Now,
    /// The kind of step, with its details.
    pub kind: StepKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// The gates spoke.
    Decided(Text),
    /// A rung does not apply.
    Skipped {
        /// The rung, by its name.
        rung: RungId,
        /// The reason, as people read it.
        why: Text,
    },
    /// An action was begun.
    Started {
        /// For which rung.
        rung: RungId,
        /// The run of the action, by its number.
        run: RunId,
        /// What, in words.
        what: Text,
        /// Whether it disrupts nothing, as a validator: what is seen after it is of the failure still.
        #[serde(default)]
        is_harmless: bool,
    },
    /// An action ended.
    Ended {
        /// For which rung.
        rung: RungId,
        /// The run of the action, by its number.
        run: RunId,
        /// How the action ended.
        outcome: ActionOutcome,
        /// After how long.
        took: Duration,
    },
    /// All checks are healthy after a rung.
    Verified {
        /// The rung, by its name.
        rung: RungId,
        /// What the checks saw.
        seen: Text,
        /// How long after the action's end.
        after: Duration,
    },
    /// The target did not become, or did not stay, healthy.
    NotVerified {
        /// The rung, by its name.
        rung: RungId,
        /// The reason, as people read it.
        why: Text,
        /// Whether it had been verified and failed again.
        #[serde(default)]
        was_verified: bool,
    },
    /// A wait before the next attempt.
    BackedOff {
        /// How long it waits.
        wait: Duration,
    },
    /// What happened in the incident of which this one is a symptom.
    Cause {
        /// That incident.
        incident: IncidentId,
        /// What, in words.
        what: Text,
    },
    /// An effect was taken back.
    Undone {
        /// What, in words.
        what: Text,
        /// How it ended.
        outcome: ActionOutcome,
    },
    /// An operator allowed or refused.
    Answered {
        /// What and who.
        text: Text,
    },
    /// Handed to a person.
    Escalated {
        /// The reason, as people read it.
        why: Text,
    },
    /// It was handed to a person, and is tried once more.
    TriedAgain {
        /// The reason, as people read it.
        why: Text,
    },
    /// Somebody else had what failed started.
    StartedByOthers {
        /// When it was started.
        at: WallTime,
        /// By whom, as far as that is known, as people read it.
        who: Text,
    },
    /// It ended.
    Resolved {
        /// How, in words.
        how: Text,
    },
    /// The agent or its host restarted in between.
    Interrupted {
        /// What is known.
        what: Text,
    },
}

/// A finding with its source, redacted before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where it is from, as `journalctl -u nginx.service`.
    pub source: Text,
    /// What kind of finding it is.
    pub kind: EvidenceKind,
    /// The finding; several lines are fine.
    pub text: Text,
    /// When it was seen, of what holds at one moment only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<WallTime>,
    /// Of changes: when they were made, and of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

impl Evidence {
    /// A finding that is no change.
    #[must_use]
    pub fn new(source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Self {
        Self { source: source.into(), kind, text: text.into(), seen: None, changed: None }
    }

    /// A finding that holds at one moment, and when that was.
    #[must_use]
    pub fn seen_at(at: WallTime, source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Self {
        Self { seen: Some(at), ..Self::new(source, kind, text) }
    }

    /// The words for processes none of which can run, since they are stopped by a signal or by a debugger.
    pub const STOPPED: &'static str = "stopped (state ";
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// The unit's own state.
    Unit,
    /// What another check of it had seen when it failed.
    Look,
    /// The last lines that it logged.
    Log,
    /// What it and the host use.
    Resources,
    /// What changed lately: packages, unit files, configuration.
    Change,
    /// Who listens on its port.
    Port,
    /// That something could not be looked at.
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::CheckId, time::MonoTime};

    #[test]
    fn a_long_story_keeps_its_beginning_and_its_end() {
        let at = Now { mono: MonoTime(0), wall: WallTime(0) };
        let target = TargetId::new("service/a.service").expect("valid");
        let mut incident = Incident {
            id: IncidentId(1),
            kind: IncidentKind::Failure,
            check: CheckId::of(&target, "unit").expect("valid"),
            target,
            rule: None,
            severity: Severity::Day,
            failing_since: at,
            since_by: SinceBy::Look,
            relapse: None,
            opened: at,
            well_until: None,
            well_run: None,
            observation: Observation::failing("down"),
            seen_anew: None,
            first_cause: None,
            otherwise_since: None,
            symptom_of: None,
            is_drill: false,
            drill: None,
            storm: None,
            phase: Phase::Open,
            decision: None,
            steps: Vec::new(),
            steps_dropped: 0,
            evidence: Vec::new(),
            healthy_since: None,
            ended: None,
            retry: None,
        };
        for number in 0..100 {
            incident.record(at, StepKind::Decided(Text::new(alloc::format!("{number}"))));
        }
        let said = |index: usize| incident.steps.get(index).map(|step| step.kind.clone());
        assert_eq!((incident.steps.len(), incident.steps_dropped), (Incident::STEPS_MAX, 36));
        assert_eq!(said(0), Some(StepKind::Decided("0".into())));
        assert_eq!(said(Incident::STEPS_MAX - 1), Some(StepKind::Decided("99".into())));
    }
}
