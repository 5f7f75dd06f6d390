//! The shell: one loop that receives what has come, steps the engine, saves the ledger, and then starts the effects.
//! It decides nothing: what it does is what the engine said, in the engine's order.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    path::PathBuf,
    time::{Duration, Instant},
};

use ansai_engine::{
    Effect, HostEngine, Input,
    effect::{Answer, Dispatch},
};
use ansai_host::port::Host;
use ansai_model::{
    action::{ActionOutcome, ActionRun},
    fleet::Acknowledged,
    id::RunId,
    incident::{Evidence, EvidenceKind, EvidenceRequest, Incident},
    inventory::Inventory,
    notify::Notice,
    observation::{Health, Observation},
    order::Ordered,
    permit::PermitsSaid,
    text::Text,
    time::MonoTime,
};
use ansai_notify::{channel::chain, outbox::Outbox};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{
    api::Reply,
    clock::Clock,
    hold_file::HoldFile,
    ledger::{Ledger, Store},
    probe_queue::ProbeQueue,
    recorder::Recorder,
    reports::Reports,
    telemetry::Telemetry,
    trends::Trends,
};

mod housekeeping;
mod ordered;
mod rehearsal;
mod stopping;

/// Most probes under way at once; more wait.
const PROBES_MAX: usize = 128;

/// Most looks of one step that are tried at once: some milliseconds. Further ones take turns with everything else.
const AT_ONCE_MAX: usize = 64;

/// How much longer than its time-out a look may take: longer than the two seconds in which a command that was told to end
/// may do so, so that it is seen failing rather than not seen; the engine asks anew a second later.
const LOOK_GRACE: Duration = Duration::from_secs(4);

/// A look at HOLD counts for so long, except before an action and for a person.
const HOLD_FRESH: Duration = Duration::from_millis(10);

/// Longest search for evidence.
const GATHER_MAX: Duration = Duration::from_secs(60);

/// Longest wait for anything to happen; there is always a check that is due before.
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// Why nothing is begun for which a permit was given: it was decided in time, and the process stood still before the act.
const PERMIT_ENDED: &str = "the permit of the controller for it has ended";

/// The engine with everything that it needs to act.
pub struct Shell<H, S> {
    engine: HostEngine,
    clock: Clock,
    outbox: Outbox,
    reports: Reports,
    ledger_error: Option<String>,
    recorder: Recorder,
    telemetry: Telemetry,
    trends: Trends,
    /// Why nothing is begun that can wait, as gathering evidence; none when there is room.
    shedding: Option<Text>,
    /// What HOLD says by who looks at it each second beside the loop; none when that is not known.
    hold_beside: Option<Option<Text>>,
    /// What the engine was last told of HOLD.
    hold_told: Option<Option<Text>>,
    /// When the engine was last told of it out of turn.
    hold_looked: Option<MonoTime>,
    ledger: Ledger<S>,
    saved: u64,
    host: H,
    tasks: TaskTracker,
    results: mpsc::Sender<Input>,
    probe_queue: ProbeQueue,
    hold_file: HoldFile,
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// What the controller has not been told yet.
    restrained: Option<Acknowledged>,
    ordered: Vec<Ordered>,
    /// What the controller has not been told of permits, and on which link it is to be.
    permits: Option<(u64, PermitsSaid)>,
    requests: u64,
}

/// What a shell is made of.
pub struct Parts<H, S> {
    /// What decides.
    pub engine: HostEngine,
    /// What tells the time.
    pub clock: Clock,
    /// What outlives the process.
    pub ledger: Ledger<S>,
    /// What looks and acts.
    pub host: H,
    /// Messages on their way to people.
    pub outbox: Outbox,
    /// Reports kept.
    pub reports: Reports,
    /// The flight recorder.
    pub recorder: Recorder,
    /// Figures, and the stream of what happens.
    pub telemetry: Telemetry,
    /// What the figures were before.
    pub trends: Trends,
    /// The file that stops all action.
    pub hold_file: PathBuf,
    /// Where tasks are tracked.
    pub tasks: TaskTracker,
    /// Where results arrive as inputs.
    pub results: mpsc::Sender<Input>,
}

