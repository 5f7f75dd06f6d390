//! Declared processes, where no service manager keeps them: started, watched through a pidfd, stopped, and found again
//! after a restart of the agent by pid and start time.
//!
//! It deliberately decides nothing about restarts, reads no output (a process writes where the agent does), and reaps
//! only what it started itself: as the first process of a container the agent wants an init beside it.

use std::{
    collections::BTreeMap,
    fs,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::{
    action::{ActionOutcome, ProcessDeclaration},
    hint::Hint,
    observation::Observation,
    text::Text,
    unit::{ActiveState, Exit, Intent, UnitExpectation, UnitResult, UnitSnapshot, judge},
};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc, watch},
};
use tokio_util::task::TaskTracker;

use super::{
    aside::{self, Kind, Work},
    command::{self, Ended, Streams},
    pid_file::{self, Named},
};

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(10);
/// An identity is two numbers.
const IDENTITY_BYTES_MAX: u64 = 64;
/// Some fifty numbers and a name.
const STAT_BYTES_MAX: u64 = 4096;

/// A process, told apart from a later one with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: Pid,
    /// Field 22 of /proc/PID/stat, see proc(5).
    pub(super) started: u64,
}

/// How a declared process stands.
#[derive(Clone, Debug)]
enum Standing {
    Running {
        identity: Identity,
        /// Whether it leads its own process group, which we made.
        leads_group: bool,
        /// Becomes true when it has ended.
        ended: watch::Receiver<bool>,
    },
    Ended {
        exit: Option<Exit>,
        intent: Intent,
    },
}

/// The declared processes. A clone is another handle to them.
#[derive(Clone)]
pub(super) struct Processes {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    standings: Mutex<BTreeMap<String, Standing>>,
    hints: mpsc::Sender<Hint>,
    tasks: TaskTracker,
}

