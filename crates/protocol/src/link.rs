//! The messages of the link between a host's agent and its controller. Each is a frame of JSON; fields that a reader does not
//! know are passed over, and so are kinds of messages. A text from outside is cut, a list that is too long refuses its message.
//!
//! The host dials (ALPN [`ALPN`]), says [`FromHost::Hello`], and the link is up when it reads [`FromController::Welcome`]:
//! with TLS 1.3 a refusal comes with the first read. From then on both sides speak when they have something to say, and each
//! at least every [`BEAT_EVERY`]. How a host comes by its certificate is [`Join`].

use std::time::Duration;

use ansai_model::{
    fleet::{Acknowledged, RestraintSet},
    id::TargetId,
    message::{MessageNews, MessageSaid},
    order::{Order, Ordered},
    permit::{PermitNews, PermitsSaid},
    report::Report,
    text::Text,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{IncidentSummary, TargetStatus};

mod bounds;
mod bundle;
mod id;
mod join;
mod token;

pub use bounds::{Short, Whole};
pub use bundle::{
    Configured, FILES_BYTES_MAX, FILES_MAX, FleetFile, FleetLayer, Held, HostBundle, RefusedBundle, SignedBundle,
};
pub use id::{ControllerId, FeedId, Fingerprint, HostId, NoId};
pub use join::{Identity, Join, JoinAnswer};
pub use token::{ApiToken, NoToken, Token, TokenId, TokenSecret};

/// The newest version of these messages.
pub const VERSION: u32 = 3;
/// The oldest version that is understood as well.
pub const VERSION_OLDEST: u32 = 1;
/// The version from which on permits are asked for and given.
pub const PERMITS_SINCE: u32 = 2;
/// The version from which on messages to people are handed over.
pub const MESSAGES_SINCE: u32 = 3;
/// The name of the link in the TLS handshake.
pub const ALPN: &[u8] = b"ansai/1";
/// The name of joining there.
pub const ALPN_JOIN: &[u8] = b"ansai-join/1";
/// The port on which a controller listens when nothing else is said.
pub const PORT: u16 = 7443;
/// The port on which a controller answers its API when nothing else is said.
pub const API_PORT: u16 = 7444;
/// Most bytes of a frame of the link.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a frame when joining, where anybody may speak.
pub const JOIN_FRAME_BYTES_MAX: usize = 64 << 10;
/// Each side says something at least this often.
pub const BEAT_EVERY: Duration = Duration::from_secs(10);
/// A side of which nothing was heard for so long is gone.
pub const SILENT_AFTER: Duration = Duration::from_secs(35);
/// Most changes of one message.
pub const CHANGES_MAX: usize = 256;
/// Most labels of a host.
pub const LABELS_MAX: usize = 32;

/// A certificate (PEM).
pub type Certificate = Whole<{ 16 << 10 }>;
/// Certificates of CAs (PEM), one after another.
pub type Roots = Whole<{ 32 << 10 }>;
/// A PKCS#10 request (DER, in base64).
pub type Request = Whole<{ 8 << 10 }>;

/// What a host says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromHost {
    /// The first thing that it says.
    Hello(Box<Hello>),
    /// It is there.
    Beat {
        /// Its clock, in milliseconds since 1970.
        now_ms: i64,
    },
    /// What has changed on it, in the order of its numbers.
    Changes {
        /// The number of the first one; each other is one more.
        first: u64,
        /// The changes.
        #[serde(deserialize_with = "bounds::list::<_, _, CHANGES_MAX>")]
        changes: Vec<Change>,
    },
    /// Which restraints are saved and obeyed.
    Restrained(Box<Acknowledged>),
    /// It wants a new certificate, for a new key.
    Renew {
        /// Signed by the new key.
        request: Request,
    },
    /// Which configuration of the fleet it has, and whether it takes the one that it was given.
    Configured(Box<Configured>),
    /// What came of an order.
    Ordered(Box<Ordered>),
    /// What it wants to disturb, and what it holds for that; said from version [`PERMITS_SINCE`] on.
    Permits(Box<PermitsSaid>),
    /// What becomes of a message to people; said from version [`MESSAGES_SINCE`] on.
    Message(MessageSaid),
}

