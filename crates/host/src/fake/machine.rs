//! The machine's state and what happens in it as time passes. Observes and actions stand beside it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ansai_model::{
    action::ActionOutcome,
    hint::Hint,
    id::{RunId, UnitName},
    probe::CommandLine,
    text::Text,
    time::WallTime,
    unit::{ActiveState, Exit, HostActivity, Intent, Job, LoadState, OwnSignal, UnitResult, UnitSnapshot},
};

use crate::linux::domain::Pretended;

/// Most hints that wait; when there are more, everything is to be looked at.
const HINTS_MAX: usize = 256;
/// How long systemd waits before it restarts a unit by itself.
const RESTART_WAIT: Duration = Duration::from_millis(100);
/// How long a stop takes.
const STOP_TAKES: Duration = Duration::from_millis(5);

/// A unit as it is declared.
#[derive(Clone, Debug)]
pub struct UnitSpec {
    pub(super) name: UnitName,
    pub(super) starts_in: Duration,
    pub(super) port: Option<u16>,
    pub(super) needs: Vec<UnitName>,
    pub(super) validator: Option<CommandLine>,
    pub(super) restarts_itself: Restarts,
}

/// Whether systemd restarts a unit by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restarts {
    No,
    OnFailure,
}

impl UnitSpec {
    /// A unit that starts within 10 ms and needs nothing.
    #[must_use]
    pub fn new(name: UnitName) -> Self {
        let starts_in = Duration::from_millis(10);
        Self { name, starts_in, port: None, needs: Vec::new(), validator: None, restarts_itself: Restarts::No }
    }

    /// It takes this long to start.
    #[must_use]
    pub fn starts_in(self, starts_in: Duration) -> Self {
        Self { starts_in, ..self }
    }

    /// It listens on this port, and does not start when somebody else has it.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// It does not start while these are down.
    #[must_use]
    pub fn needs(self, needs: Vec<UnitName>) -> Self {
        Self { needs, ..self }
    }

    /// This command says whether its configuration is valid.
    #[must_use]
    pub fn validator(self, command: CommandLine) -> Self {
        Self { validator: Some(command), ..self }
    }

    /// systemd restarts it after a failure (`Restart=on-failure`).
    #[must_use]
    pub fn restarts_on_failure(self) -> Self {
        Self { restarts_itself: Restarts::OnFailure, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Unit {
    pub spec: UnitSpec,
    pub load: LoadState,
    pub active: ActiveState,
    pub sub: &'static str,
    pub result: UnitResult,
    pub exit: Option<Exit>,
    /// A signal of ours that its main process is about to get.
    pub gets: Option<OwnSignal>,
    /// The one of which it ended.
    pub own_signal: Option<OwnSignal>,
    pub restarts: u32,
    pub runs: u32,
    pub since: Duration,
    pub intent: Intent,
    pub job: Option<Pending>,
    /// Grows with every change, so that an event planned before it is out of date.
    pub epoch: u64,
    pub is_hung: bool,
    pub status: u16,
    pub is_valid: bool,
    pub has_saved: bool,
    pub leaves_port: bool,
    pub vanishes: bool,
    pub never_ready: bool,
    pub loops: Option<Loops>,
}

/// That a unit dies soon after each start, and by whose signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loops {
    pub after: Duration,
    pub times: u32,
    pub by: Option<OwnSignal>,
}

/// A job under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub kind: Job,
    /// The action of ours that waits for it; a person's otherwise.
    pub run: Option<RunId>,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Started(UnitName, u64),
    Stopped(UnitName, u64),
    Dies(UnitName, u64),
    RestartsItself(UnitName, u64),
    Deadline(RunId, Duration),
    PortReleased(u16),
}

/// A small machine. Time is what [`Machine::advance`] says; nothing in it is left to chance.
#[derive(Debug, Default)]
pub struct Machine {
    pub(super) now: Duration,
    pub(super) units: BTreeMap<UnitName, Unit>,
    pub(super) taken_ports: BTreeSet<u16>,
    pub(super) processes: BTreeSet<String>,
    pub(super) failing_commands: BTreeMap<String, String>,
    pub(super) is_bus_gone: bool,
    pub(super) activity: HostActivity,
    pub(super) slow: Duration,
    pub(super) loses_next: bool,
    pub(super) waiting: BTreeMap<RunId, UnitName>,
    pub(super) outcomes: BTreeMap<RunId, ActionOutcome>,
    pub(super) lost: BTreeSet<RunId>,
    pub(crate) domains: Pretended,
    hints: VecDeque<Hint>,
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

impl Machine {
    /// An empty machine at time zero, whose bus has just been reached.
    #[must_use]
    pub fn new() -> Self {
        let mut machine = Self::default();
        machine.push_hint(Hint::Everything);
        machine
    }

