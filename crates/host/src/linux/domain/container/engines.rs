//! Which container engines this host has, by their sockets, and whether one may be asked: a socket of Docker starts its engine
//! when somebody connects, and who stopped that wants it so. It asks none. What users have may hang: [`all`] is called aside.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::id::UnitName;

use crate::linux::systemd::{self, Bus};

/// Most users whose engines are looked for.
const USERS_MAX: usize = 64;
/// Where Podman notes its containers: where none of these is, there are none, and nobody is woken for them.
const NOTES: &[&str] = &[
    "var/lib/containers/storage/libpod/bolt_state.db",
    "var/lib/containers/storage/db.sqlite",
    "run/libpod/bolt_state.db",
];

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Engine {
    /// Its socket.
    pub(super) socket: PathBuf,
    /// Whether the socket bears Podman's name.
    pub(super) is_podman: bool,
    /// The user whose it is, who need not be logged in; nothing of root's.
    pub(super) user: Option<u32>,
}

/// Every engine that there is a socket of and that may have containers, those of root first; of a person's agent that person's
/// only.
pub(super) fn all(root: &Path) -> Vec<Engine> {
    let run = root.join("run");
    let me = rustix::process::geteuid();
    let mut found = Vec::new();
    if me.is_root() {
        of_folder(&run, None, &mut found);
    }
    let users = fs::read_dir(run.join("user")).into_iter().flatten().flatten().take(USERS_MAX);
    let mut users: Vec<u32> = users.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    users.sort_unstable();
    for user in users.into_iter().filter(|user| me.is_root() || *user == me.as_raw()) {
        of_folder(&run.join("user").join(user.to_string()), Some(user), &mut found);
    }
    found.retain(|engine| engine.has_any(root));
    found
}

fn of_folder(folder: &Path, user: Option<u32>, found: &mut Vec<Engine>) {
    for (name, is_podman) in [("docker.sock", false), ("podman/podman.sock", true)] {
        let socket = folder.join(name);
        // Podman may stand in for Docker under its name: then it is one engine.
        let is_other_s = fs::canonicalize(&socket).is_ok_and(|real| !is_podman && real.ends_with("podman.sock"));
        if socket.exists() && !is_other_s {
            found.push(Engine { socket, is_podman, user });
        }
    }
}

impl Engine {
    /// Whether its socket lies where nobody but root and we ourselves can put a filesystem that hangs whoever looks at it.
    pub(super) fn is_ours(&self) -> bool {
        self.user.is_none_or(|user| user == rustix::process::geteuid().as_raw())
    }

    /// Whether it runs, so that asking starts nothing: Docker notes its process beside the socket. Podman runs only while it is
    /// asked, and a user's Docker makes its socket itself.
    pub(super) async fn runs(&self, bus: Option<&Bus>) -> bool {
        if self.is_podman || self.user.is_some() || self.socket.with_extension("pid").exists() {
            return true;
        }
        let (Some(bus), Ok(unit)) = (bus, UnitName::new("docker.service")) else {
            return false;
        };
        systemd::is_up(bus, &unit).await.unwrap_or(false)
    }

    /// Whether it may have any container.
    fn has_any(&self, root: &Path) -> bool {
        !self.is_podman || self.user.is_some() || NOTES.iter().any(|note| root.join(note).exists())
    }

    /// Its name, as people know it.
    pub(super) fn name(&self) -> &'static str {
        if self.is_podman { "podman" } else { "docker" }
    }
}
