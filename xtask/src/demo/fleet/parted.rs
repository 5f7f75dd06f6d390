//! A host that nobody reaches: it heals itself, the controller says what it does not know, and what either has to say of it is
//! said once when the network is whole again.

use ansai_lab::{agent, lan::Cable};
use anyhow::Result;

use super::{Course, LIMIT, SPOTS, healed_by};

/// Who is cut off, by its place.
const AWAY: usize = 2;

impl Course {
    pub(super) fn parted(&mut self) -> Result<()> {
        let spot = &SPOTS[AWAY];
        let incident = self.incidents(AWAY)? + 1;
        self.fleet.set(AWAY, Cable::Cut)?;
        self.kill(AWAY)?;
        let process = self.fleet.controller.kill()?;
        self.told(&format!(
            "the cable of {} is cut, {} is killed there, and the controller as well",
            spot.name, spot.service
        ));
        let report = agent::wait_report(self.host(AWAY), &format!("i{incident}"), "healed")?;
        let by = healed_by(&report);
        self.told(&format!("{} is healed there by {by}", spot.service));
        self.fleet.controller.wait_back(process)?;
        let health = || self.fleet.controller.sees(spot.name)["health"].clone();
        self.fleet.controller.wait_until("it to be unknown", || Ok(health() == "unknown"))?;
        self.told("the controller is back by itself; to it the host is unknown, which is neither well nor failing");
        let known = self.fleet.phases(AWAY)?.len();
        let is_so = known + 1 == incident && self.host(AWAY).is_active(&spot.unit())?;
        let what = format!("{} cut off, {} killed", spot.name, spot.service);
        self.line(&what, "healed there alone; unknown here", &format!("healed by {by}; unknown here"), is_so);
        let others: Vec<&str> = SPOTS.iter().map(|other| other.name).filter(|name| *name != spot.name).collect();
        self.fleet.controller.wait_connected(&others)?;
        self.told("the other three are linked again");
        self.held_without(AWAY)?;
        self.mended(incident)
    }

    /// Its silence becomes an incident, and the network is mended.
    fn mended(&mut self, incident: usize) -> Result<()> {
        let spot = &SPOTS[AWAY];
        let before = self.fleet.own()?.len();
        self.fleet
            .controller
            .host
            .wait_until("its silence to be an incident", 2 * LIMIT, || Ok(self.fleet.own()?.len() > before))?;
        let headline = self.fleet.own()?[0]["headline"].as_str().unwrap_or_default().to_owned();
        self.told(&format!("the controller has an incident of its own: {headline}"));
        self.fleet.set(AWAY, Cable::Plugged)?;
        self.told("the cable is mended");
        self.fleet.wait_connected()?;
        let is_told = || Ok(self.fleet.phases(AWAY)?.len() == incident);
        self.fleet.controller.wait_until("what happened meanwhile to be seen", is_told)?;
        let holds = || Ok(!agent::json(self.host(AWAY), &["status"])?["holds"].as_array().is_none_or(Vec::is_empty));
        self.fleet.controller.wait_until("the hold to reach it", holds)?;
        self.fleet.controller.wait_until("its silence to be over", || self.fleet.own_has_ended())?;
        self.told("it is linked, has told what happened, and holds as the others do; its silence is over");
        let is_so = self.fleet.own()?.len() == before + 1 && headline.contains(spot.name);
        let seen = "one incident, over; the healing told once; it holds";
        let what = format!("{} silent for 30 s, then its cable mended", spot.name);
        self.line(&what, "one incident, over; what happened told once; held as the others", seen, is_so);
        self.told(&self.asked(&["ansai", "release", "--fleet", "--yes"])?);
        Ok(())
    }

    /// A hold for all, while one is not reached.
    fn held_without(&mut self, place: usize) -> Result<()> {
        let command = ["ansai", "hold", "--fleet", "--reason", "again", "--yes"];
        let said = self.fleet.controller.host.run(&command)?.stdout;
        self.told(&said);
        let name = SPOTS[place].name;
        let counted = format!("{} of {}", SPOTS.len() - 1, SPOTS.len());
        let is_so = said.contains(&counted) && said.contains(name);
        let missing = said.split([';', '\n']).map(str::trim).find(|clause| clause.starts_with("not reached"));
        let seen = format!("{counted} hold; {}", missing.unwrap_or("all were reached"));
        self.line("hold while it is away", &format!("{counted} hold, {name} is named"), &seen, is_so);
        Ok(())
    }
}
