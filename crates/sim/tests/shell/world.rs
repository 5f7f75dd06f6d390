//! A host that outlives its agents: a fake machine, a disk, clocks, and what happens to them. Each life of an agent ends
//! at a moment that the seed chooses; the next one has only what is on the disk.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_agent::{
    clock::{Clock, TimeSource},
    ledger::{Ledger, Loaded},
    recorder::Recorder,
    reports::Reports,
    shell::{Parts, Shell},
    sources::Sources,
    telemetry::Telemetry,
};
use ansai_engine::{HostEngine, Input, State};
use ansai_host::{
    fake::{FakeHost, Machine, UnitSpec},
    port::Host,
};
use ansai_model::{bundle::Bundle, id::UnitName, inventory::Inventory, notify::Route, time::WallTime};
use ansai_notify::outbox::Outbox;
use ansai_sim::random::Random;
use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    books::Books,
    disk::{Cut, Disk, Killed},
    host::{KillPoint, SimHost},
};

mod turmoil;

/// Lives of an agent that a host sees before it is left in peace.
pub(crate) const LIVES: u64 = 20;
/// No life of an agent is longer, until the last one.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// How long the host is left in peace at the end: all is well then, and it only has to be seen for long enough.
const PEACE: Duration = Duration::from_secs(180);
/// Most turns of the loop at one moment: a loop that never sleeps eats a processor.
const TURNS_MAX: u32 = 1_000;
const JOURNAL_BYTES_MAX: u64 = 1 << 20;

/// How a life ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Amid a save.
    Disk(u32, Cut),
    /// On the host's side.
    Host(KillPoint),
    /// Between two inputs.
    Inputs(u32),
    /// At a time.
    After(Duration),
    /// Stopped in good order.
    Stop(Duration),
}

/// What happened in all runs together: a simulation in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) steps: u64,
    pub(crate) saves: u64,
    pub(crate) killed: u64,
    pub(crate) killed_in_save: u64,
    pub(crate) killed_in_action: u64,
    pub(crate) stopped: u64,
    pub(crate) torn: u64,
    pub(crate) interrupted: u64,
    pub(crate) actions: u64,
    pub(crate) incidents: u64,
    pub(crate) trace: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.saves += other.saves;
        self.killed += other.killed;
        self.killed_in_save += other.killed_in_save;
        self.killed_in_action += other.killed_in_action;
        self.stopped += other.stopped;
        self.torn += other.torn;
        self.interrupted += other.interrupted;
        self.actions += other.actions;
        self.incidents += other.incidents;
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

pub(crate) struct World {
    random: Random,
    fake: FakeHost,
    disk: Disk,
    books: Arc<Mutex<Books>>,
    time: TimeSource,
    folder: TempDir,
    /// In force, as the files say it: the one with `mail.service` or the one without.
    bundle: Bundle,
    bundles: (Bundle, Bundle),
    has_mail: bool,
    units: Vec<UnitName>,
    bus_is_gone: bool,
    disk_is_full: bool,
    is_port_taken: bool,
    totals: Totals,
}

/// A life that goes on.
struct Life {
    shell: Shell<SimHost, Disk>,
    host: SimHost,
    tasks: TaskTracker,
}

