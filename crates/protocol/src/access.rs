//! Who asks a controller's API from elsewhere, and what they may: each role may all that the one before it may. Which question
//! needs which role is the controller's.

use ansai_model::text::Text;
use serde::{Deserialize, Serialize};

/// What somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiRole {
    /// Everything that is only read, but for tokens.
    Viewer,
    /// What is said of hosts and for them as well.
    Operator,
    /// Tokens as well.
    Admin,
}

impl ApiRole {
    /// All of them, the one that may least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for ApiRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks by a token, and what they may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What they may.
    pub role: ApiRole,
    /// Whose token it is: the name under which what is done by it stands in the activity log.
    pub owner: Text,
}
