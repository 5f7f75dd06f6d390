//! Keeps the last known good configuration of a unit and puts it back. Bounded, and never through a symbolic link.
//!
//! What is kept lies in the agent's own folder with its owner and mode, where nobody else comes. What is read and written
//! lies where the unit's user may have a hand in it: see `owned_path`.

mod comments;
mod since;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use ansai_model::{
    action::ActionOutcome,
    id::UnitName,
    text::{Counted, Text},
};

pub(in crate::linux) use self::comments::changes_only_comments;
use self::since::age;
pub(super) use self::since::other_than_kept;
use crate::linux::{
    act::{Planned, Steps},
    aside, drill,
    owned_path::{self, Folder, Found, Fresh, Kind, Ownership, Refused, Trusted},
};

const FILES_MAX: usize = 1_000;
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What files of ours have in their names, which are nobody's configuration.
const OURS: &str = ".ansai-";

/// A file of a configuration.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    ownership: Ownership,
}

/// What is put back: a file, and what is there instead.
struct Change {
    kept: File,
    now: Option<(Vec<u8>, Ownership)>,
}

/// How much of what is kept is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only what is there no more: nobody's change is lost by it.
    Missing,
    /// All that differs.
    All,
}

/// What was put back, and what it takes to take that back.
pub(super) struct Replaced {
    path: PathBuf,
    was: Option<(Vec<u8>, Ownership)>,
    /// What was put there.
    by: Vec<u8>,
    /// What was beside it, where the broken file is kept; nothing when nothing was kept there.
    beside: Option<Option<(Vec<u8>, Ownership)>>,
}

fn store(state_dir: &Path, unit: &UnitName) -> Result<PathBuf, Refused> {
    owned_path::is_ours(state_dir)?;
    Ok(state_dir.join("configurations").join(unit.as_str()))
}

/// Copies the files of `paths` into the state directory.
pub(super) fn save(state_dir: &Path, unit: &UnitName, paths: &[String], trusted: &Trusted) -> ActionOutcome {
    match kept(state_dir, unit, paths, trusted) {
        Ok(count) => ActionOutcome::Succeeded {
            note: Text::new(format!("{} of {unit} kept as last known good", Counted(count, "file"))),
        },
        Err(why) => ActionOutcome::Refused { why: why.into() },
    }
}

/// Why a configuration would not be kept; nothing when it would be.
pub(super) fn plan_save(state_dir: &Path, unit: &UnitName, paths: &[String], trusted: &Trusted) -> Planned {
    let looked = store(state_dir, unit).and_then(|_| collect(paths.iter().map(PathBuf::from).collect(), trusted));
    looked.map(|_| Steps::default()).map_err(Into::into)
}

fn kept(state_dir: &Path, unit: &UnitName, paths: &[String], trusted: &Trusted) -> Result<usize, Refused> {
    let place = store(state_dir, unit)?;
    let beside = |ending: &str| place.with_file_name(format!("{unit}.{ending}"));
    let (fresh, old) = (beside("new"), beside("old"));
    let files = collect(paths.iter().map(PathBuf::from).collect(), trusted)?;
    let failed = |error: std::io::Error| Refused::said(&place, error.to_string());
    private(&place.with_file_name("")).map_err(failed)?;
    let _ = fs::remove_dir_all(&fresh);
    private(&fresh).map_err(failed)?;
    for file in &files {
        let (folder, name) = Folder::above_or_make(&below(&fresh, &file.path), &Trusted::own())?;
        Fresh::file(folder, &name, &file.bytes, file.ownership)?.commit()?;
    }
    let _ = fs::remove_dir_all(&old);
    if place.exists() {
        fs::rename(&place, &old).map_err(failed)?;
    }
    fs::rename(&fresh, &place).map_err(failed)?;
    Ok(files.len())
}

