//! One host of the fleet: the production engine, two services that die, a ledger, and the agent's end of the link.

mod disturbing;
mod messages;
mod told;

use std::collections::VecDeque;
use std::time::Duration;

use ansai_engine::{Effect, HostEngine, Input, State};
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    bundle::Bundle,
    fleet::{Acknowledged, RestraintSet},
    hint::Hint,
    id::{CheckId, RunId, TargetId, UnitName},
    inventory::Inventory,
    observation::{Health, Observation},
    order::Order,
    permit::LinkStanding,
    probe::Probe,
    text::Text,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Exit, Intent, UnitExpectation, UnitResult, UnitSnapshot, judge},
};
use ansai_protocol::link::{Change, FeedId, FromHost, Held, Hello, HostId, RestraintsAt, Short, VERSION};

use super::{checks::Books, made::Made};
use crate::random::Random;
pub(super) use messages::Outbox;

/// Services that are healed as soon as they die, as often as they die.
const CONFIGURATION: &str = "\
autonomy: act
policies:
  default:
    cooldown: 1s
    budget: {actions: 5000, per: 1h}
    breaker: {failures: 5000, within: 1h, open_for: 1m}
    attempts: 50
    backoff: {initial: 1s, factor: 1, max: 2s, jitter: 0, reset_after: 3s}
    stable_for: 2s
    verify_within: 5s
agent: {host_budget: {actions: 5000, per: 1h}, remediations_at_once: 4}
services:
  app.service: {}
  db.service: {}
checks:
  'service/app.service#grows': {probe: {exec: [/bin/grows]}, every: 5s, every_soft: 1s, fail_after: 1, recover_after: 1}
rules:
  grows: {target: service/app.service, checks: ['service/app.service#grows'], runbook: grows, autonomy: act}
runbooks:
  grows:
    - {name: restart, steps: [{restart_unit: app.service}], then: verify}
";

thread_local! {
    static BUNDLE: Bundle = bundle();
}

fn bundle() -> Bundle {
    let text = (std::path::PathBuf::from("fleet.yaml"), CONFIGURATION.to_owned());
    let configuration = ansai_config::parse(&[text]).expect("the fleet's configuration is valid");
    configuration.bundle(&Inventory::default(), 1).expect("it makes a bundle")
}

pub(super) const SERVICES: [&str; 2] = ["app.service", "db.service"];
/// A target that comes into the host's configuration and goes out of it; nothing happens to it.
const EXTRA: &str = "extra.service";

/// A connection as its host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) session: u64,
    /// The controller has welcomed it.
    pub(super) is_up: bool,
}

/// A host.
pub(super) struct SimHost {
    pub(super) id: HostId,
    pub(super) serial: Text,
    pub(super) name: Short,
    pub(super) role: Option<Short>,
    pub(super) machine: u64,
    pub(super) skew_ms: i64,
    pub(super) engine: HostEngine,
    pub(super) saved: State,
    saved_revision: u64,
    pub(super) disk_is_full: bool,
    has_told_trouble: bool,
    pub(super) up: [bool; 2],
    /// Whether its first service grows, and serves still.
    pub(super) grows: bool,
    /// The run that takes away what serves.
    disturbs: Option<RunId>,
    /// Whether its configuration has one target more.
    has_extra: bool,
    running: Vec<(MonoTime, ActionRun)>,
    pub(super) link: Option<Link>,
    pub(super) is_cut: bool,
    /// Since when its link is up without a break.
    pub(super) linked_since: Option<MonoTime>,
    /// It was a clone, and was taken away.
    pub(super) is_gone: bool,
    pub(super) beats: MonoTime,
    feed: FeedId,
    numbered: u64,
    /// Up to where the controller has ever said that it is kept.
    confirmed: u64,
    /// What is not known to be kept, oldest first.
    unkept: VecDeque<(u64, Change)>,
    pub(super) books: Books,
    /// Its messages to people.
    pub(super) outbox: Outbox,
    /// What it wants to say on its link.
    pub(super) says: Vec<FromHost>,
    pub(super) actions: u64,
}

impl SimHost {
    pub(super) fn new(made: Made, now: Now, random: &mut Random) -> Result<Self, String> {
        let Made { id, serial, name, role, machine, skew_ms, saved, books } = made;
        let own = Now { mono: now.mono, wall: WallTime(now.wall.0 + skew_ms) };
        let mut host = Self {
            id,
            serial,
            name,
            role,
            machine,
            skew_ms,
            engine: HostEngine::new(BUNDLE.with(Clone::clone), saved.clone(), own),
            saved,
            saved_revision: 0,
            disk_is_full: false,
            has_told_trouble: false,
            up: [true; 2],
            grows: false,
            disturbs: None,
            has_extra: false,
            running: Vec::new(),
            link: None,
            is_cut: false,
            linked_since: None,
            is_gone: false,
            beats: now.mono,
            feed: FeedId::of_chance([0; 16]),
            numbered: 0,
            confirmed: 0,
            unkept: VecDeque::new(),
            books,
            outbox: Outbox::default(),
            says: Vec::new(),
            actions: 0,
        };
        host.begins(now, random)?;
        Ok(host)
    }

