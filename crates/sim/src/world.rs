//! A small world: units that break in several ways, and everything that can go wrong around an agent.

use std::collections::BTreeMap;
use std::time::Duration;

use ansai_engine::{Effect, HostEngine, Input, State, check::CheckState};
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    bundle::Bundle,
    condition::Value,
    hint::Hint,
    id::{CheckId, IncidentId, TargetId, UnitName},
    inventory::Inventory,
    notify::NoticeKind,
    observation::Observation,
    operator::{Operation, OperatorCommand},
    policy::Scope,
    probe::Probe,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Intent, UnitExpectation, judge},
};

use crate::{
    Totals,
    checker::{Checker, Facts},
    random::Random,
};

mod fault_domains;
mod mending;
mod rest;
mod unit;

use fault_domains::FaultDomains;
use mending::Mending;
use unit::Unit;

const STEPS: u32 = 60;
/// How long the world is left in peace at the end: longer than every wait of the policy together.
const PEACE: Duration = Duration::from_secs(20 * 60);

/// The configuration under which every host runs.
pub const CONFIGURATION: &str = "\
autonomy: act
policies:
  own: {stable_for: 2m, quiet: {at: '00:00', lasts: 1h}}
  default: {cooldown: 10s, budget: {actions: 6, per: 1h}, stable_for: 20s, verify_within: 15s, dependency_wait: 2m}
