//! The keys that operators write: services, notifications, limits, planned times, the agent's settings.

use super::{
    ANY, AUTONOMIES, COMMAND_LINE, COUNT, DAYS, Kind, PORT, SEVERITIES, Shape, key,
    long::{CHECK, ENVIRONMENT, FLAP, PROBE, PROCESS_KEYS, RULE, RUNG, TARGET},
};
use crate::domain::{certificate, disk, memory};

pub(crate) static CONFIG: Shape = Shape {
    title: "The file",
    keys: &[
        key("autonomy", AUTONOMIES, "How much every rule may do by itself, unless a service says otherwise")
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
        key("probe_defaults", Kind::Shape(&PROBE_DEFAULTS), "What holds for a probe that does not say otherwise"),
        key("flap", Kind::Shape(&FLAP), "When a check counts as flapping, unless a service says otherwise"),
        key("heartbeat", Kind::Shape(&HEARTBEAT), "The dead-man's switch: an outside service that misses our pings"),
        key("agent", Kind::Shape(&AGENT), "The agent's own settings and limits"),
        key(
            "memory",
            Kind::Short(&Kind::Truth, &memory::keys::DEFAULTS),
            "The memory of every service that has a process which stays, unless the service says otherwise",
        )
        .default("false"),
        key("targets", Kind::Named(&Kind::Shape(&TARGET)), "Long form: targets by id, as service/nginx.service"),
        key("checks", Kind::Named(&Kind::Shape(&CHECK)), "Long form: checks by id, as service/nginx.service#http"),
        key("rules", Kind::Named(&Kind::Shape(&RULE)), "Long form: when a check fails, run a runbook under a policy"),
        key("runbooks", Kind::Named(&Kind::List(&Kind::Shape(&RUNG))), "Long form: ladders of rungs, gentlest first"),
        key(
            "generation",
            COUNT,
            "Which edition of the files this is, for whoever distributes them: it only grows, and an older one is refused",
        )
        .default("counted by each host")
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
            key("port", PORT, "The TCP port that it listens on").default("the port of a probe on this host"),
            key("run_again", Kind::Truth, "Whether a one-shot that failed is run again; otherwise it is told").default("false"),
            key("start_period", Kind::Duration, "How long after a start its failing probes are not judged, until it has answered once")
                .default("half as long again as it needed before, or 2m"),
            key("critical", Kind::Truth, "Whether a person must act now when it cannot be healed").default("false"),
            key("configuration", Kind::Texts, "Its configuration, absolute paths: for evidence and the last known good copy")
                .default("the paths of a known validator").example("[/etc/app]"),
            key("validate", COMMAND_LINE, "Who says whether its configuration is right, asked before every restart")
                .default("a known validator").example("[nginx, -t]"),
            key("restore_configuration", Kind::Truth, "Whether the last known good configuration is put back when it is invalid")
                .default("false"),
            key("environment", Kind::List(&Kind::Shape(&ENVIRONMENT)), "Files, directories and links that must be there")
                .example("[{directory: /run/app, mode: \"0750\", owner: app}]"),
            key("autonomy", AUTONOMIES, "How much its rule may do by itself").default("that of the file"),
            key("policy", Kind::Short(&Kind::Text, &POLICY), "Its limits: the name of a policy, or limits over the policy `default`")
                .default("default").example("{cooldown: 2m}"),
            key("severity", SEVERITIES, "How soon a person must act when it cannot be healed")
                .default("now when it is critical, or else day"),
            key("when", Kind::Condition, "What must hold besides a failing check; unknown does not heal")
                .example("failing_for > 10s and host.memory_available > 5%"),
            key("flap", Kind::Shape(&FLAP), "When its checks count as flapping").default("that of the file"),
            key("notifier", Kind::Truth, "Whether it carries our own messages: a remedy for it then waits for a person's approval")
                .default("true for a mail server of this host that a route uses"),
            $($last,)*
        ]
    };
}

pub(crate) static SERVICE: Shape = Shape {
    title: "A service",
    keys: watched![
        key("expect", Kind::Word("expectation", &["running", "not-failed"]), "When its unit counts as well")
            .default("running; not-failed for what a socket or timer starts and for one-shot units");
        key(
            "memory",
            Kind::Short(&Kind::Truth, &memory::keys::SERVICE),
            "Whether its memory is watched, and what is done when it grows without end"
        )
        .default("what `memory` of the file says")
        .example("{limit: 512MiB, release: SIGUSR1}"),
    ],
};

