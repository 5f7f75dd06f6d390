//! What an operator may tell the engine to do.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, TargetId},
    policy::Scope,
    text::Text,
    time::WallTime,
};

/// A command with its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    /// Who said it, as far as the socket's credentials tell.
    pub by: Text,
    /// What.
    pub operation: Operation,
}

/// What an operator may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// No action on a scope until released (or until a time, when one is given).
    Hold {
        /// Which targets.
        scope: Scope,
        /// Why.
        reason: Text,
        /// When it ends by itself, if ever.
        until: Option<WallTime>,
    },
    /// End the holds on exactly this scope; `All` ends every one but the HOLD file's.
    Release {
        /// Which.
        scope: Scope,
    },
    /// No notifications about a scope; healing goes on.
    Silence {
        /// Which targets.
        scope: Scope,
        /// Why.
        reason: Text,
        /// How long.
        lasts: Duration,
    },
    /// End the silences on exactly this scope; `All` ends every one.
    Unsilence {
        /// Which.
        scope: Scope,
    },
    /// A maintenance window from now.
    Maintenance {
        /// Which targets.
        scope: Scope,
        /// Why.
        reason: Text,
        /// How long.
        lasts: Duration,
    },
    /// End the maintenance windows on exactly this scope that an operator opened; `All` ends every one.
    EndMaintenance {
        /// Which.
        scope: Scope,
    },
    /// Allow what an incident proposes.
    Approve {
        /// Which incident.
        incident: IncidentId,
    },
    /// Refuse what an incident proposes: a person sees to it.
    Reject {
        /// Which incident.
        incident: IncidentId,
    },
    /// Run the runbook of a target now. Holds, maintenance and budgets still apply; cooldown and autonomy do not.
    Heal {
        /// Which target.
        target: TargetId,
    },
    /// Inject a failure on purpose to see the healing work.
    Drill {
        /// Into which target.
        target: TargetId,
        /// Which.
        kind: DrillKind,
    },
    /// Do what the target offers under this name. Holds, maintenance and budgets still apply.
    Request {
        /// Of which target.
        target: TargetId,
        /// Under which name.
        name: Text,
    },
    /// Close the circuit breaker of a target by hand.
    CloseBreaker {
        /// Which target.
        target: TargetId,
    },
}

/// A failure that can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillKind {
    /// SIGKILL to the main process.
    Crash,
    /// SIGSTOP to the main process.
    Hang,
    /// SIGTERM to the main process, past systemd: it ends by itself.
    Exit,
    /// Something else listens on its port when it starts.
    Port,
    /// A broken line in its configuration, and a crash.
    Configuration,
    /// A crash after each of its next starts, three times.
    Loop,
}

impl DrillKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Crash, Self::Hang, Self::Exit, Self::Port, Self::Configuration, Self::Loop];

    /// The word for it on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Exit => "exit",
            Self::Port => "port",
            Self::Configuration => "configuration",
            Self::Loop => "loop",
        }
    }
}
