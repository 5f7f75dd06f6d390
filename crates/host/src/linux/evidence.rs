//! Evidence: what is found out about a failure beside its remedy. Redacted, bounded, and honest about what is missing.

use std::{path::Path, time::Duration};

use ansai_model::{
    id::UnitName,
    incident::{Evidence, EvidenceKind, EvidenceRequest},
    probe::{CommandLine, Probe},
    text::Text,
    units::Percent,
};

use super::{
    aside::{self, Kind, Work},
    command::{self, Ended},
    domain, port_owner,
    probe::Context,
    redact::Redactor,
    systemd::{self, Bus},
};

mod changes;

const LOG_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one kind of evidence that lies in files.
const PART_TIMEOUT: Duration = Duration::from_secs(5);
/// Of each of the kernel's files of figures.
const FIGURES_BYTES: u64 = 64 * 1024;

/// Collects the evidence of an incident.
pub(super) async fn gather(
    context: &Context,
    bus: Option<&Bus>,
    redactor: &Redactor,
    request: &EvidenceRequest,
) -> Vec<Evidence> {
    // What a remedy would change is looked at first: some wait for it, and not for long.
    let mut found = of_the_moment(context, bus, request).await;
    let looks = match &request.probe {
        Some(Probe::Domain(probe)) => Some(domain::looks(probe)),
        Some(_) | None => None,
    };
    if let Some(looks) = looks.filter(|looks| looks.is_of_the_moment()) {
        found.extend(looks.gather(context, bus, request).await);
    }
    // The journal and the files know a unit by its own name only.
    let unit = request.unit.as_ref().map(|unit| bus.map_or_else(|| unit.clone(), |bus| bus.own_name(unit)));
    if let Some(unit) = &unit {
        found.push(log(unit.as_str(), request.lines_max, redactor).await);
    }
    let searched = changes::Searched::of(context, request);
    let work = Work::new(Kind::Gather, format!("changes of {}", request.target)).on(searched.paths());
    found.extend(beside(work, move || searched.changes()).await);
    if let Some(looks) = looks.filter(|looks| !looks.is_of_the_moment()) {
        found.extend(looks.gather(context, bus, request).await);
    }
    found
}

/// What is so at this moment and not at the next: processes, the port, what the host has left.
async fn of_the_moment(context: &Context, bus: Option<&Bus>, request: &EvidenceRequest) -> Vec<Evidence> {
    let mut found = Vec::new();
    if let (Some(unit), Some(bus), true) = (&request.unit, bus, request.is_running) {
        found.push(usage(context, bus, unit).await);
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
pub(super) async fn beside<F>(work: Work, finds: impl FnOnce() -> F + Send + 'static) -> Vec<Evidence>
where
    F: IntoIterator<Item = Evidence> + Send + 'static,
{
    match aside::run(work, PART_TIMEOUT, finds).await {
        Ok(found) => found.into_iter().collect(),
        Err(late) => vec![evidence("files", EvidenceKind::Missing, late.to_string())],
    }
}

fn evidence(source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Evidence {
    Evidence::new(source, kind, text)
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
    if let Ok(seen) = rustix::fs::statvfs(root) {
        let used = seen.f_blocks.saturating_sub(seen.f_bfree);
        text.push_str(&format!("; root file system {} full", Percent::of(used, seen.f_blocks)));
    }
    evidence("/proc", EvidenceKind::Resources, text)
}
