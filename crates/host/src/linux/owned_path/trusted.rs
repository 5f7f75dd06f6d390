//! Whom a path may belong to, and who they are by name.

use std::{
    collections::BTreeSet,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Most bytes of either that are read.
const TABLE_BYTES_MAX: u64 = 4 << 20;
/// Whom a kernel shows for a user that its namespace does not know.
const UNKNOWN_USER: u32 = 65_534;
/// Stands for nobody.
const NOBODY: u32 = u32::MAX;

/// Whom a path may belong to: root, the agent's own user, and whom something is done for.
#[derive(Debug)]
pub struct Trusted {
    own: BTreeSet<u32>,
    users: BTreeSet<u32>,
    /// Whether the first other owner that is met counts as well; who it was is noted.
    is_anybody: bool,
    met: AtomicU32,
}

impl Clone for Trusted {
    fn clone(&self) -> Self {
        let (own, users, is_anybody) = (self.own.clone(), self.users.clone(), self.is_anybody);
        Self { own, users, is_anybody, met: AtomicU32::new(self.met.load(Ordering::Relaxed)) }
    }
}

impl Trusted {
    /// Root and the agent's own user.
    #[must_use]
    pub fn own() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let mut own = BTreeSet::from([0, uid]);
        // In a namespace of somebody who is not root, root's files show as nobody's: those of the host are told by its top.
        let top = std::fs::metadata("/").map(|meta| meta.uid()).ok();
        if uid != 0 && top == Some(UNKNOWN_USER) {
            own.insert(UNKNOWN_USER);
        }
        Self { own, users: BTreeSet::new(), is_anybody: false, met: AtomicU32::new(NOBODY) }
    }

    /// And these users, whom something is done for.
    #[must_use]
    pub fn and(mut self, users: impl IntoIterator<Item = u32>) -> Self {
        self.users.extend(users);
        self
    }

    /// And this user, who counts like root and the agent's own.
    #[must_use]
    pub fn and_own(mut self, user: u32) -> Self {
        self.own.insert(user);
        self
    }

    /// And one other user, whoever it is: the owner of the first step that is neither root's nor ours. From there on
    /// nobody else is trusted. It is for what harms nobody but that user, as a proof in a web root.
    #[must_use]
    pub fn and_one_other(mut self) -> Self {
        self.is_anybody = true;
        self
    }

    /// Whom something is done for.
    pub fn users(&self) -> impl Iterator<Item = u32> {
        self.users.iter().copied()
    }

    /// Whether it is root or the agent's own user.
    #[must_use]
    pub fn is_own(&self, uid: u32) -> bool {
        self.own.contains(&uid)
    }

    /// Whether something of this user may be gone through; the first other one is remembered, where one is allowed.
    pub(super) fn takes(&self, uid: u32) -> bool {
        let first = || self.met.compare_exchange(NOBODY, uid, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.has(uid) || (self.is_anybody && first())
    }

    /// The one other user that was met.
    pub(super) fn met(&self) -> Option<u32> {
        Some(self.met.load(Ordering::Relaxed)).filter(|uid| *uid != NOBODY)
    }

    /// Whether this user is trusted already.
    pub(super) fn has(&self, uid: u32) -> bool {
        self.is_own(uid) || self.users.contains(&uid) || self.met.load(Ordering::Relaxed) == uid
    }

    /// Why a group is not trusted; nothing when all of its members may be. A group that is not in the table has members
    /// that nobody here knows.
    pub(super) fn stranger_in(gid: u32, may: impl Fn(u32) -> bool) -> Option<String> {
        let group = table(GROUP);
        let Some(line) = group.lines().find(|line| field(line, 2) == Some(gid)) else {
            return (gid != 0).then(|| format!("the group {gid}, which is not in {GROUP}"));
        };
        let name = line.split(':').next().unwrap_or_default();
        let passwd = table(PASSWD);
        let named: BTreeSet<&str> = line.split(':').nth(3).unwrap_or_default().split(',').map(str::trim).collect();
        let stranger = passwd.lines().find(|line| {
            let is_member =
                field(line, 3) == Some(gid) || line.split(':').next().is_some_and(|name| named.contains(name));
            is_member && field(line, 2).is_none_or(|uid| !may(uid))
        });
        stranger.map(|line| format!("the group {name}, which {} belongs to", line.split(':').next().unwrap_or("?")))
    }

    /// Who is trusted, in words.
    pub(super) fn words(&self) -> String {
        let names: Vec<String> = self.own.iter().chain(&self.users).map(|uid| name_of(*uid)).collect();
        names.join(" or ")
    }
}

fn table(file: &str) -> String {
    // What cannot be read names nobody, and nobody is trusted then.
    ansai_files::head_text(Path::new(file), TABLE_BYTES_MAX).unwrap_or_default()
}

fn field(line: &str, index: usize) -> Option<u32> {
    line.split(':').nth(index)?.parse().ok()
}

/// Whether a user belongs to a group, by the host's own tables.
pub(super) fn is_member(uid: u32, gid: u32) -> bool {
    let passwd = table(PASSWD);
    let Some(line) = passwd.lines().find(|line| field(line, 2) == Some(uid)) else { return false };
    let name = line.split(':').next().unwrap_or_default();
    let names = |line: &str| line.split(':').nth(3).unwrap_or_default().split(',').any(|member| member.trim() == name);
    field(line, 3) == Some(gid) || table(GROUP).lines().any(|line| field(line, 2) == Some(gid) && names(line))
}

/// A user's name by its number, or the number.
#[must_use]
pub fn name_of(uid: u32) -> String {
    let passwd = table(PASSWD);
    let line = passwd.lines().find(|line| field(line, 2) == Some(uid));
    let name = line.and_then(|line| line.split(':').next()).filter(|name| !name.is_empty());
    name.map_or_else(|| format!("user {uid}"), |name| name.escape_debug().to_string())
}

/// The number of a user or a group by its name, from `/etc/passwd` or `/etc/group`.
#[must_use]
pub fn number(file: &str, name: &str) -> Option<u32> {
    let table = table(file);
    field(table.lines().find(|line| line.split(':').next() == Some(name))?, 2)
}
