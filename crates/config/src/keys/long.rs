//! The keys of the long form: what the short form is deduced into, and the pieces that both share.

use ansai_model::probe::Protocol;

use super::{ANY, AUTONOMIES, COMMAND_LINE, COUNT, Key, Kind, PORT, SEVERITIES, Shape, count, joined, key};
use crate::domain::{ACTION_KEYS, PROBE_KEYS};

const SCHEDULE: [Key; 5] = [
    key("every", Kind::Duration, "The period, at least 100ms").example("5s"),
    key("every_soft", Kind::Duration, "The period while something may be wrong; never longer than `every`"),
    key("timeout", Kind::Duration, "The longest look"),
    key("fail_after", COUNT, "Failing looks in a row that are believed"),
    key("recover_after", COUNT, "Healthy looks in a row that are believed"),
];

/// What every domain adds stands beside what everybody may use.
const PROBES: &[&[Key]] = &[
    &[
        key("http", Kind::Text, "A web address that must answer").example("https://127.0.0.1/health"),
        key("method", Kind::Text, "The method of the request").default("GET"),
        key("headers", Kind::Named(&Kind::Text), "Headers to send").example("{Host: shop.example.com}"),
        key("expect", Kind::Shape(&EXPECT), "What the answer must be"),
        key("insecure", Kind::Truth, "Whether a certificate that cannot be verified is accepted").default("false"),
        key("ca", Kind::Path, "A certificate authority to trust besides the host's own, a PEM file"),
        key("tcp", Kind::Text, "An address that must accept a connection").example("127.0.0.1:5432"),
        key("unix", Kind::Path, "A socket that must accept a connection").example("/run/app.sock"),
        key("speaks", Kind::Word("protocol", Protocol::NAMES), "The protocol that must be answered there")
            .default("none: an accepted connection is enough"),
        key("exec", COMMAND_LINE, "A command that ends with 0 when all is well").example("[/usr/bin/pg_isready]"),
        key("nagios", COMMAND_LINE, "A Nagios-compatible plugin").example("[/usr/lib/nagios/plugins/check_load]"),
        key(
            "fail_on",
            Kind::Word("plugin's word", &["critical", "warning"]),
            "From which word of the plugin on it fails and is healed; of a warning before that people are told",
        )
        .default("critical"),
        key("file", Kind::Path, "A file that must be there").example("/var/backups/latest"),
        key("age_max", Kind::Duration, "The oldest that the file may be").example("26h"),
        key("size_max", Kind::Size, "The largest that the file may be").example("1GiB"),
        key("executable", Kind::Path, "A program, counted by its path").example("/usr/sbin/nginx"),
        key("count_min", Kind::Whole { min: 0, max: ANY }, "The fewest processes of the program").default("1"),
        key("count_max", Kind::Whole { min: 0, max: ANY }, "The most processes of the program").default("no limit"),
        key("unit", Kind::Text, "A unit, asked over D-Bus").example("app.service"),
        key("state", Kind::Word("expectation", &["running", "not-failed"]), "When the unit counts as well")
            .default("running"),
        key("process", Kind::Text, "A declared process").example("worker"),
    ],
    &PROBE_KEYS,
    &SCHEDULE,
];

pub(super) static PROBE: Shape = Shape { title: "A probe", keys: &joined::<{ count(PROBES) }>(PROBES) };

static EXPECT: Shape = Shape {
    title: "What an answer must be",
    keys: &[
        key("status", Kind::Statuses, "Its status: a code, a range, or a list of these")
            .default("200-399")
            .example("[200, 204]"),
        key("body", Kind::Text, "A text that its first 64 KiB hold").example("ok"),
        key("within", Kind::Duration, "The slowest that is healthy").example("500ms"),
        key("header", Kind::Named(&Kind::Text), "Headers that it has, with their values"),
    ],
};

pub(crate) static FLAP: Shape = Shape {
    title: "Flapping",
    keys: &[
        key("changes", COUNT, "Most changes of the state that are not flapping"),
        key("within", Kind::Duration, "The time in which they are counted"),
    ],
};

pub(super) static ENVIRONMENT: Shape = Shape {
    title: "What must be there",
    keys: &[
        key("file", Kind::Path, "A file").example("/etc/app.conf"),
        key("directory", Kind::Path, "A directory; made when it is missing").example("/run/app"),
        key("symlink", Kind::Path, "A symbolic link; made anew when it leads elsewhere").example("/etc/app/current"),
        key("to", Kind::Text, "Where the link leads").example("/etc/app/releases/7"),
        key("create", Kind::Truth, "Whether a missing file is created, empty").default("false"),
        key("mode", Kind::Mode, "Its permission bits").example("\"0640\""),
        key("owner", Kind::Text, "Its user").example("app"),
        key("group", Kind::Text, "Its group").example("app"),
    ],
};

