//! Whose job started a unit that is up. What was not heard on the bus stays unknown.

use serde::{Deserialize, Serialize};

/// Whose job it was that started a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartedBy {
    /// Nobody was listening then.
    #[default]
    Unknown,
    /// A job of our own.
    Ours,
    /// systemd's own restart, as its `Restart=` asks for.
    Systemd,
    /// A job of somebody else: an operator, a package, another unit, or a trigger of its own.
    Others,
}

impl StartedBy {
    /// Whether it is not known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}
