//! The keys of actions, and of the steps that hold them, each with what it fills.

use ansai_document::{
    units::shown_duration,
    written::{Fields, Written},
};
use ansai_keys::{Key, Kind, Shape, key};
use ansai_model::{
    action::{Action, Disruption},
    id::UnitName,
    probe::CommandLine,
    runbook::Step,
};

use super::{
    PORT,
    shared::{COMMAND_LINE, ENVIRONMENT},
};
use crate::{
    domain::long::{self, ACTION_KEYS},
    fill::{Named, choice::ways, fills, shape, words::word},
    slice::{LOCAL_TIMEOUT, PROCESS_TIMEOUT},
};

pub(crate) static ACTION: Shape = shape::<Action>("Long form: an action");
pub(crate) static STEP: Shape = shape::<Step>("Long form: a step");

/// What a step has besides an action, or in its place.
pub(crate) const WAIT: Key = key("wait", Kind::Duration, "Waits, instead of an action").example("5s");
pub(crate) const TIMEOUT: Key = key("timeout", Kind::Duration, "The longest that the action may take")
    .otherwise_of(
        "{}; as long as the unit says for what waits for a unit; {} for a process",
        &[|| shown_duration(LOCAL_TIMEOUT), || shown_duration(PROCESS_TIMEOUT)],
    )
    .beside("restart_unit: app.service");
pub(crate) const START_PROCESS: Key = key("start_process", Kind::Text, "Starts a declared process")
    .example("worker")
    .elsewhere("processes: {worker: {start: [/usr/bin/worker]}}");
pub(crate) const STOP_PROCESS: Key = key("stop_process", Kind::Text, "Stops a declared process")
    .example("worker")
    .elsewhere("processes: {worker: {start: [/usr/bin/worker]}}");
static ENTRY: Kind = Kind::Shape(&ENVIRONMENT);

ways! {
    /// What a step does.
    Doing of Action {
        Validate { (command): key("validate", COMMAND_LINE, "Asks whether a configuration is right").example("[nginx, -t]") }
            => (Action::Validate { command }),
        SaveConfiguration {
            (Kept { unit, paths, validator }): key("save_configuration", Kind::Shape(&CONFIGURATION_COPY), "Keeps a copy as the last known good one, when it is valid"),
        } => (Action::SaveConfiguration { unit, paths, validator }),
        RestoreConfiguration {
            (PutBack { unit, paths, validator }): key("restore_configuration", Kind::Shape(&CONFIGURATION_COPY), "Puts the last known good configuration back"),
        } => (Action::RestoreConfiguration { unit, paths, validator }),
        FreePort {
            (Freed { unit, port }): key("free_port", Kind::Shape(&FREE_PORT), "Ends leftovers of a unit that hold its port; others are never killed"),
        } => (Action::FreePort { unit, port }),
        EnsureEnvironment { (entries): key("ensure_environment", Kind::List(&ENTRY), "Puts files, directories and links right").spelled() }
            => (Action::EnsureEnvironment { entries }),
        ResetFailed { (unit): key("reset_failed", Kind::Text, "Resets the failed state of a unit").example("app.service") }
            => (Action::ResetFailed { unit }),
        StartUnit { (unit): key("start_unit", Kind::Text, "Starts a unit").example("app.service") } => (Action::StartUnit { unit }),
        RestartUnit { (unit): key("restart_unit", Kind::Text, "Restarts a unit").example("app.service") } => (Action::RestartUnit { unit }),
        ReloadUnit { (unit): key("reload_unit", Kind::Text, "Reloads a unit").example("app.service") } => (Action::ReloadUnit { unit }),
        StopUnit { (unit): key("stop_unit", Kind::Text, "Stops a unit").example("app.service") } => (Action::StopUnit { unit }),
        KillUnit {
            (unit): key("kill_unit", Kind::Text, "Kills what the unit's `KillMode=` gives to a stop: all processes of its cgroup, the main one, or none")
                .example("app.service"),
        } => (Action::KillUnit { unit }),
        StartProcess { (Named(process)): START_PROCESS } => (Action::StartProcess { process }),
        StopProcess { (Named(process)): STOP_PROCESS } => (Action::StopProcess { process }),
        Exec {
            (command): key("exec", COMMAND_LINE, "A remedy of your own").example("[/usr/local/bin/mend]"),
            // What is not declared is taken as the most.
            (disruption): key("disruption", word::<Disruption>(), "What `exec` takes away while it runs").default("full").beside("exec: [/usr/local/bin/mend]"),
        } => (Action::Exec { command, disruption }),
    } or Domain = ACTION_KEYS, read long::read_action {
        Action::Domain(action) => long::written_action(&action),
        // No configuration can hold a drill; it is said rather than lost.
        Action::Drill { unit, .. } => Fields::default().put("drill", Written::text(unit)),
    };
    wrong |several| match several {
        [] => "this does nothing".to_owned(),
        _ => "these are two actions in one".to_owned(),
    };
    foreign |_, action, _| (format!("`{action}` declares its disruption itself"), "delete it".to_owned());
}

const UNIT: Key = key("unit", Kind::Text, "The unit that it belongs to")
    .example("nginx.service")
    .needed("`unit` is missing", "write unit: nginx.service");
const PATHS: Key = key("paths", Kind::Paths, "Files and directories")
    .example("[/etc/nginx]")
    .needed("`paths` is missing", "write paths: [/etc/nginx]");
const VALIDATOR: Key =
    key("validator", COMMAND_LINE, "Who says whether it is valid; without one, what is put back stays whatever it is")
        .example("[nginx, -t]");

/// What is kept, only when it is valid.
#[derive(Clone)]
struct Kept {
    unit: UnitName,
    paths: Vec<String>,
    validator: Box<CommandLine>,
}

/// What is put back.
#[derive(Clone)]
struct PutBack {
    unit: UnitName,
    paths: Vec<String>,
    validator: Option<Box<CommandLine>>,
}

fills! { Kept { unit: UNIT, paths: PATHS, validator: VALIDATOR.needed("`validator` is missing", "write validator: [nginx, -t]") } }
fills! { PutBack { unit: UNIT, paths: PATHS, validator: VALIDATOR } }

static CONFIGURATION_COPY: Shape = shape::<PutBack>("A copy of a configuration")
    .beside("unit: nginx.service, paths: [/etc/nginx], validator: [nginx, -t]");

/// A port, and who should have it.
#[derive(Clone)]
struct Freed {
    unit: UnitName,
    port: u16,
}

fills! {
    Freed {
        unit: key("unit", Kind::Text, "The unit that should own it")
            .example("app.service").needed("`unit` is missing", "write unit: app.service"),
        port: key("port", PORT, "The port").example("5000").needed("`port` is missing", "write port: 5000"),
    }
}

static FREE_PORT: Shape = shape::<Freed>("A port to free");
