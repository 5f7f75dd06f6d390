//! Rungs of a runbook: their steps and actions.

use std::collections::BTreeMap;

use ansai_model::{
    action::{AS_DECLARED, Action, Disruption, ProcessDeclaration},
    bundle::Request,
    id::RungId,
    runbook::{Entry, OnFailure, Rung, Step, Then},
};

use super::{environment, probe::unit, service::condition};
use crate::{
    deduce::ladder::{LOCAL_TIMEOUT, PROCESS_TIMEOUT},
    diagnostics::{Findings, nearest, place_of},
    document::Node,
    domain,
    form::{cut, joined},
    keys::{ACTION, STEP},
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
    let on_failure = match node.text_at("on_failure") {
        None | Some("next-rung") => OnFailure::NextRung,
        Some("escalate") => OnFailure::Escalate,
        Some(name) => OnFailure::Rung(RungId::new(name).ok()?),
    };
    Some(Rung {
        id,
        when: condition(findings, node, key),
        entry: if node.text_at("entry") == Some("only-by-name") { Entry::OnlyByName } else { Entry::InOrder },
        steps,
        then: match node.text_at("then") {
            Some("continue") => Then::Continue,
            Some("add-up") => Then::AddUp,
            Some(_) | None => Then::Verify,
        },
        on_failure,
        attempts_max: node.count_at("attempts").unwrap_or(1),
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
        if let Some(other) = names().find(|name| node.has(name)) {
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
        Action::Domain(action) => domain::timeout(action),
    });
    Some(Step::Act { action, timeout })
}

/// The names of the actions.
fn names() -> impl Iterator<Item = &'static str> + Clone {
    ACTION.keys.iter().map(|key| key.name).filter(|name| *name != "disruption")
}

fn action(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) -> Option<Action> {
    node.map()?;
    let found: Vec<&str> = names().filter(|name| node.has(name)).collect();
    if found.is_empty() && node.map()?.keys().any(|name| STEP.key(name).is_none()) {
        // A key that is none was reported with the nearest one, which is what was meant.
        return None;
    }
    let [name] = found[..] else {
        let what = if found.is_empty() { "this does nothing" } else { "these are two actions in one" };
        let help = format!("name exactly one of {}", names().collect::<Vec<_>>().join(", "));
        findings.error(found.get(1).map_or(node.place, |name| place_of(node, name)), key, what, help);
        return None;
    };
    if node.has("disruption") && name != "exec" {
        let what = format!("`{name}` declares its disruption itself");
        findings.error(place_of(node, "disruption"), &joined(key, "disruption"), what, "delete it".to_owned());
    }
    let (value, key) = (node.get(name)?, joined(key, name));
    if let Some(long) = domain::long(name) {
        return (long.action)(findings, value, &key);
    }
    let mut unit = || unit(findings, value, &key);
    Some(match name {
        "validate" => Action::Validate { command: Box::new(node.command_at(name)?) },
        "save_configuration" | "restore_configuration" => return copy(findings, value, name, &key),
        "free_port" => return free_port(findings, value, &key),
        "ensure_environment" => {
            let parent = key.rsplit_once('.').map_or("", |(parent, _)| parent);
            Action::EnsureEnvironment { entries: environment::entries(findings, node, name, parent) }
        }
        "reset_failed" => Action::ResetFailed { unit: unit()? },
        "start_unit" => Action::StartUnit { unit: unit()? },
        "restart_unit" => Action::RestartUnit { unit: unit()? },
        "reload_unit" => Action::ReloadUnit { unit: unit()? },
        "stop_unit" => Action::StopUnit { unit: unit()? },
        "kill_unit" => Action::KillUnit { unit: unit()? },
        "start_process" => Action::StartProcess { process: process(findings, value, &key, processes)? },
        "stop_process" => Action::StopProcess { process: process(findings, value, &key, processes)? },
        _ => Action::Exec {
            command: Box::new(node.command_at("exec")?),
            disruption: disruption(node.text_at("disruption")),
        },
    })
}

/// What is not declared is taken as the most.
fn disruption(text: Option<&str>) -> Disruption {
    match text {
        Some("none") => Disruption::None,
        Some("brief") => Disruption::Brief,
        Some(_) | None => Disruption::Full,
    }
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

fn copy(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str) -> Option<Action> {
    node.map()?;
    let is_save = name == "save_configuration";
    let keys: &[&str] = if is_save { &["unit", "paths", "validator"] } else { &["unit", "paths"] };
    needs(findings, node, key, keys)?;
    let paths = environment::paths(findings, node, "paths", key);
    let unit = unit(findings, node.get("unit")?, &joined(key, "unit"))?;
    match is_save {
        true => Some(Action::SaveConfiguration { unit, paths, validator: Box::new(node.command_at("validator")?) }),
        false => {
            Some(Action::RestoreConfiguration { unit, paths, validator: node.command_at("validator").map(Box::new) })
        }
    }
}

fn free_port(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Action> {
    node.map()?;
    needs(findings, node, key, &["unit", "port"])?;
    let port = node.whole_at::<u16>("port").filter(|port| *port != 0)?;
    Some(Action::FreePort { unit: unit(findings, node.get("unit")?, &joined(key, "unit"))?, port })
}
