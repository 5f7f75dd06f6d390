//! How a remediation goes on. `advance` reconciles: it looks at the stage and the clock and takes no other input, so it may
//! be called at any time.

use alloc::{boxed::Box, format};
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, Disruption},
    decision::{Choice, Decision},
    id::{IncidentId, RunId, RungId, TargetId},
    incident::{Incident, Phase, StepKind},
    rule::Autonomy,
    runbook::{Entry, Rung, Step, Then},
    text::Text,
    time::{MonoTime, Now, Shown},
};

use super::{Remediation, Stage};
use crate::{
    check::CheckState,
    condition,
    context::{Context, Wake},
    effect::Effect,
    gate::{
        self,
        proposal::{Proposal, ProposalKind},
    },
    invariant::{self, Behalf},
    verification::Verification,
    view::View,
};

impl Context {
    /// Does what is due in a remediation; says whether something more may be due at once.
    pub(crate) fn advance(&mut self, id: IncidentId) -> bool {
        let Some(stage) = self.state.remediations.get(&id).map(|remediation| remediation.stage.clone()) else {
            return false;
        };
        match stage {
            Stage::Ready => self.propose(id),
            Stage::Acting { run, .. } | Stage::Undoing { run, .. } => self.await_run(run),
            Stage::Waiting { until } => self.until(id, until, |remediation| {
                remediation.step += 1;
                remediation.stage = Stage::Ready;
            }),
            Stage::BackingOff { until } => self.back_off(id, until),
            Stage::Verifying { since, until } => self.verify(id, since, until),
            Stage::Stabilizing { until } => self.stabilize(id, until),
        }
    }

    fn until(&mut self, id: IncidentId, until: MonoTime, then: fn(&mut Remediation)) -> bool {
        if self.now.mono < until {
            self.wake(until, Wake::Incident(id));
            return false;
        }
        self.change_remediation(id, then);
        true
    }

    /// Waits for the next try. Somebody else may have mended it meanwhile, and broken it again.
    fn back_off(&mut self, id: IncidentId, until: MonoTime) -> bool {
        self.note_well(id);
        let view = self.view();
        let is_down = view.incident(id).is_some_and(|incident| !view.looks_well(incident));
        let is_known =
            view.incident(id).is_some_and(|of| view.checks_of(of).into_iter().any(CheckState::is_known_to_fail));
        if is_known || (is_down && until <= self.now.mono) {
            self.goes_again(id);
        }
        self.until(id, until, |remediation| remediation.stage = Stage::Ready)
    }

    pub(crate) fn change_remediation(&mut self, id: IncidentId, change: impl FnOnce(&mut Remediation)) {
        if let Some(remediation) = self.state.remediations.get_mut(&id) {
            change(remediation);
            self.changed();
        }
    }

    fn await_run(&mut self, run: RunId) -> bool {
        let Some(pending) = self.state.runs.get(&run) else { return false };
        let (lost_after, incident) = (pending.lost_after, pending.incident);
        let lost_after = self.awaited_until(run).unwrap_or(lost_after);
        if self.now.mono < lost_after {
            if let Some(incident) = incident {
                self.wake(lost_after, Wake::Incident(incident));
            }
            return false;
        }
        self.action_ended(run, ActionOutcome::Lost { why: "no outcome was reported in time".into() });
        false
    }

