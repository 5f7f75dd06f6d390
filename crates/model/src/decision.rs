//! What all gates together said to a proposal, with every reason.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{listed::listed, text::Text, time::Now};

listed! {
    /// A limit on automation; all are in the order in which they are shown.
    #[derive(PartialOrd, Ord)]
    pub enum Gate {
        /// Stopped by a person or by the HOLD file.
        Hold => "hold",
        /// The ledger cannot be saved, so nothing may be done.
        Ledger => "ledger",
        /// Planned time.
        Maintenance => "maintenance window",
        /// What the operator wants of the target.
        Intent => "operator's intent",
        /// Whether there is anything to act on.
        Existence => "existence",
        /// How freely the rule may act.
        Autonomy => "autonomy",
        /// Least time between remediations.
        Cooldown => "cooldown",
        /// Most actions on the target.
        TargetBudget => "budget of the target",
        /// Most actions on the host.
        HostBudget => "budget of the host",
        /// Repeated failure of healing.
        CircuitBreaker => "circuit breaker",
        /// A target that this one needs is failing.
        Dependency => "dependency",
        /// Another remediation of the same target, or too many at once.
        Concurrency => "concurrency",
        /// The wait before the next attempt.
        BackOff => "back-off",
        /// A quieter hour is near enough.
        Quiet => "quiet hours",
        /// The controller has not permitted to disturb what still serves.
        Permit => "permit",
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
    /// One about which no gate was asked, since nothing is proposed: why that is so.
    #[must_use]
    pub fn without_gates(at: Now, why: impl Into<Text>, choice: Choice) -> Self {
        Self { at, proposal: why.into(), choice, until: None, gates: Vec::new() }
    }

    /// The gates that did not allow.
    pub fn objections(&self) -> impl Iterator<Item = &GateResult> {
        self.gates.iter().filter(|result| result.verdict != Verdict::Allow)
    }
}
