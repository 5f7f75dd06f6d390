//! Incidents: when one opens, whose symptom it is, which rule applies, and how it ends.

use alloc::{format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    decision::{Choice, Decision, Gate},
    id::{IncidentId, RuleId, TargetId},
    incident::{Incident, IncidentKind, Phase, Resolution, StepKind},
    notify::NoticeKind,
    observation::{Health, Observation},
    policy::Policy,
    rule::{Autonomy, Rule, Severity},
    text::Text,
    time::Now,
};

use crate::{
    condition,
    gate::{self, Moment, Proposal},
    host_engine::{HostEngine, Wake},
    remediation::Stage,
    state::{INCIDENTS_MAX, OperatorAnswer},
};

mod again;
mod ending;
mod symptom;
mod told_only;

pub(crate) use again::Watch;

/// Most turns of one reconciliation: a ladder has at most 32 rungs, and each turn makes progress on it.
const TURNS_MAX: usize = 256;
/// How long after a drill an incident counts as its doing.
const DRILL_WINDOW: Duration = Duration::from_secs(120);
/// How long an incident that no rule governs must be well until it is resolved.
const STABLE_DEFAULT: Duration = Duration::from_secs(30);

/// What becomes of an incident for which a rule is sought.
pub(crate) enum Governed {
    By(RuleId),
    /// A rule covers it, but its condition does not hold or cannot be known.
    NotNow(Text),
    Never,
}

impl HostEngine {
    /// Opens an incident for a hard failing check, unless one is open.
    pub(crate) fn open_incident(&mut self, now: Now, slot: usize) {
        let check = &self.checks[slot];
        let target = check.check.target.clone();
        let Some((_, observation)) = check.last.clone() else { return };
        let failing_since = check.failing_since.unwrap_or(now);
        if observation.health() != Health::Failing {
            return;
        }
        let Some(number) = self.begin_incident(now, slot, IncidentKind::Failure, observation, failing_since) else {
            return;
        };
        self.count_repeat(now, number);
        self.join_storm(now, number);
        self.begin_evidence(number);
        self.give_way(now, &target, number);
        self.link_to_cause(now, number);
        let Some(target) = self.bundle.parts().targets.get(&target) else { return };
        let (needs, causes) = (target.needs.clone(), target.waits_for.clone());
        for need in needs {
            self.look_at_target(now, &need);
        }
        for slot in causes.iter().filter_map(|check| self.check_index.get(check).copied()).collect::<Vec<_>>() {
            self.look(now, slot);
        }
    }

    /// Makes an incident of a check, unless one covers it or there are too many.
    fn begin_incident(
        &mut self,
        now: Now,
        slot: usize,
        kind: IncidentKind,
        observation: Observation,
        failing_since: Now,
    ) -> Option<IncidentId> {
        let check = &self.checks[slot].check;
        let (id, target) = (check.id.clone(), check.target.clone());
        // One failure of a target is one incident: its other checks are covered by it, and asked when it is verified.
        if self.open_on(&target, &id).is_some() || self.state.incidents.len() >= INCIDENTS_MAX {
            return None;
        }
        self.state.incidents_counted += 1;
        let number = IncidentId(self.state.incidents_counted);
        let is_critical = self.bundle.parts().targets.get(&target).is_some_and(|target| target.is_critical);
        let drilled = self.state.targets.get(&target).and_then(|memory| memory.drilled);
        let incident = Incident {
            id: number,
            kind,
            target: target.clone(),
            check: id,
            rule: None,
            severity: if is_critical { Severity::Now } else { Severity::Day },
            failing_since,
            opened: now,
            observation,
            symptom_of: None,
            is_drill: drilled.is_some_and(|at| now.mono.since(at) <= DRILL_WINDOW),
            storm: None,
            phase: Phase::Open,
            decision: None,
            steps: Vec::new(),
            steps_dropped: 0,
            evidence: Vec::new(),
            healthy_since: None,
            ended: None,
            retry: None,
        };
        self.state.incidents.insert(number, incident);
        self.targets.entry(target).or_default().open.insert(number);
        self.changed(now);
        Some(number)
    }

