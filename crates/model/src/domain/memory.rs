//! The memory domain's values: how a service's memory is looked at, what the figures mean, and what may be done about it.
//! Reading them is `host::linux::domain::memory`'s work; whether they grow without end is told by the engine's trends.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    action::Disruption,
    condition::{Value, ValueType},
    domain::{Deed, Domain, Look, Signs},
    id::UnitName,
    listed::listed,
    observation::Observation,
    probe::CommandLine,
    text::Text,
    units::{ByteSize, Percent},
};

/// The domain. Its looks are at the targets of units.
pub const DOMAIN: Domain = Domain {
    key: "memory",
    has_targets: false,
    figures: FIGURES,
    is_down: false,
    by_hand: &[],
    signs: Signs { held: Some(ANONYMOUS), killed: Some(KILLED_LATELY), ..Signs::NONE },
};

/// A look at the memory of a unit's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryProbe {
    /// Whose.
    pub unit: UnitName,
    /// What the operator declares as the most that it should hold, besides the limits that systemd and the kernel know.
    pub limit: Option<ByteSize>,
}

/// The name of the figure that is followed over time: what only the service itself can give back.
pub const ANONYMOUS: &str = "memory.anonymous";
/// The name of the figure that it must not reach.
pub const LIMIT: &str = "memory.limit";
/// The name of the figure that is another one after every start of the unit.
pub const LIFE: &str = "memory.life";
/// The name of the figure that says that the kernel has ended a process of the unit lately.
pub const KILLED_LATELY: &str = "memory.killed_lately";

/// What a look reports where the kernel tells it all.
const FIGURES: &[(&str, ValueType)] = &[
    (ANONYMOUS, ValueType::Bytes),
    ("memory.cache", ValueType::Bytes),
    ("memory.used", ValueType::Bytes),
    (LIMIT, ValueType::Bytes),
    ("memory.pressure", ValueType::Percent),
    ("memory.host_pressure", ValueType::Percent),
    ("memory.oom_kills", ValueType::Number),
    (KILLED_LATELY, ValueType::Bool),
    (NEAR_LIMIT, ValueType::Bool),
    (LIFE, ValueType::Number),
];

impl Look for MemoryProbe {
    /// The kind, in one word, as in the configuration.
    fn kind(&self) -> &'static str {
        DOMAIN.key
    }

    /// The figures that it reports where the kernel tells them all.
    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        FIGURES
    }

    /// What does not run has no memory: its unit's own check says the rest.
    fn is_unknown_elsewhere(&self) -> bool {
        true
    }
}

/// The name of the figure that says that a limit of its own is near.
pub const NEAR_LIMIT: &str = "memory.near_limit";

/// From this share of a limit of its own on a unit is about to reach it.
const NEAR: u64 = 95;

/// What one look at a unit's memory has found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MemorySnapshot {
    /// Anonymous memory that is resident: what only the processes themselves can give back.
    pub resident: ByteSize,
    /// Anonymous memory that was swapped out.
    pub swapped: ByteSize,
    /// Pages of files, which the kernel takes back when it needs them.
    pub cache: ByteSize,
    /// Everything together.
    pub used: ByteSize,
    /// The limits that it may run into; any number of them, the tightest counts.
    pub limits: Vec<MemoryLimit>,
    /// The share of the last ten seconds in which a process of the unit waited for memory (PSI, `some avg10`).
    pub pressure: Option<Percent>,
    /// The same of the whole host.
    pub host_pressure: Option<Percent>,
    /// Processes of the unit that the kernel ended for lack of memory, since the unit was started.
    pub oom_kills: Option<u64>,
    /// Whether it has ended one lately.
    pub is_killed_lately: bool,
    /// Differs after every start of the unit; whole, and less than 2⁵³.
    pub life: Option<u64>,
}

impl MemorySnapshot {
    /// What only the processes themselves can give back.
    #[must_use]
    pub fn anonymous(&self) -> ByteSize {
        ByteSize(self.resident.0.saturating_add(self.swapped.0))
    }

    /// The limit that is reached first.
    #[must_use]
    pub fn limit(&self) -> Option<&MemoryLimit> {
        self.limits.iter().min_by_key(|limit| limit.at)
    }
}

/// A limit, as the anonymous memory of the unit at which it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// How much the unit holds then.
    pub at: ByteSize,
    /// Whose it is.
    pub kind: LimitKind,
}

/// Whose limit it is, and what happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// `MemoryMax=` of the unit: the kernel ends processes of it.
    Max,
    /// `MemoryHigh=` of the unit: the kernel slows it down.
    High,
    /// Declared by the operator: nothing happens by itself.
    Declared,
    /// What its slice, or the whole host, has left: others share it.
    Shared,
}

impl LimitKind {
    /// What is about to happen to a unit that is near; `None` when that need not be its own doing.
    fn threat(self) -> Option<&'static str> {
        match self {
            Self::Max => Some("the kernel is about to end processes of it"),
            Self::High => Some("the kernel is about to slow it down"),
            Self::Declared => Some("that is the limit declared for it"),
            Self::Shared => None,
        }
    }
}

