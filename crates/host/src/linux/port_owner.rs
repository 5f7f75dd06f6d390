//! Who listens on a TCP port: listening socket → inode → process → cgroup → unit. Never by a name or a command line.

use std::{collections::BTreeSet, path::Path};

const TABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Of a file of one process; a path of a cgroup has at most 4096 bytes in each hierarchy.
const PROCESS_BYTES_MAX: u64 = 128 * 1024;
const PROCESSES_MAX: usize = 65_536;

/// A process that listens on the port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its pid.
    pub pid: u32,
    /// Its short name, for people only.
    pub name: String,
    /// The unit whose cgroup it is in, when it is in one.
    pub unit: Option<String>,
}

/// The processes that listen on a TCP port; clients connected to it are not among them.
#[must_use]
pub fn owners(root: &Path, port: u16) -> Vec<Owner> {
    let proc_dir = root.join("proc");
    let inodes: BTreeSet<u64> =
        ["net/tcp", "net/tcp6"].iter().flat_map(|table| listening(&proc_dir.join(table), port)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(&proc_dir) else { return Vec::new() };
    let mut owners: Vec<Owner> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .take(PROCESSES_MAX)
        .filter(|pid| holds_one_of(&proc_dir.join(pid.to_string()), &inodes))
        .map(|pid| owner(&proc_dir.join(pid.to_string()), pid))
        .collect();
    owners.sort();
    owners
}

/// A process by its folder below /proc.
pub(super) fn owner(dir: &Path, pid: u32) -> Owner {
    let name = ansai_files::head_text(&dir.join("comm"), PROCESS_BYTES_MAX).unwrap_or_default().trim().to_owned();
    Owner { pid, name, unit: unit_of(&dir.join("cgroup")) }
}

/// The inodes of sockets in state LISTEN (0A) on this local port.
fn listening(table: &Path, port: u16) -> Vec<u64> {
    let text = ansai_files::head_text(table, TABLE_BYTES_MAX).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| listening_inode(line, port)).collect()
}

fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().take(10).collect();
    let local = fields.get(1)?.rsplit(':').next()?;
    let is_ours = u16::from_str_radix(local, 16).ok()? == port && *fields.get(3)? == "0A";
    if is_ours { fields.get(9)?.parse().ok() } else { None }
}

fn holds_one_of(dir: &Path, inodes: &BTreeSet<u64>) -> bool {
    let Ok(entries) = std::fs::read_dir(dir.join("fd")) else { return false };
    entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| {
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| inodes.contains(&inode))
    })
}

/// Whether a process runs in a unit's cgroup, or in one below it.
pub fn is_within(proc_dir: &Path, pid: rustix::process::Pid, unit: &str) -> bool {
    let cgroup = proc_dir.join(pid.as_raw_nonzero().to_string()).join("cgroup");
    // systemd puts `_` before names that the kernel uses itself.
    let is_unit = |part: &str| part == unit || part.strip_prefix('_') == Some(unit);
    path_of(&cgroup).is_some_and(|path| path.split('/').any(is_unit))
}

/// The innermost unit in a process's cgroup path, on cgroup v2 or on v1's systemd hierarchy.
fn unit_of(cgroup: &Path) -> Option<String> {
    let path = path_of(cgroup)?;
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    path.rsplit('/').find(is_unit).map(str::to_owned)
}

fn path_of(cgroup: &Path) -> Option<String> {
    let text = ansai_files::head_text(cgroup, PROCESS_BYTES_MAX).ok()?;
    let path = text
        .lines()
        .find_map(|line| line.split_once(":name=systemd:").map(|(_, path)| path))
        .filter(|path| *path != "/")
        .or_else(|| text.lines().find_map(|line| line.strip_prefix("0::")))?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_listener_is_found_and_its_clients_are_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo ready; read x");
        let mut client = std::process::Command::new("bash")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("bash");
        let mut ready = [0; 5];
        client.stdout.as_mut().expect("piped").read_exact(&mut ready).expect("connected");
        let found = owners(Path::new("/"), port);
        drop(client.stdin.take());
        client.wait().expect("ended");
        let pids: Vec<u32> = found.iter().map(|owner| owner.pid).collect();
        assert_eq!(pids, [std::process::id()]);
        drop(listener);
        assert!(owners(Path::new("/"), port).is_empty());
    }

    #[test]
    fn units_are_read_from_both_kinds_of_cgroup() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cgroup");
        let cases = [
            ("0::/system.slice/nginx.service\n", Some("nginx.service")),
            ("1:name=systemd:/system.slice/app.service\n0::/\n", Some("app.service")),
            ("0::/user.slice/user-0.slice/session-1.scope\n", Some("session-1.scope")),
            ("0::/\n", None),
        ];
        for (text, unit) in cases {
            std::fs::write(&file, text).expect("written");
            assert_eq!(unit_of(&file).as_deref(), unit);
        }
    }
}
