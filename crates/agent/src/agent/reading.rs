//! Reads and evaluates the configuration beside the loop, within a bounded time: its files may lie on a server that is
//! away, and thousands of services take a while. The loop hears of what came of it and decides what becomes of that.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ansai_config::{Configuration, Input, Resting};
use ansai_document::Diagnostics;
use ansai_engine::State;
use ansai_host::linux::{
    LinuxHost,
    aside::{self, Kind, Late, Work},
};
use ansai_model::{
    bundle::Bundle,
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    text::Text,
};
use ansai_protocol::{Problem, link::Held};
use anyhow::{Result, anyhow, bail};
use hyper::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{INVENTORY_WAIT, in_force, known};
use crate::{
    api::Reply,
    ceiling::{self, Ceiling},
    trust,
    uplink::{
        line::Offered,
        membership::{self, Folder},
    },
};

/// Longest reading and evaluation of a configuration.
const READ_MAX: Duration = Duration::from_secs(60);
/// Longest wait for when the files were changed.
const STAMP_MAX: Duration = Duration::from_secs(5);
/// How often the service manager hears that a start goes on, and how much longer it then waits.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
const PROGRESS_FOR_MICROS: u32 = 20_000_000;

/// What was found out beside the loop.
pub(super) enum News {
    /// Who looks at the files each second has seen something else than before: it is to be asked.
    Seen,
    /// When the files were changed last; why that is not known, when it is not.
    Stamp(Result<Option<SystemTime>, String>),
    /// The files were read anew.
    Read(Result<Box<Evaluated>, Refused>),
    /// The same configuration for the units and filesystems of now; nothing when they are those it was evaluated for.
    Inventory(Result<Option<Box<Evaluated>>, Refused>),
    /// The files were read over another configuration of the fleet, which is kept if that is valid.
    Offered(Held, Result<Box<Evaluated>, Refused>),
    /// The files were read to say what would come of them, to whom that is to be answered.
    Rehearsed(Result<Box<Evaluated>, Refused>, oneshot::Sender<Reply>),
}

/// Why a configuration does not come into force.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not valid.
    Wrong(String),
    /// It has not been read in time, and may yet be.
    Late(String),
}

impl Refused {
    pub(super) fn why(&self) -> &str {
        let (Self::Wrong(why) | Self::Late(why)) = self;
        why
    }
}

fn late(late: Late) -> Refused {
    Refused::Late(late.to_string())
}

/// Which files were applied last on this host, as its ledger knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edition {
    generation: u64,
    fingerprint: u64,
}

impl Edition {
    pub(super) fn of(state: &State) -> Self {
        Self { generation: state.generation, fingerprint: state.fingerprint }
    }

    /// What files come to after these: those that declare no generation are the same edition when their texts are the
    /// same, and the next one otherwise.
    ///
    /// # Errors
    /// When they do not fit together, or declare an older generation, or the owner's ceiling beside them is wrong.
    fn followed_by(
        self,
        config: &Path,
        configuration: &Configuration,
        inventory: &Inventory,
    ) -> Result<Bundle, Refused> {
        let fingerprint = configuration.fingerprint();
        if let Some(declared) = configuration.generation().filter(|declared| *declared < self.generation) {
            return Err(Refused::Wrong(format!(
                "the files are generation {declared}, and this host has applied {}: an older one is refused; distribute \
                 the newest ones, or declare `generation: {}` if these are right",
                self.generation,
                self.generation.saturating_add(1)
            )));
        }
        let next = match fingerprint == self.fingerprint {
            true => self.generation.max(1),
            false => self.generation.saturating_add(1),
        };
        let bundle = configuration.bundle(inventory, next).map_err(|wrong| Refused::Wrong(wrong.to_string()))?;
        let ceiling = Ceiling::of(config).map_err(|wrong| Refused::Wrong(wrong.to_string()))?;
        Ok(ceiling.over(bundle).made_of(fingerprint))
    }
}

/// A configuration and what it says for this host.
pub(super) struct Evaluated {
    pub(super) configuration: Resting,
    pub(super) inventory: Inventory,
    pub(super) bundle: Bundle,
}

impl Evaluated {
    /// What stays of both once they were evaluated: nothing is deduced from descriptions of units, and a thousand take room.
    fn new(configuration: &Configuration, mut inventory: Inventory, bundle: Bundle) -> Self {
        let configuration = configuration.rest(&inventory);
        let none = Text::new("");
        inventory.units.iter_mut().for_each(|unit| unit.description = none.clone());
        Self { configuration, inventory, bundle }
    }

