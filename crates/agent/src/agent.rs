//! The agent: puts the parts together, feeds the shell with inputs until it is told to stop, and reloads configuration.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ansai_config::Configuration;
use ansai_engine::{HostEngine, Input};
use ansai_host::{
    linux::{LinuxHost, Options as HostOptions},
    port::Host,
};
use ansai_model::{bundle::Bundle, hint::Hint, id::UnitName, inventory::Inventory, notify::Route};
use anyhow::Result;
use futures_util::{FutureExt, StreamExt};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::Asked,
    clock::Clock,
    deliveries,
    events::Events,
    ledger::{FileStore, Predecessor},
    metrics::Metrics,
    notify::{Notifier, http::HyperClient, trial::Trials},
    outbox::{self, Observer, Outbox},
    recorder::Recorder,
    reports::Reports,
    secrets::Resolver,
    shell::{Parts, Shell},
    sources::Sources,
    trends::Trends,
    warnings::Warnings,
    witness::Witness,
};

mod abilities;
mod alone;
mod configuration;
mod ground;
mod plight;
mod questions;
mod reading;
mod sides;
mod socket;
mod upkeep;

use abilities::Abilities;
use alone::Alone;
use ground::Ground;
use plight::Plight;
use reading::{News, Reader};
use sides::Sides;
use socket::Socket;
use upkeep::Upkeep;

/// Most inputs that wait for the loop.
const RESULTS_MAX: usize = 1024;
/// Most questions that wait for the loop.
const ASKED_MAX: usize = 32;
/// Most news of the configuration that wait for the loop.
const NEWS_MAX: usize = 8;
/// How often files are looked at: configuration, HOLD.
const FILES_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for systemd when the agent starts.
const INVENTORY_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for actions under way when the agent stops.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// Where the agent finds and keeps things.
#[derive(Clone, Debug)]
pub struct Options {
    /// A configuration file, or a folder of them.
    pub config: PathBuf,
    /// Where state outlives the agent.
    pub state_dir: PathBuf,
    /// Where the socket is.
    pub runtime_dir: PathBuf,
    /// The file that stops all action.
    pub hold_file: PathBuf,
}