impl Processes {
    /// Remembers in `state_dir` which process is which.
    pub(super) fn new(state_dir: &Path, hints: mpsc::Sender<Hint>, tasks: &TaskTracker) -> Self {
        let (dir, standings) = (state_dir.join("processes"), Mutex::default());
        Self { inner: Arc::new(Inner { dir, standings, hints, tasks: tasks.clone() }) }
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.inner.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a process stands; one that an agent before this one started is found again.
    fn standing(&self, name: &str) -> Option<Standing> {
        if let Some(standing) = self.standings().get(name) {
            return Some(standing.clone());
        }
        let identity = read_identity(&self.file(name)?)?;
        // One that has ended since then is no longer it, whatever has its pid now.
        let leads_group = rustix::process::getpgid(Some(identity.pid)).is_ok_and(|group| group == identity.pid);
        self.adopt(name, identity, leads_group).ok()
    }

    /// Observes whether a process runs.
    pub(super) fn observe(&self, name: &str) -> Observation {
        let seen = match self.standing(name) {
            Some(Standing::Running { identity, .. }) => UnitSnapshot {
                main_pid: u32::try_from(identity.pid.as_raw_nonzero().get()).ok(),
                ..UnitSnapshot::plain(ActiveState::Active)
            },
            Some(Standing::Ended { exit: exit @ (None | Some(Exit::Code(0))), intent }) => {
                UnitSnapshot { exit, intent, ..UnitSnapshot::plain(ActiveState::Inactive) }
            }
            Some(Standing::Ended { exit, intent }) => {
                let result = UnitResult::ExitCode;
                UnitSnapshot { result, exit, intent, ..UnitSnapshot::plain(ActiveState::Failed) }
            }
            None => return Observation::failing(format!("the process {name} does not run")),
        };
        judge(UnitExpectation::Running, seen)
    }

    /// Starts a process, unless it runs.
    pub(super) async fn start(&self, process: &ProcessDeclaration, timeout: Duration) -> ActionOutcome {
        if matches!(self.standing(&process.name), Some(Standing::Running { .. })) {
            return ActionOutcome::NotNeeded { why: Text::new(format!("{} runs already", process.name)) };
        }
        let started = match &process.pid_file {
            Some(pid_file) => self.start_daemon(process, Path::new(pid_file), timeout).await,
            None => self.spawn(process, timeout).await,
        };
        match started {
            Ok(identity) => {
                let pid = identity.pid.as_raw_nonzero();
                ActionOutcome::Succeeded { note: Text::new(format!("{} started as process {pid}", process.name)) }
            }
            Err(why) => ActionOutcome::Failed { why: Text::new(why) },
        }
    }

    /// The command is the process.
    async fn spawn(&self, process: &ProcessDeclaration, timeout: Duration) -> Result<Identity, String> {
        let shown = process.start.shown();
        let mut child = command::begin(&process.start, Streams::Ours, timeout).await.map_err(|ended| match ended {
            Ended::Failed(why) => why,
            Ended::Missing => format!("`{shown}` could not be begun: there is no such program"),
            other => format!("`{shown}` could not be begun: {other:?}"),
        })?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let identity = pid.and_then(identity_of).ok_or_else(|| format!("`{shown}` ended at once"))?;
        let (done, ended) = watch::channel(false);
        self.remember(&process.name, identity, true, ended)?;
        let (processes, name) = (self.clone(), process.name.clone());
        self.inner.tasks.spawn(async move {
            let exit = child.wait().await.ok().and_then(exit_of);
            processes.has_ended(&name, identity, exit, &done);
        });
        Ok(identity)
    }

    /// The command puts the process into the background and writes its pid.
    async fn start_daemon(
        &self,
        process: &ProcessDeclaration,
        pid_file: &Path,
        timeout: Duration,
    ) -> Result<Identity, String> {
        let shown = process.start.shown();
        let begun = pid_file::ticks_now();
        let finished = command::run(&process.start, timeout).await;
        if finished.ended != Ended::Code(0) {
            return Err(format!("`{shown}` did not end well ({:?}): {}", finished.ended, command::said(&finished)));
        }
        let (file, work) = (pid_file.to_owned(), Work::new(Kind::Own, pid_file.to_string_lossy()).on([pid_file]));
        let named = aside::run(work, timeout, move || pid_file::named(&file, begun)).await;
        let named = named.map_err(|late| late.to_string()).and_then(|named| named);
        let named = named.map_err(|why| format!("{why}, after `{shown}`"))?;
        let identity = named.identity;
        self.watch(&process.name, named, false)?;
        Ok(identity)
    }

    /// Watches a process that is no child of this agent.
    fn adopt(&self, name: &str, identity: Identity, leads_group: bool) -> Result<Standing, String> {
        let named = pid_file::held(identity.pid)?;
        // The pid was taken before the fd: only now is it sure to be the same process.
        if named.identity != identity {
            return Err(format!("process {} has ended", identity.pid.as_raw_nonzero()));
        }
        self.watch(name, named, leads_group)
    }

    fn watch(&self, name: &str, named: Named, leads_group: bool) -> Result<Standing, String> {
        let Named { fd, identity } = named;
        let gone =
            |error: std::io::Error| format!("process {} cannot be watched: {error}", identity.pid.as_raw_nonzero());
        #[expect(
            deprecated,
            reason = "it owns the descriptor, which is what its successor wants promised in unsafe code"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).map_err(gone)?;
        let (done, ended) = watch::channel(false);
        let standing = self.remember(name, identity, leads_group, ended)?;
        let (processes, name) = (self.clone(), name.to_owned());
        self.inner.tasks.spawn(async move {
            wait_for_end(&fd).await;
            processes.has_ended(&name, identity, None, &done);
        });
        Ok(standing)
    }

