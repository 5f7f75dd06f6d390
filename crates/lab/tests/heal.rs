//! Healing end to end: the real program on a real systemd, services that really fail, mail that really arrives.
//! The names carry the numbers of the predecessor's scenarios.

use std::time::Duration;

use ansai_lab::agent::{QUICK, json, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture, mail};
use anyhow::Result;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

const SERVICES: &str = "\
notify:
  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\", healed: true}
services:
  app.service:
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

/// Five deaths within a minute are what the shipped cooldown and budget slow down, and not what is looked at here.
const RESTLESS: &str = "\
autonomy: act
policies:
  default: {stable_for: 2s, cooldown: 1s, budget: {actions: 20}}
";

/// A host with the app and the agent, both running.
fn boot(name: &str) -> Result<Host> {
    boot_under(name, QUICK)
}

fn boot_under(name: &str, head: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{head}{SERVICES}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

#[test]
fn e1_a_killed_service_is_restarted_verified_and_reported_by_mail() -> Result<()> {
    let host = boot("e1")?;
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
    let host = boot("e3")?;
    host.stop("app.service")?;
    agent::wait_says(&host, "app.service", "stopped on request")?;
    assert!(agent::incidents(&host)?.is_empty());
    assert!(!host.is_active("app.service")?);
    host.start("app.service")?;
    agent::wait_health(&host, "app.service", "healthy")?;
    host.http("127.0.0.1:5000", "GET", "/control/exit/0", "").ok();
    wait_report(&host, "i1", "healed")?;
    assert!(host.is_active("app.service")?);
    Ok(())
}

#[test]
fn e4_a_hang_and_a_wrong_answer_are_seen_and_healed() -> Result<()> {
    let host = boot("e4")?;
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
    let host = boot("e5")?;
    mail::start(&host)?;
    host.write_file("/var/lib/app/commands", "die-after 1000\n", 0o644)?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(agent::steps(&report, "not-verified").len() <= 4, "{report:#}");
    assert_eq!(agent::incidents(&host)?.len(), 1);
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("needs a person"), "{}", messages[0]);
    Ok(())
}

#[test]
fn e11_a_foreign_owner_of_the_port_is_named_and_lives() -> Result<()> {
    let host = boot("e11")?;
    host.install_unit("squatter.service", &fixture::unit("squatter", 5000))?;
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
    let host = boot("hold")?;
    host.write_file("/etc/ansai/HOLD", "upgrade of the database", 0o644)?;
    host.signal_main("app.service", Signal::KILL)?;
    agent::wait_health(&host, "app.service", "failing")?;
    let explained = agent::ansai(&host, &["explain", "app"])?;
    assert!(explained.stdout.contains("upgrade of the database"), "{}", explained.stdout);
    assert!(!host.is_active("app.service")?);
    host.remove_file("/etc/ansai/HOLD")?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

#[test]
fn e14_an_invalid_configuration_is_refused_and_the_old_one_stays() -> Result<()> {
    let host = boot("e14")?;
    host.write_file(agent::CONFIGURATION, "services: {app.service: {prot: 5000}}\n", 0o640)?;
    host.wait_until("the agent to refuse it", LIMIT, || {
        Ok(json(&host, &["status"])?["configuration_error"].is_string())
    })?;
    let checked = agent::ansai(&host, &["check"])?;
    assert_eq!(checked.code, 2);
    assert!(checked.stderr.contains("prot"), "{}", checked.stderr);
    let reload = agent::ansai(&host, &["reload"])?;
    assert!(reload.code == 2 && reload.stderr.contains("also after a restart"), "{}", reload.stderr);
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "healed")?;
    // Whoever restarts an agent over a wrong file is not left without one.
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    let status = json(&host, &["status"])?;
    assert!(status["configuration_error"].as_str().is_some_and(|why| why.contains("prot")), "{status:#}");
    assert_eq!(status["targets"][0]["target"], "service/app.service", "{status:#}");
    // A file that is not there is another matter: nobody wants an agent to act by it.
    host.remove_file(agent::CONFIGURATION)?;
    assert!(!host.run(&["systemctl", "restart", agent::UNIT])?.is_success(), "it began without a configuration");
    Ok(())
}

#[test]
fn a_second_agent_refuses_to_start_and_the_agent_killed_amid_healing_forgets_nothing() -> Result<()> {
    let host = boot_under("second", RESTLESS)?;
    let second = agent::ansai(&host, &["agent"])?;
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("another agent"), "{}", second.stderr);
    let places = ["--state-dir", "/var/lib/other", "--runtime-dir", "/run/other"];
    let other = agent::ansai(&host, &[&places[..], &["agent"]].concat())?;
    assert!(other.code != 0 && other.stderr.contains("state in /var/lib/ansai"), "{}{}", other.code, other.stderr);
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
