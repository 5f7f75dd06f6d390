//! Layers end to end: an emergency layer is picked up by the running agent, and ends by itself.

use std::time::Duration;

use ansai_lab::agent::{self, QUICK, json, wait_report};
use ansai_lab::{Host, HostOptions, fixture};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const EMERGENCY: &str = "/etc/ansai/layers/emergency.yaml";

#[test]
fn an_emergency_layer_stops_healing_until_it_expires() -> Result<()> {
    let host = Host::boot(&HostOptions::new("layers"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}services: {{app.service: {{}}}}\n"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    let end = host.run_ok(&["date", "-u", "-d", "+20 seconds", "+%Y-%m-%dT%H:%M:%SZ"])?;
    host.run_ok(&["mkdir", "-p", "/etc/ansai/layers"])?;
    host.write_file(EMERGENCY, format!("autonomy: observe\nexpires: {}\n", end.stdout.trim()), 0o640)?;
    host.wait_until("the agent to read the layer", LIMIT, || Ok(json(&host, &["status"])?["generation"] == 2))?;
    let explained = json(&host, &["config", "explain", "autonomy"])?;
    assert_eq!(explained["explained"]["values"][0]["set"]["layer"], "emergency", "{explained:#}");
    host.signal_main("app.service", Signal::KILL)?;
    agent::wait_says(&host, "app.service", "observe")?;
    assert!(!host.is_active("app.service")?);
    // The same files say something else when the layer has ended: the agent heals what it only observed.
    wait_report(&host, "i1", "healed")?;
    let status = json(&host, &["status"])?;
    assert!(status["warnings"].to_string().contains("this emergency layer ended at"), "{status:#}");
    Ok(())
}

/// Whoever distributes files may be behind: what says that it is older than what this host has applied is refused, by the
/// running agent and by one that starts, and the newest stays in force.
#[test]
fn files_of_an_older_generation_are_refused() -> Result<()> {
    let host = Host::boot(&HostOptions::new("older"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    let distribute = |generation: u32, autonomy: &str| {
        let quick = QUICK.replace("autonomy: act", &format!("autonomy: {autonomy}\ngeneration: {generation}"));
        agent::install(&host, &format!("{quick}services: {{app.service: {{}}}}\n"))
    };
    let in_force = || -> Result<serde_json::Value> { Ok(json(&host, &["status"])?["generation"].clone()) };
    distribute(7, "act")?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    assert_eq!(in_force()?, 7);

    distribute(6, "observe")?;
    let error = host.wait_for("the refusal", LIMIT, || {
        Ok(json(&host, &["status"])?["configuration_error"].as_str().map(str::to_owned))
    })?;
    assert!(error.contains("the files are generation 6, and this host has applied 7"), "{error}");
    assert!(error.contains("declare `generation: 8`"), "{error}");
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "healed")?;

    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    assert!(!host.run(&["systemctl", "start", agent::UNIT])?.is_success(), "it began with older files");
    let log = host.run_ok(&["journalctl", "-u", agent::UNIT, "--no-pager"])?.stdout;
    assert!(log.contains("the files are generation 6"), "{log}");

    distribute(8, "observe")?;
    host.run_ok(&["systemctl", "reset-failed", agent::UNIT])?;
    agent::start(&host)?;
    assert_eq!(in_force()?, 8);
    Ok(())
}
