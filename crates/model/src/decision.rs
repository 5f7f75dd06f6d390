//! What all gates together said to a proposal, with every reason.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{text::Text, time::Now};

/// A limit on automation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Stopped by a person or by the HOLD file.
    Hold,
    /// The ledger cannot be saved, so nothing may be done.
    Ledger,
    /// Planned time.
    Maintenance,
    /// What the operator wants of the target.
    Intent,
    /// Whether there is anything to act on.
    Existence,
    /// How freely the rule may act.
    Autonomy,
    /// Least time between remediations.
    Cooldown,
    /// Most actions on the target.
    TargetBudget,
    /// Most actions on the host.
    HostBudget,
    /// Repeated failure of healing.
    CircuitBreaker,
    /// A target that this one needs is failing.
    Dependency,
    /// Another remediation of the same target, or too many at once.
    Concurrency,
    /// The wait before the next attempt.
    BackOff,
    /// A quieter hour is near enough.
    Quiet,
}

impl Gate {
    /// Every gate, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::Hold,
        Self::Ledger,
        Self::Maintenance,
        Self::Intent,
        Self::Existence,
        Self::Autonomy,
        Self::Cooldown,
        Self::TargetBudget,
        Self::HostBudget,
        Self::CircuitBreaker,
        Self::Dependency,
        Self::Concurrency,
        Self::BackOff,
        Self::Quiet,
    ];

    /// Its name for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Ledger => "ledger",
            Self::Maintenance => "maintenance window",
            Self::Intent => "operator's intent",
            Self::Existence => "existence",
            Self::Autonomy => "autonomy",
            Self::Cooldown => "cooldown",
            Self::TargetBudget => "budget of the target",
            Self::HostBudget => "budget of the host",
            Self::CircuitBreaker => "circuit breaker",
            Self::Dependency => "dependency",
            Self::Concurrency => "concurrency",
            Self::BackOff => "back-off",
            Self::Quiet => "quiet hours",
        }
    }
}

/// What one gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Not now; again at this time, or when something changes.
    Defer {
        /// When to ask again, when that is known.
        until: Option<Now>,
    },
    /// Not at all; a person must see to it.
    Deny,
}

/// One gate's verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// The gate that spoke.
    pub gate: Gate,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in words that an operator understands.
    pub why: Text,
}

/// What follows from all gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// All gates allow.
    Act,
    /// At least one defers and none denies.
    Defer,
    /// At least one denies, and a person need not be told.
    Deny,
    /// At least one denies, and a person must be told.
    Escalate,
}

/// The answer to a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The instant, on both clocks.
    pub at: Now,
    /// What was proposed, as "restart nginx.service".
    pub proposal: Text,
    /// What the gates chose together.
    pub choice: Choice,
    /// When a deferred one is asked again, when that is known.
    pub until: Option<Now>,
    /// Every gate, allowing ones included.
    pub gates: Vec<GateResult>,
}

impl Decision {
    /// The gates that did not allow.
    pub fn objections(&self) -> impl Iterator<Item = &GateResult> {
        self.gates.iter().filter(|result| result.verdict != Verdict::Allow)
    }
}
