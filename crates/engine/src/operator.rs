//! What operators say: holds, silences, maintenance, approvals, healing and drills on request.
//! Every command is answered; what may disrupt passes the gates as well.

use alloc::{boxed::Box, format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::Action,
    id::{IncidentId, TargetId},
    incident::{Phase, StepKind},
    observation::Health,
    operator::{DrillKind, Operation, OperatorCommand},
    policy::Scope,
    text::Text,
    time::{Now, Shown},
};

use crate::{
    effect::{Answer, Effect},
    gate::wishes,
    host_engine::HostEngine,
    invariant::{self, Behalf},
    state::{BreakerState, Hold, OpenedWindow, OperatorAnswer, SCOPES_MAX, Silence, TargetMemory},
};

const DRILL_TIMEOUT: Duration = Duration::from_secs(30);

fn done(text: impl Into<Text>) -> Answer {
    Answer::Done(text.into())
}
fn refused(why: impl Into<Text>, suggestion: impl Into<Text>) -> Answer {
    Answer::Refused { why: why.into(), suggestion: suggestion.into() }
}

impl HostEngine {
    pub(crate) fn operate(&mut self, now: Now, request: u64, command: OperatorCommand) {
        let OperatorCommand { by, operation } = command;
        if let Some(answer) = self.senseless(now, &operation) {
            self.effects.push(Effect::Answer { request, answer });
            return;
        }
        let answer = match operation {
            Operation::Hold { scope, reason, until } => self.hold(Hold::new(scope, by, reason, now, until), now),
            Operation::Release { scope } => self.release(now, &scope),
            Operation::Silence { scope, reason, lasts } => {
                self.silence(now, Silence::new(scope, by, reason, now, lasts))
            }
            Operation::Unsilence { scope } => {
                let before = self.state.silences.len();
                self.state.silences.retain(|silence| scope != Scope::All && silence.scope != scope);
                self.ended(now, before - self.state.silences.len(), "silence")
            }
            Operation::Maintenance { scope, reason, lasts } => self.open_maintenance(now, scope, &by, &reason, lasts),
            Operation::EndMaintenance { scope } => {
                let before = self.state.maintenance.len();
                self.state.maintenance.retain(|window| scope != Scope::All && window.scope != scope);
                self.ended(now, before - self.state.maintenance.len(), "maintenance window")
            }
            Operation::Approve { incident } => self.approve(now, incident, &by),
            Operation::Reject { incident } => self.reject(now, incident, &by),
            Operation::Heal { target } => self.heal(now, &target, &by),
            Operation::Drill { target, kind } => self.drill(now, &target, kind),
            Operation::Request { target, name } => self.requested(now, &target, &name, &by),
            Operation::CloseBreaker { target } => self.close_breaker(now, &target),
        };
        self.effects.push(Effect::Answer { request, answer });
        self.reconcile_all(now);
    }

    /// The answer to what makes no sense, or is about nothing that is there: a misspelled scope would stop nothing.
    fn senseless(&self, now: Now, operation: &Operation) -> Option<Answer> {
        if let Some(objection) = operation.objection(now.wall) {
            return Some(refused(objection.what, objection.suggestion));
        }
        let (Operation::Hold { scope, .. } | Operation::Silence { scope, .. } | Operation::Maintenance { scope, .. }) =
            operation
        else {
            return None;
        };
        let is_empty = *scope != Scope::All && self.targets_in(scope).is_empty();
        is_empty.then(|| Answer::NotFound {
            what: Text::new(format!("{scope} holds none of the {} targets", self.bundle.parts().targets.len())),
            suggestion: "`ansai status` lists them; \"all\" (--all) is every one".into(),
        })
    }

    fn hold(&mut self, hold: Hold, now: Now) -> Answer {
        // A person may change their own hold; that of another is released, not shortened.
        let is_same = |before: &Hold| before.scope == hold.scope && before.by == hold.by;
        self.state.holds.retain(|before| before.is_on(now) && !is_same(before));
        if self.state.holds.len() >= SCOPES_MAX {
            return refused(
                format!("there are {SCOPES_MAX} holds already"),
                "release some, or hold everything with --all",
            );
        }
        let targets = self.targets_in(&hold.scope).len();
        let s = if targets == 1 { "" } else { "s" };
        let text = format!("held: {} ({targets} target{s}); nothing is done there until `ansai release`", hold.scope);
        self.state.holds.push(hold);
        self.changed(now);
        done(text)
    }

