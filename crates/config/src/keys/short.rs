//! The keys that operators write: services, notifications, limits, planned times, the agent's settings.

use ansai_model::unit::UnitExpectation;

use super::{
    AUTONOMIES, COMMAND_LINE, COUNT, Kind, PORT, SEVERITIES, Shape,
    agent::{AGENT, HEARTBEAT, PROBE_DEFAULTS},
    key,
    limits::{FLAP, POLICY, WINDOW},
    long::{CHECK, ENVIRONMENT, PROCESS_KEYS, RULE, RUNG, TARGET},
    notify::CHANNEL,
    probe::PROBE,
};
use crate::{
    domain::{certificate, disk, memory},
    fill::word,
};

pub(crate) static CONFIG: Shape = Shape {
    title: "The file",
    keys: &[
        key("autonomy", AUTONOMIES, "How much every rule may do by itself, unless a service says otherwise")
            .default("observe")
            .ships()
            .example("act"),
        key(
            "services",
            Kind::Named(&Kind::Shape(&SERVICE)),
            "Units to keep well, by name or by a pattern with * and ?",
        )
        .example("{nginx.service: {probe: \"http://127.0.0.1/\"}}"),
        key("processes", Kind::Named(&Kind::Shape(&PROCESS)), "Processes to keep running where no systemd runs")
            .example("{worker: {start: [/usr/bin/worker]}}"),
        key(
            "disks",
            Kind::Named(&Kind::Short(&Kind::Truth, &disk::keys::DISK)),
            "Filesystems to keep room on, by mount point or by a pattern with * and ?; false is not watched",
        )
        .example("{\"*\": {}, /var: {act_at: 85%}}"),
        key(
            "certificates",
            Kind::Named(&Kind::Shape(&certificate::keys::CERTIFICATE)),
            "Certificates to keep good, each by its name",
        )
        .example("{api.example.com: {file: /etc/nginx/ssl/api.pem, services: [nginx.service]}}"),
        key("notify", Kind::Named(&Kind::Shape(&CHANNEL)), "Whom to tell, and how; each route by its name")
            .example("{email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}"),
        key(
            "policies",
            Kind::Named(&Kind::Shape(&POLICY)),
            "Limits by name; `default` holds for every service without one",
        )
        .example("{careful: {cooldown: 5m}}"),
        key("maintenance", Kind::List(&Kind::Shape(&WINDOW)), "Planned times in which nothing is healed or told")
            .example("[{scope: \"*\", days: [sun], at: \"03:00\", lasts: 2h}]"),
        key("probe_defaults", Kind::Shape(&PROBE_DEFAULTS), "What holds for a probe that does not say otherwise")
            .ships(),
        key("flap", Kind::Shape(&FLAP), "When a check counts as flapping, unless a service says otherwise")
            .ships(),
        key("heartbeat", Kind::Shape(&HEARTBEAT), "The dead-man's switch: an outside service that misses our pings"),
        key("agent", Kind::Shape(&AGENT), "The agent's own settings and limits").ships(),
        key(
            "memory",
            Kind::Short(&Kind::Truth, &memory::keys::DEFAULTS),
            "The memory of every service that has a process which stays, unless the service says otherwise",
        )
        .otherwise("false"),
        key("targets", Kind::Named(&Kind::Shape(&TARGET)), "Long form: targets by id, as service/nginx.service")
            .example("{service/app.service: {unit: app.service, port: 5000}}"),
        key("checks", Kind::Named(&Kind::Shape(&CHECK)), "Long form: checks by id, as service/nginx.service#http")
            .example("{\"service/nginx.service#http\": {probe: \"http://127.0.0.1/\"}}"),
        key("rules", Kind::Named(&Kind::Shape(&RULE)), "Long form: when a check fails, run a runbook under a policy")
            .example("{app: {target: service/app.service, checks: [unit], runbook: gentle}}"),
        key("runbooks", Kind::Named(&Kind::List(&Kind::Shape(&RUNG))), "Long form: ladders of rungs, gentlest first")
            .example("{gentle: [{name: restart, steps: [{restart_unit: app.service}]}]}"),
        key(
            "generation",
            COUNT,
            "Which edition of the files this is, for whoever distributes them: it only grows, and an older one is refused",
        )
        .otherwise("counted by each host")
        .example("42"),
        key("expires", Kind::Moment, "When an emergency layer ends by itself; needed there and allowed nowhere else")
            .example("2030-01-31T08:00:00Z"),
    ],
};

