//! A walk over all files beneath a declared directory, by a few threads, with memory that does not grow with the tree:
//! directories are read as a stream, and no more than a fixed number of them is open.

use std::{
    collections::BTreeMap,
    ffi::CStr,
    mem::MaybeUninit,
    sync::{Condvar, Mutex, PoisonError},
};

use rustix::fs::{FileType, RawDir};

use super::{
    scope::{Declared, Dir, Left, Scope},
    seen::Seen,
    sweep::{Pace, Progress},
};
use crate::linux::kernel;

/// Deeper directories are left alone.
const DEPTH_MAX: usize = 64;
/// Most directories that wait, opened, for a thread.
const WAITING_MAX: usize = 32;
/// How much of a directory is read at once.
const BUFFER: usize = 32 * 1024;
/// Most files that are put in order at once.
const BATCH: usize = 2048;
/// After how many files it is asked whether the time is over.
const CLOCK: usize = 16;

/// What is done with each file; each thread has its own.
pub(super) trait Visit: Send {
    /// A name that is a regular file or may be one, with its inode as the directory has it.
    fn file(&mut self, dir: &Dir, name: &CStr, inode: u64);

    /// The files of a directory that were read so far are done.
    fn pause(&mut self) {}

    /// A directory that is not entered.
    fn left(&mut self, dir: &Dir, name: &CStr, why: Left);
}

/// The directories that wait, and how many threads are at work: when none is, and none waits, all is done.
struct Queue {
    state: Mutex<(Vec<Dir>, usize)>,
    changed: Condvar,
}

/// Walks over everything beneath a directory, with one thread for each visitor.
pub(super) fn walk<V: Visit>(
    scope: &Scope,
    declared: &Declared,
    progress: &Progress,
    visitors: Vec<V>,
) -> Result<Vec<V>, String> {
    let first = declared.begin().map_err(|error| format!("{} cannot be opened: {error}", declared.path))?;
    if first.looks_like_data() {
        return Err(format!("{} looks like a database's data directory", declared.path));
    }
    let queue = Queue { state: Mutex::new((vec![first], 0)), changed: Condvar::new() };
    let queue = &queue;
    let work = |mut visitor: V| {
        if progress.pace == Pace::Idle {
            kernel::become_idle();
        }
        let mut walker = Walker { scope, declared, progress, queue, visitor: &mut visitor, batch: Batch::default() };
        while let Some(dir) = queue.take() {
            let _at_work = AtWork(queue);
            walker.directory(&dir);
        }
        visitor
    };
    std::thread::scope(|threads| {
        let begin =
            |visitor| std::thread::Builder::new().name("ansai-clean".into()).spawn_scoped(threads, || work(visitor));
        let running: Vec<_> = visitors.into_iter().map(begin).collect();
        let ended = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, V>>| {
            let thread = thread.map_err(|error| format!("no thread could be begun: {error}"))?;
            thread.join().map_err(|_| "the walk broke off".to_owned())
        };
        running.into_iter().map(ended).collect()
    })
}

impl Queue {
    /// The next directory; `None` when all is done. Whoever takes one is at work until it says [`AtWork`] no more.
    fn take(&self) -> Option<Dir> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(dir) = state.0.pop() {
                state.1 += 1;
                return Some(dir);
            }
            if state.1 == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Leaves a directory to whoever has time, or gives it back when too many wait.
    fn offer(&self, dir: Dir) -> Option<Dir> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.len() >= WAITING_MAX {
            return Some(dir);
        }
        state.0.push(dir);
        self.changed.notify_one();
        None
    }
}

/// Somebody works on a directory; a panic ends that too, so that nobody waits for ever.
struct AtWork<'a>(&'a Queue);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).1 -= 1;
        self.0.changed.notify_all();
    }
}

/// Files of one directory, which are visited in the order of their inodes: a directory names them in no order, but their
/// inodes lie side by side, on the disk as in memory.
#[derive(Default)]
struct Batch {
    /// The inode, and where the name begins.
    files: Vec<(u64, usize)>,
    /// The names, each with its end.
    names: Vec<u8>,
}

impl Batch {
    fn add(&mut self, inode: u64, name: &CStr) {
        self.files.push((inode, self.names.len()));
        self.names.extend_from_slice(name.to_bytes_with_nul());
    }

    fn clear(&mut self) {
        self.files.clear();
        self.names.clear();
    }
}

struct Walker<'a, V> {
    scope: &'a Scope,
    declared: &'a Declared,
    progress: &'a Progress,
    queue: &'a Queue,
    visitor: &'a mut V,
    batch: Batch,
}

impl<V: Visit> Walker<'_, V> {
    fn directory(&mut self, dir: &Dir) {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(&dir.fd, &mut buffer);
        loop {
            if entries.is_buffer_empty() && self.progress.must_end() {
                break;
            }
            let Some(Ok(entry)) = entries.next() else { break };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match entry.file_type() {
                FileType::Directory => self.enter(dir, name),
                FileType::RegularFile => self.batch.add(entry.ino(), name),
                // Some filesystems do not say it in the directory.
                FileType::Unknown => match Seen::at(dir, name) {
                    Ok(seen) if seen.is_directory() => self.enter(dir, name),
                    _ => self.batch.add(entry.ino(), name),
                },
                FileType::Symlink | FileType::Fifo | FileType::Socket => {}
                FileType::CharacterDevice | FileType::BlockDevice => {}
            }
            if self.batch.files.len() >= BATCH {
                self.files(dir);
            }
        }
        self.files(dir);
    }

    /// Visits the files of this directory that were read so far.
    fn files(&mut self, dir: &Dir) {
        self.batch.files.sort_unstable();
        for (index, (inode, from)) in self.batch.files.iter().enumerate() {
            // The clock is looked at now and then only: it takes a part of what a look at a file takes.
            if self.progress.is_over() || index.is_multiple_of(CLOCK) && self.progress.must_end() {
                break;
            }
            if let Ok(name) = CStr::from_bytes_until_nul(&self.batch.names[*from..]) {
                self.visitor.file(dir, name, *inode);
            }
        }
        self.batch.clear();
        self.visitor.pause();
    }

    fn enter(&mut self, dir: &Dir, name: &CStr) {
        if dir.depth >= DEPTH_MAX {
            return self.visitor.left(dir, name, Left::Deep);
        }
        match self.scope.enter(self.declared, dir, name) {
            Err(why) => self.visitor.left(dir, name, why),
            Ok(inner) => {
                if let Some(inner) = self.queue.offer(inner) {
                    self.files(dir);
                    self.directory(&inner);
                }
            }
        }
    }
}

/// What was left alone and why: how many, and one of them.
pub(super) type Leftovers = BTreeMap<Left, (u64, String)>;

/// Counts what was left alone.
pub(super) fn count(leftovers: &mut Leftovers, why: Left, shown: impl FnOnce() -> String) {
    leftovers.entry(why).or_insert_with(|| (0, shown())).0 += 1;
}
