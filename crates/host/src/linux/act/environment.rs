//! Puts declared files, directories and symbolic links right. What is right already is left alone.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use ansai_model::{
    action::{ActionOutcome, EnvironmentEntry, EnvironmentKind},
    text::Text,
};

/// Puts every entry right; stops at the first that cannot be.
pub(super) fn ensure(entries: &[EnvironmentEntry]) -> ActionOutcome {
    let mut done = Vec::new();
    for entry in entries {
        match put_right(entry) {
            Ok(changes) => done.extend(changes),
            Err(why) => {
                let before =
                    if done.is_empty() { String::new() } else { format!(" (done before: {})", done.join(", ")) };
                return ActionOutcome::Failed { why: Text::new(format!("{}: {why}{before}", entry.path)) };
            }
        }
    }
    match done.is_empty() {
        true => ActionOutcome::NotNeeded { why: "every declared path is as it should be".into() },
        false => ActionOutcome::Succeeded { note: Text::new(done.join(", ")) },
    }
}

fn put_right(entry: &EnvironmentEntry) -> Result<Vec<String>, String> {
    let path = Path::new(&entry.path);
    let words = |error: std::io::Error| error.to_string();
    let found = match fs::symlink_metadata(path) {
        Ok(meta) => Some(meta),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(words(error)),
    };
    let mut changes = Vec::new();
    match (&entry.kind, &found) {
        (EnvironmentKind::Directory, None) => {
            fs::create_dir_all(path).map_err(words)?;
            changes.push(format!("made the directory {}", entry.path));
        }
        (EnvironmentKind::Directory, Some(meta)) if !meta.is_dir() => return Err("is no directory".into()),
        (EnvironmentKind::File { create: false }, None) => return Err("is missing, and is not to be made".into()),
        (EnvironmentKind::File { create: true }, None) => {
            fs::File::create_new(path).map_err(words)?;
            changes.push(format!("made the empty file {}", entry.path));
        }
        (EnvironmentKind::File { .. }, Some(meta)) if !meta.is_file() => return Err("is no regular file".into()),
        (EnvironmentKind::Symlink(to), None) => {
            symlink(to, path).map_err(words)?;
            changes.push(format!("made the link {} to {to}", entry.path));
        }
        (EnvironmentKind::Symlink(to), Some(meta)) => return relink(path, to, meta.is_symlink()),
        (EnvironmentKind::Directory | EnvironmentKind::File { .. }, Some(_)) => {}
    }
    if let Some(mode) = entry.mode {
        let now = fs::symlink_metadata(path).map_err(words)?.permissions().mode() & 0o7777;
        if now != mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(words)?;
            changes.push(format!("set the mode of {} to {mode:o} (was {now:o})", entry.path));
        }
    }
    changes.extend(give_to(entry, path)?);
    Ok(changes)
}

fn relink(path: &Path, to: &str, is_link: bool) -> Result<Vec<String>, String> {
    if !is_link {
        return Err("is no symbolic link".into());
    }
    let was = fs::read_link(path).map_err(|error| error.to_string())?;
    if was == Path::new(to) {
        return Ok(Vec::new());
    }
    fs::remove_file(path).and_then(|()| symlink(to, path)).map_err(|error| error.to_string())?;
    // Whoever wants it back must know what it was.
    Ok(vec![format!("pointed the link {} to {to} (was {})", path.display(), was.display())])
}

fn give_to(entry: &EnvironmentEntry, path: &Path) -> Result<Option<String>, String> {
    let lookup = |file: &str, name: &Option<String>| match name {
        None => Ok(None),
        Some(name) => number(file, name).map(Some).ok_or_else(|| format!("`{name}` is not in {file}")),
    };
    let (owner, group) = (lookup("/etc/passwd", &entry.owner)?, lookup("/etc/group", &entry.group)?);
    let meta = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    let is_right = owner.is_none_or(|uid| uid == meta.uid()) && group.is_none_or(|gid| gid == meta.gid());
    if is_right {
        return Ok(None);
    }
    std::os::unix::fs::lchown(path, owner, group).map_err(|error| error.to_string())?;
    Ok(Some(format!("set the owner of {} (was {}:{})", entry.path, meta.uid(), meta.gid())))
}

/// The number of a user or a group by its name, from `/etc/passwd` or `/etc/group`.
pub(in crate::linux) fn number(file: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
