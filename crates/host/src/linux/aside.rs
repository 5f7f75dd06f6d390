//! Work that may hang: files, names, programs and processes that somebody else answers for, who may be away for ever.
//!
//! It is done on a bounded set of threads, one piece at a time for each name: what hangs costs one thread, is told as
//! "has not answered for 12s", is never begun twice, and takes no place from what lies elsewhere, since each mount has a
//! share of its own. It deliberately stops nothing: the kernel lets no thread go that waits for a server. Nobody waits
//! for the thread then, and [`is_awaited`] tells the work so as soon as it goes on.

mod share;
mod threads;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ansai_model::time::Shown;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

use share::Share;

/// How long what is under way may last before whoever wants its place is told that it hangs instead of waiting longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often work may turn out to lie elsewhere, by a link on a mount that leads to another.
const ELSEWHERE_MAX: usize = 4;

/// Most paths of one piece of work by which its mounts are known.
const PATHS_MAX: usize = 256;

/// What is under way, process-wide: a thread that hangs hangs for everybody.
static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { works: BTreeMap::new(), shares: BTreeMap::new() });
/// Told whenever something has ended.
static ENDED: Notify = Notify::const_new();

thread_local! {
    /// Whether anybody waits for the work of this thread.
    static AWAITED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// What a piece of work is for; each kind has its own share of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A probe.
    Look,
    /// A remedy.
    Act,
    /// Evidence, a plan, an inventory.
    Gather,
    /// The start of a program.
    Start,
    /// A name that is asked for; whoever asks for the same one waits for as long as the time allows.
    Name,
    /// A file that the agent or the program itself needs.
    Own,
}

/// A piece of work that may hang.
#[derive(Clone, Debug)]
pub struct Work {
    kind: Kind,
    name: String,
    paths: Vec<PathBuf>,
}

impl Work {
    /// Work of this name; of one kind and name there is one at a time.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), paths: Vec::new() }
    }

    /// The paths that it touches, by which its mounts are known.
    #[must_use]
    pub fn on(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.paths.extend(paths.into_iter().map(Into::into));
        self
    }

    /// The paths that stand in a value, wherever they do: a new kind of probe or action cannot forget one.
    #[must_use]
    pub fn on_what_it_names(self, value: &impl Serialize) -> Self {
        let mut paths = Vec::new();
        if let Ok(value) = serde_json::to_value(value) {
            collect_paths(&value, &mut paths);
        }
        self.on(paths)
    }

    fn patience(&self) -> Duration {
        if self.kind == Kind::Name { Duration::MAX } else { PATIENCE }
    }
}

fn collect_paths(value: &serde_json::Value, paths: &mut Vec<PathBuf>) {
    match value {
        serde_json::Value::String(text) if text.starts_with('/') && paths.len() < PATHS_MAX => paths.push(text.into()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_paths(value, paths)),
        serde_json::Value::Object(values) => values.values().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

/// Why work gave nothing.
#[derive(Debug, Error)]
pub enum Late {
    /// It was begun, and has not ended.
    #[error("{what} has not answered for {}", Shown(*.lasts))]
    Unanswered {
        /// The name, as it is written.
        what: String,
        /// For how long.
        lasts: Duration,
    },
    /// It was not begun, because what was begun before has not ended.
    #[error("{what} has not answered for {}, and is not asked again before it does", Shown(*.lasts))]
    NotBegun {
        /// The work, or the mount, that hangs.
        what: String,
        /// For how long.
        lasts: Duration,
    },
    /// It could not be begun, or broke off.
    #[error("{what}: {why}")]
    Broke {
        /// The name, as it is written.
        what: String,
        /// The reason, as people read it.
        why: String,
    },
}

struct UnderWay {
    works: BTreeMap<String, Instant>,
    /// When each piece of work of a share began.
    shares: BTreeMap<Share, Vec<Instant>>,
}

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of a piece of work, free again when this is dropped.
struct Ticket {
    key: String,
    shares: Vec<Share>,
    begun: Instant,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = under_way();
        under_way.works.remove(&self.key);
        for share in &self.shares {
            let Some(begun) = under_way.shares.get_mut(share) else { continue };
            if let Some(index) = begun.iter().position(|begun| *begun == self.begun) {
                begun.swap_remove(index);
            }
            if begun.is_empty() {
                under_way.shares.remove(share);
            }
        }
        drop(under_way);
        ENDED.notify_waiters();
    }
}

/// What is in the way of a piece of work.
struct InTheWay {
    what: String,
    /// When the first of it began, and the last.
    first: Instant,
    last: Instant,
}

fn take_place(work: &Work, shares: &[Share]) -> Result<Ticket, InTheWay> {
    let mut under_way = under_way();
    let key = format!("{:?} {}", work.kind, work.name);
    if let Some(begun) = under_way.works.get(&key) {
        return Err(InTheWay { what: work.name.clone(), first: *begun, last: *begun });
    }
    for share in shares {
        let begun = under_way.shares.get(share).map_or(&[][..], Vec::as_slice);
        if let (true, Some(first), Some(last)) = (begun.len() >= share.places(), begun.iter().min(), begun.iter().max())
        {
            return Err(InTheWay { what: share.to_string(), first: *first, last: *last });
        }
    }
    let begun = Instant::now();
    under_way.works.insert(key.clone(), begun);
    for share in shares {
        under_way.shares.entry(share.clone()).or_default().push(begun);
    }
    Ok(Ticket { key, shares: shares.to_vec(), begun })
}

/// Waits for a place; not for one that is kept by what hangs.
async fn wait_for_place(work: &Work, shares: &[Share], deadline: Instant) -> Result<Ticket, Late> {
    loop {
        let mut ended = std::pin::pin!(ENDED.notified());
        // What ends from here on is heard, though it is waited for only below.
        ended.as_mut().enable();
        let in_the_way = match take_place(work, shares) {
            Ok(ticket) => return Ok(ticket),
            Err(in_the_way) => in_the_way,
        };
        let until = in_the_way.last.checked_add(work.patience()).map_or(deadline, |until| until.min(deadline));
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || tokio::time::timeout(left, ended).await.is_err() {
            return Err(Late::NotBegun { what: in_the_way.what, lasts: in_the_way.first.elapsed() });
        }
    }
}

/// Whether anybody still waits for the work of this thread: whoever changes things step by step asks before each, since
/// what was given up when it hung must not go on when a server is back after hours. True outside of such work.
#[must_use]
pub fn is_awaited() -> bool {
    AWAITED.with_borrow(|awaited| awaited.as_ref().is_none_or(|awaited| awaited.load(Ordering::Relaxed)))
}

/// What work says that was given up before it changed anything.
pub(super) const GIVEN_UP: &str = "it did not answer in time, so nothing more is done to it";

/// Says to the work that nobody waits any more, when dropped.
struct Awaits {
    flag: Arc<AtomicBool>,
    /// Heard by work that is a future.
    _gone: Option<oneshot::Sender<()>>,
}

impl Drop for Awaits {
    fn drop(&mut self) {
        self.flag.store(false, Ordering::Relaxed);
    }
}

/// Does work on a thread, and waits for it for at most `within`.
///
/// # Errors
/// When it does not end in time, or is not begun because what hangs is in its way.
pub async fn run<T, W>(work: Work, within: Duration, does: W) -> Result<T, Late>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let awaits = Awaits { flag: Arc::new(AtomicBool::new(true)), _gone: None };
    begin(work, within, &awaits, does).await
}

