//! A real Linux host: systemd over D-Bus, probes, commands.
//!
//! [`LinuxHost`] puts the adapters together behind the port; each adapter has its file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{
    action::{Action, ActionOutcome, ActionPlan, ActionRun},
    condition::Value,
    hint::Hint,
    id::UnitName,
    incident::{Evidence, EvidenceRequest},
    inventory::{Inventory, Standing},
    observation::{Health, Observation},
    probe::Probe,
    text::Text,
    unit::ActiveState,
};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::port::Host;

pub mod ability;
pub mod act;
mod answering;
mod apart;
pub mod aside;
mod backlog;
mod clock;
pub mod command;
pub mod domain;
pub mod drill;
mod evidence;
mod facts;
mod kernel;
mod listening;
pub mod mounts;
pub mod own_memory;
pub mod owned_path;
mod packages;
mod permission;
mod pid_file;
pub mod port_owner;
pub mod probe;
mod processes;
pub mod programs;
pub mod redact;
pub mod systemd;
pub mod tls;
mod tmpfiles;
mod unit_files;

use act::Steps;
use owned_path::Trusted;
use processes::Processes;
use systemd::{Bus, Drill};

/// Most hints that wait; when there are more, everything is looked at.
const HINTS_MAX: usize = 256;

/// Where the host's parts are.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sockets of the message bus on which systemd answers, in order of preference; empty where no systemd runs.
    pub buses: Vec<PathBuf>,
    /// The root below which `/proc`, `/sys` and files are found; `/` for this machine.
    pub root: PathBuf,
    /// Folders of unit files, the strongest first, below the root.
    pub unit_folders: Vec<PathBuf>,
    /// Where last known good configurations are kept.
    pub state_dir: PathBuf,
    /// Words whose values are redacted, besides the shipped ones.
    pub redact: Vec<String>,
}

impl Options {
    /// This machine: the system's manager as root, the user's own otherwise, and none where systemd does not run, which
    /// is told as by sd_booted(3).
    #[must_use]
    pub fn this_machine(state_dir: PathBuf) -> Self {
        let uid = rustix::process::geteuid();
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let (bus, unit_folders) = if uid.is_root() {
            let folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];
            ("/run/dbus/system_bus_socket".into(), folders.map(PathBuf::from).into())
        } else {
            let runtime =
                folder("XDG_RUNTIME_DIR").unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", uid.as_raw())));
            let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
            let shared = ["/etc/systemd/user", "/usr/lib/systemd/user"].map(PathBuf::from);
            let own = [own.unwrap_or_default().join("systemd/user"), runtime.join("systemd/user")];
            (runtime.join("bus"), own.into_iter().chain(shared).collect())
        };
        let is_booted = std::path::Path::new("/run/systemd/system").is_dir();
        let buses = if is_booted { vec![bus] } else { Vec::new() };
        Self { buses, root: "/".into(), unit_folders, state_dir, redact: Vec::new() }
    }

    /// The folders of unit files as they are found.
    fn unit_folders(&self) -> Vec<PathBuf> {
        self.unit_folders.iter().map(|folder| self.root.join(folder.strip_prefix("/").unwrap_or(folder))).collect()
    }
}

/// A real Linux host. A clone is another handle to it.
#[derive(Clone)]
pub struct LinuxHost {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    bus: Option<Bus>,
    tasks: TaskTracker,
    processes: Processes,
    wakes: mpsc::Sender<Hint>,
    hints: Mutex<Option<mpsc::Receiver<Hint>>>,
    context: probe::Context,
    kept: domain::Kept,
    redactor: redact::Redactor,
    declarations: tmpfiles::Declarations,
}

impl LinuxHost {
    /// Begins to listen to the host; its background tasks run on `tasks`.
    #[must_use]
    pub fn new(options: Options, tasks: &TaskTracker) -> Self {
        let (sender, hints) = mpsc::channel(HINTS_MAX);
        let bus = (!options.buses.is_empty()).then(|| Bus::start(options.buses.clone(), tasks, sender.clone()));
        tasks.spawn(mounts::watch(options.root.clone(), sender.clone()));
        let processes = Processes::new(&options.state_dir, sender.clone(), tasks);
        let context = probe::Context::new(options.root.clone()).with_unit_folders(options.unit_folders());
        let redactor = redact::Redactor::new(&options.redact);
        let hints = Mutex::new(Some(hints));
        let kept = domain::Kept::default();
        Self {
            inner: Arc::new(Inner {
                bus,
                tasks: tasks.clone(),
                processes,
                wakes: sender,
                hints,
                context,
                kept,
                redactor,
                options,
                declarations: Default::default(),
            }),
        }
    }

    /// Limits unit hints to these units; new units that match a pattern are hinted at as well.
    pub fn watch(&self, units: BTreeSet<UnitName>, patterns: Vec<String>) {
        if let Some(bus) = &self.inner.bus {
            bus.watch(units, patterns);
        }
    }

