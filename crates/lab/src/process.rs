//! Running a child process to its end with a deadline, bounded output and no orphans.
//!
//! It deliberately knows nothing of hosts, and does not use a shell.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

/// Most bytes kept of each output stream; the rest is read and dropped, so that the child never blocks.
const OUTPUT_MAX: usize = 4 << 20;

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command as a person would type it.
    pub command: String,
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the command exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == 0
    }

    /// Standard output without surrounding white space.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// The output if the command exited with 0, otherwise an error that holds everything it said.
    pub fn ok(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        bail!(
            "`{}` exited with {}\nstdout: {}\nstderr: {}",
            self.command,
            self.code,
            self.stdout.trim(),
            self.stderr.trim()
        )
    }
}

/// Runs `command` to its end, or kills its process group when `limit` has passed.
pub fn run(command: &mut Command, input: Option<&[u8]>, limit: Duration) -> Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    finish(command, input, limit)
}

/// Runs `command` with the standard input that it was given, as [`run`] does.
pub fn run_with_own_stdin(command: &mut Command, limit: Duration) -> Result<Output> {
    finish(command, None, limit)
}

fn finish(command: &mut Command, input: Option<&[u8]>, limit: Duration) -> Result<Output> {
    let shown = show(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("starting `{shown}`"))?;
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        use std::io::Write as _;
        stdin.write_all(bytes).with_context(|| format!("writing to `{shown}`"))?;
    }
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let is_over = wait_for_end(&child, limit)?;
    if !is_over {
        kill_group(&child);
    }
    let status = child.wait().with_context(|| format!("waiting for `{shown}`"))?;
    let code = {
        use std::os::unix::process::ExitStatusExt as _;
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    };
    let output = Output { command: shown, code, stdout: collect(stdout), stderr: collect(stderr) };
    if !is_over {
        bail!(
            "`{}` was killed after {:.1} s\nstdout: {}\nstderr: {}",
            output.command,
            limit.as_secs_f64(),
            output.stdout,
            output.stderr
        );
    }
    Ok(output)
}

/// Starts a child from a thread that never ends before this process does: the kernel's parent-death signal, which the child
/// asks for, follows the thread that started it.
pub(crate) fn spawn_for_life(command: Command) -> Result<Child> {
    type Request = (Command, SyncSender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<SyncSender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Request>(8);
        std::thread::spawn(move || {
            for (mut command, answer) in receiver {
                answer.send(command.spawn()).ok();
            }
        });
        sender
    });
    let (sender, receiver) = sync_channel(1);
    spawner.send((command, sender)).ok().context("the spawning thread is gone")?;
    let child = receiver.recv().context("the spawning thread gave no answer")?;
    child.context("starting a child")
}

/// Waits through a pidfd until `child` has ended; false when `limit` passed first. The child stays to be reaped.
pub fn wait_for_end(child: &Child, limit: Duration) -> Result<bool> {
    let pid = pid_of(child)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context("opening a pidfd")?;
    let timeout = Timespec::try_from(limit).context("a deadline out of range")?;
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let ready =
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&timeout))).context("polling a pidfd")?;
    Ok(ready > 0)
}

/// The process id of a child that was not yet reaped.
pub fn pid_of(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id out of range")
}

fn kill_group(child: &Child) {
    if let Ok(pid) = pid_of(child) {
        rustix::process::kill_process_group(pid, Signal::KILL).ok();
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut stream = stream?;
    Some(std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0_u8; 16 * 1024];
        while let Ok(count) = stream.read(&mut chunk) {
            if count == 0 {
                break;
            }
            let room = OUTPUT_MAX.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&chunk[..room]);
        }
        kept
    }))
}

fn collect(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|handle| handle.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_code_are_kept() {
        let output = run(&mut sh("cat; echo two >&2; exit 3"), Some(b"one"), Duration::from_secs(20)).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("one", "two\n", 3));
        assert!(output.ok().unwrap_err().to_string().contains("exited with 3"));
    }

    #[test]
    fn a_command_that_never_ends_is_killed_with_its_children() {
        let error = run(&mut sh("echo begun; sleep 600 & wait"), None, Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("killed after 0.2 s") && error.to_string().contains("begun"), "{error}");
    }

    #[test]
    fn output_without_end_is_bounded() {
        let output = run(&mut sh("head -c 20000000 /dev/zero"), None, Duration::from_secs(20)).unwrap();
        assert_eq!(output.stdout.len(), OUTPUT_MAX);
    }
}
