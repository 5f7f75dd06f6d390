//! The keys of a service's memory: of the short form, of the probe and of the actions.

use crate::keys::{AUTONOMIES, COMMAND, Key, Kind, QUIET_HOURS, SEVERITIES, Shape, key};

/// One text is a signal, several are a command.
const RELEASE: Key = key(
    "release",
    Kind::Short(&Kind::Texts, &COMMAND),
    "How it is asked to give memory back: a signal that it catches (SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH), or a command",
)
.example("SIGUSR1");
const HIGH: Key = key("high", Kind::Size, "`MemoryHigh=` that is set as the last resort").example("400MiB");
const LIMIT: Key =
    key("limit", Kind::Size, "The most that it should hold, besides the limits that systemd and the kernel know")
        .example("512MiB");
const HORIZON: Key =
    key("horizon", Kind::Duration, "It fails when it is forecast to reach its limit within this time").default("24h");
const EVERY: Key = key("every", Kind::Duration, "The period, at least 100ms").default("1m");
const QUIET: Key = key("quiet", QUIET_HOURS, "When it is restarted, if that can wait")
    .default("that of the policy `memory`")
    .example("{at: \"02:00\", lasts: 2h}");
const AUTONOMY: Key = key("autonomy", AUTONOMIES, "How much may be done about it").default("that of the service");
const SEVERITY: Key =
    key("severity", SEVERITIES, "How soon a person must act when it cannot be mended").default("that of the service");

/// Of one service.
pub(crate) static SERVICE: Shape = Shape {
    title: "The memory of a service",
    keys: &[LIMIT, RELEASE, HIGH, HORIZON, EVERY, QUIET, AUTONOMY, SEVERITY],
};

/// Of all services.
pub(crate) static DEFAULTS: Shape =
    Shape { title: "The memory of all services", keys: &[HORIZON, EVERY, QUIET, AUTONOMY, SEVERITY] };

const UNIT: Key = key("unit", Kind::Text, "Whose").example("app.service");

/// The long form of a look.
pub(crate) static PROBE: Shape = Shape { title: "A look at a unit's memory", keys: &[UNIT, LIMIT] };

/// The long form of what is done.
pub(crate) static ACTION: Shape = Shape { title: "Something about a unit's memory", keys: &[UNIT, RELEASE, HIGH] };
