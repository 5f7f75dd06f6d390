//! The agent about itself, end to end: its heartbeat, its figures, its stream of what happens, and systemd's watchdog
//! over a loop that hangs.

use std::time::Duration;

use ansai_lab::agent::{QUICK, json};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

const SINK: &str = "/usr/local/lib/ansai-lab/ansai-lab-sink";

fn boot(name: &str, more: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}services: {{app.service: {{}}}}\n{more}"))?;
    Ok(host)
}

#[test]
fn its_heartbeat_its_figures_and_its_events_reach_whoever_listens() -> Result<()> {
    let more =
        "heartbeat: {url: \"http://127.0.0.1:9000/ping\", every: 10s}\nagent: {metrics_listen: \"127.0.0.1:9560\"}\n";
    let host = boot("itself", more)?;
    let _sink = host.spawn(&[SINK, "--listen", "127.0.0.1:9000", "--record", "/run/pings"])?;
    host.wait_until("the sink to listen", LIMIT, || Ok(host.connect("127.0.0.1:9000").is_ok()))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    let _watch = host.spawn(&["sh", "-c", "ansai incidents --watch --json >/run/events"])?;
    let told = || host.read_file("/run/events").unwrap_or_default();
    // Whoever listens is told so first.
    host.wait_until("the watch to listen", LIMIT, || Ok(told().contains("\"alive\"")))?;
    host.wait_until("a ping after the start", LIMIT, || {
        let pings = host.read_file("/run/pings").unwrap_or_default();
        Ok(pings.contains("\"/ping/start\"") && pings.contains("\"/ping\""))
    })?;
    host.signal_main("app.service", Signal::KILL)?;
    agent::wait_report(&host, "i1", "healed")?;
    host.wait_until("the events to be told", LIMIT, || {
        let told = told();
        let words = ["\"incident\"", "\"action-begun\"", "restart app.service", "\"action-ended\"", "\"healed\""];
        Ok(words.iter().all(|words| told.contains(words)))
    })?;
    let figures = host.http("127.0.0.1:9560", "GET", "/metrics", "")?;
    assert!(figures.status == 200 && figures.body.contains("ansai_ledger_save"), "{}", figures.body);
    let own = json(&host, &["status"])?["own"].clone();
    assert!(own["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{own:#}");
    Ok(())
}

#[test]
fn a_loop_that_hangs_is_killed_by_the_watchdog_and_heals_again() -> Result<()> {
    let host = boot("watchdog", "")?;
    let quick = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n";
    host.write_file("/etc/systemd/system/ansai.service.d/quick.conf", quick, 0o644)?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    let before = host.main_pid(agent::UNIT)?;
    host.signal_main(agent::UNIT, Signal::STOP)?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("another agent to run", LIMIT, || {
        let now = host.main_pid(agent::UNIT)?;
        Ok(now.is_some() && now != before)
    })?;
    agent::wait_health(&host, "app.service", "healthy")?;
    assert!(host.is_active("app.service")?);
    assert!(host.journal(agent::UNIT)?.contains("Watchdog timeout"), "{}", host.journal(agent::UNIT)?);
    Ok(())
}

#[test]
fn above_its_memory_limit_it_says_so_does_without_evidence_and_still_heals() -> Result<()> {
    let host = boot("memory", "agent: {memory_max: 1MiB}\n")?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    host.wait_until("a warning", LIMIT, || {
        let warnings = json(&host, &["status"]).unwrap_or_default()["warnings"].to_string();
        Ok(warnings.contains("takes more memory than 1.0 MiB") && warnings.contains("gathers no evidence"))
    })?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = agent::wait_report(&host, "i1", "healed")?;
    assert!(report["evidence"].to_string().contains("takes more memory"), "{report:#}");
    Ok(())
}
