//! One configuration for all hosts: a right one reaches each, though the controller is killed meanwhile; a wrong one stops at the
//! canary and is brought back.

use std::time::Instant;

use ansai_lab::{agent, poll};
use anyhow::Result;
use serde_json::Value;

use super::{Course, LIMIT, PORT, SPOTS, cut, healed_by, of_all};

/// Where the files lie on the controller's host.
const SITE: &str = "/root/site";
/// How long each wave is watched before the next.
const SOAK: &str = "3s";
/// A port at which nobody listens.
const WRONG: u16 = 5999;
/// What is killed beside the controller, by its place.
const MEANWHILE: usize = 1;

/// A service and the port at which it is asked. It was started just before, which is no excuse here.
fn probed(service: &str, port: u16) -> String {
    format!(
        "services:\n  {service}.service:\n    start_period: 1s\n    \
         probe: {{http: \"http://127.0.0.1:{port}/\", every: 1s, timeout: 1s, fail_after: 2}}\n"
    )
}

/// The hosts that were told a configuration.
fn told_hosts(rollout: &Value) -> Vec<&str> {
    let hosts = rollout["hosts"].as_array().into_iter().flatten();
    hosts.filter(|host| !host["progress"].is_null()).filter_map(|host| host["host"].as_str()).collect()
}

impl Course {
    /// Writes a file of the fleet's configuration.
    pub(super) fn write(&self, layer: &str, text: &str) -> Result<()> {
        self.fleet.controller.host.write_file(format!("{SITE}/{layer}.yaml"), text, 0o644)
    }

    pub(super) fn apply(&self, soak: &str) -> Result<()> {
        let said = self.asked(&["ansai", "fleet", "apply", SITE, "--canary", "1", "--soak", soak, "--yes"])?;
        self.told(&said);
        Ok(())
    }

    /// How many hosts have the service healthy by the probe that the fleet says.
    fn well(&self) -> Result<usize> {
        for (place, spot) in SPOTS.iter().enumerate() {
            agent::wait_health(self.host(place), &spot.unit(), "healthy")?;
        }
        self.active()
    }

    pub(super) fn configured(&mut self) -> Result<()> {
        SPOTS.iter().try_for_each(|spot| self.write(&format!("role-{}", spot.role), &probed(spot.service, PORT)))?;
        let begun = Instant::now();
        self.apply(SOAK)?;
        let first = poll::until("the canary to have it", LIMIT, poll::INTERVAL, || {
            let rollout = self.fleet.rollout()?;
            let in_force = rollout["hosts"].as_array().into_iter().flatten().any(|host| host["progress"] == "in-force");
            Ok(in_force.then(|| told_hosts(&rollout).join(", ")))
        })?;
        self.told(&format!("the canary is {first}, and is watched for {SOAK}"));
        let spot = &SPOTS[MEANWHILE];
        let incident = self.incidents(MEANWHILE)? + 1;
        let killed = Instant::now();
        let process = self.fleet.controller.kill()?;
        self.kill(MEANWHILE)?;
        self.told(&format!("the controller is killed, and {} on {} as well", spot.service, spot.name));
        let report = agent::wait_report(self.host(MEANWHILE), &format!("i{incident}"), "healed")?;
        self.fleet.controller.wait_back(process)?;
        self.told(&format!("{} is healed without it, and it is back by itself", spot.service));
        let is_once = || Ok(self.fleet.phases(MEANWHILE)?.len() == incident);
        self.fleet.controller.wait_until("what happened meanwhile to be seen", is_once)?;
        let back = killed.elapsed();
        let done = self.fleet.wait_rollout(2, "done")?;
        let took = begun.elapsed().as_secs();
        let has = self.well()?;
        self.told(&format!("generation 2 is everywhere, in {} waves", done["waves"]));
        let is_one = SPOTS.iter().any(|spot| spot.name == first);
        let is_so =
            is_one && told_hosts(&done).len() == SPOTS.len() && has == SPOTS.len() && self.fleet.has_no_drift()?;
        let seen = format!("{first} alone, then {} after {took} s in {} waves", of_all(has), done["waves"]);
        self.line("a configuration by role", "one canary, then all have it", &seen, is_so);
        let seen =
            format!("healed by {}, seen here once, {:.1} s after the kill", healed_by(&report), back.as_secs_f64());
        let is_so = self.fleet.phases(MEANWHILE)?.len() == incident && done["waves"].as_u64() > Some(1);
        let what = format!("controller killed amid it, and {} of {} too", spot.service, spot.name);
        self.line(&what, "healed alone, told once, the roll-out goes on", &seen, is_so);
        Ok(())
    }

    pub(super) fn misconfigured(&mut self) -> Result<()> {
        self.write(&format!("role-{}", SPOTS[0].role), &probed(SPOTS[0].service, WRONG))?;
        self.apply("20s")?;
        let begun = Instant::now();
        let stopped = self.fleet.wait_rollout(3, "stopped")?;
        let took = begun.elapsed().as_secs_f64();
        let why = stopped["why"].as_str().unwrap_or_default().to_owned();
        self.told(&format!("it was stopped: {why}"));
        let told = told_hosts(&stopped);
        let is_so = told.len() == 1 && why.contains(told[0]) && why.contains(&SPOTS[0].unit());
        let why = why.replacen(told.first().unwrap_or(&""), "it", 1);
        let seen = format!("{} alone was told, for {took:.1} s: {why}", told.join(", "));
        self.line("a wrong port for the role web", "stopped at the canary, nobody else is told", &cut(&seen), is_so);
        self.told(&self.asked(&["ansai", "fleet", "rollback", "--yes"])?);
        let back = self.fleet.wait_rollout(4, "done")?;
        let has = self.well()?;
        self.shown(&["ansai", "fleet", "rollouts"], 5)?;
        // The canary may have been restarted for it, and that is over as well.
        self.fleet.controller.wait_until("the stopped one to be over", || self.fleet.own_has_ended())?;
        let is_so = back["reverts"] == 2 && has == SPOTS.len() && self.fleet.has_no_drift()?;
        let seen = format!("generation 4 is generation {} again; {} well, no drift", back["reverts"], of_all(has));
        self.line("rollback", "all have what they had, and are well", &seen, is_so);
        Ok(())
    }
}