    /// Whether it says another thing than what is in force, of which it is made: for other units, or since the same texts
    /// mean something else once an emergency layer has ended or the civil time has changed.
    pub(super) fn says_another_thing(&self, before: &Resting, in_force: &Bundle) -> bool {
        let is_other_time = self.configuration.holds_until() != before.holds_until();
        is_other_time || self.bundle.parts().checks != in_force.parts().checks
    }
}

/// Begins readings, one at a time.
pub(super) struct Reader {
    path: PathBuf,
    /// Where the fleet's configuration is kept.
    folder: Folder,
    host: LinuxHost,
    tasks: TaskTracker,
    news: mpsc::Sender<News>,
    is_asking: bool,
    is_reading: bool,
    is_rehearsing: bool,
    /// Whether the files are to be read as soon as nothing is.
    pub(super) is_wanted: bool,
    /// Whether the files are not answered for, which has been told.
    pub(super) is_late: bool,
    /// Whether an evaluation of what the host has did not end in time: it is asked for again when the files are next.
    is_unevaluated: bool,
    /// Who waits for what comes of a reading that has not begun, and of the one that is under way.
    asked: Vec<oneshot::Sender<Reply>>,
    heard_of: Vec<oneshot::Sender<Reply>>,
}

impl Reader {
    /// Nothing is under way; what is found is told to `news`.
    pub(super) fn new(
        path: PathBuf,
        folder: Folder,
        host: LinuxHost,
        tasks: TaskTracker,
        news: mpsc::Sender<News>,
    ) -> Self {
        Self {
            path,
            folder,
            host,
            tasks,
            news,
            is_asking: false,
            is_reading: false,
            is_rehearsing: false,
            is_wanted: false,
            is_late: false,
            is_unevaluated: false,
            asked: Vec::new(),
            heard_of: Vec::new(),
        }
    }

    /// Whether a reading or an evaluation is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Has the files read for somebody who waits for what comes of it. A reading that is under way may have begun before they
    /// were written, so it is the next one that counts.
    pub(super) fn want(&mut self, reply: oneshot::Sender<Reply>) {
        self.is_wanted = true;
        self.asked.push(reply);
    }

    /// Tells those who waited for the reading that has ended what came of it.
    pub(super) fn answer(&mut self, reply: &Reply) {
        for waiting in self.heard_of.drain(..) {
            // Whoever asked may have gone.
            let _ = waiting.send(reply.clone());
        }
    }

    /// Whether what the host has was late to be evaluated, and is to be again; said once, about a second later.
    pub(super) fn is_to_evaluate_again(&mut self) -> bool {
        std::mem::take(&mut self.is_unevaluated)
    }

    /// Takes note of what has ended; says whether what the host has is to be evaluated again.
    #[must_use]
    pub(super) fn has_heard(&mut self, news: &News) -> bool {
        match news {
            News::Seen => false,
            News::Stamp(_) => {
                self.is_asking = false;
                self.is_to_evaluate_again()
            }
            News::Read(_) | News::Offered(..) => {
                self.is_reading = false;
                false
            }
            News::Rehearsed(..) => {
                self.is_rehearsing = false;
                false
            }
            News::Inventory(evaluated) => {
                self.is_reading = false;
                // What is late is asked for again, and not at once: what hangs would be asked all the time.
                self.is_unevaluated = matches!(evaluated, Err(Refused::Late(_)));
                false
            }
        }
    }

    /// Asks when the files were changed, unless that is being asked.
    pub(super) fn ask_stamp(&mut self) {
        if std::mem::replace(&mut self.is_asking, true) {
            return;
        }
        let (path, news) = (self.path.clone(), self.news.clone());
        self.tasks.spawn(async move {
            let asked = path.clone();
            let stamp = aside::run(stamp_of(&path), STAMP_MAX, move || ceiling::changed_at(&asked)).await;
            // The receiver is gone only when the agent stops.
            let _ = news.send(News::Stamp(stamp.map_err(|late| late.to_string()))).await;
        });
    }

    /// Reads the files and evaluates them.
    pub(super) fn read(&mut self, before: Inventory, last: Edition) {
        self.is_reading = true;
        self.heard_of.append(&mut self.asked);
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        let (asked, folder) = (path.clone(), self.folder.clone());
        self.tasks.spawn(async move {
            let read = read_anew(&path, move || trust::of_fleet(&asked, &folder), &host, &before, last);
            let _ = news.send(News::Read(in_time(&path, read).await)).await;
        });
    }

