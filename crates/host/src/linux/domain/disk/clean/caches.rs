//! The caches of package managers: what of them can be had again, and is no way back.
//!
//! Mirrors hold the newest version alone, so an older one in a cache may be the only way back from an update. Where the
//! owner of a cache is told to keep it, it is kept. pacman keeps every version for going back, and apk's cache may be what
//! a host boots from: neither is touched.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

use ansai_model::domain::disk::{CleanRule, Strategy};

use crate::linux::domain::disk::rotation::read::{Files, Found, OnDisk};

/// What was fetched just now may be wanted in a moment.
const AGE: Duration = Duration::from_secs(3600);
const APT: &str = "/var/cache/apt/archives";
/// What dpkg knows; a large host's has some megabytes.
const STATUS: &str = "var/lib/dpkg/status";
const STATUS_BYTES_MAX: u64 = 64 << 20;

/// A cache: where it lies, its packages, the files or folders in which its owner is told to keep it, and the setting.
struct Cache(&'static str, &'static str, &'static [&'static str], &'static str);

const CACHES: &[Cache] = &[
    Cache(APT, "*.deb", &["/etc/apt/apt.conf", "/etc/apt/apt.conf.d"], "keep-downloaded-packages"),
    Cache("/var/cache/dnf", "*.rpm", &["/etc/dnf/dnf.conf"], "keepcache"),
    Cache("/var/cache/libdnf5", "*.rpm", &["/etc/dnf/dnf.conf", "/etc/dnf/libdnf5.conf.d"], "keepcache"),
    Cache("/var/cache/yum", "*.rpm", &["/etc/yum.conf"], "keepcache"),
    Cache("/var/cache/zypp/packages", "*.rpm", &["/etc/zypp/zypp.conf", "/etc/zypp/repos.d"], "keeppackages"),
];

/// What may be given up of the caches of a host.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) rules: Vec<CleanRule>,
    pub(super) remarks: Vec<String>,
    pub(super) installed: Installed,
}

impl Caches {
    pub(super) fn read(root: &Path) -> Self {
        let mut caches = Self::default();
        let mut files = OnDisk::new(root);
        for Cache(path, pattern, places, setting) in CACHES {
            if !root.join(path.trim_start_matches('/')).is_dir() {
                continue;
            }
            if let Some(place) = places.iter().find_map(|place| told_to_keep(&mut files, place, setting)) {
                caches.remarks.push(format!("{path} is kept: {place}"));
                continue;
            }
            if *path == APT {
                match Installed::read(root) {
                    Ok(installed) => caches.installed = installed,
                    Err(why) => {
                        caches.remarks.push(format!("{path} is kept: what is installed cannot be told, {why}"));
                        continue;
                    }
                }
            }
            let (path, pattern) = ((*path).to_owned(), (*pattern).to_owned());
            caches.rules.push(CleanRule {
                path,
                pattern,
                older_than: AGE,
                threshold: None,
                strategy: Strategy::Delete,
            });
        }
        caches
    }
}

/// Where a file, or one in a folder, says that a cache is kept; what cannot be read may say so.
fn told_to_keep(files: &mut OnDisk<'_>, place: &str, setting: &str) -> Option<String> {
    match files.find(place) {
        Ok(Found::File(text)) => text.lines().any(|line| is_on(line, setting)).then(|| format!("{place} says so")),
        Ok(Found::Folder(names)) => names.iter().find_map(|name| match files.find(&format!("{place}/{name}")) {
            Ok(Found::Folder(_)) => None,
            _ => told_to_keep(files, &format!("{place}/{name}"), setting),
        }),
        Ok(Found::Missing) => None,
        Ok(Found::Ignored) => Some(format!("others than root may write {place}")),
        Err(why) => Some(why),
    }
}

/// `keepcache=1`, `APT::Keep-Downloaded-Packages "true";`.
fn is_on(line: &str, setting: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    let Some((before, after)) = line.split_once(setting) else { return false };
    let value = after.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    !before.starts_with(['#', ';', '/']) && matches!(value, "1" | "true" | "yes" | "on" | "enable" | "with")
}

/// The packages that dpkg has installed, with their version, by name and architecture.
#[derive(Debug, Default)]
pub(super) struct Installed(BTreeMap<(String, String), String>);

