//! Lets the stopped processes of a unit go on before it is stopped: a command of the unit's (`ExecStop=`) asks its processes to
//! end, and those that were stopped by a signal would not hear it until systemd's patience is over. systemd itself sends SIGCONT
//! with its own signal, and this is the same before that command. What a debugger holds is left alone, and so is what the
//! unit's `KillMode=` keeps from a stop.

use std::{path::Path, time::Duration};

use ansai_model::{action::ActionOutcome, id::UnitName, text::Text, unit::ActiveState};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::kill::{main, mode};
use crate::linux::{
    aside::{self, Kind, Work},
    port_owner,
    systemd::{bus::Bus, stalled::is_stopped, unit::processes},
};

/// Most processes of a unit that are looked at.
const PROCESSES_MAX: usize = 1024;
const PROC: &str = "/proc";
/// Longest wait for their files.
const READ_TIME: Duration = Duration::from_secs(2);

/// How many were let go on; nothing when none was stopped.
pub(super) async fn before_stop(bus: &Bus, unit: &UnitName) -> Option<usize> {
    let unit = &bus.own_name(unit);
    if matches!(bus.last_state(unit), Some(ActiveState::Inactive | ActiveState::Failed)) {
        return None;
    }
    let all = processes(bus, unit).await.ok()?;
    let looks =
        move || all.into_iter().take(PROCESSES_MAX).filter(|pid| is_stopped(Path::new("/"), *pid)).collect::<Vec<_>>();
    let work = Work::new(Kind::Act, format!("the stopped processes of {unit}"));
    let stopped = aside::run(work, READ_TIME, looks).await.ok()?;
    if stopped.is_empty() {
        return None;
    }
    let only = if reaches_all(&mode(bus, unit).await.ok()?) { None } else { Some(main(bus, unit).await?) };
    let woken = stopped.into_iter().filter(|pid| only.is_none_or(|main| main == *pid)).filter(|pid| wakes(*pid, unit));
    Some(woken.count()).filter(|count| *count > 0)
}

/// Whether a stop of a unit with this `KillMode=` ends all of its processes, in the end.
fn reaches_all(mode: &str) -> bool {
    !matches!(mode, "process" | "none")
}

/// Sends SIGCONT to a process that is of this unit; it is held first, so that its number cannot come to mean another.
fn wakes(pid: u32, unit: &UnitName) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    port_owner::is_within(Path::new(PROC), pid, unit.as_str()) && pidfd_send_signal(&fd, Signal::CONT).is_ok()
}

/// What came of the stop, with how many were let go on for it.
pub(super) fn told(outcome: ActionOutcome, woken: Option<usize>) -> ActionOutcome {
    match (outcome, woken) {
        (ActionOutcome::Succeeded { note }, Some(woken)) => {
            let processes =
                if woken == 1 { "1 stopped process".to_owned() } else { format!("{woken} stopped processes") };
            let note = format!("{note}; {processes} had to go on first, to hear the stop (SIGCONT)");
            ActionOutcome::Succeeded { note: Text::new(note) }
        }
        (outcome, _) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_keeps_from_a_stop_is_not_let_go_on() {
        assert_eq!(["control-group", "mixed", ""].map(reaches_all), [true; 3]);
        assert_eq!(["process", "none"].map(reaches_all), [false; 2]);
    }

    #[test]
    fn nobody_of_another_unit_is_let_go_on() {
        let mut child = std::process::Command::new("/bin/sleep").arg("600").spawn().expect("it starts");
        rustix::process::kill_process(Pid::from_child(&child), Signal::STOP).expect("stopped");
        while !is_stopped(Path::new("/"), child.id()) {
            std::thread::yield_now();
        }
        let other = UnitName::new("ansai-no-such-unit.service").expect("valid");
        assert!(!wakes(child.id(), &other) && is_stopped(Path::new("/"), child.id()));
        child.kill().expect("ended");
        child.wait().expect("waited for");
    }
}
