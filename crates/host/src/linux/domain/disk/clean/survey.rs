//! What a rule would give up: how many files of which age and size, and the oldest of them by name. It touches nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ffi::CStr,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use super::{
    scope::{Dir, Left},
    sweep::{Need, Pass, Sweep},
    walk::Visit,
};

/// Most files that are named.
const NAMED_MAX: usize = 16;
/// Steps of ages within each doubling.
const STEPS: usize = 64;
const BUCKETS: usize = 64 * STEPS;

/// Places of [`Approved`], a byte each: two mebibytes of memory.
const PLACES: usize = 1 << 21;
/// Inodes that follow each other share a run of places, which is fetched into the processor's cache at once.
const RUN: u64 = 64;

/// Which files may go and about how old they are, by inode, in a fixed amount of memory: what it does not know may not;
/// what it knows is looked at once more, since another file may share its place. The older one counts.
pub(super) struct Approved(Vec<AtomicU8>);

impl Approved {
    pub(super) fn none() -> Self {
        Self((0..PLACES).map(|_| AtomicU8::new(0)).collect())
    }

    fn place(inode: u64) -> usize {
        // Multiplied by a large odd number, the upper bits depend on all of the number of the run.
        let run = (inode / RUN).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        usize::try_from(run * RUN + inode % RUN).unwrap_or(0) % PLACES
    }

    /// What stands for an age, given by its bucket: steps of about ten percent, from 1 on.
    fn step(bucket: usize) -> u8 {
        u8::try_from(bucket / 8 + 1).unwrap_or(u8::MAX)
    }

    fn add(&self, inode: u64, bucket: usize) {
        self.0[Self::place(inode)].fetch_max(Self::step(bucket), Ordering::Relaxed);
    }

    /// Whether a file may go that was as old as this bucket, or older.
    pub(super) fn may_go(&self, inode: u64, bucket: usize) -> bool {
        self.0[Self::place(inode)].load(Ordering::Relaxed) >= Self::step(bucket)
    }
}

/// Ages of files: how many of which age, and how large together.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    /// Count and bytes by age, the youngest first.
    buckets: Vec<(u64, u64)>,
    /// The oldest: their age in seconds, their name and their size. Of those of one age the first by name comes first.
    oldest: BinaryHeap<Reverse<(u64, Reverse<String>, u64)>>,
    /// What is left alone, and why.
    pub(super) left: BTreeMap<Left, (u64, String)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![(0, 0); BUCKETS], oldest: BinaryHeap::new(), left: BTreeMap::new() }
    }
}

impl Histogram {
    /// Where an age stands among the ages: steps of about one percent.
    pub(super) fn bucket(age: Duration) -> usize {
        let seconds = age.as_secs() + 1;
        let power = seconds.ilog2() as usize;
        let step = if power >= 6 { (seconds >> (power - 6)) & 63 } else { (seconds << (6 - power)) & 63 };
        power * STEPS + usize::try_from(step).unwrap_or(0)
    }

    fn add(&mut self, bucket: usize, bytes: u64) {
        let (count, sum) = &mut self.buckets[bucket];
        *count += 1;
        *sum = sum.saturating_add(bytes);
    }

    /// How old (by its place) a file must be to go, so that enough becomes free; all when that is not enough.
    pub(super) fn bucket_for(&self, need: Need) -> usize {
        let (mut bytes, mut inodes) = (0_u64, 0);
        for (bucket, (count, sum)) in self.buckets.iter().enumerate().rev() {
            bytes = bytes.saturating_add(*sum);
            inodes += count;
            if need.is_met_by(bytes, inodes) {
                return bucket;
            }
        }
        0
    }

    /// How many files from this place on, and how large together.
    pub(super) fn from(&self, bucket: usize) -> (u64, u64) {
        let from = self.buckets.get(bucket..).unwrap_or_default();
        from.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// The oldest by name, the oldest first: how old in seconds, how large, and the name.
    pub(super) fn oldest(&self) -> Vec<(u64, u64, String)> {
        let sorted = self.oldest.clone().into_sorted_vec().into_iter();
        sorted.map(|Reverse((age, Reverse(name), bytes))| (age, bytes, name)).collect()
    }

    /// The files that go, the oldest first and no more than are needed; nothing when that are more than are named.
    pub(super) fn exactly(&self, need: Need) -> Option<Vec<(u64, u64, String)>> {
        let (mut goes, mut bytes, mut inodes) = (self.oldest(), 0_u64, 0);
        let enough = goes.iter().position(|(_, more, _)| {
            bytes = bytes.saturating_add(*more);
            inodes += 1;
            need.is_met_by(bytes, inodes)
        });
        let is_all = self.from(0).0 == inodes;
        goes.truncate(enough.map_or(goes.len(), |last| last + 1));
        (enough.is_some() || is_all).then_some(goes)
    }

    /// About how many files go and how large they are together: all older ones, and of those as old as the last one as many
    /// as are still needed, as large as they are on average.
    pub(super) fn about(&self, need: Need) -> (u64, u64) {
        let bucket = self.bucket_for(need);
        let ((older, older_bytes), (count, bytes)) = (self.from(bucket + 1), self.buckets[bucket]);
        let left = Need { bytes: need.bytes.saturating_sub(older_bytes), inodes: need.inodes.saturating_sub(older) };
        let for_bytes = u128::from(left.bytes) * u128::from(count);
        let for_bytes = u64::try_from(for_bytes.div_ceil(u128::from(bytes.max(1)))).unwrap_or(u64::MAX);
        let goes = for_bytes.max(left.inodes).min(count);
        let together = u128::from(bytes) * u128::from(goes) / u128::from(count.max(1));
        (older + goes, older_bytes.saturating_add(u64::try_from(together).unwrap_or(u64::MAX)))
    }

    /// Both together.
    pub(super) fn with(mut self, other: Self) -> Self {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine = (mine.0 + theirs.0, mine.1.saturating_add(theirs.1));
        }
        self.oldest.extend(other.oldest);
        while self.oldest.len() > NAMED_MAX {
            self.oldest.pop();
        }
        for (why, (count, example)) in other.left {
            self.left.entry(why).or_insert((0, example)).0 += count;
        }
        self
    }
}

