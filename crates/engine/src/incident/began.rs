//! When what an incident is about went, and when all was last found well before that. Of the checks that are one fault domain one
//! may have seen it earlier than the one that opened the incident: a service that hangs is stopped before its answers are
//! missed. It judges nothing.

use alloc::vec::Vec;

use ansai_model::{
    id::IncidentId,
    incident::{IncidentKind, SinceBy},
    time::{MonoTime, Now, WallTime},
};

use crate::{
    cause,
    check::{CheckState, Since},
    context::Context,
    view::View,
};

/// When something went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    pub(super) at: Now,
    pub(super) by: SinceBy,
    /// When all was last found well, never after it went.
    pub(super) well_until: Option<WallTime>,
}

impl Context {
    /// A look may say of an open failure that it went earlier than was known when it was opened, also of one that was seen only
    /// once a remedy had begun: what went before that is not the remedy's doing. What is well again may have gone at any time.
    pub(crate) fn began_earlier(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let (view, Some(since)) = (self.view(), check.began()) else { return };
        let covering = view.open_on(&check.check.target, &check.check.id);
        let Some(incident) = covering.filter(|incident| incident.kind == IncidentKind::Failure) else { return };
        let went = incident.relapse.map_or(incident.failing_since, |relapse| relapse.went);
        if incident.healthy_since.is_some() || since.at.mono >= went.mono {
            return;
        }
        let (id, Some(own)) = (incident.id, self.checks.slot(&incident.check)) else { return };
        let began = view.began(own);
        self.change_incident(id, |incident| match &mut incident.relapse {
            Some(relapse) => relapse.went = began.at,
            None => {
                (incident.failing_since, incident.since_by) = (began.at, began.by);
                incident.well_until = began.well_until;
            }
        });
        self.changed();
    }
}

impl Context {
    /// What had recovered is down again, and what was in between is no downtime; says whether it had.
    pub(crate) fn goes_again(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id).filter(|incident| incident.healthy_since.is_some()) else {
            return false;
        };
        let went = self.checks.slot(&incident.check).map_or(self.now, |own| view.began(own).at);
        self.change_incident(id, |incident| {
            cause::keep_first(incident, cause::Kept::Mended);
            incident.went_again(went);
        });
        self.changed();
        true
    }

    /// Notes since when all that an incident is about is well, however often that changes; it may go again at any time.
    pub(crate) fn note_well(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id).filter(|incident| incident.healthy_since.is_none()) else { return };
        if !view.looks_well(incident) {
            return;
        }
        let since = view.checks_to_verify(incident).into_iter().filter_map(|check| check.hard_since);
        let since = since.max_by_key(|at| at.mono).unwrap_or(self.now);
        self.change_incident(id, |incident| incident.healthy_since = Some(since));
        // Since when it is well outlives a restart of the agent.
        self.changed();
    }
}

impl View<'_> {
    /// When what a check fails for went: by the earliest that it says itself or another that is one fault domain with it. Of
    /// a look that was under way meanwhile systemd knows better when.
    pub(super) fn began(self, slot: usize) -> Began {
        let own = &self.checks[slot];
        let target = &own.check.target;
        let together = self.checks.of(target).filter(|other| self.are_together(target, &own.check.id, &other.check.id));
        let all: Vec<_> = together.filter_map(|check| Some((check.began()?, check))).collect();
        let mut first = all.iter().min_by_key(|(since, _)| since.at.mono);
        if let Some((look, _)) = first.filter(|(since, _)| since.by == SinceBy::Look) {
            let meanwhile = |stamp: &Since| look.at.mono <= stamp.at.mono && stamp.at.mono <= look.told;
            first = all.iter().find(|(since, _)| since.by == SinceBy::Systemd && meanwhile(since)).or(first);
        }
        let (at, by, says) = first.map_or((self.now, SinceBy::Look, own), |(since, says)| (since.at, since.by, *says));
        let well = well_before(own, at.mono).or_else(|| well_before(says, at.mono));
        Began { at, by, well_until: well.map(|well| self.now.at(well).wall) }
    }

    /// What is only told of has no other begin than the look that says so.
    pub(super) fn began_at(self, slot: usize, at: Now, by: SinceBy) -> Began {
        let well = well_before(&self.checks[slot], at.mono);
        Began { at, by, well_until: well.map(|well| self.now.at(well).wall) }
    }
}

/// When a check was last found well, when that was not after this moment.
fn well_before(check: &CheckState, at: MonoTime) -> Option<MonoTime> {
    check.well_at.filter(|well| *well <= at)
}
