//! The door to the local API: opened at the start, and tried again while there is no room for it or its folder. Healing
//! does not wait for it. What is answered behind it is the API's.

use std::{io, path::PathBuf, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{self, Asked},
    clock::Clock,
    events::Events,
    warnings::{Topic, Warnings},
};

/// How often it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What the API needs.
pub(super) struct Socket {
    /// The path of the file.
    pub(super) path: PathBuf,
    /// Where questions go.
    pub(super) asked: mpsc::Sender<Asked>,
    /// What the stream tells.
    pub(super) events: Events,
}

impl Socket {
    /// Opens it now, or as soon as it can be.
    pub(super) fn open(self, warnings: &Warnings, clock: &Clock, tasks: &TaskTracker, stop: &CancellationToken) {
        let Err(error) = self.serve(tasks, stop) else { return };
        self.warn(warnings, clock, &error);
        let (warnings, clock, all, stop) = (warnings.clone(), clock.clone(), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
                match self.serve(&all, &stop) {
                    Ok(()) => break,
                    Err(error) => self.warn(&warnings, &clock, &error),
                }
            }
            tracing::info!("{}: the socket is there", self.path.display());
            warnings.end(Topic::Socket);
        });
    }

    fn serve(&self, tasks: &TaskTracker, stop: &CancellationToken) -> io::Result<()> {
        api::serve(&self.path, self.asked.clone(), self.events.clone(), tasks, stop.clone())
    }

    fn warn(&self, warnings: &Warnings, clock: &Clock, error: &io::Error) {
        let text = format!(
            "{}: the socket cannot be made: {}; nobody can ask the agent anything until it can be",
            self.path.display(),
            ansai_files::said(error)
        );
        warnings.raise(clock.now().wall, Topic::Socket, text);
    }
}
