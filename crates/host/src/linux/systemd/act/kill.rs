//! Killing what a unit's own `KillMode=` gives to a stop, and no more: what it protects outlives every restart, and this.
//! What was killed is named. It starts nothing.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{
    action::ActionOutcome,
    id::UnitName,
    text::Text,
    unit::{OwnSignal, Sender},
};

use super::{failure, main_pid};
use crate::linux::{
    clock::wall_now,
    systemd::{
        bus::{Bus, CallError, MANAGER, MANAGER_PATH, UNIT},
        unit::{SERVICE, processes, property},
    },
};

const SIGKILL: i32 = 9;
/// Most processes that are named; the others are counted.
const NAMED_MAX: usize = 8;
/// A process has a short name.
const COMM_BYTES_MAX: u64 = 64;
/// How often it is asked whether they are gone.
const AGAIN: Duration = Duration::from_millis(10);

/// What `KillMode=` of systemd.kill(5) gives to a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Everything in the cgroup.
    All,
    /// The main process; what else there is lives on, or ends in its own time as systemd cleans up.
    Main,
    /// Nothing.
    Nothing,
}

impl Reach {
    fn of(mode: &str) -> Self {
        match mode {
            "process" | "mixed" => Self::Main,
            "none" => Self::Nothing,
            _ => Self::All,
        }
    }

    /// As `KillUnit` of org.freedesktop.systemd1(5) says it.
    fn whom(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::All | Self::Nothing => "all",
        }
    }
}

/// Kills them, and waits until they are gone: the next step must not meet the old processes.
pub(super) async fn perform(bus: &Bus, unit: &UnitName, within: Duration) -> ActionOutcome {
    // What is killed must be started afterwards: systemd refuses that where the unit says `RefuseManualStart=`.
    match startable(bus, unit).await {
        Ok(Startable::Yes) => {}
        Ok(Startable::Gone(load)) => {
            // In systemd's own words, by which the cause is known.
            let what = if load == "masked" { "is masked" } else { "not found" };
            let why = format!("nothing is killed, for nothing could start it again: Unit {unit} {what}");
            return ActionOutcome::Refused { why: Text::new(why) };
        }
        Ok(Startable::No) => {
            let why = format!(
                "nothing is killed: nobody may start {unit} by hand afterwards, as its RefuseManualStart= says"
            );
            return ActionOutcome::Refused { why: Text::new(why) };
        }
        Err(error) => return failure(error, within),
    }
    let mode = match mode(bus, unit).await {
        Ok(mode) => mode,
        Err(error) => return failure(error, within),
    };
    let reach = Reach::of(&mode);
    if reach == Reach::Nothing {
        return not_needed(format!("nothing is killed: {unit} says KillMode=none"));
    }
    let all = match processes(bus, unit).await {
        Ok(all) => all,
        Err(CallError::Refused { text, .. }) => return not_needed(format!("nothing to kill: {text}")),
        Err(error) => return failure(error, within),
    };
    let victims = match reach {
        Reach::Main => main(bus, unit).await.into_iter().collect(),
        Reach::All | Reach::Nothing => all.clone(),
    };
    if victims.is_empty() {
        return not_needed(match all.len() {
            0 => format!("no process of {unit} is left"),
            count => format!(
                "nothing is killed: systemd knows no main process of {unit}, and KillMode={mode} leaves {} alone",
                counted(count, "other")
            ),
        });
    }
    // Named before, since afterwards nobody can be asked.
    let mut what = format!("killed {} of {unit}", named(&victims));
    let spared = all.iter().filter(|pid| !victims.contains(pid)).count();
    if spared > 0 {
        what.push_str(&format!("; {} left alone, as KillMode={mode} says", counted(spared, "other")));
    }
    if let Some(pid) = main(bus, unit).await {
        let (name, own) = (bus.own_name(unit), OwnSignal { signal: SIGKILL, by: Sender::Remedy });
        bus.with_sent(|sent| sent.note(&name, pid, own, wall_now()));
    }
    if let Err(error) = bus.call(MANAGER_PATH, MANAGER, "KillUnit", &(unit.as_str(), reach.whom(), SIGKILL)).await {
        return failure(error, within);
    }
    let begun = Instant::now();
    while begun.elapsed() < within {
        let is_gone = match reach {
            Reach::Main => main(bus, unit).await.is_none_or(|pid| !victims.contains(&pid)),
            Reach::All | Reach::Nothing => match processes(bus, unit).await {
                Ok(left) => left.is_empty(),
                Err(error) => return failure(error, within),
            },
        };
        if is_gone {
            return ActionOutcome::Succeeded { note: Text::new(what) };
        }
        tokio::time::sleep(AGAIN).await;
    }
    ActionOutcome::TimedOut { after: within }
}

