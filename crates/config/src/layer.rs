//! Layers: which texts there are, and which is stronger. How they become one tree is known to `ansai_document`.

use std::path::PathBuf;

use ansai_model::time::WallTime;
use serde::{Deserialize, Serialize};

/// Where a text belongs, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Ansai's own defaults.
    Shipped,
    /// What holds for every host of an operator.
    Site,
    /// What holds for hosts of one role.
    Role,
    /// What holds for this host.
    Host,
    /// What holds for a short time, above everything.
    Emergency,
}

impl Layer {
    const ALL: [Self; 5] = [Self::Shipped, Self::Site, Self::Role, Self::Host, Self::Emergency];

    /// How strong it is, among the texts of a configuration.
    pub(crate) fn rank(self) -> u8 {
        self as u8
    }

    /// The layer of a text of this rank.
    pub(crate) fn of_rank(rank: u8) -> Self {
        Self::ALL.get(usize::from(rank)).copied().unwrap_or(Self::Shipped)
    }

    /// The name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Site => "site",
            Self::Role => "role",
            Self::Host => "host",
            Self::Emergency => "emergency",
        }
    }
}

/// One file of a configuration, and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerFile {
    /// The layer from which it comes.
    pub layer: Layer,
    /// Where it is.
    pub file: PathBuf,
    /// Why it does not hold, when it does not.
    pub ignored: Option<String>,
    /// When it ends by itself.
    pub expires: Option<WallTime>,
}

/// A text before it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    pub(crate) layer: Layer,
    /// The role that a role layer is for.
    pub(crate) role: Option<String>,
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}
