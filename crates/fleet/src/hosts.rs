//! What people decide about hosts, and every command of an operator by its name: accept, reject, rename, remove.

use ansai_model::{
    fleet::{FleetScope, Restraint},
    text::Text,
};
use ansai_protocol::{
    link::{Held, HostId, RestraintsAt, Short},
    operation::{FleetAnswer, FleetOperation},
    record::{HostRecord, PendingRecord, Record},
};

use crate::{
    FleetEngine, agentless,
    limits::{HOSTS_MAX, REJECTED_MAX},
    orders, restraints, seen_to, tokens, words,
};

impl FleetEngine {
    /// An operator speaks.
    pub(crate) fn operate(&mut self, request: u64, by: &Text, operation: FleetOperation) {
        if let Some(refusal) = self.objection_to_saving() {
            return self.answer(request, refusal);
        }
        // When what it changes cannot be kept, nobody hears more than that.
        self.saving.now.requests.insert(request);
        match operation {
            FleetOperation::Restrain { kind, over, scope, reason, lasts } => {
                self.restrain(request, by, restraints::Wanted { kind, over, scope }, reason, lasts);
            }
            FleetOperation::End { kind, over, scope } => {
                self.end(request, by, &restraints::Wanted { kind, over, scope });
            }
            FleetOperation::Order { deed, over, to, is_rehearsal } => {
                self.order(request, by, orders::Wanted { deed, over, to, is_rehearsal });
            }
            FleetOperation::SeeTo { over, to, reason, is_undone } => {
                self.see_to(request, by, &seen_to::Wanted { over, to, reason, is_undone });
            }
            FleetOperation::Accept { fingerprint, fresh } => self.accept(request, by, &fingerprint, fresh),
            FleetOperation::Reject { fingerprint } => self.reject(request, by, &fingerprint),
            FleetOperation::Rename { host, name } => self.rename(request, by, &host, name),
            FleetOperation::Remove { host } => self.remove(request, by, &host),
            FleetOperation::AddOverSsh { name, role, over, fresh } => {
                self.add_over_ssh(request, by, agentless::Wanted { name, role, over }, fresh);
            }
            FleetOperation::CreateToken { id, secret, role, uses, lasts, access } => {
                self.create_token(request, by, tokens::Wanted { id, secret, role, uses, lasts, access });
            }
            FleetOperation::RevokeToken { id } => self.revoke_token(request, by, id),
            FleetOperation::Configure { files, canary, soak } => self.configure(request, by, files, canary, soak),
            FleetOperation::RollBack => self.roll_back(request, by),
            FleetOperation::FreePermit { id } => self.free_permit(request, by, id),
        }
    }

    /// How many hosts an operation means, or why it would be refused; nothing is changed.
    ///
    /// # Errors
    /// What it would be answered.
    pub fn rehearse(&self, operation: &FleetOperation) -> Result<usize, FleetAnswer> {
        if let Some(refusal) = self.objection_to_saving() {
            return Err(refusal);
        }
        match operation {
            FleetOperation::Restrain { kind, over, scope, reason, lasts } => {
                let wanted = restraints::Wanted { kind: *kind, over: over.clone(), scope: scope.clone() };
                self.may_restrain(&wanted, reason, *lasts)
            }
            FleetOperation::End { kind, over, scope } => {
                let wanted = restraints::Wanted { kind: *kind, over: over.clone(), scope: scope.clone() };
                self.ended_by(&wanted).map(|_| self.meant(over).len())
            }
            FleetOperation::Order { deed, over, to, is_rehearsal } => {
                let (over, to) = (over.clone(), to.clone());
                self.may_order(&orders::Wanted { deed: *deed, over, to, is_rehearsal: *is_rehearsal })
                    .map(|hosts| hosts.len())
            }
            FleetOperation::SeeTo { over, to, reason, is_undone } => {
                let (over, to, reason) = (over.clone(), to.clone(), reason.clone());
                let wanted = seen_to::Wanted { over, to, reason, is_undone: *is_undone };
                self.may_see_to(&wanted).map(|open| seen_to::hosts_of(&open))
            }
            FleetOperation::Accept { fingerprint, .. } | FleetOperation::Reject { fingerprint } => {
                self.pending_named(fingerprint).map(|_| 1)
            }
            FleetOperation::Rename { host, .. } | FleetOperation::Remove { host } => self.member(host).map(|_| 1),
            FleetOperation::RevokeToken { id } => self.token_named(*id).map(|_| 0),
            FleetOperation::AddOverSsh { name, over, .. } => self.may_add(name, over).map(|()| 1),
            FleetOperation::CreateToken { .. } => Ok(0),
            FleetOperation::Configure { files, canary, soak } => {
                self.may_apply(files, *canary, *soak).map(|waves| waves.iter().map(Vec::len).sum())
            }
            FleetOperation::RollBack => self.rehearse_rollback(),
            FleetOperation::FreePermit { id } => self.permit(*id).map(|_| 1),
        }
    }

