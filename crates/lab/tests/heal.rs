//! Healing end to end: the real program on a real systemd, services that really fail, mail that really arrives.
//! The names carry the numbers of the predecessor's scenarios.

use std::time::Duration;

use ansai_lab::{Host, HostOptions, agent, mail};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

const APP: &str = "\
[Service]
Type=notify
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app
StateDirectory=app
";

const CONFIGURATION: &str = "\
autonomy: act
notify:
  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\", healed: true}
policies:
  default: {cooldown: 1s, budget: {actions: 20}, stable_for: 2s, backoff: {initial: 500ms, max: 2s}, verify_within: 5s}
services:
  app.service:
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

/// A host with the app and the agent, both running.
fn boot(name: &str, configuration: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", APP)?;
    host.start("app.service")?;
    agent::install(&host, configuration)?;
    agent::start(&host)?;
    wait_health(&host, "healthy")?;
    Ok(host)
}

fn json(host: &Host, arguments: &[&str]) -> Result<serde_json::Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = agent::ansai(host, &all)?;
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("{arguments:?} said {}{}", output.stdout, output.stderr))
}

fn wait_health(host: &Host, health: &str) -> Result<()> {
    host.wait_until(&format!("app.service to be {health}"), LIMIT, || {
        Ok(json(host, &["status"])?["targets"][0]["health"] == health)
    })
}

/// Waits until the incident stands in this phase, and returns its report.
fn wait_report(host: &Host, incident: &str, phase: &str) -> Result<serde_json::Value> {
    host.wait_for(&format!("{incident} to be {phase}"), LIMIT, || {
        let report = json(host, &["report", incident]).unwrap_or_default();
        let found = &report["report"]["phase"];
        let is_there = found == phase || found.get(phase).is_some() || found["resolved"].get(phase).is_some();
        Ok(is_there.then(|| report["report"].clone()))
    })
}

fn incidents(host: &Host) -> Result<usize> {
    Ok(json(host, &["incidents"])?["incidents"].as_array().map_or(0, Vec::len))
}

#[test]
fn e1_a_killed_service_is_restarted_verified_and_reported_by_mail() -> Result<()> {
    let host = boot("e1", CONFIGURATION)?;
    mail::start(&host)?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    assert_eq!(report["cause"]["rule"], "killed", "{report:#}");
    assert!(report["downtime"].is_object(), "{report:#}");
    assert!(host.is_active("app.service")?);
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert!(messages[0].contains("app.service was healed by restart"), "{}", messages[0]);
    Ok(())
}

#[test]
fn e3_a_stop_by_an_operator_is_left_alone_and_an_exit_by_itself_is_healed() -> Result<()> {
    let host = boot("e3", CONFIGURATION)?;
    host.stop("app.service")?;
    host.wait_until("the agent to see the stop", LIMIT, || {
        Ok(json(&host, &["status"])?["targets"][0]["explanation"]
            .as_str()
            .is_some_and(|text| text.contains("stopped on request")))
    })?;
    assert_eq!(incidents(&host)?, 0);
    assert!(!host.is_active("app.service")?);
    host.start("app.service")?;
    wait_health(&host, "healthy")?;
    host.http("127.0.0.1:5000", "GET", "/control/exit/0", "").ok();
    wait_report(&host, "i1", "healed")?;
    assert!(host.is_active("app.service")?);
    Ok(())
}

#[test]
fn e4_a_hang_and_a_wrong_answer_are_seen_and_healed() -> Result<()> {
    let host = boot("e4", CONFIGURATION)?;
    host.http("127.0.0.1:5000", "GET", "/control/error/500", "")?;
    let report = wait_report(&host, "i1", "healed")?;
    assert!(report["symptom"].as_str().is_some_and(|text| text.contains("answered 500")), "{report:#}");
    host.signal_main("app.service", Signal::STOP)?;
    let report = wait_report(&host, "i2", "healed")?;
    assert!(report["symptom"].as_str().is_some_and(|text| text.contains("no answer")), "{report:#}");
    Ok(())
}

#[test]
fn e5_a_service_that_dies_after_each_start_is_escalated_once_within_its_attempts() -> Result<()> {
    let host = boot("e5", CONFIGURATION)?;
    mail::start(&host)?;
    host.write_file("/var/lib/app/commands", "die-after 1000\n", 0o644)?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let starts =
        report["steps"].as_array().into_iter().flatten().filter(|step| step["kind"].get("not-verified").is_some());
    assert!(starts.count() <= 4, "{report:#}");
    assert_eq!(incidents(&host)?, 1);
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("needs a person"), "{}", messages[0]);
    Ok(())
}

#[test]
fn e11_a_foreign_owner_of_the_port_is_named_and_lives() -> Result<()> {
    let host = boot("e11", CONFIGURATION)?;
    host.install_unit(
        "squatter.service",
        &APP.replace("/var/lib/app", "/var/lib/squatter").replace("app\n", "squatter\n"),
    )?;
    // Held, so that the squatter wins the port in peace.
    agent::ansai(&host, &["hold", "--all"])?.ok()?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("the squatter to have the port", LIMIT, || {
        host.run(&["systemctl", "restart", "squatter.service"])?;
        host.is_active("squatter.service")
    })?;
    let squatter = host.main_pid("squatter.service")?;
    agent::ansai(&host, &["release", "--all"])?.ok()?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert_eq!(report["cause"]["rule"], "port-held", "{report:#}");
    assert!(report.to_string().contains("squatter.service"), "{report:#}");
    assert_eq!(host.main_pid("squatter.service")?, squatter);
    Ok(())
}

#[test]
fn s5_the_hold_file_stops_all_action_and_its_end_lets_healing_go_on() -> Result<()> {
    let host = boot("hold", CONFIGURATION)?;
    host.write_file("/etc/ansai/HOLD", "upgrade of the database", 0o644)?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_health(&host, "failing")?;
    let explained = agent::ansai(&host, &["explain", "app"])?;
    assert!(explained.stdout.contains("upgrade of the database"), "{}", explained.stdout);
    assert!(!host.is_active("app.service")?);
    host.remove_file("/etc/ansai/HOLD")?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

#[test]
fn e14_an_invalid_configuration_is_refused_and_the_old_one_stays() -> Result<()> {
    let host = boot("e14", CONFIGURATION)?;
    host.write_file(agent::CONFIGURATION, "services: {app.service: {prot: 5000}}\n", 0o640)?;
    host.wait_until("the agent to refuse it", LIMIT, || {
        Ok(json(&host, &["status"])?["configuration_error"].is_string())
    })?;
    let checked = agent::ansai(&host, &["check"])?;
    assert_eq!(checked.code, 2);
    assert!(checked.stderr.contains("prot"), "{}", checked.stderr);
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

#[test]
fn a_second_agent_refuses_to_start_and_the_agent_killed_amid_healing_forgets_nothing() -> Result<()> {
    let host = boot("second", CONFIGURATION)?;
    let second = agent::ansai(&host, &["agent"])?;
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("another agent"), "{}", second.stderr);
    for round in 1..=5 {
        host.signal_main("app.service", Signal::KILL)?;
        host.signal_main(agent::UNIT, Signal::KILL)?;
        host.wait_active(agent::UNIT, LIMIT)?;
        host.wait_until(&format!("round {round}: the app to be back"), LIMIT, || host.is_active("app.service"))?;
        host.wait_until(&format!("round {round}: no open incident"), LIMIT, || {
            Ok(json(&host, &["status"])?["targets"][0]["incident"].is_null())
        })?;
    }
    Ok(())
}
