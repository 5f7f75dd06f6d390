//! What an operator of a controller has a host do now, once: the order, and what the host says came of it. Whether a host does
//! it is decided by the host's engine, to whom it is said by the controller's; neither stands here.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, TargetId},
    operator::{DrillKind, Objection, Operation, sensible_scope},
    policy::Scope,
    text::Text,
};

/// Most targets of one host that an order may mean.
pub const ORDER_TARGETS_MAX: usize = 64;
/// Most of them of which a question may be.
pub const ASKED_TARGETS_MAX: usize = 8;
/// Most bytes of the answer to a question about one target.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// An order that was longer than this on its way is not done: whoever gave it has been told that nobody answered.
pub const ORDER_LATE: Duration = Duration::from_secs(12);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Run the runbook of what is failing.
    Heal,
    /// Allow what an incident proposes.
    Approve,
    /// Refuse what an incident proposes.
    Reject,
    /// Inject a failure.
    Drill(DrillKind),
    /// Say why something is done, or not; nothing is done.
    Explain,
}

impl Deed {
    /// The word of its command.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heal => "heal",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Drill(_) => "drill",
            Self::Explain => "explain",
        }
    }

    /// Whether it only reads.
    #[must_use]
    pub const fn is_a_question(self) -> bool {
        matches!(self, Self::Explain)
    }

    /// What it is on a target of the host, said there; none of what is about incidents, or only asks.
    #[must_use]
    pub fn on(self, target: TargetId) -> Option<Operation> {
        match self {
            Self::Heal => Some(Operation::Heal { target }),
            Self::Drill(kind) => Some(Operation::Drill { target, kind }),
            Self::Approve | Self::Reject | Self::Explain => None,
        }
    }

    /// What it is for an incident of the host; none of what is about targets.
    #[must_use]
    pub fn about(self, incident: IncidentId) -> Option<Operation> {
        match self {
            Self::Approve => Some(Operation::Approve { incident }),
            Self::Reject => Some(Operation::Reject { incident }),
            Self::Heal | Self::Drill(_) | Self::Explain => None,
        }
    }
}

/// What it is to be done to, on each host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// These targets of it, or what is open of them.
    Targets(Scope),
    /// This incident of it.
    Incident(IncidentId),
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Targets(scope) => scope.fmt(f),
            Self::Incident(incident) => incident.fmt(f),
        }
    }
}

/// An order as one host gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The controller's number for the answer.
    pub request: u64,
    /// The controller, by its id.
    pub controller: Text,
    /// The controller's life.
    pub epoch: u64,
    /// The generation that was made for it: of what has the same or an older one nothing is done again. It is 0 of what changes
    /// nothing.
    pub number: u64,
    /// Who gave it.
    pub by: Text,
    /// What is to be done.
    pub deed: Deed,
    /// To what.
    pub to: Subject,
    /// Only what would come of it is asked.
    pub is_rehearsal: bool,
}

impl Order {
    /// Whether something is to be changed.
    #[must_use]
    pub const fn is_to_be_done(&self) -> bool {
        !self.is_rehearsal && !self.deed.is_a_question()
    }
}

/// What is wrong with an order, whichever hosts there are.
///
/// # Errors
/// What it is, and what to write instead.
pub fn check(deed: Deed, to: &Subject) -> Result<(), Objection> {
    let objection =
        |what: &str, instead: &str| Err(Objection { what: String::from(what), suggestion: String::from(instead) });
    match (deed, to) {
        (Deed::Approve | Deed::Reject, Subject::Incident(_)) => Ok(()),
        (_, Subject::Incident(_)) => objection("an incident is approved or rejected", "name targets"),
        (_, Subject::Targets(Scope::All)) => {
            objection("it is not said to which targets", "name them, or write '*' for every one")
        }
        (_, Subject::Targets(scope)) => sensible_scope(scope),
    }
}

/// What a host says came of an order, once its ledger holds that it has heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// As in [`Order`].
    pub request: u64,
    /// As in [`Order`].
    pub epoch: u64,
    /// As in [`Order`].
    pub number: u64,
    /// Of each target or incident that was meant; one at least.
    pub told: Vec<Told>,
}

/// What came of an order for one target or incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What it is of; empty when it is of the whole host.
    pub of: Text,
    /// What came of it.
    pub outcome: OrderOutcome,
    /// In words.
    pub text: Text,
    /// What to do, when there is something.
    pub suggestion: Text,
    /// The answer to a question as JSON, of at most [`DOCUMENT_BYTES_MAX`]; empty before the host's shell has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

crate::listed::listed! {
    /// What came of an order on a host.
    pub enum OrderOutcome {
        /// It is done, or begun; of a rehearsal, it would be.
        Done => "done",
        /// There is nothing there to do it to.
        Nothing => "nothing",
        /// A gate of the host refused it, or the host did.
        Refused => "refused",
        /// The host is not there, and was not told; it is not told later.
        Unreached => "unreached",
        /// The host was told and has not answered: whether it was done is not known.
        Unanswered => "unanswered",
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn an_order_names_what_it_is_for() {
        let named = Subject::Targets(Scope::Matching(vec!["app*".into()]));
        let all = Subject::Targets(Scope::All);
        let incident = Subject::Incident(IncidentId(7));
        for deed in [Deed::Heal, Deed::Approve, Deed::Reject, Deed::Drill(DrillKind::Crash), Deed::Explain] {
            assert_eq!(check(deed, &named), Ok(()));
            assert!(check(deed, &all).is_err(), "{deed:?}");
            assert!(check(deed, &Subject::Targets(Scope::Matching(vec![]))).is_err(), "{deed:?}");
            let is_about_incidents = matches!(deed, Deed::Approve | Deed::Reject);
            assert_eq!(check(deed, &incident).is_ok(), is_about_incidents, "{deed:?}");
        }
    }
}
