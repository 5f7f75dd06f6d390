//! A host of paper: a clock in the hands of the test, checks that see what they are told, actions that end when and how
//! the test says. After every step the engine's own invariants are asked.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ansai_engine::{
    Effect, HostEngine, Input, State,
    effect::{Answer, Dispatch},
    explain::Explanation,
    invariant,
};
use ansai_model::{
    action::{ActionOutcome, ActionRun},
    bundle::Bundle,
    decision::Gate,
    fleet::Acknowledged,
    hint::Hint,
    id::{CheckId, IncidentId, TargetId, UnitName},
    incident::{Evidence, EvidenceKind, EvidenceRequest, Incident},
    inventory::Inventory,
    observation::Observation,
    operator::{Operation, OperatorCommand},
    order::Ordered,
    permit::PermitsSaid,
    policy::Scope,
    text::Text,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Exit, Intent, UnitExpectation, UnitResult, UnitSnapshot, judge},
};

use crate::words;

/// Most deadlines between two moments; more means that the engine does not come to rest.
const DEADLINES_MAX: usize = 200_000;
/// How long an action takes that ends by itself.
pub(crate) const ACTION: Duration = Duration::from_millis(20);
/// Most answers to one input.
const ANSWERS_MAX: usize = 10_000;

/// Services that heal by a restart, with round numbers and no jitter.
pub(crate) const PLAIN: &str = "\
autonomy: act
policies:
  default:
    cooldown: 30s
    budget: {actions: 6, per: 1h}
    breaker: {failures: 3, within: 1h, open_for: 30m}
    backoff: {initial: 5s, factor: 2, max: 1m, jitter: 0, reset_after: 10m}
    attempts: 4
    verify_within: 20s
    stable_for: 30s
    retry: never
notify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\"}}
services:
  app.service: {}
";

/// A service with a fault domain of its own beside its unit: its memory, which is released, and then the service restarted.
pub(crate) const TWO_FAULT_DOMAINS: &str = "
checks:
  'service/app.service#memory': {probe: {exec: [/bin/mem]}, every: 10s, every_soft: 1s, fail_after: 1, recover_after: 1}
rules:
  memory: {target: service/app.service, checks: ['service/app.service#memory'], runbook: memory, policy: leak, autonomy: act}
runbooks:
  memory:
    - {name: release, steps: [{exec: [/bin/release], disruption: none}], then: verify}
    - {name: restart, steps: [{restart_unit: app.service}], then: verify}
";
/// The policy of that matter; the clock of the test stands at 2026-11-18T11:06:40Z, so its hours are 21 h 53 min away.
pub(crate) const QUIET: &str = "  leak: {stable_for: 10m, quiet: {at: '09:00', lasts: 1h}}\nnotify:";

/// A host with one engine.
pub(crate) struct Host {
    pub(crate) engine: HostEngine,
    pub(crate) now: Now,
    start: Now,
    /// What each check sees; healthy when nothing is said.
    pub(crate) sees: BTreeMap<CheckId, Observation>,
    /// Checks that do not answer.
    pub(crate) hanging: BTreeSet<CheckId>,
    /// Actions that have begun and not ended.
    pub(crate) under_way: Vec<ActionRun>,
    /// How the next actions end, at once; with none, they stay under way.
    ends: VecDeque<ActionOutcome>,
    /// How every action ends when `ends` is empty.
    always: Option<ActionOutcome>,
    /// An action that begins so makes its target well.
    mends: Option<&'static str>,
    /// When each action began since the start, and what it was.
    pub(crate) begun: Vec<(Duration, String)>,
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) has_evidence: bool,
    /// What evidence was asked for.
    pub(crate) requests: Vec<EvidenceRequest>,
    /// How often anything was looked at.
    pub(crate) looks: u64,
    /// Who listens on the port, as evidence says.
    pub(crate) port_owner: &'static str,
    answers: Vec<Answer>,
    /// What the controller was told.
    pub(crate) restrained: Vec<Acknowledged>,
    pub(crate) ordered: Vec<Ordered>,
    /// What the controller was told of permits, and on which link.
    pub(crate) permits: Vec<(u64, PermitsSaid)>,
    hold_file: Option<Text>,
}

pub(crate) fn target(name: &str) -> TargetId {
    TargetId::of("service", name).expect("a target")
}

pub(crate) fn check(name: &str) -> CheckId {
    let domain = if name.contains('/') { "" } else { "service/" };
    CheckId::new(format!("{domain}{name}")).expect("a check")
}

