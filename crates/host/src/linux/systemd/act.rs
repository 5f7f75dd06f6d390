//! What is done to units: jobs are queued and waited for; processes are reached by cgroup and pidfd, never by name.

use std::{os::fd::OwnedFd, path::Path, time::Duration};

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    id::UnitName,
    text::Text,
    unit::{ActiveState, OwnSignal, Sender},
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::linux::{clock::wall_now, port_owner};

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH, QUEUED_MAX, UNIT},
    others::{failed_triggers, is_wanted, unmet_condition},
    unit::{active_state, property},
};

pub(crate) mod drill;
mod kill;
mod wake;

/// Most units of a kind that are asked whether they are started, when one that was required is not.
const NEEDS_MAX: usize = 32;
/// Most that are named.
const NEEDS_SAID_MAX: usize = 3;

/// Performs an action on a unit; `None` when the action is no unit's.
pub async fn perform(bus: &Bus, run: &ActionRun) -> Option<ActionOutcome> {
    let within = run.timeout;
    Some(match &run.action {
        Action::ResetFailed { unit } => reset_failed(bus, unit).await,
        Action::StartUnit { unit } => start(bus, unit, "StartUnit", "started", within).await,
        Action::RestartUnit { unit } => start(bus, unit, "RestartUnit", "restarted", within).await,
        Action::ReloadUnit { unit } => job(bus, unit, "ReloadUnit", "reloaded", within).await,
        Action::StopUnit { unit } => {
            let woken = wake::before_stop(bus, unit).await;
            wake::told(job(bus, unit, "StopUnit", "stopped", within).await, woken)
        }
        Action::KillUnit { unit } => kill::perform(bus, unit, within).await,
        // A drill is noted where the agent keeps its state.
        Action::Drill { .. } => return None,
        Action::Validate { .. } | Action::SaveConfiguration { .. } | Action::RestoreConfiguration { .. } => {
            return None;
        }
        Action::FreePort { .. } | Action::EnsureEnvironment { .. } | Action::Exec { .. } => return None,
        Action::StartProcess { .. } | Action::StopProcess { .. } | Action::Domain(_) => return None,
    })
}

/// Queues a job that starts a unit. A failed one is reset before: systemd refuses to start what was started too often,
/// while how often it may be started here is decided by our own limits, which have been asked.
async fn start(bus: &Bus, unit: &UnitName, method: &str, done: &str, within: Duration) -> ActionOutcome {
    let unit = &bus.own_name(unit);
    match start_triggers(bus, unit, within).await {
        Triggers::Sound => {}
        Triggers::Started(outcome) | Triggers::Failed(outcome) => return outcome,
    }
    let woken = if method == "RestartUnit" { wake::before_stop(bus, unit).await } else { None };
    let start = begin(bus, unit, method, done, within);
    let outcome = match bus.last_state(unit) {
        Some(active) if active != ActiveState::Failed => start.await,
        // Both are sent at once, and systemd takes them in order. A unit that cannot be reset says so when it is started.
        Some(_) | None => tokio::join!(reset_failed(bus, unit), start).1,
    };
    let outcome = wake::told(outcome, woken);
    let is_up = bus.last_state(unit).is_some_and(|active| active == ActiveState::Active);
    match outcome {
        ActionOutcome::Succeeded { note } if !is_up => {
            passed_over(bus, unit).await.unwrap_or(ActionOutcome::Succeeded { note })
        }
        outcome => outcome,
    }
}

/// Has systemd start or restart a unit. A restart of one that nobody may stop by hand (`RefuseManualStop=`, as auditd has it)
/// is refused even where nothing is left to be stopped: then a start is all that it takes.
async fn begin(bus: &Bus, unit: &UnitName, method: &str, done: &str, within: Duration) -> ActionOutcome {
    let is_down = matches!(bus.last_state(unit), Some(ActiveState::Inactive | ActiveState::Failed));
    match bus.run_job(unit, method, within).await {
        Err(CallError::Refused { name, .. })
            if is_down && method == "RestartUnit" && name.ends_with(".OnlyByDependency") =>
        {
            job(bus, unit, "StartUnit", "started", within).await
        }
        result => ended(bus, unit, done, result, within).await,
    }
}

/// What became of a start that systemd calls done and has not made: a condition of the unit does not hold.
async fn passed_over(bus: &Bus, unit: &UnitName) -> Option<ActionOutcome> {
    let condition = unmet_condition(bus, unit).await?;
    let why = format!("systemd does not start {unit}: a condition of the unit does not hold ({condition})");
    Some(ActionOutcome::Failed { why: Text::new(why) })
}

/// What became of the sockets, paths and timers that start a unit.
enum Triggers {
    /// None of them is wanted, or was started and the unit itself is to be started as well.
    Sound,
    /// They were started, and start the unit as they are asked.
    Started(ActionOutcome),
    /// One of them was not.
    Failed(ActionOutcome),
}

