//! Steps the engine through inputs without a host, and tells the story of its incidents; for `replay` and `test`.
//! What the world answers to an effect is the caller's.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ansai_agent::recorder::Recorded;
use ansai_engine::{Effect, HostEngine, Input, State};
use ansai_model::{
    bundle::Bundle,
    id::{CheckId, IncidentId, TargetId},
    incident::Step,
    time::{MonoTime, Now},
};
use ansai_notify::channel::render;

/// Most ticks between two inputs; more means that the engine does not come to rest.
const TICKS_MAX: usize = 100_000;
/// Most answers of the world to one input.
const ANSWERS_MAX: usize = 100_000;

/// What stands for the host.
pub(super) trait World {
    /// What comes of an effect of this engine, and how long after it; `None` when nothing does.
    fn answer(&mut self, effect: &Effect, engine: &HostEngine) -> Option<(Duration, Input)>;
}

/// A line of the story: a step of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When.
    pub(super) at: Now,
    /// Of which incident.
    pub(super) incident: IncidentId,
    /// About what.
    pub(super) target: TargetId,
    /// In words, on one line.
    pub(super) text: String,
}

/// An engine with what stands around it.
pub(super) struct Player<W> {
    engine: HostEngine,
    pub(super) world: W,
    now: Now,
    seen: BTreeMap<IncidentId, usize>,
    lines: Vec<Line>,
    /// Looks that the record still has to answer.
    awaited: BTreeSet<CheckId>,
    /// Answers on their way, in the order of their arrival.
    pending: BTreeMap<(MonoTime, u64), Input>,
    answers: u64,
}

impl<W: World> Player<W> {
    /// A player that begins with a state; what happened before is not told again.
    pub(super) fn new(bundle: Bundle, state: State, now: Now, world: W) -> Self {
        let seen =
            state.incidents.values().map(|incident| (incident.id, count(&incident.steps, incident.steps_dropped)));
        let seen = seen.collect();
        let engine = HostEngine::new(bundle, state, now);
        Self {
            engine,
            world,
            now,
            seen,
            lines: Vec::new(),
            awaited: BTreeSet::new(),
            pending: BTreeMap::new(),
            answers: 0,
        }
    }

    /// Begins anew from a state, as an agent that was restarted does; what was told is not told again.
    pub(super) fn restart(&mut self, bundle: Bundle, state: State, now: Now) {
        (self.engine, self.now) = (HostEngine::new(bundle, state, now), now);
        self.awaited.clear();
    }

    /// A player in the middle of what an agent did.
    pub(super) fn going_on(bundle: Bundle, state: State, now: Now, kept: &[(CheckId, MonoTime)], world: W) -> Self {
        let engine = HostEngine::going_on(bundle.clone(), state.clone(), now, kept);
        Self { engine, ..Self::new(bundle, state, now, world) }
    }

    /// Gives an input of a record that tells all from which something follows, time that passes included: nothing is done in
    /// between, and looks are answered by the record, or were left out of it.
    pub(super) fn feed_exactly(&mut self, record: Recorded) {
        let Recorded { at, input, begun, looks } = record;
        self.now = at;
        self.engine.look_is_awaited(&looks);
        if let Input::Observed { check, .. } = &input {
            self.awaited.remove(check);
            if let Some(begun) = begun {
                self.engine.began_look(check, begun);
            }
        }
        let effects = self.engine.step(at, input);
        self.tell(&effects);
        let looks = effects.into_iter().filter_map(|effect| match effect {
            Effect::Observe(check) => Some(check),
            _ => None,
        });
        self.awaited.extend(looks);
        // What an incident waits for is in the record.
        let (engine, awaited) = (&self.engine, &mut self.awaited);
        for check in awaited.extract_if(.., |check| !engine.bears_on_incident(check)).collect::<Vec<_>>() {
            self.engine.look_is_left_out(at, &check);
        }
    }

    /// Lets time pass until `to`, then gives an input.
    pub(super) fn feed(&mut self, to: Now, input: Input) {
        self.pass(to);
        self.step(unnumbered(input));
    }

