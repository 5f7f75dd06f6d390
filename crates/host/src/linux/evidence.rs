//! Evidence: what is found out about a failure beside its remedy. Redacted, bounded, and honest about what is missing.

use std::{fs, path::Path, time::Duration};

use ansai_model::{
    id::UnitName,
    incident::{Evidence, EvidenceKind, EvidenceRequest},
    probe::{CommandLine, Probe},
    text::Text,
    time::WallTime,
    units::Percent,
};

use super::{
    aside::{self, Kind, Work},
    certificate,
    command::{self, Ended},
    disk, memory, port_owner,
    probe::Context,
    redact::Redactor,
    systemd::{self, Bus},
};

const LOG_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one kind of evidence that lies in files.
const PART_TIMEOUT: Duration = Duration::from_secs(5);
const PACKAGE_LOG_BYTES: u64 = 256 * 1024;
/// Of each of the kernel's files of figures.
const FIGURES_BYTES: u64 = 64 * 1024;
const CHANGES_MAX: usize = 8;
/// A change that was made so shortly before may be why much fails at once.
const JUST_NOW: Duration = Duration::from_secs(120);

/// Collects the evidence of an incident.
pub(super) async fn gather(
    context: &Context,
    bus: Option<&Bus>,
    redactor: &Redactor,
    request: &EvidenceRequest,
) -> Vec<Evidence> {
    let mut found = Vec::new();
    if let (Some(unit), Some(bus), true) = (&request.unit, bus, request.is_running) {
        found.push(usage(context, bus, unit).await);
    }
    if let Some(Probe::Memory(probe)) = &request.probe {
        found.extend(memory::gather(context, bus, probe, request.since).await);
    }
    if let Some(unit) = &request.unit {
        found.push(log(unit.as_str(), request.lines_max, redactor).await);
        found.extend(of_unit_files(context, unit, request.since).await);
    }
    if !request.paths.is_empty() {
        let (paths, since) = (request.paths.clone(), request.since);
        let work = Work::new(Kind::Gather, format!("the configuration of {}", request.target)).on(&paths);
        found.extend(beside(work, move || paths_changed(&paths, since)).await);
    }
    let (root, since) = (context.root.clone(), request.since);
    let work = Work::new(Kind::Gather, "dpkg's log").on(["/var/log/dpkg.log"]);
    found.extend(beside(work, move || packages_changed(&root, since)).await);
    if let Some(Probe::Disk(probe)) = &request.probe {
        found.extend(disk::gather(context, probe).await);
    }
    if let Some(Probe::Certificate(probe)) = &request.probe {
        let (root, asked) = (context.root.clone(), probe.clone());
        let work = Work::new(Kind::Gather, format!("the certificate of {}", request.target)).on_what_it_names(probe);
        found.extend(beside(work, move || certificate::gather(&root, &asked)).await);
    }
    if let Some(port) = request.port {
        let root = context.root.clone();
        let work = Work::new(Kind::Gather, format!("port {port}"));
        found.extend(beside(work, move || Some(port_evidence(&root, port))).await);
    }
    found.push(resources(&context.root));
    found
}

/// What is found beside; when it does not come in time, that is said in its place.
async fn beside<F>(work: Work, finds: impl FnOnce() -> F + Send + 'static) -> Vec<Evidence>
where
    F: IntoIterator<Item = Evidence> + Send + 'static,
{
    match aside::run(work, PART_TIMEOUT, finds).await {
        Ok(found) => found.into_iter().collect(),
        Err(late) => vec![evidence("files", EvidenceKind::Missing, late.to_string())],
    }
}

async fn of_unit_files(context: &Context, unit: &UnitName, since: WallTime) -> Vec<Evidence> {
    let work = Work::new(Kind::Gather, format!("the files of {unit}")).on(&context.unit_folders);
    let (context, unit) = (context.clone(), unit.clone());
    beside(work, move || unit_files(&context, unit.as_str(), since)).await
}

fn evidence(source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Evidence {
    Evidence { source: source.into(), kind, text: text.into() }
}

async fn usage(context: &Context, bus: &Bus, unit: &UnitName) -> Evidence {
    match systemd::usage(bus, &context.root, unit).await {
        Ok(usage) => evidence(format!("processes of {unit}"), EvidenceKind::Resources, usage),
        Err(error) => evidence("systemd", EvidenceKind::Missing, error.to_string()),
    }
}

async fn log(unit: &str, lines: u32, redactor: &Redactor) -> Evidence {
    let count = lines.to_string();
    let mut argv = vec!["journalctl", "-u", unit, "-n", &count, "--no-pager", "-o", "short-iso", "-q"];
    if !rustix::process::geteuid().is_root() {
        argv.insert(1, "--user");
    }
    let command = CommandLine::new(argv);
    let source = format!("journalctl -u {unit}");
    let finished = command::run(&command, LOG_TIMEOUT).await;
    match finished.ended {
        Ended::Code(0) if finished.output.trim().is_empty() => {
            evidence(source, EvidenceKind::Missing, "it logged nothing")
        }
        Ended::Code(0) => {
            evidence(source, EvidenceKind::Log, last(&redactor.redact(&finished.output), Text::BYTES_MAX - 64))
        }
        Ended::Missing => evidence(source, EvidenceKind::Missing, "there is no journalctl here"),
        ended => evidence(source, EvidenceKind::Missing, format!("the log could not be read: {ended:?}")),
    }
}

/// The end of a text, from the start of a line.
fn last(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut from = text.len() - bytes;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].split_once('\n').map_or(&text[from..], |(_, rest)| rest)
}

fn changed_since(path: &Path, since: WallTime) -> Option<String> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    let at = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    let at = i64::try_from(at.as_millis()).ok()?;
    if at < since.0 {
        return None;
    }
    let when = jiff::Timestamp::try_from(modified).ok()?.strftime("%F %T UTC");
    Some(format!("{} was changed at {when}", path.display()))
}

