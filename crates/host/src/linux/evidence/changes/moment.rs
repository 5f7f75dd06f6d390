//! When a file came to hold what it holds: when it was written, put there, or a link on the way to it was set. It reads none, and
//! does not ask when its owner or its mode was changed: backups change that as well.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

/// Most links on the way to one file that are followed.
const LINKS_MAX: usize = 16;

/// When that was, and how, in words; nothing when there is no such file.
pub(super) fn of(path: &Path) -> Option<(Timestamp, String)> {
    let is = fs::metadata(path).ok()?;
    let at = |time: io::Result<std::time::SystemTime>| Timestamp::try_from(time.ok()?).ok();
    let written = at(is.modified())?;
    let mut last = (written, "was changed".to_owned());
    // An older file that is put in the place of another keeps the time at which it was written.
    if let Some(made) = at(is.created()).filter(|made| made.as_second() > written.as_second()) {
        last = (made, "was put there".to_owned());
    }
    for link in links_on(path) {
        let set = fs::symlink_metadata(&link).ok().and_then(|link| at(link.modified()));
        if let Some(set) = set.filter(|set| *set > last.0) {
            last = (set, format!("leads elsewhere, since {} was set", link.display()));
        }
    }
    Some(last)
}

/// The links on the way to a file, with those that they lead over.
fn links_on(path: &Path) -> Vec<PathBuf> {
    let (mut links, mut path) = (Vec::new(), path.to_owned());
    'anew: while links.len() < LINKS_MAX {
        let (mut so_far, mut rest) = (PathBuf::new(), path.components());
        while let Some(part) = rest.next() {
            if part == Component::ParentDir {
                so_far.pop();
                continue;
            }
            so_far.push(part);
            let Ok(to) = fs::read_link(&so_far) else { continue };
            links.push(so_far.clone());
            so_far.pop();
            path = so_far.join(to).join(rest.as_path());
            continue 'anew;
        }
        break;
    }
    links
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::symlink,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn what_was_put_there_or_is_reached_by_another_way_is_changed_as_well() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        let old = SystemTime::now() - Duration::from_secs(86_400);
        let release = |name: &str| {
            fs::create_dir_all(root.join(name)).expect("made");
            let file = root.join(name).join("app");
            fs::write(&file, name).expect("written");
            fs::File::options().write(true).open(&file).expect("open").set_modified(old).expect("set");
            file
        };
        let (one, two) = (release("one"), release("two"));
        let is_new = |at: Timestamp| Timestamp::now().as_second() - at.as_second() < 3600;
        // The file system may not know when a file was made.
        if fs::metadata(&one).expect("there").created().is_ok() {
            let (at, how) = of(&one).expect("there");
            assert!(is_new(at) && how == "was put there", "{at} {how}");
        }
        let current = root.join("current");
        symlink(two.parent().expect("a folder"), &current).expect("a link");
        symlink("current/app", root.join("app")).expect("a link");
        assert_eq!(links_on(&root.join("app")), [root.join("app"), current.clone()]);
        let (at, _) = of(&root.join("app")).expect("there");
        assert!(is_new(at));
        symlink("round", root.join("round")).expect("a link");
        assert_eq!(links_on(&root.join("round/app")).len(), LINKS_MAX);
        assert!(of(&root.join("round/app")).is_none());
    }
}
