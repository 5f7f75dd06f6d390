//! One D-Bus connection to systemd, kept up: calls, signals and the tracker of intents, in the order of the wire.
//!
//! One task reads every message in order, so that a reply is handed out only after all signals before it were taken in.
//! It knows nothing of health; `unit.rs` does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{hint::Hint, id::UnitName, unit::ActiveState};
use futures_util::StreamExt;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
};
use tokio_util::task::TaskTracker;
use zbus::{
    Connection, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant,
    message::{Message, Type},
};

use self::{call::refusal, crowd::ServiceKind, flood::Flood, later::Later};
use super::{
    queues::Queues,
    sent::Sent,
    stalled::Stalls,
    told::{Properties, Told},
    tracker::Tracker,
};

mod call;
mod connect;
pub(super) mod crowd;
mod flood;
mod jobs;
mod later;
mod names;

pub(super) use jobs::QUEUED_MAX;

/// Longest wait for a reply.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Most calls that wait for their reply; the others wait their turn. The bus refuses what goes beyond 128 replies owed to
/// one connection, and the calls that start jobs are not counted here.
const CALLS_MAX: usize = 96;
/// Most job results kept for callers that have not asked yet.
const RESULTS_MAX: usize = 64;

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// Not connected, or the connection ended.
    #[error("systemd does not answer on D-Bus: {0}")]
    Gone(String),
    /// No reply in time.
    #[error("systemd did not reply within {}s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// systemd refused.
    #[error("{text}")]
    Refused {
        /// The error's D-Bus name.
        name: String,
        /// systemd's words.
        text: String,
    },
}

enum Waiter {
    Reply(oneshot::Sender<Result<Message, CallError>>),
    /// A call that answers with a job, which is then waited for.
    Job {
        unit: UnitName,
        path: jobs::JobPath,
        done: oneshot::Sender<Result<String, CallError>>,
    },
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    trouble: String,
    waiters: BTreeMap<u32, Waiter>,
    jobs: BTreeMap<String, oneshot::Sender<Result<String, CallError>>>,
    /// Units with jobs that are waited for here.
    awaited: BTreeSet<UnitName>,
    tracker: Tracker,
    told: Told,
    /// Of units that were asked once, until systemd reads its files anew.
    kinds: BTreeMap<UnitName, ServiceKind>,
    results: VecDeque<(String, String)>,
    queues: Queues,
    stalls: Stalls,
    sent: Sent,
    flood: Flood,
    later: Later,
}

struct Shared {
    state: Mutex<State>,
    tasks: TaskTracker,
    /// The runtime of the agent: what is begun beside outlives the work that begins it.
    runtime: Handle,
    hints: mpsc::Sender<Hint>,
    calls: Semaphore,
    /// Held by whoever asks for a list of all units.
    lists: tokio::sync::Mutex<()>,
}

/// A handle to the connection.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

impl Bus {
    /// Starts the task that keeps the connection up, and hints at what changes.
    pub fn start(sockets: Vec<PathBuf>, tasks: &TaskTracker, hints: mpsc::Sender<Hint>) -> Self {
        let state = Mutex::new(State { trouble: "not connected yet".into(), ..State::default() });
        let (runtime, calls, lists) = (Handle::current(), Semaphore::new(CALLS_MAX), tokio::sync::Mutex::new(()));
        let bus = Self { shared: Arc::new(Shared { state, tasks: tasks.clone(), runtime, hints, calls, lists }) };
        let background = bus.clone();
        tasks.spawn(async move { background.keep_up(sockets).await });
        bus
    }

    /// Runs something beside; it must end by itself.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.shared.tasks.spawn_on(work, &self.shared.runtime);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives access to the tracker of intents.
    pub fn with_tracker<T>(&self, look: impl FnOnce(&mut Tracker) -> T) -> T {
        look(&mut self.state().tracker)
    }

    /// Gives access to what is remembered of units that do nothing.
    pub(super) fn with_stalls<T>(&self, look: impl FnOnce(&mut Stalls) -> T) -> T {
        look(&mut self.state().stalls)
    }

    /// Gives access to which signals were sent to main processes.
    pub(super) fn with_sent<T>(&self, look: impl FnOnce(&mut Sent) -> T) -> T {
        look(&mut self.state().sent)
    }

    /// Gives access to what is remembered of connections that wait.
    pub(super) fn with_queues<T>(&self, look: impl FnOnce(&mut Queues) -> T) -> T {
        look(&mut self.state().queues)
    }

    /// Sets which units are of interest, and which names of new units might be.
    pub fn watch(&self, units: BTreeSet<UnitName>, patterns: Vec<String>) {
        let mut state = self.state();
        let units = state.tracker.with_own_names(units);
        state.told.watch(&units);
        let dropped = state.tracker.watch(units, patterns);
        drop(state);
        if dropped.is_empty() {
            return;
        }
        let bus = self.clone();
        self.spawn(async move {
            for unit in dropped {
                // It may be gone, and then so is the reference.
                let _ = bus.tell("UnrefUnit", &unit).await;
            }
        });
    }