fn unit_files(context: &Context, unit: &str, since: WallTime) -> Option<Evidence> {
    let mut changes = Vec::new();
    for folder in &context.unit_folders {
        changes.extend(changed_since(&folder.join(unit), since));
        if let Ok(entries) = fs::read_dir(folder.join(format!("{unit}.d"))) {
            changes.extend(entries.flatten().take(CHANGES_MAX).filter_map(|entry| changed_since(&entry.path(), since)));
        }
    }
    changes.truncate(CHANGES_MAX);
    (!changes.is_empty()).then(|| evidence("unit files", EvidenceKind::Change, changes.join("\n")))
}

fn paths_changed(paths: &[String], since: WallTime) -> Option<Evidence> {
    let mut changes = Vec::new();
    for path in paths {
        let path = Path::new(path);
        if path.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten().take(256);
            changes.extend(entries.filter_map(|entry| changed_since(&entry.path(), since)).take(CHANGES_MAX));
        } else {
            changes.extend(changed_since(path, since));
        }
    }
    changes.truncate(CHANGES_MAX);
    (!changes.is_empty()).then(|| evidence("configuration", EvidenceKind::Change, changes.join("\n")))
}

/// The last installs, upgrades and removals in dpkg's log, when the log itself was written to since then.
fn packages_changed(root: &Path, since: WallTime) -> Option<Evidence> {
    let path = root.join("var/log/dpkg.log");
    changed_since(&path, since)?;
    let bytes = ansai_files::tail(&path, PACKAGE_LOG_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let words = [" install ", " upgrade ", " remove "];
    let lines: Vec<&str> = text.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect();
    let lines = &lines[lines.len().saturating_sub(CHANGES_MAX)..];
    let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let is_just_now = written.elapsed().is_ok_and(|ago| ago <= JUST_NOW);
    let prefix = if is_just_now { Evidence::JUST_NOW } else { "" };
    (!lines.is_empty()).then(|| evidence("dpkg's log", EvidenceKind::Change, format!("{prefix}{}", lines.join("\n"))))
}

fn port_evidence(root: &Path, port: u16) -> Evidence {
    let owners = port_owner::owners(root, port);
    let text = match owners.as_slice() {
        [] => format!("nothing listens on port {port}"),
        owners => owners
            .iter()
            .map(|owner| {
                let unit = owner.unit.as_deref().unwrap_or("no unit");
                format!("port {port} is held by pid {} ({}, {unit})", owner.pid, owner.name)
            })
            .collect::<Vec<_>>()
            .join("\n"),
    };
    evidence("listening sockets", EvidenceKind::Port, text)
}

fn resources(root: &Path) -> Evidence {
    let read = |path: &str| ansai_files::head_text(&root.join(path), FIGURES_BYTES).unwrap_or_default();
    let memory: Vec<String> = read("proc/meminfo")
        .lines()
        .filter(|line| line.starts_with("MemTotal:") || line.starts_with("MemAvailable:"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let load = read("proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let mut text = format!("{}; load {}", memory.join(", "), load.join(" "));
    for what in ["memory", "io", "cpu"] {
        // Kernels without pressure figures have no such file.
        let pressure = read(&format!("proc/pressure/{what}"));
        if let Some(average) = pressure.lines().next().and_then(|line| line.split_whitespace().nth(1)) {
            text.push_str(&format!("; {what} pressure {average}"));
        }
    }
    if let Ok(disk) = rustix::fs::statvfs(root) {
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        text.push_str(&format!("; root file system {} full", Percent::of(used, disk.f_blocks)));
    }
    evidence("/proc", EvidenceKind::Resources, text)
}
