//! `bench hosts`: what the agent costs on large hosts at the shipped defaults: memory, processor time, what it writes, and
//! how long `ansai status` takes. Limits stand beside the figures; it judges nothing.
//!
//! What is written is what the kernel counts as given to `write`: files, and what is said to the bus and to whoever asks.
//! So nobody asks meanwhile, and the first minute holds the questions of the first looks beside the journal and the ledger.
//!
//! Three hundred services have a process each. The thousands are instances of a template that ran once and count as active
//! since (`Type=oneshot`, `RemainAfterExit=yes`): to systemd and to the agent a unit like any other, without a process.

use std::{
    fs,
    time::{Duration, Instant},
};

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result, ensure};

use super::{
    prepare, quantile, restarted, say,
    spent::{self, Usage},
};

/// From the agent's start on: what the first looks write is in it.
const FIRST: Duration = Duration::from_secs(60);
/// Two of the default full passes.
const MEASURED: Duration = Duration::from_secs(60);
const ASKED: usize = 9;
const LIMIT: Duration = Duration::from_secs(120);
/// So many names in one command.
const STARTED_AT_ONCE: usize = 500;
const MEBIBYTE: f64 = 1_048_576.0;

/// A kind of host, and what it may cost.
struct Scene {
    name: &'static str,
    units: usize,
    unit: &'static str,
    configuration: &'static str,
    memory_max: f64,
    share_max: f64,
}

const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const IDLE: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
const WATCHED: &str = "services:\n  \"idle@*.service\": {}\n";
const WITH_MEMORY: &str = "services:\n  \"idle@*.service\": {}\nmemory: true\n";
/// Mebibytes in a minute.
const WRITTEN_MAX: f64 = 1.0;
const STATUS_MAX: Duration = Duration::from_secs(1);

const SCENES: [Scene; 3] = [
    Scene {
        name: "300 services with memory",
        units: 300,
        unit: SERVICE,
        configuration: WITH_MEMORY,
        memory_max: 20.0,
        share_max: 1.0,
    },
    Scene {
        name: "2,000 idle units",
        units: 2_000,
        unit: IDLE,
        configuration: WATCHED,
        memory_max: 30.0,
        share_max: 2.0,
    },
    Scene { name: "5,000 units", units: 5_000, unit: IDLE, configuration: WATCHED, memory_max: 40.0, share_max: 3.0 },
];

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let head = ["resident", "anonymous", "of a core", "first minute", "a minute", "status", "worst", "seen all"];
    say(&format!(
        "{:<26} {:>16} {:>10} {:>14} {:>13} {:>17} {:>16} {:>10} {:>9}",
        "", head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]
    ));
    SCENES.iter().try_for_each(measure)
}

fn measure(scene: &Scene) -> Result<()> {
    let host = Host::boot(&HostOptions::new("hosts"))?;
    host.write_file("/etc/systemd/system/idle@.service", scene.unit, 0o644)?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    let names: Vec<String> = (0..scene.units).map(|number| format!("idle@{number}.service")).collect();
    for some in names.chunks(STARTED_AT_ONCE) {
        let command: Vec<&str> = ["systemctl", "start"].into_iter().chain(some.iter().map(String::as_str)).collect();
        host.run_ok(&command)?;
    }
    agent::install(&host, scene.configuration)?;
    let pid = restarted(&host)?;
    std::thread::park_timeout(FIRST);
    let first = written(pid)?;
    let usage = spent::over(pid, MEASURED)?;
    let rest = written(pid)? - first;
    let mut took = Vec::new();
    for _ in 0..ASKED {
        let begun = Instant::now();
        ensure!(agent::ansai(&host, &["status"])?.stdout.lines().count() >= scene.units, "the status is cut");
        took.push(begun.elapsed());
    }
    took.sort();
    let begun = Instant::now();
    restarted(&host)?;
    host.wait_until("every unit to be seen", LIMIT, || Ok(healthy(&host).unwrap_or_default() == scene.units))?;
    let seen = begun.elapsed();
    print(scene, &usage, (first, rest), &took, seen);
    Ok(())
}

fn print(scene: &Scene, usage: &Usage, (first, rest): (f64, f64), took: &[Duration], seen: Duration) {
    let Usage { rss, anonymous, share, .. } = usage;
    let minutes = MEASURED.as_secs_f64() / 60.0;
    let (median, worst) = (quantile(took, 50).as_secs_f64() * 1e3, quantile(took, 100).as_secs_f64() * 1e3);
    say(&format!(
        "{:<26} {rss:>6.1} of {:>2.0} MB {anonymous:>7.1} MB {share:>6.2} of {:>1.0} % {:>10.2} MB {:>8.3} of {WRITTEN_MAX:.0} MB {median:>5.0} of {} ms {worst:>7.0} ms {:>7.1} s",
        scene.name,
        scene.memory_max,
        scene.share_max,
        first / MEBIBYTE,
        rest / MEBIBYTE / minutes,
        STATUS_MAX.as_millis(),
        seen.as_secs_f64()
    ));
}

/// Bytes that a process has written so far.
fn written(pid: i32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse().ok());
    bytes.context("what it has written")
}

/// How many targets the agent has seen to be healthy.
fn healthy(host: &Host) -> Result<usize> {
    let status = agent::json(host, &["status"])?;
    let targets = status["targets"].as_array().context("targets")?;
    Ok(targets.iter().filter(|target| target["health"] == "healthy").count())
}
