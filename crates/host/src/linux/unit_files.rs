//! Whether anything that a unit reads has changed: its files, what they name, and where the configuration of a service of
//! its name lies. It looks at what files are, not into them but for those of the unit, and judges nothing.

use std::{
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{condition::Value, id::UnitName, observation::Observation, probe::Probe};

use super::{
    aside::{self, Kind, Work},
    probe::{Context, seen},
    systemd::{self, Bus},
};

/// Of a file of a unit.
const UNIT_BYTES: u64 = 64 * 1024;
/// Most files and folders that are looked at.
const ENTRIES_MAX: usize = 512;
/// So far below a folder files are looked at.
const DEPTH_MAX: usize = 3;

/// Observes once, within `timeout`. What is looked at is the same as long as nothing changes.
pub(super) async fn observe(
    context: &Context,
    bus: Option<&Bus>,
    unit: &UnitName,
    paths: &[String],
    timeout: Duration,
) -> Observation {
    let own = bus.map_or_else(|| unit.clone(), |bus| bus.own_name(unit));
    // A file that was changed and is not yet read by systemd is one more state: reading it is a change as well.
    let is_stale = match bus {
        Some(bus) => systemd::needs_reload(bus, &own).await,
        None => None,
    };
    let (context, paths) = (context.clone(), paths.to_vec());
    let work = Work::new(Kind::Look, format!("what {own} reads")).on(paths.clone());
    let look = move || {
        let mut found = Found::of(&context, own.as_str(), &paths);
        is_stale.hash(&mut found.hasher);
        let print = u32::try_from(found.hasher.finish() >> 32).unwrap_or_default();
        let summary = format!("{} files and folders", found.known.len());
        let seen = Observation::healthy(summary).with_figure(Probe::PRINT, Value::Number(f64::from(print)));
        match found.changed {
            Some(changed) => seen.with_figure(Probe::CHANGED, Value::Duration(changed)),
            None => seen,
        }
    };
    seen(aside::run(work, timeout, look).await)
}

/// What was found, each once.
struct Found {
    hasher: DefaultHasher,
    known: BTreeSet<PathBuf>,
    /// When the last of the files was changed, since 1970.
    changed: Option<Duration>,
}

impl Found {
    fn of(context: &Context, unit: &str, paths: &[String]) -> Self {
        let mut found = Self { hasher: DefaultHasher::new(), known: BTreeSet::new(), changed: None };
        let names = names_of(unit);
        let mut texts = Vec::new();
        for file in context.unit_folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))) {
            let mut drop_ins = file.clone().into_os_string();
            drop_ins.push(".d");
            let drop_ins = sorted(Path::new(&drop_ins));
            texts.extend([file].into_iter().chain(drop_ins));
        }
        for file in texts {
            found.entry(&file, 0);
            let text = ansai_files::head_text(&file, UNIT_BYTES).unwrap_or_default();
            let named: Vec<PathBuf> = text.lines().flat_map(named_in).map(|path| context.below(path)).collect();
            named.iter().for_each(|path| found.entry(path, 0));
        }
        for path in paths.iter().cloned().chain(usual_of(unit)) {
            found.entry(&context.below(&path), 0);
        }
        found
    }

    /// A file, or a folder with what is in it.
    fn entry(&mut self, path: &Path, depth: usize) {
        if self.known.len() >= ENTRIES_MAX || !self.known.insert(path.to_owned()) {
            return;
        }
        path.hash(&mut self.hasher);
        let Ok(is) = fs::metadata(path) else { return self.hasher.write_u8(0) };
        // Whoever puts an older file back changes the time at which that was done, and not that of the text.
        (is.dev(), is.ino(), is.mode(), is.uid(), is.gid()).hash(&mut self.hasher);
        if is.is_dir() {
            if depth < DEPTH_MAX {
                sorted(path).iter().for_each(|below| self.entry(below, depth + 1));
            }
            return;
        }
        // A device or a socket changes by being used.
        if is.is_file() {
            let changed = u64::try_from(is.ctime()).ok().zip(u32::try_from(is.ctime_nsec()).ok());
            self.changed = self.changed.max(changed.map(|(seconds, part)| Duration::new(seconds, part)));
            (is.size(), is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()).hash(&mut self.hasher);
        }
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// The names of the files of a unit: its own, and its template's.
fn names_of(unit: &str) -> Vec<String> {
    let template = unit.split_once('@').zip(unit.rsplit_once('.'));
    let template = template.map(|((name, _), (_, kind))| format!("{name}@.{kind}"));
    [unit.to_owned()].into_iter().chain(template.filter(|name| name != unit)).collect()
}

/// Where the configuration of a service of this name lies by custom.
fn usual_of(unit: &str) -> Vec<String> {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let stem = stem.split_once('@').map_or(stem, |(stem, _)| stem);
    if stem.is_empty() {
        return Vec::new();
    }
    [format!("/etc/{stem}"), format!("/etc/{stem}.conf"), format!("/etc/default/{stem}")].into()
}

/// The paths in a line of a unit file that its start reads: programs with their arguments, and environments.
fn named_in(line: &str) -> Vec<&str> {
    let Some((key, value)) = line.split_once('=') else { return Vec::new() };
    let key = key.trim();
    let is_read = ["ExecStart", "ExecCondition", "EnvironmentFile", "LoadCredential"];
    if !is_read.iter().any(|read| key.starts_with(read)) {
        return Vec::new();
    }
    let words = value.split(|end: char| end.is_whitespace() || "='\":,;".contains(end));
    let words = words.map(|word| word.trim_start_matches(['@', '-', '+', '!', '|']));
    let is_path = |word: &&str| word.starts_with('/') && word.len() > 1 && !word.contains(['%', '$', '*']);
    words.filter(is_path).filter(|word| !is_volatile(word)).collect()
}

/// Whether what lies there changes by being used.
fn is_volatile(path: &str) -> bool {
    ["/dev/", "/proc/", "/sys/", "/run/", "/var/", "/tmp/"].iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_a_unit_names_are_known_and_what_changes_by_being_used_is_left_out() {
        let check = |line: &str, named: &[&str]| assert_eq!(named_in(line), named, "{line}");
        check(
            "ExecStart=/usr/sbin/app --config=/etc/a/b.conf -x /etc/c",
            &["/usr/sbin/app", "/etc/a/b.conf", "/etc/c"],
        );
        check("ExecStartPre=-/bin/sh -c 'exec /usr/bin/x'", &["/bin/sh", "/usr/bin/x"]);
        check("EnvironmentFile=-/etc/default/app", &["/etc/default/app"]);
        check("ExecStart=/usr/bin/app /run/app.sock /var/log/app /etc/%i.conf", &["/usr/bin/app"]);
        for line in ["", "=", "ExecStart=", "ExecReload=/bin/kill", "Description=/x", "WorkingDirectory=/srv"] {
            check(line, &[]);
        }
    }

    #[tokio::test]
    async fn every_change_to_what_a_unit_reads_is_another_print_and_nothing_else_is() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        let write = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().expect("a parent")).expect("made");
            fs::write(at(path), text).expect("written");
        };
        write(
            "units/app@.service",
            "[Service]\nEnvironmentFile=-/etc/default/other\nExecStart=/usr/bin/app /etc/x.conf\n",
        );
        write("srv/own.conf", "a");
        let context = Context::new(root.path().to_owned()).with_unit_folders(vec![at("units")]);
        let unit = UnitName::new("app@one.service").expect("a name");
        let paths = ["/srv/own.conf".to_owned()];
        let look = async || {
            let seen = observe(&context, None, &unit, &paths, Duration::from_secs(10)).await;
            format!("{:?}", seen.figure(Probe::PRINT).expect("a print"))
        };
        let mut before = look().await;
        assert_eq!(before, look().await);
        let Some(Value::Duration(changed)) =
            observe(&context, None, &unit, &paths, Duration::from_secs(10)).await.figure(Probe::CHANGED).cloned()
        else {
            panic!("no time")
        };
        let own = fs::metadata(at("srv/own.conf")).expect("there");
        assert_eq!(i64::try_from(changed.as_secs()), Ok(own.ctime()));
        write("srv/other", "nobody reads it");
        assert_eq!(before, look().await);
        let changes: [(&str, &dyn Fn()); 8] = [
            ("a file of the configuration", &|| write("srv/own.conf", "bb")),
            ("an environment that was missing", &|| write("etc/default/other", "A=1")),
            ("an argument of its program", &|| write("etc/x.conf", "x")),
            ("its program", &|| write("usr/bin/app", "")),
            ("a drop-in", &|| write("units/app@one.service.d/own.conf", "[Service]\n")),
            ("the customary folder, below", &|| write("etc/app/sites/one.conf", "y")),
            ("an older file put in its place", &|| {
                let old = std::time::SystemTime::UNIX_EPOCH;
                write("etc/new.conf", "x");
                fs::File::open(at("etc/new.conf")).expect("open").set_modified(old).expect("set");
                fs::rename(at("etc/new.conf"), at("etc/x.conf")).expect("moved");
            }),
            ("a file that went", &|| fs::remove_file(at("etc/app/sites/one.conf")).expect("removed")),
        ];
        for (what, change) in changes {
            change();
            let after = look().await;
            assert_ne!(before, after, "{what}");
            before = after;
        }
    }
}
