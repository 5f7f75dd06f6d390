//! How hosts come in: with a token at once, without one when a person accepts them. A known name with a new key is never taken
//! over without a person, whatever token it shows. What a host gets is kept in one piece: the token's use, the host and its
//! certificate, or none of them.

use ansai_model::text::Text;
use ansai_protocol::{
    link::{Certificate, Fingerprint, FromController, HostId, Identity, JoinAnswer, Roots, TokenId},
    record::{HostRecord, IdentityRecord, PendingRecord, Record, TokenRecord},
};

use crate::{
    FleetEngine,
    effect::FleetEffect,
    input::{Issued, JoiningId, Joins, SessionId},
    limits::{ASK_AGAIN, HOSTS_MAX, ISSUING_MAX, PENDING_FOR, PENDING_MAX},
    sessions::Seen,
    twins::CONTROLLER,
};

/// A certificate that is being signed, and what it is for.
#[derive(Clone, Debug)]
pub(crate) enum Issuing {
    /// A new host joins by a token.
    ByToken(Box<Joins>, TokenId),
    /// A host that a person accepted, or whose answer was lost, gets its certificate.
    Again(Fingerprint, HostId),
    /// A member renews its own.
    Renewal(HostId),
}

impl FleetEngine {
    /// A host asks to join.
    pub(crate) fn joins(&mut self, joins: Joins) {
        let joining = joins.joining;
        match self.judge(&joins) {
            Err((what, suggestion)) => self.refuse(joining, what, suggestion),
            Ok(Some((issuing, host))) => {
                let to = Issued::Joining(joining);
                self.issuing.insert(to, issuing);
                self.effects.push(FleetEffect::Issue { to, host, request: joins.request });
            }
            Ok(None) => self.wait_for_a_person(joins),
        }
    }

    /// Whether a host may come in at once, and as whom; nothing when a person must say.
    fn judge(&self, joins: &Joins) -> Result<Option<(Issuing, HostId)>, (Text, &'static str)> {
        if let Some(why) = self.trouble() {
            let what = format!("the controller cannot keep anything at this moment: {why}");
            return Err((Text::new(what), "join again when there is room in its store"));
        }
        if self.issuing.len() >= ISSUING_MAX {
            return Err(("too many hosts join at this moment".into(), "join again in a minute"));
        }
        if let Some(host) = joins.carried {
            let is_member = self.books.hosts.get(&host).is_some_and(|host| host.over_ssh.is_some());
            let gone = || {
                ("no agent is carried to this host any more".into(), "`ansai hosts list` shows who is kept over SSH")
            };
            return is_member.then_some(Some((Issuing::Again(joins.fingerprint, host), host))).ok_or_else(gone);
        }
        if let Some((_, by)) = self.rejected.iter().find(|(key, _)| *key == joins.fingerprint) {
            return Err((Text::new(format!("{by} has rejected this host")), "ask them, and join with a token"));
        }
        // Its answer was lost: it has signed with the same key, and the token is not used a second time.
        let is_known = |one: &&IdentityRecord| one.fingerprint == joins.fingerprint && one.revoked.is_none();
        if let Some(known) = self.books.identities.values().find(is_known) {
            return Ok(Some((Issuing::Again(joins.fingerprint, known.host), known.host)));
        }
        let accepted = self.books.pending.get(&joins.fingerprint).and_then(|pending| pending.accepted);
        if let Some(host) = accepted {
            return Ok(Some((Issuing::Again(joins.fingerprint, host), host)));
        }
        let Some((token, secret)) = joins.token else { return Ok(None) };
        self.good_token(token, secret)?;
        if self.books.hosts.len() >= HOSTS_MAX {
            return Err((
                Text::new(format!("the fleet has {HOSTS_MAX} hosts, which is the most")),
                "remove some: `ansai hosts remove`",
            ));
        }
        if self.books.names.contains_key(&joins.name) {
            return Ok(None);
        }
        Ok(Some((Issuing::ByToken(Box::new(joins.clone()), token), joins.fresh)))
    }

    fn wait_for_a_person(&mut self, joins: Joins) {
        let now = self.now.wall;
        let known = self.books.pending.get(&joins.fingerprint);
        if known.is_none() && self.books.pending.len() >= PENDING_MAX {
            let what = format!("{PENDING_MAX} hosts wait for a person already");
            return self.refuse(
                joins.joining,
                Text::new(what),
                "join with a token, or have somebody accept or reject those",
            );
        }
        let until = known.map_or_else(|| now.plus(PENDING_FOR), |known| known.until);
        let pending = PendingRecord {
            fingerprint: joins.fingerprint,
            replaces: self.books.names.get(&joins.name).copied(),
            since: known.map_or(now, |known| known.since),
            until,
            name: joins.name,
            machine_id: joins.machine_id,
            program: joins.program,
            address: joins.address,
            role: joins.role,
            labels: joins.labels,
            request: joins.request,
            accepted: None,
        };
        if known != Some(&pending) {
            self.put(Record::Pending(pending));
        }
        let again_after_ms = u64::try_from(ASK_AGAIN.as_millis()).unwrap_or(u64::MAX);
        let answer = JoinAnswer::Pending { fingerprint: joins.fingerprint, again_after_ms, until_ms: until.0 };
        self.effects.push(FleetEffect::Join { joining: joins.joining, answer });
    }

