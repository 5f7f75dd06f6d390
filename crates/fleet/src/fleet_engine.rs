//! The engine itself: what it holds, and how an input goes through it. What it decides stands in the modules named after each
//! matter, as an `impl FleetEngine` there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ansai_model::{
    text::Text,
    time::{MonoTime, Now},
};
use ansai_protocol::{
    link::{Fingerprint, HostId},
    record::{Audited, FleetState, Record},
};

use crate::{
    Books,
    acknowledged::Waiting,
    effect::FleetEffect,
    input::{FleetInput, Issued, SessionId},
    joining::Issuing,
    limits::SILENT_AFTER,
    messages::Messages,
    orders::Ordering,
    permits::Permits,
    saving::Saving,
    sessions::{Seen, Session},
    silent::Silent,
};

/// Decides for a fleet. See the crate's page for its contract.
#[derive(Clone, Debug)]
pub struct FleetEngine {
    pub(crate) now: Now,
    /// When this process began: before, nobody listened, so nobody is called silent for it.
    pub(crate) started: Now,
    pub(crate) books: Books,
    pub(crate) saving: Saving,
    pub(crate) effects: Vec<FleetEffect>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) by_host: BTreeMap<HostId, BTreeSet<SessionId>>,
    /// Members of which two processes have told changes: they tell everything anew. So they do after a kill, since what is kept
    /// of them goes on from none of what they told.
    pub(crate) mixed: BTreeSet<HostId>,
    /// Hosts that may say that they are for something else than is kept.
    pub(crate) says_otherwise: BTreeSet<HostId>,
    /// What is known of each member beside what is kept.
    pub(crate) seen: BTreeMap<HostId, Seen>,
    /// Hosts of which something is known that is kept when there is time.
    pub(crate) stale: BTreeSet<HostId>,
    /// Operators who wait for hosts.
    pub(crate) waiting: Vec<Waiting>,
    /// Orders that hosts were told and that are not answered yet, by the operators' requests.
    pub(crate) orders: BTreeMap<u64, Ordering>,
    /// Certificates that are being signed.
    pub(crate) issuing: BTreeMap<Issued, Issuing>,
    /// Keys that somebody rejected, oldest first.
    pub(crate) rejected: VecDeque<(Fingerprint, Text)>,
    /// Who wants to disturb what, and how much may be.
    pub(crate) permits: Permits,
    /// What hosts have given to be told.
    pub(crate) messages: Messages,
    /// Own incidents about silent hosts.
    pub(crate) silent: Silent,
    /// A host of which nothing was heard for so long is silent.
    pub(crate) silent_after: Duration,
    /// When it is looked next for what ended long ago.
    pub(crate) forget_at: MonoTime,
}

impl FleetEngine {
    /// An engine that continues from what was kept.
    #[must_use]
    pub fn new(state: FleetState, now: Now) -> Self {
        let books = Books::new(state);
        let generation = books.generation;
        let seen = books.hosts.values().map(|host| (host.id, Seen::from_record(host, generation, now))).collect();
        Self {
            now,
            started: now,
            silent: Silent::from_books(&books),
            silent_after: SILENT_AFTER,
            forget_at: now.mono,
            books,
            saving: Saving::default(),
            effects: Vec::new(),
            sessions: BTreeMap::new(),
            by_host: BTreeMap::new(),
            says_otherwise: BTreeSet::new(),
            mixed: BTreeSet::new(),
            seen,
            stale: BTreeSet::new(),
            waiting: Vec::new(),
            orders: BTreeMap::new(),
            issuing: BTreeMap::new(),
            permits: Permits::default(),
            messages: Messages::default(),
            rejected: VecDeque::new(),
        }
    }

    /// The same engine with another patience with hosts that say nothing than [`SILENT_AFTER`].
    #[must_use]
    pub fn silent_after(self, silent_after: Duration) -> Self {
        Self { silent_after, ..self }
    }

    /// Takes one input in and says what is to be done.
    pub fn step(&mut self, now: Now, input: FleetInput) -> Vec<FleetEffect> {
        self.now = now;
        match input {
            FleetInput::Tick => self.tick(),
            FleetInput::Connected { session, came, hello } => {
                self.connected(session, Session::new(came, &hello, now), &hello);
            }
            FleetInput::Disconnected { session } => self.disconnected(session),
            FleetInput::Heard { session, message } => self.heard(session, message),
            FleetInput::Joins(joins) => self.joins(*joins),
            FleetInput::Issued { to, identity, certificate, roots } => self.issued(to, identity, certificate, roots),
            FleetInput::NotIssued { to, why } => self.not_issued(to, &why),
            FleetInput::Operator { request, by, operation } => self.operate(request, &by, operation),
            FleetInput::TokenUsed { token } => self.token_used(token),
            FleetInput::Told { number } => self.is_queued(number),
            FleetInput::Saved { through } => self.saved(through),
            FleetInput::NotSaved { from, why } => self.not_saved(from, why),
        }
        self.close_step()
    }

    /// What is kept, to be read.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.books
    }

    fn tick(&mut self) {
        self.try_to_save();
        self.answer_the_patient();
        self.answer_orders_in_time();
        if self.saving.trouble.is_some() {
            return self.have_twins_stand_back();
        }
        self.forget_pending();
        self.forget_ended();
        self.forget_ended_restraints();
        self.hold_twins();
        self.have_twins_stand_back();
        self.take_roles_over();
        self.watch_silence();
        self.watch_generations();
        self.watch_rollout();
        self.tend_permits();
        self.tell_messages();
        self.refresh();
    }

    /// Notes who did what, on how many hosts.
    pub(crate) fn audit(&mut self, by: &Text, what: impl AsRef<str>, hosts: usize) {
        let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
        self.put(Record::Audit(Audited { at: self.now.wall, by: by.clone(), what: Text::new(what), hosts }));
    }
}
