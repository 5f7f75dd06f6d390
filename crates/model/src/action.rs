//! The smallest things an adapter performs. Each declares what it disrupts, whether it may be repeated, and its time-out.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::DomainAction,
    id::{IncidentId, RunId, TargetId, UnitName},
    operator::DrillKind,
    probe::CommandLine,
    text::Text,
    time::Shown,
};

/// The time of an action that waits for a job of systemd, when nobody declares another: as long as the unit's own
/// `TimeoutStartSec=` and `TimeoutStopSec=` say, which systemd itself sees to.
pub const AS_DECLARED: Duration = Duration::from_secs(u64::MAX);

/// What an adapter can do to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ask a validator whether a configuration is right. Changes nothing.
    Validate {
        /// The validator, as `nginx -t`.
        command: Box<CommandLine>,
    },
    /// Keep a copy of a configuration as the last known good one, when its validator calls it valid.
    SaveConfiguration {
        /// The unit that the copy belongs to.
        unit: UnitName,
        /// Files and directories, absolute.
        paths: Vec<String>,
        /// Who says whether it is valid.
        validator: Box<CommandLine>,
    },
    /// Put the last known good configuration back; the broken one is kept beside it. With a validator it is taken back
    /// when that says no to it as well: then something else is wrong.
    RestoreConfiguration {
        /// The unit that the copy belongs to.
        unit: UnitName,
        /// Files and directories, absolute.
        paths: Vec<String>,
        /// Who says whether what was there, and then the copy, is valid now.
        #[serde(default)]
        validator: Option<Box<CommandLine>>,
    },
    /// Free a TCP port from leftovers of the unit itself. A foreign owner is refused and named, never killed.
    FreePort {
        /// The unit that should own the port.
        unit: UnitName,
        /// The number of the port.
        port: u16,
    },
    /// Put the declared files, directories and symbolic links right.
    EnsureEnvironment {
        /// What must be there.
        entries: Vec<EnvironmentEntry>,
    },
    /// `systemctl reset-failed`.
    ResetFailed {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// Start a unit, waiting for its job; its failed state is reset before, so that systemd's start limit refuses nothing.
    StartUnit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// Restart a unit, waiting for its job; its failed state is reset before, as for a start.
    RestartUnit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// Reload a unit's configuration, waiting for its job.
    ReloadUnit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// Stop a unit, waiting for its job.
    StopUnit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// SIGKILL what the unit's `KillMode=` gives to a stop: everything in its cgroup, its main process only, or nothing.
    KillUnit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
    },
    /// Start a declared process (where no systemd runs).
    StartProcess {
        /// The declared process, as the configuration has it.
        process: Box<ProcessDeclaration>,
    },
    /// Stop a declared process: its stop command or TERM, then KILL.
    StopProcess {
        /// The declared process, as the configuration has it.
        process: Box<ProcessDeclaration>,
    },
    /// Inject a failure on purpose.
    Drill {
        /// Into which unit.
        unit: UnitName,
        /// The kind of failure.
        kind: DrillKind,
        /// The unit's declared port, for `port`.
        port: Option<u16>,
        /// The unit's declared configuration, for `configuration`.
        paths: Vec<String>,
    },
    /// An operator's own remedy.
    Exec {
        /// The program with its arguments.
        command: Box<CommandLine>,
        /// What the operator declared that it disrupts.
        disruption: Disruption,
    },
    /// What a domain does. It is written as its own name, like everything above.
    #[serde(untagged)]
    Domain(DomainAction),
}

/// A process that ansai keeps running itself, where no systemd runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessDeclaration {
    /// The name, as it is written.
    pub name: String,
    /// The command that is the process (or that starts it, when there is a pid file).
    pub start: CommandLine,
    /// The command that stops it; TERM when absent.
    pub stop: Option<CommandLine>,
    /// Where a process that goes into the background writes its pid.
    pub pid_file: Option<String>,
}

