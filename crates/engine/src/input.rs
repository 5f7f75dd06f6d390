//! Everything that can make the engine change: one closed list.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::ActionOutcome,
    bundle::Bundle,
    condition::Value,
    fleet::RestraintSet,
    hint::Hint,
    id::{CheckId, IncidentId, RunId},
    incident::Evidence,
    observation::Observation,
    operator::OperatorCommand,
    order::Order,
    permit::{LinkStanding, PermitNews},
    text::Text,
};
use serde::{Deserialize, Serialize};

/// One cause of change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The agent has just started with the ledger that the engine was made from: what was in flight is unknown.
    Started,
    /// Something may have changed.
    Hint(Hint),
    /// A probe has answered.
    Observed {
        /// Which check asked.
        check: CheckId,
        /// What was seen.
        observation: Observation,
    },
    /// An action has ended.
    ActionEnded {
        /// The run of the action, by its number.
        run: RunId,
        /// How the action ended.
        outcome: ActionOutcome,
    },
    /// An action was decided but not begun, because the decision could not be saved.
    NotStarted {
        /// The run of the action, by its number.
        run: RunId,
        /// The reason, as people read it.
        why: Text,
    },
    /// Evidence is there.
    Gathered {
        /// For which incident.
        incident: IncidentId,
        /// The number of the request; older versions gave none, and then it answers the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<u64>,
        /// The findings.
        evidence: Vec<Evidence>,
    },
    /// A report (and its messages) is durably in the shell's hands.
    Dispatched {
        /// Its number.
        dispatch: u64,
    },
    /// An operator speaks.
    Operator {
        /// The shell's number for the answer.
        request: u64,
        /// What is asked.
        command: OperatorCommand,
    },
    /// A controller says which restraints its operators have for this host: all of them.
    Restraints(Box<RestraintSet>),
    /// An operator of a controller has the host do something now, once.
    Order {
        /// What.
        order: Box<Order>,
        /// How long it was on its way, as far as that is known.
        late: Duration,
    },
    /// A controller has the host begin no action for a while; nothing of it is kept.
    StandBack {
        /// The reason, as people read it.
        why: Text,
        /// How long from now on.
        lasts: Duration,
    },
    /// How the host stands with the controller that it has joined.
    Linked(LinkStanding),
    /// A controller says something of permits.
    Permit(PermitNews),
    /// Root has taken the host out of its fleet: what a controller's operators said ends.
    LeftController,
    /// A new bundle is to be applied.
    Apply(Box<Bundle>),
    /// The host's `host.*` facts.
    Facts(BTreeMap<Box<str>, Value>),
    /// The file HOLD is there, with what it says, or is gone.
    HoldFile(Option<Text>),
    /// The ledger could be saved (`None`) or could not (why).
    Ledger(Option<Text>),
}
