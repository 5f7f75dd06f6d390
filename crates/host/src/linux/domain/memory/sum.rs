//! A unit's memory summed over its processes, where nobody counts it for them. Several processes share pages, so that of
//! these each counts its proportional part; the kernel walks their page tables for it, which one process alone is spared.

use std::path::Path;

use ansai_model::{domain::memory::MemorySnapshot, units::ByteSize};

use super::figures::{kib, text};

/// Most processes that are summed.
pub(super) const PROCESSES_MAX: usize = 1024;
/// Most of them whose proportional part is asked for.
const PROPORTIONAL_MAX: usize = 128;

/// What one process holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    resident: u64,
    swapped: u64,
    cache: u64,
}

/// The sum; `None` when there is no process.
pub(super) fn of(root: &Path, pids: &[u32]) -> Option<MemorySnapshot> {
    let shares = pids.len() > 1 && pids.len() <= PROPORTIONAL_MAX;
    let part = |pid: &u32| {
        let folder = root.join(format!("proc/{pid}"));
        let proportional = if shares { proportional(&folder) } else { None };
        proportional.or_else(|| whole(&folder, pids.len() == 1))
    };
    let mut found = false;
    let mut sum = Part::default();
    for part in pids.iter().take(PROCESSES_MAX).filter_map(part) {
        found = true;
        sum.resident = sum.resident.saturating_add(part.resident);
        sum.swapped = sum.swapped.saturating_add(part.swapped);
        sum.cache = sum.cache.saturating_add(part.cache);
    }
    found.then(|| MemorySnapshot {
        resident: ByteSize(sum.resident),
        swapped: ByteSize(sum.swapped),
        cache: ByteSize(sum.cache),
        used: ByteSize(sum.resident.saturating_add(sum.cache)),
        ..MemorySnapshot::default()
    })
}

/// A process's part of what it shares with others; `None` when the kernel does not tell, as to a stranger.
fn proportional(folder: &Path) -> Option<Part> {
    let text = text(&folder.join("smaps_rollup"))?;
    let shared = kib(&text, "Pss_Shmem:").unwrap_or(0);
    Some(Part {
        resident: kib(&text, "Pss_Anon:")?.saturating_add(shared),
        swapped: kib(&text, "SwapPss:").unwrap_or(0),
        cache: kib(&text, "Pss_File:").unwrap_or(0),
    })
}

/// What a process holds, what it shares included. Shared memory is counted when no other process may share it.
fn whole(folder: &Path, is_alone: bool) -> Option<Part> {
    let text = text(&folder.join("status"))?;
    let shared = if is_alone { kib(&text, "RssShmem:").unwrap_or(0) } else { 0 };
    // Kernel threads have none of these fields.
    Some(Part {
        resident: kib(&text, "RssAnon:")?.saturating_add(shared),
        swapped: kib(&text, "VmSwap:").unwrap_or(0),
        cache: kib(&text, "RssFile:").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::figures::tests::root, *};

    const STATUS: &str =
        "Name:\tapp\nVmRSS:\t 60 kB\nRssAnon:\t 40 kB\nRssFile:\t 15 kB\nRssShmem:\t 5 kB\nVmSwap:\t 2 kB\n";
    const ROLLUP: &str = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 60 kB\nPss: 31 kB\nPss_Anon: 20 kB\nPss_File: 8 kB\nPss_Shmem: 3 kB\nSwapPss: 1 kB\n";

    fn kibs(found: Option<MemorySnapshot>) -> Option<[u64; 4]> {
        let found = found?;
        Some([found.resident, found.swapped, found.cache, found.used].map(|size| size.0 / 1024))
    }

    #[test]
    fn one_process_counts_whole_and_several_by_their_part() {
        let root = root(&[
            ("proc/7/status", STATUS),
            ("proc/7/smaps_rollup", ROLLUP),
            ("proc/8/status", STATUS),
            ("proc/8/smaps_rollup", ROLLUP),
            ("proc/9/status", STATUS),
            ("proc/10/status", "Name:\tkthread\n"),
        ]);
        assert_eq!(kibs(of(root.path(), &[7])), Some([45, 2, 15, 60]));
        assert_eq!(kibs(of(root.path(), &[7, 8])), Some([46, 2, 16, 62]));
        // One whose part is not told counts with all it has that others cannot share.
        assert_eq!(kibs(of(root.path(), &[7, 9])), Some([63, 3, 23, 86]));
        assert_eq!(kibs(of(root.path(), &[10, 11])), None);
        assert_eq!(kibs(of(root.path(), &[])), None);
    }

    #[test]
    fn this_process_is_read_from_the_kernel_itself() {
        let own = of(Path::new("/"), &[std::process::id()]).expect("it runs");
        assert!(own.resident.0 > 0 && own.used >= own.resident, "{own:?}");
    }
}
