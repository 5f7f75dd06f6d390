//! Files and processes as they lie in the file tree: age, size, and how many processes run an executable.

use std::{io::ErrorKind, path::Path, time::Duration};

use ansai_model::{condition::Value, observation::Observation, time::Shown, units::ByteSize};

use super::Context;
use crate::linux::permission;

/// A process has a short name.
const COMM_BYTES_MAX: u64 = 64;

/// Observes at a file.
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
    let (mut count, mut hidden) = (0_u32, 0_u32);
    for entry in entries.flatten() {
        match std::fs::read_link(entry.path().join("exe")) {
            Ok(exe) => count += u32::from(exe == Path::new(executable)),
            Err(error) => hidden += u32::from(permission::is_refused(&error) && may_run(&entry.path(), executable)),
        }
    }
    let text = match count {
        1 => format!("1 process runs {executable}"),
        _ => format!("{count} processes run {executable}"),
    };
    let seen = match (least..=most).contains(&count) {
        true => Observation::healthy(text),
        false if count < least && count + hidden >= least => {
            let why = "are named so, and what they run may not be seen";
            return Observation::unknown(format!("{text}; {hidden} more {why}"));
        }
        false => Observation::failing(format!("{text}; {least} to {most} should")),
    };
    seen.with_figure("processes", Value::Number(f64::from(count)))
}

/// Whether a process may be one that runs this, by the name that everybody may see: the first 15 bytes of the file's.
fn may_run(process: &Path, executable: &str) -> bool {
    let name = Path::new(executable).file_name().unwrap_or_default().as_encoded_bytes();
    let comm = ansai_files::bytes(&process.join("comm"), COMM_BYTES_MAX).unwrap_or_default();
    comm.trim_ascii_end() == &name[..name.len().min(15)]
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
    fn a_process_that_may_not_be_seen_is_told_by_the_name_that_everybody_may_see() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("comm"), "a-program-with-\n").expect("written");
        assert!(may_run(folder.path(), "/opt/a-program-with-a-long-name"));
        assert!(!may_run(folder.path(), "/opt/another"));
        assert!(!may_run(&folder.path().join("gone"), "/opt/a-program-with-a-long-name"));
    }

    #[test]
    fn processes_are_counted_by_what_they_run() {
        let exe = std::env::current_exe().expect("known");
        let seen = processes(&Context::new("/".into()), exe.to_str().expect("text"), 1, 100);
        assert_eq!(seen.health(), Health::Healthy);
        assert_eq!(processes(&Context::new("/".into()), "/no/such", 1, 1).health(), Health::Failing);
    }
}
