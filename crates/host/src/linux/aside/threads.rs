//! The threads: begun when there is work for one, and ended when there was none for a while. How many there may be is
//! decided by who hands work over, which has a place before it comes here.
//!
//! Work goes to the thread that became idle last: those that a busy moment has left over are not woken in turns, and end.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, ThreadId},
    time::Duration,
};

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(10);

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// A thread that waits for a job. Whoever takes it from the list hands it one.
struct Idle {
    thread: ThreadId,
    jobs: SyncSender<Job>,
}

/// Those that wait, the last one that became idle last.
static IDLERS: Mutex<Vec<Idle>> = Mutex::new(Vec::new());

fn idlers<T>(with: impl FnOnce(&mut Vec<Idle>) -> T) -> T {
    with(&mut IDLERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Hands a job to a thread that is idle, or to a new one.
pub(super) fn submit(mut job: Job) -> io::Result<()> {
    while let Some(idle) = idlers(Vec::pop) {
        // There is room for one, which is this one; only a thread that broke off is gone.
        match idle.jobs.try_send(job) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => job = back,
        }
    }
    thread::Builder::new().name("ansai-aside".into()).spawn(move || work(job)).map(drop)
}

fn work(first: Job) {
    let (sender, jobs) = sync_channel(1);
    first();
    while let Some(job) = next(&sender, &jobs) {
        job();
    }
}

fn next(sender: &SyncSender<Job>, jobs: &Receiver<Job>) -> Option<Job> {
    let thread = thread::current().id();
    idlers(|idlers| idlers.push(Idle { thread, jobs: sender.clone() }));
    match jobs.recv_timeout(IDLE) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let is_left = idlers(|idlers| {
                let place = idlers.iter().position(|idle| idle.thread == thread);
                place.map(|place| drop(idlers.remove(place))).is_some()
            });
            // Whoever took it from the list is about to hand a job over.
            if is_left { None } else { jobs.recv().ok() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins a job that ends when the sender is dropped, and says which thread does it.
    fn begun() -> (SyncSender<()>, ThreadId) {
        let ((hold, held), (sender, by)) = (sync_channel::<()>(0), sync_channel(1));
        let job = move || {
            sender.send(thread::current().id()).expect("the test listens");
            // It only ever ends.
            let _ = held.recv();
        };
        submit(Box::new(job)).expect("a thread");
        (hold, by.recv_timeout(IDLE * 2).expect("begun"))
    }

    /// Lets a job end; true when its thread is idle then, false when another test has taken it.
    fn ends((hold, thread): (SyncSender<()>, ThreadId)) -> bool {
        drop(hold);
        (0..10_000).any(|_| {
            thread::yield_now();
            idlers(|idlers| idlers.iter().any(|idle| idle.thread == thread))
        })
    }

    #[test]
    fn work_goes_to_the_thread_that_became_idle_last() {
        // Other tests have work done meanwhile, and now and then take the thread that is meant.
        let is_last = || {
            let (one, other) = (begun(), begun());
            let last = one.1;
            let are_idle = ends(other) && ends(one);
            let again = begun();
            let is_last = again.1 == last;
            are_idle && is_last && ends(again)
        };
        assert!((0..100).any(|_| is_last()));
    }
}
