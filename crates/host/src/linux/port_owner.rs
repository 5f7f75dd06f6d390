//! Who listens on a TCP port: listening socket → inode → process → cgroup → unit. Never by a name or a command line.

use std::{collections::BTreeSet, path::Path};

use super::listening;

/// Of a file of one process; a path of a cgroup has at most 4096 bytes in each hierarchy.
const PROCESS_BYTES_MAX: u64 = 128 * 1024;

/// A process that listens on the port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The number of the process.
    pub pid: u32,
    /// Its short name, for people only.
    pub name: String,
    /// The unit whose cgroup it is in, when it is in one.
    pub unit: Option<String>,
}

/// The processes that listen on a TCP port; clients connected to it are not among them.
#[must_use]
pub fn owners(root: &Path, port: u16) -> Vec<Owner> {
    let inodes = listening::tcp(root).into_iter().filter(|one| one.at.port() == port).map(|one| one.inode).collect();
    let owners: BTreeSet<Owner> = listening::owners(root, &inodes).into_values().flatten().collect();
    owners.into_iter().collect()
}

/// A process by its folder below /proc.
pub(super) fn owner(dir: &Path, pid: u32) -> Owner {
    let name = ansai_files::head_text(&dir.join("comm"), PROCESS_BYTES_MAX).unwrap_or_default().trim().to_owned();
    Owner { pid, name, unit: unit_of(&dir.join("cgroup")) }
}

/// Whether a process runs in a unit's cgroup, or in one below it.
pub fn is_within(proc_dir: &Path, pid: rustix::process::Pid, unit: &str) -> bool {
    unit_of(&proc_dir.join(pid.as_raw_nonzero().to_string()).join("cgroup")).as_deref() == Some(unit)
}

/// The unit of a process, on cgroup v2 or on v1's systemd hierarchy.
fn unit_of(cgroup: &Path) -> Option<String> {
    unit_in(&path_of(cgroup)?, rustix::process::geteuid().is_root())
}

/// The outermost unit in a cgroup path, by the manager that is asked: the host's, or a user's own, which is below
/// `user@UID.service`. What lies below a unit is named by whoever runs there, as a user's own `nginx.service` is.
fn unit_in(path: &str, is_of_host: bool) -> Option<String> {
    let is_of_user = |part: &str| part.starts_with("user@") && part.ends_with(".service");
    let mut parts = path.split('/');
    if !is_of_host && path.split('/').any(is_of_user) {
        parts.find(|part| is_of_user(part));
    }
    let unit = parts.find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    // systemd puts `_` before names that the kernel uses itself.
    Some(unit.strip_prefix('_').unwrap_or(unit).to_owned())
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
        // A child that another test begins has a copy of the listener until it runs its program.
        let owns = |pid| owners(Path::new("/"), port).iter().any(|owner| owner.pid == pid);
        assert!(owns(std::process::id()));
        assert!(!owns(client.id()));
        drop(client.stdin.take());
        client.wait().expect("ended");
        drop(listener);
        assert!(!owns(std::process::id()));
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

    #[test]
    fn what_runs_in_a_unit_does_not_choose_whose_it_is() {
        let own = "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service";
        let container = "/machine.slice/box.scope/system.slice/nginx.service";
        let below = "/system.slice/app.service/nginx.service";
        let host = |path| unit_in(path, true);
        assert_eq!(host(own).as_deref(), Some("user@1000.service"));
        assert_eq!(host(container).as_deref(), Some("box.scope"));
        assert_eq!(host(below).as_deref(), Some("app.service"));
        assert_eq!(unit_in(own, false).as_deref(), Some("nginx.service"));
        assert_eq!(host("/system.slice/_nginx.service").as_deref(), Some("nginx.service"));
    }
}