    /// The host that waits whose key's digest begins so.
    fn pending_named(&self, digits: &Text) -> Result<PendingRecord, FleetAnswer> {
        let digits = digits.as_str().replace('-', "").to_ascii_lowercase();
        let is_meant =
            |one: &&PendingRecord| one.accepted.is_none() && one.fingerprint.to_string().starts_with(&digits);
        let mut meant = self.books.pending.values().filter(is_meant);
        let suggestion = "`ansai hosts list` shows those that wait, with the digests of their keys".into();
        match (meant.next(), meant.next()) {
            _ if digits.len() < 8 => {
                let why = Text::new(format!("`{digits}` are too few digits to know a key by; at least 8 are needed"));
                Err(FleetAnswer::Refused { why, suggestion })
            }
            (Some(one), None) => Ok(one.clone()),
            (None, _) => {
                let what = Text::new(format!("no host waits whose key's digest begins with {digits}"));
                Err(FleetAnswer::NotFound { what, suggestion })
            }
            (Some(_), Some(_)) => {
                let why = Text::new(format!("the digests of several keys begin with {digits}"));
                Err(FleetAnswer::Refused { why, suggestion })
            }
        }
    }

    fn member(&self, host: &Text) -> Result<HostRecord, FleetAnswer> {
        self.books.host_named(host.as_str()).cloned().ok_or_else(|| FleetAnswer::NotFound {
            what: Text::new(format!("no host of the fleet is called {host}")),
            suggestion: "`ansai hosts list` shows them".into(),
        })
    }

    fn accept(&mut self, request: u64, by: &Text, digits: &Text, fresh: Option<HostId>) {
        let pending = match self.pending_named(digits) {
            Ok(pending) => pending,
            Err(refusal) => return self.answer(request, refusal),
        };
        let holder = self.books.names.get(&pending.name).copied();
        if holder != pending.replaces {
            // Somebody has to have seen what they accept.
            let why = match holder {
                Some(_) => format!("{} has joined meanwhile, and this host would replace it", pending.name),
                None => format!("the host that this one would have replaced is called {} no more", pending.name),
            };
            self.put(Record::Pending(PendingRecord { replaces: holder, ..pending }));
            return self.answer(request, words::refused(why, "accept it again if that is what you want"));
        }
        let (host, text) = match holder {
            Some(host) => {
                self.revoke(
                    host,
                    "another key has taken this host's place",
                    "`ansai join` lets it in under another name",
                );
                // It has an agent of its own by now, and none is carried there any more.
                if let Some(record) = self.books.hosts.get(&host).filter(|record| record.over_ssh.is_some()) {
                    self.put(Record::Host(HostRecord { over_ssh: None, ..record.clone() }));
                }
                let mut text = format!(
                    "{} is accepted in the place of the host of that name; its old key is good for nothing",
                    pending.name
                );
                if let Some(held) = self.free_permits_of(host, "another host has taken its place") {
                    text.push_str(&format!("; free again is what it held: {held}"));
                }
                (host, text)
            }
            None if self.books.hosts.len() >= HOSTS_MAX => {
                let why = format!("the fleet has {HOSTS_MAX} hosts, which is the most");
                return self.answer(request, words::refused(why, "remove some: `ansai hosts remove`"));
            }
            None => {
                let Some(host) = fresh.filter(|fresh| !self.books.hosts.contains_key(fresh)) else {
                    return self.answer(request, words::refused("there is no id for it".into(), "accept it again"));
                };
                let record = new_host(host, &pending, self.now.wall);
                self.comes_to_be(record);
                (host, format!("{} is accepted", pending.name))
            }
        };
        self.audit(by, &text, 1);
        self.put(Record::Pending(PendingRecord { accepted: Some(host), ..pending }));
        self.answer(
            request,
            words::done(format!("{text}; it gets its certificate when it asks again, within seconds")),
        );
    }

