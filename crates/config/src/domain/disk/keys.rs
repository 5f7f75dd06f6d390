//! The keys of disks: of the short form, of the probe and of the action.

use std::time::Duration;

use ansai_document::units::shown_duration;
use ansai_keys::{Key, Kind, Shape, key};
use ansai_model::domain::disk::{Images, Strategy};

use crate::{
    fill::words::{Words, word, words},
    keys::{
        PERIOD,
        limits::POLICY,
        shared::{AUTONOMIES, COMMAND_LINE, SEVERITIES},
    },
};

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) enum Look {
    Space,
    Inodes,
    Full,
    ReadOnly,
    Errors,
}

/// What is given up.
#[derive(Clone, Copy)]
pub(super) enum Room {
    Packages,
    Journal,
    Rotated,
    Logs,
    Temporary,
    Containers,
    Grow,
}

/// Which kind of files a rule is about; it says what holds where the rule says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    Logs,
    Temporary,
}

impl Files {
    /// How old they must be.
    pub(super) const fn age(self) -> Duration {
        Duration::from_secs(86_400 * if matches!(self, Self::Logs) { 30 } else { 7 })
    }

    /// What becomes of them.
    pub(super) const fn strategy(self) -> Strategy {
        if matches!(self, Self::Logs) { Strategy::CompressThenDelete } else { Strategy::Delete }
    }
}

/// How much of the journal is kept where nobody says it.
pub(super) const JOURNAL_KEPT: &str = "100MB";

words! {
    Look, "look": Space = "space", Inodes = "inodes", Full = "full", ReadOnly = "read-only", Errors = "errors";
    Room, "kind of room": Packages = "packages", Journal = "journal", Rotated = "rotated", Logs = "logs",
        Temporary = "temporary", Containers = "containers", Grow = "grow";
    Images, "kind of image": Unused = "unused", Dangling = "dangling";
    Strategy, "strategy": Compress = "compress", CompressThenDelete = "compress-then-delete", Delete = "delete";
}

const MOUNT: Key = key("mount", Kind::Text, "Its mount point").example("/var");
const PROTECT: Key =
    key("protect", Kind::Texts, "Paths that are left alone with all below them, besides the built-in ones")
        .example("[/var/lib/precious]");
const GOAL: Key = key("goal", Kind::Percent, "Room is made until at most this share is used");

/// Less room than this is none: a filesystem keeps some for itself, and says that it is available.
pub(super) const AVAILABLE_MIN: Key =
    key("available_min", Kind::Size, "Less room for ordinary users is failing, for `full`").default("1MiB");
pub(super) const ERRORS_WITHIN: Key =
    key("within", Kind::Duration, "How long an error is held against it, for `errors`").default("1h");

/// The section.
pub(crate) const SECTION: Key = key(
    "disks",
    Kind::Named(const { &Kind::Short(&Kind::Truth, &DISK) }),
    "Filesystems to keep room on, by mount point or by a pattern with * and ?; false is not watched",
)
.example("{\"*\": {}, /var: {act_at: 85%}}");

/// A disk in the short form.
pub(super) static DISK: Shape = Shape::of(
    "A disk",
    &[
        key("warn_at", Kind::Percent, "The used share, of bytes or inodes, of which people are told").default("80%"),
        key("act_at", Kind::Percent, "The used share from which room is made").default("90%"),
        key("urgent_at", Kind::Percent, "The used share that a person must act on now when it stays").default("95%"),
        GOAL.otherwise("the same as `warn_at`"),
        key("horizon", Kind::Duration, "It fails when it is forecast to be full within this time").default("3d"),
        key("every", PERIOD, "The period").default("30s"),
        key("clean", Kind::Short(&Kind::Truth, &CLEAN), "What is given up to make room; with false nothing is")
            .default("true"),
        PROTECT,
        key("autonomy", AUTONOMIES, "How much may be done about it").below("autonomy"),
        key("policy", Kind::Short(&Kind::Text, &POLICY), "Its limits: the name of a policy, or limits over `disk`")
            .otherwise("the policy `disk`")
            .below("policies.disk")
            .example("{cooldown: 30m}"),
        key("severity", SEVERITIES, "How soon a person must act when cleaning makes too little room").default("day"),
    ],
);

