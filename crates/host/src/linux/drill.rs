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
/// The line in it, as a person sees it.
const LINE: &str = "}}} ansai drill: this line is broken on purpose";
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
    /// The file has been changed since and holds the broken line no more, so only the copy of the original is left.
    Copy,
    /// The file has been changed since, and the broken line still stands in it once, by itself.
    Edited,
    /// The file has been changed since, and the broken line is in it in another way: only a person can tell what it was.
    Entangled,
    /// The file is gone, and the copy of the original may be all that there is of it.
    Gone,
}

impl Remains {
    /// Why the copy of the original is not taken away, and what a person does then; nothing when it may go.
    #[must_use]
    pub fn why_kept(self, path: &Path) -> Option<String> {
        let (file, copy) = (path.display(), copy_of(path));
        let copy = copy.display();
        match self {
            Self::Entangled => Some(format!(
                "{file} has been changed since and still holds `{LINE}`, not once and by itself; delete that from it; the \
                 original is kept in {copy}"
            )),
            Self::Gone => Some(format!("{file} is gone; the original is kept in {copy}: move it back, or remove it")),
            Self::Nothing | Self::Broken | Self::Mended | Self::Copy | Self::Edited => None,
        }
    }
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
    if matches!(remains, Remains::Broken | Remains::Edited | Remains::Entangled) {
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

/// The line that a drill had put into a file which holds this without it, when it stood there; lines are counted from 1.
pub(crate) fn line_in(text: &str, number: usize) -> Option<&'static str> {
    let broken = format!("{text}{}", String::from_utf8_lossy(BROKEN_LINE));
    broken.lines().nth(number.checked_sub(1)?).filter(|line| *line == LINE).map(|_| LINE)
}

/// What a drill has left of a file.
///
/// # Errors
/// When one of the two files cannot be read, or may be another's.
pub fn remains(path: &Path) -> io::Result<Remains> {
    remains_of(path, &Trusted::own().and_one_other())
}

/// Ends a drill: puts the original back when the file is as the drill left it, takes the broken line out of one that somebody
/// has changed since, and takes the copy away. What was there.
///
/// # Errors
/// When the system refuses, a file may be another's, or the broken line cannot be told from what somebody wrote; the copy
/// stays until the file is free of it.
pub fn undo(path: &Path) -> io::Result<Remains> {
    // Only what the file holds anyway is written, so it does no harm whoever owns its folder.
    let trusted = Trusted::own().and_one_other();
    let Some(original) = copy(path, &trusted)? else { return Ok(Remains::Nothing) };
    let found = file(path, &trusted)?;
    let now = found.as_ref().map(|file| file.bytes(BYTES_MAX)).transpose()?;
    let remains = judged(&original, now.as_deref());
    if let Some(why) = remains.why_kept(path) {
        return Err(io::Error::other(why));
    }
    let free = match (remains, now.as_deref()) {
        (Remains::Broken, _) => Some(original),
        (Remains::Edited, Some(now)) => without_line(now),
        _ => None,
    };
    if let (Some(file), Some(free)) = (found, free) {
        file.overwrite(&free)?;
    }
    remove_copy(path, &trusted)?;
    Ok(remains)
}

fn remains_of(path: &Path, trusted: &Trusted) -> io::Result<Remains> {
    let Some(original) = copy(path, trusted)? else { return Ok(Remains::Nothing) };
    let now = file(path, trusted)?.map(|found| found.bytes(BYTES_MAX)).transpose()?;
    Ok(judged(&original, now.as_deref()))
}

/// What a file, as it is now, holds of a drill that kept this original.
fn judged(original: &[u8], now: Option<&[u8]>) -> Remains {
    let Some(now) = now else { return Remains::Gone };
    match now.strip_prefix(original) {
        Some([]) => Remains::Mended,
        Some(BROKEN_LINE) => Remains::Broken,
        Some(_) | None if !now.windows(LINE.len()).any(|part| part == LINE.as_bytes()) => Remains::Copy,
        Some(_) | None if without_line(now).is_some() => Remains::Edited,
        Some(_) | None => Remains::Entangled,
    }
}

/// A text without the broken line and the blank one before it; nothing when that is not in it exactly once, as a line.
fn without_line(text: &[u8]) -> Option<Vec<u8>> {
    let mut places = text.windows(LINE.len()).enumerate().filter(|(_, part)| *part == LINE.as_bytes());
    let (Some((at, _)), None) = (places.next(), places.next()) else { return None };
    let (before, after) = (text.get(..at)?, text.get(at + LINE.len()..)?);
    if !(before.is_empty() || before.ends_with(b"\n")) || !(after.is_empty() || after.starts_with(b"\n")) {
        return None;
    }
    // The line break before it came with it; whoever took away the blank line has left the end of another.
    let before = before.strip_suffix(b"\n").filter(|kept| kept.is_empty() || kept.ends_with(b"\n")).unwrap_or(before);
    Some([before, after.strip_prefix(b"\n").unwrap_or_default()].concat())
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
    fn the_broken_line_is_taken_out_of_what_somebody_has_edited() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        let edits: [(&str, &str, &str); 5] = [
            ("listen 80\n", "listen 80\n\nLINE\n# by me\n", "listen 80\n# by me\n"),
            ("listen 80\n", "listen 81\n\nLINE\n", "listen 81\n"),
            ("listen 80", "listen 80\nLINE\n# by me\n", "listen 80\n# by me\n"),
            ("listen 80\n", "listen 80\nLINE", "listen 80\n"),
            ("", "LINE\n# by me\n", "# by me\n"),
        ];
        for (original, edited, expected) in edits {
            fs::write(&path, original).expect("written");
            break_file(&path, &Trusted::own()).expect("broken");
            fs::write(&path, edited.replace("LINE", LINE)).expect("edited");
            assert_eq!(remains(&path).expect("readable"), Remains::Edited, "{edited:?}");
            assert!(break_file(&path, &Trusted::own()).expect_err("twice").to_string().contains("already"));
            assert_eq!(undo(&path).expect("undone"), Remains::Edited);
            assert_eq!(fs::read_to_string(&path).expect("text"), expected);
            assert!(!copy_of(&path).exists());
        }
    }