    fn release(&mut self, now: Now, scope: &Scope) -> Answer {
        let before = self.state.holds.len();
        self.state.holds.retain(|hold| *scope != Scope::All && hold.scope != *scope);
        let ended = before - self.state.holds.len();
        if self.hold_file.is_some() && *scope == Scope::All {
            self.changed(now);
            return refused("the HOLD file is still there", "remove /etc/ansai/HOLD to end that hold");
        }
        self.ended(now, ended, "hold")
    }

    fn ended(&mut self, now: Now, count: usize, what: &str) -> Answer {
        self.changed(now);
        match count {
            0 => Answer::NotFound {
                what: Text::new(format!("there is no {what} on exactly this scope")),
                suggestion: "`ansai status` lists them with their scopes; --all ends every one".into(),
            },
            1 => done(format!("1 {what} ended")),
            _ => done(format!("{count} {what}s ended")),
        }
    }

    fn silence(&mut self, now: Now, silence: Silence) -> Answer {
        self.state.silences.retain(|before| before.end(now).is_some() && before.scope != silence.scope);
        if self.state.silences.len() >= SCOPES_MAX {
            return refused(format!("there are {SCOPES_MAX} silences already"), "end some with `ansai unsilence`");
        }
        let text = format!("silenced: {}; healing goes on", silence.scope);
        self.state.silences.push(silence);
        self.changed(now);
        done(text)
    }

    fn open_maintenance(&mut self, now: Now, scope: Scope, by: &Text, reason: &Text, lasts: Duration) -> Answer {
        self.state.maintenance.retain(|window| window.end(now).is_some() && window.scope != scope);
        if self.state.maintenance.len() >= SCOPES_MAX {
            return refused(format!("there are {SCOPES_MAX} maintenance windows already"), "end some first");
        }
        let text = format!("maintenance for {}: {scope} is neither healed nor notified about", Shown(lasts));
        let reason = if reason.as_str().is_empty() { format!("by {by}") } else { format!("{reason}, by {by}") };
        self.state.maintenance.push(OpenedWindow::new(scope, reason, now, lasts));
        self.changed(now);
        done(text)
    }

    fn targets_in(&self, scope: &Scope) -> Vec<&TargetId> {
        self.bundle.parts().targets.keys().filter(|target| scope.holds(target)).collect()
    }

    fn incident_not_found(id: IncidentId) -> Answer {
        let what = Text::new(format!("no open incident {id}"));
        Answer::NotFound { what, suggestion: "`ansai incidents` lists them".into() }
    }

    fn approve(&mut self, now: Now, id: IncidentId, by: &Text) -> Answer {
        let Some(incident) = self.state.incidents.get(&id) else { return Self::incident_not_found(id) };
        if !matches!(incident.phase, Phase::AwaitingApproval { .. }) {
            return refused(
                format!("{id} does not wait for an approval"),
                format!("`ansai report {id}` says where it stands"),
            );
        }
        self.state.answers.insert(id, OperatorAnswer::Approved);
        self.record(now, id, StepKind::Answered { text: Text::new(format!("approved by {by}")) });
        self.set_phase(now, id, Phase::Open);
        done(format!("{id} is approved; healing begins when no other gate objects"))
    }

    fn reject(&mut self, now: Now, id: IncidentId, by: &Text) -> Answer {
        let Some(incident) = self.state.incidents.get(&id) else { return Self::incident_not_found(id) };
        if !matches!(incident.phase, Phase::AwaitingApproval { .. }) {
            return refused(
                format!("{id} does not wait for an approval"),
                format!("`ansai report {id}` says where it stands"),
            );
        }
        self.record(now, id, StepKind::Answered { text: Text::new(format!("rejected by {by}")) });
        self.escalate(now, id, Text::new(format!("the proposal was rejected by {by}")));
        done(format!("{id} is rejected; nothing will be done about it"))
    }

