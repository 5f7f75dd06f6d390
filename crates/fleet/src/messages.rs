//! Messages to people that hosts have given to this controller: kept before a host hears that it may forget them, gathered over
//! hosts, and told once for each cause. A host gives one again until it hears that it is kept, so each is known by its key. What
//! has one cause, and what such a message says, stands in `causes`.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    message::{GIVEN_MAX, MessageGiven, MessageKey, MessageNews, MessageOffered, MessageSaid},
    notify::{NoticeKind, Route},
    rule::Severity,
    time::{MonoTime, WallTime},
};
use ansai_protocol::{
    IncidentSummary,
    link::{FromController, HostId},
    record::{HostIncident, MessageRecord, Record, TakenRecord},
};

use crate::{
    FleetEngine,
    causes::{self, Cause},
    effect::FleetEffect,
    input::SessionId,
    limits::{
        GATHER, GATHER_AGAIN, GATHER_URGENT, KNOWN_CAUSES_MAX, KNOWN_FOR, MESSAGES_BYTES_MAX, MESSAGES_MAX,
        MESSAGES_OF_HOST_BYTES_MAX, MESSAGES_OF_HOST_MAX, TELL_AGAIN,
    },
    twins::CONTROLLER,
};

/// What is known of messages beside what is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    /// Whom there is to tell.
    routes: Vec<Route>,
    /// Whether more is taken than is there.
    is_taking: bool,
    /// When the shell was last asked to tell a group.
    asked: BTreeMap<u64, MonoTime>,
    /// The causes of which people were told lately.
    known: BTreeMap<Cause, MonoTime>,
    /// How long causes were known before that is kept by which people are told of them.
    unsure: Vec<(Cause, Option<MonoTime>)>,
}

impl Messages {
    /// All is kept by which people are told.
    pub(crate) fn saved(&mut self) {
        self.unsure.clear();
    }

    /// It is not: nobody was told of what was to be told, or asked to tell it.
    pub(crate) fn not_saved(&mut self) {
        self.asked.clear();
        for (cause, before) in self.unsure.drain(..).rev() {
            match before {
                Some(told) => self.known.insert(cause, told),
                None => self.known.remove(&cause),
            };
        }
    }
}

impl FleetEngine {
    /// The same engine with somebody to tell what hosts have to tell.
    #[must_use]
    pub fn telling_by(mut self, routes: Vec<Route>) -> Self {
        self.messages.routes = routes;
        self.messages.is_taking = true;
        self
    }

    /// The same engine, taking what hosts have to tell, or only telling what it has taken before.
    #[must_use]
    pub fn taking(mut self, is_taking: bool) -> Self {
        self.messages.is_taking = is_taking;
        self
    }

    /// Whether there is anybody to tell what hosts have to tell from now on.
    pub(crate) fn tells(&self) -> bool {
        self.messages.is_taking && !self.messages.routes.is_empty()
    }

    /// A host says something about a message.
    pub(crate) fn message_said(&mut self, id: SessionId, host: HostId, said: MessageSaid) {
        let news = match said {
            MessageSaid::Offered(offered) => match self.wants(&offered) {
                false => Some(MessageNews::Declined(offered.key)),
                // Who hears nothing tells it, or offers it again.
                true => self.can_take(id, host).then_some(MessageNews::Wanted(offered.key)),
            },
            MessageSaid::Given(given) => self.given(id, host, given),
        };
        let message = |news| FleetEffect::Send { session: id, message: FromController::Message(news) };
        self.effects.extend(news.map(message));
    }

    /// Whether a message would be told that is offered.
    fn wants(&self, offered: &MessageOffered) -> bool {
        let MessageOffered { kind, target, severity, .. } = offered;
        self.tells() && self.messages.routes.iter().any(|route| causes::wants(route, *kind, target, *severity))
    }

    /// Whether a message would be taken now. Nothing is promised by it: what is given may still be declined.
    fn can_take(&self, id: SessionId, host: HostId) -> bool {
        let is_stalled = self.sessions.get(&id).is_none_or(|session| session.is_stalled);
        !is_stalled && self.saving.trouble.is_none() && !self.is_newer_twin(id) && self.has_room_for(host, 0)
    }

    /// Whether there is room for a message of so many bytes more.
    fn has_room_for(&self, host: HostId, bytes: u64) -> bool {
        let first = MessageKey { dispatch: 0, incident: ansai_model::id::IncidentId(0), opened: WallTime(i64::MIN) };
        let of_host = || self.books.messages.range((host, first)..).take_while(|((of, _), _)| *of == host);
        let bytes_of_all: u64 = self.books.messages.values().map(|message| message.bytes).sum();
        let bytes_of_host: u64 = of_host().map(|(_, message)| message.bytes).sum();
        self.books.messages.len() < MESSAGES_MAX
            && of_host().count() < MESSAGES_OF_HOST_MAX
            && bytes_of_all.saturating_add(bytes) <= MESSAGES_BYTES_MAX
            && bytes_of_host.saturating_add(bytes) <= MESSAGES_OF_HOST_BYTES_MAX
    }