pub(crate) static COMMAND: Shape = Shape {
    title: "A command",
    keys: &[
        key("argv", Kind::Argv, "The program and its arguments; no shell is involved")
            .example("[/usr/bin/app, --check]"),
        key("environment", Kind::Named(&Kind::Text), "Its environment besides a minimal one")
            .example("{PGHOST: /run/postgresql}"),
        key("user", Kind::Text, "Who runs it").default("the agent's own user").example("postgres"),
        key("directory", Kind::Path, "Where it runs").default("/"),
    ],
};

pub(super) const PROCESS_KEYS: [Key; 3] = [
    key("start", COMMAND_LINE, "The command that is the process, or that starts it when there is a pid file")
        .example("[/usr/bin/worker, --foreground]"),
    key("stop", COMMAND_LINE, "The command that stops it").default("TERM, then KILL"),
    key("pid_file", Kind::Path, "Where a process that goes into the background writes its pid")
        .example("/run/worker.pid"),
];

pub(crate) static PROCESS_DECLARATION: Shape =
    Shape { title: "A process", keys: &[PROCESS_KEYS[0], PROCESS_KEYS[1], PROCESS_KEYS[2]] };

pub(crate) static TARGET: Shape = Shape {
    title: "Long form: a target",
    keys: &[
        key("unit", Kind::Text, "Its unit, when it is one").example("nginx.service"),
        key("process", Kind::Shape(&PROCESS_DECLARATION), "Its declaration, when ansai itself starts and stops it"),
        key("port", PORT, "The TCP port that it listens on"),
        key("configuration", Kind::Texts, "Its configuration, absolute paths"),
        key("needs", Kind::Texts, "Ids of targets that must be well before it is healed"),
        key("waits_for", Kind::Texts, "Ids of other targets' checks that explain its failure while they fail")
            .example("[\"disk//var#full\"]"),
        key("run_again", Kind::Truth, "Whether a one-shot that failed is run again; otherwise it is told")
            .default("false"),
        key(
            "start_period",
            Kind::Duration,
            "How long after a start its failing probes are not judged, until it has answered once",
        )
        .default("half as long again as it needed before, or 2m"),
        key("critical", Kind::Truth, "Whether a person must act now when it cannot be healed").default("false"),
        key(
            "requests",
            Kind::Named(&Kind::Shape(&STEP)),
            "What is done when an operator asks for it by this name, though nothing is wrong",
        ),
        key(
            "notifier",
            Kind::Truth,
            "Whether it carries our own messages: a remedy for it then waits for a person's approval",
        )
        .default("false"),
    ],
};

pub(crate) static CHECK: Shape = Shape {
    title: "Long form: a check",
    keys: &[
        key("probe", Kind::Short(&Kind::ProbeText, &PROBE), "How it looks").example("{unit: app.service}"),
        SCHEDULE[0],
        SCHEDULE[1],
        SCHEDULE[2],
        SCHEDULE[3],
        SCHEDULE[4],
        key("flap", Kind::Shape(&FLAP), "When it counts as flapping").default("that of the file"),
        key(
            "trend",
            Kind::Shape(&TREND),
            "What of it is followed over time, so that it fails before its limit is reached",
        ),
    ],
};

static TREND: Shape = Shape {
    title: "Long form: a trend",
    keys: &[
        key("figure", Kind::Text, "The figure that is followed, a size").example("size"),
        key("limit", Kind::Text, "The figure that it must not reach, a size").example("limit"),
        key("life", Kind::Text, "A figure that changes when what is followed begins anew"),
        key(
            "kind",
            Kind::Word("kind of growth", &["fill", "leak"]),
            "Whether anything that fills up counts, or only what is never given back",
        )
        .default("fill"),
        key("horizon", Kind::Duration, "It fails when the limit is forecast to be reached within this time")
            .default("1d"),
    ],
};

