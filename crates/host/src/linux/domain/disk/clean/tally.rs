//! What a cleaning did, file by file as far as there is room for it, and in numbers.

use std::time::Duration;

use ansai_model::{time::Shown, units::ByteSize};

use super::{
    scope::Left,
    survey::Histogram,
    walk::{Leftovers, count},
};

/// Most files that are named; the others are counted.
const NAMED_MAX: usize = 16;

/// What was done and what was left alone.
#[derive(Default)]
pub(super) struct Tally {
    deleted: u64,
    deleted_bytes: u64,
    compressed: u64,
    compressed_bytes: u64,
    named: Vec<String>,
    replaced: Vec<String>,
    left: Leftovers,
    /// What else is to be said: rules that could not be carried out.
    pub(super) remarks: Vec<String>,
}

impl Tally {
    pub(super) fn deleted(&mut self, bytes: u64, age: Duration, shown: impl FnOnce() -> String) {
        self.deleted += 1;
        self.deleted_bytes += bytes;
        self.name(|| format!("deleted {} ({}, {} old)", shown(), ByteSize(bytes), Shown(age)));
    }

    pub(super) fn compressed(&mut self, bytes: u64, shown: impl FnOnce() -> String) {
        self.compressed += 1;
        self.compressed_bytes += bytes;
        self.name(|| format!("compressed {} ({} less)", shown(), ByteSize(bytes)));
    }

    pub(super) fn replaced(&mut self, shown: impl FnOnce() -> String) {
        if self.replaced.len() < NAMED_MAX {
            self.replaced.push(shown());
        }
    }

    pub(super) fn left(&mut self, why: Left, shown: impl FnOnce() -> String) {
        count(&mut self.left, why, shown);
    }

    /// What a survey saw and left alone.
    pub(super) fn left_by(&mut self, survey: &Histogram) {
        for (why, (many, example)) in &survey.left {
            self.left.entry(*why).or_insert_with(|| (0, example.clone())).0 += many;
        }
    }

    fn name(&mut self, line: impl FnOnce() -> String) {
        if self.named.len() < NAMED_MAX {
            self.named.push(line());
        }
    }

    /// Both together.
    pub(super) fn join(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.deleted_bytes += other.deleted_bytes;
        self.compressed += other.compressed;
        self.compressed_bytes += other.compressed_bytes;
        self.named.extend(other.named);
        self.named.truncate(NAMED_MAX);
        self.replaced.extend(other.replaced);
        self.replaced.truncate(NAMED_MAX);
        for (why, (many, example)) in other.left {
            self.left.entry(why).or_insert((0, example)).0 += many;
        }
        self.remarks.extend(other.remarks);
    }

    /// With what a second walk over the same files did: what it left alone is what the first one did.
    pub(super) fn join_again(&mut self, other: Self) {
        self.left.clear();
        self.join(other);
    }

    /// How many files were deleted or compressed.
    pub(super) fn files(&self) -> u64 {
        self.deleted + self.compressed
    }

    /// What was done, in a sentence for each kind, then the files.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let files = |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        if self.compressed > 0 {
            lines.push(format!("{} compressed: {} less", files(self.compressed), ByteSize(self.compressed_bytes)));
        }
        if self.deleted > 0 {
            lines.push(format!("{} deleted: {}", files(self.deleted), ByteSize(self.deleted_bytes)));
        }
        for name in &self.replaced {
            lines.push(format!("{name} became another file in the moment it was deleted; that one is gone instead"));
        }
        lines.extend(left_alone(&self.left));
        lines.extend(self.remarks.iter().cloned());
        lines.extend(self.named.iter().cloned());
        let more = self.files().saturating_sub(u64::try_from(self.named.len()).unwrap_or(u64::MAX));
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// What was left alone, in words.
pub(super) fn left_alone(left: &Leftovers) -> impl Iterator<Item = String> + '_ {
    left.iter().map(|(why, (count, example))| format!("left alone, {}: {count}, as {example}", why.as_str()))
}
