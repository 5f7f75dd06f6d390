//! The ladder obeys what a unit declares: how long its starts and stops may take, and what a kill leaves alone.
//! The names carry the numbers of the situations from public bug reports.
//!
//! It deliberately leaves out what the engine decides about them: that is in its own suite.

use std::time::Duration;

use ansai_lab::agent::{QUICK_TO_GIVE_UP, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// A host with these units, and the agent that watches what `services` says.
fn boot(name: &str, units: &[(&str, &str)], services: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (unit, text) in units {
        host.install_unit(unit, text)?;
    }
    host.start(units[0].0)?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services:\n{services}"))?;
    agent::start(&host)?;
    Ok(host)
}

/// A database that is ready at once, and after a crash only when it has recovered for 130 s.
const RECOVERS: &str = "\
[Service]
Type=notify
NotifyAccess=all
TimeoutStartSec=15min
ExecStart=/bin/sh -c 'if test -e /run/was-up; then sleep 130; fi; touch /run/was-up; systemd-notify --ready; exec sleep infinity'
";

#[test]
fn w04_a_recovery_longer_than_any_limit_of_ours_is_left_to_end() -> Result<()> {
    let host = boot("w04", &[("db.service", RECOVERS)], "  db.service: {}\n")?;
    wait_health(&host, "db.service", "healthy")?;
    host.signal_main("db.service", Signal::KILL)?;
    host.wait_until("the start to begin", LIMIT, || {
        Ok(host.unit_property("db.service", "ActiveState")? == "activating")
    })?;
    agent::wait_says(&host, "db.service", "at most 15m as the unit says")?;
    let recovering = host.main_pid("db.service")?;
    host.wait_active("db.service", Duration::from_secs(240))?;
    assert_eq!(host.main_pid("db.service")?, recovering, "the recovery was broken off: {}", host.evidence());
    let report = wait_report(&host, "i1", "healed")?;
    assert!(report["steps"].to_string().contains("it is awaited"), "{report:#}");
    Ok(())
}

/// A daemon whose work lives in its cgroup and outlives its restarts.
fn keeper(kill_mode: &str) -> String {
    let work = "test -e /run/has-work || { touch /run/has-work; for n in 1 2 3; do setsid sleep 100000 & done; }";
    format!(
        "[Service]\nKillMode={kill_mode}\nStateDirectory=keeper\nExecStart=/bin/sh -c '{work}; \
         exec /usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/keeper'\n"
    )
}

/// How many processes of the daemon's work are left.
fn work(host: &Host) -> Result<usize> {
    Ok(host.run(&["pgrep", "-c", "-f", "sleep 100000"])?.stdout.trim().parse()?)
}

const PROBED: &str = "  keeper.service: {probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}}\n";

#[test]
fn w02_what_kill_mode_protects_lives_on_when_the_ladder_kills() -> Result<()> {
    let host = boot("w02", &[("keeper.service", &keeper("process"))], PROBED)?;
    wait_health(&host, "keeper.service", "healthy")?;
    assert_eq!(work(&host)?, 3);
    host.write_file("/var/lib/keeper/commands", "error 503\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let told = report["steps"].to_string();
    assert!(told.contains("killed 1 process ("), "{report:#}");
    assert!(told.contains("3 others left alone, as KillMode=process says"), "{report:#}");
    assert_eq!(work(&host)?, 3, "the work was killed: {report:#}");
    Ok(())
}

#[test]
fn w02_a_kill_names_what_it_killed_and_none_means_none() -> Result<()> {
    let host = boot("w02b", &[("keeper.service", &keeper("none"))], PROBED)?;
    wait_health(&host, "keeper.service", "healthy")?;
    host.write_file("/var/lib/keeper/commands", "error 503\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(report["steps"].to_string().contains("says KillMode=none"), "{report:#}");
    assert_eq!(work(&host)?, 3, "the work was killed: {report:#}");
    Ok(())
}
