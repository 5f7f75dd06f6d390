//! The host's clock: whether the kernel says that it is synchronized, and how the unit stands that does it. It reads only:
//! nothing here can set a clock, and a restart of the unit is systemd's work, asked for like any other.

mod evidence;
mod listed;
pub mod pretend;

use std::time::Duration;

use ansai_model::{
    domain::timesync::{KernelClock, SYNCHRONIZERS, Synchronizer, TimesyncProbe, judge},
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    observation::Observation,
    unit::ActiveState,
};

use crate::linux::{
    LinuxHost, kernel,
    systemd::{self, Bus, CallError},
};

/// Of a second.
const MICROS: u64 = 1_000_000;
const NANOS: u64 = 1_000_000_000;

/// Observes once.
async fn observe(bus: Option<&Bus>, probe: &TimesyncProbe, timeout: Duration) -> Observation {
    let Some(bus) = bus else { return Observation::unknown("no systemd runs here") };
    match tokio::time::timeout(timeout, stands(bus, &probe.unit)).await {
        Ok(Ok(unit)) => judge(probe, &unit, clock().as_ref().map(|clock| *clock).map_err(String::as_str)),
        Ok(Err(error)) => Observation::unknown(error.to_string()),
        Err(_) => Observation::unknown("systemd did not answer in time"),
    }
}

async fn stands(bus: &Bus, unit: &UnitName) -> Result<Synchronizer, CallError> {
    if let Some(ran) = systemd::up_for(bus, unit).await? {
        return Ok(Synchronizer::Up(Some(ran)));
    }
    let condition = systemd::unmet_condition(bus, unit).await;
    Ok(condition.map_or(Synchronizer::Down, Synchronizer::PassedOver))
}

/// What the kernel says of its clock, or why it does not.
fn clock() -> Result<KernelClock, String> {
    let asked = kernel::clock_discipline();
    asked.map(|raw| read(&raw)).map_err(|error| format!("it refuses the question ({})", ansai_files::said(&error)))
}

fn read((state, raw): &(libc::c_int, libc::timex)) -> KernelClock {
    let unit_of_offset = if raw.status & libc::STA_NANO == 0 { MICROS } else { NANOS };
    KernelClock {
        is_synchronized: *state != libc::TIME_ERROR && raw.status & libc::STA_UNSYNC == 0,
        error: time(raw.esterror, MICROS),
        error_max: time(raw.maxerror, MICROS),
        offset: time(raw.offset, unit_of_offset),
    }
}

/// A count of these parts of a second, in either direction; how wide it is differs with the machine.
fn time(count: impl Into<i64>, of_second: u64) -> Duration {
    Duration::from_nanos(count.into().unsigned_abs().saturating_mul(NANOS / of_second))
}

/// The unit that synchronizes the clock: the one that runs, or else one that ought to and may.
pub(super) async fn found(host: &LinuxHost, inventory: &mut Inventory) {
    let Some(bus) = &host.inner.bus else { return };
    // Where the kernel may not be asked, as in many containers, nothing would ever be known, of the unit's service neither.
    if clock().is_err() {
        return;
    }
    let known = known(inventory);
    inventory.timesync = match running(&known) {
        Some(unit) => Some(unit.clone()),
        None => wanted(bus, &known).await,
    };
}

/// Those that the host has, in the order of their names' list.
fn known(inventory: &Inventory) -> Vec<&UnitFacts> {
    let named = |name: &&str| inventory.units.iter().find(|unit| unit.name.as_str() == *name);
    SYNCHRONIZERS.iter().filter_map(named).collect()
}

/// The one that runs; one that has failed or is on its way comes behind it.
fn running<'a>(known: &[&'a UnitFacts]) -> Option<&'a UnitName> {
    let up = known.iter().find(|unit| unit.active.is_up());
    let was_up = || known.iter().find(|unit| unit.active != ActiveState::Inactive);
    up.or_else(was_up).map(|unit| &unit.name)
}

async fn wanted(bus: &Bus, known: &[&UnitFacts]) -> Option<UnitName> {
    for UnitFacts { name, .. } in known {
        if systemd::is_wanted(bus, name).await && systemd::unmet_condition(bus, name).await.is_none() {
            return Some(name.clone());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_in_its_units() {
        // What it says of a clock that was never set: TIME_ERROR with STA_UNSYNC.
        let (state, mut raw) = kernel::clock_discipline().expect("anybody may ask");
        let seen = read(&(state, raw));
        assert_eq!(seen.is_synchronized, state != libc::TIME_ERROR && raw.status & libc::STA_UNSYNC == 0, "{seen:?}");
        (raw.status, raw.offset, raw.esterror, raw.maxerror) = (libc::STA_PLL, -1_500, 250, 34_000);
        let micros = Duration::from_micros;
        let told = |is_synchronized, offset| KernelClock {
            is_synchronized,
            offset,
            error: micros(250),
            error_max: micros(34_000),
        };
        assert_eq!(read(&(libc::TIME_OK, raw)), told(true, micros(1_500)));
        assert_eq!(read(&(libc::TIME_ERROR, raw)), told(false, micros(1_500)));
        raw.status |= libc::STA_NANO | libc::STA_UNSYNC;
        assert_eq!(read(&(libc::TIME_OK, raw)), told(false, Duration::from_nanos(1_500)));
    }

    #[test]
    fn of_several_the_one_that_runs_is_meant() {
        let facts = |name: &str, active| UnitFacts::plain(UnitName::new(name).expect("valid"), active);
        let check = |units: &[(&str, ActiveState)], found: Option<&str>| {
            let units = units.iter().map(|(name, active)| facts(name, *active)).collect();
            let inventory = Inventory { units, ..Inventory::default() };
            assert_eq!(running(&known(&inventory)).map(UnitName::as_str), found);
        };
        use ActiveState::{Active, Failed, Inactive};
        let (chrony, timesyncd) = ("chrony.service", "systemd-timesyncd.service");
        check(&[(timesyncd, Active), (chrony, Failed)], Some(timesyncd));
        check(&[(timesyncd, Inactive), (chrony, Failed)], Some(chrony));
        check(&[(timesyncd, Active), (chrony, Active)], Some(chrony));
        check(&[(timesyncd, Inactive), ("nginx.service", Active)], None);
    }
}