    /// Reads the files over what the fleet offers, and keeps that when it is valid here: it is kept before it is in force.
    pub(super) fn take(&mut self, offered: Offered, before: Inventory, last: Edition) {
        self.is_reading = true;
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        let (asked, folder) = (path.clone(), self.folder.clone());
        self.tasks.spawn(async move {
            let Offered { signed, bundle } = offered;
            let (held, texts) = (bundle.held.clone(), membership::texts_of(bundle));
            let mut read = in_time(
                &path,
                read_anew(&path, move || Ceiling::of(&asked)?.takes_new(&asked).map(|()| texts), &host, &before, last),
            )
            .await;
            if read.is_ok() {
                let work = Work::new(Kind::Own, "the fleet's configuration");
                let kept = aside::run(work, READ_MAX, move || folder.keep_bundle(&signed)).await.map_err(late);
                let kept = kept.and_then(|kept| kept.map_err(|error| Refused::Wrong(error.to_string())));
                read = kept.and(read);
            }
            let _ = news.send(News::Offered(held, read)).await;
        });
    }

    /// Reads the files and evaluates them for somebody who wants to know what would come of it, one at a time.
    pub(super) fn rehearse(&mut self, before: Inventory, last: Edition, reply: oneshot::Sender<Reply>) {
        if std::mem::replace(&mut self.is_rehearsing, true) {
            let busy = Problem::new("another dry run is reading the configuration", "ask again when it has ended");
            // Whoever asked may have gone.
            let _ = reply.send(Err((StatusCode::SERVICE_UNAVAILABLE, busy)));
            return;
        }
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        let (asked, folder) = (path.clone(), self.folder.clone());
        self.tasks.spawn(async move {
            let read =
                in_time(&path, read_anew(&path, move || trust::of_fleet(&asked, &folder), &host, &before, last)).await;
            let _ = news.send(News::Rehearsed(read, reply)).await;
        });
    }

    /// Evaluates the configuration in force for what this host has now, unless that is what it was evaluated for: understanding
    /// thousands of services takes as much memory as all that stays of them.
    pub(super) fn evaluate(&mut self, configuration: Arc<Resting>, before: Inventory, last: Edition) {
        self.is_reading = true;
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        self.tasks.spawn(async move {
            let evaluated = async {
                let inventory = inventory_of(&host, Arc::clone(&configuration), Resting::concerns, &before).await;
                // What ends one day means something else then.
                if configuration.holds_until().is_none() && is_alike(&inventory, &before) {
                    return Ok(None);
                }
                let work = Work::new(Kind::Own, format!("the configuration {} in force", path.display()));
                let awake = aside::run(work, READ_MAX, move || configuration.wake()).await.map_err(late)?;
                let awake = awake.map_err(|wrong| Refused::Wrong(wrong.to_string()))?;
                evaluate(&path, Arc::new(awake), inventory, last).await.map(|evaluated| Some(Box::new(evaluated)))
            };
            let _ = news.send(News::Inventory(in_time(&path, evaluated).await)).await;
        });
    }
}

fn stamp_of(path: &Path) -> Work {
    Work::new(Kind::Own, path.display().to_string()).on([path])
}

async fn in_time<T>(path: &Path, evaluated: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    match tokio::time::timeout(READ_MAX, Box::pin(evaluated)).await {
        Ok(evaluated) => evaluated,
        Err(_) => Err(Refused::Late(format!("{} has not been read within {}s", path.display(), READ_MAX.as_secs()))),
    }
}

/// Reads the files and evaluates them for what this host has now.
async fn read_anew(
    path: &Path,
    of_fleet: impl FnOnce() -> Result<Vec<Input>, Diagnostics> + Send + 'static,
    host: &LinuxHost,
    before: &Inventory,
    last: Edition,
) -> Result<Box<Evaluated>, Refused> {
    let configuration = Arc::new(load(path, of_fleet).await?);
    let concerned = Arc::clone(&configuration);
    let inventory = inventory_of(host, concerned, Configuration::concerns, before).await;
    evaluate(path, configuration, inventory, last).await.map(Box::new)
}

async fn load(
    path: &Path,
    of_fleet: impl FnOnce() -> Result<Vec<Input>, Diagnostics> + Send + 'static,
) -> Result<Configuration, Refused> {
    let asked = path.to_owned();
    let work = Work::new(Kind::Own, format!("the configuration {}", path.display())).on([path]);
    let loaded = aside::run(work, READ_MAX, move || trust::load(&asked, of_fleet()?)).await;
    loaded.map_err(late)?.map_err(|wrong| Refused::Wrong(wrong.to_string()))
}