    /// A host has given a message away: it is kept, or, when it never was and there is no room or nobody to tell, the host's own
    /// again. Nothing is answered when it cannot be kept now: the host gives it again.
    fn given(&mut self, id: SessionId, host: HostId, given: Box<MessageGiven>) -> Option<MessageNews> {
        let key = given.key;
        let before = self.books.taken.get(&host);
        if before.is_some_and(|keys| keys.contains(&key)) {
            return Some(MessageNews::Taken(key));
        }
        let session = self.sessions.get_mut(&id)?;
        session.is_stalled |= self.saving.trouble.is_some();
        if session.is_stalled {
            return None;
        }
        let bytes = MessageRecord::bytes_of(&given);
        if !self.tells() || !self.has_room_for(host, bytes) {
            return Some(MessageNews::Declined(key));
        }
        let mut keys = before.cloned().unwrap_or_default();
        keys.push(key);
        keys.drain(..keys.len().saturating_sub(GIVEN_MAX));
        let name = self.books.hosts.get(&host)?.name.clone();
        let record = MessageRecord { host, name, at: self.now.wall, bytes, message: given, group: None };
        self.put(Record::Message(record));
        self.put(Record::Taken(TakenRecord { host, keys }));
        Some(MessageNews::Taken(key))
    }

    /// To be called once a second: what no more is gathered for is told, and what is not known to be told is asked for again.
    pub(crate) fn tell_messages(&mut self) {
        // Who may be told again one day is waited for; that they wait is shown.
        if self.messages.routes.is_empty() {
            return;
        }
        self.gather();
        let groups: BTreeSet<u64> = self.books.messages.values().filter_map(|message| message.group).collect();
        self.messages.asked.retain(|number, _| groups.contains(number));
        for number in groups {
            let asked = self.messages.asked.get(&number);
            if asked.is_some_and(|asked| self.now.mono.since(*asked) < TELL_AGAIN) {
                continue;
            }
            let members = self.books.messages.values().filter(|message| message.group == Some(number));
            let members: Vec<&MessageRecord> = members.collect();
            let notice = causes::notice(&members, &self.messages.routes, self.now);
            self.messages.asked.insert(number, self.now.mono);
            let tell = notice.map(|notice| FleetEffect::TellForHosts { number, notice: Box::new(notice) });
            self.effects.extend(tell);
        }
    }

    /// Messages of one cause that have waited for each other become one group.
    fn gather(&mut self) {
        let now = self.now;
        self.messages.known.retain(|_, told| now.mono.since(*told) < KNOWN_FOR);
        let mut by_cause: BTreeMap<Cause, Vec<&MessageRecord>> = BTreeMap::new();
        for message in self.books.messages.values().filter(|message| message.group.is_none()) {
            by_cause.entry(Cause::of(&message.message)).or_default().push(message);
        }
        let is_due = |cause: &Cause, of_cause: &[&MessageRecord]| {
            let is_urgent = of_cause.iter().any(|one| one.message.report.severity == Severity::Now);
            let patience = match (self.messages.known.contains_key(cause), is_urgent) {
                (true, _) => GATHER_AGAIN,
                (false, true) => GATHER_URGENT,
                (false, false) => GATHER,
            };
            // A clock that was set back makes nobody wait longer.
            of_cause.iter().any(|one| one.at > now.wall || now.wall.since(one.at) >= patience)
        };
        by_cause.retain(|cause, of_cause| is_due(cause, of_cause));
        let due: Vec<(Cause, Vec<MessageRecord>)> =
            by_cause.into_iter().map(|(cause, all)| (cause, all.into_iter().cloned().collect())).collect();
        for (cause, of_cause) in due {
            let number = self.next_group();
            for message in of_cause {
                self.put(Record::Message(MessageRecord { group: Some(number), ..message }));
            }
            if self.messages.known.len() < KNOWN_CAUSES_MAX {
                let before = self.messages.known.insert(cause.clone(), now.mono);
                self.messages.unsure.push((cause, before));
            }
        }
    }

    /// A number that no group had, as far as the outbox remembers: it knows more than a store that was brought back from a copy,
    /// and there the clock helps.
    fn next_group(&self) -> u64 {
        let by_clock = u64::try_from(self.now.wall.0).unwrap_or(0);
        by_clock.max(self.books.last_group.saturating_add(1))
    }

    /// The outbox has the message of this group on its disk.
    pub(crate) fn is_queued(&mut self, number: u64) {
        // It is asked for once more, and said once more.
        if self.saving.trouble.is_some() {
            return;
        }
        let members: Vec<MessageRecord> =
            self.books.messages.values().filter(|message| message.group == Some(number)).cloned().collect();
        let Some(first) = members.first() else { return };
        let hosts: BTreeSet<HostId> = members.iter().map(|message| message.host).collect();
        let what = format!("told people for {}: {}", first.name, first.message.report.headline);
        self.audit(&CONTROLLER.into(), what, hosts.len());
        for message in members {
            self.is_told_by_us(&message);
            self.put(Record::MessageGone { host: message.host, key: message.message.key });
        }
        self.messages.asked.remove(&number);
    }

    /// An incident that goes on says who told people of it.
    fn is_told_by_us(&mut self, message: &MessageRecord) {
        let key = (message.message.key.opened.0, message.message.key.incident);
        let open = self.books.open.get(&Some(message.host)).and_then(|open| open.get(&key)).cloned();
        if let Some(open) = open.filter(|open| open.told.is_none()) {
            let incident = IncidentSummary { told: Some(CONTROLLER.into()), ..open };
            self.put(Record::Incident(HostIncident { host: Some(message.host), incident }));
        }
    }

    /// How many messages hosts have given away that nobody is told of, since there is nobody to tell.
    #[must_use]
    pub fn messages_for_nobody(&self) -> usize {
        if self.messages.routes.is_empty() { self.books.messages.len() } else { 0 }
    }

    /// How many messages of hosts wait to be told.
    #[must_use]
    pub fn messages_waiting(&self) -> usize {
        self.books.messages.len()
    }
}

/// Whether people would be told of something only when they have asked for it.
pub(crate) fn is_quiet(kind: NoticeKind) -> bool {
    !kind.is_loud()
}
