//! A control group's memory as the kernel counts it, in version 2 and in version 1 of its files; see cgroups(7).
//! Shared memory counts as anonymous: no file stands behind it, and only the processes give it back.

use std::path::Path;

use ansai_model::{
    domain::memory::{LimitKind, MemoryLimit, MemorySnapshot},
    units::ByteSize,
};

use super::figures::{field, number, pressure, text};

/// Most groups above a group whose limits are looked at.
const DEPTH_MAX: usize = 16;
/// From here on version 1 means no limit.
const UNLIMITED: u64 = 1 << 60;

/// What the kernel counts for a group; `None` where no memory controller is there for it.
pub(super) fn read(root: &Path, group: &str) -> Option<MemorySnapshot> {
    let group = group.strip_prefix('/')?;
    if group.is_empty() || group.split('/').any(|part| part == "..") {
        return None;
    }
    let hierarchy = root.join("sys/fs/cgroup");
    version_2(&hierarchy, group).or_else(|| version_1(&hierarchy.join("memory"), group))
}

fn version_2(hierarchy: &Path, group: &str) -> Option<MemorySnapshot> {
    let folder = hierarchy.join(group);
    let used = number(&folder.join("memory.current"))?;
    let (resident, cache) = held(&folder)?;
    let swapped = number(&folder.join("memory.swap.current")).unwrap_or(0);
    let events = text(&folder.join("memory.events")).unwrap_or_default();
    let own = [("memory.max", LimitKind::Max), ("memory.high", LimitKind::High)];
    let own = own.into_iter().filter_map(|(file, kind)| limit(number(&folder.join(file))?, kind));
    // Others in the groups above use the same limit: what is left of it is free to this one.
    let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(hierarchy)).take(DEPTH_MAX);
    let shared = above.filter_map(|above| {
        let left = number(&above.join("memory.max"))?.saturating_sub(held(above)?.0);
        limit(left.saturating_add(resident).saturating_add(swapped), LimitKind::Shared)
    });
    Some(MemorySnapshot {
        resident: ByteSize(resident),
        swapped: ByteSize(swapped),
        cache: ByteSize(cache),
        used: ByteSize(used),
        limits: own.chain(shared).collect(),
        pressure: pressure(&folder.join("memory.pressure")),
        oom_kills: field(&events, "oom_kill"),
        ..MemorySnapshot::default()
    })
}

/// What a group and all below it hold that only they can give back, and their cache.
fn held(folder: &Path) -> Option<(u64, u64)> {
    let stat = text(&folder.join("memory.stat"))?;
    let shared = field(&stat, "shmem").unwrap_or(0);
    let cache = field(&stat, "file").unwrap_or(0).saturating_sub(shared);
    Some((field(&stat, "anon")?.saturating_add(shared), cache))
}

fn version_1(hierarchy: &Path, group: &str) -> Option<MemorySnapshot> {
    let folder = hierarchy.join(group);
    let used = number(&folder.join("memory.usage_in_bytes"))?;
    let stat = text(&folder.join("memory.stat"))?;
    let total = |name: &str| field(&stat, &format!("total_{name}")).or_else(|| field(&stat, name));
    let shared = total("shmem").unwrap_or(0);
    let own = number(&folder.join("memory.limit_in_bytes"));
    // The tightest of the group's own and those above it.
    let tightest = field(&stat, "hierarchical_memory_limit").or(own);
    let kind = if tightest == own { LimitKind::Max } else { LimitKind::Shared };
    let control = text(&folder.join("memory.oom_control")).unwrap_or_default();
    Some(MemorySnapshot {
        resident: ByteSize(total("rss")?.saturating_add(shared)),
        swapped: ByteSize(total("swap").unwrap_or(0)),
        cache: ByteSize(total("cache").unwrap_or(0).saturating_sub(shared)),
        used: ByteSize(used),
        limits: tightest.and_then(|at| limit(at, kind)).into_iter().collect(),
        oom_kills: field(&control, "oom_kill"),
        ..MemorySnapshot::default()
    })
}

