//! What still serves is disturbed on one host of a role at a time, by a permit of the controller: who waits is told who holds it,
//! what is down is mended meanwhile without any, and a holder that is deleted holds it no more.

use ansai_lab::agent::{self, QUICK};
use ansai_lab::fleet::{Fleet, Member};
use anyhow::{Context as _, Result};
use serde_json::Value;

const NAMES: [&str; 3] = ["web-01", "web-02", "web-03"];
const APP: &str = "app.service";
/// A matter of its own beside the unit: the app serves still while this file is there, and a restart does not help.
const GROWS: &str = "/run/grows";
const ITS_OWN: &str = "\
agent: {role: web}
services: {app.service: {}}
checks:
  'service/app.service#grows':
    {probe: {exec: [/usr/bin/test, '!', -e, /run/grows]}, every: 1s, every_soft: 1s, fail_after: 1, recover_after: 1}
rules:
  grows: {target: service/app.service, checks: ['service/app.service#grows'], runbook: grows, autonomy: act}
runbooks:
  grows:
    - {name: restart, steps: [{restart_unit: app.service}], then: verify}
";

fn permits(fleet: &Fleet) -> Result<Value> {
    fleet.controller.json(&["permits", "list"])
}

/// Waits until the only permit is held by this host; its number.
fn wait_held(fleet: &Fleet, by: &str) -> Result<String> {
    fleet.controller.wait_until(&format!("{by} to hold the only permit"), || {
        let held = permits(fleet)?["permits"].clone();
        Ok(held[0]["host"] == by && held.as_array().is_some_and(|held| held.len() == 1))
    })?;
    Ok(format!("p{}", permits(fleet)?["permits"][0]["id"].as_u64().context("a number")?))
}

/// Story 4 of the fleet's design.
#[test]
fn a_holder_that_is_deleted_holds_no_permit_and_who_waited_for_it_is_told_so_and_goes_on() -> Result<()> {
    let configuration = format!("{QUICK}{ITS_OWN}");
    let fleet =
        Fleet::boot_joined(&NAMES.map(|name| Member { name, units: &[("app", 5000)], configuration: &configuration }))?;
    fleet.hosts.iter().try_for_each(|host| agent::wait_health(host, APP, "healthy"))?;
    fleet.hosts[0].write_file(GROWS, "", 0o644)?;
    let first = wait_held(&fleet, "web-01")?;
    let before = fleet.hosts[1].main_pid(APP)?;
    fleet.hosts[1].write_file(GROWS, "", 0o644)?;
    agent::wait_says(&fleet.hosts[1], APP, &format!("{first} of web-01"))?;
    let said = permits(&fleet)?;
    assert_eq!(said["waiting"][0]["host"], "web-02", "{said:#}");
    let role = &said["roles"][0];
    assert_eq!((&role["members"], &role["healthy_min"]), (&Value::from(3), &Value::from(2)), "{said:#}");
    // What is down is mended as if there were no permits.
    fleet.kill_and_heal(2, APP, "i1")?;
    assert_eq!(fleet.hosts[1].main_pid(APP)?, before, "web-02 serves on, undisturbed");
    let removed = fleet.controller.host.run_ok(&["ansai", "hosts", "remove", "web-01", "--yes"])?.stdout;
    assert!(removed.contains(&format!("free again is what it held: {first}")), "{removed}");
    let second = wait_held(&fleet, "web-02")?;
    fleet.controller.wait_until("web-02 to restart its app", || Ok(fleet.hosts[1].main_pid(APP)? != before))?;
    // A person takes it back; rehearsed, nothing is changed.
    let dry = fleet.controller.host.run_ok(&["ansai", "permits", "free", &second, "--dry-run"])?.stdout;
    assert!(dry.contains("nothing was changed"), "{dry}");
    assert_eq!(wait_held(&fleet, "web-02")?, second);
    let freed = fleet.controller.host.run_ok(&["ansai", "permits", "free", &second, "--yes"])?.stdout;
    assert!(freed.contains("is free again"), "{freed}");
    Ok(())
}
