//! The threads: begun when there is work for one, and ended when there was none for a while. How many there may be is
//! decided by who hands work over, which has a place before it comes here.

use std::{
    collections::VecDeque,
    io,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

struct Waiting {
    jobs: VecDeque<Job>,
    idle: usize,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { jobs: VecDeque::new(), idle: 0 });
static MORE: Condvar = Condvar::new();

/// Hands a job to a thread that is idle, or to a new one.
pub(super) fn submit(job: Job) -> io::Result<()> {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.jobs.push_back(job);
    if waiting.idle >= waiting.jobs.len() {
        MORE.notify_one();
        return Ok(());
    }
    let begun = std::thread::Builder::new().name("ansai-aside".into()).spawn(work);
    if let Err(error) = begun {
        // It is the last one still: nobody else could look meanwhile.
        let job = waiting.jobs.pop_back();
        drop(waiting);
        drop(job);
        return Err(error);
    }
    Ok(())
}

fn work() {
    while let Some(job) = next() {
        job();
    }
}

fn next() -> Option<Job> {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = waiting.jobs.pop_front() {
            return Some(job);
        }
        waiting.idle += 1;
        let (back, waited) = MORE.wait_timeout(waiting, IDLE).unwrap_or_else(PoisonError::into_inner);
        waiting = back;
        waiting.idle -= 1;
        if waited.timed_out() && waiting.jobs.is_empty() {
            return None;
        }
    }
}
