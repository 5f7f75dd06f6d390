//! Directories below `/run` that a package declares in tmpfiles.d(5), made again for a unit when they are gone.
//!
//! systemd makes them at boot only, so a service that finds its directory deleted stays down until then. Only what is
//! declared for this unit, is a directory and is missing is made, by systemd's own program and from its own line; nothing
//! that is there is changed.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::probe::CommandLine;

use super::{
    LinuxHost,
    apart::apart,
    aside::{self, Kind, Work},
    command::{self, Ended},
};

/// Folders of declarations, the strongest first: a file hides those of its name in later ones.
const FOLDERS: &[&str] = &["etc/tmpfiles.d", "run/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d"];
/// Most bytes of one file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most files that are read.
const FILES_MAX: usize = 512;
/// Most directories made for one start.
const MADE_MAX: usize = 8;
/// Longest time for reading the declarations.
const READ_TIME: Duration = Duration::from_secs(2);
/// Longest time for making one.
const MAKE_TIME: Duration = Duration::from_secs(10);

/// A directory that a package declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// Where, absolute, below `/run`.
    path: String,
    /// The file that says so.
    file: PathBuf,
}

/// What the declarations said when they were read last: whoever is down waits while they are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Declarations(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The files, and what of each changes with its content.
    files: Vec<(PathBuf, Stamp)>,
    declared: Vec<Declared>,
}

/// Of a file what changes whenever it does: device, inode, size, and the moment of its last change in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Known {
    /// What these files declare, when they are the ones that were read.
    fn declared_in(&self, files: &[(PathBuf, Stamp)]) -> Option<Vec<Declared>> {
        (self.files == files).then(|| self.declared.clone())
    }
}

