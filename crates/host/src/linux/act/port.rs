//! Frees a port from a unit's own leftovers. A foreign owner is named and left alone.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{action::ActionOutcome, id::UnitName, text::Text};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::linux::port_owner::{Owner, owners};

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(3);

/// Frees the port, or says why not.
pub(super) async fn free(root: &Path, unit: &UnitName, port: u16, within: Duration) -> ActionOutcome {
    let found = owners(root, port);
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
        if owners(root, port).is_empty() {
            let pids: Vec<String> = found.iter().map(|owner| format!("{} ({})", owner.pid, owner.name)).collect();
            let note = format!("port {port} freed from leftovers of {unit}: {}", pids.join(", "));
            return ActionOutcome::Succeeded { note: Text::new(note) };
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
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
        match free(Path::new("/"), &unit, port, Duration::from_secs(1)).await {
            ActionOutcome::Refused { why } => {
                assert!(why.as_str().contains(&format!("pid {}", std::process::id())), "{why}");
            }
            other => panic!("{other:?}"),
        }
        drop(listener);
        let outcome = free(Path::new("/"), &unit, port, Duration::from_secs(1)).await;
        assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    }
}