impl<H: Host, S: Store> Shell<H, S> {
    /// A shell that has not done anything yet.
    pub fn new(parts: Parts<H, S>) -> Self {
        let Parts {
            engine,
            clock,
            ledger,
            host,
            outbox,
            reports,
            recorder,
            telemetry,
            trends,
            hold_file,
            tasks,
            results,
        } = parts;
        Self {
            engine,
            clock,
            outbox,
            reports,
            ledger_error: None,
            recorder,
            telemetry,
            trends,
            shedding: None,
            hold_beside: None,
            hold_told: None,
            hold_looked: None,
            ledger,
            // The first step saves, so that a state directory that cannot be written to is known before anything acts.
            saved: u64::MAX,
            host,
            tasks,
            results,
            probe_queue: ProbeQueue::new(PROBES_MAX),
            hold_file: HoldFile::new(hold_file),
            waiting: BTreeMap::new(),
            restrained: None,
            ordered: Vec::new(),
            permits: None,
            requests: 0,
        }
    }

    /// The first inputs of all. What the ledger knows of a check that has left the configuration while no agent ran
    /// ends then; not while systemd is silent, when the instances of templates are only unknown.
    pub fn start(&mut self, inventory: &Inventory) {
        self.step(Input::Facts(inventory.facts.clone()));
        self.step(Input::Started);
        let checks = &self.engine.bundle().parts().checks;
        let has_left = |incident: &Incident| !checks.contains_key(&incident.check);
        if !inventory.units.is_empty() && self.engine.state().incidents.values().any(has_left) {
            self.step(Input::Apply(Box::new(self.engine.bundle().clone())));
        }
    }

    /// Takes one input in, and everything that follows from it at once: also what looks see that need no waiting.
    pub fn step(&mut self, input: Input) {
        self.step_together(vec![input]);
    }

    /// The same of inputs that came together: the state with all that was decided on them is saved once, before any of it is
    /// begun. A save takes as long as the state is large, so when many things fail at once, one for each would be most of the
    /// time until they are back.
    pub fn step_together(&mut self, mut inputs: Vec<Input>) {
        let mut at_once = AT_ONCE_MAX;
        while !inputs.is_empty() {
            self.take_in(std::mem::take(&mut inputs));
            self.look(&mut at_once, &mut inputs);
        }
    }

    fn take_in(&mut self, together: Vec<Input>) {
        let mut effects = Vec::new();
        for input in together {
            let input = self.trends.follow(self.clock.now(), input, &self.engine);
            // A person is answered by what is there now.
            let is_asked = matches!(input, Input::Operator { .. } | Input::Order { .. });
            if is_asked || !self.is_calm(&input) && !self.has_just_looked_at_hold() {
                self.hold_looked = Some(self.clock.now().mono);
                let hold = Input::HoldFile(self.hold_file.look());
                effects.extend(self.decide(hold));
            }
            effects.extend(self.decide(input));
        }
        loop {
            let mut following = Vec::new();
            self.save(&mut following);
            self.telemetry.follows(self.clock.now(), &self.engine);
            for effect in effects {
                self.begin(effect, &mut following);
            }
            if following.is_empty() {
                break;
            }
            effects = following.into_iter().flat_map(|input| self.decide(input)).collect();
        }
    }

    /// What the engine has done about an input; nothing of it may begin before the state is saved.
    fn decide(&mut self, input: Input) -> Vec<Effect> {
        let now = self.clock.now();
        if let Input::HoldFile(text) = &input {
            self.hold_told = Some(text.clone());
        }
        let taken = self.recorder.record(now, &input, &self.engine);
        self.telemetry.sees(now, &input, &self.engine);
        let effects = self.engine.step(now, input);
        self.recorder.came_of(taken, &effects, &self.engine);
        effects
    }

    /// Whether nothing is mended after this input, so that HOLD need not be asked for: nothing is wrong, and nothing was.
    /// It is looked at each second anyway, and again before every action: the copy of a configuration that is well is one.
    /// While that look says what the engine knows, time that passes is no reason for another.
    fn is_calm(&self, input: &Input) -> bool {
        let is_calm = match input {
            Input::Observed { observation, .. } => observation.health() == Health::Healthy,
            Input::Tick => self.hold_beside.is_some() && self.hold_beside == self.hold_told,
            _ => false,
        };
        is_calm && self.engine.state().incidents.is_empty()
    }

    /// Whether HOLD was looked at a moment ago: a failure and its remedy are a dozen inputs within milliseconds, and each look
    /// waits for another thread. Before every action it is looked at whatever was seen before.
    fn has_just_looked_at_hold(&self) -> bool {
        self.hold_looked.is_some_and(|at| self.clock.now().mono.since(at) < HOLD_FRESH)
    }