/// Which set of restraints: a restore of the controller counts before every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RestraintsAt {
    /// As in [`RestraintSet`].
    pub epoch: u64,
    /// As in [`RestraintSet`].
    pub generation: u64,
}

/// Who a host is and where it stands. The certificate says which host it is; all of this is what it claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest version of the link that it speaks.
    pub oldest: u32,
    /// The newest one.
    pub newest: u32,
    /// The agent's version.
    pub program: Short,
    /// What it calls itself.
    pub name: Short,
    /// `/etc/machine-id`, which clones share.
    #[serde(default)]
    pub machine_id: Short,
    /// The kernel's id of this boot.
    #[serde(default)]
    pub boot_id: Short,
    /// Since when the agent runs, in milliseconds since 1970 by the host's clock.
    pub started_ms: i64,
    /// The host's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// The feed by which this process of the agent numbers what changes.
    pub feed: FeedId,
    /// The last restraints that it has saved; zeros when it never had any.
    #[serde(default)]
    pub restraints: RestraintsAt,
    /// The configuration of the fleet that it has; zeros when it never had any.
    #[serde(default)]
    pub configuration: Held,
    /// What it is for, by its own configuration.
    #[serde(default)]
    pub role: Option<Short>,
    /// Names with values by which operators choose hosts.
    #[serde(default, deserialize_with = "bounds::pairs::<_, LABELS_MAX>", serialize_with = "bounds::write_pairs")]
    pub labels: Vec<(Short, Short)>,
}

/// Something that changed on a host. The newest state of a key replaces what was said of it before: to say one again does no
/// harm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Everything that comes is told anew: a target that is not named before [`Change::Told`] is none any more.
    Anew,
    /// All that there was is told.
    Told,
    /// A target as it stands.
    Target(Box<TargetStatus>),
    /// It is no target any more.
    TargetGone(TargetId),
    /// An incident as it stands.
    Incident(Box<IncidentSummary>),
    /// A report, as people get it.
    Report(Box<Report>),
    /// Of what could not be told, so much was dropped.
    Lost {
        /// How many changes.
        count: u64,
    },
    /// What a reader does not understand becomes this; nobody sends it.
    Unknown,
}

/// What a controller says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromController {
    /// The link is up.
    Welcome(Box<Welcome>),
    /// Changes up to this number are in the store, and need not be kept.
    Kept {
        /// The last one.
        through: u64,
    },
    /// All restraints that concern the host: those that are not among them have ended. A set that is older than the one that
    /// the host has is never obeyed.
    Restraints(Box<RestraintSet>),
    /// The host is to begin no action for so long. It is kept nowhere, ends by itself, and is said again for as long as there
    /// is a reason: what a controller that can keep nothing says in the place of a hold.
    StandBack {
        /// Why, as people read it.
        why: Text,
        /// For how long, in milliseconds from now.
        lasts_ms: u64,
    },
    /// The certificate that was asked for.
    Renewed {
        /// For the key that signed the request.
        certificate: Certificate,
        /// The CAs to which a controller's certificate may lead from now on.
        roots: Roots,
    },
    /// What an operator has the host do now, once.
    Order {
        /// What.
        order: Box<Order>,
        /// When it was given, by the controller's clock, in milliseconds since 1970.
        at_ms: i64,
    },
    /// It is there.
    Beat {
        /// Its clock, in milliseconds since 1970.
        now_ms: i64,
    },
    /// It closes the link.
    Closing {
        /// Why, as people read it.
        why: Text,
        /// What to do.
        suggestion: Text,
        /// When the host may come again, in milliseconds from now; nothing as soon as it likes, with jitter.
        #[serde(default)]
        again_after_ms: Option<u64>,
        /// Whether the host, by the identity that it shows, is no member any more: what it gave is answered to nobody.
        #[serde(default)]
        is_removed: bool,
    },
    /// The configuration that the fleet has for the host, below its own. One that is older than what it has, or that the
    /// controller's CA has not signed, is never taken.
    Bundle(Box<SignedBundle>),
    /// A permit, why there is none yet, or that one is none any more; said from version [`PERMITS_SINCE`] on.
    Permit(PermitNews),
    /// What becomes of a message to people; said from version [`MESSAGES_SINCE`] on.
    Message(MessageNews),
}

