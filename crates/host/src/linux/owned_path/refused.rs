//! Why nothing is done: the step that speaks against it, whose it is, and what mends it.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use ansai_model::text::Text;

use super::trusted::name_of;

/// Why nothing was done through a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A step does not exist.
    Missing {
        /// The part of the path at which it was refused.
        step: PathBuf,
    },
    /// A link that somebody else may have made.
    Link {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// A step or a file belongs to somebody else.
    Owner {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Whose it may be, in words.
        may: String,
    },
    /// Somebody else may write in it.
    Writable {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Who may write, in words.
        by: String,
        /// What mends it, as `chmod o-w`.
        mend: &'static str,
    },
    /// A file with more than one name that belongs to somebody else.
    HardLink {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Whose it is.
        owner: u32,
        /// How many names it has.
        names: String,
    },
    /// It is root's, and whom it is given to could not read it before.
    Secret {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Whom it would be shown to, in words.
        to: String,
    },
    /// It is something else than it must be.
    Kind {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// What it is not, as "is no directory".
        what: &'static str,
    },
    /// The system refused.
    Failed {
        /// The part of the path at which it was refused.
        step: PathBuf,
        /// Of which kind.
        kind: ErrorKind,
        /// The reason, as people read it.
        why: String,
    },
}

impl Refused {
    pub(super) fn failed(step: impl Into<PathBuf>, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        Self::Failed { step: step.into(), kind: error.kind(), why: error.to_string() }
    }

    /// What was found out by somebody else than the system.
    pub fn said(step: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Failed { step: step.into(), kind: ErrorKind::Other, why: why.into() }
    }

    /// The command that mends it, when there is one.
    #[must_use]
    pub fn mend(&self) -> Option<String> {
        match self {
            Self::Owner { step, .. } => Some(format!("chown root {}", shown(step))),
            Self::Writable { step, mend, .. } => Some(format!("{mend} {}", shown(step))),
            Self::Link { step, .. } | Self::HardLink { step, .. } => Some(format!("rm {}", shown(step))),
            Self::Secret { .. } | Self::Missing { .. } | Self::Kind { .. } | Self::Failed { .. } => None,
        }
    }

    /// Whether it was the door that refused, and not the system.
    #[must_use]
    pub fn is_by_rule(&self) -> bool {
        match self {
            Self::Link { .. } | Self::Owner { .. } | Self::Writable { .. } | Self::HardLink { .. } => true,
            Self::Secret { .. } => true,
            Self::Missing { .. } | Self::Kind { .. } | Self::Failed { .. } => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { step } => write!(f, "{} does not exist", shown(step)),
            Self::Link { step, owner } => write!(
                f,
                "{} is a symbolic link (owner {}) that somebody else than root can put there, so nothing is done through \
                 it: name the place that is meant itself, or `rm {0}`",
                shown(step),
                name_of(*owner)
            ),
            Self::Owner { step, owner, mode, may } => write!(
                f,
                "{} belongs to {} (mode {mode:04o}), and may only belong to {may}: `chown root {0}` when it is root's",
                shown(step),
                name_of(*owner)
            ),
            Self::Writable { step, owner, mode, by, mend } => write!(
                f,
                "{} (owner {}, mode {mode:04o}) can be written by {by}: `{mend} {0}`",
                shown(step),
                name_of(*owner)
            ),
            Self::HardLink { step, owner, names } => write!(
                f,
                "{} belongs to {} and has {names} names, so it may be another file than is meant: `rm {0}` takes this \
                 name away",
                shown(step),
                name_of(*owner)
            ),
            Self::Secret { step, owner, mode, to } => {
                let owner = name_of(*owner);
                write!(
                    f,
                    "{} belongs to {owner} (mode {mode:04o}) and lies where others can have put it, so it is not shown to \
                     {to}, who may not read it: when it is meant, give it away by hand (`chown` or `chmod {0}`)",
                    shown(step)
                )
            }
            Self::Kind { step, what } => write!(f, "{} {what}", shown(step)),
            Self::Failed { step, why, .. } => write!(f, "{}: {why}", shown(step)),
        }
    }
}
impl std::error::Error for Refused {}

/// A path as people can read it, whatever bytes are in it.
fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("{path:?}"),
    }
}

impl From<Refused> for String {
    fn from(refused: Refused) -> Self {
        refused.to_string()
    }
}

impl From<Refused> for Text {
    fn from(refused: Refused) -> Self {
        Self::new(refused.to_string())
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        let kind = match &refused {
            Refused::Missing { .. } => ErrorKind::NotFound,
            Refused::Failed { kind, .. } => *kind,
            _ => ErrorKind::Other,
        };
        Self::new(kind, refused)
    }
}
