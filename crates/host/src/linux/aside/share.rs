//! On which mounts a path may hang, so that each mount has its own share of the threads.
//!
//! Links are followed by hand and only where the filesystem answers at once: this host's root, without which no program
//! runs at all, and what lies in memory. Where a path steps onto anything else, that is whose share it is.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    fmt,
    fs::File,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Kind;
use crate::linux::mounts;

/// Pieces of work of one kind on one mount.
const MOUNT_PLACES: usize = 4;
/// Pieces of work on all mounts together.
const MOUNTS_PLACES: usize = 128;
/// Pieces of work on the root's own files.
const ROOT_PLACES: usize = 64;
/// Names that are asked for at once.
const NAME_PLACES: usize = 64;
/// How long the table of mounts is believed when the kernel does not say whether it has changed.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is believed when the kernel says that nothing has.
const BELIEVED: Duration = Duration::from_secs(60);
/// Most links on the way of one path, as the kernel has it.
const LINKS_MAX: usize = 40;
/// Filesystems that live in memory or are the kernel's own.
const AT_ONCE: &[&str] = &[
    "tmpfs",
    "ramfs",
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "hugetlbfs",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "configfs",
    "pstore",
];

/// Whose places a piece of work takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    Root,
    Names,
    AllMounts,
    Mount(String, &'static str),
}

impl Share {
    pub(super) fn places(&self) -> usize {
        match self {
            Self::Root => ROOT_PLACES,
            Self::Names => NAME_PLACES,
            Self::AllMounts => MOUNTS_PLACES,
            Self::Mount(..) => MOUNT_PLACES,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("too much of this host"),
            Self::Names => f.write_str("the resolver of names"),
            Self::AllMounts => f.write_str("too much of what is mounted"),
            Self::Mount(path, _) => write!(f, "the mount {path}"),
        }
    }
}

/// The shares of these paths, each once and in order. With `held` the mounts of those shares are looked into as well:
/// their own thread may do so.
pub(super) fn of(kind: Kind, paths: &[PathBuf], held: &[Share]) -> Vec<Share> {
    if kind == Kind::Name {
        return vec![Share::Names];
    }
    let table = table();
    let is_held = |mount: &str| held.iter().any(|share| matches!(share, Share::Mount(path, _) if path == mount));
    let mut shares = held.to_vec();
    for path in paths {
        let stop = |mount: &str, is_at_once: bool| !is_at_once && !is_held(mount);
        shares.extend(leads_to(path, &table, stop).map(|mount| Share::Mount(mount, word(kind))));
    }
    if shares.iter().any(|share| matches!(share, Share::Mount(..))) {
        shares.retain(|share| *share != Share::Root);
        shares.push(Share::AllMounts);
    } else {
        shares.push(Share::Root);
    }
    shares.sort();
    shares.dedup();
    shares
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Look => "look",
        Kind::Act => "act",
        Kind::Gather => "gather",
        Kind::Start => "start",
        Kind::Name => "name",
        Kind::Own => "own",
    }
}

/// Where something is mounted, and whether it answers at once.
type Table = BTreeMap<PathBuf, bool>;

/// What is known of the mounts.
struct Known {
    table: Arc<Table>,
    read: Instant,
    /// The list of the mounts, by which the kernel says that it has changed; none when it could not be opened.
    list: Option<File>,
}

impl Known {
    fn read() -> Self {
        // Opened before it is read: what changes in between is a change.
        let list = File::open("/proc/self/mountinfo").ok();
        // Without a table everything counts as the root's, which has places of its own.
        let mounts = mounts::read(Path::new("/")).unwrap_or_default();
        let entry = |mount: mounts::Mount| {
            let is_at_once = mount.path == "/" || AT_ONCE.contains(&mount.kind.as_str());
            (PathBuf::from(mount.path), is_at_once)
        };
        Self { table: Arc::new(mounts.into_iter().map(entry).collect()), read: Instant::now(), list }
    }

    /// Whether it still holds: for a while by itself, and for longer when the kernel says that nothing has changed.
    fn holds(&self) -> bool {
        let age = self.read.elapsed();
        match &self.list {
            Some(list) => age < BELIEVED && !has_changed(list),
            None => age < FRESH,
        }
    }
}

/// Whether the kernel says that a mount has come or gone since the list was opened, or does not say.
fn has_changed(list: &File) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut [PollFd::new(list, PollFlags::PRI)], Some(&at_once)), Ok(0))
}

