//! The time that a stop takes: from the moment of SIGTERM on systemd is asked for more, from a thread of its own, since the
//! loop may stand still in a save while the signal comes, and what it has begun must not be ended for that.
//!
//! It deliberately stops nothing and asks for no more than a stop may take: a process that cannot end is systemd's to give up.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::STOP_WAIT;

/// How often it asks, and for how much: the unit's own `TimeoutStopSec=` is only for a process that cannot end.
const STEP: Duration = Duration::from_millis(500);
const STEP_LASTS: u32 = 2_000_000;
/// What is left, beyond the wait for actions, to the last saves and to the ends of drills.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Asks until it is dropped.
pub(super) struct StopTime {
    has_stopped: CancellationToken,
}

impl StopTime {
    /// Waits for SIGTERM beside the loop, which has to heed it as well: from here on the signal alone ends nothing.
    pub(super) fn watch() -> Self {
        let has_stopped = CancellationToken::new();
        let (stopped, (listens, is_there)) = (has_stopped.clone(), sync_channel(1));
        match std::thread::Builder::new().name("ansai-stop".into()).spawn(move || watch(&stopped, &listens)) {
            // A signal that comes from here on is heard; a thread that broke off says nothing, and is not waited for.
            Ok(_) => drop(is_there.recv()),
            Err(error) => {
                tracing::warn!("systemd will not be asked for time at a stop: no thread could be begun: {error}");
            }
        }
        Self { has_stopped }
    }
}

impl Drop for StopTime {
    fn drop(&mut self) {
        self.has_stopped.cancel();
    }
}

fn watch(has_stopped: &CancellationToken, listens: &SyncSender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let asks = async {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        let _ = listens.send(());
        terminate.recv().await;
        ask_for_time(|| {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(STEP_LASTS)]);
        })
        .await;
    };
    runtime.block_on(has_stopped.run_until_cancelled(asks));
}

/// Asks at once and then step by step, for as long as a stop may take.
async fn ask_for_time(ask: impl Fn()) {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < STOP_WAIT + LAST_WORDS {
        ask();
        tokio::time::sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_asked_for_without_a_gap_and_not_for_ever() {
        let begun = tokio::time::Instant::now();
        let asked = RefCell::new(Vec::new());
        ask_for_time(|| asked.borrow_mut().push(begun.elapsed())).await;
        let asked = asked.into_inner();
        assert_eq!(asked.first(), Some(&Duration::ZERO), "the first time runs out while nobody asks");
        let lasts = Duration::from_micros(STEP_LASTS.into());
        assert!(asked.windows(2).all(|two| two[1] - two[0] < lasts / 2), "{asked:?}");
        let last = asked.last().map(|at| *at + lasts).expect("asked");
        // Four times `TimeoutStopSec=` come on top for what cannot end.
        assert!(last >= STOP_WAIT && last < Duration::from_secs(30), "{last:?}");
    }

    /// As a loop does that waits for its disk: it does nothing at all, and the signal is heeded beside it.
    #[test]
    fn who_stands_still_when_the_signal_comes_is_given_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
        manager.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        // A process of its own: what others read of this one's environment must not change.
        let this = std::env::current_exe().expect("this test");
        let child = std::process::Command::new(this)
            .args(["--exact", "agent::stop_time::tests::stands_still", "--nocapture"])
            .env("NOTIFY_SOCKET", &path)
            .env("STANDS_STILL", "1")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("begun");
        let mut child = Ended(child);
        let said = || {
            let mut buffer = [0; 256];
            let count = manager.recv(&mut buffer).expect("something was said in time");
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        };
        assert_eq!(said().trim(), "READY=1");
        let pid = rustix::process::Pid::from_child(&child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
        assert_eq!(said().trim(), format!("EXTEND_TIMEOUT_USEC={STEP_LASTS}"));
        assert!(child.0.try_wait().expect("asked").is_none(), "the signal has ended it");
    }

    /// Ends with the test, also when that fails.
    struct Ended(std::process::Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }

    /// The other side of the test above; on its own it does nothing.
    #[test]
    fn stands_still() {
        if std::env::var_os("STANDS_STILL").is_none() {
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let _own = signal(SignalKind::terminate()).expect("heeded");
            let _time = StopTime::watch();
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            let (_never, stands) = std::sync::mpsc::sync_channel::<()>(0);
            let _ = stands.recv_timeout(Duration::from_secs(60));
        });
    }
}