    fn propose(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return false };
        let Some(rung) = remediation.current().cloned() else {
            if self.repeats_what_worked(id) {
                return true;
            }
            self.escalate(id, "no rung of the runbook is left".into());
            return false;
        };
        if !remediation.has_acted && !remediation.has_helped && view.is_well(incident) {
            self.leave_alone(id);
            return true;
        }
        if self.passes_by(id, &rung) {
            return true;
        }
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return false };
        let (step, target) = (remediation.step, incident.target.clone());
        let has_done = remediation.has_acted || remediation.has_helped;
        let objection = match (step == 0, remediation.rung_attempts > 0) {
            (true, false) => view.does_not_apply(incident, remediation, &rung),
            // What it is may have been seen only since.
            (true, true) => view.spares_one_shot(incident, &rung),
            (false, _) => None,
        };
        if let Some(why) = objection {
            self.skip(id, &rung.id, why);
            return true;
        }
        if step == 0 && (self.waits_for_arrival(id, &rung) || self.waits_for_news(id)) {
            return false;
        }
        match rung.steps.get(step) {
            None => self.rung_done(id, &rung, has_done),
            Some(Step::Wait(wait)) => {
                let until = self.now.mono.plus(*wait);
                self.change_remediation(id, |remediation| remediation.stage = Stage::Waiting { until });
                true
            }
            Some(Step::Act { action, .. }) if action.disruption() > Disruption::None && self.waits_for_traces(id) => {
                false
            }
            Some(Step::Act { action, timeout }) => {
                let (action, timeout) = (action.clone(), *timeout);
                match self.ask_gates(id, action.disruption(), action.describe()) {
                    Choice::Act => self.perform(id, target, &rung.id, action, timeout),
                    Choice::Defer => false,
                    Choice::Deny | Choice::Escalate => {
                        self.escalate_as_denied(id);
                        false
                    }
                }
            }
        }
    }

    /// Asks the gates within a remediation, keeps what they say, and wakes the incident when they want to be asked again.
    fn ask_gates(&mut self, id: IncidentId, disruption: Disruption, what: Text) -> Choice {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return Choice::Deny };
        let decision = view.decision_within(incident, remediation, disruption, ProposalKind::Continue, what);
        let (choice, until) = (decision.choice, decision.until);
        self.keep_decision(id, decision);
        if let Some(until) = until {
            self.wake(until.mono, Wake::Incident(id));
        }
        choice
    }

    pub(super) fn skip(&mut self, id: IncidentId, rung: &RungId, why: Text) {
        self.record(id, StepKind::Skipped { rung: rung.clone(), why });
        self.change_remediation(id, Remediation::climb);
    }

    fn rung_done(&mut self, id: IncidentId, rung: &Rung, has_done: bool) -> bool {
        match rung.then {
            Then::Continue => {
                self.change_remediation(id, Remediation::climb);
            }
            Then::Accumulate => self.change_remediation(id, |remediation| {
                remediation.has_helped |= remediation.has_acted;
                remediation.climb();
            }),
            // Nothing was done, so nothing is to be verified.
            Then::Verify if !has_done => self.skip(id, &rung.id, "there was nothing to do".into()),
            Then::Verify => self.begin_verification(id),
        }
        true
    }

    pub(crate) fn begin_verification(&mut self, id: IncidentId) {
        self.verify_until(id, self.now);
        let Some(target) = self.state.incidents.get(&id).map(|incident| incident.target.clone()) else { return };
        self.look_at_target(&target);
    }

    /// Waits for what looks say that were begun since, as long as a start of the target may take.
    fn verify_until(&mut self, id: IncidentId, since: Now) {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return };
        let until = self.now.mono.plus(view.verified_within(&incident.target, remediation.policy.verify_within));
        self.change_remediation(id, |remediation| remediation.stage = Stage::Verifying { since, until });
    }

    fn verify(&mut self, id: IncidentId, since: Now, until: MonoTime) -> bool {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return false };
        let is_on_its_way = until <= self.now.mono && view.on_its_way(&incident.target).is_some();
        match view.verification(incident, since.mono) {
            Verification::Passed(seen) => {
                let (rung, until) = (remediation.current(), self.now.plus(remediation.policy.stable_for));
                if let Some(rung) = rung.map(|rung| rung.id.clone()) {
                    self.passed(id, rung, since, until, seen);
                }
                true
            }
            Verification::Failed(why) => {
                self.attempt_failed(id, why);
                true
            }
            // How long it may be on its way is the unit's own word; what it says is judged when it has arrived.
            Verification::Pending(_) if is_on_its_way => {
                self.tell_of_long_way(id, Some(since.mono));
                self.verify_until(id, since);
                true
            }
            Verification::Pending(why) if until <= self.now.mono => {
                self.attempt_failed(id, Text::new(format!("not healthy within the time: {why}")));
                true
            }
            Verification::Pending(_) => {
                self.wake(until, Wake::Incident(id));
                false
            }
        }
    }

    fn passed(&mut self, id: IncidentId, rung: RungId, since: Now, until: Now, seen: Text) {
        self.tell_symptoms(id, &Text::new(format!("{rung}: verified: {seen}")));
        self.drill_is_mended(id);
        self.record(id, StepKind::Verified { rung, seen, after: self.now.mono.since(since.mono) });
        self.change_remediation(id, |remediation| {
            remediation.was_interrupted = false;
            remediation.stage = Stage::Stabilizing { until: until.mono };
        });
        let now = self.now;
        self.change_incident(id, |incident| {
            incident.healthy_since = Some(now);
            incident.phase = Phase::Stabilizing { until };
        });
        self.wake_waiting();
    }

    fn stabilize(&mut self, id: IncidentId, until: MonoTime) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        if let Some(why) = view.fails_again(incident) {
            let was_well = incident.healthy_since;
            self.goes_again(id);
            let went = self.view().incident(id).and_then(|incident| incident.relapse).map(|relapse| relapse.went);
            let lasted = was_well.zip(went).map(|(well, went)| Shown(went.mono.since(well.mono)));
            let why = Text::new(format!("failed again after {}: {why}", lasted.unwrap_or(Shown(Duration::ZERO))));
            self.change_incident(id, |incident| incident.phase = Phase::Remediating);
            self.failed_anew(id);
            self.prioritize(id);
            let view = self.view();
            if view.incident(id).is_some_and(|incident| view.is_healed_elsewhere(incident)) {
                self.preempt(id, Text::new(format!("{why}; another failure of the target is being healed")));
                return false;
            }
            let is_first = self.fails_once_more(id);
            self.change_remediation(id, |remediation| remediation.is_at_once = is_first);
            self.attempt_failed(id, why);
            return true;
        }
        let until = view.died_since_well(incident).map_or(until, |(_, lasts)| lasts.max(until));
        if self.now.mono < until {
            self.wake(until, Wake::Incident(id));
        } else if view.is_well(incident) {
            self.healed(id);
        } else {
            self.yields_to_itself(id);
        }
        // Not known to be well: unknown never closes, the next observation will tell.
        false
    }

    fn perform(&mut self, id: IncidentId, target: TargetId, rung: &RungId, action: Action, timeout: Duration) -> bool {
        if let Err(violation) =
            invariant::before_action(self.view(), &target, Behalf::Incident(id), action.disruption())
        {
            self.hold_for_violation(&target, &violation);
            return false;
        }
        let begins_before = self.uses_permit(id, &action);
        let run = self.begin_run(Some(id), target, action, timeout);
        if let Some(pending) = self.state.runs.get_mut(&run.id) {
            pending.begins_before = begins_before;
        }
        let (what, run_id) = (run.action.describe(), run.id);
        let is_harmless = run.action.disruption() == Disruption::None;
        self.record(id, StepKind::Started { rung: rung.clone(), run: run_id, what, is_harmless });
        let stage = Stage::Acting { run: run_id, since: self.now };
        self.change_remediation(id, |remediation| remediation.stage = stage);
        self.effects.push(Effect::Perform(Box::new(run)));
        true
    }
}

