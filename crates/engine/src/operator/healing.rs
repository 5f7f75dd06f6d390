//! `ansai heal`: what an operator's wish to have a target healed comes to at this moment, and whether it would be refused, which
//! whoever suggests it must know. What is done then is the remediation's.

use alloc::{format, string::String, vec::Vec};

use ansai_model::{
    action::Disruption,
    decision::{Choice, Decision},
    id::{IncidentId, TargetId},
    incident::{Incident, Phase, StepKind},
    observation::Health,
    runbook::Entry,
    text::Text,
};

use super::{done, refused, target_not_found};
use crate::{
    context::Context,
    effect::Answer,
    gate::{
        self,
        operator::{self, Restraint},
        proposal::{Proposal, ProposalKind},
    },
    incident::{NO_REMEDY, why_not_healed},
    remediation::{disruptive_in, next_step_of},
    rules::Governed,
    state::OperatorAnswer,
    view::View,
};

impl Context {
    pub(super) fn heal(&mut self, target: &TargetId, by: &Text) -> Answer {
        if let Some(id) = self.asks_for_permitted(target) {
            self.record(id, StepKind::Answered { text: Text::new(format!("healing asked for by {by}")) });
            return done(format!(
                "the controller is told that a person wants it; `ansai explain {target}` says whether it has permitted it"
            ));
        }
        let incident = match self.view().to_heal(target) {
            Ok(incident) => incident,
            Err(refusal) => return refusal,
        };
        let (id, before, retry) = (incident.id, incident.phase.clone(), incident.retry.clone());
        self.record(id, StepKind::Answered { text: Text::new(format!("healing asked for by {by}")) });
        if let Some(decision) = self.view().objections_to_healing(id) {
            return self.healing_is_refused(id, target, decision);
        }
        self.state.answers.insert(id, OperatorAnswer::Forced);
        self.trust_validator(target);
        self.set_phase(id, Phase::Open);
        self.reconcile(id);
        if self.state.remediations.contains_key(&id) {
            return done(format!("healing of {target} has begun; `ansai report {id}` says how it goes"));
        }
        // What was refused is not done later, when nobody expects it any more.
        self.state.answers.remove(&id);
        let why = self.state.incidents.get(&id).map_or_else(|| "it is over".into(), why_not_healed);
        // Whoever had it has it still, and when it is tried again is as it was promised.
        let was_handed_over = matches!(before, Phase::Escalated { .. });
        self.change_incident(id, |incident| {
            if incident.phase == Phase::Open || was_handed_over {
                (incident.phase, incident.retry) = (before, retry);
            }
        });
        self.changed();
        refused(why, format!("`ansai explain {target}` has every gate{}", self.view().by_hand(target)))
    }

    /// What the gates object to is not begun, and changes nothing of what was decided before.
    fn healing_is_refused(&mut self, id: IncidentId, target: &TargetId, decision: Decision) -> Answer {
        let has = if decision.gates.is_empty() { "says how it stands" } else { "has every gate" };
        self.keep_decision(id, decision);
        let why = self.state.incidents.get(&id).map_or_else(|| "it is over".into(), why_not_healed);
        refused(why, format!("`ansai explain {target}` {has}{}", self.view().by_hand(target)))
    }
}

impl<'a> View<'a> {
    /// How a person does it past all limits, where that is one command.
    fn by_hand(self, target: &TargetId) -> String {
        match self.unit_of(target).is_some() {
            true => format!("; by hand, without any limit: systemctl restart {}", target.name()),
            false => String::new(),
        }
    }

    /// What the gates say against healing an incident that a person asks for now, when they would not let it begin.
    fn objections_to_healing(self, id: IncidentId) -> Option<Decision> {
        let incident = self.incident(id).filter(|incident| !self.is_well(incident))?;
        let Governed::By(rule) = self.governed(incident) else { return None };
        let parts = self.bundle.parts();
        let (runbook, policy) = parts.runbooks.get(&rule.runbook).zip(parts.policies.get(&rule.policy))?;
        if runbook.rungs.is_empty() {
            return Some(Decision::without_gates(self.now, NO_REMEDY, Choice::Deny));
        }
        let (autonomy, disruption, kind) = (rule.autonomy, Disruption::Full, ProposalKind::Start);
        let proposal = Proposal { view: self, incident, policy, autonomy, disruption, kind, if_asked: Some(1) };
        let decision =
            gate::evaluate(&proposal, Text::new(format!("run {}: {}", runbook.id, next_step_of(runbook, 0))));
        (decision.choice != Choice::Act).then_some(decision)
    }

