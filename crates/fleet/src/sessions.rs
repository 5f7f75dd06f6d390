//! Hosts that are connected: who is let in, what is said to each first, and what is known of each while it is there.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    id::TargetId,
    text::Text,
    time::{MonoTime, Now},
};
use ansai_protocol::{
    link::{
        FeedId, FromController, FromHost, Held, Hello, HostId, RefusedBundle, RestraintsAt, Short, Welcome, agreed,
    },
    record::{HostRecord, Record},
};

use crate::{
    FleetEngine,
    books::OpenKey,
    effect::FleetEffect,
    incidents::About,
    input::{Came, SessionId},
    limits::{GONE_AFTER, REFRESH_EVERY, REFRESH_IN_SILENCE, REFRESH_MAX, SESSIONS_OF_HOST_MAX},
};

/// A live connection of a host.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) host: HostId,
    pub(crate) serial: Text,
    address: Short,
    pub(crate) is_expired: bool,
    /// It comes from the controller's own machine.
    is_beside: bool,
    pub(crate) feed: FeedId,
    /// The version of the link.
    pub(crate) version: u32,
    pub(crate) since: Now,
    /// When it last said anything.
    heard: MonoTime,
    /// The restraints that it says it obeys.
    pub(crate) acknowledged: RestraintsAt,
    /// What a full telling has named so far, while there is one.
    pub(crate) telling: Option<Telling>,
    /// A change of it was not taken, since nothing could be kept or it has a twin: none is before it comes again.
    pub(crate) is_stalled: bool,
    /// When it was last told to stand back.
    pub(crate) stood_back: Option<MonoTime>,
}

/// What a full telling has named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    pub(crate) targets: BTreeSet<TargetId>,
    pub(crate) incidents: BTreeSet<OpenKey>,
}

impl Session {
    pub(crate) fn new(came: Came, hello: &Hello, since: Now) -> Self {
        let Came { host, serial, address, is_expired, is_beside } = came;
        Self {
            host,
            serial,
            address,
            is_expired,
            is_beside,
            feed: hello.feed,
            version: agreed(hello.oldest, hello.newest).unwrap_or_default(),
            since,
            heard: since.mono,
            acknowledged: RestraintsAt::default(),
            telling: None,
            is_stalled: false,
            stood_back: None,
        }
    }
}

/// What is known of a member beside what is kept: after a restart it is said again.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it was last heard; when nobody has listened since, when that began.
    pub(crate) heard: Now,
    /// By how much its clock is ahead, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// The newest restraints that it says it obeys.
    pub(crate) acknowledged: RestraintsAt,
    /// What it did then that was begun before.
    pub(crate) under_way: Vec<TargetId>,
    /// Why it does not obey what it was told last.
    pub(crate) refused: Option<Text>,
    /// What it said of itself last, when it has said anything.
    pub(crate) says: Option<Says>,
    /// The generation in which other restraints came to concern it, since it is for something else or called otherwise: one
    /// that says it has an older one may have none of those. After a restart that is not known, and the newest counts.
    pub(crate) concerned_since: u64,
    /// The configuration of the fleet that it says it has.
    pub(crate) configuration: Held,
    /// One that it says it does not take.
    pub(crate) refused_configuration: Option<RefusedBundle>,
    /// Two hosts have spoken under this identity.
    pub(crate) are_twins: bool,
    /// It came last from the controller's own machine.
    pub(crate) is_beside: bool,
    /// When it was last kept.
    refreshed: Now,
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) role: Option<Short>,
    pub(crate) labels: BTreeMap<Short, Short>,
    machine_id: Short,
    boot_id: Short,
    program: Short,
    address: Short,
}

impl Says {
    /// Whether nothing of it is news, but for what is asked about elsewhere.
    fn is_kept_in(&self, record: &HostRecord) -> bool {
        let Self { role: _, labels: _, machine_id, boot_id, program, address } = self;
        let HostRecord { machine_id: m, boot_id: b, program: p, address: a, .. } = record;
        (machine_id, boot_id, program, address) == (m, b, p, a)
    }
}

impl Seen {
    /// As it was kept: silence counts from now on.
    pub(crate) fn from_record(host: &HostRecord, concerned_since: u64, now: Now) -> Self {
        Self {
            concerned_since,
            heard: now,
            ahead_ms: host.ahead_ms,
            acknowledged: host.acknowledged,
            under_way: host.under_way.clone(),
            refused: None,
            says: None,
            configuration: host.configuration.clone(),
            refused_configuration: host.refused.clone(),
            are_twins: false,
            is_beside: false,
            refreshed: now,
        }
    }
}

