//! Puts declared files, directories and symbolic links right. What is right already is left alone.
//!
//! An entry's way belongs to root, or to the user whose the entry is to be: see `owned_path`.

use std::path::Path;

use ansai_model::{
    action::{ActionOutcome, EnvironmentEntry, EnvironmentKind},
    text::Text,
};

use crate::linux::{
    act::{Planned, Steps},
    aside,
    owned_path::{Folder, Found, Fresh, Kind, Refused, Trusted, number},
};

const ALL_RIGHT: &str = "every declared path is as it should be";

/// Whether something is done, or only said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Done,
    Said,
}

/// Whom an entry is to belong to.
struct Owners {
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Puts every entry right; stops at the first that cannot be.
pub(super) fn ensure(entries: &[EnvironmentEntry]) -> ActionOutcome {
    let mut done = Vec::new();
    for entry in entries {
        match put_right(entry, Doing::Done) {
            Ok(changes) => done.extend(changes),
            Err(why) if done.is_empty() && why.is_by_rule() => {
                return ActionOutcome::Refused { why: Text::new(format!("{}: {why}", entry.path)) };
            }
            Err(why) => {
                let before =
                    if done.is_empty() { String::new() } else { format!(" (done before: {})", done.join(", ")) };
                return ActionOutcome::Failed { why: Text::new(format!("{}: {why}{before}", entry.path)) };
            }
        }
    }
    match done.is_empty() {
        true => ActionOutcome::NotNeeded { why: ALL_RIGHT.into() },
        false => ActionOutcome::Succeeded { note: Text::new(done.join(", ")) },
    }
}

/// What would be done to each entry, up to the first that cannot be put right.
pub(super) fn plan(entries: &[EnvironmentEntry]) -> Planned {
    let mut steps = Vec::new();
    for entry in entries {
        match put_right(entry, Doing::Said) {
            Ok(changes) => steps.extend(changes.into_iter().map(Text::new)),
            Err(why) if steps.is_empty() && why.is_by_rule() => {
                return Err(Text::new(format!("{}: {why}", entry.path)));
            }
            Err(why) => {
                steps.push(Text::new(format!("nothing: {}: {why}", entry.path)));
                break;
            }
        }
    }
    let idle = steps.is_empty().then(|| ALL_RIGHT.into());
    Ok(Steps { lines: steps, idle })
}

fn put_right(entry: &EnvironmentEntry, doing: Doing) -> Result<Vec<String>, Refused> {
    let path = Path::new(&entry.path);
    let owners = owners(entry)?;
    let trusted = Trusted::own().and(owners.uid);
    let above = match doing {
        Doing::Done if may_be_made(&entry.kind) => Folder::above_or_make(path, &trusted),
        Doing::Done | Doing::Said => Folder::above(path, &trusted),
    };
    let (folder, name) = match above {
        // The way as far as it goes was looked at.
        Err(Refused::Missing { .. }) if doing == Doing::Said && may_be_made(&entry.kind) => {
            return Ok(vec![made(entry)]);
        }
        above => above?,
    };
    // A server that was away is back, perhaps hours later and under a hold.
    if doing == Doing::Done && !aside::is_awaited() {
        return Err(Refused::said(path, aside::GIVEN_UP));
    }
    let kind = |what| Refused::Kind { step: path.to_owned(), what };
    let mut changes = Vec::new();
    let found = match (&entry.kind, folder.find(&name)?) {
        (EnvironmentKind::File { create: false }, None) => return Err(kind("is missing, and is not to be made")),
        (_, None) => {
            changes.push(made(entry));
            if doing == Doing::Said {
                return Ok(changes);
            }
            match &entry.kind {
                EnvironmentKind::Directory => folder.make_folder(&name)?,
                EnvironmentKind::File { .. } => folder.make_file(&name)?,
                EnvironmentKind::Symlink(to) => {
                    Fresh::link(folder, &name, Path::new(to))?.commit()?;
                    return Ok(changes);
                }
            }
        }
        (EnvironmentKind::Symlink(to), Some(found)) => return relink(entry, &folder, &found, to, doing),
        (_, Some(found)) if found.kind() == Kind::Link => {
            return Err(Refused::Link { step: path.to_owned(), owner: found.ownership().uid });
        }
        (EnvironmentKind::Directory, Some(found)) if found.kind() != Kind::Folder => {
            return Err(kind("is no directory"));
        }
        (EnvironmentKind::File { .. }, Some(found)) if found.kind() != Kind::File => {
            return Err(kind("is no regular file"));
        }
        (EnvironmentKind::Directory | EnvironmentKind::File { .. }, Some(found)) => found,
    };
    folder.judge(&found)?;
    changes.extend(give_to(entry, &found, &owners, doing)?);
    Ok(changes)
}

/// Whether what is missing of an entry is made, its way included.
fn may_be_made(kind: &EnvironmentKind) -> bool {
    match kind {
        EnvironmentKind::Directory => true,
        EnvironmentKind::File { .. } | EnvironmentKind::Symlink(_) => false,
    }
}

fn made(entry: &EnvironmentEntry) -> String {
    match &entry.kind {
        EnvironmentKind::Directory => format!("made the directory {}", entry.path),
        EnvironmentKind::File { .. } => format!("made the empty file {}", entry.path),
        EnvironmentKind::Symlink(to) => format!("made the link {} to {to}", entry.path),
    }
}

fn relink(
    entry: &EnvironmentEntry,
    folder: &Folder,
    found: &Found,
    to: &str,
    doing: Doing,
) -> Result<Vec<String>, Refused> {
    let path = Path::new(&entry.path);
    if found.kind() != Kind::Link {
        return Err(Refused::Kind { step: path.to_owned(), what: "is no symbolic link" });
    }
    let was = found.leads_to()?;
    if was == Path::new(to) {
        return Ok(Vec::new());
    }
    if doing == Doing::Done {
        Fresh::link(folder.again()?, path.file_name().unwrap_or_default(), Path::new(to))?.commit()?;
    }
    // Whoever wants it back must know what it was.
    Ok(vec![format!("pointed the link {} to {to} (was {})", path.display(), was.display())])
}

fn owners(entry: &EnvironmentEntry) -> Result<Owners, Refused> {
    let lookup = |file: &str, name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => {
            number(file, name).map(Some).ok_or_else(|| Refused::said(&entry.path, format!("`{name}` is not in {file}")))
        }
    };
    Ok(Owners { uid: lookup("/etc/passwd", &entry.owner)?, gid: lookup("/etc/group", &entry.group)? })
}

