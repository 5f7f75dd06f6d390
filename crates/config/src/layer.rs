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
    /// What the host's fleet says for all of its hosts.
    Fleet,
    /// The same for those of its role.
    FleetRole,
    /// The same for it alone.
    FleetHost,
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
    /// Each with its name, in the order of their strength.
    const ALL: [(Self, &str); 8] = [
        (Self::Shipped, "shipped"),
        (Self::Fleet, "fleet"),
        (Self::FleetRole, "fleet role"),
        (Self::FleetHost, "fleet host"),
        (Self::Site, "site"),
        (Self::Role, "role"),
        (Self::Host, "host"),
        (Self::Emergency, "emergency"),
    ];

    /// The layer of a text of this rank, which is its place among them.
    pub(crate) fn of_rank(rank: u8) -> Self {
        Self::ALL.get(usize::from(rank)).map_or(Self::Shipped, |(layer, _)| *layer)
    }

    /// The name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(_, name)| name)
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
pub struct Input {
    /// Where it belongs.
    pub layer: Layer,
    /// The role that a role layer is for; of a layer of the fleet none, since its host has those that are for it.
    pub role: Option<String>,
    /// Where it stands, for messages; the ending says its form.
    pub file: PathBuf,
    /// What stands there.
    pub text: String,
}