/// A folder that only the agent's own user enters.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Puts the kept copies back; what they replace is kept beside them as `.ansai-broken`, but for what a drill broke. When one
/// cannot be, none is.
pub(super) fn restore(
    state_dir: &Path,
    unit: &UnitName,
    paths: &[String],
    reach: Reach,
    trusted: &Trusted,
) -> (ActionOutcome, Vec<Replaced>) {
    let changes = match changes(state_dir, unit, paths, trusted) {
        Ok(Some(changes)) => changes,
        Ok(None) => return (ActionOutcome::Refused { why: nothing_kept(unit) }, Vec::new()),
        Err(why) => return (ActionOutcome::Refused { why: why.into() }, Vec::new()),
    };
    // Once it has begun it goes on to its end, or back; what was given up before does not begin.
    if !aside::is_awaited() {
        return (ActionOutcome::Refused { why: aside::GIVEN_UP.into() }, Vec::new());
    }
    let mut replaced = Vec::new();
    for change in changes.into_iter().filter(|change| reach == Reach::All || change.now.is_none()) {
        if let Err(why) = put_back(change, trusted, &mut replaced) {
            let back = match take_back(replaced, trusted) {
                Ok(_) => String::new(),
                Err(error) => format!("; AND WHAT WAS THERE COULD NOT BE PUT BACK: {error}"),
            };
            return (ActionOutcome::Failed { why: Text::new(format!("{why}{back}")) }, Vec::new());
        }
    }
    let outcome = match replaced.is_empty() {
        true if reach == Reach::Missing => ActionOutcome::NotNeeded { why: "none of it is missing".into() },
        true => ActionOutcome::NotNeeded { why: nothing_differs(state_dir, unit, paths, trusted) },
        false => ActionOutcome::Succeeded { note: put_back_note(state_dir, unit, &replaced) },
    };
    (outcome, replaced)
}

/// Why nothing is put back: the kept files are as they were. What else is other than it was is named.
fn nothing_differs(state_dir: &Path, unit: &UnitName, paths: &[String], trusted: &Trusted) -> Text {
    match other_than_kept(state_dir, unit, paths, trusted) {
        None => "the configuration is the last known good one".into(),
        Some(other) => Text::new(format!("each file of the last known good configuration is as it was; {other}")),
    }
}

/// Which files were put back, where what was there is kept, and how old the copy is.
pub(super) fn put_back_note(state_dir: &Path, unit: &UnitName, replaced: &[Replaced]) -> Text {
    let words = |one: &Replaced| match (&one.was, &one.beside) {
        (Some(_), Some(_)) => {
            format!("{} (what was there is kept as {})", one.path.display(), broken(&one.path).display())
        }
        (Some(_), None) => format!("{} (which a drill had broken)", one.path.display()),
        (None, _) => format!("{} (which was missing)", one.path.display()),
    };
    let files = replaced.iter().map(words).collect::<Vec<_>>().join(", ");
    Text::new(format!("put back: {files}{}", age(state_dir, unit).map(|age| format!("; {age}")).unwrap_or_default()))
}

/// Undoes [`restore`]: each file is as it was, and nothing is left beside it. What somebody has changed since is left alone;
/// says which files these are.
pub(super) fn take_back(replaced: Vec<Replaced>, trusted: &Trusted) -> Result<Vec<String>, Refused> {
    let mut left = Vec::new();
    for one in replaced.into_iter().rev() {
        if found(&one.path, trusted)?.is_none_or(|(bytes, _)| bytes != one.by) {
            left.push(one.path.display().to_string());
            continue;
        }
        put(&one.path, one.was, trusted)?;
        if let Some(beside) = one.beside {
            put(&broken(&one.path), beside, trusted)?;
        }
    }
    Ok(left)
}

fn put(path: &Path, what: Option<(Vec<u8>, Ownership)>, trusted: &Trusted) -> Result<(), Refused> {
    let (folder, name) = Folder::above(path, trusted)?;
    match what {
        Some((bytes, ownership)) => Fresh::file(folder, &name, &bytes, ownership)?.commit(),
        None => folder.remove(&name),
    }
}

/// What putting the kept copies back would do, or why it would do nothing.
pub(super) fn plan_restore(state_dir: &Path, unit: &UnitName, paths: &[String], trusted: &Trusted) -> Planned {
    match changes(state_dir, unit, paths, trusted)? {
        None => Err(nothing_kept(unit)),
        Some(changes) if changes.is_empty() => {
            let why = nothing_differs(state_dir, unit, paths, trusted);
            Ok(Steps { lines: vec![Text::new(format!("nothing: {why}"))], idle: Some(why) })
        }
        Some(changes) => {
            let words = |change: &Change| {
                let keeping = if change.now.is_some() { ", keeping what is there" } else { "" };
                Text::new(format!("put {} back{keeping}", change.kept.path.display()))
            };
            Ok(changes.iter().map(words).chain(age(state_dir, unit).map(Text::new)).collect::<Vec<_>>().into())
        }
    }
}

