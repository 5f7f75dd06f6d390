//! What must have come about when a fleet was left in peace: everybody is there, nothing is held any more, services run, the
//! controller knows what is so, a hold reaches everybody, and a host that is not heard is an incident that ends.

use std::time::Duration;

use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    incident::Phase,
    observation::Health,
    policy::Scope,
};
use ansai_protocol::operation::FleetOperation;

use super::{host::SimHost, world::World};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    /// The faults stop; what then has to come about does.
    pub(super) fn comes_to_peace(&mut self) -> Result<(), String> {
        self.is_in_turmoil = false;
        self.slowness = 50;
        self.controller.disk_is_full = false;
        for index in 0..self.hosts.len() {
            let is_clone = self.hosts[..index].iter().any(|host| host.id == self.hosts[index].id);
            if is_clone {
                self.link_breaks(index);
                self.hosts[index].is_gone = true;
            }
            self.hosts[index].is_cut = false;
            self.hosts[index].disk_is_full = false;
        }
        self.passes(secs(20))?;
        if self.operators.numbers_are_ambiguous {
            self.controller.copy = Some(self.controller.disk.clone());
            self.comes_back_from_copy(true);
        }
        self.passes(secs(70))?;
        self.people_mend()?;
        self.everything_is_released()?;
        self.passes(secs(30))?;
        self.nothing_is_restrained()?;
        self.everything_runs("after the turmoil")?;
        self.no_permit_is_left()?;
        self.controller_knows()?;
        self.a_hold_reaches_everybody()?;
        self.silence_is_told()?;
        self.passes(secs(40))?;
        self.everything_is_told()
    }

    fn members(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|index| !self.hosts[*index].is_gone).collect()
    }

    fn people_mend(&mut self) -> Result<(), String> {
        for index in self.members() {
            self.on_host(index, |host, now, random| host.is_mended(now, random))?;
        }
        Ok(())
    }

    fn everything_is_released(&mut self) -> Result<(), String> {
        let known: Vec<_> = self.controller.engine.books().restraints.values().cloned().collect();
        for one in known {
            self.asks(FleetOperation::End { kind: one.kind, over: one.over, scope: one.scope })?;
        }
        Ok(())
    }

    fn nothing_is_restrained(&self) -> Result<(), String> {
        if self.somebody_waits() {
            return Err("answered_in_time: somebody still waits for an answer".into());
        }
        for host in self.members().into_iter().map(|index| &self.hosts[index]) {
            if !host.link.is_some_and(|link| link.is_up) {
                return Err(format!("comes_together: {} is not connected", host.name));
            }
            // What has ended by itself may be in the set still.
            let from = host.engine.state().controller.as_ref();
            let left = from.map_or(0, |from| from.in_force(host.now(self.now)).count());
            let epoch = host.ledger().map_or(0, |set| set.epoch);
            if left > 0 || epoch != self.epoch {
                return Err(format!(
                    "comes_together: {} has {:?} in force, and the controller nothing in ({}, {})",
                    host.name,
                    host.ledger(),
                    self.controller.disk.epoch,
                    self.controller.disk.generation
                ));
            }
        }
        Ok(())
    }

    fn everything_runs(&self, when: &str) -> Result<(), String> {
        // What fails again and again is with a person in the end, as it should be.
        let is_with_a_person = |host: &SimHost| {
            let mut open = host.engine.state().incidents.values();
            open.any(|incident| matches!(incident.phase, Phase::Escalated { .. }))
        };
        let hosts = self.members().into_iter().map(|index| &self.hosts[index]);
        match hosts.into_iter().find(|host| host.up != [true; 2] && !is_with_a_person(host)) {
            Some(host) => {
                let open = host.engine.state().incidents.values();
                let why: Vec<_> = open
                    .map(|one| {
                        let objections = one.decision.iter().flat_map(|decision| decision.objections());
                        let objections: Vec<_> = objections.map(|said| said.why.to_string()).collect();
                        format!("{} {:?}: {}", one.target, one.phase, objections.join(", "))
                    })
                    .collect();
                Err(format!("healed_when_free: on {} {:?} run {when}: {why:?}", host.name, host.up))
            }
            None => Ok(()),
        }
    }

    /// Who has nothing to mend holds no permit, by what it knows and by what the controller has kept.
    fn no_permit_is_left(&self) -> Result<(), String> {
        for host in self.members().into_iter().map(|index| &self.hosts[index]) {
            let state = host.engine.state();
            let held = self.controller.disk.permits.values().find(|permit| permit.host == host.id);
            if state.incidents.is_empty() && (held.is_some() || !state.permits.is_empty()) {
                return Err(format!("no_permit_is_left: {} has {:?}, kept is {held:?}", host.name, state.permits));
            }
        }
        Ok(())
    }

    /// What hosts told while nothing was kept, or while the controller was dead, has come all the same.
    fn controller_knows(&self) -> Result<(), String> {
        let disk = &self.controller.disk;
        for host in self.members().into_iter().map(|index| &self.hosts[index]) {
            let told: Vec<_> =
                disk.targets.iter().filter(|((of, _), _)| *of == host.id).map(|(_, told)| told).collect();
            let names: Vec<&str> = told.iter().map(|told| told.status.target.name()).collect();
            if names != host.targets() || told.iter().any(|told| told.status.health != Health::Healthy) {
                let told: Vec<_> = told.iter().map(|one| (&one.status.target, one.status.health)).collect();
                let standing = self.controller.engine.host(self.now, host.id);
                let waits = host.untold();
                return Err(format!(
                    "nothing_is_lost: of {} {:?} the controller knows {told:?}; {waits} wait to be kept; {standing:?}",
                    host.name, host.link
                ));
            }
        }
        match disk.open().find(|one| one.host.is_none()) {
            Some(one) => Err(format!("own_incidents_end: {} is open, and all is well", one.incident.headline)),
            None => Ok(()),
        }
    }

    fn a_hold_reaches_everybody(&mut self) -> Result<(), String> {
        let (kind, over, scope) = (RestraintKind::Hold, FleetScope::Fleet, Scope::All);
        let hold = FleetOperation::Restrain {
            kind,
            over: over.clone(),
            scope: scope.clone(),
            reason: "all".into(),
            lasts: None,
        };
        self.asks(hold)?;
        self.passes(secs(3))?;
        if self.somebody_waits() {
            return Err("hold_reaches_all: everybody is there, and the operator still waits".into());
        }
        for index in self.members() {
            self.on_host(index, |host, now, random| host.service_dies(0, now, random))?;
        }
        self.passes(secs(20))?;
        let acted = self.members().into_iter().map(|index| &self.hosts[index]).find(|host| host.up[0]);
        if let Some(host) = acted {
            return Err(format!("hold_reaches_all: {} has healed in a hold over all", host.name));
        }
        self.asks(FleetOperation::End { kind, over, scope })?;
        self.passes(secs(20))?;
        self.everything_runs("after a hold over all was released")
    }

    fn silence_is_told(&mut self) -> Result<(), String> {
        self.is_cut_off(0);
        self.passes(secs(100))?;
        let name = self.hosts[0].name.to_string();
        let open = |world: &Self| {
            let own = world.controller.disk.open().filter(|one| one.host.is_none());
            own.map(|one| one.incident.headline.to_string()).collect::<Vec<_>>()
        };
        let told = open(self);
        if told.len() != 1 || !told[0].contains(&name) {
            return Err(format!("silence_is_told: {name} was not heard for 100 s, and this is told: {told:?}"));
        }
        self.hosts[0].is_cut = false;
        self.passes(secs(15))?;
        match open(self).is_empty() {
            true => Ok(()),
            false => Err(format!("silence_is_told: {name} is heard again, and this is open: {:?}", open(self))),
        }
    }
}
