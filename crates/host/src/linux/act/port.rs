//! Frees a port from a unit's own leftovers. A foreign owner is named and left alone.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{action::ActionOutcome, id::UnitName, text::Text, unit::ActiveState};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::linux::{
    LinuxHost,
    port_owner::{Owner, owners},
    processes::identity_of,
};

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(3);

/// Between two looks at whether it is free.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a unit that runs while somebody else holds its port may need to fail for it.
const FAILS_WITHIN: Duration = Duration::from_secs(3);

/// Less than the pause that systemd makes before it starts one again.
const FAILS_LOOK_EVERY: Duration = Duration::from_millis(50);

/// The process that holds the ports of socket units, for whoever they are handed to.
const SYSTEMD: u32 = 1;

/// Frees the port, or says why not.
pub(super) async fn free(host: &LinuxHost, unit: &UnitName, port: u16, within: Duration) -> ActionOutcome {
    let root = host.inner.options.root.as_path();
    let begun = Instant::now();
    loop {
        let state = match host.state_of(unit).await {
            None => {
                return ActionOutcome::Refused { why: Text::new(format!("it is not known whether {unit} is running")) };
            }
            Some(ActiveState::Inactive | ActiveState::Failed) => {
                return free_of_leftovers(root, unit, port, within).await;
            }
            Some(state) => state,
        };
        // A running unit holds its own port rightly, and what it must do about it is a restart's work.
        let Some(other) = other_owner(root, unit, port) else {
            let why = format!("{unit} is running, and nobody else holds port {port}");
            return ActionOutcome::NotNeeded { why: Text::new(why) };
        };
        // One that fails for want of its port, and that systemd starts again and again, runs for moments.
        if !matches!(state, ActiveState::Active | ActiveState::Reloading) {
            return ActionOutcome::Refused { why: refusal(&other, unit, port) };
        }
        if begun.elapsed() > FAILS_WITHIN {
            return held_beside(&other, unit, port, &host.processes_of(unit).await);
        }
        tokio::time::sleep(FAILS_LOOK_EVERY).await;
    }
}

/// What follows when somebody else holds the port of a unit that goes on running. Who was there before all of its processes
/// stands in their way; who came after them may listen on their behalf, as the proxy of a container does.
fn held_beside(other: &Owner, unit: &UnitName, port: u16, processes: &[u32]) -> ActionOutcome {
    let started = |pid: u32| identity_of(Pid::from_raw(i32::try_from(pid).ok()?)?).map(|identity| identity.started);
    let first = processes.iter().filter_map(|pid| started(*pid)).min();
    if started(other.pid).zip(first).is_some_and(|(other, first)| other < first) {
        return ActionOutcome::Refused { why: refusal(other, unit, port) };
    }
    let (pid, name) = (other.pid, &other.name);
    ActionOutcome::NotNeeded {
        why: Text::new(format!("{unit} is running, and pid {pid} ({name}), which came after it, holds port {port}")),
    }
}

/// Who holds the port while the unit does not.
fn other_owner(root: &Path, unit: &UnitName, port: u16) -> Option<Owner> {
    let found = owners(root, port);
    let is_its_own = |owner: &Owner| owner.unit.as_deref() == Some(unit.as_str()) || owner.pid == SYSTEMD;
    if found.iter().any(is_its_own) { None } else { found.into_iter().next() }
}

/// The same for a unit that does not run.
async fn free_of_leftovers(root: &Path, unit: &UnitName, port: u16, within: Duration) -> ActionOutcome {
    let mut found = owners(root, port);
    // What systemd holds for a socket unit is handed over, not in the way.
    found.retain(|owner| owner.pid != SYSTEMD);
    if found.is_empty() {
        return ActionOutcome::NotNeeded { why: Text::new(format!("nothing listens on port {port}")) };
    }
    if let Some(foreign) = found.iter().find(|owner| owner.unit.as_deref() != Some(unit.as_str())) {
        return ActionOutcome::Refused { why: refusal(foreign, unit, port) };
    }
    let begun = Instant::now();
    for owner in &found {
        if let Err(why) = end(root, owner, unit, port).await {
            return ActionOutcome::Failed { why: Text::new(why) };
        }
    }
    while begun.elapsed() < within {
        if owners(root, port).iter().all(|owner| owner.pid == SYSTEMD) {
            let pids: Vec<String> = found.iter().map(|owner| format!("{} ({})", owner.pid, owner.name)).collect();
            let note = format!("port {port} freed from leftovers of {unit}: {}", pids.join(", "));
            return ActionOutcome::Succeeded { note: Text::new(note) };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    ActionOutcome::TimedOut { after: within }
}

fn refusal(owner: &Owner, unit: &UnitName, port: u16) -> Text {
    let belongs = owner.unit.as_ref().map_or_else(|| "no unit".to_owned(), |unit| format!("unit {unit}"));
    Text::new(format!(
        "port {port} is held by pid {} ({}, {belongs}); it is no leftover of {unit}, so it was not touched",
        owner.pid, owner.name
    ))
}

/// TERM, a grace, then KILL, through one pidfd that cannot come to mean another process.
async fn end(root: &Path, owner: &Owner, unit: &UnitName, port: u16) -> Result<(), String> {
    let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw).ok_or("no valid pid")?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("pid {}: {error}", owner.pid))?;
    // The pid may have been given to another process before the pidfd was opened: look again.
    if !owners(root, port).iter().any(|now| now.pid == owner.pid && now.unit.as_deref() == Some(unit.as_str())) {
        return Ok(());
    }
    let signal = |signal| pidfd_send_signal(&fd, signal).map_err(|error| format!("pid {}: {error}", owner.pid));
    signal(Signal::TERM)?;
    let begun = Instant::now();
    while begun.elapsed() < GRACE {
        if has_ended(&fd) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    signal(Signal::KILL)
}

fn has_ended(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_foreign_owner_is_named_and_lives_and_a_free_port_needs_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let unit = UnitName::new("app.service").expect("valid");
        match free_of_leftovers(Path::new("/"), &unit, port, Duration::from_secs(1)).await {
            ActionOutcome::Refused { why } => {
                assert!(why.as_str().contains(&format!("pid {}", std::process::id())), "{why}");
            }
            other => panic!("{other:?}"),
        }
        drop(listener);
        let outcome = free_of_leftovers(Path::new("/"), &unit, port, Duration::from_secs(1)).await;
        assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    }

    #[test]
    fn who_was_there_before_a_unit_that_runs_stands_in_its_way_and_who_came_after_may_listen_for_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let unit = UnitName::new("app.service").expect("valid");
        let other = other_owner(Path::new("/"), &unit, port).expect("this process");
        // Ticks are hundredths of a second: what began in the same one is not known to be older.
        let own = identity_of(rustix::process::getpid()).expect("it runs").started;
        let mut younger = loop {
            let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a pid");
            if identity_of(pid).is_some_and(|of_child| of_child.started > own) {
                break child;
            }
            child.kill().expect("ended");
            child.wait().expect("ended");
        };
        match held_beside(&other, &unit, port, &[younger.id()]) {
            ActionOutcome::Refused { why } => {
                assert!(why.as_str().contains("it is no leftover of app.service"), "{why}")
            }
            other => panic!("{other:?}"),
        }
        for older in [&[1, younger.id()][..], &[]] {
            match held_beside(&other, &unit, port, older) {
                ActionOutcome::NotNeeded { why } => {
                    assert!(why.as_str().contains(&format!("pid {} (", std::process::id())), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
        younger.kill().expect("ended");
        younger.wait().expect("ended");
    }
}
