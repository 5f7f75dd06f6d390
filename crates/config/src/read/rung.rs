//! Rungs of a runbook: their steps and actions.

use std::collections::BTreeMap;

use ansai_document::{
    Findings, Node, nearest, place_of,
    text::{cut, joined},
};
use ansai_model::{
    action::{AS_DECLARED, Action, ProcessDeclaration},
    bundle::Request,
    id::{RungId, UnitName},
    runbook::{OnFailure, Rung, Step},
};

use super::{condition, environment, probe::unit};
use crate::{
    domain::long,
    fill::{
        HeldUnder,
        choice::Choice,
        simple::{command_at, command_of},
    },
    keys::{
        action::{Doing, STEP},
        long::RUNG,
    },
    slice::{LOCAL_TIMEOUT, PROCESS_TIMEOUT},
};

type Processes = BTreeMap<String, Box<ProcessDeclaration>>;

pub(super) fn rung(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) -> Option<Rung> {
    node.map()?;
    let Some(name) = node.text_at("name") else {
        findings.error(node.place, key, "a rung needs a name", "write name: restart".to_owned());
        return None;
    };
    let id = match RungId::new(name) {
        Ok(id) => id,
        Err(error) => {
            findings.name(place_of(node, "name"), &joined(key, "name"), &error);
            return None;
        }
    };
    if matches!(name, "next-rung" | "escalate") {
        let what = format!("`{name}` is what `on_failure` may say, and no name");
        findings.error(place_of(node, "name"), &joined(key, "name"), what, "write another name".to_owned());
    }
    if node.items("steps").is_empty() {
        let help = "write steps: [{restart_unit: app.service}]".to_owned();
        findings.error(node.place, key, format!("the rung `{id}` has no steps"), help);
    }
    let list = |name: &'static str| {
        node.items(name).iter().enumerate().map(move |(index, item)| (format!("{}[{index}]", joined(key, name)), item))
    };
    let steps = list("steps").filter_map(|(key, item)| step(findings, item, &key, processes)).collect();
    let undo = list("undo").filter_map(|(key, item)| action(findings, item, &key, processes)).collect();
    let on_failure = match RUNG.held::<String>(node, "on_failure").as_str() {
        "next-rung" => OnFailure::NextRung,
        "escalate" => OnFailure::Escalate,
        name => OnFailure::Rung(RungId::new(name).ok()?),
    };
    Some(Rung {
        id,
        when: condition(findings, node, key),
        entry: RUNG.held(node, "entry"),
        steps,
        then: RUNG.held(node, "then"),
        on_failure,
        attempts_max: RUNG.held(node, "attempts"),
        undo,
    })
}

/// What an operator may ask for.
pub(super) fn request(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) -> Option<Request> {
    match step(findings, node, key, processes)? {
        Step::Act { action, timeout } => Some(Request { action, timeout }),
        Step::Wait(_) => {
            let help = "write an action, as {reload_unit: app.service}".to_owned();
            findings.error(node.place, key, "nobody asks for a wait", help);
            None
        }
    }
}

fn step(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) -> Option<Step> {
    node.map()?;
    if node.has("wait") {
        if let Some(other) = Doing::every().into_iter().map(Doing::name).find(|name| node.has(name)) {
            let help = "make two steps of it".to_owned();
            findings.error(place_of(node, other), key, "a step waits or acts, not both", help);
            return None;
        }
        return node.duration_at("wait").map(Step::Wait);
    }
    let action = action(findings, node, key, processes)?;
    let timeout = node.duration_at("timeout").unwrap_or(match &action {
        Action::StartUnit { .. } | Action::RestartUnit { .. } | Action::ReloadUnit { .. } => AS_DECLARED,
        Action::StopUnit { .. } => AS_DECLARED,
        Action::StartProcess { .. } | Action::StopProcess { .. } => PROCESS_TIMEOUT,
        Action::Validate { .. } | Action::SaveConfiguration { .. } | Action::RestoreConfiguration { .. } => {
            LOCAL_TIMEOUT
        }
        Action::FreePort { .. } | Action::EnsureEnvironment { .. } | Action::ResetFailed { .. } => LOCAL_TIMEOUT,
        Action::KillUnit { .. } | Action::Drill { .. } | Action::Exec { .. } => LOCAL_TIMEOUT,
        Action::Domain(action) => long::timeout(action),
    });
    Some(Step::Act { action, timeout })
}