fn not_needed(why: String) -> ActionOutcome {
    ActionOutcome::NotNeeded { why: Text::new(why) }
}

/// Units of other types, and those that are gone, have no such word: then all is meant.
pub(super) async fn mode(bus: &Bus, unit: &UnitName) -> Result<String, CallError> {
    match property(bus, unit, SERVICE, "KillMode").await {
        Ok(value) => Ok(value.downcast_ref::<&str>().map(str::to_owned).unwrap_or_default()),
        Err(CallError::Refused { .. }) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Whether what is killed can be started again.
enum Startable {
    Yes,
    /// Somebody asked that nobody does it by hand.
    No,
    /// It has no unit file any more, or none that systemd can read; what `LoadState` says.
    Gone(String),
}

async fn startable(bus: &Bus, unit: &UnitName) -> Result<Startable, CallError> {
    let load = property(bus, unit, UNIT, "LoadState").await?;
    if let Ok(load) = load.downcast_ref::<&str>()
        && load != "loaded"
    {
        return Ok(Startable::Gone(load.to_owned()));
    }
    let can_start = property(bus, unit, UNIT, "CanStart").await?.downcast_ref::<bool>().unwrap_or(true);
    Ok(if can_start { Startable::Yes } else { Startable::No })
}

pub(super) async fn main(bus: &Bus, unit: &UnitName) -> Option<u32> {
    u32::try_from(main_pid(bus, unit).await?.as_raw_nonzero().get()).ok()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// As `3 processes (812 worker, 815 worker, 816 writer)`.
fn named(pids: &[u32]) -> String {
    let shown =
        pids.iter().take(NAMED_MAX).map(|pid| match ansai_files::head_text(comm(*pid).as_ref(), COMM_BYTES_MAX) {
            Ok(name) => format!("{pid} {}", name.trim()),
            Err(_) => pid.to_string(),
        });
    let mut shown: Vec<String> = shown.collect();
    if pids.len() > NAMED_MAX {
        shown.push(format!("and {} more", pids.len() - NAMED_MAX));
    }
    let plural = if pids.len() == 1 { "" } else { "es" };
    format!("{} process{plural} ({})", pids.len(), shown.join(", "))
}

fn comm(pid: u32) -> std::path::PathBuf {
    Path::new("/proc").join(pid.to_string()).join("comm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w02_a_kill_reaches_what_a_stop_of_the_unit_would() {
        for (mode, reach) in [("process", Reach::Main), ("mixed", Reach::Main), ("none", Reach::Nothing)] {
            assert_eq!(Reach::of(mode), reach, "{mode}");
        }
        assert_eq!((Reach::of("control-group"), Reach::of("")), (Reach::All, Reach::All));
    }

    #[test]
    fn w02_what_is_killed_is_named_and_counted() {
        let own = std::process::id();
        let said = named(&[own]);
        assert!(said.starts_with(&format!("1 process ({own} ")) && said.len() > format!("1 process ({own} )").len());
        let many: Vec<u32> = (1..=20).map(|at| 4_000_000_000 + at).collect();
        let said = named(&many);
        assert!(said.starts_with("20 processes (4000000001, ") && said.ends_with(", and 12 more)"), "{said}");
    }
}
