//! Puts a controller together: store, CA, port, socket, engine, and the loop that turns until it is told to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ansai_fleet::{FleetEngine, FleetInput};
use ansai_link::{accept::Acceptor, authority::Authority, https::HttpsAcceptor, key::Key};
use ansai_model::time::{MonoTime, Now, WallTime};
use ansai_protocol::{link::ControllerId, record::FleetState};
use ansai_store::{Store, sqlite::SqliteStore};
use anyhow::{Context, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{self, Asked},
    carrier::Carrier,
    home::{Home, HomeError},
    keeper::{Done, Keeper},
    links, network,
    settings::Settings,
    shell::{Parts, Shell},
    telling::Telling,
    unwell::Unwell,
};

/// Most news of links that wait for the loop; whoever has more to say waits.
const NEWS_MAX: usize = 1_024;
/// Most groups of messages of which it waits to be heard that they are on the disk; more wait before they say it.
const QUEUED_MAX: usize = 64;
/// Most questions that wait.
const ASKED_MAX: usize = 32;
/// How often the controller's own certificate is made anew; it lasts three times as long.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10 * 86_400);
/// How often what is old is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Longest wait for a save that is under way when the controller is told to stop.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What a controller is run with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its things are.
    pub home: Home,
    /// What its file says.
    pub settings: Settings,
    /// Where its socket is made.
    pub runtime_dir: PathBuf,
}

/// The time by both clocks. Nothing of the engine's waits outlives its process, so the boot's own clock does.
pub(crate) fn now() -> Now {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let mono = MonoTime(boot.tv_sec.saturating_mul(1_000_000_000).saturating_add(boot.tv_nsec));
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Now { mono, wall: WallTime::default().plus(since) }
}

/// What takes connections with a certificate that was just made. Its key is kept nowhere.
fn acceptor(authority: &Authority, controller: ControllerId) -> Result<Acceptor, HomeError> {
    let key = Key::generate()?;
    let signed = authority.sign_controller(&key, controller, now().wall)?;
    Ok(Acceptor::new(&key, &signed.certificate, authority.certificate_pem(), &authority.roots()?)?)
}

/// Answers the API over the network from now on, where the file says so; what it shows later is told to what comes back.
fn open(
    settings: &Settings,
    authority: &Authority,
    controller: ControllerId,
    asked: &mpsc::Sender<Asked>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Option<watch::Sender<HttpsAcceptor>>> {
    let Some(api) = &settings.api else { return Ok(None) };
    let first = network::acceptor(settings, api, authority, controller).context("the API")?;
    let listener = links::listen(api.listen).with_context(|| format!("the API cannot listen on {}", api.listen))?;
    let (renewed, acceptors) = watch::channel(first);
    network::serve(listener, acceptors, asked.clone(), tasks.clone(), stop.clone()).context("no thread for the API")?;
    tracing::info!("the API is asked on {}", api.listen);
    Ok(Some(renewed))
}

/// The API shows a certificate that was just made, or what lies in its files now: whoever renews it restarts nothing.
fn renew(
    acceptor: Option<&watch::Sender<HttpsAcceptor>>,
    settings: &Settings,
    authority: &Authority,
    controller: ControllerId,
) {
    let (Some(acceptor), Some(api)) = (acceptor, &settings.api) else { return };
    match network::acceptor(settings, api, authority, controller) {
        Ok(fresh) => drop(acceptor.send(fresh)),
        Err(error) => tracing::error!("the certificate of the API stays as it was: {error}"),
    }
}

/// The engine that goes on from what is kept, by what the file says.
fn engine(state: FleetState, settings: &Settings) -> FleetEngine {
    FleetEngine::new(state, now())
        .silent_after(settings.silent_after)
        .permit_rules(settings.permits.clone())
        .telling_by(settings.routes.clone())
        .taking(settings.tells_for_hosts)
}

/// A beat, the first one at once; one that is late puts off the next.
fn every(period: Duration) -> Interval {
    let mut beat = interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no store that can be used, no CA, a port or a socket that cannot be had.
pub async fn run(options: Options) -> Result<()> {
    let Options { home, settings, runtime_dir } = options;
    let authority = home.authority()?;
    let store = Arc::new(SqliteStore::open(&home.store()).map_err(HomeError::from)?);
    // Hosts that come while the state is read wait for it; refused ones would come again later and later.
    let listener =
        links::listen(settings.listen).with_context(|| format!("it cannot listen on {}", settings.listen))?;
    let state = store.state().map_err(HomeError::from)?;
    let (controller, epoch) = (state.controller, state.epoch);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (done, mut saves) = mpsc::channel(4);
    let (news, mut heard) = mpsc::channel(NEWS_MAX);
    let (asked, mut questions) = mpsc::channel(ASKED_MAX);
    let (told, mut queued) = mpsc::channel(QUEUED_MAX);
    let (new_acceptor, acceptors) = watch::channel(acceptor(&authority, controller)?);
    let api_acceptor = open(&settings, &authority, controller, &asked, &tasks, &stop)?;
    let port = listener.local_addr().map_or(settings.listen, |address| address);
    let socket = runtime_dir.join("api.sock");
    api::serve(&socket, asked, &tasks, stop.clone()).with_context(|| socket.display().to_string())?;
    let shared = Arc::new(links::Shared::new(acceptors, news, tasks.clone(), stop.clone()));
    links::serve(listener, &shared).context("no threads for the links")?;
    let carrier = Carrier::new(&home.state_dir, &runtime_dir, shared, tasks.clone(), stop.clone());
    let hosts = state.hosts.len();
    let keeper = Keeper::start(store.clone(), done).context("no thread for the store")?;
    let mut shell = Shell::new(Parts {
        unwell: Unwell::new(&state),
        engine: engine(state, &settings),
        controller,
        epoch,
        authority,
        store,
        keeper,
        tasks: tasks.clone(),
        expected: settings.expected_hosts.clone(),
        telling: Telling::begin(&home.state_dir, settings.routes.clone(), told, &tasks, &stop),
        carrier,
    });
    tracing::info!("listening on {port}; {hosts} hosts are known");
    // Without a service manager nobody listens, which is fine.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (mut second, mut certificate, mut old) =
        (every(Duration::from_secs(1)), every(CERTIFICATE_EVERY), every(FORGET_EVERY));
    loop {
        // Every arm only receives: nothing is lost when another one is chosen first.
        tokio::select! {
            Some(done) = saves.recv() => shell.saved(done),
            Some(news) = heard.recv(), if shell.has_room() => shell.hear(news),
            Some(asked) = questions.recv() => shell.answer(asked),
            Some(number) = queued.recv() => shell.step(FleetInput::Told { number }),
            _ = second.tick() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                shell.step(FleetInput::Tick);
                shell.carry();
            }
            _ = certificate.tick() => match acceptor(shell.authority(), controller) {
                Ok(fresh) => drop(new_acceptor.send(fresh)),
                Err(error) => tracing::error!("the controller's certificate could not be made anew: {error}"),
            },
            _ = old.tick() => {
                shell.forget(settings.incidents_kept_for);
                renew(api_acceptor.as_ref(), &settings, shell.authority(), controller);
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
    tasks.close();
    wound_down(&mut shell, &mut saves).await;
    Ok(())
}

/// Waits for the save that is under way when the controller is told to stop.
async fn wound_down(shell: &mut Shell, saves: &mut mpsc::Receiver<Done>) {
    while shell.is_saving() {
        match timeout(STOP_WAIT, saves.recv()).await {
            Ok(Some(done)) => shell.saved(done),
            Ok(None) | Err(_) => return,
        }
    }
}
