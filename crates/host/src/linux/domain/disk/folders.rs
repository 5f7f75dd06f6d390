//! Where the room went: the largest directories and files of a filesystem, and where most was written lately.
//! A walk that is last in line for the disk, ends after a while, and stays on its filesystem.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use ansai_model::{time::Shown, units::ByteSize};
use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::linux::mounts;

/// Most entries that are looked at.
const ENTRIES_MAX: u64 = 2_000_000;
/// Directories that lie deeper are counted to the one above.
const DEPTH_MAX: usize = 5;
/// Most directories that are told apart; others are counted to the one above.
const FOLDERS_MAX: usize = 20_000;
/// Directories nested deeper are not looked into.
const NESTING_MAX: usize = 64;
/// Most directories, and most files, that are named.
const NAMED_MAX: usize = 6;
/// What is smaller is not named, but where that much is a good part of all.
const BYTES_MIN: u64 = 1 << 20;
/// What is smaller is named nowhere.
const BYTES_LEAST: u64 = 4 << 10;
/// A directory with fewer entries below is not named for them.
const ENTRIES_MIN: u64 = 1_000;
/// What counts as lately.
const LATELY: Duration = Duration::from_secs(24 * 3600);

/// What was found below a mount point.
#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    /// What is in each directory and below.
    sums: BTreeMap<PathBuf, Sum>,
    /// What all of it takes.
    all: Sum,
    /// Bytes of what is too small to be named.
    least: u64,
    /// The largest files, the least of them on top.
    files: BinaryHeap<Reverse<(u64, PathBuf)>>,
    entries: u64,
    /// Whether the walk ended before it had seen all.
    is_cut: bool,
}

/// What is in a directory and below.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    /// Of these in files that were written to lately.
    lately: u64,
    /// Names, each of which takes an inode or shares one.
    entries: u64,
}

struct Walk {
    folders: Folders,
    top: PathBuf,
    mount: u64,
    now: SystemTime,
    deadline: Instant,
}

/// Observes where the room went, until `deadline`. It blocks: give it a thread of its own.
pub(super) fn look(top: &Path, deadline: Instant) -> Folders {
    let mount = mount_of(top).unwrap_or(0);
    let now = SystemTime::now();
    // On a small one the hundredth part is much.
    let least = mounts::room_at(top).map_or(BYTES_MIN, |room| (room.used.0 / 100).clamp(BYTES_LEAST, BYTES_MIN));
    let folders = Folders { least, ..Folders::default() };
    let mut walk = Walk { folders, top: top.to_owned(), mount, now, deadline };
    walk.folders.all = walk.folder(top, 0);
    walk.folders
}

fn mount_of(folder: &Path) -> Option<u64> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    statx(rustix::fs::CWD, folder, flags, StatxFlags::MNT_ID).ok().map(|stat| stat.stx_mnt_id)
}

impl Walk {
    /// What is in a directory and below.
    fn folder(&mut self, folder: &Path, depth: usize) -> Sum {
        let mut sum = Sum::default();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            self.folders.entries += 1;
            if self.folders.entries >= ENTRIES_MAX || Instant::now() >= self.deadline {
                self.folders.is_cut = true;
                break;
            }
            let Ok(meta) = entry.metadata() else { continue };
            let bytes = meta.blocks().saturating_mul(512);
            let inner = if meta.is_dir() && depth < NESTING_MAX && mount_of(&entry.path()) == Some(self.mount) {
                let inner = self.folder(&entry.path(), depth + 1);
                Sum { bytes: inner.bytes + bytes, ..inner }
            } else if meta.is_file() {
                // One of several names takes its share only.
                let bytes = bytes / meta.nlink().max(1);
                self.folders.file(bytes, &entry);
                let age = meta.modified().ok().and_then(|at| self.now.duration_since(at).ok()).unwrap_or_default();
                Sum { bytes, lately: if age < LATELY { bytes } else { 0 }, entries: 0 }
            } else {
                Sum::default()
            };
            sum.bytes += inner.bytes;
            sum.lately += inner.lately;
            sum.entries += inner.entries + 1;
        }
        if depth <= DEPTH_MAX && self.folders.sums.len() < FOLDERS_MAX && folder != self.top {
            self.folders.sums.insert(folder.to_owned(), sum);
        }
        sum
    }
}

impl Folders {
    /// Keeps a file if it is among the largest.
    fn file(&mut self, bytes: u64, entry: &fs::DirEntry) {
        let least = self.files.peek().map_or(0, |Reverse((least, _))| *least);
        if bytes < self.least || (self.files.len() >= NAMED_MAX && bytes <= least) {
            return;
        }
        self.files.push(Reverse((bytes, entry.path())));
        if self.files.len() > NAMED_MAX {
            self.files.pop();
        }
    }

