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

mod named;

pub(super) use named::{named_in, names_of, usual_of};

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
            named_in(&text).iter().for_each(|path| found.entry(&context.below(path), 0));
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

#[cfg(test)]
mod tests {
    use super::*;

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
            "[Service]\nEnvironmentFile=-/etc/default/other\nExecStart=/usr/bin/app /etc/x.conf\n\
             ExecStartPre=/bin/sh /var/lib/app/prepare.sh /var/lib/app/data\n",
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
        write("var/lib/app/data", "it changes by being used");
        assert_eq!(before, look().await);
        let changes: [(&str, &dyn Fn()); 9] = [
            ("a script, wherever it lies", &|| write("var/lib/app/prepare.sh", "exit 1")),
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
