//! A line of the event stream: something that happened, as it happens. It is no record: what happened before somebody
//! listened stands in reports and in the journal.

use ansai_model::{
    action::ActionOutcome,
    decision::Choice,
    id::{IncidentId, RunId, TargetId},
    incident::Phase,
    notify::NoticeKind,
    text::Text,
};
use serde::{Deserialize, Serialize};

/// One line of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The kind of event, with its details.
    pub event: EventKind,
}

/// What happened. Readers pass over kinds that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Nothing; the agent is there. Told when a stream begins, and every fifteen seconds.
    Alive,
    /// An incident was opened, or stands elsewhere now.
    Incident {
        /// The incident, by its number.
        id: IncidentId,
        /// About what.
        target: TargetId,
        /// Where it stands.
        phase: Phase,
    },
    /// The gates spoke otherwise than before.
    Decision {
        /// About which incident.
        incident: IncidentId,
        /// On which target.
        target: TargetId,
        /// What they chose.
        choice: Choice,
        /// What was proposed.
        proposal: Text,
        /// Each reason that speaks against it.
        reasons: Vec<Text>,
    },
    /// An action has begun.
    ActionBegun {
        /// The run of the action, by its number.
        run: RunId,
        /// For which incident; none for an operator's.
        incident: Option<IncidentId>,
        /// On which target.
        target: TargetId,
        /// What is done, in words.
        what: Text,
    },
    /// An action has ended.
    ActionEnded {
        /// The run of the action, by its number.
        run: RunId,
        /// On which target, when that is still known.
        target: Option<TargetId>,
        /// How the action ended.
        outcome: ActionOutcome,
    },
    /// A report is kept, and told to whoever wants it.
    Report {
        /// On which incident.
        incident: IncidentId,
        /// About which target.
        target: TargetId,
        /// Why it was made.
        kind: NoticeKind,
        /// What happened, in a line.
        headline: Text,
        /// Why nobody is told, when nobody is.
        suppressed: Option<Text>,
    },
    /// A configuration was applied, or refused.
    Configuration {
        /// The bundle in force.
        generation: u64,
        /// What is wrong with the new one, when it was refused.
        error: Option<Text>,
    },
    /// The ledger cannot be saved, or can be again.
    Ledger {
        /// Why not; nothing is done then.
        error: Option<Text>,
    },
    /// A warning of the status appeared.
    Warning {
        /// In words.
        text: Text,
    },
    /// The stream ends here.
    Closed {
        /// The reason, as people read it.
        why: Text,
    },
}
