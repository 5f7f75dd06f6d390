//! Evidence: what is found out about a failure beside its remedy. Redacted, bounded, and honest about what is missing.

use std::{path::Path, time::Duration};

use ansai_model::{
    id::UnitName,
    incident::{Evidence, EvidenceKind, EvidencePart, EvidenceRequest},
    probe::Probe,
    text::Text,
    units::{ByteSize, Room},
};

use super::{
    aside::{self, Kind, Work},
    clock::wall_now,
    domain, mounts, port_owner,
    probe::Context,
    redact::Redactor,
    systemd::{self, Bus},
};

mod changes;
mod complaint;
mod logs;

/// Longest wait for one kind of evidence that lies in files.
const PART_TIMEOUT: Duration = Duration::from_secs(5);
/// Of each of the kernel's files of figures.
const FIGURES_BYTES: u64 = 64 * 1024;

/// Collects a part of the evidence of an incident; what the agent keeps of configurations is in `state_dir`.
pub(super) async fn gather(
    context: &Context,
    bus: Option<&Bus>,
    redactor: &Redactor,
    request: &EvidenceRequest,
    state_dir: &Path,
) -> Vec<Evidence> {
    let looks = match &request.probe {
        Some(Probe::Domain(probe)) => Some(domain::looks(probe)),
        Some(_) | None => None,
    };
    let is_passing = request.part == EvidencePart::Passing;
    let place = looks.and_then(|looks| looks.place());
    let mut found = if is_passing {
        passing(context, bus, request, place).await
    } else {
        lasting(context, bus, redactor, request, state_dir).await
    };
    if let Some(looks) = looks.filter(|looks| looks.is_of_the_moment() == is_passing) {
        found.extend(looks.gather(context, bus, request).await);
    }
    found
}

/// What is so at this moment and not at the next: processes, the port, what the host has left. A remedy may wait for it.
async fn passing(
    context: &Context,
    bus: Option<&Bus>,
    request: &EvidenceRequest,
    place: Option<&str>,
) -> Vec<Evidence> {
    let mut found = Vec::new();
    if let (Some(unit), Some(bus), true) = (&request.unit, bus, request.is_running) {
        found.push(usage(context, bus, unit).await);
    }
    if let Some(port) = request.port {
        let (root, is_running) = (context.root.clone(), request.is_running);
        let work = Work::new(Kind::Gather, format!("port {port}"));
        found.extend(beside(work, move || port_evidence(&root, port, is_running)).await);
    }
    found.push(resources(&context.root, place.unwrap_or("/")));
    found
}

