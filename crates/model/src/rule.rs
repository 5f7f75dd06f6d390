//! A rule: *when* a check of a target fails, *run* a runbook *under* a policy.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    id::{CheckId, PolicyId, RuleId, RunbookId, TargetId},
};

/// When to heal what, and how freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The name of the rule.
    pub id: RuleId,
    /// The target that it heals.
    pub target: TargetId,
    /// The checks that trigger it; an empty list selects none.
    pub checks: Vec<CheckId>,
    /// Must hold as well; unknown does not trigger.
    pub condition: Option<Condition>,
    /// What is run.
    pub runbook: RunbookId,
    /// Under which limits.
    pub policy: PolicyId,
    /// How much may be done without a person.
    pub autonomy: Autonomy,
    /// How soon a person must act when it cannot be healed.
    pub severity: Severity,
}

/// How much a rule may do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Autonomy {
    /// Record what it would have done.
    #[default]
    Observe,
    /// Tell a person what it would do.
    Suggest,
    /// Wait for `ansai approve ID`, for a limited time.
    Approve,
    /// Do it.
    Act,
}

impl Autonomy {
    /// The word for it in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Suggest => "suggest",
            Self::Approve => "approve",
            Self::Act => "act",
        }
    }
}

/// Severity as time to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Within the week.
    Week,
    /// The same day.
    #[default]
    Day,
    /// Now.
    Now,
}

impl Severity {
    /// In words, as "act now".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Week => "act this week",
            Self::Day => "act today",
            Self::Now => "act now",
        }
    }
}
