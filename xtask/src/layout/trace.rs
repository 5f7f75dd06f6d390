//! Which functions a process runs: each begins with a trap until it is run for the first time.
//!
//! The process pauses for less than a millisecond at each trap. It deliberately does not survive its tracer: one that ends
//! before it has put all back leaves a process that dies at the next trap, so only processes of a lab host are traced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{
    ptrace,
    signal::Signal,
    wait::{WaitPidFlag, WaitStatus, waitpid},
};
use nix::unistd::Pid;

/// The instruction that stops a process.
const TRAP: u8 = 0xcc;
const ASKED_EVERY: Duration = Duration::from_micros(200);

/// A process whose functions begin with traps.
struct Traced {
    process: i32,
    memory: File,
    /// What stood where a trap is, and what the function is called.
    traps: BTreeMap<u64, (u8, String)>,
    run: BTreeSet<String>,
}

/// Which of `functions`, given by their places in the program's file, the process runs in so long a time.
pub(super) fn functions_run(
    process: i32,
    functions: &BTreeMap<u64, String>,
    time: Duration,
) -> Result<BTreeSet<String>> {
    ensure!(cfg!(target_arch = "x86_64"), "traps are known for x86-64 only: record there");
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{process}/mem"))?;
    let base = base(process)?;
    let mut traced = Traced { process, memory, traps: BTreeMap::new(), run: BTreeSet::new() };
    for thread in threads(process)? {
        ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACECLONE)?;
        stop(thread)?;
    }
    for (offset, name) in functions {
        let place = base + offset;
        let mut first = [0];
        traced.memory.read_exact_at(&mut first, place)?;
        traced.memory.write_all_at(&[TRAP], place)?;
        traced.traps.insert(place, (first[0], name.clone()));
    }
    for thread in threads(process)? {
        ptrace::cont(thread, None)?;
    }
    let begun = Instant::now();
    while begun.elapsed() < time {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL))? {
            WaitStatus::StillAlive => std::thread::park_timeout(ASKED_EVERY),
            status => traced.goes_on(status)?,
        }
    }
    traced.let_go()
}

impl Traced {
    fn goes_on(&mut self, status: WaitStatus) -> Result<()> {
        match status {
            WaitStatus::Stopped(thread, Signal::SIGTRAP) => {
                self.passes_trap(thread)?;
                ptrace::cont(thread, None)?;
            }
            // A new thread stops once, as one of ours.
            WaitStatus::Stopped(thread, Signal::SIGSTOP) | WaitStatus::PtraceEvent(thread, ..) => {
                ptrace::cont(thread, None)?;
            }
            WaitStatus::Stopped(thread, signal) => ptrace::cont(thread, signal)?,
            WaitStatus::Exited(process, code) if process.as_raw() == self.process => {
                anyhow::bail!("the process ended with {code} while it was recorded")
            }
            WaitStatus::Signaled(process, signal, _) if process.as_raw() == self.process => {
                anyhow::bail!("the process was ended by {signal} while it was recorded")
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts back what stood where the thread has stopped, and has it begin there again. Another thread may have been faster.
    fn passes_trap(&mut self, thread: Pid) -> Result<()> {
        let mut registers = ptrace::getregs(thread)?;
        let place = registers.rip - 1;
        let Some((first, name)) = self.traps.get(&place) else { return Ok(()) };
        self.memory.write_all_at(&[*first], place)?;
        self.run.insert(name.clone());
        registers.rip = place;
        ptrace::setregs(thread, registers).context("a thread cannot be set back")
    }

    fn let_go(mut self) -> Result<BTreeSet<String>> {
        let threads = threads(self.process)?;
        for thread in &threads {
            if let WaitStatus::Stopped(thread, Signal::SIGTRAP) = stop(*thread)? {
                self.passes_trap(thread)?;
            }
        }
        for (place, (first, _)) in &self.traps {
            self.memory.write_all_at(&[*first], *place)?;
        }
        for thread in threads {
            ptrace::detach(thread, None)?;
        }
        Ok(self.run)
    }
}

fn stop(thread: Pid) -> Result<WaitStatus> {
    ptrace::interrupt(thread)?;
    Ok(waitpid(thread, Some(WaitPidFlag::__WALL))?)
}

fn threads(process: i32) -> Result<Vec<Pid>> {
    let listed = fs::read_dir(format!("/proc/{process}/task")).context("the process has gone")?;
    let ids = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(ids.map(Pid::from_raw).collect())
}

/// Where the program's file is mapped.
fn base(process: i32) -> Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).context("the process has gone")?;
    let first = maps.lines().find(|line| line.ends_with("/ansai")).context("it is not ansai that runs")?;
    let (from, _) = first.split_once('-').context("a mapping has a range")?;
    Ok(u64::from_str_radix(from, 16)?)
}
