//! The shell on a fake host with paused time, under each fault that must not turn it over: a clock that is set, a disk
//! that is full, a look and a search for evidence that never end.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use ansai_host::fake::{FakeHost, Fault, Machine, UnitSpec};
use ansai_model::{
    action::{Action, ActionPlan},
    bundle::Bundle,
    hint::Hint,
    id::{IncidentId, RunId, UnitName},
    incident::Phase,
    inventory::Inventory,
    observation::{Health, Observation},
    order::{Deed, Order, Subject},
    probe::Probe,
    report::Report,
    time::WallTime,
};
use futures_util::Stream;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::{clock::TimeSource, ledger::MemoryStore, sources::Sources};

const HOUR_MS: i64 = 3_600_000;

/// A fake host that counts what is done to it, and whose looks may never end.
#[derive(Clone)]
struct Watched {
    fake: FakeHost,
    is_stuck: bool,
    /// Whether each look breaks off.
    is_broken: Arc<AtomicBool>,
    begun: Arc<AtomicUsize>,
    looking: Arc<AtomicUsize>,
}

/// Counts down when a look ends, however it does.
struct Looking(Arc<AtomicUsize>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Host for Watched {
    async fn observe(&self, probe: &Probe, timeout: Duration) -> Observation {
        self.looking.fetch_add(1, Relaxed);
        let _looking = Looking(self.looking.clone());
        assert!(!self.is_broken.load(Relaxed), "on purpose");
        if self.is_stuck {
            std::future::pending::<()>().await;
        }
        self.fake.observe(probe, timeout).await
    }

    async fn perform(&self, run: &ActionRun) -> ActionOutcome {
        self.begun.fetch_add(1, Relaxed);
        self.fake.perform(run).await
    }

    async fn plan(&self, action: &Action) -> ActionPlan {
        self.fake.plan(action).await
    }

    async fn gather(&self, _: &EvidenceRequest) -> Vec<Evidence> {
        std::future::pending().await
    }

    async fn inventory(&self) -> Inventory {
        self.fake.inventory().await
    }

    fn hints(&self) -> impl Stream<Item = Hint> + Send + Unpin {
        self.fake.hints()
    }
}

/// An agent's shell for one unit, `app.service`.
struct Small {
    shell: Shell<Watched, MemoryStore>,
    host: Watched,
    inputs: Option<mpsc::Receiver<Input>>,
    time: TimeSource,
    _folder: TempDir,
}

fn app() -> UnitName {
    UnitName::new("app.service").expect("valid")
}

fn bundle() -> Bundle {
    let text = "autonomy: act\n\
        policies: {default: {cooldown: 10m, budget: {actions: 3, per: 1h}, stable_for: 5s}}\n\
        services: {app.service: {}}\n";
    let configuration = ansai_config::parse(&[("small.yaml".into(), text.to_owned())]).expect("valid");
    configuration.bundle(&Inventory::default(), 1).expect("a bundle")
}

impl Small {
    fn new() -> Self {
        Self::on(|fake| Watched {
            fake,
            is_stuck: false,
            is_broken: Arc::default(),
            begun: Arc::default(),
            looking: Arc::default(),
        })
    }

    fn on(host: impl FnOnce(FakeHost) -> Watched) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut machine = Machine::new();
        machine.add(UnitSpec::new(app()));
        let host = host(FakeHost::new(machine));
        let time = TimeSource::simulated(WallTime(1_795_000_000_000));
        let clock = Clock::continuing(time.clone(), ansai_model::time::Now::default(), None);
        let (results, inputs) = mpsc::channel(64);
        let (ledger, _) = Ledger::load::<ansai_engine::State>(MemoryStore::new());
        let path = |name: &str| Path::join(folder.path(), name);
        let mut shell = Shell::new(Parts {
            engine: HostEngine::new(bundle(), ansai_engine::State::default(), clock.now()),
            clock,
            ledger,
            host: host.clone(),
            outbox: Outbox::open(&path("outbox"), &[], Arc::new(|_| {})),
            reports: Reports::open(&path("reports")),
            recorder: Recorder::open(&path("journal"), 1 << 20),
            telemetry: Telemetry::default(),
            trends: crate::trends::Trends::default(),
            hold_file: path("HOLD"),
            tasks: TaskTracker::new(),
            results,
        });
        shell.step(Input::Started);
        Self { shell, host, inputs: Some(inputs), time, _folder: folder }
    }

    /// Lets the loop go round for so long.
    async fn goes_on(&mut self, wait: Duration) {
        let fake = self.host.fake.clone();
        let mut sources = Sources::new(self.inputs.take().expect("the loop stands"), fake.hints());
        let end = Instant::now() + wait;
        loop {
            let deadline = self.shell.until_deadline();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => break,
                input = sources.next(deadline) => {
                    let together = sources.with_waiting(input);
                    self.shell.step_together(together);
                    tokio::task::yield_now().await;
                }
            }
        }
        self.inputs = Some(sources.into_results());
    }

    fn crash(&self) {
        self.host.fake.with(|machine| machine.inject(Fault::Crash { unit: app(), signal: 9 }));
    }

    fn begun(&self) -> usize {
        self.host.begun.load(Relaxed)
    }

    fn health(&self) -> Health {
        self.shell.engine.check_states().next().map(|check| check.hard).expect("a check")
    }

    fn reports(&self) -> Vec<Report> {
        self.shell.reports.newest(10)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_no_cooldown_no_budget_and_no_downtime() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    small.crash();
    small.time.jump(5 * HOUR_MS);
    small.goes_on(seconds(30)).await;
    let reports = small.reports();
    let report = reports.first().expect("healed");
    assert!(matches!(report.phase, Phase::Resolved(_)), "{report:?}");
    assert!(report.downtime.is_some_and(|downtime| downtime < seconds(10)), "{:?}", report.downtime);
    // The first time that it fails again nothing is waited for.
    small.crash();
    small.goes_on(seconds(30)).await;
    let actions = small.begun();
    assert_eq!((actions, small.health()), (2, Health::Healthy));
    // Ten minutes of cooldown have not passed, though the wall clock says that a day has, or that none was.
    for jump in [24 * HOUR_MS, -48 * HOUR_MS] {
        small.crash();
        small.time.jump(jump);
        small.goes_on(seconds(60)).await;
        assert_eq!(small.begun(), actions, "nothing is done within the cooldown");
        assert_eq!(small.health(), Health::Failing);
    }
    small.goes_on(seconds(600)).await;
    assert!(small.begun() > actions && small.health() == Health::Healthy);
    // The budget of three an hour is used up: a clock that is set does not give it back, an hour does.
    let actions = small.begun();
    small.goes_on(seconds(700)).await;
    small.crash();
    small.time.jump(5 * HOUR_MS);
    small.goes_on(seconds(900)).await;
    assert_eq!(small.begun(), actions, "the budget is used up");
    small.host.fake.with(|machine| machine.order(ansai_host::fake::Order::Restart(app())));
    small.goes_on(seconds(3600)).await;
    small.crash();
    small.goes_on(seconds(30)).await;
    assert!(small.begun() > actions, "an hour has passed");
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_it_observes_says_so_does_nothing_and_goes_on_when_there_is_room() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    assert_eq!((small.health(), small.shell.ledger_error()), (Health::Healthy, None));
    small.shell.ledger.store_mut().fill();
    small.crash();
    small.goes_on(seconds(60)).await;
    assert_eq!((small.health(), small.begun()), (Health::Failing, 0));
    assert!(small.shell.ledger_error().is_some_and(|why| why.contains("not saved")), "{:?}", small.shell.ledger_error);
    small.shell.ledger.store_mut().free();
    small.goes_on(seconds(60)).await;
    assert_eq!((small.health(), small.shell.ledger_error()), (Health::Healthy, None));
    assert!(small.begun() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_route_keeps_what_it_would_tell_for_its_controller() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    small.crash();
    small.goes_on(seconds(60)).await;
    assert_eq!((small.health(), small.shell.outbox().len()), (Health::Healthy, 1));
    small.shell.outbox().belongs_to(None);
    assert!(small.shell.outbox().is_empty(), "it has none");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_never_ends_is_unknown_and_none_pile_up() {
    let stuck = |fake| Watched {
        fake,
        is_stuck: true,
        is_broken: Arc::default(),
        begun: Arc::default(),
        looking: Arc::default(),
    };
    let mut small = Small::on(stuck);
    small.crash();
    small.goes_on(seconds(3600)).await;
    assert_eq!((small.health(), small.begun()), (Health::Unknown, 0));
    assert!(small.host.looking.load(Relaxed) <= 1, "{} looks are under way", small.host.looking.load(Relaxed));
    let (_, last) = small.shell.engine.check_states().next().and_then(|check| check.last.clone()).expect("looked at");
    assert!(last.summary().as_str().contains("did not end"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_breaks_off_is_unknown_and_the_loop_goes_on() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    assert_eq!(small.health(), Health::Healthy);
    small.host.is_broken.store(true, Relaxed);
    small.shell.step(Input::Hint(Hint::Everything));
    small.goes_on(seconds(60)).await;
    let last = |small: &Small| small.shell.engine.check_states().next().and_then(|check| check.last.clone());
    let (_, seen) = last(&small).expect("looked at");
    assert_eq!((seen.health(), seen.summary().as_str()), (Health::Unknown, "the probe gave no answer"));
    assert_eq!(small.shell.probe_queue.under_way(), 0);
    small.host.is_broken.store(false, Relaxed);
    small.goes_on(seconds(60)).await;
    assert_eq!(last(&small).map(|(_, seen)| seen.health()), Some(Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn evidence_that_never_comes_is_missing_and_keeps_nothing_up() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    small.crash();
    small.goes_on(seconds(200)).await;
    assert_eq!(small.health(), Health::Healthy);
    assert_eq!(small.shell.tasks.len(), 0, "the search was given up");
}

#[tokio::test(start_paused = true)]
async fn time_that_passes_has_hold_looked_at_only_when_it_is_not_what_it_was_and_an_action_always_does() {
    let mut small = Small::new();
    let file = small._folder.path().join("HOLD");
    small.goes_on(seconds(1)).await;
    let none: Option<Option<Text>> = Some(None);
    small.shell.hold_beside.clone_from(&none);
    std::fs::write(&file, "stop").expect("written");
    small.shell.step(Input::Tick);
    assert_eq!(small.shell.hold_told, none, "who looks beside the loop has seen no change");
    small.shell.hold_beside = Some(Some("stop".into()));
    small.shell.step(Input::Tick);
    assert_eq!(small.shell.hold_told, Some(Some("stop".into())));
    // What is known beside the loop is old, and then nothing is known there.
    std::fs::remove_file(&file).expect("removed");
    small.shell.hold_beside = None;
    small.shell.step(Input::Tick);
    assert_eq!(small.shell.hold_told, Some(Some("stop".into())), "it was looked at in this moment");
    tokio::time::advance(HOLD_FRESH).await;
    small.shell.step(Input::Tick);
    assert_eq!(small.shell.hold_told, none);
    small.shell.hold_beside = none;
    std::fs::write(&file, "stop").expect("written");
    small.crash();
    small.goes_on(seconds(60)).await;
    assert_eq!((small.health(), small.begun()), (Health::Failing, 0));
}

#[tokio::test(start_paused = true)]
async fn what_ended_before_it_was_begun_is_not_begun() {
    let mut small = Small::new();
    small.goes_on(seconds(1)).await;
    let action = Action::RestartUnit { unit: app() };
    let target = small.shell.engine.bundle().parts().targets.keys().next().expect("one").clone();
    let run = ActionRun { id: RunId(99), incident: None, target, action, timeout: seconds(10) };
    let mut following = Vec::new();
    small.shell.perform(run, &mut following);
    small.goes_on(seconds(60)).await;
    assert_eq!((small.begun(), following.len()), (0, 0));
}

#[tokio::test]
async fn what_waits_is_taken_together_up_to_an_order_and_a_stream_that_has_ended_is_not_asked_again() {
    let (results, inputs) = mpsc::channel(64);
    let mut sources = Sources::new(inputs, futures_util::stream::iter([Hint::Everything]));
    let order = Order {
        request: 1,
        controller: "c".into(),
        epoch: 1,
        number: 1,
        by: "somebody".into(),
        deed: Deed::Heal,
        to: Subject::Incident(IncidentId(1)),
        is_rehearsal: false,
    };
    for _ in 0..2 {
        results.send(Input::Tick).await.expect("room");
    }
    results.send(Input::Order { order: Box::new(order), late: Duration::ZERO }).await.expect("room");
    results.send(Input::Tick).await.expect("room");
    let first = sources.with_waiting(Input::Tick);
    assert!(
        matches!(first[..], [Input::Tick, Input::Hint(_), Input::Tick, Input::Tick, Input::Order { .. }]),
        "{first:?}"
    );
    assert_eq!(sources.with_waiting(Input::Tick).len(), 2);
}
