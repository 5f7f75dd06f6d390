//! What waits for a unit that is on its way: how long that may take is the unit's own word, and systemd sees to it.
//! It begins nothing; a person hears of what takes long.

use alloc::{format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::AS_DECLARED,
    id::{IncidentId, RunId, TargetId, UnitName},
    incident::{Incident, StepKind},
    notify::NoticeKind,
    observation::{Health, Observation},
    runbook::{Rung, Step},
    text::Text,
    time::{MonoTime, Now, Shown, WallTime},
    unit::{ActiveState, UnitSnapshot},
};

use crate::{
    context::{Context, Wake},
    state::OperatorAnswer,
    view::View,
};

/// How long a job is awaited before it is asked whether systemd still works on it.
pub(super) const AWAITED_FIRST: Duration = Duration::from_secs(100);
/// How often that is asked from then on.
const AWAITED_AGAIN: Duration = Duration::from_secs(30);
/// After so long a person hears of it: it may be what it needs, and it may never end.
const AWAITED_TOLD: Duration = Duration::from_secs(15 * 60);
/// Longest that a unit is awaited at which nobody looks: nothing would ever say that it is no longer on its way.
const AWAITED_UNSEEN_MAX: Duration = Duration::from_secs(3600);
/// Longest after a start that a look from before it keeps a try from being begun.
const NEWS_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether the look has come.
const NEWS_AGAIN: Duration = Duration::from_secs(1);

impl Context {
    /// Until when a run is awaited that has taken long, when its unit is still on its way: it is lost only when systemd is
    /// seen to have ended the job and nobody has said how.
    pub(super) fn awaited_until(&mut self, run: RunId) -> Option<MonoTime> {
        let pending = self.state.runs.get(&run).filter(|pending| pending.lost_after <= self.now.mono)?;
        let (incident, took) = (pending.incident, self.now.mono.since(pending.decided.mono));
        let unit = pending.awaits.as_ref().filter(|unit| self.view().may_be_on_its_way(unit, took))?.clone();
        let until = self.now.mono.plus(AWAITED_AGAIN);
        if let Some(pending) = self.state.runs.get_mut(&run) {
            pending.lost_after = until;
        }
        self.changed();
        if let Some(id) = incident {
            self.say_what_is_awaited(id, &unit, took);
        }
        Some(until)
    }

    fn say_what_is_awaited(&mut self, id: IncidentId, unit: &UnitName, took: Duration) {
        let seen = self.view().seen_of(unit).map_or("nothing is known of it", |(_, seen)| seen.summary().as_str());
        let what = Text::new(format!("{unit} after {}: {seen}; it is awaited", Shown(took)));
        if took >= AWAITED_TOLD {
            if !self.state.notified.contains(&(id, NoticeKind::Escalated)) {
                self.record(id, StepKind::Escalated { why: what });
                self.tell(id, NoticeKind::Escalated);
            }
        } else if took < AWAITED_FIRST + AWAITED_AGAIN {
            self.record(id, StepKind::Decided(what));
        }
    }

    /// Tells a person, once, that the unit of an incident is on its way for so long that it may never arrive.
    pub(super) fn tell_of_long_way(&mut self, id: IncidentId, since: Option<MonoTime>) {
        let took = since.map(|since| self.now.mono.since(since)).unwrap_or_default();
        if took < AWAITED_TOLD || self.state.notified.contains(&(id, NoticeKind::Escalated)) {
            return;
        }
        let view = self.view();
        let Some(target) = view.incident(id).map(|incident| &incident.target) else { return };
        let seen = view.on_its_way(target).map_or_else(|| Text::new("on its way"), |unit| Text::new(format!("{unit}")));
        let why =
            Text::new(format!("{target} has been on its way for {}, so nothing else is tried: {seen}", Shown(took)));
        self.record(id, StepKind::Escalated { why });
        self.tell(id, NoticeKind::Escalated);
    }

    /// Whether a try is not begun because its unit is already on its way: somebody has started it, or an earlier job has
    /// not ended. A rung with a time of its own goes on, as declared, and so does what a person asks for.
    pub(super) fn waits_for_arrival(&mut self, id: IncidentId, rung: &Rung) -> bool {
        let waits = rung.steps.iter().any(
            |step| matches!(step, Step::Act { action, timeout } if action.job_of().is_some() && *timeout == AS_DECLARED),
        );
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        let view = self.view();
        let Some(incident) = view.incident(id).filter(|_| waits && !is_forced) else { return false };
        if view.on_its_way(&incident.target).is_none() {
            return false;
        }
        self.tell_of_long_way(id, Some(incident.opened.mono));
        self.wake(self.now.mono.plus(AWAITED_AGAIN), Wake::Incident(id));
        true
    }

    /// Whether a try is not begun because what it would mend was seen before its unit was started the last time, by whomever:
    /// that is looked at once more, since a person may have mended it meanwhile. What a person asks for is not kept waiting,
    /// and nothing for longer than a minute after that start.
    pub(super) fn waits_for_news(&mut self, id: IncidentId) -> bool {
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        let view = self.view();
        let Some(incident) = view.incident(id).filter(|_| !is_forced) else { return false };
        let outdated = view.outdated(incident, self.now);
        if outdated.is_empty() {
            return false;
        }
        outdated.into_iter().for_each(|slot| self.look(slot));
        self.wake(self.now.mono.plus(NEWS_AGAIN), Wake::Incident(id));
        true
    }
}

impl<'a> View<'a> {
    /// The failing checks of an incident that were looked at last before their unit, which is up, was started; for a while
    /// after that.
    fn outdated(self, incident: &Incident, now: Now) -> Vec<usize> {
        let own = self.own_slot(&incident.target).and_then(|slot| self.checks[slot].last.as_ref());
        let up = own.and_then(|(_, seen)| seen.unit()).filter(|unit| unit.active == ActiveState::Active);
        // A start in the future is a clock that was set back, and says nothing.
        let is_recent = |since: &WallTime| *since <= now.wall && now.wall.since(*since) < NEWS_MAX;
        let Some(since) = up.and_then(|unit| unit.since).filter(is_recent) else { return Vec::new() };
        let is_outdated = |slot: &usize| {
            let check = &self.checks[*slot];
            let looked = check.last.as_ref().map(|(at, _)| at.wall);
            self.are_together(&incident.target, &incident.check, &check.check.id)
                && check.is_known_to_fail()
                && looked.is_some_and(|looked| looked < since)
        };
        self.checks.slots_of(&incident.target).iter().copied().filter(is_outdated).collect()
    }

    /// Whether systemd may still be at work on a unit after so long: what cannot be seen is awaited, and for a while also
    /// what nobody looks at, as when its check has left the configuration meanwhile.
    fn may_be_on_its_way(self, unit: &UnitName, took: Duration) -> bool {
        let Some((_, seen)) = self.seen_of(unit) else { return took < AWAITED_UNSEEN_MAX };
        match seen.unit() {
            Some(unit) => unit.is_on_its_way(),
            None => seen.health() == Health::Unknown,
        }
    }

    fn seen_of(self, unit: &UnitName) -> Option<&'a (Now, Observation)> {
        self.checks.units.get(unit)?.iter().find_map(|slot| self.checks[*slot].last.as_ref())
    }

    /// The unit of a target as it was last seen, when systemd is at work on it.
    pub(super) fn on_its_way(self, target: &TargetId) -> Option<&'a UnitSnapshot> {
        let mut seen = self.checks.of(target).filter_map(|check| check.last.as_ref()?.1.unit());
        seen.find(|unit| unit.is_on_its_way())
    }
}
