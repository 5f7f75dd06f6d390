//! Which files make a configuration, in which layers, and their texts: bounded in number and size.
//!
//! A file, or the files of a folder, are the host's layer. Beside it may stand a folder `layers/` with `site`,
//! `role-NAME` and `emergency`, each a file or a folder of files.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use ansai_document::{Diagnostic, Diagnostics, ENDINGS, nearest};
use ansai_files::Why;

use crate::layer::{Input, Layer};

/// The largest file that is read.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of all files together.
const ALL_BYTES_MAX: usize = 8 << 20;
/// The most files of a folder.
const FILES_MAX: usize = 1_000;
/// The most folders among the layers that are looked at for changes.
const FOLDERS_MAX: usize = 64;
/// The name of the folder with the other layers.
const LAYERS: &str = "layers";

/// A file that belongs to a configuration.
type Found = (Layer, Option<String>, PathBuf);

fn problem(file: &Path, what: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic::of_file(file.display().to_string(), what, help)
}

/// Every text of a configuration from the weakest layer to the strongest, and what could not be read.
///
/// # Errors
/// When there is nothing to read.
pub(super) fn inputs(path: &Path) -> Result<(Vec<Input>, Diagnostics), Diagnostics> {
    let meta = std::fs::metadata(path).map_err(|error| {
        Diagnostics(vec![problem(
            path,
            format!("the configuration cannot be read: {}", ansai_files::said(&error)),
            "`ansai init` writes one",
        )])
    })?;
    let mut wrong = Diagnostics(Vec::new());
    let own = if meta.is_dir() { folder(path, &mut wrong) } else { vec![path.to_owned()] };
    let mut found: Vec<Found> = own.into_iter().map(|file| (Layer::Host, None, file)).collect();
    let base = if meta.is_dir() { Some(path) } else { path.parent() };
    if let Some(layers) = base.map(|base| base.join(LAYERS)).filter(|layers| layers.is_dir()) {
        found.extend(others(&layers, &mut wrong));
    }
    // The sort is stable: within a layer the order of the names stays.
    found.sort_by_key(|(layer, ..)| *layer);
    let (mut inputs, mut bytes) = (Vec::new(), 0);
    for (layer, role, file) in found {
        if bytes > ALL_BYTES_MAX {
            let what = format!("the files have more than {ALL_BYTES_MAX} bytes together");
            wrong.0.push(problem(&file, what, "a host needs less than that"));
            break;
        }
        match read(&file) {
            Ok(text) => {
                bytes += text.len();
                inputs.push(Input { layer, role, file, text });
            }
            Err(diagnostic) => wrong.0.push(*diagnostic),
        }
    }
    Ok((inputs, wrong))
}

/// That a folder holds no file of a configuration, which is hardly meant.
pub(super) fn nothing_in(folder: &Path) -> Diagnostic {
    let help = format!("name the right folder; of one the files are read that end in .{}", ENDINGS.join(", ."));
    problem(folder, "the folder holds no file of a configuration", &help)
}

/// The files of the layers besides the host's.
fn others(layers: &Path, wrong: &mut Diagnostics) -> Vec<Found> {
    let mut found = Vec::new();
    for path in entries(layers, wrong).into_iter().filter(|path| path.is_dir() || is_ours(path)) {
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (layer, role) = match (name.as_str(), name.strip_prefix("role-")) {
            ("site", _) => (Layer::Site, None),
            ("emergency", _) => (Layer::Emergency, None),
            (_, Some(role)) if !role.is_empty() => (Layer::Role, Some(role.to_owned())),
            _ => {
                let help = nearest(&name, ["site", "emergency"]);
                let help =
                    help.unwrap_or_else(|| "name it site, role-NAME or emergency; the host's layer is outside".into());
                wrong.0.push(problem(&path, format!("there is no layer `{name}`"), &help));
                continue;
            }
        };
        let files = if path.is_dir() { folder(&path, wrong) } else { vec![path] };
        found.extend(files.into_iter().map(|file| (layer, role.clone(), file)));
    }
    found
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

/// The files of a folder that are read.
fn folder(path: &Path, wrong: &mut Diagnostics) -> Vec<PathBuf> {
    entries(path, wrong).into_iter().filter(|path| is_ours(path) && !path.is_dir()).collect()
}

/// What stands in a folder, in the order of the names.
fn entries(path: &Path, wrong: &mut Diagnostics) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            wrong.0.push(problem(
                path,
                format!("cannot be read: {}", ansai_files::said(&error)),
                "check its permissions",
            ));
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(FILES_MAX + 1).collect();
    if paths.len() > FILES_MAX {
        wrong.0.push(problem(path, format!("it has more than {FILES_MAX} files"), "join some of them"));
    }
    paths.sort();
    paths
}

/// The latest change of a file or folder that a configuration is made of; nothing when there is none.
pub(super) fn changed_at(path: &Path) -> Option<SystemTime> {
    let is_folder = path.is_dir();
    let layers = (if is_folder { Some(path) } else { path.parent() }).map(|base| base.join(LAYERS));
    let mut unheard = Diagnostics(Vec::new());
    let mut paths = vec![path.to_owned()];
    if is_folder {
        paths.extend(entries(path, &mut unheard));
    }
    if let Some(layers) = layers.filter(|layers| layers.is_dir()) {
        let found = entries(&layers, &mut unheard);
        let folders: Vec<PathBuf> = found.iter().filter(|path| path.is_dir()).cloned().collect();
        let inner =
            folders.iter().take(FOLDERS_MAX).flat_map(|folder| entries(folder, &mut unheard)).collect::<Vec<_>>();
        paths.extend([layers].into_iter().chain(found).chain(inner));
    }
    paths.iter().filter_map(|path| std::fs::metadata(path).ok().and_then(|meta| changed(&meta))).max()
}

/// When a file or its owner or mode was changed: who may write it counts as well.
fn changed(meta: &std::fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let (seconds, nanos) = (u64::try_from(meta.ctime()).ok()?, u32::try_from(meta.ctime_nsec()).ok()?);
    let at = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::new(seconds, nanos));
    at.max(meta.modified().ok())
}

/// The text of a file.
fn read(file: &Path) -> Result<String, Box<Diagnostic>> {
    let bytes = ansai_files::bytes(file, FILE_BYTES_MAX).map_err(|error| {
        let (what, help) = match &error.why {
            Why::Io(cause) if error.is_missing() => {
                (format!("cannot be read: {}", ansai_files::said(cause)), "`ansai init` writes one")
            }
            Why::Io(cause) => (format!("cannot be read: {}", ansai_files::said(cause)), "check its permissions"),
            Why::NotRegular(kind) => (format!("it is {kind}"), "name a file or a folder of files"),
            Why::TooLarge(_) | Why::NotText(_) => (format!("it has more than {FILE_BYTES_MAX} bytes"), "split it"),
        };
        Box::new(problem(file, what, help))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        Box::new(problem(file, format!("line {line} is not written in UTF-8"), "save the file as UTF-8"))
    })
}
