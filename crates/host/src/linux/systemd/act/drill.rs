//! Failures on purpose. What would stay of one is noted before it is done, and ends by itself (`crate::linux::drill::ending`).

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ansai_model::{
    action::ActionOutcome, hint::Hint, id::UnitName, operator::DrillKind, text::Text, time::Shown, unit::Sender,
};
use rustix::process::{Pid, Signal};

use super::{main_pid, main_within, signal_main_if};
use crate::linux::{
    act::changed_since_kept,
    aside::{self, Kind, Late, Work},
    drill::{
        break_file,
        ending::{InHand, LASTS, Lasting, lasting, stopped_already},
        file_to_break, may_break,
    },
    owned_path::Trusted,
    systemd::{
        bus::{Bus, UNIT},
        unit::{processes, property, user_of},
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
/// How often it is looked for what a drill waits for, and whether the drill is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
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

/// What would come of a failure that is injected now, besides what its kind says; nothing is done.
///
/// # Errors
/// Why it would be refused.
pub async fn may_perform(bus: &Bus, drill: &Drill<'_>) -> Result<Vec<Text>, Text> {
    ready(bus, drill).await.map_err(Text::new)?;
    Ok(unseen(bus, drill).await.map(Text::new).into_iter().collect())
}

/// That a hang may be seen by no look: the main process alone is stopped, and what others of the unit answer is well.
async fn unseen(bus: &Bus, drill: &Drill<'_>) -> Option<String> {
    if drill.kind != DrillKind::Hang {
        return None;
    }
    let others = processes(bus, drill.unit).await.ok()?.len().saturating_sub(1);
    let processes = match others {
        0 => return None,
        1 => "1 other process".to_owned(),
        many => format!("{many} other processes"),
    };
    Some(format!("its {processes} may go on answering: as long as each look finds that well, nothing heals the hang"))
}

/// What is to be broken.
enum Broken {
    /// Its process alone.
    Process,
    /// Its port as well.
    Port(u16),
    /// A file of its configuration, which may belong to these.
    File(PathBuf, Trusted),
}

/// What is to be broken, once nothing speaks against it. It only reads.
async fn ready(bus: &Bus, drill: &Drill<'_>) -> Result<Broken, String> {
    let unit = drill.unit;
    let active = property(bus, unit, UNIT, "ActiveState").await;
    if active.is_ok_and(|value| value.downcast_ref::<&str>().is_ok_and(|state| state != "active")) {
        return Err(format!("{unit} is not active"));
    }
    let (_, pid) = main_within(bus, unit).await?;
    if u32::try_from(pid.as_raw_nonzero().get()) == Ok(std::process::id()) {
        return Err("this is ansai's own unit".to_owned());
    }
    match drill.kind {
        DrillKind::Hang => match hangs_already(drill, pid).await {
            Some(why) => Err(why),
            None => Ok(Broken::Process),
        },
        DrillKind::Crash | DrillKind::Exit | DrillKind::Loop => Ok(Broken::Process),
        DrillKind::Port => drill.port.map(Broken::Port).ok_or_else(|| format!("{unit} declares no port")),
        DrillKind::Configuration => {
            let (path, trusted) = breakable(bus, drill).await?;
            Ok(Broken::File(path, trusted))
        }
    }
}

/// That its main process is stopped already, so that nothing is left to hang.
async fn hangs_already(drill: &Drill<'_>, pid: Pid) -> Option<String> {
    let (work, state_dir) =
        (Work::new(Kind::Act, format!("the notes on drills in {}", drill.unit)), drill.state_dir.to_owned());
    let noted = aside::run(work, BREAK_TIME, move || lasting(&state_dir)).await.ok().and_then(Result::ok);
    stopped_already(drill.unit.as_str(), pid, &noted.unwrap_or_default())
}

/// The file that is to be broken, and whose its way may be.
async fn breakable(bus: &Bus, drill: &Drill<'_>) -> Result<(PathBuf, Trusted), String> {
    let (unit, paths, state_dir) = (drill.unit.clone(), drill.paths.to_owned(), drill.state_dir.to_owned());
    let trusted = Trusted::own().and(user_of(bus, &unit).await);
    let look = Work::new(Kind::Act, format!("the configuration of {unit}")).on(&paths);
    let found = move || {
        let path =
            file_to_break(&paths).ok_or_else(|| format!("{} is no file that could be broken", paths.join(", ")))?;
        may_break(&path, &trusted).map_err(|error| format!("{}: {error}", path.display()))?;
        match changed_since_kept(&state_dir, &unit, &paths, &trusted) {
            None => Ok((path, trusted)),
            Some(why) => Err(format!("nothing is broken: {why}")),
        }
    };
    aside::run(look, BREAK_TIME, found).await.map_err(|late| late.to_string())?
}

/// Injects a failure.
pub async fn perform(bus: &Bus, drill: &Drill<'_>) -> ActionOutcome {
    let (unit, kind) = (drill.unit, drill.kind);
    let ready = match ready(bus, drill).await {
        Ok(ready) => ready,
        Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
    };
    let unseen = unseen(bus, drill).await.map(|why| format!("; {why}")).unwrap_or_default();
    let result = match (kind, ready) {
        (DrillKind::Hang, _) => hang(bus, drill).await,
        (DrillKind::Exit, _) => signal_main(bus, unit, Signal::TERM).await,
        (DrillKind::Loop, _) => kill_repeatedly(bus, drill).await,
        (_, Broken::Process) => signal_main(bus, unit, Signal::KILL).await,
        (_, Broken::Port(port)) => take_port(bus, drill, port).await,
        (_, Broken::File(path, trusted)) => break_configuration(bus, drill, path, trusted).await,
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
            note: Text::new(format!("drill `{}` injected into {unit}{unseen}{ends}", kind.as_str())),
        },
        Err(short) => short.told(),
    }
}

/// How a drill fell short.
#[derive(Debug, PartialEq, Eq)]
enum Short {
    /// It has done nothing, or nothing is left of it: what an earlier drill has broken is that one's still.
    Nothing(String),
    /// It has done something, but not all.
    Halfway(String),
}

impl Short {
    fn told(self) -> ActionOutcome {
        match self {
            Self::Nothing(why) => ActionOutcome::Refused { why: Text::new(format!("{why}, so nothing was done")) },
            Self::Halfway(why) => ActionOutcome::Failed { why: Text::new(why) },
        }
    }
}

/// Notes what is to be undone, and sees to it that it is.
fn lasts(bus: &Bus, unit: &UnitName, drill: Lasting, state_dir: &Path) -> Result<(), String> {
    drill.keep(state_dir).map_err(not_noted)?;
    let (teller, unit, ends) = (bus.clone(), unit.clone(), drill.end_in_time(state_dir.to_owned()));
    bus.spawn(async move {
        if let Some(what) = ends.await {
            teller.hint(Hint::DrillEnded { unit, what });
        }
    });
    Ok(())
}

fn not_noted(error: std::io::Error) -> String {
    format!("the drill cannot be noted, so it is not begun: {error}")
}

/// Stops the main process; others of the unit may go on answering.
async fn hang(bus: &Bus, drill: &Drill<'_>) -> Result<(), Short> {
    let noted = |pid| {
        let ended = || format!("the main process of {} has just ended", drill.unit);
        lasts(bus, drill.unit, Lasting::stopping(drill.unit.as_str(), pid).ok_or_else(ended)?, drill.state_dir)
    };
    // A note on a process that has ended meanwhile takes nothing back.
    signal_main_if(bus, drill.unit, Signal::STOP, Sender::Drill, noted).await.map_err(Short::Nothing)
}

/// Sends a signal to the main process, or does nothing.
async fn signal_main(bus: &Bus, unit: &UnitName, signal: Signal) -> Result<(), Short> {
    signal_main_if(bus, unit, signal, Sender::Drill, |_| Ok(())).await.map_err(Short::Nothing)
}

/// Takes the port as soon as the killed unit has left it, and keeps it for a while after the action has ended.
async fn take_port(bus: &Bus, drill: &Drill<'_>, port: u16) -> Result<(), Short> {
    let unit = drill.unit;
    let lasting = Lasting::taking(unit.as_str(), port, PORT_WAIT + PORT_DRILL);
    let in_hand = lasting.keep_in_hand(drill.state_dir).map_err(not_noted).map_err(Short::Nothing)?;
    signal_main(bus, unit, Signal::KILL).await?;
    let begun = Instant::now();
    while begun.elapsed() < PORT_WAIT && !in_hand.is_to_end() {
        if let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            let (teller, unit) = (bus.clone(), unit.clone());
            bus.spawn(async move {
                lasts_in_hand(&in_hand, PORT_DRILL).await;
                drop(listener);
                drop(in_hand);
                let what = Text::new(format!("port {port} is free"));
                teller.hint(Hint::DrillEnded { unit, what });
            });
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(Short::Halfway(format!("it was killed, but port {port} could not be taken: the unit was back before")))
}

/// Waits until a drill in hand is over.
async fn lasts_in_hand(in_hand: &InHand, lasts: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < lasts && !in_hand.is_to_end() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Breaks the file and kills what reads it. When one of both does not come about, the other is taken back.
async fn break_configuration(bus: &Bus, drill: &Drill<'_>, path: PathBuf, trusted: Trusted) -> Result<(), Short> {
    let (unit, state_dir) = (drill.unit, drill.state_dir);
    let lasting = Lasting::breaking(unit.as_str(), path.clone());
    lasts(bus, unit, lasting.clone(), state_dir).map_err(Short::Nothing)?;
    let work = Work::new(Kind::Act, format!("the configuration of {unit}")).on([&path]);
    let breaks = move || break_file(&path, &trusted).map_err(|error| format!("{}: {error}", path.display()));
    let short = match aside::run(work, BREAK_TIME, breaks).await {
        Ok(Ok(())) => match signal_main(bus, unit, Signal::KILL).await {
            Ok(()) => return Ok(()),
            Err(Short::Nothing(why) | Short::Halfway(why)) => why,
        },
        Ok(Err(why)) => why,
        // It may come to be broken later; the note ends that in its time.
        Err(late @ (Late::Unanswered { .. } | Late::Broke { .. })) => return Err(Short::Halfway(late.to_string())),
        Err(late @ Late::NotBegun { .. }) => late.to_string(),
    };
    Err(called_off(&lasting, state_dir, short).await)
}

/// A drill that fell short, taken back before its time.
async fn called_off(lasting: &Lasting, state_dir: &Path, why: String) -> Short {
    match lasting.call_off(state_dir).await {
        Ok(()) => Short::Nothing(why),
        Err(left) => Short::Halfway(format!("{why}; what it broke is not put back yet: {left}")),
    }
}

/// Kills the main process, and beside the action each that comes back: while the action lasted, no remedy could begin, and
/// nothing would come back.
async fn kill_repeatedly(bus: &Bus, drill: &Drill<'_>) -> Result<(), Short> {
    let unit = drill.unit;
    let lasting = Lasting::killing(unit.as_str(), MAIN_WAIT * LOOP_KILLS);
    let in_hand = lasting.keep_in_hand(drill.state_dir).map_err(not_noted).map_err(Short::Nothing)?;
    let first = main_pid(bus, unit).await;
    signal_main(bus, unit, Signal::KILL).await?;
    let (teller, unit) = (bus.clone(), unit.clone());
    bus.spawn(async move {
        let killed = kill_what_comes_back(&teller, &unit, first, &in_hand).await;
        drop(in_hand);
        let s = if killed == 1 { "" } else { "s" };
        let what = Text::new(format!("its main process was killed {killed} time{s}"));
        tracing::info!("the drill in {unit} is over: {what}");
        teller.hint(Hint::DrillEnded { unit, what });
    });
    Ok(())
}

/// How often it was killed in all. Ends when systemd has seen the last one die: what dies later is none of its doing.
async fn kill_what_comes_back(bus: &Bus, unit: &UnitName, first: Option<Pid>, in_hand: &InHand) -> u32 {
    let (mut last, mut killed) = (first, 1);
    while killed < LOOP_KILLS {
        let next = another_main(bus, unit, in_hand, |pid| pid.is_some() && pid != last).await;
        let Some(pid) = next.filter(|_| !in_hand.is_to_end()) else { return killed };
        last = pid;
        if signal_main(bus, unit, Signal::KILL).await.is_err() {
            return killed;
        }
        killed += 1;
    }
    another_main(bus, unit, in_hand, |pid| pid != last).await;
    killed
}

/// The main process, once it is one that is waited for; nothing when that takes too long, or the drill is to end.
async fn another_main(
    bus: &Bus,
    unit: &UnitName,
    in_hand: &InHand,
    is_it: impl Fn(Option<Pid>) -> bool,
) -> Option<Option<Pid>> {
    let begun = Instant::now();
    while begun.elapsed() <= MAIN_WAIT && !in_hand.is_to_end() {
        let pid = main_pid(bus, unit).await;
        if is_it(pid) {
            return Some(pid);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::linux::drill::{Remains, copy_of, remains};

    #[tokio::test]
    async fn a_drill_that_fell_short_is_taken_back_and_has_failed_only_when_something_is_left_of_it() {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().join("app.conf");
        fs::write(&path, "listen 80\n").expect("written");
        let lasting = Lasting::breaking("a.service", path.clone());
        lasting.keep(state.path()).expect("kept");
        break_file(&path, &Trusted::own()).expect("broken");
        let short = called_off(&lasting, state.path(), "it has no main process".to_owned()).await;
        assert!(matches!(short.told(), ActionOutcome::Refused { .. }));
        assert_eq!(remains(&path).expect("readable"), Remains::Nothing);
        assert!(crate::linux::drill::ending::lasting(state.path()).expect("readable").is_empty());
        // What cannot be put back stays noted.
        lasting.keep(state.path()).expect("kept");
        break_file(&path, &Trusted::own()).expect("broken");
        fs::remove_file(&path).expect("removed");
        let short = called_off(&lasting, state.path(), "it has no main process".to_owned()).await;
        let ActionOutcome::Failed { why } = short.told() else { panic!("something is left") };
        assert!(why.as_str().contains("is gone") && copy_of(&path).exists(), "{why}");
        assert_eq!(crate::linux::drill::ending::lasting(state.path()).expect("readable"), [lasting]);
    }
}