    /// Ends the drills that an earlier life of the agent began, each when its time is over.
    pub fn end_drills(&self, tasks: &TaskTracker) {
        let state_dir = &self.inner.options.state_dir;
        match drill::ending::lasting(state_dir) {
            Ok(drills) => drills.into_iter().for_each(|drill| {
                let (wakes, unit) = (self.inner.wakes.clone(), UnitName::new(&drill.unit));
                let ends = drill.end_in_time(state_dir.clone());
                tasks.spawn(async move {
                    if let (Some(what), Ok(unit)) = (ends.await, unit) {
                        // Nobody listens any more where it is not taken.
                        let _ = wakes.send(Hint::DrillEnded { unit, what }).await;
                    }
                });
            }),
            Err(error) => tracing::warn!("drills of before cannot be looked for: {error}"),
        }
    }

    /// Ends every drill at once: whoever stops leaves none behind.
    pub async fn end_all_drills(&self) {
        drill::ending::end_all(&self.inner.options.state_dir).await;
    }

    /// Whether a service manager is there to be asked.
    #[must_use]
    pub fn has_systemd(&self) -> bool {
        self.inner.bus.is_some()
    }

    /// How these names stand with systemd; `None` when it does not answer.
    pub async fn standings(&self, units: &[UnitName]) -> Option<BTreeMap<UnitName, Standing>> {
        systemd::standings(self.inner.bus.as_ref()?, units).await.ok()
    }

    /// Whether a unit is up or on its way; `None` when systemd does not say.
    pub(crate) async fn is_up(&self, unit: &UnitName) -> Option<bool> {
        let bus = self.inner.bus.as_ref()?;
        systemd::is_up(bus, unit).await.ok()
    }

    /// The state of a unit at this moment; `None` when systemd does not say.
    pub(crate) async fn state_of(&self, unit: &UnitName) -> Option<ActiveState> {
        let bus = self.inner.bus.as_ref()?;
        systemd::state(bus, unit).await.ok()
    }

    /// The processes of a unit; none when systemd does not say.
    pub(crate) async fn processes_of(&self, unit: &UnitName) -> Vec<u32> {
        let Some(bus) = &self.inner.bus else { return Vec::new() };
        systemd::processes(bus, unit).await.unwrap_or_default()
    }

    /// The unit's own name, when a look has found that this is another.
    pub(crate) fn own_name(&self, unit: &UnitName) -> UnitName {
        self.inner.bus.as_ref().map_or_else(|| unit.clone(), |bus| bus.own_name(unit))
    }

    /// The users that these units run as, root left out. A unit of which systemd does not say has none.
    pub(crate) async fn users_of(&self, units: &[UnitName]) -> Vec<u32> {
        let Some(bus) = &self.inner.bus else { return Vec::new() };
        let mut users = Vec::new();
        for unit in units {
            users.extend(systemd::user_of(bus, unit).await.filter(|uid| *uid != 0));
        }
        users
    }

    /// Makes what a package declares for a unit below `/run` and what is gone; says what was made.
    pub(crate) async fn make_declared(&self, unit: &UnitName) -> Option<String> {
        let bus = self.inner.bus.as_ref().filter(|_| rustix::process::geteuid().is_root())?;
        let missing = Box::pin(tmpfiles::missing(self)).await;
        // Nobody is asked for the unit's names where nothing is missing: whoever is down waits for each question.
        if missing.is_empty() {
            return None;
        }
        let mut names = systemd::names_of(bus, unit).await;
        names.push(unit.to_string());
        Box::pin(tmpfiles::make(self, missing, &names)).await
    }

    /// Whose the files of a unit may be.
    pub(crate) async fn trusted_for(&self, unit: &UnitName) -> Trusted {
        Trusted::own().and(self.users_of(std::slice::from_ref(unit)).await)
    }

    /// The inventory, with all facts of those units only that are of interest: asking takes systemd a while, and whoever
    /// starts waits for it.
    pub async fn inventory_of(&self, is_of_interest: impl Fn(&UnitName) -> bool) -> Inventory {
        let root = &self.inner.options.root;
        let units = match &self.inner.bus {
            Some(bus) => {
                systemd::inventory(bus, &self.inner.context.unit_folders, is_of_interest).await.unwrap_or_default()
            }
            None => Vec::new(),
        };
        let mut inventory = facts::inventory(root, units);
        Box::pin(domain::found(self, &mut inventory)).await;
        inventory
    }

    /// The inventory with the sockets of systemd, with what domains search for, and with how its units answer. It takes
    /// seconds, and each server is asked.
    pub async fn survey(&self) -> Inventory {
        let found = Box::pin(domain::survey(self)).await;
        // Only now: what was begun meanwhile is there as well, and systemd has had the time to be connected to.
        let found = domain::surveyed(self.inventory().await, found);
        let sockets = match &self.inner.bus {
            Some(bus) => systemd::sockets(bus).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let answering = Box::pin(answering::found(&self.inner.context, &found.tls_listeners)).await;
        Inventory { sockets, answering, ..found }
    }

    /// The host's figures at this moment, as conditions name them; what cannot be read is left out.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<Box<str>, Value> {
        facts::figures(&self.inner.options.root)
    }

