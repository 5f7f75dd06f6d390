//! The keys of a service's memory: of the short form, of the probe and of the actions, each with the field that it fills.

use ansai_document::{
    Node, Value,
    text::{any_of, cut},
    written::{Fields, Written},
};
use ansai_keys::{Key, Kind, Shape, key};
use ansai_model::{
    domain::memory::{MemoryAction, MemoryProbe, Release, ReleaseSignal},
    id::UnitName,
    units::ByteSize,
};

use super::{Memory, NAME};
use crate::{
    fill::{At, Filled, Held, fills, shape, simple::command_of},
    keys::{
        PERIOD,
        limits::QUIET_HOURS,
        shared::{AUTONOMIES, COMMAND, SEVERITIES},
    },
};

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
pub(super) const HORIZON: Key =
    key("horizon", Kind::Duration, "It fails when it is forecast to reach its limit within this time").default("24h");
pub(super) const EVERY: Key = key("every", PERIOD, "The period").default("1m");
const UNIT: Key =
    key("unit", Kind::Text, "Whose").example("app.service").needed("`unit` is missing", "write unit: app.service");

fills! {
    Memory {
        limit: LIMIT,
        release: RELEASE,
        high: HIGH,
        horizon: HORIZON,
        every: EVERY,
        quiet: key("quiet", QUIET_HOURS, "When it is restarted, if that can wait").otherwise("that of the policy `memory`")
            .example("{at: \"02:00\", lasts: 2h}"),
        autonomy: key("autonomy", AUTONOMIES, "How much may be done about it").otherwise("that of the service"),
        severity: key("severity", SEVERITIES, "How soon a person must act when it cannot be mended").otherwise("that of the service"),
    } besides {
        is_watched: Some(true),
    }
}

static OF_ONE: Shape = shape::<Memory>("The memory of a service");
/// Of all of them: what is not about one.
static OF_ALL: Shape = Shape::of("The memory of all services", Memory::KEYS.split_at(3).1);

/// What is said of it among the keys of a unit.
pub(crate) const OF_A_UNIT: Key = key(
    NAME,
    Kind::Short(&Kind::Truth, &OF_ONE),
    "Whether its memory is watched, and what is done when it grows without end",
)
.otherwise("what `memory` of the file says")
.below(NAME)
.example("{limit: 512MiB, release: SIGUSR1}");

/// The section.
pub(crate) const SECTION: Key = key(
    NAME,
    Kind::Short(&Kind::Truth, &OF_ALL),
    "The memory of every service that has a process which stays, unless the service says otherwise",
)
.otherwise("false");

fills! { MemoryProbe { unit: UNIT, limit: LIMIT } }

/// The long form of a look.
pub(crate) static PROBE: Shape = shape::<MemoryProbe>("A look at a unit's memory");

/// What is done, as far as it is written.
#[derive(Clone)]
struct Action {
    unit: UnitName,
    release: Option<Release>,
    high: Option<ByteSize>,
}

fills! { Action { unit: UNIT.also("release: SIGUSR1"), release: RELEASE, high: HIGH } }

/// The long form of what is done.
pub(crate) static ACTION: Shape = shape::<Action>("Something about a unit's memory");

/// What is done.
pub(super) fn action(findings: &mut ansai_document::Findings<'_>, node: &Node, key: &str) -> Option<MemoryAction> {
    node.map()?;
    let Action { unit, release, high } = Action::filled(findings, node, key, None)?;
    match (release, high) {
        (Some(how), None) if !node.has("high") => Some(MemoryAction::Release { unit, how }),
        (None, Some(high)) if !node.has("release") => Some(MemoryAction::Limit { unit, high }),
        _ if node.has("release") != node.has("high") => None,
        _ => {
            let help = "write exactly one of release: SIGUSR1 and high: 400MiB".to_owned();
            let what = "this says not, or not clearly, what is done";
            match node.has("high") {
                true => findings.error(node.place, key, what, help),
                false => findings.nothing(node.place, key, what, help),
            }
            None
        }
    }
}

/// What is done, written out.
pub(crate) fn written(action: &MemoryAction) -> Fields {
    match action.clone() {
        MemoryAction::Release { unit, how } => Action { unit, release: Some(how), high: None },
        MemoryAction::Limit { unit, high } => Action { unit, release: None, high: Some(high) },
    }
    .fields()
}

/// A signal by its name, or a command.
impl Held for Release {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let Value::Scalar(_) = &node.value else {
            if node.list().is_some_and(|words| words.is_empty()) {
                at.error(node.place, "the command is empty", "write [program, argument], or a signal as SIGUSR1");
            }
            return command_of(node).map(Box::new).map(Self::Command);
        };
        let text = node.text()?;
        let found = ReleaseSignal::ALL.into_iter().find(|signal| signal.as_str() == text);
        if found.is_none() {
            let names = ReleaseSignal::ALL.map(ReleaseSignal::as_str);
            let what = format!("`{}` is no signal that asks for something", cut(text));
            at.error(node.place, what, format!("write {}, or a command as [program, argument]", any_of(&names)));
        }
        found.map(Self::Signal)
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        match self {
            Self::Signal(signal) => Some(Written::text(signal.as_str())),
            Self::Command(line) => line.write(key),
        }
    }
}
