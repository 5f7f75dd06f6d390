//! The timesync domain's values: whether the host's clock is synchronized, by the kernel's own word, and what that means.
//! Asking the kernel is `host::linux::domain::timesync`'s work. Nobody here sets a clock: what is done about it is that the
//! unit is restarted that synchronizes it.

use alloc::{format, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    condition::{Value, ValueType},
    domain::{Domain, Look, Signs},
    id::UnitName,
    observation::Observation,
    time::Shown,
};

/// The domain. Where the unit that synchronizes is kept well as a service, it is looked at there; otherwise the clock is a
/// target of its own.
pub const DOMAIN: Domain = Domain {
    key: "timesync",
    has_targets: true,
    figures: FIGURES,
    is_down: false,
    by_hand: &["timedatectl"],
    signs: Signs::NONE,
};

/// The units that synchronize clocks, by the names that distributions give them; of two that could, the earlier one is meant.
pub const SYNCHRONIZERS: &[&str] = &[
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntpd-rs.service",
    "ntp.service",
    "ntpd.service",
    "openntpd.service",
    "systemd-timesyncd.service",
];

/// A look at the kernel's clock, and at the unit that synchronizes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimesyncProbe {
    /// The unit that synchronizes.
    pub unit: UnitName,
    /// How long after its start it may take until the clock is synchronized.
    pub settle: Duration,
}

const FIGURES: &[(&str, ValueType)] = &[
    ("timesync.synchronized", ValueType::Bool),
    ("timesync.error", ValueType::Duration),
    ("timesync.error_max", ValueType::Duration),
    ("timesync.offset", ValueType::Duration),
];

impl Look for TimesyncProbe {
    fn kind(&self) -> &'static str {
        DOMAIN.key
    }

    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        FIGURES
    }

    /// That its unit does not run is said by the check of the unit, and a host without a clock of its own has nothing to say.
    fn is_unknown_elsewhere(&self) -> bool {
        true
    }
}

/// What the kernel says of its clock; after adjtimex(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KernelClock {
    /// Whether somebody has synchronized it and that still holds: neither `STA_UNSYNC` nor `TIME_ERROR`.
    pub is_synchronized: bool,
    /// How far it is off, as whoever synchronizes it estimates.
    pub error: Duration,
    /// How far it may be off at most; 16 seconds when nobody knows.
    pub error_max: Duration,
    /// What is still being taken away or added, in either direction.
    pub offset: Duration,
}

/// How the unit that synchronizes stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synchronizer {
    /// It runs, for so long where that is known.
    Up(Option<Duration>),
    /// It does not.
    Down,
    /// systemd passes it over, because this condition of the unit does not hold: the clock is another's.
    PassedOver(String),
}

/// What a look means; `clock` is what the kernel says, or why it does not.
///
/// Failing when the kernel says that its clock is not synchronized, though the unit has run for longer than it may take.
/// A unit that does not run is its own check's matter, and a clock that is not this host's fails never.
#[must_use]
pub fn judge(probe: &TimesyncProbe, unit: &Synchronizer, clock: Result<KernelClock, &str>) -> Observation {
    let TimesyncProbe { unit: name, settle } = probe;
    let ran = match unit {
        Synchronizer::Up(ran) => *ran,
        Synchronizer::Down => {
            return Observation::unknown(format!("{name} does not run, so nobody synchronizes the clock"));
        }
        Synchronizer::PassedOver(condition) => {
            return Observation::unknown(format!(
                "systemd passes {name} over here, as a condition of it does not hold ({condition}): the clock is another's"
            ));
        }
    };
    let clock = match clock {
        Ok(clock) => clock,
        Err(why) => {
            return Observation::unknown(format!("the kernel does not say whether the clock is synchronized: {why}"));
        }
    };
    let most = Shown(clock.error_max);
    let made = match ran.filter(|ran| ran < settle) {
        _ if clock.is_synchronized => Observation::healthy(format!("synchronized by {name}; off by {most} at most")),
        Some(ran) => Observation::unknown(format!(
            "not synchronized yet: {name} was started {} ago, and has {} for it",
            Shown(ran),
            Shown(*settle)
        )),
        None => Observation::failing(format!(
            "the clock is not synchronized, says the kernel, though {name} has run for longer than {}; it may be off by \
             {most} and more",
            Shown(*settle)
        )),
    };
    made.with_figure("timesync.synchronized", Value::Bool(clock.is_synchronized))
        .with_figure("timesync.error", Value::Duration(clock.error))
        .with_figure("timesync.error_max", Value::Duration(clock.error_max))
        .with_figure("timesync.offset", Value::Duration(clock.offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Health;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock(is_synchronized: bool) -> KernelClock {
        let error_max = if is_synchronized { Duration::from_micros(34_560) } else { Duration::from_secs(16) };
        KernelClock { is_synchronized, error_max, ..KernelClock::default() }
    }

    /// What a look means, and in which words.
    #[track_caller]
    fn check(unit: Synchronizer, clock: Result<KernelClock, &str>, health: Health, words: &str) {
        let unit_name = UnitName::new("chrony.service").expect("valid");
        let probe = TimesyncProbe { unit: unit_name, settle: MINUTE * 10 };
        let judged = judge(&probe, &unit, clock);
        assert_eq!(judged.health(), health, "{judged:?}");
        assert_eq!(judged.summary().as_str(), words);
    }

    #[test]
    fn a_clock_fails_when_the_kernel_says_so_and_its_unit_had_its_time() {
        let up = |minutes: u32| Synchronizer::Up(Some(MINUTE * minutes));
        let well = "synchronized by chrony.service; off by 34ms at most";
        check(up(30), Ok(clock(true)), Health::Healthy, well);
        // What the last run has done holds until the kernel says otherwise.
        check(up(0), Ok(clock(true)), Health::Healthy, well);
        let early = "not synchronized yet: chrony.service was started 9m ago, and has 10m for it";
        check(up(9), Ok(clock(false)), Health::Unknown, early);
        let late = "the clock is not synchronized, says the kernel, though chrony.service has run for longer than 10m; \
                    it may be off by 16s and more";
        check(up(10), Ok(clock(false)), Health::Failing, late);
        check(Synchronizer::Up(None), Ok(clock(false)), Health::Failing, late);
    }

    #[test]
    fn what_nobody_may_say_is_unknown_whatever_the_clock_is() {
        let down = "chrony.service does not run, so nobody synchronizes the clock";
        check(Synchronizer::Down, Ok(clock(false)), Health::Unknown, down);
        let condition = Synchronizer::PassedOver("ConditionCapability=CAP_SYS_TIME".into());
        let words = "systemd passes chrony.service over here, as a condition of it does not hold \
                     (ConditionCapability=CAP_SYS_TIME): the clock is another's";
        check(condition, Ok(clock(false)), Health::Unknown, words);
        let denied = "the kernel does not say whether the clock is synchronized: Operation not permitted";
        check(Synchronizer::Up(None), Err("Operation not permitted"), Health::Unknown, denied);
    }

    #[test]
    fn what_is_reported_is_declared() {
        let unit = UnitName::new("chrony.service").expect("valid");
        let probe = TimesyncProbe { unit, settle: MINUTE };
        let seen = judge(&probe, &Synchronizer::Up(None), Ok(clock(true)));
        for (name, kind) in probe.figures() {
            assert_eq!(seen.figure(name).map(Value::value_type), Some(*kind), "{name}");
        }
    }
}
