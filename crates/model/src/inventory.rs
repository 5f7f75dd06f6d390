//! What a host says that it is and has. Asking for it is `host`'s.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    condition::Value,
    domain::{certificate::Endpoint, container::ContainerFacts, database::DatabaseFacts},
    id::UnitName,
    probe::Probe,
    text::Text,
    time::WallTime,
    unit::ActiveState,
    units::ByteSize,
};

/// One look at the host.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// The name, as it is written.
    pub hostname: String,
    /// Differs after every start of the host.
    pub boot_id: String,
    /// Its units that can be services, loaded or installed, sorted by name; at most [`Inventory::UNITS_MAX`].
    pub units: Vec<UnitFacts>,
    /// Its real filesystems, sorted by mount point; at most [`Inventory::MOUNTS_MAX`].
    pub mounts: Vec<MountFacts>,
    /// Certificates found with their keys in the usual places, sorted by path, when they were asked for; at most [`Inventory::CERTIFICATES_MAX`].
    pub certificates: Vec<CertificateFacts>,
    /// Listening sockets of this host that speak TLS, when they were asked for; at most [`Inventory::LISTENERS_MAX`].
    pub tls_listeners: Vec<TlsListener>,
    /// How services of this host answer, when they were asked; at most one each, sorted by unit.
    #[serde(default)]
    pub answering: Vec<Answering>,
    /// Sockets that start services, sorted by name, when they were asked for; at most [`Inventory::SOCKETS_MAX`].
    #[serde(default)]
    pub sockets: Vec<SocketFacts>,
    /// The unit that synchronizes the clock, where the host has a clock of its own and something for it.
    #[serde(default)]
    pub timesync: Option<UnitName>,
    /// The engines of containers that have a socket here, by their names.
    #[serde(default)]
    pub engines: Vec<Text>,
    /// The containers of its engines, sorted by name; at most [`Inventory::CONTAINERS_MAX`].
    #[serde(default)]
    pub containers: Vec<ContainerFacts>,
    /// The servers of databases that have a socket here, sorted; at most [`Inventory::DATABASES_MAX`].
    #[serde(default)]
    pub databases: Vec<DatabaseFacts>,
    /// The `host.*` fields of the condition language that could be read.
    pub facts: BTreeMap<Box<str>, Value>,
}

impl Inventory {
    /// Most units kept.
    pub const UNITS_MAX: usize = 10_000;
    /// Most filesystems kept.
    pub const MOUNTS_MAX: usize = 256;
    /// Most certificates kept.
    pub const CERTIFICATES_MAX: usize = 512;
    /// Most listening sockets kept.
    pub const LISTENERS_MAX: usize = 128;
    /// Most sockets of systemd kept.
    pub const SOCKETS_MAX: usize = 512;
    /// Most containers kept.
    pub const CONTAINERS_MAX: usize = 1_000;
    /// Most servers of databases kept.
    pub const DATABASES_MAX: usize = 32;
}

/// A unit that listens in the place of a service, and starts it when somebody asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFacts {
    /// The full name, with its suffix.
    pub name: UnitName,
    /// `Description=`.
    pub description: Text,
    /// What it starts; none when it starts an instance for each connection (`Accept=yes`).
    #[serde(rename = "service")]
    pub starts: Option<UnitName>,
}

/// A mounted filesystem that holds data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// Where it is mounted, absolute; bytes that are no UTF-8 are escaped as in `/proc/self/mountinfo`.
    pub path: String,
    /// What is mounted, as `/dev/sda1`.
    pub source: String,
    /// Its type, as `ext4`.
    pub kind: String,
    /// Whether it is mounted for reading only.
    pub is_read_only: bool,
    /// The size in bytes.
    pub size: ByteSize,
}

/// Whether and how a filesystem can be written to, by its two sets of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// It can be.
    Yes,
    /// It was mounted for reading only, or somebody remounted it so.
    ReadOnlyByMount,
    /// The kernel stopped writing to it after an error: the mount is writable, the filesystem below it is not.
    StoppedByKernel,
}

/// Whose certificate it is and until when; copies of one certificate have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateIdentity {
    /// The names that it is for, the first one being its name for people.
    pub names: Vec<String>,
    /// When it ends.
    pub expires: WallTime,
    /// Who signed it.
    pub signer: Signer,
    /// SHA-256 of the certificate, hexadecimal.
    pub digest: String,
}

/// Who signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signer {
    /// An authority that this host trusts.
    Trusted,
    /// Itself.
    Itself,
    /// An authority that this host does not know, or none to which its chain leads.
    Unknown,
}

/// A certificate in a file, which has its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The file, absolute.
    pub path: String,
    /// Its key, where that lies in a file of its own; otherwise it is in the same one.
    pub key: Option<String>,
    /// The certificate that was seen.
    pub certificate: CertificateIdentity,
}

/// A listening socket that answers with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsListener {
    /// How it is reached from this host.
    pub endpoint: Endpoint,
    /// Which certificate it shows when it is asked for [`Endpoint::server_name`].
    pub certificate: CertificateIdentity,
    /// The unit that it belongs to, when known.
    pub unit: Option<UnitName>,
}

/// A service that answers to a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answering {
    /// Whose unit it is.
    pub unit: UnitName,
    /// The look that found it well.
    pub probe: Probe,
}

/// What is known of a unit without looking at its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// The full name, with its suffix.
    pub name: UnitName,
    /// Its state when it was asked.
    pub active: ActiveState,
    /// `Description=`.
    pub description: Text,
    /// Whether it is `Type=oneshot`.
    pub is_oneshot: bool,
    /// Whether it counts as active after its process ended.
    pub remains_after_exit: bool,
    /// Whether a socket starts it.
    pub is_socket_activated: bool,
    /// Whether a timer or a path starts it.
    pub is_started_by_event: bool,
}

/// How a name stands with systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a unit's own name.
    Known,
    /// It is another name of this unit (`Alias=`).
    AliasOf(UnitName),
    /// There is no such unit.
    Missing,
}

impl UnitFacts {
    /// A unit of which no more is known than its name and its state: started by itself, with a process that stays.
    #[must_use]
    pub fn plain(name: UnitName, active: ActiveState) -> Self {
        Self {
            name,
            active,
            description: "".into(),
            is_oneshot: false,
            remains_after_exit: false,
            is_socket_activated: false,
            is_started_by_event: false,
        }
    }
}
