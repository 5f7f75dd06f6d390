//! Errors of a filesystem and of the devices below it, as the kernel told of them: its log, and the count that ext4 keeps
//! in the filesystem itself. It judges nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ansai_model::{domain::disk::KernelErrors, probe::CommandLine, text::Text};

use crate::linux::command::{self, Ended};
use crate::linux::mounts::Mount;

/// Most lines of the log that are read.
const LINES_MAX: &str = "500";
/// Most lines that are kept as examples.
const KEPT_MAX: usize = 5;
/// Most devices below a filesystem that are looked for: disks of an array, a volume, a partition.
const DEVICES_MAX: usize = 64;
/// A file of sysfs that holds a number.
const NUMBER_BYTES_MAX: u64 = 64;
/// Filesystems that are looked at one after the other share one look at the log.
const FRESH: Duration = Duration::from_secs(10);
/// What the kernel says when something went wrong; in lower case.
const SIGNS: &[&str] = &["error", "corrupt", "fail", "read-only", "abort", "shut down", "timeout", "unrecovered"];

/// The last look at the log: since when, at what moment, and what it said.
static LAST: Mutex<Option<(Duration, Instant, String)>> = Mutex::new(None);

/// Asks for the errors within a time.
///
/// # Errors
/// When neither the log nor the filesystem's own count can be read.
pub(super) async fn errors(
    root: &Path,
    mount: &Mount,
    within: Duration,
    timeout: Duration,
) -> Result<KernelErrors, String> {
    let names = devices(root, mount);
    let counted = counted(root, &names, within);
    let log = match remembered(within) {
        Some(log) => Ok(log),
        None => read(within, timeout).await,
    };
    let told = match (log, &counted) {
        (Ok(log), _) => told(&log, &names),
        (Err(_), Some(_)) => KernelErrors::default(),
        (Err(why), None) => return Err(why),
    };
    Ok(with(told, counted.flatten()))
}

/// Both together: what ext4 remembers was told as well, unless the log is gone since then.
fn with(mut told: KernelErrors, counted: Option<Text>) -> KernelErrors {
    if let (0, Some(counted)) = (told.count, counted) {
        told.count = 1;
        told.last.push(counted);
    }
    told
}

fn remembered(within: Duration) -> Option<String> {
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.as_ref().filter(|(since, at, _)| *since == within && at.elapsed() < FRESH).map(|(.., log)| log.clone())
}

async fn read(within: Duration, timeout: Duration) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = format!("--since=@{}", now.saturating_sub(within).as_secs());
    let argv = ["journalctl", "_TRANSPORT=kernel", "--quiet", "--no-pager", "--priority=err", "--output=cat"];
    let command = CommandLine::new(argv.into_iter().chain([since.as_str(), "--lines", LINES_MAX]));
    let finished = command::run(&command, timeout).await;
    match &finished.ended {
        // It ends well when it was shown nothing at all.
        Ended::Code(0) if finished.errors.contains("insufficient permissions") => {
            Err("the kernel log may not be read: root and the group `systemd-journal` may".into())
        }
        Ended::Code(0) => {
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((within, Instant::now(), finished.output.clone()));
            Ok(finished.output)
        }
        Ended::Missing => Err("there is no journalctl here to read the kernel log with".into()),
        ended => Err(format!("the kernel log could not be read: {ended:?} {}", command::said(&finished))),
    }
}

/// The lines that tell of an error of one of these devices.
fn told(log: &str, names: &BTreeSet<String>) -> KernelErrors {
    let lines = || log.lines().filter(|line| is_about(line, names));
    let count = u64::try_from(lines().count()).unwrap_or(u64::MAX);
    let skipped = lines().count().saturating_sub(KEPT_MAX);
    KernelErrors { count, last: lines().skip(skipped).map(Text::new).collect() }
}

fn is_about(line: &str, names: &BTreeSet<String>) -> bool {
    let is_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '-' || byte == '_';
    let has_name = || line.split(|byte| !is_word(byte)).any(|word| names.contains(word));
    let lower = line.to_lowercase();
    SIGNS.iter().any(|sign| lower.contains(sign)) && has_name()
}

