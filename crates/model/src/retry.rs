//! When an incident that was handed to a person is tried again, and what it waits for.
//! Looking at that, and trying, are the engine's.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{id::UnitName, probe::CommandLine, text::Text, time::Now};

/// Whether what was handed to a person is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrying {
    /// When what it failed for is gone; else after 5, 15 and 30 minutes, and each hour.
    #[default]
    Growing,
    /// Never.
    Never,
}

impl Retrying {
    /// Its word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Never => "never",
        }
    }
}

/// When healing is tried once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it was tried again since it was first handed over.
    pub tries: u32,
    /// When at the latest.
    pub at: Now,
    /// No limit lets it be tried before that, when one is in the way for a while.
    #[serde(default)]
    pub not_before: Option<Now>,
    /// What it failed for, when that is known and can be looked at: it is tried as soon as that is gone.
    pub obstacle: Option<Obstacle>,
}

/// What a remedy failed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// A validator says no.
    Validator {
        /// The program with its arguments.
        command: CommandLine,
    },
    /// Somebody else holds its port.
    Port {
        /// The number of the port.
        port: u16,
    },
    /// Something that it needs or waits for is not well.
    Needs,
    /// There is no such unit, or systemd cannot read its file.
    Unit,
    /// Nobody can say what: something that its unit reads may be wrong.
    Files {
        /// Whose.
        unit: UnitName,
        /// Files and folders that it is known to read, besides those that its unit names. Absolute, and few.
        paths: Vec<String>,
        /// How they all were when it was handed over, as a figure of the probe; nothing before they were looked at.
        print: Option<Text>,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = match self {
            Self::Validator { command } => format!("`{}` says yes", command.argv.join(" ")),
            Self::Port { port } => format!("port {port} is free"),
            Self::Needs => "what it needs is well".into(),
            Self::Unit => "systemd knows its unit".into(),
            Self::Files { unit, .. } => format!("what {unit} reads is changed"),
        };
        f.write_str(&text)
    }
}