impl<'a> View<'a> {
    /// An open incident with its remediation, when one is under way.
    pub(super) fn climbing(self, id: IncidentId) -> Option<(&'a Incident, &'a Remediation)> {
        self.incident(id).zip(self.state.remediations.get(&id))
    }

    /// What the gates say of an action within a remediation; the rule's autonomy was asked when it began.
    pub(crate) fn decision_within(
        self,
        incident: &Incident,
        remediation: &Remediation,
        disruption: Disruption,
        kind: ProposalKind,
        what: Text,
    ) -> Decision {
        let (policy, autonomy) = (&remediation.policy, Autonomy::Act);
        let proposal = Proposal { view: self, incident, policy, autonomy, disruption, kind, if_asked: None };
        gate::evaluate(&proposal, what)
    }

    fn does_not_apply(self, incident: &Incident, remediation: &Remediation, rung: &Rung) -> Option<Text> {
        if rung.entry == Entry::OnlyByName && !remediation.is_by_name {
            return Some("only after another rung has failed".into());
        }
        self.objection_to_rung(incident, rung)
    }

    /// Why a rung is not for an incident at this moment, however it is reached.
    pub(crate) fn objection_to_rung(self, incident: &Incident, rung: &Rung) -> Option<Text> {
        if let Some(why) = self.disbelief(incident, rung) {
            return Some(why);
        }
        if let Some(why) = self.spares_one_shot(incident, rung) {
            return Some(why);
        }
        let condition = rung.when.as_ref()?;
        let check = self.checks.named(&incident.check)?;
        match condition::holds(condition, self.scene(check)) {
            Some(true) => None,
            Some(false) => Some(Text::new(format!("`{}` does not hold", condition.source))),
            None => Some(Text::new(format!("`{}` cannot be known", condition.source))),
        }
    }
}
