//! The one thread that writes the store: a transaction at a time, each told when it is done. The loop never waits for a disk.

use std::{
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use ansai_model::time::WallTime;
use ansai_protocol::record::Record;
use ansai_store::Store;
use tokio::sync::mpsc;

/// Most incidents that are forgotten at once: nobody waits longer for a save because of it.
const FORGOTTEN_MAX: usize = 500;

/// What the thread is told.
enum Job {
    Save { records: Vec<Record>, from: u64, through: u64 },
    Forget { opened_before: WallTime },
}

/// What came of a save: of which steps, and why they are not kept.
#[derive(Debug)]
pub(crate) struct Done {
    /// The number of the first save in it.
    pub(crate) from: u64,
    /// The number of the last one.
    pub(crate) through: u64,
    /// Why not.
    pub(crate) result: Result<(), String>,
}

/// Hands work to the thread. It ends when this is dropped, after what it was given.
#[derive(Debug)]
pub(crate) struct Keeper {
    jobs: SyncSender<Job>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has none to give.
    pub(crate) fn start(store: Arc<dyn Store>, done: mpsc::Sender<Done>) -> std::io::Result<Self> {
        // One save is under way, and at most one thing waits behind it.
        let (jobs, work) = sync_channel::<Job>(2);
        std::thread::Builder::new().name("store".into()).spawn(move || {
            for job in work {
                match job {
                    Job::Save { records, from, through } => {
                        let result = store.save(records).map_err(|error| error.to_string());
                        if done.blocking_send(Done { from, through, result }).is_err() {
                            return;
                        }
                    }
                    Job::Forget { opened_before } => {
                        if let Err(error) = store.forget(opened_before, FORGOTTEN_MAX) {
                            tracing::warn!("what is old was not forgotten: {error}");
                        }
                    }
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Saves these together. The loop has one save under way at most, so there is room.
    pub(crate) fn save(&self, records: Vec<Record>, from: u64, through: u64) -> Result<(), String> {
        let sent = self.jobs.try_send(Job::Save { records, from, through });
        sent.map_err(|_| "the thread that writes the store has ended".to_owned())
    }

    /// Forgets what ended and was opened so long before now; not this time when it is busy.
    pub(crate) fn forget(&self, now: WallTime, kept_for: Duration) {
        let kept_for = i64::try_from(kept_for.as_millis()).unwrap_or(i64::MAX);
        let opened_before = WallTime(now.0.saturating_sub(kept_for));
        match self.jobs.try_send(Job::Forget { opened_before }) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
