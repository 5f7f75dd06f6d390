//! How much of a filesystem is used, by statvfs(3). It judges nothing.

use std::{io, path::Path, time::Duration};

use ansai_model::{domain::disk::DiskUsage, units::ByteSize};
use rustix::fs::StatVfs;

use crate::linux::aside::{self, Kind, Work};
use crate::linux::mounts::Mount;

/// Reads the figures now. What lies on this host answers at once; anything else is asked with [`ask`].
pub(super) fn read(root: &Path, mount: &Mount) -> io::Result<DiskUsage> {
    Ok(usage(&rustix::fs::statvfs(mount.found_at(root))?))
}

/// Reads the figures, within `timeout`; one that does not answer costs a thread (see `aside`).
///
/// # Errors
/// When it cannot be asked, or does not answer.
pub(super) async fn ask(root: &Path, mount: &Mount, timeout: Duration) -> Result<DiskUsage, String> {
    let words = |error: io::Error| format!("{} cannot be asked how full it is: {error}", mount.path);
    if mount.is_real() || mount.is_in_memory() {
        return read(root, mount).map_err(words);
    }
    let place = mount.found_at(root);
    let work = Work::new(Kind::Look, format!("the filesystem at {}", mount.path)).on([&place]);
    match aside::run(work, timeout, move || rustix::fs::statvfs(&place)).await {
        Ok(Ok(seen)) => Ok(usage(&seen)),
        Ok(Err(error)) => Err(words(error.into())),
        Err(late) => Err(late.to_string()),
    }
}

/// The figures of statvfs in our words.
pub(super) fn usage(seen: &StatVfs) -> DiskUsage {
    let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(seen.f_frsize));
    DiskUsage {
        size: bytes(seen.f_blocks),
        used: bytes(seen.f_blocks.saturating_sub(seen.f_bfree)),
        available: bytes(seen.f_bavail),
        inodes: seen.f_files,
        inodes_used: seen.f_files.saturating_sub(seen.f_ffree),
        inodes_available: seen.f_favail,
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::inventory::Writable;

    use super::*;

    fn mount(kind: &str) -> Mount {
        Mount {
            id: 1,
            device: (0, 0),
            top: "/".into(),
            path: "/".into(),
            kind: kind.into(),
            source: "x".into(),
            writable: Writable::Yes,
        }
    }

    #[tokio::test]
    async fn this_machines_root_is_asked_directly_and_by_way_of_a_thread() {
        for kind in ["ext4", "nfs4"] {
            let usage = ask(Path::new("/"), &mount(kind), Duration::from_secs(10)).await.expect("answered");
            assert!(usage.size.0 > 0 && usage.used <= usage.size, "{usage:?}");
        }
    }

    #[tokio::test]
    async fn many_looks_at_one_mount_at_once_are_all_answered() {
        let mount = mount("nfs4");
        let looks = (0..40).map(|_| ask(Path::new("/"), &mount, Duration::from_secs(10)));
        let seen = futures_util::future::join_all(looks).await;
        assert!(seen.iter().all(Result::is_ok), "{seen:?}");
    }
}
