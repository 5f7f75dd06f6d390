//! Which files make a configuration, and their texts: bounded in number and size.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    diagnostics::{Diagnostic, Diagnostics},
    document::ENDINGS,
};

/// The largest file that is read.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most files of a configuration.
const FILES_MAX: usize = 1_000;

fn problem(file: &Path, what: impl Into<String>, help: &str) -> Diagnostics {
    Diagnostics(vec![Diagnostic::of_file(file.display().to_string(), what, help)])
}

/// The files of a folder in the order of their names, or the one file.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    let meta = std::fs::metadata(path).map_err(|error| {
        problem(path, format!("the configuration cannot be read: {error}"), "`ansai init` writes one")
    })?;
    if !meta.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    folder(path)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    let entries = std::fs::read_dir(path).map_err(|error| problem(path, error.to_string(), "check its permissions"))?;
    let is_ours = |path: &PathBuf| path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_ours).take(FILES_MAX + 1).collect();
    if files.len() > FILES_MAX {
        let what = format!("it has more than {FILES_MAX} files");
        return Err(problem(path, what, "join some of them"));
    }
    files.sort();
    Ok(files)
}

/// The text of a file.
pub(super) fn read(file: &Path) -> Result<String, Diagnostics> {
    let failed = |error: std::io::Error| problem(file, format!("cannot be read: {error}"), "check its permissions");
    let opened = std::fs::File::open(file).map_err(failed)?;
    let mut bytes = Vec::new();
    // The size is not asked beforehand: a file may grow, and some have no size.
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(problem(file, format!("it has more than {FILE_BYTES_MAX} bytes"), "split it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        problem(file, format!("it is not written in UTF-8, from line {line} on"), "save it as UTF-8")
    })
}