/// What a remedy leaves as it was: what the run that failed has logged, and what was changed.
async fn lasting(
    context: &Context,
    bus: Option<&Bus>,
    redactor: &Redactor,
    request: &EvidenceRequest,
    state_dir: &Path,
) -> Vec<Evidence> {
    let mut found = Vec::new();
    // The journal and the files know a unit by its own name only.
    let unit = request.unit.as_ref().map(|unit| bus.map_or_else(|| unit.clone(), |bus| bus.own_name(unit)));
    if let Some(unit) = &unit {
        found.push(logs::of_failure(unit.as_str(), request, redactor).await);
    }
    if let Some((at, said)) = request.said.clone() {
        let (paths, state_dir) = (request.paths.clone(), state_dir.to_owned());
        let work = Work::new(Kind::Gather, format!("the configuration of {}", request.target)).on(&paths);
        let places = beside(work, move || complaint::places(said.as_str(), at, &paths, &state_dir)).await;
        found.extend(places.into_iter().map(|place| redacted(place, redactor)));
    }
    let program = unit.as_ref().zip(bus).and_then(|(unit, bus)| bus.program_of(unit));
    let searched = changes::Searched::of(context, request, program, state_dir);
    let work = Work::new(Kind::Gather, format!("changes of {}", request.target)).on(searched.paths());
    found.extend(beside(work, move || searched.changes()).await);
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

fn redacted(found: Evidence, redactor: &Redactor) -> Evidence {
    let text = Text::new(redactor.redact(found.text.as_str()));
    Evidence { text, ..found }
}

fn evidence(source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Evidence {
    Evidence::new(source, kind, text)
}

/// A finding of this moment.
fn now(source: impl Into<Text>, kind: EvidenceKind, text: impl Into<Text>) -> Evidence {
    Evidence::seen_at(wall_now(), source, kind, text)
}

async fn usage(context: &Context, bus: &Bus, unit: &UnitName) -> Evidence {
    match systemd::usage(bus, &context.root, unit).await {
        Ok(usage) => now(format!("processes of {unit}"), EvidenceKind::Resources, usage),
        Err(error) => evidence("systemd", EvidenceKind::Missing, error.to_string()),
    }
}

/// Who listens on a port. That nobody does where nothing runs says nothing.
fn port_evidence(root: &Path, port: u16, is_running: bool) -> Option<Evidence> {
    let owners = port_owner::owners(root, port);
    let text = match owners.as_slice() {
        [] if !is_running => return None,
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
    Some(now("listening sockets", EvidenceKind::Port, text))
}

/// What the host has left, and the room of the filesystem that is mounted here.
fn resources(root: &Path, place: &str) -> Evidence {
    let read = |path: &str| ansai_files::head_text(&root.join(path), FIGURES_BYTES).unwrap_or_default();
    let load = read("proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let mut text = format!("{}; load {}", left(&read("proc/meminfo")), load.join(" "));
    // Kernels without pressure figures have no such files.
    let pressures = ["proc/pressure/memory", "proc/pressure/io", "proc/pressure/cpu"].iter().filter_map(|file| {
        let text = read(file);
        let average = text.lines().next()?.split_whitespace().nth(1)?.strip_prefix("avg10=")?;
        Some(format!("{} {average} %", file.rsplit('/').next()?))
    });
    let pressures = pressures.collect::<Vec<_>>().join(", ");
    if !pressures.is_empty() {
        text.push_str(&format!("; pressure in the last 10s: {pressures}"));
    }
    if let Some(room) = room(root, place) {
        text.push_str(&format!("; filesystem {place}: {}", room.in_words()));
    }
    now("/proc", EvidenceKind::Resources, text)
}

/// The room at a mount point of which nobody else has to be asked.
fn room(root: &Path, place: &str) -> Option<Room> {
    let is_near = |mount: &mounts::Mount| mount.path == place && (mount.is_real() || mount.is_in_memory());
    if place != "/" && !mounts::read(root).ok()?.iter().any(is_near) {
        return None;
    }
    mounts::room_at(root.join(place.trim_start_matches('/'))).ok()
}

/// How much of the host's memory can still be given out, by the kernel's table of it.
fn left(table: &str) -> String {
    let field = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let kib: Option<u64> = line.split_whitespace().next().and_then(|kib| kib.parse().ok());
        kib.map_or_else(|| "an unknown part".to_owned(), |kib| ByteSize(kib.saturating_mul(1024)).to_string())
    };
    format!("memory: {} of {} available", field("MemAvailable:"), field("MemTotal:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_that_is_told_is_that_of_the_place_that_fails() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("proc/self")).expect("made");
        std::fs::create_dir_all(root.path().join("srv")).expect("made");
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n32 22 0:51 / /srv rw - ext4 /dev/vdb rw\n\
                      33 22 0:52 / /net rw - nfs4 server:/x rw\n";
        std::fs::write(root.path().join("proc/self/mountinfo"), mounts).expect("written");
        let said = |place| resources(root.path(), place).text.to_string();
        assert!(said("/").contains("; filesystem /: "), "{}", said("/"));
        assert!(said("/srv").contains("; filesystem /srv: ") && !said("/srv").contains("filesystem /:"));
        assert!(!said("/net").contains("filesystem"), "nobody waits for another machine: {}", said("/net"));
    }
}
