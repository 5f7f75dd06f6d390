//! Whether a unit that systemd calls active does anything at all: the kernel goes on accepting for a service whose processes
//! are stopped, so a look at its port finds nothing wrong.
//!
//! A look costs one small file while the main process can run. What somebody debugs or has frozen is not judged, and nothing
//! is judged by one look.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use ansai_model::{
    domain::service::{ActiveState, UnitSnapshot},
    hint::Hint,
    id::UnitName,
    observation::Observation,
    time::Shown,
};

use super::{bus::Bus, unit::processes};

/// How long all processes must have been found stopped.
const STOPPED_FOR: Duration = Duration::from_secs(10);
/// How long all must have waited for a device or a server without having run in between.
const WAITING_FOR: Duration = Duration::from_secs(60);
/// Most processes of a unit that are looked at; a unit with more is not judged.
const PROCESSES_MAX: usize = 256;
/// Most units of which none can run at a time.
const UNITS_MAX: usize = 1024;
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
    marks: Vec<(u32, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Stopped by a signal.
    Stopped,
    /// In the kernel, where no signal ends them.
    Waiting,
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
            Some(stall) if stall.still == still => {
                let (lasts, needed) = (now.duration_since(stall.since), why.lasts());
                if lasts >= needed { Verdict::Stalled(why, lasts) } else { Verdict::InDoubt(needed - lasts) }
            }
            None if self.0.len() >= UNITS_MAX => Verdict::Runs,
            Some(_) | None => {
                self.0.insert(unit.clone(), Stall { since: now, still });
                Verdict::InDoubt(why.lasts())
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Runs,
    /// It is looked at again after this time.
    InDoubt(Duration),
    Stalled(Why, Duration),
}

impl Why {
    fn lasts(self) -> Duration {
        match self {
            Self::Stopped => STOPPED_FOR,
            Self::Waiting => WAITING_FOR,
        }
    }
}

/// What is seen of a unit of which no process has run for long enough. One whose processes wait in the kernel is unknown:
/// no restart ends them, and they go on when the disk or the server is back.
pub(super) async fn look(bus: &Bus, root: &Path, unit: &UnitName, seen: &UnitSnapshot) -> Option<Observation> {
    let main = seen.main_pid.filter(|_| seen.active == ActiveState::Active)?;
    let is_still = process(root, main).is_some_and(|process| matches!(process.state, 'T' | 'D'));
    let still = match is_still {
        true => still(root, &processes(bus, unit).await.ok()?),
        false => None,
    };
    let count = still.as_ref().map_or(0, |still| still.marks.len());
    let verdict = bus.with_stalls(|stalls| stalls.saw(unit, still, Instant::now()));
    match verdict {
        Verdict::Runs => None,
        Verdict::InDoubt(wait) => {
            let (again, unit) = (bus.clone(), unit.clone());
            bus.spawn(async move {
                tokio::time::sleep(wait).await;
                again.hint(Hint::Unit(unit));
            });
            None
        }
        Verdict::Stalled(why, lasts) => {
            let all =
                if count == 1 { "its process has".to_owned() } else { format!("all of its {count} processes have") };
            let lasts = Shown(lasts);
            Some(match why {
                Why::Stopped => Observation::failing(format!("it hangs: {all} been stopped (state T) for {lasts}")),
                Why::Waiting => Observation::unknown(format!(
                    "it hangs: {all} waited in the kernel (state D) for {lasts}, for a disk or a server that is away; a \
                     restart would not end them"
                )),
            })
        }
    }
}

/// Why none of these processes can run; nothing when one can, is debugged or frozen, or cannot be looked at.
fn still(root: &Path, pids: &[u32]) -> Option<Still> {
    if pids.is_empty() || pids.len() > PROCESSES_MAX || is_frozen(root, pids[0]) {
        return None;
    }
    let mut marks = Vec::new();
    let mut states = Vec::new();
    for pid in pids {
        let process = process(root, *pid)?;
        // What has ended and was not asked for its end cannot run, and says nothing of the others.
        if process.state == 'Z' {
            continue;
        }
        if process.is_traced {
            return None;
        }
        states.push(process.state);
        marks.push((*pid, process.switches));
    }
    let all = |state: char| !states.is_empty() && states.iter().all(|of| *of == state);
    let why = match (all('T'), all('D')) {
        (true, _) => Why::Stopped,
        (_, true) => Why::Waiting,
        _ => return None,
    };
    marks.sort_unstable();
    Some(Still { why, marks })
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

/// Whether a process is kept from running by its control group.
fn is_frozen(root: &Path, pid: u32) -> bool {
    let read = |path: String| ansai_files::head_text(&root.join(path), BYTES_MAX).ok();
    let groups = read(format!("proc/{pid}/cgroup")).unwrap_or_default();
    let Some(path) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let events = read(format!("sys/fs/cgroup/{path}/cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "frozen 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: char, switches: u64, tracer: u32) -> String {
        format!(
            "Name:\tState: x\nUmask:\t0022\nState:\t{state} (stopped)\nTgid:\t7\nTracerPid:\t{tracer}\nThreads:\t1\n\
             voluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t2\n"
        )
    }

    fn host(processes: &[(u32, char, u64, u32)], is_frozen: bool) -> (tempfile::TempDir, Vec<u32>) {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: String, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        for (pid, state, switches, tracer) in processes {
            write(format!("proc/{pid}/status"), &status(*state, *switches, *tracer));
            write(format!("proc/{pid}/cgroup"), "0::/system.slice/app.service\n");
        }
        let frozen = if is_frozen { "populated 1\nfrozen 1\n" } else { "populated 1\nfrozen 0\n" };
        write("sys/fs/cgroup/system.slice/app.service/cgroup.events".into(), frozen);
        (root, processes.iter().map(|process| process.0).collect())
    }

    #[test]
    fn only_a_unit_of_which_no_process_can_run_is_still() {
        let cases = [
            (vec![(7, 'T', 1, 0)], false, Some(Why::Stopped)),
            (vec![(7, 'T', 1, 0), (8, 'T', 1, 0), (9, 'Z', 1, 0)], false, Some(Why::Stopped)),
            (vec![(7, 'D', 1, 0), (8, 'D', 1, 0)], false, Some(Why::Waiting)),
            // A drill or a person stopped the master, and the workers answer.
            (vec![(7, 'T', 1, 0), (8, 'S', 1, 0)], false, None),
            (vec![(7, 'T', 1, 0), (8, 'D', 1, 0)], false, None),
            (vec![(7, 'S', 1, 0)], false, None),
            // Debugged, stopped between two steps or not.
            (vec![(7, 't', 1, 4)], false, None),
            (vec![(7, 'T', 1, 0), (8, 'T', 1, 4)], false, None),
            (vec![(7, 'T', 1, 0)], true, None),
            (vec![], false, None),
        ];
        for (processes, is_frozen, expected) in cases {
            let (root, pids) = host(&processes, is_frozen);
            assert_eq!(still(root.path(), &pids).map(|still| still.why), expected, "{processes:?} {is_frozen}");
        }
    }

    #[test]
    fn a_process_that_is_gone_or_torn_is_not_judged() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("State:\nTracerPid:\tx\n"), None);
        let (root, _) = host(&[(7, 'T', 1, 0)], false);
        assert_eq!(still(root.path(), &[7, 8]), None);
    }

    #[test]
    fn nothing_is_judged_by_one_look_nor_by_two_between_which_it_ran() {
        let unit = UnitName::new("app.service").expect("valid");
        let still = |why, switches| Some(Still { why, marks: vec![(7, switches)] });
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut stalls = Stalls::default();
        assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(0)), Verdict::InDoubt(STOPPED_FOR));
        assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(4)), Verdict::InDoubt(Duration::from_secs(6)));
        let lasts = Duration::from_secs(10);
        assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(10)), Verdict::Stalled(Why::Stopped, lasts));
        // It was let go of for a moment.
        assert_eq!(stalls.saw(&unit, still(Why::Stopped, 2), at(12)), Verdict::InDoubt(STOPPED_FOR));
        assert_eq!(stalls.saw(&unit, None, at(13)), Verdict::Runs);
        assert_eq!(stalls.saw(&unit, still(Why::Waiting, 3), at(20)), Verdict::InDoubt(WAITING_FOR));
        assert_eq!(stalls.saw(&unit, still(Why::Waiting, 4), at(90)), Verdict::InDoubt(WAITING_FOR));
        let lasts = Duration::from_secs(60);
        assert_eq!(stalls.saw(&unit, still(Why::Waiting, 4), at(150)), Verdict::Stalled(Why::Waiting, lasts));
    }
}
