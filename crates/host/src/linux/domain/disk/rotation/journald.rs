//! Whether somebody has told journald what it keeps. Then that holds, and journald itself sees to it.

use std::path::Path;

use super::read::{Files, Found, OnDisk};

/// Where its configuration lies, as files and as folders.
const PLACES: &[&str] = &[
    "/etc/systemd/journald.conf",
    "/etc/systemd/journald.conf.d",
    "/run/systemd/journald.conf",
    "/run/systemd/journald.conf.d",
    "/usr/local/lib/systemd/journald.conf.d",
    "/usr/lib/systemd/journald.conf.d",
];
/// How much, how long, and how many files are kept on the disk. `SystemKeepFree` says what is given up.
const LIMITS: &[&str] = &["SystemMaxUse", "SystemMaxFiles", "MaxRetentionSec"];

/// The setting that says what is kept, with its place; what cannot be read may say so.
pub(in crate::linux::domain::disk) fn rule(root: &Path) -> Option<String> {
    let mut files = OnDisk::new(root);
    PLACES.iter().find_map(|place| said(&mut files, place, true))
}

fn said(files: &mut OnDisk<'_>, place: &str, may_be_folder: bool) -> Option<String> {
    match files.find(place) {
        Ok(Found::File(text)) => text.lines().find_map(limit).map(|limit| format!("`{limit}` of {place}")),
        Ok(Found::Folder(names)) if may_be_folder => names
            .iter()
            .filter(|name| name.ends_with(".conf"))
            .find_map(|name| said(files, &format!("{place}/{name}"), false)),
        Ok(Found::Folder(_) | Found::Missing) => None,
        Ok(Found::Ignored) => Some(format!("{place}, which others than root may write")),
        Err(why) => Some(why),
    }
}

fn limit(line: &str) -> Option<String> {
    let (name, value) = line.trim().split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_limit = LIMITS.contains(&name) && !matches!(value, "" | "0" | "infinity");
    is_limit.then(|| format!("{name}={}", value.escape_debug()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_limit_that_somebody_set_is_found_with_its_place() {
        let rule_of = |path: &str, text: &str| {
            let root = tempfile::tempdir().expect("a folder");
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(file, text).expect("written");
            rule(root.path())
        };
        let main = "etc/systemd/journald.conf";
        for (path, text, expected) in [
            (main, "[Journal]\nSystemMaxUse=4G\n", Some("`SystemMaxUse=4G` of /etc/systemd/journald.conf")),
            (main, " MaxRetentionSec = 1year", Some("`MaxRetentionSec=1year` of /etc/systemd/journald.conf")),
            (
                "usr/lib/systemd/journald.conf.d/1.conf",
                "SystemMaxFiles=90",
                Some("`SystemMaxFiles=90` of /usr/lib/systemd/journald.conf.d/1.conf"),
            ),
            ("etc/systemd/journald.conf.d/1.txt", "SystemMaxUse=4G", None),
            (
                main,
                "[Journal]\n#SystemMaxUse=4G\n;MaxRetentionSec=9\nMaxRetentionSec=0\nSystemMaxUse=\nRuntimeMaxUse=9M\nSystemKeepFree=1G\n",
                None,
            ),
        ] {
            assert_eq!(rule_of(path, text).as_deref(), expected, "{path}: {text}");
        }
    }
}
