//! What the gates are asked about, and what each of them may answer.

use ansai_model::{
    action::Disruption,
    decision::Verdict,
    incident::Incident,
    policy::Policy,
    rule::Autonomy,
    text::Text,
    time::{MonoTime, Now},
};

use crate::view::View;

/// What is proposed, and under what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proposal<'a> {
    pub(crate) view: View<'a>,
    pub(crate) incident: &'a Incident,
    pub(crate) policy: &'a Policy,
    pub(crate) autonomy: Autonomy,
    /// What the next action disrupts.
    pub(crate) disruption: Disruption,
    /// Whether this begins a remediation, or goes on with one.
    pub(crate) kind: ProposalKind,
    /// How many disruptive actions come first, when it is asked what would be said if an operator asked for it now.
    pub(crate) if_asked: Option<usize>,
}

/// Where in a remediation a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProposalKind {
    Start,
    Continue,
    /// The effect of a rung is taken back.
    Undo,
}

pub(crate) type Ruling = (Verdict, Text);

pub(crate) fn allow(why: impl Into<Text>) -> Ruling {
    (Verdict::Allow, why.into())
}
pub(crate) fn defer(until: Option<Now>, why: impl Into<Text>) -> Ruling {
    (Verdict::Defer { until }, why.into())
}
pub(crate) fn deny(why: impl Into<Text>) -> Ruling {
    (Verdict::Deny, why.into())
}

/// The moment at which the monotonic clock will show `mono`.
pub(crate) fn moment_at(now: Now, mono: MonoTime) -> Now {
    now.plus(mono.since(now.mono))
}
