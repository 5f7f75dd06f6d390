//! Everything that the fleet engine asks of its shell: complete values that leave no choice.

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    notify::Notice,
    rule::Severity,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{
    link::{FromController, HostBundle, HostId, JoinAnswer, Request},
    operation::FleetAnswer,
    record::Record,
};

use crate::input::{Issued, JoiningId, SessionId};

/// Something for the shell to do. What comes beside a [`FleetEffect::Save`] is done only when that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetEffect {
    /// Keep these, all or none; first in what a step returns, and at most once.
    Save {
        /// Each is one more.
        number: u64,
        /// What is to be kept.
        records: Vec<Record>,
    },
    /// Say something to a host.
    Send {
        /// On this connection.
        session: SessionId,
        /// What.
        message: FromController,
    },
    /// Say why, and close a host's connection.
    Close {
        /// The connection.
        session: SessionId,
        /// Always [`FromController::Closing`].
        message: FromController,
    },
    /// Sign a configuration, and give it to a host.
    Configure {
        /// On this connection.
        session: SessionId,
        /// The host's files.
        bundle: Box<HostBundle>,
    },
    /// Sign a certificate, and answer with `FleetInput::Issued` or `NotIssued`.
    Issue {
        /// For whom.
        to: Issued,
        /// Who the certificate is to say that it is.
        host: HostId,
        /// What was asked for.
        request: Request,
    },
    /// Answer a host that asked to join, and close its connection.
    Join {
        /// The connection.
        joining: JoiningId,
        /// What comes of it; for one that has joined the shell adds nothing.
        answer: JoinAnswer,
    },
    /// Answer an operator.
    Answer {
        /// The number of the request.
        request: u64,
        /// What came of it.
        answer: FleetAnswer,
    },
    /// Tell people of an incident of the controller's own.
    Tell(FleetNotice),
    /// Tell people what hosts have given to be told, and answer with `FleetInput::Told` once that cannot be lost any more. It is
    /// asked for again until then, and is the same by its number.
    TellForHosts {
        /// The group of their messages.
        number: u64,
        /// The one message for all of them.
        notice: Box<Notice>,
    },
}

/// What people are told of an incident of the controller's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetNotice {
    /// Its number; 0 of what is no incident, since nothing can be kept.
    pub incident: IncidentId,
    /// What it is about: the controller.
    pub target: TargetId,
    /// What was looked at.
    pub check: CheckId,
    /// When it began.
    pub opened: WallTime,
    /// How soon a person must act.
    pub severity: Severity,
    /// In a line.
    pub headline: Text,
    /// Whether it is over.
    pub is_over: bool,
}
