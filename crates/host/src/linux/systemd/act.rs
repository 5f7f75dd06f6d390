//! What is done to units: jobs are queued and waited for; processes are reached by cgroup and pidfd, never by name.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    domain::service::ActiveState,
    id::UnitName,
    operator::DrillKind,
    text::Text,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::linux::{
    aside::{self, Kind, Work},
    drill::{break_file, file_to_break},
    owned_path::Trusted,
    port_owner,
};

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH, QUEUED_MAX, UNIT},
    unit::{property, user_of},
};

mod kill;

/// Longest that a drill keeps a port taken.
const PORT_DRILL: Duration = Duration::from_secs(15);
/// Longest wait for the port that it takes.
const PORT_WAIT: Duration = Duration::from_secs(5);
/// How often a drill of kind `loop` kills the unit.
const LOOP_KILLS: u32 = 3;
/// Longest wait for a file that is broken on purpose.
const BREAK_TIME: Duration = Duration::from_secs(10);

/// Performs an action on a unit; `None` when the action is no unit's.
pub async fn perform(bus: &Bus, run: &ActionRun) -> Option<ActionOutcome> {
    let within = run.timeout;
    Some(match &run.action {
        Action::ResetFailed { unit } => reset_failed(bus, unit).await,
        Action::StartUnit { unit } => start(bus, unit, "StartUnit", "started", within).await,
        Action::RestartUnit { unit } => start(bus, unit, "RestartUnit", "restarted", within).await,
        Action::ReloadUnit { unit } => job(bus, unit, "ReloadUnit", "reloaded", within).await,
        Action::StopUnit { unit } => job(bus, unit, "StopUnit", "stopped", within).await,
        Action::KillUnit { unit } => kill::perform(bus, unit, within).await,
        Action::Drill { unit, kind, port, paths } => drill(bus, unit, *kind, *port, paths).await,
        Action::Validate { .. } | Action::SaveConfiguration { .. } | Action::RestoreConfiguration { .. } => {
            return None;
        }
        Action::FreePort { .. } | Action::EnsureEnvironment { .. } | Action::Exec { .. } => return None,
        Action::Certificate(_) | Action::Disk(_) => return None,
        Action::StartProcess { .. } | Action::StopProcess { .. } | Action::Memory(_) => return None,
    })
}

/// Queues a job that starts a unit. A failed one is reset before: systemd refuses to start what was started too often,
/// while how often it may be started here is decided by our own limits, which have been asked.
async fn start(bus: &Bus, unit: &UnitName, method: &str, done: &str, within: Duration) -> ActionOutcome {
    let start = job(bus, unit, method, done, within);
    if bus.last_state(unit).is_some_and(|active| active != ActiveState::Failed) {
        return start.await;
    }
    // Both are sent at once, and systemd takes them in order. A unit that cannot be reset says so when it is started.
    tokio::join!(reset_failed(bus, unit), start).1
}

async fn job(bus: &Bus, unit: &UnitName, method: &str, done: &str, within: Duration) -> ActionOutcome {
    match bus.run_job(unit, method, within).await {
        Ok(result) if result == "done" => ActionOutcome::Succeeded { note: Text::new(format!("{unit} {done}")) },
        Ok(result) if result == "skipped" => {
            ActionOutcome::NotNeeded { why: "systemd skipped the job: it does not apply in this state".into() }
        }
        Ok(result) => ActionOutcome::Failed { why: Text::new(format!("systemd's job ended with `{result}`")) },
        Err(error) => failure(error, within),
    }
}

fn failure(error: CallError, within: Duration) -> ActionOutcome {
    match error {
        // Where the unit says how long it may take, only its beginning has a limit.
        CallError::Timeout => ActionOutcome::TimedOut { after: within.min(QUEUED_MAX) },
        CallError::Gone(why) => ActionOutcome::Lost { why: Text::new(why) },
        CallError::Refused { text, .. } => ActionOutcome::Failed {
            // It ends its sentences, and ours goes on.
            why: Text::new(format!("systemd says: {}", text.trim_end_matches('.'))),
        },
    }
}

async fn reset_failed(bus: &Bus, unit: &UnitName) -> ActionOutcome {
    match bus.call(MANAGER_PATH, MANAGER, "ResetFailedUnit", &(unit.as_str(),)).await {
        Ok(_) => {
            // The reply overtakes the signal: what signals told before is out of date.
            bus.forget(unit);
            ActionOutcome::Succeeded { note: Text::new(format!("failed state of {unit} reset")) }
        }
        Err(CallError::Refused { name, .. }) if name.ends_with("NoSuchUnit") => {
            ActionOutcome::NotNeeded { why: "the unit is not loaded, so it has no failed state".into() }
        }
        Err(error) => failure(error, Duration::ZERO),
    }
}