    #[test]
    fn the_copy_of_the_original_stays_as_long_as_the_file_is_not_free_of_the_drill() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path());
        break_file(&path, &Trusted::own()).expect("broken");
        for edited in ["# LINE\n", "a LINE\n", "LINE b\n", "LINE\nLINE\n", "LINE\r\n"] {
            let edited = edited.replace("LINE", LINE);
            fs::write(&path, &edited).expect("edited");
            assert_eq!(remains(&path).expect("readable"), Remains::Entangled, "{edited:?}");
            let why = undo(&path).expect_err("kept").to_string();
            assert!(why.contains(LINE) && why.contains("app.conf.ansai-drill"), "{why}");
            assert!(break_file(&path, &Trusted::own()).is_err());
            assert_eq!(fs::read_to_string(&path).expect("text"), edited);
            assert_eq!(fs::read_to_string(copy_of(&path)).expect("text"), "listen 80\n");
        }
        fs::remove_file(&path).expect("removed");
        assert!(undo(&path).expect_err("kept").to_string().contains("is gone"));
        assert_eq!(fs::read_to_string(copy_of(&path)).expect("text"), "listen 80\n");
    }

    #[tokio::test]
    async fn the_end_of_a_drill_leaves_no_broken_line_and_takes_no_copy_away_that_is_needed() {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().join("app.conf");
        fs::write(&path, "listen 80\n").expect("written");
        ending::Lasting::breaking("a.service", path.clone()).keep(state.path()).expect("kept");
        break_file(&path, &Trusted::own()).expect("broken");
        let broken = fs::read_to_string(&path).expect("text");
        fs::write(&path, format!("# {}", broken.trim_start_matches("listen 80").trim())).expect("edited");
        ending::end_what_is_mended("a.service", state.path()).await;
        ending::end_all(state.path()).await;
        assert!(copy_of(&path).exists(), "the only good copy");
        assert_eq!(ending::lasting(state.path()).expect("readable").len(), 1, "it is tried again");
        fs::write(&path, format!("{broken}# by me\n")).expect("edited");
        ending::end_all(state.path()).await;
        assert_eq!(fs::read_to_string(&path).expect("text"), "listen 80\n# by me\n");
        assert!(!copy_of(&path).exists() && ending::lasting(state.path()).expect("readable").is_empty());
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
