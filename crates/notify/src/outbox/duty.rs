//! Who has the duty to send each message: this host, or the controller that it was given to. A pure state machine: the outbox keeps
//! what it says on the disk, the link carries what it says, and the simulator plays both.
//!
//! A message is the host's own until the controller has said that it wants it and the host has it on its disk as given; from then
//! on it is not the host's, and it is given again on each link until the controller says that it has it, or that it never had it. So
//! at each moment one side has the duty, whatever breaks, and what is given twice is known to the controller by its key. Where
//! nobody can answer any more, since the host is no longer that member of that controller, it takes back what it gave.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ansai_model::{
    message::{GIVEN_MAX, MessageKey},
    text::Text,
    time::MonoTime,
};
use serde::{Deserialize, Serialize};

/// How long a message waits for the controller to want it. The other part of the 5 s that what is urgent may wait is the
/// controller's, which waits for other hosts.
pub const OFFER_WAIT: Duration = Duration::from_secs(2);

/// As whom this host is a member of which controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The controller, by its id.
    pub controller: Text,
    /// The host, by its id there.
    pub host: Text,
}

/// A message that is the host's no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Which one.
    pub key: MessageKey,
    /// The controller that it was given to, and by whom.
    pub by: Member,
}

/// A link to a controller that knows of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// To which controller, as whom.
    pub member: Member,
    /// Which link: what is said on one is answered on no other, and a later one has a higher number.
    pub session: u64,
    /// Whether it sends any: else nothing is offered, and what was given is given again, so that it says whether it has it.
    pub tells: bool,
}

/// Who is to send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// The host, now.
    Own,
    /// The host, when the controller does not say in time that it wants it.
    Offered,
    /// The controller.
    Given,
}

/// What is to be said on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Would the controller send this?
    Offer(MessageKey),
    /// It is the controller's.
    Give(MessageKey),
}

/// The duties of one outbox.
#[derive(Clone, Debug, Default)]
pub struct Duties {
    taker: Option<Taker>,
    /// When each ends that is offered on this link.
    offered: BTreeMap<MessageKey, MonoTime>,
    /// As they are on the disk, oldest first.
    given: Vec<Given>,
    says: VecDeque<Say>,
    /// The newest link that was up.
    newest: u64,
}