    /// The unit's properties, when a signal has just told them.
    pub(super) fn just_told(&self, unit: &UnitName) -> Option<Properties> {
        self.state().told.fresh(unit, Instant::now()).cloned()
    }

    /// The unit's properties as the last look has found them and signals have kept them.
    pub(super) fn known(&self, unit: &UnitName) -> Option<Properties> {
        self.state().told.known(unit).cloned()
    }

    /// A number to pass to [`Bus::looked`].
    pub(super) fn told_count(&self, unit: &UnitName) -> u64 {
        self.state().told.count(unit)
    }

    /// A look that began at `count` has found these properties.
    pub(super) fn looked(&self, unit: &UnitName, seen: &Properties, count: u64) {
        let mut state = self.state();
        state.told.looked(unit, seen, count, Instant::now());
        // So that the next transition is told apart from this state.
        if let Some(active) = seen.active {
            state.tracker.saw(unit, active);
        }
    }

    /// Notes the program of a unit's main process, once for each: after its end nobody can say any more which it was.
    pub(super) fn saw_process(&self, root: &Path, unit: &UnitName, pid: u32) {
        if !self.state().told.wants_program(unit, pid) {
            return;
        }
        let Ok(program) = std::fs::read_link(root.join(format!("proc/{pid}/exe"))) else { return };
        let program = program.display().to_string();
        // So the kernel says it of a file that was replaced meanwhile.
        let program = program.strip_suffix(" (deleted)").unwrap_or(&program).to_owned();
        self.state().told.runs(unit, pid, program);
    }

    /// The program that a unit's main process runs, or ran last.
    pub(in crate::linux) fn program_of(&self, unit: &UnitName) -> Option<String> {
        self.state().told.program(unit).map(str::to_owned)
    }

    /// The next look asks, unless a signal tells of the unit before.
    pub(super) fn doubt(&self, unit: &UnitName) {
        self.state().told.doubt(unit);
    }

    /// The unit's last known state.
    pub(super) fn last_state(&self, unit: &UnitName) -> Option<ActiveState> {
        self.state().told.active(unit)
    }

