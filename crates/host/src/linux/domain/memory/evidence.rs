//! What is worth knowing of a unit whose memory fails: who of it holds most, how pressed it is, and whom the kernel ended.

use std::{path::Path, time::Duration};

use ansai_model::{
    domain::memory::MemoryProbe,
    incident::{Evidence, EvidenceKind},
    probe::CommandLine,
    time::WallTime,
    units::ByteSize,
};

use super::{
    figures::{kib, text},
    sum::PROCESSES_MAX,
};
use crate::linux::{
    command::{self, Ended},
    probe::Context,
    systemd::{self, Bus},
};

/// Most processes that are named.
const NAMED_MAX: usize = 5;
/// Longest look into the kernel's log.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Collects it.
pub(super) async fn gather(
    context: &Context,
    bus: Option<&Bus>,
    probe: &MemoryProbe,
    since: WallTime,
) -> Vec<Evidence> {
    let Some(bus) = bus else { return Vec::new() };
    let mut found = Vec::new();
    if let Ok(pids) = systemd::processes(bus, &probe.unit).await {
        found.extend(biggest(&context.root, &pids));
    }
    if let Ok(group) = systemd::control_group(bus, &probe.unit).await {
        let path = context.root.join("sys/fs/cgroup").join(group.trim_start_matches('/')).join("memory.pressure");
        let stalls = text(&path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        found.extend(stalls.map(|text| evidence("memory pressure of the unit", EvidenceKind::Resources, &text)));
    }
    found.extend(killed(since).await);
    found
}

fn evidence(source: &str, kind: EvidenceKind, text: &str) -> Evidence {
    Evidence::new(source, kind, text)
}

/// The processes that hold most, the greatest first.
fn biggest(root: &Path, pids: &[u32]) -> Option<Evidence> {
    let held = |pid: &u32| {
        let status = text(&root.join(format!("proc/{pid}/status")))?;
        let name = status.lines().find_map(|line| line.strip_prefix("Name:"))?.trim().to_owned();
        Some((kib(&status, "RssAnon:")?, *pid, name))
    };
    let mut all: Vec<_> = pids.iter().take(PROCESSES_MAX).filter_map(held).collect();
    all.sort_by(|one, other| other.cmp(one));
    let named = all.iter().take(NAMED_MAX).map(|(held, pid, name)| format!("pid {pid} ({name}): {}", ByteSize(*held)));
    let lines: Vec<String> = named.collect();
    (!lines.is_empty()).then(|| evidence("its greatest processes", EvidenceKind::Resources, &lines.join("\n")))
}

/// What the kernel's log says of processes that it ended; nothing when it says nothing, which is the rule.
async fn killed(since: WallTime) -> Option<Evidence> {
    let from = format!("--since=@{}", since.0.max(0) / 1000);
    let argv = ["journalctl", "-k", "-q", "--no-pager", "-o", "short-iso", "-n", "10", &from, "--grep=out of memory:"];
    let finished = command::run(&CommandLine::new(argv), LOG_TIMEOUT).await;
    let lines = finished.output.trim();
    let has_some = finished.ended == Ended::Code(0) && !lines.is_empty();
    has_some.then(|| evidence("the kernel's log", EvidenceKind::Log, lines))
}

#[cfg(test)]
mod tests {
    use super::{super::figures::tests::root, *};

    #[test]
    fn the_greatest_processes_come_first_and_no_more_than_a_few() {
        let paths: Vec<String> = (1..9).map(|pid| format!("proc/{pid}/status")).collect();
        let texts: Vec<String> = (1..9).map(|pid| format!("Name:\tp{pid}\nRssAnon:\t {} kB\n", pid * 1024)).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let root = root(&files);
        let found = biggest(root.path(), &[1, 2, 3, 4, 5, 6, 7, 8, 99]).expect("some");
        assert_eq!(found.text.as_str().lines().count(), NAMED_MAX);
        assert!(found.text.as_str().starts_with("pid 8 (p8): 8.0 MiB\npid 7"), "{}", found.text);
        assert_eq!(biggest(root.path(), &[99]), None);
    }
}
