//! Files are given up by rules: compressed first, then deleted, the oldest first, until the goal is reached.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ansai_model::{
    action::ActionOutcome,
    domain::disk::{CleanRule, Cleaning, DiskUsage},
    text::{Counted, Text},
    time::Shown,
    units::{ByteSize, Percent},
};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::{
    Need, Pace, brought,
    caches::Caches,
    enough, is_reached,
    rotated::Rotated,
    scope::{Declared, Scope},
    seen::Touched,
    survey::Histogram,
    sweep::{Pass, Progress, Sweep},
    tally::{Tally, left_alone},
};
use crate::linux::{domain::disk::find, packages};

/// How often it is gone on when the filesystem says that less became free than was counted.
const ROUNDS_MAX: usize = 3;
/// What apt locks while it uses its cache.
const APT_LOCK: &str = "var/cache/apt/archives/lock";

/// Files to be given up on one filesystem.
pub struct Job {
    /// The root below which the filesystems are found.
    pub root: PathBuf,
    /// The mount point.
    pub mount: String,
    /// Where it stops.
    pub goal: Percent,
    /// What is given up.
    pub what: Cleaning,
    /// What is protected, besides what always is.
    pub protect: Vec<String>,
    /// The moment at which files are as old as they are.
    pub now: SystemTime,
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Set when nobody waits for it any more.
    pub cancelled: Arc<AtomicBool>,
    /// How many threads work.
    pub threads: usize,
    /// How much the rest of the host may feel of it.
    pub pace: Pace,
}

impl Job {
    /// Gives files up until the goal is reached.
    ///
    /// # Errors
    /// When nothing may be touched, in words.
    pub fn clean(&self) -> Result<ActionOutcome, String> {
        let scope = self.scope()?;
        let _lock = self.lock()?;
        let before = scope.usage()?;
        if is_reached(&before, self.goal) {
            return Ok(ActionOutcome::NotNeeded { why: Text::new(enough(&self.mount, &before, self.goal)) });
        }
        let (mut tally, mut after, mut is_late, mut is_vain) = (Tally::default(), before, false, false);
        for _ in 0..ROUNDS_MAX {
            let need = self.need(&after);
            let progress = Progress::new(need, self.pace, self.deadline, self.cancelled.clone(), Some(after.used.0));
            let mut round = Tally::default();
            self.round(&scope, &progress, &after, &mut round);
            tally.remarks.clear();
            tally.join_again(round);
            // Writing out takes its time, which there must be.
            if !progress.is_late() {
                scope.settle();
            }
            after = scope.usage()?;
            (is_late, is_vain) = (progress.is_late(), progress.is_vain.load(Ordering::Relaxed));
            let may_go_on = progress.is_met() && progress.freed() != (0, 0) && !is_late && !is_vain;
            if is_reached(&after, self.goal) || !may_go_on {
                break;
            }
        }
        if is_vain {
            tally.remarks.push(
                "stopped: what was deleted did not become free; a snapshot keeps it, or something writes as fast"
                    .into(),
            );
        }
        if is_late {
            tally.remarks.push("stopped: its time was over".into());
        }
        Ok(self.outcome(&before, &after, &tally))
    }

    /// Gives files up until this much is free, whatever the filesystem says; for measuring.
    ///
    /// # Errors
    /// When the filesystem cannot be opened.
    pub fn free(&self, need: Need) -> Result<(u64, u64), String> {
        let scope = self.scope()?;
        let progress = Progress::new(need, self.pace, self.deadline, self.cancelled.clone(), None);
        let mut tally = Tally::default();
        self.round(&scope, &progress, &scope.usage()?, &mut tally);
        match tally.remarks.first() {
            Some(why) if tally.files() == 0 => Err(why.clone()),
            _ => Ok(progress.freed()),
        }
    }

    /// How full the filesystem is.
    pub(super) fn usage(&self) -> Result<DiskUsage, String> {
        self.scope()?.usage()
    }

    /// How full it is, when one of these directories lies on it.
    pub(super) fn usage_if(&self, paths: &[String]) -> Result<Option<DiskUsage>, String> {
        let scope = self.scope()?;
        if paths.iter().any(|path| scope.holds(path)) { scope.usage().map(Some) } else { Ok(None) }
    }

    /// How full it is once all that waits is written out.
    pub(super) fn usage_settled(&self) -> Result<DiskUsage, String> {
        let scope = self.scope()?;
        scope.settle();
        scope.usage()
    }

    fn scope(&self) -> Result<Scope, String> {
        let mount = find(&self.root, &self.mount)?;
        if mount.is_remote() {
            return Err(format!("{} lies on another machine ({}); it is cleaned there", self.mount, mount.kind));
        }
        Scope::open(&self.root, &mount, &self.protect)
    }

    fn need(&self, usage: &DiskUsage) -> Need {
        Need { bytes: usage.bytes_above(self.goal), inodes: usage.inodes_above(self.goal) }
    }

