//! Handing messages to the controller: what the duties say is kept on the disk here, and messages are read for the link. Who has
//! the duty is [`super::duty`]'s, what is said on the link the agent's.

use std::fmt;

use ansai_model::{
    id::{IncidentId, RouteId},
    message::{MessageGiven, MessageKey, MessageNews, MessageOffered, MessageSaid},
    notify::Notice,
    report::Report,
    text::Text,
    time::{MonoTime, WallTime},
};

use super::{
    Duty, Outbox, State,
    duty::{Given, Member, Say, Taker},
    kept::DoneKey,
    plan::Queued,
};

/// Largest report that is handed to a controller, as JSON: a larger one is sent by the host itself. A frame of the link has four
/// times as much.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits here.
    Waits,
    /// It was told from here.
    Told {
        /// On these routes; at least one.
        on: Vec<ToldOn>,
        /// These have not taken it yet.
        waiting: Vec<RouteId>,
    },
    /// It was given to this controller, which has not said yet that it has it.
    Given(Text),
    /// This controller has it.
    Taken(Text),
}

/// A route that took a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldOn {
    /// The route.
    pub route: RouteId,
    /// The route that could not be told, and whose fallback it is.
    pub instead_of: Option<RouteId>,
}

impl fmt::Display for ToldOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instead_of {
            Some(other) => write!(f, "{} (instead of {other})", self.route),
            None => write!(f, "{}", self.route),
        }
    }
}

impl Outbox {
    /// A link is up, to a controller that knows of messages or to one that does not. It may write a file. One that comes to this
    /// late, when a newer one is up, changes nothing.
    pub fn link(&self, taker: Option<Taker>) {
        self.lock().link(taker);
        self.shared.changed.notify_one();
        self.shared.to_say.notify_one();
    }

    /// A link has ended, and another one may be up by now: what was offered on it is sent from here.
    pub fn unlink(&self, session: u64) {
        let mut state = self.lock();
        if state.duties.taker().is_some_and(|taker| taker.session == session) {
            state.link(None);
        }
        drop(state);
        self.shared.changed.notify_one();
    }

    /// The host is this member of a controller, or nobody's, or of a controller that does not know of messages: what was given by
    /// another member is its own again. It may write a file.
    pub fn belongs_to(&self, member: Option<&Member>) {
        let mut state = self.lock();
        // It is asked each second on a host without a controller, and wakes nobody then.
        if !state.is_changed_by(member) {
            return;
        }
        state.belongs_to(member);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// The controller knows this member no more, or nothing of messages: what was given by it is the host's own again. It may write
    /// a file.
    pub fn take_back(&self, member: &Member) {
        self.lock().take_back(member);
        self.shared.changed.notify_one();
    }

    /// Ends when something may have to be said to the controller; what was before it is asked counts.
    pub async fn has_to_say(&self) {
        self.shared.to_say.notified().await;
    }

    /// Whether messages are offered to a controller now.
    #[must_use]
    pub fn has_taker(&self) -> bool {
        self.lock().duties.are_offered()
    }

    /// Whether something is to be said on this link.
    #[must_use]
    pub fn has_says(&self, session: u64) -> bool {
        self.lock().duties.has_says(session)
    }

    /// What is to be said on this link, once, in order. It reads files.
    #[must_use]
    pub fn says(&self, session: u64) -> Vec<MessageSaid> {
        self.lock().says(session)
    }

    /// The controller has said something about a message on this link. It writes files.
    pub fn hear(&self, session: u64, news: MessageNews, now: MonoTime) {
        self.lock().hear(session, news, now);
        self.shared.changed.notify_one();
        self.shared.to_say.notify_one();
    }

    /// What became of the messages about an incident, the oldest first, as far as that is remembered.
    #[must_use]
    pub fn fates(&self, incident: IncidentId, opened: WallTime) -> Vec<Fate> {
        self.lock().fates(incident, opened)
    }
}

impl State {
    /// By which key a message is offered to the controller; nothing when it is the host's own. Only what is new is offered: what is
    /// known has its duty, and what the agent tells of itself has no number.
    pub(super) fn is_to_be_offered(&self, dispatch: u64, notice: &Notice) -> Option<MessageKey> {
        let report = &notice.report;
        let key = MessageKey { dispatch, incident: report.incident, opened: report.opened.wall };
        let may_be = dispatch != 0 && self.duties.are_offered();
        (may_be && !self.is_known(key) && !is_large(report)).then_some(key)
    }

    /// Whether a message waits, or is done.
    pub(super) fn is_known(&self, key: MessageKey) -> bool {
        let is_of_it = |done: MessageKey| done == key;
        self.queued.values().any(|queued| queued.key() == key) || !self.kept.done_of(is_of_it).is_empty()
    }

    pub(super) fn offer(&mut self, key: MessageKey, at: MonoTime) {
        if self.queued.values().any(|queued| queued.key() == key) && self.duties.offer(key, at) {
            self.settle_duties();
        }
    }

    /// What another is to send is not sent here.
    pub(super) fn settle_duties(&mut self) {
        let Self { duties, queued, .. } = self;
        let is_elsewhere = |queued: &Queued| queued.is_unrouted || duties.of(queued.key()) != Duty::Own;
        queued.values_mut().for_each(|queued| queued.is_elsewhere = is_elsewhere(queued));
    }

    fn link(&mut self, taker: Option<Taker>) {
        if taker.as_ref().is_some_and(|taker| self.duties.is_outdated(taker)) {
            return;
        }
        if let Some(taker) = &taker {
            self.belongs_to(Some(&taker.member));
        }
        self.duties.link(taker);
        self.unrouted_link();
        self.settle_duties();
    }