impl Duties {
    /// Those of an outbox that has these on its disk as given.
    #[must_use]
    pub fn new(given: Vec<Given>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Whether a link is older than one that was up since.
    #[must_use]
    pub fn is_outdated(&self, taker: &Taker) -> bool {
        taker.session < self.newest
    }

    /// A link is up, or none any more. What was offered is the host's own again, what was given is given again.
    pub fn link(&mut self, taker: Option<Taker>) {
        self.offered.clear();
        self.says.clear();
        if let Some(taker) = &taker {
            self.newest = taker.session;
            let own = self.given.iter().filter(|given| given.by == taker.member);
            self.says.extend(own.map(|given| Say::Give(given.key)));
        }
        self.taker = taker;
    }

    /// The controller on whose link messages are given now.
    #[must_use]
    pub fn taker(&self) -> Option<&Taker> {
        self.taker.as_ref()
    }

    /// Whether messages are offered now.
    #[must_use]
    pub fn are_offered(&self) -> bool {
        self.taker.as_ref().is_some_and(|taker| taker.tells)
    }

    /// A message that was decided at `at`: whether it is offered, or the host's own at once.
    pub fn offer(&mut self, key: MessageKey, at: MonoTime) -> bool {
        if !self.are_offered() || self.given.len() + self.offered.len() >= GIVEN_MAX {
            return false;
        }
        self.offered.insert(key, at.plus(OFFER_WAIT));
        self.says.push_back(Say::Offer(key));
        true
    }

    /// What was offered for too long is the host's own. Says whether anything was.
    pub fn expire(&mut self, now: MonoTime) -> bool {
        let before = self.offered.len();
        // What was decided by another clock's time waits for no longer.
        self.offered.retain(|_, until| now < *until && until.since(now) <= OFFER_WAIT);
        self.offered.len() < before
    }

    /// When the next offer ends.
    #[must_use]
    pub fn next_at(&self) -> Option<MonoTime> {
        self.offered.values().min().copied()
    }

    /// Who is to send a message.
    #[must_use]
    pub fn of(&self, key: MessageKey) -> Duty {
        match self.given_to(key) {
            Some(_) => Duty::Given,
            None if self.offered.contains_key(&key) => Duty::Offered,
            None => Duty::Own,
        }
    }

    /// The controller that a message was given to.
    #[must_use]
    pub fn given_to(&self, key: MessageKey) -> Option<&Text> {
        self.given.iter().find(|given| given.key == key).map(|given| &given.by.controller)
    }

    /// The controller wants a message: what is to be on the disk before it is given; nothing when it comes too late, and the message
    /// is the host's own.
    #[must_use]
    pub fn wanted(&self, session: u64, key: MessageKey, now: MonoTime) -> Option<Vec<Given>> {
        let taker = self.taker.as_ref().filter(|taker| taker.session == session)?;
        self.offered.get(&key).filter(|until| now < **until)?;
        let given = Given { key, by: taker.member.clone() };
        Some(self.given.iter().cloned().chain([given]).collect())
    }

    /// What [`Self::wanted`] said is on the disk.
    pub fn give(&mut self, key: MessageKey, written: Vec<Given>) {
        self.offered.remove(&key);
        self.given = written;
        self.says.push_back(Say::Give(key));
    }

    /// It is the host's own, for it is not wanted or cannot be given.
    pub fn keep(&mut self, key: MessageKey) {
        self.offered.remove(&key);
    }

    /// The controller has a message, or has never had it and does not want it: what is to be on the disk then. Nothing when it was
    /// not given on this link's controller.
    #[must_use]
    pub fn without(&self, session: u64, key: MessageKey) -> Option<Vec<Given>> {
        let taker = self.taker.as_ref().filter(|taker| taker.session == session)?;
        self.given.iter().find(|given| given.key == key && given.by == taker.member)?;
        Some(self.given.iter().filter(|given| given.key != key).cloned().collect())
    }

    /// What is to be on the disk when this host is this member, or nobody's: what was given by another one is the host's own
    /// again, for nobody asks about that any more. Nothing when that changes nothing.
    #[must_use]
    pub fn belonging_to(&self, member: Option<&Member>) -> Option<Vec<Given>> {
        let kept: Vec<Given> = self.given.iter().filter(|given| Some(&given.by) == member).cloned().collect();
        (kept.len() < self.given.len()).then_some(kept)
    }

    /// What is to be on the disk when what this member gave is the host's own again. Nothing when that changes nothing.
    #[must_use]
    pub fn without_those_by(&self, member: &Member) -> Option<Vec<Given>> {
        let kept: Vec<Given> = self.given.iter().filter(|given| given.by != *member).cloned().collect();
        (kept.len() < self.given.len()).then_some(kept)
    }

    /// This is on the disk.
    pub fn are_written(&mut self, given: Vec<Given>) {
        self.given = given;
    }

    /// All that is given.
    #[must_use]
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// Whether something is to be said on a link.
    #[must_use]
    pub fn has_says(&self, session: u64) -> bool {
        !self.says.is_empty() && self.taker.as_ref().is_some_and(|taker| taker.session == session)
    }

    /// What could not be said is said when it is asked for again.
    pub fn says_again(&mut self, say: Say) {
        self.says.push_back(say);
    }

    /// What is to be said on a link, once, in order.
    pub fn says(&mut self, session: u64) -> Vec<Say> {
        if self.taker.as_ref().is_none_or(|taker| taker.session != session) {
            return Vec::new();
        }
        let says: Vec<Say> = self.says.drain(..).collect();
        let is_still_so = |say: &Say| match say {
            Say::Offer(key) => self.of(*key) == Duty::Offered,
            Say::Give(key) => self.of(*key) == Duty::Given,
        };
        says.into_iter().filter(is_still_so).collect()
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{id::IncidentId, time::WallTime};

    use super::*;

    fn key(dispatch: u64) -> MessageKey {
        MessageKey { dispatch, incident: IncidentId(dispatch), opened: WallTime(0) }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::default().plus(Duration::from_millis(ms))
    }

    fn member(controller: &str, host: &str) -> Member {
        Member { controller: controller.into(), host: host.into() }
    }

    fn taker(session: u64) -> Option<Taker> {
        Some(Taker { member: member("c", "h"), session, tells: true })
    }

    fn linked() -> Duties {
        let mut duties = Duties::default();
        duties.link(taker(1));
        duties
    }

    /// Wanted, on the disk, and given.
    fn give(duties: &mut Duties, dispatch: u64) {
        assert!(duties.offer(key(dispatch), at(0)));
        let session = duties.taker().map_or(0, |taker| taker.session);
        let written = duties.wanted(session, key(dispatch), at(1)).expect("in time");
        duties.give(key(dispatch), written);
    }

    #[test]
    fn without_a_controller_that_tells_everything_is_the_hosts_own() {
        let mut duties = Duties::default();
        assert!(!duties.offer(key(1), at(0)));
        assert_eq!((duties.of(key(1)), duties.says(1)), (Duty::Own, vec![]));
    }

    #[test]
    fn what_is_wanted_in_time_is_given_and_never_the_hosts_own_again_until_it_is_taken() {
        let mut duties = linked();
        assert!(duties.offer(key(1), at(0)));
        assert_eq!((duties.of(key(1)), duties.says(1)), (Duty::Offered, vec![Say::Offer(key(1))]));
        let written = duties.wanted(1, key(1), at(1_999)).expect("in time");
        assert_eq!(duties.of(key(1)), Duty::Offered, "not before it is on the disk");
        duties.give(key(1), written.clone());
        assert_eq!((duties.of(key(1)), duties.says(1)), (Duty::Given, vec![Say::Give(key(1))]));
        assert!(!duties.expire(at(100_000)) && duties.next_at().is_none());
        // The link breaks, and the agent starts anew: it is given again, on each link, to that controller only.
        let mut duties = Duties::new(written);
        assert_eq!(duties.of(key(1)), Duty::Given);
        duties.link(Some(Taker { member: member("another", "h"), session: 2, tells: true }));
        assert_eq!(duties.says(2), []);
        assert_eq!(duties.without(2, key(1)), None, "another cannot have it");
        for session in 3..6 {
            duties.link(None);
            duties.link(taker(session));
            assert_eq!(duties.says(session), [Say::Give(key(1))]);
            assert_eq!(duties.says(session), [], "once");
        }
        let written = duties.without(5, key(1)).expect("given");
        duties.are_written(written);
        assert_eq!((duties.of(key(1)), duties.given().len()), (Duty::Own, 0));
    }

    #[test]
    fn an_answer_that_comes_too_late_or_on_another_link_gives_nothing_away() {
        let mut duties = linked();
        duties.offer(key(1), at(0));
        assert_eq!(duties.wanted(1, key(1), at(2_000)), None, "it is sent at that moment");
        assert_eq!(duties.wanted(2, key(1), at(1)), None, "another link");
        assert_eq!(duties.wanted(1, key(2), at(1)), None, "never offered");
        assert_eq!(duties.next_at(), Some(at(2_000)));
        assert!(!duties.expire(at(1_999)) && duties.expire(at(2_000)));
        assert_eq!((duties.of(key(1)), duties.wanted(1, key(1), at(1))), (Duty::Own, None));
        // What has ended before it was said is not said.
        assert_eq!(duties.says(1), []);
        // A link that breaks between offer and answer, and one that comes after it.
        duties.offer(key(2), at(0));
        duties.link(None);
        assert_eq!(duties.of(key(2)), Duty::Own);
        duties.link(taker(2));
        assert_eq!((duties.wanted(2, key(2), at(1)), duties.wanted(1, key(2), at(1))), (None, None));
        duties.offer(key(3), at(0));
        duties.keep(key(3));
        assert_eq!(duties.of(key(3)), Duty::Own);
    }

    #[test]
    fn what_was_given_to_a_controller_that_the_host_has_left_is_its_own_again() {
        let mut duties = linked();
        give(&mut duties, 1);
        assert_eq!(duties.belonging_to(Some(&member("c", "h"))), None);
        assert_eq!(duties.belonging_to(Some(&member("d", "h"))), Some(vec![]));
        assert_eq!(duties.belonging_to(Some(&member("c", "as another"))), Some(vec![]));
        let none = duties.belonging_to(None).expect("it has left");
        duties.are_written(none);
        assert_eq!(duties.of(key(1)), Duty::Own);
    }

    #[test]
    fn to_a_controller_that_tells_no_more_nothing_is_offered_and_what_was_given_is_given_again() {
        let mut duties = linked();
        give(&mut duties, 1);
        duties.link(Some(Taker { tells: false, ..taker(2).expect("one") }));
        assert!(!duties.offer(key(2), at(0)) && !duties.are_offered());
        assert_eq!(duties.says(2), [Say::Give(key(1))]);
        let written = duties.without(2, key(1)).expect("it may decline");
        duties.are_written(written);
        assert_eq!(duties.of(key(1)), Duty::Own);
        assert!(duties.is_outdated(&taker(1).expect("one")) && !duties.is_outdated(&taker(3).expect("one")));
    }

    #[test]
    fn no_more_is_given_than_a_controller_remembers() {
        let mut duties = linked();
        let most = GIVEN_MAX as u64;
        (0..most).for_each(|dispatch| give(&mut duties, dispatch));
        assert!(!duties.offer(key(most), at(0)));
        let written = duties.without(1, key(0)).expect("given");
        duties.are_written(written);
        assert!(duties.offer(key(most), at(0)) && !duties.offer(key(most + 1), at(0)));
    }
}