/// A host is taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the link from now on.
    pub version: u32,
    /// The controller.
    pub controller: ControllerId,
    /// The controller's life: it grows each time that its store is restored from a copy.
    pub epoch: u64,
    /// Who the host is, by its certificate.
    pub host: HostId,
    /// What the controller calls it.
    pub name: Short,
    /// The controller's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// Up to where the store has the host's changes: of which feed, and the last number. Nothing when it has none.
    #[serde(default)]
    pub kept: Option<(FeedId, u64)>,
    /// Whether it has anybody to tell what a host has to tell people: only then messages are offered to it.
    #[serde(default)]
    pub tells: bool,
}

/// The newest version that both speak; nothing when there is none.
#[must_use]
pub fn agreed(oldest: u32, newest: u32) -> Option<u32> {
    let version = newest.min(VERSION);
    (version >= oldest.max(VERSION_OLDEST)).then_some(version)
}

/// A frame that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMessage(String);

impl std::fmt::Display for NoMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoMessage {}

/// A message of the link or of joining.
pub trait Message: Serialize + DeserializeOwned {
    /// The kinds of messages by the names that they have in a frame; empty when there is one kind only.
    const KINDS: &'static [&'static str];

    /// Reads a frame; nothing when it is of a kind that is not known here.
    ///
    /// # Errors
    /// When the frame is no message, or one with a list or text that is too long.
    fn read(frame: &[u8]) -> Result<Option<Self>, NoMessage> {
        let refused = match serde_json::from_slice(frame) {
            Ok(message) => return Ok(Some(message)),
            Err(error) => NoMessage(error.to_string()),
        };
        // Seldom: whoever speaks a newer version, or rubbish.
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(frame) else { return Err(refused) };
        match kind(&value) {
            Some(kind) if !Self::KINDS.is_empty() && !Self::KINDS.contains(&kind) => Ok(None),
            Some(_) => Self::read_in_parts(value).map(Some).ok_or(refused),
            None => Err(refused),
        }
    }

    /// Reads what is not understood as a whole, when it has parts that can be understood one by one.
    fn read_in_parts(_value: serde_json::Value) -> Option<Self> {
        None
    }

    /// As a frame.
    fn write(&self) -> Vec<u8> {
        // Every part of it can be written as JSON; an empty frame is no message.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The name of the kind of an externally tagged value.
fn kind(value: &serde_json::Value) -> Option<&str> {
    match value {
        serde_json::Value::String(kind) => Some(kind),
        serde_json::Value::Object(fields) if fields.len() == 1 => fields.keys().next().map(String::as_str),
        _ => None,
    }
}

impl Message for FromHost {
    const KINDS: &'static [&'static str] =
        &["hello", "beat", "changes", "restrained", "renew", "configured", "ordered", "permits", "message"];

    /// A change that is not understood is counted, and those beside it are read.
    fn read_in_parts(mut value: serde_json::Value) -> Option<Self> {
        let changes = value.get_mut("changes")?;
        let first = changes.get("first")?.as_u64()?;
        let items = changes.get_mut("changes")?.as_array_mut()?;
        if items.len() > CHANGES_MAX {
            return None;
        }
        let read = |item: &mut serde_json::Value| serde_json::from_value(item.take()).unwrap_or(Change::Unknown);
        Some(Self::Changes { first, changes: items.iter_mut().map(read).collect() })
    }
}

impl Message for FromController {
    const KINDS: &'static [&'static str] = &[
        "welcome",
        "kept",
        "restraints",
        "stand-back",
        "order",
        "renewed",
        "beat",
        "closing",
        "bundle",
        "permit",
        "message",
    ];
}

impl Message for Join {
    const KINDS: &'static [&'static str] = &[];
}

impl Message for JoinAnswer {
    const KINDS: &'static [&'static str] = &["joined", "pending", "refused"];
}

#[cfg(test)]
mod tests;