fn action(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) -> Option<Action> {
    let map = node.map()?;
    let is_written = Doing::every().into_iter().any(|doing| node.has(doing.name()));
    if !is_written && map.keys().any(|name| STEP.key(name).is_none()) {
        // A key that is none was reported with the nearest one, which is what was meant.
        return None;
    }
    let doing = Doing::one(findings, node, key)?;
    let name = doing.name();
    let (value, around, key) = (node.get(name)?, key, joined(key, name));
    let mut unit = || unit(findings, value, &key);
    Some(match doing {
        Doing::Validate => Action::Validate { command: Box::new(command_of(value)?) },
        Doing::SaveConfiguration => return saved(findings, value, &key),
        Doing::RestoreConfiguration => return restored(findings, value, &key),
        Doing::FreePort => return free_port(findings, value, &key),
        Doing::EnsureEnvironment => {
            Action::EnsureEnvironment { entries: environment::entries(findings, node, name, around) }
        }
        Doing::ResetFailed => Action::ResetFailed { unit: unit()? },
        Doing::StartUnit => Action::StartUnit { unit: unit()? },
        Doing::RestartUnit => Action::RestartUnit { unit: unit()? },
        Doing::ReloadUnit => Action::ReloadUnit { unit: unit()? },
        Doing::StopUnit => Action::StopUnit { unit: unit()? },
        Doing::KillUnit => Action::KillUnit { unit: unit()? },
        Doing::StartProcess => Action::StartProcess { process: process(findings, value, &key, processes)? },
        Doing::StopProcess => Action::StopProcess { process: process(findings, value, &key, processes)? },
        // What is not declared is taken as the most.
        Doing::Exec => {
            Action::Exec { command: Box::new(command_of(value)?), disruption: STEP.held(node, "disruption") }
        }
        Doing::Domain(at) => return (long::action(at)?.read)(findings, value, &key),
    })
}

fn process(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    processes: &Processes,
) -> Option<Box<ProcessDeclaration>> {
    let name = node.text()?;
    let found = processes.get(name);
    if found.is_none() {
        let help = nearest(name, processes.keys().map(String::as_str));
        let help = help.unwrap_or_else(|| "declare it under `processes:`".to_owned());
        findings.error(node.place, key, format!("there is no declared process `{}`", cut(name)), help);
    }
    found.cloned()
}

/// Says which keys are missing.
fn needs(findings: &mut Findings<'_>, node: &Node, key: &str, names: &[&str]) -> Option<()> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !node.has(name)).collect();
    if missing.is_empty() {
        return Some(());
    }
    let what = format!("`{}` is missing", missing.join("` and `"));
    findings.error(node.place, key, what, format!("write {{{}}}", names.join(": …, ") + ": …"));
    None
}

fn saved(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Action> {
    node.map()?;
    needs(findings, node, key, &["unit", "paths", "validator"])?;
    let (unit, paths) = copied(findings, node, key)?;
    Some(Action::SaveConfiguration { unit, paths, validator: Box::new(command_at(node, "validator")?) })
}

fn restored(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Action> {
    node.map()?;
    needs(findings, node, key, &["unit", "paths"])?;
    let (unit, paths) = copied(findings, node, key)?;
    Some(Action::RestoreConfiguration { unit, paths, validator: command_at(node, "validator").map(Box::new) })
}

fn copied(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<(UnitName, Vec<String>)> {
    Some((unit(findings, node.get("unit")?, &joined(key, "unit"))?, node.paths_at("paths")))
}

fn free_port(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Action> {
    node.map()?;
    needs(findings, node, key, &["unit", "port"])?;
    let port = node.whole_at::<u16>("port").filter(|port| *port != 0)?;
    Some(Action::FreePort { unit: unit(findings, node.get("unit")?, &joined(key, "unit"))?, port })
}
