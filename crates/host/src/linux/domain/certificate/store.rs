//! Where the agent keeps what belongs to a certificate, in its state directory: the renewed one that waits for its
//! deployment, what was replaced, when the issuer was asked. Only the agent's own user can read it.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::linux::owned_path::is_ours;

/// The folder of one certificate.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// The folder of the certificate with this name; made when it is missing.
    ///
    /// # Errors
    /// When the name could lead elsewhere, the folder cannot be made, or others may write in the state directory.
    pub(super) fn open(state_dir: &Path, name: &str) -> Result<Self, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(is_fine) {
            return Err(format!("`{}` is no name of a certificate", name.escape_debug()));
        }
        is_ours(state_dir)?;
        let folder = state_dir.join("certificates").join(name);
        private_dir(&folder)?;
        Ok(Self { folder })
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps a renewed certificate with its key until it is deployed.
    pub(super) fn stage(&self, chain: &str, key: &str) -> Result<(), String> {
        let fresh = self.path("staged.new");
        remove_dir(&fresh)?;
        private_dir(&fresh)?;
        write_private(&fresh.join("privkey.pem"), key.as_bytes())?;
        write_private(&fresh.join("fullchain.pem"), chain.as_bytes())?;
        self.unstage()?;
        rename(&fresh, &self.path("staged"))
    }

    /// The renewed certificate that waits, and its key.
    pub(super) fn staged(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let read = |name: &str| super::read::bytes(&self.path("staged").join(name)).ok();
        Some((read("fullchain.pem")?, read("privkey.pem")?))
    }

    /// Notes that a renewer has replaced the declared file, which nobody has taken over yet.
    pub(super) fn mark(&self, mark: Mark, text: &str) -> Result<(), String> {
        write_private(&self.path(mark.file()), text.as_bytes())
    }

    /// What a mark says, when it is there.
    pub(super) fn marked(&self, mark: Mark) -> Option<String> {
        let bytes = super::read::bytes(&self.path(mark.file())).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Takes a mark away.
    pub(super) fn unmark(&self, mark: Mark) -> Result<(), String> {
        let path = self.path(mark.file());
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(words(&path, &error)),
        }
    }

    /// Forgets the renewed certificate that waits.
    pub(super) fn unstage(&self) -> Result<(), String> {
        remove_dir(&self.path("staged"))
    }
}

/// Something that is remembered of a certificate between two actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A renewer replaced the declared file, and nobody has taken it over yet.
    Renewed,
    /// The one that was renewed last had to be put back, at this time (milliseconds since 1970).
    PutBack,
    /// A deployment is under way: what was kept before it is not back, and it is not known to work.
    Deploying,
    /// A renewer is under way, which writes the files itself.
    Renewing,
}

impl Mark {
    fn file(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::PutBack => "put-back",
            Self::Deploying => "deploying",
            Self::Renewing => "renewing",
        }
    }
}

fn words(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Makes a folder for the agent alone.
pub(super) fn private_dir(path: &Path) -> Result<(), String> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| words(path, &error))
}

/// Removes a folder of the store, when it is there.
pub(super) fn remove_dir(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(words(path, &error)),
    }
}

/// Renames within the store, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| words(to, &error))?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(|error| words(parent, &error))
}

/// Writes a file that only the agent's own user can read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let fresh = path.with_extension("tmp");
    let _ = fs::remove_file(&fresh);
    let mut options = fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| words(&fresh, &error))?;
    rename(&fresh, path)
}