/// A file, directory or link that a service needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentEntry {
    /// Absolute path.
    pub path: String,
    /// What it must be.
    pub kind: EnvironmentKind,
    /// Permission bits, when they matter.
    pub mode: Option<u32>,
    /// Owning user, when it matters.
    pub owner: Option<String>,
    /// Owning group, when it matters.
    pub group: Option<String>,
}

/// What an entry of the environment must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentKind {
    /// A file; created empty only when `create` is set.
    File {
        /// Whether it is created when it is missing.
        create: bool,
    },
    /// A directory; created when it is missing.
    Directory,
    /// A symbolic link to this place; made anew when it points elsewhere.
    Symlink(String),
}

/// How much of a service an action takes away while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// None: it passes no budget.
    None,
    /// A moment: a reload, a start of what is down.
    Brief,
    /// The service is away: a restart, a stop, a kill.
    Full,
}

impl Action {
    /// What it disrupts.
    #[must_use]
    pub fn disruption(&self) -> Disruption {
        match self {
            Self::Validate { .. } | Self::SaveConfiguration { .. } | Self::ResetFailed { .. } => Disruption::None,
            Self::RestoreConfiguration { .. } | Self::EnsureEnvironment { .. } | Self::FreePort { .. } => {
                Disruption::Brief
            }
            Self::StartUnit { .. } | Self::ReloadUnit { .. } | Self::StartProcess { .. } => Disruption::Brief,
            Self::RestartUnit { .. } | Self::StopUnit { .. } | Self::KillUnit { .. } | Self::StopProcess { .. } => {
                Disruption::Full
            }
            Self::Drill { .. } => Disruption::Full,
            Self::Exec { disruption, .. } => *disruption,
            Self::Domain(action) => action.deed().disruption(),
        }
    }

    /// Whether it asks or measures, and changes nothing whatever comes of it.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Validate { .. } => true,
            Self::Domain(action) => action.deed().only_looks(),
            _ => false,
        }
    }

    /// Whether doing it twice is the same as doing it once, so that it may be repeated after an unknown outcome.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Validate { .. } | Self::SaveConfiguration { .. } | Self::RestoreConfiguration { .. } => true,
            Self::FreePort { .. } | Self::EnsureEnvironment { .. } | Self::ResetFailed { .. } => true,
            Self::StartUnit { .. } | Self::ReloadUnit { .. } | Self::StopUnit { .. } => true,
            Self::StartProcess { .. } | Self::StopProcess { .. } => true,
            Self::RestartUnit { .. } | Self::KillUnit { .. } | Self::Drill { .. } | Self::Exec { .. } => false,
            Self::Domain(action) => action.deed().is_idempotent(),
        }
    }

    /// The unit whose job it waits for, if it does.
    #[must_use]
    pub fn job_of(&self) -> Option<&UnitName> {
        match self {
            Self::StartUnit { unit } | Self::RestartUnit { unit } => Some(unit),
            Self::ReloadUnit { unit } | Self::StopUnit { unit } => Some(unit),
            Self::Validate { .. } | Self::SaveConfiguration { .. } | Self::RestoreConfiguration { .. } => None,
            Self::FreePort { .. } | Self::EnsureEnvironment { .. } | Self::ResetFailed { .. } => None,
            Self::KillUnit { .. } | Self::StartProcess { .. } | Self::StopProcess { .. } => None,
            Self::Drill { .. } | Self::Exec { .. } => None,
            Self::Domain(_) => None,
        }
    }

    /// What it does, in words that continue "ansai will …".
    #[must_use]
    pub fn describe(&self) -> Text {
        Text::new(match self {
            Self::Validate { command } => format!("validate the configuration with `{}`", command.shown()),
            Self::SaveConfiguration { unit, .. } => format!("keep the configuration of {unit} as last known good"),
            Self::RestoreConfiguration { unit, .. } => format!("put the last known good configuration of {unit} back"),
            Self::FreePort { unit, port } => format!("free port {port} from leftovers of {unit}"),
            Self::EnsureEnvironment { entries } => format!("put {} declared paths right", entries.len()),
            Self::ResetFailed { unit } => format!("reset the failed state of {unit}"),
            Self::StartUnit { unit } => format!("start {unit}"),
            Self::RestartUnit { unit } => format!("restart {unit}"),
            Self::ReloadUnit { unit } => format!("reload {unit}"),
            Self::StopUnit { unit } => format!("stop {unit}"),
            Self::KillUnit { unit } => format!("kill the processes of {unit}"),
            Self::StartProcess { process } => format!("start the process {}", process.name),
            Self::StopProcess { process } => format!("stop the process {}", process.name),
            Self::Drill { unit, kind, .. } => format!("inject a failure ({}) into {unit}", kind.as_str()),
            Self::Exec { command, .. } => format!("run `{}`", command.shown()),
            Self::Domain(action) => return action.deed().describe(),
        })
    }
}

