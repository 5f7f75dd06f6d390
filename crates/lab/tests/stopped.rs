//! Services of which systemd says that they run while none of their processes can: seen without any probe, mended by a
//! restart, and left alone under a hold.

use std::time::Duration;

use ansai_lab::agent::{QUICK, incidents, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;

const LIMIT: Duration = Duration::from_secs(90);

/// A host with the app, of which only its unit is watched, and the agent.
fn boot(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}services:\n  app.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

#[test]
fn a_service_of_which_all_processes_are_stopped_is_restarted_without_any_probe() -> Result<()> {
    let host = boot("stopped")?;
    let before = host.main_pid("app.service")?;
    host.run_ok(&["systemctl", "kill", "--signal=STOP", "app.service"])?;
    let report = wait_report(&host, "i1", "healed")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("it hangs: ") && symptom.contains("been stopped (state T) for"), "{symptom}");
    host.wait_active("app.service", LIMIT)?;
    assert_ne!(host.main_pid("app.service")?, before, "{report:#}");
    Ok(())
}

#[test]
fn what_an_operator_stopped_under_a_hold_is_shown_and_left_alone() -> Result<()> {
    let host = boot("stopped-held")?;
    let before = host.main_pid("app.service")?;
    host.run_ok(&["ansai", "hold", "app.service", "--reason", "a debugger"])?;
    host.run_ok(&["systemctl", "kill", "--signal=STOP", "app.service"])?;
    wait_health(&host, "app.service", "failing")?;
    assert_eq!(incidents(&host)?.len(), 1);
    host.run_ok(&["systemctl", "kill", "--signal=CONT", "app.service"])?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(host.main_pid("app.service")?, before);
    Ok(())
}