impl Declarations {
    /// Those that are declared below a root, read anew where a file has changed.
    fn below(&self, root: &Path) -> Vec<Declared> {
        let files: Vec<(PathBuf, Stamp)> =
            files_below(root).into_iter().filter_map(|file| Some((file.clone(), stamp(&file)?))).collect();
        // Not held while files are read: whoever waits for a dead server must not keep others waiting.
        let declared = self.known().declared_in(&files);
        if let Some(declared) = declared {
            return declared;
        }
        let declared: Vec<Declared> = files.iter().flat_map(|(file, _)| declared_in(file)).collect();
        *self.known() = Known { files, declared: declared.clone() };
        declared
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

/// The directories that are declared for whomever and are not there; on most hosts none is missing.
pub(super) async fn missing(host: &LinuxHost) -> Vec<Declared> {
    let (root, known) = (host.inner.options.root.clone(), host.inner.declarations.clone());
    let work = Work::new(Kind::Look, "declared directories").on(FOLDERS.iter().map(|folder| root.join(folder)));
    aside::run(work, READ_TIME, move || missing_on(&root, &known)).await.unwrap_or_default()
}

/// Makes those of the missing directories that are declared for a unit of these names; says in words what was done, or
/// could not be.
pub(super) async fn make(host: &LinuxHost, missing: Vec<Declared>, names: &[String]) -> Option<String> {
    let mut words = Vec::new();
    for Declared { path, file } in of_unit(missing, names).into_iter().take(MADE_MAX) {
        let prefix = format!("--prefix={path}");
        let argv = ["systemd-tmpfiles", "--create", &prefix, file.to_str()?];
        let made = command::run(&apart(host, &CommandLine::new(argv), MAKE_TIME), MAKE_TIME).await;
        let file = file.display();
        words.push(match made.ended {
            Ended::Code(0) => format!("made {path} again, as {file} declares it"),
            _ => format!("{path}, which {file} declares, is missing and could not be made: {}", command::said(&made)),
        });
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn missing_on(root: &Path, known: &Declarations) -> Vec<Declared> {
    let mut found = known.below(root);
    found.retain(|declared| !root.join(declared.path.trim_start_matches('/')).exists());
    found
}

/// The files that declare something; none that a stronger one hides.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in FOLDERS {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        for entry in entries.take(FILES_MAX) {
            if let Some(name) = entry.file_name().to_str().filter(|name| name.ends_with(".conf")) {
                files.entry(name.to_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    files.into_values().collect()
}

fn declared_in(file: &Path) -> Vec<Declared> {
    // One that hides another by leading nowhere is no regular file.
    let text = ansai_files::text(file, FILE_BYTES_MAX).unwrap_or_default();
    text.lines().filter_map(directory).map(|path| Declared { path, file: file.to_owned() }).collect()
}

/// Those that are declared for a unit of these names.
fn of_unit(missing: Vec<Declared>, names: &[String]) -> Vec<Declared> {
    let is_units = |declared: &Declared| {
        let stem = declared.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        names.iter().any(|unit| is_of(stem, unit) || is_of(declared.path.trim_start_matches("/run/"), unit))
    };
    let mut found: Vec<Declared> = missing.into_iter().filter(is_units).collect();
    // What lies below another is made with it.
    let paths: Vec<String> = found.iter().map(|declared| format!("{}/", declared.path)).collect();
    found.retain(|declared| {
        !paths.iter().any(|above| declared.path.starts_with(above.as_str()) && declared.path.len() > above.len())
    });
    found.dedup_by(|one, other| one.path == other.path);
    found
}

/// The path of a line that declares a directory below `/run` which may be made at any time.
fn directory(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let kind = fields.next()?;
    // `!` is for the boot only, `-` may fail, and the others tell what is done to what is there already.
    let is_directory = kind.starts_with(['d', 'D']) && kind[1..].chars().all(|mark| "=-+~^$".contains(mark));
    let path = fields.next()?;
    let path = path.strip_prefix("/var/run/").map(|path| format!("/run/{path}")).unwrap_or_else(|| path.to_owned());
    let path = path.trim_end_matches('/');
    let below = path.strip_prefix("/run/")?;
    let is_plain = !below.is_empty()
        && below.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && !below.contains(['%', '"', '\'', '\\', '*', '?', '[']);
    (is_directory && is_plain).then(|| path.to_owned())
}

/// Whether a name of a package's is that of a unit: `postgresql-common` and `postgresql@15-main.service`, not `my` and
/// `mysql.service`.
fn is_of(name: &str, unit: &str) -> bool {
    let unit = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let unit = unit.split_once('@').map_or(unit, |(name, _)| name);
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
    };
    !unit.is_empty() && (begins(name, unit) || begins(unit, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_declare_a_directory_below_run_are_told_from_others() {
        let lines = [
            ("d /run/haproxy 2775 haproxy haproxy -", Some("/run/haproxy")),
            ("d /var/run/mysqld 0755 mysql mysql", Some("/run/mysqld")),
            ("d\t/run/php\t0755 www-data www-data -", Some("/run/php")),
            ("D /run/named/ 0775 root bind", Some("/run/named")),
            ("d- /run/a/b 0755", Some("/run/a/b")),
            ("D! /run/only-at-boot 1777 root root", None),
            ("d /tmp/x 1777 root root", None),
            ("d /run 0755 root root", None),
            ("d /run/../etc/x 0755", None),
            ("d /run/user/%U 0700", None),
            ("L /run/initctl - - - - /x", None),
            ("f /run/utmp 0664 root utmp", None),
            ("r! /run/old", None),
            ("# d /run/commented 0755", None),
            ("d", None),
            ("", None),
        ];
        for (line, path) in lines {
            assert_eq!(directory(line).as_deref(), path, "{line}");
        }
    }

    #[test]
    fn a_package_is_known_by_the_name_of_its_unit() {
        let cases = [
            ("haproxy", "haproxy.service", true),
            ("php8.2-fpm", "php8.2-fpm.service", true),
            ("postgresql-common", "postgresql@15-main.service", true),
            ("postgresql", "postgresql@15-main.service", true),
            ("mariadb", "mariadb.service", true),
            ("my", "mysql.service", false),
            ("mysql", "my.service", false),
            ("systemd", "sshd.service", false),
        ];
        for (name, unit, is) in cases {
            assert_eq!(is_of(name, unit), is, "{name} and {unit}");
        }
    }

    #[test]
    fn only_what_is_declared_for_the_unit_and_missing_is_found_and_hidden_files_count_for_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            "usr/lib/tmpfiles.d/app.conf",
            "d /run/app 0755 app app\nd /run/app/inner 0755 app app\nd /run/there 0755\n",
        );
        write("usr/lib/tmpfiles.d/other.conf", "d /run/other 0755\n");
        write("usr/lib/tmpfiles.d/web.conf", "d /run/web 0755\n");
        write("etc/tmpfiles.d/web.conf", "# nothing\n");
        std::fs::create_dir_all(root.path().join("run/there")).expect("made");
        let known = Declarations::default();
        let found = |unit: &str| of_unit(missing_on(root.path(), &known), &[unit.to_owned()]);
        let file = root.path().join("usr/lib/tmpfiles.d/app.conf");
        let app = [Declared { path: "/run/app".into(), file }];
        assert_eq!(found("app.service"), app);
        assert_eq!(found("app.service"), app, "what was read before is believed");
        assert_eq!(found("web.service"), []);
        assert_eq!(found("none.service"), []);
        write("usr/lib/tmpfiles.d/app.conf", "d /run/else 0755\n");
        assert_eq!(found("app.service").first().map(|declared| declared.path.as_str()), Some("/run/else"));
        std::fs::create_dir_all(root.path().join("run/else")).expect("made");
        assert_eq!(found("app.service"), []);
        std::fs::remove_dir(root.path().join("run/else")).expect("removed");
        assert_eq!(found("app.service").len(), 1, "whether one is there is asked each time");
    }
}