    fn refuse(&mut self, joining: JoiningId, what: Text, suggestion: &'static str) {
        let answer = JoinAnswer::Refused { what, suggestion: suggestion.into() };
        self.effects.push(FleetEffect::Join { joining, answer });
    }

    /// A certificate is signed: what it is for is looked at once more, since others may have come first.
    pub(crate) fn issued(&mut self, to: Issued, identity: IdentityRecord, certificate: Certificate, roots: Roots) {
        let Some(issuing) = self.issuing.remove(&to) else { return };
        let refusal = match issuing {
            Issuing::ByToken(joins, token) => self.comes_in(&joins, token).err(),
            Issuing::Again(key, host) => self.comes_again(key, host).err(),
            Issuing::Renewal(host) => {
                let is_member = self.books.hosts.contains_key(&host);
                (!is_member).then_some(("this host is no member any more".into(), "`ansai join` lets it in again"))
            }
        };
        if let Some((what, suggestion)) = refusal {
            return match to {
                Issued::Joining(joining) => self.refuse(joining, what, suggestion),
                Issued::Session(session) => self.close(session, what.as_str(), suggestion),
            };
        }
        let (host, now_ms) = (identity.host, self.now.wall.0);
        self.put(Record::Identity(identity));
        self.bound_identities(host);
        match to {
            Issued::Session(session) => {
                let message = FromController::Renewed { certificate, roots };
                self.effects.push(FleetEffect::Send { session, message });
            }
            Issued::Joining(joining) => {
                let Some(name) = self.books.hosts.get(&host).map(|host| host.name.clone()) else { return };
                let controller = self.books.controller;
                let identity = Identity { host, name, controller, certificate, roots, now_ms };
                self.effects.push(FleetEffect::Join { joining, answer: JoinAnswer::Joined(identity) });
            }
        }
    }

    /// A new host comes in by a token.
    fn comes_in(&mut self, joins: &Joins, token: TokenId) -> Result<(), (Text, &'static str)> {
        let secret = joins.token.map(|(_, secret)| secret).unwrap_or(joins.fingerprint);
        let token = self.good_token(token, secret)?.clone();
        if self.books.names.contains_key(&joins.name) {
            return Err((
                Text::new(format!("another host has joined as {} meanwhile", joins.name)),
                "join again; a person decides then",
            ));
        }
        let record = HostRecord {
            id: joins.fresh,
            name: joins.name.clone(),
            role: joins.role.clone().or_else(|| token.role.clone()),
            labels: joins.labels.clone(),
            machine_id: joins.machine_id.clone(),
            boot_id: "".into(),
            program: joins.program.clone(),
            address: joins.address.clone(),
            joined: self.now.wall,
            heard: None,
            ahead_ms: 0,
            acknowledged: ansai_protocol::link::RestraintsAt::default(),
            under_way: Vec::new(),
            configuration: ansai_protocol::link::Held::default(),
            refused: None,
            over_ssh: None,
        };
        self.audit(&CONTROLLER.into(), format!("{} joined by token {}", record.name, token.id), 1);
        self.put(Record::Token(TokenRecord {
            uses_left: token.uses_left.saturating_sub(1),
            used: Some(self.now.wall),
            ..token
        }));
        self.comes_to_be(record);
        Ok(())
    }

    /// A host is a member from now on. It may have been another one here: what it gets is newer than all that it was told then.
    pub(crate) fn comes_to_be(&mut self, record: HostRecord) {
        let id = record.id;
        self.seen.insert(id, Seen::from_record(&record, self.books.generation, self.now));
        self.put(Record::Host(record));
        if !self.books.restraints.is_empty() {
            self.concerns_anew(&[id]);
        }
    }

    /// A host that was let in before gets its certificate.
    fn comes_again(&mut self, key: Fingerprint, host: HostId) -> Result<(), (Text, &'static str)> {
        if !self.books.hosts.contains_key(&host) {
            return Err(("this host was removed from the fleet".into(), "join with a new token"));
        }
        if self.books.pending.contains_key(&key) {
            self.put(Record::PendingGone(key));
        }
        Ok(())
    }

    pub(crate) fn not_issued(&mut self, to: Issued, why: &Text) {
        if self.issuing.remove(&to).is_none() {
            return;
        }
        let what = Text::new(format!("the controller could not sign a certificate: {why}"));
        match to {
            Issued::Joining(joining) => {
                self.refuse(joining, what, "`ansai controller doctor` says what is wrong there")
            }
            // It has its old one for weeks and asks again.
            Issued::Session(_) => {}
        }
    }

    /// A member asks for a new certificate.
    pub(crate) fn renew(&mut self, session: SessionId, host: HostId, request: ansai_protocol::link::Request) {
        let to = Issued::Session(session);
        if self.issuing.contains_key(&to) || self.issuing.len() >= ISSUING_MAX || self.trouble().is_some() {
            return;
        }
        self.issuing.insert(to, Issuing::Renewal(host));
        self.effects.push(FleetEffect::Issue { to, host, request });
    }

    /// Hosts for which nobody has decided are forgotten in time.
    pub(crate) fn forget_pending(&mut self) {
        let now = self.now.wall;
        let over = self.books.pending.values().filter(|pending| pending.until <= now);
        for fingerprint in over.map(|pending| pending.fingerprint).collect::<Vec<_>>() {
            self.put(Record::PendingGone(fingerprint));
        }
    }
}
