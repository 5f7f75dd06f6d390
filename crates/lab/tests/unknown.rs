//! What nobody can judge, and what does not last, on a real systemd: told after the declared patience and never acted on.
//!
//! The patience is declared short, since minutes are waited for the same way; the defaults are the engine's tests.

use std::time::Duration;

use ansai_lab::agent::{QUICK, incidents, report, target, wait_health, wait_report, wait_says};
use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const APP: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

fn boot(name: &str, unit: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", unit)?;
    host.start("app.service")?;
    let impatient = QUICK.replace("{stable_for: 2s}", "{stable_for: 2s, tell_unknown_after: 2s}");
    agent::install(&host, &format!("{impatient}services: {{app.service: {{critical: true}}}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// Has a run hang that holds this lock and does nothing.
fn hold_lock(host: &Host, lock: &str) -> Result<()> {
    let script = format!(
        "use Fcntl; open(F, '>', '{lock}') or die; my $lock = pack('s s x4 l! l! i x4', F_WRLCK, 0, 0, 0, 0);
         fcntl(F, F_SETLK, $lock) or die; system('systemd-notify --ready'); sleep 3600;\n"
    );
    host.write_file("/usr/local/lib/hang.pl", script, 0o644)?;
    let unit = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/usr/bin/perl /usr/local/lib/hang.pl\n";
    host.install_unit("hang.service", unit)?;
    host.start("hang.service")
}

#[test]
fn w06_a_run_that_hangs_with_the_lock_keeps_down_only_what_it_has_touched() -> Result<()> {
    let host = boot("w06", APP)?;
    hold_lock(&host, "/var/lib/dpkg/lock-frontend")?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "healed")?;
    // Now it has changed the unit: a person hears who holds the lock, and nothing is done.
    host.run_ok(&["touch", "/etc/systemd/system/app.service"])?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_says(&host, "app.service", "is held by perl (pid")?;
    let told = wait_report(&host, "i2", "escalated")?;
    assert_eq!(told["kind"], "unknown", "{told:#}");
    assert!(!host.is_active("app.service")?, "something acted on what it could not judge");
    host.run_ok(&["systemctl", "stop", "hang.service"])?;
    let healed = wait_report(&host, "i3", "healed")?;
    let down = healed["downtime"]["secs"].as_u64().unwrap_or_default();
    assert!(down >= 2, "it was down since before the lock was free: {healed:#}");
    Ok(())
}

/// What works on packages at this moment may be about to change anything: that is waited for and told, with its name.
#[test]
fn a_run_that_is_at_work_on_another_package_is_waited_for_and_told() -> Result<()> {
    let host = boot("at-work", APP)?;
    host.run_ok(&["mkdir", "-p", "/var/lib/rpm"])?;
    hold_lock(&host, "/var/lib/rpm/.rpm.lock")?;
    host.signal_main("app.service", Signal::KILL)?;
    let told = wait_report(&host, "i1", "escalated")?;
    assert_eq!(told["kind"], "unknown", "{told:#}");
    assert!(
        told["symptom"].as_str().is_some_and(|text| text.contains("/var/lib/rpm/.rpm.lock is held by perl")),
        "{told:#}"
    );
    assert!(!host.is_active("app.service")?, "something acted on what it could not judge");
    host.run_ok(&["systemctl", "stop", "hang.service"])?;
    wait_report(&host, "i2", "healed")?;
    Ok(())
}

#[test]
fn w15_a_unit_whose_stop_never_ends_is_told() -> Result<()> {
    let stuck = "[Service]\nTimeoutStopSec=infinity\nExecStart=/bin/sleep infinity\n\
                 ExecStopPost=/bin/sh -c 'while test -e /run/hang; do sleep 1; done'\n";
    let host = boot("w15", stuck)?;
    host.write_file("/run/hang", "", 0o644)?;
    host.signal_main("app.service", Signal::KILL)?;
    let told = wait_report(&host, "i1", "escalated")?;
    assert!(told["headline"].as_str().is_some_and(|text| text.contains("stop-post")), "{told:#}");
    assert_eq!(incidents(&host)?.len(), 1);
    host.remove_file("/run/hang")?;
    wait_report(&host, "i2", "healed")?;
    Ok(())
}

/// A restart that somebody asked for and that does not get beyond its stop.
#[test]
fn a_restart_whose_stop_never_ends_is_told_and_left_to_who_asked_for_it() -> Result<()> {
    let deaf = "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStopSec=infinity\n\
                ExecStart=/bin/sh -c 'trap : TERM; systemd-notify --ready; while :; do sleep 1; done'\n";
    let host = boot("deaf", deaf)?;
    let before = host.main_pid("app.service")?;
    host.run_ok(&["systemctl", "--no-block", "restart", "app.service"])?;
    let told = wait_report(&host, "i1", "escalated")?;
    assert_eq!(told["kind"], "unknown", "{told:#}");
    assert!(told["headline"].as_str().is_some_and(|text| text.contains("stop-sigterm")), "{told:#}");
    assert_eq!(host.main_pid("app.service")?, before, "it was killed though its unit says that it is waited for");
    host.run_ok(&["systemctl", "kill", "--signal=KILL", "app.service"])?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(incidents(&host)?.len(), 1);
    Ok(())
}

/// It lasts for a while, again and again: told once as what it is, though it runs at each look, and nothing is done.
/// Restarts closer than twenty seconds to each other would count once.
#[test]
fn w14_a_unit_that_crashes_again_and_again_under_its_own_restart_is_told() -> Result<()> {
    let crashes = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=500ms\n\
                   ExecStart=/bin/sh -c 'sleep 21; kill -SEGV $$$$'\n";
    let host = boot("w14-crash", crashes)?;
    host.wait_until("a person to be told", LIMIT * 2, || Ok(agent::is_in(&report(&host, "i1"), "escalated")))?;
    let told = report(&host, "i1");
    assert!(told["headline"].as_str().is_some_and(|text| text.contains("does not last")), "{told:#}");
    assert!(agent::steps(&told, "started").is_empty(), "it was acted on: {told:#}");
    assert_eq!(incidents(&host)?.len(), 1, "it is one story");
    Ok(())
}

/// Away for longer than is patient, each time: one story.
#[test]
fn w14_a_unit_that_waits_long_for_its_own_restart_is_told() -> Result<()> {
    let host = boot("w14", "[Service]\nRestart=always\nRestartSec=30\nExecStart=/bin/sleep infinity\n")?;
    host.signal_main("app.service", Signal::KILL)?;
    let told = wait_report(&host, "i1", "escalated")?;
    assert!(told["headline"].as_str().is_some_and(|text| text.contains("restart it by itself")), "{told:#}");
    wait_report(&host, "i1", "after-escalation")?;
    Ok(())
}

/// The same with minutes, which a person cuts short.
#[test]
fn a_unit_that_would_wait_for_minutes_is_told_and_well_when_somebody_restarts_it() -> Result<()> {
    let host = boot("minutes", "[Service]\nRestart=always\nRestartSec=3min\nExecStart=/bin/sleep infinity\n")?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "escalated")?;
    // A start alone would wait for systemd's own.
    host.run_ok(&["systemctl", "restart", "app.service"])?;
    host.wait_until("the incident to end", LIMIT, || Ok(report(&host, "i1")["phase"].get("resolved").is_some()))
        .with_context(|| format!("{:#}\n{:#}", report(&host, "i1"), target(&host, "app.service")))?;
    assert_eq!(incidents(&host)?.len(), 1, "it is one story");
    Ok(())
}

/// systemd's bus is there and says nothing for a while: what is dead is unknown, told, and healed when it can be asked.
#[test]
fn a_bus_that_answers_nothing_is_told_and_harms_nobody() -> Result<()> {
    let host = boot("slow-bus", APP)?;
    let before = host.main_pid("app.service")?;
    host.signal_main("dbus.service", Signal::STOP)?;
    let told = wait_report(&host, "i1", "escalated")?;
    assert_eq!(told["kind"], "unknown", "{told:#}");
    host.signal_main("dbus.service", Signal::CONT)?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(host.main_pid("app.service")?, before, "what could not be asked about was restarted: {told:#}");
    host.signal_main("dbus.service", Signal::STOP)?;
    host.signal_main("app.service", Signal::KILL)?;
    host.signal_main("dbus.service", Signal::CONT)?;
    host.wait_active("app.service", LIMIT)?;
    Ok(())
}