impl World {
    /// Inside of a runtime whose clock is paused.
    pub(crate) fn new(seed: u64) -> Self {
        let all = configuration();
        let without_mail: Vec<&str> = all.lines().filter(|line| !line.contains("mail.service")).collect();
        let bundles = (bundle(&all), bundle(&without_mail.join("\n")));
        let bundle = bundles.0.clone();
        let name = |name: &str| UnitName::new(name).expect("valid");
        let units = ["db.service", "app.service", "mail.service"].map(name);
        let mut machine = Machine::new();
        machine.add(UnitSpec::new(units[0].clone()).port(5432).starts_in(Duration::from_millis(300)));
        machine.add(UnitSpec::new(units[1].clone()).port(8000).needs(vec![units[0].clone()]));
        machine.add(UnitSpec::new(units[2].clone()).starts_in(Duration::from_secs(2)));
        let disk = Disk::new();
        Self {
            random: Random::new(seed),
            fake: FakeHost::new(machine),
            books: Arc::new(Mutex::new(Books::new(bundle.clone(), disk.clone()))),
            disk,
            time: TimeSource::simulated(WallTime(1_795_000_000_000)),
            folder: folder(),
            bundle,
            bundles,
            has_mail: true,
            units: units.to_vec(),
            bus_is_gone: false,
            disk_is_full: false,
            is_port_taken: false,
            totals: Totals::default(),
        }
    }

    /// Lets agents live and die, then leaves the host in peace and asks whether it has come to rest.
    ///
    /// # Errors
    /// The invariant that was broken.
    pub(crate) async fn run(mut self) -> Result<Totals, String> {
        let outcome = self.run_to_rest().await;
        outcome.map_err(|broken| format!("{broken}\n{}", self.books().story()))
    }

