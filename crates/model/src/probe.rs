//! How to look at a target once. Every probe is a value; carrying it out is `host`'s.

mod protocol;

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    condition::ValueType, domain::DomainProbe, id::UnitName, text::Text, unit::UnitExpectation, units::ByteSize,
};

pub use protocol::{Heard, Manner, Protocol};

/// A look at a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// The state of a systemd unit, over D-Bus.
    Unit {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
        /// When it counts as well.
        expect: UnitExpectation,
    },
    /// A TCP connection that must be accepted.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port, 1 to 65535.
        port: u16,
        /// What must be answered there; nothing is said without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speaks: Option<Protocol>,
    },
    /// An HTTP or HTTPS request.
    Http(Box<HttpProbe>),
    /// A connection to a unix socket that must be accepted.
    UnixSocket {
        /// Absolute path.
        path: String,
        /// What must be answered there; nothing is said without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speaks: Option<Protocol>,
    },
    /// A command: exit code 0 is healthy, any other is failing.
    Exec(Box<CommandLine>),
    /// A Nagios-compatible plugin: 0 healthy, 1 a warning, 2 failing, 3 unknown; performance data become figures.
    Nagios(Box<Plugin>),
    /// A declared process that ansai starts and stops itself, where no systemd runs.
    Process {
        /// Its name among the declared processes.
        name: String,
    },
    /// How many processes run an executable (by its resolved path, not by its name).
    ProcessCount {
        /// Absolute path of the executable.
        executable: String,
        /// Fewest that are healthy.
        count_min: u32,
        /// Most that are healthy.
        count_max: u32,
    },
    /// A file that must exist and may be required to be fresh or not too large.
    File {
        /// Absolute path.
        path: String,
        /// Oldest that is healthy, by its modification time.
        age_max: Option<Duration>,
        /// Largest that is healthy.
        size_max: Option<ByteSize>,
    },
    /// Whether anything that a unit reads has changed: it is always healthy, with a figure that is another one then. The
    /// engine looks so at what an incident waits for; no configuration can ask for it.
    UnitFiles {
        /// Which unit: its files, and what they name.
        unit: UnitName,
        /// Files and folders besides, absolute.
        paths: Vec<String>,
    },
    /// What a domain looks at. It is written as its own name, like everything above.
    #[serde(untagged)]
    Domain(DomainProbe),
}

impl Probe {
    /// The figure of [`Probe::UnitFiles`] that is another one when something has changed.
    pub const PRINT: &str = "files.print";
    /// The figure of [`Probe::UnitFiles`] that says when the last of the files was changed: how long after 1970, by the wall clock.
    pub const CHANGED: &str = "files.changed";

    /// The kind, in one word, as in the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unit { .. } => "unit",
            Self::Tcp { speaks: Some(protocol), .. } | Self::UnixSocket { speaks: Some(protocol), .. } => {
                protocol.name()
            }
            Self::Tcp { .. } => "tcp",
            Self::Http(_) => "http",
            Self::UnixSocket { .. } => "unix",
            Self::Exec(_) => "exec",
            Self::Nagios(_) => "nagios",
            Self::Process { .. } => "process",
            Self::ProcessCount { .. } => "process-count",
            Self::File { .. } => "file",
            Self::UnitFiles { .. } => "unit-files",
            Self::Domain(probe) => probe.look().kind(),
        }
    }
}

impl Probe {
    /// The figures that it reports, as conditions name them behind `figure.`; `None` when only it knows.
    #[must_use]
    pub fn figures(&self) -> Option<&'static [(&'static str, ValueType)]> {
        match self {
            Self::Unit { .. } | Self::Tcp { .. } | Self::UnixSocket { .. } | Self::Exec(_) | Self::Process { .. } => {
                Some(&[])
            }
            Self::Http(_) => Some(&[("http.status", ValueType::Number), ("latency", ValueType::Duration)]),
            Self::ProcessCount { .. } => Some(&[("processes", ValueType::Number)]),
            Self::File { age_max: None, .. } => Some(&[("size", ValueType::Bytes)]),
            Self::File { .. } => Some(&[("size", ValueType::Bytes), ("age", ValueType::Duration)]),
            Self::UnitFiles { .. } => Some(&[(Self::PRINT, ValueType::Number), (Self::CHANGED, ValueType::Duration)]),
            Self::Domain(probe) => Some(probe.look().figures()),
            Self::Nagios(_) => None,
        }
    }
}

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Whole URL, `http://` or `https://`.
    pub url: String,
    /// `GET`, `HEAD` or `POST` …
    pub method: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// Status codes that are healthy, as inclusive ranges; never empty.
    pub statuses: Vec<(u16, u16)>,
    /// Text that the body (its first 64 KiB) must hold.
    pub body_contains: Option<String>,
    /// Headers that the answer must have, with this value.
    pub answer_headers: BTreeMap<String, String>,
    /// Slowest answer that is healthy.
    pub within: Option<Duration>,
    /// Whether the server's certificate is verified. For `https` only.
    pub verify_certificate: bool,
    /// A certificate authority to trust besides the host's own (PEM file).
    pub ca_file: Option<String>,
}

impl HttpProbe {
    /// A plain request; any status from 200 to 399 is healthy.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: "GET".into(),
            headers: BTreeMap::new(),
            statuses: alloc::vec![(200, 399)],
            body_contains: None,
            answer_headers: BTreeMap::new(),
            within: None,
            verify_certificate: true,
            ca_file: None,
        }
    }
}

/// A Nagios-compatible plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// The plugin with its arguments.
    pub command: CommandLine,
    /// Whether its warnings are failures, which are healed; otherwise a person is told of them.
    pub fails_on_warning: bool,
}

/// A command with its arguments: no shell is involved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// Program and arguments; never empty. The program is an absolute path or looked up in the standard directories.
    pub argv: Vec<String>,
    /// Environment besides a minimal one.
    pub environment: BTreeMap<String, String>,
    /// User to run as; the agent's own when absent.
    pub user: Option<String>,
    /// Working directory; `/` when absent.
    pub directory: Option<String>,
}

impl CommandLine {
    /// A command with arguments, in the agent's own environment and name.
    #[must_use]
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(argv: I) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            user: None,
            directory: None,
        }
    }

    /// The command as a person would type it (for people to read, not for a shell).
    #[must_use]
    pub fn shown(&self) -> Text {
        Text::new(self.argv.join(" "))
    }
}
