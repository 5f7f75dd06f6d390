//! A replay of a journal tells what has happened, and nothing else: an agent is played here on a host of paper with all the chance
//! that a host has, its steps are written down as it makes them, and `ansai replay` must tell the same from its journal alone.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use ansai_agent::recorder::Recorder;
use ansai_engine::{Effect, HostEngine, Input, State};
use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    hint::Hint,
    id::{CheckId, IncidentId, UnitName},
    incident::{Evidence, EvidenceKind, Step},
    inventory::{Inventory, UnitFacts},
    observation::Observation,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Exit, Intent, UnitExpectation, UnitResult, UnitSnapshot, judge},
};
use ansai_notify::channel::render;

/// Services whose configurations are kept while they are well, which is a run like any other.
const CONFIGURATION: &str = "\
autonomy: act
policies: {default: {stable_for: 20s, tell_unknown_after: 2m}}
services:
  app.service:
    {probe: {tcp: '127.0.0.1:5000'}, validate: [/bin/true], configuration: [/etc/app], restore_configuration: true,
     needs: [db.service]}
  db.service: {validate: [/bin/true], configuration: [/etc/db], restore_configuration: true}
  web.service: {probe: {tcp: '127.0.0.1:80', every: 5s}}
";
const CHECKS: [(&str, bool); 5] = [
    ("service/app.service#unit", true),
    ("service/app.service#tcp", false),
    ("service/db.service#unit", true),
    ("service/web.service#unit", true),
    ("service/web.service#tcp", false),
];

/// What was told: when, of which incident, in which words.
type Told = (i64, u64, String);

/// An agent and its host.
struct Live {
    engine: HostEngine,
    recorder: Recorder,
    now: Now,
    chance: u64,
    /// What is on its way, in the order of its arrival.
    pending: BTreeMap<(MonoTime, u64), Input>,
    counted: u64,
    down: BTreeMap<&'static str, bool>,
    seen: BTreeMap<IncidentId, usize>,
    told: Vec<Told>,
}

fn engine(state: State, now: Now) -> HostEngine {
    let configuration = ansai_config::parse(&[("ansai.yaml".into(), CONFIGURATION.to_owned())]).expect("valid");
    let names = ["app.service", "db.service", "web.service"];
    let unit = |name| UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active);
    let inventory = Inventory { units: names.map(unit).into(), ..Inventory::default() };
    HostEngine::new(configuration.bundle(&inventory, 1).expect("valid"), state, now)
}

fn target_of(check: &str) -> &str {
    check.split('#').next().unwrap_or(check)
}

