//! Storms: many failures of one host within seconds, of which people are told together, with what is behind them.
//! A storm changes nothing about how its incidents are healed; how messages are put together is the agent's outbox.

use alloc::vec::Vec;
use core::time::Duration;

use ansai_model::{
    decision::Choice,
    id::IncidentId,
    incident::IncidentKind,
    incident::{Incident, Phase},
    notify::NoticeKind,
    report,
};

use crate::{cause::shared, context::Context, view::View};

/// So many incidents make a storm.
pub const STORM_MIN: usize = 5;
/// An incident belongs to a storm when another one of it opened so shortly before.
const WITHIN: Duration = Duration::from_secs(5);

impl Context {
    /// Notes which storm a new incident is part of, when enough others opened shortly before it.
    pub(crate) fn join_storm(&mut self, id: IncidentId) {
        // What is only told of a service that is well has no part in one.
        let is_aside = |kind: IncidentKind| matches!(kind, IncidentKind::Warning | IncidentKind::Restless);
        let is_of_storms =
            |incident: &&Incident| !incident.is_drill && !incident.is_foreseen() && !is_aside(incident.kind);
        if !self.state.incidents.get(&id).as_ref().is_some_and(is_of_storms) {
            return;
        }
        // Their numbers are in the order in which they opened. Whoever is in a storm took all with it that opened shortly
        // before, so it is enough to ask the last few; and a storm begins with the last that it needs.
        let open = self.state.incidents.values().rev();
        let lately =
            open.take_while(|incident| self.now.mono.since(incident.opened.mono) <= WITHIN).filter(is_of_storms);
        let lately: Vec<_> = lately.take(STORM_MIN).map(|incident| (incident.id, incident.storm)).collect();
        let (first, joining) = match (lately.iter().skip(1).find_map(|(_, storm)| *storm), lately.last()) {
            (Some(known), _) => (known, 1),
            (None, Some((first, _))) if lately.len() == STORM_MIN => (*first, STORM_MIN),
            (None, _) => return,
        };
        let joining = lately.iter().take(joining).map(|(id, _)| *id);
        let storm = self.state.storms.entry(first).or_default();
        storm.last = self.now.mono;
        storm.members.extend(joining.clone());
        for id in joining {
            self.change_incident(id, |incident| incident.storm = Some(first));
            self.look_for_shared_cause(id);
        }
    }

    /// Takes in what an incident says about the cause of its storm.
    pub(crate) fn look_for_shared_cause(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else { return };
        let Some(first) = incident.storm else { return };
        let Some(storm) = self.state.storms.get(&first).filter(|storm| storm.cause.is_none()) else { return };
        let found = shared::seen_in(self.view(), &storm.members, incident);
        let Some(storm) = self.state.storms.get_mut(&first) else { return };
        for found in found {
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
}

impl View<'_> {
    /// What a report says of the storm that its incident is part of.
    pub(crate) fn storm_of(self, incident: &Incident) -> Option<report::Storm> {
        let first = incident.storm?;
        let storm = self.state.storms.get(&first)?;
        let is_over = matches!(incident.phase, Phase::Resolved(_));
        let open: Vec<_> = storm.members.iter().filter_map(|id| self.state.incidents.get(id)).collect();
        let is_well = |other: &&&Incident| matches!(other.phase, Phase::Resolved(_) | Phase::Stabilizing { .. });
        let well = storm.members.len() - open.len() + open.iter().filter(is_well).count();
        let undecided = open.iter().filter(|other| !self.is_settled(other, is_over)).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (incidents, undecided, well) = (count(storm.members.len()), count(undecided), count(well));
        Some(report::Storm { first, incidents, undecided, well, cause: storm.cause.clone() })
    }

    /// Whether nothing more is to be told of an incident for now. Who tells of an end waits for the others to have lasted.
    fn is_settled(self, incident: &Incident, is_end: bool) -> bool {
        let is_notified = |kind| self.state.notified.contains(&(incident.id, kind));
        match incident.phase {
            // What waits for its evidence is still to be told.
            Phase::Escalated { .. } => is_notified(NoticeKind::Escalated),
            Phase::AwaitingApproval { .. } => is_notified(NoticeKind::ApprovalWanted),
            Phase::Resolved(_) => true,
            Phase::Stabilizing { .. } => !is_end,
            Phase::Remediating => false,
            Phase::Open => incident.decision.as_ref().is_some_and(|decision| decision.choice == Choice::Deny),
        }
    }
}
