//! Who has heard and obeys: what hosts say they have saved, and the operators who wait for them. A host counts only when it
//! said so itself, of this epoch and of a generation that is new enough; silence is never taken for obedience.

use std::collections::BTreeSet;

use ansai_model::{
    fleet::{Acknowledged, RestraintKind},
    text::Text,
    time::MonoTime,
};
use ansai_protocol::{
    link::{HostId, RestraintsAt},
    operation::{FleetAnswer, Missing, Reached, UnderWay},
};

use crate::{
    FleetEngine,
    effect::FleetEffect,
    input::SessionId,
    limits::{ACKNOWLEDGED_WITHIN, NAMED_MAX, WAITING_MAX},
    words,
};

/// An operator who waits until those that are there have acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) request: u64,
    /// All hosts that are meant.
    meant: Vec<HostId>,
    /// Those of them that are there and have not said yet that they obey this or something newer.
    awaited: BTreeSet<HostId>,
    at: RestraintsAt,
    until: MonoTime,
    what: String,
    kind: RestraintKind,
    change: words::Change,
}

impl FleetEngine {
    pub(crate) fn answer(&mut self, request: u64, answer: FleetAnswer) {
        self.effects.push(FleetEffect::Answer { request, answer });
    }

    /// Has an operator wait for the hosts that are there; what they were told is what is in force now.
    pub(crate) fn await_acknowledgement(
        &mut self,
        request: u64,
        meant: Vec<HostId>,
        what: String,
        kind: RestraintKind,
        change: words::Change,
    ) {
        let at = self.in_force();
        let awaited = meant.iter().copied().filter(|host| self.sessions_of(*host).next().is_some()).collect();
        let until = self.now.mono.plus(ACKNOWLEDGED_WITHIN);
        if self.waiting.len() >= WAITING_MAX {
            let oldest = self.waiting.remove(0);
            self.answer_waiting(&oldest);
        }
        self.waiting.push(Waiting { request, meant, awaited, at, until, what, kind, change });
        self.answer_the_patient();
    }

    /// A host says what it has saved and obeys.
    pub(crate) fn acknowledged(&mut self, id: SessionId, host: HostId, said: Acknowledged) {
        if said.controller.as_str() != self.books.controller.to_string() {
            return;
        }
        let at = RestraintsAt { epoch: said.epoch, generation: said.generation };
        if let Some(seen) = self.seen.get_mut(&host) {
            seen.refused = said.refused;
            seen.under_way = said.under_way.into_iter().take(NAMED_MAX).collect();
        }
        self.says_it_has(id, at);
        self.stale.insert(host);
    }

    /// A host has these restraints in its ledger; of twins the one counts that has older ones.
    pub(crate) fn says_it_has(&mut self, id: SessionId, at: RestraintsAt) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.acknowledged = at;
        let host = session.host;
        let are_twins = self.seen.get(&host).is_some_and(|seen| seen.are_twins);
        let all = self.sessions_of(host).map(|(_, session)| session.acknowledged);
        let at = if are_twins { all.min() } else { all.last() }.unwrap_or(at);
        if let Some(seen) = self.seen.get_mut(&host) {
            seen.acknowledged = at;
        }
        let (epoch, in_force, mut is_over) = (self.books.epoch, self.in_force(), false);
        let is_refused = self.seen.get(&host).is_some_and(|seen| seen.refused.is_some());
        for waiting in &mut self.waiting {
            // What is newer than all that was given out says nothing of what was: the controller was brought back from a copy.
            if !is_refused && at.epoch == epoch && at >= waiting.at && at <= in_force {
                waiting.awaited.remove(&host);
            }
            is_over |= waiting.awaited.is_empty();
        }
        if is_over {
            self.answer_the_patient();
        }
    }

    /// A host is gone: nobody waits for it any more.
    pub(crate) fn nobody_waits_for(&mut self, host: HostId) {
        if self.waiting.is_empty() || self.sessions_of(host).next().is_some() {
            return;
        }
        for waiting in &mut self.waiting {
            waiting.awaited.remove(&host);
        }
        self.answer_the_patient();
    }

    /// Answers whoever has waited long enough, or for everybody.
    pub(crate) fn answer_the_patient(&mut self) {
        let now = self.now.mono;
        let is_over = |waiting: &Waiting| waiting.awaited.is_empty() || waiting.until <= now;
        let (over, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_over);
        self.waiting = waiting;
        let over: Vec<Waiting> = over;
        for waiting in &over {
            self.answer_waiting(waiting);
        }
    }

    fn answer_waiting(&mut self, waiting: &Waiting) {
        let reached = self.reached(&waiting.meant, waiting.at);
        let text = Text::new(format!("{}; {}", waiting.what, words::reached(&reached, waiting.kind, waiting.change)));
        self.answer(waiting.request, FleetAnswer::Done { text, reached: Some(reached) });
    }

    /// Which of these hosts obey what was in force at a moment, or something newer. Those that are named are the first by name:
    /// identities are drawn by chance, so their order tells nothing.
    pub(crate) fn reached(&self, meant: &[HostId], at: RestraintsAt) -> Reached {
        let mut reached = Reached { meant: u32::try_from(meant.len()).unwrap_or(u32::MAX), ..Reached::default() };
        let known = |host: &HostId| Some((&self.books.hosts.get(host)?.name, *host, self.seen.get(host)?));
        let mut hosts: Vec<_> = meant.iter().filter_map(known).collect();
        hosts.sort_unstable_by_key(|(name, ..)| *name);
        for (name, host, seen) in hosts {
            match self.why_missing(host, at) {
                None => reached.acknowledged += 1,
                Some(why) if reached.missing.len() < NAMED_MAX => {
                    reached.missing.push(Missing { host: name.clone(), why });
                }
                Some(_) => {}
            }
            let room = NAMED_MAX - reached.under_way.len();
            let under_way = seen.under_way.iter().take(room);
            reached.under_way.extend(under_way.map(|target| UnderWay { host: name.clone(), target: target.clone() }));
        }
        reached
    }

    /// Why a host is not known to obey this, when it is not.
    pub(crate) fn why_missing(&self, host: HostId, at: RestraintsAt) -> Option<Text> {
        let seen = self.seen.get(&host)?;
        let is_there = self.sessions_of(host).next().is_some();
        if let Some(refused) = seen.refused.as_ref().filter(|_| is_there) {
            return Some(Text::new(format!("it refuses: {refused}")));
        }
        if seen.acknowledged > self.in_force() {
            return Some("it knows newer restraints than this controller has given out, and obeys those".into());
        }
        let generation = at.generation.max(seen.concerned_since);
        if seen.acknowledged.epoch == at.epoch && seen.acknowledged.generation >= generation {
            return None;
        }
        Some(match is_there {
            true => "it has not answered yet".into(),
            false => words::not_reached(self, host),
        })
    }
}
