//! Carries out what the plan says: one delivery a route at a time, routes beside each other.

use std::time::Duration;

use ansai_model::{
    id::RouteId,
    notify::{Notice, Route},
    time::{Now, Shown},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Deliver, DeliverError, Delivery, Message, Outbox, Receipt, State,
    kept::{DoneKey, Stored},
    plan::{Failure, Plan, Queued, Step, retry_wait},
};

/// Longest time without a look at the queue.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// A delivery that takes longer is a failure, whatever its channel does.
const DELIVERY_MAX: Duration = Duration::from_secs(90);

/// A delivery to be made.
struct Job {
    route: Route,
    messages: Vec<(u64, Stored)>,
}

/// A delivery that has ended.
struct Ended {
    job: Job,
    took: Duration,
    result: Result<Receipt, DeliverError>,
}

/// Delivers until `stop`; what is under way then is dropped, and delivered after the next start.
pub async fn run<D, C>(outbox: Outbox, deliver: &D, clock: C, stop: CancellationToken)
where
    D: Deliver,
    C: Fn() -> Now + Send,
{
    let mut under_way = FuturesUnordered::new();
    loop {
        let now = clock();
        if outbox.lock().offer_unrouted(now) {
            outbox.shared.to_say.notify_one();
        }
        let (jobs, told, next_at) = outbox.lock().begin(now);
        for delivery in &told {
            (outbox.shared.observer)(delivery);
        }
        let is_changed = !told.is_empty();
        under_way.extend(jobs.into_iter().map(|job| carry_out(deliver, job)));
        if is_changed {
            // What was moved or put aside may make something else due.
            continue;
        }
        let wait = next_at.map_or(IDLE_MAX, |next_at| next_at.since(now.mono).min(IDLE_MAX));
        // Every arm can be dropped at any moment: a delivery that ended stays in the set until it is taken out.
        tokio::select! {
            () = stop.cancelled() => return,
            () = outbox.shared.changed.notified() => {}
            () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
            Some(ended) = under_way.next() => {
                let told = outbox.lock().end(clock(), ended);
                for delivery in &told {
                    (outbox.shared.observer)(delivery);
                }
            }
        }
    }
}

async fn carry_out<D: Deliver>(deliver: &D, job: Job) -> Ended {
    let begun = Instant::now();
    let mut notices: Vec<Notice> = job.messages.iter().map(|(_, stored)| stored.notice.clone()).collect();
    let message = match notices.pop() {
        Some(only) if notices.is_empty() => Message::One(Box::new(only)),
        last => Message::Digest(notices.into_iter().chain(last).collect()),
    };
    // Messages in one digest have the same recipients: what was delivered to some of them goes by itself.
    let done = job.messages.first().map(|(_, stored)| stored.done.clone()).unwrap_or_default();
    let result = match tokio::time::timeout(DELIVERY_MAX, deliver.deliver(&job.route, &message, &done)).await {
        Ok(result) => result,
        Err(_) => Err(DeliverError::Later(format!("no end after {}", Shown(DELIVERY_MAX)))),
    };
    Ended { job, took: begun.elapsed(), result }
}

