//! What of the host is about its servers of databases: which have a socket in the usual place, who manages them besides, by the
//! processes that run, and as which role this process is known to them.
//!
//! Who manages one is looked for on the whole host: Patroni, repmgr, Pacemaker and their like are asked nothing.

use std::{fs, io, os::unix::fs::FileTypeExt as _, path::Path};

use ansai_model::{domain::database::DatabaseFacts, inventory::Inventory, text::Text};

/// Where the servers of distributions have their sockets, below the root, and as people write it.
const FOLDER: &str = "run/postgresql";
const FOLDER_SHOWN: &str = "/var/run/postgresql";
const SOCKET: &str = ".s.PGSQL.";
const PORT: &str = "5432";
/// PgBouncer's, which has its socket in the same place and is no server.
const POOLER: &str = "6432";
/// Most processes and entries of a folder that are looked at; where there are more, nobody knows who is among them.
const ENTRIES_MAX: usize = 50_000;
const PASSWD_BYTES_MAX: u64 = 1024 * 1024;
/// Each by what its process is called.
const MANAGERS: &[(&str, &str)] = &[
    ("patroni", "Patroni runs here"),
    ("repmgrd", "repmgr runs here"),
    ("pacemakerd", "Pacemaker runs here"),
    ("pacemaker-execd", "Pacemaker runs here"),
    ("pg_autoctl", "pg_auto_failover runs here"),
    ("stolon-keeper", "stolon runs here"),
    ("keepalived", "keepalived runs here"),
    ("efm", "EDB Failover Manager runs here"),
    ("pgpool", "pgpool runs here"),
];

/// What the process of a server is called.
const SERVERS: &[&str] = &["postgres", "postmaster"];

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// The role as which peer authentication knows this process.
    pub(super) role: String,
    /// Who manages servers here besides; why nobody knows that, when nobody does.
    pub(super) owner: Option<Text>,
    /// Those with a socket in the usual place.
    pub(super) found: Vec<DatabaseFacts>,
}

/// Looks around below a root.
pub(super) fn around(root: &Path) -> Around {
    let seen = manager(root);
    // In doubt nothing is done, and that is looked for anew each time; what is known of a server does not change with its doubt.
    let found = found(root, seen.as_ref().ok().and_then(Option::as_ref));
    let owner = seen.unwrap_or_else(|error| {
        Some(Text::new(format!("who manages it besides cannot be seen ({})", ansai_files::said(&error))))
    });
    Around { role: role(root), found, owner }
}

fn role(root: &Path) -> String {
    let own = rustix::process::geteuid();
    if own.is_root() {
        return "root".to_owned();
    }
    let own = own.as_raw().to_string();
    let passwd = ansai_files::head_text(&root.join("etc/passwd"), PASSWD_BYTES_MAX).unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&own));
    line.and_then(|line| line.split(':').next()).map_or(own.clone(), str::to_owned)
}

/// Who manages servers. Where not even a server is seen, as where the processes of others are hidden, nobody knows.
fn manager(root: &Path) -> io::Result<Option<Text>> {
    let mut is_server_seen = false;
    for (seen, entry) in fs::read_dir(root.join("proc"))?.enumerate() {
        let entry = entry?;
        if seen > ENTRIES_MAX {
            return Err(io::Error::other("too many processes run here"));
        }
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_process {
            continue;
        }
        // One that has ended manages nothing.
        let Ok((comm, _)) = ansai_files::head(&entry.path().join("comm"), 64) else { continue };
        let comm = String::from_utf8_lossy(&comm).trim_end().to_owned();
        let by_name = |name: &str| MANAGERS.iter().find(|(known, _)| *known == name).map(|(_, what)| Text::from(*what));
        if let Some(what) = by_name(&comm) {
            return Ok(Some(what));
        }
        is_server_seen |= SERVERS.contains(&comm.as_str());
        // A script is called as what runs it when it was begun so.
        if comm.starts_with("python") {
            let line = ansai_files::head(&entry.path().join("cmdline"), 4096).map(|(line, _)| line).unwrap_or_default();
            let mut names = line.split(|byte| *byte == 0).take(6).filter_map(|word| {
                let word = String::from_utf8_lossy(word);
                by_name(word.rsplit('/').next()?.trim_end_matches(".py"))
            });
            if let Some(what) = names.next() {
                return Ok(Some(what));
            }
        }
        if comm == "java" {
            let line = ansai_files::head(&entry.path().join("cmdline"), 4096).map(|(line, _)| line).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains("enterprisedb.efm") {
                return Ok(by_name("efm"));
            }
        }
    }
    match is_server_seen {
        true => Ok(None),
        false => Err(io::Error::other("no process of a server is seen")),
    }
}