    /// The incident that healing a target on request would be about, when nothing is in the way before any gate is asked.
    fn to_heal(self, target: &TargetId) -> Result<&'a Incident, Answer> {
        if !self.checks.targets.contains_key(target) {
            return Err(target_not_found(target));
        }
        let (notify_only, open): (Vec<&Incident>, Vec<_>) =
            self.open_of(target).partition(|incident| incident.kind.is_notify_only());
        if let (Some(incident), true) = (notify_only.first(), open.is_empty()) {
            let (id, why) = (incident.id, incident.observation.summary());
            return Err(refused(
                format!("{target} is not known to be down, and nothing is done about what is not known: {why}"),
                format!("`ansai report {id}` says what is known; a service is started with systemctl"),
            ));
        }
        let is_healed = |incident: &&&Incident| self.state.remediations.contains_key(&incident.id);
        let Some(incident) = open.iter().find(|incident| !is_healed(incident)) else {
            return Err(match open.first().map(|incident| incident.id) {
                Some(id) => refused(
                    format!("{target} is being healed already ({id})"),
                    format!("`ansai report {id}` says how it goes"),
                ),
                None => refused(
                    format!("nothing is known to be wrong with {target}"),
                    format!("`ansai explain {target}` says what its checks see{}", self.by_hand(target)),
                ),
            });
        };
        match self.restrained(target) {
            Some(refusal) => Err(refusal),
            None => Ok(incident),
        }
    }

    /// The hold or the maintenance window by which somebody wants a target left alone.
    pub(super) fn restraint_on(self, target: &TargetId) -> Option<Restraint> {
        let window = || operator::maintenance_on(self, target).map(|(_, window)| window);
        operator::hold_on(self, target).or_else(window)
    }

    /// The refusal of whatever would be done to a target that somebody wants left alone.
    pub(super) fn restrained(self, target: &TargetId) -> Option<Answer> {
        let restraint = self.restraint_on(target)?;
        let why = format!("nothing is done to {target} now: {}", restraint.why);
        Some(refused(why, format!("{}; then it can be asked for again", restraint.instead)))
    }

    /// Whether `ansai heal` would begin something for a target now that may help: a rung of its ladder is for it, and no gate
    /// objects. It asks no more than that, so in doubt it says no.
    pub(crate) fn can_be_healed(self, target: &TargetId) -> bool {
        let Ok(incident) = self.to_heal(target) else { return false };
        let is_failing = self.checks_of(incident).into_iter().any(|check| check.hard == Health::Failing);
        let was_seen = self.checks.named(&incident.check).is_some_and(|check| check.last.is_some());
        if !is_failing || !was_seen || self.is_well(incident) || self.waits_for_its_turn(incident) {
            return false;
        }
        // A person may have made its unit file since the last look, and is not told to try it without having.
        if self.unit_of(target).is_some_and(|unit| !unit.has_file()) {
            return false;
        }
        let Governed::By(rule) = self.governed(incident) else { return false };
        let parts = self.bundle.parts();
        let Some((runbook, policy)) = parts.runbooks.get(&rule.runbook).zip(parts.policies.get(&rule.policy)) else {
            return false;
        };
        let mut rungs = runbook.rungs.iter().filter(|rung| rung.entry == Entry::InOrder);
        let Some(first) = rungs.find(|rung| self.objection_to_rung(incident, rung).is_none()) else { return false };
        let (autonomy, disruption, kind) = (rule.autonomy, Disruption::Full, ProposalKind::Start);
        let if_asked = Some(disruptive_in(first));
        let proposal = Proposal { view: self, incident, policy, autonomy, disruption, kind, if_asked };
        gate::evaluate(&proposal, "heal".into()).choice == Choice::Act
    }
}
