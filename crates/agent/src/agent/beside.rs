//! ProbeQueue once a second, beside the loop, at the files that people change: HOLD, and when the configuration was changed
//! last. One thread does both in one pass, since an agent at rest is little else than this. It reads no configuration and
//! decides nothing; a file that does not answer keeps only this thread, and then the loop has each file looked at alone.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use ansai_model::text::Text;
use tokio::sync::mpsc;

use super::reading::News;
use crate::{ceiling, hold_file};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How long what was seen is what is there: longer than a pass and the pause before the next one.
const FRESH: Duration = Duration::from_millis(2500);

/// What a pass has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigurationSeen {
    /// What HOLD says; none when it is not there.
    pub(super) hold: Option<Text>,
    /// When the configuration was changed last; none when there is none.
    pub(super) stamp: Option<SystemTime>,
}

type Last = Arc<Mutex<Option<(Instant, ConfigurationSeen)>>>;

/// The thread that looks; it ends when this is dropped.
pub(super) struct Beside {
    last: Last,
    _stop: SyncSender<()>,
}

impl Beside {
    /// Begins to look; whenever it sees something else than before, the loop is told to ask.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn begin(hold: PathBuf, configuration: PathBuf, news: mpsc::Sender<News>) -> std::io::Result<Self> {
        let look =
            move || ConfigurationSeen { hold: hold_file::read(&hold), stamp: ceiling::changed_at(&configuration) };
        Self::with(EVERY, look, news)
    }

    fn with(
        every: Duration,
        look: impl Fn() -> ConfigurationSeen + Send + 'static,
        news: mpsc::Sender<News>,
    ) -> std::io::Result<Self> {
        let last = Last::default();
        let (stop, stopped) = sync_channel(0);
        let written = Arc::clone(&last);
        let looks = move || {
            loop {
                // What is told is of a time at which it was surely so: before it was looked for.
                let (begun, seen) = (Instant::now(), look());
                let before = written.lock().unwrap_or_else(PoisonError::into_inner).replace((begun, seen.clone()));
                if before.is_none_or(|(_, before)| before != seen) {
                    // A loop that has no room for it asks within a second.
                    let _ = news.try_send(News::Seen);
                }
                // Nobody sends anything: the other end goes with the agent.
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("files".into()).stack_size(hold_file::STACK_BYTES).spawn(looks)?;
        Ok(Self { last, _stop: stop })
    }

    /// What the last pass has seen; none when that is too long ago.
    pub(super) fn seen(&self) -> Option<ConfigurationSeen> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, seen)| seen.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    async fn told(heard: &mut mpsc::Receiver<News>) {
        let news = tokio::time::timeout(LONG, heard.recv()).await.expect("in time");
        assert!(matches!(news, Some(News::Seen)));
    }

    #[tokio::test]
    async fn a_change_of_either_file_is_told_and_no_other_pass_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let (hold, configuration) = (folder.path().join("HOLD"), folder.path().join("ansai.yaml"));
        let (news, mut heard) = mpsc::channel(8);
        let beside = Beside::begin(hold.clone(), configuration.clone(), news).expect("a thread");
        told(&mut heard).await;
        assert_eq!(beside.seen(), Some(ConfigurationSeen { hold: None, stamp: None }));
        std::fs::write(&hold, "stop").expect("written");
        told(&mut heard).await;
        assert_eq!(beside.seen(), Some(ConfigurationSeen { hold: Some("stop".into()), stamp: None }));
        std::fs::write(&configuration, "").expect("written");
        told(&mut heard).await;
        assert_eq!(beside.seen().map(|seen| seen.stamp), Some(ceiling::changed_at(&configuration)));
        assert!(heard.try_recv().is_err());
        drop(beside);
        assert!(tokio::time::timeout(LONG, heard.recv()).await.expect("it ends").is_none());
    }

    #[tokio::test]
    async fn what_was_seen_before_a_file_hung_is_not_told_for_long() {
        let (news, mut heard) = mpsc::channel(8);
        let (go_on, gate) = sync_channel::<()>(0);
        let gate = Mutex::new(gate);
        let look = move || {
            // It waits until the test is over.
            let _ = gate.lock().expect("held by nobody else").recv();
            ConfigurationSeen { hold: None, stamp: None }
        };
        let beside = Beside::with(Duration::ZERO, look, news).expect("a thread");
        assert_eq!(beside.seen(), None);
        go_on.send(()).expect("it looks");
        told(&mut heard).await;
        let is_gone = async {
            while beside.seen().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, is_gone).await.expect("it is old");
        drop(go_on);
    }
}
