//! Which container engines this host has, by their sockets, and whether one may be asked: a socket of Docker starts its engine
//! when somebody connects, and who stopped that wants it so. It asks none, and knows only engines of the user whose agent this
//! is: what another user's socket says, or where it leads, is that user's word, and an agent of root does nothing on it.
//! What is looked at may hang: [`all`] is called aside.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use ansai_model::id::UnitName;

use crate::linux::systemd::{self, Bus};

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

/// Every engine that there is a socket of and that may have containers: those of root, or of a person's agent that person's.
pub(super) fn all(root: &Path) -> Vec<Engine> {
    let run = root.join("run");
    let me = rustix::process::geteuid();
    let mut found = Vec::new();
    match me.is_root() {
        true => of_folder(&run, None, &mut found),
        false => of_folder(&run.join("user").join(me.as_raw().to_string()), Some(me.as_raw()), &mut found),
    }
    found.retain(|engine| engine.has_any(root));
    found
}

/// Whether it is a socket itself, and belongs to root or to us: a link to one is none.
fn is_trusted(socket: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(socket).is_ok_and(|is| is.file_type().is_socket() && [0, me].contains(&is.uid()))
}

fn of_folder(folder: &Path, user: Option<u32>, found: &mut Vec<Engine>) {
    for (name, is_podman) in [("docker.sock", false), ("podman/podman.sock", true)] {
        let socket = folder.join(name);
        // Podman that stands in for Docker under its name is a link: it is one engine.
        if is_trusted(&socket) {
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

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn another_users_engine_and_a_link_to_a_socket_are_none() {
        let root = tempfile::tempdir().expect("a folder");
        let me = rustix::process::geteuid();
        let own = match me.is_root() {
            true => root.path().join("run"),
            false => root.path().join(format!("run/user/{}", me.as_raw())),
        };
        let other = root.path().join(format!("run/user/{}", me.as_raw() + 1));
        for folder in [&own, &other] {
            fs::create_dir_all(folder).expect("made");
            let _ = UnixListener::bind(folder.join("docker.sock")).expect("free");
        }
        let found = |root: &Path| all(root).into_iter().map(|engine| engine.socket).collect::<Vec<_>>();
        assert_eq!(found(root.path()), [own.join("docker.sock")]);
        fs::remove_file(own.join("docker.sock")).expect("there");
        symlink(other.join("docker.sock"), own.join("docker.sock")).expect("a link");
        assert_eq!(found(root.path()), Vec::<PathBuf>::new());
        fs::remove_file(own.join("docker.sock")).expect("there");
        fs::write(own.join("docker.sock"), "no socket").expect("written");
        assert_eq!(found(root.path()), Vec::<PathBuf>::new());
    }
}
