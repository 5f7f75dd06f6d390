//! `ansai incidents --watch`: what happens, a line each, until it is interrupted or the agent is gone.

use std::collections::BTreeSet;

use ansai_model::{action::ActionOutcome, decision::Choice, id::TargetId, text::Text, time::Shown};
use ansai_protocol::{Event, Happening};
use jiff::tz::TimeZone;

use super::target;
use crate::{
    Places, client,
    exit::{Code, Failure},
    show,
};

/// Prints each event, with `--json` as the agent tells it: all of them, or those about these targets.
pub(super) fn follow(places: &Places, targets: &[String]) -> Result<Code, Failure> {
    let zone = show::terminal().zone.clone();
    let wanted = match targets.is_empty() {
        true => None,
        false => Some(target::wanted(target::names(&client::status(places)?), targets)?),
    };
    for event in client::events(places)? {
        let is_wanted = |wanted: &BTreeSet<String>| about(&event).is_none_or(|target| wanted.contains(target.as_str()));
        if !wanted.as_ref().is_none_or(is_wanted) {
            continue;
        }
        if places.json {
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
    match &event.happening {
        Happening::Incident { target, .. }
        | Happening::Decision { target, .. }
        | Happening::ActionBegun { target, .. }
        | Happening::Report { target, .. } => Some(target),
        Happening::ActionEnded { target, .. } => target.as_ref(),
        Happening::Alive | Happening::Configuration { .. } | Happening::Ledger { .. } => None,
        Happening::Warning { .. } | Happening::Closed { .. } => None,
    }
}

/// What happened, for a person; nothing when nothing did.
fn line(event: &Event, zone: &TimeZone) -> Option<String> {
    let at = show::moment(event.at_ms, zone);
    let of = |target: &TargetId, text: String| format!("{}: {text}", target.name());
    let text = match &event.happening {
        Happening::Alive => return None,
        Happening::Incident { id, target, phase } => of(target, format!("{id} is {}", show::phase(phase))),
        // What is done is told when it begins.
        Happening::Decision { choice: Choice::Act, .. } => return None,
        Happening::Decision { incident, target, choice, proposal, reasons } => {
            let reasons: Vec<&str> = reasons.iter().map(Text::as_str).collect();
            of(target, format!("{incident}: {} {proposal}: {}", verb(*choice), reasons.join("; ")))
        }
        Happening::ActionBegun { run, target, what, .. } => of(target, format!("{run} begins: {what}")),
        Happening::ActionEnded { run, target, outcome } => {
            let text = format!("{run} {}", ended(outcome));
            target.as_ref().map_or(text.clone(), |target| of(target, text))
        }
        Happening::Report { incident, target, headline, .. } => {
            of(target, format!("{headline} (`ansai report {incident}`)"))
        }
        Happening::Configuration { generation, error: None } => format!("configuration {generation} is in force"),
        Happening::Configuration { error: Some(error), .. } => format!("the new configuration is not applied: {error}"),
        Happening::Ledger { error: None } => "the ledger can be saved again".to_owned(),
        Happening::Ledger { error: Some(error) } => {
            format!("the ledger cannot be saved, so nothing is done until it can be: {error}")
        }
        Happening::Warning { text } => format!("warning: {text}"),
        Happening::Closed { why } => format!("the stream ends: {why}"),
    };
    Some(format!("{at}  {}", show::told(&text, zone)))
}

fn verb(choice: Choice) -> &'static str {
    match choice {
        Choice::Act => "does",
        Choice::Defer => "waits with",
        Choice::Deny => "may not",
        Choice::Escalate => "leaves to a person",
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
    fn each_happening_is_a_line_and_nothing_is_none() {
        let target = TargetId::new("service/nginx.service").expect("valid");
        let happenings = [
            Happening::Alive,
            Happening::Incident { id: IncidentId(7), target: target.clone(), phase: Phase::Open },
            Happening::Decision {
                incident: IncidentId(7),
                target: target.clone(),
                choice: Choice::Defer,
                proposal: "restart nginx.service".into(),
                reasons: vec!["hold: held by root".into()],
            },
            Happening::ActionBegun {
                run: RunId(3),
                incident: Some(IncidentId(7)),
                target: target.clone(),
                what: "restart nginx.service".into(),
            },
            Happening::ActionEnded {
                run: RunId(3),
                target: Some(target),
                outcome: ActionOutcome::Failed { why: "it timed out".into() },
            },
        ];
        let lines: Vec<String> = happenings
            .into_iter()
            .filter_map(|happening| line(&Event { schema: SCHEMA, at_ms: 0, happening }, &TimeZone::UTC))
            .collect();
        let expected = [
            "1970-01-01 00:00:00 UTC  nginx.service: i7 is open",
            "1970-01-01 00:00:00 UTC  nginx.service: i7: waits with restart nginx.service: hold: held by root",
            "1970-01-01 00:00:00 UTC  nginx.service: r3 begins: restart nginx.service",
            "1970-01-01 00:00:00 UTC  nginx.service: r3 failed: it timed out",
        ];
        assert_eq!(lines, expected);
    }
}