    /// Lets time pass. While nothing is open, nothing is decided by time alone, and one step stands for it.
    pub(super) fn pass(&mut self, to: Now) {
        for _ in 0..TICKS_MAX {
            let deadline = self.engine.next_deadline().filter(|deadline| *deadline <= to.mono);
            let Some(deadline) = deadline.filter(|_| self.has_open()) else { break };
            self.now = self.now.plus(deadline.since(self.now.mono));
            self.step(Input::Tick);
        }
        if to.mono >= self.now.mono {
            self.now = to;
        }
        self.step(Input::Tick);
    }

    /// Lets time pass to each deadline and each answer, whether something is open or not.
    pub(super) fn pass_each(&mut self, to: Now) {
        for _ in 0..TICKS_MAX {
            let arrival = self.pending.first_key_value().map(|(key, _)| *key);
            let deadline = self.engine.next_deadline().into_iter().chain(arrival.map(|(at, _)| at)).min();
            let Some(deadline) = deadline.filter(|deadline| *deadline <= to.mono) else { break };
            self.now = self.now.plus(deadline.since(self.now.mono));
            let arrived = arrival.filter(|(at, _)| *at <= deadline).and_then(|key| self.pending.remove(&key));
            self.step(arrived.unwrap_or(Input::Tick));
        }
        if to.mono >= self.now.mono {
            self.now = to;
        }
    }

    /// What was told since the last call.
    pub(super) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    fn has_open(&self) -> bool {
        !self.engine.state().incidents.is_empty()
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        for _ in 0..ANSWERS_MAX {
            let Some(input) = inputs.pop_front() else { return };
            let effects = self.engine.step(self.now, input);
            self.tell(&effects);
            let (world, engine) = (&mut self.world, &self.engine);
            for (after, input) in effects.iter().filter_map(|effect| world.answer(effect, engine)) {
                if after.is_zero() {
                    inputs.push_back(input);
                } else {
                    self.answers += 1;
                    self.pending.insert((self.now.mono.plus(after), self.answers), input);
                }
            }
        }
    }

    /// Takes over the steps that are new, of incidents that are open and of those that have just ended.
    fn tell(&mut self, effects: &[Effect]) {
        let mut news: Vec<(IncidentId, TargetId, Vec<Step>)> = Vec::new();
        let mut look = |id: IncidentId, target: &TargetId, steps: &[Step], dropped: u32| {
            let (seen, all) = (self.seen.entry(id).or_default(), count(steps, dropped));
            let new = steps.get(steps.len().saturating_sub(all.saturating_sub(*seen))..);
            if let Some(new) = new.filter(|new| !new.is_empty()) {
                news.push((id, target.clone(), new.to_vec()));
                *seen = all;
            }
        };
        for effect in effects {
            if let Effect::Dispatch(dispatch) = effect {
                let report = &dispatch.report;
                look(report.incident, &report.target, &report.steps, report.steps_dropped);
            }
        }
        for incident in self.engine.state().incidents.values() {
            look(incident.id, &incident.target, &incident.steps, incident.steps_dropped);
        }
        for (incident, target, steps) in news {
            self.lines.extend(steps.into_iter().map(|step| {
                let text = render::one_line(&render::step(&step.kind), 300);
                Line { at: step.at, incident, target: target.clone(), text }
            }));
        }
    }
}

/// How many steps an incident has had, those that are not kept included.
fn count(steps: &[Step], dropped: u32) -> usize {
    usize::try_from(dropped).unwrap_or(usize::MAX).saturating_add(steps.len())
}

/// The moment so long after the beginning of all time.
pub(super) fn moment(after: Duration) -> Now {
    Now { mono: MonoTime::default(), ..Now::default() }.plus(after)
}

/// An answer to whatever is asked now: what is asked at other times than was recorded has other numbers.
fn unnumbered(input: Input) -> Input {
    match input {
        Input::Gathered { incident, request: _, evidence } => Input::Gathered { incident, request: None, evidence },
        other => other,
    }
}
