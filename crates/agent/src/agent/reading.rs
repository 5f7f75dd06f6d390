//! Reads and evaluates the configuration beside the loop, within a bounded time: its files may lie on a server that is
//! away, and thousands of services take a while. The loop hears of what came of it and decides what becomes of that.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ansai_config::Configuration;
use ansai_host::linux::{
    LinuxHost,
    aside::{self, Kind, Late, Work},
};
use ansai_model::{bundle::Bundle, id::UnitName, inventory::Inventory};
use anyhow::{Result, bail};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{INVENTORY_WAIT, known};
use crate::trust;

/// Longest reading and evaluation of a configuration.
const READ_MAX: Duration = Duration::from_secs(60);
/// Longest wait for when the files were changed.
const STAMP_MAX: Duration = Duration::from_secs(5);
/// How often the service manager hears that a start goes on, and how much longer it then waits.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
const PROGRESS_FOR_MICROS: u32 = 20_000_000;

/// What was found out beside the loop.
pub(super) enum News {
    /// When the files were changed last; why that is not known, when it is not.
    Stamp(Result<Option<SystemTime>, String>),
    /// The files were read anew.
    Read(Result<Box<Evaluated>, Refused>),
    /// The same configuration for the units and filesystems of now.
    Inventory(Result<Box<Evaluated>, Refused>),
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

/// A configuration and what it says for this host.
pub(super) struct Evaluated {
    pub(super) configuration: Arc<Configuration>,
    pub(super) inventory: Inventory,
    pub(super) bundle: Bundle,
}

/// Begins readings, one at a time.
pub(super) struct Reader {
    path: PathBuf,
    host: LinuxHost,
    tasks: TaskTracker,
    news: mpsc::Sender<News>,
    is_asking: bool,
    is_reading: bool,
    /// Whether the files are to be read as soon as nothing is.
    pub(super) is_wanted: bool,
    /// Whether the files are not answered for, which has been told.
    pub(super) is_late: bool,
}

impl Reader {
    /// Nothing is under way; what is found is told to `news`.
    pub(super) fn new(path: PathBuf, host: LinuxHost, tasks: TaskTracker, news: mpsc::Sender<News>) -> Self {
        Self { path, host, tasks, news, is_asking: false, is_reading: false, is_wanted: false, is_late: false }
    }

    /// Whether a reading or an evaluation is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Takes note of what has ended.
    pub(super) fn has_heard(&mut self, news: &News) {
        match news {
            News::Stamp(_) => self.is_asking = false,
            News::Read(_) | News::Inventory(_) => self.is_reading = false,
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
            let stamp = aside::run(stamp_of(&path), STAMP_MAX, move || ansai_config::changed_at(&asked)).await;
            // The receiver is gone only when the agent stops.
            let _ = news.send(News::Stamp(stamp.map_err(|late| late.to_string()))).await;
        });
    }

    /// Reads the files and evaluates them.
    pub(super) fn read(&mut self, before: Inventory, generation: u64) {
        self.is_reading = true;
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        self.tasks.spawn(async move {
            let read = async {
                let configuration = load(&path).await?;
                evaluate(&path, &host, configuration, &before, generation).await
            };
            let _ = news.send(News::Read(in_time(&path, read).await)).await;
        });
    }

    /// Evaluates a configuration that was read, for what this host has now.
    pub(super) fn evaluate(&mut self, configuration: Arc<Configuration>, before: Inventory, generation: u64) {
        self.is_reading = true;
        let (path, host, news) = (self.path.clone(), self.host.clone(), self.news.clone());
        self.tasks.spawn(async move {
            let evaluated = evaluate(&path, &host, configuration, &before, generation);
            let _ = news.send(News::Inventory(in_time(&path, evaluated).await)).await;
        });
    }
}

fn stamp_of(path: &Path) -> Work {
    Work::new(Kind::Own, path.display().to_string()).on([path])
}

async fn in_time(
    path: &Path,
    evaluated: impl Future<Output = Result<Evaluated, Refused>>,
) -> Result<Box<Evaluated>, Refused> {
    match tokio::time::timeout(READ_MAX, Box::pin(evaluated)).await {
        Ok(evaluated) => evaluated.map(Box::new),
        Err(_) => Err(Refused::Late(format!("{} has not been read within {}s", path.display(), READ_MAX.as_secs()))),
    }
}

