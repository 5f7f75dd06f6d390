//! A fleet of paper: a clock in the hands of the test, hosts that say what the test says, and a store that keeps everything at
//! once or nothing. After every step the engine's own invariants are asked.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ansai_fleet::{
    Books, FleetEffect, FleetEngine, FleetInput,
    effect::FleetNotice,
    input::{Came, Issued, JoiningId, Joins, SessionId},
    invariant,
};
use ansai_model::{
    fleet::{Acknowledged, FleetScope, RestraintKind, RestraintSet},
    id::{IncidentId, PermitId, RestraintId, TargetId},
    notify::{Notice, Route},
    observation::Health,
    policy::Scope,
    text::Text,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{
    TargetStatus,
    link::{
        Certificate, Change, ControllerId, FeedId, Fingerprint, FromController, FromHost, Held, Hello, HostBundle,
        HostId, JoinAnswer, Request, RestraintsAt, Roots, Short, TokenId,
    },
    operation::{FleetAnswer, FleetOperation},
    record::{FleetState, HostIncident, HostTarget, IdentityRecord, Record, TakenRecord},
};

/// The controller's own id.
pub(crate) fn controller() -> ControllerId {
    ControllerId::of_chance([9; 16])
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn key(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

/// A controller with an empty store.
pub(crate) fn empty() -> FleetState {
    FleetState {
        controller: controller(),
        epoch: 1,
        hosts: Vec::new(),
        identities: Vec::new(),
        tokens: Vec::new(),
        pending: Vec::new(),
        restraints: Vec::new(),
        generation: 0,
        kept: Vec::new(),
        targets: Vec::new(),
        open: Vec::new(),
        last_incident: IncidentId(0),
        last_restraint: RestraintId(0),
        bundles: Vec::new(),
        rollouts: Vec::new(),
        permits: Vec::new(),
        last_permit: PermitId(0),
        messages: Vec::new(),
        taken: Vec::new(),
        last_group: 0,
    }
}

pub(crate) const TOKEN: TokenId = TokenId([1; 6]);
/// The digest of its secret.
pub(crate) fn secret() -> Fingerprint {
    Fingerprint([77; 32])
}

pub(crate) struct Paper {
    pub(crate) engine: FleetEngine,
    pub(crate) now: Now,
    /// What was kept, in order.
    pub(crate) kept: Vec<Record>,
    /// Whether hosts connect from the controller's own machine.
    pub(crate) is_beside: bool,
    /// Whether nothing can be kept.
    pub(crate) disk_is_full: bool,
    pub(crate) sent: Vec<(u64, FromController)>,
    /// The configurations that were given to hosts.
    pub(crate) given: Vec<(u64, HostBundle)>,
    pub(crate) closed: Vec<(u64, String)>,
    answers: Vec<(u64, FleetAnswer)>,
    pub(crate) joined: Vec<(u64, JoinAnswer)>,
    pub(crate) told: Vec<FleetNotice>,
    /// What was told for hosts, in one number each; whether the outbox says that it has it.
    pub(crate) told_for_hosts: Vec<(u64, Notice)>,
    /// Of each connection that was closed, whether its host was told that it is no member.
    pub(crate) removals: Vec<bool>,
    pub(crate) outbox_answers: bool,
    /// Whom there is to tell when the controller starts anew.
    pub(crate) routes: Vec<Route>,
    requests: u64,
    serials: u64,
    /// The member to which the next that asks was carried.
    pub(crate) carried: Option<HostId>,
}

impl Paper {
    /// A controller without hosts.
    pub(crate) fn empty() -> Self {
        let now = Now { mono: MonoTime(5_000_000_000_000), wall: WallTime(1_795_000_000_000) };
        Self {
            engine: FleetEngine::new(empty(), now),
            now,
            kept: Vec::new(),
            is_beside: false,
            disk_is_full: false,
            sent: Vec::new(),
            given: Vec::new(),
            closed: Vec::new(),
            answers: Vec::new(),
            joined: Vec::new(),
            told: Vec::new(),
            told_for_hosts: Vec::new(),
            removals: Vec::new(),
            outbox_answers: true,
            routes: Vec::new(),
            requests: 0,
            serials: 0,
            carried: None,
        }
    }

    /// Hosts with these names and roles, by a token for a hundred; connected on the sessions 1, 2, ….
    pub(crate) fn of(hosts: &[(&str, &str)]) -> Self {
        let mut paper = Self::empty();
        paper.token(100);
        for (number, (name, role)) in (1_u8..).zip(hosts) {
            let answer = paper.joins(number, name, role, true);
            assert!(matches!(answer, JoinAnswer::Joined(_)), "{answer:?}");
            paper.connects(u64::from(number), number);
        }
        paper.sent.clear();
        paper
    }

    pub(crate) fn token(&mut self, uses: u32) -> FleetAnswer {
        let (role, lasts, access) = (None, secs(3_600), None);
        self.operates(FleetOperation::CreateToken { id: TOKEN, secret: secret(), role, uses, lasts, access })
    }

    /// One input, and all that follows from it at this moment.
    pub(crate) fn step(&mut self, input: FleetInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = self.engine.step(self.now, input);
            if let Err(violation) = invariant::of_engine(&self.engine) {
                panic!("{}: {}", violation.invariant, violation.what);
            }
            let save = match effects.first() {
                Some(FleetEffect::Save { .. }) => Some(effects.remove(0)),
                _ => None,
            };
            assert!(!effects.iter().any(|effect| matches!(effect, FleetEffect::Save { .. })), "a save comes first");
            if let Some(FleetEffect::Save { number, records }) = save {
                if self.disk_is_full {
                    inputs.push_back(FleetInput::NotSaved { from: number, why: "disk full".into() });
                    continue;
                }
                self.kept.extend(records);
                inputs.push_back(FleetInput::Saved { through: number });
            }
            for effect in effects {
                inputs.extend(self.done(effect));
            }
        }
    }

    fn done(&mut self, effect: FleetEffect) -> Option<FleetInput> {
        match effect {
            FleetEffect::Save { .. } => {}
            FleetEffect::Send { session, message } => self.sent.push((session.0, message)),
            FleetEffect::Configure { session, bundle } => self.given.push((session.0, *bundle)),
            FleetEffect::Close { session, message } => {
                let FromController::Closing { why, is_removed, .. } = message else { panic!("{message:?}") };
                self.removals.push(is_removed);
                self.closed.push((session.0, why.to_string()));
            }
            FleetEffect::Issue { to, host, .. } => {
                self.serials += 1;
                // The shell reads the key from the request; here it is the number of the connection.
                let number = match to {
                    Issued::Joining(joining) => joining.0,
                    Issued::Session(session) => session.0,
                };
                let identity = IdentityRecord {
                    serial: Text::new(format!("s{}", self.serials)),
                    host,
                    fingerprint: key(u8::try_from(number).expect("small")),
                    since: self.now.wall,
                    until: self.now.wall.plus(secs(30 * 86_400)),
                    revoked: None,
                };
                let (certificate, roots) = (Certificate::new("c").expect("short"), Roots::new("r").expect("short"));
                return Some(FleetInput::Issued { to, identity, certificate, roots });
            }
            FleetEffect::Join { joining, answer } => self.joined.push((joining.0, answer)),
            FleetEffect::Answer { request, answer } => self.answers.push((request, answer)),
            FleetEffect::Tell(notice) => self.told.push(notice),
            FleetEffect::TellForHosts { number, notice } => {
                self.told_for_hosts.push((number, *notice));
                return self.outbox_answers.then_some(FleetInput::Told { number });
            }
        }
        None
    }

    /// The controller is killed, and starts from what was kept.
    pub(crate) fn is_killed(&mut self) {
        let books = self.replayed();
        let mut targets = BTreeMap::<(HostId, TargetId), HostTarget>::new();
        let (mut last_incident, mut last_permit, mut last_group) = (IncidentId(0), PermitId(0), 0);
        for record in &self.kept {
            match record {
                Record::Target(target) => {
                    targets.insert((target.host, target.status.target.clone()), target.clone());
                }
                Record::TargetGone { host, target } => drop(targets.remove(&(*host, target.clone()))),
                Record::HostGone(gone) => targets.retain(|(host, _), _| host != gone),
                Record::Incident(HostIncident { host: None, incident }) => {
                    last_incident = last_incident.max(incident.id)
                }
                Record::Permit(permit) => last_permit = last_permit.max(permit.id),
                Record::Message(message) => last_group = last_group.max(message.group.unwrap_or(0)),
                _ => {}
            }
        }
        let own = books.open_of(None).map(|incident| HostIncident { host: None, incident: incident.clone() });
        let state = FleetState {
            open: own.collect(),
            last_incident,
            targets: targets.into_values().collect(),
            hosts: books.hosts.into_values().collect(),
            identities: books.identities.into_values().collect(),
            tokens: books.tokens.into_values().collect(),
            pending: books.pending.into_values().collect(),
            last_restraint: books.restraints.keys().last().copied().unwrap_or(RestraintId(0)),
            restraints: books.restraints.into_values().collect(),
            generation: books.generation,
            kept: books.kept.into_values().collect(),
            bundles: books.bundles.into_values().collect(),
            rollouts: books.rollouts.into_values().collect(),
            last_permit,
            permits: books.permits.into_values().collect(),
            messages: books.messages.into_values().collect(),
            last_group,
            taken: books.taken.into_iter().map(|(host, keys)| TakenRecord { host, keys }).collect(),
            ..empty()
        };
        self.engine = FleetEngine::new(state, self.now).telling_by(self.routes.clone());
    }

    /// What a store holds after what was kept.
    pub(crate) fn replayed(&self) -> Books {
        let mut books = Books::new(empty());
        self.kept.iter().for_each(|record| books.put(record));
        books
    }

    /// A host asks to join with the key of this number, with the token or without.
    pub(crate) fn joins(&mut self, number: u8, name: &str, role: &str, with_token: bool) -> JoinAnswer {
        self.joins_with(number, name, role, with_token.then(|| (TOKEN, secret())))
    }

    pub(crate) fn joins_with(
        &mut self,
        number: u8,
        name: &str,
        role: &str,
        token: Option<(TokenId, Fingerprint)>,
    ) -> JoinAnswer {
        let mut chance = [number; 16];
        chance[15] = u8::try_from(self.joined.len() % 250).expect("small");
        self.step(FleetInput::Joins(Box::new(Joins {
            joining: JoiningId(u64::from(number)),
            token,
            fingerprint: key(number),
            request: Request::new("request").expect("short"),
            address: "10.0.0.1".into(),
            fresh: HostId::of_chance(chance),
            name: name.into(),
            machine_id: "m".into(),
            program: "1.5.0".into(),
            role: (!role.is_empty()).then(|| role.into()),
            labels: [("zone".into(), "a".into())].into(),
            carried: self.carried,
        })));
        self.joined.last().expect("an answer").1.clone()
    }

    /// The newest good certificate of a key.
    pub(crate) fn identity(&self, number: u8) -> IdentityRecord {
        let mut all = self.engine.books().identities.values().filter(|one| one.fingerprint == key(number));
        all.next_back().expect("it has joined").clone()
    }

    pub(crate) fn hello(&self, number: u8, restraints: RestraintsAt) -> Hello {
        let host = self.engine.books().hosts.get(&self.identity(number).host);
        Hello {
            oldest: 1,
            newest: 1,
            program: "1.5.0".into(),
            name: host.map(|host| host.name.clone()).unwrap_or_default(),
            machine_id: "m".into(),
            boot_id: "b".into(),
            started_ms: 0,
            now_ms: self.now.wall.0,
            feed: FeedId::of_chance([number; 16]),
            restraints,
            configuration: Held::default(),
            role: host.and_then(|host| host.role.clone()),
            labels: Vec::new(),
        }
    }

    /// The host with the key of this number connects.
    pub(crate) fn connects(&mut self, session: u64, number: u8) {
        let hello = self.hello(number, RestraintsAt::default());
        self.connects_with(session, number, hello);
    }

    pub(crate) fn connects_with(&mut self, session: u64, number: u8, hello: Hello) {
        let identity = self.identity(number);
        let came = Came {
            host: identity.host,
            serial: identity.serial,
            address: "10.0.0.1".into(),
            is_expired: false,
            is_beside: self.is_beside,
        };
        self.step(FleetInput::Connected { session: SessionId(session), came, hello: Box::new(hello) });
    }

    pub(crate) fn disconnects(&mut self, session: u64) {
        self.step(FleetInput::Disconnected { session: SessionId(session) });
    }

    pub(crate) fn hears(&mut self, session: u64, message: FromHost) {
        self.step(FleetInput::Heard { session: SessionId(session), message });
    }

    /// A host tells changes, numbered from `first`.
    pub(crate) fn changes(&mut self, session: u64, first: u64, changes: Vec<Change>) {
        self.hears(session, FromHost::Changes { first, changes });
    }

    pub(crate) fn beats(&mut self, session: u64) {
        self.hears(session, FromHost::Beat { now_ms: self.now.wall.0 });
    }

    /// The newest set that was said on a session.
    pub(crate) fn set(&self, session: u64) -> Option<RestraintSet> {
        self.sent.iter().rev().find_map(|(to, message)| match message {
            FromController::Restraints(set) if *to == session => Some((**set).clone()),
            _ => None,
        })
    }

    /// A host says that it obeys what it was told last.
    pub(crate) fn acknowledges(&mut self, session: u64) {
        let set = self.set(session).expect("it was told something");
        self.acknowledges_with(session, (set.epoch, set.generation), None);
    }

    pub(crate) fn acknowledges_with(&mut self, session: u64, (epoch, generation): (u64, u64), refused: Option<&str>) {
        let controller = Text::new(controller().to_string());
        let refused = refused.map(Text::new);
        let said = Acknowledged { controller, epoch, generation, under_way: Vec::new(), refused };
        self.hears(session, FromHost::Restrained(Box::new(said)));
    }

    /// An operator speaks, and does not wait for the answer.
    pub(crate) fn asks(&mut self, operation: FleetOperation) -> u64 {
        self.requests += 1;
        self.step(FleetInput::Operator { request: self.requests, by: "ann".into(), operation });
        self.requests
    }

    /// What a request was answered, if it was.
    pub(crate) fn answer(&self, request: u64) -> Option<&FleetAnswer> {
        let mut all = self.answers.iter().filter(|(of, _)| *of == request);
        let first = all.next();
        assert_eq!(all.next(), None, "a request is answered once");
        first.map(|(_, answer)| answer)
    }

    /// What an operator is answered at once.
    pub(crate) fn operates(&mut self, operation: FleetOperation) -> FleetAnswer {
        let request = self.asks(operation);
        self.answer(request).expect("an answer at once").clone()
    }

    pub(crate) fn holds(&mut self, over: FleetScope) -> u64 {
        self.asks(hold(over))
    }

    pub(crate) fn releases(&mut self, over: FleetScope) -> u64 {
        self.asks(FleetOperation::End { kind: RestraintKind::Hold, over, scope: Scope::All })
    }

    /// Time goes by, with a tick each second and a beat of these sessions each ten.
    pub(crate) fn passes(&mut self, duration: Duration, beating: &[u64]) {
        for second in 1..=duration.as_secs() {
            self.now = self.now.plus(secs(1));
            if second % 10 == 0 {
                beating.iter().for_each(|session| self.beats(*session));
            }
            self.step(FleetInput::Tick);
        }
    }

    /// The own incidents that are open, in a line each.
    pub(crate) fn own(&self) -> Vec<String> {
        self.engine.books().open_of(None).map(|one| one.headline.to_string()).collect()
    }
}

pub(crate) fn hold(over: FleetScope) -> FleetOperation {
    FleetOperation::Restrain {
        kind: RestraintKind::Hold,
        over,
        scope: Scope::All,
        reason: "moving".into(),
        lasts: None,
    }
}

/// What somebody was told, in words.
pub(crate) fn said(answer: &FleetAnswer) -> String {
    match answer {
        FleetAnswer::Done { text, .. } => format!("done: {text}"),
        FleetAnswer::Ordered { text, .. } => format!("ordered: {text}"),
        FleetAnswer::Refused { why, .. } => format!("refused: {why}"),
        FleetAnswer::NotFound { what, .. } => format!("not found: {what}"),
    }
}

pub(crate) fn target(name: &str) -> TargetId {
    TargetId::of("service", name).expect("a target")
}

/// A target as its host tells it.
pub(crate) fn tells(name: &str, health: Health) -> Change {
    Change::Target(Box::new(TargetStatus {
        target: target(name),
        health,
        summary: "seen".into(),
        incident: None,
        explanation: "so".into(),
        is_critical: false,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    }))
}

pub(crate) fn short(text: &str) -> Short {
    Short::new(text)
}