    /// Persist, then act: the state that holds the decision is durable before the effect begins.
    fn save(&mut self, inputs: &mut Vec<Input>) {
        let revision = self.engine.revision();
        if revision == self.saved {
            return;
        }
        let begun = Instant::now();
        let result = self.ledger.save(self.engine.state());
        self.telemetry.saved(result.is_ok().then(|| begun.elapsed()));
        match result {
            Ok(_) => {
                self.saved = revision;
                if self.ledger_error.take().is_some() {
                    tracing::info!("the ledger can be saved again");
                    inputs.push(Input::Ledger(None));
                }
            }
            Err(error) => {
                let why = chain(&error);
                if self.ledger_error.is_none() {
                    tracing::error!("the ledger cannot be saved, so nothing is done until it can be: {why}");
                    inputs.push(Input::Ledger(Some(Text::new(&why))));
                }
                self.ledger_error = Some(why);
            }
        }
    }

    /// What HOLD says at this moment, or what it is; none when it is not there.
    pub(crate) fn look_at_hold_file(&mut self) -> Option<Text> {
        self.hold_file.look()
    }

    fn begin(&mut self, effect: Effect, inputs: &mut Vec<Input>) {
        match effect {
            Effect::Observe(check) => self.probe_queue.ask(check),
            Effect::Perform(run) => self.perform(*run, inputs),
            Effect::Gather(request) if self.shedding.is_some() => inputs.push(self.not_gathered(&request)),
            Effect::Gather(request) => {
                let (host, results) = (self.host.clone(), self.results.clone());
                self.tasks.spawn(async move {
                    let evidence = tokio::time::timeout(GATHER_MAX, host.gather(&request)).await;
                    let evidence = evidence.unwrap_or_else(|_| vec![missing("the search for evidence did not end")]);
                    // The receiver is gone only when the agent stops.
                    let _ = results.send(gathered(&request, evidence)).await;
                });
            }
            Effect::Dispatch(dispatch) => self.dispatch(*dispatch, inputs),
            Effect::Answer { request, answer } => self.answer(request, answer),
            // It is told anew as soon as it can be saved.
            Effect::Restrained(_) if self.ledger_error.is_some() => {}
            Effect::Restrained(said) => self.restrained = Some(*said),
            Effect::Ordered(said) => self.answer_order(*said),
            Effect::Permits { session, said } => self.permits = Some((session, *said)),
        }
    }

    fn not_gathered(&self, request: &EvidenceRequest) -> Input {
        let text = self.shedding.clone().unwrap_or_else(|| "there was no room".into());
        gathered(request, vec![missing(text)])
    }

    /// Begins the looks that have a place. While nothing is wrong, what one sees without waiting, as a port of this host
    /// that accepts, is an input at once; `at_once` more of these are tried, since they keep the loop. Any other is a task.
    fn look(&mut self, at_once: &mut usize, inputs: &mut Vec<Input>) {
        while let Some((check, place)) = self.probe_queue.next() {
            let Some((probe, timeout)) = self.engine.probe(&check).map(|(probe, timeout)| (probe.clone(), timeout))
            else {
                continue;
            };
            let host = self.host.clone();
            let mut look = Box::pin(async move {
                // A look ends by itself in time; one that does not must not keep its place for good.
                let limit = timeout.saturating_add(LOOK_GRACE);
                let looked = tokio::time::timeout(limit, host.observe(&probe, timeout)).await;
                let observation = looked.unwrap_or_else(|_| Observation::unknown("the look did not end"));
                // Whoever hears of it begins the next one.
                drop(place);
                Input::Observed { check, observation }
            });
            if *at_once > 0 && self.engine.state().incidents.is_empty() {
                *at_once -= 1;
                match AssertUnwindSafe(look.as_mut()).catch_unwind().now_or_never() {
                    Some(Ok(seen)) => {
                        inputs.push(seen);
                        continue;
                    }
                    // It has been said by the panic itself; the engine notices that no answer came, as of a task.
                    Some(Err(_)) => continue,
                    None => {}
                }
            }
            let results = self.results.clone();
            self.tasks.spawn(async move {
                let seen = look.await;
                // The receiver is gone only when the agent stops.
                let _ = results.send(seen).await;
            });
        }
    }