fn found(root: &Path, owner: Option<&Text>) -> Vec<DatabaseFacts> {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten().take(ENTRIES_MAX).filter_map(Result::ok);
    let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
    let ports = sockets.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(SOCKET).map(str::to_owned));
    let mut ports: Vec<String> =
        ports.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port != POOLER).collect();
    ports.sort();
    ports.truncate(Inventory::DATABASES_MAX);
    let path = |port: &String| match port.as_str() {
        PORT => FOLDER_SHOWN.to_owned(),
        port => format!("{FOLDER_SHOWN}/{SOCKET}{port}"),
    };
    ports.iter().map(|port| DatabaseFacts { postgresql: path(port), owner: owner.cloned() }).collect()
}

/// The socket that is meant by a folder or by itself.
pub(super) fn socket(postgresql: &str) -> std::path::PathBuf {
    let path = Path::new(postgresql);
    let is_socket = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SOCKET));
    if is_socket { path.to_owned() } else { path.join(format!("{SOCKET}{PORT}")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn process(root: &Path, pid: &str, comm: &str, line: &str) {
        let folder = root.join("proc").join(pid);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("comm"), format!("{comm}\n")).expect("written");
        fs::write(folder.join("cmdline"), line.replace(' ', "\0")).expect("written");
    }

    #[test]
    fn who_manages_servers_is_known_by_its_process() {
        let with = |comm: &str, line: &str| {
            let root = tempfile::tempdir().expect("a folder");
            process(root.path(), "1", "systemd", "/sbin/init");
            process(root.path(), "6", "postgres", "postgres: checkpointer");
            process(root.path(), "7", comm, line);
            around(root.path()).owner
        };
        assert_eq!(with("postgres", "postgres -D /patroni/patroni"), None);
        assert_eq!(with("patroni", ""), Some("Patroni runs here".into()));
        assert_eq!(with("python3", "python3 -I /opt/bin/patroni.py /etc/a.yml"), Some("Patroni runs here".into()));
        assert_eq!(with("python3", "python3 /opt/bin/other"), None);
        assert_eq!(with("pacemakerd", ""), Some("Pacemaker runs here".into()));
        assert_eq!(with("repmgrd", ""), Some("repmgr runs here".into()));
        assert_eq!(with("keepalived", ""), Some("keepalived runs here".into()));
        assert_eq!(
            with("java", "java -cp /efm.jar com.enterprisedb.efm.main.ServiceCommand"),
            Some("EDB Failover Manager runs here".into())
        );
        // Where a server's own process is hidden, so may be that of who manages it.
        let hidden = tempfile::tempdir().expect("a folder");
        process(hidden.path(), "1", "ansai", "ansai agent");
        let owner = around(hidden.path()).owner.expect("in doubt");
        assert!(owner.as_str().ends_with("cannot be seen (no process of a server is seen)"), "{owner}");
        // In doubt it is somebody's.
        let nothing = tempfile::tempdir().expect("a folder");
        let owner = around(nothing.path()).owner.expect("in doubt");
        assert!(owner.as_str().starts_with("who manages it besides cannot be seen"), "{owner}");
    }

    #[test]
    fn servers_are_found_by_their_sockets_and_meant_by_folder_or_socket() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(".s.PGSQL.5432.lock"), "").expect("written");
        fs::write(folder.join(".s.PGSQL.9"), "").expect("written");
        for port in ["5432", "5433", "6432"] {
            drop(UnixListener::bind(folder.join(format!("{SOCKET}{port}"))).expect("bound"));
        }
        let found: Vec<String> = found(root.path(), None).into_iter().map(|facts| facts.postgresql).collect();
        assert_eq!(found, ["/var/run/postgresql", "/var/run/postgresql/.s.PGSQL.5433"]);
        assert_eq!(socket("/run/postgresql/"), Path::new("/run/postgresql/.s.PGSQL.5432"));
        assert_eq!(socket("/tmp/.s.PGSQL.5433"), Path::new("/tmp/.s.PGSQL.5433"));
    }
}
