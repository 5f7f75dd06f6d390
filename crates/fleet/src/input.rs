//! Everything that can make the fleet engine change: one closed list.

use std::collections::BTreeMap;

use ansai_model::text::Text;
use ansai_protocol::{
    link::{Certificate, Fingerprint, FromHost, Hello, HostId, Request, Roots, Short, TokenId},
    operation::FleetOperation,
    record::IdentityRecord,
};

/// One connection of a host; the shell counts them, and no number comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One connection on which a host asks to join; the shell counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoiningId(pub u64);

/// For whom a certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issued {
    /// A host that joins.
    Joining(JoiningId),
    /// A host that renews its own.
    Session(SessionId),
}

/// One cause of change.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetInput {
    /// Time has passed; once a second is enough.
    Tick,
    /// A host has said hello on a link of its own: its certificate leads to a CA of this controller.
    Connected {
        /// The connection.
        session: SessionId,
        /// Who came, and from where.
        came: Came,
        /// What it said.
        hello: Box<Hello>,
    },
    /// A host's link is gone, whoever closed it.
    Disconnected {
        /// The connection.
        session: SessionId,
    },
    /// A host has said something.
    Heard {
        /// The connection.
        session: SessionId,
        /// What it said.
        message: FromHost,
    },
    /// A host asks to join.
    Joins(Box<Joins>),
    /// A certificate was signed.
    Issued {
        /// For whom.
        to: Issued,
        /// What is to be remembered of it.
        identity: IdentityRecord,
        /// The certificate.
        certificate: Certificate,
        /// The CAs to which a controller's certificate may lead.
        roots: Roots,
    },
    /// A certificate could not be signed.
    NotIssued {
        /// For whom.
        to: Issued,
        /// The reason, as people read it.
        why: Text,
    },
    /// An operator speaks.
    Operator {
        /// The shell's number for the answer.
        request: u64,
        /// Who, as far as the shell knows.
        by: Text,
        /// What is asked for.
        operation: FleetOperation,
    },
    /// Somebody asks the API by this token, which is good.
    TokenUsed {
        /// Its public part.
        token: TokenId,
    },
    /// The message of this group of hosts' messages is on the disk of whoever tells it.
    Told {
        /// The group.
        number: u64,
    },
    /// Every save up to this one is durable.
    Saved {
        /// The last one.
        through: u64,
    },
    /// This save and all after it were not kept, and what else their steps returned was not done.
    NotSaved {
        /// The first one.
        from: u64,
        /// The reason, as people read it.
        why: Text,
    },
}

/// A host that came with a certificate that leads to a CA of this controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// Who the certificate says that it is.
    pub host: HostId,
    /// The certificate's serial number.
    pub serial: Text,
    /// From where it comes.
    pub address: Short,
    /// Whether the certificate has ended: it may only be renewed then.
    pub is_expired: bool,
    /// Whether it comes from the controller's own machine: it is heard without any network.
    pub is_beside: bool,
}

/// A host that asks to join, whose request is signed by the key that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joins {
    /// The connection.
    pub joining: JoiningId,
    /// The token with the digest of the secret that was shown; none when it has none.
    pub token: Option<(TokenId, Fingerprint)>,
    /// The digest of its public key.
    pub fingerprint: Fingerprint,
    /// Its request for a certificate.
    pub request: Request,
    /// From where it asks.
    pub address: Short,
    /// Who it will be if it is new, by chance.
    pub fresh: HostId,
    /// What it calls itself.
    pub name: Short,
    /// The machine id that it tells.
    pub machine_id: Short,
    /// The version of its agent.
    pub program: Short,
    /// What it is for, by its own configuration.
    pub role: Option<Short>,
    /// Names with values by which operators choose hosts.
    pub labels: BTreeMap<Short, Short>,
    /// The member to which the controller itself has carried the agent that asks; none when a host asks by itself.
    pub carried: Option<HostId>,
}