async fn load(path: &Path) -> Result<Arc<Configuration>, Refused> {
    let asked = path.to_owned();
    let work = Work::new(Kind::Own, format!("the configuration {}", path.display())).on([path]);
    let loaded = aside::run(work, READ_MAX, move || trust::load(&asked)).await;
    loaded.map_err(late)?.map(Arc::new).map_err(|wrong| Refused::Wrong(wrong.to_string()))
}

async fn evaluate(
    path: &Path,
    host: &LinuxHost,
    mut configuration: Arc<Configuration>,
    before: &Inventory,
    generation: u64,
) -> Result<Evaluated, Refused> {
    let concerned = Arc::clone(&configuration);
    let asked = host.inventory_of(move |unit: &UnitName| concerned.concerns(unit.as_str()));
    let inventory = known(before, tokio::time::timeout(INVENTORY_WAIT, Box::pin(asked)).await.ok());
    let work = Work::new(Kind::Own, format!("the evaluation of {}", path.display()));
    let evaluates = move || {
        let bundle = configuration.bundle(&inventory, generation).map_err(|wrong| Refused::Wrong(wrong.to_string()))?;
        // Errors have named their lines by now. One that is in force has forgotten its texts already.
        if let Some(fresh) = Arc::get_mut(&mut configuration) {
            fresh.forget_texts();
        }
        Ok(Evaluated { configuration, inventory, bundle })
    };
    aside::run(work, READ_MAX, evaluates).await.map_err(late)?
}

/// Reads the files; says as well when they were changed before that.
///
/// # Errors
/// When they are not valid, or not read within a minute.
pub(super) async fn files_at_start(path: &Path, state_dir: &Path) -> Result<(Option<SystemTime>, Configuration)> {
    let (asked, state_dir) = (path.to_owned(), state_dir.to_owned());
    let read = move || (ansai_config::changed_at(&asked), trust::begin(&asked, &state_dir));
    let (stamp, configuration) = at_start("reading", path, read).await?;
    Ok((stamp, configuration?))
}

/// Evaluates what was read.
///
/// # Errors
/// When it does not fit together, or not within a minute.
pub(super) async fn evaluated_at_start(
    path: &Path,
    mut configuration: Configuration,
    inventory: Inventory,
) -> Result<(Configuration, Inventory, Bundle)> {
    let evaluate = move || {
        let bundle = configuration.bundle(&inventory, 1)?;
        configuration.forget_texts();
        Ok((configuration, inventory, bundle))
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
mod tests {
    use ansai_host::linux::Options;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// What a reading of this text comes to while its folder does not answer, or does.
    async fn check(text: &str, hangs: bool) -> Result<Box<Evaluated>, Refused> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ansai.yaml");
        std::fs::write(&path, text).expect("written");
        let options = Options { buses: Vec::new(), ..Options::this_machine(folder.path().to_owned()) };
        let tasks = TaskTracker::new();
        let (news, mut heard) = mpsc::channel(4);
        let mut reader = Reader::new(path.clone(), LinuxHost::new(options, &tasks), tasks, news);
        let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
        let stuck = Work::new(Kind::Own, format!("the configuration {}", path.display()));
        if hangs {
            let waits = move || {
                let _ = held.recv();
            };
            assert!(aside::run(stuck, Duration::from_millis(1100), waits).await.is_err());
        }
        reader.read(Inventory::default(), 1);
        assert!(reader.is_reading());
        let news = tokio::time::timeout(LONG, heard.recv()).await.expect("in time").expect("told");
        reader.has_heard(&news);
        assert!(!reader.is_reading());
        drop(hold);
        match news {
            News::Read(read) => read,
            News::Stamp(_) | News::Inventory(_) => panic!("it was not asked for"),
        }
    }

    #[tokio::test]
    async fn a_configuration_that_is_not_answered_for_is_late_and_one_that_is_wrong_is_wrong() {
        let Err(Refused::Late(why)) = check("services: {}", true).await else { panic!("it was read") };
        assert!(why.contains("ansai.yaml has not answered for "), "{why}");
        let Err(Refused::Wrong(why)) = check("servics: {}", false).await else { panic!("it is valid") };
        assert!(why.contains("ansai.yaml:1"), "{why}");
        let read = check("services: {app.service: {}}", false).await.expect("valid");
        assert_eq!(read.bundle.parts().targets.len(), 1);
    }
}