impl Live {
    fn new(folder: &Path, seed: u64) -> Self {
        let now = Now { mono: MonoTime(1_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        let recorder = Recorder::open(folder, 8 << 20);
        let (pending, down, seen) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let engine = engine(State::default(), now);
        let mut live = Self { engine, recorder, now, chance: seed, pending, counted: 0, down, seen, told: Vec::new() };
        live.start();
        live
    }

    /// A number below `most`, by a linear congruential generator.
    fn below(&mut self, most: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % most
    }

    fn start(&mut self) {
        self.step(Input::HoldFile(None));
        self.step(Input::Facts(BTreeMap::new()));
        self.step(Input::Started);
    }

    /// The agent is gone for a while, and another begins from what it has left.
    fn restart(&mut self, folder: &Path) {
        drop(self.recorder.flush(self.now));
        self.pending.clear();
        self.now = self.now.plus(Duration::from_secs(60 + self.below(600)));
        self.engine = engine(self.engine.state().clone(), self.now);
        self.recorder = Recorder::open(folder, 8 << 20);
        self.start();
    }

    fn step(&mut self, input: Input) {
        let taken = self.recorder.record(self.now, &input, &self.engine);
        let effects = self.engine.step(self.now, input);
        self.recorder.came_of(taken, &effects, &self.engine);
        self.tell(&effects);
        for effect in effects {
            self.answer(effect);
        }
    }

    fn later(&mut self, milliseconds: u64, input: Input) {
        self.counted += 1;
        let at = self.now.mono.plus(Duration::from_millis(milliseconds));
        self.pending.insert((at, self.counted), input);
    }

    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Observe(check) => {
                let (observation, takes) = (self.sees(&check), 1 + self.below(900));
                self.later(takes, Input::Observed { check, observation });
            }
            Effect::Perform(run) => self.perform(&run),
            Effect::Gather(request) => {
                let evidence = vec![Evidence::new("journal", EvidenceKind::Log, "it died")];
                self.later(50, Input::Gathered { incident: request.incident, request: Some(request.number), evidence });
            }
            Effect::Dispatch(dispatch) => self.later(1, Input::Dispatched { dispatch: dispatch.id }),
            Effect::Answer { .. } | Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } => {}
        }
    }

    fn perform(&mut self, run: &ActionRun) {
        let is_start = matches!(run.action, Action::RestartUnit { .. } | Action::StartUnit { .. });
        let works = self.below(3) > 0;
        if is_start && works {
            self.down.retain(|check, _| target_of(check) != run.target.to_string());
        }
        let outcome = match !is_start || works {
            true => ActionOutcome::Succeeded { note: "done".into() },
            false => ActionOutcome::Failed { why: "it said no".into() },
        };
        let takes = 5 + self.below(3_000);
        self.later(takes, Input::ActionEnded { run: run.id, outcome });
    }

    fn sees(&mut self, check: &CheckId) -> Observation {
        let down = self.down.get(check.as_str()).copied();
        let is_unit = CHECKS.iter().any(|(name, is_unit)| *name == check.as_str() && *is_unit);
        match (down, is_unit) {
            (Some(true), _) => Observation::unknown("it cannot be seen"),
            (Some(false), true) => judge(
                UnitExpectation::Running,
                UnitSnapshot {
                    result: UnitResult::Signal,
                    exit: Some(Exit::Signal(9)),
                    intent: Intent::ByItself,
                    ..UnitSnapshot::plain(ActiveState::Failed)
                },
            ),
            (Some(false), false) => Observation::failing("nobody answers"),
            (None, true) => judge(UnitExpectation::Running, UnitSnapshot::plain(ActiveState::Active)),
            (None, false) => Observation::healthy(format!("accepts within {} ms", self.below(9))),
        }
    }

    fn tell(&mut self, effects: &[Effect]) {
        let of_reports = effects.iter().filter_map(|effect| match effect {
            Effect::Dispatch(dispatch) => {
                let report = &dispatch.report;
                Some((report.incident, report.steps.clone(), report.steps_dropped))
            }
            _ => None,
        });
        let open = self.engine.state().incidents.values();
        let open = open.map(|incident| (incident.id, incident.steps.clone(), incident.steps_dropped));
        for (id, steps, dropped) in of_reports.chain(open).collect::<Vec<(IncidentId, Vec<Step>, u32)>>() {
            let all = steps.len() + dropped as usize;
            let seen = self.seen.entry(id).or_default();
            for step in &steps[steps.len() - (all - *seen).min(steps.len())..] {
                let text = render::one_line(&render::step(&step.kind), 300);
                self.told.push((step.at.wall.0, id.0, text));
            }
            *seen = all;
        }
    }

    /// Lets the host live until then. The loop comes to a deadline a little late.
    fn pass(&mut self, time: Duration) {
        let end = self.now.mono.plus(time);
        let mut next_trouble = self.now.mono.plus(Duration::from_secs(20 + self.below(200)));
        loop {
            let late = Duration::from_micros(self.below(4_000));
            let deadline = self.engine.next_deadline().map(|at| at.max(self.now.mono).plus(late));
            let arrival = self.pending.first_key_value().map(|((at, _), _)| (*at).max(self.now.mono));
            let Some(at) = [deadline, arrival, Some(next_trouble)].into_iter().flatten().min() else { return };
            if at > end {
                return;
            }
            self.now = self.now.plus(at.since(self.now.mono));
            if arrival.is_some_and(|arrival| arrival <= at) {
                let (_, input) = self.pending.pop_first().expect("one at least");
                self.step(input);
            } else if at == next_trouble {
                self.trouble();
                next_trouble = self.now.mono.plus(Duration::from_secs(20 + self.below(600)));
            } else {
                self.step(Input::Tick);
            }
        }
    }

    /// Something goes, comes back by itself, or can be seen no more.
    fn trouble(&mut self) {
        let (check, _) = CHECKS[usize::try_from(self.below(5)).expect("small")];
        match self.below(4) {
            0 => drop(self.down.remove(check)),
            1 => drop(self.down.insert(check, true)),
            _ => drop(self.down.insert(check, false)),
        }
        let unit = target_of(check).trim_start_matches("service/");
        self.step(Input::Hint(Hint::Unit(UnitName::new(unit).expect("valid"))));
    }
}

