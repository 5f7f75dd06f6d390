//! `bench footprint`: what the agent costs while nothing happens, with monit beside it, and how soon it has seen all.
//!
//! Processor time is what the scheduler accounts (nanoseconds), not clock ticks: an idle agent takes less than a tick a second.
//! It deliberately judges nothing: the numbers promised stand in SPECIFICATION.md.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ansai_lab::{Host, HostOptions, agent, poll};
use anyhow::{Context, Result};

use super::{
    MONIT, connections, prepare, quantile, restarted, say,
    spent::{self, Usage},
};

const UNITS: usize = 50;
const CHECKS: usize = 1000;
const SERVICES: usize = 1000;
const STARTS: usize = 20;
/// What happens at the start is not what is measured.
const SETTLED: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(20);
/// How often a starting agent is asked: rarely enough not to be what it is busy with.
const ASKED_EVERY: Duration = Duration::from_millis(4);
const SOCKET: &str = "/run/ansai/api.sock";
const ANSWER_BYTES_MAX: u64 = 4 << 20;

const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const APP: &str = "[Service]\nType=notify\nStateDirectory=app\n\
                   ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app\n";

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("footprint"))?;
    let mut idle = String::from("services:\n");
    for number in 0..UNITS {
        host.write_file(format!("/etc/systemd/system/idle-{number}.service"), SERVICE, 0o644)?;
        idle.push_str(&format!("  idle-{number}.service: {{}}\n"));
    }
    host.install_unit("app.service", APP)?;
    for number in 0..UNITS {
        host.start(&format!("idle-{number}.service"))?;
    }
    host.start("app.service")?;
    let (mut checks, mut monit) = (String::from("services:\n  app.service:\n    probes:\n"), MONIT.to_owned());
    for number in 0..CHECKS {
        checks.push_str(&format!("      t{number}: {{tcp: \"127.0.0.1:5000\", every: 1s}}\n"));
        monit.push_str(&format!("check host t{number} with address 127.0.0.1\n if failed port 5000 then alert\n"));
    }
    let head = ["RSS", "anonymous", "of a core", "wake-ups", "threads"];
    say(&format!("{:<40} {:>10} {:>12} {:>11} {:>11} {:>8}", "", head[0], head[1], head[2], head[3], head[4]));
    agent::install(&host, &idle)?;
    measure("50 units, event-driven and idle", restarted(&host)?)?;
    let starts = cold_starts(&host)?;
    agent::install(&host, &checks)?;
    measure("1,000 TCP checks, each every second", restarted(&host)?)?;
    services(&host)?;
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    let share = connections::share(&host, CHECKS, MEASURED)?;
    say(&format!("{:<40} {:>10} {:>12} {share:>9.2} %", "1,000 connections a second, a bare loop", "", ""));
    host.write_file("/etc/monit.bench", monit, 0o600)?;
    let running = host.spawn(&["monit", "-I", "-c", "/etc/monit.bench"])?;
    measure("the same with monit, 1 s cycle", find(&host, "monit")?)?;
    drop(running);
    let at = |share| quantile(&starts, share).as_secs_f64() * 1e3;
    say(&format!(
        "\ncold start to first full pass, 50 units, n = {STARTS}: median {:.1} ms, 90 % {:.1} ms, max {:.1} ms",
        at(50),
        at(90),
        at(100)
    ));
    Ok(())
}

/// As many services as a large host has, each looked at as usual: its unit, and its port each second.
fn services(host: &Host) -> Result<()> {
    let watched = many_services(host)?;
    agent::install(host, &watched)?;
    measure("1,000 services, unit and port each second", restarted(host)?)
}

/// Starts them, and what answers at their port; the configuration that watches them.
pub(crate) fn many_services(host: &Host) -> Result<String> {
    host.install_unit("app.service", APP)?;
    host.start("app.service")?;
    let mut watched = String::from("services:\n");
    for number in 0..SERVICES {
        host.write_file(format!("/etc/systemd/system/many-{number}.service"), SERVICE, 0o644)?;
        watched.push_str(&format!(
            "  many-{number}.service: {{probes: {{port: {{tcp: \"127.0.0.1:5000\", every: 1s}}}}}}\n"
        ));
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    host.run_ok(&["sh", "-c", &format!("seq -f 'many-%g.service' 0 {} | xargs systemctl start", SERVICES - 1)])?;
    Ok(watched)
}

/// A process of the host, by its name; as outside.
fn find(host: &Host, name: &str) -> Result<i32> {
    host.wait_for(&format!("a process {name}"), LIMIT, || {
        let found = host.run(&["pidof", name])?;
        let Some(inner) = found.text().split_whitespace().next().and_then(|pid| pid.parse().ok()) else {
            return Ok(None);
        };
        Ok(Some(host.outer_pid(inner)?.as_raw_nonzero().get()))
    })
}

fn measure(name: &str, pid: i32) -> Result<()> {
    std::thread::park_timeout(SETTLED);
    let Usage { rss, anonymous, share, woken, threads } = spent::over(pid, MEASURED)?;
    say(&format!("{name:<40} {rss:>7.1} MB {anonymous:>9.1} MB {share:>9.2} % {woken:>9.1}/s {threads:>8}"));
    Ok(())
}

/// From the program's start to the answer in which every unit has been looked at, sorted. Nothing of systemd's own work
/// for a unit's start (a cgroup, a fork) is in it.
fn cold_starts(host: &Host) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    host.run_ok(&["mkdir", "-p", "/run/ansai"])?;
    for _ in 0..STARTS {
        host.remove_file(SOCKET)?;
        let begun = Instant::now();
        let running = host.spawn(&["sh", "-c", "exec /usr/bin/ansai agent 2>/run/agent.log"])?;
        let seen_all = poll::until("the first full pass", LIMIT, ASKED_EVERY, || {
            Ok((seen(host).unwrap_or_default() == UNITS).then_some(()))
        });
        seen_all.with_context(|| host.read_file("/run/agent.log").unwrap_or_default())?;
        times.push(begun.elapsed());
        drop(running);
        // The next one refuses to start while this one has its lock, which the kernel gives back last of all.
        host.wait_until("the agent to be gone", LIMIT, || Ok(host.run(&["pidof", "ansai"])?.text().is_empty()))?;
    }
    times.sort();
    Ok(times)
}

/// How many targets the agent has seen to be healthy.
fn seen(host: &Host) -> Result<usize> {
    let root = PathBuf::from(format!("/proc/{}/root", host.leader().as_raw_nonzero()));
    let mut stream = UnixStream::connect(root.join(SOCKET.trim_start_matches('/')))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"GET /v1/status HTTP/1.0\r\nHost: ansai\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status: serde_json::Value = serde_json::from_str(body)?;
    let targets = status["targets"].as_array().context("targets")?;
    Ok(targets.iter().filter(|target| target["health"] == "healthy").count())
}