    fn target_not_found(target: &TargetId) -> Answer {
        let what = Text::new(format!("no target {target}"));
        Answer::NotFound { what, suggestion: "`ansai status` lists the targets".into() }
    }

    fn heal(&mut self, now: Now, target: &TargetId, by: &Text) -> Answer {
        if !self.targets.contains_key(target) {
            return Self::target_not_found(target);
        }
        let mut open = self.targets.get(target).map(|index| index.open.clone()).unwrap_or_default();
        let told_only = open.iter().copied().find(|id| self.is_told_only(*id));
        open.retain(|id| !self.is_told_only(*id));
        if let (Some(id), true) = (told_only, open.is_empty()) {
            let why = self.state.incidents.get(&id).map_or_else(|| "".into(), |i| i.observation.summary().clone());
            return refused(
                format!("{target} is not known to be down, and nothing is done about what is not known: {why}"),
                format!("`ansai report {id}` says who holds it up; a service is started with systemctl"),
            );
        }
        let Some(id) = open.iter().find(|id| !self.state.remediations.contains_key(id)).copied() else {
            return match open.first() {
                Some(id) => refused(format!("{target} is being healed already ({id})"), format!("`ansai report {id}`")),
                None => refused(
                    format!("nothing is known to be wrong with {target}"),
                    "`ansai explain` says what the checks see; a stopped service is started with systemctl",
                ),
            };
        };
        if let Some((_, why)) = wishes::hold_on(self, target, now) {
            return refused(why, "release the hold first: `ansai release`");
        }
        if let Some((_, why)) = wishes::maintenance_on(self, target, now) {
            return refused(why, "end the maintenance window first: `ansai maintenance end`");
        }
        let before = self.state.incidents.get(&id).map(|incident| incident.phase.clone());
        self.state.answers.insert(id, OperatorAnswer::Forced);
        self.believe_validator(target);
        self.record(now, id, StepKind::Answered { text: Text::new(format!("healing asked for by {by}")) });
        self.set_phase(now, id, Phase::Open);
        self.reconcile(now, id);
        if self.state.remediations.contains_key(&id) {
            return done(format!("healing of {target} has begun; `ansai report {id}` says how it goes"));
        }
        // What was refused is not done later, when nobody expects it any more.
        self.state.answers.remove(&id);
        let why = self.objection(id);
        if let (Some(before), Some(incident)) = (before, self.state.incidents.get_mut(&id))
            && incident.phase == Phase::Open
        {
            incident.phase = before;
        }
        self.changed(now);
        refused(why, format!("`ansai explain {target}` has every gate"))
    }

    fn drill(&mut self, now: Now, target: &TargetId, kind: DrillKind) -> Answer {
        let Some(found) = self.bundle.parts().targets.get(target).cloned() else {
            return Self::target_not_found(target);
        };
        let Some(unit) = found.unit else {
            return refused(format!("{target} is no systemd unit"), "drills work on units");
        };
        if let Some((_, why)) = wishes::hold_on(self, target, now) {
            return refused(why, "a drill under a hold would break what nothing may mend; release it first");
        }
        if let Some((_, why)) = wishes::maintenance_on(self, target, now) {
            return refused(why, "a drill in a maintenance window would break what nothing may mend");
        }
        if let Some(refusal) = self.objection_to_drill(now, target) {
            return refusal;
        }
        if kind == DrillKind::Port && found.port.is_none() {
            return refused(format!("{target} declares no port"), "declare `port:` in its configuration");
        }
        if kind == DrillKind::Configuration && found.configuration.is_empty() {
            return refused(
                format!("{target} declares no configuration"),
                "declare `configuration:` in its configuration",
            );
        }
        let action = Action::Drill { unit, kind, port: found.port, paths: found.configuration };
        if let Err(violation) = invariant::before_action(self, now, target, Behalf::Drill, action.disruption()) {
            return refused(violation.what, "`ansai explain` has every limit");
        }
        let what = action.describe();
        let run = self.begin_run(now, None, target.clone(), action, DRILL_TIMEOUT);
        self.state.targets.entry(target.clone()).or_default().drilled = Some(now.mono);
        self.changed(now);
        self.effects.push(Effect::Perform(Box::new(run)));
        done(format!("drill: ansai will {what}"))
    }

