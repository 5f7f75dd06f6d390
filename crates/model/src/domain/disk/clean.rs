//! How room is made on a filesystem: the actions of the domain as values, gentlest first in [`Cleaning`].
//! Which files may be touched is said here in full; that nothing else is, is `host::linux::domain::disk`'s promise.

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    action::Disruption,
    domain::Deed,
    probe::CommandLine,
    text::Text,
    units::{ByteSize, Percent},
};

/// Never touched, with all below: configuration, programs, people's and programs' own data, what the kernel shows as
/// files. A configuration can add to it, and take nothing away.
pub const PROTECTED: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/efi",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/backups",
    "/var/lib/ansai",
    "/var/lib/apt",
    "/var/lib/cassandra",
    "/var/lib/clickhouse",
    "/var/lib/consul",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/couchdb",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/elasticsearch",
    "/var/lib/etcd",
    "/var/lib/grafana",
    "/var/lib/influxdb",
    "/var/lib/kafka",
    "/var/lib/kubelet",
    "/var/lib/ldap",
    "/var/lib/libvirt",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/mariadb",
    "/var/lib/mongo",
    "/var/lib/mongodb",
    "/var/lib/mysql",
    "/var/lib/neo4j",
    "/var/lib/opensearch",
    "/var/lib/pacman",
    "/var/lib/pgsql",
    "/var/lib/postgresql",
    "/var/lib/prometheus",
    "/var/lib/rabbitmq",
    "/var/lib/redis",
    "/var/lib/rpm",
    "/var/lib/snapd",
    "/var/lib/systemd",
    "/var/lib/vault",
    "/var/lib/victoria-metrics",
    "/var/lib/zookeeper",
    "/var/mail",
    "/var/spool",
];

/// Too much to be declared as a whole; a directory below them may be.
pub const TOO_WIDE: &[&str] = &["/", "/var", "/var/lib", "/opt", "/srv", "/mnt", "/media"];

/// What can be done about a filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskAction {
    /// Make room, until at most `goal` of the bytes and of the inodes are used; nothing when that is so already.
    Clean {
        /// The mount point. What lies on another filesystem is left alone.
        mount: String,
        /// Where it stops.
        goal: Percent,
        /// What is given up for it.
        what: Cleaning,
        /// Paths that are left alone with all below them, besides the built-in ones.
        protect: Vec<String>,
    },
    /// Look at what the cleaning brought: a failure while `below` or more is used. Changes nothing.
    Measure {
        /// The mount point.
        mount: String,
        /// The share that is too much.
        below: Percent,
    },
}

/// What is given up to make room, gentlest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cleaning {
    /// Packages that were downloaded to be installed, which can be downloaded again and are no way back.
    PackageCache,
    /// The oldest of systemd's journal.
    Journal {
        /// How much of it is kept.
        keep: ByteSize,
        /// Whether nothing goes where journald has been told what it keeps, by `SystemMaxUse=` as an example.
        yields: bool,
    },
    /// Rotations that the rule of their owner, as logrotate's, does not keep.
    Rotated {
        /// The directory, absolute; only what lies below it is given up.
        path: String,
        /// How long they have not been written to.
        older_than: Duration,
    },
    /// Logs that are no longer written to, compressed before they are deleted.
    Logs {
        /// Which, in order.
        rules: Vec<CleanRule>,
    },
    /// Temporary files that nobody has touched for long.
    Temporary {
        /// Which, in order.
        rules: Vec<CleanRule>,
    },
    /// Images that no container uses.
    Containers {
        /// The images that may go.
        images: Images,
    },
    /// A declared command that makes the filesystem larger.
    Grow {
        /// The program with its arguments.
        command: CommandLine,
    },
}

/// Which images of a container engine are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// Those without a name: layers left behind by builds and pulls.
    Dangling,
    /// All that no container was made from.
    Unused,
}

