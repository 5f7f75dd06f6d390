//! Storms: many failures of one host within seconds, of which people are told together, with what is behind them.
//! A storm changes nothing about how its incidents are healed; how messages are put together is the agent's outbox.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use ansai_model::{
    decision::Choice,
    id::IncidentId,
    incident::{Incident, Phase},
    notify::NoticeKind,
    report::{self, Cause},
    text::Text,
    time::{MonoTime, Now},
};
use serde::{Deserialize, Serialize};

use crate::{cause::shared, host_engine::HostEngine};

/// So many incidents make a storm.
pub const STORM_MIN: usize = 5;
/// An incident belongs to a storm when another one of it opened so shortly before.
const WITHIN: Duration = Duration::from_secs(5);

/// Many incidents that opened within seconds. Bounded by the number of open incidents when it grew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// Its incidents, those that have ended included.
    pub members: BTreeSet<IncidentId>,
    /// When the last of them opened.
    pub last: MonoTime,
    /// What may be behind all of them, by the rule that says so, and in whom it was seen.
    pub seen: BTreeMap<Text, BTreeSet<IncidentId>>,
    /// What is behind all of them, once that is sure enough.
    pub cause: Option<Cause>,
}

impl HostEngine {
    /// Notes which storm a new incident is part of, when enough others opened shortly before it.
    pub(crate) fn join_storm(&mut self, now: Now, id: IncidentId) {
        let is_of_storms = |incident: &&Incident| !incident.is_drill && !incident.is_foreseen();
        if !self.state.incidents.get(&id).as_ref().is_some_and(is_of_storms) {
            return;
        }
        // Their numbers are in the order in which they opened.
        let open = self.state.incidents.values().rev();
        let lately = open.take_while(|incident| now.mono.since(incident.opened.mono) <= WITHIN).filter(is_of_storms);
        let lately: Vec<_> = lately.map(|incident| (incident.id, incident.storm)).collect();
        let known = lately.iter().find_map(|(_, storm)| *storm);
        let first = match (known, lately.last()) {
            (Some(known), _) => known,
            (None, Some((first, _))) if lately.len() >= STORM_MIN => *first,
            (None, _) => return,
        };
        let storm = self.state.storms.entry(first).or_default();
        storm.last = now.mono;
        storm.members.extend(lately.iter().map(|(id, _)| *id));
        for (id, _) in lately {
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.storm = Some(first);
            }
            self.look_for_shared_cause(id);
        }
    }

    /// Takes in what an incident says about the cause of its storm.
    pub(crate) fn look_for_shared_cause(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else { return };
        let Some(storm) = incident.storm.and_then(|storm| self.state.storms.get_mut(&storm)) else { return };
        if storm.cause.is_some() {
            return;
        }
        for found in shared::seen_in(incident) {
            let seen = storm.seen.entry(found.cause.rule.clone()).or_default();
            seen.insert(id);
            // One line in one log may have another reason.
            let is_enough = seen.len() * 3 >= storm.members.len();
            if found.is_sure || is_enough {
                storm.cause = Some(found.cause);
                return;
            }
        }
    }

    /// What a report says of the storm that its incident is part of.
    pub(crate) fn storm_of(&self, incident: &Incident) -> Option<report::Storm> {
        let first = incident.storm?;
        let storm = self.state.storms.get(&first)?;
        let is_over = matches!(incident.phase, Phase::Resolved(_));
        let open = storm.members.iter().filter_map(|id| self.state.incidents.get(id));
        let undecided = open.filter(|other| !self.is_settled(other, is_over)).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (incidents, undecided) = (count(storm.members.len()), count(undecided));
        Some(report::Storm { first, incidents, undecided, cause: storm.cause.clone() })
    }

    /// Forgets a storm whose last incident has ended.
    pub(crate) fn leave_storm(&mut self, storm: Option<IncidentId>) {
        let Some(first) = storm else { return };
        let is_over = self.state.storms.get(&first).is_some_and(|storm| {
            let mut members = storm.members.iter();
            members.all(|id| !self.state.incidents.contains_key(id))
        });
        if is_over {
            self.state.storms.remove(&first);
        }
    }

    /// Whether nothing more is to be told of an incident for now. Who tells of an end waits for the others to have lasted.
    fn is_settled(&self, incident: &Incident, is_end: bool) -> bool {
        let is_told = |kind| self.state.told.contains(&(incident.id, kind));
        match incident.phase {
            // What waits for its evidence is still to be told.
            Phase::Escalated { .. } => is_told(NoticeKind::Escalated),
            Phase::AwaitingApproval { .. } => is_told(NoticeKind::ApprovalWanted),
            Phase::Resolved(_) => true,
            Phase::Stabilizing { .. } => !is_end,
            Phase::Remediating => false,
            Phase::Open => incident.decision.as_ref().is_some_and(|decision| decision.choice == Choice::Deny),
        }
    }
}