    async fn look(&self, probe: &Probe, timeout: Duration) -> Observation {
        match (probe, &self.inner.bus) {
            (Probe::Unit { unit, expect }, Some(bus)) => {
                // Boxed for the same reason as the larger probes.
                Box::pin(systemd::observe(bus, &self.inner.options.root, unit, *expect, timeout)).await
            }
            (Probe::Process { name }, _) => self.inner.processes.observe(name),
            (Probe::Domain(probe), _) => domain::looks(probe).observe(self, timeout).await,
            (Probe::UnitFiles { unit, paths }, bus) => {
                Box::pin(unit_files::observe(&self.inner.context, bus.as_ref(), unit, paths, timeout)).await
            }
            (Probe::Unit { .. }, None) => Observation::unknown("no systemd runs here"),
            (other, _) => probe::observe(&self.inner.context, other, timeout).await,
        }
    }
}

/// Whether what was seen is said in our own words, with nothing but an address of the configuration in it: a port that
/// accepts. It is said a thousand times a second on some hosts, and to look for secrets in it took as long as all else.
fn is_in_our_words(probe: &Probe, seen: &Observation) -> bool {
    matches!(probe, Probe::Tcp { speaks: None, .. }) && seen.health() == Health::Healthy
}

/// Whatever leaves through here is without its secrets: symptoms, outcomes, plans and evidence.
impl Host for LinuxHost {
    async fn observe(&self, probe: &Probe, timeout: Duration) -> Observation {
        let begun = Instant::now();
        let seen = self.look(probe, timeout).await.with_took(begun.elapsed());
        if is_in_our_words(probe, &seen) {
            return seen;
        }
        seen.reworded(|text| self.inner.redactor.text(text))
    }

    async fn perform(&self, run: &ActionRun) -> ActionOutcome {
        let made = match &run.action {
            Action::StartUnit { unit } | Action::RestartUnit { unit } => self.make_declared(unit).await,
            _ => None,
        };
        let by_systemd = match (&self.inner.bus, &run.action) {
            (Some(bus), Action::Drill { unit, kind, port, paths }) => {
                let state_dir = &self.inner.options.state_dir;
                Some(systemd::drill(bus, &Drill { unit, kind: *kind, port: *port, paths, state_dir }).await)
            }
            (Some(bus), _) => systemd::perform(bus, run).await,
            (None, _) => None,
        };
        let outcome = match by_systemd {
            Some(outcome) => outcome,
            None => act::perform(self, run).await,
        };
        let outcome = match made {
            Some(made) => outcome.reworded(|text| Text::new(format!("{text} ({made})"))),
            None => outcome,
        };
        outcome.reworded(|text| self.inner.redactor.text(text))
    }

    async fn plan(&self, action: &Action) -> ActionPlan {
        let planned = match (&self.inner.bus, action) {
            (_, Action::Domain(action)) => domain::acts(action).plan(self).await,
            (Some(bus), Action::Drill { unit, kind, port, paths }) => {
                let state_dir = &self.inner.options.state_dir;
                let drill = Drill { unit, kind: *kind, port: *port, paths, state_dir };
                systemd::may_drill(bus, &drill).await.map(Steps::from)
            }
            (_, other) => act::plan(self, other).await,
        };
        let refusal = planned.as_ref().err().map(|why| self.inner.redactor.text(why));
        let Steps { lines, idle } = planned.unwrap_or_else(|why| vec![Text::new(format!("nothing: {why}"))].into());
        let steps = std::iter::once(action.describe()).chain(lines);
        let steps = steps.map(|step| self.inner.redactor.text(&step)).collect();
        let idle = idle.map(|why| self.inner.redactor.text(&why));
        ActionPlan { steps, refusal, idle, disruption: action.disruption() }
    }

    async fn gather(&self, request: &EvidenceRequest) -> Vec<Evidence> {
        let redactor = &self.inner.redactor;
        let (bus, state_dir) = (self.inner.bus.as_ref(), &self.inner.options.state_dir);
        let found = evidence::gather(&self.inner.context, bus, redactor, request, state_dir).await;
        let redacted = |found: Evidence| {
            let (source, text) = (redactor.text(&found.source), redactor.text(&found.text));
            Evidence { source, text, ..found }
        };
        found.into_iter().map(redacted).collect()
    }

    async fn inventory(&self) -> Inventory {
        self.inventory_of(|_| true).await
    }

    fn hints(&self) -> impl Stream<Item = Hint> + Send + Unpin {
        let receiver = self.inner.hints.lock().unwrap_or_else(PoisonError::into_inner).take();
        let host = self.clone();
        Box::pin(futures_util::stream::unfold(receiver, move |receiver| {
            let host = host.clone();
            async move {
                let mut receiver = receiver?;
                let hint = receiver.recv().await?;
                let has_lost = host
                    .inner
                    .bus
                    .as_ref()
                    .is_some_and(|bus| bus.with_tracker(|tracker| std::mem::take(&mut tracker.has_lost_hints)));
                Some((if has_lost { Hint::Everything } else { hint }, Some(receiver)))
            }
        }))
    }
}
