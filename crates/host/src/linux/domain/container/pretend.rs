//! The containers of the fake machine: each runs, with a health check whose verdict is what a test says; for one run, or for good.

use std::collections::BTreeMap;

use ansai_model::{
    action::ActionOutcome,
    domain::container::{
        ContainerAction, ContainerFacts, ContainerProbe, ContainerSnapshot, ContainerState, EndedBy, HealthSeen, Owner,
        Verdict, judge, mends,
    },
    inventory::Inventory,
    observation::Observation,
    text::Text,
    time::WallTime,
};
use core::time::Duration;

use crate::fake::Machine;

/// How its health check is run.
const EVERY: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// A container of the fake machine.
#[derive(Debug, Default)]
struct Container {
    needs: Vec<String>,
    started: Duration,
    is_stopped: bool,
    /// Whether this run is unhealthy, and every one after it.
    is_unhealthy: bool,
    stays_so: bool,
}

/// The containers of the fake machine, by name.
#[derive(Debug, Default)]
pub struct Containers(BTreeMap<String, Container>);

impl Containers {
    /// Makes one, which runs and needs these.
    pub fn add(&mut self, name: &str, needs: &[&str]) {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        self.0.insert(name.to_owned(), Container { needs, ..Container::default() });
    }

    /// Its run is unhealthy; with `stays_so` the next ones are as well.
    pub fn sicken(&mut self, name: &str, stays_so: bool) {
        if let Some(container) = self.0.get_mut(name) {
            (container.is_unhealthy, container.stays_so) = (true, stays_so);
        }
    }

    /// Somebody stops it.
    pub fn stop(&mut self, name: &str) {
        self.0.get_mut(name).into_iter().for_each(|container| container.is_stopped = true);
    }

    /// Adds to the inventory what it has.
    pub(in crate::linux::domain) fn tell(&self, inventory: &mut Inventory) {
        let facts = self.0.iter().map(|(name, container)| ContainerFacts {
            name: name.clone(),
            image: "example/app:1".into(),
            owner: Owner::Nobody,
            needs: container.needs.clone(),
            settles_within: Some(EVERY * RETRIES),
        });
        inventory.containers = facts.collect();
        inventory.engines = self.0.first_key_value().map(|_| "docker".into()).into_iter().collect();
    }
}

fn wall(machine: &Machine) -> WallTime {
    WallTime(i64::try_from(machine.now().as_millis()).unwrap_or(i64::MAX))
}

fn snapshot(machine: &Machine, container: &Container) -> ContainerSnapshot {
    let now = wall(machine);
    let started = WallTime(i64::try_from(container.started.as_millis()).unwrap_or(i64::MAX));
    let health = HealthSeen {
        verdict: if container.is_unhealthy { Verdict::Unhealthy } else { Verdict::Healthy },
        failed_in_a_row: if container.is_unhealthy { RETRIES } else { 0 },
        last_run: Some(now),
        said: if container.is_unhealthy { "connection refused".into() } else { "".into() },
        every: EVERY,
        timeout: EVERY,
        start_period: Duration::ZERO,
        retries: RETRIES,
    };
    let running = ContainerSnapshot { health: Some(health), ..ContainerSnapshot::running(Some(started)) };
    match container.is_stopped {
        false => running,
        true => ContainerSnapshot {
            state: ContainerState::Exited,
            word: "exited".into(),
            ended_by: EndedBy::Somebody,
            ..running
        },
    }
}

/// What a look finds.
pub(super) fn seen(machine: &Machine, probe: &ContainerProbe) -> Observation {
    match machine.domains.containers.0.get(&probe.name) {
        Some(container) => judge(probe, &snapshot(machine, container), wall(machine)),
        None => Observation::unknown(format!("no engine here has a container {}", probe.name)),
    }
}

/// What a restart does.
pub(super) fn restart(machine: &mut Machine, action: &ContainerAction) -> ActionOutcome {
    let ContainerAction::Restart { name } = action;
    let probe = ContainerProbe { name: name.clone(), restarts_max: u32::MAX, within: EVERY };
    let Some(container) = machine.domains.containers.0.get(name) else {
        return ActionOutcome::Refused { why: Text::new(format!("no engine here has a container {name}")) };
    };
    if let Err(why) = mends(&probe, &snapshot(machine, container), wall(machine)) {
        return ActionOutcome::Refused { why: Text::new(why) };
    }
    let now = machine.now();
    if let Some(container) = machine.domains().containers.0.get_mut(name) {
        (container.started, container.is_unhealthy) = (now, container.stays_so);
    }
    ActionOutcome::Succeeded { note: "restarted by docker".into() }
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    #[test]
    fn a_restart_mends_what_is_unhealthy_and_touches_nothing_that_is_stopped() {
        let probe = ContainerProbe { name: "web".into(), restarts_max: 3, within: EVERY };
        let restart_it = ContainerAction::Restart { name: "web".into() };
        let mut machine = Machine::new();
        assert_eq!(seen(&machine, &probe).health(), Health::Unknown);
        machine.domains().containers.add("web", &["db"]);
        assert_eq!(seen(&machine, &probe).health(), Health::Healthy);
        assert!(matches!(restart(&mut machine, &restart_it), ActionOutcome::Refused { .. }));
        machine.domains().containers.sicken("web", false);
        assert_eq!(seen(&machine, &probe).health(), Health::Failing);
        assert!(matches!(restart(&mut machine, &restart_it), ActionOutcome::Succeeded { .. }));
        assert_eq!(seen(&machine, &probe).health(), Health::Healthy);
        machine.domains().containers.sicken("web", true);
        restart(&mut machine, &restart_it);
        assert_eq!(seen(&machine, &probe).health(), Health::Failing);
        machine.domains().containers.stop("web");
        assert!(seen(&machine, &probe).unit().is_some_and(|unit| unit.is_stopped_on_request()));
        assert!(matches!(restart(&mut machine, &restart_it), ActionOutcome::Refused { .. }));
        assert_eq!(machine.inventory().containers[0].needs, ["db"]);
    }
}
