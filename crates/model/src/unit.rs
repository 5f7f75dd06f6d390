//! What a unit (or a declared process) looks like, and what its state means. A unit is the host's: every domain may have to
//! do with one.
//! Asking systemd is `host::linux::systemd`'s work; what to do about it is the engine's.

mod judgment;
mod started;
mod warning;

use alloc::{format, string::String};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{judgment::judge, started::StartedBy, warning::MAIN_STOPPED};
use crate::{
    text::{Counted, Text},
    time::{Shown, WallTime},
};

/// Whether systemd could read the unit; after `LoadState` in org.freedesktop.systemd1(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadState {
    /// Read and understood.
    Loaded,
    /// No such unit.
    NotFound,
    /// A setting is wrong.
    BadSetting,
    /// Some other error.
    Error,
    /// Forbidden by `systemctl mask`: an operator's word.
    Masked,
    /// Anything that this list does not know (`stub`, `merged`).
    Other,
}

/// `ActiveState` of org.freedesktop.systemd1(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActiveState {
    /// Running, or having run with `RemainAfterExit`.
    Active,
    /// Running and reading its configuration anew.
    Reloading,
    /// Not running, and not by a failure that systemd counts as one.
    Inactive,
    /// Ended by a failure.
    Failed,
    /// On its way up; waiting for a restart by systemd included.
    Activating,
    /// On its way down.
    Deactivating,
    /// A state that this list does not know.
    Other,
}

impl ActiveState {
    /// Whether it runs: active, or reading its configuration anew.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Reloading)
    }

    /// Whether it does not run and is not on its way up or down.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Inactive | Self::Failed)
    }
}

impl fmt::Display for ActiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Other => "in a state of another name",
        })
    }
}

/// `Result` of a service unit, of systemd.service(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitResult {
    /// Nothing went wrong.
    Success,
    /// Exited with a code other than 0.
    ExitCode,
    /// Ended by a signal.
    Signal,
    /// Ended by a signal and left a core.
    CoreDump,
    /// Missed its watchdog.
    Watchdog,
    /// Started more often than its start limit allows.
    StartLimitHit,
    /// Taken by the out-of-memory killer.
    OomKill,
    /// Took too long to start or to stop.
    Timeout,
    /// systemd lacked something to start it (a user, a directory, memory).
    Resources,
    /// Did not speak the protocol that its type asks for.
    Protocol,
    /// Anything newer.
    Other,
}

impl fmt::Display for UnitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::ExitCode => "exit code",
            Self::Signal => "signal",
            Self::CoreDump => "core dump",
            Self::Watchdog => "watchdog time-out",
            Self::StartLimitHit => "start limit hit",
            Self::OomKill => "out-of-memory kill",
            Self::Timeout => "time-out",
            Self::Resources => "missing resources",
            Self::Protocol => "protocol error",
            Self::Other => "unknown result",
        })
    }
}

/// How the main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By this signal, leaving a core.
    Dumped(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "killed by {}", signal_name(*signal)),
            Self::Dumped(signal) => write!(f, "killed by {} (core dumped)", signal_name(*signal)),
        }
    }
}

/// The name of a signal on Linux, or its number.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    String::from(name)
}

/// What the jobs on the bus say of why the unit is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// We were not listening when it changed.
    #[default]
    Unknown,
    /// It changed without any job: by itself.
    ByItself,
    /// A job of somebody else stopped it (an operator, a package, another unit).
    Stopped,
    /// A job of somebody else was to start it, or to restart it, and failed.
    StartFailed,
    /// A job of our own is why.
    Ours,
}

/// A job that systemd is carrying out for the unit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// `start`, `verify-active`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`, `try-restart`.
    Restart,
    /// `reload`, `try-reload` and others that do not stop it.
    Other,
}

impl Job {
    /// In words that stand before "job".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Other => "reload or other",
        }
    }
}

/// What the host as a whole is busy with, which makes a stopped unit no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostActivity {
    /// Nothing special.
    #[default]
    Normal,
    /// Shutting down or rebooting.
    ShuttingDown,
    /// A package manager holds its lock.
    ChangingPackages,
    /// Could not be told.
    Unknown,
}