/// Which files below one directory may be given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanRule {
    /// The directory, absolute; directories below it on the same filesystem are looked into.
    pub path: String,
    /// Which names: `*`, `?` and `[a-z]` as in a shell; a name that begins with a dot is matched like any other.
    pub pattern: String,
    /// How long a file has not been touched: a log not written, a temporary file neither used nor changed.
    pub older_than: Duration,
    /// The rule applies only while at least this share is used.
    pub threshold: Option<Percent>,
    /// What becomes of the files.
    pub strategy: Strategy,
}

/// What becomes of files that a rule gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// They are compressed and kept.
    Compress,
    /// They are compressed; the oldest are deleted when that was not enough.
    CompressThenDelete,
    /// The oldest are deleted until there is room.
    Delete,
}

impl Strategy {
    /// The word for it in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compress => "compress",
            Self::CompressThenDelete => "compress-then-delete",
            Self::Delete => "delete",
        }
    }

    /// Whether files are compressed.
    #[must_use]
    pub fn compresses(self) -> bool {
        match self {
            Self::Compress | Self::CompressThenDelete => true,
            Self::Delete => false,
        }
    }

    /// Whether files are deleted.
    #[must_use]
    pub fn deletes(self) -> bool {
        match self {
            Self::Delete | Self::CompressThenDelete => true,
            Self::Compress => false,
        }
    }
}

impl Cleaning {
    /// Whether it gives up files itself, and leaves it to no program.
    #[must_use]
    pub fn is_of_files(&self) -> bool {
        match self {
            Self::PackageCache | Self::Rotated { .. } | Self::Logs { .. } | Self::Temporary { .. } => true,
            Self::Journal { .. } | Self::Containers { .. } | Self::Grow { .. } => false,
        }
    }

    /// What is given up, in words that follow "clean".
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::PackageCache => "the package caches",
            Self::Journal { .. } => "the journal",
            Self::Rotated { .. } => "rotations that their owners do not keep",
            Self::Logs { .. } => "old logs",
            Self::Temporary { .. } => "old temporary files",
            Self::Containers { images: Images::Dangling } => "container images without a name",
            Self::Containers { images: Images::Unused } => "container images that nothing uses",
            Self::Grow { .. } => "by growing it",
        }
    }
}

impl Deed for DiskAction {
    /// What it disrupts: making room takes no service away; a declared command may.
    fn disruption(&self) -> Disruption {
        match self {
            Self::Clean { what: Cleaning::Grow { .. }, .. } => Disruption::Brief,
            Self::Clean { .. } | Self::Measure { .. } => Disruption::None,
        }
    }

    /// Whether doing it twice is the same as doing it once; a declared command may make it larger each time.
    fn is_idempotent(&self) -> bool {
        match self {
            Self::Clean { what: Cleaning::Grow { .. }, .. } => false,
            Self::Clean { .. } | Self::Measure { .. } => true,
        }
    }

    fn only_looks(&self) -> bool {
        matches!(self, Self::Measure { .. })
    }

    /// What it does, in words that continue "ansai will …".
    fn describe(&self) -> Text {
        Text::new(match self {
            Self::Clean { mount, goal, what: Cleaning::Grow { command }, .. } => {
                format!("make {mount} larger with `{}`, unless at most {goal} is used", command.shown())
            }
            Self::Clean { mount, goal, what: Cleaning::Journal { keep, .. }, .. } => {
                format!("shorten the journal to {keep}, until at most {goal} of {mount} is used")
            }
            Self::Clean { mount, goal, what, .. } => {
                format!("clean {}, until at most {goal} of {mount} is used", what.as_str())
            }
            Self::Measure { mount, below } => format!("look whether less than {below} of {mount} is used"),
        })
    }

    fn commands(&self) -> Vec<&CommandLine> {
        match self {
            Self::Clean { what: Cleaning::Grow { command }, .. } => Vec::from([command]),
            Self::Clean { .. } | Self::Measure { .. } => Vec::new(),
        }
    }
}

impl DiskAction {
    /// The mount point that it is about.
    #[must_use]
    pub fn mount(&self) -> &str {
        match self {
            Self::Clean { mount, .. } | Self::Measure { mount, .. } => mount,
        }
    }
}