/// What the host has, as far as a configuration is concerned; what it had, when it does not say.
async fn inventory_of<C>(
    host: &LinuxHost,
    configuration: Arc<C>,
    concerns: fn(&C, &str) -> bool,
    before: &Inventory,
) -> Inventory {
    let asked = host.inventory_of(move |unit: &UnitName| concerns(&configuration, unit.as_str()));
    known(before, tokio::time::timeout(INVENTORY_WAIT, Box::pin(asked)).await.ok())
}

/// Whether an evaluation for one comes to the same as for the other: what its units do and the figures change all the time,
/// and are no part of what is deduced.
fn is_alike(one: &Inventory, other: &Inventory) -> bool {
    let is_alike = |(one, other): (&UnitFacts, &UnitFacts)| {
        let (active, description) = (other.active, other.description.clone());
        *other == UnitFacts { active, description, ..one.clone() }
    };
    one.units.len() == other.units.len()
        && one.units.iter().zip(&other.units).all(is_alike)
        && *other == Inventory { units: other.units.clone(), facts: other.facts.clone(), ..one.clone() }
}

async fn evaluate(
    path: &Path,
    configuration: Arc<Configuration>,
    inventory: Inventory,
    last: Edition,
) -> Result<Evaluated, Refused> {
    let work = Work::new(Kind::Own, format!("the evaluation of {}", path.display()));
    let asked = path.to_owned();
    let evaluates = move || {
        let bundle = last.followed_by(&asked, &configuration, &inventory)?;
        Ok(Evaluated::new(&configuration, inventory, bundle))
    };
    aside::run(work, READ_MAX, evaluates).await.map_err(late)?
}

/// What a start goes by.
pub(super) struct AtStart {
    /// When the files were changed last, before they were read.
    pub(super) stamp: Option<SystemTime>,
    pub(super) configuration: Configuration,
    /// Why the files are refused, when the configuration is what was in force before.
    pub(super) refused: Option<Diagnostics>,
}

/// Reads the files; those that are wrong are replaced by what was in force, when that is kept.
///
/// # Errors
/// When they are not valid and nothing is kept, or when they are not read within a minute.
pub(super) async fn files_at_start(path: &Path, state_dir: &Path) -> Result<AtStart> {
    let (asked, state_dir) = (path.to_owned(), state_dir.to_owned());
    let read = move || -> Result<AtStart> {
        let stamp = ceiling::changed_at(&asked);
        let refused = match trust::begin(&asked, &state_dir) {
            Ok(configuration) => return Ok(AtStart { stamp, configuration, refused: None }),
            Err(error) => error.downcast::<Diagnostics>()?,
        };
        match in_force::instead_of(&asked, &state_dir) {
            Ok(configuration) => Ok(AtStart { stamp, configuration, refused: Some(refused) }),
            Err(why) => {
                tracing::debug!("no configuration of before takes the place of the one that is refused: {why:#}");
                Err(refused.into())
            }
        }
    };
    at_start("reading", path, read).await?
}

/// Evaluates what was read.
///
/// # Errors
/// When it does not fit together, or not within a minute.
pub(super) async fn evaluated_at_start(
    path: &Path,
    configuration: Configuration,
    inventory: Inventory,
    last: Edition,
) -> Result<Evaluated> {
    let asked = path.to_owned();
    let evaluate = move || {
        let bundle = last.followed_by(&asked, &configuration, &inventory);
        let bundle = bundle.map_err(|refused| anyhow!("{}", refused.why()))?;
        Ok(Evaluated::new(&configuration, inventory, bundle))
    };
    at_start("evaluation", path, evaluate).await?
}

/// Does what a start waits for aside, and tells the service manager again and again that it goes on.
///
/// # Errors
/// When it has not ended within a minute.
async fn at_start<T: Send + 'static>(
    what: &'static str,
    path: &Path,
    does: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let begun = Instant::now();
    let work = Work::new(Kind::Own, format!("the {what} of {}", path.display())).on([path]);
    let done = aside::run(work, READ_MAX, does);
    tokio::pin!(done);
    loop {
        tokio::select! {
            done = &mut done => match done {
                Ok(done) => return Ok(done),
                Err(late) => bail!("the configuration cannot be used: {late}"),
            },
            () = tokio::time::sleep(PROGRESS_EVERY) => {
                let text = format!("the {what} of {} has taken {} s", path.display(), begun.elapsed().as_secs());
                tracing::info!("{text}");
                let extend = sd_notify::NotifyState::ExtendTimeoutUsec(PROGRESS_FOR_MICROS);
                // Without a service manager nobody listens, which is fine.
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(&text), extend]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