fn table() -> Arc<Table> {
    static LAST: Mutex<Option<Known>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let known = match last.take() {
        Some(known) if known.holds() => known,
        _ => Known::read(),
    };
    Arc::clone(&last.insert(known).table)
}

/// The first mount on the way of a path that is to be stopped at; nothing of it is touched.
fn leads_to(path: &Path, table: &Table, stop: impl Fn(&str, bool) -> bool) -> Option<String> {
    let mut left: VecDeque<OsString> = parts(path).collect();
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        if let Some((mount, is_at_once)) = table.get_key_value(&next)
            && let Some(mount) = mount.to_str().filter(|mount| stop(mount, *is_at_once))
        {
            return Some(mount.to_owned());
        }
        // The magic links of processes lead where no text says, and their owners may be anywhere.
        let to = if at.starts_with("/proc") { None } else { std::fs::read_link(&next).ok() };
        match to {
            Some(to) if links < LINKS_MAX => {
                links += 1;
                if to.is_absolute() {
                    at = PathBuf::from("/");
                }
                for part in parts(&to).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(part);
                }
            }
            Some(_) => return None,
            // A file, a folder, or nothing yet.
            None => at = next,
        }
    }
    None
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each path stops, with a remote mount at `FOLDER/remote` and a disk at `FOLDER/disk`.
    fn check(path: &str, held: &[&str], stops: Option<&str>) {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("there");
        for name in ["remote", "disk", "plain"] {
            std::fs::create_dir(top.join(name)).expect("made");
        }
        let link = |name: &str, to: &str| std::os::unix::fs::symlink(to, top.join(name)).expect("linked");
        link("relative", "plain/../remote/x");
        link("absolute", top.join("remote").to_str().expect("text"));
        link("loop", "loop");
        link("disk/away", "../remote");
        let table = [("remote", false), ("disk", false), ("plain", true)];
        let table = table.into_iter().map(|(name, is_at_once)| (top.join(name), is_at_once)).collect();
        let is_held = |mount: &str| held.iter().any(|name| top.join(name).to_str() == Some(mount));
        let found = leads_to(&top.join(path), &table, |mount, is_at_once| !is_at_once && !is_held(mount));
        let expected = stops.map(|name| top.join(name).to_str().expect("text").to_owned());
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_path_is_followed_to_the_first_mount_that_may_hang() {
        check("remote", &[], Some("remote"));
        check("remote/a/b", &[], Some("remote"));
        check("plain/a", &[], None);
        check("missing/remote", &[], None);
        check("plain/../remote", &[], Some("remote"));
        check("relative/a", &[], Some("remote"));
        check("absolute", &[], Some("remote"));
        check("loop/a", &[], None);
        check("disk/away/a", &[], Some("disk"));
        check("disk/away/a", &["disk"], Some("remote"));
        check("disk/other", &["disk"], None);
    }

    /// A filesystem on a folder, gone with it; none without the privilege.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn run(folder: &Path, program: &str, arguments: &[&str]) -> bool {
            let done = std::process::Command::new(program).args(arguments).arg(folder).status();
            done.is_ok_and(|done| done.success())
        }

        fn new() -> Option<Self> {
            let folder = tempfile::tempdir().expect("a folder");
            Self::run(folder.path(), "mount", &["-t", "tmpfs", "none"]).then_some(Self(folder))
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            Self::run(self.0.path(), "umount", &[]);
        }
    }

    #[test]
    fn a_mount_is_known_at_once_and_what_has_not_changed_is_not_read_again() {
        let kept = || {
            let (before, after) = (table(), table());
            Arc::ptr_eq(&before, &after)
        };
        // Other tests mount as well.
        assert!((0..100).any(|_| kept()));
        let Some(mounted) = Mounted::new() else { return };
        let folder = mounted.0.path().canonicalize().expect("there");
        assert_eq!(table().get(&folder), Some(&true));
        drop(mounted);
        assert_eq!(table().get(&folder), None);
    }

    #[test]
    fn what_lies_on_the_root_takes_no_place_of_a_mount() {
        assert_eq!(of(Kind::Look, &["/proc/self/stat".into()], &[]), [Share::Root]);
        assert_eq!(of(Kind::Name, &[], &[]), [Share::Names]);
        let held = [Share::AllMounts, Share::Mount("/mnt".into(), "look")];
        assert_eq!(of(Kind::Look, &["/".into()], &held), held);
    }
}
