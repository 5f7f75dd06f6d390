//! The clock of the fake machine: synchronized, until it loses its servers; for one run of its unit, or for good.

use ansai_model::{
    domain::timesync::{KernelClock, SYNCHRONIZERS, Synchronizer, TimesyncProbe, judge},
    id::UnitName,
    inventory::Inventory,
    observation::Observation,
    text::Text,
    time::WallTime,
};

use crate::fake::Machine;

/// How far a clock is off at most.
const OFF: core::time::Duration = core::time::Duration::from_millis(20);
const OFF_UNKNOWN: core::time::Duration = core::time::Duration::from_secs(16);

/// Whether its clock is synchronized.
#[derive(Debug, Default)]
pub struct Timesync {
    /// The run that has lost its servers.
    lost_in: Option<Text>,
    is_lost: bool,
}

impl Timesync {
    /// This run of its unit has lost its servers; the next one finds them.
    pub fn lose_in(&mut self, invocation: Text) {
        self.lost_in = Some(invocation);
    }

    /// Every run has lost them, or none.
    pub fn lose(&mut self, is_lost: bool) {
        self.is_lost = is_lost;
    }

    /// Adds to the inventory what it has.
    pub(in crate::linux::domain) fn tell(&self, inventory: &mut Inventory) {
        let is_there = |name: &UnitName| inventory.units.iter().any(|unit| unit.name == *name);
        inventory.timesync = SYNCHRONIZERS.iter().filter_map(|name| UnitName::new(*name).ok()).find(is_there);
    }
}

/// What a look finds.
pub(super) fn seen(machine: &Machine, probe: &TimesyncProbe) -> Observation {
    let Some(unit) = machine.snapshot(&probe.unit) else {
        return Observation::unknown("systemd does not answer on D-Bus: the connection was closed");
    };
    let clock = &machine.domains.timesync;
    let is_lost = clock.is_lost || unit.invocation.is_some() && unit.invocation == clock.lost_in;
    let clock = KernelClock {
        is_synchronized: !is_lost,
        error_max: if is_lost { OFF_UNKNOWN } else { OFF },
        ..KernelClock::default()
    };
    let now = WallTime(i64::try_from(machine.now().as_millis()).unwrap_or(i64::MAX));
    let stands = match machine.runs(&probe.unit) {
        true => Synchronizer::Up(unit.since.map(|since| now.since(since))),
        false => Synchronizer::Down,
    };
    judge(probe, &stands, Ok(clock))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::observation::Health;

    use super::*;
    use crate::fake::UnitSpec;

    #[test]
    fn a_clock_that_lost_its_servers_is_held_against_its_unit_when_that_had_its_time() {
        let unit = UnitName::new("chrony.service").expect("valid");
        let probe = TimesyncProbe { unit: unit.clone(), settle: Duration::from_secs(600) };
        let mut machine = Machine::new();
        machine.add(UnitSpec::new(unit.clone()));
        assert_eq!(seen(&machine, &probe).health(), Health::Healthy);
        assert_eq!(machine.inventory().timesync, Some(unit.clone()));
        let run = machine.snapshot(&unit).and_then(|unit| unit.invocation).expect("it runs");
        machine.domains().timesync.lose_in(run);
        assert_eq!(seen(&machine, &probe).health(), Health::Unknown, "it was started just now");
        machine.advance(Duration::from_secs(700));
        assert_eq!(seen(&machine, &probe).health(), Health::Failing);
        machine.domains().timesync.lose_in("another".into());
        assert_eq!(seen(&machine, &probe).health(), Health::Healthy);
    }
}
