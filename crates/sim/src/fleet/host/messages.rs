//! A simulated host's messages to people: the production duties over an outbox of which every message outlives the agent, and
//! whose own are told at once. Its disk may refuse to take down that one was given.

use std::collections::{BTreeMap, BTreeSet};

use ansai_engine::effect::Dispatch;
use ansai_model::{
    message::{MessageGiven, MessageKey, MessageNews, MessageOffered, MessageSaid},
    time::MonoTime,
};
use ansai_notify::outbox::duty::{Duties, Duty, Say, Taker};

/// What outlives the agent, and the duties of its process.
#[derive(Default)]
pub(in crate::fleet) struct Outbox {
    duties: Duties,
    waiting: BTreeMap<MessageKey, MessageGiven>,
    /// Told from here, or taken by the controller.
    done: BTreeSet<MessageKey>,
    /// Told from here, and not yet seen by the world.
    told: Vec<MessageKey>,
    /// Every one that there ever was.
    pub(in crate::fleet) all: BTreeSet<MessageKey>,
}

impl Outbox {
    /// The agent is started anew: it knows what was on the disk.
    pub(super) fn restarts(&mut self) {
        self.duties = Duties::new(self.duties.given().to_vec());
        self.tell_own();
    }

    pub(super) fn put(&mut self, dispatch: &Dispatch, now: MonoTime) {
        let report = dispatch.report.clone();
        let key = MessageKey { dispatch: dispatch.id, incident: report.incident, opened: report.opened.wall };
        if self.done.contains(&key) || self.waiting.contains_key(&key) {
            return;
        }
        self.all.insert(key);
        self.waiting.insert(key, MessageGiven { key, kind: dispatch.kind, report });
        self.duties.offer(key, now);
        self.tell_own();
    }

    /// When an offer ends.
    pub(super) fn due(&self) -> Option<MonoTime> {
        self.duties.next_at()
    }

    pub(super) fn wakes(&mut self, now: MonoTime) {
        self.duties.expire(now);
        self.tell_own();
    }

    /// A link is up or gone.
    pub(in crate::fleet) fn link(&mut self, taker: Option<Taker>) {
        self.duties.link(taker);
        self.tell_own();
    }

    /// What it has to say on a link.
    pub(in crate::fleet) fn says(&mut self, session: u64) -> Vec<MessageSaid> {
        let says = self.duties.says(session);
        let said = |say: Say| {
            let (Say::Offer(key) | Say::Give(key)) = say;
            let message = self.waiting.get(&key)?.clone();
            Some(match say {
                Say::Give(_) => MessageSaid::Given(Box::new(message)),
                Say::Offer(_) => MessageSaid::Offered(MessageOffered {
                    key,
                    kind: message.kind,
                    target: message.report.target,
                    severity: message.report.severity,
                }),
            })
        };
        says.into_iter().filter_map(said).collect()
    }

    /// The controller answers.
    pub(in crate::fleet) fn hears(&mut self, session: u64, news: MessageNews, now: MonoTime, disk_is_full: bool) {
        match news {
            MessageNews::Wanted(key) => match self.duties.wanted(session, key, now).filter(|_| !disk_is_full) {
                Some(on_disk) => self.duties.give(key, on_disk),
                None => self.duties.keep(key),
            },
            MessageNews::Declined(key) => match self.duties.without(session, key) {
                Some(on_disk) => self.duties.are_written(on_disk),
                None => self.duties.keep(key),
            },
            MessageNews::Taken(key) => {
                if let Some(on_disk) = self.duties.without(session, key) {
                    self.duties.are_written(on_disk);
                    self.waiting.remove(&key);
                    self.done.insert(key);
                }
            }
        }
        self.tell_own();
    }

    /// How a message stands here, in words.
    pub(in crate::fleet) fn standing(&self, key: MessageKey) -> String {
        let (waits, is_done) = (self.waiting.contains_key(&key), self.done.contains(&key));
        format!("{:?}, waits {waits}, is done {is_done}", self.duties.of(key))
    }

    fn tell_own(&mut self) {
        let own: Vec<MessageKey> =
            self.waiting.keys().copied().filter(|key| self.duties.of(*key) == Duty::Own).collect();
        for key in own {
            self.waiting.remove(&key);
            self.done.insert(key);
            self.told.push(key);
        }
    }

    /// What was told from here since this was asked.
    pub(in crate::fleet) fn has_told(&mut self) -> Vec<MessageKey> {
        std::mem::take(&mut self.told)
    }
}
