//! Rungs, steps and actions in their long form.

use std::time::Duration;

use ansai_document::written::{Fields, Written, time};
use ansai_model::{
    action::{AS_DECLARED, Action, EnvironmentEntry, EnvironmentKind},
    bundle::Request,
    id::UnitName,
    runbook::{OnFailure, Rung, Step},
};

use crate::{
    fill::{choice::Choice, simple::command, words::Words},
    keys::{action::Doing, shared::Thing},
};

pub(super) fn rung(rung: &Rung) -> Written {
    let on_failure = match &rung.on_failure {
        OnFailure::NextRung => Written::text("next-rung"),
        OnFailure::Escalate => Written::text("escalate"),
        OnFailure::Rung(next) => Written::text(next),
    };
    let undo = (!rung.undo.is_empty()).then(|| rung.undo.iter().map(|done| action(done).done()).collect());
    Fields::default()
        .put("name", Written::text(&rung.id))
        .maybe("when", rung.when.as_ref().map(|condition| Written::text(&condition.source)))
        .put("entry", Written::text(rung.entry.word()))
        .put("steps", Written::List(rung.steps.iter().map(step).collect()))
        .put("then", Written::text(rung.then.word()))
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
    let of = |doing: Doing, value| Fields::default().put(doing.name(), value);
    let of_unit = |unit: &UnitName| Fields::default().put("unit", Written::text(unit));
    match action {
        Action::Validate { command: line } => of(Doing::Validate, command(line)),
        Action::SaveConfiguration { unit, paths, validator } => {
            let copy = of_unit(unit).put("paths", Written::texts(paths)).put("validator", command(validator));
            of(Doing::SaveConfiguration, copy.done())
        }
        Action::RestoreConfiguration { unit, paths, validator } => {
            let copy = of_unit(unit).put("paths", Written::texts(paths));
            of(Doing::RestoreConfiguration, copy.maybe("validator", validator.as_deref().map(command)).done())
        }
        Action::FreePort { unit, port } => of(Doing::FreePort, of_unit(unit).put("port", Written::plain(port)).done()),
        Action::EnsureEnvironment { entries } => {
            of(Doing::EnsureEnvironment, Written::List(entries.iter().map(entry).collect()))
        }
        Action::ResetFailed { unit } => of(Doing::ResetFailed, Written::text(unit)),
        Action::StartUnit { unit } => of(Doing::StartUnit, Written::text(unit)),
        Action::RestartUnit { unit } => of(Doing::RestartUnit, Written::text(unit)),
        Action::ReloadUnit { unit } => of(Doing::ReloadUnit, Written::text(unit)),
        Action::StopUnit { unit } => of(Doing::StopUnit, Written::text(unit)),
        Action::KillUnit { unit } => of(Doing::KillUnit, Written::text(unit)),
        Action::StartProcess { process } => of(Doing::StartProcess, Written::text(&process.name)),
        Action::StopProcess { process } => of(Doing::StopProcess, Written::text(&process.name)),
        // No configuration can hold a drill; it is said rather than lost.
        Action::Drill { unit, .. } => Fields::default().put("drill", Written::text(unit)),
        Action::Exec { command: line, disruption } => {
            of(Doing::Exec, command(line)).put("disruption", Written::text(disruption.word()))
        }
        Action::Domain(action) => crate::domain::long::written_action(action),
    }
}

fn entry(entry: &EnvironmentEntry) -> Written {
    let of = |thing: Thing| Fields::default().put(thing.name(), Written::text(&entry.path));
    let fields = match &entry.kind {
        EnvironmentKind::File { create } => of(Thing::File).only_if("create", *create),
        EnvironmentKind::Directory => of(Thing::Directory),
        EnvironmentKind::Symlink(to) => of(Thing::Symlink).put("to", Written::text(to)),
    };
    fields
        .maybe("mode", entry.mode.map(|mode| Written::Text(format!("0{mode:o}"))))
        .maybe("owner", entry.owner.as_ref().map(Written::text))
        .maybe("group", entry.group.as_ref().map(Written::text))
        .done()
}
