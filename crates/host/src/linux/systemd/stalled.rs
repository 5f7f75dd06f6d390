//! Whether a unit that systemd calls active does anything at all: the kernel goes on accepting for a service whose processes
//! are stopped or never come to accept, so a look at its port finds nothing wrong.
//!
//! A look costs one small file while the main process can run and nobody waits at its sockets; where all have to be read that
//! is done aside. What a debugger holds is unknown, and what is frozen is not judged; what works is not called hung however long
//! it lets others wait, and nothing is judged by one look.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{
    hint::Hint,
    id::UnitName,
    observation::Observation,
    time::Shown,
    unit::{ActiveState, UnitSnapshot},
};

use super::{bus::Bus, queues, unit::processes};
use crate::linux::aside::{self, Kind, Work};

/// How long all processes must have been found stopped.
const STOPPED_FOR: Duration = Duration::from_secs(10);
/// How long a debugger must have held the main process without letting it run in between: one that only follows it lets it go
/// on at once.
const HELD_FOR: Duration = Duration::from_secs(1);
/// How long all must have waited for a device or a server without having run in between.
const WAITING_FOR: Duration = Duration::from_secs(60);
/// How long none must have run while connections wait to be accepted and there is room for no other.
const FULL_FOR: Duration = Duration::from_secs(30);
/// The same while there is room.
const DEAF_FOR: Duration = Duration::from_secs(60);
/// Most threads of a unit that are looked at; a unit with more is not judged by its queue.
const THREADS_MAX: usize = 1024;
/// Most processes of a unit that are looked at; a unit with more is not judged.
const PROCESSES_MAX: usize = 256;
/// Most units of which none can run at a time.
const UNITS_MAX: usize = 1024;
/// Longest wait for the files of its processes; a unit whose files take longer is not judged.
const READ_TIME: Duration = Duration::from_secs(2);
/// Most bytes of one file of a process.
const BYTES_MAX: u64 = 8 * 1024;

/// Units of which no process can run, and since when.
#[derive(Debug, Default)]
pub(super) struct Stalls(BTreeMap<UnitName, Stall>);

#[derive(Debug)]
struct Stall {
    since: Instant,
    still: Still,
}

/// Why no process of a unit can run, and the marks by which a later look knows whether one has in between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Still {
    why: Why,
    marks: Vec<Mark>,
}

/// By what it is known that a process or a thread has not run: whoever sleeps gives the processor up when he has run, and
/// whoever never gives it up uses its time. Input and output is one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    id: u32,
    /// How often it gave up the processor, or was made to.
    switches: u64,
    /// How long it had it, in the kernel's ticks; of processes that can run at all this is not asked.
    ticks: u64,
}

impl Still {
    /// Whether nothing has run since, for the same reason. A queue may have filled up meanwhile.
    fn goes_on_as(&self, later: &Self) -> bool {
        self.marks == later.marks && std::mem::discriminant(&self.why) == std::mem::discriminant(&later.why)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Stopped by a signal.
    Stopped,
    /// In the kernel, where no signal ends them.
    Waiting,
    /// The main process alone was stopped by a signal: others of the unit go on and may answer.
    MainStopped,
    /// The main process is held by a debugger, between two steps.
    Held,
    /// Somebody waits to be accepted, and there is room for no other or there is.
    Deaf { is_full: bool },
}

/// What is said of a process in its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    state: char,
    /// How often it gave up the processor.
    switches: u64,
    is_traced: bool,
}

