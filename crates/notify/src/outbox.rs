//! The outbox: messages to people, each a file until it is delivered, so that a mail server that is down, a restart or
//! a power cut loses none.
//!
//! What is to be done next is [`plan`]'s, a pure function; this file does it. How a message leaves the host is
//! [`crate::channel`]'s, behind [`Deliver`].

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::{
    id::{IncidentId, RouteId},
    notify::{Notice, NoticeKind, Route},
    text::{Counted, Text},
    time::{Now, Shown, WallTime},
};
use thiserror::Error;
use tokio::sync::Notify;

pub mod duty;
mod handing;
mod kept;
pub mod plan;
mod unrouted;
mod worker;

use duty::{Duties, Duty};
pub use handing::{Fate, MESSAGE_BYTES_MAX, ToldOn};
use kept::{Kept, Stored};
use plan::{MESSAGES_MAX, Queued, RouteState, is_dispensable};
use unrouted::Unrouted;
pub use worker::run;

/// Why a message was not queued.
#[derive(Debug, Error)]
pub enum PutError {
    /// It cannot be written.
    #[error("{}: the message cannot be kept", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is only in memory, and being delivered: it is done when that has ended well.
    #[error("the message is only in memory, and under way")]
    UnderWay,
    /// Every place is taken by messages that may not be dropped for it.
    #[error("{MESSAGES_MAX} messages wait that may not be dropped; is a route down? see `ansai doctor`")]
    Full,
}

/// Why a message could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeliverError {
    /// It may work later: no connection, a time-out, a temporary refusal.
    #[error("{0}")]
    Later(String),
    /// It will not work until somebody changes something: an address that does not exist, a secret that is refused.
    /// A fallback has it at once; without one it is tried again.
    #[error("{0}")]
    Never(String),
}

/// What became of a message that a channel took over, where it goes to several recipients: one who is refused keeps it from
/// nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Who has it.
    pub served: Vec<String>,
    /// Who never gets it, and why.
    pub refused: Vec<(String, String)>,
    /// Who may get it later, and why not now.
    pub waiting: Vec<(String, String)>,
}

/// What is handed to a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// One notice.
    One(Box<Notice>),
    /// Several, as one message; at least two.
    Digest(Vec<Notice>),
    /// A test that somebody asked for: nothing is wrong. It is never queued.
    Test(TestNotice),
}

/// A message that only shows that messages arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct TestNotice {
    /// When it was asked for.
    pub at: WallTime,
    /// Who asked for it.
    pub by: Text,
    /// The route that is tried.
    pub route: RouteId,
}

/// How a message leaves the host.
pub trait Deliver: Send + Sync {
    /// Delivers once to all recipients but `done`, of whom nothing is left to do; ends within a minute or so.
    fn deliver(
        &self,
        route: &Route,
        message: &Message,
        done: &[String],
    ) -> impl Future<Output = Result<Receipt, DeliverError>> + Send;
}

/// What became of a message, for logs, metrics and the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It arrived; `messages` is more than one for a digest.
    Delivered {
        /// On which route.
        route: RouteId,
        /// How many messages were in it.
        messages: usize,
        /// How long it took.
        took: Duration,
    },
    /// It arrived, but not at all recipients of the route; empty when it did at all of them.
    Refused {
        /// On which route.
        route: RouteId,
        /// Who did not get it, and why.
        recipients: Vec<(String, String)>,
    },
    /// It did not arrive and is tried again.
    Retrying {
        /// On which route.
        route: RouteId,
        /// Failures in a row.
        failures: u32,
        /// When it is tried again.
        after: Duration,
        /// Why it failed.
        why: String,
    },
    /// It is sent on the fallback route instead.
    Rerouted {
        /// About which incident.
        incident: IncidentId,
        /// The route that failed.
        from: RouteId,
        /// The route to which it fell back.
        to: RouteId,
    },
    /// It is given up and kept in `outbox/dead/`.
    Dead {
        /// About which incident, when that could be read.
        incident: Option<IncidentId>,
        /// The reason, as people read it.
        why: String,
    },
    /// It gave its place to one that matters more.
    Dropped {
        /// About which incident.
        incident: IncidentId,
        /// Why people would have been told.
        kind: NoticeKind,
    },
}

