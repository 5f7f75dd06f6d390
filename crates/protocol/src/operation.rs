//! What people may ask of a controller for its fleet, and what they are answered: the shapes that cross its API.

use std::time::Duration;

use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    id::{PermitId, TargetId},
    order::{Deed, Subject, Told},
    policy::Scope,
    text::Text,
};
use serde::{Deserialize, Serialize};

use crate::{
    access::Access,
    link::{Fingerprint, FleetFile, HostId, Short, TokenId},
    ssh::OverSsh,
};

/// What an operator may ask of a controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetOperation {
    /// Hold, silence or put in maintenance, on many hosts at once. One of the same operator for exactly the same is replaced.
    Restrain {
        /// What it stops.
        kind: RestraintKind,
        /// On which hosts, those that come later included.
        over: FleetScope,
        /// On which targets there.
        scope: Scope,
        /// The reason, as people read it.
        reason: Text,
        /// How long it lasts at most; only a hold may last until it is released.
        #[serde(default)]
        lasts: Option<Duration>,
    },
    /// End those of a kind that were said for exactly these hosts and targets.
    End {
        /// Which kind.
        kind: RestraintKind,
        /// For which hosts.
        over: FleetScope,
        /// On which targets there.
        scope: Scope,
    },
    /// Have hosts do something now, once; those that are not there are not told later.
    Order {
        /// What.
        deed: Deed,
        /// On which hosts.
        over: FleetScope,
        /// To what, on each of them.
        to: Subject,
        /// Only ask what would come of it.
        #[serde(default)]
        is_rehearsal: bool,
    },
    /// Say that somebody sees to what is open, or no more.
    SeeTo {
        /// On which hosts; of the whole fleet and an incident's number it is the controller's own.
        over: FleetScope,
        /// To what on each of them.
        to: Subject,
        /// The reason, as people read it.
        reason: Text,
        /// Nobody does any more.
        #[serde(default)]
        is_undone: bool,
    },
    /// Let a host in that waits.
    Accept {
        /// The digest of its key, as its first digits or whole.
        fingerprint: Text,
        /// Who it will be if it is new, by chance; the controller's shell sets it.
        #[serde(default)]
        fresh: Option<HostId>,
    },
    /// Refuse a host that waits.
    Reject {
        /// The digest of its key, as its first digits or whole.
        fingerprint: Text,
    },
    /// Call a host otherwise.
    Rename {
        /// Its name or id.
        host: Text,
        /// The new name.
        name: Short,
    },
    /// Take a host out of the fleet: its certificate is good for nothing from then on. Its incidents and reports stay.
    Remove {
        /// Its name or id.
        host: Text,
    },
    /// Take a host in that is kept well over SSH: it is a member at once, and its agent is carried there.
    AddOverSsh {
        /// What it is called.
        name: Short,
        /// What it is for.
        #[serde(default)]
        role: Option<Short>,
        /// How it is reached.
        over: OverSsh,
        /// Who it will be, by chance; the controller's shell sets it.
        #[serde(default)]
        fresh: Option<HostId>,
    },
    /// Let hosts join, or somebody ask the API, by a token. The controller's shell makes its secret, and shows it once.
    CreateToken {
        /// Its public part.
        id: TokenId,
        /// The digest of its secret.
        secret: Fingerprint,
        /// The role of the hosts that join by it.
        #[serde(default)]
        role: Option<Short>,
        /// How many may.
        uses: u32,
        /// For how long.
        lasts: Duration,
        /// What may be asked of the API by it, in place of joining.
        #[serde(default)]
        access: Option<Access>,
    },
    /// Let nobody join, or ask, by a token any more.
    RevokeToken {
        /// Its public part.
        id: TokenId,
    },
    /// Bring a configuration to every host, the canary first, then in waves.
    Configure {
        /// The files, the weakest first.
        files: Vec<FleetFile>,
        /// How many hosts come first.
        canary: Canary,
        /// How long each wave is watched before the next.
        soak: Duration,
    },
    /// Bring back the configuration before the newest, as a new one.
    RollBack,
    /// Take a permit back, so that others may have one: what has not begun under it does not begin.
    FreePermit {
        /// Its number.
        id: PermitId,
    },
}

/// How many hosts come first, of those for which something changes; at least one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Canary {
    /// So many.
    Hosts(u32),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetAnswer {
    /// It is done.
    Done {
        /// In words.
        text: Text,
        /// Which hosts have acknowledged it; nothing when none has to.
        #[serde(default)]
        reached: Option<Reached>,
    },
    /// Hosts were told to do it: what each has answered.
    Ordered {
        /// In words.
        text: Text,
        /// Each host that was meant.
        hosts: Vec<HostTold>,
    },
    /// It may not be done.
    Refused {
        /// The reason, as people read it.
        why: Text,
        /// What to do instead.
        suggestion: Text,
    },
    /// It names something that does not exist.
    NotFound {
        /// What it was, as people read it.
        what: Text,
        /// What to do instead.
        suggestion: Text,
    },
}

/// What came of an order on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTold {
    /// Its name.
    pub host: Short,
    /// Of each target or incident that was meant there, or of the host as a whole.
    pub told: Vec<Told>,
}

/// Which hosts have acknowledged what was said to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// How many hosts are meant.
    pub meant: u32,
    /// How many of them have saved it and obey it.
    pub acknowledged: u32,
    /// The others, as many as are named.
    pub missing: Vec<Missing>,
    /// What was begun before and goes on, as far as it is named.
    pub under_way: Vec<UnderWay>,
}

/// A host that has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub host: Short,
    /// Why not, in words.
    pub why: Text,
}

/// Something that was begun before it was held and goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// On which host.
    pub host: Short,
    /// On which target.
    pub target: TargetId,
}