    async fn keep_up(self, sockets: Vec<PathBuf>) {
        let mut wait = Duration::from_millis(100);
        loop {
            for socket in &sockets {
                match self.connect(socket).await {
                    Ok(stream) => {
                        wait = Duration::from_millis(100);
                        self.hint(Hint::Everything);
                        let why = self.read(stream).await;
                        self.disconnected(&why);
                        // Nothing is known any more, and nobody should go on believing what was.
                        self.hint(Hint::Everything);
                        break;
                    }
                    Err(error) => self.disconnected(&error.to_string()),
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    // systemd's own socket (/run/systemd/private) would spare a hop, but its messages carry a sender that zbus refuses.
    async fn connect(&self, socket: &Path) -> zbus::Result<MessageStream> {
        match tokio::time::timeout(CALL_TIMEOUT, connect::subscribe(socket)).await {
            Ok(connected) => {
                let (connection, stream, is_shutting_down) = connected?;
                let mut state = self.state();
                // Nobody looks before all changes are heard: a look that misses one would misjudge the next.
                state.tracker.reset();
                state.told.reset();
                state.kinds.clear();
                state.tracker.said_of_shutdown(is_shutting_down);
                state.connection = Some(connection);
                Ok(stream)
            }
            Err(_) => Err(zbus::Error::Failure("no answer while connecting".into())),
        }
    }

    /// Reads until the connection ends; says why it did.
    async fn read(&self, mut stream: MessageStream) -> String {
        while let Some(message) = stream.next().await {
            match message {
                Ok(message) => self.take_in(&message),
                Err(error) => return error.to_string(),
            }
        }
        "the connection was closed".into()
    }

    fn disconnected(&self, why: &str) {
        let mut state = self.state();
        state.connection = None;
        if state.trouble != why {
            tracing::warn!("no connection to systemd: {why}");
        }
        state.trouble = why.to_owned();
        state.tracker.reset();
        state.told.reset();
        state.results.clear();
        let gone = || CallError::Gone(why.to_owned());
        for (_, waiter) in std::mem::take(&mut state.waiters) {
            // Nobody may be waiting any more, which is fine.
            let _ = match waiter {
                Waiter::Reply(reply) => reply.send(Err(gone())).is_ok(),
                Waiter::Job { done, .. } => done.send(Err(gone())).is_ok(),
            };
        }
        for (_, done) in std::mem::take(&mut state.jobs) {
            let _ = done.send(Err(gone()));
        }
    }

    fn take_in(&self, message: &Message) {
        match message.message_type() {
            Type::MethodReturn | Type::Error => self.reply(message),
            Type::Signal => self.signal(message),
            Type::MethodCall => {}
        }
    }

    fn reply(&self, message: &Message) {
        let Some(serial) = message.header().reply_serial() else { return };
        let mut state = self.state();
        let Some(waiter) = state.waiters.remove(&serial.get()) else { return };
        let result = match message.message_type() {
            Type::Error => Err(refusal(message)),
            _ => Ok(message.clone()),
        };
        match (waiter, result) {
            (Waiter::Reply(reply), result) => {
                let _ = reply.send(result);
            }
            (Waiter::Job { done, .. }, Err(error)) => {
                let _ = done.send(Err(error));
            }
            (Waiter::Job { unit, path: known, done }, Ok(message)) => {
                match message.body().deserialize::<OwnedObjectPath>() {
                    Ok(path) => {
                        // It is answered once.
                        let _ = known.set(path.as_str().to_owned());
                        state.tracker.job_is_ours(&unit, path.as_str());
                        let position = state.results.iter().position(|(job, _)| job == path.as_str());
                        match position.and_then(|position| state.results.remove(position)) {
                            Some((_, result)) => {
                                let _ = done.send(Ok(result));
                            }
                            None => {
                                // Those that nobody waits for any more leave their places.
                                state.jobs.retain(|_, done| !done.is_closed());
                                state.jobs.insert(path.as_str().to_owned(), done);
                            }
                        }
                    }
                    Err(error) => {
                        let _ = done.send(Err(CallError::Gone(error.to_string())));
                    }
                }
            }
        }
    }

    fn signal(&self, message: &Message) {
        let header = message.header();
        let Some(member) = header.member() else { return };
        match member.as_str() {
            "PropertiesChanged" => self.properties_changed(message),
            "JobNew" => {
                let body = message.body();
                let Ok((_, job, unit)) = body.deserialize::<(u32, ObjectPath<'_>, &str)>() else { return };
                self.state().tracker.any_job_new(unit, job.as_str());
                if let Some(unit) = self.watched(unit) {
                    self.state().tracker.job_new(&unit, job.as_str());
                    self.state().told.heard(&unit);
                    self.hint_at(&unit);
                }
            }
            "JobRemoved" => {
                let body = message.body();
                let Ok((_, job, unit, result)) = body.deserialize::<(u32, ObjectPath<'_>, &str, &str)>() else {
                    return;
                };
                self.job_removed(job.as_str(), unit, result);
            }
            "UnitNew" | "UnitRemoved" => {
                let body = message.body();
                let Ok((unit, _)) = body.deserialize::<(&str, ObjectPath<'_>)>() else { return };
                if let Some(unit) = self.watched(unit) {
                    let is_news = {
                        let mut state = self.state();
                        let is_news = state.tracker.is_loading_news(&unit);
                        if is_news {
                            state.told.forget(&unit);
                        }
                        is_news
                    };
                    if is_news {
                        self.hint_at(&unit);
                    }
                } else if unit.ends_with(".service") && self.state().tracker.may_match(unit) {
                    self.hint(Hint::Units);
                }
            }
            // Unit files are read anew: what was told before may no longer hold.
            "Reloading" => {
                let mut state = self.state();
                state.told.reset();
                state.kinds.clear();
                state.tracker.doubt_names();
            }
            _ => {}
        }
    }

    fn job_removed(&self, job: &str, unit: &str, result: &str) {
        let mut state = self.state();
        match state.jobs.remove(job) {
            Some(done) => {
                let _ = done.send(Ok(result.to_owned()));
            }
            None => {
                if state.results.len() >= RESULTS_MAX {
                    state.results.pop_front();
                }
                state.results.push_back((job.to_owned(), result.to_owned()));
            }
        }
        state.tracker.any_job_removed(job, result);
        let watched = state.tracker.watched(unit);
        if let Some(unit) = watched {
            state.tracker.job_removed(&unit, job, result);
            state.told.heard(&unit);
            drop(state);
            self.pass_on(&unit);
        }
    }

    fn properties_changed(&self, message: &Message) {
        let header = message.header();
        let Some(path) = header.path() else { return };
        let Some(unit) = self.state().tracker.by_path(path.as_str()) else {
            return self.trigger_changed(path.as_str());
        };
        let body = message.body();
        type Changed<'a> = (&'a str, HashMap<&'a str, OwnedVariant>, Vec<&'a str>);
        let Ok((interface, changed, _)) = body.deserialize::<Changed<'_>>() else { return self.hint_at(&unit) };
        let is_last = interface == UNIT;
        let before = self.state().told.active(&unit);
        {
            let mut state = self.state();
            state.told.changed(&unit, &changed, is_last, Instant::now());
            if is_last && let Some(Ok(active)) = changed.get("ActiveState").map(|value| value.downcast_ref::<&str>()) {
                state.tracker.became(&unit, super::unit::active_state(active));
            }
        }
        // systemd tells of the unit's type first and of the unit last: only then the news are whole.
        if is_last {
            let is_same = self.state().told.active(&unit) == before;
            if is_same { self.hint_at(&unit) } else { self.hint_now(&unit) }
        }
    }

    fn watched(&self, unit: &str) -> Option<UnitName> {
        self.state().tracker.watched(unit)
    }

    pub(super) fn hint(&self, hint: Hint) {
        // A full queue already wakes the reader; what is lost is made good by looking at everything.
        if self.shared.hints.try_send(hint).is_err() {
            self.state().tracker.has_lost_hints = true;
        }
    }
}

pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