/// What `ansai replay` tells of a journal.
fn replayed(journal: &Path) -> Vec<Told> {
    let output = Command::new(env!("CARGO_BIN_EXE_ansai")).arg("replay").arg(journal).arg("--json").output();
    let output = output.expect("the program runs");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["flaws"], serde_json::json!([]));
    let step = |step: &serde_json::Value| {
        let number = step["incident"].as_str().and_then(|id| id.trim_start_matches('i').parse().ok());
        let number = number.or(step["incident"].as_u64()).expect("a number");
        (step["at_ms"].as_i64().expect("a time"), number, step["text"].as_str().expect("text").to_owned())
    };
    value["steps"].as_array().expect("steps").iter().map(step).collect()
}

#[track_caller]
fn are_same(happened: &[Told], told: &[Told], what: &str) {
    let first = happened.iter().zip(told).position(|(one, other)| one != other);
    let at = first.unwrap_or(happened.len().min(told.len()));
    let around = |list: &[Told]| list.iter().skip(at.saturating_sub(2)).take(5).cloned().collect::<Vec<_>>();
    let is_same = happened == told;
    assert!(is_same, "{what}, step {at}: happened\n{:#?}\ntold\n{:#?}", around(happened), around(told));
}

#[test]
fn a_replay_tells_each_step_as_it_happened() {
    for seed in 1..=3 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut live = Live::new(folder.path(), seed);
        for _ in 0..3 {
            live.pass(Duration::from_secs(2 * 3600));
            live.restart(folder.path());
        }
        live.pass(Duration::from_secs(600));
        drop(live.recorder.flush(live.now));
        assert!(live.told.len() > 100, "{}", live.told.len());
        are_same(&live.told, &replayed(folder.path()), &format!("seed {seed}"));
    }
}

/// The oldest segments go first, so that a replay begins in the middle.
#[test]
fn a_replay_that_begins_in_the_middle_tells_what_came_from_there_on() {
    let (folder, rest) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut live = Live::new(folder.path(), 7);
    live.pass(Duration::from_secs(3600));
    // Nothing is open where the next segment begins, and the journal of before is gone.
    for _ in 0..1_000 {
        if live.engine.state().incidents.is_empty() {
            break;
        }
        live.down.clear();
        live.pass(Duration::from_secs(10));
    }
    assert!(live.engine.state().incidents.is_empty());
    drop(live.recorder.flush(live.now));
    live.recorder = Recorder::open(rest.path(), 8 << 20);
    let before = live.told.len();
    live.pass(Duration::from_secs(2 * 3600));
    drop(live.recorder.flush(live.now));
    assert!(live.told.len() > before + 50);
    are_same(&live.told[before..], &replayed(rest.path()), "from the middle");
}
