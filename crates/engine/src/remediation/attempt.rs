//! When a try of a rung did not heal: taking its effect back, waiting, climbing, or handing over.

use alloc::{format, string::String};
use core::time::Duration;

use ansai_model::{
    id::IncidentId,
    incident::{Incident, StepKind},
    runbook::{OnFailure, Rung},
    text::{Counted, Text},
};

use super::{Reached, Stage, anew::worked_last, backoff_wait};
use crate::{
    context::{Context, Wake},
    incident::again::is_tried_again,
};

impl Context {
    /// A try of a rung did not heal: take its effect back, then wait and try again, climb, or hand over.
    pub(crate) fn attempt_failed(&mut self, id: IncidentId, why: Text) {
        let Some(rung) = self.state.remediations.get(&id).and_then(|r| r.current()).cloned() else { return };
        let was_verified = self.state.remediations.get(&id).is_some_and(|tried| tried.fails_anew);
        self.record(id, StepKind::NotVerified { rung: rung.id.clone(), why, was_verified });
        let has_changed = self.state.remediations.get(&id).is_some_and(|tried| tried.has_changed);
        if has_changed && self.state.incidents.get(&id).is_some_and(|incident| !incident.is_drill) {
            self.state.ramp.closes(self.now, self.bundle.parts().settings.remediations_at_once_max);
        }
        self.fails_otherwise(id);
        self.change_remediation(id, |remediation| {
            remediation.attempts += 1;
            remediation.rung_attempts += u32::from(!core::mem::take(&mut remediation.was_interrupted));
        });
        if self.state.remediations.get(&id).is_some_and(|tried| tried.attempts == 1 || tried.fails_anew) {
            // Why it fails now may be another reason than why it broke: whoever it is handed to needs both.
            self.begin_evidence(id);
        }
        // A try that left the target down counts as well; what follows it waits until the target is up again.
        let view = self.view();
        if view.incident(id).and_then(|incident| view.down_first(incident)).is_some() {
            self.next_attempt(id, &rung);
            self.yields_to_itself(id);
            return;
        }
        if !self.undo(id, &rung, 0) {
            self.next_attempt(id, &rung);
        }
    }

    pub(super) fn next_attempt(&mut self, id: IncidentId, rung: &Rung) {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return };
        let (attempts, most) = (remediation.attempts, remediation.policy.attempts_max);
        if attempts >= most && is_tried_again(incident) {
            let why = format!("it was tried once more, and that did not heal it{}", last_failure(incident));
            return self.escalate(id, Text::new(why));
        }
        if attempts >= most {
            let tried = Counted(attempts, "attempt");
            let what = match worked_last(incident).is_some() {
                true => format!("it was brought back, and failed again each time, {tried} in all"),
                false => format!("{tried} did not heal it"),
            };
            return self.escalate(id, Text::new(format!("{what}; the policy allows {most}")));
        }
        let next = match (remediation.rung_attempts < rung.attempts_max, &rung.on_failure) {
            (true, _) => remediation.rung,
            (false, OnFailure::Escalate) => {
                let why = format!("the rung `{}` did not heal it, and the runbook hands over then", rung.id);
                return self.escalate(id, Text::new(why));
            }
            (false, OnFailure::Rung(name)) => {
                return match remediation.runbook.rungs.iter().position(|rung| rung.id == *name) {
                    Some(index) => self.back_off_to(id, index, Reached::ByName),
                    None => self.escalate(id, "no rung of the runbook is left".into()),
                };
            }
            (false, OnFailure::NextRung) => remediation.rung + 1,
        };
        // What is only about to fail, or serves badly, is not disturbed for that.
        let is_brought_back = view.is_down(incident) && worked_last(incident).is_some();
        if next >= remediation.runbook.rungs.len() && is_brought_back {
            return self.back_off_to(id, remediation.rung, Reached::InOrder);
        }
        if next >= remediation.runbook.rungs.len() {
            let plural = if attempts == 1 { "" } else { "s" };
            let why = format!("nothing is left to try after {attempts} attempt{plural}{}", last_failure(incident));
            return self.escalate(id, Text::new(why));
        }
        self.back_off_to(id, next, Reached::InOrder);
    }

    fn back_off_to(&mut self, id: IncidentId, rung: usize, reached: Reached) {
        let (wait, now) = (self.wait_before_next(id), self.now);
        let Some(remediation) = self.state.remediations.get_mut(&id) else { return };
        if remediation.rung == rung {
            remediation.step = 0;
            remediation.has_acted = false;
        } else {
            remediation.climb_to(rung, reached);
        }
        remediation.ask_anew();
        let Some(wait) = wait else {
            remediation.stage = Stage::Ready;
            self.changed();
            return self.wake(now.mono, Wake::Incident(id));
        };
        remediation.stage = Stage::BackingOff { until: now.mono.plus(wait) };
        self.record(id, StepKind::BackedOff { wait });
        self.wake(now.mono.plus(wait), Wake::Incident(id));
    }

    /// How long the next try waits, if at all. What worked and failed again is mended at once the first time: only
    /// repetition makes it wait, longer each time.
    fn wait_before_next(&mut self, id: IncidentId) -> Option<Duration> {
        let is_drill = self.state.incidents.get(&id)?.is_drill;
        let remediation = self.state.remediations.get_mut(&id)?;
        if core::mem::take(&mut remediation.is_at_once) {
            return None;
        }
        let backoff = remediation.policy.backoff;
        // What is a drill's, or has changed nothing, waits as well, and is not remembered for it.
        if is_drill || !remediation.has_changed {
            let level = remediation.attempts;
            return Some(backoff_wait(&backoff, level, id.0));
        }
        let memory = self.memory_of_mut(id)?;
        memory.backoff_level = memory.backoff_level.saturating_add(1);
        Some(backoff_wait(&backoff, memory.backoff_level, id.0))
    }
}

/// How the last attempt failed, to follow what is made of it.
fn last_failure(incident: &Incident) -> String {
    let last = incident.steps.iter().rev().find_map(|step| {
        let StepKind::NotVerified { why, .. } = &step.kind else { return None };
        Some(why)
    });
    last.map(|why| format!("; the last one: {why}")).unwrap_or_default()
}