    fn reject(&mut self, request: u64, by: &Text, digits: &Text) {
        let pending = match self.pending_named(digits) {
            Ok(pending) => pending,
            Err(refusal) => return self.answer(request, refusal),
        };
        self.put(Record::PendingGone(pending.fingerprint));
        self.rejected.push_back((pending.fingerprint, by.clone()));
        while self.rejected.len() > REJECTED_MAX {
            self.rejected.pop_front();
        }
        let text = format!("{} at {} is rejected", pending.name, pending.address);
        self.audit(by, &text, 1);
        self.answer(request, words::done(text));
    }

    fn rename(&mut self, request: u64, by: &Text, host: &Text, name: Short) {
        let record = match self.member(host) {
            Ok(record) => record,
            Err(refusal) => return self.answer(request, refusal),
        };
        let is_name = words::is_host_name(&name);
        if !is_name || self.books.names.contains_key(&name) {
            let why = match is_name {
                true => format!("a host is called {name} already"),
                false => format!("`{name}` is no name of a host: letters, digits, dots, - and _ are"),
            };
            return self.answer(
                request,
                words::refused(why, "choose another name; `ansai hosts list` shows those that are taken"),
            );
        }
        let text = format!("{} is called {name} from now on", record.name);
        // What was said for this host is about it under its new name too.
        let old = FleetScope::Host(Text::new(record.name.as_str()));
        let about: Vec<_> = self.books.restraints.values().filter(|one| one.over == old).cloned().collect();
        let over = FleetScope::Host(Text::new(name.as_str()));
        for restraint in &about {
            self.put(Record::Restraint(Restraint { over: over.clone(), ..restraint.clone() }));
        }
        let id = record.id;
        self.put(Record::Host(HostRecord { name, ..record }));
        if !about.is_empty() {
            self.concerns_anew(&[id]);
            self.tell_hosts(&[id]);
        }
        self.tell_configuration(id);
        self.audit(by, &text, 1);
        self.answer(request, words::done(text));
    }

    fn remove(&mut self, request: u64, by: &Text, host: &Text) {
        let record = match self.member(host) {
            Ok(record) => record,
            Err(refusal) => return self.answer(request, refusal),
        };
        let after = match record.over_ssh {
            None => "its certificate is good for nothing, and it goes on healing alone",
            Some(_) => "the agent that was carried there ends, and nothing heals it",
        };
        let mut text = format!("{} is removed: {after}", record.name);
        if let Some(held) = self.free_permits_of(record.id, "its host was removed from the fleet") {
            text.push_str(&format!("; free again is what it held: {held}"));
        }
        self.end_sessions(
            record.id,
            "this host was removed from the fleet",
            "`ansai join` with a new token lets it in again",
        );
        self.withdraw(record.id, "its host was removed from the fleet", |_| true);
        self.put(Record::HostGone(record.id));
        self.stale.insert(record.id);
        self.audit(by, &text, 1);
        self.answer(request, words::done(text));
    }
}

fn new_host(id: HostId, pending: &PendingRecord, joined: ansai_model::time::WallTime) -> HostRecord {
    HostRecord {
        id,
        name: pending.name.clone(),
        role: pending.role.clone(),
        labels: pending.labels.clone(),
        machine_id: pending.machine_id.clone(),
        boot_id: "".into(),
        program: pending.program.clone(),
        address: pending.address.clone(),
        joined,
        heard: None,
        ahead_ms: 0,
        acknowledged: RestraintsAt::default(),
        under_way: Vec::new(),
        configuration: Held::default(),
        refused: None,
        over_ssh: None,
    }
}
