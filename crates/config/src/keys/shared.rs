//! The keys and kinds that several mappings share: how freely, how soon, commands, processes, what must be there.

use ansai_keys::{Key, Kind, Shape, Special, count, joined, key};
use ansai_model::{
    notify::SecretRef,
    rule::{Autonomy, Severity},
};

use crate::fill::{WEB, choice::ways, words::word};

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

pub(crate) static COMMAND: Shape = Shape {
    title: "A command",
    keys: &[
        key("argv", Kind::Argv, "The program and its arguments; no shell is involved")
            .example("[/usr/bin/app, --check]"),
        key("environment", Kind::Named(&Kind::Text), "Its environment besides a minimal one")
            .example("{PGHOST: /run/postgresql}"),
        key("user", Kind::Text, "Who runs it").otherwise("the agent's own user").example("postgres"),
        key("directory", Kind::Path, "Where it runs").otherwise("/"),
    ],
};

pub(crate) const PROCESS_KEYS: [Key; 3] = [
    key("start", COMMAND_LINE, "The command that is the process, or that starts it when there is a pid file")
        .example("[/usr/bin/worker, --foreground]"),
    key("stop", COMMAND_LINE, "The command that stops it").otherwise("TERM, then KILL"),
    key("pid_file", Kind::Path, "Where a process that goes into the background writes its pid")
        .example("/run/worker.pid"),
];

pub(crate) static PROCESS_DECLARATION: Shape =
    Shape { title: "A process", keys: &[PROCESS_KEYS[0], PROCESS_KEYS[1], PROCESS_KEYS[2]] };

const KINDS: [Key; count(Thing::OWN)] = joined(Thing::OWN);
const THINGS: &[&[Key]] = &[
    &KINDS,
    &[
        key("mode", Kind::Mode, "Its permission bits").example("\"0640\""),
        key("owner", Kind::Text, "Its user").example("app"),
        key("group", Kind::Text, "Its group").example("app"),
    ],
];
pub(crate) static ENVIRONMENT: Shape =
    Shape { title: "What must be there", keys: &joined::<{ count(THINGS) }>(THINGS) };

ways! {
    /// What kind of thing must be there.
    Thing {
        File: &[
            key("file", Kind::Path, "A file").example("/etc/app.conf"),
            key("create", Kind::Truth, "Whether a missing file is created, empty").default("false"),
        ],
        Directory: &[key("directory", Kind::Path, "A directory; made when it is missing").example("/run/app")],
        Symlink: &[
            key("symlink", Kind::Path, "A symbolic link; made anew when it leads elsewhere").example("/etc/app/current"),
            key("to", Kind::Text, "Where the link leads").example("/etc/app/releases/7"),
        ],
    };
    wrong |_| "an entry is exactly one of file, directory or symlink".to_owned();
    foreign |name, thing, owners| {
        (format!("`{name}` says nothing about a {thing}"), format!("it belongs to `{owners}`; delete it"))
    };
    names "{file: /PATH}, {directory: /PATH} and {symlink: /PATH, to: PLACE}";
}
