//! What was changed and when, a line of a finding each. Whether it is why something fails is not said here.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::time::WallTime;

/// When the changes of a finding were made, and whether they are of a part of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// When the last of the changes was made.
    pub at: WallTime,
    /// Whether it is the target's own: its unit, its configuration, its package. Only these can be blamed.
    pub is_own: bool,
    /// Each change, in the order of the finding's lines; none in findings of older versions, whose lines are all of `at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Change>,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it was made.
    pub at: WallTime,
    /// Whether nothing was changed by which a program goes: comments and blank lines only.
    #[serde(default)]
    pub is_harmless: bool,
}

impl Changed {
    /// One change of a finding of one line.
    #[must_use]
    pub fn once(at: WallTime, is_own: bool) -> Self {
        Self { at, is_own, each: Vec::new() }
    }
}

impl Evidence {
    /// How the source of packages that were installed, upgraded or removed begins.
    pub const PACKAGES: &'static str = "dpkg's log";

    /// The source of changes of a target's configuration.
    pub const CONFIGURATION: &'static str = "configuration";

    /// The changes that it tells of, each with its line; none when it is no finding of changes.
    pub fn changes(&self) -> impl Iterator<Item = (Change, &str)> {
        let changed = self.changed.as_ref();
        let of_line = move |(index, line)| {
            let changed = changed?;
            let one = || Change { at: changed.at, is_harmless: false };
            Some((changed.each.get(index).copied().unwrap_or_else(one), line))
        };
        self.text.as_str().lines().enumerate().filter_map(of_line)
    }

    /// The same with these of its lines only, by their numbers from zero; nothing when none is left.
    #[must_use]
    pub fn with_lines(mut self, is_kept: impl Fn(usize) -> bool) -> Option<Self> {
        let lines: Vec<&str> =
            self.text.as_str().lines().enumerate().filter_map(|(index, line)| is_kept(index).then_some(line)).collect();
        if lines.is_empty() {
            return None;
        }
        let text = lines.join("\n").into();
        if let Some(changed) = &mut self.changed {
            let mut index = 0;
            changed.each.retain(|_| {
                index += 1;
                is_kept(index - 1)
            });
            changed.at = changed.each.iter().map(|change| change.at).max().unwrap_or(changed.at);
        }
        self.text = text;
        Some(self)
    }
}
