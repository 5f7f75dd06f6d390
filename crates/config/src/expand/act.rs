//! Rungs, steps and actions in their long form.

use std::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action, Disruption, EnvironmentEntry, EnvironmentKind},
    bundle::Request,
    id::UnitName,
    runbook::{Entry, OnFailure, Rung, Step, Then},
};

use super::{Fields, command, time, yaml::Written};

pub(super) fn rung(rung: &Rung) -> Written {
    let entry = match rung.entry {
        Entry::InOrder => "in-order",
        Entry::OnlyByName => "only-by-name",
    };
    let then = match rung.then {
        Then::Verify => "verify",
        Then::Continue => "continue",
        Then::AddUp => "add-up",
    };
    let on_failure = match &rung.on_failure {
        OnFailure::NextRung => Written::text("next-rung"),
        OnFailure::Escalate => Written::text("escalate"),
        OnFailure::Rung(next) => Written::text(next),
    };
    let undo = (!rung.undo.is_empty()).then(|| rung.undo.iter().map(|done| action(done).done()).collect());
    Fields::default()
        .put("name", Written::text(&rung.id))
        .maybe("when", rung.when.as_ref().map(|condition| Written::text(&condition.source)))
        .put("entry", Written::text(entry))
        .put("steps", Written::List(rung.steps.iter().map(step).collect()))
        .put("then", Written::text(then))
        .put("on_failure", on_failure)
        .put("attempts", Written::plain(rung.attempts_max))
        .maybe("undo", undo.map(Written::List))
        .done()
}

/// What an operator may ask for.
pub(super) fn request(request: &Request) -> Written {
    within(action(&request.action), request.timeout).done()
}

/// What nobody declares is the unit's own word, which stands in its file.
fn within(fields: Fields, timeout: Duration) -> Fields {
    if timeout == AS_DECLARED { fields } else { fields.time("timeout", timeout) }
}

fn step(step: &Step) -> Written {
    match step {
        Step::Act { action: done, timeout } => within(action(done), *timeout).done(),
        Step::Wait(lasts) => Fields::default().put("wait", time(*lasts)).done(),
    }
}

fn action(action: &Action) -> Fields {
    let fields = Fields::default();
    let of_unit = |unit: &UnitName| Fields::default().put("unit", Written::text(unit));
    match action {
        Action::Validate { command: line } => fields.put("validate", command(line)),
        Action::SaveConfiguration { unit, paths, validator } => {
            let copy = of_unit(unit).put("paths", Written::texts(paths)).put("validator", command(validator));
            fields.put("save_configuration", copy.done())
        }
        Action::RestoreConfiguration { unit, paths, validator } => {
            let copy = of_unit(unit).put("paths", Written::texts(paths));
            let copy = match validator {
                Some(validator) => copy.put("validator", command(validator)),
                None => copy,
            };
            fields.put("restore_configuration", copy.done())
        }
        Action::FreePort { unit, port } => {
            fields.put("free_port", of_unit(unit).put("port", Written::plain(port)).done())
        }
        Action::EnsureEnvironment { entries } => {
            fields.put("ensure_environment", Written::List(entries.iter().map(entry).collect()))
        }
        Action::ResetFailed { unit } => fields.put("reset_failed", Written::text(unit)),
        Action::StartUnit { unit } => fields.put("start_unit", Written::text(unit)),
        Action::RestartUnit { unit } => fields.put("restart_unit", Written::text(unit)),
        Action::ReloadUnit { unit } => fields.put("reload_unit", Written::text(unit)),
        Action::StopUnit { unit } => fields.put("stop_unit", Written::text(unit)),
        Action::KillUnit { unit } => fields.put("kill_unit", Written::text(unit)),
        Action::StartProcess { process } => fields.put("start_process", Written::text(&process.name)),
        Action::StopProcess { process } => fields.put("stop_process", Written::text(&process.name)),
        // No configuration can hold a drill; it is said rather than lost.
        Action::Drill { unit, .. } => fields.put("drill", Written::text(unit)),
        Action::Exec { command: line, disruption } => {
            let disruption = match disruption {
                Disruption::None => "none",
                Disruption::Brief => "brief",
                Disruption::Full => "full",
            };
            fields.put("exec", command(line)).put("disruption", Written::text(disruption))
        }
        Action::Domain(action) => crate::domain::written_action(action),
    }
}

fn entry(entry: &EnvironmentEntry) -> Written {
    let path = || Written::text(&entry.path);
    let fields = match &entry.kind {
        EnvironmentKind::File { create } => Fields::default().put("file", path()).only_if("create", *create),
        EnvironmentKind::Directory => Fields::default().put("directory", path()),
        EnvironmentKind::Symlink(to) => Fields::default().put("symlink", path()).put("to", Written::text(to)),
    };
    fields
        .maybe("mode", entry.mode.map(|mode| Written::Text(format!("0{mode:o}"))))
        .maybe("owner", entry.owner.as_ref().map(Written::text))
        .maybe("group", entry.group.as_ref().map(Written::text))
        .done()
}