impl FleetEngine {
    /// A host has said hello.
    pub(crate) fn connected(&mut self, id: SessionId, session: Session, hello: &Hello) {
        let now = self.now.mono;
        let gone = self.sessions_of(session.host).filter(|(_, other)| now.since(other.heard) >= GONE_AFTER);
        for gone in gone.map(|(gone, _)| gone).collect::<Vec<_>>() {
            self.close(
                gone,
                "nothing was heard on this connection, and the host has another",
                "there is nothing to do",
            );
        }
        if let Some((why, suggestion)) = self.objection_to_session(&session, hello) {
            let is_removed = !self.books.is_member(session.host, &session.serial);
            self.effects.push(closing(id, &why, suggestion, is_removed));
            return;
        }
        let Some(record) = self.books.hosts.get(&session.host) else { return };
        let welcome = Welcome {
            version: session.version,
            controller: self.books.controller,
            epoch: self.books.epoch,
            host: session.host,
            name: record.name.clone(),
            now_ms: self.now.wall.0,
            kept: self.books.kept.get(&session.host).map(|kept| (kept.feed, kept.through)),
            tells: self.tells(),
        };
        self.effects.push(FleetEffect::Send { session: id, message: FromController::Welcome(Box::new(welcome)) });
        let says = Says {
            role: hello.role.clone(),
            labels: hello.labels.iter().cloned().collect(),
            machine_id: hello.machine_id.clone(),
            boot_id: hello.boot_id.clone(),
            program: hello.program.clone(),
            address: session.address.clone(),
        };
        let (host, is_expired, now) = (session.host, session.is_expired, self.now);
        let generation = self.books.generation;
        let seen = self.seen.entry(host).or_insert_with(|| Seen::from_record(record, generation, now));
        if !says.is_kept_in(record) {
            self.stale.insert(host);
        }
        seen.says = Some(says);
        seen.is_beside = session.is_beside;
        self.sessions.insert(id, session);
        self.by_host.entry(host).or_default().insert(id);
        self.says_otherwise.insert(host);
        self.heard_from(host);
        self.clock_says(host, hello.now_ms);
        if !is_expired {
            self.says_it_has(id, hello.restraints);
            if hello.restraints != self.in_force() {
                self.tell_session(id, host);
            }
            self.has_configuration(host, hello.configuration.clone());
            self.tell_configuration(host);
        }
    }

    /// Why a host is not let in, and what to do.
    fn objection_to_session(&self, session: &Session, hello: &Hello) -> Option<(Text, &'static str)> {
        let host = session.host;
        if !self.books.is_member(host, &session.serial) {
            let what = match self.books.hosts.get(&host) {
                None => "this host is no member of the fleet, or is none any more",
                Some(_) => "this certificate was taken back or replaced by another",
            };
            return Some((what.into(), "`ansai join` with a new token lets it in again"));
        }
        if agreed(hello.oldest, hello.newest).is_none() {
            let what = format!(
                "the agent speaks versions {} to {} of the link, this controller none of them",
                hello.oldest, hello.newest
            );
            return Some((Text::new(what), "give both the same version of ansai, the controller first"));
        }
        let count = self.sessions_of(host).count();
        (count >= SESSIONS_OF_HOST_MAX).then(|| {
            let what = format!("{count} connections have this host's identity already");
            (Text::new(what), "hosts that were cloned must each join for themselves: `ansai join`")
        })
    }

    pub(crate) fn disconnected(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        if let Some(of_host) = self.by_host.get_mut(&session.host) {
            of_host.remove(&id);
        }
        self.issuing.remove(&crate::input::Issued::Session(id));
        self.permits_unsaid(id);
        self.stale.insert(session.host);
        self.nobody_waits_for(session.host);
        self.order_is_cut_off(id);
    }

