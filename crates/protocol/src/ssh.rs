//! Hosts that are kept well over SSH: what a controller keeps of one, what it finds on it before it is added, and the two lines
//! that the carried agent and the controller exchange before the link begins. What is done with it is the controller's.

use ansai_model::text::Text;
use serde::{Deserialize, Serialize};

use crate::link::{JoinAnswer, Request, Short};

/// Most keys of one way: the host's own of each kind, and those of the machines on the way.
pub const KEYS_MAX: usize = 32;
/// Longest line of either side before the link begins.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// How a host is reached over SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverSsh {
    /// As `ssh` takes it: a name of its configuration, or user@host.
    pub destination: Text,
    /// Whether `sudo -n` makes root of that user.
    #[serde(default)]
    pub sudo: bool,
    /// The keys by which the host, and those on the way to it, are known, as lines of a known-hosts file.
    #[serde(default)]
    pub known: Vec<Text>,
}

/// What is asked about a host that may be added: it is looked at, and nothing is changed on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SshAsked {
    /// As `ssh` takes it.
    pub destination: Text,
    /// Whether `sudo -n` is to make root of that user.
    pub sudo: bool,
}

/// A key by which a host is known from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKey {
    /// Whose it is, as `ssh` calls it.
    pub host: Text,
    /// Of which kind.
    pub kind: Text,
    /// Its fingerprint, as `ssh` shows it.
    pub fingerprint: Text,
    /// As a line of a known-hosts file.
    pub line: Text,
}

/// What was found on a host over SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshLook {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The keys of the host and of those on the way to it.
    pub keys: Vec<SshKey>,
    /// What `uname -sm` says.
    pub machine: Text,
    /// What the host calls itself.
    pub name: Text,
    /// Whether root is reached by `sudo -n`.
    pub sudo: bool,
    /// The folder in which the program would lie.
    pub folder: Text,
    /// Whether the program is there already, is installed, or would be carried.
    pub program: SshProgram,
    /// How many bytes would be carried.
    pub bytes: u64,
}

/// Which program runs on a host over SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SshProgram {
    /// The package is installed there in the controller's version, and its program is used.
    Installed,
    /// It was carried before.
    Cached,
    /// It is carried when the host is added.
    Carried,
}

/// The first line of a carried agent: it has made its key, and wants a certificate for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAsks {
    /// Signed by its key.
    pub request: Request,
    /// What the host calls itself.
    pub name: Short,
    /// `/etc/machine-id`, which clones share.
    #[serde(default)]
    pub machine_id: Short,
    /// The agent's version.
    pub program: Short,
}

/// The line by which the controller answers; the link begins behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedTold {
    /// The certificate, or why there is none.
    pub answer: JoinAnswer,
}
