//! Permits: leases for one disruption of what still serves. A host says all that it wants and all that it holds; once a second
//! those that wait are looked at in order, and each gets a lease or a reason. How much of a role may go stands in `rules`, how
//! the role stands in `members`. What is down already is mended by its host without any permit, and no word of this file is
//! needed for it.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    id::{IncidentId, PermitId},
    permit::{PERMITS_OF_HOST_MAX, PermitDenied, PermitFreed, PermitGranted, PermitNews, PermitWanted, PermitsSaid},
    rule::Severity,
    text::{Counted, Text},
    time::{Now, WallTime},
};
use ansai_protocol::{
    link::{FromController, HostId, PERMITS_SINCE, Short},
    operation::FleetAnswer,
    record::{HostRecord, PermitRecord, Record},
};

use crate::{
    FleetEngine,
    effect::FleetEffect,
    input::SessionId,
    limits::{PERMIT_LASTS, PERMIT_MARGIN, PERMIT_SAID_FOR, PERMITS_MAX, REPORTED_PERCENT, REPORTED_WITHIN},
    words,
};

pub(crate) mod members;
pub(crate) mod rules;

use members::Members;
use rules::PermitRules;

/// What is known of permits beside what is kept; after a restart hosts say it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permits {
    /// How much may be disturbed.
    pub(crate) rules: PermitRules,
    /// What each connection has said last.
    said: BTreeMap<SessionId, Said>,
    /// Hosts that have said to this process how they stand.
    reported: BTreeSet<HostId>,
    /// On which connection a permit was given by this process.
    given: BTreeMap<PermitId, SessionId>,
}

/// What a host has said of permits.
#[derive(Clone, Debug)]
struct Said {
    at: Now,
    number: u64,
    is_well: bool,
    wants: BTreeMap<IncidentId, Want>,
}

/// Something that a host waits for.
#[derive(Clone, Debug)]
struct Want {
    wanted: PermitWanted,
    since: Now,
    /// Why it waits, as the host was told.
    why: Option<Text>,
}

/// Something that waits for a permit.
#[derive(Clone, Debug)]
pub struct Waiting<'a> {
    /// Which host.
    pub host: &'a HostRecord,
    /// What it wants.
    pub wanted: &'a PermitWanted,
    /// Since when, by the controller's clock.
    pub since: WallTime,
    /// Why it has none; nothing before it was looked at.
    pub why: Option<&'a Text>,
}

impl FleetEngine {
    /// The same engine with other limits for what may be disturbed at once.
    #[must_use]
    pub fn permit_rules(mut self, rules: PermitRules) -> Self {
        self.permits.rules = rules;
        self
    }

    /// A host says what it wants and what it holds.
    pub(crate) fn permits_said(&mut self, id: SessionId, host: HostId, said: PermitsSaid) {
        // What is given back is to be kept, and nothing is while twins tell of one host.
        if self.saving.trouble.is_some() || self.is_newer_twin(id) {
            // It comes again once something can be kept, and says it anew.
            if let Some(session) = self.sessions.get_mut(&id) {
                session.is_stalled = true;
            }
            return;
        }
        let is_of_now = |permit: &PermitRecord| self.permits.given.get(&permit.id) == Some(&id);
        let is_given_back = |permit: &&PermitRecord| {
            permit.host == host && !said.holds.contains(&permit.id) && (permit.id <= said.through || !is_of_now(permit))
        };
        let given_back: Vec<PermitId> =
            self.books.permits.values().filter(is_given_back).map(|permit| permit.id).collect();
        for permit in given_back {
            self.saving.now.sessions.insert(id);
            self.forget_permit(permit);
        }
        for id_held in said.holds.iter().take(PERMITS_OF_HOST_MAX) {
            if self.books.permits.get(id_held).is_none_or(|permit| permit.host != host) {
                let freed = PermitFreed { id: *id_held, why: "the controller knows nothing of it any more".into() };
                self.effects.push(FleetEffect::Send {
                    session: id,
                    message: FromController::Permit(PermitNews::Freed(Box::new(freed))),
                });
            }
        }
        let before = self.permits.said.remove(&id);
        let wants = said.wants.into_iter().take(PERMITS_OF_HOST_MAX);
        let wants = wants.map(|wanted| (wanted.incident, self.want(wanted, before.as_ref())));
        let said = Said { at: self.now, number: said.number, is_well: said.is_well, wants: wants.collect() };
        self.permits.said.insert(id, said);
        self.permits.reported.insert(host);
    }

    fn want(&self, wanted: PermitWanted, before: Option<&Said>) -> Want {
        let before = before.and_then(|before| before.wants.get(&wanted.incident));
        let waited = std::time::Duration::from_millis(wanted.waits_ms);
        let wall = i64::try_from(wanted.waits_ms).map_or(i64::MIN, |ms| self.now.wall.0.saturating_sub(ms));
        let said = Now { mono: self.now.mono.minus(waited), wall: WallTime(wall) };
        Want {
            since: before.map_or(said, |before| before.since),
            why: before.and_then(|before| before.why.clone()),
            wanted,
        }
    }