    /// A host has said something on its link.
    pub(crate) fn heard(&mut self, id: SessionId, message: FromHost) {
        let now = self.now.mono;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.heard = now;
        let (host, is_expired) = (session.host, session.is_expired);
        self.heard_from(host);
        self.notice_twins(id);
        match message {
            FromHost::Renew { request } => self.renew(id, host, request),
            // That somebody is here is said by the shell: it needs no decision.
            FromHost::Beat { now_ms } => self.clock_says(host, now_ms),
            FromHost::Hello(_) => {
                self.close(id, "the host said hello twice on one connection", "it comes again by itself")
            }
            FromHost::Changes { .. }
            | FromHost::Restrained(_)
            | FromHost::Configured(_)
            | FromHost::Permits(_)
            | FromHost::Message(_)
            | FromHost::Ordered(_)
                if is_expired =>
            {
                self.close(id, "its certificate has ended, and can only be renewed", "the agent renews it by itself");
            }
            FromHost::Changes { first, changes } => self.changes(id, first, changes),
            FromHost::Restrained(said) => self.acknowledged(id, host, *said),
            FromHost::Configured(said) => self.configured(host, *said),
            FromHost::Ordered(said) => self.ordered(id, *said),
            FromHost::Permits(said) => self.permits_said(id, host, *said),
            FromHost::Message(said) => self.message_said(id, host, said),
        }
    }

    fn heard_from(&mut self, host: HostId) {
        let now = self.now;
        let is_anybody_silent = self.own(About::Silence).next().is_some();
        let every = if is_anybody_silent { REFRESH_IN_SILENCE } else { REFRESH_EVERY };
        if let Some(seen) = self.seen.get_mut(&host) {
            seen.heard = now;
            if now.mono.since(seen.refreshed.mono) >= every {
                self.stale.insert(host);
            }
        }
    }

    fn clock_says(&mut self, host: HostId, now_ms: i64) {
        if let Some(seen) = self.seen.get_mut(&host) {
            seen.ahead_ms = now_ms.saturating_sub(self.now.wall.0);
        }
    }

    /// The live connections of a host.
    pub(crate) fn sessions_of(&self, host: HostId) -> impl Iterator<Item = (SessionId, &Session)> {
        let sessions = self.by_host.get(&host).into_iter().flatten();
        sessions.filter_map(|id| Some((*id, self.sessions.get(id)?)))
    }

    /// Closes a connection; the shell says that it is gone afterwards.
    pub(crate) fn close(&mut self, id: SessionId, why: &str, suggestion: &'static str) {
        self.effects.push(closing(id, &why.into(), suggestion, false));
        self.disconnected(id);
    }

    /// Keeps what was seen of hosts, a part at a time: it is known again after a restart, so nothing waits for it.
    pub(crate) fn refresh(&mut self) {
        for _ in 0..REFRESH_MAX {
            let Some(id) = self.stale.pop_first() else { return };
            let Some(record) = self.books.hosts.get(&id) else {
                self.seen.remove(&id);
                continue;
            };
            let (now, Some(seen)) = (self.now, self.seen.get_mut(&id)) else { continue };
            seen.refreshed = now;
            let mut fresh = HostRecord {
                heard: Some(seen.heard.wall),
                ahead_ms: seen.ahead_ms,
                acknowledged: seen.acknowledged,
                under_way: seen.under_way.clone(),
                configuration: seen.configuration.clone(),
                refused: seen.refused_configuration.clone(),
                ..record.clone()
            };
            if let Some(says) = &seen.says {
                fresh.machine_id = says.machine_id.clone();
                fresh.boot_id = says.boot_id.clone();
                fresh.program = says.program.clone();
                fresh.address = says.address.clone();
            }
            if fresh != *record {
                self.put(Record::Host(fresh));
            }
        }
    }

    /// A host may say that it is for something else by now, which other restraints may be about.
    pub(crate) fn take_roles_over(&mut self) {
        let mut changed = Vec::new();
        for id in std::mem::take(&mut self.says_otherwise) {
            let (Some(record), Some(seen)) = (self.books.hosts.get(&id), self.seen.get(&id)) else { continue };
            let Some(says) = &seen.says else { continue };
            let role = says.role.clone().or_else(|| record.role.clone());
            if role != record.role || says.labels != record.labels {
                changed.push(HostRecord { role, labels: says.labels.clone(), ..record.clone() });
            }
        }
        self.change_hosts(changed);
    }
}

fn closing(session: SessionId, why: &Text, suggestion: &'static str, is_removed: bool) -> FleetEffect {
    let (why, suggestion) = (why.clone(), suggestion.into());
    let message = FromController::Closing { why, suggestion, again_after_ms: None, is_removed };
    FleetEffect::Close { session, message }
}
