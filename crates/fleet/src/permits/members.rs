//! How the members of a role stand, and whether one of them may be disturbed: what is not known to be well counts as not well,
//! and is one of them all the same. The host that asks is never counted among those that stay.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::text::{Counted, Text};
use ansai_protocol::{
    link::{HostId, PERMITS_SINCE, Short},
    record::{HostRecord, PermitRecord},
};

use super::rules::disturbed_max;
use crate::{FleetEngine, limits::PERMIT_SAID_FOR, words};

/// Most hosts that a reason names.
const NAMED_MAX: usize = 5;

/// How a role stands at a moment, for all that wait in it.
pub(super) struct Members {
    /// How many members have joined.
    all: usize,
    /// Those that are connected.
    heard: usize,
    /// Those that are well and hold no permit.
    well: BTreeSet<HostId>,
    /// The others that are not well, by name.
    unwell: BTreeMap<Short, HostId>,
    /// Permits of members, oldest first.
    held: Vec<PermitRecord>,
}

impl FleetEngine {
    /// How the members of a role stand, or the hosts without one.
    pub(super) fn members(&self, role: Option<&Short>) -> Members {
        let mut members =
            Members { all: 0, heard: 0, well: BTreeSet::new(), unwell: BTreeMap::new(), held: Vec::new() };
        // A permit that was given while its holder was for something else counts in both roles.
        let is_of = |host: &HostId| self.books.hosts.get(host).is_some_and(|host| host.role.as_ref() == role);
        let held = self.books.permits.values().filter(|permit| permit.role.as_ref() == role || is_of(&permit.host));
        members.held = held.cloned().collect();
        let holders: BTreeSet<HostId> = members.held.iter().map(|permit| permit.host).collect();
        for member in self.books.hosts.values().filter(|member| member.role.as_ref() == role) {
            members.all += 1;
            members.heard += usize::from(self.sessions_of(member.id).next().is_some());
            match self.is_well(member.id) {
                true if holders.contains(&member.id) => {}
                true => drop(members.well.insert(member.id)),
                false => drop(members.unwell.insert(member.name.clone(), member.id)),
            }
        }
        members
    }

    /// Why a member of a role may not be disturbed now.
    pub(super) fn objection_of_members(&self, host: &HostRecord, members: &Members, is_approved: bool) -> Option<Text> {
        let Some(role) = &host.role else { return self.objection_without_role(host, members) };
        let rule = self.permits.rules.of(role);
        let all = members.all.max(rule.members as usize);
        if all == 1 {
            let why = format!(
                "it is the only member of role {role}, and what serves there is not disturbed unless a person asks for it \
                 (`ansai heal` on the host)"
            );
            return (!is_approved).then(|| Text::new(why));
        }
        let (needed, well) = (rule.healthy_min(all), members.well_beside(host.id));
        if well < needed {
            let beside = Counted(well, "other");
            let why = format!("role {role}: {needed} of {all} must stay healthy, and {beside} would");
            return Some(Text::new(format!("{why}{}", self.because(host.id, members))));
        }
        let most = disturbed_max(rule.disturbed_max, all);
        (members.holders_beside(host.id) >= most).then(|| {
            let why = format!("role {role}: {most} of {all} may be disturbed at once");
            Text::new(format!("{why}{}", self.because(host.id, members)))
        })
    }

    /// Hosts without a role stand for nobody else, so the limit of the fleet is all that is between them.
    fn objection_without_role(&self, host: &HostRecord, members: &Members) -> Option<Text> {
        let (all, heard) = (members.all, members.heard);
        if heard * 2 < all {
            let why = format!("hosts without a role: only {heard} of {all} are connected, and why is not known");
            return Some(Text::new(why));
        }
        let most = disturbed_max(self.permits.rules.disturbed_max, all);
        (members.holders_beside(host.id) >= most).then(|| {
            let why = format!("hosts without a role: {most} of {all} may be disturbed at once");
            Text::new(format!("{why}{}", self.because(host.id, members)))
        })
    }

