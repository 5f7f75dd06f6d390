//! What this process may do, tried: each ability that a configuration needs, in the way in which the agent would use it, and
//! without changing anything. A sandbox, a missing capability or a program that is not there is known before it matters.
//!
//! It says what cannot be done and who needs it; it decides nothing.

mod attempt;
pub(super) mod needs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use ansai_model::bundle::Bundle;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::{
    LinuxHost,
    aside::{self, Kind, Work},
};

/// Longest that one trial may take.
const TRIAL_MAX: Duration = Duration::from_secs(8);
/// Longest for all together: somebody may wait for the answer.
const ALL_MAX: Duration = Duration::from_secs(20);
/// Most that are tried: more differ in nothing but the path.
const TRIALS_MAX: usize = 256;
/// How many are tried at once.
const TRIALS_AT_ONCE: usize = 4;

/// What is made of a program that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MissingProgram {
    /// What needs it will fail, and people are told.
    Amiss,
    /// What it does is passed over.
    PassedOver,
}

/// Something that the agent must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ability {
    /// Ask systemd and have it act.
    Bus,
    /// Read the journal of the host.
    Journal,
    /// See which process holds a port and what a process runs.
    SeeProcesses,
    /// Open files beneath a directory, by the kernel's own rules.
    OpenBeneath,
    /// Learn whether anybody has a file open.
    Leases,
    /// Send raw ICMP, as `ping` does.
    RawIcmp {
        /// As this user; as the agent itself when absent.
        user: Option<String>,
    },
    /// Make files in a place, or in the folder above it that exists.
    Write(String),
    /// Read a file; one that is not there is another matter.
    Read(String),
    /// Give a file to another user.
    GiveAway,
    /// Make a folder whose files belong to its group.
    GroupBit,
    /// Run a program.
    Run {
        /// Its name or its path.
        program: String,
        /// As this user; as the agent itself when absent.
        user: Option<String>,
        /// What is made of one that is not there.
        missing: MissingProgram,
    },
    /// Listen on an address.
    Listen(String),
    /// Have systemd run a command with the rights of a service.
    OwnUnit,
    /// Ask a container engine that is installed.
    Engine(&'static str),
    /// Connect to a socket of this host; one that is not there is another matter.
    Socket(String),
}

/// Abilities, each with the targets and routes that need it.
pub type Needs = BTreeMap<Ability, BTreeSet<String>>;

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What was tried.
    pub ability: Ability,
    /// Who needs it.
    pub needed_by: BTreeSet<String>,
    /// Why it cannot be done; nothing when it can.
    pub error: Option<String>,
}

/// What a configuration needs.
#[must_use]
pub fn needs(bundle: &Bundle, state_dir: &std::path::Path) -> Needs {
    needs::of(bundle, state_dir)
}

/// Tries each ability, as this process; changes nothing. It takes a moment, and at most [`ALL_MAX`].
pub async fn try_all(host: &LinuxHost, needs: Needs) -> Vec<Tried> {
    let end = Instant::now() + ALL_MAX;
    let trials = needs.into_iter().take(TRIALS_MAX).map(async |(ability, needed_by)| {
        let until = end.min(Instant::now() + TRIAL_MAX);
        let work = Work::new(Kind::Gather, format!("the trial to {ability}")).on(ability.path());
        let (asked, what) = (host.clone(), ability.clone());
        let tries = move || async move { attempt::attempt(&asked, &what).await };
        let tried = Box::pin(aside::run_future(work, until.saturating_duration_since(Instant::now()), tries)).await;
        let error = tried.unwrap_or_else(|late| Err(late.to_string())).err();
        Tried { ability, needed_by, error }
    });
    let mut tried: Vec<Tried> = futures_util::stream::iter(trials).buffer_unordered(TRIALS_AT_ONCE).collect().await;
    tried.sort_by(|one, other| one.ability.cmp(&other.ability));
    tried
}

impl fmt::Display for Ability {
    /// In words that continue "the agent may …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |user: &Option<String>| user.as_ref().map_or_else(String::new, |user| format!(" as {user}"));
        match self {
            Self::Bus => f.write_str("ask systemd over the bus"),
            Self::Journal => f.write_str("read the journal"),
            Self::SeeProcesses => f.write_str("see what other processes run and which ports they hold"),
            Self::OpenBeneath => f.write_str("open files beneath a directory (openat2)"),
            Self::Leases => f.write_str("learn whether anybody has a file open (leases)"),
            Self::RawIcmp { user } => write!(f, "send raw ICMP, as ping does{}", by(user)),
            Self::Write(path) => write!(f, "write at {path}"),
            Self::Read(path) => write!(f, "read {path}"),
            Self::GiveAway => f.write_str("give files to other users"),
            Self::GroupBit => f.write_str("set the bit that gives files to the group of their folder"),
            Self::Run { program, user, .. } => write!(f, "run {program}{}", by(user)),
            Self::Listen(address) => write!(f, "listen on {address}"),
            Self::OwnUnit => f.write_str("have systemd run a command in a unit of its own"),
            Self::Engine(engine) => write!(f, "ask {engine}"),
            Self::Socket(path) => write!(f, "connect to {path}"),
        }
    }
}

impl Ability {
    /// Where it is tried, when that is a place.
    fn path(&self) -> Option<&str> {
        match self {
            Self::Write(path) | Self::Read(path) | Self::Socket(path) => Some(path),
            Self::Run { program, .. } => Some(program.as_str()).filter(|program| program.starts_with('/')),
            _ => None,
        }
    }

    /// What a person can do when it cannot be done.
    #[must_use]
    pub fn suggestion(&self) -> String {
        let unit = |line: &str| format!("`systemctl edit ansai`, with `{line}` below `[Service]`, and restart it");
        match self {
            Self::Bus => "systemctl start dbus.socket; without it all units are unknown, and nothing is done".into(),
            Self::Journal => "root reads it; with --user, join the group `systemd-journal`".into(),
            Self::SeeProcesses => unit("CapabilityBoundingSet=CAP_SYS_PTRACE"),
            Self::OpenBeneath => unit("RestrictSUIDSGID=no") + "; the kernel has it since Linux 5.6",
            Self::Leases => unit("CapabilityBoundingSet=CAP_LEASE"),
            Self::RawIcmp { user: None } => unit("CapabilityBoundingSet=CAP_NET_RAW"),
            Self::RawIcmp { user: Some(_) } => unit("NoNewPrivileges=no") + "; `getcap` of ping shows what it has",
            Self::Write(_) => unit("ProtectSystem=no") + ", or see who owns it and whether its filesystem is read-only",
            Self::Read(path) => format!("see who owns {path}; a sandbox may hide it (ProtectHome=, ProtectSystem=)"),
            Self::GiveAway => unit("CapabilityBoundingSet=CAP_CHOWN"),
            Self::GroupBit => unit("RestrictSUIDSGID=no"),
            Self::Run { program, user: None, .. } => format!("install {program}, or correct it in the configuration"),
            Self::Run { program, user: Some(user), .. } => {
                format!("see that `runuser -u {user} -- test -x {program}` is true")
            }
            Self::Listen(_) => "name another address, or use `webroot`".into(),
            Self::OwnUnit => "`systemd-run --wait true` shows why".into(),
            Self::Engine(engine) => format!("`{engine} image ls` shows why"),
            Self::Socket(path) => format!("see who listens at {path} and who may write to it (`ss -xlp`, `ls -l`)"),
        }
    }
}
