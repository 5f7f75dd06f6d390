//! Any sequence of inputs at all, sane or not: what must hold then, counted by books of its own.
//! The simulator plays hosts that behave like hosts; here answers come twice, late, for nothing and out of order.

use std::collections::BTreeMap;

use ansai_engine::{Effect, HostEngine, Input, State, effect::Answer, invariant};
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun, Disruption},
    hint::Hint,
    id::{IncidentId, RunId, TargetId},
    observation::Observation,
    operator::{DrillKind, Operation, OperatorCommand},
    policy::Scope,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Intent},
};
use proptest::{
    prelude::{Strategy, any, prop},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::host::{bundle, check, failed, judged, lost, only, secs, succeeded, target, unit};

/// Small budgets, all autonomies, a need, an undo, a rung of two steps.
const CONFIGURATION: &str = "\
autonomy: act
agent: {host_budget: {actions: 7, per: 1h}, remediations_at_once: 2}
policies:
  default:
    cooldown: 10s
    budget: {actions: 4, per: 30m}
    backoff: {initial: 2s, factor: 2, max: 20s, jitter: 20, reset_after: 2m}
    attempts: 3
    verify_within: 10s
    stable_for: 10s
    approval_expires: 2m
    dependency_wait: 1m
services:
  a.service: {probe: {exec: [/bin/ask], every: 10s, fail_after: 2}, needs: [b.service]}
  b.service: {}
  c.service: {autonomy: approve}
  d.service: {autonomy: observe}
runbooks:
  service/b.service:
    - {name: restart, steps: [{restart_unit: b.service}], undo: [{stop_unit: b.service}], attempts: 2}
    - {name: kill, steps: [{kill_unit: b.service}, {wait: 3s}, {start_unit: b.service}]}
";
/// The same without `a`, and more careful.
const OTHER: &str = "autonomy: observe\nservices:\n  b.service: {}\n  c.service: {}\n";
const NAMES: [&str; 4] = ["a.service", "b.service", "c.service", "d.service"];
const CHECKS: [&str; 5] = ["a.service#unit", "a.service#exec", "b.service#unit", "c.service#unit", "d.service#unit"];

/// Something that happens; numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u32),
    WallJumps(i32),
    Sees(u8, u8),
    ActionEnds(u8, u8),
    NotStarted(u8),
    HoldFile(bool),
    Ledger(bool),
    Restart,
    Apply(bool),
    Says(u8, u8),
    Gathered(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop::strategy::Union::new_weighted(vec![
        (6, (0_u32..40_000).prop_map(Event::Pass).boxed()),
        (1, (0_u32..1_200_000).prop_map(Event::Pass).boxed()),
        (1, any::<i32>().prop_map(Event::WallJumps).boxed()),
        (8, (any::<u8>(), any::<u8>()).prop_map(|(check, what)| Event::Sees(check, what)).boxed()),
        (8, (any::<u8>(), any::<u8>()).prop_map(|(run, how)| Event::ActionEnds(run, how)).boxed()),
        (1, any::<u8>().prop_map(Event::NotStarted).boxed()),
        (1, any::<bool>().prop_map(Event::HoldFile).boxed()),
        (1, any::<bool>().prop_map(Event::Ledger).boxed()),
        (1, prop::strategy::Just(Event::Restart).boxed()),
        (1, any::<bool>().prop_map(Event::Apply).boxed()),
        (3, (any::<u8>(), any::<u8>()).prop_map(|(what, whom)| Event::Says(what, whom)).boxed()),
        (1, any::<u8>().prop_map(Event::Gathered).boxed()),
    ])
}

/// The engine, and what is known of it without asking it.
struct Books {
    engine: HostEngine,
    now: Now,
    is_held: bool,
    has_hold_file: bool,
    /// Whether the other configuration has ever been applied: what began under it keeps its limits.
    has_other: bool,
    windows: BTreeMap<&'static str, (WallTime, WallTime)>,
    is_ledger_broken: bool,
    under_way: BTreeMap<RunId, (ActionRun, Now)>,
    /// Disruptive actions: when, on what, and whether for a drill, which has books of its own.
    begun: Vec<(MonoTime, TargetId, RunId, bool)>,
    last_run: RunId,
    told: BTreeMap<(IncidentId, String), u64>,
    looks: Vec<ansai_model::id::CheckId>,
    /// How many commands that were suggested have been tried.
    suggested: u32,
}

impl Books {
    fn new() -> Self {
        let now = Now { mono: MonoTime(9_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        let mut books = Self {
            engine: HostEngine::new(bundle(CONFIGURATION), State::default(), now),
            now,
            is_held: false,
            has_hold_file: false,
            has_other: false,
            windows: BTreeMap::new(),
            is_ledger_broken: false,
            under_way: BTreeMap::new(),
            begun: Vec::new(),
            last_run: RunId(0),
            told: BTreeMap::new(),
            looks: Vec::new(),
            suggested: 0,
        };
        books.step(Input::Started);
        books
    }

    fn step(&mut self, input: Input) {
        let revision = self.engine.revision();
        let before = lasting(self.engine.state());
        let effects = self.engine.step(self.now, input);
        assert!(self.engine.revision() > revision || lasting(self.engine.state()) == before, "I3: a change is marked");
        if let Err(violation) = invariant::of_state(self.engine.bundle(), self.engine.state()) {
            panic!("{}: {}", violation.invariant, violation.what);
        }
        if let Some(hold) = self.engine.state().holds.iter().find(|hold| hold.by.as_str() == "ansai itself") {
            panic!("{}", hold.reason);
        }
        for effect in effects {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Observe(check) => self.looks.push(check),
            Effect::Perform(run) => self.begins(*run),
            Effect::Dispatch(dispatch) => {
                let key = (dispatch.report.incident, format!("{:?}", dispatch.kind));
                let before = self.told.insert(key, dispatch.id);
                assert!(before.is_none_or(|before| before == dispatch.id), "told twice: {:?}", dispatch.kind);
            }
            Effect::Gather(_)
            | Effect::Answer { .. }
            | Effect::Restrained(_)
            | Effect::Ordered(_)
            | Effect::Permits { .. } => {}
        }
    }

    fn begins(&mut self, run: ActionRun) {
        assert!(!self.is_held && !self.has_hold_file, "I5: {run:?} in a hold");
        let window = self.windows.get(run.target.name());
        let is_open = window.is_some_and(|(from, until)| *from <= self.now.wall && self.now.wall < *until);
        assert!(!is_open, "I5: {run:?} in a maintenance window");
        assert!(!self.is_ledger_broken, "I3: {run:?} without a ledger");
        assert!(run.id > self.last_run, "{run:?} after {}", self.last_run);
        self.last_run = run.id;
        assert!(self.engine.state().runs.contains_key(&run.id), "I3: {run:?} is not recorded");
        let twin = self.under_way.values().find(|(other, _)| other.target == run.target);
        assert!(twin.is_none(), "I4: {run:?} while {twin:?}");
        if run.action.disruption() > Disruption::None {
            let broke = run.incident.and_then(|id| self.engine.state().incidents.get(&id)).map(|i| i.is_drill);
            let is_drill = broke.unwrap_or(matches!(run.action, Action::Drill { .. }));
            self.begun.push((self.now.mono, run.target.clone(), run.id, is_drill));
            self.budgets_hold(&run.target, is_drill);
        }
        self.under_way.insert(run.id, (run, self.now));
    }

    /// I2, counted here: the largest budgets that any of the configurations gives.
    fn budgets_hold(&self, acted_on: &TargetId, is_drill: bool) {
        let now = self.now.mono;
        let within = |per| {
            let of_kind = self.begun.iter().filter(move |(at, .., drill)| now.since(*at) < per && *drill == is_drill);
            of_kind.map(|(_, target, ..)| target)
        };
        let parts = self.engine.bundle().parts();
        let host = parts.settings.host_budget;
        // On the host the first on each target repeats nothing.
        let firsts: std::collections::BTreeSet<_> = within(host.per).collect();
        let repeated = within(host.per).count() - firsts.len();
        assert!(repeated <= host.actions_max as usize, "I2: {repeated} repeated actions within {:?}", host.per);
        let on_target = |per| within(per).filter(|target| **target == *acted_on).count();
        let (used, most) = (on_target(secs(1800)), if self.has_other { 6 } else { 4 });
        assert!(used <= most, "I2: {used} actions on {acted_on}");
    }

    fn ends(&mut self, run: RunId, outcome: ActionOutcome) {
        let did_nothing = matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. });
        let was_awaited = self.engine.state().runs.contains_key(&run);
        self.under_way.remove(&run);
        if did_nothing && was_awaited {
            self.begun.retain(|(_, _, begun, _)| *begun != run);
        }
        self.step(Input::ActionEnded { run, outcome });
    }

    /// Time goes by to each deadline; looks are answered by nobody but the events.
    fn pass(&mut self, millis: u32) {
        let end = self.now.plus(core::time::Duration::from_millis(millis.into()));
        for _ in 0..100_000 {
            let Some(at) = self.engine.next_deadline().filter(|at| *at <= end.mono) else {
                self.now = end;
                return self.forget_lost();
            };
            self.now = self.now.plus(at.since(self.now.mono));
            self.forget_lost();
            self.step(Input::Tick);
        }
        panic!("the engine does not come to rest");
    }

    /// What was not answered in time is over: the adapter has its own time-out.
    fn forget_lost(&mut self) {
        let now = self.now.mono;
        self.under_way.retain(|_, (run, begun)| now.since(begun.mono) < run.timeout.min(secs(100)) + secs(15));
    }

    fn sees(&mut self, which: u8, what: u8) {
        let name = CHECKS[usize::from(which) % CHECKS.len()];
        let observation = match what % 8 {
            0..3 => Observation::failing("it died"),
            3..5 => Observation::healthy("well"),
            5 => Observation::unknown("the bus does not answer"),
            6 => judged(unit(ActiveState::Inactive, Intent::Stopped)),
            7 => judged(unit(ActiveState::Inactive, Intent::Unknown)),
            _ => judged(unit(ActiveState::Activating, Intent::Ours)),
        };
        // Asked for or not, once or twice.
        if what > 100 {
            self.step(Input::Hint(Hint::Everything));
        }
        self.step(Input::Observed { check: check(name), observation });
    }

    fn action_ends(&mut self, which: u8, how: u8) {
        let known = self.under_way.len();
        let run = match self.under_way.keys().nth(usize::from(which) % known.max(1)) {
            Some(run) => *run,
            // A late answer, or one for a run that never was.
            None => RunId(u64::from(which)),
        };
        self.ends(
            run,
            match how % 7 {
                0..3 => succeeded(),
                3 => failed(),
                4 => lost(),
                5 => ActionOutcome::NotNeeded { why: "no".into() },
                _ => ActionOutcome::Refused { why: "no".into() },
            },
        );
    }

    fn says(&mut self, what: u8, whom: u8) {
        let name = NAMES[usize::from(whom) % NAMES.len()];
        let incident = IncidentId(u64::from(whom % 16));
        let operation = match what % 9 {
            0 => Operation::Hold { scope: Scope::All, reason: "r".into(), until: None },
            1 | 2 => Operation::Release { scope: Scope::All },
            3 => Operation::Heal { target: target(name) },
            4 => Operation::Approve { incident },
            5 => Operation::Reject { incident },
            6 => Operation::Maintenance { scope: only(name), reason: "m".into(), lasts: secs(60) },
            _ => Operation::Drill { target: target(name), kind: DrillKind::Crash },
        };
        match &operation {
            Operation::Hold { .. } => self.is_held = true,
            Operation::Release { .. } => self.is_held = false,
            Operation::Maintenance { .. } => {
                self.windows.insert(name, (self.now.wall, self.now.wall.plus(secs(60))));
            }
            _ => {}
        }
        self.step(Input::Operator { request: 1, command: OperatorCommand { by: "ann".into(), operation } });
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Pass(millis) => self.pass(millis),
            Event::WallJumps(millis) => self.now.wall.0 += i64::from(millis),
            Event::Sees(which, what) => self.sees(which, what),
            Event::ActionEnds(which, how) => self.action_ends(which, how),
            Event::NotStarted(which) => {
                let Some(run) = self.under_way.keys().nth(usize::from(which) % 3).copied() else { return };
                self.under_way.remove(&run);
                self.begun.retain(|(_, _, begun, _)| *begun != run);
                self.step(Input::NotStarted { run, why: "full".into() });
            }
            Event::HoldFile(is_there) => {
                self.has_hold_file = is_there;
                self.step(Input::HoldFile(is_there.then(|| "h".into())));
            }
            Event::Ledger(is_broken) => {
                self.is_ledger_broken = is_broken;
                self.step(Input::Ledger(is_broken.then(|| "full".into())));
            }
            Event::Restart => self.restart(),
            Event::Apply(is_other) => {
                self.has_other |= is_other;
                self.step(Input::Apply(Box::new(bundle(if is_other { OTHER } else { CONFIGURATION }))));
            }
            Event::Says(what, whom) => self.says(what, whom),
            Event::Gathered(which) => {
                self.step(Input::Gathered {
                    request: None,
                    incident: IncidentId(u64::from(which % 16)),
                    evidence: Vec::new(),
                });
            }
        }
    }

    /// What a report tells a person to type is what would be done if it were typed now.
    fn suggestions_hold(&mut self) {
        let (engine, now) = (&self.engine, self.now);
        let reports = engine.state().incidents.keys().filter_map(|id| engine.report(now, *id));
        for report in reports {
            for command in &report.commands {
                let incident = report.incident;
                let operation = match command.split_whitespace().nth(1) {
                    Some("heal") => Operation::Heal { target: report.target.clone() },
                    Some("approve") => Operation::Approve { incident },
                    Some("reject") => Operation::Reject { incident },
                    _ => continue,
                };
                let answer = engine.rehearse(now, OperatorCommand { by: "ann".into(), operation });
                assert!(matches!(answer.0, Answer::Done(_)), "`{command}` would be refused: {answer:?}");
                self.suggested += 1;
            }
        }
    }

    fn restart(&mut self) {
        let ledger = serde_json::to_string(self.engine.state()).expect("written");
        let state: State = serde_json::from_str(&ledger).expect("read");
        assert_eq!(state, *self.engine.state());
        self.under_way.clear();
        self.engine = HostEngine::new(self.engine.bundle().clone(), state, self.now);
        self.step(Input::HoldFile(self.has_hold_file.then(|| "h".into())));
        self.step(Input::Ledger(self.is_ledger_broken.then(|| "full".into())));
        self.step(Input::Started);
    }

    /// When all is seen well for long enough, nothing is open.
    fn settles(&mut self) {
        self.happens(Event::Ledger(false));
        self.happens(Event::HoldFile(false));
        self.says(1, 0);
        // More often than a look that nobody answers is given up: in between they would be unknown.
        for _ in 0..120 {
            let runs: Vec<_> = self.under_way.keys().copied().collect();
            runs.into_iter().for_each(|run| self.ends(run, succeeded()));
            self.step(Input::Hint(Hint::Everything));
            for name in CHECKS {
                self.step(Input::Observed { check: check(name), observation: Observation::healthy("well") });
            }
            self.pass(5_000);
        }
        let state = self.engine.state();
        let open: Vec<_> = state.incidents.values().map(|i| (i.id, i.check.clone(), i.phase.clone())).collect();
        assert!(open.is_empty() && state.remediations.is_empty(), "it does not come to rest: {open:?}");
    }
}

/// What must be saved when it changes; what the next look tells anew need not be.
fn lasting(state: &State) -> State {
    let mut state = state.clone();
    for incident in state.incidents.values_mut() {
        incident.decision = None;
        incident.healthy_since = None;
        incident.symptom_of = None;
    }
    state
}

#[test]
fn whatever_happens_in_whatever_order_the_promises_hold_and_it_comes_to_rest() {
    // Always the same sequences: what fails here fails everywhere.
    let config = Config { cases: 200, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let suggested = std::cell::Cell::new(0);
    let outcome = runner.run(&prop::collection::vec(event(), 1..120), |events| {
        let mut books = Books::new();
        for event in events {
            books.happens(event);
            books.suggestions_hold();
        }
        suggested.set(suggested.get() + books.suggested);
        books.settles();
        Ok(())
    });
    if let Err(broken) = outcome {
        panic!("{broken}");
    }
    assert!(suggested.get() > 200, "{} suggestions were tried", suggested.get());
}
