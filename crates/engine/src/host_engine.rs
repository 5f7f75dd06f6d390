//! The engine itself: what it holds, how an input goes through it, and when it wants to be woken.
//! What it decides stands in the modules named after each stage.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use ansai_model::{
    bundle::Bundle,
    condition::Value,
    hint::Hint,
    id::{CheckId, IncidentId, RuleId, TargetId, UnitName},
    notify::NoticeKind,
    observation::{Health, Observation},
    probe::Probe,
    text::Text,
    time::{MonoTime, Now},
};

use crate::{
    check::{Change, CheckState},
    effect::Effect,
    evidence::Gathering,
    incident::Watch,
    input::Input,
    remediation::Stage,
    state::{Depth, FORMER_TARGETS_MAX, State},
};

/// Decides for one host. See the crate's page for its contract.
#[derive(Clone, Debug)]
pub struct HostEngine {
    pub(crate) bundle: Bundle,
    pub(crate) state: State,
    pub(crate) checks: Vec<CheckState>,
    pub(crate) check_index: BTreeMap<CheckId, usize>,
    pub(crate) targets: BTreeMap<TargetId, TargetIndex>,
    pub(crate) units: BTreeMap<UnitName, Vec<usize>>,
    pub(crate) facts: BTreeMap<Box<str>, Value>,
    pub(crate) hold_file: Option<Text>,
    pub(crate) ledger_trouble: Option<Text>,
    pub(crate) wakes: BTreeSet<(MonoTime, Wake)>,
    pub(crate) effects: Vec<Effect>,
    /// Where the evidence of an incident is, until it is there.
    pub(crate) gathering: BTreeMap<IncidentId, Gathering>,
    /// Looks at what incidents wait for that a person has; they are begun anew after a restart.
    pub(crate) watches: BTreeMap<CheckId, Watch>,
    /// Notices that wait for evidence; those of the ledger's phases are found again after a restart.
    pub(crate) held_back: BTreeSet<(IncidentId, NoticeKind)>,
    pub(crate) revision: u64,
    /// Whether [`Input::Started`] has come: before it what was in flight is not known to be lost, so nothing is decided.
    pub(crate) has_started: bool,
}

/// What is looked up about a target on every observation.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetIndex {
    pub(crate) checks: Vec<usize>,
    /// Its rules, in the order of their names.
    pub(crate) rules: Box<[RuleId]>,
    /// Whether its checks are governed by different rules, so that they fail and are healed apart.
    pub(crate) is_divided: bool,
    pub(crate) open: BTreeSet<IncidentId>,
}

/// What becomes due. Stale wakes are harmless: what they wake reconciles state and takes no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Check(usize),
    Incident(IncidentId),
}

/// Looks with a period of at least a second become due on this grid, so that many share one wake-up.
const GRID: Duration = Duration::from_millis(50);
/// How long after its time-out a look that never answered is given up.
const LOOK_GRACE: Duration = Duration::from_secs(5);
/// How long a remedy that worked is looked at more often; a policy may want to see it well for hours.
const WATCHED_CLOSELY: Duration = Duration::from_secs(60);

impl HostEngine {
    /// An engine that continues from `state` under `bundle`. It decides nothing before [`Input::Started`].
    #[must_use]
    pub fn new(bundle: Bundle, mut state: State, now: Now) -> Self {
        state.settle_ends();
        let mut engine = Self {
            bundle: Bundle::empty(bundle.parts().settings.clone()),
            state,
            checks: Vec::new(),
            check_index: BTreeMap::new(),
            targets: BTreeMap::new(),
            units: BTreeMap::new(),
            facts: BTreeMap::new(),
            hold_file: None,
            ledger_trouble: None,
            wakes: BTreeSet::new(),
            effects: Vec::new(),
            gathering: BTreeMap::new(),
            watches: BTreeMap::new(),
            held_back: BTreeSet::new(),
            revision: 0,
            has_started: false,
        };
        engine.apply(now, bundle);
        engine
    }

