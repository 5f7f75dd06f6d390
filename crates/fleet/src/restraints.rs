//! What is said for many hosts at once: which hosts a scope means, the set of restraints that each of them gets, and the one
//! number by which every change of any set is newer than all before. A host gets what concerns it and nothing else.

use std::{collections::BTreeSet, time::Duration};

use ansai_model::{
    fleet::{FleetScope, RESTRAINTS_MAX, Restraint, RestraintKind, RestraintSet},
    id::RestraintId,
    operator::Operation,
    policy::Scope,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{
    link::{FromController, HostId, RestraintsAt},
    operation::FleetAnswer,
    record::{HostRecord, Record},
};

use crate::{FleetEngine, effect::FleetEffect, input::SessionId, words};

/// Room that operators leave for what the controller itself must hold.
const OWN_MAX: usize = 32;

/// What is to be restrained, and how.
pub(crate) struct Wanted {
    pub(crate) kind: RestraintKind,
    pub(crate) over: FleetScope,
    pub(crate) scope: Scope,
}

/// Whether a restraint for these hosts is about this one.
pub(crate) fn concerns(over: &FleetScope, host: &HostRecord) -> bool {
    match over {
        FleetScope::Fleet => true,
        FleetScope::Role(role) => host.role.as_ref().is_some_and(|own| own.as_str() == role.as_str()),
        FleetScope::Host(name) => host.name.as_str() == name.as_str(),
        FleetScope::Label { key, value } => {
            host.labels.iter().any(|(own, is)| own.as_str() == key.as_str() && is.as_str() == value.as_str())
        }
    }
}

impl FleetEngine {
    /// What is in force everywhere once everybody has heard of it.
    pub(crate) fn in_force(&self) -> RestraintsAt {
        RestraintsAt { epoch: self.books.epoch, generation: self.books.generation }
    }

    /// The wall clock as it was when this process began, and the time since: what lasts an hour lasts an hour, whatever the
    /// clock on the wall is set to meanwhile.
    pub(crate) fn steady(&self) -> WallTime {
        self.started.wall.plus(self.now.mono.since(self.started.mono))
    }

    /// The hosts that a scope means now.
    #[must_use]
    pub fn meant(&self, over: &FleetScope) -> Vec<HostId> {
        self.books.hosts.values().filter(|host| concerns(over, host)).map(|host| host.id).collect()
    }

    /// The restraints of one host. What has ended by itself is among them until it is forgotten, so that a set is the same
    /// whenever it is made.
    fn restraints_of(&self, host: &HostRecord) -> Vec<Restraint> {
        self.books.restraints.values().filter(|restraint| concerns(&restraint.over, host)).cloned().collect()
    }

    /// Says its restraints to a host.
    pub(crate) fn tell_session(&mut self, session: SessionId, host: HostId) {
        let Some(record) = self.books.hosts.get(&host) else { return };
        let set = RestraintSet {
            controller: Text::new(self.books.controller.to_string()),
            epoch: self.books.epoch,
            generation: self.books.generation,
            at: self.steady(),
            restraints: self.restraints_of(record),
        };
        self.effects.push(FleetEffect::Send { session, message: FromController::Restraints(Box::new(set)) });
    }

    /// Says their restraints to all of these hosts that are there.
    pub(crate) fn tell_hosts(&mut self, hosts: &[HostId]) {
        for host in hosts {
            let sessions: Vec<_> = self.sessions_of(*host).map(|(id, _)| id).collect();
            for session in sessions {
                self.tell_session(session, *host);
            }
        }
    }

    /// From now on every set that is told is newer than all before.
    pub(crate) fn next_generation(&mut self) -> u64 {
        let generation = self.books.generation.saturating_add(1);
        self.put(Record::Generation(generation));
        generation
    }

    /// Sets a restraint for many hosts, and has the operator wait for those that are there.
    pub(crate) fn restrain(&mut self, request: u64, by: &Text, wanted: Wanted, reason: Text, lasts: Option<Duration>) {
        if let Err(refusal) = self.may_restrain(&wanted, &reason, lasts) {
            return self.answer(request, refusal);
        }
        let Wanted { kind, over, scope } = wanted;
        let is_same = |one: &&Restraint| one.kind == kind && one.over == over && one.scope == scope && one.by == *by;
        let before = self.books.restraints.values().find(is_same).cloned();
        let kept = || before.as_ref().map_or_else(|| "".into(), |before| before.reason.clone());
        let reason = if reason.as_str().is_empty() { kept() } else { reason };
        if let Some(before) = &before {
            self.put(Record::RestraintGone(before.id));
        }
        let id = RestraintId(self.next_generation());
        let since = self.steady();
        let until = lasts.map(|lasts| since.plus(lasts));
        let restraint = Restraint { id, kind, over, scope, reason, by: by.clone(), since, until };
        let hosts = self.meant(&restraint.over);
        let what = words::begun(&restraint);
        self.audit(by, &what, hosts.len());
        self.put(Record::Restraint(restraint));
        self.tell_hosts(&hosts);
        self.await_acknowledgement(request, hosts, what, kind, words::Change::Begun);
    }

    /// Ends the restraints for exactly these hosts and targets.
    pub(crate) fn end(&mut self, request: u64, by: &Text, wanted: &Wanted) {
        let ended = match self.ended_by(wanted) {
            Ok(ended) => ended,
            Err(refusal) => return self.answer(request, refusal),
        };
        let Wanted { kind, over, scope: _ } = wanted;
        for id in &ended {
            self.put(Record::RestraintGone(*id));
        }
        self.next_generation();
        let hosts = self.meant(over);
        let mut what = words::ended(ended.len(), *kind, over);
        let still = self.books.restraints.values().find(|one| {
            one.kind == *kind && self.books.hosts.values().any(|host| concerns(over, host) && concerns(&one.over, host))
        });
        if let Some(still) = still {
            what.push_str(&format!(
                "; still in force: that of {} for {}, which `{}` ends",
                still.by,
                still.over,
                still.end_command()
            ));
        }
        self.audit(by, &what, hosts.len());
        self.tell_hosts(&hosts);
        self.await_acknowledgement(request, hosts, what, *kind, words::Change::Ended);
    }

    /// The restraints for exactly these hosts and targets; at least one.
    ///
    /// # Errors
    /// There is none: how those that there are can be ended.
    pub(crate) fn ended_by(&self, wanted: &Wanted) -> Result<Vec<RestraintId>, FleetAnswer> {
        let Wanted { kind, over, scope } = wanted;
        let is_meant = |one: &&Restraint| one.kind == *kind && one.over == *over && one.scope == *scope;
        let found: Vec<RestraintId> = self.books.restraints.values().filter(is_meant).map(|one| one.id).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let what = Text::new(format!("there is no {} for exactly {over} ({scope})", kind.as_str()));
        let others = self.books.restraints.values().filter(|one| one.kind == *kind);
        let others: Vec<String> = others.map(|one| format!("`{}`", one.end_command())).collect();
        let suggestion = match others.as_slice() {
            [] => "none is for any other either, so nothing is to be ended".into(),
            some => Text::new(format!("these end what there is: {}", words::listed(some))),
        };
        Err(FleetAnswer::NotFound { what, suggestion })
    }

    /// Why something may not be restrained, when it may not: an empty scope stops nothing, and one that no host is in is
    /// misspelled.
    pub(crate) fn may_restrain(
        &self,
        wanted: &Wanted,
        reason: &Text,
        lasts: Option<Duration>,
    ) -> Result<usize, FleetAnswer> {
        let Wanted { kind, over, scope } = wanted;
        let refused =
            |why: String, suggestion: String| FleetAnswer::Refused { why: why.into(), suggestion: suggestion.into() };
        let (scope, reason, now) = (scope.clone(), reason.clone(), self.now.wall);
        let operation = match (kind, lasts) {
            (RestraintKind::Hold, _) => Operation::Hold { scope, reason, until: lasts.map(|lasts| now.plus(lasts)) },
            (RestraintKind::Silence, Some(lasts)) => Operation::Silence { scope, reason, lasts },
            (RestraintKind::Maintenance, Some(lasts)) => Operation::Maintenance { scope, reason, lasts },
            (RestraintKind::Silence | RestraintKind::Maintenance, None) => {
                let what = format!("a {} needs an end", kind.as_str());
                return Err(refused(
                    what,
                    "say for how long, as --for 2h; only a hold may last until it is released".into(),
                ));
            }
        };
        let objection = operation.objection(now).or_else(|| over.check().err());
        if let Some(objection) = objection {
            return Err(refused(objection.what, objection.suggestion));
        }
        let count = self.meant(over).len();
        if count == 0 {
            let what = Text::new(format!("{over}: none of the {} hosts is meant by that", self.books.hosts.len()));
            return Err(FleetAnswer::NotFound { what, suggestion: "`ansai hosts list` lists them".into() });
        }
        if self.books.restraints.len() >= RESTRAINTS_MAX - OWN_MAX {
            let what = format!("there are {} restraints already", self.books.restraints.len());
            return Err(refused(what, "`ansai release` ends some; `ansai hold --fleet` holds everything".into()));
        }
        Ok(count)
    }

    /// Members are called or for something else by now: who is concerned by other restraints for it is told.
    pub(crate) fn change_hosts(&mut self, changed: Vec<HostRecord>) {
        let mut concerned = Vec::new();
        let all: Vec<HostId> = changed.iter().map(|record| record.id).collect();
        for record in changed {
            let id = record.id;
            let before = self.books.hosts.get(&id).map(|before| self.restraints_of(before));
            if before.is_some_and(|before| before != self.restraints_of(&record)) {
                concerned.push(id);
            }
            self.put(Record::Host(record));
        }
        if !concerned.is_empty() {
            self.concerns_anew(&concerned);
            self.tell_hosts(&concerned);
        }
        // Other files are for it now.
        all.into_iter().for_each(|host| self.tell_configuration(host));
    }

    /// Other restraints concern these hosts from the next generation on.
    pub(crate) fn concerns_anew(&mut self, hosts: &[HostId]) {
        let generation = self.next_generation();
        for host in hosts {
            if let Some(seen) = self.seen.get_mut(host) {
                seen.concerned_since = generation;
            }
        }
    }

    /// What has ended by itself is forgotten. Whoever it was for is told: a host that heard of it while this clock was set back
    /// would go by it for as long as it was.
    pub(crate) fn forget_ended_restraints(&mut self) {
        let now = self.steady();
        let is_over = |one: &&Restraint| one.until.is_some_and(|until| until.plus(FORGOTTEN_AFTER) <= now);
        let over: Vec<Restraint> = self.books.restraints.values().filter(is_over).cloned().collect();
        if over.is_empty() {
            return;
        }
        let hosts: BTreeSet<HostId> = over.iter().flat_map(|one| self.meant(&one.over)).collect();
        for one in over {
            self.put(Record::RestraintGone(one.id));
        }
        self.next_generation();
        self.tell_hosts(&Vec::from_iter(hosts));
    }
}

/// Hosts end a restraint by their own clocks, a little later than the controller.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