/// What a look means; `None` stands for a unit that does not run.
///
/// Failing when the unit is about to reach a limit of its own, or the kernel has just ended a process of it. What its
/// slice or the host lacks is not held against one service, and its cache never is. Growth is judged over time, not here.
#[must_use]
pub fn judge(seen: Option<&MemorySnapshot>) -> Observation {
    let Some(seen) = seen else { return Observation::unknown("it does not run, so it has no memory") };
    let made = match symptom(seen) {
        Some(symptom) => Observation::failing(symptom),
        None => Observation::healthy(summary(seen)),
    };
    with_figures(made, seen)
}

fn symptom(seen: &MemorySnapshot) -> Option<String> {
    if seen.is_killed_lately {
        let count = seen.oom_kills.unwrap_or(1);
        return Some(format!(
            "the kernel has just ended a process of it for lack of memory ({count} since it was started)"
        ));
    }
    let limit = near(seen)?;
    let share = Percent::of(seen.resident.0, limit.at.0);
    let threat = limit.kind.threat()?;
    Some(format!("holds {} of its limit of {} ({share}): {threat}", seen.resident, limit.at))
}

/// The tightest limit of its own that it is about to reach.
fn near(seen: &MemorySnapshot) -> Option<&MemoryLimit> {
    let is_near = |limit: &&MemoryLimit| {
        u128::from(seen.resident.0) * 100 >= u128::from(limit.at.0) * u128::from(NEAR) && limit.kind.threat().is_some()
    };
    seen.limits.iter().filter(is_near).min_by_key(|limit| limit.at)
}

fn summary(seen: &MemorySnapshot) -> String {
    let besides = format!("{} of cache besides", seen.cache);
    let held = seen.anonymous();
    match seen.limit() {
        Some(MemoryLimit { at, kind: LimitKind::Shared }) => {
            format!("holds {held}, {} more are free to it; {besides}", ByteSize(at.0.saturating_sub(held.0)))
        }
        Some(limit) => format!("holds {held} of its limit of {}; {besides}", limit.at),
        None => format!("holds {held}; {besides}"),
    }
}

fn with_figures(made: Observation, seen: &MemorySnapshot) -> Observation {
    let mut made = made
        .with_figure(ANONYMOUS, Value::Bytes(seen.anonymous()))
        .with_figure("memory.cache", Value::Bytes(seen.cache))
        .with_figure("memory.used", Value::Bytes(seen.used))
        .with_figure(KILLED_LATELY, Value::Bool(seen.is_killed_lately))
        .with_figure(NEAR_LIMIT, Value::Bool(near(seen).is_some()));
    let number = |number: u64| Value::Number(approximate(number));
    let some = [
        (LIMIT, seen.limit().map(|limit| Value::Bytes(limit.at))),
        ("memory.pressure", seen.pressure.map(Value::Percent)),
        ("memory.host_pressure", seen.host_pressure.map(Value::Percent)),
        ("memory.oom_kills", seen.oom_kills.map(number)),
        (LIFE, seen.life.map(number)),
    ];
    for (name, value) in some {
        if let Some(value) = value {
            made = made.with_figure(name, value);
        }
    }
    made
}

#[expect(clippy::cast_precision_loss, reason = "counts and lives are smaller than what a float holds exactly")]
fn approximate(number: u64) -> f64 {
    number as f64
}

/// What may be done about a unit's memory, besides a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryAction {
    /// Ask the service to give back what it does not need.
    Release {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
        /// How it is asked.
        how: Release,
    },
    /// Set `MemoryHigh=` until the next boot: from there on the kernel slows the unit down and takes back what it can.
    Limit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
        /// From where on.
        high: ByteSize,
    },
}

/// How a service is asked to give memory back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// A signal to its main process, which must catch it.
    Signal(ReleaseSignal),
    /// A command of the operator.
    Command(Box<CommandLine>),
}

listed! {
    /// The signals that ask a service for something; none of those that are made to end one.
    pub enum ReleaseSignal {
        /// `SIGHUP`.
        Hup => "SIGHUP",
        /// `SIGUSR1`.
        Usr1 => "SIGUSR1",
        /// `SIGUSR2`.
        Usr2 => "SIGUSR2",
        /// `SIGWINCH`.
        Winch => "SIGWINCH",
    }
}

impl fmt::Display for ReleaseSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Deed for MemoryAction {
    /// What it disrupts: a service that gives memory back, or is slowed down, is less of a service for a moment.
    fn disruption(&self) -> Disruption {
        match self {
            Self::Release { .. } | Self::Limit { .. } => Disruption::Brief,
        }
    }

    /// Whether it may be repeated after an unknown outcome.
    fn is_idempotent(&self) -> bool {
        match self {
            // What a command or a signal does twice is known to the service alone.
            Self::Release { .. } => false,
            Self::Limit { .. } => true,
        }
    }