impl Delivery {
    /// A word for the metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Refused { .. } => "refused",
            Self::Retrying { .. } => "retrying",
            Self::Rerouted { .. } => "rerouted",
            Self::Dead { .. } => "dead",
            Self::Dropped { .. } => "dropped",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { route, messages, took } => {
                write!(f, "told {route}: {} in {took:.1?}", Counted(*messages, "message"))
            }
            Self::Refused { route, recipients } => {
                let each: Vec<String> = recipients.iter().map(|(who, why)| format!("{who} ({why})")).collect();
                write!(f, "{} of the route {route}", each.join(", "))
            }
            Self::Retrying { route, failures, after, why } => {
                write!(
                    f,
                    "{route} could not be told ({}, again in {}): {why}",
                    Counted(*failures, "time"),
                    Shown(*after)
                )
            }
            Self::Rerouted { incident, from, to } => write!(f, "{incident} is told on {to} instead of {from}"),
            Self::Dead { why, .. } => write!(f, "a message is given up: {why}"),
            Self::Dropped { incident, .. } => write!(f, "a message about {incident} gave its place to another"),
        }
    }
}

/// Told of every [`Delivery`]; must not block.
pub type Observer = Arc<dyn Fn(&Delivery) + Send + Sync>;

/// A durable queue of messages. A clone is another handle to it.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    /// Something is to be said to the controller.
    to_say: Notify,
    observer: Observer,
}

