//! systemd itself in trouble: its bus is gone, a unit vanishes while it is healed, the journal is huge.
//!
//! It deliberately leaves out what systemd does well: that is in every other test.

use std::time::{Duration, Instant};

use ansai_lab::agent::{QUICK_TO_GIVE_UP, ansai, incidents, steps, wait_health, wait_report, wait_says};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

fn boot(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services: {{app.service: {{}}}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// D-Bus gone: targets are unknown, nothing is done although the app is dead, and with the bus back it is healed.
#[test]
fn without_the_bus_targets_are_unknown_and_nothing_acts_until_it_is_back() -> Result<()> {
    let host = boot("bus")?;
    host.run_ok(&["systemctl", "stop", "dbus.socket", "dbus.service"])?;
    // Whatever probe there is: without the unit's state none is believed.
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("systemd to see it dead", LIMIT, || {
        Ok(host.unit_property("app.service", "ActiveState")? == "failed")
    })?;
    wait_health(&host, "app.service", "unknown")?;
    wait_says(&host, "app.service", "D-Bus")?;
    assert!(!host.is_active("app.service")?, "something acted on what it could not see");
    assert!(incidents(&host)?.is_empty(), "not knowing is no incident");
    host.run_ok(&["systemctl", "start", "dbus.socket", "dbus.service"])?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

/// A unit that vanishes between two tries of its remediation, before a restart and before a kill: the next one finds out,
/// and a person reads why.
#[test]
fn a_unit_that_vanishes_during_its_remediation_reaches_a_person() -> Result<()> {
    for (name, tries) in [("vanish", 1), ("vanish-late", 2)] {
        let host = boot(name)?;
        host.write_file("/var/lib/app/commands", "die-after 300\n", 0o644)?;
        host.signal_main("app.service", Signal::KILL)?;
        host.wait_until("a try to fail", LIMIT, || {
            Ok(steps(&agent::report(&host, "i1"), "not-verified").len() >= tries)
        })?;
        host.remove_file("/etc/systemd/system/app.service")?;
        host.run_ok(&["systemctl", "daemon-reload"])?;
        let report = wait_report(&host, "i1", "escalated")?;
        assert_eq!(report["cause"]["rule"], "unit-missing", "the operator does not read that it is gone: {report:#}");
        assert!(steps(&report, "not-verified").len() <= 4, "attempts are not bounded: {report:#}");

        host.remove_file("/var/lib/app/commands")?;
        host.install_unit("app.service", &fixture::unit("app", 5000))?;
        ansai(&host, &["heal", "app", "--yes"])?.ok()?;
        host.wait_active("app.service", LIMIT)?;
    }
    Ok(())
}

/// A journal of many millions of bytes, most of it by others: evidence is gathered from its end, in time, and no more of it
/// is kept than was asked for.
#[test]
fn a_huge_journal_does_not_hold_the_report_up() -> Result<()> {
    let host = boot("journal")?;
    let flood = "yes 'a line that says nothing, again and again, so that the journal grows and grows and grows' | head -n 150000";
    let unit = format!("[Service]\nType=oneshot\nLogRateLimitIntervalSec=0\nExecStart=/bin/sh -c \"{flood}\"\n");
    host.install_unit("flood.service", &unit)?;
    host.run_within(LIMIT, &["systemctl", "start", "flood.service"])?.ok()?;
    host.run_ok(&["journalctl", "--sync"])?;
    let killed = Instant::now();
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(20), "the report took {took:?}");
    let logs: Vec<&str> = report["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|found| found["kind"] == "log")
        .filter_map(|found| found["text"].as_str())
        .collect();
    assert!(logs.iter().any(|text| text.contains("status=9/KILL")), "its last lines are missing: {report:#}");
    assert!(logs.iter().all(|text| text.lines().count() <= 40), "more lines than asked for: {logs:?}");
    Ok(())
}
