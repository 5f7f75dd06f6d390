//! What waits for a unit that is on its way: how long that may take is the unit's own word, and systemd sees to it.
//! It begins nothing; a person hears of what takes long.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    action::AS_DECLARED,
    domain::service::UnitSnapshot,
    id::{IncidentId, RunId, TargetId, UnitName},
    incident::StepKind,
    notify::NoticeKind,
    observation::{Health, Observation},
    runbook::{Rung, Step},
    text::Text,
    time::{MonoTime, Now, Shown},
};

use crate::{
    host_engine::{HostEngine, Wake},
    state::OperatorAnswer,
};

/// How long a job is awaited before it is asked whether systemd still works on it.
pub(super) const AWAITED_FIRST: Duration = Duration::from_secs(100);
/// How often that is asked from then on.
const AWAITED_AGAIN: Duration = Duration::from_secs(30);
/// After so long a person hears of it: it may be what it needs, and it may never end.
const AWAITED_TOLD: Duration = Duration::from_secs(15 * 60);

impl HostEngine {
    /// Until when a run is awaited that has taken long, when its unit is still on its way: it is lost only when systemd is
    /// seen to have ended the job and nobody has said how.
    pub(super) fn awaited_until(&mut self, now: Now, run: RunId) -> Option<MonoTime> {
        let pending = self.state.runs.get(&run).filter(|pending| pending.lost_after <= now.mono)?;
        let unit = pending.awaits.as_ref().filter(|unit| self.may_be_on_its_way(unit))?.clone();
        let (incident, took) = (pending.incident, now.mono.since(pending.decided.mono));
        let until = now.mono.plus(AWAITED_AGAIN);
        if let Some(pending) = self.state.runs.get_mut(&run) {
            pending.lost_after = until;
        }
        self.changed(now);
        if let Some(id) = incident {
            self.say_what_is_awaited(now, id, &unit, took);
        }
        Some(until)
    }

    fn say_what_is_awaited(&mut self, now: Now, id: IncidentId, unit: &UnitName, took: Duration) {
        let seen = self.seen_of(unit).map_or("nothing is known of it", |(_, seen)| seen.summary().as_str());
        let what = Text::new(format!("{unit} after {}: {seen}; it is awaited", Shown(took)));
        if took >= AWAITED_TOLD {
            if !self.state.told.contains(&(id, NoticeKind::Escalated)) {
                self.record(now, id, StepKind::Escalated { why: what });
                self.tell(now, id, NoticeKind::Escalated);
            }
        } else if took < AWAITED_FIRST + AWAITED_AGAIN {
            self.record(now, id, StepKind::Decided(what));
        }
    }

    /// Whether systemd may still be at work on a unit: what nobody looks at, or cannot, is awaited.
    fn may_be_on_its_way(&self, unit: &UnitName) -> bool {
        self.seen_of(unit).is_none_or(|(_, seen)| match seen.unit() {
            Some(unit) => unit.is_on_its_way(),
            None => seen.health() == Health::Unknown,
        })
    }

    fn seen_of(&self, unit: &UnitName) -> Option<&(Now, Observation)> {
        self.units.get(unit)?.iter().find_map(|slot| self.checks[*slot].last.as_ref())
    }

    /// Whether systemd is at work on the unit of an incident's target.
    pub(super) fn is_on_its_way(&self, id: IncidentId) -> bool {
        self.state.incidents.get(&id).is_some_and(|incident| self.on_its_way(&incident.target).is_some())
    }

    /// The unit of a target as it was last seen, when systemd is at work on it.
    fn on_its_way(&self, target: &TargetId) -> Option<&UnitSnapshot> {
        let slots = self.targets.get(target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let mut seen = slots.iter().filter_map(|slot| self.checks[*slot].last.as_ref()?.1.unit());
        seen.find(|unit| unit.is_on_its_way())
    }

    /// Whether a try is not begun because its unit is already on its way: somebody has started it, or an earlier job has
    /// not ended. A rung with a time of its own goes on, as declared, and so does what a person asks for.
    pub(super) fn waits_for_arrival(&mut self, now: Now, id: IncidentId, rung: &Rung) -> bool {
        let waits = rung.steps.iter().any(
            |step| matches!(step, Step::Act { action, timeout } if action.job_of().is_some() && *timeout == AS_DECLARED),
        );
        let begins = self.state.remediations.get(&id).is_some_and(|remediation| remediation.step == 0);
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        if !waits || !begins || is_forced || !self.is_on_its_way(id) {
            return false;
        }
        self.wake(now.mono.plus(AWAITED_AGAIN), Wake::Incident(id));
        true
    }
}
