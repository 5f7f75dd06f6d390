//! Failures on purpose. What would stay of one is noted before it is done, and ends by itself (`crate::linux::drill::ending`).

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ansai_model::{
    action::ActionOutcome, hint::Hint, id::UnitName, operator::DrillKind, text::Text, time::Shown, unit::Sender,
};
use rustix::process::{Pid, Signal};

use super::{main_pid, signal_main_if};
use crate::linux::{
    act::changed_since_kept,
    aside::{self, Kind, Work},
    drill::{
        break_file,
        ending::{LASTS, Lasting},
        file_to_break,
    },
    owned_path::Trusted,
    systemd::{
        bus::{Bus, UNIT},
        unit::{property, user_of},
    },
};

/// Longest that a drill keeps a port taken.
const PORT_DRILL: Duration = Duration::from_secs(15);
/// Longest wait for the port that it takes.
const PORT_WAIT: Duration = Duration::from_secs(5);
/// How often a drill of kind `loop` kills the unit: the shipped ladder tries a restart twice, and a drill leaves the last try.
const LOOP_KILLS: u32 = 2;
/// Longest wait for the next main process, which may come after a pause between two tries, or for the end of the last.
const MAIN_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for a file that is broken on purpose.
const BREAK_TIME: Duration = Duration::from_secs(10);

/// What a drill needs to know.
pub struct Drill<'a> {
    /// Into which unit.
    pub unit: &'a UnitName,
    /// The kind of failure.
    pub kind: DrillKind,
    /// The number of the port.
    pub port: Option<u16>,
    /// Its configuration.
    pub paths: &'a [String],
    /// Where it is noted.
    pub state_dir: &'a Path,
}

/// Injects a failure.
pub async fn perform(bus: &Bus, drill: &Drill<'_>) -> ActionOutcome {
    let (unit, kind) = (drill.unit, drill.kind);
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
        DrillKind::Hang => hang(bus, drill).await,
        DrillKind::Exit => signal_main(bus, unit, Signal::TERM).await,
        DrillKind::Port => take_port(bus, unit, drill.port).await,
        DrillKind::Configuration => break_configuration(bus, drill).await,
        DrillKind::Loop => kill_repeatedly(bus, unit).await,
    };
    let ends = match kind {
        DrillKind::Hang | DrillKind::Configuration => {
            format!("; what is left of it ends by itself in {}", Shown(LASTS))
        }
        DrillKind::Port => format!("; it ends by itself in {}", Shown(PORT_DRILL)),
        DrillKind::Loop => {
            format!("; its next start is killed as well, when it comes within {}", Shown(MAIN_WAIT))
        }
        DrillKind::Crash | DrillKind::Exit => String::new(),
    };
    match result {
        Ok(()) => ActionOutcome::Succeeded {
            note: Text::new(format!("drill `{}` injected into {unit}{ends}", kind.as_str())),
        },
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
    }
}

/// Notes what is to be undone, and sees to it that it is.
fn lasts(bus: &Bus, unit: &UnitName, drill: Lasting, state_dir: &Path) -> Result<(), String> {
    drill.keep(state_dir).map_err(|error| format!("the drill cannot be noted, so it is not begun: {error}"))?;
    let (teller, unit, ends) = (bus.clone(), unit.clone(), drill.end_in_time(state_dir.to_owned()));
    bus.spawn(async move {
        if let Some(what) = ends.await {
            teller.hint(Hint::DrillEnded { unit, what });
        }
    });
    Ok(())
}

/// Stops the main process; others of the unit may go on answering.
async fn hang(bus: &Bus, drill: &Drill<'_>) -> Result<(), String> {
    let noted = |pid| {
        let ended = || format!("the main process of {} has just ended", drill.unit);
        lasts(bus, drill.unit, Lasting::stopping(drill.unit.as_str(), pid).ok_or_else(ended)?, drill.state_dir)
    };
    signal_main_if(bus, drill.unit, Signal::STOP, Sender::Drill, noted).await
}

/// Sends a signal to the main process.
async fn signal_main(bus: &Bus, unit: &UnitName, signal: Signal) -> Result<(), String> {
    signal_main_if(bus, unit, signal, Sender::Drill, |_| Ok(())).await
}

