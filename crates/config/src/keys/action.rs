//! The keys of actions, and of the steps that hold them.

use ansai_keys::{Key, Kind, Shape, count, joined, key};
use ansai_model::action::Disruption;

use super::{
    PORT,
    shared::{COMMAND_LINE, ENVIRONMENT},
};
use crate::{
    domain::long::ACTION_KEYS,
    fill::{choice::ways, words::word},
};

const OWN: [Key; count(Doing::OWN)] = joined(Doing::OWN);
const ACTIONS: &[&[Key]] = &[&OWN, &ACTION_KEYS];
const STEPS: &[&[Key]] = &[
    &OWN,
    &ACTION_KEYS,
    &[
        key("wait", Kind::Duration, "Waits, instead of an action").example("5s"),
        key("timeout", Kind::Duration, "The longest that the action may take")
            .otherwise("15s; as long as the unit says for what waits for a unit; 100s for a process"),
    ],
];

pub(crate) static ACTION: Shape = Shape { title: "Long form: an action", keys: &joined::<{ count(ACTIONS) }>(ACTIONS) };
pub(crate) static STEP: Shape = Shape { title: "Long form: a step", keys: &joined::<{ count(STEPS) }>(STEPS) };

static ENTRY: Kind = Kind::Shape(&ENVIRONMENT);

ways! {
    /// What a step does.
    Doing {
        Validate: &[key("validate", COMMAND_LINE, "Asks whether a configuration is right").example("[nginx, -t]")],
        SaveConfiguration: &[key(
            "save_configuration",
            Kind::Shape(&CONFIGURATION_COPY),
            "Keeps a copy as the last known good one, when it is valid",
        )],
        RestoreConfiguration: &[
            key("restore_configuration", Kind::Shape(&CONFIGURATION_COPY), "Puts the last known good configuration back"),
        ],
        FreePort: &[key("free_port", Kind::Shape(&FREE_PORT), "Ends leftovers of a unit that hold its port; others are never killed")],
        EnsureEnvironment: &[key("ensure_environment", Kind::List(&ENTRY), "Puts files, directories and links right")],
        ResetFailed: &[key("reset_failed", Kind::Text, "Resets the failed state of a unit").example("app.service")],
        StartUnit: &[key("start_unit", Kind::Text, "Starts a unit").example("app.service")],
        RestartUnit: &[key("restart_unit", Kind::Text, "Restarts a unit").example("app.service")],
        ReloadUnit: &[key("reload_unit", Kind::Text, "Reloads a unit").example("app.service")],
        StopUnit: &[key("stop_unit", Kind::Text, "Stops a unit").example("app.service")],
        KillUnit: &[key(
            "kill_unit",
            Kind::Text,
            "Kills what the unit's `KillMode=` gives to a stop: all processes of its cgroup, the main one, or none",
        )
        .example("app.service")],
        StartProcess: &[key("start_process", Kind::Text, "Starts a declared process").example("worker")],
        StopProcess: &[key("stop_process", Kind::Text, "Stops a declared process").example("worker")],
        Exec: &[
            key("exec", COMMAND_LINE, "A remedy of your own").example("[/usr/local/bin/mend]"),
            key("disruption", word::<Disruption>(), "What `exec` takes away while it runs").default("full"),
        ],
    } or Domain = ACTION_KEYS;
    wrong |several| match several {
        [] => "this does nothing".to_owned(),
        _ => "these are two actions in one".to_owned(),
    };
    foreign |_, action, _| (format!("`{action}` declares its disruption itself"), "delete it".to_owned());
}

static CONFIGURATION_COPY: Shape = Shape {
    title: "A copy of a configuration",
    keys: &[
        key("unit", Kind::Text, "The unit that it belongs to").example("nginx.service"),
        key("paths", Kind::Paths, "Files and directories").example("[/etc/nginx]"),
        key(
            "validator",
            COMMAND_LINE,
            "Who says whether it is valid; without one, what is put back stays whatever it is",
        )
        .example("[nginx, -t]"),
    ],
};

static FREE_PORT: Shape = Shape {
    title: "A port to free",
    keys: &[
        key("unit", Kind::Text, "The unit that should own it").example("app.service"),
        key("port", PORT, "The port").example("5000"),
    ],
};