struct Agent {
    options: Options,
    shell: Shell<LinuxHost, FileStore>,
    host: LinuxHost,
    configuration: Arc<Configuration>,
    configuration_error: Option<String>,
    reader: Reader,
    /// An agent before this one that was killed and has not ended.
    predecessor: Option<Predecessor>,
    inventory: Inventory,
    generation: u64,
    stamp: Option<SystemTime>,
    begun: Instant,
    has_new_units: bool,
    warnings: Warnings,
    sides: Sides,
    abilities: Abilities,
    upkeep: Upkeep,
    plight: Plight,
    trials: Trials<Notifier<HyperClient>>,
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no valid configuration, no usable state directory, or another agent has it.
pub async fn run(options: Options) -> Result<()> {
    let begun = Instant::now();
    let (stamp, configuration) = reading::files_at_start(&options.config, &options.state_dir).await?;
    let (events, metrics) = (Events::new(), Arc::new(Metrics::new()));
    let warnings = Warnings::new(events.clone());
    let Ground { ledger, state, clock, plight, predecessor } = Ground::of(&options.state_dir, &warnings)?;
    let _alone = Alone::take(&options.state_dir)?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let host = this_host(&options, &configuration, &tasks);
    let inventory = first_inventory(&host, &configuration).await;
    let read = reading::evaluated_at_start(&options.config, configuration, inventory).await?;
    let (configuration, inventory, bundle) = read;
    let outbox = open_outbox(&options.state_dir, &bundle, deliveries::observer(&metrics, &warnings, &clock));
    let notifier = notifier(&inventory.hostname);
    spawn_delivery(&outbox, notifier.clone(), clock.clone(), &tasks, &stop);
    if let Some(what) = &plight {
        plight::tell(&outbox, &bundle, clock.now(), what);
    }
    let (results, inputs) = mpsc::channel(RESULTS_MAX);
    let (asked, questions) = mpsc::channel(ASKED_MAX);
    let socket = Socket { path: options.runtime_dir.join("api.sock"), asked, events: events.clone() };
    socket.open(&warnings, &clock, &tasks, &stop);
    watch(&host, &configuration, &bundle);
    let bytes_max = configuration.settings().journal_bytes_max.0;
    let recorder = Recorder::open(&options.state_dir.join("journal"), bytes_max);
    let engine = HostEngine::new(bundle, state, clock.now());
    let shell = Shell::new(Parts {
        engine,
        clock: clock.clone(),
        ledger,
        host: host.clone(),
        outbox,
        reports: Reports::open(&options.state_dir.join("reports")),
        recorder,
        witness: Witness::new(metrics.clone(), events),
        trends: Trends::open(options.state_dir.join("trends.json"), clock.now().mono),
        hold_file: options.hold_file.clone(),
        tasks: tasks.clone(),
        results,
    });
    let (news, heard) = mpsc::channel(NEWS_MAX);
    let mut agent = Agent {
        reader: Reader::new(options.config.clone(), host.clone(), tasks.clone(), news),
        options,
        shell,
        host,
        configuration: Arc::new(configuration),
        configuration_error: None,
        predecessor,
        inventory,
        generation: 1,
        stamp,
        begun,
        has_new_units: false,
        abilities: Abilities::new(warnings.clone(), clock.clone(), tasks.clone()),
        sides: Sides::new(metrics, warnings.clone(), clock.clone(), tasks.clone()),
        warnings,
        upkeep: Upkeep::new(clock.now()),
        plight: Plight::told(plight.is_some()),
        trials: Trials::new(notifier, tasks.clone()),
    };
    agent.begin();
    agent.turn(inputs, questions, heard).await?;
    stop.cancel();
    tasks.close();
    // The locks go here: a thread that hangs keeps the process, and must not keep them.
    Ok(())
}

fn this_host(options: &Options, configuration: &Configuration, tasks: &TaskTracker) -> LinuxHost {
    let redact = configuration.settings().redact.clone();
    LinuxHost::new(HostOptions { redact, ..HostOptions::this_machine(options.state_dir.clone()) }, tasks)
}

async fn first_inventory(host: &LinuxHost, configuration: &Configuration) -> Inventory {
    let begun = Instant::now();
    loop {
        let inventory = host.inventory_of(|unit| configuration.concerns(unit.as_str())).await;
        // Units that are heard of later are added then.
        if !inventory.units.is_empty() || !host.has_systemd() || begun.elapsed() > INVENTORY_WAIT {
            return inventory;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A systemd that says nothing has not lost its units: the templates' instances stay, and so do their incidents.
fn known(before: &Inventory, asked: Option<Inventory>) -> Inventory {
    match asked {
        None => before.clone(),
        Some(now) if now.units.is_empty() => Inventory { units: before.units.clone(), ..now },
        Some(now) => now,
    }
}

fn open_outbox(state_dir: &Path, bundle: &Bundle, deliveries: Observer) -> Outbox {
    Outbox::open(&state_dir.join("outbox"), &routes(bundle), deliveries)
}

fn routes(bundle: &Bundle) -> Vec<Route> {
    bundle.parts().routes.values().cloned().collect()
}

fn notifier(hostname: &str) -> Arc<Notifier<HyperClient>> {
    let time_zone = jiff::tz::TimeZone::system();
    Arc::new(Notifier::new(hostname, time_zone, Resolver::default(), Arc::new(HyperClient::new())))
}

fn spawn_delivery(
    outbox: &Outbox,
    notifier: Arc<Notifier<HyperClient>>,
    clock: Clock,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let (outbox, stop) = (outbox.clone(), stop.clone());
    tasks.spawn(async move { outbox::run(outbox, &*notifier, move || clock.now(), stop).await });
}

/// Limits hints to the units of interest.
fn watch(host: &LinuxHost, configuration: &Configuration, bundle: &Bundle) {
    let units: BTreeSet<UnitName> = bundle.parts().targets.values().filter_map(|target| target.unit.clone()).collect();
    host.watch(units, configuration.patterns());
}

impl Agent {
    fn begin(&mut self) {
        self.sides.apply(self.configuration.settings());
        self.warn_of_configuration();
        self.shell.start(&self.inventory);
        self.tell_predecessor();
    }

    async fn turn(
        &mut self,
        inputs: mpsc::Receiver<Input>,
        mut questions: mpsc::Receiver<Asked>,
        mut news: mpsc::Receiver<News>,
    ) -> Result<()> {
        let host = self.host.clone();
        let mut hints = host.hints();
        // Every first look is still to begin: what was hinted at until now would only have it begun twice.
        while let Some(Some(hint)) = hints.next().now_or_never() {
            self.note(&hint);
        }
        let mut sources = Sources::new(inputs, hints);
        let (mut terminate, mut interrupt, mut hangup) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
        // What was read at the start is new enough, and the first looks come first.
        let mut files = tokio::time::interval_at(tokio::time::Instant::now() + FILES_EVERY, FILES_EVERY);
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tracing::info!(targets = self.shell.engine.bundle().parts().targets.len(), "watching");
        // Without a service manager nobody listens, which is fine.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        // The first looks come first here as well.
        self.try_abilities();
        loop {
            let wait = self.shell.until_deadline();
            // Every arm only receives: nothing is lost when another one is chosen first. One is chosen at random, so
            // that none starves another: the watchdog hears of the loop only through the arm of the files.
            tokio::select! {
                input = sources.next(wait) => self.take_in(input),
                Some(asked) = questions.recv() => self.answer(asked),
                Some(news) = news.recv() => self.hear(news),
                _ = files.tick() => self.look_at_files(),
                _ = hangup.recv() => {
                    self.reader.is_wanted = true;
                    self.go_on_reading();
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        self.stop(sources.into_results()).await;
        Ok(())
    }

    fn take_in(&mut self, input: Input) {
        match &input {
            Input::Hint(hint) => self.note(hint),
            Input::Tick => self.shell.notice_lag(),
            _ => {}
        }
        self.shell.step(input);
    }

    /// New units change the bundle, which takes a moment: the next look at the files does it.
    fn note(&mut self, hint: &Hint) {
        self.has_new_units |= matches!(hint, Hint::Units | Hint::Mounts | Hint::Everything);
    }

    /// What only changes now and then: the configuration, new units, HOLD, and the watchdog that shows that we turn.
    fn look_at_files(&mut self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        self.reader.ask_stamp();
        self.reader.is_wanted |= self.has_expired() && !self.reader.is_reading();
        self.go_on_reading();
        self.shell.step(Input::Tick);
        self.look_after_itself();
    }

    async fn stop(&mut self, results: mpsc::Receiver<Input>) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        self.shell.witness.events.close();
        self.shell.wind_down(results, STOP_WAIT).await;
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{domain::service::ActiveState, inventory::UnitFacts};

    use super::*;

    fn inventory(units: &[&str], boot_id: &str) -> Inventory {
        let unit = |name: &&str| UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active);
        Inventory { units: units.iter().map(unit).collect(), boot_id: boot_id.into(), ..Inventory::default() }
    }

    #[test]
    fn units_stay_known_while_systemd_says_nothing() {
        let before = inventory(&["worker@1.service"], "one");
        assert_eq!(known(&before, None), before);
        assert_eq!(known(&before, Some(inventory(&[], "two"))), inventory(&["worker@1.service"], "two"));
        let fewer = inventory(&["worker@2.service"], "one");
        assert_eq!(known(&before, Some(fewer.clone())), fewer);
    }
}