pub(crate) static RULE: Shape = Shape {
    title: "Long form: a rule",
    keys: &[
        key("target", Kind::Text, "The id of the target that it heals").example("service/app.service"),
        key("checks", Kind::Texts, "The checks that trigger it, by id or by the name after #").example("[unit, http]"),
        key("when", Kind::Condition, "What must hold besides; unknown does not heal").example("failing_for > 10s"),
        key("runbook", Kind::Text, "What is run").example("gentle"),
        key("policy", Kind::Text, "Under which limits").default("default"),
        key("autonomy", AUTONOMIES, "How much it may do by itself").default("that of the file"),
        key("severity", SEVERITIES, "How soon a person must act when it cannot be healed").default("day"),
    ],
};

pub(crate) static RUNG: Shape = Shape {
    title: "Long form: a rung",
    keys: &[
        key("name", Kind::Text, "Its name in its runbook").example("restart"),
        key("when", Kind::Condition, "When it applies; it is skipped when that is false or unknown"),
        key("entry", Kind::Word("entry", &["in-order", "only-by-name"]), "How it is reached").default("in-order"),
        key("steps", Kind::List(&Kind::Shape(&STEP)), "What is done, in order")
            .example("[{reset_failed: app.service}, {restart_unit: app.service, timeout: 100s}]"),
        key(
            "then",
            Kind::Word("follow-up", &["verify", "continue", "add-up"]),
            "What follows when all steps succeeded",
        )
        .default("verify"),
        key(
            "on_failure",
            Kind::Text,
            "What follows when one did not: next-rung, escalate, or the name of a later rung",
        )
        .default("next-rung"),
        key("attempts", COUNT, "How often it is tried").default("1"),
        key("undo", Kind::List(&Kind::Shape(&ACTION)), "What takes its effect back when it did not help"),
    ],
};

static ENTRY: Kind = Kind::Shape(&ENVIRONMENT);

const OWN_ACTIONS: &[Key] = &[
    key("validate", COMMAND_LINE, "Asks whether a configuration is right").example("[nginx, -t]"),
    key(
        "save_configuration",
        Kind::Shape(&CONFIGURATION_COPY),
        "Keeps a copy as the last known good one, when it is valid",
    ),
    key("restore_configuration", Kind::Shape(&CONFIGURATION_COPY), "Puts the last known good configuration back"),
    key("free_port", Kind::Shape(&FREE_PORT), "Ends leftovers of a unit that hold its port; others are never killed"),
    key("ensure_environment", Kind::List(&ENTRY), "Puts files, directories and links right"),
    key("reset_failed", Kind::Text, "Resets the failed state of a unit").example("app.service"),
    key("start_unit", Kind::Text, "Starts a unit").example("app.service"),
    key("restart_unit", Kind::Text, "Restarts a unit").example("app.service"),
    key("reload_unit", Kind::Text, "Reloads a unit").example("app.service"),
    key("stop_unit", Kind::Text, "Stops a unit").example("app.service"),
    key(
        "kill_unit",
        Kind::Text,
        "Kills what the unit's `KillMode=` gives to a stop: all processes of its cgroup, the main one, or none",
    )
    .example("app.service"),
    key("start_process", Kind::Text, "Starts a declared process").example("worker"),
    key("stop_process", Kind::Text, "Stops a declared process").example("worker"),
    key("exec", COMMAND_LINE, "A remedy of your own").example("[/usr/local/bin/mend]"),
];

const DISRUPTION: Key =
    key("disruption", Kind::Word("disruption", &["none", "brief", "full"]), "What `exec` takes away while it runs")
        .default("full");

const ACTIONS: &[&[Key]] = &[OWN_ACTIONS, &ACTION_KEYS, &[DISRUPTION]];

const STEPS: &[&[Key]] = &[
    OWN_ACTIONS,
    &ACTION_KEYS,
    &[
        DISRUPTION,
        key("wait", Kind::Duration, "Waits, instead of an action").example("5s"),
        key("timeout", Kind::Duration, "The longest that the action may take")
            .default("15s; as long as the unit says for what waits for a unit; 100s for a process"),
    ],
];

pub(crate) static ACTION: Shape = Shape { title: "Long form: an action", keys: &joined::<{ count(ACTIONS) }>(ACTIONS) };

pub(crate) static STEP: Shape = Shape { title: "Long form: a step", keys: &joined::<{ count(STEPS) }>(STEPS) };

static CONFIGURATION_COPY: Shape = Shape {
    title: "A copy of a configuration",
    keys: &[
        key("unit", Kind::Text, "The unit that it belongs to").example("nginx.service"),
        key("paths", Kind::Texts, "Files and directories, absolute").example("[/etc/nginx]"),
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