    fn belongs_to(&mut self, member: Option<&Member>) {
        let left = self.duties.belonging_to(member);
        self.is_left(left, member.is_some());
    }

    fn take_back(&mut self, member: &Member) {
        let left = self.duties.without_those_by(member);
        self.is_left(left, false);
    }

    fn is_left(&mut self, given: Option<Vec<Given>>, has_controller: bool) {
        if let Some(given) = given {
            self.is_no_longer_given(given);
        }
        self.unrouted_have(has_controller);
        self.settle_duties();
    }

    /// This is left of what was given. Where that cannot be written down it holds all the same, for nothing would ask again
    /// before the next link: after a restart what was given is given, or taken back, once more.
    fn is_no_longer_given(&mut self, left: Vec<Given>) {
        let _ = self.kept.keep_given(&left);
        self.duties.are_written(left);
    }

    fn says(&mut self, session: u64) -> Vec<MessageSaid> {
        let says = self.duties.says(session);
        says.into_iter().filter_map(|say| self.said(say)).collect()
    }

    fn said(&mut self, say: Say) -> Option<MessageSaid> {
        let (Say::Offer(key) | Say::Give(key)) = say;
        let numbers = self.numbers(key);
        let Some(stored) = numbers.iter().find_map(|number| self.kept.read(*number).ok()) else {
            match say {
                Say::Offer(_) => self.duties.keep(key),
                // Nobody can say what it was any more.
                Say::Give(_) if numbers.is_empty() => self.is_lost(key),
                // It is still given, for the controller may have it; a disk may answer the next time.
                Say::Give(_) => self.duties.says_again(say),
            }
            self.settle_duties();
            return None;
        };
        let Notice { kind, report, .. } = stored.notice;
        Some(match say {
            Say::Offer(_) => {
                MessageSaid::Offered(MessageOffered { key, kind, target: report.target, severity: report.severity })
            }
            Say::Give(_) => MessageSaid::Given(Box::new(MessageGiven { key, kind, report })),
        })
    }

    fn is_lost(&mut self, key: MessageKey) {
        let left: Vec<_> = self.duties.given().iter().filter(|given| given.key != key).cloned().collect();
        if self.kept.keep_given(&left).is_ok() {
            self.duties.are_written(left);
        }
    }

    /// The numbers of the messages of a dispatch, one for each route.
    fn numbers(&self, key: MessageKey) -> Vec<u64> {
        self.queued.values().filter(|queued| queued.key() == key).map(|queued| queued.number).collect()
    }

    fn hear(&mut self, session: u64, news: MessageNews, now: MonoTime) {
        match news {
            MessageNews::Wanted(key) => {
                let is_in_memory = |number| self.kept.is_unkept(number);
                let is_unkept = self.queued.values().any(|queued| queued.key() == key && is_in_memory(queued.number));
                match self.duties.wanted(session, key, now).filter(|_| !is_unkept) {
                    Some(given) if self.kept.keep_given(&given).is_ok() => self.duties.give(key, given),
                    // What may not be on the disk as given is sent from here.
                    Some(_) | None => self.duties.keep(key),
                }
            }
            MessageNews::Declined(key) => {
                match self.duties.without(session, key) {
                    Some(left) => {
                        self.is_no_longer_given(left);
                        // It was asked for, so there is somebody to tell: one without a route is offered again, unless nobody
                        // tells any more.
                        if !self.duties.are_offered() {
                            self.unrouted_is_declined(session, key);
                        }
                    }
                    None => {
                        self.duties.keep(key);
                        self.unrouted_is_declined(session, key);
                    }
                }
            }
            MessageNews::Taken(key) => {
                let Some(left) = self.duties.without(session, key) else { return };
                let to = self.duties.given_to(key).cloned();
                // By what is known without the files: one that cannot be read now must not come back after a restart.
                let of_it = self.queued.values().filter(|queued| queued.key() == key);
                let messages = of_it.map(|queued| (queued.number, DoneKey::of_queued(queued))).collect();
                self.queued.retain(|_, queued| queued.key() != key);
                self.kept.finish(messages, None, to.as_ref());
                // Else it is given once more, and taken once more.
                let _ = self.kept.keep_given(&left);
                self.duties.are_written(left);
            }
        }
        self.settle_duties();
    }

    fn fates(&self, incident: IncidentId, opened: WallTime) -> Vec<Fate> {
        let is_of_it = |key: MessageKey| key.incident == incident && key.opened == opened;
        let mut fates = std::collections::BTreeMap::new();
        for (dispatch, told_on, given_to) in self.kept.done_of(is_of_it) {
            let untold = Fate::Told { on: Vec::new(), waiting: Vec::new() };
            match (given_to, fates.entry(dispatch).or_insert(untold)) {
                (Some(to), fate) => *fate = Fate::Taken(to.clone()),
                (None, Fate::Told { on, .. }) => on.push(told_on),
                (None, _) => {}
            }
        }
        for queued in self.queued.values().filter(|queued| is_of_it(queued.key())) {
            match (self.duties.given_to(queued.key()), fates.get_mut(&queued.dispatch)) {
                (Some(to), _) => drop(fates.insert(queued.dispatch, Fate::Given(to.clone()))),
                (None, Some(Fate::Told { waiting, .. })) => waiting.push(queued.route.clone()),
                (None, _) => drop(fates.insert(queued.dispatch, Fate::Waits)),
            }
        }
        fates.into_values().collect()
    }
}

/// Whether a report is too large for a frame.
pub(super) fn is_large(report: &Report) -> bool {
    serde_json::to_vec(report).is_ok_and(|bytes| bytes.len() > MESSAGE_BYTES_MAX)
}

#[cfg(test)]
mod tests;
