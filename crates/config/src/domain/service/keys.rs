//! The keys of services and of declared processes.

use ansai_keys::{Key, Kind, Shape, count, joined, key};
use ansai_model::{action::ProcessDeclaration, unit::UnitExpectation};

use crate::{
    fill::{Filled, words::word},
    keys::{
        PORT,
        limits::{FLAP, POLICY},
        probe::{PROBE, PROBE_TEXT},
        shared::{
            AUTONOMIES, COMMAND_LINE, CONDITION, CRITICAL, ENVIRONMENT, NOTIFIER, RUN_AGAIN, SEVERITIES, START_PERIOD,
        },
    },
};

/// The section of units, whose keys are these.
pub(crate) const fn units(unit: &'static Kind) -> Key {
    key("services", Kind::Named(unit), "Units to keep well, by name or by a pattern with * and ?")
        .example("{nginx.service: {probe: \"http://127.0.0.1/\"}}")
}

/// The section of declared processes.
pub(crate) const PROCESSES: Key =
    key("processes", Kind::Named(const { &Kind::Shape(&PROCESS) }), "Processes to keep running where no systemd runs")
        .example("{worker: {start: [/usr/bin/worker]}}");

/// What is said of a unit as of a declared process.
const WATCHED: &[Key] = &[
    key("probe", Kind::Short(&PROBE_TEXT, &PROBE), "How to look whether it answers").example("http://127.0.0.1/health"),
    key("probes", Kind::Named(const { &Kind::Short(&PROBE_TEXT, &PROBE) }), "Several probes, each by its name")
        .example("{api: \"http://127.0.0.1:5000/\", data: {file: /run/fresh, age_max: 1h}}"),
    key("needs", Kind::Texts, "Services that must be well before this one is healed")
        .example("[postgresql.service]")
        .elsewhere("services: {postgresql.service: {}}"),
    key("port", PORT, "The TCP port that it listens on").otherwise("the port of a probe on this host"),
    RUN_AGAIN,
    START_PERIOD,
    // What is urgent and never healed would be warned of.
    CRITICAL.also("autonomy: act"),
    key("configuration", Kind::Paths, "Its configuration: for evidence and the last known good copy")
        .otherwise("the paths of a known validator")
        .example("[/etc/app]"),
    key("validate", COMMAND_LINE, "Who says whether its configuration is right, asked before every restart")
        .otherwise("a known validator")
        .example("[nginx, -t]"),
    key(
        "restore_configuration",
        Kind::Truth,
        "Whether the last known good configuration is put back when it is invalid",
    )
    .default("false"),
    key(
        "environment",
        Kind::List(const { &Kind::Shape(&ENVIRONMENT) }),
        "Files, directories and links that must be there",
    )
    .example("[{directory: /run/app, mode: \"0750\", owner: app}]"),
    key("autonomy", AUTONOMIES, "How much its rule may do by itself").below("autonomy"),
    key(
        "policy",
        Kind::Short(&Kind::Text, &POLICY),
        "Its limits: the name of a policy, or limits over the policy `default`",
    )
    .otherwise("the policy `default`")
    .below("policies.default")
    .example("{cooldown: 2m}"),
    key("severity", SEVERITIES, "How soon a person must act when it cannot be healed")
        .otherwise("now when it is critical, or else day"),
    key("when", CONDITION, "What must hold besides a failing check; unknown does not heal")
        .example("failing_for > 10s and host.memory_available > 5%"),
    key("flap", Kind::Shape(&FLAP), "When its checks count as flapping").below("flap"),
    NOTIFIER.otherwise("true for a mail server of this host that a route uses"),
];

const OF_A_UNIT: &[&[Key]] = &[
    &[key("expect", word::<UnitExpectation>(), "When its unit counts as well")
        .otherwise("running; not-failed for what a socket or timer starts and for one-shot units")],
    WATCHED,
];
/// What is said of a unit; others add to it.
pub(crate) const UNIT: [Key; count(OF_A_UNIT)] = joined(OF_A_UNIT);

const OF_A_PROCESS: &[&[Key]] = &[WATCHED, ProcessDeclaration::KEYS];
pub(super) static PROCESS: Shape = Shape::of("A declared process", &joined::<{ count(OF_A_PROCESS) }>(OF_A_PROCESS));