    fn rules(&self, caches: &Caches) -> Vec<CleanRule> {
        match &self.what {
            Cleaning::PackageCache => caches.rules.clone(),
            Cleaning::Logs { rules } | Cleaning::Temporary { rules } => rules.clone(),
            Cleaning::Rotated { .. } | Cleaning::Journal { .. } => Vec::new(),
            Cleaning::Containers { .. } | Cleaning::Grow { .. } => Vec::new(),
        }
    }

    /// What may be given up of package managers' caches, when that is what is cleaned.
    fn caches(&self) -> Caches {
        if self.what == Cleaning::PackageCache { Caches::read(&self.root) } else { Caches::default() }
    }

    /// The rules that apply now, with their directories opened. What cannot be cleaned is remarked upon.
    fn applicable(
        &self,
        (scope, caches): (&Scope, &Caches),
        usage: &DiskUsage,
        remarks: &mut Vec<String>,
    ) -> Vec<(CleanRule, Declared)> {
        remarks.extend(caches.remarks.iter().cloned());
        let mut found = Vec::new();
        for rule in self.rules(caches) {
            let share = usage.used_share().max(usage.inodes_share());
            if rule.threshold.is_some_and(|threshold| share < threshold) {
                continue;
            }
            match scope.declared(&rule.path) {
                Ok(Some(declared)) => found.push((rule, declared)),
                Ok(None) => {}
                // Where package managers keep their caches is nobody's declaration.
                Err(_) if self.what == Cleaning::PackageCache => {}
                Err(why) => remarks.push(why),
            }
        }
        found
    }

    /// Every rule once: all compress before any deletes.
    fn round(&self, scope: &Scope, progress: &Progress, usage: &DiskUsage, tally: &mut Tally) {
        if let Cleaning::Rotated { path, older_than } = &self.what {
            match Rotated::look(self, scope, path, *older_than) {
                Ok(rotated) => rotated.give_up(scope, progress, tally),
                Err(why) => tally.remarks.push(why),
            }
            return;
        }
        let caches = self.caches();
        let rules = self.applicable((scope, &caches), usage, &mut tally.remarks);
        let sweep = |(rule, declared)| self.sweep((scope, &caches), rule, declared);
        let sweeps: Vec<Sweep<'_>> = rules.iter().map(|(rule, declared)| sweep((rule, declared))).collect();
        for sweep in sweeps.iter().filter(|sweep| sweep.rule.strategy.compresses()) {
            if let Err(why) = sweep.compress(progress, tally) {
                tally.remarks.push(why);
            }
        }
        for sweep in sweeps.iter().filter(|sweep| sweep.rule.strategy.deletes()) {
            if progress.must_end() {
                return;
            }
            if let Err(why) = sweep.delete(progress, tally) {
                tally.remarks.push(why);
            }
        }
    }