fn limit(at: u64, kind: LimitKind) -> Option<MemoryLimit> {
    (at < UNLIMITED).then_some(MemoryLimit { at: ByteSize(at), kind })
}

#[cfg(test)]
mod tests {
    use ansai_model::units::Percent;

    use super::{super::figures::tests::root, *};

    fn at(at: u64, kind: LimitKind) -> MemoryLimit {
        MemoryLimit { at: ByteSize(at), kind }
    }

    #[test]
    fn version_2_tells_the_cache_from_what_is_held_and_knows_every_limit_above() {
        const UNIT: &str = "sys/fs/cgroup/system.slice/app.service";
        let file = |name: &str| format!("{UNIT}/{name}");
        let (current, stat, swap) = (file("memory.current"), file("memory.stat"), file("memory.swap.current"));
        let (max, high) = (file("memory.max"), file("memory.high"));
        let (events, stalls) = (file("memory.events"), file("memory.pressure"));
        let root = root(&[
            (&current, "9000\n"),
            (&stat, "anon 4000\nfile 3500\nkernel 500\nshmem 500\nanon_thp 0\n"),
            (&swap, "100\n"),
            (&max, "max\n"),
            (&high, "10000\n"),
            (&events, "low 0\nhigh 7\nmax 0\noom 1\noom_kill 2\noom_group_kill 0\n"),
            (
                &stalls,
                "some avg10=0.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.10 avg60=0.00 avg300=0.00 total=3\n",
            ),
            ("sys/fs/cgroup/system.slice/memory.max", "20000\n"),
            ("sys/fs/cgroup/system.slice/memory.stat", "anon 14000\nfile 9999\nshmem 1000\n"),
            ("sys/fs/cgroup/memory.stat", "anon 99\n"),
        ]);
        let found = read(root.path(), "/system.slice/app.service").expect("counted");
        assert_eq!((found.resident.0, found.swapped.0, found.cache.0, found.used.0), (4500, 100, 3000, 9000));
        // Of the slice's 20,000, 15,000 are held: 5,000 more than its 4,600 are free to it.
        assert_eq!(found.limits, [at(10_000, LimitKind::High), at(9_600, LimitKind::Shared)]);
        assert_eq!((found.oom_kills, found.pressure), (Some(2), Some(Percent::of(50, 10_000))));
    }

    #[test]
    fn version_1_is_read_where_it_is_mounted() {
        const UNIT: &str = "sys/fs/cgroup/memory/system.slice/app.service";
        let file = |name: &str| format!("{UNIT}/{name}");
        let (usage, stat) = (file("memory.usage_in_bytes"), file("memory.stat"));
        let (own, oom) = (file("memory.limit_in_bytes"), file("memory.oom_control"));
        let text = "cache 1\nrss 2\nhierarchical_memory_limit 8000\ntotal_cache 3000\ntotal_rss 4000\ntotal_shmem 500\ntotal_swap 10\n";
        let root = root(&[
            (&usage, "7000\n"),
            (&stat, text),
            (&own, "9223372036854771712\n"),
            (&oom, "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ]);
        let found = read(root.path(), "/system.slice/app.service").expect("counted");
        assert_eq!((found.resident.0, found.swapped.0, found.cache.0, found.used.0), (4500, 10, 2500, 7000));
        assert_eq!((found.limits, found.oom_kills), (vec![at(8000, LimitKind::Shared)], Some(1)));
    }

    #[test]
    fn without_a_controller_or_with_files_of_nonsense_nothing_is_counted() {
        let root = root(&[("sys/fs/cgroup/a/cgroup.procs", "1\n"), ("sys/fs/cgroup/b/memory.current", "lots\n")]);
        for group in ["/a", "/b", "/c", "", "/", "a", "/../a", "/a/../b"] {
            assert_eq!(read(root.path(), group), None, "{group}");
        }
    }
}