pub(super) static CLEAN: Shape = Shape::of("What is given up to make room", &[
        key("packages", Kind::Truth, "Downloaded packages, which can be downloaded again and are no way back").default("true"),
        key("journal", Kind::Text, "How much of systemd's journal is kept, or none: it is not shortened")
            .otherwise_of("{}, and all of it where journald has been told what it keeps", &[|| JOURNAL_KEPT.to_owned()])
            .example("500MB"),
        key("rotated", Kind::Truth,
            "Rotations below /var/log that the rule of their owner, as `rotate 4` of logrotate, does not keep, 30 days old",
        )
        .default("true"),
        key("logs", Kind::List(const { &Kind::Shape(&RULE) }), "Logs of your own, compressed and then deleted")
            .example("[{path: /var/log/app, pattern: \"*.log\", older_than: 30d}]"),
        key("temporary", Kind::List(const { &Kind::Shape(&RULE) }), "Temporary files of your own, deleted")
            .example("[{path: /var/tmp/scratch, older_than: 7d}]"),
        key("containers", Kind::Word("kind of image", &["unused", "dangling", "none"]), "Container images without use")
            .default("none"),
        key("grow", COMMAND_LINE, "A command that makes the filesystem larger when all that was not enough")
            .example("[/usr/sbin/lvextend, --resizefs, -L, +5G, vg/var]"),
]);

pub(super) static RULE: Shape = Shape::of(
    "Files that may be given up",
    &[
        key("path", Kind::Path, "The directory; those below it on the same filesystem are looked into")
            .example("/var/log/app"),
        key("pattern", Kind::Text, "Which names, with *, ? and [a-z] as in a shell").default("*").example("\"*.log\""),
        key("older_than", Kind::Duration, "How long a file has not been touched")
            .otherwise_of(
                "{} for logs, {} for temporary files",
                &[|| shown_duration(Files::Logs.age()), || shown_duration(Files::Temporary.age())],
            )
            .example("30d"),
        key("threshold", Kind::Percent, "It applies only while at least this share is used").example("85%"),
        key("strategy", word::<Strategy>(), "What becomes of the files").otherwise_of(
            "{} for logs, {} for temporary files",
            &[|| Files::Logs.strategy().word().to_owned(), || Files::Temporary.strategy().word().to_owned()],
        ),
    ],
)
.beside("path: /var/log/app");

/// The long form of a look.
pub(super) static PROBE: Shape = Shape::of(
    "A look at a disk",
    &[
        MOUNT,
        key("look", word::<Look>(), "What is looked at").example("space"),
        key("fails_at", Kind::Percent, "The used share that is failing, for `space` and `inodes`").example("90%"),
        AVAILABLE_MIN.beside("mount: /var, look: full"),
        ERRORS_WITHIN.beside("mount: /var, look: errors"),
    ],
)
.beside("mount: /var, look: space, fails_at: 90%");

/// The long form of what is done.
pub(super) static ACTION: Shape = Shape::of(
    "Something about a disk",
    &[
        MOUNT,
        key("clean", word::<Room>(), "What is given up").example("packages"),
        GOAL.example("80%"),
        key("keep", Kind::Size, "How much is kept, for `journal`")
            .example("100MB")
            .beside("mount: /var, clean: journal, goal: 80%, keep: 100MB"),
        key("yields", Kind::Truth, "Whether nothing goes where journald has been told what it keeps, for `journal`")
            .default("false")
            .beside("mount: /var, clean: journal, goal: 80%, keep: 100MB"),
        key("path", Kind::Path, "The directory, for `rotated`")
            .example("/var/log")
            .beside("mount: /var, clean: rotated, goal: 80%, path: /var/log, older_than: 30d"),
        key("older_than", Kind::Duration, "How long they have not been written to, for `rotated`")
            .example("30d")
            .beside("mount: /var, clean: rotated, goal: 80%, path: /var/log, older_than: 30d"),
        key("rules", Kind::List(const { &Kind::Shape(&RULE) }), "Which files, for `logs` and `temporary`")
            .beside("mount: /var, clean: logs, goal: 80%"),
        key("images", word::<Images>(), "Which images, for `containers`")
            .beside("mount: /var, clean: containers, goal: 80%"),
        key("command", COMMAND_LINE, "What makes it larger, for `grow`").beside("mount: /var, clean: grow, goal: 80%"),
        PROTECT,
        key("measure", Kind::Percent, "Fails while at least this share is used, and cleans nothing")
            .example("90%")
            .beside("mount: /var"),
    ],
)
.beside("mount: /var, clean: packages, goal: 80%");