    /// What it does, in words that continue "ansai will …".
    fn describe(&self) -> Text {
        Text::new(match self {
            Self::Release { unit, how: Release::Signal(signal) } => {
                format!("ask {unit} to give memory back, by {signal}")
            }
            Self::Release { unit, how: Release::Command(command) } => {
                format!("have {unit} give memory back, by `{}`", command.shown())
            }
            Self::Limit { unit, high } => format!("set MemoryHigh={high} on {unit} until the next boot"),
        })
    }

    fn commands(&self) -> Vec<&CommandLine> {
        match self {
            Self::Release { how: Release::Command(command), .. } => Vec::from([&**command]),
            Self::Release { how: Release::Signal(_), .. } | Self::Limit { .. } => Vec::new(),
        }
    }
}

impl MemoryAction {
    /// How it is done, in words.
    #[must_use]
    pub fn detail(&self) -> Text {
        Text::from(match self {
            Self::Release { how: Release::Signal(_), .. } => {
                "only its main process gets it, through a pidfd, and only when it catches it"
            }
            Self::Release { how: Release::Command(_), .. } => "the command runs without a shell, within its time-out",
            Self::Limit { .. } => "the kernel then slows it down and takes back its cache; nothing is ended",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Details, Health};

    const MIB: u64 = 1 << 20;

    fn seen(resident: u64, cache: u64, limits: &[(u64, LimitKind)]) -> MemorySnapshot {
        let limits = limits.iter().map(|(at, kind)| MemoryLimit { at: ByteSize(at * MIB), kind: *kind }).collect();
        let (resident, cache) = (ByteSize(resident * MIB), ByteSize(cache * MIB));
        let used = ByteSize(resident.0 + cache.0);
        MemorySnapshot { resident, cache, used, limits, life: Some(7), ..MemorySnapshot::default() }
    }

    /// What a look means, and in which words.
    fn check(seen: Option<&MemorySnapshot>, health: Health, words: &str) {
        let judged = judge(seen);
        assert_eq!(judged.health(), health, "{judged:?}");
        assert!(judged.summary().as_str().contains(words), "{}", judged.summary());
    }

    #[test]
    fn a_unit_that_is_about_to_reach_its_own_limit_fails_and_one_that_fills_its_cache_does_not() {
        use LimitKind::{Declared, High, Max, Shared};
        check(None, Health::Unknown, "does not run");
        check(Some(&seen(100, 400, &[(512, Max)])), Health::Healthy, "holds 100.0 MiB of its limit of 512.0 MiB");
        check(Some(&seen(486, 20, &[(512, Max)])), Health::Healthy, "holds 486.0 MiB");
        check(
            Some(&seen(487, 20, &[(512, Max)])),
            Health::Failing,
            "holds 487.0 MiB of its limit of 512.0 MiB (95.1 %)",
        );
        check(Some(&seen(390, 0, &[(512, Max), (400, High)])), Health::Failing, "slow it down");
        check(Some(&seen(390, 0, &[(512, Max), (400, Declared)])), Health::Failing, "declared for it");
        // What the host lacks may be another's doing, and its own limit is far.
        check(Some(&seen(390, 0, &[(4096, Max), (395, Shared)])), Health::Healthy, "5.0 MiB more are free to it");
        check(Some(&seen(390, 0, &[])), Health::Healthy, "holds 390.0 MiB; ");
    }

    #[test]
    fn what_was_swapped_out_is_still_held_and_does_not_count_against_the_resident_limit() {
        let swapped = MemorySnapshot { swapped: ByteSize(300 * MIB), ..seen(300, 0, &[(512, LimitKind::Max)]) };
        check(Some(&swapped), Health::Healthy, "holds 600.0 MiB");
    }

    #[test]
    fn a_process_that_the_kernel_has_just_ended_is_a_failure_while_the_unit_runs_on() {
        let killed = MemorySnapshot { oom_kills: Some(3), is_killed_lately: true, ..seen(10, 0, &[]) };
        check(Some(&killed), Health::Failing, "just ended a process of it for lack of memory (3 since");
        check(Some(&MemorySnapshot { is_killed_lately: false, ..killed }), Health::Healthy, "holds 10.0 MiB");
    }

    #[test]
    fn every_figure_is_one_that_conditions_may_name() {
        let whole = MemorySnapshot {
            pressure: Percent::new(1),
            host_pressure: Percent::new(2),
            oom_kills: Some(0),
            ..seen(1, 2, &[(3, LimitKind::Max)])
        };
        let judged = judge(Some(&whole));
        let Details::Figures(figures) = judged.details() else { panic!("{judged:?}") };
        let unit = UnitName::new("app.service").expect("valid");
        let mut known = MemoryProbe { unit, limit: None }.figures().to_vec();
        known.sort_by_key(|(name, _)| *name);
        assert_eq!(judged.figure(NEAR_LIMIT), Some(&Value::Bool(false)));
        let found: Vec<_> = figures.iter().map(|(name, value)| (name, value.value_type())).collect();
        assert_eq!(found, known);
    }
}