/// One look at one unit, or at one declared process in the same words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UnitSnapshot {
    /// Whether systemd could read it.
    pub load: LoadState,
    /// What systemd says of its activity.
    pub active: ActiveState,
    /// Its finer state, as `running`, `auto-restart`, `dead`.
    pub sub: Text,
    /// How its last run ended.
    pub result: UnitResult,
    /// How its main process ended, when it did.
    pub exit: Option<Exit>,
    /// The main process, when there is one.
    pub main_pid: Option<u32>,
    /// The main process that has ended, when systemd says.
    #[serde(default)]
    pub ended_pid: Option<u32>,
    /// How long that one had run, when systemd says.
    #[serde(default)]
    pub ran_for: Option<Duration>,
    /// How often systemd restarted it by itself (`NRestarts`) since somebody started it.
    pub restarts: u32,
    /// Which run this is (`InvocationID`, hexadecimal), when systemd says.
    pub invocation: Option<Text>,
    /// Since when it is in this state, when systemd says.
    pub since: Option<WallTime>,
    /// Of what is up: whose job started it.
    #[serde(default, skip_serializing_if = "StartedBy::is_unknown")]
    pub started_by: StartedBy,
    /// What the bus said of why.
    pub intent: Intent,
    /// A job in progress.
    pub job: Option<Job>,
    /// What the host is busy with.
    pub activity: HostActivity,
    /// Longest that systemd lets it be on its way (`TimeoutStartSec=`, `TimeoutStopSec=`), while it is; [`Duration::MAX`]
    /// when it may be for ever.
    #[serde(default)]
    pub limit: Option<Duration>,
    /// The unit that failed, because of which systemd stopped this one, as a binding of it asks for.
    #[serde(default)]
    pub stopped_with: Option<Text>,
    /// Its socket, path or timer, which has failed, so that nothing starts it any more; and how, in words.
    #[serde(default, alias = "failed_socket")]
    pub failed_trigger: Option<Text>,
    /// Whether it does one thing and ends (`Type=oneshot` without `RemainAfterExit=`); known while it does not run.
    #[serde(default)]
    pub is_job: bool,
    /// Whether a socket, a path or a timer starts it.
    #[serde(default, alias = "has_socket")]
    pub has_trigger: bool,
    /// Its own name, when it is known here by another (`Alias=`).
    #[serde(default)]
    pub alias_of: Option<Text>,
    /// When it last stopped being active, when systemd says: from then on it was down, whatever states came after.
    #[serde(default)]
    pub left_active: Option<WallTime>,
    /// Who keeps the host busy, in words, when packages are being changed.
    #[serde(default)]
    pub busy: Option<Text>,
    /// Whether its main process has been stopped by a signal for a while, though others of it can run.
    #[serde(default)]
    pub is_main_stopped: bool,
    /// How long looks have found that none of its processes runs, though none has ended: they are stopped, wait in the kernel,
    /// or let connections wait. Zero at the first such look; nothing when they can run.
    #[serde(default)]
    pub still_for: Option<Duration>,
    /// When its main process ended, when systemd says: others of it may have gone on for a while.
    #[serde(default)]
    pub ended_at: Option<WallTime>,
    /// The signal of ansai's own because of which its main process ended, when that is known.
    #[serde(default)]
    pub own_signal: Option<OwnSignal>,
    /// Whether a file of it is another one than systemd has read; known while it does not run.
    #[serde(default)]
    pub needs_reload: bool,
    /// Whether it failed to read its configuration anew when it was last asked to, and runs with what it had read before.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub has_failed_to_reload: bool,
    /// What its validator says against the configuration that it will read when it is started next; it is the engine that knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<Text>,
}

/// A signal that ansai itself sent to a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnSignal {
    /// Its number.
    pub signal: i32,
    /// What sent it.
    pub by: Sender,
}

/// What of ansai sends signals to the main processes of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// A failure on purpose.
    Drill,
    /// A rung that kills what cannot be stopped.
    Remedy,
}

impl Sender {
    /// With its article.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drill => "a drill of ansai",
            Self::Remedy => "a remedy of ansai",
        }
    }
}

impl UnitSnapshot {
    /// A loaded unit of which no more is known than its state; on a host that is busy with nothing else.
    #[must_use]
    pub fn plain(active: ActiveState) -> Self {
        Self {
            load: LoadState::Loaded,
            active,
            sub: if active == ActiveState::Active { "running".into() } else { "dead".into() },
            result: UnitResult::Success,
            exit: None,
            main_pid: None,
            ended_pid: None,
            ran_for: None,
            restarts: 0,
            invocation: None,
            since: None,
            started_by: StartedBy::Unknown,
            intent: Intent::Unknown,
            job: None,
            activity: HostActivity::Normal,
            limit: None,
            stopped_with: None,
            failed_trigger: None,
            is_job: false,
            has_trigger: false,
            alias_of: None,
            left_active: None,
            busy: None,
            is_main_stopped: false,
            still_for: None,
            ended_at: None,
            own_signal: None,
            needs_reload: false,
            has_failed_to_reload: false,
            invalid: None,
        }
    }

