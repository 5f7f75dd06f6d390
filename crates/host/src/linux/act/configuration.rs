//! Keeps the last known good configuration of a unit and puts it back. Bounded, and never through a symbolic link.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::{action::ActionOutcome, id::UnitName, text::Text};

const FILES_MAX: usize = 1_000;
const BYTES_MAX: u64 = 16 * 1024 * 1024;

fn store(state_dir: &Path, unit: &UnitName) -> PathBuf {
    state_dir.join("configurations").join(unit.as_str())
}

/// Copies the files of `paths` into the state directory.
pub(super) fn save(state_dir: &Path, unit: &UnitName, paths: &[String]) -> ActionOutcome {
    let place = store(state_dir, unit);
    let fresh = place.with_extension("new");
    let copied = collect(paths).and_then(|files| {
        let _ = fs::remove_dir_all(&fresh);
        for file in &files {
            copy(file, &below(&fresh, file))?;
        }
        let old = place.with_extension("old");
        let _ = fs::remove_dir_all(&old);
        if place.exists() {
            fs::rename(&place, &old).map_err(|error| error.to_string())?;
        }
        fs::rename(&fresh, &place).map_err(|error| error.to_string())?;
        Ok(files.len())
    });
    match copied {
        Ok(count) => {
            ActionOutcome::Succeeded { note: Text::new(format!("{count} files of {unit} kept as last known good")) }
        }
        Err(why) => ActionOutcome::Refused { why: Text::new(why) },
    }
}

/// Puts the kept copies back; what they replace is kept beside them as `.ansai-broken`.
pub(super) fn restore(state_dir: &Path, unit: &UnitName, paths: &[String]) -> ActionOutcome {
    let place = store(state_dir, unit);
    if !place.is_dir() {
        return ActionOutcome::Refused {
            why: Text::new(format!("no last known good configuration of {unit} is kept")),
        };
    }
    let kept =
        paths.iter().map(|path| below(&place, Path::new(path)).to_string_lossy().into_owned()).collect::<Vec<_>>();
    let files = match collect(&kept) {
        Ok(files) => files,
        Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
    };
    let mut restored = Vec::new();
    for file in files {
        let Ok(relative) = file.strip_prefix(&place) else { continue };
        let target = Path::new("/").join(relative);
        let is_same = fs::read(&file).ok().is_some_and(|kept| fs::read(&target).is_ok_and(|now| now == kept));
        if is_same {
            continue;
        }
        let broken = PathBuf::from(format!("{}.ansai-broken", target.display()));
        if target.exists()
            && let Err(why) = copy(&target, &broken)
        {
            return ActionOutcome::Failed { why: Text::new(why) };
        }
        if let Err(why) = copy(&file, &target) {
            return ActionOutcome::Failed { why: Text::new(why) };
        }
        restored.push(target.display().to_string());
    }
    match restored.is_empty() {
        true => ActionOutcome::NotNeeded { why: "the configuration is the last known good one".into() },
        false => ActionOutcome::Succeeded { note: Text::new(format!("put back: {}", restored.join(", "))) },
    }
}

fn below(place: &Path, file: &Path) -> PathBuf {
    place.join(file.strip_prefix("/").unwrap_or(file))
}

/// Copies into a temporary file beside the target and renames it, so that the target is whole at any moment.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let words = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(words)?;
    }
    let fresh = PathBuf::from(format!("{}.ansai-new", to.display()));
    fs::copy(from, &fresh).map_err(words)?;
    if let Ok(meta) = fs::metadata(from) {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::chown(&fresh, Some(meta.uid()), Some(meta.gid())).map_err(words)?;
    }
    fs::rename(&fresh, to).map_err(words)
}

/// The regular files at and below the paths; symbolic links are passed over.
fn collect(paths: &[String]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut todo: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    while let Some(path) = todo.pop() {
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            todo.extend(entries.flatten().map(|entry| entry.path()).take(FILES_MAX));
        } else if meta.is_file() && !path.to_string_lossy().contains(".ansai-") {
            bytes += meta.len();
            found.push(path);
        }
        if found.len() > FILES_MAX || todo.len() > FILES_MAX * 2 || bytes > BYTES_MAX {
            return Err(format!("more than {FILES_MAX} files or {BYTES_MAX} bytes: declare fewer configuration paths"));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_is_put_back_and_kept_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("app.conf");
        let paths = [file.to_str().expect("text").to_owned()];
        let unit = UnitName::new("app.service").expect("valid");
        let state = folder.path().join("state");
        assert!(matches!(restore(&state, &unit, &paths), ActionOutcome::Refused { .. }));
        fs::write(&file, "good").expect("written");
        assert!(matches!(save(&state, &unit, &paths), ActionOutcome::Succeeded { .. }));
        fs::write(&file, "broken").expect("written");
        assert!(matches!(restore(&state, &unit, &paths), ActionOutcome::Succeeded { .. }));
        assert_eq!(fs::read_to_string(&file).expect("there"), "good");
        assert_eq!(fs::read_to_string(folder.path().join("app.conf.ansai-broken")).expect("there"), "broken");
        assert!(matches!(restore(&state, &unit, &paths), ActionOutcome::NotNeeded { .. }));
    }
}
