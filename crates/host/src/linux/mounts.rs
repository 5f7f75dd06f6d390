//! The mounted filesystems, from `/proc/self/mountinfo`, and a wake-up whenever they change.
//!
//! Which of them hold data is told by their type: what lives in memory, in the kernel, on another machine or in layers of
//! a container is watched only where somebody names it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    hint::Hint,
    inventory::{Inventory, MountFacts, Writable},
    units::{ByteSize, Room},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};

use crate::linux::aside::{self, Kind, Work};

/// Most bytes of mountinfo that are read: some ten thousand mounts.
const BYTES_MAX: u64 = 4 << 20;

/// Longest wait for the sizes of all of them.
const SIZES_TIME: Duration = Duration::from_millis(500);

/// How long changes are waited for that come together.
const TOGETHER: Duration = Duration::from_millis(300);

/// Where container engines mount what only containers use.
const OF_ENGINES: &[&str] = &[
    "/run/docker/",
    "/run/containerd/",
    "/run/containers/",
    "/run/netns/",
    "/run/runc/",
    "/var/lib/containerd/",
    "/var/lib/containers/",
    "/var/lib/docker/",
];

/// Types that keep data of this host on a device of this host, and can be written to.
const REAL: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "nilfs2", "reiserfs", "gfs2", "ocfs2",
    "vfat", "exfat", "ntfs3", "hfsplus",
];

/// Beginnings of types that another machine or a program answers for, which may be away.
const REMOTE: &[&str] = &["nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "afs", "autofs", "virtiofs", "lustre"];

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which no other mount has while it is there.
    pub id: u64,
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// What of the filesystem is mounted: `/` is all of it.
    pub top: String,
    /// Where it is mounted; bytes that are no UTF-8 stay escaped.
    pub path: String,
    /// Its type.
    pub kind: String,
    /// What is mounted, as `/dev/sda1`.
    pub source: String,
    /// Whether it can be written to.
    pub writable: Writable,
}

impl Mount {
    /// Whether it keeps data of this host, by its type.
    #[must_use]
    pub fn is_real(&self) -> bool {
        REAL.contains(&self.kind.as_str())
    }

    /// Whether it lies in memory, so that it answers at once.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }

    /// Where it is found below a root.
    #[must_use]
    pub fn found_at(&self, root: &Path) -> PathBuf {
        root.join(self.path.trim_start_matches('/'))
    }

    /// Whether somebody else answers for it, who may be away.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        REMOTE.iter().any(|kind| self.kind.starts_with(kind))
    }
}

/// All mounts that can be reached, in the order in which they were made; one that another hides is left out.
///
/// # Errors
/// When mountinfo cannot be read.
pub fn read(root: &Path) -> io::Result<Vec<Mount>> {
    Ok(parse(&ansai_files::head_text(&root.join("proc/self/mountinfo"), BYTES_MAX)?))
}

fn parse(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in text.lines().filter_map(parse_line) {
        // What was mounted later at the same place, or above it, is what a path leads to.
        mounts.retain(|earlier| !Path::new(&earlier.path).starts_with(&mount.path) || mount.path == "/");
        mounts.retain(|earlier| earlier.path != mount.path);
        mounts.push(mount);
    }
    mounts
}

/// `36 35 98:0 /top /path rw,noatime master:1 - ext4 /dev/root rw,errors=continue`, after proc_pid_mountinfo(5).
fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').take(6).collect();
    let right: Vec<&str> = right.split(' ').take(3).collect();
    let (major, minor) = left.get(2)?.split_once(':')?;
    Some(Mount {
        id: left.first()?.parse().ok()?,
        device: (major.parse().ok()?, minor.parse().ok()?),
        top: unescaped(left.get(3)?),
        path: unescaped(left.get(4)?),
        kind: (*right.first()?).to_owned(),
        source: unescaped(right.get(1)?),
        writable: writable(left.get(5)?, right.get(2)?),
    })
}

/// Whether it can be written to, by the two sets of options.
fn writable(of_mount: &str, beneath: &str) -> Writable {
    let has = |options: &str, option: &str| options.split(',').any(|found| found == option);
    // Newer kernels stop writing without the old mark, and say so.
    let is_stopped = ["emergency_ro", "shutdown"].iter().any(|option| has(beneath, option));
    match (has(of_mount, "ro"), has(beneath, "ro")) {
        (false, true) => Writable::StoppedByKernel,
        _ if is_stopped => Writable::StoppedByKernel,
        (true, _) => Writable::ReadOnlyByMount,
        (false, false) => Writable::Yes,
    }
}

