//! Files and processes as they lie in the file tree: age, size, and how many processes run an executable.

use std::{io::ErrorKind, path::Path, time::Duration};

use ansai_model::{condition::Value, observation::Observation, time::Shown, units::ByteSize};

use super::Context;

/// Looks at a file.
pub(super) fn observe(path: &str, age_max: Option<Duration>, size_max: Option<ByteSize>) -> Observation {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Observation::failing(format!("{path} does not exist"));
        }
        Err(error) => return Observation::unknown(format!("{path}: {error}")),
    };
    let size = ByteSize(meta.len());
    let seen = |seen: Observation| seen.with_figure("size", Value::Bytes(size));
    if size_max.is_some_and(|most| size > most) {
        return seen(Observation::failing(format!("{path} has {size}, more than {}", size_max.unwrap_or_default())));
    }
    let Some(most) = age_max else { return seen(Observation::healthy(format!("{path} exists, {size}"))) };
    // A time in the future is as fresh as can be.
    let age = match meta.modified() {
        Ok(modified) => modified.elapsed().unwrap_or_default(),
        Err(error) => return Observation::unknown(format!("{path}: {error}")),
    };
    let aged = |of: Observation| seen(of).with_figure("age", Value::Duration(age));
    match age > most {
        true => aged(Observation::failing(format!("{path} is {} old, older than {}", Shown(age), Shown(most)))),
        false => aged(Observation::healthy(format!("{path} is {} old", Shown(age)))),
    }
}

/// Counts the processes that run an executable, by the file that they run.
pub(super) fn processes(context: &Context, executable: &str, least: u32, most: u32) -> Observation {
    let entries = match std::fs::read_dir(context.root.join("proc")) {
        Ok(entries) => entries,
        Err(error) => return Observation::unknown(format!("/proc cannot be read: {error}")),
    };
    let is_it = |dir: &Path| std::fs::read_link(dir.join("exe")).is_ok_and(|exe| exe == Path::new(executable));
    let count = entries.flatten().filter(|entry| is_it(&entry.path())).count();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let text = format!("{count} processes run {executable}");
    let seen = match (least..=most).contains(&count) {
        true => Observation::healthy(text),
        false => Observation::failing(format!("{text}; {least} to {most} should")),
    };
    seen.with_figure("processes", Value::Number(f64::from(count)))
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    #[test]
    fn files_are_judged_by_presence_age_and_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stamp");
        let name = path.to_str().expect("text");
        assert_eq!(observe(name, None, None).health(), Health::Failing);
        std::fs::write(&path, "12345").expect("written");
        assert_eq!(observe(name, Some(Duration::from_secs(60)), Some(ByteSize(5))).health(), Health::Healthy);
        assert_eq!(observe(name, None, Some(ByteSize(4))).health(), Health::Failing);
        let old = std::time::SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::open(&path).and_then(|file| file.set_modified(old)).expect("aged");
        assert_eq!(observe(name, Some(Duration::from_secs(60)), None).health(), Health::Failing);
    }

    #[test]
    fn processes_are_counted_by_what_they_run() {
        let exe = std::env::current_exe().expect("known");
        let seen = processes(&Context::new("/".into()), exe.to_str().expect("text"), 1, 100);
        assert_eq!(seen.health(), Health::Healthy);
        assert_eq!(processes(&Context::new("/".into()), "/no/such", 1, 1).health(), Health::Failing);
    }
}
