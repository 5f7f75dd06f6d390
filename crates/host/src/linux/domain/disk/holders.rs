//! Files that were deleted and still take room, because somebody has them open: who, and how much.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ansai_model::units::ByteSize;
use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::linux::port_owner::{Owner, owner};

const PROCESSES_MAX: usize = 65_536;
/// Most descriptors of one process that are looked at.
const OPEN_MAX: usize = 65_536;
/// Most deleted files that are told apart.
const FILES_MAX: usize = 4096;
/// Most that are named.
const NAMED_MAX: usize = 8;

/// A deleted file that is still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: u64,
    /// The name that it had.
    pub(super) name: PathBuf,
    pub(super) holder: Owner,
}

/// The deleted files of a filesystem that somebody has open, the largest first.
pub(super) fn held(root: &Path, place: &Path) -> Vec<Held> {
    let Ok(top) = statx(rustix::fs::CWD, place, AtFlags::empty(), StatxFlags::BASIC_STATS) else { return Vec::new() };
    let device = (top.stx_dev_major, top.stx_dev_minor);
    let mut found: BTreeMap<u64, Held> = BTreeMap::new();
    let own = fs::canonicalize(root.join("proc/self")).ok();
    let processes = fs::read_dir(root.join("proc")).into_iter().flatten().flatten().take(PROCESSES_MAX);
    for dir in processes.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())) {
        let dir = dir.path();
        // What we hold open ourselves is a copy that is being compressed at this moment.
        if fs::canonicalize(&dir).ok() == own {
            continue;
        }
        let open = fs::read_dir(dir.join("fd")).into_iter().flatten().flatten().take(OPEN_MAX);
        for descriptor in open {
            let Some((inode, bytes, name)) = deleted(&descriptor.path(), device) else { continue };
            if found.len() < FILES_MAX || found.contains_key(&inode) {
                let pid = dir.file_name().and_then(|pid| pid.to_str()?.parse().ok()).unwrap_or(0);
                found.entry(inode).or_insert_with(|| Held { bytes, name, holder: owner(&dir, pid) });
            }
        }
    }
    let mut found: Vec<Held> = found.into_values().collect();
    found.sort_by_key(|held| std::cmp::Reverse(held.bytes));
    found
}

/// The inode, the room and the former name of an open file that was deleted from this device.
fn deleted(descriptor: &Path, device: (u32, u32)) -> Option<(u64, u64, PathBuf)> {
    let name = fs::read_link(descriptor).ok()?;
    let name = name.to_str()?.strip_suffix(" (deleted)")?.to_owned();
    let stat = statx(rustix::fs::CWD, descriptor, AtFlags::empty(), StatxFlags::BASIC_STATS).ok()?;
    let is_there = (stat.stx_dev_major, stat.stx_dev_minor) == device && stat.stx_nlink == 0;
    is_there.then(|| (stat.stx_ino, stat.stx_blocks.saturating_mul(512), name.into()))
}

/// In words; `None` when there is nothing worth telling.
pub(super) fn told(held: &[Held]) -> Option<String> {
    let all: u64 = held.iter().map(|held| held.bytes).sum();
    if all == 0 {
        return None;
    }
    let line = |held: &Held| {
        let unit = held.holder.unit.as_deref().unwrap_or("no unit");
        let (bytes, name) = (ByteSize(held.bytes), held.name.display());
        format!("{bytes} of {name}, held open by pid {} ({}, {unit})", held.holder.pid, held.holder.name)
    };
    let mut lines = vec![format!(
        "{} are taken by {} deleted files that are still open; they become free when their holder is restarted or \
         reopens its logs",
        ByteSize(all),
        held.len()
    )];
    lines.extend(held.iter().take(NAMED_MAX).map(line));
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, process::Command};

    use super::*;

    #[test]
    fn a_deleted_file_that_is_open_is_found_with_its_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gone.log");
        let mut file = fs::File::create(&path).expect("made");
        file.write_all(&[b'x'; 100_000]).and_then(|()| file.sync_all()).expect("written");
        assert!(!held(Path::new("/"), folder.path()).iter().any(|held| held.name == path));
        fs::remove_file(&path).expect("deleted");
        let is_held = |name: &Path| held(Path::new("/"), folder.path()).iter().any(|held| held.name == name);
        assert!(!is_held(&path), "what we hold open ourselves is no news");
        let mut holder = Command::new("sleep").arg("600").stdin(file).spawn().expect("begun");
        let found = held(Path::new("/"), folder.path());
        holder.kill().and_then(|()| holder.wait()).expect("ended");
        let theirs = found.iter().find(|held| held.name == path).expect("found");
        assert_eq!(theirs.holder.pid, holder.id());
        assert!(theirs.bytes >= 100_000, "{theirs:?}");
        let told = told(std::slice::from_ref(theirs)).expect("worth telling");
        assert!(told.contains("gone.log, held open by pid"), "{told}");
    }
}
