//! Rungs of a runbook and their steps: what is not about one key alone. What each key fills stands with the keys.

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{
    Findings, Node, nearest, place_of,
    text::{cut, joined},
    written::{Fields, Written},
};
use ansai_keys::{Key, count, joined as all};
use ansai_model::{
    action::{AS_DECLARED, Action, ProcessDeclaration},
    bundle::Request,
    id::RungId,
    runbook::{OnFailure, Rung, Step},
};

use crate::{
    domain::long,
    fill::{At, Filled, Held, choice::Choice, field, held_by_keys, with},
    keys::action::{Doing, START_PROCESS, STOP_PROCESS, TIMEOUT, WAIT},
    slice::{LOCAL_TIMEOUT, PROCESS_TIMEOUT},
};

/// Declared processes by their names.
pub(super) type Processes = BTreeMap<String, Box<ProcessDeclaration>>;

/// What is wrong with a rung in which each key is right.
pub(crate) fn whole(findings: &mut Findings<'_>, node: &Node, key: &str, rung: &Rung) {
    if matches!(rung.id.as_str(), NEXT_RUNG | ESCALATE) {
        let what = format!("`{}` is what `on_failure` may say, and no name", rung.id);
        findings.error(place_of(node, "name"), &joined(key, "name"), what, "write another name".to_owned());
    }
    if node.items("steps").is_empty() {
        let help = "write steps: [{restart_unit: app.service}]".to_owned();
        findings.error(node.place, key, format!("the rung `{}` has no steps", rung.id), help);
    }
}

const NEXT_RUNG: &str = "next-rung";
const ESCALATE: &str = "escalate";

impl Held for OnFailure {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        match node.text()? {
            NEXT_RUNG => Some(Self::NextRung),
            ESCALATE => Some(Self::Escalate),
            _ => RungId::read(at, node, None).map(Self::Rung),
        }
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(match self {
            Self::NextRung => Written::text(NEXT_RUNG),
            Self::Escalate => Written::text(ESCALATE),
            Self::Rung(next) => Written::text(next),
        })
    }
}

impl Filled for Step {
    const KEYS: &'static [Key] = {
        const LISTS: &[&[Key]] = &[Action::KEYS, &[WAIT, TIMEOUT]];
        &all::<{ count(LISTS) }>(LISTS)
    };

    fn filled(findings: &mut Findings<'_>, node: &Node, path: &str, _: Option<&Self>) -> Option<Self> {
        node.map()?;
        if node.has(WAIT.name) {
            if let Some(other) = Doing::every().into_iter().map(Doing::name).find(|name| node.has(name)) {
                let help = "make two steps of it".to_owned();
                findings.error(place_of(node, other), path, "a step waits or acts, not both", help);
                return None;
            }
            return field(findings, node, path, &WAIT, None).map(Self::Wait);
        }
        let action = Action::filled(findings, node, path, None)?;
        let timeout: Option<Duration> = field(findings, node, path, &TIMEOUT, None)?;
        Some(Self::Act { timeout: timeout.unwrap_or_else(|| usual(&action)), action })
    }

    fn fields(&self) -> Fields {
        match self {
            // What nobody declares is the unit's own word, which stands in its file.
            Self::Act { action, timeout } => {
                with(action.fields(), &Some(*timeout).filter(|timeout| *timeout != AS_DECLARED), &TIMEOUT)
            }
            Self::Wait(lasts) => with(Fields::default(), lasts, &WAIT),
        }
    }
}

held_by_keys! { Step }

/// How long an action may take where nothing is written.
fn usual(action: &Action) -> Duration {
    match action {
        Action::StartUnit { .. } | Action::RestartUnit { .. } | Action::ReloadUnit { .. } => AS_DECLARED,
        Action::StopUnit { .. } => AS_DECLARED,
        Action::StartProcess { .. } | Action::StopProcess { .. } => PROCESS_TIMEOUT,
        Action::Validate { .. } | Action::SaveConfiguration { .. } | Action::RestoreConfiguration { .. } => {
            LOCAL_TIMEOUT
        }
        Action::FreePort { .. } | Action::EnsureEnvironment { .. } | Action::ResetFailed { .. } => LOCAL_TIMEOUT,
        Action::KillUnit { .. } | Action::Drill { .. } | Action::Exec { .. } => LOCAL_TIMEOUT,
        Action::Domain(action) => long::timeout(action),
    }
}

/// What an operator may ask for.
impl Held for Request {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        match Step::read(at, node, None)? {
            Step::Act { action, timeout } => Some(Self { action, timeout }),
            Step::Wait(_) => {
                at.error(node.place, "nobody asks for a wait", "write an action, as {reload_unit: app.service}");
                None
            }
        }
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        let Self { action, timeout } = self.clone();
        Some(Step::Act { action, timeout }.fields().done())
    }
}

/// Puts the declaration of a process in the place of its name; where none is, [`undeclared`] says so.
pub(super) fn declare(action: &mut Action, processes: &Processes) {
    if let Action::StartProcess { process } | Action::StopProcess { process } = action
        && let Some(declared) = processes.get(&process.name)
    {
        process.clone_from(declared);
    }
}

/// Says which of the processes that are named below here nobody declares.
pub(super) fn undeclared(findings: &mut Findings<'_>, node: &Node, key: &str, processes: &Processes) {
    for (index, item) in node.list().unwrap_or_default().iter().enumerate() {
        undeclared(findings, item, &format!("{key}[{index}]"), processes);
    }
    for (name, entry) in node.map().into_iter().flatten() {
        let (key, named) = (joined(key, name), entry.node.text());
        match named.filter(|_| [START_PROCESS.name, STOP_PROCESS.name].contains(&name.as_str())) {
            None => undeclared(findings, &entry.node, &key, processes),
            Some(named) if processes.contains_key(named) => {}
            Some(named) => {
                let help = nearest(named, processes.keys().map(String::as_str));
                let help = help.unwrap_or_else(|| "declare it under `processes:`".to_owned());
                findings.error(entry.node.place, &key, format!("there is no declared process `{}`", cut(named)), help);
            }
        }
    }
}
