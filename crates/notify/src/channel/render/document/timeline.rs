//! What was done, line by line, each with its time. What was said before is not said again.

use ansai_model::{
    action::ActionOutcome,
    incident::{Step, StepKind},
    report::Report,
    text::Counted,
    time::{Jump, Now, Shown, WallTime},
};
use jiff::tz::TimeZone;

use super::{super::formatted, Block, Tone, told};

/// What is shorter is read as fast as that it was said.
const SAID_MIN: usize = 24;

pub(super) fn what_was_done(report: &Report, zone: &TimeZone) -> Vec<Block> {
    if report.steps.is_empty() {
        return vec![Block::Paragraph("Nothing.".to_owned())];
    }
    let line = |step: &Step| {
        let (tone, text) = step_words(&step.kind);
        (step_time(step.at, report.opened, zone), tone, told(&text, zone))
    };
    let mut lines = Vec::new();
    let mut before = report.opened;
    // What the actions that failed have said, and what is nothing done for.
    let mut said: Vec<String> = Vec::new();
    // Why the steps before did not help, without the rungs.
    let mut reasons: Vec<&str> = Vec::new();
    let mut last = None;
    for step in &report.steps {
        // Times of day that do not follow each other would look like a mistake; durations are right all the same.
        if let Some(jump) = Jump::between(before, step.at) {
            lines.push((step_time(step.at, report.opened, zone), Tone::Plain, format!("the wall clock was {jump}")));
        }
        before = step.at;
        // What was said before is not said again.
        let repeats = repeats(last.replace(&step.kind), &step.kind);
        if repeats {
            continue;
        }
        let failure = failure_of(&step.kind);
        let is_said = failure.as_ref().is_some_and(|failure| said.contains(failure));
        let (at, tone, words) = line(step);
        let words = match &step.kind {
            StepKind::Escalated { why } if said.iter().any(|said| said == why.as_str()) => {
                "escalated for that".to_owned()
            }
            StepKind::Escalated { why } => told(&format!("escalated: {}", said_once(why.as_str(), &reasons)), zone),
            StepKind::Ended { rung, took, .. } if is_said => {
                format!("{rung}: failed as before, after {}", Shown(*took))
            }
            _ => words,
        };
        lines.push((at, tone, words));
        reasons.extend(reason_of(&step.kind));
        said.extend(failure.filter(|_| !is_said));
    }
    let mut blocks = vec![Block::Timeline(lines)];
    if report.steps_dropped > 0 {
        blocks.push(Block::Paragraph(format!("Not kept: {} in the middle.", Counted(report.steps_dropped, "step"))));
    }
    blocks
}

/// Whether a step only says of an action that failed what the step before has said: that it helped nothing.
fn repeats(before: Option<&StepKind>, kind: &StepKind) -> bool {
    let (Some(StepKind::Ended { rung: of, .. }), StepKind::NotVerified { rung, .. }) = (before, kind) else {
        return false;
    };
    of == rung && before.and_then(reason_of) == reason_of(kind)
}

/// Why a step did not help.
fn reason_of(kind: &StepKind) -> Option<&str> {
    match kind {
        StepKind::Ended { outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. } => {
            Some(why.as_str())
        }
        StepKind::NotVerified { why, .. } => Some(why.as_str()),
        _ => None,
    }
}

/// A text without the reason in which it ends, when a line above gives that.
fn said_once(text: &str, reasons: &[&str]) -> String {
    let without = |reason: &&str| text.strip_suffix(reason)?.strip_suffix(": ");
    let Some(begin) = reasons.iter().filter(|reason| reason.len() >= SAID_MIN).find_map(without) else {
        return text.to_owned();
    };
    match begin.rsplit_once("; ") {
        Some((before, "the last one")) => format!("{before}, the last one for what stands above"),
        _ => format!("{begin}, as said above"),
    }
}

/// As what an action that failed is handed to a person, when nothing else is tried.
fn failure_of(kind: &StepKind) -> Option<String> {
    match kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Failed { why } | ActionOutcome::Refused { why }, .. } => {
            Some(format!("{rung}: {why}"))
        }
        StepKind::Decided(text) => text.as_str().strip_prefix("nothing is done: ").map(str::to_owned),
        _ => None,
    }
}

/// The time of day, with the date when it is not that of the opening.
fn step_time(at: Now, opened: Now, zone: &TimeZone) -> String {
    time_of_day(at.wall, opened, zone)
}

pub(super) fn time_of_day(at: WallTime, opened: Now, zone: &TimeZone) -> String {
    let is_same_day = formatted(at, zone, "%F") == formatted(opened.wall, zone, "%F");
    formatted(at, zone, if is_same_day { "%H:%M:%S%.3f" } else { "%m-%d %H:%M:%S" })
}

pub(in super::super) fn step_words(kind: &StepKind) -> (Tone, String) {
    match kind {
        StepKind::Decided(text) => (Tone::Plain, format!("decided: {text}")),
        StepKind::Skipped { rung, why } => (Tone::Plain, format!("{rung}: skipped, {why}")),
        StepKind::Started { rung, what, .. } => (Tone::Plain, format!("{rung}: {what}")),
        StepKind::Ended { rung, outcome, took, .. } => {
            (outcome_tone(outcome), format!("{rung}: {outcome}, after {}", Shown(*took)))
        }
        StepKind::Verified { rung, seen, after } => {
            (Tone::Good, format!("{rung}: verified {} later: {seen}", Shown(*after)))
        }
        StepKind::NotVerified { rung, why, was_verified: true } => {
            (Tone::Bad, format!("{rung}: did not stay well: {why}"))
        }
        StepKind::NotVerified { rung, why, .. } => (Tone::Bad, format!("{rung}: not verified: {why}")),
        StepKind::Cause { incident, what } => (Tone::Plain, format!("its cause, {incident}: {what}")),
        StepKind::TriedAgain { why } => (Tone::Plain, format!("tried once more: {why}")),
        StepKind::BackedOff { wait } => (Tone::Plain, format!("the next attempt waits {}", Shown(*wait))),
        StepKind::Undone { what, outcome } => (outcome_tone(outcome), format!("undone: {what}: {outcome}")),
        StepKind::Answered { text } => (Tone::Plain, format!("an operator answered: {text}")),
        StepKind::Escalated { why } => (Tone::Bad, format!("escalated: {why}")),
        StepKind::StartedByOthers { at, who } => (Tone::Plain, format!("{who} started it at {at}")),
        StepKind::Resolved { how } => (Tone::Good, format!("resolved: {how}")),
        StepKind::Interrupted { what } => (Tone::Bad, format!("interrupted: {what}")),
    }
}

fn outcome_tone(outcome: &ActionOutcome) -> Tone {
    match outcome {
        ActionOutcome::Succeeded { .. } => Tone::Good,
        ActionOutcome::NotNeeded { .. } => Tone::Plain,
        ActionOutcome::Failed { .. } | ActionOutcome::TimedOut { .. } => Tone::Bad,
        ActionOutcome::Refused { .. } | ActionOutcome::Lost { .. } => Tone::Bad,
    }
}