    async fn run_to_rest(&mut self) -> Result<Totals, String> {
        for _ in 0..LIVES {
            let end = self.some_end();
            self.life(end, Turmoil::Yes).await?;
            self.between_lives().await;
        }
        self.make_peace().await;
        self.life(End::After(PEACE), Turmoil::No).await?;
        self.at_rest()?;
        let books = self.books();
        let totals = Totals {
            actions: books.actions,
            incidents: books.incidents(),
            saves: self.disk.saves(),
            trace: books.trace(),
            ..self.totals
        };
        Ok(totals)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.random.below(u64::from(limit))).unwrap_or(0)
    }

    fn some_end(&mut self) -> End {
        match self.below(20) {
            0..7 => {
                let cut = match self.below(4) {
                    0 => Cut::Before,
                    1 => Cut::Torn(usize::try_from(self.random.bits() >> 8).unwrap_or(0)),
                    2 => Cut::Sectors(self.random.bits()),
                    _ => Cut::After,
                };
                End::Disk(self.below(12), cut)
            }
            7..10 => End::Host(KillPoint::BeforeAction(self.below(3))),
            10..13 => End::Host(KillPoint::InAction(self.below(3))),
            13 => End::Host(KillPoint::Look(self.below(30))),
            14..16 => End::Inputs(self.below(80)),
            16..19 => End::After(Duration::from_millis(self.random.below(30_000))),
            _ => End::Stop(Duration::from_millis(self.random.below(30_000))),
        }
    }

    fn begin(&mut self, end: End) -> Result<(Life, mpsc::Receiver<Input>), String> {
        let (ledger, loaded) = Ledger::load::<State>(self.disk.clone());
        readable(&loaded)?;
        self.disk.loaded(loaded.generation)?;
        let mut state = loaded.state.unwrap_or_default();
        let reports = Reports::open(&self.folder.path().join("reports"));
        self.books().begins_life(&state, &reports)?;
        self.totals.torn += u64::from(loaded.torn.is_some());
        self.totals.interrupted += state.runs.len() as u64;
        let clock = Clock::continuing(self.time.clone(), state.at, state.boot.as_ref());
        state.boot = clock.boot();
        let moment = if let End::Host(moment) = end { Some(moment) } else { None };
        if let End::Disk(saves, cut) = end {
            self.disk.kill_after(saves, cut);
        }
        let host = SimHost::new(self.fake.clone(), clock.clone(), self.books.clone(), moment);
        let (results, inputs) = mpsc::channel(1024);
        let tasks = TaskTracker::new();
        let routes: Vec<Route> = self.bundle.parts().routes.values().cloned().collect();
        let outbox = Outbox::open(&self.folder.path().join("outbox"), &routes, Arc::new(|_| {}));
        let shell = Shell::new(Parts {
            engine: HostEngine::new(self.bundle.clone(), state, clock.now()),
            clock,
            ledger,
            host: host.clone(),
            outbox,
            reports,
            recorder: Recorder::open(&self.folder.path().join("journal"), JOURNAL_BYTES_MAX),
            telemetry: Telemetry::default(),
            trends: ansai_agent::trends::Trends::default(),
            hold_file: self.folder.path().join("HOLD"),
            tasks: tasks.clone(),
            results,
        });
        Ok((Life { shell, host, tasks }, inputs))
    }

    async fn life(&mut self, end: End, turmoil: Turmoil) -> Result<(), String> {
        let (mut life, inputs) = self.begin(end)?;
        let lived = self.live(&mut life, inputs, end, turmoil).await;
        life.host.killed().cancel();
        let Life { shell, tasks, .. } = life;
        drop(shell);
        tasks.close();
        tasks.wait().await;
        self.books().note(|| format!("the agent ends: {lived:?}, {end:?}"));
        self.books().verdict()?;
        self.count(end, lived?);
        Ok(())
    }

    fn count(&mut self, end: End, outcome: Outcome) {
        match (outcome, end) {
            (Outcome::Stopped, _) => self.totals.stopped += 1,
            (Outcome::Killed, End::Disk(..)) => {
                self.totals.killed_in_save += 1;
                self.totals.killed += 1;
            }
            (Outcome::Killed, End::Host(KillPoint::InAction(_) | KillPoint::BeforeAction(_))) => {
                self.totals.killed_in_action += 1;
                self.totals.killed += 1;
            }
            // It lived to its end, or the moment never came.
            (Outcome::Killed | Outcome::Old, _) => self.totals.killed += 1,
        }
    }

    async fn live(
        &mut self,
        life: &mut Life,
        inputs: mpsc::Receiver<Input>,
        end: End,
        turmoil: Turmoil,
    ) -> Result<Outcome, String> {
        let (begun, fake) = (Instant::now(), self.fake.clone());
        let mut sources = Sources::new(inputs, fake.hints());
        let ends = begun
            + match end {
                End::After(after) | End::Stop(after) => after,
                End::Disk(..) | End::Host(_) | End::Inputs(_) => LIFE_MAX,
            };
        let mut left = if let End::Inputs(inputs) = end { inputs } else { u32::MAX };
        let mut next = self.next_event(turmoil);
        let inventory = fake.inventory().await;
        if self.drive(life, |shell| shell.start(&inventory))? == Alive::No {
            return Ok(Outcome::Killed);
        }
        if turmoil == Turmoil::No && self.release(life)? == Alive::No {
            return Ok(Outcome::Killed);
        }
        let (mut at, mut turns) = (begun, 0_u32);
        loop {
            turns = if at == Instant::now() { turns + 1 } else { 0 };
            at = Instant::now();
            if turns > TURNS_MAX {
                return Err(format!("time_goes_on: {turns} turns of the loop at {:?}", at - begun));
            }
            let wait = life.shell.until_deadline();
            // In this order, so that a seed always gives the same run.
            tokio::select! {
                biased;
                () = life.host.killed().cancelled() => return Ok(Outcome::Killed),
                () = tokio::time::sleep_until(ends) => break,
                () = tokio::time::sleep_until(next) => {
                    if self.something_happens(life).await? == Alive::No {
                        return Ok(Outcome::Killed);
                    }
                    next = self.next_event(turmoil);
                }
                input = sources.next(wait) => {
                    let together = sources.with_waiting(input);
                    let is_many = together.len() > 1;
                    if left == 0 || self.step(life, together)? == Alive::No {
                        return Ok(Outcome::Killed);
                    }
                    if is_many {
                        tokio::task::yield_now().await;
                    }
                    left -= 1;
                }
            }
        }
        if let End::Stop(_) = end {
            return self.stop(life, sources.into_results()).await;
        }
        Ok(Outcome::Old)
    }

    async fn stop(&mut self, life: &mut Life, results: mpsc::Receiver<Input>) -> Result<Outcome, String> {
        let wound_down = life.shell.wind_down(results, Duration::from_secs(20));
        let outcome = AssertUnwindSafe(wound_down).catch_unwind().await;
        if survived(outcome)? == Alive::No {
            return Ok(Outcome::Killed);
        }
        self.books().follow(&life.shell)?;
        Ok(Outcome::Stopped)
    }

    fn step(&mut self, life: &mut Life, together: Vec<Input>) -> Result<Alive, String> {
        self.drive(life, |shell| shell.step_together(together))
    }

    fn drive(&mut self, life: &mut Life, drive: impl FnOnce(&mut Shell<SimHost, Disk>)) -> Result<Alive, String> {
        self.totals.steps += 1;
        let stepped = survived(catch_unwind(AssertUnwindSafe(|| drive(&mut life.shell))))?;
        if stepped == Alive::Yes {
            self.books().follow(&life.shell)?;
        }
        Ok(stepped)
    }

    fn next_event(&mut self, turmoil: Turmoil) -> Instant {
        match turmoil {
            Turmoil::Yes => Instant::now() + Duration::from_millis(self.random.below(15_000)),
            Turmoil::No => Instant::now() + 2 * PEACE,
        }
    }

    /// Safety is one half; the other is that it ends: all is well, so nothing is open, and all that was is reported.
    fn at_rest(&mut self) -> Result<(), String> {
        let (_, loaded) = Ledger::load::<State>(self.disk.clone());
        readable(&loaded)?;
        let state = loaded.state.unwrap_or_default();
        let reports = Reports::open(&self.folder.path().join("reports"));
        self.books().begins_life(&state, &reports)?;
        if let Some(incident) = state.incidents.values().next() {
            return Err(format!("goes_quiet: {} on {} is {:?}", incident.id, incident.target, incident.phase));
        }
        if let Some(id) = state.remediations.keys().next() {
            return Err(format!("goes_quiet: {id} is still being healed"));
        }
        self.books().all_told(&self.folder.path().join("outbox"))?;
        let waiting = (state.runs.len(), state.dispatches.len());
        if waiting == (0, 0) { Ok(()) } else { Err(format!("goes_quiet: (runs, dispatches) left: {waiting:?}")) }
    }
}