    /// What of the domains it has, to be changed.
    pub fn domains(&mut self) -> &mut Pretended {
        &mut self.domains
    }

    /// Adds a unit that is running.
    pub fn add(&mut self, spec: UnitSpec) {
        let name = spec.name.clone();
        let unit = Unit {
            spec,
            load: LoadState::Loaded,
            active: ActiveState::Active,
            sub: "running",
            result: UnitResult::Success,
            exit: None,
            gets: None,
            own_signal: None,
            restarts: 0,
            runs: 1,
            since: self.now,
            intent: Intent::Unknown,
            job: None,
            epoch: 0,
            is_hung: false,
            status: 200,
            is_valid: true,
            has_saved: false,
            leaves_port: false,
            vanishes: false,
            never_ready: false,
            loops: None,
        };
        self.units.insert(name, unit);
        self.push_hint(Hint::Units);
    }

    /// A command that fails from now on, saying `said`; every other one succeeds.
    pub fn fail_command(&mut self, command: &CommandLine, said: &str) {
        self.failing_commands.insert(command.argv.join(" "), said.to_owned());
    }

    /// The machine's time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When something happens next by itself, if ever.
    #[must_use]
    pub fn next_event(&self) -> Option<Duration> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets time pass up to `now`, with all that happens until then; an earlier time changes nothing.
    pub fn advance(&mut self, now: Duration) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }

    pub(super) fn plan(&mut self, after: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((self.now.saturating_add(after), self.planned), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Started(unit, epoch) if self.is_current(&unit, epoch) => self.start_ends(&unit),
            Event::Stopped(unit, epoch) if self.is_current(&unit, epoch) => self.stop_ends(&unit),
            Event::Dies(unit, epoch) if self.is_current(&unit, epoch) => self.dies_again(&unit),
            Event::RestartsItself(unit, epoch) if self.is_current(&unit, epoch) => {
                if let Some(found) = self.units.get_mut(&unit) {
                    found.restarts = found.restarts.saturating_add(1);
                }
                self.start(&unit, None);
            }
            Event::Deadline(run, after) => self.deadline(run, after),
            Event::PortReleased(port) => {
                self.taken_ports.remove(&port);
            }
            // Planned before something else happened to the unit.
            Event::Started(..) | Event::Stopped(..) | Event::Dies(..) | Event::RestartsItself(..) => {}
        }
    }

    fn dies_again(&mut self, name: &UnitName) {
        let by = self.units.get_mut(name).and_then(|unit| {
            unit.gets = unit.loops.and_then(|loops| loops.by);
            unit.gets
        });
        self.end(name, by.map_or(Exit::Code(1), |own| Exit::Signal(own.signal)));
    }