    /// The second at which files are as old as they are.
    pub(super) fn second(&self) -> i64 {
        let now = self.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).unwrap_or(i64::MAX)
    }

    fn sweep<'a>(
        &self,
        (scope, caches): (&'a Scope, &'a Caches),
        rule: &'a CleanRule,
        declared: &'a Declared,
    ) -> Sweep<'a> {
        let installed = (self.what == Cleaning::PackageCache).then_some(&caches.installed);
        let (touched, now, threads) = (Touched::of(&self.what), self.second(), self.threads);
        Sweep { scope, declared, rule, installed, touched, now, threads }
    }

    /// No package manager may be at work while its cache is emptied, and none begins meanwhile.
    fn lock(&self) -> Result<Option<File>, String> {
        if self.what != Cleaning::PackageCache {
            return Ok(None);
        }
        if packages::is_changing(&self.root) {
            return Err("a package manager is at work".into());
        }
        lock(&self.root.join(APT_LOCK))
    }

    fn outcome(&self, before: &DiskUsage, after: &DiskUsage, tally: &Tally) -> ActionOutcome {
        let lines = tally.lines();
        if tally.files() > 0 {
            let note = [vec![brought(&self.mount, before, after)], lines].concat().join("; ");
            return ActionOutcome::Succeeded { note: Text::new(note) };
        }
        ActionOutcome::NotNeeded { why: Text::new([vec![self.nothing()], lines].concat().join("; ")) }
    }

    /// What would be given up, with sizes; touches nothing.
    ///
    /// # Errors
    /// When the filesystem cannot be opened.
    pub fn plan(&self) -> Result<Plan, String> {
        let scope = self.scope()?;
        let usage = scope.usage()?;
        if is_reached(&usage, self.goal) {
            let why = enough(&self.mount, &usage, self.goal);
            return Ok(Plan { lines: vec![format!("nothing is needed: {why}")], idle: Some(why) });
        }
        self.planned(&scope, &usage, self.need(&usage))
    }

    /// What would be given up until this much is free, whatever the filesystem says; for measuring.
    ///
    /// # Errors
    /// When the filesystem cannot be opened.
    pub fn plan_of(&self, need: Need) -> Result<Plan, String> {
        let scope = self.scope()?;
        let usage = scope.usage()?;
        self.planned(&scope, &usage, need)
    }

    fn planned(&self, scope: &Scope, usage: &DiskUsage, need: Need) -> Result<Plan, String> {
        let (mut rest, mut may_go) = (need, 0_u64);
        let nothing = |may_go: u64| (may_go == 0).then(|| self.nothing());
        let mut lines =
            vec![format!("{} of {} used; {} must become free", usage.used_share(), self.mount, ByteSize(rest.bytes))];
        if let Cleaning::Rotated { path, older_than } = &self.what {
            let rotated = Rotated::look(self, scope, path, *older_than)?;
            lines.extend(rotated.plan(rest));
            return Ok(Plan { lines, idle: nothing(rotated.count()) });
        }
        let progress = Progress::new(
            Need { bytes: u64::MAX, inodes: u64::MAX },
            self.pace,
            self.deadline,
            self.cancelled.clone(),
            None,
        );
        let caches = self.caches();
        for (rule, declared) in self.applicable((scope, &caches), usage, &mut lines) {
            let sweep = self.sweep((scope, &caches), &rule, &declared);
            if rule.strategy.compresses() {
                let (count, bytes) = sweep.survey(&progress, Pass::Compress)?.0.from(0);
                may_go = may_go.saturating_add(count);
                let path = &rule.path;
                let files = format!("{} of {}", Counted(count, "file"), ByteSize(bytes));
                lines.push(match count {
                    0 if progress.is_late() => format!("{path}: compress nothing"),
                    0 => format!("{path}: compress nothing, for no file of it may be compressed"),
                    _ => format!("{path}: compress at most {files}, until enough is free"),
                });
            }
            if rule.strategy.deletes() {
                let (survey, _) = sweep.survey(&progress, Pass::Delete)?;
                may_go = may_go.saturating_add(survey.from(0).0);
                let looked = if progress.is_late() { Looked::AtSome } else { Looked::AtAll };
                let (count, bytes) = deleted((&survey, looked), &rule.path, rest, &mut lines);
                rest = Need { bytes: rest.bytes.saturating_sub(bytes), inodes: rest.inodes.saturating_sub(count) };
            }
        }
        // Of what a program keeps only that program knows how much may go.
        let idle = nothing(may_go).filter(|_| self.what.is_of_files() && !progress.is_late());
        Ok(Plan { lines, idle })
    }

    fn nothing(&self) -> String {
        format!("there is nothing to give up of {}", self.what.as_str())
    }
}

/// What would be given up.
#[derive(Debug)]
pub struct Plan {
    /// In lines, with sizes.
    pub lines: Vec<String>,
    /// Why nothing would be, when that is known.
    pub idle: Option<String>,
}

/// Whether a survey has come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    AtAll,
    AtSome,
}

/// Which files of a path would be deleted, in lines: by name when those are few. How many, and how large together.
fn deleted((survey, looked): (&Histogram, Looked), path: &str, need: Need, lines: &mut Vec<String>) -> (u64, u64) {
    let exactly = survey.exactly(need);
    let is_exact = exactly.is_some();
    let (count, bytes) = match &exactly {
        Some(goes) => (goes.len() as u64, goes.iter().map(|(_, bytes, _)| bytes).sum()),
        None => survey.about(need),
    };
    let (all, all_bytes) = survey.from(0);
    let about = if is_exact { "" } else { "about " };
    lines.push(match (count, all) {
        (_, 0) if looked == Looked::AtSome => format!("{path}: delete nothing"),
        (_, 0) => format!("{path}: delete nothing, for no file of it may go"),
        (0, _) => format!("{path}: delete nothing, for enough is free before"),
        _ => format!(
            "{path}: delete {about}{count} of {all} files that may go, {} of {}, the oldest first:",
            ByteSize(bytes),
            ByteSize(all_bytes)
        ),
    });
    // Of those as old as the last one that goes it is not known beforehand which.
    let last = survey.bucket_for(need);
    let is_sure = |age: u64| is_exact || Histogram::bucket(Duration::from_secs(age)) > last;
    let named = exactly.unwrap_or_else(|| survey.oldest()).into_iter().filter(|(age, ..)| is_sure(*age));
    lines.extend(
        named.map(|(age, bytes, name)| {
            format!("  {name} ({}, {} old)", ByteSize(bytes), Shown(Duration::from_secs(age)))
        }),
    );
    lines.extend(left_alone(&survey.left));
    (count, bytes)
}

/// Takes a package manager's lock as it does itself; nothing to take where there is no such file.
fn lock(path: &Path) -> Result<Option<File>, String> {
    let Ok(file) = OpenOptions::new().write(true).open(path) else { return Ok(None) };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err("apt is at work in its cache".into()),
    }
}
