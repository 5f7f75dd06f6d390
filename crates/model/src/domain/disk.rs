//! The disk domain's values: how a mounted filesystem is looked at, what its figures mean, and what may be done to make
//! room on it. Reading the figures and touching files is `host::linux::domain::disk`'s work; deciding is the engine's.

pub mod clean;

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use clean::{CleanRule, Cleaning, DiskAction, Images, PROTECTED, Strategy, TOO_WIDE};

use crate::{
    condition::{Value, ValueType},
    domain::{Domain, Look, Signs},
    inventory::Writable,
    observation::Observation,
    text::Text,
    time::Shown,
    units::{ByteSize, Percent, Room},
};

/// The name of the check that fails when no room is left to ordinary users.
pub const FULL: &str = "full";
/// The name of the check that fails when the kernel has stopped writing to it.
pub const READ_ONLY: &str = "read-only";

/// The domain. Its targets are filesystems, each by its mount point.
pub const DOMAIN: Domain = Domain {
    key: "disk",
    has_targets: true,
    figures: USAGE_FIGURES,
    is_down: false,
    by_hand: &["df -h {}", "du -xh --max-depth=2 {} | sort -h | tail"],
    signs: Signs { unwritable: Some(&[FULL, READ_ONLY]), ..Signs::NONE },
};

/// A look at a mounted filesystem, which is named by its mount point as `/proc/self/mountinfo` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskProbe {
    /// How much of it is used, as df(1) says it: reserved blocks are neither used nor available.
    Space {
        /// The mount point.
        mount: String,
        /// The share from which it is failing.
        fails_at: Percent,
    },
    /// How many of its inodes are used; healthy where their number is not fixed.
    Inodes {
        /// The mount point.
        mount: String,
        /// The share from which it is failing.
        fails_at: Percent,
    },
    /// Whether ordinary users can still write: room and an inode are left to them.
    Full {
        /// The mount point.
        mount: String,
        /// Less room than this is failing.
        available_min: ByteSize,
    },
    /// Whether the kernel made it read-only after an error; one that was mounted so is healthy.
    ReadOnly {
        /// The mount point.
        mount: String,
    },
    /// Errors of its device or of itself that the kernel told of.
    Errors {
        /// The mount point.
        mount: String,
        /// How long an error is held against it.
        within: Duration,
    },
}

/// The figure that is followed over time.
pub const USED: &str = "disk.used_bytes";
/// The figure that it must not reach: all that ordinary users can use.
pub const USABLE: &str = "disk.usable";

/// What a look at the room of a filesystem reports.
const USAGE_FIGURES: &[(&str, ValueType)] = &[
    ("disk.used", ValueType::Percent),
    (USED, ValueType::Bytes),
    (USABLE, ValueType::Bytes),
    ("disk.available", ValueType::Bytes),
    ("disk.size", ValueType::Bytes),
    ("disk.inodes_used", ValueType::Percent),
    ("disk.inodes_available", ValueType::Number),
];

impl Look for DiskProbe {
    /// The kind, in one word, as in the configuration.
    fn kind(&self) -> &'static str {
        DOMAIN.key
    }

    /// The figures that it reports.
    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        match self {
            Self::Space { .. } | Self::Inodes { .. } | Self::Full { .. } => USAGE_FIGURES,
            Self::ReadOnly { .. } => &[],
            Self::Errors { .. } => &[("disk.errors", ValueType::Number)],
        }
    }
}

impl DiskProbe {
    /// The mount point that it looks at.
    #[must_use]
    pub fn mount(&self) -> &str {
        match self {
            Self::Space { mount, .. } | Self::Inodes { mount, .. } | Self::Full { mount, .. } => mount,
            Self::ReadOnly { mount } | Self::Errors { mount, .. } => mount,
        }
    }
}

/// What a filesystem says of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// All of it.
    pub size: ByteSize,
    /// What is used.
    pub used: ByteSize,
    /// What ordinary users can still use: what is free less what is reserved.
    pub available: ByteSize,
    /// How many inodes there are; zero where they are made as needed.
    pub inodes: u64,
    /// How many of them are used.
    pub inodes_used: u64,
    /// How many ordinary users can still use.
    pub inodes_available: u64,
}

impl DiskUsage {
    /// Its room.
    #[must_use]
    pub fn room(&self) -> Room {
        Room { size: self.size, used: self.used, available: self.available }
    }

    /// The used share of what ordinary users could use, as df(1) says it.
    #[must_use]
    pub fn used_share(&self) -> Percent {
        self.room().used_share()
    }