    fn is_current(&self, unit: &UnitName, epoch: u64) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.epoch == epoch)
    }

    fn deadline(&mut self, run: RunId, after: Duration) {
        let Some(unit) = self.waiting.remove(&run) else { return };
        if let Some(unit) = self.units.get_mut(&unit) {
            unit.job = None;
        }
        self.finish(run, ActionOutcome::TimedOut { after });
    }

    pub(super) fn finish(&mut self, run: RunId, outcome: ActionOutcome) {
        self.waiting.remove(&run);
        let outcome = match self.lost.remove(&run) {
            true => ActionOutcome::Lost { why: "the bus went away while it was under way".into() },
            false => outcome,
        };
        self.outcomes.insert(run, outcome);
    }

    /// Puts a unit into a state and hints at it. Gives its new epoch.
    pub(super) fn set(&mut self, name: &UnitName, active: ActiveState, sub: &'static str) -> u64 {
        let now = self.now;
        let Some(unit) = self.units.get_mut(name) else { return 0 };
        (unit.active, unit.sub, unit.since) = (active, sub, now);
        unit.epoch += 1;
        let epoch = unit.epoch;
        self.push_hint(Hint::Unit(name.clone()));
        epoch
    }

    /// Begins a start, for a run of ours, or for somebody else.
    pub(super) fn start(&mut self, name: &UnitName, run: Option<RunId>) {
        let epoch = self.set(name, ActiveState::Activating, "start");
        let Some(unit) = self.units.get_mut(name) else { return };
        unit.job = Some(Pending { kind: Job::Start, run });
        unit.is_hung = false;
        unit.status = 200;
        let (is_never, takes) = (unit.never_ready, unit.spec.starts_in);
        if !is_never {
            self.plan(takes, Event::Started(name.clone(), epoch));
        }
    }

    pub(super) fn stop(&mut self, name: &UnitName, run: Option<RunId>) {
        let epoch = self.set(name, ActiveState::Deactivating, "stop-sigterm");
        if let Some(unit) = self.units.get_mut(name) {
            unit.job = Some(Pending { kind: Job::Stop, run });
        }
        self.plan(STOP_TAKES, Event::Stopped(name.clone(), epoch));
    }

    fn stop_ends(&mut self, name: &UnitName) {
        let is_heard = !self.is_bus_gone;
        self.set(name, ActiveState::Inactive, "dead");
        let Some(unit) = self.units.get_mut(name) else { return };
        let run = unit.job.take().and_then(|job| job.run);
        unit.exit = Some(Exit::Signal(15));
        unit.result = UnitResult::Success;
        unit.intent = match (is_heard, run) {
            (true, Some(_)) => Intent::Ours,
            (true, None) => Intent::Stopped,
            (false, _) => Intent::Unknown,
        };
        if let Some(run) = run {
            self.finish(run, ActionOutcome::Succeeded { note: Text::new(format!("{name} stopped")) });
        }
    }

    /// Why a unit cannot start now, if it cannot.
    fn obstacle(&self, unit: &Unit) -> Option<String> {
        if !unit.is_valid {
            return Some("its configuration is invalid".to_owned());
        }
        if let Some(port) = unit.spec.port.filter(|port| unit.leaves_port || self.taken_ports.contains(port)) {
            return Some(format!("port {port} is taken"));
        }
        let is_down = |need: &&UnitName| self.units.get(*need).is_none_or(|need| need.active != ActiveState::Active);
        unit.spec.needs.iter().find(is_down).map(|need| format!("{need} is down"))
    }

    fn start_ends(&mut self, name: &UnitName) {
        let obstacle = self.units.get(name).and_then(|unit| self.obstacle(unit));
        let Some(unit) = self.units.get_mut(name) else { return };
        let run = unit.job.take().and_then(|job| job.run);
        if obstacle.is_some() {
            self.end(name, Exit::Code(1));
            if let Some(run) = run {
                self.finish(run, ActionOutcome::Failed { why: "systemd's job ended with `failed`".into() });
            }
            return;
        }
        unit.runs = unit.runs.saturating_add(1);
        unit.intent = Intent::Unknown;
        (unit.result, unit.exit, unit.own_signal) = (UnitResult::Success, None, None);
        let dies = unit.loops.as_mut().filter(|loops| loops.times > 0).map(|loops| {
            loops.times -= 1;
            loops.after
        });
        let epoch = self.set(name, ActiveState::Active, "running");
        if let Some(after) = dies {
            self.plan(after, Event::Dies(name.clone(), epoch));
        }
        if let Some(run) = run {
            self.finish(run, ActionOutcome::Succeeded { note: Text::new(format!("{name} started")) });
        }
    }

    /// The main process ends by itself; with a stop under way, that is the stop's end.
    pub(super) fn end(&mut self, name: &UnitName, exit: Exit) {
        let is_heard = !self.is_bus_gone;
        let Some(unit) = self.units.get_mut(name) else { return };
        let own_signal = unit.gets.take();
        if matches!(unit.active, ActiveState::Inactive | ActiveState::Failed) {
            return;
        }
        let job = unit.job.take();
        if job.as_ref().is_some_and(|job| job.kind == Job::Stop) {
            unit.job = job;
            return self.stop_ends(name);
        }
        (unit.exit, unit.own_signal) = (Some(exit), own_signal);
        unit.result = match exit {
            Exit::Code(0) => UnitResult::Success,
            Exit::Code(_) => UnitResult::ExitCode,
            Exit::Signal(_) => UnitResult::Signal,
            Exit::Dumped(_) => UnitResult::CoreDump,
        };
        unit.intent = if is_heard { Intent::ByItself } else { Intent::Unknown };
        let has_failed = unit.result != UnitResult::Success;
        let restarts_itself = unit.spec.restarts_itself;
        if let Some(run) = job.and_then(|job| job.run) {
            self.finish(run, ActionOutcome::Failed { why: "systemd's job ended with `failed`".into() });
        }
        if has_failed && restarts_itself == Restarts::OnFailure {
            let epoch = self.set(name, ActiveState::Activating, "auto-restart");
            return self.plan(RESTART_WAIT, Event::RestartsItself(name.clone(), epoch));
        }
        let (active, sub) = if has_failed { (ActiveState::Failed, "failed") } else { (ActiveState::Inactive, "dead") };
        self.set(name, active, sub);
    }

    /// Whether a job is under way for the unit.
    #[must_use]
    pub fn has_job(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.job.is_some())
    }

    /// The next hint, when one waits. Nothing is heard while the bus is away.
    pub fn next_hint(&mut self) -> Option<Hint> {
        self.hints.pop_front()
    }

    pub(super) fn push_hint(&mut self, hint: Hint) {
        if self.is_bus_gone || self.hints.back() == Some(&hint) {
            return;
        }
        if self.hints.len() >= HINTS_MAX {
            self.hints.clear();
            self.hints.push_back(Hint::Everything);
        }
        self.hints.push_back(hint);
    }

    /// The unit's state as systemd would say it; nothing while the bus is away.
    #[must_use]
    pub fn snapshot(&self, name: &UnitName) -> Option<UnitSnapshot> {
        if self.is_bus_gone {
            return None;
        }
        let Some(unit) = self.units.get(name) else { return Some(missing()) };
        let is_down = matches!(unit.active, ActiveState::Inactive | ActiveState::Failed);
        let has_process = !is_down && unit.sub != "auto-restart";
        Some(UnitSnapshot {
            load: unit.load,
            active: unit.active,
            sub: unit.sub.into(),
            result: unit.result,
            exit: unit.exit,
            own_signal: unit.own_signal,
            main_pid: has_process.then(|| 1_000 + unit.runs),
            restarts: unit.restarts,
            invocation: Some(Text::new(format!("{:032x}", unit.runs))),
            since: Some(WallTime(i64::try_from(unit.since.as_millis()).unwrap_or(i64::MAX))),
            intent: unit.intent,
            job: unit.job.as_ref().filter(|_| is_down).map(|job| job.kind),
            activity: if is_down { self.activity } else { HostActivity::Normal },
            ..UnitSnapshot::plain(unit.active)
        })
    }
}

fn missing() -> UnitSnapshot {
    UnitSnapshot { load: LoadState::NotFound, ..UnitSnapshot::plain(ActiveState::Inactive) }
}