impl Stalls {
    /// Takes in what a look found; says since when it is so, when that is long enough.
    fn saw(&mut self, unit: &UnitName, still: Option<Still>, now: Instant) -> Verdict {
        let Some(still) = still else {
            self.0.remove(unit);
            return Verdict::Runs;
        };
        let why = still.why;
        match self.0.get(unit) {
            Some(stall) if stall.still.goes_on_as(&still) => {
                let lasts = now.duration_since(stall.since);
                if lasts >= why.lasts() { Verdict::Stalled(why, lasts) } else { Verdict::InDoubt(why, lasts) }
            }
            None if self.0.len() >= UNITS_MAX => Verdict::Runs,
            Some(_) | None => {
                self.0.insert(unit.clone(), Stall { since: now, still });
                Verdict::InDoubt(why, Duration::ZERO)
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Runs,
    /// It has lasted for this time, which is not enough yet.
    InDoubt(Why, Duration),
    Stalled(Why, Duration),
}

impl Why {
    fn lasts(self) -> Duration {
        match self {
            Self::Stopped | Self::MainStopped => STOPPED_FOR,
            Self::Held => HELD_FOR,
            Self::Waiting => WAITING_FOR,
            Self::Deaf { is_full: true } => FULL_FOR,
            Self::Deaf { is_full: false } => DEAF_FOR,
        }
    }
}

/// What is found of a unit that systemd calls active.
pub(super) enum Stalled {
    /// None of it has run for long enough, and this is what is seen of it.
    Whole { seen: Observation, lasts: Duration },
    /// None of it has run for this time, which says nothing yet.
    InDoubt(Duration),
    /// Its main process is stopped, and others go on: that is told, and nothing is done while they answer.
    InPart,
}

/// What is seen of a unit of which no process has run for long enough. One whose processes wait in the kernel is unknown:
/// no restart ends them, and they go on when the disk or the server is back.
pub(super) async fn look(bus: &Bus, root: &Path, unit: &UnitName, seen: &UnitSnapshot) -> Option<Stalled> {
    if seen.active != ActiveState::Active {
        return None;
    }
    let may_be_still = match seen.main_pid {
        Some(main) => process(root, main).is_some_and(|process| matches!(process.state, 'T' | 'D' | HELD)),
        // Of init scripts, and of what leaves no pid file behind, systemd knows no main process.
        None if seen.sub.as_str() == "running" => true,
        None => return None,
    };
    let queue = if may_be_still { None } else { queues::of(bus, root, unit).await };
    let still = match (may_be_still, &queue) {
        (true, _) => {
            let main = seen.main_pid;
            let still = move |root: &Path, pids: &[u32]| still(root, pids, main);
            aside_of(unit, root, processes(bus, unit).await.ok()?, still).await
        }
        (false, Some(queue)) => {
            let is_full = queue.is_full;
            let deaf = move |root: &Path, pids: &[u32]| deaf(root, pids, is_full);
            aside_of(unit, root, processes(bus, unit).await.ok()?, deaf).await
        }
        (false, None) => None,
    };
    let count = still.as_ref().map_or(0, |still| still.marks.len());
    let verdict = bus.with_stalls(|stalls| stalls.saw(unit, still, Instant::now()));
    match verdict {
        Verdict::Runs => None,
        Verdict::InDoubt(why, lasts) => {
            let (again, unit, wait) = (bus.clone(), unit.clone(), why.lasts().saturating_sub(lasts));
            bus.spawn(async move {
                tokio::time::sleep(wait).await;
                again.hint(Hint::Unit(unit));
            });
            // Others of it go on, and answer; or a look has met a debugger that follows it.
            (!matches!(why, Why::MainStopped | Why::Held)).then_some(Stalled::InDoubt(lasts))
        }
        Verdict::Stalled(why, lasts) => {
            let all =
                if count == 1 { "its process has".to_owned() } else { format!("all of its {count} processes have") };
            let for_so_long = Shown(lasts);
            let seen = match why {
                Why::MainStopped => return Some(Stalled::InPart),
                Why::Deaf { .. } => {
                    let wait = queue.map_or_else(String::new, |queue| {
                        let connections = if queue.waiting == 1 { "connection waits" } else { "connections wait" };
                        format!("{} {connections} at {} to be accepted, and ", queue.waiting, queue.at)
                    });
                    Observation::failing(format!("it hangs: {wait}none of its threads has run for {for_so_long}"))
                }
                Why::Stopped => {
                    Observation::failing(format!("it hangs: {all} been stopped (state T) for {for_so_long}"))
                }
                Why::Held => Observation::unknown(format!(
                    "a debugger has held its main process (state t) for {for_so_long}; what somebody debugs is left alone"
                )),
                Why::Waiting => Observation::unknown(format!(
                    "it hangs: {all} waited in the kernel (state D) for {for_so_long}, for a disk or a server that is away; a \
                     restart would not end them"
                )),
            };
            Some(Stalled::Whole { seen, lasts })
        }
    }
}

/// What is found in the files of a unit's processes, of which there may be a thousand: they are not read on the loop.
async fn aside_of(
    unit: &UnitName,
    root: &Path,
    pids: Vec<u32>,
    found: impl FnOnce(&Path, &[u32]) -> Option<Still> + Send + 'static,
) -> Option<Still> {
    let (work, root) = (Work::new(Kind::Look, format!("the processes of {unit}")), root.to_owned());
    aside::run(work, READ_TIME, move || found(&root, &pids)).await.ok().flatten()
}

/// The state of a process that a debugger has stopped between two steps.
const HELD: char = 't';

/// Why none of these processes can run, or the main one cannot; nothing when they can, another one is debugged or all are
/// frozen, or one cannot be looked at.
fn still(root: &Path, pids: &[u32], main: Option<u32>) -> Option<Still> {
    if pids.is_empty() || pids.len() > PROCESSES_MAX || is_frozen(root, pids[0]) {
        return None;
    }
    let mut marks = Vec::new();
    let mut states = Vec::new();
    let mut is_main_stopped = false;
    for pid in pids {
        let process = process(root, *pid)?;
        // What has ended and was not asked for its end cannot run, and says nothing of the others.
        if process.state == 'Z' {
            continue;
        }
        if process.is_traced && process.state == HELD && main == Some(*pid) {
            let marks = vec![Mark { id: *pid, switches: process.switches, ticks: 0 }];
            return Some(Still { why: Why::Held, marks });
        }
        if process.is_traced {
            return None;
        }
        is_main_stopped |= main == Some(*pid) && process.state == 'T';
        states.push(process.state);
        marks.push(Mark { id: *pid, switches: process.switches, ticks: 0 });
    }
    let all = |state: char| !states.is_empty() && states.iter().all(|of| *of == state);
    let why = match (all('T'), all('D')) {
        (true, _) => Why::Stopped,
        (_, true) => Why::Waiting,
        _ if is_main_stopped => Why::MainStopped,
        _ => return None,
    };
    if why == Why::MainStopped {
        // What the others do says nothing of it.
        marks.retain(|mark| Some(mark.id) == main);
    }
    marks.sort_unstable();
    Some(Still { why, marks })
}

/// The marks of all threads of a unit that lets connections wait; nothing when one is debugged or they cannot be looked at.
/// A thread that waits for connections runs when one comes, so marks that stay say that nobody waits for them. One that is
/// running, or in the kernel's hands, works, and so does the unit.
fn deaf(root: &Path, pids: &[u32], is_full: bool) -> Option<Still> {
    if pids.is_empty() || pids.len() > PROCESSES_MAX || is_frozen(root, pids[0]) {
        return None;
    }
    let mut marks = Vec::new();
    for pid in pids {
        for entry in std::fs::read_dir(root.join(format!("proc/{pid}/task"))).ok()? {
            let entry = entry.ok()?;
            let text = |name| ansai_files::head_text(&entry.path().join(name), BYTES_MAX).ok();
            let thread = parse(&text("status")?)?;
            if thread.is_traced || matches!(thread.state, 'D' | 'R') || marks.len() >= THREADS_MAX {
                return None;
            }
            let (id, ticks) = (entry.file_name().to_str()?.parse().ok()?, ticks_in(&text("stat")?)?);
            marks.push(Mark { id, switches: thread.switches, ticks });
        }
    }
    marks.sort_unstable();
    Some(Still { why: Why::Deaf { is_full }, marks })
}

/// Whether a process is stopped by a signal, and no debugger holds it.
pub(super) fn is_stopped(root: &Path, pid: u32) -> bool {
    process(root, pid).is_some_and(|process| process.state == 'T' && !process.is_traced)
}

fn process(root: &Path, pid: u32) -> Option<Process> {
    let status = ansai_files::head_text(&root.join(format!("proc/{pid}/status")), BYTES_MAX).ok()?;
    parse(&status)
}

/// A process by its status; see proc_pid_status(5).
fn parse(status: &str) -> Option<Process> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
    let switches = number("voluntary_ctxt_switches")?.saturating_add(number("nonvoluntary_ctxt_switches")?);
    Some(Process { state: field("State")?.chars().next()?, switches, is_traced: number("TracerPid")? != 0 })
}

/// How long a thread has had the processor, by its stat; see proc_pid_stat(5). The name in parentheses may hold anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()?.saturating_add(times.next()?.ok()?))
}

/// Whether a process is kept from running by its control group.
fn is_frozen(root: &Path, pid: u32) -> bool {
    let read = |path: String| ansai_files::head_text(&root.join(path), BYTES_MAX).ok();
    let groups = read(format!("proc/{pid}/cgroup")).unwrap_or_default();
    let Some(path) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let events = read(format!("sys/fs/cgroup/{path}/cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1")
}

#[cfg(test)]
mod tests;