    fn remember(
        &self,
        name: &str,
        identity: Identity,
        leads_group: bool,
        ended: watch::Receiver<bool>,
    ) -> Result<Standing, String> {
        let standing = Standing::Running { identity, leads_group, ended };
        self.standings().insert(name.to_owned(), standing.clone());
        let file = self.file(name).ok_or_else(|| format!("`{name}` is no name of a file"))?;
        let text = format!("{} {}\n", identity.pid.as_raw_nonzero(), identity.started);
        // Without it the process is started a second time after a restart of the agent: better said than hidden.
        fs::create_dir_all(&self.inner.dir)
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| format!("it runs, but {} cannot be written: {error}", file.display()))?;
        Ok(standing)
    }

    fn has_ended(&self, name: &str, identity: Identity, exit: Option<Exit>, done: &watch::Sender<bool>) {
        {
            let mut standings = self.standings();
            if let Some(standing) = standings.get_mut(name)
                && matches!(standing, Standing::Running { identity: current, .. } if *current == identity)
            {
                *standing = Standing::Ended { exit, intent: Intent::ByItself };
            }
        }
        // Whoever waits for its end may have gone.
        let _ = done.send(true);
        // A full queue wakes the reader anyway, and the periodic look finds it.
        let _ = self.inner.hints.try_send(Hint::Process(name.into()));
    }

    /// Stops a process and waits for its end: with its own command, then TERM, then KILL.
    pub(super) async fn stop(&self, process: &ProcessDeclaration, timeout: Duration) -> ActionOutcome {
        let Some(Standing::Running { identity, leads_group, ended }) = self.standing(&process.name) else {
            return ActionOutcome::NotNeeded { why: Text::new(format!("{} does not run", process.name)) };
        };
        let Ok(fd) = pidfd_open(identity.pid, PidfdFlags::empty()) else {
            return ActionOutcome::NotNeeded { why: Text::new(format!("{} has just ended", process.name)) };
        };
        if identity_of(identity.pid) != Some(identity) {
            return ActionOutcome::NotNeeded { why: Text::new(format!("{} has just ended", process.name)) };
        }
        if let Some(stop) = &process.stop {
            // Whether it worked is told by the process's end.
            drop(command::run(stop, timeout).await);
        } else {
            signal(&fd, identity, leads_group, Signal::TERM);
        }
        let within = if process.stop.is_some() { GRACE.min(timeout) } else { GRACE };
        let how = if is_ended_within(ended.clone(), within).await {
            "stopped"
        } else {
            signal(&fd, identity, leads_group, Signal::KILL);
            if !is_ended_within(ended, GRACE).await {
                return ActionOutcome::Failed { why: Text::new(format!("{} does not end by SIGKILL", process.name)) };
            }
            "killed, since it did not stop"
        };
        if let Some(Standing::Ended { intent, .. }) = self.standings().get_mut(&process.name) {
            *intent = Intent::Ours;
        }
        ActionOutcome::Succeeded { note: Text::new(format!("{} {how}", process.name)) }
    }

    /// Where the identity is kept; a name that is no plain file name has none.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let is_plain = !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && !name.contains(['/', '\0']);
        is_plain.then(|| self.inner.dir.join(name))
    }
}

/// Sends a signal to a process whose identity was made sure of while `fd` was open; its pid cannot be another's before
/// it is reaped. With it goes its group, when that is its own.
fn signal(fd: &OwnedFd, identity: Identity, leads_group: bool, signal: Signal) {
    // It may have ended in between, which is what is wanted.
    let is_alive = pidfd_send_signal(fd, signal).is_ok();
    if is_alive && leads_group {
        let _ = kill_process_group(identity.pid, signal);
    }
}

async fn is_ended_within(mut ended: watch::Receiver<bool>, within: Duration) -> bool {
    tokio::time::timeout(within, ended.wait_for(|ended| *ended)).await.is_ok()
}

/// A pidfd is readable when its process has ended.
async fn wait_for_end(fd: &AsyncFd<OwnedFd>) {
    // An error means that the runtime stops: nobody waits any more.
    let _ = fd.readable().await;
}

/// Which process has a pid now.
pub(super) fn identity_of(pid: Pid) -> Option<Identity> {
    let stat =
        ansai_files::head_text(Path::new(&format!("/proc/{}/stat", pid.as_raw_nonzero())), STAT_BYTES_MAX).ok()?;
    // The name in parentheses may hold anything, so the fields are counted after its end: state is the third.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_alive = !matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    is_alive.then_some(Identity { pid, started })
}

fn read_identity(file: &Path) -> Option<Identity> {
    let text = bounded(file)?;
    let (pid, started) = text.trim().split_once(' ')?;
    let kept = Identity { pid: Pid::from_raw(pid.parse().ok()?)?, started: started.parse().ok()? };
    (identity_of(kept.pid) == Some(kept)).then_some(kept)
}

fn bounded(file: &Path) -> Option<String> {
    ansai_files::head_text(file, IDENTITY_BYTES_MAX).ok()
}

