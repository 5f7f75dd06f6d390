//! The one door through which the agent reads, writes, gives, moves and removes files that others may have a hand in.
//!
//! A path is walked step by step, each step opened from the one before it, without following links that somebody else
//! may have made. Each step belongs to root, to the agent's own user, or to the user that it is done for, and nobody else
//! may write in it. What is done then is done by descriptor and to names below the last one, so that nobody can lead us
//! elsewhere by exchanging a folder meanwhile. Who refuses says which step, whose it is, and what mends it.
//!
//! It deliberately does not decide whom something is done for: whoever asks says whom it trusts.

mod entry;
mod folder;
mod fresh;
mod refused;
mod trusted;

use std::path::Path;

pub use self::{
    entry::{Found, Kind},
    folder::{Folder, Names},
    fresh::{Fresh, Ownership},
    refused::Refused,
    trusted::{Trusted, name_of, number},
};

/// Whether a folder of the agent's own, as its state, is only its own; one that is missing is only looked for as far as
/// its way goes.
///
/// # Errors
/// When somebody else may write in it or in a folder on the way to it.
pub fn is_ours(path: &Path) -> Result<(), Refused> {
    match Folder::open(path, &Trusted::own()) {
        Ok(folder) => folder.must_be_exclusive(),
        Err(Refused::Missing { .. }) => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// The file that a path leads to, links included that only root may have made.
///
/// # Errors
/// When there is none, or somebody else than whom we trust has a hand in the way to it.
pub fn follow(path: &Path, trusted: &Trusted) -> Result<Found, Refused> {
    folder::follow(path, trusted)
}

/// Whether nobody but whom we trust may change a file or folder, or put another in its place. Links that only root may
/// have made are followed. What does not exist cannot be changed, unless somebody else could make it.
///
/// # Errors
/// Who may change it, and what mends that.
pub fn is_settled(path: &Path, trusted: &Trusted) -> Result<(), Refused> {
    match folder::settled(path, trusted) {
        Err(Refused::Missing { .. }) => Ok(()),
        other => other,
    }
}