/// Why no drill breaks a configuration: the last known good copy would be put back, and what somebody has changed since it was
/// kept with it. Nothing when that is nothing, or when no copy is kept, so that nothing would be put back.
pub(in crate::linux) fn changed_since_kept(
    state_dir: &Path,
    unit: &UnitName,
    paths: &[String],
    trusted: &Trusted,
) -> Option<String> {
    let changed = match changes(state_dir, unit, paths, trusted) {
        Ok(changed) => changed?,
        // What cannot be compared may be somebody's work.
        Err(why) => return Some(format!("what would be put back cannot be compared with what is there: {why}")),
    };
    let first = changed.first()?.kept.path.display().to_string();
    let others = match changed.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "{first}{others} has changed since the configuration was last kept as known good, and what the drill has ansai put \
         back would undo that; drill again in some minutes: while {unit} runs well, it is kept again and again"
    ))
}

fn nothing_kept(unit: &UnitName) -> Text {
    Text::new(format!("no last known good configuration of {unit} is kept"))
}

/// The kept files that differ from what is there; nothing when none are kept.
fn changes(
    state_dir: &Path,
    unit: &UnitName,
    paths: &[String],
    trusted: &Trusted,
) -> Result<Option<Vec<Change>>, Refused> {
    let place = store(state_dir, unit)?;
    if !place.is_dir() {
        return Ok(None);
    }
    let kept = paths.iter().map(|path| below(&place, Path::new(path))).collect();
    let mut changes = Vec::new();
    for mut file in collect(kept, &Trusted::own())? {
        let Ok(relative) = file.path.strip_prefix(&place) else { continue };
        file.path = Path::new("/").join(relative);
        let now = found(&file.path, trusted)?;
        if now.as_ref().is_none_or(|(bytes, _)| *bytes != file.bytes) {
            changes.push(Change { kept: file, now });
        }
    }
    Ok(Some(changes))
}