/// Starts the failed sockets, paths and timers of a unit that is down: without them nothing does. A unit that has failed
/// itself is to be started besides, and so is one that something wants without anybody asking: it went since its socket could
/// not be started with it, and whether it can be started is not known before it is.
async fn start_triggers(bus: &Bus, unit: &UnitName, within: Duration) -> Triggers {
    let is_down = |active| matches!(active, Some(ActiveState::Inactive | ActiveState::Failed));
    let Some(known) = bus.known(unit).filter(|known| is_down(known.active)) else { return Triggers::Sound };
    let mut started = Vec::new();
    for trigger in failed_triggers(bus, &known).await {
        // A service that has failed too often takes what starts it along again.
        let (_, _, outcome) = tokio::join!(
            reset_failed(bus, unit),
            reset_failed(bus, &trigger),
            job(bus, &trigger, "StartUnit", "started", within)
        );
        match outcome {
            ActionOutcome::Succeeded { note } => started.push(note.to_string()),
            other => return Triggers::Failed(other),
        }
    }
    if started.is_empty() || known.active == Some(ActiveState::Failed) || is_wanted(bus, unit).await {
        return Triggers::Sound;
    }
    let note = Text::new(format!("{}, which starts {unit}", started.join(", ")));
    Triggers::Started(ActionOutcome::Succeeded { note })
}

async fn job(bus: &Bus, unit: &UnitName, method: &str, done: &str, within: Duration) -> ActionOutcome {
    let result = bus.run_job(unit, method, within).await;
    ended(bus, unit, done, result, within).await
}

/// What became of a job.
async fn ended(
    bus: &Bus,
    unit: &UnitName,
    done: &str,
    result: Result<String, CallError>,
    within: Duration,
) -> ActionOutcome {
    match result {
        Ok(result) if result == "done" => ActionOutcome::Succeeded { note: Text::new(format!("{unit} {done}")) },
        Ok(result) if result == "skipped" => {
            ActionOutcome::NotNeeded { why: "systemd skipped the job: it does not apply in this state".into() }
        }
        Ok(result) => {
            let missing = if result == "dependency" { missing_needs(bus, unit).await } else { Vec::new() };
            let needs = if missing.is_empty() { String::new() } else { format!(": {}", missing.join(", ")) };
            ActionOutcome::Failed { why: Text::new(format!("systemd's job ended with `{result}`{needs}")) }
        }
        Err(error) => failure(error, within),
    }
}

/// What a unit requires and what is not started, in words. systemd itself says no more than that there is something.
async fn missing_needs(bus: &Bus, unit: &UnitName) -> Vec<String> {
    let unit = bus.own_name(unit);
    let mut missing = Vec::new();
    for kind in ["Requisite", "Requires", "BindsTo"] {
        let needs = property(bus, &unit, UNIT, kind).await.ok().and_then(|needs| Vec::<String>::try_from(needs).ok());
        let needs = needs.unwrap_or_default().into_iter().take(NEEDS_MAX);
        for need in needs.filter_map(|need| UnitName::new(need).ok()) {
            let Ok(word) = property(bus, &need, UNIT, "ActiveState").await else { continue };
            let state = active_state(word.downcast_ref::<&str>().unwrap_or_default());
            if !matches!(state, ActiveState::Active | ActiveState::Reloading) && missing.len() < NEEDS_SAID_MAX {
                missing.push(need_in_words(&need, kind, state));
            }
        }
    }
    missing
}

/// Who only wants something to be there already does not have it started (`Requisite=`).
fn need_in_words(need: &UnitName, kind: &str, state: ActiveState) -> String {
    match (kind, state) {
        ("Requisite", _) => format!("{need} is {state}, and Requisite= does not start it"),
        (_, _) => format!("{need}, which it needs ({kind}=), is {state}"),
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
            // The reply overtakes the signal: what signals told before is out of date. The next one tells all that changes.
            bus.doubt(&bus.own_name(unit));
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

/// The unit's main process, held, having made sure that it still is the main process, and runs within the unit.
///
/// # Errors
/// Why there is none to be reached.
async fn main_within(bus: &Bus, unit: &UnitName) -> Result<(OwnedFd, Pid), String> {
    let unit = &bus.own_name(unit);
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
    Ok((fd, pid))
}

/// Sends a signal to the unit's main process through a pidfd, having made sure that it still is the main process, and
/// that nothing speaks against it. When it ends of that, it is known what of ours (`by`) has sent it.
///
/// # Errors
/// Why it was not sent.
pub async fn signal_main_if(
    bus: &Bus,
    unit: &UnitName,
    signal: Signal,
    by: Sender,
    check: impl Fn(Pid) -> Result<(), String>,
) -> Result<(), String> {
    let unit = &bus.own_name(unit);
    let (fd, pid) = main_within(bus, unit).await?;
    check(pid)?;
    let number = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default();
    let own = OwnSignal { signal: signal.as_raw(), by };
    bus.with_sent(|sent| sent.note(unit, number, own, wall_now()));
    pidfd_send_signal(&fd, signal).map_err(|error| {
        bus.with_sent(|sent| sent.take_back(unit, number));
        format!("the signal could not be sent: {error}")
    })
}