/// A thread's part of the survey.
pub(super) struct Survey<'a> {
    sweep: &'a Sweep<'a>,
    pass: Pass,
    approved: &'a Approved,
    pub(super) histogram: Histogram,
}

impl<'a> Survey<'a> {
    pub(super) fn new(sweep: &'a Sweep<'a>, pass: Pass, approved: &'a Approved) -> Self {
        Self { sweep, pass, approved, histogram: Histogram::default() }
    }
}

impl Visit for Survey<'_> {
    fn file(&mut self, dir: &Dir, name: &CStr, inode: u64) {
        let Some((seen, age)) = self.sweep.candidate(dir, name, self.pass) else { return };
        if seen.links != 1 {
            return self.left(dir, name, Left::Linked);
        }
        let bucket = Histogram::bucket(age);
        self.approved.add(inode, bucket);
        self.histogram.add(bucket, seen.bytes);
        let oldest = &mut self.histogram.oldest;
        let is_old =
            oldest.len() < NAMED_MAX || oldest.peek().is_some_and(|Reverse((least, ..))| age.as_secs() > *least);
        if is_old {
            oldest.push(Reverse((age.as_secs(), Reverse(self.sweep.declared.shown(dir, name)), seen.bytes)));
            if oldest.len() > NAMED_MAX {
                oldest.pop();
            }
        }
    }

    fn left(&mut self, dir: &Dir, name: &CStr, why: Left) {
        super::walk::count(&mut self.histogram.left, why, || self.sweep.declared.shown(dir, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_order_and_exact_to_about_one_percent() {
        let mut last = 0;
        for seconds in (0..2000).chain((2000..40_000_000).step_by(997)).chain([u64::MAX - 1]) {
            let bucket = Histogram::bucket(Duration::from_secs(seconds));
            assert!(bucket >= last && bucket < BUCKETS, "{seconds}: {bucket} after {last}");
            last = bucket;
        }
        let day = |days: u64| Histogram::bucket(Duration::from_secs(days * 86_400));
        assert!(day(30) > day(29) && day(29) > day(28));
    }

    #[test]
    fn what_was_approved_is_known_and_nearly_nothing_else() {
        let approved = Approved::none();
        let bucket = |days: u64| Histogram::bucket(Duration::from_secs(days * 86_400));
        (0..100_000).for_each(|inode| approved.add(inode * 3, bucket(20)));
        assert!((0..100_000).all(|inode| approved.may_go(inode * 3, bucket(20))));
        let may_go = |inode: &u64| approved.may_go(*inode, 0);
        let others = (0..100_000).filter(|inode| may_go(&(inode * 3 + 1))).count();
        let scattered = (0..100_000).filter(|inode| may_go(&(inode * 8191 + (1 << 40)))).count();
        assert!(others < 2000 && scattered < 10_000, "{others} {scattered}");
        // A little less old is told apart, and as old as it gets is the oldest.
        assert!((0..100_000).all(|inode| !approved.may_go(inode * 3, bucket(24))));
        approved.add(3, BUCKETS - 1);
        assert!(approved.may_go(3, BUCKETS - 1) && !approved.may_go(6, BUCKETS - 1));
    }

    #[test]
    fn of_more_than_are_named_it_is_told_about_how_many_of_one_age_go() {
        let mut all = Histogram::default();
        let day = |days: u64| Histogram::bucket(Duration::from_secs(days * 86_400));
        (0..10).for_each(|_| all.add(day(40), 100));
        (0..1000).for_each(|_| all.add(day(30), 100));
        (0..1000).for_each(|_| all.add(day(20), 100));
        let need = |bytes, inodes| Need { bytes, inodes };
        assert_eq!(all.exactly(need(1050, 0)), None);
        assert_eq!(all.about(need(1050, 0)), (11, 1100));
        assert_eq!(all.about(need(0, 500)), (500, 50_000));
        assert_eq!(all.about(need(u64::MAX, 0)), (2010, 201_000));
        assert_eq!(Histogram::default().about(need(1, 1)), (0, 0));
    }

    #[test]
    fn the_oldest_go_first_and_no_more_than_are_needed() {
        let mut all = Histogram::default();
        for days in 1..=10 {
            all.add(Histogram::bucket(Duration::from_secs(days * 86_400)), 100);
        }
        let from = |bytes, inodes| all.from(all.bucket_for(Need { bytes, inodes }));
        assert_eq!(from(250, 0), (3, 300));
        assert_eq!(from(0, 4), (4, 400));
        assert_eq!(from(100, 1), (1, 100));
        assert_eq!(from(5000, 0), (10, 1000));
    }
}