async fn main_pid(bus: &Bus, unit: &UnitName) -> Option<Pid> {
    let value = property(bus, unit, "org.freedesktop.systemd1.Service", "MainPID").await.ok()?;
    let pid = value.downcast_ref::<u32>().ok()?;
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Sends a signal to the unit's main process.
async fn signal_main(bus: &Bus, unit: &UnitName, signal: Signal) -> Result<(), String> {
    signal_main_if(bus, unit, signal, |_| Ok(())).await
}

/// Sends a signal to the unit's main process through a pidfd, having made sure that it still is the main process, and
/// that nothing speaks against it.
///
/// # Errors
/// Why it was not sent.
pub async fn signal_main_if(
    bus: &Bus,
    unit: &UnitName,
    signal: Signal,
    check: impl Fn(Pid) -> Result<(), String>,
) -> Result<(), String> {
    let pid = main_pid(bus, unit).await.ok_or_else(|| format!("{unit} has no main process"))?;
    let fd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("process {pid:?} cannot be reached: {error}"))?;
    if main_pid(bus, unit).await != Some(pid) {
        return Err(format!("{unit} has just got another main process"));
    }
    // A pid file of the service's may have named another's process.
    if !port_owner::is_within(Path::new("/proc"), pid, unit.as_str()) {
        return Err(format!(
            "process {} is called the main process of {unit}, and runs outside of it",
            pid.as_raw_nonzero()
        ));
    }
    check(pid)?;
    pidfd_send_signal(&fd, signal).map_err(|error| format!("the signal could not be sent: {error}"))
}

async fn drill(bus: &Bus, unit: &UnitName, kind: DrillKind, port: Option<u16>, paths: &[String]) -> ActionOutcome {
    let active = property(bus, unit, UNIT, "ActiveState").await;
    if active.is_ok_and(|value| value.downcast_ref::<&str>().is_ok_and(|state| state != "active")) {
        return ActionOutcome::Refused { why: "the unit is not active".into() };
    }
    if main_pid(bus, unit).await.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
        == Some(std::process::id())
    {
        return ActionOutcome::Refused { why: "this is ansai's own unit".into() };
    }
    let result = match kind {
        DrillKind::Crash => signal_main(bus, unit, Signal::KILL).await,
        DrillKind::Hang => signal_main(bus, unit, Signal::STOP).await,
        DrillKind::Exit => signal_main(bus, unit, Signal::TERM).await,
        DrillKind::Port => take_port(bus, unit, port).await,
        DrillKind::Configuration => break_configuration(bus, unit, paths).await,
        DrillKind::Loop => kill_repeatedly(bus, unit).await,
    };
    match result {
        Ok(()) => {
            ActionOutcome::Succeeded { note: Text::new(format!("drill `{}` injected into {unit}", kind.as_str())) }
        }
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
    }
}

/// Takes the port as soon as the killed unit has left it, and keeps it for a while after the action has ended.
async fn take_port(bus: &Bus, unit: &UnitName, port: Option<u16>) -> Result<(), String> {
    let port = port.ok_or_else(|| format!("{unit} declares no port"))?;
    signal_main(bus, unit, Signal::KILL).await?;
    let begun = Instant::now();
    while begun.elapsed() < PORT_WAIT {
        if let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            bus.spawn(async move {
                tokio::time::sleep(PORT_DRILL).await;
                drop(listener);
            });
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(format!("port {port} could not be taken: the unit was back before"))
}

async fn break_configuration(bus: &Bus, unit: &UnitName, paths: &[String]) -> Result<(), String> {
    let work = Work::new(Kind::Act, format!("the configuration of {unit}")).on(paths);
    let paths = paths.to_owned();
    let trusted = Trusted::own().and(user_of(bus, unit).await);
    let breaks = move || {
        let path =
            file_to_break(&paths).ok_or_else(|| format!("{} is no file that could be broken", paths.join(", ")))?;
        break_file(&path, &trusted).map_err(|error| format!("{}: {error}", path.display()))
    };
    aside::run(work, BREAK_TIME, breaks).await.map_err(|late| late.to_string())??;
    signal_main(bus, unit, Signal::KILL).await
}

async fn kill_repeatedly(bus: &Bus, unit: &UnitName) -> Result<(), String> {
    let mut last = None;
    for _ in 0..LOOP_KILLS {
        let begun = Instant::now();
        loop {
            let pid = main_pid(bus, unit).await;
            if pid.is_some() && pid != last {
                last = pid;
                break;
            }
            if begun.elapsed() > Duration::from_secs(8) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        signal_main(bus, unit, Signal::KILL).await?;
    }
    Ok(())
}
