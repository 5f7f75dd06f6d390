//! What a report says is of the moment of the failure, by a real systemd: since when it was down, who did it, and what it
//! had logged until then.

use std::time::Duration;

use ansai_lab::agent::{QUICK, QUICK_TO_GIVE_UP, report, wait_report, wait_report_with};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// Of a drill that ends by itself after two minutes.
const DRILL_LIMIT: Duration = Duration::from_secs(180);

/// A host with the app, looked at often, and the agent.
fn boot(name: &str, head: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    let checks = "services: {app.service: {}}\n";
    agent::install(&host, &format!("{head}{checks}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// The host's clock, in milliseconds since 1970.
fn now(host: &Host) -> Result<i64> {
    Ok(host.run_ok(&["date", "+%s%3N"])?.text().trim().parse()?)
}

fn log_of(report: &Value) -> String {
    let evidence = report["evidence"].as_array().into_iter().flatten();
    let logs = evidence.filter(|found| found["kind"] == "log").map(|found| found["text"].to_string());
    logs.collect::<Vec<_>>().join("\n")
}

/// All that is known of a hang is told: since when nothing of it has run, that all was well before, who sent the signal, and
/// nothing of what its remedy has had it log.
#[test]
fn a_hang_is_told_as_it_was_before_its_remedy() -> Result<()> {
    let host = boot("moment-hang", QUICK)?;
    let stopped = now(&host)?;
    host.run_ok(&["systemctl", "kill", "--signal", "STOP", "app.service"])?;
    let healed = wait_report(&host, "i1", "healed")?;
    let (since, opened) = (healed["failing_since"]["wall"].as_i64(), healed["opened"]["wall"].as_i64());
    let (since, opened) = (since.context("a time")?, opened.context("a time")?);
    ensure!(since >= stopped && opened >= since + 9_000, "stopped at {stopped}: {healed:#}");
    ensure!(healed["since_by"] == "stillness", "{healed:#}");
    ensure!(healed["well_until"].as_i64().is_some_and(|well| well <= since), "{healed:#}");
    ensure!(healed["downtime"]["secs"].as_u64().is_some_and(|secs| secs >= 9), "{healed:#}");
    let told = wait_report_with(&host, "i1", "evidence", "on client request")?;
    ensure!(told["cause"]["rule"] == "signal-on-request", "{told:#}");
    let log = log_of(&told);
    ensure!(!log.contains("Stopping") && !log.contains("Stopped"), "the remedy's own lines are told: {log}");
    Ok(())
}

#[test]
fn whoever_kills_through_systemd_is_blamed_and_whoever_does_not_is_looked_for() -> Result<()> {
    let host = boot("moment-kill", QUICK)?;
    host.run_ok(&["systemctl", "kill", "--signal", "KILL", "app.service"])?;
    wait_report(&host, "i1", "healed")?;
    let told = wait_report_with(&host, "i1", "cause", "signal-on-request")?;
    ensure!(told["since_by"] == "systemd", "{told:#}");
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i2", "healed")?;
    ensure!(report(&host, "i2")["cause"]["rule"] == "killed", "{:#}", report(&host, "i2"));
    Ok(())
}

#[test]
fn what_a_drill_has_ended_is_told_as_its_doing() -> Result<()> {
    let host = boot("moment-exit", QUICK)?;
    agent::ansai(&host, &["drill", "app", "exit", "--yes"])?.ok()?;
    let told = wait_report(&host, "i1", "healed")?;
    let symptom = told["symptom"].as_str().unwrap_or_default();
    ensure!(symptom.contains("a drill of ansai sent") && !symptom.contains("by itself"), "{told:#}");
    Ok(())
}

/// What somebody does to a service within the time of a drill that is still watched is not the drill's.
#[test]
fn a_kill_just_after_a_drill_is_none_of_its_doing() -> Result<()> {
    let host = boot("moment-loop", QUICK)?;
    agent::ansai(&host, &["drill", "app", "loop", "--yes"])?.ok()?;
    // It holds up no remedy by its own action, or nothing would come back that it could kill.
    wait_report_with(&host, "i1", "steps", "its main process was killed 2 times")?;
    let told = wait_report(&host, "i1", "stabilizing")?;
    ensure!(!told.to_string().contains("is still under way"), "{told:#}");
    ensure!(told["is_drill"] == true, "{told:#}");
    host.signal_main("app.service", Signal::KILL)?;
    // So many falls within seconds count as flapping: it is watched for longer than this test.
    wait_report(&host, "i2", "stabilizing")?;
    let told = wait_report_with(&host, "i2", "cause", "killed")?;
    ensure!(told["is_drill"] == false && told["cause"]["rule"] == "killed", "{told:#}");
    Ok(())
}

/// Whatever of a start fails: what it has logged is told, though nobody had looked between two starts.
#[test]
fn a_start_that_fails_before_or_in_its_main_process_has_its_lines_told() -> Result<()> {
    for (name, key) in [("moment-pre", "ExecStartPre"), ("moment-start", "ExecStart"), ("moment-post", "ExecStartPost")]
    {
        let host = boot(name, QUICK_TO_GIVE_UP)?;
        let own = if key == "ExecStart" { "ExecStart=\n" } else { "" };
        let fails = "/bin/sh -c 'echo no such license as %n; exit 7'";
        let drop_in = format!("[Service]\n{own}{key}={fails}\n");
        host.write_file("/etc/systemd/system/app.service.d/fails.conf", drop_in, 0o644)?;
        host.run_ok(&["systemctl", "daemon-reload"])?;
        host.signal_main("app.service", Signal::KILL)?;
        wait_report(&host, "i1", "escalated")?;
        let told = wait_report_with(&host, "i1", "evidence", "no such license as app.service")?;
        ensure!(log_of(&told).contains("no such license as app.service"), "{key}: {told:#}");
    }
    Ok(())
}

/// A broken configuration is named with its line, and that the drill has put it back by itself is told before what comes of it.
#[test]
fn what_a_drill_has_broken_is_shown_and_that_it_ended_by_itself_is_told() -> Result<()> {
    let host = Host::boot(&HostOptions::new("moment-end"))?;
    host.start("nginx.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services: {{nginx.service: {{}}}}\n"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "nginx.service", "healthy")?;
    agent::ansai(&host, &["drill", "nginx", "configuration", "--yes"])?.ok()?;
    wait_report(&host, "i1", "escalated")?;
    let told = wait_report_with(&host, "i1", "evidence", "where its validator complains")?;
    let evidence = told["evidence"].to_string();
    ensure!(evidence.contains("/etc/nginx/nginx.conf:") && evidence.contains("}}}"), "{told:#}");
    host.wait_until("the drill to end and the service to be back", DRILL_LIMIT, || {
        Ok(agent::is_in(&report(&host, "i1"), "resolved"))
    })?;
    let told = report(&host, "i1");
    let undone = agent::steps(&told, "undone");
    ensure!(undone.iter().any(|step| step.to_string().contains("/etc/nginx/nginx.conf is as it was")), "{told:#}");
    host.wait_active("nginx.service", LIMIT)
}