/// What was acknowledged once is neither lost nor hidden from a later agent.
fn readable<T>(loaded: &Loaded<T>) -> Result<(), String> {
    loaded.trouble.as_ref().map_or(Ok(()), |trouble| Err(format!("ledger_readable: {trouble}")))
}

/// Whether things go on happening to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turmoil {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alive {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// At its moment.
    Killed,
    /// Killed when its time was over.
    Old,
    /// In good order.
    Stopped,
}

/// Whether the agent was killed in it; a panic is one, and goes on.
fn survived(result: std::thread::Result<()>) -> Result<Alive, String> {
    match result {
        Ok(()) => Ok(Alive::Yes),
        Err(payload) if payload.is::<Killed>() => Ok(Alive::No),
        Err(payload) => resume_unwind(payload),
    }
}

/// The simulator's configuration, with budgets that are soon used up.
fn configuration() -> String {
    let text = ansai_sim::world::CONFIGURATION.replace("actions: 6", "actions: 4").replace("actions: 10", "actions: 7");
    // Nobody delivers anything here: what is to be told stays in the outbox, to be counted.
    format!("{text}notify: {{people: {{exec: [/bin/true]}}}}\n")
}

fn bundle(text: &str) -> Bundle {
    let configuration = ansai_config::parse(&[("sim.yaml".into(), text.to_owned())]).expect("it is valid");
    configuration.bundle(&Inventory::default(), 1).expect("it makes a bundle")
}

/// In memory where that is to be had: reports are synced, which is not what is tried here.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}
