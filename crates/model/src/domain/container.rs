//! The container domain's values: how a container of Docker or Podman stands, who it belongs to, and what that means. Asking an
//! engine is `host::linux::domain::container`'s work. Nothing here removes, pulls, unpauses or makes a container.

mod judge;

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    action::Disruption,
    condition::ValueType,
    domain::{Deed, Domain, Look, Signs},
    id::UnitName,
    probe::CommandLine,
    text::Text,
    time::WallTime,
};

pub use judge::{judge, mends};

/// The domain: each container by its name.
pub const DOMAIN: Domain = Domain {
    key: "container",
    has_targets: true,
    figures: FIGURES,
    is_down: true,
    by_hand: &["docker inspect {} || podman inspect {}", "docker logs --tail 50 {} || podman logs --tail 50 {}"],
    signs: Signs::NONE,
};

/// How often its engine has restarted it by itself since somebody started it.
pub const RESTARTS: &str = "container.restarts";
/// How often of late, as far as looks have seen it.
pub const RESTARTS_LATELY: &str = "container.restarts_lately";
/// How many health checks in a row have failed.
pub const FAILED_IN_A_ROW: &str = "container.failed_in_a_row";

const FIGURES: &[(&str, ValueType)] =
    &[(RESTARTS, ValueType::Number), (RESTARTS_LATELY, ValueType::Number), (FAILED_IN_A_ROW, ValueType::Number)];

/// A look at a container: its state, what its health check says, and how often its engine restarts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerProbe {
    /// Its name, without a slash.
    pub name: String,
    /// More restarts by its engine are failing,
    pub restarts_max: u32,
    /// within so long.
    pub within: Duration,
}

impl Look for ContainerProbe {
    fn kind(&self) -> &'static str {
        DOMAIN.key
    }

    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        FIGURES
    }
}

/// What is done about a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerAction {
    /// Restart it within its own stop time-out, if it is still the one that was seen failing, in the same run; by its unit,
    /// where it has one.
    Restart {
        /// Its name.
        name: String,
    },
}

impl Deed for ContainerAction {
    fn disruption(&self) -> Disruption {
        match self {
            Self::Restart { .. } => Disruption::Full,
        }
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    fn describe(&self) -> Text {
        match self {
            Self::Restart { name } => Text::new(format!("restart the container {name}")),
        }
    }

    fn commands(&self) -> Vec<&CommandLine> {
        Vec::new()
    }
}

/// Who acts on a container when something is wrong with it; only one may.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Nobody else does.
    #[default]
    Nobody,
    /// A unit of systemd runs it, as a quadlet: it is restarted through that.
    Unit(UnitName),
    /// An orchestrator, or its engine's own action: it is observed only. Who it is, in words.
    Other(Text),
}

/// What is known of a container without looking at its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFacts {
    /// Its name, without a slash.
    pub name: String,
    /// The image, as it was named.
    pub image: Text,
    /// Who acts on it.
    pub owner: Owner,
    /// The containers that it needs: those that its composition says, and the one whose network it shares.
    pub needs: Vec<String>,
    /// How long after a start it may take until its health check has a verdict, when it has one.
    pub settles_within: Option<Duration>,
}

/// How a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It runs.
    Running,
    /// It was made, and never started.
    Created,
    /// Somebody paused it.
    Paused,
    /// Its engine waits to start it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It has ended.
    Exited,
    /// Its engine could not remove it.
    Dead,
    /// A word that is not known here.
    Other,
}

impl ContainerState {
    /// By the engine's word for it; those of Podman as well.
    #[must_use]
    pub fn named(word: &str) -> Self {
        match word {
            "running" => Self::Running,
            "created" | "configured" | "initialized" => Self::Created,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" | "stopping" => Self::Removing,
            "exited" | "stopped" => Self::Exited,
            "dead" => Self::Dead,
            _ => Self::Other,
        }
    }
}

/// Who ended a container that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Somebody stopped or killed it through its engine.
    Somebody,
    /// Nobody did: it ended by itself.
    Itself,
    /// Its engine remembers nothing of it.
    Unknown,
}

/// What a health check of a container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSeen {
    /// Its verdict.
    pub verdict: Verdict,
    /// How many in a row have failed.
    pub failed_in_a_row: u32,
    /// When the last one ended.
    pub last_run: Option<WallTime>,
    /// What the last one said, in one line.
    pub said: Text,
    /// How often it is run.
    pub every: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How long after a start none counts.
    pub start_period: Duration,
    /// How many in a row must fail.
    pub retries: u32,
}

impl HealthSeen {
    /// How long after a start there is a verdict at the latest.
    #[must_use]
    pub fn settles_within(&self) -> Duration {
        let round = self.every.saturating_add(self.timeout);
        self.start_period.saturating_add(round.saturating_mul(self.retries.max(1)))
    }
}

/// The verdict of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// What is wrong with the network that a container shares with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The other one is gone: no restart brings it back.
    OwnerGone(Text),
    /// The other one was started later, and has another network since.
    OwnerYounger(Text),
}

/// One look at a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSnapshot {
    /// Its state.
    pub state: ContainerState,
    /// The engine's word for that.
    pub word: Text,
    /// When it was last started.
    pub started: Option<WallTime>,
    /// When it last ended.
    pub finished: Option<WallTime>,
    /// With which code.
    pub exit_code: i64,
    /// What its engine says of why it could not be started.
    pub error: Text,
    /// Whether the kernel ended a process of it for lack of memory in this run.
    pub is_oom_killed: bool,
    /// What its health check says, when it has one.
    pub health: Option<HealthSeen>,
    /// How often its engine has restarted it.
    pub restarts: u32,
    /// How often of late.
    pub restarts_lately: u32,
    /// Whether its engine was told to restart it whenever it ends, or when it fails.
    pub comes_back: bool,
    /// Who ended it; asked for only when it has ended.
    pub ended_by: EndedBy,
    /// What is wrong with the network that it shares.
    pub shared: Option<Shared>,
    /// Whether its health checks are run by timers that need somebody to be logged in or to linger.
    pub is_rootless: bool,
}

impl ContainerSnapshot {
    /// A container that runs, of which no more is known.
    #[must_use]
    pub fn running(started: Option<WallTime>) -> Self {
        Self {
            state: ContainerState::Running,
            word: "running".into(),
            started,
            finished: None,
            exit_code: 0,
            error: "".into(),
            is_oom_killed: false,
            health: None,
            restarts: 0,
            restarts_lately: 0,
            comes_back: false,
            ended_by: EndedBy::Unknown,
            shared: None,
            is_rootless: false,
        }
    }
}
