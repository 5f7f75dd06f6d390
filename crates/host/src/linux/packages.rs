//! Whether a package manager is at work, told by the locks that it holds; no lock is taken to find out.

use std::{
    fmt,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::time::WallTime;
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::{
    aside::{self, Kind, Work},
    clock::wall_now,
};

/// Lock files of package managers, below the root.
const LOCKS: &[&str] =
    &["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/rpm/.rpm.lock", "usr/lib/sysimage/rpm/.rpm.lock"];
/// pacman's lock is a file that exists only while it works.
const PRESENCE: &[&str] = &["var/lib/pacman/db.lck"];
/// Longest wait for an answer.
const LOCKS_TIME: Duration = Duration::from_secs(2);
const LOCKS_BYTES_MAX: u64 = 256 * 1024;
/// Longest file of a process that is read.
const PROC_BYTES_MAX: u64 = 4096;
/// The unit of times in /proc, the same on every Linux that has systemd.
const TICKS_PER_SECOND: u64 = 100;
/// Most files of a unit that are looked at.
const PATHS_MAX: usize = 16;
/// So long what changes packages may be at work before it keeps nobody down whose files it did not change.
const AT_WORK_MAX: Duration = Duration::from_secs(10 * 60);
/// So long after the last change of its files a unit is left to those who change them.
const CHANGED_LATELY: Duration = Duration::from_secs(3600);

/// Whether a package operation is in progress on the machine with this root.
///
/// The kernel is asked about each lock file: reading /proc/locks makes it wait for every processor, some 10 ms, so that
/// is only for a user who may not open the files.
#[must_use]
pub(super) fn is_changing(root: &Path) -> bool {
    PRESENCE.iter().any(|path| root.join(path).exists())
        || LOCKS.iter().any(|path| holder_of(root, &root.join(path)).is_ok_and(|holder| holder.is_some()))
}

/// A package operation under way: who holds which lock, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    lock: &'static str,
    /// Who holds it: pid and name. pacman's lock says nobody.
    holder: Option<(u32, String)>,
    /// When the first of those who hold a lock began.
    since: Option<WallTime>,
    /// When the one began that changes files at this moment; a front end may wait, ask, download or hang.
    at_work_since: Option<WallTime>,
}

impl Operation {
    /// Whether it may be why a unit is down whose file and programs were last changed then.
    ///
    /// Everything that it says no to is mended while the lock is held: whoever hangs with it must not keep a service down
    /// that it never touched, and nobody keeps one down for ever.
    pub(super) fn concerns(&self, changed: Option<WallTime>, now: WallTime) -> bool {
        let is_part =
            |changed: WallTime| self.since.is_none_or(|since| changed >= since) && now.since(changed) < CHANGED_LATELY;
        let is_young = self.at_work_since.is_some_and(|since| now.since(since) < AT_WORK_MAX);
        is_young || changed.is_some_and(is_part)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            Some((pid, name)) => write!(f, "/{} is held by {name} (pid {pid})", self.lock)?,
            None => write!(f, "/{} is there", self.lock)?,
        }
        let shown = self.since.and_then(|since| jiff::Timestamp::from_millisecond(since.0 / 1000 * 1000).ok());
        match shown {
            Some(since) => write!(f, ", which runs since {since}"),
            None => Ok(()),
        }
    }
}

/// The package operation that is under way, when there is one; a lock that nobody answers for keeps nothing from being
/// mended.
pub(super) async fn under_way_now(root: &Path) -> Option<Operation> {
    let root = root.to_owned();
    let paths: Vec<PathBuf> = PRESENCE.iter().chain(LOCKS).map(|path| root.join(path)).collect();
    let work = Work::new(Kind::Look, "the package managers' locks").on(paths);
    aside::run(work, LOCKS_TIME, move || under_way(&root)).await.unwrap_or_default()
}

fn under_way(root: &Path) -> Option<Operation> {
    let mut found: Option<Operation> = None;
    for lock in PRESENCE {
        let Ok(metadata) = std::fs::metadata(root.join(lock)) else { continue };
        let since = Some(WallTime(metadata.mtime().saturating_mul(1000)));
        found = Some(Operation { lock, holder: None, since, at_work_since: since });
    }
    for lock in LOCKS {
        let Ok(Some(pid)) = holder_of(root, &root.join(lock)) else { continue };
        let since = began(root, pid);
        let at_work_since = since.filter(|_| !lock.ends_with("lock-frontend"));
        let Some(before) = &mut found else {
            let holder = Some((pid, name_of(root, pid)));
            found = Some(Operation { lock, holder, since, at_work_since });
            continue;
        };
        before.since = before.since.min(since);
        before.at_work_since = before.at_work_since.or(at_work_since);
    }
    found
}

/// When the last of these files was changed, by the kernel's own stamp: a package sets the others as it likes.
pub(super) async fn changed_now(root: &Path, paths: Vec<PathBuf>) -> Option<WallTime> {
    let paths: Vec<PathBuf> =
        paths.iter().map(|path| root.join(path.strip_prefix("/").unwrap_or(path))).take(PATHS_MAX).collect();
    let name = paths.first().map(|path| format!("the last change of {}", path.display())).unwrap_or_default();
    let work = Work::new(Kind::Look, name).on(&paths);
    let stamps = move || paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.ctime()).max();
    let last = aside::run(work, LOCKS_TIME, stamps).await.ok().flatten()?;
    Some(WallTime(last.saturating_mul(1000)))
}

