//! Whether a package manager is at work, told by the locks that it holds; no lock is taken to find out.

use std::{
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::aside::{self, Kind, Work};

/// Lock files of package managers, below the root.
const LOCKS: &[&str] =
    &["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/rpm/.rpm.lock", "usr/lib/sysimage/rpm/.rpm.lock"];
/// pacman's lock is a file that exists only while it works.
const PRESENCE: &[&str] = &["var/lib/pacman/db.lck"];
/// Longest wait for an answer.
const LOCKS_TIME: Duration = Duration::from_secs(2);
const LOCKS_BYTES_MAX: u64 = 256 * 1024;

/// Whether a package operation is in progress on the machine with this root.
///
/// The kernel is asked about each lock file: reading /proc/locks makes it wait for every processor, some 10 ms, so that
/// is only for a user who may not open the files.
#[must_use]
pub(super) fn is_changing(root: &Path) -> bool {
    PRESENCE.iter().any(|path| root.join(path).exists())
        || LOCKS.iter().any(|path| is_locked(root, &root.join(path)).unwrap_or(false))
}

/// The same, beside; a lock that nobody answers for keeps nothing from being mended.
pub(super) async fn is_changing_now(root: &Path) -> bool {
    let root = root.to_owned();
    let paths: Vec<PathBuf> = PRESENCE.iter().chain(LOCKS).map(|path| root.join(path)).collect();
    let work = Work::new(Kind::Look, "the package managers' locks").on(paths);
    aside::run(work, LOCKS_TIME, move || is_changing(&root)).await.unwrap_or(false)
}

fn is_locked(root: &Path, path: &PathBuf) -> io::Result<bool> {
    let file = match ansai_files::open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return is_listed(root, std::fs::metadata(path)?.ino());
        }
        opened => opened?,
    };
    let everything =
        Flock { start: 0, length: 0, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
    Ok(fcntl_getlk(file, &everything)?.is_some())
}

/// Whether a file with this inode is locked, by the kernel's list of locks.
pub(super) fn is_listed(root: &Path, inode: u64) -> io::Result<bool> {
    let locks = ansai_files::head_text(&root.join("proc/locks"), LOCKS_BYTES_MAX)?;
    Ok(locks.lines().filter_map(inode_of).any(|locked| locked == inode))
}

/// The inode in a line of /proc/locks: `1: POSIX  ADVISORY  WRITE 812 fe:00:1234 0 EOF`; waiting ones have `->`.
fn inode_of(line: &str) -> Option<u64> {
    let field = line.split_whitespace().find(|field| field.matches(':').count() == 2)?;
    field.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{BufRead, BufReader, Read},
        process::{Command, Stdio},
    };

    use rustix::fs::FlockOperation;

    use super::*;

    fn locks(line: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("proc")).expect("made");
        std::fs::write(root.path().join("proc/locks"), line).expect("written");
        root
    }

    #[test]
    fn a_listed_lock_is_found_by_its_inode() {
        let root = locks("1: POSIX  ADVISORY  WRITE 812 fe:00:1234 0 EOF\n");
        assert!(is_listed(root.path(), 1234).expect("readable"));
        assert!(!is_listed(root.path(), 1235).expect("readable"));
    }

    /// Record locks belong to a process, so the test runs itself once more as the one that holds the lock.
    #[test]
    fn a_lock_that_another_process_holds_is_seen_and_one_that_is_free_is_not() {
        const HELD: &str = "ANSAI_TEST_LOCK_TO_HOLD";
        if let Some(path) = std::env::var_os(HELD) {
            let file = File::options().write(true).open(path).expect("there");
            rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).expect("free");
            println!("\nheld");
            io::stdin().read_to_end(&mut Vec::new()).expect("readable");
            return;
        }
        let root = tempfile::tempdir().expect("a folder");
        let lock = root.path().join("var/lib/dpkg/lock");
        std::fs::create_dir_all(lock.parent().expect("a parent")).expect("made");
        std::fs::write(&lock, "").expect("written");
        assert!(!is_changing(root.path()));
        let mut holder = Command::new(std::env::current_exe().expect("known"))
            .args(["--nocapture", "a_lock_that_another_process_holds"])
            .env(HELD, &lock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs once more");
        let mut said = BufReader::new(holder.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert!(said.any(|line| line == "held"), "it says that it holds the lock");
        let while_held = is_changing(root.path());
        drop(holder.stdin.take());
        holder.wait().expect("it ends");
        assert!(while_held);
        assert!(!is_changing(root.path()));
    }
}