/// One run of an action: a decision that leaves no choice to whoever carries it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRun {
    /// Its idempotency key on this host.
    pub id: RunId,
    /// The incident that it is for; none when an operator asked for it.
    pub incident: Option<IncidentId>,
    /// What it acts on.
    pub target: TargetId,
    /// What is done.
    pub action: Action,
    /// How long it may take; [`AS_DECLARED`] when the unit says so itself.
    pub timeout: Duration,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionOutcome {
    /// It did what its plan said; `note` says what.
    Succeeded {
        /// What was done, in words.
        note: Text,
    },
    /// There was nothing to do; the rung does not apply.
    NotNeeded {
        /// The reason, as people read it.
        why: Text,
    },
    /// It was tried and did not work.
    Failed {
        /// Why, with the last lines of output.
        why: Text,
    },
    /// It did not end in time and was stopped.
    TimedOut {
        /// After how long.
        after: Duration,
    },
    /// It would have been wrong to do it, and nothing was done.
    Refused {
        /// The reason, as people read it.
        why: Text,
    },
    /// Nobody knows: the agent or the bus went away in between.
    Lost {
        /// The reason, as people read it.
        why: Text,
    },
}

impl ActionOutcome {
    /// With its text put into other words, as without its secrets.
    #[must_use]
    pub fn reworded(self, reword: impl Fn(&Text) -> Text) -> Self {
        match self {
            Self::Succeeded { note } => Self::Succeeded { note: reword(&note) },
            Self::NotNeeded { why } => Self::NotNeeded { why: reword(&why) },
            Self::Failed { why } => Self::Failed { why: reword(&why) },
            Self::TimedOut { after } => Self::TimedOut { after },
            Self::Refused { why } => Self::Refused { why: reword(&why) },
            Self::Lost { why } => Self::Lost { why: reword(&why) },
        }
    }
}

impl fmt::Display for ActionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded { note } => write!(f, "done: {note}"),
            Self::NotNeeded { why } => write!(f, "not needed: {why}"),
            Self::Failed { why } => write!(f, "failed: {why}"),
            Self::TimedOut { after } => write!(f, "stopped, since it did not end within {}", Shown(*after)),
            Self::Refused { why } => write!(f, "refused: {why}"),
            Self::Lost { why } => write!(f, "outcome unknown: {why}"),
        }
    }
}

/// What an action would do, without doing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionPlan {
    /// Each step in words.
    pub steps: Vec<Text>,
    /// Why the host would refuse it now, in the words of [`ActionOutcome::Refused`]; none when it would begin.
    #[serde(default)]
    pub refusal: Option<Text>,
    /// Why it would do nothing now, in the words of [`ActionOutcome::NotNeeded`]; none when it would do something, or when
    /// that is not known before.
    #[serde(default)]
    pub idle: Option<Text>,
    /// What it disrupts.
    pub disruption: Disruption,
}
