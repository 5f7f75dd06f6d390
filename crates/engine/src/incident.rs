//! Incidents: when one opens, whose symptom it is, which rule applies, and how it ends.

use alloc::{format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    decision::{Choice, Decision, Gate},
    id::{IncidentId, TargetId},
    incident::{Incident, IncidentKind, Phase, Resolution, StepKind},
    notify::NoticeKind,
    observation::{Health, Observation},
    rule::{Autonomy, Rule, Severity},
    text::Text,
    time::Now,
};

use self::{again::is_tried_again, began::Began};
use crate::{
    context::{Context, Wake},
    gate::{
        self, concurrency,
        proposal::{Proposal, ProposalKind},
    },
    remediation::{Stage, next_step_of},
    rules::Governed,
    state::{INCIDENTS_MAX, OperatorAnswer},
    view::View,
};

pub(crate) mod again;
mod began;
pub(crate) mod drilled;
mod ending;
mod notify_only;
mod started;
mod symptom;

/// Most turns of one reconciliation: a ladder has at most 32 rungs, and each turn makes progress on it.
const TURNS_MAX: usize = 256;
/// Why nothing is proposed about what is only told.
pub(crate) const NO_REMEDY: &str = "no remedy is declared for it";
/// How long an incident that no rule governs must be well until it is resolved.
pub(crate) const STABLE_DEFAULT: Duration = Duration::from_secs(30);

impl Context {
    /// Opens an incident for a hard failing check, unless one is open.
    pub(crate) fn open_incident(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let target = check.check.target.clone();
        let Some((_, observation)) = check.last.clone() else { return };
        if observation.health() != Health::Failing {
            return;
        }
        let began = self.view().began(slot);
        let Some(number) = self.begin_incident(slot, IncidentKind::Failure, observation, began) else {
            return;
        };
        self.count_repeat(number);
        self.join_storm(number);
        self.begin_evidence(number);
        self.yield_to(&target, number);
        self.link_to_cause(number);
        // Since when nothing of it runs its unit's own look knows: it is asked before a remedy changes that.
        if let Some(own) = self.view().own_slot(&target).filter(|own| *own != slot) {
            self.look(own);
        }
        let Some(target) = self.bundle.parts().targets.get(&target) else { return };
        let (needs, causes) = (target.needs.clone(), target.waits_for.clone());
        for need in needs {
            self.look_at_target(&need);
        }
        for slot in causes.iter().filter_map(|check| self.checks.slot(check)).collect::<Vec<_>>() {
            self.look(slot);
        }
    }

