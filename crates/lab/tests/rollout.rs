//! One configuration for three hosts that have joined a controller: a good one reaches all of them, a bad one stops at the
//! canary and is brought back, and a controller that is killed in the middle goes on. The host's own file stays stronger.

use std::time::Duration;

use ansai_lab::agent;
use ansai_lab::controller::UNIT;
use ansai_lab::fleet::{Fleet, Member};
use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["web-01", "web-02", "db-01"];
const OWN: &str = "\
autonomy: act
agent: {host_budget: {actions: 7}}
services: {own.service: {}}
";
const GOOD: &str = "\
services:
  app.service: {probe: {http: \"http://127.0.0.1:5000/\", every: 1s, timeout: 1s, fail_after: 2}}
agent: {host_budget: {actions: 9}}
";
/// A port at which nobody listens. The app has just been started, which is no excuse here.
const FAILING: &str = "\
services:
  app.service: {start_period: 1s, probe: {http: \"http://127.0.0.1:5999/\", every: 1s, timeout: 1s, fail_after: 2}}
";
/// Valid by itself, and not on the hosts: there everybody may change the program.
const REFUSED: &str = "\
services:
  app.service: {probe: {exec: [/srv/tool]}}
";
const SITE: &str = "/root/site";

const UNITS: &[(&str, u16)] = &[("app", 5000), ("own", 5001)];

fn boot() -> Result<Fleet> {
    let fleet = Fleet::boot_joined(&NAMES.map(|name| Member { name, units: UNITS, configuration: OWN }))?;
    fleet.hosts.iter().try_for_each(|host| host.write_file("/srv/tool", "#!/bin/sh\n", 0o777))?;
    fleet.controller.host.run_ok(&["mkdir", "-p", SITE])?;
    Ok(fleet)
}

fn write(fleet: &Fleet, text: &str) -> Result<()> {
    fleet.controller.host.write_file(format!("{SITE}/site.yaml"), text, 0o644)
}

/// Begins to bring a configuration to the hosts.
fn apply(fleet: &Fleet, text: &str, soak: &str) -> Result<()> {
    write(fleet, text)?;
    fleet.controller.host.run_ok(&["ansai", "fleet", "apply", SITE, "--soak", soak, "--yes"])?;
    Ok(())
}

/// Which hosts watch the app, which only the fleet's configuration says.
fn watching(fleet: &Fleet) -> Result<Vec<&str>> {
    let mut watching = Vec::new();
    for host in &fleet.hosts {
        if agent::json(host, &["status"])?["targets"].to_string().contains("service/app.service") {
            watching.push(host.name());
        }
    }
    Ok(watching)
}

#[test]
fn a_good_configuration_reaches_every_host_the_canary_first_and_the_hosts_own_stays_stronger() -> Result<()> {
    let fleet = boot()?;
    write(&fleet, GOOD)?;
    let plan = fleet.controller.json(&["fleet", "plan", SITE])?;
    assert_eq!(plan["hosts"].as_array().map(Vec::len), Some(3), "{plan:#}");
    assert!(plan["hosts"].to_string().matches("\"is_changed\":true").count() == 3, "{plan:#}");
    let dry = fleet.controller.host.run_ok(&["ansai", "fleet", "apply", SITE, "--dry-run"])?;
    assert!(dry.stdout.contains("nothing was changed"), "{}", dry.stdout);
    apply(&fleet, GOOD, "5s")?;
    fleet.controller.wait_until("the canary to have it", || Ok(watching(&fleet)?.len() == 1))?;
    assert_eq!(fleet.rollout()?["state"], "running");
    let done = fleet.wait_rollout(1, "done")?;
    assert_eq!(done["waves"], 2, "{done:#}");
    assert_eq!(watching(&fleet)?.len(), 3);
    for host in &fleet.hosts {
        agent::wait_health(host, "app.service", "healthy")?;
        let explained = agent::ansai(host, &["config", "explain", "agent.host_budget.actions"])?.ok()?.stdout;
        assert!(explained.contains("= 7") && explained.contains("fleet fleet:site.yaml:3: 9"), "{explained}");
        let layers = agent::ansai(host, &["config", "layers"])?.ok()?.stdout;
        assert!(layers.contains("fleet:site.yaml"), "{layers}");
    }
    assert!(fleet.has_no_drift()?);
    // What the fleet says is healed as what the host says itself; without a controller as well, and after a restart.
    fleet.controller.host.stop(UNIT)?;
    let host = &fleet.hosts[1];
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    agent::wait_health(host, "app.service", "healthy")?;
    host.signal_main("app.service", Signal::KILL)?;
    agent::wait_report(host, "i1", "healed")?;
    // Who leaves is told nothing by it any more.
    agent::ansai(host, &["leave", "--yes"])?.ok()?;
    host.wait_until("the app to be watched no more", LIMIT, || {
        Ok(!agent::json(host, &["status"])?["targets"].to_string().contains("service/app.service"))
    })?;
    Ok(())
}

#[test]
fn a_bad_configuration_stops_at_the_canary_and_is_brought_back() -> Result<()> {
    let fleet = boot()?;
    apply(&fleet, GOOD, "1s")?;
    fleet.wait_rollout(1, "done")?;
    // What is not even valid goes nowhere.
    write(&fleet, "servces: {}\n")?;
    let wrong = fleet.controller.host.run(&["ansai", "fleet", "apply", SITE, "--yes"])?;
    assert!(wrong.stderr.contains("site.yaml:1") && wrong.stderr.contains("services"), "{}", wrong.stderr);
    // What a host refuses leaves it with what it had.
    apply(&fleet, REFUSED, "1s")?;
    let stopped = fleet.wait_rollout(2, "stopped")?;
    let why = stopped["why"].as_str().unwrap_or_default();
    assert!(why.contains("refuses it") && why.contains("others can change it"), "{stopped:#}");
    assert_eq!(watching(&fleet)?.len(), 3, "the one that refused it goes on with what it had");
    let told = |one: &&Value| !one["progress"].is_null();
    assert_eq!(stopped["hosts"].as_array().map(|hosts| hosts.iter().filter(told).count()), Some(1), "{stopped:#}");
    fleet.controller.host.run_ok(&["ansai", "fleet", "rollback", "--yes"])?;
    let back = fleet.wait_rollout(3, "done")?;
    assert_eq!(back["reverts"], 1);
    // What makes a service fail its probe is seen at the canary.
    apply(&fleet, FAILING, "20s")?;
    let stopped = fleet.wait_rollout(4, "stopped")?;
    assert!(stopped["why"].as_str().unwrap_or_default().contains("service/app.service"), "{stopped:#}");
    assert_eq!(stopped["hosts"].as_array().map(|hosts| hosts.iter().filter(told).count()), Some(1), "{stopped:#}");
    fleet.controller.host.run_ok(&["ansai", "fleet", "rollback", "--yes"])?;
    fleet.wait_rollout(5, "done")?;
    for host in &fleet.hosts {
        agent::wait_health(host, "app.service", "healthy")?;
    }
    Ok(())
}

#[test]
fn a_controller_that_is_killed_in_the_middle_goes_on() -> Result<()> {
    let fleet = boot()?;
    apply(&fleet, GOOD, "10s")?;
    fleet.controller.wait_until("the canary to have it", || Ok(watching(&fleet)?.len() == 1))?;
    fleet.controller.host.signal_main(UNIT, Signal::KILL)?;
    fleet.controller.host.wait_active(UNIT, LIMIT)?;
    assert_eq!(watching(&fleet)?.len(), 1, "nobody is told because of that");
    let done = fleet.wait_rollout(1, "done")?;
    assert_eq!(done["waves"], 2);
    assert_eq!(watching(&fleet)?.len(), 3);
    assert!(fleet.has_no_drift()?);
    Ok(())
}
