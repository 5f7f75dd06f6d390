//! What is said when a host joins: once, on a connection of its own, before it has a certificate.

use serde::{Deserialize, Serialize};

use super::{Certificate, Fingerprint, HostId, LABELS_MAX, Request, Roots, Short, TokenId, TokenSecret, bounds};
use ansai_model::text::Text;

/// A host asks to join. It is asked again on a new connection, with the same key, while it is pending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The oldest version of the link that the agent speaks.
    pub oldest: u32,
    /// The newest one.
    pub newest: u32,
    /// The token; without one a person must accept the host.
    #[serde(default)]
    pub token: Option<(TokenId, TokenSecret)>,
    /// A PKCS#10 request (DER, in base64), signed by the key of which the identity is to be. Its subject is not read.
    pub request: Request,
    /// What the host calls itself.
    pub name: Short,
    /// `/etc/machine-id`, which clones share.
    #[serde(default)]
    pub machine_id: Short,
    /// The agent's version.
    pub program: Short,
    /// What it is for, by its own configuration.
    #[serde(default)]
    pub role: Option<Short>,
    /// Names with values by which operators choose hosts, by its own configuration.
    #[serde(default, deserialize_with = "bounds::pairs::<_, LABELS_MAX>", serialize_with = "bounds::write_pairs")]
    pub labels: Vec<(Short, Short)>,
    /// Its clock, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinAnswer {
    /// It has joined.
    Joined(Identity),
    /// A person must accept it: `ansai hosts accept`.
    Pending {
        /// The digest of its public key, as the person sees it.
        fingerprint: Fingerprint,
        /// When it may ask again, in milliseconds from now.
        again_after_ms: u64,
        /// When it is forgotten unless somebody accepts it, in milliseconds since 1970 by the controller's clock.
        until_ms: i64,
    },
    /// It may not.
    Refused {
        /// Why, as people read it.
        what: Text,
        /// What to do.
        suggestion: Text,
    },
}

/// What a host has once it has joined; its key never left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who it is from now on.
    pub host: HostId,
    /// What its controller calls it.
    pub name: Short,
    /// The controller.
    pub controller: super::ControllerId,
    /// Its certificate.
    pub certificate: Certificate,
    /// The CAs to which a controller's certificate may lead.
    pub roots: Roots,
    /// The controller's clock, in milliseconds since 1970.
    pub now_ms: i64,
}