/// Takes the port as soon as the killed unit has left it, and keeps it for a while after the action has ended.
async fn take_port(bus: &Bus, unit: &UnitName, port: Option<u16>) -> Result<(), String> {
    let port = port.ok_or_else(|| format!("{unit} declares no port"))?;
    signal_main(bus, unit, Signal::KILL).await?;
    let begun = Instant::now();
    while begun.elapsed() < PORT_WAIT {
        if let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            let (teller, unit) = (bus.clone(), unit.clone());
            bus.spawn(async move {
                tokio::time::sleep(PORT_DRILL).await;
                drop(listener);
                let what = Text::new(format!("port {port} is free"));
                teller.hint(Hint::DrillEnded { unit, what });
            });
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(format!("port {port} could not be taken: the unit was back before"))
}

async fn break_configuration(bus: &Bus, drill: &Drill<'_>) -> Result<(), String> {
    let (unit, paths) = (drill.unit, drill.paths.to_owned());
    let find = Work::new(Kind::Act, format!("the configuration of {unit}")).on(&paths);
    let found =
        move || file_to_break(&paths).ok_or_else(|| format!("{} is no file that could be broken", paths.join(", ")));
    let path: PathBuf = aside::run(find, BREAK_TIME, found).await.map_err(|late| late.to_string())??;
    let trusted = Trusted::own().and(user_of(bus, unit).await);
    let (of, paths, by, state_dir) =
        (unit.clone(), drill.paths.to_owned(), trusted.clone(), drill.state_dir.to_owned());
    let look = Work::new(Kind::Act, format!("the configuration of {unit}")).on(&paths);
    let changed = aside::run(look, BREAK_TIME, move || changed_since_kept(&state_dir, &of, &paths, &by)).await;
    if let Some(why) = changed.map_err(|late| late.to_string())? {
        return Err(format!("nothing is broken: {why}"));
    }
    lasts(bus, unit, Lasting::breaking(unit.as_str(), path.clone()), drill.state_dir)?;
    let work = Work::new(Kind::Act, format!("the configuration of {unit}")).on([&path]);
    let breaks = move || break_file(&path, &trusted).map_err(|error| format!("{}: {error}", path.display()));
    aside::run(work, BREAK_TIME, breaks).await.map_err(|late| late.to_string())??;
    signal_main(bus, unit, Signal::KILL).await
}

/// Kills the main process, and beside the action each that comes back: while the action lasted, no remedy could begin, and
/// nothing would come back.
async fn kill_repeatedly(bus: &Bus, unit: &UnitName) -> Result<(), String> {
    let first = main_pid(bus, unit).await;
    signal_main(bus, unit, Signal::KILL).await?;
    let (teller, unit) = (bus.clone(), unit.clone());
    bus.spawn(async move {
        let killed = kill_what_comes_back(&teller, &unit, first).await;
        let s = if killed == 1 { "" } else { "s" };
        let what = Text::new(format!("its main process was killed {killed} time{s}"));
        tracing::info!("the drill in {unit} is over: {what}");
        teller.hint(Hint::DrillEnded { unit, what });
    });
    Ok(())
}

/// How often it was killed in all. Ends when systemd has seen the last one die: what dies later is none of its doing.
async fn kill_what_comes_back(bus: &Bus, unit: &UnitName, first: Option<Pid>) -> u32 {
    let (mut last, mut killed) = (first, 1);
    while killed < LOOP_KILLS {
        let next = another_main(bus, unit, |pid| pid.is_some() && pid != last).await;
        let Some(pid) = next else { return killed };
        last = pid;
        if signal_main(bus, unit, Signal::KILL).await.is_err() {
            return killed;
        }
        killed += 1;
    }
    another_main(bus, unit, |pid| pid != last).await;
    killed
}

/// The main process, once it is one that is waited for; nothing when that takes too long.
async fn another_main(bus: &Bus, unit: &UnitName, is_it: impl Fn(Option<Pid>) -> bool) -> Option<Option<Pid>> {
    let begun = Instant::now();
    while begun.elapsed() <= MAIN_WAIT {
        let pid = main_pid(bus, unit).await;
        if is_it(pid) {
            return Some(pid);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}