    /// Makes an incident of a check, unless one covers it or there are too many.
    fn begin_incident(
        &mut self,
        slot: usize,
        kind: IncidentKind,
        observation: Observation,
        began: Began,
    ) -> Option<IncidentId> {
        let check = &self.checks[slot].check;
        let (id, target) = (check.id.clone(), check.target.clone());
        // One failure of a target is one incident: its other checks are covered by it, and asked when it is verified.
        if self.view().open_on(&target, &id).is_some() || self.state.incidents.len() >= INCIDENTS_MAX {
            return None;
        }
        self.state.incidents_counted += 1;
        let number = IncidentId(self.state.incidents_counted);
        let is_critical = self.bundle.parts().targets.get(&target).is_some_and(|target| target.is_critical);
        let drill = self.view().drill_behind(slot);
        let incident = Incident {
            id: number,
            kind,
            target: target.clone(),
            check: id,
            rule: None,
            severity: if is_critical { Severity::Now } else { Severity::Day },
            failing_since: began.at,
            since_by: began.by,
            relapse: None,
            opened: self.now,
            well_until: began.well_until,
            well_run: self.view().well_run(&target, kind, began.at),
            observation,
            seen_anew: None,
            first_cause: None,
            otherwise_since: None,
            symptom_of: None,
            is_drill: drill.is_some(),
            drill: drill.flatten(),
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
        self.checks.targets.entry(target).or_default().open.insert(number);
        self.changed();
        Some(number)
    }

    /// Counts that a target fails again soon after it was healed; what has been well for long begins anew.
    fn count_repeat(&mut self, id: IncidentId) {
        let (view, now) = (self.view(), self.now);
        let Some(incident) = view.incident(id) else { return };
        let (reset_after, is_drill) =
            (view.policy_of(incident).map(|policy| policy.backoff.reset_after), incident.is_drill);
        let Some(memory) = self.known_memory_of_mut(id) else { return };
        // A drill does not interrupt a time of being well, nor begin one.
        let well_since = if is_drill { memory.well_since } else { memory.well_since.take() };
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

    pub(crate) fn record(&mut self, id: IncidentId, kind: StepKind) {
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.record(self.now, kind);
            self.changed();
        }
    }

    /// Does everything that is due for an incident.
    pub(crate) fn reconcile(&mut self, id: IncidentId) {
        if !self.has_started {
            return;
        }
        self.tell_what_waited(id);
        // What is told only goes through no rule, no gate and no ladder.
        if self.state.incidents.get(&id).is_some_and(|incident| incident.kind.is_notify_only()) {
            self.follow_notify_only(id);
            return;
        }
        self.note_start_by_others(id);
        self.fails_otherwise(id);
        self.take_turns(id);
        self.tell_what_is_foreseen(id);
    }

    fn take_turns(&mut self, id: IncidentId) {
        for _ in 0..TURNS_MAX {
            let again = match self.state.remediations.contains_key(&id) {
                true => self.advance(id),
                false => self.advance_open(id),
            };
            if !again {
                return;
            }
        }
    }

    pub(crate) fn reconcile_target(&mut self, target: &TargetId) {
        let open: Vec<_> = self.checks.open_of(target).collect();
        open.into_iter().for_each(|id| self.reconcile(id));
    }

    /// Reconciles what needs a target: it may have waited for it.
    pub(crate) fn reconcile_dependents(&mut self, target: &TargetId) {
        let parts = self.bundle.parts();
        let waiting: Vec<_> = self
            .state
            .incidents
            .values()
            .filter(|i| parts.targets.get(&i.target).is_some_and(|t| t.waits_on(target)))
            .map(|incident| incident.id)
            .collect();
        waiting.into_iter().for_each(|id| self.reconcile(id));
    }

    pub(crate) fn reconcile_all(&mut self) {
        let all: Vec<_> = self.state.incidents.keys().copied().collect();
        all.into_iter().for_each(|id| self.reconcile(id));
    }

    /// An incident without a remediation: it may have recovered, wait, be decided on, or be with a person.
    fn advance_open(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let Some(check) = self.checks.named(&incident.check) else { return false };
        let was_seen = check.last.is_some();
        self.note_well(id);
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        // The incident is the target's: that the check which opened it is content again is not enough.
        if view.is_well(incident) {
            let since = view.checks_to_verify(incident).into_iter().filter_map(|check| check.hard_since);
            let since = since.max_by_key(|at| at.mono).unwrap_or(self.now);
            let stable_for = view.policy_of(incident).map_or(STABLE_DEFAULT, |policy| policy.stable_for);
            let was_escalated = matches!(incident.phase, Phase::Escalated { .. });
            return self.recovering(id, since, stable_for, was_escalated);
        }
        if view.waits_for_its_turn(incident) {
            return false;
        }
        let is_failing = view.checks_of(incident).into_iter().any(|check| check.hard == Health::Failing);
        let (is_escalated, is_symptom) =
            (matches!(incident.phase, Phase::Escalated { .. }), incident.symptom_of.is_some());
        self.tell_of_the_next_step(id);
        // That nobody can see it ends no time of being well, and neither does a restart of the agent.
        if is_failing && was_seen {
            self.fails_once_more_by_itself(id);
        }
        // Neither well nor known to fail: the next looks will tell. And after a restart of the agent the host is observed
        // before anything is decided.
        if !is_failing || !was_seen {
            return false;
        }
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        if is_escalated && !is_forced {
            return self.try_again(id);
        }
        if !is_symptom && !is_forced {
            self.link_to_cause(id);
        }
        if self.is_left_to_its_cause(id, is_forced) {
            return false;
        }
        if !is_forced && self.waits_for_looks(id) {
            return false;
        }
        self.prioritize(id);
        let view = self.view();
        let governed = view.incident(id).map_or(Governed::Never, |incident| view.governed(incident));
        match governed {
            Governed::By(rule) => {
                let rule = rule.clone();
                self.decide(id, &rule)
            }
            Governed::NotNow(why) => {
                self.keep_decision(id, Decision::without_gates(self.now, why, Choice::Defer));
                false
            }
            Governed::Never => {
                self.escalate(id, "no rule heals this".into());
                false
            }
        }
    }

    /// Whether an incident is a symptom that waits for its cause; one that waits no longer is none.
    fn is_left_to_its_cause(&mut self, id: IncidentId, is_forced: bool) -> bool {
        let Some(cause) = self.state.incidents.get(&id).and_then(|incident| incident.symptom_of) else { return false };
        if !is_forced && self.is_handled_by_cause(id, cause) {
            return true;
        }
        self.change_incident(id, |incident| incident.symptom_of = None);
        false
    }

    fn recovering(&mut self, id: IncidentId, since: Now, stable_for: Duration, was_escalated: bool) -> bool {
        let died = self.view().incident(id).and_then(|incident| self.view().died_since_well(incident));
        let until = died.map_or(since.mono.plus(stable_for), |(_, until)| until.max(since.mono.plus(stable_for)));
        if self.now.mono < until {
            self.wake(until, Wake::Incident(id));
            return false;
        }
        let was_notified = self.state.notified.contains(&(id, NoticeKind::Escalated));
        let by = if was_escalated { Resolution::AfterEscalation } else { Resolution::ByItself };
        let resolution = self.view().unless_started_by_others(id, by);
        let kind = if was_notified { NoticeKind::Recovered } else { NoticeKind::Healed };
        self.end(id, resolution, kind);
        false
    }

    fn decide(&mut self, id: IncidentId, rule: &Rule) -> bool {
        let parts = self.bundle.parts();
        let Some((runbook, policy)) = parts.runbooks.get(&rule.runbook).zip(parts.policies.get(&rule.policy)) else {
            return false;
        };
        let (runbook, mut policy) = (runbook.clone(), policy.clone());
        let is_critical = parts.targets.get(&rule.target).is_some_and(|target| target.is_critical);
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        // What a person has already is tried once.
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        if is_tried_again(incident) && !is_forced {
            policy.attempts_max = 1;
        }
        let nearer = self.view().seen_in_steps(incident).cloned();
        self.change_incident(id, |incident| govern(incident, rule, nearer, is_critical));
        if runbook.rungs.is_empty() {
            // No gate is asked about nothing.
            self.keep_decision(id, Decision::without_gates(self.now, NO_REMEDY, Choice::Deny));
            self.escalate(id, "nothing heals this by itself".into());
            return false;
        }
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let (disruption, autonomy, kind) = (Disruption::Full, rule.autonomy, ProposalKind::Start);
        let proposal = Proposal { view, incident, policy: &policy, autonomy, disruption, kind, if_asked: None };
        let what = Text::new(format!("run {}: {}", runbook.id, next_step_of(&runbook, 0)));
        let decision = gate::evaluate(&proposal, what);
        let (choice, until) = (decision.choice, decision.until);
        let wants_approval = gate::only_autonomy_defers(&decision);
        self.keep_decision(id, decision);
        if let Some(until) = until {
            self.wake(until.mono, Wake::Incident(id));
        }
        match choice {
            // What is foreseen leaves the time to look first: a remedy would take the traces away.
            Choice::Act if !is_forced && self.is_foreseen_and_looked_into(id) => false,
            Choice::Act => {
                let remediation = self.remediation_for(id, runbook, policy);
                self.state.remediations.insert(id, remediation);
                self.set_phase(id, Phase::Remediating);
                true
            }
            Choice::Defer if wants_approval => self.await_approval(id, policy.approval_expires),
            Choice::Defer => false,
            Choice::Deny => {
                if rule.autonomy == Autonomy::Suggest {
                    self.tell(id, NoticeKind::Suggested);
                }
                false
            }
            Choice::Escalate => {
                self.escalate_as_denied(id);
                false
            }
        }
    }

    /// Hands an incident over in the words of the gates that denied.
    pub(crate) fn escalate_as_denied(&mut self, id: IncidentId) {
        let why = self.state.incidents.get(&id).map_or_else(|| "".into(), objection);
        self.escalate(id, why);
    }

    fn await_approval(&mut self, id: IncidentId, expires_after: Duration) -> bool {
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        match incident.phase {
            Phase::AwaitingApproval { expires } if expires.mono <= self.now.mono => {
                self.escalate(id, "nobody approved the proposal in time".into());
            }
            Phase::AwaitingApproval { expires } => self.wake(expires.mono, Wake::Incident(id)),
            Phase::Open
            | Phase::Remediating
            | Phase::Stabilizing { .. }
            | Phase::Resolved(_)
            | Phase::Escalated { .. } => {
                let expires = self.now.plus(expires_after);
                self.set_phase(id, Phase::AwaitingApproval { expires });
                self.wake(expires.mono, Wake::Incident(id));
                self.tell(id, NoticeKind::ApprovalWanted);
            }
        }
        false
    }

    /// Changes an open incident; what nobody would miss after a restart is not marked as changed.
    pub(crate) fn change_incident(&mut self, id: IncidentId, change: impl FnOnce(&mut Incident)) {
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            change(incident);
        }
    }

