//! Steps, gates and phases as short words, so that a whole story can be compared at once.
//! The words for people are the agent's; these name what the engine decided.

use ansai_model::{
    action::ActionOutcome,
    decision::{GateResult, Verdict},
    incident::{Incident, Phase, Resolution, Step, StepKind},
    time::{Now, Shown},
};

/// What a gate says, with the time until it is asked again.
pub(crate) fn gate(now: Now, result: &GateResult) -> String {
    match result.verdict {
        Verdict::Allow => format!("allow: {}", result.why),
        Verdict::Deny => format!("deny: {}", result.why),
        Verdict::Defer { until: None } => format!("defer: {}", result.why),
        Verdict::Defer { until: Some(until) } => {
            format!("defer {}: {}", Shown(until.mono.since(now.mono)), result.why)
        }
    }
}

/// How an action ended.
pub(crate) fn outcome(outcome: &ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Succeeded { .. } => "succeeded".into(),
        ActionOutcome::NotNeeded { why } => format!("not needed: {why}"),
        ActionOutcome::Failed { why } => format!("failed: {why}"),
        ActionOutcome::TimedOut { after } => format!("timed out after {}", Shown(*after)),
        ActionOutcome::Refused { why } => format!("refused: {why}"),
        ActionOutcome::Lost { why } => format!("lost: {why}"),
    }
}

/// A step of an incident.
pub(crate) fn step(step: &Step) -> String {
    match &step.kind {
        StepKind::Decided(text) => format!("decided: {text}"),
        StepKind::Skipped { rung, why } => format!("skips {rung}: {why}"),
        StepKind::Started { rung, what, .. } => format!("{rung}: {what}"),
        StepKind::Ended { rung, outcome: how, .. } => format!("{rung} {}", outcome(how)),
        StepKind::Verified { rung, seen, .. } => format!("{rung} verified: {seen}"),
        StepKind::NotVerified { rung, why, was_verified: true } => format!("{rung} did not stay well: {why}"),
        StepKind::NotVerified { rung, why, .. } => format!("{rung} not verified: {why}"),
        StepKind::Cause { incident, what } => format!("cause {incident}: {what}"),
        StepKind::TriedAgain { why } => format!("tried again: {why}"),
        StepKind::BackedOff { wait } => format!("waits {}", Shown(*wait)),
        StepKind::Undone { what, outcome: how } => format!("undo: {what}: {}", outcome(how)),
        StepKind::Answered { text } => format!("answered: {text}"),
        StepKind::Escalated { why } => format!("escalated: {why}"),
        StepKind::StartedByOthers { at, who } => format!("{who} started it at {at}"),
        StepKind::Resolved { how } => format!("resolved: {how}"),
        StepKind::Interrupted { what } => format!("interrupted: {what}"),
    }
}

/// Where an incident stands.
pub(crate) fn phase(incident: &Incident) -> &'static str {
    match incident.phase {
        Phase::Open => "open",
        Phase::AwaitingApproval { .. } => "awaiting approval",
        Phase::Remediating => "remediating",
        Phase::Stabilizing { .. } => "stabilizing",
        Phase::Escalated { .. } => "escalated",
        Phase::Resolved(Resolution::Healed { .. }) => "healed",
        Phase::Resolved(Resolution::ByItself) => "recovered by itself",
        Phase::Resolved(Resolution::StartedByOthers { .. }) => "started by others",
        Phase::Resolved(Resolution::AfterEscalation) => "recovered after escalation",
        Phase::Resolved(Resolution::Withdrawn { .. }) => "withdrawn",
    }
}
