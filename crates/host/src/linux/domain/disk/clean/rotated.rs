//! Rotations are given up that their owner's own rule does not keep, the oldest first, until enough is free.
//!
//! Which these are is said in `disk::rotation`; here their folders are opened, and each file goes only as it was when it
//! was judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CStr, CString},
    mem::MaybeUninit,
    time::Duration,
};

use ansai_model::{time::Shown, units::ByteSize};
use rustix::fs::{FileType, RawDir};

use super::{
    Need, Pace,
    files::Job,
    scope::{Declared, Dir, Left, Scope},
    seen::{Seen, Touched},
    sweep::Progress,
    take::{self, Taken},
    tally::{Tally, left_alone},
    walk::{Leftovers, count},
};
use crate::linux::{
    domain::disk::rotation::{Known, Log, Naming, Order, Rotation, given_up},
    kernel,
};

/// How much of a folder is read at once.
const BUFFER: usize = 32 * 1024;
/// Most rotations of a log; one with more is left alone.
const ROTATIONS_MAX: usize = 20_000;
/// Most files that are given up at once; the others are found the next time.
const FILES_MAX: usize = 100_000;
/// Most files that a plan names.
const NAMED_MAX: usize = 16;

/// A file that its owner's rule gives up.
struct Given {
    /// By its place among the folders.
    folder: usize,
    name: CString,
    seen: Seen,
    age: Duration,
    order: Order,
    why: String,
}

/// A name that is a rotation's of one log.
struct Candidate {
    name: CString,
    seen: Seen,
    order: Order,
}

/// What may be given up below a directory.
pub(super) struct Rotated {
    path: String,
    now: i64,
    folders: Vec<(Declared, Dir)>,
    /// The oldest first.
    given: Vec<Given>,
    /// How many their owners' rules keep, and how many are kept for something else.
    kept: u64,
    others: u64,
    left: Leftovers,
    remarks: Vec<String>,
}

impl Rotated {
    /// Observes at the rotations of every log that has an owner, and touches nothing.
    ///
    /// # Errors
    /// When the directory may not be cleaned, or logrotate is at work.
    pub(super) fn look(job: &Job, scope: &Scope, path: &str, older_than: Duration) -> Result<Self, String> {
        if job.pace == Pace::Idle {
            kernel::become_idle();
        }
        let mut all = Self {
            path: path.to_owned(),
            now: job.second(),
            folders: Vec::new(),
            given: Vec::new(),
            kept: 0,
            others: 0,
            left: Leftovers::new(),
            remarks: Vec::new(),
        };
        if scope.declared(path)?.is_none() {
            return Ok(all);
        }
        let known = Known::read(&job.root)?;
        all.remarks.extend(known.remarks.iter().cloned());
        let mut folders: BTreeMap<&str, Vec<&Log>> = BTreeMap::new();
        let is_below = |folder: &str| std::path::Path::new(folder).starts_with(path);
        for log in known.logs.iter().filter(|log| is_below(&log.rule.naming.folder)) {
            folders.entry(&log.rule.naming.folder).or_default().push(log);
        }
        for (folder, logs) in folders {
            // A folder that is gone, protected or somewhere else holds nothing of ours.
            let Ok(Some(declared)) = scope.declared(folder) else { continue };
            let Ok(dir) = declared.begin() else { continue };
            if !dir.looks_like_data() {
                all.folder(&known, (declared, dir), &logs, older_than);
            }
        }
        all.given.sort_by(|one, other| other.age.cmp(&one.age).then(other.order.cmp(&one.order)));
        all.given.truncate(FILES_MAX);
        Ok(all)
    }

    fn folder(&mut self, known: &Known, (declared, dir): (Declared, Dir), logs: &[&Log], older_than: Duration) {
        let (rotations, crowded) = rotations(&dir, logs);
        for log in crowded.iter().filter_map(|index| logs.get(*index)) {
            self.remarks.push(format!("{} has more than {ROTATIONS_MAX} rotations, which are left alone", log.path));
        }
        let folder = self.folders.len();
        for (index, candidates) in rotations.into_iter().filter(|(index, _)| !crowded.contains(index)) {
            let rule = &logs[index].rule;
            let of = |found: &Candidate| Rotation {
                order: found.order,
                written: found.seen.written().0,
                changed: found.seen.changed(),
            };
            let row: Vec<Rotation> = candidates.iter().map(of).collect();
            for (found, beyond) in candidates.into_iter().zip(given_up(rule, &row, self.now)) {
                let age = found.seen.age(self.now, Touched::Written);
                let Some(beyond) = beyond else {
                    self.kept += 1;
                    continue;
                };
                let shown = declared.shown(&dir, &found.name);
                if age < older_than || known.is_log(&shown) {
                    self.others += 1;
                    continue;
                }
                if found.seen.links != 1 {
                    count(&mut self.left, Left::Linked, || shown);
                    continue;
                }
                let Candidate { name, seen, order } = found;
                self.given.push(Given { folder, name, seen, age, order, why: rule.why(beyond).to_string() });
            }
        }
        self.folders.push((declared, dir));
    }