    pub(crate) fn set_phase(&mut self, id: IncidentId, phase: Phase) {
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.phase = phase;
            self.changed();
        }
    }

    /// Keeps what the gates said; a step is recorded only when it says something else than before.
    pub(crate) fn keep_decision(&mut self, id: IncidentId, decision: Decision) {
        self.heeds_permit(id, &decision);
        let Some(incident) = self.state.incidents.get_mut(&id) else { return };
        let is_news = incident.decision.as_ref().is_none_or(|before| {
            let gates = |decision: &Decision| decision.objections().map(|objection| objection.gate).collect::<Vec<_>>();
            // Without gates the proposal says why nothing is decided.
            let is_other_reason = decision.gates.is_empty() && before.proposal != decision.proposal;
            before.choice != decision.choice || gates(before) != gates(&decision) || is_other_reason
        });
        let text = match decision.objections().next() {
            Some(objection) => Text::new(format!("nothing is done: {}", objection.why)),
            None => decision.proposal.clone(),
        };
        incident.decision = Some(decision);
        if is_news {
            self.record(id, StepKind::Decided(text));
        }
    }

    /// Others may have waited: symptoms of it, dependents, or those that were too many at once.
    pub(crate) fn wake_waiting(&mut self) {
        let stands = |id: &IncidentId| {
            self.state.remediations.get(id).is_none_or(|remediation| remediation.stage == Stage::Ready)
        };
        let waiting: Vec<_> = self.state.incidents.keys().filter(|id| stands(id)).copied().collect();
        waiting.into_iter().for_each(|id| self.wake(self.now.mono, Wake::Incident(id)));
    }

    /// Ends every incident of a target that somebody wants stopped.
    pub(crate) fn withdraw_target(&mut self, target: &TargetId, why: &Text) {
        let open: Vec<_> = self.checks.open_of(target).collect();
        for id in open {
            self.end(id, Resolution::Withdrawn { why: why.clone() }, NoticeKind::Healed);
        }
    }

    /// Ends the incidents whose check has left the configuration.
    pub(crate) fn withdraw_unknown_targets(&mut self) {
        let gone: Vec<_> = self.state.incidents.values().filter(|i| !self.checks.has(&i.check)).map(|i| i.id).collect();
        for id in gone {
            let why = "its check is no longer configured".into();
            self.end(id, Resolution::Withdrawn { why }, NoticeKind::Healed);
        }
    }
}

