//! Runs a declared command: no shell, its own process group, a time-out with a grace, bounded output.
//!
//! Its start is done aside: a program or a folder on a server that is away keeps whoever begins it waiting. One that was
//! killed and cannot end is not begun again, and one that others may change is not begun at all.

mod lingering;

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use ansai_model::{probe::CommandLine, time::Shown};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    runtime::Handle,
};

use super::{
    aside::{self, Kind, Work},
    programs,
};

/// Most bytes of output that are kept; the rest is read and thrown away.
pub const OUTPUT_MAX: usize = 64 * 1024;
/// Where programs are looked for that are named without a folder.
pub const FOLDERS: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);
/// Most of /etc/passwd that is read: tens of thousands of users.
const PASSWD_BYTES_MAX: u64 = 4 << 20;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was stopped after its time.
    TimedOut,
    /// There is no such program.
    Missing,
    /// It could not be begun or waited for.
    Failed(String),
}

/// What a command said, and how it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub ended: Ended,
    /// Standard output, at most [`OUTPUT_MAX`] bytes.
    pub output: String,
    /// Standard error, likewise.
    pub errors: String,
}

/// Ends the whole group when it is dropped before the command has ended.
struct Group<'a> {
    command: &'a CommandLine,
    pid: Option<Pid>,
}

impl Group<'_> {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // It may have ended in between, which is what is wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(pid) = self.pid {
            lingering::remember(self.command, pid);
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
}

/// What the three streams of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    /// Its output is read.
    Read,
    /// It writes where the agent does.
    Ours,
}

/// Begins a command, and waits for at most `within` until its program runs.
///
/// # Errors
/// How it ended before it began: it is missing, cannot be begun, hangs, others may change it, or an earlier one cannot end.
pub(super) async fn begin(command: &CommandLine, streams: Streams, within: Duration) -> Result<Child, Ended> {
    let shown = command.shown();
    if let Some(lasts) = lingering::lingers(command).await {
        let lasts = Shown(lasts);
        return Err(Ended::Failed(format!(
            "`{shown}` was killed {lasts} ago and has not ended: it waits for a disk or a \
            server, and is not begun again before it has"
        )));
    }
    let program = command.argv.first().cloned().unwrap_or_default();
    let folders = command.directory.iter().map(String::as_str).filter(|path| path.starts_with('/'));
    let folders = folders.chain(FOLDERS.iter().filter(|_| !program.contains('/')).copied());
    let work = Work::new(Kind::Start, format!("the start of `{shown}`")).on(folders).on(programs::begun_by(command));
    // The child belongs to who waits for it, not to the thread that begins it.
    let (command, runtime) = (command.clone(), Handle::current());
    let begins = move || {
        // Whoever could change it since the configuration was read would be obeyed.
        if let Some(why) = programs::why_not_run(&command) {
            return Err(Ended::Failed(why));
        }
        let _inside = runtime.enter();
        let mut child = prepare(&command).map_err(Ended::Failed)?;
        match streams {
            Streams::Read => child.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true),
            Streams::Ours => child.stdout(Stdio::inherit()).stderr(Stdio::inherit()),
        };
        let begun = child.stdin(Stdio::null()).spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ended::Missing,
            _ => Ended::Failed(format!("{program} could not be begun: {error}")),
        })?;
        if let (false, Some(pid)) = (aside::is_awaited(), pid_of(&begun)) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        Ok(begun)
    };
    aside::run(work, within, begins).await.unwrap_or_else(|late| Err(Ended::Failed(late.to_string())))
}

/// Whether nobody else may change what a command runs, as far as that is answered for in time; whoever has it run by
/// others, as by systemd, asks before.
pub(super) async fn may_be_run(command: &CommandLine, within: Duration) -> bool {
    let work = Work::new(Kind::Start, format!("who may change `{}`", command.shown())).on(programs::begun_by(command));
    let command = command.clone();
    aside::run(work, within, move || programs::why_not_run(&command).is_none()).await.unwrap_or(false)
}