pub(crate) static PROCESS: Shape =
    Shape { title: "A declared process", keys: watched![PROCESS_KEYS[0], PROCESS_KEYS[1], PROCESS_KEYS[2];] };

static CHANNEL: Shape = Shape {
    title: "A route",
    keys: &[
        key("to", Kind::Texts, "Who gets the mail").example("ops@example.com"),
        key("from", Kind::Text, "Its sender").default("ansai@HOST"),
        key("smtp", Kind::Server, "The mail server: smtp://, smtp+starttls:// or smtps://")
            .example("smtps://mail.example.com"),
        key("user", Kind::Text, "The user of the mail server"),
        key("password", Kind::Secret, "A reference to the user's password").example("file:/etc/ansai/smtp-password"),
        key("ca", Kind::Path, "A certificate authority to trust besides the host's own, a PEM file"),
        key("webhook", Kind::Address, "Where to post, or a reference to it").example("file:/etc/ansai/slack-address"),
        key("format", Kind::Word("format", &["generic", "slack", "discord"]), "What the body looks like")
            .default("generic"),
        key("secret", Kind::Secret, "A reference to the key that signs the body").example("credential:webhook"),
        key("headers", Kind::Named(&Kind::Text), "Headers to send").example("{X-Team: ops}"),
        key("exec", COMMAND_LINE, "A command that reads the report from its standard input")
            .example("[/usr/local/bin/tell]"),
        key("scope", Kind::Texts, "Only about these targets, patterns with * and ?; all is every one")
            .default("every target")
            .example("[\"db*\"]"),
        key("severity", SEVERITIES, "Only what is at least this urgent").default("week"),
        key("healed", Kind::Truth, "Whether healed incidents are told as well").default("false"),
        key("fallback", Kind::Text, "The route that gets what this one could not deliver").example("hook"),
        key("digest", Kind::Shape(&DIGEST), "When messages are sent together"),
    ],
};

static DIGEST: Shape = Shape {
    title: "A digest",
    keys: &[
        key("after", COUNT, "Most single messages within the time").default("5"),
        key("within", Kind::Duration, "The time in which they are counted").default("1m"),
    ],
};

pub(crate) static POLICY: Shape = Shape {
    title: "A policy",
    keys: &[
        key(
            "cooldown",
            Kind::Duration,
            "The wait before a target is healed again that failed again soon after; not the first time, and twice as long each time",
        ),
        key("budget", Kind::Shape(&BUDGET), "Most disruptive actions on one target"),
        key("breaker", Kind::Shape(&BREAKER), "When healing a target is stopped for a while"),
        key("backoff", Kind::Shape(&BACKOFF), "The wait between attempts"),
        key("attempts", COUNT, "Most attempts of one remediation before a person is told"),
        key("verify_within", Kind::Duration, "How long after a remedy every check may take to become healthy"),
        key("stable_for", Kind::Duration, "How long all checks must then stay healthy"),
        key("approval_expires", Kind::Duration, "How long a decision waits for `ansai approve`"),
        key("dependency_wait", Kind::Duration, "How long it waits for a failed dependency before a person is told"),
        key(
            "tell_unknown_after",
            Kind::Duration,
            "How long something may be unknown before a person is told; unless said, 2m for what is critical and 10m for the rest",
        ),
        key("quiet", QUIET_HOURS, "When disruptive actions are least felt; what is foreseen and can wait is done then")
            .default("none")
            .example("{at: \"02:00\", lasts: 2h}"),
        key(
            "retry",
            Kind::Word("retry", &["growing", "never"]),
            "Whether it is tried again after a person was told: when what it failed for is gone, else after 5, 15 and 30 minutes and each hour",
        ),
        key("loud_after", COUNT, "How many healed incidents a day are told only when asked for"),
    ],
};

/// Quiet hours: a word, or when they are.
pub(crate) const QUIET_HOURS: Kind = Kind::Short(&Kind::Word("quiet hours", &["learned", "none"]), &QUIET);

