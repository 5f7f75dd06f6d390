//! Drills end to end: each failure that `ansai drill` injects is noticed, and healed or brought to a person.

use std::time::Duration;

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result, ensure};

const LIMIT: Duration = Duration::from_secs(60);

const APP: &str = "\
[Service]
Type=notify
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app
StateDirectory=app
";

const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {cooldown: 1s, budget: {actions: 60}, stable_for: 2s, backoff: {initial: 500ms, max: 2s}, verify_within: 5s}
services:
  app.service:
    port: 5000
    configuration: [/etc/app.conf]
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

fn json(host: &Host, arguments: &[&str]) -> Result<serde_json::Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = agent::ansai(host, &all)?;
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("{arguments:?} said {}{}", output.stdout, output.stderr))
}

/// A host of its own with a healthy app, into which the failure has been injected.
fn begin(kind: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(kind))?;
    host.install_unit("app.service", APP)?;
    host.write_file("/etc/app.conf", "fine\n", 0o644)?;
    host.start("app.service")?;
    agent::install(&host, CONFIGURATION)?;
    agent::start(&host)?;
    host.wait_until("the app to be healthy before", LIMIT, || {
        Ok(json(&host, &["status"])?["targets"][0]["health"] == "healthy")
    })?;
    agent::ansai(&host, &["drill", "app", kind, "--yes"])?.ok()?;
    Ok(host)
}

fn report(host: &Host) -> serde_json::Value {
    json(host, &["report", "i1"]).unwrap_or_default()["report"].clone()
}

/// Waits until the incident stands in this phase.
fn wait_phase(host: &Host, phase: &str) -> Result<()> {
    let is_there = || Ok(report(host)["phase"].get(phase).is_some());
    host.wait_until(&format!("the incident to be {phase}"), LIMIT, is_there)
        .with_context(|| format!("{:#}", report(host)))
}

/// The failure is noticed and healed.
fn check(kind: &str) -> Result<()> {
    let host = begin(kind)?;
    wait_phase(&host, "resolved")?;
    ensure!(host.is_active("app.service")?, "{:#}", report(&host));
    Ok(())
}

#[test]
fn a_crash_is_healed() -> Result<()> {
    check("crash")
}

#[test]
fn a_hang_is_healed() -> Result<()> {
    check("hang")
}

#[test]
fn e3_an_exit_past_systemd_is_healed() -> Result<()> {
    check("exit")
}

#[test]
fn a_broken_configuration_is_healed() -> Result<()> {
    check("configuration")
}

#[test]
fn a_loop_is_healed_when_it_ends() -> Result<()> {
    check("loop")
}

/// Whoever has the port is no leftover of the app: that is a person's to settle, and then it is healed on request.
#[test]
fn a_taken_port_reaches_a_person_and_is_healed_when_it_is_free() -> Result<()> {
    let host = begin("port")?;
    wait_phase(&host, "escalated")?;
    ensure!(report(&host).to_string().contains("port 5000 is held by"), "{:#}", report(&host));
    host.wait_until("the drill to release the port", LIMIT, || {
        Ok(!host.run_ok(&["ss", "-Hltn"])?.stdout.contains(":5000"))
    })?;
    agent::ansai(&host, &["heal", "app", "--yes"])?.ok()?;
    host.wait_active("app.service", LIMIT)
}
