//! What is known of each host and of each restraint at a moment, for whoever shows it. Nothing is changed here.

use std::ops::Bound;

use ansai_model::{
    fleet::{FleetScope, Restraint},
    id::{RestraintId, TargetId},
    text::Text,
    time::{Now, WallTime},
};
use ansai_protocol::{
    link::{HostId, RestraintsAt, Short},
    operation::Reached,
    record::HostRecord,
};

use crate::FleetEngine;

/// How a member stands.
#[derive(Clone, Debug)]
pub struct HostStanding<'a> {
    /// As it is kept; what it last said of its program and boot may be newer by seconds.
    pub record: &'a HostRecord,
    /// Since when it is connected, when it is.
    pub connected: Option<WallTime>,
    /// When it was last heard; nothing when it never was.
    pub heard: Option<WallTime>,
    /// Whether it was not heard for so long that its state is unknown.
    pub is_silent: bool,
    /// Whether two hosts speak under its identity.
    pub are_twins: bool,
    /// By how much its clock is ahead, in milliseconds.
    pub ahead_ms: i64,
    /// The restraints that it said it obeys.
    pub acknowledged: RestraintsAt,
    /// Whether it obeys everything that is in force.
    pub is_up_to_date: bool,
    /// Why it refuses what it was told last, when it does.
    pub refused: Option<&'a Text>,
    /// What it did when it acknowledged that was begun before.
    pub under_way: &'a [TargetId],
    /// How many targets it has told of.
    pub targets: usize,
    /// How many of its incidents are open.
    pub open: usize,
}

impl FleetEngine {
    /// When a member was last heard; nothing when it never was.
    #[must_use]
    pub fn last_heard(&self, id: HostId) -> Option<WallTime> {
        let (record, seen) = (self.books.hosts.get(&id)?, self.seen.get(&id)?);
        if seen.says.is_some() { Some(seen.heard.wall) } else { record.heard }
    }

    /// How a member stands.
    #[must_use]
    pub fn host(&self, now: Now, id: HostId) -> Option<HostStanding<'_>> {
        let (record, seen) = (self.books.hosts.get(&id)?, self.seen.get(&id)?);
        let connected = self.sessions_of(id).map(|(_, session)| session.since.wall).last();
        Some(HostStanding {
            record,
            connected,
            heard: self.last_heard(id),
            is_silent: now.mono.since(seen.heard.mono) >= self.silent_after,
            are_twins: seen.are_twins,
            ahead_ms: seen.ahead_ms,
            acknowledged: seen.acknowledged,
            is_up_to_date: self.restraints_in_force_at(id),
            refused: seen.refused.as_ref(),
            under_way: &seen.under_way,
            targets: self.books.targets.get(&id).map_or(0, std::collections::BTreeSet::len),
            open: self.books.open_of(Some(id)).count(),
        })
    }

    /// How every member stands, in the order of their names.
    pub fn hosts(&self, now: Now) -> impl Iterator<Item = HostStanding<'_>> {
        self.hosts_of(now, None, None)
    }

    /// How those of a scope stand, in the order of their names, from behind a name on.
    pub fn hosts_of<'a>(
        &'a self,
        now: Now,
        over: Option<&'a FleetScope>,
        after: Option<&Short>,
    ) -> impl Iterator<Item = HostStanding<'a>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let members = self.books.names.range((from, Bound::Unbounded)).filter_map(|(_, id)| self.books.hosts.get(id));
        let meant = members.filter(move |host| over.is_none_or(|over| crate::restraints::concerns(over, host)));
        meant.filter_map(move |host| self.host(now, host.id))
    }

    /// Whether a host obeys every restraint that concerns it.
    fn restraints_in_force_at(&self, id: HostId) -> bool {
        let Some(host) = self.books.hosts.get(&id) else { return false };
        let about = self.books.restraints.values().filter(|one| crate::restraints::concerns(&one.over, host));
        let newest = about.map(|one| one.id.0).max().unwrap_or(0);
        let at = RestraintsAt { epoch: self.books.epoch, generation: newest };
        newest == 0 || self.why_missing(id, at).is_none()
    }

    /// The restraints, each with who obeys it and who does not.
    pub fn restraints(&self) -> impl Iterator<Item = (&Restraint, Reached)> {
        let epoch = self.books.epoch;
        self.books.restraints.values().map(move |restraint| {
            // Its number is the generation in which it came.
            let RestraintId(generation) = restraint.id;
            (restraint, self.reached(&self.meant(&restraint.over), RestraintsAt { epoch, generation }))
        })
    }
}
