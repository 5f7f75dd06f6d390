//! Everything that the engine asks of its shell: complete values that leave no choice.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ansai_model::id::RouteId;
use ansai_model::{
    action::ActionRun, fleet::Acknowledged, id::CheckId, incident::EvidenceRequest, notify::NoticeKind, order::Ordered,
    permit::PermitsSaid, report::Report, text::Text,
};
use serde::{Deserialize, Serialize};

/// Something for the shell to do, after it has saved the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Run the probe of a check and answer with `Input::Observed`.
    Observe(CheckId),
    /// Perform an action and answer with `Input::ActionEnded`.
    Perform(Box<ActionRun>),
    /// Collect evidence and answer with `Input::Gathered`.
    Gather(Box<EvidenceRequest>),
    /// Keep a report, queue its messages, and answer with `Input::Dispatched` once both are durable.
    Dispatch(Box<Dispatch>),
    /// Tell the controller what its operators have in force here, once the ledger holds the state; never before.
    Restrained(Box<Acknowledged>),
    /// Tell the controller what came of an order, once the ledger holds the state; never before.
    Ordered(Box<Ordered>),
    /// Tell the controller what the host wants to disturb and what it holds; only on this link, and of several the newest.
    Permits {
        /// Which link.
        session: u64,
        /// All of it.
        said: Box<PermitsSaid>,
    },
    /// Answer an operator.
    Answer {
        /// The number of the request.
        request: u64,
        /// What came of it.
        answer: Answer,
    },
}

/// A report to keep, with the routes that it is told on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Its number; the same one may be dispatched again after a restart, and must then count once.
    pub id: u64,
    /// Why people are told.
    pub kind: NoticeKind,
    /// Who is told; nobody when empty, and the report is kept all the same.
    pub routes: Vec<RouteId>,
    /// Why nobody is told, when nobody is.
    #[serde(rename = "untold")]
    pub suppressed: Option<Text>,
    /// Nobody is told only because the host has no route at all: a controller that it has may have one.
    #[serde(default, rename = "unrouted", skip_serializing_if = "core::ops::Not::not")]
    pub is_unrouted: bool,
    /// The report that people get.
    pub report: Report,
}

/// What came of an operator's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done, or begun; in words.
    Done(Text),
    /// A gate refused it.
    Refused {
        /// The reason, as people read it.
        why: Text,
        /// What to do instead.
        suggestion: Text,
    },
    /// It names something that does not exist.
    NotFound {
        /// What it was, as people read it.
        what: Text,
        /// What to do instead.
        suggestion: Text,
    },
}
