//! What was changed before a failure: the files of the unit, its configuration, and packages; and which of it belongs to
//! the target. What of it is to blame is the engine's to say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::{
    id::UnitName,
    incident::{Change as Made, Changed, Evidence, EvidenceKind, EvidenceRequest},
    time::WallTime,
};
use jiff::{civil::DateTime, tz::TimeZone};

use super::Context;
use crate::linux::{
    act::changes_only_comments,
    unit_files::{named_in, names_of, usual_of},
};

mod moment;

/// How a moment is written, so that whoever shows it can do so in the zone of the reader.
pub(super) const MOMENT: &str = "%FT%TZ";
/// Most changes of a kind that are told.
const CHANGES_MAX: usize = 8;
/// Most entries of a directory that are looked at.
const ENTRIES_MAX: usize = 256;
/// Most files of a configuration that are looked at.
const FILES_MAX: usize = 1024;
/// How many folders deep.
const FOLDERS_DEEP: usize = 4;
/// Of a file of a unit.
const UNIT_BYTES: u64 = 64 * 1024;
/// Of the end of dpkg's log.
const PACKAGE_LOG_BYTES: u64 = 256 * 1024;
/// Of the list of the files of one package.
const PACKAGE_LIST_BYTES: u64 = 4 << 20;

/// Where changes are searched for.
pub(super) struct Searched {
    root: PathBuf,
    unit_files: Vec<PathBuf>,
    configuration: Vec<PathBuf>,
    /// Where the configuration of a service of its name lies by custom.
    usual: Vec<PathBuf>,
    since: WallTime,
    /// What was changed later is no reason of the failure: a remedy may have done it.
    until: WallTime,
    /// The program that the unit's main process runs or ran last, which its file may not name.
    program: Option<String>,
    /// The unit of which a last known good configuration may be kept, and where.
    kept: Option<(PathBuf, UnitName)>,
}

/// One change and when it was made.
struct Change {
    at: WallTime,
    line: String,
    /// Whether only comments and blank lines differ from what is kept as last known good.
    is_harmless: bool,
}

impl Searched {
    /// Where the changes are that a request asks for.
    pub(super) fn of(context: &Context, request: &EvidenceRequest, program: Option<String>, state_dir: &Path) -> Self {
        let names = request.unit.as_ref().map(|unit| names_of(unit.as_str())).unwrap_or_default();
        let usual = request.unit.as_ref().map(|unit| usual_of(unit.as_str())).unwrap_or_default();
        let folders = context.unit_folders.iter();
        Self {
            root: context.root.clone(),
            unit_files: folders.flat_map(|folder| names.iter().map(|name| folder.join(name))).collect(),
            configuration: request.paths.iter().map(PathBuf::from).collect(),
            usual: usual.iter().map(|path| context.below(path)).collect(),
            since: request.since,
            until: request.failed,
            program,
            kept: request.unit.clone().map(|unit| (state_dir.to_owned(), unit)),
        }
    }

    fn is_of_interest(&self, at: WallTime) -> bool {
        self.since <= at && at <= self.until
    }

