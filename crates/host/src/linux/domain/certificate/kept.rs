//! What was in the places before something else was put there, so that it can be put back: files with their owner and mode,
//! links with where they led, and places where nothing was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    place::{self, Now, Ownership, Trusted},
    read,
    store::{self, Mark, Store},
};

/// Most places of one certificate.
pub(super) const PLACES_MAX: usize = 128;

/// By which step something was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A renewer that writes the files itself.
    Renewal,
    /// Our deployment.
    Deployment,
}

impl By {
    fn folder(self) -> &'static str {
        match self {
            Self::Renewal => "kept-renewal",
            Self::Deployment => "kept-deployment",
        }
    }

    /// Whose the ways may be. What a renewer writes lies where it is declared, and gets back what was there: that harms
    /// nobody but the owner of that place.
    fn trusted(self, users: &[u32]) -> Trusted {
        match self {
            Self::Renewal => Trusted::own().and_one_other(),
            Self::Deployment => Trusted::own().and(users.iter().copied()),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    was: Was,
    /// Whose the way to it may be, besides root's and ours.
    #[serde(default)]
    users: Vec<u32>,
}

impl Entry {
    fn trusted(&self, by: By) -> Trusted {
        by.trusted(&self.users)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Was {
    Nothing,
    File { uid: u32, gid: u32, mode: u32 },
    Link { to: PathBuf },
}

/// Keeps what is in these places now; what was kept by the same step before is forgotten. The ways to them may belong to
/// these users.
pub(super) fn keep(store: &Store, by: By, paths: &[PathBuf], users: &[u32]) -> Result<(), String> {
    if paths.len() > PLACES_MAX {
        return Err(format!("{} places are more than the {PLACES_MAX} that are kept", paths.len()));
    }
    let fresh = store.path("kept.new");
    store::remove_dir(&fresh)?;
    store::private_dir(&fresh)?;
    let mut entries = Vec::new();
    let trusted = by.trusted(users);
    for (index, path) in paths.iter().enumerate() {
        let was = match place::now(path, &trusted)? {
            Now::Nothing => Was::Nothing,
            Now::Link(to) => Was::Link { to },
            Now::Other => return Err(format!("{} is there and is no file", path.display())),
            Now::File(Ownership { uid, gid, mode }) => {
                let bytes = place::bytes(path, &trusted)?;
                store::write_private(&fresh.join(index.to_string()), &bytes)?;
                Was::File { uid, gid, mode }
            }
        };
        entries.push(Entry { path: path.clone(), was, users: users.to_vec() });
    }
    let index = serde_json::to_vec(&entries).map_err(|error| error.to_string())?;
    store::write_private(&fresh.join("index.json"), &index)?;
    forget(store, by)?;
    store::rename(&fresh, &store.path(by.folder()))
}

/// Puts back what was left halfway when the host or the agent went down in the middle. Without this it would be taken for
/// what was there before, and the certificate that worked would be forgotten.
pub(super) fn recover(store: &Store) -> Result<(), String> {
    for (mark, by) in [(Mark::Deploying, By::Deployment), (Mark::Renewing, By::Renewal)] {
        if store.marked(mark).is_some() {
            put_back(store, by)?;
            store.unmark(mark)?;
        }
    }
    Ok(())
}

/// Forgets what was kept.
pub(super) fn forget(store: &Store, by: By) -> Result<(), String> {
    store::remove_dir(&store.path(by.folder()))
}

fn entries(folder: &Path) -> Result<Vec<Entry>, String> {
    match read::bytes(&folder.join("index.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", folder.display())),
        Err(read::LoadError::Missing) => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}

/// What was in a place, or where it led, before one of the steps replaced it.
pub(super) fn replaced(store: &Store, path: &Path) -> Option<Replaced> {
    [By::Deployment, By::Renewal].into_iter().find_map(|by| {
        let folder = store.path(by.folder());
        let entries = entries(&folder).ok()?;
        let index = entries.iter().position(|entry| entry.path == path)?;
        match &entries[index].was {
            Was::Nothing => None,
            Was::File { .. } => read::bytes(&folder.join(index.to_string())).ok().map(Replaced::Bytes),
            Was::Link { to } => Some(Replaced::Link(path.parent()?.join(to))),
        }
    })
}

/// What was in a place.
#[derive(Debug)]
pub(super) enum Replaced {
    /// A file with these bytes.
    Bytes(Vec<u8>),
    /// A link to this file.
    Link(PathBuf),
}

/// Puts everything back that a step replaced, and forgets it. Says which places changed.
pub(super) fn put_back(store: &Store, by: By) -> Result<Vec<String>, String> {
    let folder = store.path(by.folder());
    let mut prepared = Vec::new();
    let mut removed = Vec::new();
    for (index, entry) in entries(&folder)?.iter().enumerate() {
        let (path, trusted) = (&entry.path, entry.trusted(by));
        match (&entry.was, place::now(path, &trusted)?) {
            (Was::Nothing, Now::Nothing) => {}
            (Was::Nothing, Now::File(_) | Now::Link(_)) => removed.push((path.clone(), trusted)),
            (Was::Link { to }, Now::Link(now)) if *to == now => {}
            (Was::Link { to }, _) => prepared.push(place::prepared_link(path, to, &trusted)?),
            (Was::File { uid, gid, mode }, now) => {
                let kept = folder.join(index.to_string());
                let bytes = read::bytes(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
                let ownership = Ownership { uid: *uid, gid: *gid, mode: *mode };
                let is_same = || place::bytes(path, &trusted).is_ok_and(|found| found == bytes);
                if now != Now::File(ownership) || !is_same() {
                    prepared.push(place::prepared(path, &bytes, ownership, &trusted)?);
                }
            }
            (Was::Nothing, Now::Other) => return Err(format!("{} is there and is no file", path.display())),
        }
    }
    let mut changed = Vec::new();
    for file in prepared {
        changed.push(file.path().display().to_string());
        file.commit()?;
    }
    for (path, trusted) in removed {
        place::remove(&path, &trusted)?;
        changed.push(path.display().to_string());
    }
    forget(store, by)?;
    Ok(changed)
}

/// The certificate that was replaced last, and its place: the first kept file that holds one.
pub(super) fn replaced_certificate(store: &Store) -> Option<(PathBuf, Replaced)> {
    [By::Deployment, By::Renewal].into_iter().find_map(|by| {
        let entries = entries(&store.path(by.folder())).ok()?;
        entries.into_iter().find_map(|entry| {
            let replaced = replaced(store, &entry.path)?;
            let bytes = match &replaced {
                Replaced::Bytes(bytes) => bytes.clone(),
                Replaced::Link(to) => read::bytes(to).ok()?,
            };
            read::parse(&bytes).ok().map(|_| (entry.path, replaced))
        })
    })
}

/// Whether something was put where nothing was before, and nothing else was done.
pub(super) fn is_of_nothing(store: &Store) -> bool {
    let of = |by: By| entries(&store.path(by.folder()));
    let (Ok(deployed), Ok(renewed)) = (of(By::Deployment), of(By::Renewal)) else { return false };
    let mut entries = deployed.iter().chain(&renewed).peekable();
    entries.peek().is_some() && entries.all(|entry| matches!(entry.was, Was::Nothing))
}

/// The places of which something is kept.
pub(super) fn paths(store: &Store) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for by in [By::Deployment, By::Renewal] {
        paths.extend(entries(&store.path(by.folder()))?.into_iter().map(|entry| entry.path));
    }
    Ok(paths)
}
