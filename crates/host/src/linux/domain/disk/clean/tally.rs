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
    /// What could not be compressed and may have been deleted afterwards.
    not_compressed: Leftovers,
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

    pub(super) fn not_compressed(&mut self, why: Left, shown: impl FnOnce() -> String) {
        count(&mut self.not_compressed, why, shown);
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
        for (mine, theirs) in [(&mut self.left, other.left), (&mut self.not_compressed, other.not_compressed)] {
            for (why, (many, example)) in theirs {
                mine.entry(why).or_insert((0, example)).0 += many;
            }
        }
        self.remarks.extend(other.remarks);
    }

    /// With what a second walk over the same files did: what it left alone is what the first one did.
    pub(super) fn join_again(&mut self, other: Self) {
        self.left.clear();
        self.not_compressed.clear();
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
        lines.extend(told(&self.not_compressed, "not compressed"));
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
    told(left, "left alone")
}

fn told(left: &Leftovers, what: &str) -> impl Iterator<Item = String> {
    left.iter().map(move |(why, (count, example))| format!("{what}, {}: {count}, as {example}", why.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_compressed_and_was_deleted_is_not_said_to_be_left_alone() {
        let mut tally = Tally::default();
        tally.not_compressed(Left::Refused, || "/log/1.log".into());
        let mut deleted = Tally::default();
        deleted.deleted(4096, Duration::from_secs(60), || "/log/1.log".into());
        tally.join(deleted);
        let text = tally.lines().join("; ");
        assert!(text.contains("not compressed, ") && text.contains("deleted /log/1.log"), "{text}");
        assert!(!text.contains("left alone"), "{text}");
        // What a second walk finds anew is told once.
        let mut again = Tally::default();
        again.not_compressed(Left::Refused, || "/log/2.log".into());
        tally.join_again(again);
        assert!(tally.lines().iter().any(|line| line.ends_with(": 1, as /log/2.log")), "{:?}", tally.lines());
    }
}