    /// Whether a member is known to be well now.
    pub(crate) fn is_well(&self, host: HostId) -> bool {
        let Some(seen) = self.seen.get(&host) else { return false };
        let mut sessions = self.sessions_of(host);
        let (Some((id, session)), None) = (sessions.next(), sessions.next()) else { return false };
        if seen.are_twins || self.now.mono.since(seen.heard.mono) >= PERMIT_SAID_FOR {
            return false;
        }
        match self.permits.said.get(&id) {
            Some(said) => said.is_well,
            // Of a host that knows nothing of permits its incidents tell.
            None => session.version < PERMITS_SINCE && self.books.open_of(Some(host)).next().is_none(),
        }
    }

    /// Who else holds permits since when, and who is not known to be well.
    fn because(&self, host: HostId, members: &Members) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut others = members.held.iter().filter(|permit| permit.host != host);
        if let Some(first) = others.next() {
            let more = match others.count() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            parts.push(format!("{} is held since {}{more}", self.described(first), first.at));
        }
        let unwell = || members.unwell.iter().filter(|(_, id)| **id != host);
        let named: Vec<String> = unwell().take(NAMED_MAX).map(|(name, _)| name.to_string()).collect();
        match unwell().count() {
            0 => {}
            count if count > NAMED_MAX => {
                let more = count - NAMED_MAX;
                parts.push(format!("{} and {more} more are not known to be well", named.join(", ")));
            }
            count => {
                let is = if count == 1 { "is" } else { "are" };
                parts.push(format!("{} {is} not known to be well", words::listed(&named)));
            }
        }
        if parts.is_empty() { String::new() } else { format!(": {}", parts.join("; ")) }
    }
}

impl Members {
    /// A permit was given since.
    pub(super) fn takes(&mut self, permit: PermitRecord) {
        self.well.remove(&permit.host);
        self.held.push(permit);
    }

    /// How many are well and hold no permit beside the host that asks.
    fn well_beside(&self, host: HostId) -> usize {
        self.well.len() - usize::from(self.well.contains(&host))
    }

    /// How many hold permits beside the host that asks.
    fn holders_beside(&self, host: HostId) -> usize {
        let holders: BTreeSet<HostId> =
            self.held.iter().map(|permit| permit.host).filter(|holder| *holder != host).collect();
        holders.len()
    }
}

/// How a role stands, in whole hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStanding {
    /// Its name; none for hosts without a role.
    pub role: Option<Short>,
    /// How many members it has, those included that are expected and have not joined.
    pub members: usize,
    /// How many of them are known to be well.
    pub healthy: usize,
    /// How many must stay so.
    pub healthy_min: usize,
    /// How many may be disturbed at once.
    pub disturbed_max: usize,
}

impl FleetEngine {
    /// How each role stands, by its name, and last the hosts without one.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleStanding> {
        let mut roles: BTreeMap<(bool, Option<&Short>), (usize, usize)> = BTreeMap::new();
        for host in self.books.hosts.values() {
            let (members, healthy) = roles.entry((host.role.is_none(), host.role.as_ref())).or_default();
            *members += 1;
            *healthy += usize::from(self.is_well(host.id));
        }
        let rules = &self.permits.rules;
        let of = |((_, role), (joined, healthy)): ((bool, Option<&Short>), (usize, usize))| {
            let rule = role.map(|role| rules.of(role));
            let members = rule.map_or(joined, |rule| joined.max(rule.members as usize));
            RoleStanding {
                role: role.cloned(),
                members,
                healthy,
                healthy_min: rule.map_or(0, |rule| rule.healthy_min(members)),
                disturbed_max: disturbed_max(rule.map_or(rules.disturbed_max, |rule| rule.disturbed_max), members),
            }
        };
        roles.into_iter().map(of).collect()
    }
}