/// The text without the octal escapes of mountinfo; as it is when they make no UTF-8.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = if *first == b'\\' { after.get(..3).and_then(octal) } else { None };
        bytes.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { &after[3..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// The filesystems that hold data of this host, each once: where it can be written to before where it is only shown, where
/// all of it is mounted before where a part is, at the shortest path. One of which only parts are shown for reading is
/// another's, as what a container is given of its host: nobody here fills it, or could make room on it.
#[must_use]
pub fn real(mounts: &[Mount]) -> Vec<&Mount> {
    let mut found: BTreeMap<(u32, u32), &Mount> = BTreeMap::new();
    let is_for_reading = |mount: &Mount| mount.writable == Writable::ReadOnlyByMount;
    let rank = |mount: &Mount| (is_for_reading(mount), mount.top != "/", mount.path.len(), mount.path.clone());
    for mount in mounts.iter().filter(|mount| mount.is_real()) {
        let best = found.entry(mount.device).or_insert(mount);
        if rank(mount) < rank(best) {
            *best = mount;
        }
    }
    let is_anothers = |mount: &&Mount| is_for_reading(mount) && mount.top != "/";
    let mut found: Vec<&Mount> = found.into_values().filter(|mount| !is_anothers(mount)).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The filesystems for the inventory.
#[must_use]
pub(crate) async fn facts(root: &Path) -> Vec<MountFacts> {
    let Ok(mounts) = read(root) else { return Vec::new() };
    let found: Vec<Mount> = real(&mounts).into_iter().take(Inventory::MOUNTS_MAX).cloned().collect();
    let (root, asked) = (root.to_owned(), found.clone());
    let size = move |mount: &Mount| {
        let seen = rustix::fs::statvfs(mount.found_at(&root));
        seen.map_or(ByteSize(0), |seen| ByteSize(seen.f_blocks.saturating_mul(seen.f_frsize)))
    };
    let sizes = move || asked.iter().map(size).collect::<Vec<_>>();
    // A device that does not answer has no size, and is there all the same.
    let sizes = aside::run(Work::new(Kind::Gather, "the sizes of the disks"), SIZES_TIME, sizes).await;
    let sizes = sizes.unwrap_or_else(|_| vec![ByteSize(0); found.len()]);
    let facts = |(mount, size): (Mount, ByteSize)| MountFacts {
        is_read_only: mount.writable != Writable::Yes,
        path: mount.path,
        source: mount.source,
        kind: mount.kind,
        size,
    };
    found.into_iter().zip(sizes).map(facts).collect()
}

/// What counts as a change: which mounts there are, and how they can be written to; not those of containers, which come and go
/// with each health check of one.
fn changing(root: &Path) -> Vec<(u64, String, Writable)> {
    let mounts = read(root).unwrap_or_default().into_iter();
    let is_of_engine = |path: &str| OF_ENGINES.iter().any(|folder| path.starts_with(folder));
    mounts.filter(|mount| !is_of_engine(&mount.path)).map(|mount| (mount.id, mount.path, mount.writable)).collect()
}

/// Says [`Hint::Mounts`] whenever a filesystem is mounted or unmounted, until nobody listens; the kernel wakes it.
pub(crate) async fn watch(root: PathBuf, hints: mpsc::Sender<Hint>) {
    let file = match ansai_files::open(&root.join("proc/self/mountinfo")) {
        Ok(file) => file,
        Err(error) => return tracing::debug!(%error, "mounts are not watched"),
    };
    #[expect(deprecated, reason = "it owns the descriptor, which is what its successor wants promised in unsafe code")]
    let mounts = match AsyncFd::with_interest(file, Interest::PRIORITY) {
        Ok(mounts) => mounts,
        Err(error) => return tracing::debug!(%error, "mounts are not watched"),
    };
    let mut last = changing(&root);
    while let Ok(mut ready) = mounts.ready(Interest::PRIORITY).await {
        ready.clear_ready();
        // What is mounted for a moment only is not worth a look at everything.
        tokio::time::sleep(TOGETHER).await;
        let now = changing(&root);
        if now != last && hints.send(Hint::Mounts).await.is_err() {
            return;
        }
        last = now;
    }
}

/// The room of the filesystem that lies at a place of this machine, when it answers.
///
/// # Errors
/// When it cannot be asked.
pub fn room_at(place: impl AsRef<Path>) -> io::Result<Room> {
    let seen = rustix::fs::statvfs(place.as_ref())?;
    let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(seen.f_frsize));
    let used = seen.f_blocks.saturating_sub(seen.f_bfree);
    Ok(Room { size: bytes(seen.f_blocks), used: bytes(used), available: bytes(seen.f_bavail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /dev/shm rw - tmpfs tmpfs rw
25 22 254:1 / /srv/old\\040data rw - xfs /dev/vdb ro
26 22 254:1 /sub /a rw - xfs /dev/vdb ro
27 22 254:0 /var/lib /bind rw - ext4 /dev/vda rw
28 22 7:1 / /snap/core ro - squashfs /dev/loop1 ro
29 22 0:40 /@home /home rw - btrfs /dev/vdc rw
30 22 0:40 /@ /b rw - btrfs /dev/vdc rw
31 22 0:50 / /over rw - overlay overlay rw
32 22 0:51 / /net rw - nfs4 server:/x rw
33 22 254:2 / /hidden rw - ext4 /dev/vdd rw
34 22 0:52 / /hidden rw - tmpfs tmpfs rw
35 22 254:3 / /stopped rw - ext4 /dev/vde rw,emergency_ro
not a line at all
36 x 254:4 / /odd\\377 rw - ext4 /dev/vdf rw
";

    #[test]
    fn real_filesystems_are_found_once_and_hidden_ones_are_not() {
        let mounts = parse(MOUNTS);
        let paths: Vec<&str> = real(&mounts).iter().map(|mount| mount.path.as_str()).collect();
        assert_eq!(paths, ["/", "/b", "/odd\\377", "/srv/old data", "/stopped"]);
    }

    #[test]
    fn what_is_only_shown_for_reading_is_no_filesystem_of_its_own() {
        let check = |text: &str, expect: &[(&str, Writable)]| {
            let mounts = parse(text);
            let found: Vec<(&str, Writable)> =
                real(&mounts).iter().map(|mount| (mount.path.as_str(), mount.writable)).collect();
            assert_eq!(found, expect, "{text}");
        };
        let data = "22 1 8:1 / /srv/data rw - ext4 /dev/sda1 rw\n";
        let shown = "23 1 8:1 / /ro ro - ext4 /dev/sda1 rw\n";
        for both in [format!("{data}{shown}"), format!("{shown}{data}")] {
            check(&both, &[("/srv/data", Writable::Yes)]);
        }
        // A part that can be written to says more than the whole that cannot.
        check(&format!("{shown}24 1 8:1 /a /part rw - ext4 /dev/sda1 rw\n"), &[("/part", Writable::Yes)]);
        check("22 1 8:1 /usr/lib/x /lib/x ro - ext4 /dev/sda1 rw\n", &[]);
        // What is mounted for reading as a whole is there to be seen.
        check(shown, &[("/ro", Writable::ReadOnlyByMount)]);
    }

    #[test]
    fn what_the_kernel_stopped_is_told_from_what_was_mounted_so() {
        let mounts = parse(MOUNTS);
        let writable = |path: &str| mounts.iter().find(|mount| mount.path == path).map(|mount| mount.writable);
        assert_eq!(writable("/"), Some(Writable::Yes));
        assert_eq!(writable("/srv/old data"), Some(Writable::StoppedByKernel));
        assert_eq!(writable("/stopped"), Some(Writable::StoppedByKernel));
        assert_eq!(writable("/snap/core"), Some(Writable::ReadOnlyByMount));
    }

    #[test]
    fn this_machines_mounts_are_read() {
        let mounts = read(Path::new("/")).expect("read");
        assert!(mounts.iter().any(|mount| mount.path == "/"), "{mounts:?}");
    }

    /// What was mounted on a folder goes with it, also when a test fails.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn run(&self, program: &str, arguments: &[&str]) -> bool {
            let done = std::process::Command::new(program).args(arguments).arg(self.0.path()).status();
            done.is_ok_and(|done| done.success())
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let is_mounted = read(Path::new("/"))
                .is_ok_and(|mounts| mounts.iter().any(|mount| Path::new(&mount.path) == self.0.path()));
            if is_mounted {
                self.run("umount", &[]);
            }
        }
    }

    #[tokio::test]
    async fn a_filesystem_that_is_mounted_or_unmounted_is_hinted_at() {
        let folder = Mounted(tempfile::tempdir().expect("a folder"));
        let (sender, mut hints) = mpsc::channel(16);
        let watch = watch("/".into(), sender);
        let change = async {
            // Without privileges nothing can be mounted, and nothing is to be seen.
            for (program, arguments) in [("mount", &["-t", "tmpfs", "none"][..]), ("umount", &[])] {
                while hints.try_recv().is_ok() {}
                if !folder.run(program, arguments) {
                    return;
                }
                let hint = tokio::time::timeout(std::time::Duration::from_secs(20), hints.recv()).await;
                assert_eq!(hint, Ok(Some(Hint::Mounts)), "{program}");
            }
        };
        tokio::select! {
            // Whoever watches begins first: what was mounted before it looks is no change to it.
            biased;
            () = watch => panic!("it ended"),
            () = change => {}
        }
    }
}