impl State {
    /// Does what is done at once, and says which deliveries to begin.
    fn begin(&mut self, now: Now) -> (Vec<Job>, Vec<Delivery>, Option<ansai_model::time::MonoTime>) {
        if self.duties.expire(now.mono) {
            self.settle_duties();
        }
        let Plan { steps, next_at } = self.plan(now);
        let next_at = next_at.into_iter().chain(self.duties.next_at()).min();
        let (mut jobs, mut told) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Send { number, route } => jobs.extend(self.job(&[number], &route, &mut told)),
                Step::Digest { numbers, route } => jobs.extend(self.job(&numbers, &route, &mut told)),
                Step::Reroute { number, to } => told.extend(self.reroute(number, &to)),
                Step::Bury { number, why } => told.extend(self.bury(number, why)),
            }
        }
        (jobs, told, next_at)
    }

    /// Reads the messages of a delivery; one that cannot be read is put aside.
    fn job(&mut self, numbers: &[u64], route: &RouteId, told: &mut Vec<Delivery>) -> Option<Job> {
        let route = self.routes.get(route)?.clone();
        let mut messages = Vec::with_capacity(numbers.len());
        for number in numbers {
            match self.kept.read(*number) {
                Ok(stored) => messages.push((*number, stored)),
                Err(why) => told.extend(self.bury(*number, why)),
            }
        }
        if messages.is_empty() {
            return None;
        }
        for (number, _) in &messages {
            if let Some(queued) = self.queued.get_mut(number) {
                queued.is_in_flight = true;
            }
        }
        self.route_states.entry(route.id.clone()).or_default().is_busy = true;
        Some(Job { route, messages })
    }

    /// Takes in how a delivery ended.
    fn end(&mut self, now: Now, ended: Ended) -> Vec<Delivery> {
        let Ended { job: Job { route, messages }, took, result } = ended;
        let id = route.id.clone();
        let state = self.route_states.entry(id.clone()).or_default();
        state.is_busy = false;
        let error = match result {
            Ok(receipt) => {
                state.succeeded(now.mono);
                return self.delivered(now, Job { route, messages }, took, receipt);
            }
            Err(error) => error,
        };
        let numbers: Vec<u64> = messages.iter().map(|(number, _)| *number).collect();
        self.put_back(messages);
        let fallback = route.fallback.filter(|fallback| *fallback != id && self.routes.contains_key(fallback));
        let mut told: Vec<Delivery> = match (&error, &fallback) {
            // It never arrives on this route, so there is nothing to wait for.
            (DeliverError::Never(_), Some(to)) => {
                numbers.iter().filter_map(|number| self.reroute(*number, to)).collect()
            }
            (DeliverError::Never(_) | DeliverError::Later(_), _) => Vec::new(),
        };
        if told.len() == numbers.len() {
            return told;
        }
        // Even what is refused for good is tried again while it may be mended: a person is waiting for it.
        let how = match &error {
            DeliverError::Later(_) => Failure::ForNow,
            DeliverError::Never(_) => Failure::ForGood,
        };
        let state = self.route_states.entry(id.clone()).or_default();
        let after = state.failed(now.mono, &id, how);
        told.push(Delivery::Retrying { route: id, failures: state.failures, after, why: error.to_string() });
        told
    }

    /// Takes in that a message has arrived, at least at some of its recipients. Those who could not have it now get it later,
    /// by itself; the route works, so nothing else waits for them.
    fn delivered(&mut self, now: Now, job: Job, took: Duration, receipt: Receipt) -> Vec<Delivery> {
        let Job { route, mut messages } = job;
        let id = route.id;
        let delivered = Delivery::Delivered { route: id.clone(), messages: messages.len(), took };
        let Receipt { served, refused, waiting } = receipt;
        if waiting.is_empty() {
            for (number, _) in &messages {
                self.queued.remove(number);
            }
            let keys = messages.iter().map(|(number, stored)| (*number, DoneKey::of(stored))).collect();
            self.kept.finish(keys, Some(&id), None);
        } else {
            let done: Vec<String> = served.into_iter().chain(refused.iter().map(|(who, _)| who.clone())).collect();
            for (_, stored) in &mut messages {
                stored.done.extend(done.iter().cloned());
            }
            let numbers: Vec<u64> = messages.iter().map(|(number, _)| *number).collect();
            self.put_back(messages);
            for number in numbers {
                if let Some(queued) = self.queued.get_mut(&number) {
                    queued.next_at = now.mono.plus(retry_wait(queued.failures, &id, Failure::ForNow));
                }
            }
        }
        let recipients: Vec<_> = refused.into_iter().chain(waiting).collect();
        let state = self.route_states.entry(id.clone()).or_default();
        let had_refusals = std::mem::replace(&mut state.has_refusals, !recipients.is_empty());
        let refused = Delivery::Refused { route: id, recipients };
        if had_refusals || state.has_refusals { vec![delivered, refused] } else { vec![delivered] }
    }

    fn put_back(&mut self, messages: Vec<(u64, Stored)>) {
        for (number, mut stored) in messages {
            stored.failures = stored.failures.saturating_add(1);
            // When it cannot be written down, it is remembered for as long as the agent runs.
            let _ = self.kept.write(number, &stored);
            self.queued.insert(number, Queued::of(number, &stored));
        }
    }

    /// Whether a route has a message already, or will have it by another of its copies.
    fn is_told_or_queued_on(&self, queued: &Queued, route: &RouteId) -> bool {
        let key = queued.key();
        let has = |other: &Queued| other.number != queued.number && other.route == *route && other.key() == key;
        self.kept.is_told_on(key, route) || self.queued.values().any(has)
    }

    /// Moves a message to another route, unless that has failed it or has the same one: then it waits for its own.
    fn reroute(&mut self, number: u64, to: &RouteId) -> Option<Delivery> {
        let queued = self.queued.get(&number)?;
        if queued.tried.contains(to) || self.is_told_or_queued_on(queued, to) {
            return None;
        }
        let mut stored = self.kept.read(number).ok()?;
        let from = std::mem::replace(&mut stored.route, to.clone());
        stored.tried.push(from.clone());
        stored.done.clear();
        // When it cannot be written down, the old route is tried first after a restart.
        let _ = self.kept.write(number, &stored);
        self.queued.insert(number, Queued::of(number, &stored));
        Some(Delivery::Rerouted { incident: stored.notice.report.incident, from, to: to.clone() })
    }

    fn bury(&mut self, number: u64, why: String) -> Option<Delivery> {
        let queued = self.queued.remove(&number)?;
        self.kept.bury(number);
        Some(Delivery::Dead { incident: Some(queued.incident), why })
    }
}