fn give_to(entry: &EnvironmentEntry, found: &Found, owners: &Owners, doing: Doing) -> Result<Vec<String>, Refused> {
    let mut changes = Vec::new();
    let was = found.ownership();
    let is_right = owners.uid.is_none_or(|uid| uid == was.uid) && owners.gid.is_none_or(|gid| gid == was.gid);
    if !is_right {
        match doing {
            Doing::Done => found.give(owners.uid, owners.gid)?,
            Doing::Said => found.may_be_given(owners.uid, owners.gid)?,
        }
        changes.push(format!("set the owner of {} (was {}:{})", entry.path, was.uid, was.gid));
    }
    if let Some(mode) = entry.mode.filter(|mode| *mode != was.mode) {
        match doing {
            Doing::Done => found.set_mode(mode)?,
            Doing::Said => found.may_have_mode(mode)?,
        }
        changes.push(format!("set the mode of {} to {mode:o} (was {:o})", entry.path, was.mode));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    use super::*;
    use crate::linux::aside::{self, Kind as Of, Work};

    #[tokio::test]
    async fn what_was_given_up_while_it_hung_changes_nothing_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("late").to_str().expect("text").to_owned();
        let kind = EnvironmentKind::Directory;
        let entries = [EnvironmentEntry { path: path.clone(), kind, mode: None, owner: None, group: None }];
        let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let hangs = move || {
            let _ = held.recv();
            sender.send(ensure(&entries)).expect("the test listens");
        };
        let work = Work::new(Of::Act, "an environment that hangs");
        assert!(aside::run(work, Duration::from_millis(50), hangs).await.is_err());
        drop(hold);
        let Ok(ActionOutcome::Failed { why }) = receiver.recv_timeout(Duration::from_secs(20)) else { panic!("done") };
        assert!(why.as_str().contains("did not answer in time"), "{why}");
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn what_is_missing_is_made_and_the_second_time_nothing_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
        let entry = |path: String, kind, mode| EnvironmentEntry { path, kind, mode, owner: None, group: None };
        let entries = [
            entry(path("run/app"), EnvironmentKind::Directory, Some(0o750)),
            entry(path("run/app/log"), EnvironmentKind::File { create: true }, Some(0o640)),
            entry(path("link"), EnvironmentKind::Symlink(path("run")), None),
        ];
        assert!(matches!(ensure(&entries), ActionOutcome::Succeeded { .. }));
        assert!(matches!(ensure(&entries), ActionOutcome::NotNeeded { .. }));
        let entries = [entry(path("link"), EnvironmentKind::Symlink(path("run/app")), None)];
        let ActionOutcome::Succeeded { note } = ensure(&entries) else { panic!("the link was not made anew") };
        assert!(note.as_str().ends_with(&format!("(was {})", path("run"))), "{note}");
        let mode = fs::metadata(path("run/app")).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o750);
        let wrong = [entry(path("run"), EnvironmentKind::File { create: true }, None)];
        assert!(matches!(ensure(&wrong), ActionOutcome::Failed { .. }));
    }
}