agent: {host_budget: {actions: 10, per: 1h}, remediations_at_once: 2}
services:
  db.service: {probe: {tcp: \"127.0.0.1:5432\", every: 30s, fail_after: 2}}
  app.service: {probe: {http: \"http://127.0.0.1:8000/\", every: 30s}, needs: [db.service]}
  mail.service: {policy: {attempts: 1}}
targets:
  service/mail.service: {unit: mail.service, waits_for: ['service/db.service#tcp']}
checks:
  service/app.service#memory: {probe: {exec: [/bin/memory]}, every: 30s, fail_after: 1, recover_after: 1}
rules:
  memory: {target: service/app.service, checks: ['service/app.service#memory'], runbook: memory, policy: own}
runbooks:
  memory:
    - {name: release, steps: [{exec: [/bin/release], disruption: none}]}
    - {name: restart, steps: [{restart_unit: app.service}]}
";

/// One simulated host.
pub struct World {
    random: Random,
    now: Now,
    units: BTreeMap<UnitName, Unit>,
    engine: HostEngine,
    bundle: Bundle,
    /// What is on disk.
    saved: State,
    saved_revision: u64,
    disk_is_full: bool,
    /// The engine knows that the disk is full.
    has_told_trouble: bool,
    is_held: bool,
    has_hold_file: bool,
    /// The operator was told that the hold is in force and saved.
    has_acknowledged_hold: bool,
    bus_is_gone: bool,
    /// How soon what grows reaches its limit.
    limit_in: Duration,
    /// Looks at what grows see nothing.
    looks_fail: bool,
    mending: Mending,
    fault_domains: FaultDomains,
    running: Vec<(MonoTime, ActionRun)>,
    looking: Vec<CheckId>,
    /// Evidence on its way; some of it comes later than anybody waits for it.
    gathering: Vec<(MonoTime, IncidentId, u64)>,
    checker: Checker,
    totals: Totals,
}

/// The bundle of [`CONFIGURATION`].
///
/// # Panics
/// When the configuration above is not valid, which a test would show.
#[must_use]
pub fn bundle() -> Bundle {
    let text = (std::path::PathBuf::from("sim.yaml"), CONFIGURATION.to_owned());
    let configuration = ansai_config::parse(&[text]).expect("the simulator's configuration is valid");
    configuration.bundle(&Inventory::default(), 1).expect("it makes a bundle")
}

thread_local! {
    static BUNDLE: Bundle = bundle();
}

impl World {
    /// A world in which all is well.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let bundle = BUNDLE.with(Clone::clone);
        let now = Now { mono: MonoTime(1_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        let names = ["db.service", "app.service", "mail.service"];
        let units = names.iter().filter_map(|name| Some((UnitName::new(name).ok()?, Unit::well(now.mono)))).collect();
        let engine = HostEngine::new(bundle.clone(), State::default(), now);
        Self {
            random: Random::new(seed),
            now,
            units,
            engine,
            bundle,
            saved: State::default(),
            saved_revision: 0,
            disk_is_full: false,
            has_told_trouble: false,
            is_held: false,
            has_hold_file: false,
            has_acknowledged_hold: false,
            bus_is_gone: false,
            limit_in: Duration::from_secs(100_000),
            looks_fail: false,
            mending: Mending::default(),
            fault_domains: FaultDomains::default(),
            running: Vec::new(),
            looking: Vec::new(),
            gathering: Vec::new(),
            checker: Checker::default(),
            totals: Totals::default(),
        }
    }

    /// Lets everything happen, then leaves the world in peace and asks whether it has come to rest.
    ///
    /// # Errors
    /// The invariant that was broken.
    pub fn run(mut self) -> Result<Totals, String> {
        self.step(Input::Started)?;
        for _ in 0..STEPS {
            let millis = match self.random.below(10) {
                0..5 => self.random.below(400),
                5..9 => self.random.below(15_000),
                _ => self.random.below(600_000),
            };
            self.pass(Duration::from_millis(millis))?;
            if self.random.chance(30) {
                self.something_happens()?;
            }
        }
        self.make_peace()?;
        let end = self.now.mono.plus(PEACE);
        while self.now.mono < end {
            self.pass(Duration::from_secs(30))?;
        }
        self.lets_tries_end()?;
        self.at_rest()?;
        Ok(self.totals)
    }

    fn make_peace(&mut self) -> Result<(), String> {
        (self.disk_is_full, self.bus_is_gone, self.looks_fail) = (false, false, false);
        for unit in self.units.values_mut() {
            unit.dies_after = None;
            unit.answers = true;
            unit.grows = false;
        }
        self.set_hold_file(false)?;
        self.operate(Operation::Release { scope: Scope::All })?;
        self.step(Input::Hint(Hint::Everything))
    }

    fn set_hold_file(&mut self, is_there: bool) -> Result<(), String> {
        self.has_hold_file = is_there;
        self.step(Input::HoldFile(is_there.then(|| "sim".into())))
    }

    fn operate(&mut self, operation: Operation) -> Result<(), String> {
        let is_hold = matches!(operation, Operation::Hold { .. });
        let is_release = matches!(operation, Operation::Release { .. });
        // The hold is in force from the step on that takes it in, not after it.
        self.is_held = (self.is_held || is_hold) && !is_release;
        let command = OperatorCommand { by: "sim".into(), operation };
        self.step(Input::Operator { request: 1, command })?;
        if self.engine.revision() == self.saved_revision {
            self.has_acknowledged_hold = self.is_held;
        }
        Ok(())
    }

    fn something_happens(&mut self) -> Result<(), String> {
        let names: Vec<UnitName> = self.units.keys().cloned().collect();
        let index = usize::try_from(self.random.below(names.len() as u64)).unwrap_or(0);
        let name = names[index].clone();
        match self.random.below(18) {
            // It grows, and may wait for the night or not.
            15 => self.change(&name, |unit| unit.grows = true),
            16 => self.limit_in = Duration::from_secs(self.random.below(200_000)),
            17 => self.looks_fail = !self.looks_fail,
            0..4 => self.goes_down(&name, ActiveState::Failed, Intent::ByItself)?,
            4 => self.goes_down(&name, ActiveState::Inactive, Intent::ByItself)?,
            5 => self.goes_down(&name, ActiveState::Inactive, Intent::Stopped)?,
            6 => self.change(&name, |unit| unit.answers = false),
            7 => {
                let after = Duration::from_millis(self.random.below(30_000));
                self.change(&name, |unit| unit.dies_after = Some(after));
            }
            8 => {
                self.mending.edits += 1;
                self.change(&name, |unit| unit.dies_after = None);
            }
            9 if self.is_held => self.operate(Operation::Release { scope: Scope::All })?,
            9 => self.operate(Operation::Hold { scope: Scope::All, reason: "sim".into(), until: None })?,
            10 => self.disk_is_full = !self.disk_is_full,
            11 => self.kill_agent()?,
            12 => self.bus_is_gone = !self.bus_is_gone,
            13 => self.set_hold_file(!self.has_hold_file)?,
            _ => {
                self.now.wall =
                    WallTime(self.now.wall.0 + i64::try_from(self.random.below(7_200_000)).unwrap_or(0) - 3_600_000)
            }
        }
        Ok(())
    }

    fn change(&mut self, name: &UnitName, change: impl FnOnce(&mut Unit)) {
        if let Some(unit) = self.units.get_mut(name) {
            change(unit);
        }
    }

    fn goes_down(&mut self, name: &UnitName, state: ActiveState, intent: Intent) -> Result<(), String> {
        let now = self.now.mono;
        self.change(name, |unit| (unit.state, unit.intent, unit.changed) = (state, intent, now));
        self.step(Input::Hint(Hint::Unit(name.clone())))
    }

    /// The agent is killed at any moment: only what was saved is known to the next one.
    fn kill_agent(&mut self) -> Result<(), String> {
        self.totals.restarts += 1;
        self.looking.clear();
        self.gathering.clear();
        self.checker.agent_killed();
        // What the killed agent had begun on the bus goes on without it.
        for (_, run) in std::mem::take(&mut self.running) {
            if self.random.chance(50) {
                self.take_effect(&run);
            }
        }
        self.engine = HostEngine::new(self.bundle.clone(), self.saved.clone(), self.now);
        self.saved_revision = 0;
        self.has_told_trouble = false;
        let is_held = !self.engine.state().holds.is_empty();
        if self.has_acknowledged_hold && !is_held {
            return Err("acknowledged_hold_is_durable: a hold that was acknowledged is forgotten".into());
        }
        // A hold or a release that could not be saved was answered with that warning.
        self.is_held = is_held;
        self.set_hold_file(self.has_hold_file)?;
        self.step(Input::Started)
    }

    /// Time passes, with everything that becomes due in it.
    fn pass(&mut self, duration: Duration) -> Result<(), String> {
        let end = self.now.mono.plus(duration);
        for _ in 0..10_000 {
            self.answer_looks()?;
            let due = [
                self.engine.next_deadline(),
                self.running.iter().map(|(at, _)| *at).min(),
                self.gathering.iter().map(|(at, ..)| *at).min(),
                self.units.values().filter_map(Unit::dies_at).min(),
            ];
            let next = due.into_iter().flatten().min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.advance_to(next.max(self.now.mono));
            self.units_die()?;
            self.actions_end()?;
            self.evidence_comes()?;
            self.step(Input::Tick)?;
        }
        self.advance_to(end);
        Ok(())
    }

    fn advance_to(&mut self, mono: MonoTime) {
        let passed = mono.since(self.now.mono);
        self.now = self.now.plus(passed);
    }

    fn units_die(&mut self) -> Result<(), String> {
        let now = self.now.mono;
        let dying: Vec<_> = self
            .units
            .iter()
            .filter(|(_, unit)| unit.dies_at().is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        dying.iter().try_for_each(|name| self.goes_down(name, ActiveState::Failed, Intent::ByItself))
    }

    fn actions_end(&mut self) -> Result<(), String> {
        while let Some(index) = self.running.iter().position(|(at, _)| *at <= self.now.mono) {
            let (_, run) = self.running.swap_remove(index);
            let outcome = match self.random.below(20) {
                0 => ActionOutcome::Failed { why: "sim".into() },
                1 => ActionOutcome::Lost { why: "sim".into() },
                _ => self.take_effect(&run),
            };
            self.checker
                .ended(run.id, matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. }));
            self.step(Input::ActionEnded { run: run.id, outcome })?;
        }
        Ok(())
    }

    fn evidence_comes(&mut self) -> Result<(), String> {
        while let Some(index) = self.gathering.iter().position(|(at, ..)| *at <= self.now.mono) {
            let (_, incident, request) = self.gathering.swap_remove(index);
            self.step(Input::Gathered { incident, request: Some(request), evidence: Vec::new() })?;
        }
        Ok(())
    }

    fn take_effect(&mut self, run: &ActionRun) -> ActionOutcome {
        let now = self.now.mono;
        if let Action::RestartUnit { unit } | Action::StartUnit { unit } = &run.action {
            self.change(unit, |unit| {
                (unit.state, unit.intent, unit.started, unit.answers) =
                    (ActiveState::Active, Intent::Unknown, now, true);
                unit.grows = false;
            });
        }
        match run.action {
            Action::FreePort { .. } => ActionOutcome::NotNeeded { why: "free".into() },
            _ => ActionOutcome::Succeeded { note: "done".into() },
        }
    }

    fn answer_looks(&mut self) -> Result<(), String> {
        while let Some(check) = self.looking.pop() {
            let Some((probe, _)) = self.engine.probe(&check) else { continue };
            let (probe, target) = (probe.clone(), TargetId::new(check.target()).map_err(|error| error.to_string())?);
            let observation = self.observe(&probe, &target);
            self.was_shown(&observation);
            self.mending.shows(self.now, &check, &probe, &target, &observation);
            self.step(Input::Observed { check, observation })?;
        }
        Ok(())
    }

    fn observe(&self, probe: &Probe, target: &TargetId) -> Observation {
        if self.bus_is_gone && matches!(probe, Probe::Unit { .. }) {
            return Observation::unknown("the bus is gone");
        }
        let Some((_, unit)) = self.units.iter().find(|(name, _)| name.as_str() == target.name()) else {
            return Observation::unknown("no such unit");
        };
        match probe {
            Probe::Unit { .. } => judge(UnitExpectation::Running, unit.snapshot()),
            Probe::UnitFiles { .. } => self.mending.files(),
            Probe::Exec(_) if unit.state != ActiveState::Active => Observation::unknown("it does not run"),
            Probe::Exec(_) if self.looks_fail => Observation::unknown("nobody answers"),
            Probe::Exec(_) if unit.grows => {
                Observation::failing("grows").with_figure("forecast.earliest", Value::Duration(self.limit_in))
            }
            Probe::Exec(_) => Observation::healthy("is as large as it was"),
            _ if unit.state == ActiveState::Active && unit.answers => Observation::healthy("answers"),
            _ => Observation::failing("does not answer"),
        }
    }

    /// One step of the engine as the shell does it: save, then act; and after it the invariants.
    fn step(&mut self, input: Input) -> Result<(), String> {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.totals.steps += 1;
            let effects = self.engine.step(self.now, input);
            let mut is_recorded = self.engine.revision() == self.saved_revision;
            if !is_recorded && !self.disk_is_full {
                self.saved = self.engine.state().clone();
                self.checker.saved(&self.saved);
                self.saved_revision = self.engine.revision();
                is_recorded = true;
                self.has_acknowledged_hold &= self.is_held;
                if std::mem::take(&mut self.has_told_trouble) {
                    inputs.push_back(Input::Ledger(None));
                }
            } else if !is_recorded && !std::mem::replace(&mut self.has_told_trouble, true) {
                inputs.push_back(Input::Ledger(Some("disk full".into())));
            }
            for effect in effects {
                self.effect(effect, is_recorded, &mut inputs)?;
            }
            self.checker.after_step(&self.engine)?;
            self.matters_hold()?;
        }
        Ok(())
    }

    fn effect(
        &mut self,
        effect: Effect,
        is_recorded: bool,
        inputs: &mut std::collections::VecDeque<Input>,
    ) -> Result<(), String> {
        match effect {
            Effect::Observe(check) => self.looking.push(check),
            Effect::Perform(run) if !is_recorded => {
                inputs.push_back(Input::NotStarted { run: run.id, why: "disk full".into() });
            }
            Effect::Perform(run) => {
                let wanted_down = self
                    .units
                    .iter()
                    .any(|(name, unit)| name.as_str() == run.target.name() && unit.intent == Intent::Stopped);
                let facts = Facts {
                    is_held: self.is_held || self.has_hold_file,
                    is_ledger_broken: self.disk_is_full,
                    // What the engine could not see, it cannot respect: while the bus is gone it does not know.
                    is_stopped_on_request: wanted_down
                        && !self.bus_is_gone
                        && self.looking.is_empty()
                        && self.knows_stop(&run.target),
                    is_recorded,
                    gone: self.mending.gone(&run.target),
                    drilled: run
                        .incident
                        .and_then(|id| self.saved.incidents.get(&id))
                        .filter(|of| of.is_drill)
                        .map(|of| of.opened),
                    is_ended_by_drill: false,
                };
                self.begins_for(&run)?;
                self.mending.begins(&run);
                self.checker.begins(&self.bundle, self.now, &run, facts)?;
                self.totals.actions += 1;
                let takes = Duration::from_millis(self.random.below(3_000));
                self.running.push((self.now.mono.plus(takes), *run));
            }
            Effect::Gather(request) => {
                let takes = Duration::from_millis(self.random.below(15_000));
                self.gathering.push((self.now.mono.plus(takes), request.incident, request.number));
            }
            Effect::Dispatch(dispatch) => {
                self.checker.ended_with(&dispatch);
                if is_recorded {
                    let down_for = self.down_for(&dispatch.report.target);
                    self.checker.dispatched(&dispatch, down_for)?;
                }
                self.totals.healed += u64::from(dispatch.kind == NoticeKind::Healed);
                self.totals.escalated += u64::from(dispatch.kind == NoticeKind::Escalated);
                inputs.push_back(Input::Dispatched { dispatch: dispatch.id });
            }
            Effect::Answer { .. } | Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } => {}
        }
        Ok(())
    }

    /// How long the engine can have known that a target's unit is down.
    fn down_for(&self, target: &TargetId) -> Option<Duration> {
        let (_, unit) = self.units.iter().find(|(name, _)| name.as_str() == target.name())?;
        let is_known = unit.state != ActiveState::Active && unit.intent == Intent::ByItself && !self.bus_is_gone;
        is_known.then(|| self.now.mono.since(unit.changed))
    }

    /// Whether the engine's last look at the unit was after the stop.
    fn knows_stop(&self, target: &TargetId) -> bool {
        let last = |check: &CheckState| check.last.as_ref().and_then(|(_, seen)| seen.unit()).map(|unit| unit.intent);
        self.engine.check_states().any(|check| check.check.target == *target && last(check) == Some(Intent::Stopped))
    }
}
