//! `ansai incidents --watch`: what happens, a line each, until it is interrupted or the agent is gone.

use std::collections::BTreeSet;

use ansai_model::{action::ActionOutcome, decision::Choice, id::TargetId, text::Text, time::Shown};
use ansai_protocol::{Event, EventKind};
use jiff::tz::TimeZone;

use super::target;
use crate::{
    Paths, client,
    exit::{Code, Failure},
    show,
};

/// Prints each event, with `--json` as the agent tells it: all of them, or those about these targets.
pub(super) fn follow(paths: &Paths, targets: &[String]) -> Result<Code, Failure> {
    let zone = show::terminal().zone.clone();
    let wanted = match targets.is_empty() {
        true => None,
        false => Some(target::wanted(target::names(&client::status(paths)?), targets)?),
    };
    for event in client::events(paths)? {
        let is_wanted = |wanted: &BTreeSet<String>| about(&event).is_none_or(|target| wanted.contains(target.as_str()));
        if !wanted.as_ref().is_none_or(is_wanted) {
            continue;
        }
        if paths.json {
            show::print_json_line(&serde_json::to_value(&event).unwrap_or_default());
        } else if let Some(text) = line(&event, &zone) {
            show::print(show::Page::lines([text]));
        }
        if show::ended().is_some() {
            return Ok(Code::Ok);
        }
    }
    Err(Failure::new(Code::Unreachable, "the agent tells nothing more", "systemctl status ansai says whether it runs"))
}

/// The one target that an event is about; nothing when it is about all of them.
fn about(event: &Event) -> Option<&TargetId> {
    match &event.event {
        EventKind::Incident { target, .. }
        | EventKind::Decision { target, .. }
        | EventKind::ActionBegun { target, .. }
        | EventKind::Report { target, .. } => Some(target),
        EventKind::ActionEnded { target, .. } => target.as_ref(),
        EventKind::Alive | EventKind::Configuration { .. } | EventKind::Ledger { .. } => None,
        EventKind::Warning { .. } | EventKind::Closed { .. } => None,
    }
}

/// What happened, for a person; nothing when nothing did.
fn line(event: &Event, zone: &TimeZone) -> Option<String> {
    let at = show::moment(event.at_ms, zone);
    let of = |target: &TargetId, text: String| format!("{}: {text}", target.name());
    let text = match &event.event {
        EventKind::Alive => return None,
        EventKind::Incident { id, target, phase } => of(target, format!("{id} is {}", show::phase(phase))),
        // What is done is told when it begins.
        EventKind::Decision { choice: Choice::Act, .. } => return None,
        EventKind::Decision { incident, target, choice, proposal, reasons } => {
            let reasons: Vec<&str> = reasons.iter().map(Text::as_str).collect();
            of(target, format!("{incident}: would {proposal}, and {}: {}", instead(*choice), reasons.join("; ")))
        }
        // A target has one action at a time, so nobody needs its number.
        EventKind::ActionBegun { target, what, .. } => of(target, format!("begun: {what}")),
        EventKind::ActionEnded { run, target, outcome } => match target {
            Some(target) => of(target, ended(outcome)),
            None => format!("{run} {}", ended(outcome)),
        },
        EventKind::Report { incident, target, headline, .. } => {
            of(target, format!("{headline} (`ansai report {incident}`)"))
        }
        EventKind::Configuration { generation, error: None } => format!("configuration {generation} is in force"),
        EventKind::Configuration { error: Some(error), .. } => format!("the new configuration is not applied: {error}"),
        EventKind::Ledger { error: None } => "the ledger can be saved again".to_owned(),
        EventKind::Ledger { error: Some(error) } => {
            format!("the ledger cannot be saved, so nothing is done until it can be: {error}")
        }
        EventKind::Warning { text } => format!("warning: {text}"),
        EventKind::Closed { why } => format!("the stream ends: {why}"),
    };
    Some(format!("{at}  {}", show::told(&text, zone)))
}

fn instead(choice: Choice) -> &'static str {
    match choice {
        Choice::Act => "does",
        Choice::Defer => "waits",
        Choice::Deny => "may not",
        Choice::Escalate => "leaves it to a person",
    }
}

fn ended(outcome: &ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Succeeded { note } => format!("succeeded: {note}"),
        ActionOutcome::NotNeeded { why } => format!("was not needed: {why}"),
        ActionOutcome::Failed { why } => format!("failed: {why}"),
        ActionOutcome::TimedOut { after } => format!("did not end within {}", Shown(*after)),
        ActionOutcome::Refused { why } => format!("was refused: {why}"),
        ActionOutcome::Lost { why } => format!("has an unknown outcome: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{IncidentId, RunId},
        incident::Phase,
    };
    use ansai_protocol::SCHEMA;

    use super::*;

    #[test]
    fn each_event_is_a_line_and_nothing_is_none() {
        let target = TargetId::new("service/nginx.service").expect("valid");
        let events = [
            EventKind::Alive,
            EventKind::Incident { id: IncidentId(7), target: target.clone(), phase: Phase::Open },
            EventKind::Decision {
                incident: IncidentId(7),
                target: target.clone(),
                choice: Choice::Defer,
                proposal: "restart nginx.service".into(),
                reasons: vec!["hold: held by root".into()],
            },
            EventKind::ActionBegun {
                run: RunId(3),
                incident: Some(IncidentId(7)),
                target: target.clone(),
                what: "restart nginx.service".into(),
            },
            EventKind::ActionEnded {
                run: RunId(3),
                target: Some(target),
                outcome: ActionOutcome::Failed { why: "it timed out".into() },
            },
        ];
        let lines: Vec<String> = events
            .into_iter()
            .filter_map(|event| line(&Event { schema: SCHEMA, at_ms: 0, event }, &TimeZone::UTC))
            .collect();
        let expected = [
            "1970-01-01 00:00:00 UTC  nginx.service: i7 is open",
            "1970-01-01 00:00:00 UTC  nginx.service: i7: would restart nginx.service, and waits: hold: held by root",
            "1970-01-01 00:00:00 UTC  nginx.service: begun: restart nginx.service",
            "1970-01-01 00:00:00 UTC  nginx.service: failed: it timed out",
        ];
        assert_eq!(lines, expected);
    }
}
