//! Benches on lab hosts: they print tables with the peers beside us in the same run, and judge nothing.

mod heal;

use std::{
    fs,
    time::{Duration, Instant},
};

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context, Result};

use crate::cargo;

pub(crate) use heal::run as heal;

const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Memory and processor time: 50 idle units; then 1,000 TCP checks each second.
pub(crate) fn footprint() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("footprint"))?;
    let mut idle = String::from("services:\n");
    for number in 0..50 {
        host.write_file(format!("/etc/systemd/system/idle-{number}.service"), SERVICE, 0o644)?;
        idle.push_str(&format!("  idle-{number}.service: {{}}\n"));
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for number in 0..50 {
        host.start(&format!("idle-{number}.service"))?;
    }
    say(&format!("{:<44} {:>10} {:>12}", "", "RSS", "of a core"));
    measure(&host, "50 units, event-driven and idle", &idle)?;
    host.install_unit("app.service", "[Service]\nType=notify\nExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app\nStateDirectory=app\n")?;
    host.start("app.service")?;
    let mut checks = String::from("services:\n  app.service:\n    probes:\n");
    for number in 0..1000 {
        checks.push_str(&format!("      t{number}: {{tcp: \"127.0.0.1:5000\", every: 1s}}\n"));
    }
    measure(&host, "1,000 TCP checks, each every second", &checks)
}

fn measure(host: &Host, name: &str, configuration: &str) -> Result<()> {
    const MEASURED: Duration = Duration::from_secs(20);
    agent::install(host, configuration)?;
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    agent::start(host)?;
    let inner = host.main_pid(agent::UNIT)?.context("the agent runs")?;
    let pid = host.outer_pid(inner)?.as_raw_nonzero();
    std::thread::park_timeout(Duration::from_secs(5));
    let (before, begun) = (ticks(pid.get())?, Instant::now());
    std::thread::park_timeout(MEASURED);
    let used = ticks(pid.get())? - before;
    // A tick is a hundredth of a second on Linux.
    let share = used / begun.elapsed().as_secs_f64();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    say(&format!("{name:<44} {:>7.1} MB {share:>10.2} %", rss / 1024.0));
    Ok(())
}

fn ticks(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(fields.iter().sum())
}

/// The lab with the release program: what is measured is what is shipped.
fn prepare() -> Result<()> {
    ansai_lab::setup::prepare()?;
    cargo::run(&["build", "--quiet", "--release", "-p", "ansai-cli", "-p", "ansai-lab"])
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn say(text: &str) {
    println!("{text}");
}
