//! What the outbox does next: a pure function of the time, the routes and what waits.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ansai_model::{
    id::{IncidentId, RouteId},
    message::MessageKey,
    notify::{NoticeKind, Route},
    time::{MonoTime, Now, WallTime},
};

use super::kept::Stored;

mod storms;

/// Most messages that wait.
pub const MESSAGES_MAX: usize = 1000;
/// Most messages in one digest.
pub const DIGEST_MAX: usize = 50;
/// After so many failures in a row of a route, its fallback is used.
pub const FALLBACK_AFTER: u32 = 3;
/// A message is given up when it is this old.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 86_400);
const RETRY_FIRST: Duration = Duration::from_secs(10);
/// What could not be reached is asked again often: messages go as soon as it is back.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Who refused for good is asked again seldom: only a person mends that.
const RETRY_REFUSED_MAX: Duration = Duration::from_secs(60 * 60);

/// What is known of a message without reading its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its place in the order.
    pub number: u64,
    /// The number under which the engine dispatched it.
    pub dispatch: u64,
    /// The route on which it is sent now.
    pub route: RouteId,
    /// The route for which it was queued.
    pub origin: RouteId,
    /// Routes that failed it.
    pub tried: Vec<RouteId>,
    /// About which incident.
    pub incident: IncidentId,
    /// When that was opened.
    pub opened: WallTime,
    /// Why people are told.
    pub kind: NoticeKind,
    /// Whether a controller tells it for a host: its incidents have the numbers of many hosts.
    pub is_for_hosts: bool,
    /// Whether no route of the host takes it, and only a controller may send it.
    pub is_unrouted: bool,
    /// Whether another is to send it, or may be about to: a controller to which it was offered or given.
    pub is_elsewhere: bool,
    /// When it was decided.
    pub at: WallTime,
    /// How often it failed; the others go first, so that one that never arrives holds none of them up.
    pub failures: u32,
    /// Whether it is being delivered.
    pub is_in_flight: bool,
    /// Recipients of whom nothing is left to do; what is left goes apart from what nobody has yet.
    pub done: Vec<String>,
    /// Not tried before.
    pub next_at: MonoTime,
    /// The storm that it is told with: its first incident, and how many messages may still follow.
    pub storm: Option<(IncidentId, u32)>,
}

impl Queued {
    pub(super) fn of(number: u64, stored: &Stored) -> Self {
        Self {
            number,
            dispatch: stored.dispatch,
            route: stored.route.clone(),
            origin: stored.tried.first().unwrap_or(&stored.route).clone(),
            tried: stored.tried.clone(),
            incident: stored.notice.report.incident,
            opened: stored.notice.report.opened.wall,
            kind: stored.notice.kind,
            is_for_hosts: stored.notice.hosts.is_some(),
            is_unrouted: stored.notice.routes.is_empty(),
            is_elsewhere: stored.notice.routes.is_empty(),
            at: stored.notice.at.wall,
            failures: stored.failures,
            is_in_flight: false,
            done: stored.done.clone(),
            next_at: MonoTime::default(),
            storm: stored.notice.report.storm.as_ref().map(|storm| (storm.first, storm.undecided)),
        }
    }
}

impl Queued {
    /// By what a controller knows it.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        MessageKey { dispatch: self.dispatch, incident: self.incident, opened: self.opened }
    }

    /// Whether something may be done with it now.
    pub(super) fn is_free(&self) -> bool {
        !self.is_in_flight && !self.is_elsewhere
    }
}

/// How a route has done lately.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RouteState {
    /// Failures in a row.
    pub failures: u32,
    /// Not tried before.
    pub next_at: MonoTime,
    /// When messages were delivered lately; at most as many as the route allows in its window.
    pub sent: VecDeque<MonoTime>,
    /// Whether a delivery is under way: one at a time, so that order is kept.
    pub is_busy: bool,
    /// Whether the last delivery did not reach all recipients.
    pub has_refusals: bool,
}

/// The most delivery times kept of a route.
const SENT_MAX: usize = 1024;

impl RouteState {
    /// Notes a delivery.
    pub fn succeeded(&mut self, now: MonoTime) {
        self.failures = 0;
        self.next_at = now;
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// Notes a failure, and says how long the route rests.
    pub fn failed(&mut self, now: MonoTime, route: &RouteId, how: Failure) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = retry_wait(self.failures, route, how);
        self.next_at = now.plus(wait);
        wait
    }
}

/// How a route failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work the next time.
    ForNow,
    /// It was refused until somebody changes something.
    ForGood,
}

/// The wait after so many failures in a row: 10 s, doubled up to a minute (up to an hour after a refusal for good), and up
/// to a tenth more by the route's name, so that many hosts and routes do not knock at the same moment.
#[must_use]
pub fn retry_wait(failures: u32, route: &RouteId, how: Failure) -> Duration {
    let wait_max = match how {
        Failure::ForNow => RETRY_MAX,
        Failure::ForGood => RETRY_REFUSED_MAX,
    };
    let doubled = RETRY_FIRST.saturating_mul(1u32 << failures.saturating_sub(1).min(10)).min(wait_max);
    let hash = route.as_str().bytes().fold(u64::from(failures) ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let tenth = u64::try_from(doubled.as_millis() / 10).unwrap_or(0).max(1);
    doubled + Duration::from_millis(hash % tenth)
}

/// Whether a message may give its place to another one when the outbox is full.
#[must_use]
pub fn is_dispensable(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::Healed | NoticeKind::Recovered | NoticeKind::Suggested | NoticeKind::Foreseen => true,
        NoticeKind::Withdrawn => true,
        NoticeKind::Escalated | NoticeKind::HealedTooOften | NoticeKind::ApprovalWanted => false,
    }
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Deliver one message.
    Send {
        /// The number by which people end it.
        number: u64,
        /// On which route.
        route: RouteId,
    },
    /// Deliver several as one.
    Digest {
        /// Which, in order; one alone is delivered as it is.
        numbers: Vec<u64>,
        /// On which route.
        route: RouteId,
    },
    /// Send on the fallback route from now on, unless that has the same message.
    Reroute {
        /// The number by which people end it.
        number: u64,
        /// The route to which it fell back.
        to: RouteId,
    },
    /// Give it up.
    Bury {
        /// The number by which people end it.
        number: u64,
        /// The reason, as people read it.
        why: String,
    },
}

