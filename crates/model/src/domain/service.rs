//! The service domain's values: what a unit (or a declared process) looks like, and what its state means.
//! Asking systemd is `host::linux::systemd`'s work; what to do about it is the engine's.

pub mod validators;

use alloc::{format, string::String};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    observation::{Details, Observation},
    text::Text,
    time::{Shown, WallTime},
};

/// Whether systemd could read the unit; after `LoadState` in org.freedesktop.systemd1(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// We were not listening when it changed.
    #[default]
    Unknown,
    /// It changed without any job: by itself.
    ByItself,
    /// A job of somebody else stopped it (an operator, a package, another unit).
    Stopped,
    /// A job of our own is why.
    Ours,
}

/// A job that systemd is carrying out for the unit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSnapshot {
    /// Whether systemd could read it.
    pub load: LoadState,
    /// Its state.
    pub active: ActiveState,
    /// Its finer state, as `running`, `auto-restart`, `dead`.
    pub sub: Text,
    /// How its last run ended.
    pub result: UnitResult,
    /// How its main process ended, when it did.
    pub exit: Option<Exit>,
    /// The main process, when there is one.
    pub main_pid: Option<u32>,
    /// How often systemd restarted it by itself (`NRestarts`) since somebody started it.
    pub restarts: u32,
    /// Which run this is (`InvocationID`, hexadecimal), when systemd says.
    pub invocation: Option<Text>,
    /// Since when it is in this state, when systemd says.
    pub since: Option<WallTime>,
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
    /// Its socket, which has failed, so that nothing starts it any more; and how.
    #[serde(default)]
    pub failed_socket: Option<Text>,
    /// Its own name, when it is known here by another (`Alias=`).
    #[serde(default)]
    pub alias_of: Option<Text>,
    /// When it last stopped being active, when systemd says: from then on it was down, whatever states came after.
    #[serde(default)]
    pub left_active: Option<WallTime>,
    /// Who keeps the host busy, in words, when packages are being changed.
    #[serde(default)]
    pub busy: Option<Text>,
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
            restarts: 0,
            invocation: None,
            since: None,
            intent: Intent::Unknown,
            job: None,
            activity: HostActivity::Normal,
            limit: None,
            stopped_with: None,
            failed_socket: None,
            alias_of: None,
            left_active: None,
            busy: None,
        }
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
            write!(f, "; main process {exit}")?;
        }
        if let Some(pid) = self.main_pid {
            write!(f, "; main process {pid}")?;
        }
        write!(f, "; restarted by systemd {} times; ", self.restarts)?;
        f.write_str(match self.intent {
            Intent::Unknown => "nobody listened when it changed",
            Intent::ByItself => "it changed by itself, without a job",
            Intent::Stopped => "a job of somebody else stopped it",
            Intent::Ours => "a job of ansai changed it",
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

/// What a look at a unit means, in the three values of health.
///
/// A stop that somebody asked for, a mask, a shutdown and a package operation are unknown: they neither open nor close
/// an incident. So is an inactive unit that ended while nobody listened, unless systemd itself calls it failed.
#[must_use]
pub fn judge(expect: UnitExpectation, unit: UnitSnapshot) -> Observation {
    let (healthy, text) = match verdict(expect, &unit) {
        Verdict::Healthy(text) => (Some(true), text),
        Verdict::Failing(text) => (Some(false), text),
        Verdict::Unknown(text) => (None, text),
    };
    let details = Details::Unit(alloc::boxed::Box::new(unit));
    match healthy {
        Some(true) => Observation::healthy(text),
        Some(false) => Observation::failing(text),
        None => Observation::unknown(text),
    }
    .with_details(details)
}

enum Verdict {
    Healthy(Text),
    Failing(Text),
    Unknown(Text),
}

fn verdict(expect: UnitExpectation, unit: &UnitSnapshot) -> Verdict {
    match unit.load {
        LoadState::Loaded => {}
        LoadState::Masked => return Verdict::Unknown("masked by an operator".into()),
        LoadState::NotFound if unit.active == ActiveState::Active => {}
        // A package that is being replaced takes its unit away for a while.
        LoadState::NotFound if unit.activity == HostActivity::ChangingPackages => {
            return Verdict::Unknown(Text::new(format!("the unit does not exist, and {}", changing_packages(unit))));
        }
        LoadState::NotFound => return Verdict::Failing("the unit does not exist".into()),
        LoadState::BadSetting | LoadState::Error => {
            return Verdict::Failing("systemd cannot read the unit file".into());
        }
        LoadState::Other => return Verdict::Unknown("systemd has not loaded the unit".into()),
    }
    match unit.active {
        ActiveState::Active | ActiveState::Reloading => Verdict::Healthy(Text::new(format!("active ({})", unit.sub))),
        ActiveState::Activating if unit.sub.as_str() == "auto-restart" => {
            Verdict::Unknown("ended; systemd is about to restart it by itself".into())
        }
        ActiveState::Activating => Verdict::Unknown(on_its_way("starting", unit)),
        ActiveState::Deactivating => Verdict::Unknown(on_its_way("stopping", unit)),
        ActiveState::Other => Verdict::Unknown("in a state that ansai does not know".into()),
        ActiveState::Failed | ActiveState::Inactive => stopped(expect, unit),
    }
}

fn stopped(expect: UnitExpectation, unit: &UnitSnapshot) -> Verdict {
    match unit.activity {
        HostActivity::ShuttingDown => return Verdict::Unknown("the host is shutting down".into()),
        HostActivity::ChangingPackages => return Verdict::Unknown(Text::new(changing_packages(unit))),
        HostActivity::Unknown => return Verdict::Unknown("whether the host is going down is not known".into()),
        HostActivity::Normal => {}
    }
    if unit.intent == Intent::Stopped {
        return Verdict::Unknown("stopped on request, not by a failure".into());
    }
    if let Some(job) = unit.job {
        return Verdict::Unknown(Text::new(format!("systemd has a {} job for it", job.as_str())));
    }
    if unit.active == ActiveState::Failed {
        return Verdict::Failing(how_it_failed(unit));
    }
    match (expect, unit.intent) {
        (UnitExpectation::NotFailed, _) => Verdict::Healthy("resting, as it may".into()),
        (UnitExpectation::Running, Intent::ByItself) => {
            let exit = unit.exit.map_or_else(|| String::from("ended"), |exit| format!("{exit}"));
            Verdict::Failing(Text::new(format!("{exit} by itself, though it should be running")))
        }
        // Our own action left it stopped: our remedy is not done, or did not work.
        (UnitExpectation::Running, Intent::Ours) => Verdict::Failing("not running after an action of ours".into()),
        (UnitExpectation::Running, Intent::Unknown) => {
            Verdict::Unknown("not running, and nobody saw whether it was stopped on request".into())
        }
        (UnitExpectation::Running, Intent::Stopped) => Verdict::Unknown("stopped on request".into()),
    }
}

fn on_its_way(what: &str, unit: &UnitSnapshot) -> Text {
    Text::new(match unit.limit {
        Some(Duration::MAX) => format!("{what} ({}), for as long as it takes: the unit sets no limit", unit.sub),
        Some(limit) => format!("{what} ({}), at most {} as the unit says", unit.sub, Shown(limit)),
        None => format!("{what} ({})", unit.sub),
    })
}

fn changing_packages(unit: &UnitSnapshot) -> String {
    match &unit.busy {
        Some(who) => format!("a package operation is in progress: {who}"),
        None => String::from("a package operation is in progress"),
    }
}

fn how_it_failed(unit: &UnitSnapshot) -> Text {
    match (unit.result, unit.exit) {
        (UnitResult::Success, Some(exit))
        | (UnitResult::ExitCode | UnitResult::Signal | UnitResult::CoreDump, Some(exit)) => {
            Text::new(format!("failed: {exit}"))
        }
        (result, Some(exit)) => Text::new(format!("failed: {result} ({exit})")),
        (result, None) => Text::new(format!("failed: {result}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Health;

    fn unit(active: ActiveState, intent: Intent) -> UnitSnapshot {
        UnitSnapshot { exit: Some(Exit::Code(0)), intent, ..UnitSnapshot::plain(active) }
    }

    #[track_caller]
    fn check(expect: UnitExpectation, unit: UnitSnapshot, health: Health) {
        assert_eq!(judge(expect, unit).health(), health);
    }

    #[test]
    fn an_operators_stop_is_no_failure_and_an_exit_by_itself_is_one() {
        let running = UnitExpectation::Running;
        check(running, unit(ActiveState::Active, Intent::Unknown), Health::Healthy);
        check(running, unit(ActiveState::Inactive, Intent::Stopped), Health::Unknown);
        check(running, unit(ActiveState::Failed, Intent::Stopped), Health::Unknown);
        check(running, unit(ActiveState::Inactive, Intent::ByItself), Health::Failing);
        check(running, unit(ActiveState::Inactive, Intent::Unknown), Health::Unknown);
        check(running, unit(ActiveState::Failed, Intent::Unknown), Health::Failing);
        check(UnitExpectation::NotFailed, unit(ActiveState::Inactive, Intent::ByItself), Health::Healthy);
        check(UnitExpectation::NotFailed, unit(ActiveState::Failed, Intent::ByItself), Health::Failing);
    }

    #[test]
    fn a_mask_a_shutdown_a_package_operation_and_a_job_are_unknown() {
        let failed = || unit(ActiveState::Failed, Intent::ByItself);
        check(UnitExpectation::Running, UnitSnapshot { load: LoadState::Masked, ..failed() }, Health::Unknown);
        check(
            UnitExpectation::Running,
            UnitSnapshot { activity: HostActivity::ShuttingDown, ..failed() },
            Health::Unknown,
        );
        check(
            UnitExpectation::Running,
            UnitSnapshot { activity: HostActivity::ChangingPackages, ..failed() },
            Health::Unknown,
        );
        check(UnitExpectation::Running, UnitSnapshot { job: Some(Job::Restart), ..failed() }, Health::Unknown);
        check(UnitExpectation::Running, UnitSnapshot { load: LoadState::NotFound, ..failed() }, Health::Failing);
        let activity = HostActivity::ChangingPackages;
        check(
            UnitExpectation::Running,
            UnitSnapshot { load: LoadState::NotFound, activity, ..failed() },
            Health::Unknown,
        );
    }
}