macro_rules! watched {
    ($($first:expr),* $(,)? ; $($last:expr),* $(,)?) => {
        &[
            $($first,)*
            key("probe", Kind::Short(&Kind::ProbeText, &PROBE), "How to look whether it answers").example("http://127.0.0.1/health"),
            key("probes", Kind::Named(&Kind::Short(&Kind::ProbeText, &PROBE)), "Several probes, each by its name")
                .example("{api: \"http://127.0.0.1:5000/\", data: {file: /run/fresh, age_max: 1h}}"),
            key("needs", Kind::Texts, "Services that must be well before this one is healed").example("[postgresql.service]"),
            key("port", PORT, "The TCP port that it listens on").otherwise("the port of a probe on this host"),
            key("run_again", Kind::Truth, "Whether a one-shot that failed is run again; otherwise it is told").default("false"),
            key("start_period", Kind::Duration, "How long after a start its failing probes are not judged, until it has answered once")
                .otherwise("half as long again as it needed before, or 2m"),
            key("critical", Kind::Truth, "Whether a person must act now when it cannot be healed").default("false"),
            key("configuration", Kind::Paths, "Its configuration: for evidence and the last known good copy")
                .otherwise("the paths of a known validator").example("[/etc/app]"),
            key("validate", COMMAND_LINE, "Who says whether its configuration is right, asked before every restart")
                .otherwise("a known validator").example("[nginx, -t]"),
            key("restore_configuration", Kind::Truth, "Whether the last known good configuration is put back when it is invalid")
                .default("false"),
            key("environment", Kind::List(&Kind::Shape(&ENVIRONMENT)), "Files, directories and links that must be there")
                .example("[{directory: /run/app, mode: \"0750\", owner: app}]"),
            key("autonomy", AUTONOMIES, "How much its rule may do by itself").otherwise("that of the file"),
            key("policy", Kind::Short(&Kind::Text, &POLICY), "Its limits: the name of a policy, or limits over the policy `default`")
                .otherwise("the policy `default`").example("{cooldown: 2m}"),
            key("severity", SEVERITIES, "How soon a person must act when it cannot be healed")
                .otherwise("now when it is critical, or else day"),
            key("when", Kind::Condition, "What must hold besides a failing check; unknown does not heal")
                .example("failing_for > 10s and host.memory_available > 5%"),
            key("flap", Kind::Shape(&FLAP), "When its checks count as flapping").otherwise("that of the file"),
            key("notifier", Kind::Truth, "Whether it carries our own messages: a remedy for it then waits for a person's approval")
                .otherwise("true for a mail server of this host that a route uses"),
            $($last,)*
        ]
    };
}

pub(crate) static SERVICE: Shape = Shape {
    title: "A service",
    keys: watched![
        key("expect", word::<UnitExpectation>(), "When its unit counts as well")
            .otherwise("running; not-failed for what a socket or timer starts and for one-shot units");
        key(
            "memory",
            Kind::Short(&Kind::Truth, &memory::keys::SERVICE),
            "Whether its memory is watched, and what is done when it grows without end"
        )
        .otherwise("what `memory` of the file says")
        .example("{limit: 512MiB, release: SIGUSR1}"),
    ],
};

pub(crate) static PROCESS: Shape =
    Shape { title: "A declared process", keys: watched![PROCESS_KEYS[0], PROCESS_KEYS[1], PROCESS_KEYS[2];] };