    /// The used share of the inodes; zero where their number is not fixed.
    #[must_use]
    pub fn inodes_share(&self) -> Percent {
        Percent::of(self.inodes_used, self.inodes_used.saturating_add(self.inodes_available))
    }

    /// How many bytes must become free until at most this share is used.
    #[must_use]
    pub fn bytes_above(&self, goal: Percent) -> u64 {
        above(self.used.0, self.available.0, goal)
    }

    /// How many inodes must become free until at most this share is used.
    #[must_use]
    pub fn inodes_above(&self, goal: Percent) -> u64 {
        if self.inodes == 0 { 0 } else { above(self.inodes_used, self.inodes_available, goal) }
    }
}

/// What is used of `used + available` above the goal, rounded up.
fn above(used: u64, available: u64, goal: Percent) -> u64 {
    let whole = u128::from(used) + u128::from(available);
    let allowed = whole * u128::from(goal.hundredths()) / 10_000;
    u64::try_from(u128::from(used).saturating_sub(allowed)).unwrap_or(u64::MAX)
}

/// What the figures mean to a probe of space, of inodes or of what is available; `None` for the others.
#[must_use]
pub fn judge_usage(probe: &DiskProbe, usage: &DiskUsage) -> Option<Observation> {
    let (mount, is_failing, text) = match probe {
        DiskProbe::Space { mount, fails_at } => (mount, usage.used_share() >= *fails_at, usage.room().in_words()),
        DiskProbe::Inodes { mount, .. } if usage.inodes == 0 => (mount, false, "inodes are made as needed".into()),
        DiskProbe::Inodes { mount, fails_at } => {
            let share = usage.inodes_share();
            let words = format!("{share} of {} inodes used, {} available", usage.inodes, usage.inodes_available);
            (mount, share >= *fails_at, words)
        }
        DiskProbe::Full { mount, available_min } => {
            let has_no_inode = usage.inodes > 0 && usage.inodes_available == 0;
            let has_no_room = usage.available < *available_min;
            let words = match (has_no_inode, has_no_room) {
                (true, _) => String::from("not one inode is left: no file can be made"),
                (false, true) => format!("no room is left to ordinary users: {}", usage.room().in_words()),
                (false, false) => format!("{} available to ordinary users", usage.available),
            };
            (mount, has_no_inode || has_no_room, words)
        }
        DiskProbe::ReadOnly { .. } | DiskProbe::Errors { .. } => return None,
    };
    let text = format!("{mount}: {text}");
    let seen = if is_failing { Observation::failing(text) } else { Observation::healthy(text) };
    Some(
        seen.with_figure("disk.used", Value::Percent(usage.used_share()))
            .with_figure(USED, Value::Bytes(usage.used))
            .with_figure(USABLE, Value::Bytes(usage.room().usable()))
            .with_figure("disk.available", Value::Bytes(usage.available))
            .with_figure("disk.size", Value::Bytes(usage.size))
            .with_figure("disk.inodes_used", Value::Percent(usage.inodes_share()))
            .with_figure("disk.inodes_available", Value::Number(approximate(usage.inodes_available))),
    )
}

/// A count as a number; above four billions it is all the same.
fn approximate(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What it means that a filesystem can or cannot be written to.
#[must_use]
pub fn judge_writable(mount: &str, writable: Writable) -> Observation {
    match writable {
        Writable::Yes => Observation::healthy(format!("{mount} is writable")),
        Writable::ReadOnlyByMount => Observation::healthy(format!("{mount} is mounted for reading only, as asked")),
        Writable::StoppedByKernel => Observation::failing(format!(
            "the kernel made {mount} read-only after an error; look at the kernel log and at the device before it is \
             checked (fsck) and mounted anew"
        )),
    }
}

/// What the kernel told of a filesystem and its device.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KernelErrors {
    /// How many it told of within the time that counts.
    pub count: u64,
    /// The last of them, oldest first; a few.
    pub last: Vec<Text>,
}

