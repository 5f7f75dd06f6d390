//! How much of a filesystem is used, by statvfs(3). It judges nothing.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ansai_model::{domain::disk::DiskUsage, units::ByteSize};
use rustix::fs::StatVfs;
use tokio::sync::Notify;

use super::mounts::Mount;

/// Mounts whose look has not ended yet: a server that is away can keep it for ever, and one thread each is enough.
static STUCK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Told whenever a look has ended.
static ANSWERED: Notify = Notify::const_new();

/// Most looks that may be stuck at once.
const STUCK_MAX: usize = 16;

/// Reads the figures now. What lies on this host answers at once; anything else is asked with [`ask`].
pub(super) fn read(root: &Path, mount: &Mount) -> io::Result<DiskUsage> {
    Ok(usage(&rustix::fs::statvfs(place(root, mount))?))
}

/// Where a mount point is found.
pub(super) fn place(root: &Path, mount: &Mount) -> PathBuf {
    root.join(mount.path.trim_start_matches('/'))
}

/// Reads the figures, within `timeout`; a filesystem that keeps its look waiting is not asked again before it answers.
///
/// # Errors
/// When it cannot be asked, or does not answer.
pub(super) async fn ask(root: &Path, mount: &Mount, timeout: Duration) -> Result<DiskUsage, String> {
    let words = |error: io::Error| format!("{} cannot be asked how full it is: {error}", mount.path);
    if mount.is_real() || mount.is_in_memory() {
        return read(root, mount).map_err(words);
    }
    let (place, deadline) = (place(root, mount), tokio::time::Instant::now() + timeout);
    // A mount has several checks, which look at the same time: each waits for the one before.
    if tokio::time::timeout_at(deadline, turn(&place)).await.is_err() {
        return Err(format!("{} has not answered yet how full it is", mount.path));
    }
    let look = tokio::task::spawn_blocking(move || {
        let seen = rustix::fs::statvfs(&place);
        STUCK.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        ANSWERED.notify_waiters();
        seen
    });
    match tokio::time::timeout_at(deadline, look).await {
        Ok(Ok(Ok(seen))) => Ok(usage(&seen)),
        Ok(Ok(Err(error))) => Err(words(error.into())),
        Ok(Err(error)) => Err(format!("the look at {} broke off: {error}", mount.path)),
        Err(_) => Err(format!("{} did not answer in time how full it is", mount.path)),
    }
}

/// Waits until nobody looks at a mount, and there is a place for another look.
async fn turn(place: &Path) {
    loop {
        let mut answered = std::pin::pin!(ANSWERED.notified());
        // Whoever answers from here on is heard, though it is waited for only below.
        answered.as_mut().enable();
        {
            let mut stuck = STUCK.lock().unwrap_or_else(PoisonError::into_inner);
            if stuck.len() < STUCK_MAX && stuck.insert(place.to_path_buf()) {
                return;
            }
        }
        answered.await;
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
    use ansai_model::domain::disk::Writable;

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

    #[tokio::test]
    async fn a_look_at_a_mount_that_does_not_answer_ends_in_time_without_a_second_one() {
        let mount = Mount { path: "/nowhere".into(), ..mount("nfs4") };
        STUCK.lock().expect("whole").insert("/nowhere".into());
        let said = ask(Path::new("/"), &mount, Duration::from_millis(20)).await;
        assert!(said.as_ref().is_err_and(|why| why.contains("has not answered yet")), "{said:?}");
        assert!(STUCK.lock().expect("whole").remove(Path::new("/nowhere")));
    }
}