    fn perform(&mut self, run: ActionRun, inputs: &mut Vec<Input>) {
        let id = run.id;
        // What came together with its decision has ended it, as time does when the process stood still for minutes: nothing of
        // it is recorded, so nothing of it may be done.
        if !self.engine.state().runs.contains_key(&id) {
            return tracing::info!(run = %id, target = %run.target, "not begun: it has ended before it could be");
        }
        if let Some(why) = &self.ledger_error {
            return inputs.push(not_started(id, format!("the ledger could not be saved: {why}")));
        }
        if let Some(text) = self.hold_file.look() {
            inputs.push(not_started(id, "the HOLD file has appeared".into()));
            return inputs.push(Input::HoldFile(Some(text)));
        }
        let (clock, begins_before) = (self.clock.clone(), self.engine.begins_before(id));
        let is_late = move || begins_before.is_some_and(|end| end <= clock.now().mono);
        if is_late() {
            return inputs.push(not_started(id, PERMIT_ENDED.into()));
        }
        tracing::info!(run = %id, target = %run.target, "begins: {}", run.action.describe());
        self.telemetry.begins(self.clock.now().wall, &run);
        let (host, results) = (self.host.clone(), self.results.clone());
        self.tasks.spawn(async move {
            if is_late() {
                return drop(results.send(not_started(id, PERMIT_ENDED.into())).await);
            }
            let limit = run.timeout.saturating_add(Duration::from_secs(10));
            let outcome = match tokio::time::timeout(limit, host.perform(&run)).await {
                Ok(outcome) => outcome,
                Err(_) => ActionOutcome::TimedOut { after: limit },
            };
            tracing::info!(run = %run.id, target = %run.target, "ended: {outcome}");
            let _ = results.send(Input::ActionEnded { run: run.id, outcome }).await;
        });
    }

    fn dispatch(&mut self, dispatch: Dispatch, inputs: &mut Vec<Input>) {
        self.telemetry.reported(self.clock.now().wall, &dispatch);
        let report = &dispatch.report;
        tracing::info!(incident = %report.incident, target = %report.target, "{}", report.headline);
        let id = dispatch.id;
        match self.hand_over(dispatch) {
            Ok(()) => inputs.push(Input::Dispatched { dispatch: id }),
            Err(why) => tracing::error!("{why}; it is tried again until it can be"),
        }
    }

    /// Keeps a report and queues its messages; doing it again is fine.
    fn hand_over(&self, dispatch: Dispatch) -> Result<(), String> {
        let Dispatch { id, kind, routes, suppressed, is_unrouted, report } = dispatch;
        let kept = self.reports.save(&report);
        self.telemetry.keeps(&report, kept.is_ok());
        let kept = kept.map_err(|error| format!("the report on {} cannot be kept: {}", report.incident, chain(&error)));
        if let Some(why) = suppressed.filter(|_| !is_unrouted) {
            tracing::debug!(incident = %report.incident, "nobody is told: {why}");
            return kept;
        }
        // People are told though the report cannot be kept: a full disk is when they want to know.
        let notice = Notice { at: report.at, kind, routes, report, hosts: None };
        let queued = self.outbox.put(id, &notice);
        kept.and(queued.map_err(|error| format!("a message cannot be queued: {}", chain(&error))))
    }

    /// Tries once more what could not be handed over, oldest first; says why when it still cannot be.
    pub fn hand_over_rest(&mut self) -> Option<String> {
        while let Some((id, dispatch)) = self.engine.state().dispatches.first_key_value() {
            let (id, dispatch) = (*id, dispatch.clone());
            if let Err(why) = self.hand_over(dispatch) {
                return Some(why);
            }
            self.step(Input::Dispatched { dispatch: id });
        }
        None
    }

    /// Passes an operator's command on; the answer goes to `reply`.
    pub fn operate(&mut self, command: ansai_model::operator::OperatorCommand, reply: oneshot::Sender<Reply>) {
        self.requests += 1;
        self.waiting.insert(self.requests, reply);
        self.step(Input::Operator { request: self.requests, command });
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        let Some(reply) = self.waiting.remove(&request) else { return };
        // Whoever asked may have gone.
        let _ = reply.send(self.acknowledged(answer));
    }

    /// How long until the engine wants to be woken.
    #[must_use]
    pub fn until_deadline(&self) -> Duration {
        let now = self.clock.now().mono;
        self.engine.next_deadline().map_or(IDLE_MAX, |deadline| deadline.since(now))
    }

    /// How late the loop comes to a deadline is a figure.
    pub(crate) fn notice_lag(&self) {
        if let Some(deadline) = self.engine.next_deadline() {
            self.telemetry.metrics.loop_lagged(self.clock.now().mono.since(deadline));
        }
    }
}

fn gathered(request: &EvidenceRequest, evidence: Vec<Evidence>) -> Input {
    Input::Gathered { incident: request.incident, request: Some(request.number), evidence }
}

fn missing(text: impl Into<Text>) -> Evidence {
    Evidence::new("ansai", EvidenceKind::Missing, text)
}

fn not_started(run: RunId, why: String) -> Input {
    Input::NotStarted { run, why: Text::new(why) }
}

#[cfg(test)]
mod tests;