    /// What is touched.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let log = self.root.join("var/log/dpkg.log");
        self.unit_files.iter().chain(&self.configuration).chain(&self.usual).cloned().chain([log]).collect()
    }

    /// What was changed, a finding a kind.
    pub(super) fn changes(&self) -> Vec<Evidence> {
        let own = |source: &str, changes: Vec<Change>| finding(source, changes, true);
        let unit = own("unit files", self.of_unit());
        let configuration = own(Evidence::CONFIGURATION, self.of_configuration());
        let named = own("what its unit starts and reads", self.of_named());
        unit.into_iter().chain(configuration).chain(named).chain(self.packages()).collect()
    }

    fn of_unit(&self) -> Vec<Change> {
        self.files_of_unit().filter_map(|file| self.change(&file)).collect()
    }

    /// The files of the unit with those beside them.
    fn files_of_unit(&self) -> impl Iterator<Item = PathBuf> {
        let drop_ins = |file: &PathBuf| {
            let mut folder = file.clone().into_os_string();
            folder.push(".d");
            entries(Path::new(&folder))
        };
        self.unit_files.iter().flat_map(move |file| [vec![file.clone()], drop_ins(file)].concat())
    }

    /// What the unit names and what lies where a service of its name has it, but for what is declared as its configuration: its
    /// programs, the scripts of its interpreters, its environments.
    fn of_named(&self) -> Vec<Change> {
        let text = |file: PathBuf| ansai_files::head_text(&file, UNIT_BYTES).ok();
        let named = self.files_of_unit().filter_map(text).flat_map(|text| named_in(&text)).chain(self.program.clone());
        let named = named.map(|path| self.root.join(path.trim_start_matches('/')));
        let is_configured = |path: &PathBuf| self.configuration.iter().any(|known| path.starts_with(known));
        let etc = self.root.join("etc");
        let mut files = Vec::new();
        for path in named.chain(self.usual.iter().cloned()).filter(|path| !is_configured(path)) {
            // A folder elsewhere holds what the service itself writes.
            if path.starts_with(&etc) || !path.is_dir() {
                below(&path, FOLDERS_DEEP, &mut files);
            }
        }
        files.sort();
        files.dedup();
        files.retain(|path| !is_configured(path));
        files.iter().filter_map(|file| self.change(file)).collect()
    }

    fn of_configuration(&self) -> Vec<Change> {
        let mut files = Vec::new();
        self.configuration.iter().for_each(|path| below(path, FOLDERS_DEEP, &mut files));
        files.iter().filter_map(|file| Some(self.compared(file, self.change(file)?))).collect()
    }

    /// The same with what it has changed, as far as a copy of before is kept.
    fn compared(&self, file: &Path, change: Change) -> Change {
        let is_harmless = self.kept.as_ref().is_some_and(|(folder, unit)| changes_only_comments(folder, unit, file));
        let what = if is_harmless { ", in comments and blank lines only" } else { "" };
        Change { line: format!("{}{what}", change.line), is_harmless, ..change }
    }

    fn change(&self, path: &Path) -> Option<Change> {
        let (at, how) = moment::of(path)?;
        let line = format!("{} {how} at {}", path.display(), at.strftime(MOMENT));
        let at = WallTime(at.as_millisecond());
        self.is_of_interest(at).then_some(Change { at, line, is_harmless: false })
    }

    /// The installs, upgrades and removals in dpkg's log since then: those of the target's own packages, and the others.
    fn packages(&self) -> Vec<Evidence> {
        let Ok(bytes) = ansai_files::tail(&self.root.join("var/log/dpkg.log"), PACKAGE_LOG_BYTES) else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(&bytes);
        let zone = ansai_files::zone::system().zone;
        let changes = text.lines().filter_map(|line| package_change(line, &zone));
        let changes = changes.filter(|(change, _)| self.is_of_interest(change.at));
        let parts = self.parts();
        let (mut own, mut others, mut known) = (Vec::new(), Vec::new(), Vec::<(String, bool)>::new());
        for (change, package) in changes.collect::<Vec<_>>().into_iter().rev().take(ENTRIES_MAX) {
            let is_own = match known.iter().find(|(name, _)| *name == package) {
                Some((_, is_own)) => *is_own,
                None => {
                    let is_own = self.is_of_package(&package, &parts);
                    known.push((package, is_own));
                    is_own
                }
            };
            if is_own { own.push(change) } else { others.push(change) }
        }
        let source = |whose| format!("{}, {whose} packages", Evidence::PACKAGES);
        let own = finding(&source("its own"), own, true);
        own.into_iter().chain(finding(&source("other"), others, false)).collect()
    }

    /// The files by which a package is known to be the target's: its unit, its programs, its configuration.
    fn parts(&self) -> Vec<String> {
        let text = |file: &PathBuf| ansai_files::head_text(file, UNIT_BYTES).ok();
        let units: Vec<String> = self.unit_files.iter().filter_map(text).collect();
        let programs = units.iter().flat_map(|unit| unit.lines()).filter_map(program_in).map(ToOwned::to_owned);
        let files = self.unit_files.iter().chain(&self.configuration).map(|path| path.display().to_string());
        files.chain(programs).chain(self.program.clone()).map(|path| merged(&path).to_owned()).collect()
    }

    /// Whether one of the parts belongs to a package, by dpkg's list of its files.
    fn is_of_package(&self, package: &str, parts: &[String]) -> bool {
        let folder = self.root.join("var/lib/dpkg/info");
        let bare = package.split(':').next().unwrap_or(package);
        let lists = [package, bare].map(|name| folder.join(format!("{name}.list")));
        let list = lists.iter().find_map(|list| ansai_files::head_text(list, PACKAGE_LIST_BYTES).ok());
        list.is_some_and(|list| list.lines().any(|file| parts.iter().any(|part| part == merged(file))))
    }
}

