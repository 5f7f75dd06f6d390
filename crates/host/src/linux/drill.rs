//! A broken line in a configuration file, for drills, and its end. The original waits beside the file until then.
//!
//! The file may lie where somebody less trusted can write: it and its copy are reached as `owned_path` says, and the copy
//! is only believed when it is ours.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::owned_path::{Folder, Found, Fresh, Ownership, Refused, Trusted};

pub mod ending;

/// What is put behind the end of the file.
const BROKEN_LINE: &[u8] = b"\n}}} ansai drill: this line is broken on purpose\n";
/// Largest file that is broken.
const BYTES_MAX: u64 = 16 << 20;

/// What a drill has left of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing: no drill was here, or it was undone.
    Nothing,
    /// The file is as the drill left it: broken.
    Broken,
    /// The file is as it was before, as a remedy has it, so only the copy of the original is left.
    Mended,
    /// The file has been changed since, so only the copy of the original is left.
    Copy,
}

/// Most entries of a directory that are looked at.
const ENTRIES_MAX: usize = 1_000;
/// How a copy's name ends.
const ENDING: &str = ".ansai-drill";

/// The file that a drill breaks: the first declared one, or the main file of the first declared directory, as
/// `/etc/nginx/nginx.conf`. Files further down may be read by their pattern, and a copy beside one would be as well.
#[must_use]
pub fn file_to_break(paths: &[String]) -> Option<PathBuf> {
    paths.iter().map(Path::new).find_map(|path| {
        if path.is_file() {
            return Some(path.to_owned());
        }
        let name = path.file_name()?.to_str()?;
        let main = [format!("{name}.conf"), format!("{name}d_config"), "main.cf".into(), "named.conf".into()];
        main.iter().map(|name| path.join(name)).find(|file| file.is_file())
    })
}

/// The files beside which a drill has left a copy, among declared files and directly in declared directories.
#[must_use]
pub fn left_behind(paths: &[String]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths.iter().map(PathBuf::from) {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let entries = fs::read_dir(path).into_iter().flatten().flatten().take(ENTRIES_MAX).map(|entry| entry.path());
        files.extend(entries.filter_map(|path| Some(PathBuf::from(path.to_str()?.strip_suffix(ENDING)?))));
    }
    // A link is looked at as well: that it may not be read is said.
    files.retain(|path| fs::symlink_metadata(copy_of(path)).is_ok());
    files.sort();
    files.dedup();
    files
}

/// Where the original is kept meanwhile.
#[must_use]
pub fn copy_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ENDING);
    name.into()
}

/// Appends a line that no program understands, having kept the original. Its way may belong to whom we trust.
///
/// # Errors
/// When the file is broken by a drill already, is larger than 16 MiB, somebody else has a hand in the way to it, or the
/// system refuses.
pub fn break_file(path: &Path, trusted: &Trusted) -> io::Result<()> {
    let (found, remains) = breakable(path, trusted)?;
    if matches!(remains, Remains::Copy | Remains::Mended) {
        remove_copy(path, trusted)?;
    }
    let mut text = found.bytes(BYTES_MAX)?;
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let ownership = Ownership { uid, gid, mode: found.ownership().mode & 0o700 };
    let (folder, name) = Folder::above(&copy_of(path), trusted)?;
    Fresh::file(folder, &name, &text, ownership)?.commit()?;
    text.extend_from_slice(BROKEN_LINE);
    Ok(found.overwrite(&text)?)
}

/// Whether a file would be broken; it only reads.
///
/// # Errors
/// As for [`break_file`], but for what the system refuses only when it is written to.
pub fn may_break(path: &Path, trusted: &Trusted) -> io::Result<()> {
    breakable(path, trusted)?.0.bytes(BYTES_MAX).map(drop).map_err(Into::into)
}

fn breakable(path: &Path, trusted: &Trusted) -> io::Result<(Found, Remains)> {
    let remains = remains_of(path, trusted)?;
    if remains == Remains::Broken {
        return Err(io::Error::other(
            "a drill has broken it already; `ansai drill NAME --undo`, with the name of its service, mends it",
        ));
    }
    let found = file(path, trusted)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok((found, remains))
}

/// Whether a file that holds this is as a drill left it, which is nobody's change: a copy of the original is beside it, and
/// only the broken line is new. What cannot be looked at is somebody's.
pub(crate) fn is_its_doing(path: &Path, bytes: &[u8], trusted: &Trusted) -> bool {
    let original = bytes.strip_suffix(BROKEN_LINE);
    original.is_some_and(|original| copy(path, trusted).is_ok_and(|kept| kept.as_deref() == Some(original)))
}

/// What a drill has left of a file.
///
/// # Errors
/// When one of the two files cannot be read, or may be another's.
pub fn remains(path: &Path) -> io::Result<Remains> {
    remains_of(path, &Trusted::own().and_one_other())
}