struct State {
    kept: Kept,
    next_number: u64,
    queued: BTreeMap<u64, Queued>,
    routes: BTreeMap<RouteId, Route>,
    route_states: BTreeMap<RouteId, RouteState>,
    duties: Duties,
    unrouted: Unrouted,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens the outbox in `dir` (made by the first message) with those that wait in it. A file that cannot be read is put
    /// aside into `dead/`, and told.
    #[must_use]
    pub fn open(dir: &Path, routes: &[Route], observer: Observer) -> Self {
        let mut kept = Kept::open(dir);
        let (stored, unreadable) = kept.scan();
        for why in unreadable {
            observer(&Delivery::Dead { incident: None, why });
        }
        let queued: BTreeMap<u64, Queued> =
            stored.iter().map(|(number, stored)| (*number, Queued::of(*number, stored))).collect();
        let duties = Duties::new(kept.given());
        let mut state = State {
            kept,
            next_number: queued.last_key_value().map_or(1, |(number, _)| number + 1),
            queued,
            routes: by_id(routes),
            route_states: BTreeMap::new(),
            duties,
            unrouted: Unrouted::default(),
        };
        state.settle_duties();
        let (changed, to_say) = (Notify::new(), Notify::new());
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed, to_say, observer }) }
    }

    /// Takes over the routes of a new configuration. Messages on a route that is gone are delivered on what is left
    /// of its name, or put into `dead/` after three days.
    pub fn set_routes(&self, routes: &[Route]) {
        self.lock().routes = by_id(routes);
        self.shared.changed.notify_one();
    }

    /// Queues a notice once for each of its routes, or, without any, for the controller that the host may have; durable when this
    /// returns. The same `dispatch` put again counts
    /// once; a newer one of the same kind about the same incident takes the place of one that still waits.
    ///
    /// # Errors
    /// When it cannot be kept; what was queued for other routes stays so, and putting it again is fine. It is told from
    /// memory meanwhile, and once it is, putting it again succeeds.
    pub fn put(&self, dispatch: u64, notice: &Notice) -> Result<(), PutError> {
        let mut dropped = Vec::new();
        let result = self.lock().put(dispatch, notice, &mut dropped);
        for delivery in &dropped {
            (self.shared.observer)(delivery);
        }
        self.shared.changed.notify_one();
        self.shared.to_say.notify_one();
        result
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().queued.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock half-changed: every change is one insert or remove.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn by_id(routes: &[Route]) -> BTreeMap<RouteId, Route> {
    routes.iter().map(|route| (route.id.clone(), route.clone())).collect()
}

impl State {
    fn put(&mut self, dispatch: u64, notice: &Notice, dropped: &mut Vec<Delivery>) -> Result<(), PutError> {
        if notice.routes.is_empty() {
            return self.put_unrouted(dispatch, notice);
        }
        // Before anything of it is queued, so that no route is sent while another is offered.
        let offered = self.is_to_be_offered(dispatch, notice);
        let put = self.put_on_routes(dispatch, notice, dropped);
        match (offered, &put) {
            (Some(key), Ok(())) => self.offer(key, notice.at.mono),
            // What is not kept whole is nobody else's.
            (Some(_), Err(_)) | (None, _) => {}
        }
        // A message that is given and of which a file was lost is queued anew, and is another's to send all the same.
        self.settle_duties();
        put
    }

    fn put_on_routes(&mut self, dispatch: u64, notice: &Notice, dropped: &mut Vec<Delivery>) -> Result<(), PutError> {
        for route in &notice.routes {
            let stored = Stored {
                dispatch,
                route: route.clone(),
                tried: Vec::new(),
                failures: 0,
                done: Vec::new(),
                notice: Notice { routes: vec![route.clone()], ..notice.clone() },
            };
            if self.kept.is_done(&stored) {
                continue;
            }
            if let Some(number) = self.under_way(&stored) {
                if self.kept.is_unkept(number) {
                    return Err(PutError::UnderWay);
                }
                continue;
            }
            let number = match self.waiting(&stored) {
                Some(number) => number,
                None => {
                    self.make_room(dropped)?;
                    self.next_number
                }
            };
            let kept = self.kept.write(number, &stored).map_err(|(path, source)| PutError::Io { path, source });
            if kept.is_ok() || self.kept.is_unkept(number) {
                self.next_number = self.next_number.max(number + 1);
                self.queued.insert(number, Queued::of(number, &stored));
            }
            kept?;
        }
        Ok(())
    }

    /// The same dispatch, while it is being delivered.
    fn under_way(&self, stored: &Stored) -> Option<u64> {
        let same = |queued: &&Queued| {
            !queued.is_free()
                && (queued.dispatch, &queued.origin) == (stored.dispatch, &stored.route)
                && queued.incident == stored.notice.report.incident
        };
        self.queued.values().find(same).map(|queued| queued.number)
    }

    /// The message that waits for the same route, incident and kind, so that the newer one takes its place.
    fn waiting(&self, stored: &Stored) -> Option<u64> {
        let same = |queued: &&Queued| {
            queued.origin == stored.route
                && queued.incident == stored.notice.report.incident
                && queued.kind == stored.notice.kind
                && queued.is_free()
                && (queued.is_for_hosts, stored.notice.hosts.is_some()) == (false, false)
        };
        let again = |queued: &&Queued| {
            queued.is_free()
                && queued.origin == stored.route
                && queued.dispatch == stored.dispatch
                && queued.is_for_hosts
        };
        self.queued.values().find(|queued| same(queued) || again(queued)).map(|queued| queued.number)
    }

    /// The oldest healed notice goes first, then what else may go; an escalation never does.
    fn make_room(&mut self, dropped: &mut Vec<Delivery>) -> Result<(), PutError> {
        while self.queued.len() >= MESSAGES_MAX {
            let find = |wanted: fn(NoticeKind) -> bool| {
                self.queued.values().find(|queued| wanted(queued.kind) && queued.is_free()).map(|queued| queued.number)
            };
            let Some(number) = find(|kind| kind == NoticeKind::Healed).or_else(|| find(is_dispensable)) else {
                return Err(PutError::Full);
            };
            if let Some(queued) = self.queued.remove(&number) {
                self.kept.remove(number);
                dropped.push(Delivery::Dropped { incident: queued.incident, kind: queued.kind });
            }
        }
        Ok(())
    }

    fn plan(&self, now: Now) -> plan::Plan {
        plan::plan(now, &self.routes, &self.route_states, &self.queued)
    }
}

#[cfg(test)]
mod tests;
