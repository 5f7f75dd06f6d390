//! A fixture: a small HTTP service that fails in every way a healer should know, on command.
//!
//! The commands (`ansai_lab_service/command` below) are the same as a flag (`--do "slow 500"`), as a line of the state directory's
//! file `commands`, and as a request (`/control/slow/500`); what a request sets is gone after a restart, what a file or flag says stays.
//! It deliberately handles no signals but the one that `catch` names (systemd's default ends it), and serves at most 64 connections at
//! once.

#[path = "ansai_lab_service/command.rs"]
mod command;
#[path = "ansai_lab_service/config.rs"]
mod config;
#[path = "ansai_lab_service/server.rs"]
mod server;

use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command as Process, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ansai_lab::fixture::notify::{notify, watchdog_interval};

use command::Command;
use config::Settings;
use server::{Mode, Server};

/// How often the main loop looks at its clocks and at the file of commands.
const TICK: Duration = Duration::from_millis(100);

/// How often memory is kept.
const LEAKS_PER_SECOND: usize = 5;
const LEAK_EVERY: Duration = Duration::from_millis(200);

/// The exit code for a bad configuration (`EX_CONFIG`).
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(message) => {
            // systemd's journal is where an operator (and the agent) looks for the reason.
            std::io::Write::write_all(&mut std::io::stderr(), format!("{message}\n").as_bytes()).ok();
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let settings = Settings::from_arguments(std::env::args().skip(1))?;
    if settings.is_orphan {
        return hold_port_forever();
    }
    if settings.is_check_only {
        std::io::Write::write_all(&mut std::io::stdout(), b"configuration ok\n").ok();
        return Ok(ExitCode::SUCCESS);
    }
    let address = format!("{}:{}", settings.host, settings.port);
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("cannot listen on {address}: {error}\n").as_bytes(),
            )
            .ok();
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(path) = &settings.pid_file {
        std::fs::write(path, std::process::id().to_string()).map_err(|error| format!("writing {path}: {error}"))?;
    }
    let (sender, commands) = sync_channel(16);
    let server = Arc::new(Server::new(settings.greeting.clone(), sender.clone()));
    let accepting = listener.try_clone().map_err(|error| format!("sharing the listener: {error}"))?;
    let shared = Arc::clone(&server);
    std::thread::spawn(move || shared.serve(&accepting));
    notify("READY=1");
    Ok(Main {
        settings,
        server,
        listener,
        started: Instant::now(),
        die_after: None,
        sender,
        leak: (0, 0),
        leaked: Vec::new(),
    }
    .run(&commands))
}

/// The main loop's state: what happens over time.
struct Main {
    settings: Settings,
    server: Arc<Server>,
    listener: TcpListener,
    started: Instant,
    die_after: Option<Duration>,
    /// For what comes as a signal.
    sender: SyncSender<Command>,
    /// Bytes a second, and at most.
    leak: (usize, usize),
    leaked: Vec<Vec<u8>>,
}

impl Main {
    fn run(mut self, commands: &Receiver<Command>) -> ExitCode {
        let watchdog = watchdog_interval();
        let mut last_ping = Instant::now();
        let mut last_leak = Instant::now();
        let mut lasting: Vec<Command> = Vec::new();
        for command in self.settings.commands.clone() {
            if let Some(code) = self.obey(command) {
                return code;
            }
        }
        loop {
            let now_lasting = self.settings.lasting_commands();
            if now_lasting != lasting {
                lasting.clone_from(&now_lasting);
                for command in now_lasting {
                    if let Some(code) = self.obey(command) {
                        return code;
                    }
                }
            }
            match commands.recv_timeout(TICK) {
                Ok(command) => {
                    if let Some(code) = self.obey(command) {
                        return code;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return ExitCode::FAILURE,
            }
            if self.die_after.is_some_and(|limit| self.started.elapsed() >= limit) {
                return ExitCode::FAILURE;
            }
            let is_hanging = matches!(self.server.mode(), Mode::Hang);
            if let Some(interval) = watchdog
                && !is_hanging
                && last_ping.elapsed() >= interval
            {
                notify("WATCHDOG=1");
                last_ping = Instant::now();
            }
            if last_leak.elapsed() >= LEAK_EVERY {
                self.leak_on();
                last_leak = Instant::now();
            }
        }
    }

    /// Does what a command says; an exit code when it says to end.
    fn obey(&mut self, command: Command) -> Option<ExitCode> {
        match command {
            Command::Ok => self.server.set(Mode::Status(200)),
            Command::Error(status) => self.server.set(Mode::Status(status)),
            Command::Slow(delay) => self.server.set(Mode::Slow(delay)),
            Command::Hang => self.server.set(Mode::Hang),
            Command::Exit(code) => return Some(ExitCode::from(code)),
            Command::Crash => std::process::abort(),
            Command::DieAfter(limit) => self.die_after = Some(limit),
            Command::Leak(bytes, most) => self.leak = (bytes, most),
            Command::Catch => catch(self.sender.clone()),
            Command::Release => self.leaked = Vec::new(),
            Command::Orphan => {
                self.leave_orphan();
                return Some(ExitCode::FAILURE);
            }
        }
        None
    }

    /// Keeps some more, unless that is enough.
    fn leak_on(&mut self) {
        let (per_second, most) = self.leak;
        let kept: usize = self.leaked.iter().map(Vec::len).sum();
        let more = (per_second / LEAKS_PER_SECOND).min(most.saturating_sub(kept));
        if more > 0 {
            // Written, not only reserved: only touched pages count as memory.
            self.leaked.push(vec![1; more]);
        }
    }

    /// Starts a child that inherits the listening socket as its standard input and keeps it.
    fn leave_orphan(&self) {
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else { return };
        let Ok(program) = std::env::current_exe() else { return };
        let child = Process::new(program).arg("--orphan").stdin(Stdio::from(socket)).spawn();
        drop(child);
    }
}

/// Passes SIGUSR1 on as the command to release, from a thread of its own.
fn catch(commands: SyncSender<Command>) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async move {
            let Ok(mut signals) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1()) else {
                return;
            };
            while signals.recv().await.is_some() && commands.try_send(Command::Release).is_ok() {}
        });
    });
}

/// The orphan: holds the inherited port, accepts, and never answers.
fn hold_port_forever() -> Result<ExitCode, String> {
    let socket: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let listener = TcpListener::from(socket);
    let mut held = Vec::new();
    for stream in listener.incoming().flatten() {
        if held.len() == 64 {
            held.clear();
        }
        held.push(stream);
    }
    Ok(ExitCode::SUCCESS)
}
