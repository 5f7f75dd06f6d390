//! What is worth knowing of a clock that is not synchronized: the kernel's figures, how long its unit has run, and what the
//! synchronizer itself says of its servers. The unit's log is gathered as that of every unit.

use std::time::Duration;

use ansai_model::{
    domain::timesync::{KernelClock, Synchronizer, TimesyncProbe},
    incident::{Evidence, EvidenceKind},
    probe::CommandLine,
    time::Shown,
};

use super::{clock, stands};
use crate::linux::{
    clock::wall_now,
    command::{self, Ended},
    systemd::Bus,
};

/// Longest that a synchronizer is asked.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How each tells of its servers, by the beginning of its unit's name. None of them changes anything.
const TELLS: &[(&str, &[&str])] = &[
    ("chrony", &["chronyc", "-n", "sources"]),
    ("ntpsec", &["ntpq", "-pn"]),
    ("ntpd-rs", &["ntp-ctl", "status"]),
    ("ntp", &["ntpq", "-pn"]),
    ("openntpd", &["ntpctl", "-s", "all"]),
    ("systemd-timesyncd", &["timedatectl", "--no-pager", "timesync-status"]),
];

/// Collects it.
pub(super) async fn gather(bus: Option<&Bus>, probe: &TimesyncProbe) -> Vec<Evidence> {
    let unit = match bus {
        Some(bus) => stands(bus, &probe.unit).await.ok(),
        None => None,
    };
    let mut found = vec![Evidence::seen_at(
        wall_now(),
        "the kernel's clock",
        EvidenceKind::Resources,
        words(probe, unit.as_ref(), clock()),
    )];
    let program = TELLS.iter().find(|(begins, _)| probe.unit.as_str().starts_with(begins));
    if let (Some((_, argv)), Some(Synchronizer::Up(_))) = (program, &unit) {
        let finished = command::run(&CommandLine::new(argv.iter().copied()), TIMEOUT).await;
        let said = finished.output.trim();
        // Whoever is not installed says nothing, and it does not matter.
        if finished.ended == Ended::Code(0) && !said.is_empty() {
            found.push(Evidence::seen_at(wall_now(), argv.join(" "), EvidenceKind::Resources, said));
        }
    }
    found
}

fn words(probe: &TimesyncProbe, unit: Option<&Synchronizer>, clock: Result<KernelClock, String>) -> String {
    let mut lines = Vec::new();
    lines.push(match clock {
        Ok(clock) => {
            let is = if clock.is_synchronized { "synchronized" } else { "not synchronized" };
            let (error, most, offset) = (Shown(clock.error), Shown(clock.error_max), Shown(clock.offset));
            format!("{is}; estimated error {error}, at most {most}; {offset} are being made up for")
        }
        Err(why) => why,
    });
    let unit_name = &probe.unit;
    lines.extend(match unit {
        Some(Synchronizer::Up(Some(ran))) => Some(format!("{unit_name} was started {} before", Shown(*ran))),
        Some(Synchronizer::Up(None)) => Some(format!("{unit_name} runs")),
        Some(Synchronizer::Down) => Some(format!("{unit_name} does not run")),
        Some(Synchronizer::PassedOver(condition)) => {
            Some(format!("{unit_name} is passed over, as a condition of it does not hold ({condition})"))
        }
        None => None,
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use ansai_model::id::UnitName;

    use super::*;

    #[test]
    fn the_figures_are_told_with_their_units_and_how_long_it_had_run() {
        let unit = UnitName::new("chrony.service").expect("valid");
        let probe = TimesyncProbe { unit, settle: Duration::from_secs(600) };
        let clock = KernelClock { error_max: Duration::from_secs(16), ..KernelClock::default() };
        let up = Synchronizer::Up(Some(Duration::from_secs(900)));
        let said = words(&probe, Some(&up), Ok(clock));
        let expected = "not synchronized; estimated error 0s, at most 16s; 0s are being made up for\n\
                        chrony.service was started 15m before";
        assert_eq!(said, expected);
        assert_eq!(words(&probe, None, Err("it refuses".into())), "it refuses");
    }
}