/// When a process began.
fn began(root: &Path, pid: u32) -> Option<WallTime> {
    let age = i64::try_from(age(root, pid)?.as_millis()).ok()?;
    Some(WallTime(wall_now().0.saturating_sub(age)))
}

/// How long ago a process began.
pub(super) fn age(root: &Path, pid: u32) -> Option<Duration> {
    let read = |path: String| ansai_files::head_text(&root.join(path), PROC_BYTES_MAX).ok();
    let stat = read(format!("proc/{pid}/stat"))?;
    // The name in parentheses may hold anything, so the fields are counted after its end: the start is the 22nd.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = read("proc/uptime".to_owned())?.split_whitespace().next()?.parse().ok()?;
    let began = Duration::from_millis(ticks.saturating_mul(1000) / TICKS_PER_SECOND);
    Some(Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(began))
}

fn name_of(root: &Path, pid: u32) -> String {
    let name = ansai_files::head_text(&root.join(format!("proc/{pid}/comm")), PROC_BYTES_MAX).unwrap_or_default();
    if name.trim().is_empty() { "somebody".to_owned() } else { name.trim().to_owned() }
}

/// Who holds the lock of a file; nobody, when it is free.
fn holder_of(root: &Path, path: &PathBuf) -> io::Result<Option<u32>> {
    let file = match ansai_files::open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let inode = std::fs::metadata(path)?.ino();
            return Ok(listed(root)?.lines().find(|line| inode_of(line) == Some(inode)).map(pid_in));
        }
        opened => opened?,
    };
    let everything =
        Flock { start: 0, length: 0, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
    // One that belongs to no process, or to one that cannot be seen from here, has no pid.
    let pid = |lock: Flock| lock.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()).unwrap_or(0);
    Ok(fcntl_getlk(file, &everything)?.map(pid))
}

/// Whether a file with this inode is locked, by the kernel's list of locks.
pub(super) fn is_listed(root: &Path, inode: u64) -> io::Result<bool> {
    Ok(listed(root)?.lines().filter_map(inode_of).any(|locked| locked == inode))
}

fn listed(root: &Path) -> io::Result<String> {
    Ok(ansai_files::head_text(&root.join("proc/locks"), LOCKS_BYTES_MAX)?)
}

/// The pid in such a line, before the inode; 0 when it has none.
fn pid_in(line: &str) -> u32 {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let place = fields.iter().position(|field| field.matches(':').count() == 2).unwrap_or_default();
    place.checked_sub(1).and_then(|before| fields.get(before)?.parse().ok()).unwrap_or_default()
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

    fn at(minute: i64) -> WallTime {
        WallTime(minute * 60_000)
    }

    #[test]
    fn w06_a_run_that_hangs_shields_what_it_changed_for_a_while_and_nothing_else() {
        let front_end = Operation {
            lock: LOCKS[0],
            holder: Some((812, "unattended-upgr".to_owned())),
            since: Some(at(100)),
            at_work_since: None,
        };
        let untouched = Some(at(99));
        assert!(!front_end.concerns(untouched, at(101)), "it was changed before the run");
        assert!(!front_end.concerns(None, at(101)), "nothing of it is known");
        assert!(front_end.concerns(Some(at(105)), at(130)), "its program was replaced in the run");
        assert!(!front_end.concerns(Some(at(105)), at(166)), "an hour ago");
        let at_work = Operation { at_work_since: Some(at(104)), ..front_end.clone() };
        assert!(at_work.concerns(untouched, at(105)), "dpkg runs: what it does next is not known");
        assert!(!at_work.concerns(untouched, at(115)), "and not for ever");
        let said = front_end.to_string();
        assert_eq!(
            said,
            "/var/lib/dpkg/lock-frontend is held by unattended-upgr (pid 812), which runs since 1970-01-01T01:40:00Z"
        );
    }

    #[test]
    fn w06_a_lock_file_that_was_left_behind_shields_nothing_for_long() {
        let root = tempfile::tempdir().expect("a folder");
        let lock = root.path().join(PRESENCE[0]);
        std::fs::create_dir_all(lock.parent().expect("a parent")).expect("made");
        std::fs::write(&lock, "").expect("written");
        let left = under_way(root.path()).expect("it is there");
        let now = wall_now();
        let later = now.plus(Duration::from_secs(700));
        assert_eq!((left.concerns(None, now), left.concerns(None, later)), (true, false), "{left}");
    }

    #[test]
    fn a_listed_lock_is_found_by_its_inode() {
        let root = locks("1: POSIX  ADVISORY  WRITE 812 fe:00:1234 0 EOF\n");
        assert!(is_listed(root.path(), 1234).expect("readable"));
        assert!(!is_listed(root.path(), 1235).expect("readable"));
        assert_eq!(pid_in("1: POSIX  ADVISORY  WRITE 812 fe:00:1234 0 EOF"), 812);
        assert_eq!(pid_in("fe:00:1234"), 0);
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
        let (while_held, pid) = (is_changing(root.path()), holder_of(root.path(), &lock));
        drop(holder.stdin.take());
        holder.wait().expect("it ends");
        assert!(while_held);
        assert_eq!(pid.expect("asked"), Some(holder.id()));
        assert!(!is_changing(root.path()));
    }
}