    /// Does what a target offers, though nothing may be wrong with it.
    fn requested(&mut self, now: Now, target: &TargetId, name: &Text, by: &Text) -> Answer {
        let Some(found) = self.bundle.parts().targets.get(target) else { return Self::target_not_found(target) };
        let Some(request) = found.requests.get(name.as_str()).cloned() else {
            let known: Vec<&str> = found.requests.keys().map(|name| name.as_str()).collect();
            let known = if known.is_empty() { "nothing".into() } else { known.join(", ") };
            return Answer::NotFound {
                what: Text::new(format!("{target} does not offer to `{name}`")),
                suggestion: Text::new(format!("it offers {known}; `ansai config show --expanded` has its declaration")),
            };
        };
        if let Some((_, why)) = wishes::hold_on(self, target, now) {
            return refused(why, "release the hold first: `ansai release`");
        }
        if let Some((_, why)) = wishes::maintenance_on(self, target, now) {
            return refused(why, "end the maintenance window first: `ansai maintenance end`");
        }
        let open = self.targets.get(target).map(|index| index.open.clone()).unwrap_or_default();
        if let Some(id) = open.iter().find(|id| self.state.remediations.contains_key(id)) {
            return refused(
                format!("{target} is being healed ({id})"),
                format!("`ansai report {id}` says how it goes"),
            );
        }
        if let Err(violation) =
            invariant::before_action(self, now, target, Behalf::Request, request.action.disruption())
        {
            return refused(violation.what, "`ansai explain` has every limit");
        }
        let what = request.action.describe();
        let run = self.begin_run(now, None, target.clone(), request.action, request.timeout);
        self.changed(now);
        self.effects.push(Effect::Perform(Box::new(run)));
        done(format!("asked for by {by}: ansai will {what}"))
    }

    /// A drill begins with a healthy target, and leaves room in the budgets for the remedy.
    fn objection_to_drill(&self, now: Now, target: &TargetId) -> Option<Answer> {
        let index = self.targets.get(target)?;
        if index.checks.iter().any(|slot| self.checks[*slot].hard != Health::Healthy) {
            return Some(refused(format!("{target} is not known to be well"), "a drill begins with a healthy target"));
        }
        if let Some(id) = index.open.first() {
            return Some(refused(
                format!("{id} is still open"),
                "a drill begins when the incidents before it are over",
            ));
        }
        let parts = self.bundle.parts();
        let rule = self.rules_of(target).next();
        let of_target = rule.and_then(|rule| parts.policies.get(&rule.policy)).map(|policy| policy.target_budget);
        let memory = self.state.targets.get(target).map(|memory| &memory.drills);
        // On the host the first of a target is no repetition; what it breaks is mended by one.
        let on_host = if self.is_repetition(now, target, true) { 2 } else { 1 };
        let of_host = (parts.settings.host_budget, &self.state.host_drills, on_host);
        let of_target = of_target.zip(memory).map(|(budget, times)| (budget, times, 2));
        for (budget, times, needed) in of_target.into_iter().chain([of_host]) {
            let used = TargetMemory::within(times, now.mono, budget.per);
            if used.saturating_add(needed) > budget.actions_max as usize {
                let why = format!(
                    "{used} of {} actions within {} are used: no room for a failure and its remedy",
                    budget.actions_max,
                    Shown(budget.per)
                );
                return Some(refused(why, "wait, or raise the budget"));
            }
        }
        None
    }

    fn close_breaker(&mut self, now: Now, target: &TargetId) -> Answer {
        let Some(memory) = self.state.targets.get_mut(target) else { return Self::target_not_found(target) };
        let is_open = |memory: &TargetMemory| memory.breaker != BreakerState::Closed;
        if !is_open(memory) && !memory.matters.values().any(is_open) {
            return refused(format!("the circuit breaker of {target} is closed"), "nothing is to be done");
        }
        memory.breaker = BreakerState::Closed;
        memory.failures.clear();
        for matter in memory.matters.values_mut() {
            matter.breaker = BreakerState::Closed;
            matter.failures.clear();
        }
        self.changed(now);
        done(format!("the circuit breaker of {target} is closed"))
    }
}
