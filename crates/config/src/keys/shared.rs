//! The keys and kinds that several mappings share: how freely, how soon, commands, processes, what must be there.

use ansai_document::units::shown_duration;
use ansai_keys::{Key, Kind, Shape, Special, key};
use ansai_model::{
    action::{EnvironmentEntry, EnvironmentKind, ProcessDeclaration},
    bundle::Target,
    notify::SecretRef,
    rule::{Autonomy, Severity},
};

use crate::fill::{WEB, choice::ways, fills, shape, words::word};

pub(crate) const AUTONOMIES: Kind = word::<Autonomy>();
pub(crate) const SEVERITIES: Kind = word::<Severity>();
/// A reference to a secret.
pub(crate) const SECRET: Kind = Kind::Special(&Special {
    expected: "a reference to a secret",
    how: "write file:/PATH, env:NAME or credential:NAME",
    example: "file:/etc/ansai/secret",
    beginnings: || SecretRef::beginnings().map(ToString::to_string).collect(),
    ..Special::TEXT
});
/// A web address, or a reference to one that is secret.
pub(crate) const ADDRESS: Kind = Kind::Special(&Special {
    expected: "a web address",
    how: "write https://…, or a reference as file:/etc/ansai/NAME",
    example: "\"https://hooks.example.com/ansai\"",
    beginnings: || WEB.into_iter().chain(SecretRef::beginnings()).map(ToString::to_string).collect(),
    ..Special::TEXT
});
/// A condition of a rule.
pub(crate) const CONDITION: Kind = Kind::Special(&Special {
    expected: "a condition",
    how: "write one text, as in \"failing_for > 10s\"",
    example: "failing_for > 10s",
    beginnings: Vec::new,
    ..Special::TEXT
});
pub(crate) const COMMAND_LINE: Kind = Kind::Short(&Kind::Argv, &COMMAND);

pub(crate) static COMMAND: Shape = Shape::of(
    "A command",
    &[
        key("argv", Kind::Argv, "The program and its arguments; no shell is involved")
            .example("[/usr/bin/app, --check]"),
        key("environment", Kind::Named(&Kind::Text), "Its environment besides a minimal one")
            .example("{PGHOST: /run/postgresql}"),
        key("user", Kind::Text, "Who runs it").otherwise("the agent's own user").example("postgres"),
        key("directory", Kind::Path, "Where it runs").otherwise("/"),
    ],
)
.beside("argv: [/usr/bin/app, --check]");

pub(crate) const RUN_AGAIN: Key =
    key("run_again", Kind::Truth, "Whether a one-shot that failed is run again; otherwise it is told").default("false");
pub(crate) const START_PERIOD: Key = key(
    "start_period",
    Kind::Duration,
    "How long after a start its failing probes are not judged, until it has answered once",
)
.otherwise_of("half as long again as it needed before, or {}", &[|| shown_duration(Target::START_PERIOD)]);
pub(crate) const CRITICAL: Key =
    key("critical", Kind::Truth, "Whether a person must act now when it cannot be healed").default("false");
pub(crate) const NOTIFIER: Key = key(
    "notifier",
    Kind::Truth,
    "Whether it carries our own messages: a remedy for it then waits for a person's approval",
);

fills! {
    ProcessDeclaration {
        start: key("start", COMMAND_LINE, "The command that is the process, or that starts it when there is a pid file")
            .example("[/usr/bin/worker, --foreground]")
            .needed("a process needs the command that starts it", "write start: [program, argument, …]"),
        stop: key("stop", COMMAND_LINE, "The command that stops it").otherwise("TERM, then KILL"),
        pid_file: key("pid_file", Kind::Path, "Where a process that goes into the background writes its pid")
            .example("/run/worker.pid"),
    } besides {
        name: String::new(),
    }
}

pub(crate) static PROCESS_DECLARATION: Shape = shape::<ProcessDeclaration>("A process");

/// What must be there, and where.
type Placed = (String, EnvironmentKind);

fills! {
    EnvironmentEntry {
        ..(path, kind): Placed,
        mode: key("mode", Kind::Mode, "Its permission bits").example("\"0640\""),
        owner: key("owner", Kind::Text, "Its user").example("app"),
        group: key("group", Kind::Text, "Its group").example("app"),
    }
}

pub(crate) static ENVIRONMENT: Shape = shape::<EnvironmentEntry>("What must be there").beside("directory: /run/app");

ways! {
    /// What kind of thing must be there.
    Thing of Placed {
        File {
            (path): key("file", Kind::Path, "A file").example("/etc/app.conf").beside(""),
            (create): key("create", Kind::Truth, "Whether a missing file is created, empty").default("false").beside("file: /etc/app.conf"),
        } => ((path, EnvironmentKind::File { create })),
        Directory { (path): key("directory", Kind::Path, "A directory; made when it is missing").example("/run/app") }
            => ((path, EnvironmentKind::Directory)),
        Symlink {
            (path): key("symlink", Kind::Path, "A symbolic link; made anew when it leads elsewhere").example("/etc/app/current").beside("symlink: /etc/app/current, to: /etc/app/releases/7"),
            (to): key("to", Kind::Text, "Where the link leads").example("/etc/app/releases/7")
                .needed("a link leads somewhere", "write to: PLACE beside symlink").beside("symlink: /etc/app/current, to: /etc/app/releases/7"),
        } => ((path, EnvironmentKind::Symlink(to))),
    };
    wrong |_| "an entry is exactly one of file, directory or symlink".to_owned();
    foreign |name, thing, owners| {
        (format!("`{name}` says nothing about a {thing}"), format!("it belongs to `{owners}`; delete it"))
    };
    names "{file: /PATH}, {directory: /PATH} and {symlink: /PATH, to: PLACE}";
}