impl View<'_> {
    /// Whether an incident waited when it was last asked about, because enough was under way, and enough still is. Of
    /// hundreds that wait all would otherwise ask all gates at the end of each action.
    pub(crate) fn waits_for_its_turn(self, incident: &Incident) -> bool {
        let waited = incident.decision.as_ref().is_some_and(|decision| {
            decision.choice == Choice::Defer && decision.objections().any(|said| said.gate == Gate::Concurrency)
        });
        waited && concurrency::is_full(self, incident)
    }
}

/// Takes a rule over into an incident, with how bad it is by now.
fn govern(incident: &mut Incident, rule: &Rule, nearer: Option<Observation>, is_critical: bool) {
    // While it waited it may have come nearer.
    if let Some(nearer) = nearer {
        incident.observation = nearer;
    }
    let is_urgent = is_critical || incident.observation.is_last_step();
    let severity = if is_urgent { Severity::Now } else { rule.severity };
    // Whoever was told once is told how it goes on, whatever rule applies by then.
    incident.severity = if incident.rule.is_none() { severity } else { severity.max(incident.severity) };
    incident.rule = Some(rule.id.clone());
}

/// Why an incident is not being healed although somebody asked for it: never without words.
pub(crate) fn why_not_healed(incident: &Incident) -> Text {
    let said = objection(incident);
    match (&incident.phase, said.as_str().is_empty()) {
        (Phase::Escalated { why }, true) => why.clone(),
        (_, true) => "it is not known at this moment whether it fails".into(),
        (_, false) => said,
    }
}

/// The words of the gates that denied, for an escalation.
pub(crate) fn objection(incident: &Incident) -> Text {
    let decision = incident.decision.as_ref();
    // No gate was asked when no rule applies: the decision itself says why.
    if let Some(decision) = decision.filter(|decision| decision.gates.is_empty()) {
        return decision.proposal.clone();
    }
    let words: Vec<_> =
        decision.into_iter().flat_map(Decision::objections).map(|objection| objection.why.as_str()).collect();
    Text::new(words.join("; "))
}
