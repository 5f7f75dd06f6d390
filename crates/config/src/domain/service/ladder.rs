//! The ladder of a service: gentlest first, and what follows the last rung is a person.

use std::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action},
    id::{RungId, UnitName},
    probe::CommandLine,
    runbook::{Entry, OnFailure, Rung, Step, Then},
    validators,
};

use super::short::Service;
use crate::slice::{LOCAL_TIMEOUT, PROCESS_TIMEOUT};

const VALIDATE_TIMEOUT: Duration = Duration::from_secs(15);
/// For two validations, and what is done between them.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(45);
fn act(action: Action, timeout: Duration) -> Step {
    Step::Act { action, timeout }
}

fn rung(name: &str, steps: Vec<Step>, then: Then, on_failure: OnFailure, attempts_max: u32) -> Option<Rung> {
    let id = RungId::new(name).ok()?;
    Some(Rung { id, when: None, entry: Entry::InOrder, steps, then, on_failure, attempts_max, undo: Vec::new() })
}

pub(super) fn ladder(service: &Service, unit: Option<&UnitName>, port: Option<u16>, paths: &[String]) -> Vec<Rung> {
    let mut rungs = validation(service, unit, paths);
    if let (Some(unit), Some(port)) = (unit, port) {
        let steps = vec![act(Action::FreePort { unit: unit.clone(), port }, LOCAL_TIMEOUT)];
        rungs.extend(rung("free-port", steps, Then::Continue, OnFailure::Escalate, 1));
    }
    if !service.environment.is_empty() {
        let entries = service.environment.clone();
        let steps = vec![act(Action::EnsureEnvironment { entries }, LOCAL_TIMEOUT)];
        rungs.extend(rung("environment", steps, Then::Continue, OnFailure::NextRung, 1));
    }
    match (unit, &service.process) {
        (Some(unit), _) => rungs.extend(unit_rungs(unit)),
        (None, Some(process)) => {
            let steps = vec![
                act(Action::StopProcess { process: process.clone() }, PROCESS_TIMEOUT),
                act(Action::StartProcess { process: process.clone() }, PROCESS_TIMEOUT),
            ];
            rungs.extend(rung("restart", steps, Then::Verify, OnFailure::NextRung, 2));
        }
        (None, None) => {}
    }
    rungs
}

/// The configuration is validated before anything is started with it.
fn validation(service: &Service, unit: Option<&UnitName>, paths: &[String]) -> Vec<Rung> {
    let known = || {
        let validator = unit.and_then(|unit| validators::for_unit(unit.as_str()))?;
        Some(CommandLine::new(validator.argv.iter().copied()))
    };
    let Some(command) = service.validator.clone().or_else(known) else { return Vec::new() };
    let restored = unit.filter(|_| service.restores_configuration && !paths.is_empty());
    let on_failure = match RungId::new("restore-configuration") {
        Ok(restore) if restored.is_some() => OnFailure::Rung(restore),
        Ok(_) | Err(_) => OnFailure::Escalate,
    };
    let steps = vec![act(Action::Validate { command: Box::new(command.clone()) }, VALIDATE_TIMEOUT)];
    let mut rungs = Vec::new();
    rungs.extend(rung("validate", steps, Then::Continue, on_failure, 1));
    if let Some(unit) = restored {
        let (unit, paths, validator) = (unit.clone(), paths.to_vec(), Some(Box::new(command)));
        let steps = vec![act(Action::RestoreConfiguration { unit, paths, validator }, RESTORE_TIMEOUT)];
        let made = rung("restore-configuration", steps, Then::Continue, OnFailure::Escalate, 1);
        rungs.extend(made.map(|rung| Rung { entry: Entry::OnlyByName, ..rung }));
    }
    rungs
}

fn unit_rungs(unit: &UnitName) -> impl Iterator<Item = Rung> {
    let restart = vec![act(Action::RestartUnit { unit: unit.clone() }, AS_DECLARED)];
    let kill = vec![
        act(Action::KillUnit { unit: unit.clone() }, LOCAL_TIMEOUT),
        act(Action::StartUnit { unit: unit.clone() }, AS_DECLARED),
    ];
    let restart = rung("restart", restart, Then::Verify, OnFailure::NextRung, 2);
    restart.into_iter().chain(rung("kill-and-start", kill, Then::Verify, OnFailure::NextRung, 1))
}