/// What is at a path, when it is a file.
fn found(path: &Path, trusted: &Trusted) -> Result<Option<(Vec<u8>, Ownership)>, Refused> {
    match Folder::above(path, trusted) {
        Ok((folder, name)) => match folder.file(&name)? {
            Some(found) => Ok(Some((found.bytes(BYTES_MAX)?, found.ownership()))),
            None => Ok(None),
        },
        Err(Refused::Missing { .. }) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// Notes what is replaced before it is.
fn put_back(change: Change, trusted: &Trusted, replaced: &mut Vec<Replaced>) -> Result<(), Refused> {
    let Change { kept, now } = change;
    let path = kept.path;
    let mut one = Replaced { path: path.clone(), was: now, by: kept.bytes, beside: None };
    // The broken line of a drill is nobody's change to keep.
    let is_kept = |(bytes, _): &&(Vec<u8>, Ownership)| !drill::is_its_doing(&path, bytes, trusted);
    if let Some((bytes, ownership)) = one.was.as_ref().filter(is_kept) {
        let before = found(&broken(&path), trusted)?;
        let (folder, name) = Folder::above(&broken(&path), trusted)?;
        Fresh::file(folder, &name, bytes, *ownership)?.commit()?;
        one.beside = Some(before);
    }
    let (folder, name) = Folder::above_or_make(&path, trusted)?;
    let fresh = Fresh::file(folder, &name, &one.by, kept.ownership);
    let placed = fresh.and_then(Fresh::commit);
    match (&placed, one.beside) {
        (Err(_), Some(before)) => put(&broken(&path), before, trusted)?,
        (Err(_), None) => {}
        (Ok(()), beside) => replaced.push(Replaced { beside, ..one }),
    }
    placed
}

/// Where the broken file is kept.
pub(in crate::linux) fn broken(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ansai-broken");
    PathBuf::from(name)
}

fn below(place: &Path, file: &Path) -> PathBuf {
    place.join(file.strip_prefix("/").unwrap_or(file))
}

/// The regular files at and below the paths; symbolic links are passed over.
fn collect(paths: Vec<PathBuf>, trusted: &Trusted) -> Result<Vec<File>, Refused> {
    let (mut files, mut bytes_read) = (Vec::new(), 0);
    walk(&paths, trusted, &mut |folder, found, path| {
        if found.kind() != Kind::File {
            return Ok(());
        }
        folder.judge(&found)?;
        let bytes = found.bytes(BYTES_MAX.saturating_sub(bytes_read))?;
        bytes_read += bytes.len() as u64;
        must_fit(files.len() < FILES_MAX, &path)?;
        files.push(File { path, bytes, ownership: found.ownership() });
        Ok(())
    })?;
    files.sort_by(|one: &File, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Goes through the files and links at and below the paths, in any order; files of ours are passed over, and links not followed.
fn walk(
    paths: &[PathBuf],
    trusted: &Trusted,
    visit: &mut dyn FnMut(&Folder, Found, PathBuf) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut looked_at = 0;
    for top in paths {
        let (folder, name) = match Folder::above(top, trusted) {
            Ok(above) => above,
            Err(Refused::Missing { .. }) => continue,
            Err(refused) => return Err(refused),
        };
        let mut todo: Vec<(Folder, Vec<OsString>)> = vec![(folder, vec![name])];
        while let Some((folder, names)) = todo.last_mut() {
            let Some(name) = names.pop() else {
                todo.pop();
                continue;
            };
            looked_at += 1;
            must_fit(looked_at <= FILES_MAX * 4, top)?;
            let Some(found) = folder.find(&name)? else { continue };
            let path = folder.path().join(&name);
            match found.kind() {
                Kind::Folder => {
                    let below = folder.enter(&name)?;
                    let names = below.names(FILES_MAX * 2)?;
                    todo.push((below, names));
                }
                Kind::File | Kind::Link if !is_ours(&name) => visit(folder, found, path)?,
                Kind::File | Kind::Link | Kind::Other => {}
            }
        }
    }
    Ok(())
}

fn is_ours(name: &OsStr) -> bool {
    name.to_string_lossy().contains(OURS)
}

fn must_fit(is_fine: bool, top: &Path) -> Result<(), Refused> {
    let why = format!("more than {FILES_MAX} files or {BYTES_MAX} bytes: declare fewer configuration paths");
    if is_fine { Ok(()) } else { Err(Refused::said(top, why)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_drill_broke_is_put_back_and_kept_nowhere() {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let file = folder.path().join("app.conf");
        let paths = [file.to_str().expect("text").to_owned()];
        let (unit, own) = (UnitName::new("app.service").expect("valid"), Trusted::own());
        fs::write(&file, "listen 80\n").expect("written");
        assert!(matches!(save(state.path(), &unit, &paths, &own), ActionOutcome::Succeeded { .. }));
        // What somebody broke before is still theirs.
        fs::write(broken(&file), "of somebody").expect("written");
        drill::break_file(&file, &own).expect("broken");
        let (outcome, replaced) = restore(state.path(), &unit, &paths, Reach::All, &own);
        let ActionOutcome::Succeeded { note } = outcome else { panic!("{outcome}") };
        assert!(note.as_str().contains("app.conf (which a drill had broken); the copy is of "), "{note}");
        assert_eq!(fs::read_to_string(&file).expect("text"), "listen 80\n");
        assert_eq!(fs::read_to_string(broken(&file)).expect("text"), "of somebody");
        assert_eq!(take_back(replaced, &own).expect("taken back"), [""; 0]);
        assert!(fs::read_to_string(&file).expect("text").contains("ansai drill"));
        // A line more, and it is somebody's change.
        fs::write(&file, "listen 80\nand more\n").expect("written");
        let (outcome, _) = restore(state.path(), &unit, &paths, Reach::All, &own);
        assert!(outcome.to_string().contains("is kept as"), "{outcome}");
        assert_eq!(fs::read_to_string(broken(&file)).expect("text"), "listen 80\nand more\n");
    }

    #[test]
    fn no_drill_breaks_what_somebody_has_changed_since_it_was_kept() {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let file = folder.path().join("app.conf");
        let paths = [file.to_str().expect("text").to_owned()];
        let (unit, own) = (UnitName::new("app.service").expect("valid"), Trusted::own());
        let why = || changed_since_kept(state.path(), &unit, &paths, &own);
        fs::write(&file, "listen 80\n").expect("written");
        assert_eq!(why(), None, "nothing would be put back");
        assert!(matches!(save(state.path(), &unit, &paths, &own), ActionOutcome::Succeeded { .. }));
        assert_eq!(why(), None);
        fs::write(&file, "listen 81\n").expect("written");
        assert!(why().is_some_and(|why| why.contains("app.conf has changed since")), "{:?}", why());
        // A link where the file was is not followed, so that nobody knows what it holds.
        fs::rename(&file, folder.path().join("elsewhere")).expect("moved");
        std::os::unix::fs::symlink("elsewhere", &file).expect("linked");
        assert!(why().is_some(), "what cannot be compared is left alone");
    }

    #[test]
    fn a_broken_file_is_put_back_and_kept_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("app.conf");
        let paths = [file.to_str().expect("text").to_owned()];
        let unit = UnitName::new("app.service").expect("valid");
        let state = folder.path().join("state");
        let trusted = Trusted::own();
        assert!(matches!(restore(&state, &unit, &paths, Reach::All, &trusted).0, ActionOutcome::Refused { .. }));
        fs::write(&file, "good").expect("written");
        assert!(matches!(save(&state, &unit, &paths, &trusted), ActionOutcome::Succeeded { .. }));
        fs::write(&file, "broken").expect("written");
        let planned = plan_restore(&state, &unit, &paths, &trusted).expect("not refused");
        assert_eq!(planned.lines[0].as_str(), format!("put {} back, keeping what is there", file.display()));
        assert!(planned.lines[1].as_str().starts_with("the copy is of 2"), "{planned:?}");
        assert!(matches!(restore(&state, &unit, &paths, Reach::All, &trusted).0, ActionOutcome::Succeeded { .. }));
        assert_eq!(fs::read_to_string(&file).expect("there"), "good");
        assert_eq!(fs::read_to_string(folder.path().join("app.conf.ansai-broken")).expect("there"), "broken");
        assert!(matches!(restore(&state, &unit, &paths, Reach::All, &trusted).0, ActionOutcome::NotNeeded { .. }));
    }
    #[test]
    fn w11_what_was_put_back_in_vain_is_taken_back_exactly() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let paths = [folder.path().join("conf").to_str().expect("text").to_owned()];
        let unit = UnitName::new("app.service").expect("valid");
        let (state, trusted) = (at("state"), Trusted::own());
        fs::create_dir(at("conf")).expect("made");
        for name in ["conf/a", "conf/b", "conf/gone"] {
            fs::write(at(name), "good").expect("written");
        }
        assert!(matches!(save(&state, &unit, &paths, &trusted), ActionOutcome::Succeeded { .. }));
        fs::write(at("conf/a"), "newer").expect("written");
        fs::set_permissions(at("conf/a"), fs::Permissions::from_mode(0o640)).expect("set");
        fs::write(at("conf/b"), "newer").expect("written");
        fs::write(at("conf/b.ansai-broken"), "of another day").expect("written");
        fs::remove_file(at("conf/gone")).expect("removed");
        // What is missing alone may be what is wrong: then nobody's change is lost.
        let (outcome, replaced) = restore(&state, &unit, &paths, Reach::Missing, &trusted);
        assert!(matches!(outcome, ActionOutcome::Succeeded { .. }), "{outcome:?}");
        assert_eq!(fs::read_to_string(at("conf/gone")).expect("there"), "good");
        assert_eq!(fs::read_to_string(at("conf/a")).expect("there"), "newer");
        assert_eq!(take_back(replaced, &trusted).expect("taken back"), Vec::<String>::new());
        let (outcome, replaced) = restore(&state, &unit, &paths, Reach::All, &trusted);
        assert!(matches!(outcome, ActionOutcome::Succeeded { .. }), "{outcome:?}");
        assert_eq!(fs::read_to_string(at("conf/gone")).expect("there"), "good");
        assert_eq!(take_back(replaced, &trusted).expect("taken back"), Vec::<String>::new());
        let names = |folder: &str| {
            let mut names: Vec<_> = fs::read_dir(at(folder))
                .expect("read")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("conf"), ["a", "b", "b.ansai-broken"]);
        assert_eq!(fs::read_to_string(at("conf/a")).expect("there"), "newer");
        assert_eq!(fs::metadata(at("conf/a")).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(at("conf/b.ansai-broken")).expect("there"), "of another day");
        // What somebody has changed meanwhile is theirs.
        let (_, replaced) = restore(&state, &unit, &paths, Reach::All, &trusted);
        fs::write(at("conf/a"), "mended").expect("written");
        assert_eq!(take_back(replaced, &trusted).expect("taken back"), [at("conf/a").display().to_string()]);
        assert_eq!(fs::read_to_string(at("conf/a")).expect("there"), "mended");
    }
}
