//! Puts an agent together: what it stands on, the host, the outbox, the socket, the engine and its shell. Nothing of it turns
//! yet, and nothing is decided here.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ansai_config::{Configuration, Resting};
use ansai_document::Diagnostics;
use ansai_engine::{HostEngine, Input, State};
use ansai_files::zone;
use ansai_host::linux::{LinuxHost, Options as HostOptions, redact::Redactor};
use ansai_model::{bundle::Bundle, inventory::Inventory};
use ansai_notify::{
    channel::{Notifier, http::HyperClient},
    outbox::{self, Observer, Outbox},
    secrets::Resolver,
};
use anyhow::Result;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Agent, INVENTORY_WAIT, Options,
    abilities::Abilities,
    alone::Alone,
    background::BackgroundTasks,
    beat::Watchdog,
    beside::Beside,
    fleet::Fleet,
    ground::Ground,
    housekeeping::Housekeeping,
    in_force::{self, InForce},
    plight::{self, Plight},
    reading::{self, AtStart, Edition, Evaluated, News, Reader},
    socket::Socket,
    watch,
};
use crate::{
    api::Asked,
    clock::Clock,
    deliveries::{self, routes},
    events::Events,
    metrics::Metrics,
    recorder::Recorder,
    reports::Reports,
    shell::{Parts, Shell},
    telemetry::Telemetry,
    trends::Trends,
    trial::Trials,
    uplink::membership::Folder,
    warnings::Warnings,
};

/// Most inputs that wait for the loop.
const RESULTS_MAX: usize = 1024;
/// Most questions that wait for the loop.
const ASKED_MAX: usize = 32;
/// Most news of the configuration that wait for the loop.
const NEWS_MAX: usize = 8;

/// An agent that can begin, and what its loop receives.
pub(super) struct Started {
    pub(super) agent: Agent,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) questions: mpsc::Receiver<Asked>,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) tasks: TaskTracker,
    /// Ends what runs beside the loop.
    pub(super) stop: CancellationToken,
    /// The lock of the service manager, until the agent ends.
    pub(super) alone: Alone,
}

/// Puts the parts together.
///
/// # Errors
/// No valid configuration, no usable state directory, or another agent has it.
pub(super) async fn start(options: Options) -> Result<Started> {
    let begun = Instant::now();
    let AtStart { stamp, configuration, refused } =
        reading::files_at_start(&options.config, &options.state_dir).await?;
    let (events, metrics) = (Events::new(), Arc::new(Metrics::new()));
    let warnings = Warnings::new(events.clone());
    let Ground { ledger, state, clock, plight, predecessor } = Ground::of(&options.state_dir, &warnings)?;
    let refused = going_on(refused, &configuration, &state)?;
    let alone = Alone::take(&options.state_dir).await?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let host = this_host(&options, &configuration, &tasks);
    let inventory = first_inventory(&host, &configuration).await;
    let read = reading::evaluated_at_start(&options.config, configuration, inventory, Edition::of(&state)).await?;
    let Evaluated { configuration, inventory, bundle } = read;
    let outbox = open_outbox(&options.state_dir, &bundle, deliveries::observer(&metrics, &warnings, &clock));
    let notifier = notifier(&inventory.hostname, &configuration);
    spawn_delivery(&outbox, notifier.clone(), clock.clone(), &tasks, &stop);
    if let Some(what) = &plight {
        plight::tell(&outbox, &bundle, clock.now(), what);
    }
    let (results, inputs) = mpsc::channel(RESULTS_MAX);
    let (asked, questions) = mpsc::channel(ASKED_MAX);
    let socket = Socket { path: options.runtime_dir.join("api.sock"), asked, events: events.clone() };
    socket.open(&warnings, &clock, &tasks, &stop);
    watch(&host, &configuration, &bundle);
    let bytes_max = configuration.host_settings().journal_bytes_max.0;
    let recorder = Recorder::open(&options.state_dir.join("journal"), bytes_max);
    let engine = HostEngine::new(bundle, state, clock.now());
    let fleet = Fleet::new(&options, tasks.clone(), results.clone(), stop.clone());
    let shell = Shell::new(Parts {
        engine,
        clock: clock.clone(),
        ledger,
        host: host.clone(),
        outbox,
        reports: Reports::open(&options.state_dir.join("reports")),
        recorder,
        telemetry: Telemetry::new(metrics.clone(), events),
        trends: Trends::open(options.state_dir.join("trends.json"), clock.now().mono),
        hold_file: options.hold_file.clone(),
        tasks: tasks.clone(),
        results,
    });
    let (told, news) = mpsc::channel(NEWS_MAX);
    let beside = Beside::begin(options.hold_file.clone(), options.config.clone(), told.clone());
    let agent = Agent {
        beside: beside.inspect_err(|error| tracing::warn!("files are not looked at beside the loop: {error}")).ok(),
        watchdog: Watchdog::of_environment(),
        reader: Reader::new(options.config.clone(), Folder::of(&options.state_dir), host.clone(), tasks.clone(), told),
        in_force: InForce::new(&options.state_dir, &options.config, tasks.clone()),
        options,
        shell,
        host,
        configuration: Arc::new(configuration),
        configuration_error: refused,
        predecessor,
        inventory,
        stamp,
        begun,
        has_new_units: false,
        abilities: Abilities::new(warnings.clone(), clock.clone(), tasks.clone()),
        background: BackgroundTasks::new(metrics, warnings.clone(), clock.clone(), tasks.clone()),
        warnings,
        housekeeping: Housekeeping::new(clock.now()),
        plight: Plight::told(plight.is_some()),
        trials: Trials::new(notifier, tasks.clone()),
        fleet,
    };
    Ok(Started { agent, inputs, questions, news, tasks, stop, alone })
}

/// What is told of files that are refused while what was in force goes on.
///
/// # Errors
/// When what is kept is not what this host applied last: an older one may do what nobody wants any more.
fn going_on(refused: Option<Diagnostics>, kept: &Configuration, state: &State) -> Result<Option<String>> {
    let Some(refused) = refused else { return Ok(None) };
    if !in_force::is_the_last(kept, state) {
        return Err(refused.into());
    }
    tracing::error!("the configuration is refused; the one before it goes on, as it was kept:\n{refused}");
    Ok(Some(refused.to_string()))
}

fn this_host(options: &Options, configuration: &Configuration, tasks: &TaskTracker) -> LinuxHost {
    let redact = configuration.host_settings().redact.clone();
    let host = LinuxHost::new(HostOptions { redact, ..HostOptions::this_machine(options.state_dir.clone()) }, tasks);
    host.end_drills(tasks);
    host
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

fn open_outbox(state_dir: &Path, bundle: &Bundle, deliveries: Observer) -> Outbox {
    Outbox::open(&state_dir.join("outbox"), &routes(bundle), deliveries)
}

fn notifier(hostname: &str, configuration: &Resting) -> Arc<Notifier<HyperClient>> {
    if let Some(trouble) = zone::system().trouble {
        tracing::warn!("{trouble}");
    }
    let zones = Arc::new(|| zone::system().zone);
    let notifier = Notifier::new(hostname, zones, Resolver::default(), Arc::new(HyperClient::new()));
    Arc::new(notifier.redacting(Redactor::new(&configuration.host_settings().redact)))
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