/// What to do now, and when to ask again at the latest.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// When something is due that is not yet.
    pub next_at: Option<MonoTime>,
}

/// Says what to do now.
#[must_use]
pub fn plan(
    now: Now,
    routes: &BTreeMap<RouteId, Route>,
    states: &BTreeMap<RouteId, RouteState>,
    queued: &BTreeMap<u64, Queued>,
) -> Plan {
    let mut plan = Plan::default();
    let mut by_route: BTreeMap<&RouteId, Vec<&Queued>> = BTreeMap::new();
    for message in queued.values().filter(|message| message.is_free()) {
        if now.wall.since(message.at) >= GIVE_UP_AFTER {
            let why = format!("not delivered on {} within three days", message.route);
            plan.steps.push(Step::Bury { number: message.number, why });
        } else {
            by_route.entry(&message.route).or_default().push(message);
        }
    }
    for (id, mut messages) in by_route {
        messages.sort_by_key(|message| (message.failures, message.number));
        let fresh = RouteState::default();
        let state = states.get(id).unwrap_or(&fresh);
        match routes.get(id) {
            Some(route) => of_route(now, route, state, &messages, routes, &mut plan),
            // The route left the configuration: the message waits for it to come back, until it is given up.
            None => plan.next_at = earlier(plan.next_at, now.mono.plus(RETRY_MAX)),
        }
    }
    plan
}

fn of_route(
    now: Now,
    route: &Route,
    state: &RouteState,
    messages: &[&Queued],
    routes: &BTreeMap<RouteId, Route>,
    plan: &mut Plan,
) {
    if state.is_busy {
        return;
    }
    if now.mono < state.next_at {
        if let Some(fallback) = route.fallback.as_ref().filter(|_| state.failures >= FALLBACK_AFTER) {
            let can_move = |message: &&&Queued| fallback != &route.id && !message.tried.contains(fallback);
            let moved = messages.iter().filter(can_move).filter(|_| routes.contains_key(fallback));
            plan.steps.extend(moved.map(|message| Step::Reroute { number: message.number, to: fallback.clone() }));
        }
        plan.next_at = earlier(plan.next_at, state.next_at);
        return;
    }
    let (messages, later): (Vec<&Queued>, Vec<&Queued>) =
        messages.iter().copied().partition(|message| message.next_at <= now.mono);
    plan.next_at = later.iter().fold(plan.next_at, |next_at, message| earlier(next_at, message.next_at));
    // What is left of some goes to other recipients than the rest, and together where they are the same.
    if let Some(first) = messages.iter().find(|message| !message.done.is_empty()) {
        let alike = messages.iter().filter(|message| message.done == first.done).take(DIGEST_MAX);
        let numbers: Vec<u64> = alike.map(|message| message.number).collect();
        plan.steps.push(match numbers.as_slice() {
            [number] => Step::Send { number: *number, route: route.id.clone() },
            _ => Step::Digest { numbers, route: route.id.clone() },
        });
        return;
    }
    let (messages, storms, next_at) = storms::apart(now, &messages);
    plan.next_at = next_at.into_iter().fold(plan.next_at, earlier);
    // A storm that may be told is one message, with all that belong to it; else the oldest goes first.
    let storm = storms.into_iter().min_by_key(|storm| storm.first().map(|message| message.number));
    let is_next = |storm: &Vec<&Queued>| messages.first().is_none_or(|other| storm[0].number < other.number);
    if let Some(storm) = storm.filter(is_next) {
        let numbers = storm.iter().map(|message| message.number).collect();
        plan.steps.push(Step::Digest { numbers, route: route.id.clone() });
        return;
    }
    let Some(first) = messages.first() else { return };
    let window_began = now.mono.minus(route.digest_window);
    let mut sent = state.sent.iter().filter(|at| **at > window_began);
    let (first_sent, sent_count) = match sent.next() {
        Some(first) => (Some(*first), 1 + sent.count()),
        None => (None, 0),
    };
    let single_max = usize::try_from(route.digest_after).unwrap_or(usize::MAX);
    let is_single = messages.len() == 1 && (sent_count == 0 || sent_count < single_max);
    if is_single || messages.len().saturating_add(sent_count) <= single_max {
        plan.steps.push(Step::Send { number: first.number, route: route.id.clone() });
    } else if let Some(first) = first_sent.filter(|_| sent_count >= single_max || messages.len() == 1) {
        // The window is used up: what comes is gathered until it ends.
        plan.next_at = earlier(plan.next_at, first.plus(route.digest_window));
    } else {
        let numbers = messages.iter().take(DIGEST_MAX).map(|message| message.number).collect();
        plan.steps.push(Step::Digest { numbers, route: route.id.clone() });
    }
}

fn earlier(known: Option<MonoTime>, other: MonoTime) -> Option<MonoTime> {
    Some(known.map_or(other, |known| known.min(other)))
}

#[cfg(test)]
mod tests;
