//! A runbook: a ladder of rungs, gentlest first.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    action::Action,
    condition::Condition,
    id::{RunbookId, RungId},
};

/// Ordered rungs for one host. The last resort, escalation, is not a rung: it follows when no rung is left, and at once
/// when there is none: such a runbook only tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// The name of the runbook.
    pub id: RunbookId,
    /// Gentlest first; names differ.
    pub rungs: Vec<Rung>,
}

/// One rung: actions in order, what follows, and how to undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The rung, by its name.
    pub id: RungId,
    /// When it applies; skipped with the reason when the condition is false or unknown.
    pub when: Option<Condition>,
    /// How it is reached.
    pub entry: Entry,
    /// In order; each must succeed (or not be needed) before the next.
    pub steps: Vec<Step>,
    /// What follows when all steps succeeded.
    pub then: Then,
    /// What follows when a step failed or was refused.
    pub on_failure: OnFailure,
    /// How often this rung is tried before the next one; at least 1.
    pub attempts_max: u32,
    /// What takes its effect back when its verification fails; in order, best effort, recorded.
    pub undo: Vec<Action>,
}

/// How a rung is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// From the rung before it.
    InOrder,
    /// Only by `OnFailure::Rung` of another.
    OnlyByName,
}

/// One step of a rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Perform an action.
    Act {
        /// The action with its parameters.
        action: Action,
        /// How long it may take.
        timeout: Duration,
    },
    /// Wait this long.
    Wait(Duration),
}

/// What follows a rung whose steps all succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The rung was to heal: every check of the target must become healthy, and stay so.
    Verify,
    /// The rung prepared: go on with the next one.
    Continue,
    /// The rung helped in part: go on with the next one even when the target is well by now, and verify all together with
    /// the last.
    #[serde(alias = "add-up")]
    Accumulate,
}

/// What follows a rung of which a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Go on with the next rung.
    NextRung,
    /// Go to this rung, further down.
    Rung(RungId),
    /// Hand the incident to a person.
    Escalate,
}

impl Rung {
    /// A rung that prepares and is followed by the next, whatever its outcome.
    #[must_use]
    pub fn preparing(id: RungId, action: Action, timeout: Duration) -> Self {
        Self {
            id,
            when: None,
            entry: Entry::InOrder,
            steps: vec![Step::Act { action, timeout }],
            then: Then::Continue,
            on_failure: OnFailure::NextRung,
            attempts_max: 1,
            undo: Vec::new(),
        }
    }

    /// A rung that is to heal, tried `attempts_max` times.
    #[must_use]
    pub fn healing(id: RungId, steps: Vec<Step>, attempts_max: u32) -> Self {
        Self {
            id,
            when: None,
            entry: Entry::InOrder,
            steps,
            then: Then::Verify,
            on_failure: OnFailure::NextRung,
            attempts_max,
            undo: Vec::new(),
        }
    }
}
