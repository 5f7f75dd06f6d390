//! The keys of the whole file.

use ansai_keys::{Key, Kind, Shape, count, joined, key};

use super::{
    COUNT,
    agent::{AGENT, CLUSTER, HEARTBEAT, PROBE_DEFAULTS},
    limits::{FLAP, POLICY, WINDOW},
    long::{CHECK, RULE, RUNG, TARGET},
    notify::CHANNEL,
    shared::AUTONOMIES,
};
use crate::domain::SECTIONS;
use ansai_document::patterns::UNIT_KINDS;

const KEYS: &[&[Key]] = &[
    &[
        key("autonomy", AUTONOMIES, "How much every rule may do by itself, unless a service says otherwise")
            .default("observe")
            .ships()
            .example("act"),
    ],
    &SECTIONS,
    &[
        key("notify", Kind::Named(const { &Kind::Shape(&CHANNEL) }), "Whom to tell, and how; each route by its name")
            .example("{email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}"),
        key("policies", Kind::Named(const { &Kind::Shape(&POLICY) }),
            "Limits by name; `default` holds for every service without one",
        )
        .example("{careful: {cooldown: 5m}}"),
        key("maintenance", Kind::List(const { &Kind::Shape(&WINDOW) }), "Planned times in which nothing is healed or told")
            .example("[{scope: \"*\", days: [sun], at: \"03:00\", lasts: 2h}]"),
        key("probe_defaults", Kind::Shape(&PROBE_DEFAULTS), "What holds for a probe that does not say otherwise")
            .ships(),
        key("flap", Kind::Shape(&FLAP), "When a check counts as flapping, unless a service says otherwise")
            .ships(),
        key("heartbeat", Kind::Shape(&HEARTBEAT), "The dead-man's switch: an outside service that misses our pings"),
        key("ansai_cluster", Kind::Shape(&CLUSTER), "The fleet of this host: whom it joins, and who is expected"),
        key("agent", Kind::Shape(&AGENT), "The agent's own settings and limits").ships(),
        key("targets", Kind::Named(const { &Kind::Shape(&TARGET) }), "Long form: targets by id, as service/nginx.service")
            .example("{service/app.service: {unit: app.service, port: 5000}}").elsewhere("services: {db.service: {}}, disks: {/var: {}}"),
        key("checks", Kind::Named(const { &Kind::Shape(&CHECK) }), "Long form: checks by id, as service/nginx.service#http")
            .example("{\"service/nginx.service#http\": {probe: \"http://127.0.0.1/\"}}").elsewhere("services: {nginx.service: {}}"),
        key("rules", Kind::Named(const { &Kind::Shape(&RULE) }), "Long form: when a check fails, run a runbook under a policy")
            .example("{app: {target: service/app.service, checks: [unit], runbook: gentle}}").elsewhere("services: {app.service: {probe: \"http://127.0.0.1/\"}}, runbooks: {gentle: [{name: restart, steps: [{restart_unit: app.service}]}]}"),
        key("runbooks", Kind::Named(const { &Kind::List(const { &Kind::Shape(&RUNG) }) }), "Long form: ladders of rungs, gentlest first")
            .example("{gentle: [{name: restart, steps: [{restart_unit: app.service}]}]}"),
        key("generation", COUNT,
            "Which edition of the files this is, for whoever distributes them: it only grows, and an older one is refused",
        )
        .otherwise("counted by each host")
        .example("42"),
        key("expires", Kind::Moment, "When an emergency layer ends by itself; needed there and allowed nowhere else")
            .example("2030-01-31T08:00:00Z").elsewhere("autonomy: observe"),
    ],
];

pub(crate) static CONFIG: Shape = Shape::of("The file", &joined::<{ count(KEYS) }>(KEYS));

/// Every key that a file may hold, for whoever tells people of them.
#[must_use]
pub fn table() -> &'static Shape {
    &CONFIG
}

/// Keys by which a file of the predecessor is known.
const OLD_KEYS: &[&str] =
    &["monitored_services", "owner_email", "smtp_server", "check_interval", "self_healing_enabled"];

/// What may be meant by a key that the whole file does not have.
pub(crate) fn meant(shape: &Shape, name: &str) -> Option<String> {
    if shape.title != CONFIG.title {
        return None;
    }
    if OLD_KEYS.contains(&name) {
        return Some("this is the predecessor's form; `ansai import ansai FILE` translates it".to_owned());
    }
    // A name of a unit at the beginning of a line has lost its indentation.
    let is_unit = UNIT_KINDS.iter().any(|kind| name.ends_with(kind));
    is_unit.then(|| "a unit stands below `services:`, two blanks further in than that".to_owned())
}