    /// In words: the largest, and those in which most was written lately; `None` when there is nothing to tell.
    pub(super) fn told(&self) -> Option<String> {
        let largest = self.top(self.least, |sum| sum.bytes);
        let lately = self.top(self.least, |sum| sum.lately);
        let most = self.top(ENTRIES_MIN, |sum| sum.entries);
        let mut files: Vec<_> = self.files.iter().map(|Reverse((bytes, path))| (path, *bytes)).collect();
        files.sort_by_key(|(_, bytes)| Reverse(*bytes));
        let list = |found: Vec<(&PathBuf, u64)>| {
            let named = found.into_iter().map(|(path, bytes)| format!("{} {}", ByteSize(bytes), path.display()));
            named.collect::<Vec<_>>().join(", ")
        };
        let lately_in = format!("in files written to within {}", Shown(LATELY));
        let lines = [("largest folders", largest), ("largest files", files), (&lately_in, lately)];
        let told = lines.into_iter().filter(|(_, found)| !found.is_empty());
        let mut told: Vec<String> = told.map(|(what, found)| format!("{what}: {}", list(found))).collect();
        if !most.is_empty() {
            let named = most.into_iter().map(|(path, entries)| format!("{entries} in {}", path.display()));
            told.push(format!("most files and folders: {}", named.collect::<Vec<_>>().join(", ")));
        }
        match (told.is_empty(), self.is_cut) {
            (true, true) => return None,
            (true, false) => told.push(format!(
                "all that is found there takes {}, and nothing of it much: what takes the rest of its room lies under \
                 another mount, or has no name",
                ByteSize(self.all.bytes)
            )),
            (false, true) => told.push("the walk was cut short, so there may be larger ones".to_owned()),
            (false, false) => {}
        }
        Some(told.join("\n"))
    }

    /// The largest directories by this figure, of at least so much. One that is large only for what a single one in it holds is not named,
    /// but that one.
    fn top(&self, least: u64, figure: impl Fn(&Sum) -> u64) -> Vec<(&PathBuf, u64)> {
        let heir = |path: &Path, bytes: u64| {
            let mut inside = self.sums.range(path.to_owned()..).take_while(|(inner, _)| inner.starts_with(path));
            inside.any(|(inner, sum)| inner.parent() == Some(path) && figure(sum) >= bytes / 10 * 8)
        };
        let mut found: Vec<(&PathBuf, u64)> = self.sums.iter().map(|(path, sum)| (path, figure(sum))).collect();
        found.retain(|(path, bytes)| *bytes >= least && !heir(path, *bytes));
        found.sort_by_key(|(_, bytes)| Reverse(*bytes));
        found.truncate(NAMED_MAX);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_named_where_the_room_is_taken_and_not_all_above() {
        let top = tempfile::tempdir().expect("a folder");
        let write = |path: &str, size: usize, days: u64| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(&path, vec![b'x'; size]).expect("written");
            let at = SystemTime::now() - Duration::from_secs(days * 86_400);
            fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(at)).expect("aged");
        };
        write("log/app/deep/a.log", 4 << 20, 30);
        write("log/app/deep/b.log", 4 << 20, 30);
        write("cache/new", 3 << 20, 0);
        write("small/file", 1000, 0);
        write("video", 5 << 20, 0);
        let told = look(top.path(), Instant::now() + Duration::from_secs(60)).told().expect("something");
        let lines: Vec<&str> = told.lines().collect();
        let [largest, files, lately] = lines[..] else { panic!("{told}") };
        assert!(largest.starts_with("largest folders: 8.0 MiB") && largest.contains("log/app/deep,"), "{told}");
        assert!(!largest.contains("small") && !lately.contains("deep") && lately.contains("cache"), "{told}");
        assert!(files.starts_with("largest files: 5.0 MiB") && files.contains("/video, 4.0 MiB"), "{told}");
        assert!(!files.contains("small"), "{told}");
        let cut = look(top.path(), Instant::now());
        assert!(cut.is_cut && cut.told().is_none());
    }

    #[test]
    fn where_no_file_is_large_it_is_told_how_many_there_are_and_that_nothing_takes_much() {
        let top = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(top.path().join("cache")).expect("made");
        let at = || Instant::now() + Duration::from_secs(60);
        let told = look(top.path(), at()).told().expect("that there is nothing");
        assert!(told.starts_with("all that is found there takes ") && told.contains("another mount"), "{told}");
        for number in 0..ENTRIES_MIN {
            fs::write(top.path().join(format!("cache/{number}")), "").expect("written");
        }
        let told = look(top.path(), at()).told().expect("something");
        assert!(told.starts_with("most files and folders: 1000 in ") && told.ends_with("/cache"), "{told}");
        // Of a small one what is small is named.
        fs::write(top.path().join("note"), vec![b'x'; 8 << 10]).expect("written");
        let folders = Folders { least: BYTES_LEAST, ..look(top.path(), at()) };
        assert!(folders.least <= BYTES_MIN);
        let mut walk = Walk {
            folders,
            top: top.path().into(),
            mount: mount_of(top.path()).unwrap_or(0),
            now: SystemTime::now(),
            deadline: at(),
        };
        walk.folder(top.path(), 0);
        let told = walk.folders.told().expect("something");
        assert!(told.contains("largest files: 8.0 KiB"), "{told}");
    }
}
