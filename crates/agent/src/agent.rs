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
use ansai_protocol::Happening;
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
    events::{Events, short},
    ledger::FileStore,
    metrics::Metrics,
    notify::{Notifier, http::HyperClient, trial::Trials},
    outbox::{self, Observer, Outbox},
    recorder::Recorder,
    reports::Reports,
    secrets::Resolver,
    shell::{Parts, Shell},
    sources::Sources,
    trends::Trends,
    trust,
    warnings::{Topic, Warnings},
    witness::Witness,
};

mod abilities;
mod alone;
mod ground;
mod plight;
mod questions;
mod sides;
mod socket;
mod upkeep;

use abilities::Abilities;
use alone::Alone;
use ground::Ground;
use plight::Plight;
use sides::Sides;
use socket::Socket;
use upkeep::Upkeep;

/// Most inputs that wait for the loop.
const RESULTS_MAX: usize = 1024;
/// Most questions that wait for the loop.
const ASKED_MAX: usize = 32;
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
    configuration: Configuration,
    configuration_error: Option<String>,
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
    let mut configuration = trust::begin(&options.config, &options.state_dir)?;
    let (events, metrics) = (Events::new(), Arc::new(Metrics::new()));
    let warnings = Warnings::new(events.clone());
    let Ground { ledger, state, clock, plight } = Ground::of(&options.state_dir, &warnings)?;
    let _alone = Alone::take(&options.state_dir)?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let host = this_host(&options, &configuration, &tasks);
    let inventory = first_inventory(&host, &configuration).await;
    let bundle = configuration.bundle(&inventory, 1)?;
    configuration.forget_texts();
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
    let journal_bytes_max = configuration.settings().journal_bytes_max;
    let recorder = Recorder::open(&options.state_dir.join("journal"), journal_bytes_max.0);
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
    let stamp = ansai_config::changed_at(&options.config);
    let mut agent = Agent {
        options,
        shell,
        host,
        configuration,
        configuration_error: None,
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
    agent.sides.apply(agent.configuration.settings());
    agent.warn_of_configuration();
    agent.shell.start(&agent.inventory);
    agent.turn(inputs, questions).await?;
    stop.cancel();
    tasks.close();
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
    async fn turn(&mut self, inputs: mpsc::Receiver<Input>, mut questions: mpsc::Receiver<Asked>) -> Result<()> {
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
                _ = files.tick() => self.look_at_files().await,
                _ = hangup.recv() => drop(self.reload().await),
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
    async fn look_at_files(&mut self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        if ansai_config::changed_at(&self.options.config) != self.stamp || self.has_expired() {
            drop(self.reload().await);
        } else if std::mem::take(&mut self.has_new_units) {
            self.inventory = self.ask_for_units(|unit| self.configuration.concerns(unit.as_str())).await;
            self.apply_if_changed();
            self.warn_of_configuration();
        }
        self.shell.step(Input::Tick);
        self.look_after_itself();
    }

    /// The units as they are now, or as they were known when systemd does not say.
    async fn ask_for_units(&self, is_of_interest: impl Fn(&UnitName) -> bool) -> Inventory {
        let asked = tokio::time::timeout(INVENTORY_WAIT, self.host.inventory_of(is_of_interest)).await;
        known(&self.inventory, asked.ok())
    }

    /// Whether an emergency layer has ended, or the civil time has changed: the same files say something else now.
    fn has_expired(&self) -> bool {
        let now = self.shell.clock.now().wall;
        self.configuration_error.is_none() && self.configuration.holds_until().is_some_and(|at| at <= now)
    }

    /// Reads the configuration anew; an invalid one changes nothing.
    async fn reload(&mut self) -> Result<(), String> {
        self.stamp = ansai_config::changed_at(&self.options.config);
        let loaded = trust::load(&self.options.config).map_err(|error| error.to_string());
        let concerns = |unit: &UnitName| loaded.as_ref().is_ok_and(|loaded| loaded.concerns(unit.as_str()));
        self.inventory = self.ask_for_units(concerns).await;
        let bundle = loaded.and_then(|mut configuration| {
            let bundle =
                configuration.bundle(&self.inventory, self.generation + 1).map_err(|error| error.to_string())?;
            configuration.forget_texts();
            Ok((configuration, bundle))
        });
        match bundle {
            Ok((configuration, bundle)) => {
                self.configuration = configuration;
                self.configuration_error = None;
                self.apply(bundle);
                self.apply_settings();
                self.tell_configuration(None);
                tracing::info!(generation = self.generation, "configuration applied");
                Ok(())
            }
            Err(error) => {
                tracing::error!("the new configuration is not applied; the old one stays in force:\n{error}");
                self.configuration_error = Some(error.clone());
                self.tell_configuration(Some(&error));
                Err(error)
            }
        }
    }

    fn apply_settings(&mut self) {
        let settings = self.configuration.settings();
        self.shell.recorder.set_bytes_max(settings.journal_bytes_max.0);
        self.sides.apply(settings);
        self.warn_of_configuration();
    }

    /// What is allowed and dangerous in the configuration stands in the status for as long as it is so.
    fn warn_of_configuration(&self) {
        let warnings = self.configuration.warnings().iter().map(|warning| warning.what.clone());
        let nameless = self.configuration.nameless_disks(&self.inventory).into_iter();
        let nameless = nameless.map(|mount| format!("the disk {mount:?} is not watched: its name holds what none may"));
        let warnings: Vec<String> = warnings.chain(nameless).collect();
        let Some(first) = warnings.first() else {
            self.warnings.end(Topic::Configuration);
            return;
        };
        let more = match warnings.len() {
            1 => String::new(),
            many => format!(", and {} more", many - 1),
        };
        let text = format!("the configuration: {first}{more}; `ansai check` shows where");
        self.warnings.raise(self.shell.clock.now().wall, Topic::Configuration, text);
    }

    fn tell_configuration(&self, error: Option<&str>) {
        let error = error.map(|error| short(&error.into()));
        let happening = Happening::Configuration { generation: self.generation, error };
        self.shell.witness.events.tell(self.shell.clock.now().wall, happening);
    }

    fn apply_if_changed(&mut self) {
        match self.configuration.bundle(&self.inventory, self.generation + 1) {
            Ok(bundle) if bundle.parts().checks != self.shell.engine.bundle().parts().checks => self.apply(bundle),
            Ok(_) => {}
            Err(error) => tracing::error!("new units do not fit the configuration:\n{error}"),
        }
    }

    fn apply(&mut self, bundle: Bundle) {
        self.generation += 1;
        watch(&self.host, &self.configuration, &bundle);
        self.shell.outbox.set_routes(&routes(&bundle));
        self.shell.step(Input::Apply(Box::new(bundle)));
        self.shell.step(Input::Facts(self.inventory.facts.clone()));
        self.upkeep.applied(self.shell.clock.now());
        self.try_abilities();
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
