//! Whether a package manager is at work, told by the locks that it holds; no lock is taken to find out.

use std::{io::Read, os::unix::fs::MetadataExt, path::Path};

/// Lock files of package managers, below the root.
const LOCKS: &[&str] =
    &["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/rpm/.rpm.lock", "usr/lib/sysimage/rpm/.rpm.lock"];
/// pacman's lock is a file that exists only while it works.
const PRESENCE: &[&str] = &["var/lib/pacman/db.lck"];
const LOCKS_BYTES_MAX: u64 = 256 * 1024;

/// Whether a package operation is in progress on the machine with this root.
#[must_use]
pub(super) fn is_changing(root: &Path) -> bool {
    if PRESENCE.iter().any(|path| root.join(path).exists()) {
        return true;
    }
    let inodes: Vec<u64> =
        LOCKS.iter().filter_map(|path| std::fs::metadata(root.join(path)).ok()).map(|meta| meta.ino()).collect();
    if inodes.is_empty() {
        return false;
    }
    let mut locks = String::new();
    let Ok(file) = std::fs::File::open(root.join("proc/locks")) else { return false };
    if file.take(LOCKS_BYTES_MAX).read_to_string(&mut locks).is_err() {
        return false;
    }
    locks.lines().filter_map(inode_of).any(|inode| inodes.contains(&inode))
}

/// The inode in a line of /proc/locks: `1: POSIX  ADVISORY  WRITE 812 fe:00:1234 0 EOF`; waiting ones have `->`.
fn inode_of(line: &str) -> Option<u64> {
    let field = line.split_whitespace().find(|field| field.matches(':').count() == 2)?;
    field.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_found_by_its_inode() {
        let root = tempfile::tempdir().expect("a folder");
        let lock = root.path().join("var/lib/dpkg/lock");
        std::fs::create_dir_all(lock.parent().expect("a parent")).expect("made");
        std::fs::create_dir_all(root.path().join("proc")).expect("made");
        std::fs::write(&lock, "").expect("written");
        let inode = std::fs::metadata(&lock).expect("there").ino();
        let write = |inode: u64| {
            let line = format!("1: POSIX  ADVISORY  WRITE 812 fe:00:{inode} 0 EOF\n");
            std::fs::write(root.path().join("proc/locks"), line).expect("written");
        };
        write(inode);
        assert!(is_changing(root.path()));
        write(inode + 1);
        assert!(!is_changing(root.path()));
    }
}