fn exit_of(status: ExitStatus) -> Option<Exit> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Some(Exit::Code(code)),
        (None, Some(signal)) if status.core_dumped() => Some(Exit::Dumped(signal)),
        (None, Some(signal)) => Some(Exit::Signal(signal)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{observation::Health, probe::CommandLine};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    struct Bench {
        processes: Processes,
        hints: mpsc::Receiver<Hint>,
        dir: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let (sender, hints) = mpsc::channel(16);
        Bench { processes: Processes::new(dir.path(), sender, &TaskTracker::new()), hints, dir }
    }

    fn declared(argv: &[&str]) -> ProcessDeclaration {
        let start = CommandLine::new(argv.iter().copied());
        ProcessDeclaration { name: "worker".into(), start, stop: None, pid_file: None }
    }

    fn pid_of(seen: &Observation) -> Pid {
        let pid = seen.unit().and_then(|unit| unit.main_pid).expect("it runs");
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not zero")
    }

    async fn hinted(bench: &mut Bench) {
        let hint = tokio::time::timeout(LIMIT, bench.hints.recv()).await.expect("in time");
        assert_eq!(hint, Some(Hint::Process("worker".into())));
    }

    #[tokio::test]
    async fn a_process_is_started_once_its_end_is_hinted_at_and_a_stop_of_ours_is_known_as_one() {
        let mut bench = bench();
        let worker = declared(&["sleep", "1000"]);
        assert_eq!(bench.processes.observe("worker").health(), Health::Failing);
        let started = bench.processes.start(&worker, LIMIT).await;
        assert!(matches!(started, ActionOutcome::Succeeded { .. }), "{started:?}");
        let again = bench.processes.start(&worker, LIMIT).await;
        assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "{again:?}");
        let seen = bench.processes.observe("worker");
        assert_eq!(seen.health(), Health::Healthy);
        rustix::process::kill_process(pid_of(&seen), Signal::KILL).expect("killed");
        hinted(&mut bench).await;
        let seen = bench.processes.observe("worker");
        assert_eq!((seen.health(), seen.unit().and_then(|unit| unit.exit)), (Health::Failing, Some(Exit::Signal(9))));
        bench.processes.start(&worker, LIMIT).await;
        let stopped = bench.processes.stop(&worker, LIMIT).await;
        assert!(matches!(stopped, ActionOutcome::Succeeded { .. }), "{stopped:?}");
        let seen = bench.processes.observe("worker");
        assert_eq!(seen.unit().map(|unit| unit.intent), Some(Intent::Ours));
    }

    #[tokio::test]
    async fn one_that_ignores_term_is_killed_with_what_it_started() {
        let bench = bench();
        let stubborn = declared(&["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"]);
        let stop = Some(CommandLine::new(["true"]));
        let stubborn = ProcessDeclaration { stop, ..stubborn };
        bench.processes.start(&stubborn, LIMIT).await;
        let outcome = bench.processes.stop(&stubborn, Duration::from_millis(200)).await;
        let ActionOutcome::Succeeded { note } = outcome else { panic!("{outcome:?}") };
        assert!(note.as_str().contains("killed"), "{note}");
    }

    #[tokio::test]
    async fn an_agent_that_comes_after_finds_it_again_and_never_takes_another_for_it() {
        let bench = bench();
        let worker = declared(&["sleep", "1000"]);
        bench.processes.start(&worker, LIMIT).await;
        let pid = pid_of(&bench.processes.observe("worker"));
        let (sender, mut hints) = mpsc::channel(16);
        let later = Processes::new(bench.dir.path(), sender.clone(), &TaskTracker::new());
        assert_eq!(pid_of(&later.observe("worker")), pid);
        let again = later.start(&worker, LIMIT).await;
        assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "{again:?}");
        rustix::process::kill_process(pid, Signal::KILL).expect("killed");
        let hint = tokio::time::timeout(LIMIT, hints.recv()).await.expect("in time");
        assert_eq!(hint, Some(Hint::Process("worker".into())));
        assert_eq!(later.observe("worker").health(), Health::Failing);
        // The pid lives on in another process: this test's own.
        let own = identity_of(rustix::process::getpid()).expect("it runs");
        let text = format!("{} {}\n", own.pid.as_raw_nonzero(), own.started + 1);
        std::fs::write(bench.dir.path().join("processes/worker"), text).expect("written");
        let last = Processes::new(bench.dir.path(), sender, &TaskTracker::new());
        assert_eq!(last.observe("worker").health(), Health::Failing);
    }

    #[tokio::test]
    async fn a_daemon_is_found_by_its_pid_file() {
        let mut bench = bench();
        let pid_file = bench.dir.path().join("worker.pid").display().to_string();
        let script = format!("sleep 1000 >/dev/null 2>&1 & echo $! > {pid_file}");
        let daemon = ProcessDeclaration { pid_file: Some(pid_file), ..declared(&["sh", "-c", &script]) };
        let started = bench.processes.start(&daemon, LIMIT).await;
        assert!(matches!(started, ActionOutcome::Succeeded { .. }), "{started:?}");
        let pid = pid_of(&bench.processes.observe("worker"));
        rustix::process::kill_process(pid, Signal::KILL).expect("killed");
        hinted(&mut bench).await;
        assert_eq!(bench.processes.observe("worker").health(), Health::Failing);
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_why() {
        let bench = bench();
        let outcome = bench.processes.start(&declared(&["/no/such/program"]), LIMIT).await;
        let ActionOutcome::Failed { why } = outcome else { panic!("{outcome:?}") };
        assert!(why.as_str().contains("/no/such/program"), "{why}");
    }
}