    /// Takes one input in and says what is to be done.
    ///
    /// When [`HostEngine::revision`] has changed, the shell saves [`HostEngine::state`] before it begins an effect.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        match input {
            Input::Tick => {}
            Input::Started => self.started(now),
            Input::Hint(hint) => self.hinted(now, &hint),
            Input::Observed { check, observation } => self.observed(now, &check, observation),
            Input::ActionEnded { run, outcome } => self.action_ended(now, run, outcome),
            Input::NotStarted { run, why } => self.action_not_started(now, run, why),
            Input::Gathered { incident, evidence } => self.gathered(now, incident, evidence),
            Input::Dispatched { dispatch } => {
                if self.state.dispatches.remove(&dispatch).is_some() {
                    self.changed(now);
                }
            }
            Input::Operator { request, command } => self.operate(now, request, command),
            Input::Apply(bundle) => {
                self.apply(now, *bundle);
                self.withdraw_unknown_targets(now);
                self.reconcile_all(now);
            }
            Input::Facts(facts) => {
                self.facts = facts;
                // A rule whose condition did not hold may apply now.
                self.reconcile_all(now);
            }
            Input::HoldFile(hold) => {
                if self.hold_file != hold {
                    self.hold_file = hold;
                    self.reconcile_all(now);
                }
            }
            Input::Ledger(trouble) => {
                let changed = self.ledger_trouble.is_some() != trouble.is_some();
                self.ledger_trouble = trouble;
                if changed {
                    self.reconcile_all(now);
                }
            }
        }
        if !self.has_started {
            return core::mem::take(&mut self.effects);
        }
        self.run_due(now);
        if !self.gathering.is_empty() {
            self.ask_for_due_evidence(now);
        }
        core::mem::take(&mut self.effects)
    }

    /// When the engine wants its next [`Input::Tick`], if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The durable state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Grows whenever the durable state has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The bundle in force.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The check states, in the order of their names.
    pub fn check_states(&self) -> impl Iterator<Item = &CheckState> {
        self.check_index.values().filter_map(|slot| self.checks.get(*slot))
    }

    /// The probe of a check and its time-out, when the bundle has it, or an incident waits for what it sees.
    #[must_use]
    pub fn probe(&self, check: &CheckId) -> Option<(&Probe, Duration)> {
        let configured = self.bundle.parts().checks.get(check).map(|check| (&check.probe, check.timeout));
        configured.or_else(|| self.watch_probe(check))
    }

    /// Whether an open incident waits for what a check says next: it is about the check's target, or about one that waits on
    /// it. For every other a look that says what the last one said changes nothing.
    #[must_use]
    pub fn bears_on_incident(&self, check: &CheckId) -> bool {
        let Some(check) = self.bundle.parts().checks.get(check) else { return false };
        let targets = &self.bundle.parts().targets;
        let waits = |target: &TargetId| targets.get(target).is_some_and(|target| target.waits_on(&check.target));
        self.state.incidents.values().any(|incident| incident.target == check.target || waits(&incident.target))
    }

    pub(crate) fn changed(&mut self, now: Now) {
        self.state.at = now;
        self.revision += 1;
    }

    pub(crate) fn wake(&mut self, at: MonoTime, wake: Wake) {
        self.wakes.insert((at, wake));
    }

    /// Takes over a bundle; check states whose check is unchanged are kept.
    fn apply(&mut self, now: Now, bundle: Bundle) {
        let mut old: BTreeMap<CheckId, CheckState> =
            core::mem::take(&mut self.checks).into_iter().map(|state| (state.check.id.clone(), state)).collect();
        // Room for all at once: growing would leave as much again behind.
        self.checks.reserve_exact(bundle.parts().checks.len());
        self.check_index.clear();
        self.targets.clear();
        self.units.clear();
        self.wakes.retain(|(_, wake)| matches!(wake, Wake::Incident(_)));
        for id in bundle.parts().targets.keys() {
            self.targets.insert(id.clone(), TargetIndex::default());
        }
        for (slot, (id, check)) in bundle.parts().checks.iter().enumerate() {
            let state = match old.remove(id) {
                Some(mut state) if state.check.probe == check.probe => {
                    state.check = check.clone();
                    state.rules = 0;
                    // What could be put back may be something else now, and its copy should not wait for the next one's time.
                    state.kept = None;
                    state
                }
                Some(_) | None => CheckState::new(check.clone(), now.mono),
            };
            // Only a unit's own check is woken by a hint about the unit: the other probes have their own pace.
            if let Probe::Unit { unit, .. } = &check.probe {
                self.units.entry(unit.clone()).or_default().push(slot);
            }
            self.wakes.insert((state.due, Wake::Check(slot)));
            self.checks.push(state);
            self.check_index.insert(id.clone(), slot);
            self.targets.entry(check.target.clone()).or_default().checks.push(slot);
        }
        self.bundle = bundle;
        self.divide_targets();
        self.forget_former_targets(now);
        self.forget_beyond_depth(now);
        let open: Vec<_> =
            self.state.incidents.values().map(|i| (i.id, i.target.clone(), i.check.clone(), i.failing_since)).collect();
        for (id, target, check, since) in open {
            self.targets.entry(target).or_default().open.insert(id);
            if let Some(state) = self.check_index.get(&check).and_then(|slot| self.checks.get_mut(*slot))
                && state.hard == Health::Unknown
                && !self.state.incidents.get(&id).is_some_and(|incident| incident.kind.is_told_only())
            {
                state.resume_failing(since);
            }
            self.wake(now.mono, Wake::Incident(id));
        }
    }

    /// Instances come and go: of targets that are configured no more only the latest are remembered.
    fn forget_former_targets(&mut self, now: Now) {
        let configured = &self.bundle.parts().targets;
        let former = self.state.targets.iter().filter(|(id, _)| !configured.contains_key(*id));
        let mut former: Vec<_> = former.map(|(id, memory)| (memory.last_event(), id.clone())).collect();
        let too_many = former.len().saturating_sub(FORMER_TARGETS_MAX);
        if too_many == 0 {
            return;
        }
        former.sort();
        for (_, id) in former.into_iter().take(too_many) {
            self.state.targets.remove(&id);
        }
        self.changed(now);
    }

    /// How much of each target is remembered under this bundle.
    pub(crate) fn depth(&self) -> Depth {
        Depth::of(self.bundle.parts().checks.len())
    }

    /// More checks than before leave less room for each.
    fn forget_beyond_depth(&mut self, now: Now) {
        let depth = self.depth();
        let forgot = self.state.targets.values_mut().map(|memory| memory.forget_beyond(depth));
        if forgot.fold(false, |all, one| all | one) {
            self.changed(now);
        }
    }

    fn hinted(&mut self, now: Now, hint: &Hint) {
        match hint {
            Hint::Unit(unit) => {
                for slot in self.units.get(unit).cloned().unwrap_or_default() {
                    self.look(now, slot);
                }
            }
            Hint::Process(name) => {
                let is_it = |probe: &Probe| matches!(probe, Probe::Process { name: watched } if **watched == **name);
                for slot in
                    (0..self.checks.len()).filter(|slot| is_it(&self.checks[*slot].check.probe)).collect::<Vec<_>>()
                {
                    self.look(now, slot);
                }
            }
            Hint::Everything | Hint::Units | Hint::Mounts => {
                (0..self.checks.len()).for_each(|slot| self.look(now, slot))
            }
        }
    }

    pub(crate) fn look_at_target(&mut self, now: Now, target: &TargetId) {
        let slots = self.targets.get(target).map(|index| index.checks.clone()).unwrap_or_default();
        for slot in slots {
            self.look(now, slot);
        }
    }

    /// Begins a look now, or another one as soon as the one under way has ended.
    pub(crate) fn look(&mut self, now: Now, slot: usize) {
        let Some(check) = self.checks.get_mut(slot) else { return };
        if check.in_flight.is_some() {
            check.again = true;
            return;
        }
        check.in_flight = Some(now.mono);
        let lost = now.mono.plus(check.check.timeout.saturating_add(LOOK_GRACE));
        let (due, id) = (core::mem::replace(&mut check.due, lost), check.check.id.clone());
        self.wakes.remove(&(due, Wake::Check(slot)));
        self.wakes.insert((lost, Wake::Check(slot)));
        self.effects.push(Effect::Observe(id));
    }

    fn observed(&mut self, now: Now, id: &CheckId, observation: Observation) {
        let Some(&slot) = self.check_index.get(id) else {
            self.obstacle_seen(now, id, &observation);
            return;
        };
        let observation = self.believe(slot, observation);
        let is_awaited = self.is_verifying(now, &self.checks[slot].check.target);
        let check = &mut self.checks[slot];
        check.looked_at = Some(check.in_flight.take().unwrap_or(now.mono));
        let change = check.absorb(now, observation);
        let period = if is_awaited { check.check.every_soft } else { check.period() };
        let next = on_grid(now.mono.plus(period), period);
        let due = core::mem::replace(&mut check.due, next);
        let again = core::mem::take(&mut check.again);
        if due != next {
            self.wakes.remove(&(due, Wake::Check(slot)));
            self.wakes.insert((next, Wake::Check(slot)));
        }
        if again {
            self.look(now, slot);
        }
        self.follow_up(now, slot, change);
    }

    /// Whether a remedy waits for what the target's checks say, or has just worked: they are looked at more often then.
    fn is_verifying(&self, now: Now, target: &TargetId) -> bool {
        let open = self.targets.get(target).into_iter().flat_map(|index| &index.open);
        open.into_iter().any(|id| match self.state.remediations.get(id).map(|remediation| &remediation.stage) {
            Some(Stage::Verifying { .. }) => true,
            Some(Stage::Stabilizing { .. }) => {
                let healthy = self.state.incidents.get(id).and_then(|incident| incident.healthy_since);
                healthy.is_none_or(|since| now.mono.since(since.mono) < WATCHED_CLOSELY)
            }
            Some(Stage::Ready | Stage::Acting { .. } | Stage::Waiting { .. }) => false,
            Some(Stage::BackingOff { .. } | Stage::Undoing { .. }) | None => false,
        })
    }

    /// What follows from a check's new state. The quick way out is the everyday one: nothing changed, nothing is open.
    fn follow_up(&mut self, now: Now, slot: usize, change: Change) {
        self.follow_doubt(now, slot);
        let check = &self.checks[slot];
        let target = check.check.target.clone();
        let is_wanted_down = check.wanted_down();
        let has_open = self.targets.get(&target).is_some_and(|index| !index.open.is_empty());
        if !has_open && check.hard == Health::Healthy {
            self.keep_configuration(now, slot);
        }
        if self.checks[slot].hard == Health::Healthy {
            self.ask_doubted(now, slot);
        }
        let check = &self.checks[slot];
        if change == Change::None && !has_open && check.hard != Health::Failing {
            if is_wanted_down.is_some() {
                self.forget_failures(&target);
            }
            // That nothing changed is what those wait for that need it.
            if !self.state.incidents.is_empty() {
                self.reconcile_dependents(now, &target);
            }
            return;
        }
        if let Some(why) = is_wanted_down {
            self.withdraw_target(now, &target, &why);
            self.forget_failures(&target);
            return;
        }
        if self.checks[slot].hard == Health::Failing {
            self.open_incident(now, slot);
        }
        self.reconcile_target(now, &target);
        if change == Change::Recovered || change == Change::Failed {
            self.reconcile_dependents(now, &target);
        }
    }

    fn forget_failures(&mut self, target: &TargetId) {
        for slot in self.targets.get(target).map(|index| index.checks.clone()).unwrap_or_default() {
            if self.checks[slot].hard != Health::Healthy || self.checks[slot].failures > 0 {
                self.checks[slot].forget();
            }
        }
    }

    /// A failing probe of a unit that is stopped on request, starting or in an unknown state says nothing.
    fn believe(&self, slot: usize, observation: Observation) -> Observation {
        let check = &self.checks[slot].check;
        if observation.health() != Health::Failing || matches!(check.probe, Probe::Unit { .. }) {
            return observation;
        }
        let siblings = self.targets.get(&check.target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let doubt = siblings.iter().find_map(|sibling| self.checks[*sibling].in_transition());
        match doubt {
            Some(why) => Observation::unknown(alloc::format!("{} (the unit: {why})", observation.summary())),
            None => observation,
        }
    }

    fn run_due(&mut self, now: Now) {
        // Each turn removes a wake or moves it into the future, so this ends; the bound is a second safeguard.
        for _ in 0..self.wakes.len().saturating_mul(2).saturating_add(16) {
            let Some(&(at, wake)) = self.wakes.first() else { return };
            if at > now.mono {
                return;
            }
            self.wakes.pop_first();
            match wake {
                Wake::Check(slot) => self.check_due(now, slot),
                Wake::Incident(id) => self.reconcile(now, id),
            }
        }
    }

    fn check_due(&mut self, now: Now, slot: usize) {
        let Some(check) = self.checks.get_mut(slot) else { return };
        if check.in_flight.is_none() {
            self.look(now, slot);
            return;
        }
        // Woken for another reason while a look is under way that still has its time.
        if now.mono < check.due {
            return;
        }
        // The look never answered, although the shell has its own time-out: it is unknown, and looked at again.
        let id = check.check.id.clone();
        self.observed(now, &id, Observation::unknown("the probe gave no answer"));
    }

    fn started(&mut self, now: Now) {
        self.has_started = true;
        let dispatches: Vec<_> = self.state.dispatches.values().cloned().collect();
        self.effects.extend(dispatches.into_iter().map(|dispatch| Effect::Dispatch(Box::new(dispatch))));
        self.resume_evidence(now);
        self.resume(now);
    }
}

fn on_grid(at: MonoTime, period: Duration) -> MonoTime {
    if period < Duration::from_secs(1) {
        return at;
    }
    let grid = i64::try_from(GRID.as_nanos()).unwrap_or(1);
    MonoTime(at.0.div_euclid(grid).saturating_add(1).saturating_mul(grid))
}