pub(crate) fn only(name: &str) -> Scope {
    Scope::Matching(vec![name.into()])
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn succeeded() -> ActionOutcome {
    ActionOutcome::Succeeded { note: "done".into() }
}

pub(crate) fn failed() -> ActionOutcome {
    ActionOutcome::Failed { why: "it said no".into() }
}

pub(crate) fn not_needed() -> ActionOutcome {
    ActionOutcome::NotNeeded { why: "there is nothing to do".into() }
}

pub(crate) fn lost() -> ActionOutcome {
    ActionOutcome::Lost { why: "the bus went away".into() }
}

/// The bundle of a configuration.
pub(crate) fn bundle(yaml: &str) -> Bundle {
    bundle_of(yaml, 1)
}

/// The same with the number of the configuration.
pub(crate) fn bundle_of(yaml: &str, generation: u64) -> Bundle {
    let configuration = match ansai_config::parse(&[("ansai.yaml".into(), yaml.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    };
    match configuration.bundle(&Inventory::default(), generation) {
        Ok(bundle) => bundle,
        Err(wrong) => panic!("{wrong}"),
    }
}

/// A unit as it runs.
pub(crate) fn unit(active: ActiveState, intent: Intent) -> UnitSnapshot {
    let is_up = active == ActiveState::Active;
    UnitSnapshot {
        result: if active == ActiveState::Failed { UnitResult::Signal } else { UnitResult::Success },
        exit: (!is_up).then_some(Exit::Signal(9)),
        main_pid: is_up.then_some(4711),
        intent,
        ..UnitSnapshot::plain(active)
    }
}

/// What a look at such a unit says.
pub(crate) fn judged(unit: UnitSnapshot) -> Observation {
    judge(UnitExpectation::Running, unit)
}

fn said(answer: Answer) -> String {
    match answer {
        Answer::Done(text) => format!("done: {text}"),
        Answer::Refused { why, .. } => format!("refused: {why}"),
        Answer::NotFound { what, .. } => format!("not found: {what}"),
    }
}

impl Host {
    /// A host under a configuration, on which all is well and has been looked at.
    pub(crate) fn new(yaml: &str) -> Self {
        let start = Now { mono: MonoTime(5_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        let mut host = Self {
            engine: HostEngine::new(bundle(yaml), State::default(), start),
            now: start,
            start,
            sees: BTreeMap::new(),
            hanging: BTreeSet::new(),
            under_way: Vec::new(),
            ends: VecDeque::new(),
            always: None,
            mends: None,
            begun: Vec::new(),
            dispatches: Vec::new(),
            has_evidence: true,
            requests: Vec::new(),
            looks: 0,
            port_owner: "nobody",
            answers: Vec::new(),
            restrained: Vec::new(),
            ordered: Vec::new(),
            permits: Vec::new(),
            hold_file: None,
        };
        host.step(Input::Started);
        host
    }

    /// [`PLAIN`], with these lines after it.
    pub(crate) fn plain() -> Self {
        Self::new(PLAIN)
    }

    /// Every action ends so, at once.
    pub(crate) fn actions_end(mut self, outcome: ActionOutcome) -> Self {
        self.always = Some(outcome);
        self
    }

    /// Every action succeeds at once, and one whose words begin so makes its target well.
    pub(crate) fn mended_by(mut self, what: &'static str) -> Self {
        self.mends = Some(what);
        self.actions_end(succeeded())
    }

    /// From now on every action ends so, at once.
    pub(crate) fn set_always(&mut self, outcome: ActionOutcome) {
        self.always = Some(outcome);
    }

    /// From now on nothing helps, or this does.
    pub(crate) fn set_mending(&mut self, what: Option<&'static str>) {
        self.mends = what;
    }

    /// One input, and all that follows from it at this moment.
    pub(crate) fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        for _ in 0..ANSWERS_MAX {
            let Some(input) = inputs.pop_front() else { return };
            let effects = self.engine.step(self.now, input);
            if let Err(violation) = invariant::of_state(self.engine.bundle(), self.engine.state()) {
                panic!("{}: {}", violation.invariant, violation.what);
            }
            if let Some(hold) = self.engine.state().holds.iter().find(|hold| hold.by.as_str() == "ansai itself") {
                panic!("{}", hold.reason);
            }
            inputs.extend(effects.into_iter().filter_map(|effect| self.answer(effect)));
        }
        panic!("the engine does not come to rest");
    }

    fn answer(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Observe(check) if self.hanging.contains(&check) => None,
            Effect::Observe(check) => {
                self.looks += 1;
                let observation = self.sees.get(&check).cloned().unwrap_or_else(|| Observation::healthy("well"));
                Some(Input::Observed { check, observation })
            }
            Effect::Perform(run) => self.perform(*run),
            Effect::Gather(request) if self.has_evidence => {
                self.requests.push((*request).clone());
                let evidence = Evidence::new("journal", EvidenceKind::Log, "it died");
                let port = Evidence::new("sockets", EvidenceKind::Port, self.port_owner);
                let (incident, request) = (request.incident, Some(request.number));
                Some(Input::Gathered { incident, request, evidence: vec![evidence, port] })
            }
            Effect::Gather(request) => {
                self.requests.push(*request);
                None
            }
            Effect::Dispatch(dispatch) => {
                let id = dispatch.id;
                self.dispatches.push(*dispatch);
                Some(Input::Dispatched { dispatch: id })
            }
            Effect::Answer { answer, .. } => {
                self.answers.push(answer);
                None
            }
            Effect::Restrained(said) => {
                self.restrained.push(*said);
                None
            }
            Effect::Ordered(said) => {
                self.ordered.push(*said);
                None
            }
            Effect::Permits { session, said } => {
                self.permits.push((session, *said));
                None
            }
        }
    }

    fn perform(&mut self, run: ActionRun) -> Option<Input> {
        let what = run.action.describe();
        self.begun.push((self.now.mono.since(self.start.mono), what.to_string()));
        let (id, target) = (run.id, run.target.clone());
        self.under_way.push(run);
        let outcome = self.ends.pop_front().or_else(|| self.always.clone())?;
        if self.mends.is_some_and(|mends| what.as_str().starts_with(mends)) {
            self.sees.retain(|check, _| !check.as_str().starts_with(&format!("{target}#")));
        }
        self.under_way.retain(|run| run.id != id);
        // Nothing that is done takes no time: a look from before it is known as one.
        self.now = self.now.plus(ACTION);
        Some(Input::ActionEnded { run: id, outcome })
    }

    /// From now on the check sees this; looked at once.
    pub(crate) fn sees(&mut self, name: &str, observation: Observation) {
        self.sees.insert(check(name), observation);
        self.step(Input::Hint(Hint::Everything));
    }

    /// Something happens to a unit, and systemd tells of it: its own check, which sees this from now on, is looked at.
    pub(crate) fn happens(&mut self, unit: &str, observation: Observation) {
        self.sees.insert(check(&format!("{unit}#unit")), observation);
        self.step(Input::Hint(Hint::Unit(UnitName::new(unit).expect("a unit"))));
    }

    /// The check sees a failure from now on, and only it is looked at.
    pub(crate) fn sees_only(&mut self, name: &str) {
        let observation = Observation::failing("it died");
        self.sees.insert(check(name), observation.clone());
        self.step(Input::Observed { check: check(name), observation });
    }

    /// All checks of a service find it well from now on.
    pub(crate) fn is_mended(&mut self, name: &str) {
        self.sees.retain(|check, _| !check.as_str().starts_with(&format!("service/{name}#")));
    }

    /// The check sees a failure from now on.
    pub(crate) fn fails(&mut self, name: &str) {
        self.sees(name, Observation::failing("it died"));
    }

    /// The check finds all well from now on.
    pub(crate) fn is_well(&mut self, name: &str) {
        self.sees(name, Observation::healthy("well"));
    }

    /// The only action under way ends.
    pub(crate) fn action_ends(&mut self, outcome: ActionOutcome) {
        assert_eq!(self.under_way.len(), 1, "one action is under way: {:?}", self.under_way);
        let run = self.under_way.remove(0).id;
        self.step(Input::ActionEnded { run, outcome });
    }

    /// The next actions end so, in this order, at once.
    pub(crate) fn next_actions_end(&mut self, outcomes: impl IntoIterator<Item = ActionOutcome>) {
        self.ends.extend(outcomes);
    }

    /// Time goes by, and the engine is woken whenever it asked for it.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now.plus(duration);
        for _ in 0..DEADLINES_MAX {
            let Some(deadline) = self.engine.next_deadline().filter(|at| *at <= end.mono) else {
                self.now = end;
                return;
            };
            self.now = self.now.plus(deadline.since(self.now.mono));
            self.step(Input::Tick);
        }
        panic!("the engine does not come to rest");
    }

    /// The wall clock is set, forward or back; the monotonic one goes on.
    pub(crate) fn wall_jumps(&mut self, by: Duration, is_forward: Direction) {
        let millis = i64::try_from(by.as_millis()).expect("a short jump");
        self.now.wall.0 += if is_forward == Direction::Forward { millis } else { -millis };
    }

    /// The agent is killed and starts again, under the configuration that it had or another; what was under way is lost.
    pub(crate) fn restart(&mut self, yaml: Option<&str>) {
        let bundle = yaml.map_or_else(|| self.engine.bundle().clone(), bundle);
        let ledger = serde_json::to_string(self.engine.state()).expect("the state is written");
        let state: State = serde_json::from_str(&ledger).expect("the state is read");
        assert_eq!(&state, self.engine.state(), "the ledger holds the whole state");
        self.under_way.clear();
        self.engine = HostEngine::new(bundle, state, self.now);
        self.step(Input::HoldFile(self.hold_file.clone()));
        self.step(Input::Started);
    }

    /// A new configuration is applied.
    pub(crate) fn apply(&mut self, yaml: &str) {
        self.step(Input::Apply(Box::new(bundle(yaml))));
    }

    pub(crate) fn hold_file(&mut self, text: Option<&str>) {
        self.hold_file = text.map(Text::new);
        self.step(Input::HoldFile(self.hold_file.clone()));
    }

    /// An operator speaks; what is answered, in words.
    pub(crate) fn operator(&mut self, operation: Operation) -> String {
        let command = OperatorCommand { by: "ann".into(), operation };
        self.step(Input::Operator { request: 1, command });
        said(self.answers.pop().expect("an answer"))
    }

    /// What the operator would be answered, in the same words.
    pub(crate) fn rehearsed(&self, operation: Operation) -> String {
        said(self.engine.rehearse(self.now, OperatorCommand { by: "ann".into(), operation }).0)
    }

    /// The open incident of a target, when there is one.
    pub(crate) fn open(&self, name: &str) -> Option<&Incident> {
        self.engine.state().incidents.values().find(|incident| incident.target == target(name))
    }

    /// Where a target's incident stands: `none`, or the phase.
    pub(crate) fn phase(&self, name: &str) -> &'static str {
        self.open(name).map_or("none", words::phase)
    }

    /// What a gate says to an open incident's proposal now, asked or not.
    pub(crate) fn gate(&self, name: &str, gate: Gate) -> String {
        let explanation = self.explain(name);
        let decision = explanation.incidents[0].decision.as_ref().expect("a decision");
        words::gate(self.now, decision.gates.iter().find(|result| result.gate == gate).expect("every gate"))
    }

    /// What a gate said when the remediation last asked.
    pub(crate) fn gate_said(&self, name: &str, gate: Gate) -> String {
        let decision = self.open(name).and_then(|incident| incident.decision.as_ref()).expect("a decision");
        words::gate(decision.at, decision.gates.iter().find(|result| result.gate == gate).expect("every gate"))
    }

    pub(crate) fn explain(&self, name: &str) -> Explanation {
        self.engine.explain(self.now, &target(name)).expect("a target")
    }

    pub(crate) fn summary(&self, name: &str) -> String {
        self.explain(name).summary.to_string()
    }

    /// The steps of an incident, ended or open, in words.
    pub(crate) fn story(&self, id: u64) -> Vec<String> {
        let id = IncidentId(id);
        let open = self.engine.state().incidents.get(&id).map(|incident| incident.steps.as_slice());
        let told = self.dispatches.iter().rev().find(|d| d.report.incident == id).map(|d| d.report.steps.as_slice());
        open.or(told).unwrap_or_default().iter().map(words::step).collect()
    }

    /// The last step of an incident, in words.
    pub(crate) fn last_step(&self, id: u64) -> String {
        self.story(id).pop().unwrap_or_default()
    }

    /// What people were told: kinds, with the reason when nobody was.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.dispatches.iter().map(|dispatch| match &dispatch.suppressed {
            None => format!("{:?} to {}", dispatch.kind, dispatch.routes.len()),
            Some(why) => format!("{:?} to nobody: {why}", dispatch.kind),
        });
        told.collect()
    }

    /// How long it has been there.
    pub(crate) fn since_start(&self) -> Duration {
        self.now.mono.since(self.start.mono)
    }

    /// What was done, in words, in order.
    pub(crate) fn done(&self) -> Vec<&str> {
        self.begun.iter().map(|(_, what)| what.as_str()).collect()
    }
}

/// Which way a clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Back,
}

/// [`PLAIN`] with something written otherwise.
pub(crate) fn changed(from: &str, to: &str) -> String {
    assert!(PLAIN.contains(from), "{from}");
    PLAIN.replace(from, to)
}