    /// Gives them up until enough is free.
    pub(super) fn give_up(self, scope: &Scope, progress: &Progress, tally: &mut Tally) {
        for (why, (many, example)) in &self.left {
            (0..*many).for_each(|_| tally.left(*why, || example.clone()));
        }
        for given in &self.given {
            if progress.must_end() {
                break;
            }
            let (declared, dir) = &self.folders[given.folder];
            let shown = || format!("{}, {}", declared.shown(dir, &given.name), given.why);
            // logrotate may have given the name to another one meanwhile.
            let accept = |now: &Seen| if now.is_still(&given.seen) { Ok(()) } else { Err(Left::Changed) };
            match take::delete(declared, dir, &given.name, accept) {
                Ok(Taken::Gone(seen)) => {
                    progress.add(scope, seen.bytes, 1);
                    tally.deleted(seen.bytes, given.age, shown);
                }
                Ok(Taken::Replaced) => tally.replaced(shown),
                Err(why) => tally.left(why, shown),
            }
        }
        tally.remarks.extend(self.remarks);
    }

    /// How many may go.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.given.len()).unwrap_or(u64::MAX)
    }

    /// Why there is nothing to give up, as far as that is known.
    fn why_nothing(&self) -> &'static str {
        let is_of_rules = self.kept > 0 && self.others == 0 && self.left.is_empty() && self.remarks.is_empty();
        if is_of_rules { ", for its owners' rules keep all rotations" } else { "" }
    }

    /// What would go for this need, and by whose rule.
    pub(super) fn plan(&self, need: Need) -> Vec<String> {
        let (mut bytes, mut goes) = (0_u64, 0_usize);
        for given in &self.given {
            if need.is_met_by(bytes, u64::try_from(goes).unwrap_or(u64::MAX)) {
                break;
            }
            bytes = bytes.saturating_add(given.seen.bytes);
            goes += 1;
        }
        let all: u64 = self.given.iter().map(|given| given.seen.bytes).sum();
        let mut lines = vec![match (goes, self.given.len()) {
            (_, 0) => format!("{}: delete nothing{}", self.path, self.why_nothing()),
            (0, _) => format!("{}: delete nothing, for enough is free before", self.path),
            (_, given) => format!(
                "{}: delete {goes} of {given} rotations that their owners' rules do not keep, {} of {}, the oldest first:",
                self.path,
                ByteSize(bytes),
                ByteSize(all)
            ),
        }];
        lines.extend(self.given.iter().take(goes.min(NAMED_MAX)).map(|given| {
            let (declared, dir) = &self.folders[given.folder];
            let (shown, size) = (declared.shown(dir, &given.name), ByteSize(given.seen.bytes));
            format!("  {shown} ({size}, {} old), {}", Shown(given.age), given.why)
        }));
        lines.extend(left_alone(&self.left));
        lines.extend(self.remarks.iter().cloned());
        lines
    }
}

/// The rotations in a folder, by the log that they are of, and the logs that have too many. A name that two logs may have
/// made is nobody's.
fn rotations(dir: &Dir, logs: &[&Log]) -> (BTreeMap<usize, Vec<Candidate>>, BTreeSet<usize>) {
    let stems: BTreeMap<&[u8], usize> =
        logs.iter().enumerate().map(|(index, log)| (log.rule.naming.stem.as_bytes(), index)).collect();
    let (mut found, mut crowded): (BTreeMap<usize, Vec<Candidate>>, _) = (BTreeMap::new(), BTreeSet::new());
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(&dir.fd, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        if !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
            continue;
        }
        let Some((index, order)) = owner(&stems, logs, entry.file_name()) else { continue };
        let Some(seen) = Seen::at(dir, entry.file_name()).ok().filter(Seen::is_file) else { continue };
        let of_log = found.entry(index).or_default();
        if of_log.len() >= ROTATIONS_MAX {
            crowded.insert(index);
            continue;
        }
        of_log.push(Candidate { name: entry.file_name().to_owned(), seen, order });
    }
    (found, crowded)
}

/// The one log that may have made this name, and its place in the row.
fn owner(stems: &BTreeMap<&[u8], usize>, logs: &[&Log], name: &CStr) -> Option<(usize, Order)> {
    let bytes = name.to_bytes();
    let of = |end: usize| {
        let (stem, rest) = bytes.split_at(end);
        let index = *stems.get(stem)?;
        Some((index, logs[index].rule.naming.order(rest)?))
    };
    let mut owners = Naming::ends(bytes).filter_map(of);
    match (owners.next(), owners.next()) {
        (Some(owner), None) => Some(owner),
        _ => None,
    }
}
