//! One rule carried out over its tree: the files that it gives up are surveyed, and then compressed or deleted, the oldest
//! first, until enough is free.
//!
//! Memory does not grow with the tree: the survey keeps a histogram of ages, exact to about one percent of the age, from
//! which follows how old a file must be to go.

use std::{
    collections::BTreeSet,
    ffi::CStr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use ansai_model::domain::disk::{CleanRule, Strategy};

use super::{
    caches::Installed,
    pattern,
    scope::{Declared, Dir, Left, Scope},
    seen::{Seen, Touched},
    survey::{Approved, Histogram, Survey},
    take::{self, Taken},
    tally::Tally,
    walk::{Visit, walk},
};

/// After how much freed by our count it is looked whether the filesystem says so too.
const TRUST_BYTES_MIN: u64 = 256 << 20;
/// How often a rule is carried out anew when files that were to go had to be left alone.
const TRIES_MAX: usize = 3;
/// After how many files a thread tells the others: a number that two processors write to all the time slows both.
const COUNTED_AT_ONCE: u64 = 16;
/// So many bytes are told at once, however few files they are: whoever stops at a goal of bytes must not miss it by much.
const UNCOUNTED_MAX: u64 = 1 << 20;

/// How much the rest of the host may feel of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Last in line for the disk and the processor.
    Idle,
    /// As any program.
    Full,
}

/// How much must become free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

impl Need {
    /// Whether so much is enough.
    pub(super) fn is_met_by(&self, bytes: u64, inodes: u64) -> bool {
        bytes >= self.bytes && inodes >= self.inodes
    }
}

/// What all threads of a cleaning share.
pub(super) struct Progress {
    pub(super) pace: Pace,
    deadline: Instant,
    cancelled: std::sync::Arc<AtomicBool>,
    need: Need,
    freed: AtomicU64,
    gone: AtomicU64,
    is_met: AtomicBool,
    /// Freed by our count, the filesystem says nothing of it.
    pub(super) is_vain: AtomicBool,
    /// How much was used before, when that is watched, and when it is looked at again.
    used_before: Option<u64>,
    look_at: AtomicU64,
}

impl Progress {
    /// A beginning.
    pub(super) fn new(
        need: Need,
        pace: Pace,
        deadline: Instant,
        cancelled: std::sync::Arc<AtomicBool>,
        used_before: Option<u64>,
    ) -> Self {
        Self {
            pace,
            deadline,
            cancelled,
            need,
            freed: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            is_met: AtomicBool::new(need.is_met_by(0, 0)),
            is_vain: AtomicBool::new(false),
            used_before,
            look_at: AtomicU64::new((need.bytes / 8).max(TRUST_BYTES_MIN)),
        }
    }

    /// Whether nothing more is to be done, for whatever reason.
    pub(super) fn must_end(&self) -> bool {
        self.is_over() || self.is_late()
    }