    /// How its main process ended, in words: what sent the signal is named where it was ansai. Nothing when it has not ended.
    #[must_use]
    pub fn exit_in_words(&self) -> Option<String> {
        let exit = self.exit?;
        Some(match (self.own_signal, exit) {
            (Some(own), Exit::Signal(_) | Exit::Dumped(_)) => format!("{exit}, which {} sent", own.by.as_str()),
            (Some(own), Exit::Code(_)) => {
                format!("{exit} after {} sent it {}", own.by.as_str(), signal_name(own.signal))
            }
            (None, Exit::Code(_) | Exit::Signal(_) | Exit::Dumped(_)) => format!("{exit}"),
        })
    }

    /// Whether a drill's own signal ended its main process.
    #[must_use]
    pub fn is_ended_by_drill(&self) -> bool {
        self.own_signal.is_some_and(|own| own.by == Sender::Drill)
    }

    /// Why nothing of it can be broken on purpose, in words that follow its name; nothing when something can.
    #[must_use]
    pub fn nothing_to_break(&self) -> Option<Text> {
        match self.active {
            ActiveState::Active if self.main_pid.is_some() => None,
            ActiveState::Active => Some("has no main process".into()),
            other => Some(Text::new(alloc::format!("does not run ({other})"))),
        }
    }

    /// Whether somebody asked for its stop. systemd's own stop, of what is bound to a unit that failed, is none.
    #[must_use]
    pub fn is_stopped_on_request(&self) -> bool {
        self.intent == Intent::Stopped && self.stopped_with.is_none()
    }

    /// Whether systemd knows its file and could read it; one that is masked has a file that says so.
    #[must_use]
    pub fn has_file(&self) -> bool {
        matches!(self.load, LoadState::Loaded | LoadState::Masked)
    }

    /// Whether systemd is at work on it, within the unit's own limits. A wait before a restart of systemd's own is none.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        match self.active {
            ActiveState::Activating => !self.sub.as_str().starts_with("auto-restart"),
            ActiveState::Deactivating | ActiveState::Reloading => true,
            ActiveState::Active | ActiveState::Inactive | ActiveState::Failed => self.job.is_some(),
            ActiveState::Other => false,
        }
    }
}

impl fmt::Display for UnitSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), result {}", self.active, self.sub, self.result)?;
        if let Some(exit) = self.exit {
            f.write_str("; main process ")?;
            if let Some(pid) = self.ended_pid {
                write!(f, "{pid} ")?;
            }
            write!(f, "{exit}")?;
            if let Some(ran_for) = self.ran_for {
                write!(f, " after {}", Shown(ran_for))?;
            }
            if let Some(own) = self.own_signal {
                write!(f, "; {} had sent it {}", own.by.as_str(), signal_name(own.signal))?;
            }
        }
        if let Some(pid) = self.main_pid {
            write!(f, "; main process {pid}")?;
        }
        if let Some(still) = self.still_for.filter(|still| !still.is_zero()) {
            write!(f, "; none of its processes has run for {}", Shown(still))?;
        }
        write!(f, "; restarted by systemd {}", Counted(self.restarts, "time"))?;
        // Why something runs is not kept.
        if matches!(self.active, ActiveState::Active | ActiveState::Reloading) {
            return Ok(());
        }
        f.write_str(match self.intent {
            Intent::Unknown => "; ansai was not watching when it changed, so why it did is not known",
            Intent::ByItself => "; nobody had systemd do that",
            Intent::Stopped => "; somebody had systemd stop it, and not ansai",
            Intent::StartFailed => "; somebody else had it started or restarted, and that failed",
            Intent::Ours => "; ansai had systemd do that",
        })
    }
}

/// When a unit counts as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitExpectation {
    /// It must be active: a daemon, or a one-shot with `RemainAfterExit`.
    #[default]
    Running,
    /// It may rest, but must not have failed: socket-activated units, one-shots, units started by a timer.
    NotFailed,
}
