//! A command that reads files runs in a second process: one that waits for a disk or a server that is away can be neither
//! interrupted nor ended, and must not take the terminal with it. It is left behind then, and that is said.
//!
//! Nothing of the command is known here; its output goes where it would have gone.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::{Child, Command, ExitCode},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::pipe,
    process::{Pid, PidfdFlags, pidfd_open},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
};

/// The number of the pipe by which the second process says how it ended.
const PIPE: &str = "ANSAI_BESIDE";
/// How often it is looked whether the second process hangs.
const EVERY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// So many looks in a row at which it waits for a disk, and no signal would reach it.
const LOOKS_MAX: u32 = 10;
/// Some fifty numbers and a name.
const STAT_BYTES_MAX: u64 = 4096;
/// How long an end may take that was told.
const END_MAX: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// Runs this program once more and waits for it; nothing when this is the second process, or none can be begun.
pub(crate) fn run() -> Option<ExitCode> {
    if std::env::var_os(PIPE).is_some() {
        return None;
    }
    let (reader, writer) = pipe().ok()?;
    let program = std::env::current_exe().ok()?;
    let child =
        Command::new(program).args(std::env::args_os().skip(1)).env(PIPE, writer.as_raw_fd().to_string()).spawn();
    drop(writer);
    Some(waited(child.ok()?, &reader))
}

/// Tells the first process how this one ends; it may hang in its end.
pub(crate) fn tell(code: u8) {
    let Some(number) = std::env::var(PIPE).ok().and_then(|number| number.parse::<u32>().ok()) else { return };
    // Whoever reads what this one says would wait for its end as well, were its streams not let go.
    let _ = std::io::stdout().flush();
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&nothing).and_then(|()| dup2_stdout(&nothing)).and_then(|()| dup2_stderr(&nothing));
    }
    if let Ok(mut pipe) = File::options().write(true).open(format!("/proc/self/fd/{number}")) {
        // Whoever listened may have been ended.
        let _ = pipe.write_all(&[code]);
    }
}

fn waited(mut child: Child, reader: &OwnedFd) -> ExitCode {
    let mut looks = 0;
    loop {
        let is_told = poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&EVERY)).is_ok_and(|ready| ready > 0);
        if is_told {
            return ended(&mut child, told(reader));
        }
        looks = if hangs(&child) { looks + 1 } else { 0 };
        if looks >= LOOKS_MAX {
            crate::show::note(&format!(
                "it waits for a disk or a server that does not answer, and is left behind (process {}); \
                 `ansai status` and `ansai explain` ask the agent instead\n",
                child.id()
            ));
            return crate::exit::Code::Failing.into();
        }
    }
}

/// The code that was told; nothing when the process ended without a word.
fn told(reader: &OwnedFd) -> Option<u8> {
    let mut code = [0];
    let count = File::from(reader.try_clone().ok()?).read(&mut code).ok()?;
    (count == 1).then_some(code[0])
}

fn ended(child: &mut Child, told: Option<u8>) -> ExitCode {
    let Some(code) = told else {
        let status = child.wait();
        let code = status.ok().and_then(|status| u8::try_from(status.code()?).ok());
        return code.map_or(crate::exit::Code::Failing.into(), ExitCode::from);
    };
    // A thread of it that hangs keeps it from ending.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(end) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        && poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&END_MAX)).is_ok_and(|ready| ready > 0)
    {
        // It has ended, and is waited for by nobody else.
        let _ = child.wait();
    }
    ExitCode::from(code)
}

/// Whether it waits for a disk or a server, so that no signal reaches it.
fn hangs(child: &Child) -> bool {
    let stat =
        ansai_files::head_text(Path::new(&format!("/proc/{}/stat", child.id())), STAT_BYTES_MAX).unwrap_or_default();
    // The name in parentheses may hold anything.
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('D'))
}