/// Does work that is a future, as [`run`] does, in a small runtime of its own: its timers, sockets and children go with
/// it when it ends or is given up.
///
/// # Errors
/// As for [`run`].
pub async fn run_future<T, F, W>(work: Work, within: Duration, does: W) -> Result<T, Late>
where
    T: Send + 'static,
    F: Future<Output = T>,
    W: FnOnce() -> F + Send + 'static,
{
    let what = work.name.clone();
    let (gone, is_gone) = oneshot::channel();
    let awaits = Awaits { flag: Arc::new(AtomicBool::new(true)), _gone: Some(gone) };
    let whole = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let done = runtime.map_err(|error| error.to_string())?.block_on(async {
            tokio::select! {
                done = does() => Some(done),
                // The sender is only ever dropped.
                _ = is_gone => None,
            }
        });
        done.ok_or_else(|| "nobody waits for it any more".to_owned())
    };
    begin(work, within, &awaits, whole).await?.map_err(|why| Late::Broke { what, why })
}

/// Work that is done, or that was not begun since its paths lead to these shares as well.
type Done<T, W> = Result<T, (W, Vec<Share>)>;

async fn begin<T, W>(work: Work, within: Duration, awaits: &Awaits, does: W) -> Result<T, Late>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    // Far beyond any time-out there is, and not beyond what the clock can say.
    let deadline = Instant::now() + within.min(Duration::from_secs(365 * 24 * 3600));
    let broke = |why: String| Late::Broke { what: work.name.clone(), why };
    let (mut shares, mut does) = (share::of(work.kind, &work.paths, &[]), does);
    for _ in 0..ELSEWHERE_MAX {
        let ticket = wait_for_place(&work, &shares, deadline).await?;
        let begun = ticket.begun;
        let (sender, receiver) = oneshot::channel::<Done<T, W>>();
        let (kind, paths, flag) = (work.kind, work.paths.clone(), Arc::clone(&awaits.flag));
        let begun_with = threads::submit(Box::new(move || {
            let found = share::of(kind, &paths, &ticket.shares);
            if found != ticket.shares {
                drop(ticket);
                let _ = sender.send(Err((does, found)));
                return;
            }
            AWAITED.set(Some(flag));
            let done = does();
            AWAITED.set(None);
            // Whoever hears of it finds the place free. Nobody may be waiting any more.
            drop(ticket);
            let _ = sender.send(Ok(done));
        }));
        begun_with.map_err(|error| broke(format!("no thread could be begun: {error}")))?;
        match tokio::time::timeout(deadline.saturating_duration_since(Instant::now()), receiver).await {
            Ok(Ok(Ok(done))) => return Ok(done),
            Ok(Ok(Err((back, found)))) => (does, shares) = (back, found),
            Ok(Err(_)) => return Err(broke("it broke off".into())),
            Err(_) => return Err(Late::Unanswered { what: work.name, lasts: begun.elapsed() }),
        }
    }
    Err(broke("links lead from mount to mount".into()))
}

#[cfg(test)]
mod tests;