    pub(super) fn now(&self, now: Now) -> Now {
        Now { mono: now.mono, wall: WallTime(now.wall.0 + self.skew_ms) }
    }

    /// The agent is killed and started anew: only what was saved is known to it.
    pub(super) fn restarts(&mut self, now: Now, random: &mut Random) -> Result<(), String> {
        for (_, run) in std::mem::take(&mut self.running) {
            if random.chance(50) {
                self.take_effect(&run);
            }
        }
        self.engine = HostEngine::new(BUNDLE.with(Clone::clone), self.saved.clone(), self.now(now));
        self.outbox.restarts();
        self.begins(now, random)
    }

    fn begins(&mut self, now: Now, random: &mut Random) -> Result<(), String> {
        (self.saved_revision, self.has_told_trouble) = (0, false);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random.bits().to_be_bytes());
        (self.feed, self.numbered, self.confirmed) = (FeedId::of_chance(bytes), 0, 0);
        self.unkept.clear();
        self.books.agent_starts(&self.name, &self.saved)?;
        self.step(now, Input::Linked(LinkStanding::Away), random)?;
        self.step(now, Input::Started, random)
    }

    /// What changes a service of it, and what follows.
    pub(super) fn service_dies(&mut self, which: usize, now: Now, random: &mut Random) -> Result<(), String> {
        self.up[which] = false;
        self.changed(which);
        let name = UnitName::new(SERVICES[which]).map_err(|error| error.to_string())?;
        self.step(now, Input::Hint(Hint::Unit(name)), random)
    }

    /// A service of it grows, and what follows.
    pub(super) fn service_grows(&mut self, now: Now, random: &mut Random) -> Result<(), String> {
        self.grows = true;
        self.step(now, Input::Hint(Hint::Everything), random)
    }

    /// Whether an action takes away what serves, as far as its own engine can know.
    fn is_disturbed_by(&self, run: &ActionRun) -> bool {
        let is_it = matches!(&run.action, Action::RestartUnit { unit } if unit.as_str() == SERVICES[0]);
        let mut states = self.engine.check_states();
        let is_down =
            states.any(|check| check.check.id.as_str() == "service/app.service#unit" && check.hard == Health::Failing);
        is_it && self.up[0] && !is_down && self.version() > 1
    }

    /// The newest version of the link that it speaks: a few are older.
    fn version(&self) -> u32 {
        if self.machine % 7 == 6 { 1 } else { VERSION }
    }

    /// A person mends what was handed over; everything is looked at, and what could not be saved is.
    pub(super) fn is_mended(&mut self, now: Now, random: &mut Random) -> Result<(), String> {
        self.grows = false;
        for which in 0..SERVICES.len() {
            if !std::mem::replace(&mut self.up[which], true) {
                self.changed(which);
            }
        }
        self.step(now, Input::Hint(Hint::Everything), random)
    }

    /// When something becomes due on it.
    pub(super) fn due(&self) -> Option<MonoTime> {
        let ends = self.running.iter().map(|(at, _)| *at).min();
        [self.engine.next_deadline(), ends, self.outbox.due()].into_iter().flatten().min()
    }

    /// Something is due.
    pub(super) fn wakes(&mut self, now: Now, random: &mut Random) -> Result<(), String> {
        while let Some(index) = self.running.iter().position(|(at, _)| *at <= now.mono) {
            let (_, run) = self.running.swap_remove(index);
            let outcome = self.take_effect(&run);
            self.step(now, Input::ActionEnded { run: run.id, outcome }, random)?;
            if let Action::Drill { unit, .. } = run.action {
                self.step(now, Input::Hint(Hint::Unit(unit)), random)?;
            }
        }
        self.outbox.wakes(now.mono);
        self.step(now, Input::Tick, random)
    }

    fn take_effect(&mut self, run: &ActionRun) -> ActionOutcome {
        if let Action::RestartUnit { unit } | Action::StartUnit { unit } = &run.action
            && let Some(which) = SERVICES.iter().position(|name| *name == unit.as_str())
        {
            self.up[which] = true;
            self.grows &= which != 0;
            self.changed(which);
        }
        if let Action::Drill { unit, .. } = &run.action
            && let Some(which) = SERVICES.iter().position(|name| *name == unit.as_str())
        {
            self.up[which] = false;
            self.changed(which);
        }
        ActionOutcome::Succeeded { note: "done".into() }
    }

    /// One step of its engine as its shell does it: save, then act.
    pub(super) fn step(&mut self, now: Now, input: Input, random: &mut Random) -> Result<(), String> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let effects = self.engine.step(self.now(now), input);
            self.books.is_in_force(&self.name, self.engine.state())?;
            let mut is_recorded = self.engine.revision() == self.saved_revision;
            if !is_recorded && !self.disk_is_full {
                self.saved = self.engine.state().clone();
                self.saved_revision = self.engine.revision();
                is_recorded = true;
                if std::mem::take(&mut self.has_told_trouble) {
                    inputs.push_back(Input::Ledger(None));
                }
            } else if !is_recorded && !std::mem::replace(&mut self.has_told_trouble, true) {
                inputs.push_back(Input::Ledger(Some("disk full".into())));
            }
            for effect in effects {
                self.effect(now, effect, is_recorded, &mut inputs, random)?;
            }
        }
        Ok(())
    }

    fn effect(
        &mut self,
        now: Now,
        effect: Effect,
        is_recorded: bool,
        inputs: &mut VecDeque<Input>,
        random: &mut Random,
    ) -> Result<(), String> {
        match effect {
            Effect::Observe(check) => {
                let observation = self.observe(&check)?;
                inputs.push_back(Input::Observed { check, observation });
            }
            Effect::Perform(run) if !is_recorded => {
                inputs.push_back(Input::NotStarted { run: run.id, why: "disk full".into() });
            }
            Effect::Perform(run) => {
                self.books
                    .acts(&self.name, now, &run)
                    .map_err(|broken| format!("{broken}; in force is {:?}", self.engine.state().controller))?;
                self.actions += 1;
                if self.is_disturbed_by(&run) {
                    self.disturbs = Some(run.id);
                }
                let takes = Duration::from_millis(100 + random.below(2_000));
                self.running.push((now.mono.plus(takes), *run));
            }
            Effect::Gather(request) => {
                let (incident, request) = (request.incident, Some(request.number));
                inputs.push_back(Input::Gathered { incident, request, evidence: Vec::new() });
            }
            Effect::Dispatch(dispatch) => {
                self.outbox.put(&dispatch, now.mono);
                inputs.push_back(Input::Dispatched { dispatch: dispatch.id });
            }
            Effect::Restrained(said) if is_recorded => self.says(FromHost::Restrained(said)),
            Effect::Ordered(said) if is_recorded => {
                self.books.ordered(&self.name, &said)?;
                self.says(FromHost::Ordered(said));
            }
            Effect::Permits { session, said } if self.link.is_some_and(|link| link.session == session) => {
                self.says(FromHost::Permits(said));
            }
            Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } | Effect::Answer { .. } => {}
        }
        Ok(())
    }

    fn observe(&self, check: &CheckId) -> Result<Observation, String> {
        let target = TargetId::new(check.target()).map_err(|error| error.to_string())?;
        let which = SERVICES.iter().position(|name| *name == target.name());
        let is_up = which.is_some_and(|which| self.up[which]);
        Ok(match self.engine.probe(check).map(|(probe, _)| probe) {
            Some(Probe::Unit { .. }) if is_up => judge(
                UnitExpectation::Running,
                UnitSnapshot { main_pid: Some(1), ..UnitSnapshot::plain(ActiveState::Active) },
            ),
            Some(Probe::Unit { .. }) => {
                let plain = UnitSnapshot::plain(ActiveState::Failed);
                judge(
                    UnitExpectation::Running,
                    UnitSnapshot {
                        result: UnitResult::Signal,
                        exit: Some(Exit::Signal(9)),
                        intent: Intent::ByItself,
                        ..plain
                    },
                )
            }
            Some(Probe::Exec(_)) if self.grows => Observation::failing("it grows"),
            _ => Observation::healthy("well"),
        })
    }

    /// The controller has said which restraints there are.
    pub(super) fn is_told(&mut self, set: RestraintSet, now: Now, random: &mut Random) -> Result<(), String> {
        self.books.is_told(&self.name, &set, now)?;
        self.step(now, Input::Restraints(Box::new(set)), random)
    }

    /// The controller has said what it is to do.
    pub(super) fn is_ordered(
        &mut self,
        order: Order,
        late: Duration,
        now: Now,
        random: &mut Random,
    ) -> Result<(), String> {
        self.step(now, Input::Order { order: Box::new(order), late }, random)
    }

    fn says(&mut self, message: FromHost) {
        if self.link.is_some_and(|link| link.is_up) {
            self.says.push(message);
        }
    }

    /// What it says first on a new connection.
    pub(super) fn hello(&self, now: Now) -> Hello {
        let controller = self.saved.controller.as_ref().map(|from| &from.said);
        Hello {
            oldest: 1,
            newest: self.version(),
            program: "1.5.0".into(),
            name: self.name.clone(),
            machine_id: Short::new(self.machine.to_string()),
            boot_id: "boot".into(),
            started_ms: 0,
            now_ms: self.now(now).wall.0,
            feed: self.feed,
            restraints: controller
                .map(|said| RestraintsAt { epoch: said.epoch, generation: said.generation })
                .unwrap_or_default(),
            configuration: Held::default(),
            role: self.role.clone(),
            labels: Vec::new(),
        }
    }

    /// What it has in force, by its ledger.
    pub(super) fn ledger(&self) -> Option<&RestraintSet> {
        self.saved.controller.as_ref().map(|from| &from.said)
    }

    /// What it has said of restraints, as it goes out.
    pub(super) fn promises(&mut self, said: &Acknowledged) {
        if said.refused.is_none() {
            self.books.promises((said.epoch, said.generation));
        }
    }
}
