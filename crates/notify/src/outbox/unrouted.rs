//! Messages of a host that has no route of its own: its controller may have one. They wait until it says that it takes them or that
//! nobody wants them, and are nobody's to send from here. Who has the duty to send what was offered is [`super::duty`]'s.

use std::time::Duration;

use ansai_model::{
    id::RouteId,
    message::MessageKey,
    notify::Notice,
    time::{MonoTime, Now},
};

use super::{
    PutError, State,
    duty::{Duty, Member},
    handing::is_large,
    kept::Stored,
    plan::{GIVE_UP_AFTER, Queued},
};

/// Most of them that wait; the oldest go.
const UNROUTED_MAX: usize = 64;
/// How often what a controller has not answered is offered again.
const OFFER_EVERY: Duration = Duration::from_secs(60);
/// What stands in the place of a route.
const NOWHERE: &str = "controller";

/// What is known of them.
#[derive(Debug)]
pub(super) struct Unrouted {
    /// Whether the host may have a controller that tells; in doubt it has.
    has_controller: bool,
    /// When they are offered again.
    offer_from: MonoTime,
}

impl Default for Unrouted {
    fn default() -> Self {
        Self { has_controller: true, offer_from: MonoTime::default() }
    }
}

impl State {
    /// Keeps a message for the controller, where there may be one.
    pub(super) fn put_unrouted(&mut self, dispatch: u64, notice: &Notice) -> Result<(), PutError> {
        let report = &notice.report;
        let key = MessageKey { dispatch, incident: report.incident, opened: report.opened.wall };
        let is_nobodys = dispatch == 0 || !self.unrouted.has_controller || is_large(report);
        let (false, false, Ok(route)) = (is_nobodys, self.is_known(key), RouteId::new(NOWHERE)) else { return Ok(()) };
        let waiting: Vec<MessageKey> = self.own_unrouted().map(Queued::key).collect();
        let surplus = (waiting.len() + 1).saturating_sub(UNROUTED_MAX);
        waiting.into_iter().take(surplus).for_each(|oldest| self.forget_unrouted(|queued| queued.key() == oldest));
        let notice = Notice { routes: Vec::new(), ..notice.clone() };
        let stored = Stored { dispatch, route, tried: Vec::new(), failures: 0, done: Vec::new(), notice };
        let number = self.next_number;
        if let Err((path, source)) = self.kept.write(number, &stored) {
            // It is not told from memory: whoever has decided it puts it again.
            self.kept.remove(number);
            return Err(PutError::Io { path, source });
        }
        self.next_number += 1;
        self.queued.insert(number, Queued::of(number, &stored));
        self.unrouted.offer_from = MonoTime::default();
        Ok(())
    }

    /// Offers those that wait, and gives up what is old. Says whether there is anything to say.
    pub(super) fn offer_unrouted(&mut self, now: Now) -> bool {
        if !self.duties.are_offered() || now.mono < self.unrouted.offer_from {
            return false;
        }
        self.unrouted.offer_from = now.mono.plus(OFFER_EVERY);
        self.forget_unrouted(|queued| now.wall.since(queued.at) >= GIVE_UP_AFTER);
        let waiting: Vec<MessageKey> = self.own_unrouted().map(Queued::key).collect();
        let offered = waiting.into_iter().filter(|key| self.duties.offer(*key, now.mono)).count();
        self.settle_duties();
        offered > 0
    }

    /// Whether it changes anything whose member the host is.
    pub(super) fn is_changed_by(&self, member: Option<&Member>) -> bool {
        self.unrouted.has_controller != member.is_some() || self.duties.belonging_to(member).is_some()
    }

    /// A controller tells them that the host belongs to; without one nobody does.
    pub(super) fn unrouted_have(&mut self, controller: bool) {
        self.unrouted.has_controller = controller;
        if !controller {
            self.forget_unrouted(|_| true);
        }
    }

    /// A link is up, or none any more.
    pub(super) fn unrouted_link(&mut self) {
        self.unrouted.offer_from = MonoTime::default();
        if self.duties.taker().is_some() {
            self.unrouted.has_controller = self.duties.are_offered();
        }
        if !self.unrouted.has_controller {
            self.forget_unrouted(|_| true);
        }
    }

    /// The controller does not send one: then nobody does.
    pub(super) fn unrouted_is_declined(&mut self, session: u64, key: MessageKey) {
        if self.duties.taker().is_some_and(|taker| taker.session == session) {
            self.forget_unrouted(|queued| queued.key() == key);
        }
    }

    /// Those that were not given to anybody and are not offered now, oldest first.
    fn own_unrouted(&self) -> impl Iterator<Item = &Queued> {
        self.queued.values().filter(|queued| queued.is_unrouted && self.duties.of(queued.key()) == Duty::Own)
    }

    fn forget_unrouted(&mut self, is_meant: impl Fn(&Queued) -> bool) {
        let numbers: Vec<u64> =
            self.own_unrouted().filter(|queued| is_meant(queued)).map(|queued| queued.number).collect();
        for number in numbers {
            self.queued.remove(&number);
            self.kept.remove(number);
        }
    }
}

#[cfg(test)]
mod tests;