/// The kernel's names of the device and of what it lies on: a partition, its disk, the parts of a volume.
fn devices(root: &Path, mount: &Mount) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut waiting = Vec::new();
    let by_number = root.join(format!("sys/dev/block/{}:{}", mount.device.0, mount.device.1));
    let real =
        fs::canonicalize(by_number).or_else(|_| fs::canonicalize(root.join(mount.source.trim_start_matches('/'))));
    waiting.extend(real.ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned())));
    while let Some(name) = waiting.pop() {
        if names.len() >= DEVICES_MAX || names.contains(&name) {
            continue;
        }
        let device = root.join("sys/class/block").join(&name);
        if device.join("partition").exists()
            && let Ok(path) = fs::canonicalize(&device)
        {
            waiting.extend(path.parent().and_then(|disk| Some(disk.file_name()?.to_str()?.to_owned())));
        }
        let slaves = fs::read_dir(device.join("slaves")).into_iter().flatten().flatten().take(DEVICES_MAX);
        waiting.extend(slaves.filter_map(|slave| slave.file_name().into_string().ok()));
        names.insert(name);
    }
    names
}

/// What ext4 itself remembers, when it is one: nothing, or an error within the time.
#[expect(clippy::option_option, reason = "no count is another thing than a count of nothing")]
fn counted(root: &Path, names: &BTreeSet<String>, within: Duration) -> Option<Option<Text>> {
    let number =
        |path: &Path| -> Option<u64> { ansai_files::head_text(path, NUMBER_BYTES_MAX).ok()?.trim().parse().ok() };
    let folder = names.iter().map(|name| root.join("sys/fs/ext4").join(name)).find(|folder| folder.exists())?;
    let count = number(&folder.join("errors_count"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = number(&folder.join("last_error_time")).unwrap_or(0);
    let is_recent = count > 0 && last >= now.saturating_sub(within).as_secs();
    Some(is_recent.then(|| Text::new(format!("the filesystem remembers {count} errors; e2fsck would clear them"))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use ansai_model::inventory::Writable;

    use super::*;

    const LOG: &str = "\
I/O error, dev sda, sector 1234 op 0x0:(READ) flags 0x80700
Buffer I/O error on dev dm-0, logical block 7, async page read
EXT4-fs error (device dm-0): ext4_find_entry:1463: inode #2: comm ls: reading directory lblock 0
EXT4-fs error (device sdab1): somebody else's
sda: nothing bad
XFS (sdb1): Metadata corruption detected
";

    fn mount() -> Mount {
        Mount {
            id: 1,
            device: (253, 0),
            top: "/".into(),
            path: "/srv".into(),
            kind: "ext4".into(),
            source: "/dev/mapper/vg-srv".into(),
            writable: Writable::Yes,
        }
    }

    /// A volume on a partition of a disk.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let sys = root.path().join("sys");
        for folder in
            ["devices/virtual/block/dm-0/slaves", "devices/sda/sda1", "dev/block", "class/block", "fs/ext4/dm-0"]
        {
            fs::create_dir_all(sys.join(folder)).expect("made");
        }
        fs::write(sys.join("devices/sda/sda1/partition"), "1").expect("written");
        let link = |to: &str, from: &str| symlink(sys.join(to), sys.join(from)).expect("linked");
        link("devices/virtual/block/dm-0", "dev/block/253:0");
        link("devices/virtual/block/dm-0", "class/block/dm-0");
        link("devices/sda/sda1", "devices/virtual/block/dm-0/slaves/sda1");
        link("devices/sda/sda1", "class/block/sda1");
        root
    }

    #[test]
    fn errors_of_the_filesystem_and_of_all_below_it_are_told_and_no_others() {
        let names = devices(machine().path(), &mount());
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["dm-0", "sda", "sda1"]);
        let told = told(LOG, &names);
        assert_eq!(told.count, 3, "{told:?}");
        assert!(told.last[2].as_str().contains("ext4_find_entry"));
    }

    #[test]
    fn what_ext4_remembers_counts_when_it_is_recent() {
        let machine = machine();
        let names = devices(machine.path(), &mount());
        let write = |name: &str, text: &str| {
            fs::write(machine.path().join("sys/fs/ext4/dm-0").join(name), text).expect("written");
        };
        let day = Duration::from_secs(86_400);
        assert_eq!(counted(machine.path(), &names, day), None);
        write("errors_count", "0\n");
        assert_eq!(counted(machine.path(), &names, day), Some(None));
        write("errors_count", "2\n");
        write("last_error_time", "1000\n");
        assert_eq!(counted(machine.path(), &names, day), Some(None));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        write("last_error_time", &format!("{now}\n"));
        let recent = counted(machine.path(), &names, day).flatten();
        assert_eq!(with(KernelErrors::default(), recent).count, 1);
    }
}