fn finding(source: &str, mut changes: Vec<Change>, is_own: bool) -> Option<Evidence> {
    // The latest first: it is the likeliest to be why, and is quoted as that. What was changed long before is the least.
    changes.sort_by_key(|change| std::cmp::Reverse(change.at));
    let at = changes.first()?.at;
    changes.truncate(CHANGES_MAX);
    let lines: Vec<&str> = changes.iter().map(|change| change.line.as_str()).collect();
    let each = changes.iter().map(|change| Made { at: change.at, is_harmless: change.is_harmless }).collect();
    let changed = Some(Changed { at, is_own, each });
    Some(Evidence { changed, ..Evidence::new(source, EvidenceKind::Change, lines.join("\n")) })
}

/// The files at and below a path, as far down as a configuration goes. Links to folders are not followed.
fn below(path: &Path, deep: usize, found: &mut Vec<PathBuf>) {
    if found.len() >= FILES_MAX {
        return;
    }
    if !path.is_dir() {
        return found.push(path.to_owned());
    }
    for entry in entries(path) {
        let is_link = fs::symlink_metadata(&entry).is_ok_and(|meta| meta.is_symlink());
        match entry.is_dir() {
            true if is_link || deep == 0 => {}
            true => below(&entry, deep - 1, found),
            false if found.len() < FILES_MAX => found.push(entry),
            false => return,
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX).map(|entry| entry.path()).collect()
}

/// A path as dpkg may have it: before the directories of the system were merged below /usr, or after.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// The program in a line of a unit file that starts one.
fn program_in(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    if !key.trim().starts_with("ExecStart") {
        return None;
    }
    let program = value.trim().trim_start_matches(['@', '-', ':', '+', '!']).split_whitespace().next()?;
    program.starts_with('/').then_some(program)
}

/// A line of dpkg's log that says what was installed, upgraded or removed, and the package.
fn package_change(line: &str, zone: &TimeZone) -> Option<(Change, String)> {
    let mut words = line.splitn(4, ' ');
    let (day, time, what, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !["install", "upgrade", "remove"].contains(&what) {
        return None;
    }
    let at: DateTime = format!("{day}T{time}").parse().ok()?;
    // dpkg writes the time of the host's zone without its name.
    let at = at.to_zoned(zone.clone()).ok()?.timestamp();
    let package = rest.split(' ').next().filter(|name| !name.is_empty() && !name.contains('/'))?;
    let line = format!("{} {what} {rest}", at.strftime(MOMENT));
    let at = WallTime(at.as_millisecond());
    Some((Change { at, line, is_harmless: false }, package.to_owned()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::linux::clock::wall_now;

    /// A host on which `app` and `other` were upgraded at noon, and `old` years before.
    fn host() -> (tempfile::TempDir, Searched) {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        let log = "2020-01-01 12:00:00 upgrade old:amd64 1 2\n\
                   2026-11-01 12:00:00 upgrade app:amd64 1 2\n\
                   2026-11-01 12:00:01 status installed app:amd64 2\n\
                   2026-11-01 12:00:02 install other:all <none> 1\n";
        write("var/log/dpkg.log", log);
        write("var/lib/dpkg/info/app.list", "/.\n/lib/systemd/system/app@.service\n/usr/bin/app\n");
        write("var/lib/dpkg/info/other.list", "/.\n/usr/bin/other\n");
        let since = "2026-10-30T00:00:00Z".parse::<Timestamp>().expect("a time").as_millisecond();
        let searched = Searched {
            root: root.path().to_owned(),
            unit_files: names_of("app@one.service")
                .iter()
                .map(|name| Path::new("/usr/lib/systemd/system").join(name))
                .collect(),
            configuration: Vec::new(),
            usual: Vec::new(),
            since: WallTime(since),
            until: WallTime(i64::MAX),
            program: None,
            kept: None,
        };
        (root, searched)
    }

    #[test]
    fn packages_of_the_target_are_told_apart_from_others_and_old_ones_are_left_out() {
        let (_root, searched) = host();
        let found = searched.packages();
        let of = |index: usize| found.get(index).map(|found| (found.source.as_str(), found.text.as_str()));
        assert_eq!(of(0), Some(("dpkg's log, its own packages", "2026-11-01T12:00:00Z upgrade app:amd64 1 2")));
        assert_eq!(of(1), Some(("dpkg's log, other packages", "2026-11-01T12:00:02Z install other:all <none> 1")));
        let is_own =
            |index: usize| found.get(index).and_then(|found| found.changed.as_ref()).map(|changed| changed.is_own);
        assert_eq!((is_own(0), is_own(1), found.len()), (Some(true), Some(false), 2));
    }

    /// As PostgreSQL's unit names a program of another package, which starts that of its version.
    #[test]
    fn the_package_of_the_program_that_runs_is_the_targets_own() {
        let (_root, mut searched) = host();
        searched.program = Some("/usr/bin/other".to_owned());
        let found = searched.packages();
        assert_eq!(found.len(), 1, "{found:?}");
        let latest = "2026-11-01T12:00:02Z install other:all <none> 1\n2026-11-01T12:00:00Z upgrade app:amd64 1 2";
        assert_eq!(found[0].text.as_str(), latest, "the latest is quoted as the cause, so it comes first");
    }

    #[test]
    fn what_was_changed_after_the_failure_is_not_told() {
        let (root, mut searched) = host();
        let file = root.path().join("app.conf");
        fs::write(&file, "").expect("written");
        searched.configuration = vec![file];
        assert_eq!(searched.of_configuration().len(), 1);
        let folder = root.path().join("app/sites/enabled");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("one"), "").expect("written");
        std::os::unix::fs::symlink(root.path(), folder.join("round")).expect("a link");
        searched.configuration.push(root.path().join("app"));
        assert_eq!(searched.of_configuration().len(), 2, "as far down as it goes, and not in circles");
        searched.until = WallTime(wall_now().0 - 60_000);
        assert_eq!(searched.of_configuration().len(), 0, "a remedy has put it back");
    }

    /// A unit whose files are old, as the image of a host has them.
    #[test]
    fn a_script_that_a_unit_runs_is_told_when_it_was_changed_and_what_the_service_writes_is_not() {
        let (root, mut searched) = host();
        let at = |path: &str| root.path().join(path);
        let write = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().expect("a parent")).expect("made");
            fs::write(at(path), text).expect("written");
        };
        write(
            "units/app.service",
            "[Service]\nEnvironmentFile=/etc/extra\nExecStart=/usr/bin/python3 /var/lib/app/serve.py /srv/data /etc/app.d\n",
        );
        write("srv/data/written", "by the service");
        searched.unit_files = vec![at("units/app.service")];
        searched.usual = vec![at("etc/app")];
        let told = |searched: &Searched| {
            let of = |change: Change| change.line.split(' ').next().map(ToOwned::to_owned);
            let lines = searched.of_named().into_iter().filter_map(of);
            lines.map(|line| line.trim_start_matches(&root.path().display().to_string()).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told(&searched), Vec::<String>::new());
        for path in ["var/lib/app/serve.py", "etc/extra", "etc/app.d/one", "etc/app/two"] {
            write(path, "changed");
        }
        assert_eq!(told(&searched), ["/etc/app/two", "/etc/app.d/one", "/etc/extra", "/var/lib/app/serve.py"]);
        let found = searched.changes();
        let named = found.iter().find(|found| found.source.as_str() == "what its unit starts and reads");
        assert!(named.and_then(|found| found.changed.as_ref()).is_some_and(|changed| changed.is_own), "{found:?}");
        // What is declared as its configuration is told as that.
        searched.configuration = vec![at("etc/app.d")];
        assert!(!told(&searched).contains(&"/etc/app.d/one".to_owned()));
    }

    #[test]
    fn a_change_of_comments_only_is_told_apart_by_what_is_kept_as_known_good() {
        let (root, mut searched) = host();
        let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let unit = UnitName::new("app.service").expect("valid");
        let of = |name: &str| folder.path().join(name);
        for name in ["comment", "line", "same"] {
            fs::write(of(name), "# app\nlisten 80\n").expect("written");
        }
        let kept =
            state.path().join("configurations/app.service").join(folder.path().strip_prefix("/").expect("whole"));
        fs::create_dir_all(&kept).expect("made");
        for name in ["comment", "line", "same"] {
            fs::copy(of(name), kept.join(name)).expect("kept");
        }
        fs::write(of("comment"), "# the app\n\nlisten 80\n  # here\n").expect("written");
        fs::write(of("line"), "# app\n#listen 80\n").expect("written");
        fs::write(of("new"), "# app\n").expect("written");
        searched.configuration = vec![folder.path().to_owned()];
        searched.kept = Some((state.path().to_owned(), unit));
        drop(root);
        let found = finding("configuration", searched.of_configuration(), true).expect("changes");
        let mut harmless: Vec<&str> =
            found.changes().filter(|(change, _)| change.is_harmless).map(|(_, line)| line).collect();
        harmless.sort_unstable();
        assert_eq!((harmless.len(), found.changes().count()), (1, 4), "{found:?}");
        let name = of("comment").display().to_string();
        assert!(harmless[0].starts_with(&name) && harmless[0].ends_with(", in comments and blank lines only"));
    }

    #[test]
    fn the_program_of_a_unit_belongs_to_it() {
        assert_eq!(program_in("ExecStart=-/usr/sbin/nginx -g 'daemon on;'"), Some("/usr/sbin/nginx"));
        assert_eq!(program_in("ExecStartPre=@/bin/sh sh"), Some("/bin/sh"));
        for line in ["ExecStart=", "ExecReload=/bin/kill", "Description=/x", "ExecStart=nginx", "", "="] {
            assert_eq!(program_in(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_no_line_of_a_change_is_passed_over() {
        for line in
            ["", "x", "2026-11-01 12:00:00", "2026-13-01 12:00:00 upgrade a 1 2", "2026-11-01 12:00:00 upgrade ../a 1"]
        {
            assert!(package_change(line, &TimeZone::UTC).is_none(), "{line}");
        }
    }

    #[test]
    fn the_time_of_dpkg_is_that_of_the_hosts_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let (change, _) = package_change("2026-11-01 22:30:00 upgrade app 1 2", &zone).expect("a change");
        assert_eq!(change.line, "2026-11-02T03:30:00Z upgrade app 1 2");
    }
}
