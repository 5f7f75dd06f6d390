//! What is done about a unit's memory: it is asked to give some back, or given a mark above which the kernel slows it down.

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::memory::{MemoryAction, Release, ReleaseSignal},
    id::UnitName,
    text::Text,
    unit::Sender,
    units::ByteSize,
};
use rustix::process::{Pid, Signal};

use super::figures::text;
use crate::linux::{
    LinuxHost, act,
    systemd::{self, Bus},
};

/// Does it.
pub(super) async fn perform(host: &LinuxHost, action: &MemoryAction, run: &ActionRun) -> ActionOutcome {
    let Some(bus) = &host.inner.bus else { return ActionOutcome::Refused { why: "no systemd runs here".into() } };
    match action {
        MemoryAction::Release { unit, how: Release::Signal(signal) } => release(host, bus, unit, *signal).await,
        MemoryAction::Release { how: Release::Command(command), .. } => act::outcome(host, command, run, "ran").await,
        MemoryAction::Limit { unit, high } => limit(host, bus, unit, *high).await,
    }
}

fn signal_of(signal: ReleaseSignal) -> Signal {
    match signal {
        ReleaseSignal::Hup => Signal::HUP,
        ReleaseSignal::Usr1 => Signal::USR1,
        ReleaseSignal::Usr2 => Signal::USR2,
        ReleaseSignal::Winch => Signal::WINCH,
    }
}

async fn release(host: &LinuxHost, bus: &Bus, unit: &UnitName, signal: ReleaseSignal) -> ActionOutcome {
    let root = &host.inner.options.root;
    let catches = |pid: Pid| {
        let status = text(&root.join(format!("proc/{}/status", pid.as_raw_nonzero()))).unwrap_or_default();
        match is_caught(&status, signal_of(signal)) {
            true => Ok(()),
            // What does not catch a signal is ended by it.
            false => Err(format!("the main process of {unit} does not catch {signal}, so it was not sent")),
        }
    };
    match systemd::signal_main_if(bus, unit, signal_of(signal), Sender::Remedy, catches).await {
        Ok(()) => ActionOutcome::Succeeded { note: Text::new(format!("{signal} sent to the main process of {unit}")) },
        Err(why) => ActionOutcome::Refused { why: Text::new(why) },
    }
}

/// Whether a process has a handler for a signal, by the mask in its status; see proc(5).
fn is_caught(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(str::trim);
    let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1)
}

async fn limit(host: &LinuxHost, bus: &Bus, unit: &UnitName, high: ByteSize) -> ActionOutcome {
    let group = match systemd::control_group(bus, unit).await {
        Ok(group) => group,
        Err(error) => return ActionOutcome::Refused { why: Text::new(error.to_string()) },
    };
    let file = host.inner.options.root.join("sys/fs/cgroup").join(group.trim_start_matches('/')).join("memory.high");
    if !file.is_file() {
        let why = format!("no memory controller counts for {unit} here, so MemoryHigh= would do nothing");
        return ActionOutcome::Refused { why: Text::new(why) };
    }
    match systemd::set_until_boot(bus, unit, "MemoryHigh", high.0).await {
        Ok(()) => {
            let note = format!(
                "MemoryHigh={high} set on {unit} until the next boot; `systemctl set-property --runtime {unit} \
                 MemoryHigh=infinity` takes it back"
            );
            ActionOutcome::Succeeded { note: Text::new(note) }
        }
        Err(error) => ActionOutcome::Failed { why: Text::new(format!("systemd says: {error}")) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_signal_with_a_handler_is_caught() {
        // SIGHUP is 1, SIGUSR1 is 10: bits 0 and 9.
        let status = "SigIgn:\tffffffffffffffff\nSigCgt:\t0000000000000201\n";
        let caught = ReleaseSignal::ALL.map(|signal| is_caught(status, signal_of(signal)));
        assert_eq!(caught, [true, true, false, false]);
        assert!(!is_caught("", Signal::HUP) && !is_caught("SigCgt: what?\n", Signal::HUP));
    }
}