/// The command with its environment, directory and user, in its own process group.
///
/// # Errors
/// When it is empty, or its user does not exist.
fn prepare(command: &CommandLine) -> Result<tokio::process::Command, String> {
    let (program, arguments) = command.argv.split_first().ok_or("an empty command")?;
    let mut child = tokio::process::Command::new(program);
    child
        .args(arguments)
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .env("LC_ALL", "C")
        .envs(&command.environment)
        .current_dir(command.directory.as_deref().unwrap_or("/"))
        .process_group(0);
    if let Some(user) = &command.user {
        let (uid, gid) = user_ids(user).ok_or_else(|| format!("there is no user `{user}`"))?;
        child.uid(uid).gid(gid);
    }
    Ok(child)
}

/// Runs a command to its end or its time-out.
pub async fn run(command: &CommandLine, timeout: Duration) -> Finished {
    let finished = |ended| Finished { ended, output: String::new(), errors: String::new() };
    let begun = Instant::now();
    let mut child = match begin(command, Streams::Read, timeout).await {
        Ok(child) => child,
        Err(ended) => return finished(ended),
    };
    let mut group = Group { command, pid: pid_of(&child) };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut output = Vec::new();
    let mut errors = Vec::new();
    let ended = {
        let talk = async { tokio::join!(read(out, &mut output), read(err, &mut errors)) };
        tokio::pin!(talk);
        let whole = async {
            // Children that keep the pipes open must not keep us: the leader's end counts, with a moment for the rest.
            tokio::select! {
                _ = &mut talk => child.wait().await,
                status = child.wait() => {
                    let _ = tokio::time::timeout(Duration::from_millis(200), &mut talk).await;
                    status
                }
            }
        };
        tokio::time::timeout(timeout.saturating_sub(begun.elapsed()), whole).await
    };
    let ended = match ended {
        Ok(Ok(status)) => {
            use std::os::unix::process::ExitStatusExt;
            status.code().map(Ended::Code).or_else(|| status.signal().map(Ended::Signal)).unwrap_or(Ended::TimedOut)
        }
        Ok(Err(error)) => Ended::Failed(error.to_string()),
        Err(_) => {
            group.signal(Signal::TERM);
            let _ = tokio::time::timeout(GRACE, child.wait()).await;
            Ended::TimedOut
        }
    };
    if matches!(ended, Ended::Code(_) | Ended::Signal(_)) {
        // A command that put something into the background on purpose keeps it.
        group.pid = None;
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { ended, output: text(output), errors: text(errors) }
}

/// Reads a pipe to its end, and keeps the first [`OUTPUT_MAX`] bytes.
pub(super) async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT_MAX - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
}

/// The user's and its group's number, from /etc/passwd.
fn user_ids(name: &str) -> Option<(u32, u32)> {
    let passwd = ansai_files::head_text(Path::new("/etc/passwd"), PASSWD_BYTES_MAX).ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The last lines of what a command said, errors first, for a symptom.
#[must_use]
pub fn said(finished: &Finished) -> String {
    let text = if finished.errors.trim().is_empty() { &finished.output } else { &finished.errors };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    async fn check(argv: &[&str], timeout: Duration) -> Finished {
        run(&CommandLine::new(argv.iter().copied()), timeout).await
    }

    #[tokio::test]
    async fn output_is_bounded_and_the_end_is_told() {
        let finished =
            check(&["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 3"], Duration::from_secs(20)).await;
        assert_eq!((finished.ended, finished.output.len()), (Ended::Code(3), OUTPUT_MAX));
        assert_eq!(check(&["/no/such/program"], Duration::from_secs(1)).await.ended, Ended::Missing);
    }

    #[tokio::test]
    async fn a_command_that_never_ends_is_stopped_with_its_children() {
        let begun = Instant::now();
        let finished = check(&["sh", "-c", "sleep 1000 & echo $!; wait"], Duration::from_millis(300)).await;
        assert_eq!(finished.ended, Ended::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(8));
        let child: u32 = finished.output.trim().parse().expect("a pid");
        // The kernel ends it in its own time, and another process reaps it: its end is awaited, with a deadline.
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !(state().is_empty() || state().contains(") Z")) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the child still runs: {}", state());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_pipe_does_not_keep_us() {
        let begun = Instant::now();
        let finished = check(&["sh", "-c", "sleep 5 & exit 0"], Duration::from_secs(10)).await;
        assert_eq!(finished.ended, Ended::Code(0));
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
