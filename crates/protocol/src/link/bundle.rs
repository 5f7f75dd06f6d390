//! The configuration that a controller gives a host: texts in layers, signed. What they say is the host's to find out; which
//! of them a host gets follows from its name and its role alone.

use ansai_model::text::Text;
use serde::{Deserialize, Serialize};

use super::{ControllerId, HostId, Short, bounds, bounds::Whole};

/// Most files of a bundle.
pub const FILES_MAX: usize = 256;
/// Most bytes of the texts of a bundle together.
pub const FILES_BYTES_MAX: usize = 256 << 10;
/// Most bytes of a bundle as it is signed and sent: a frame holds it with room to spare.
const SENT_BYTES_MAX: usize = 960 << 10;

/// For which hosts a file is; the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetLayer {
    /// For every host.
    Site,
    /// For the hosts of a role.
    Role(Short),
    /// For the host of this name.
    Host(Short),
}

impl FleetLayer {
    /// Whether a host of this name and role gets it.
    #[must_use]
    pub fn is_for(&self, name: &Short, role: Option<&Short>) -> bool {
        match self {
            Self::Site => true,
            Self::Role(of) => role == Some(of),
            Self::Host(of) => name == of,
        }
    }
}

/// A file of a fleet's configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FleetFile {
    /// For which hosts it is.
    pub layer: FleetLayer,
    /// Its name in the folder that it was read from, as `site.yaml` or `role-web/app.toml`; its ending says its form.
    pub name: Short,
    /// What stands in it.
    pub text: String,
}

/// Which configuration a host has of its fleet. All zeros when it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The controller's life in which it was made.
    pub epoch: u64,
    /// Its number: of two of an epoch the smaller is older.
    pub generation: u64,
    /// The name for which its files were chosen.
    #[serde(default)]
    pub name: Short,
    /// The role for which its files were chosen.
    #[serde(default)]
    pub role: Option<Short>,
}

impl Held {
    /// By this one is older than another: epoch, then generation.
    #[must_use]
    pub const fn age(&self) -> (u64, u64) {
        (self.epoch, self.generation)
    }
}

/// The files of one host, before they are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostBundle {
    /// The controller.
    pub controller: ControllerId,
    /// The host; another one does not take it.
    pub host: HostId,
    /// Which it is.
    pub held: Held,
    /// The files, the weakest first.
    #[serde(deserialize_with = "bounds::list::<_, _, FILES_MAX>")]
    pub files: Vec<FleetFile>,
}

impl HostBundle {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        // Every part of it can be written as JSON; an empty text is no bundle.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it can be sent.
    #[must_use]
    pub fn fits(&self) -> bool {
        // Within a message the text is written as JSON once more.
        serde_json::to_string(&self.text()).is_ok_and(|sent| sent.len() <= SENT_BYTES_MAX)
    }

    /// Reads what was signed.
    ///
    /// # Errors
    /// When it is no bundle.
    pub fn read(text: &str) -> Result<Self, super::NoMessage> {
        serde_json::from_str(text).map_err(|error| super::NoMessage(error.to_string()))
    }
}

/// The files of one host with the signature of the controller's CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBundle {
    /// A [`HostBundle`] as JSON.
    pub text: Whole<{ 1 << 20 }>,
    /// Its signature, in base64.
    pub signature: Whole<512>,
}

/// What a host says of the configuration that it has, and of one that it does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Which one is kept and in force.
    pub held: Held,
    /// One that it was given and does not take, with the reason.
    #[serde(default)]
    pub refused: Option<RefusedBundle>,
}

/// A configuration that a host does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBundle {
    /// Its epoch.
    pub epoch: u64,
    /// Its number; 0 when it could not be read.
    pub generation: u64,
    /// Why, as people read it.
    pub why: Text,
}