    /// Counts that a target fails again soon after it was healed; what has been well for long begins anew.
    fn count_repeat(&mut self, now: Now, id: IncidentId) {
        let reset_after = self.policy_of(id).map(|policy| policy.backoff.reset_after);
        let is_drill = self.state.incidents.get(&id).is_some_and(|incident| incident.is_drill);
        let Some(memory) = self.known_memory_of_mut(id) else { return };
        let well_since = memory.well_since.take();
        let was_well_for = |time: Duration| well_since.is_some_and(|well| now.mono.since(well) >= time);
        if reset_after.is_some_and(was_well_for) {
            memory.backoff_level = 0;
            memory.repeats = 0;
        } else if !is_drill && memory.remediated.is_some() {
            memory.repeats = memory.repeats.saturating_add(1);
        }
    }

    /// Counts that what was just healed fails again; says whether that was the first time for long.
    pub(crate) fn fails_once_more(&mut self, id: IncidentId) -> bool {
        let is_drill = self.state.incidents.get(&id).is_some_and(|incident| incident.is_drill);
        let Some(memory) = self.memory_of_mut(id).filter(|_| !is_drill) else { return false };
        memory.repeats = memory.repeats.saturating_add(1);
        memory.repeats == 1
    }

    pub(crate) fn record(&mut self, now: Now, id: IncidentId, kind: StepKind) {
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.record(now, kind);
            self.changed(now);
        }
    }

    /// Does everything that is due for an incident.
    pub(crate) fn reconcile(&mut self, now: Now, id: IncidentId) {
        if !self.has_started {
            return;
        }
        self.tell_what_waited(now, id);
        // What is told only goes through no rule, no gate and no ladder.
        if self.is_told_only(id) {
            self.follow_told_only(now, id);
            return;
        }
        self.take_turns(now, id);
        self.tell_what_is_foreseen(now, id);
    }

    fn take_turns(&mut self, now: Now, id: IncidentId) {
        for _ in 0..TURNS_MAX {
            let again = match self.state.remediations.contains_key(&id) {
                true => self.advance(now, id),
                false => self.advance_open(now, id),
            };
            if !again {
                return;
            }
        }
    }

    pub(crate) fn reconcile_target(&mut self, now: Now, target: &TargetId) {
        let open: Vec<_> = self.targets.get(target).map(|i| i.open.iter().copied().collect()).unwrap_or_default();
        open.into_iter().for_each(|id| self.reconcile(now, id));
    }

    /// Reconciles what needs a target: it may have waited for it.
    pub(crate) fn reconcile_dependents(&mut self, now: Now, target: &TargetId) {
        let parts = self.bundle.parts();
        let waiting: Vec<_> = self
            .state
            .incidents
            .values()
            .filter(|i| parts.targets.get(&i.target).is_some_and(|t| t.waits_on(target)))
            .map(|incident| incident.id)
            .collect();
        waiting.into_iter().for_each(|id| self.reconcile(now, id));
    }

    pub(crate) fn reconcile_all(&mut self, now: Now) {
        let all: Vec<_> = self.state.incidents.keys().copied().collect();
        all.into_iter().for_each(|id| self.reconcile(now, id));
    }

    /// An incident without a remediation: it may have recovered, wait, be decided on, or be with a person.
    fn advance_open(&mut self, now: Now, id: IncidentId) -> bool {
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        let Some(check) = self.check_index.get(&incident.check).and_then(|slot| self.checks.get(*slot)) else {
            return false;
        };
        let was_seen = check.last.is_some();
        // The incident is the target's: that the check which opened it is content again is not enough.
        if self.is_well(id) {
            let since =
                self.checks_to_verify(id).into_iter().filter_map(|check| check.hard_since).max_by_key(|at| at.mono);
            return self.recovering(now, id, since.unwrap_or(now));
        }
        if self.waits_for_its_turn(now, id) {
            return false;
        }
        self.tell_of_the_next_step(now, id);
        let is_failing = self.checks_of(id).into_iter().any(|check| check.hard == Health::Failing);
        let Some(incident) = self.state.incidents.get_mut(&id) else { return false };
        incident.healthy_since = None;
        // Neither well nor known to fail: the next looks will tell.
        if !is_failing {
            return false;
        }
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        // After a restart of the agent the host is observed before anything is decided.
        if !was_seen {
            return false;
        }
        if matches!(incident.phase, Phase::Escalated { .. }) && !is_forced {
            return self.try_again(now, id);
        }
        if incident.symptom_of.is_none() && !is_forced {
            self.link_to_cause(now, id);
        }
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        if let Some(cause) = incident.symptom_of {
            if !is_forced && self.is_seen_to(now, id, cause) {
                return false;
            }
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.symptom_of = None;
            }
        }
        self.come_first(now, id);
        match self.governed(now, id) {
            Governed::By(rule) => self.decide(now, id, &rule),
            Governed::NotNow(why) => {
                self.keep_decision(
                    now,
                    id,
                    Decision { at: now, proposal: why, choice: Choice::Defer, until: None, gates: Vec::new() },
                );
                false
            }
            Governed::Never => {
                self.escalate(now, id, "no rule heals this".into());
                false
            }
        }
    }

    fn recovering(&mut self, now: Now, id: IncidentId, since: Now) -> bool {
        let stable_for = self.policy_of(id).map_or(STABLE_DEFAULT, |policy| policy.stable_for);
        let Some(incident) = self.state.incidents.get_mut(&id) else { return false };
        incident.healthy_since.get_or_insert(since);
        let until = since.mono.plus(stable_for);
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
            return false;
        }
        let was_escalated = matches!(incident.phase, Phase::Escalated { .. });
        let was_told = self.state.told.contains(&(id, NoticeKind::Escalated));
        let resolution = if was_escalated { Resolution::AfterEscalation } else { Resolution::ByItself };
        let kind = if was_told { NoticeKind::Recovered } else { NoticeKind::Healed };
        self.end(now, id, resolution, kind);
        false
    }

    /// The rule for an incident: the first, by name, that covers its check and whose condition holds.
    pub(crate) fn governed(&self, now: Now, id: IncidentId) -> Governed {
        let Some(incident) = self.state.incidents.get(&id) else { return Governed::Never };
        let mut not_now = None;
        for rule in self.rules_for(incident) {
            let Some(condition) = &rule.condition else { return Governed::By(rule.id.clone()) };
            let Some(check) = self.check_index.get(&incident.check).map(|slot| &self.checks[*slot]) else { continue };
            match condition::holds(condition, self.scene(check, now)) {
                Some(true) => return Governed::By(rule.id.clone()),
                Some(false) => {
                    not_now.get_or_insert_with(|| format!("rule {}: `{}` does not hold", rule.id, condition.source));
                }
                None => {
                    not_now.get_or_insert_with(|| format!("rule {}: `{}` cannot be known", rule.id, condition.source));
                }
            }
        }
        not_now.map_or(Governed::Never, |why| Governed::NotNow(Text::new(why)))
    }

    pub(crate) fn rules_for<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Rule> {
        self.rules_of(&incident.target).filter(|rule| rule.checks.contains(&incident.check))
    }

    /// The policy of an incident: that of its remediation, or of its rule.
    pub(crate) fn policy_of(&self, id: IncidentId) -> Option<&Policy> {
        if let Some(remediation) = self.state.remediations.get(&id) {
            return Some(&remediation.policy);
        }
        let incident = self.state.incidents.get(&id)?;
        let rule = match &incident.rule {
            Some(rule) => self.bundle.parts().rules.get(rule),
            None => self.rules_for(incident).next(),
        }?;
        self.bundle.parts().policies.get(&rule.policy)
    }

    fn decide(&mut self, now: Now, id: IncidentId, rule: &RuleId) -> bool {
        let parts = self.bundle.parts();
        let Some(rule) = parts.rules.get(rule).cloned() else { return false };
        let Some((runbook, policy)) = parts.runbooks.get(&rule.runbook).zip(parts.policies.get(&rule.policy)) else {
            return false;
        };
        let (runbook, mut policy) = (runbook.clone(), policy.clone());
        // What a person has already is tried once.
        if self.is_tried_again(id) && self.state.answers.get(&id) != Some(&OperatorAnswer::Forced) {
            policy.attempts_max = 1;
        }
        let is_critical = parts.targets.get(&rule.target).is_some_and(|target| target.is_critical);
        let nearer = self.seen_in_steps(id).cloned();
        let Some(incident) = self.state.incidents.get_mut(&id) else { return false };
        // While it waited it may have come nearer.
        if let Some(nearer) = nearer {
            incident.observation = nearer;
        }
        let is_urgent = is_critical || incident.observation.is_last_step();
        let severity = if is_urgent { Severity::Now } else { rule.severity };
        // Whoever was told once is told how it goes on, whatever rule applies by then.
        incident.severity = if incident.rule.is_none() { severity } else { severity.max(incident.severity) };
        incident.rule = Some(rule.id.clone());
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        let disruption = Disruption::Full;
        let (engine, autonomy, moment) = (&*self, rule.autonomy, Moment::Start);
        let proposal = Proposal { now, engine, incident, policy: &policy, autonomy, disruption, moment };
        let what = Text::new(format!("run {}: {}", runbook.id, Self::next_step_of(&runbook, 0)));
        let decision = gate::evaluate(&proposal, what);
        let (choice, until) = (decision.choice, decision.until);
        let wants_approval = only_autonomy_defers(&decision);
        self.keep_decision(now, id, decision);
        if let Some(until) = until {
            self.wake(until.mono, Wake::Incident(id));
        }
        match choice {
            _ if runbook.rungs.is_empty() => {
                self.escalate(now, id, "nothing heals this by itself".into());
                false
            }
            // What is foreseen leaves the time to look first: a remedy would take the traces away.
            Choice::Act if self.is_foreseen_and_looked_into(now, id) => false,
            Choice::Act => {
                let remediation = self.remediation_for(id, runbook, policy);
                self.state.remediations.insert(id, remediation);
                self.set_phase(now, id, Phase::Remediating);
                true
            }
            Choice::Defer if wants_approval => self.await_approval(now, id, policy.approval_expires),
            Choice::Defer => false,
            Choice::Deny => {
                if rule.autonomy == Autonomy::Suggest {
                    self.tell(now, id, NoticeKind::Suggested);
                }
                false
            }
            Choice::Escalate => {
                let why = self.objection(id);
                self.escalate(now, id, why);
                false
            }
        }
    }

    fn await_approval(&mut self, now: Now, id: IncidentId, expires_after: Duration) -> bool {
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        match incident.phase {
            Phase::AwaitingApproval { expires } if expires.mono <= now.mono => {
                self.escalate(now, id, "nobody approved the proposal in time".into());
            }
            Phase::AwaitingApproval { expires } => self.wake(expires.mono, Wake::Incident(id)),
            Phase::Open
            | Phase::Remediating
            | Phase::Stabilizing { .. }
            | Phase::Resolved(_)
            | Phase::Escalated { .. } => {
                let expires = now.plus(expires_after);
                self.set_phase(now, id, Phase::AwaitingApproval { expires });
                self.wake(expires.mono, Wake::Incident(id));
                self.tell(now, id, NoticeKind::ApprovalWanted);
            }
        }
        false
    }

    pub(crate) fn set_phase(&mut self, now: Now, id: IncidentId, phase: Phase) {
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.phase = phase;
            self.changed(now);
        }
    }

    /// Keeps what the gates said; a step is recorded only when it says something else than before.
    pub(crate) fn keep_decision(&mut self, now: Now, id: IncidentId, decision: Decision) {
        let Some(incident) = self.state.incidents.get_mut(&id) else { return };
        let is_news = incident.decision.as_ref().is_none_or(|before| {
            let gates = |decision: &Decision| decision.objections().map(|objection| objection.gate).collect::<Vec<_>>();
            // Without gates the proposal says why nothing is decided.
            let is_other_reason = decision.gates.is_empty() && before.proposal != decision.proposal;
            before.choice != decision.choice || gates(before) != gates(&decision) || is_other_reason
        });
        let text = match decision.objections().next() {
            Some(objection) => Text::new(format!("{}: {}", objection.gate.as_str(), objection.why)),
            None => decision.proposal.clone(),
        };
        incident.decision = Some(decision);
        if is_news {
            self.record(now, id, StepKind::Decided(text));
        }
    }

    /// The words of the gates that denied, for an escalation.
    pub(crate) fn objection(&self, id: IncidentId) -> Text {
        let decision = self.state.incidents.get(&id).and_then(|incident| incident.decision.as_ref());
        // No gate was asked when no rule applies: the decision itself says why.
        if let Some(decision) = decision.filter(|decision| decision.gates.is_empty()) {
            return decision.proposal.clone();
        }
        let words: Vec<_> = decision
            .into_iter()
            .flat_map(Decision::objections)
            .map(|objection| format!("{}: {}", objection.gate.as_str(), objection.why))
            .collect();
        Text::new(words.join("; "))
    }

    /// Others may have waited: symptoms of it, dependents, or those that were too many at once.
    pub(crate) fn wake_waiting(&mut self, now: Now) {
        let stands = |id: &IncidentId| {
            self.state.remediations.get(id).is_none_or(|remediation| remediation.stage == Stage::Ready)
        };
        let waiting: Vec<_> = self.state.incidents.keys().filter(|id| stands(id)).copied().collect();
        waiting.into_iter().for_each(|id| self.wake(now.mono, Wake::Incident(id)));
    }

    /// Whether an incident waited when it was last asked about, because enough was under way, and enough still is. Of
    /// hundreds that wait all would otherwise ask all gates at the end of each action.
    fn waits_for_its_turn(&self, now: Now, id: IncidentId) -> bool {
        let decision = self.state.incidents.get(&id).and_then(|incident| incident.decision.as_ref());
        let waited = decision.is_some_and(|decision| {
            decision.choice == Choice::Defer && decision.objections().any(|said| said.gate == Gate::Concurrency)
        });
        waited && gate::concurrency::is_full(self, now, id)
    }

    /// Ends every incident of a target that somebody wants stopped.
    pub(crate) fn withdraw_target(&mut self, now: Now, target: &TargetId, why: &Text) {
        let open: Vec<_> = self.targets.get(target).map(|i| i.open.iter().copied().collect()).unwrap_or_default();
        for id in open {
            self.end(now, id, Resolution::Withdrawn { why: why.clone() }, NoticeKind::Healed);
        }
    }

    /// Ends the incidents whose check has left the configuration.
    pub(crate) fn withdraw_unknown_targets(&mut self, now: Now) {
        let gone: Vec<_> =
            self.state.incidents.values().filter(|i| !self.check_index.contains_key(&i.check)).map(|i| i.id).collect();
        for id in gone {
            let why = "its check is no longer configured".into();
            self.end(now, id, Resolution::Withdrawn { why }, NoticeKind::Healed);
        }
    }
}

/// Whether all that is missing is an operator's word.
fn only_autonomy_defers(decision: &Decision) -> bool {
    let mut objections = decision.objections().peekable();
    objections.peek().is_some() && objections.all(|objection| objection.gate == Gate::Autonomy)
}
