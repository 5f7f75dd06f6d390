//! How the engine says things to people: short, with names, and with what to do.

use ansai_model::{
    fleet::{FleetScope, Restraint, RestraintKind},
    order::{Deed, OrderOutcome},
    policy::Scope,
    text::Text,
    time::Shown,
};
use ansai_protocol::{
    link::{HostId, Short},
    operation::{FleetAnswer, HostTold, Reached},
};

use crate::FleetEngine;

/// Most names in a sentence; the rest is counted.
const LISTED_MAX: usize = 5;

/// What was done with restraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Begun,
    Ended,
}

pub(crate) fn done(text: String) -> FleetAnswer {
    FleetAnswer::Done { text: text.into(), reached: None }
}

pub(crate) fn refused(why: String, suggestion: &'static str) -> FleetAnswer {
    FleetAnswer::Refused { why: why.into(), suggestion: suggestion.into() }
}

/// Whether a host may be called so.
pub(crate) fn is_host_name(name: &Short) -> bool {
    !name.as_str().is_empty() && name.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// So many of something.
pub(crate) fn count(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// The first few of them by name, and how many more there are. Identities are drawn by chance, so their order tells nothing.
pub(crate) fn listed(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    match &names[..] {
        [] => "nothing".into(),
        [one] => one.clone(),
        [most @ .., last] if names.len() <= LISTED_MAX => format!("{} and {last}", most.join(", ")),
        _ => format!("{} and {} more", names[..LISTED_MAX].join(", "), names.len() - LISTED_MAX),
    }
}

/// What a new restraint does, in a clause.
pub(crate) fn begun(restraint: &Restraint) -> String {
    let what = match restraint.kind {
        RestraintKind::Hold => "held",
        RestraintKind::Silence => "silenced",
        RestraintKind::Maintenance => "in maintenance",
    };
    let Restraint { over, scope, until, .. } = restraint;
    let scope = match scope {
        Scope::All => "all targets".into(),
        Scope::Matching(_) => scope.to_string(),
    };
    let until = until.map(|until| format!(" until {until}, or")).unwrap_or_default();
    format!("{what}: {over}, {scope};{until} until `{}`", restraint.end_command())
}

/// What was ended, in a clause.
pub(crate) fn ended(number: usize, kind: RestraintKind, over: &FleetScope) -> String {
    format!("{} for {over} ended", count(number, kind.as_str()))
}

/// Who has heard of it, in a clause.
pub(crate) fn reached(reached: &Reached, kind: RestraintKind, change: Change) -> String {
    let Reached { meant, acknowledged, missing, under_way } = reached;
    let verb = match (change, kind) {
        (Change::Begun, RestraintKind::Hold) => "hold",
        (Change::Begun, RestraintKind::Silence) => "are silenced",
        (Change::Begun, RestraintKind::Maintenance) => "are in maintenance",
        (Change::Ended, _) => "know it",
    };
    let mut text = format!("{acknowledged} of {meant} {verb}");
    let not_there = usize::try_from(meant.saturating_sub(*acknowledged)).unwrap_or(usize::MAX);
    if not_there > 0 {
        let mut names: Vec<String> =
            missing.iter().take(LISTED_MAX).map(|one| format!("{} ({})", one.host, one.why)).collect();
        if not_there > names.len() {
            names.push(format!("{} more", not_there - names.len()));
        }
        let told = match change {
            Change::Begun => "they act as before until they are reached",
            Change::Ended => "they do nothing until they are reached",
        };
        let told = if kind == RestraintKind::Silence { "they are told when they come back" } else { told };
        text.push_str(&format!("; not reached: {}; {told}", names.join(", ")));
    }
    if !under_way.is_empty() && change == Change::Begun && kind != RestraintKind::Silence {
        let names: Vec<String> = under_way.iter().map(|one| format!("{} on {}", one.target, one.host)).collect();
        text.push_str(&format!("; begun before and still under way: {}", listed(&names)));
    }
    text
}

/// That a host is not there, and since when.
pub(crate) fn not_reached(engine: &FleetEngine, host: HostId) -> Text {
    match engine.last_heard(host) {
        Some(heard) => Text::new(format!("not heard for {}", Shown(engine.now.wall.since(heard)))),
        None => "it has not been heard yet".into(),
    }
}

/// What is ordered, as the words of its command.
pub(crate) fn deed(deed: Deed) -> String {
    match deed {
        Deed::Drill(kind) => format!("drill {}", kind.as_str()),
        deed => deed.as_str().into(),
    }
}

/// What came of an order, in a clause: on how many hosts what.
pub(crate) fn came_of(hosts: &[HostTold]) -> String {
    let has = |host: &&HostTold, outcome| host.told.iter().any(|told| told.outcome == outcome);
    let said = |outcome, what: &str| {
        let some: Vec<&HostTold> = hosts.iter().filter(|host| has(host, outcome)).collect();
        let names: Vec<String> = some.iter().map(|host| host.host.to_string()).collect();
        match outcome {
            _ if some.is_empty() => None,
            OrderOutcome::Done => Some(format!("{what} on {} of {}", some.len(), count(hosts.len(), "host"))),
            _ => Some(format!("{what} on {}", listed(&names))),
        }
    };
    let all = [
        said(OrderOutcome::Done, "done"),
        said(OrderOutcome::Refused, "refused"),
        said(OrderOutcome::Nothing, "nothing to do"),
        said(OrderOutcome::Unanswered, "not answered"),
        said(OrderOutcome::Unreached, "not reached, and not told later,"),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    all.join("; ")
}