/// What the kernel's words about a filesystem mean.
#[must_use]
pub fn judge_errors(mount: &str, within: Duration, errors: &KernelErrors) -> Observation {
    let within = Shown(within);
    let seen = match errors.count {
        0 => Observation::healthy(format!("{mount}: no error in the kernel log within {within}")),
        count => {
            let last = errors.last.last().map_or("", Text::as_str);
            let many = if count == 1 { "one error" } else { "errors" };
            Observation::failing(format!("{mount}: {many} in the kernel log within {within} ({count}): {last}"))
        }
    };
    seen.with_figure("disk.errors", Value::Number(approximate(errors.count)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Health;

    const GIB: u64 = 1 << 30;

    fn percent(percent: u8) -> Percent {
        Percent::new(percent).unwrap_or_default()
    }

    fn usage(used: u64, available: u64) -> DiskUsage {
        DiskUsage {
            // 5 % are reserved, as ext4 does it.
            size: ByteSize((used + available) * 20 / 19),
            used: ByteSize(used),
            available: ByteSize(available),
            inodes: 1000,
            inodes_used: 100,
            inodes_available: 900,
        }
    }

    #[track_caller]
    fn check(probe: DiskProbe, usage: DiskUsage, health: Health) {
        assert_eq!(judge_usage(&probe, &usage).map(|seen| seen.health()), Some(health));
    }

    #[test]
    fn what_is_reserved_is_neither_used_nor_available() {
        let space = |fails_at| DiskProbe::Space { mount: "/".into(), fails_at: percent(fails_at) };
        check(space(90), usage(90 * GIB, 10 * GIB), Health::Failing);
        check(space(91), usage(90 * GIB, 10 * GIB), Health::Healthy);
        check(space(100), usage(GIB, 0), Health::Failing);
        check(space(1), usage(0, 0), Health::Healthy);
    }

    #[test]
    fn a_look_at_its_room_says_how_full_it_is_in_figures_that_add_up() {
        let said = |probe, usage: &DiskUsage| judge_usage(&probe, usage).map(|seen| seen.summary().clone());
        let space = DiskProbe::Space { mount: "/var".into(), fails_at: percent(50) };
        let words = "/var: 60.0 % used (57.0 GiB of 95.0 GiB), 38.0 GiB available; another 5.0 GiB is reserved for root, \
                     100.0 GiB in all";
        assert_eq!(said(space, &usage(57 * GIB, 38 * GIB)), Some(words.into()));
        let full = DiskProbe::Full { mount: "/var".into(), available_min: ByteSize(4096) };
        let words = "/var: no room is left to ordinary users: 100.0 % used (95.0 GiB of 95.0 GiB), 0 B available; another \
                     5.0 GiB is reserved for root, 100.0 GiB in all";
        assert_eq!(said(full, &usage(95 * GIB, 0)), Some(words.into()));
    }

    #[test]
    fn a_filesystem_is_full_when_no_room_or_no_inode_is_left_to_ordinary_users() {
        let full = || DiskProbe::Full { mount: "/".into(), available_min: ByteSize(4096) };
        check(full(), usage(GIB, 4096), Health::Healthy);
        check(full(), usage(GIB, 4095), Health::Failing);
        let no_inode = DiskUsage { inodes_used: 1000, inodes_available: 0, ..usage(GIB, GIB) };
        check(full(), no_inode, Health::Failing);
        check(full(), DiskUsage { inodes: 0, ..no_inode }, Health::Healthy);
    }

    #[test]
    fn inodes_that_are_made_as_needed_never_fail() {
        let inodes = || DiskProbe::Inodes { mount: "/".into(), fails_at: percent(90) };
        let most = DiskUsage { inodes_used: 900, inodes_available: 100, ..usage(GIB, GIB) };
        check(inodes(), most, Health::Failing);
        check(inodes(), DiskUsage { inodes: 0, ..most }, Health::Healthy);
    }

    #[test]
    fn what_must_become_free_reaches_the_goal_exactly() {
        let full = usage(96, 4);
        assert_eq!(full.bytes_above(percent(80)), 16);
        assert_eq!(full.bytes_above(percent(96)), 0);
        assert_eq!(full.inodes_above(percent(5)), 50);
        let odd = usage(1000, 3);
        let after = DiskUsage { used: ByteSize(1000 - odd.bytes_above(percent(80))), ..odd };
        assert!(Percent::of(after.used.0, 1003) <= percent(80));
    }

    #[test]
    fn only_what_the_kernel_stopped_is_a_failure() {
        assert_eq!(judge_writable("/", Writable::Yes).health(), Health::Healthy);
        assert_eq!(judge_writable("/", Writable::ReadOnlyByMount).health(), Health::Healthy);
        assert_eq!(judge_writable("/", Writable::StoppedByKernel).health(), Health::Failing);
        assert_eq!(judge_errors("/", Duration::ZERO, &KernelErrors::default()).health(), Health::Healthy);
        let told = KernelErrors { count: 2, last: alloc::vec!["I/O error, dev sda".into()] };
        let seen = judge_errors("/", Duration::ZERO, &told);
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("dev sda"));
    }
}