static QUIET: Shape = Shape {
    title: "Quiet hours",
    keys: &[
        key("at", Kind::TimeOfDay, "When they begin, in the host's civil time").example("\"02:00\""),
        key("lasts", Kind::Duration, "How long they last").default("2h"),
        key("days", Kind::List(&Kind::Word("day", DAYS)), "On which days").default("every day").example("[sat, sun]"),
    ],
};

static BUDGET: Shape = Shape {
    title: "A budget",
    keys: &[
        key("actions", Kind::Whole { min: 1, max: ANY }, "Most disruptive actions within the time"),
        key("per", Kind::Duration, "The time, a window that moves along"),
    ],
};

static BREAKER: Shape = Shape {
    title: "A circuit breaker",
    keys: &[
        key("failures", COUNT, "Failed remediations that open it"),
        key("within", Kind::Duration, "The time in which they are counted"),
        key("open_for", Kind::Duration, "How long nothing is tried then"),
    ],
};

static BACKOFF: Shape = Shape {
    title: "A back-off",
    keys: &[
        key("initial", Kind::Duration, "The wait before the second attempt"),
        key("factor", COUNT, "How it grows with each attempt"),
        key("max", Kind::Duration, "The longest wait"),
        key("jitter", Kind::Whole { min: 0, max: 100 }, "The most that chance adds, in percent"),
        key("reset_after", Kind::Duration, "After so long in health it begins anew"),
    ],
};

static WINDOW: Shape = Shape {
    title: "A maintenance window",
    keys: &[
        key("scope", Kind::Texts, "Which targets, patterns with * and ?; all is every one").example("\"*\""),
        key("reason", Kind::Text, "What it is for"),
        key("from", Kind::Moment, "The first moment, of a window that opens once").example("2030-01-31T08:00:00Z"),
        key("until", Kind::Moment, "The first moment after it").example("2030-01-31T10:00:00Z"),
        key("days", Kind::List(&Kind::Word("day", DAYS)), "The days, of a window that opens each week")
            .example("[sat, sun]"),
        key("at", Kind::TimeOfDay, "When it opens, in the host's civil time").example("\"03:00\""),
        key("lasts", Kind::Duration, "How long it stays open").example("2h"),
    ],
};

static PROBE_DEFAULTS: Shape = Shape {
    title: "Defaults of probes",
    keys: &[
        key("every", Kind::Duration, "The period"),
        key("every_soft", Kind::Duration, "The period while something may be wrong, and while a remedy is verified"),
        key("timeout", Kind::Duration, "The longest look"),
        key("fail_after", COUNT, "Failing looks in a row that are believed"),
        key("recover_after", COUNT, "Healthy looks in a row that are believed"),
    ],
};

static HEARTBEAT: Shape = Shape {
    title: "The heartbeat",
    keys: &[
        key("url", Kind::Address, "Where to ping, or a reference to it; /start and /fail are appended for those")
            .example("https://hc.example.com/ping/ansai"),
        key("every", Kind::Duration, "The period").default("5m"),
        key("token", Kind::Secret, "A reference to a bearer token").example("env:HEARTBEAT_TOKEN"),
    ],
};

static AGENT: Shape = Shape {
    title: "The agent",
    keys: &[
        key("role", Kind::Text, "What the host is for; it chooses the role layer, and conditions see it")
            .example("web"),
        key(
            "host_budget",
            Kind::Shape(&BUDGET),
            "Most disruptive actions on the whole host that repeat one on the same target",
        ),
        key(
            "remediations_at_once",
            COUNT,
            "Most remedies under way at once; it begins with 4, and each that succeeds lets one more begin",
        ),
        key("full_pass_every", Kind::Duration, "The period in which everything is looked at, hinted or not"),
        key("evidence_lines", Kind::Whole { min: 0, max: 200 }, "Most lines of log in the evidence"),
        key("metrics_listen", Kind::Text, "Where Prometheus metrics are served, a loopback address")
            .example("127.0.0.1:9560"),
        key("journal_bytes", Kind::Size, "The largest flight recorder"),
        key("reports_kept_for", Kind::Duration, "How long reports are kept"),
        key("memory_max", Kind::Size, "The agent's own memory above which it drops what it can"),
        key("redact", Kind::Texts, "Words whose values are redacted, besides the shipped ones")
            .example("[card_number]"),
        key("labels", Kind::Named(&Kind::Text), "Labels of the host").example("{rack: a1}"),
    ],
};
