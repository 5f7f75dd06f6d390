//! The loop's second: a timer of the kernel's, and the word to the service manager that the loop turns. Both keep what
//! they need open, since an agent at rest does little else; what is done in each second is the loop's.

use std::{
    env,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Told again and again, for about as long.
#[derive(Debug)]
pub(super) struct Beat {
    timer: AsyncFd<OwnedFd>,
}

impl Beat {
    /// The first one comes after one period. The runtime's own timers would wake the loop twice for each.
    ///
    /// # Errors
    /// When the kernel has no timer to give.
    pub(super) fn every(period: Duration) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let period = Timespec::try_from(period).map_err(io::Error::other)?;
        let each = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &each)?;
        #[expect(deprecated, reason = "it owns the descriptor, which its successor wants promised in unsafe code")]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// The next one; of those that were missed there is only one. Nothing is lost when it is dropped.
    pub(super) async fn next(&self) {
        loop {
            // It only fails while the runtime ends, and with it whoever waits here.
            let Ok(mut ready) = self.timer.readable().await else { return std::future::pending().await };
            let mut count = [0; 8];
            if ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?)).is_ok_and(|read| read.is_ok()) {
                return;
            }
        }
    }
}

/// The service manager that is told that the loop turns, as sd_notify(3) has it.
#[derive(Debug)]
pub(super) struct Watchdog {
    path: Option<PathBuf>,
    socket: Option<UnixDatagram>,
}

impl Watchdog {
    /// The one that began us; without one nobody listens, which is fine.
    pub(super) fn of_environment() -> Self {
        Self { path: env::var_os("NOTIFY_SOCKET").map(PathBuf::from), socket: None }
    }

    /// Tells it. A manager that takes nothing in at this moment is not waited for and hears the next one; one that has
    /// begun anew is connected to again.
    pub(super) fn turns(&mut self) {
        let Some(path) = &self.path else { return };
        // What was connected before may lead to nobody any more.
        for _ in 0..2 {
            let Some(socket) = self.socket.take().or_else(|| connected(path).ok()) else { return };
            if socket.send(b"WATCHDOG=1\n").map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true) {
                self.socket = Some(socket);
                return;
            }
        }
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a manager hears next; none when there is nothing.
    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 64];
        let count = manager.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    #[test]
    fn a_manager_that_begins_anew_hears_and_one_that_takes_nothing_in_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let mut watchdog = Watchdog { path: Some(path.clone()), socket: None };
        watchdog.turns();
        for _ in 0..2 {
            let manager = UnixDatagram::bind(&path).expect("bound");
            manager.set_nonblocking(true).expect("set");
            watchdog.turns();
            assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\n"));
            // More than there is room for.
            (0..10_000).for_each(|_| watchdog.turns());
            while heard(&manager).is_some() {}
            watchdog.turns();
            assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\n"));
            assert_eq!(heard(&manager), None);
            drop(manager);
            std::fs::remove_file(&path).expect("removed");
        }
        Watchdog { path: None, socket: None }.turns();
    }

    #[tokio::test]
    async fn beats_come_again_and_again_and_missed_ones_once() {
        let period = Duration::from_millis(20);
        // Before the timer is set: it may be a while until the next line.
        let begun = std::time::Instant::now();
        let beat = Beat::every(period).expect("a timer");
        beat.next().await;
        assert!(begun.elapsed() >= period);
        beat.next().await;
        assert!(begun.elapsed() >= 2 * period);
    }
}