    /// A connection is gone, and what was said on it.
    pub(crate) fn permits_unsaid(&mut self, id: SessionId) {
        self.permits.said.remove(&id);
    }

    /// To be called once a second: what has ended is free, and who waits gets a permit or a reason.
    pub(crate) fn tend_permits(&mut self) {
        self.end_permits();
        let waiting = self.in_order();
        if waiting.is_empty() {
            return;
        }
        let (none, mut roles) = (self.why_none_is_given(), BTreeMap::new());
        for (_, _, session, incident) in waiting {
            self.decide_permit(session, incident, none.as_ref(), &mut roles);
        }
    }

    /// Permits that nobody gave back.
    fn end_permits(&mut self) {
        let Self { permits, books, .. } = self;
        permits.given.retain(|id, _| books.permits.contains_key(id));
        permits.reported.retain(|host| books.hosts.contains_key(host));
        let now = self.steady();
        let over: Vec<PermitRecord> =
            self.books.permits.values().filter(|permit| permit.until <= now).cloned().collect();
        for permit in over {
            let what = format!("{} has ended, and was not given back", self.described(&permit));
            self.audit(&crate::twins::CONTROLLER.into(), what, 1);
            self.take_permit(&permit, "its time is over");
        }
    }

    /// What waits, in the order in which it is looked at: how bad it is, then since when.
    fn in_order(&self) -> Vec<(std::cmp::Reverse<Severity>, i64, SessionId, IncidentId)> {
        let is_fresh = |said: &Said| self.now.mono.since(said.at.mono) < PERMIT_SAID_FOR;
        // A host that has come anew may have left a connection behind that is not known to be gone.
        let is_newest = |id: &SessionId| {
            let host = self.sessions.get(id).map(|session| session.host);
            host.and_then(|host| self.sessions_of(host).last()).is_some_and(|(newest, _)| newest == *id)
        };
        let said = self.permits.said.iter().filter(|(id, said)| is_fresh(said) && is_newest(id));
        let all = said.flat_map(|(session, said)| {
            said.wants.iter().map(|(incident, want)| {
                (std::cmp::Reverse(want.wanted.severity), want.since.mono.0, *session, *incident)
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    }

    fn decide_permit(
        &mut self,
        session: SessionId,
        incident: IncidentId,
        none: Option<&Text>,
        roles: &mut BTreeMap<Option<Short>, Members>,
    ) {
        let Some(host) = self.sessions.get(&session).map(|session| session.host) else { return };
        let Some(record) = self.books.hosts.get(&host) else { return };
        let Some(said) = self.permits.said.get(&session) else { return };
        let Some(want) = said.wants.get(&incident) else { return };
        let (wanted, number) = (want.wanted.clone(), said.number);
        // It was given, and the host has not heard of it yet or has more to do: it is told again.
        let mut held = self.books.permits.values();
        if let Some(held) = held.find(|permit| permit.host == host && permit.incident == incident).cloned() {
            if self.permits.given.get(&held.id) != Some(&session) {
                self.take_permit(&held, "it was given on a connection that is gone");
            }
            return;
        }
        let members = roles.entry(record.role.clone()).or_insert_with(|| self.members(record.role.as_ref()));
        let objection = none.cloned().or_else(|| self.objection_to_permit(record, members, &wanted));
        match objection {
            None => members.takes(self.grant(session, record.clone(), wanted, number)),
            Some(why) => self.deny(session, incident, why),
        }
    }

    fn grant(&mut self, session: SessionId, host: HostRecord, wanted: PermitWanted, number: u64) -> PermitRecord {
        let id = PermitId(self.books.last_permit.0.saturating_add(1));
        let lasts = std::time::Duration::from_millis(wanted.lasts_ms).clamp(PERMIT_LASTS.0, PERMIT_LASTS.1);
        let (epoch, incident, at) = (self.books.epoch, wanted.incident, self.steady());
        let permit = PermitRecord {
            id,
            epoch,
            host: host.id,
            role: host.role,
            incident,
            target: wanted.target,
            what: wanted.what,
            at,
            until: at.plus(lasts.saturating_add(PERMIT_MARGIN)),
        };
        self.put(Record::Permit(permit.clone()));
        self.permits.given.insert(id, session);
        if let Some(said) = self.permits.said.get_mut(&session) {
            said.wants.remove(&incident);
        }
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let granted = PermitGranted { id, epoch, incident, number, lasts_ms };
        self.effects.push(FleetEffect::Send { session, message: FromController::Permit(PermitNews::Granted(granted)) });
        permit
    }

    fn deny(&mut self, session: SessionId, incident: IncidentId, why: Text) {
        let Some(said) = self.permits.said.get_mut(&session) else { return };
        let Some(want) = said.wants.get_mut(&incident).filter(|want| want.why.as_ref() != Some(&why)) else { return };
        want.why = Some(why.clone());
        let denied = FromController::Permit(PermitNews::Denied(Box::new(PermitDenied { incident, why })));
        self.effects.push(FleetEffect::Send { session, message: denied });
    }

    /// Why a host may not disturb something now.
    fn objection_to_permit(&self, host: &HostRecord, members: &Members, wanted: &PermitWanted) -> Option<Text> {
        if self.seen.get(&host.id).is_some_and(|seen| seen.are_twins) {
            return Some("two hosts have its identity, so neither may disturb anything".into());
        }
        if self.books.permits.len() >= PERMITS_MAX {
            return Some(Text::new(format!("{PERMITS_MAX} permits are held, which is the most")));
        }
        self.objection_of_members(host, members, wanted.is_approved)
    }

    /// Why no host gets a permit at this moment: a controller that has just begun does not know how the fleet stands.
    #[must_use]
    pub fn why_none_is_given(&self) -> Option<Text> {
        let until = self.started.wall.plus(REPORTED_WITHIN);
        let all = self.books.hosts.len();
        let reported = self.books.hosts.keys().filter(|host| self.has_reported(**host)).count();
        let is_over = self.now.mono.since(self.started.mono) >= REPORTED_WITHIN;
        let enough = all.saturating_mul(REPORTED_PERCENT).div_ceil(100);
        (!is_over && reported < enough).then(|| {
            let all = Counted(all, "host");
            Text::new(format!(
                "the controller has begun at {}, and permits nothing before {enough} of {all} have reported or {until}",
                self.started.wall
            ))
        })
    }

    /// Whether a host has said to this process how it stands: one that knows no permits has when it is connected.
    fn has_reported(&self, host: HostId) -> bool {
        self.permits.reported.contains(&host)
            || self.sessions_of(host).any(|(_, session)| session.version < PERMITS_SINCE)
    }

    /// Those that wait, in the order in which they are looked at.
    pub fn permits_waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.in_order().into_iter().filter_map(|(_, _, session, incident)| {
            let host = self.books.hosts.get(&self.sessions.get(&session)?.host)?;
            let want = self.permits.said.get(&session)?.wants.get(&incident)?;
            Some(Waiting { host, wanted: &want.wanted, since: want.since.wall, why: want.why.as_ref() })
        })
    }

    /// A permit in words: which, whose, and for what.
    pub(crate) fn described(&self, permit: &PermitRecord) -> String {
        let host = self.books.hosts.get(&permit.host).map_or_else(|| permit.host.to_string(), |h| h.name.to_string());
        format!("{} of {host} ({})", permit.id, permit.what)
    }

    /// It is none any more, and nobody need hear of it.
    fn forget_permit(&mut self, id: PermitId) {
        self.permits.given.remove(&id);
        self.put(Record::PermitGone(id));
    }

    /// It is taken back: its holder is told, when it is there.
    fn take_permit(&mut self, permit: &PermitRecord, why: &str) {
        self.forget_permit(permit.id);
        let sessions: Vec<SessionId> = self.sessions_of(permit.host).map(|(id, _)| id).collect();
        for session in sessions {
            let freed = PermitFreed { id: permit.id, why: why.into() };
            self.effects.push(FleetEffect::Send {
                session,
                message: FromController::Permit(PermitNews::Freed(Box::new(freed))),
            });
        }
    }

    /// Whatever a host holds is free, since that host is no more or is another one. Says which, for the books.
    pub(crate) fn free_permits_of(&mut self, host: HostId, why: &str) -> Option<String> {
        let held: Vec<PermitRecord> =
            self.books.permits.values().filter(|permit| permit.host == host).cloned().collect();
        held.iter().for_each(|permit| self.take_permit(permit, why));
        let held: Vec<String> = held.iter().map(|permit| format!("{} ({})", permit.id, permit.what)).collect();
        (!held.is_empty()).then(|| words::listed(&held))
    }

    /// The permit of this number.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn permit(&self, id: PermitId) -> Result<&PermitRecord, FleetAnswer> {
        self.books.permits.get(&id).ok_or_else(|| FleetAnswer::NotFound {
            what: Text::new(format!("nobody holds a permit {id}")),
            suggestion: "`ansai permits list` shows those that are held".into(),
        })
    }

    /// An operator takes a permit back.
    pub(crate) fn free_permit(&mut self, request: u64, by: &Text, id: PermitId) {
        let permit = match self.permit(id) {
            Ok(permit) => permit.clone(),
            Err(refusal) => return self.answer(request, refusal),
        };
        let text =
            format!("the permit {} is free again; what has not begun under it does not begin", self.described(&permit));
        self.take_permit(&permit, &format!("{by} has freed it"));
        self.audit(by, &text, 1);
        self.answer(request, words::done(text));
    }
}
