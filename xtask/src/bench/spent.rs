//! What a process has used: processor time, wake-ups, memory. It judges nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Result;

/// What all threads of a process have used so far.
#[derive(Default)]
struct Spent {
    nanoseconds: f64,
    switches: f64,
    threads: usize,
}

/// What a process used over a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Megabytes (2^20 bytes) resident.
    pub(super) rss: f64,
    /// Megabytes of these that are its own.
    pub(super) anonymous: f64,
    /// Percent of one core.
    pub(super) share: f64,
    /// Wake-ups a second.
    pub(super) woken: f64,
    pub(super) threads: usize,
}

/// Watches a process for so long.
pub(super) fn over(pid: i32, lasts: Duration) -> Result<Usage> {
    let (before, begun) = (Spent::of(pid)?, Instant::now());
    std::thread::park_timeout(lasts);
    let (after, seconds) = (Spent::of(pid)?, begun.elapsed().as_secs_f64());
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |key| field(&status, key).unwrap_or_default() / 1024.0;
    Ok(Usage {
        rss: megabytes("VmRSS:"),
        anonymous: megabytes("RssAnon:"),
        share: (after.nanoseconds - before.nanoseconds) / 1e9 / seconds * 100.0,
        woken: (after.switches - before.switches) / seconds,
        threads: after.threads,
    })
}

/// Seconds of processor time that a process has used since it began.
pub(super) fn seconds(pid: i32) -> Result<f64> {
    Ok(Spent::of(pid)?.nanoseconds / 1e9)
}

impl Spent {
    fn of(pid: i32) -> Result<Self> {
        let mut spent = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may end in between.
            let Ok(schedstat) = fs::read_to_string(task.join("schedstat")) else { continue };
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            spent.nanoseconds += schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
            spent.switches += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
            spent.threads += 1;
        }
        Ok(spent)
    }
}

fn field(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}