impl Installed {
    fn read(root: &Path) -> Result<Self, String> {
        let file = ansai_files::open(&root.join(STATUS)).map_err(|error| format!("/{STATUS}: {}", error.why))?;
        let mut reader = BufReader::new(file.take(STATUS_BYTES_MAX + 1));
        let (mut all, mut bytes, mut package) = (BTreeMap::new(), 0_u64, Package::default());
        loop {
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| format!("/{STATUS}: {error}"))?;
            bytes += read as u64;
            if bytes > STATUS_BYTES_MAX {
                return Err(format!("/{STATUS} is too large"));
            }
            let text = String::from_utf8_lossy(&line);
            if text.trim_end().is_empty() {
                all.extend(std::mem::take(&mut package).installed());
            } else if let Some((name, value)) = text.split_once(": ") {
                package.take(name, value.trim_end());
            }
            if read == 0 {
                return Ok(Self(all));
            }
        }
    }

    /// Whether a package in apt's cache may be a way back: another version of it is installed, or its name does not say
    /// what it is. Other files are none.
    pub(super) fn needs(&self, name: &[u8]) -> bool {
        let Some(name) = name.strip_suffix(b".deb") else { return false };
        let parts: Option<Vec<String>> = name.split(|byte| *byte == b'_').map(unquoted).collect();
        match parts.as_deref() {
            Some([name, version, architecture]) => {
                let installed = self.0.get(&(name.clone(), architecture.clone()));
                installed.is_some_and(|installed| installed != version)
            }
            _ => true,
        }
    }
}

/// A part of a file's name, in which apt writes some letters as `%3a`.
fn unquoted(part: &[u8]) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), part);
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[derive(Debug, Default)]
struct Package {
    name: String,
    architecture: String,
    version: String,
    is_installed: bool,
}

impl Package {
    fn take(&mut self, field: &str, value: &str) {
        match field {
            "Package" => self.name = value.to_owned(),
            "Architecture" => self.architecture = value.to_owned(),
            "Version" => self.version = value.to_owned(),
            "Status" => self.is_installed = !value.ends_with(" config-files") && !value.ends_with(" not-installed"),
            _ => {}
        }
    }

    fn installed(self) -> Option<((String, String), String)> {
        self.is_installed.then_some(((self.name, self.architecture), self.version))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for Cache(path, ..) in CACHES {
            fs::create_dir_all(root.path().join(path.trim_start_matches('/'))).expect("made");
        }
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        root
    }

    const STATUS_TEXT: &str = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.0-1\n\n\
                               Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
                               Package: b\nStatus: hold ok half-configured\nDescription: x\n Version: 9\nArchitecture: all\nVersion: 3~rc1";

    #[test]
    fn another_version_than_the_installed_one_is_a_way_back() {
        let root = host(&[(STATUS, STATUS_TEXT)]);
        let installed = Installed::read(root.path()).expect("read");
        for (name, is_needed) in [
            ("a_1%3a2.0-1_amd64.deb", false),
            ("a_1%3a1.9-1_amd64.deb", true),
            ("a_1%3a2.1-1_amd64.deb", true),
            ("a_2.0-1_amd64.deb", true),
            ("a_1%3a1.9-1_i386.deb", false),
            ("b_3~rc1_all.deb", false),
            ("b_3_all.deb", true),
            ("gone_0_all.deb", false),
            ("c_1_all.deb", false),
            ("odd.deb", true),
            ("a_1%3_amd64.deb", true),
            ("a_1_2_amd64.deb", true),
            ("x.rpm", false),
        ] {
            assert_eq!(installed.needs(name.as_bytes()), is_needed, "{name}");
        }
    }

    #[test]
    fn a_cache_that_its_owner_is_told_to_keep_is_kept() {
        let rules = |files: &[(&str, &str)]| {
            let caches = Caches::read(host(files).path());
            let paths: Vec<String> = caches.rules.into_iter().map(|rule| rule.path).collect();
            (paths, caches.remarks)
        };
        let status = (STATUS, STATUS_TEXT);
        let all: Vec<&str> = CACHES.iter().map(|Cache(path, ..)| *path).collect();
        assert_eq!(rules(&[status, ("etc/dnf/dnf.conf", "[main]\nkeepcache=0\n# keepcache=1\n")]).0, all);
        for (file, text, kept) in [
            ("etc/dnf/dnf.conf", "[main]\nkeepcache = True\n", vec!["/var/cache/dnf", "/var/cache/libdnf5"]),
            ("etc/dnf/libdnf5.conf.d/1.conf", "keepcache=yes", vec!["/var/cache/libdnf5"]),
            ("etc/yum.conf", "keepcache=1", vec!["/var/cache/yum"]),
            ("etc/zypp/repos.d/a.repo", "keeppackages=1", vec!["/var/cache/zypp/packages"]),
            ("etc/apt/apt.conf.d/9x", "Binary::apt::APT::Keep-Downloaded-Packages \"true\";", vec![APT]),
            ("var/lib/dpkg/other", "", vec![APT]),
        ] {
            let files = if file.ends_with("other") { vec![(file, text)] } else { vec![status, (file, text)] };
            let (paths, remarks) = rules(&files);
            let expected: Vec<&str> = all.iter().copied().filter(|path| !kept.contains(path)).collect();
            assert_eq!(paths, expected, "{file}");
            assert_eq!(remarks.len(), kept.len(), "{remarks:?}");
        }
    }
}
