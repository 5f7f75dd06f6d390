//! The places of certificates: what is there, and a file or link that is put there whole. Never through a symbolic link of
//! somebody else's, see `owned_path`.

use std::path::{Path, PathBuf};

use super::read;
use crate::linux::owned_path::{self, Folder, Kind, Refused};
pub(super) use crate::linux::owned_path::{Fresh, Ownership, Trusted};

/// What is in a place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// Nothing.
    Nothing,
    /// A regular file.
    File(Ownership),
    /// A symbolic link to there.
    Link(PathBuf),
    /// Something else.
    Other,
}

/// What is in a place now; links are not followed.
///
/// # Errors
/// When somebody else than whom we trust has a hand in the way to it, or it may be another's file.
pub(super) fn now(path: &Path, trusted: &Trusted) -> Result<Now, String> {
    let (folder, name) = match Folder::above(path, trusted) {
        Err(Refused::Missing { .. }) => return Ok(Now::Nothing),
        above => above?,
    };
    let Some(found) = folder.find(&name)? else { return Ok(Now::Nothing) };
    Ok(match found.kind() {
        Kind::File => {
            folder.judge(&found)?;
            Now::File(found.ownership())
        }
        Kind::Link => Now::Link(found.leads_to()?),
        Kind::Folder | Kind::Other => Now::Other,
    })
}

/// The bytes of the file in a place.
///
/// # Errors
/// As for [`now`], and when there is no file, or a larger one than a certificate's.
pub(super) fn bytes(path: &Path, trusted: &Trusted) -> Result<Vec<u8>, String> {
    let (folder, name) = Folder::above(path, trusted)?;
    let found = folder.file(&name)?.ok_or_else(|| format!("{} does not exist", path.display()))?;
    Ok(found.bytes(read::FILE_BYTES_MAX as u64)?)
}

/// The bytes of a file that is to be copied, links included that only root may have made.
///
/// # Errors
/// When it is not there, is larger than a certificate's, or somebody else than whom we trust can have put it there.
pub(super) fn source(path: &Path, trusted: &Trusted) -> Result<Vec<u8>, String> {
    let found = owned_path::follow(path, trusted)?;
    found.may_be_copied()?;
    Ok(found.bytes(read::FILE_BYTES_MAX as u64)?)
}

/// Writes a file beside its place.
///
/// # Errors
/// When the place is a symbolic link or no file, its folder does not exist or is not to be trusted, or writing fails.
pub(super) fn prepared(path: &Path, bytes: &[u8], ownership: Ownership, trusted: &Trusted) -> Result<Fresh, String> {
    match now(path, trusted)? {
        Now::Nothing | Now::File(_) => {}
        Now::Link(to) => {
            let to = to.display();
            return Err(format!("{} is a symbolic link to {to}: declare the place itself", path.display()));
        }
        Now::Other => return Err(format!("{} is there and is no file", path.display())),
    }
    let named = |why: Refused| format!("{}: {why}", path.display());
    let (folder, name) = Folder::above(path, trusted).map_err(named)?;
    Ok(Fresh::file(folder, &name, bytes, ownership)?)
}

/// A symbolic link beside its place.
///
/// # Errors
/// As for [`prepared`].
pub(super) fn prepared_link(path: &Path, to: &Path, trusted: &Trusted) -> Result<Fresh, String> {
    let (folder, name) = Folder::above(path, trusted)?;
    Ok(Fresh::link(folder, &name, to)?)
}

/// Takes away what is in a place.
///
/// # Errors
/// As for [`now`], and when the system refuses.
pub(super) fn remove(path: &Path, trusted: &Trusted) -> Result<(), String> {
    let (folder, name) = Folder::above(path, trusted)?;
    Ok(folder.remove(&name)?)
}
