//! The HTTP side of the fixture service: a thread a connection, bounded, answering as the mode says.
//!
//! It deliberately keeps answering `/control/…` in every mode, so that a test can end a hang without a restart.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ansai_lab::fixture::http;

use super::command::Command;

const CONNECTIONS_MAX: usize = 64;

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Status(u16),
    Slow(Duration),
    Hang,
}

/// What all connections share.
pub(crate) struct Server {
    mode: Mutex<Mode>,
    mode_changed: Condvar,
    greeting: String,
    commands: SyncSender<Command>,
    connections: AtomicUsize,
}

impl Server {
    pub(crate) fn new(greeting: String, commands: SyncSender<Command>) -> Self {
        let mode = Mutex::new(Mode::Status(200));
        Self { mode, mode_changed: Condvar::new(), greeting, commands, connections: AtomicUsize::new(0) }
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.lock()
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.lock() = mode;
        self.mode_changed.notify_all();
    }

    /// Accepts for ever.
    pub(crate) fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
                self.connections.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let server = Arc::clone(self);
            std::thread::spawn(move || {
                server.handle(&stream);
                server.connections.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    fn handle(&self, stream: &TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok();
        let Ok(request) = http::read_request(stream) else { return };
        if let Some(text) = request.path.strip_prefix("/control/") {
            match Command::parse(text) {
                Ok(command) => {
                    // Answered first: the command may end the process.
                    http::answer(stream, 200, "done\n").ok();
                    self.commands.send(command).ok();
                }
                Err(message) => drop(http::answer(stream, 400, &message)),
            }
            return;
        }
        match self.mode() {
            Mode::Status(status) => drop(http::answer(stream, status, &self.greeting)),
            Mode::Slow(delay) => {
                self.wait_while_in(Mode::Slow(delay), Some(delay));
                http::answer(stream, 200, &self.greeting).ok();
            }
            Mode::Hang => self.wait_while_in(Mode::Hang, None),
        }
    }

    /// Waits until the mode is another one, or the limit has passed.
    fn wait_while_in(&self, mode: Mode, limit: Option<Duration>) {
        let limit = limit.unwrap_or(Duration::from_secs(24 * 3600));
        drop(self.mode_changed.wait_timeout_while(self.lock(), limit, |now| *now == mode));
    }

    fn lock(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
