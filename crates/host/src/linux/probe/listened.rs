//! Observes at ports of this host without a connection each time: who has just accepted one, is listened at, and keeps nobody
//! waiting would accept another, and the kernel is asked for that in a few microseconds. A service is not woken for it.
//!
//! It only ever says that a port is well. Whatever is in doubt is seen by a connection, and so is every port each ten
//! seconds: at a service that hangs one waits then, which is what tells of it. Ports of other hosts, names and whatever is
//! spoken to are none of its business.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::observation::{Health, Observation};

use super::{
    parting::Partings,
    socket::{tcp, who},
};
use crate::linux::{
    aside::{self, Kind, Work},
    backlog::Asker,
};

/// How long an accepted connection speaks for those that are not made.
const SPEAKS_FOR: Duration = Duration::from_secs(10);
/// How often the kernel is tried that did not answer: it may have to look for what answers each time.
const TRIED_EVERY: Duration = Duration::from_secs(60);
/// Most ports that are remembered, some 50 bytes each; others are connected to.
const PORTS_MAX: usize = 8192;

/// What is known of the ports of this host.
#[derive(Debug, Default)]
pub(super) struct Listened(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When each last accepted a connection.
    accepted: BTreeMap<SocketAddr, Instant>,
    /// Who asks the kernel, once it is known to answer.
    asker: Option<Asker>,
    tried: Option<Instant>,
}

impl Known {
    fn has_accepted(&self, at: SocketAddr, now: Instant) -> bool {
        self.accepted.get(&at).is_some_and(|accepted| now.saturating_duration_since(*accepted) < SPEAKS_FOR)
    }

    /// Whether a connection would be accepted, as far as that is known without one.
    fn would_accept(&mut self, at: SocketAddr, now: Instant) -> bool {
        if !self.has_accepted(at, now) {
            return false;
        }
        let Some(asker) = &mut self.asker else { return false };
        match asker.waiting_at(at) {
            Ok(waiting) => waiting == Some(0),
            Err(_) => {
                self.asker = None;
                false
            }
        }
    }

    /// Notes what a connection came to; says whether the kernel is to be tried, as it is for a port that is looked at often
    /// enough to be worth it.
    fn saw(&mut self, at: SocketAddr, now: Instant, is_accepted: bool) -> bool {
        if !is_accepted {
            self.accepted.remove(&at);
            return false;
        }
        let is_often = self.has_accepted(at, now);
        if self.accepted.len() >= PORTS_MAX && !self.accepted.contains_key(&at) {
            self.forget(now);
        }
        self.accepted.insert(at, now);
        let is_due = self.tried.is_none_or(|tried| now.saturating_duration_since(tried) >= TRIED_EVERY);
        let is_tried = self.asker.is_none() && is_often && is_due;
        if is_tried {
            self.tried = Some(now);
        }
        is_tried
    }

    /// Makes room: what speaks for nobody any more goes, or else the oldest.
    fn forget(&mut self, now: Instant) {
        self.accepted.retain(|_, accepted| now.saturating_duration_since(*accepted) < SPEAKS_FOR);
        if self.accepted.len() >= PORTS_MAX
            && let Some(oldest) = self.accepted.iter().min_by_key(|(_, accepted)| **accepted).map(|(at, _)| *at)
        {
            self.accepted.remove(&oldest);
        }
    }
}

impl Listened {
    fn with<T>(&self, does: impl FnOnce(&mut Known) -> T) -> T {
        does(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The port when it is one of this host, by an address that nobody has to look up.
fn of_this_host(host: &str, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = host.parse().ok()?;
    ip.is_loopback().then(|| SocketAddr::new(ip, port))
}

/// Observes at a port to which nothing is said.
pub(super) async fn look(
    listened: &Listened,
    partings: &Partings,
    host: &str,
    port: u16,
    timeout: Duration,
) -> Observation {
    let (begun, at) = (Instant::now(), of_this_host(host, port));
    if at.is_some_and(|at| listened.with(|known| known.would_accept(at, begun))) {
        return Observation::healthy(format!("{} is listened on, and connections are accepted", who(host, port)));
    }
    // Boxed for the room: of a thousand looks only a few connect at a time.
    let seen = Box::pin(tcp(partings, host, port, None, timeout)).await;
    let is_accepted = seen.health() == Health::Healthy;
    if let Some(at) = at
        && listened.with(|known| known.saw(at, Instant::now(), is_accepted))
    {
        let left = timeout.saturating_sub(begun.elapsed());
        let asker = Box::pin(aside::run(Work::new(Kind::Look, "who listens on this host"), left, move || asker(at)));
        if let Ok(Some(asker)) = asker.await {
            listened.with(|known| known.asker = Some(asker));
        }
    }
    seen
}

/// Who asks the kernel, when it knows of a port that has just accepted a connection. The first question may take as long as
/// loading a module does.
fn asker(at: SocketAddr) -> Option<Asker> {
    let mut asker = Asker::open().ok()?;
    asker.waiting_at(at).ok()??;
    Some(asker)
}

#[cfg(test)]
mod tests;
