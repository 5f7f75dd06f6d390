//! What of a configuration is other than when its last known good copy was kept, though each kept file is as it was: files and
//! links that are new, and owners and modes. It is told, and nothing of it is changed: a new file is somebody's work.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ansai_model::{
    id::UnitName,
    time::{Shown, WallTime},
};
use jiff::Timestamp;

use super::{File, below, collect, store, walk};
use crate::linux::{
    clock::wall_now,
    owned_path::{Kind, Refused, Trusted},
};

/// Most paths that are named of each kind.
const NAMED_MAX: usize = 4;
/// What to do about a file that is new: where its folder is read, it is read under any name.
const NEW: &str = "mend what is wrong in it, or move it to another folder (`mv -n` overwrites nothing)";

/// What is new or has another owner or mode since the copy was kept, and what to do about it; nothing when nothing is, or when
/// it cannot be known.
pub(in crate::linux::act) fn other_than_kept(
    state_dir: &Path,
    unit: &UnitName,
    paths: &[String],
    trusted: &Trusted,
) -> Option<String> {
    let (new, given) = looked(&store(state_dir, unit).ok()?, paths, trusted).ok()?;
    let new = named(&new).map(|names| format!("new since it was kept: {names}; {NEW}"));
    let given = named(&given).map(|names| format!("owner or mode changed since it was kept: {names}; see with ls -l"));
    let said: Vec<String> = new.into_iter().chain(given).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// How old the copy is, in words; nothing when that cannot be known. Whoever is told that it was put back learns by it which of
/// their changes are not in it.
pub(in crate::linux::act) fn age(state_dir: &Path, unit: &UnitName) -> Option<String> {
    let kept = Timestamp::try_from(kept_at(&store(state_dir, unit).ok()?).ok()?).ok()?;
    let kept = WallTime(kept.as_millisecond());
    Some(format!("the copy is of {kept}, {} old", Shown(wall_now().since(kept))))
}

/// When it was kept, whatever was in it before.
fn kept_at(place: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(place)?.modified()
}

/// The files and links that are new, and the files that belong to another or have another mode.
fn looked(place: &Path, paths: &[String], trusted: &Trusted) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Refused> {
    let kept_at = kept_at(place).map_err(|error| Refused::said(place, error.to_string()))?;
    let copies = collect(paths.iter().map(|path| below(place, Path::new(path))).collect(), &Trusted::own())?;
    let original = |copy: File| Some((Path::new("/").join(copy.path.strip_prefix(place).ok()?), copy.ownership));
    let kept: BTreeMap<_, _> = copies.into_iter().filter_map(original).collect();
    let (mut new, mut given) = (Vec::new(), Vec::new());
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    walk(&paths, trusted, &mut |_, found, path| {
        match kept.get(&path) {
            Some(ownership) if found.kind() == Kind::File && *ownership != found.ownership() => given.push(path),
            Some(_) => {}
            // No link is kept, so only its own time says whether it was there.
            None if found.kind() == Kind::Link && found.modified() <= kept_at => {}
            None => new.push(path),
        }
        Ok(())
    })?;
    new.sort();
    given.sort();
    Ok((new, given))
}

/// The first few of them.
fn named(paths: &[PathBuf]) -> Option<String> {
    let mut names: Vec<String> = paths.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
    if paths.len() > NAMED_MAX {
        names.push(format!("and {} more", paths.len() - NAMED_MAX));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, symlink},
        time::Duration,
    };

    use ansai_model::action::ActionOutcome;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

    use super::{
        super::{Reach, broken, plan_restore, restore, save},
        *,
    };

    #[test]
    fn what_is_new_since_the_copy_is_named_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("conf")).expect("made");
        fs::write(at("conf/old.conf"), "good").expect("written");
        symlink("old.conf", at("conf/old-link")).expect("linked");
        let paths = [at("conf").display().to_string()];
        let (unit, own, state) = (UnitName::new("app.service").expect("valid"), Trusted::own(), at("state"));
        assert!(matches!(save(&state, &unit, &paths, &own), ActionOutcome::Succeeded { .. }));
        let why = || match restore(&state, &unit, &paths, Reach::All, &own).0 {
            ActionOutcome::NotNeeded { why } => why.to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(why(), "the configuration is the last known good one");
        // The copy is older than what is made from now on, and the old link than it, however coarse the filesystem's clock is.
        let place = store(&state, &unit).expect("ours");
        let kept_at = fs::metadata(&place).and_then(|place| place.modified()).expect("known");
        fs::File::open(&place)
            .and_then(|place| place.set_modified(kept_at - Duration::from_secs(90_000)))
            .expect("set");
        let long_ago = Timestamps {
            last_access: Timespec { tv_sec: 1_000, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 1_000, tv_nsec: 0 },
        };
        utimensat(CWD, at("conf/old-link"), &long_ago, AtFlags::SYMLINK_NOFOLLOW).expect("set");
        fs::write(at("conf/new.conf"), "no directive").expect("written");
        symlink("new.conf", at("conf/new-link")).expect("linked");
        fs::write(broken(&at("conf/old.conf")), "ours").expect("written");
        let new = [at("conf/new-link"), at("conf/new.conf")].map(|path| path.display().to_string()).join(", ");
        let expected = format!(
            "each file of the last known good configuration is as it was; new since it was kept: {new}; mend what is wrong in \
             it, or move it to another folder (`mv -n` overwrites nothing)"
        );
        assert_eq!(why(), expected);
        let planned = plan_restore(&state, &unit, &paths, &own).expect("not refused");
        assert_eq!(planned.lines[0].as_str(), format!("nothing: {expected}"));
        assert!(at("conf/new.conf").exists());
        fs::remove_file(at("conf/new.conf")).expect("removed");
        fs::remove_file(at("conf/new-link")).expect("removed");
        fs::set_permissions(at("conf/old.conf"), fs::Permissions::from_mode(0o600)).expect("set");
        assert!(why().contains(&format!("owner or mode changed since it was kept: {}", at("conf/old.conf").display())));
        fs::write(at("conf/old.conf"), "bad").expect("written");
        let planned = plan_restore(&state, &unit, &paths, &own).expect("not refused");
        let age = planned.lines[1].as_str();
        assert!(age.starts_with("the copy is of ") && age.ends_with("Z, 1d1h old"));
        let (outcome, _) = restore(&state, &unit, &paths, Reach::All, &own);
        assert!(outcome.to_string().contains(".ansai-broken); the copy is of "), "{outcome}");
    }
}