/// Ends a drill: puts the original back when the file is as the drill left it, and takes the copy away. What was there.
///
/// # Errors
/// When the system refuses, or a file may be another's; the copy stays until the original is back.
pub fn undo(path: &Path) -> io::Result<Remains> {
    // Only what the file holds anyway is written, so it does no harm whoever owns its folder.
    let trusted = Trusted::own().and_one_other();
    let found = remains_of(path, &trusted)?;
    if found == Remains::Broken
        && let (Some(file), Some(copy)) = (file(path, &trusted)?, copy(path, &trusted)?)
    {
        file.overwrite(&copy)?;
    }
    if found != Remains::Nothing {
        remove_copy(path, &trusted)?;
    }
    Ok(found)
}

fn remains_of(path: &Path, trusted: &Trusted) -> io::Result<Remains> {
    let Some(original) = copy(path, trusted)? else { return Ok(Remains::Nothing) };
    let Some(found) = file(path, trusted)? else { return Ok(Remains::Copy) };
    let now = found.bytes(BYTES_MAX)?;
    Ok(match now.strip_prefix(original.as_slice()) {
        Some([]) => Remains::Mended,
        Some(BROKEN_LINE) => Remains::Broken,
        Some(_) | None => Remains::Copy,
    })
}

fn file(path: &Path, trusted: &Trusted) -> Result<Option<Found>, Refused> {
    let (folder, name) = match Folder::above(path, trusted) {
        Err(Refused::Missing { .. }) => return Ok(None),
        above => above?,
    };
    folder.file(&name)
}

/// The original, as it was kept; a copy that somebody else made is none of ours.
fn copy(path: &Path, trusted: &Trusted) -> Result<Option<Vec<u8>>, Refused> {
    let copy = copy_of(path);
    let Some(found) = file(&copy, trusted)? else { return Ok(None) };
    let Ownership { uid: owner, mode, .. } = found.ownership();
    if !trusted.is_own(owner) {
        return Err(Refused::Owner { step: copy, owner, mode, may: "who made the drill".to_owned() });
    }
    found.bytes(BYTES_MAX).map(Some)
}

fn remove_copy(path: &Path, trusted: &Trusted) -> Result<(), Refused> {
    let (folder, name) = Folder::above(&copy_of(path), trusted)?;
    folder.remove(&name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("app.conf");
        fs::write(&path, "listen 80\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its mode");
        path
    }

    #[test]
    fn a_broken_file_is_put_back_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        assert_eq!(remains(&path).expect("readable"), Remains::Nothing);
        break_file(&path, &Trusted::own()).expect("broken");
        assert!(fs::read_to_string(&path).expect("text").contains("}}} ansai drill"));
        assert_eq!(remains(&path).expect("readable"), Remains::Broken);
        let broken = fs::read(&path).expect("text");
        fs::write(&path, "listen 80\n").expect("put back by a remedy");
        assert_eq!(remains(&path).expect("readable"), Remains::Mended);
        fs::write(&path, broken).expect("written");
        assert!(break_file(&path, &Trusted::own()).expect_err("twice").to_string().contains("already"));
        assert_eq!(undo(&path).expect("undone"), Remains::Broken);
        assert_eq!(fs::read_to_string(&path).expect("text"), "listen 80\n");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(!copy_of(&path).exists());
        assert_eq!(undo(&path).expect("again"), Remains::Nothing);
    }

    #[test]
    fn what_somebody_changed_since_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        break_file(&path, &Trusted::own()).expect("broken");
        fs::write(&path, "listen 8080\n").expect("mended by hand");
        assert_eq!(undo(&path).expect("undone"), Remains::Copy);
        assert_eq!(fs::read_to_string(&path).expect("text"), "listen 8080\n");
        assert!(!copy_of(&path).exists());
        // What an earlier drill left does not stand in the way of the next.
        fs::write(copy_of(&path), "old").expect("written");
        break_file(&path, &Trusted::own()).expect("broken");
        undo(&path).expect("undone");
        assert_eq!(fs::read_to_string(&path).expect("text"), "listen 8080\n");
    }

    #[test]
    fn the_main_file_of_a_directory_is_broken_and_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let nginx = folder.path().join("nginx");
        fs::create_dir(&nginx).expect("made");
        let declared = [folder.path().join("gone"), nginx.clone()].map(|path| path.display().to_string());
        assert_eq!(file_to_break(&declared), None);
        fs::write(nginx.join("mime.types"), "").expect("written");
        fs::write(nginx.join("nginx.conf"), "").expect("written");
        let main = file_to_break(&declared).expect("there");
        assert_eq!(main, nginx.join("nginx.conf"));
        assert!(left_behind(&declared).is_empty());
        break_file(&main, &Trusted::own()).expect("broken");
        assert_eq!(left_behind(&declared), [main]);
    }

    #[test]
    fn a_copy_that_is_a_link_is_neither_read_nor_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, secret) = (file(folder.path()), folder.path().join("secret"));
        fs::write(&secret, "secret").expect("written");
        symlink(&secret, copy_of(&path)).expect("a link");
        assert!(break_file(&path, &Trusted::own()).is_err() && undo(&path).is_err());
        assert_eq!(fs::read_to_string(&secret).expect("text"), "secret");
        assert_eq!(fs::read_to_string(&path).expect("text"), "listen 80\n");
    }
}