    /// As [`Self::must_end`], without a look at the clock.
    pub(super) fn is_over(&self) -> bool {
        self.is_met() || self.is_vain.load(Ordering::Relaxed) || self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether enough is free by our count.
    pub(super) fn is_met(&self) -> bool {
        self.is_met.load(Ordering::Relaxed)
    }

    /// Whether its time is over, or nobody waits for it any more.
    pub(super) fn is_late(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// Bytes and inodes freed by our count.
    pub(super) fn freed(&self) -> (u64, u64) {
        (self.freed.load(Ordering::Relaxed), self.gone.load(Ordering::Relaxed))
    }

    /// What still must become free.
    fn rest(&self) -> Need {
        let (bytes, inodes) = self.freed();
        Need { bytes: self.need.bytes.saturating_sub(bytes), inodes: self.need.inodes.saturating_sub(inodes) }
    }

    pub(super) fn add(&self, scope: &Scope, bytes: u64, inodes: u64) {
        let freed = self.freed.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let gone = self.gone.fetch_add(inodes, Ordering::Relaxed) + inodes;
        if self.need.is_met_by(freed, gone) {
            self.is_met.store(true, Ordering::Relaxed);
        }
        let look_at = self.look_at.load(Ordering::Relaxed);
        let next = look_at.saturating_add((self.need.bytes / 8).max(TRUST_BYTES_MIN));
        let is_our_turn = || self.look_at.compare_exchange(look_at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if freed >= look_at && is_our_turn() {
            self.compare(scope, freed);
        }
    }

    /// What was deleted and still takes its room (a snapshot keeps it) is deleted in vain: then nothing more is.
    fn compare(&self, scope: &Scope, freed: u64) {
        let Some(before) = self.used_before else { return };
        let is_seen = || scope.usage().is_ok_and(|usage| before.saturating_sub(usage.used.0) >= freed / 4);
        if !is_seen() {
            scope.settle();
            if !is_seen() {
                self.is_vain.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// One rule over one tree.
pub(super) struct Sweep<'a> {
    pub(super) scope: &'a Scope,
    pub(super) declared: &'a Declared,
    pub(super) rule: &'a CleanRule,
    /// In a package manager's cache: what is installed, whose other versions are kept.
    pub(super) installed: Option<&'a Installed>,
    pub(super) touched: Touched,
    /// The second at which it began.
    pub(super) now: i64,
    pub(super) threads: usize,
}

impl Sweep<'_> {
    /// Whether the rule means files of this name.
    fn is_meant(&self, name: &CStr, pass: Pass) -> bool {
        let (bytes, pattern) = (name.to_bytes(), self.rule.pattern.as_bytes());
        if self.installed.is_some_and(|installed| installed.needs(bytes)) {
            return false;
        }
        match (pass, self.rule.strategy) {
            (Pass::Compress, _) => !pattern::is_compressed(bytes) && pattern::matches(pattern, bytes),
            (Pass::Delete, Strategy::CompressThenDelete) => {
                pattern::matches(pattern, bytes) || pattern::matches(pattern, pattern::uncompressed(bytes))
            }
            (Pass::Delete, Strategy::Delete | Strategy::Compress) => pattern::matches(pattern, bytes),
        }
    }

    /// What a file is, when the rule gives it up.
    pub(super) fn candidate(&self, dir: &Dir, name: &CStr, pass: Pass) -> Option<(Seen, Duration)> {
        if !self.is_meant(name, pass) {
            return None;
        }
        let seen = Seen::at(dir, name).ok().filter(Seen::is_file)?;
        let age = seen.age(self.now, self.touched);
        (age >= self.rule.older_than).then_some((seen, age))
    }

    /// Compresses what the rule gives up, until enough is free.
    pub(super) fn compress(&self, progress: &Progress, tally: &mut Tally) -> Result<(), String> {
        self.run(progress, tally, Work::Compress)
    }

    /// Deletes what the rule gives up, the oldest first, until enough is free.
    pub(super) fn delete(&self, progress: &Progress, all: &mut Tally) -> Result<(), String> {
        let mut tally = Tally::default();
        // The first try is what a plan tells. What had to be left alone is made up for by younger files.
        for named in [Named::Exactly].into_iter().chain([Named::ByAge; TRIES_MAX]) {
            let before = progress.freed();
            let (survey, approved) = self.survey(progress, Pass::Delete)?;
            let mut tried = Tally::default();
            tried.left_by(&survey);
            let cut = Cut::of(&survey, progress.rest(), named);
            let is_exact = cut.names.is_some();
            self.run(progress, &mut tried, Work::Delete(&approved, &cut))?;
            tally.join_again(tried);
            if progress.must_end() || (progress.freed() == before && !is_exact) {
                break;
            }
        }
        all.join(tally);
        Ok(())
    }

    /// Observes at all that the rule gives up, and touches nothing.
    pub(super) fn survey(&self, progress: &Progress, pass: Pass) -> Result<(Histogram, Approved), String> {
        let approved = Approved::none();
        let surveys = (0..self.threads.max(1)).map(|_| Survey::new(self, pass, &approved)).collect();
        let surveys = walk(self.scope, self.declared, progress, surveys)?;
        Ok((surveys.into_iter().fold(Histogram::default(), |all, survey| all.with(survey.histogram)), approved))
    }

    fn run(&self, progress: &Progress, tally: &mut Tally, work: Work<'_>) -> Result<(), String> {
        let worker =
            || Worker { sweep: self, progress, work, tally: Tally::default(), uncounted: Uncounted::default() };
        let workers = (0..self.threads.max(1)).map(|_| worker()).collect();
        for worker in walk(self.scope, self.declared, progress, workers)? {
            tally.join(worker.tally);
        }
        Ok(())
    }
}

/// What is done in one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Compress,
    Delete,
}

/// How the files that must go are told from others.
#[derive(Clone, Copy)]
enum Named {
    /// By their names, as long as they are few.
    Exactly,
    /// By their age.
    ByAge,
}

/// Which files must go: all older ones, and of those as old as the last one as many as are still needed.
struct Cut {
    bucket: usize,
    /// Those that go, when they are few enough to be named.
    names: Option<BTreeSet<String>>,
    /// What is needed of the youngest that go.
    quota: Need,
    bytes: AtomicU64,
    inodes: AtomicU64,
}

impl Cut {
    fn of(survey: &Histogram, need: Need, named: Named) -> Self {
        let exactly = match named {
            Named::Exactly => survey.exactly(need),
            Named::ByAge => None,
        };
        let names = exactly.map(|goes| goes.into_iter().map(|(_, _, name)| name).collect());
        let bucket = survey.bucket_for(need);
        let (count, bytes) = survey.from(bucket + 1);
        let quota = Need { bytes: need.bytes.saturating_sub(bytes), inodes: need.inodes.saturating_sub(count) };
        Self { bucket, names, quota, bytes: AtomicU64::new(0), inodes: AtomicU64::new(0) }
    }

    /// Whether a file of this age and size goes.
    fn admits(&self, age: Duration, bytes: u64) -> bool {
        let bucket = Histogram::bucket(age);
        if bucket != self.bucket {
            return bucket > self.bucket;
        }
        // Taken into account at once: two threads must not both take the last one.
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        !self.quota.is_met_by(before, self.inodes.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the walk is for.
#[derive(Clone, Copy)]
enum Work<'a> {
    Compress,
    /// Of those that the survey approved, the ones that must go.
    Delete(&'a Approved, &'a Cut),
}

/// What a thread freed and the others do not know yet. No more is taken than the cut admits, counted or not.
#[derive(Default)]
struct Uncounted {
    bytes: u64,
    inodes: u64,
}

impl Uncounted {
    /// One more file of this size; whether the others must know now.
    fn must_be_told(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        self.inodes += 1;
        self.inodes >= COUNTED_AT_ONCE || self.bytes >= UNCOUNTED_MAX
    }
}

struct Worker<'a> {
    sweep: &'a Sweep<'a>,
    progress: &'a Progress,
    work: Work<'a>,
    tally: Tally,
    uncounted: Uncounted,
}

impl Worker<'_> {
    fn compress(&mut self, dir: &Dir, name: &CStr) {
        let Some((seen, _)) = self.sweep.candidate(dir, name, Pass::Compress) else { return };
        let shown = || self.sweep.declared.shown(dir, name);
        match take::compress(self.sweep.declared, dir, name, &seen, self.progress) {
            Ok(Some(bytes)) => {
                self.progress.add(self.sweep.scope, bytes, 0);
                self.tally.compressed(bytes, shown);
            }
            Ok(None) => {}
            // It may still be deleted.
            Err(why) if self.sweep.rule.strategy.deletes() => self.tally.not_compressed(why, shown),
            Err(why) => self.tally.left(why, shown),
        }
    }

    /// Counts for all what this thread freed.
    fn count(&mut self) {
        let Uncounted { bytes, inodes } = std::mem::take(&mut self.uncounted);
        self.progress.add(self.sweep.scope, bytes, inodes);
    }

    /// The name alone says whether it is meant, and the survey whether it may go; the open file says the rest.
    fn delete(&mut self, dir: &Dir, name: &CStr, cut: &Cut) {
        let sweep = self.sweep;
        if !sweep.is_meant(name, Pass::Delete) {
            return;
        }
        let accept = |seen: &Seen| {
            let age = seen.age(sweep.now, sweep.touched);
            let goes = age >= sweep.rule.older_than && cut.admits(age, seen.bytes);
            if goes { Ok(()) } else { Err(Left::Young) }
        };
        let shown = || sweep.declared.shown(dir, name);
        if cut.names.as_ref().is_some_and(|names| !names.contains(&shown())) {
            return;
        }
        match take::delete(sweep.declared, dir, name, accept) {
            Ok(Taken::Gone(seen)) => {
                if self.uncounted.must_be_told(seen.bytes) {
                    self.count();
                }
                self.tally.deleted(seen.bytes, seen.age(sweep.now, sweep.touched), shown);
            }
            Ok(Taken::Replaced) => self.tally.replaced(shown),
            Err(Left::Young) => {}
            Err(why) => self.tally.left(why, shown),
        }
    }
}

impl Visit for Worker<'_> {
    fn file(&mut self, dir: &Dir, name: &CStr, inode: u64) {
        match self.work {
            Work::Compress => self.compress(dir, name),
            Work::Delete(approved, cut) if approved.may_go(inode, cut.bucket) => self.delete(dir, name, cut),
            Work::Delete(..) => {}
        }
    }

    fn pause(&mut self) {
        self.count();
    }

    fn left(&mut self, dir: &Dir, name: &CStr, why: Left) {
        // A survey has told of it already.
        if matches!(self.work, Work::Compress) && !self.sweep.rule.strategy.deletes() {
            self.tally.left(why, || self.sweep.declared.shown(dir, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_told_by_the_sixteen_and_large_ones_at_once() {
        let told_after = |bytes| {
            let mut uncounted = Uncounted::default();
            (1..100).find(|_| uncounted.must_be_told(bytes))
        };
        assert_eq!(told_after(4096), Some(16));
        assert_eq!(told_after(UNCOUNTED_MAX / 4), Some(4));
        assert_eq!(told_after(u64::MAX), Some(1));
    }
}
