//! What is done to a daemon, how it is taken back, and what is right by default.
//!
//! It deliberately awaits nothing: that is `course.rs`.

use std::time::Duration;

use ansai_lab::{Host, host::BINARIES};
use anyhow::Result;

use crate::list::{Daemon, Fault, Port};

/// Where a configuration is kept while it is broken.
const KEPT: &str = "/var/lib/kept-configuration";

/// Longer than any of them takes to stop: squid waits half a minute for its clients.
const STOP_LIMIT: Duration = Duration::from_secs(120);

/// What a daemon suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// SIGKILL to its main process.
    Killed,
    /// SIGSTOP to all of its processes.
    Hung,
    /// `systemctl stop`.
    Stopped,
    /// A configuration that it does not start with, then SIGKILL; after that was told, the old configuration.
    Misconfigured,
    /// SIGKILL, and another service takes its port; after that was told, the other one stops.
    Robbed,
    /// Its package is installed once more.
    Upgraded,
}

/// What may come of a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is back, and no incident stays open.
    Healed,
    /// A person is told; when the cause has gone, it is back by itself.
    ToldAndBack,
    /// Nothing is done to it, and nothing told.
    LeftAlone,
    /// The deed is not done, for it is none to this daemon.
    NotDone,
}

/// What is awaited of a daemon, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Await {
    /// The other service has the port.
    Taken,
    /// An incident is open.
    Seen,
    /// An incident was handed to a person.
    Told,
    /// It was started, and runs.
    Back,
    /// No incident is open.
    Closed,
}

impl Deed {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 6] =
        [Self::Killed, Self::Hung, Self::Stopped, Self::Misconfigured, Self::Robbed, Self::Upgraded];

    /// The head of its column.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Hung => "hung",
            Self::Stopped => "stopped",
            Self::Misconfigured => "misconfigured",
            Self::Robbed => "robbed of port",
            Self::Upgraded => "upgraded",
        }
    }

    /// What is right for a daemon that is no exception.
    pub(crate) const fn right(self) -> Right {
        match self {
            Self::Killed | Self::Hung => Right::Healed,
            Self::Misconfigured | Self::Robbed => Right::ToldAndBack,
            Self::Stopped | Self::Upgraded => Right::LeftAlone,
        }
    }

    /// What is awaited, in its order, where `right` is right.
    pub(crate) const fn awaits(self, right: Right) -> &'static [Await] {
        match (right, self) {
            (Right::Healed, Self::Hung) => &[Await::Seen, Await::Back, Await::Closed],
            (Right::Healed, _) => &[Await::Back, Await::Closed],
            // An incident of a slow restart loop closes after as long a calm as the loop is judged by.
            (Right::ToldAndBack, Self::Hung) => &[Await::Seen, Await::Told, Await::Back],
            (Right::ToldAndBack, Self::Robbed) => &[Await::Taken, Await::Told, Await::Back],
            (Right::ToldAndBack, _) => &[Await::Told, Await::Back],
            (Right::LeftAlone | Right::NotDone, _) => &[],
        }
    }

    /// Does it. An upgrade is begun by whoever upgrades all that are to be, since dpkg runs once at a time.
    pub(crate) fn begin(self, host: &Host, daemon: &Daemon) -> Result<()> {
        match self {
            Self::Killed => kill(host, daemon),
            Self::Hung => systemctl(host, &["kill", "--signal=STOP", daemon.unit]),
            Self::Stopped => {
                // A socket that waits for it would have it started at the next connection.
                let sockets = host.unit_property(daemon.unit, "TriggeredBy")?;
                let command: Vec<&str> = ["stop", daemon.unit].into_iter().chain(sockets.split_whitespace()).collect();
                systemctl(host, &command)
            }
            Self::Misconfigured => {
                let Fault::Line(file, line) = daemon.fault else { return Ok(()) };
                let script =
                    "mkdir -p \"$1\"; test ! -e \"$2\" || cp -a --parents \"$2\" \"$1\"; echo \"$3\" >> \"$2\"";
                host.run_ok(&["sh", "-e", "-c", script, "break", KEPT, file, line])?;
                kill(host, daemon)
            }
            Self::Robbed => {
                let Port::Of(port) = daemon.port else { return Ok(()) };
                let program = format!("{BINARIES}/ansai-lab-squatter {port}");
                let unit = format!("[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart={program}\n");
                host.install_unit(&squatter(daemon), &unit)?;
                systemctl(host, &["start", "--no-block", &squatter(daemon)])?;
                kill(host, daemon)
            }
            Self::Upgraded => Ok(()),
        }
    }

    /// Takes it back: what a person does who was told, and the harness at the end of a round.
    pub(crate) fn undo(self, host: &Host, daemon: &Daemon) -> Result<()> {
        match self {
            Self::Misconfigured => {
                let Fault::Line(file, _) = daemon.fault else { return Ok(()) };
                let script = "if test -e \"$1/$2\"; then cp -a \"$1/$2\" \"$2\"; else rm -f \"$2\"; fi";
                host.run_ok(&["sh", "-e", "-c", script, "mend", KEPT, file]).map(drop)
            }
            Self::Robbed => {
                let Port::Of(_) = daemon.port else { return Ok(()) };
                systemctl(host, &["stop", &squatter(daemon)])
            }
            Self::Hung => systemctl(host, &["kill", "--signal=CONT", daemon.unit]),
            Self::Killed | Self::Stopped | Self::Upgraded => Ok(()),
        }
    }
}

/// The service that takes a daemon's port.
pub(crate) fn squatter(daemon: &Daemon) -> String {
    format!("squatter-of-{}", daemon.unit)
}

/// Its main process; where systemd knows none, all.
fn kill(host: &Host, daemon: &Daemon) -> Result<()> {
    let whom = if host.main_pid(daemon.unit)?.is_some() { "--kill-whom=main" } else { "--kill-whom=all" };
    systemctl(host, &["kill", whom, "--signal=KILL", daemon.unit])
}

fn systemctl(host: &Host, arguments: &[&str]) -> Result<()> {
    let mut command = vec!["systemctl"];
    command.extend(arguments);
    host.run_within(STOP_LIMIT, &command)?.ok().map(drop)
}
