//! Symptoms: which open incident is the cause of another, how long that one is left to it, and what it is told of it; and
//! that what it needs is looked at before anything is decided.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::{Incident, Phase, Step, StepKind},
    rule::Autonomy,
    text::Text,
    time::Shown,
    unit::{Exit, UnitResult},
};

use crate::{
    check::CheckState,
    context::{Context, Wake},
    gate::operator,
    rules::Governed,
    view::View,
};

/// Signals with which others end a process: SIGHUP, SIGINT, SIGQUIT, SIGKILL and SIGTERM. What crashes may do so for what it
/// lacks.
const ENDING: &[i32] = &[1, 2, 3, 9, 15];
/// How long the looks at what a target needs may take before that is told as what it waits for.
const LOOKS_MAX: Duration = Duration::from_secs(1);
/// How long a symptom that no rule governs waits for its cause.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(300);

impl Context {
    /// Notes the open incident that is the likelier cause of this one when it opens, and once a check that the target
    /// waits for is found failing after it.
    pub(super) fn link_to_cause(&mut self, id: IncidentId) {
        let view = self.view();
        // What a drill has broken has its cause.
        let Some(incident) = view.incident(id).filter(|incident| !incident.is_drill) else { return };
        // So has what got a signal: nothing that it needs sends one.
        if view.was_killed(incident) {
            return;
        }
        let needed = if incident.opened == self.now { view.needed_that_failed(incident) } else { None };
        let Some(primary) = needed.or_else(|| view.awaited_that_failed(&incident.target)) else { return };
        let cause = primary.id;
        // It was left to it once, for as long as there was patience.
        let is_this = |step: &Step| matches!(step.kind, StepKind::Cause { incident, .. } if incident == cause);
        if incident.steps.iter().any(is_this) {
            return;
        }
        let what = Text::new(alloc::format!("{}: {}", primary.target, primary.observation.summary()));
        self.change_incident(id, |incident| incident.symptom_of = Some(cause));
        self.record(id, StepKind::Cause { incident: cause, what });
    }

    /// Whether a symptom is left to its cause: a person knows of that, or there is still time for it to be healed.
    pub(super) fn is_handled_by_cause(&mut self, id: IncidentId, cause: IncidentId) -> bool {
        let view = self.view();
        let (Some(primary), Some(incident)) = (view.incident(cause), view.incident(id)) else { return false };
        let target = self.bundle.parts().targets.get(&incident.target);
        let is_needed = target.is_some_and(|target| target.needs.contains(&primary.target));
        match primary.phase {
            // Nobody heals it and nobody is told of it: whoever is told of the symptom hears of both.
            _ if view.is_only_observed(primary) => return false,
            Phase::Escalated { .. } if is_needed => return true,
            // It does not come back by itself: neither when there is room again, nor when it is down itself.
            Phase::Stabilizing { .. } if !is_needed || view.is_down(incident) => return false,
            Phase::Escalated { .. } | Phase::Stabilizing { .. } | Phase::Open | Phase::AwaitingApproval { .. } => {}
            Phase::Remediating | Phase::Resolved(_) => {}
        }
        let patience = view.policy_of(incident).map_or(PATIENCE_DEFAULT, |policy| policy.dependency_wait);
        let until = incident.opened.mono.plus(patience);
        if self.now.mono < until {
            self.wake(until, Wake::Incident(id));
            return true;
        }
        false
    }

    /// Whether what a target needs is being looked at, which takes no time to speak of: nothing is decided before that, and
    /// nobody is told of it. What takes longer is a reason of its own.
    pub(super) fn waits_for_looks(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let until = incident.opened.mono.plus(LOOKS_MAX);
        let waits = self.now.mono < until && incident.steps.is_empty() && view.is_looked_for_needs(incident);
        if waits {
            self.wake(until, Wake::Incident(id));
        }
        waits
    }

    /// Notes in the symptoms of an incident what happened in it, so that one report tells both in their order.
    pub(crate) fn tell_symptoms(&mut self, cause: IncidentId, what: &Text) {
        let symptoms = self.state.incidents.values().filter(|incident| incident.symptom_of == Some(cause));
        for id in symptoms.map(|incident| incident.id).collect::<alloc::vec::Vec<_>>() {
            self.record(id, StepKind::Cause { incident: cause, what: what.clone() });
        }
    }
}

impl<'a> View<'a> {
    /// Whether the unit of an incident is down since somebody ended it by a signal, or the kernel did for lack of memory.
    fn was_killed(self, incident: &Incident) -> bool {
        let unit = self.unit_of(&incident.target).filter(|unit| unit.active.is_down());
        unit.is_some_and(|unit| match (unit.result, unit.exit) {
            (UnitResult::OomKill, _) => true,
            (UnitResult::Signal, Some(Exit::Signal(signal))) => ENDING.contains(&signal),
            _ => false,
        })
    }

    /// Whether what the target of an incident needs, or waits for, has not been looked at since it opened, and is being.
    fn is_looked_for_needs(self, incident: &Incident) -> bool {
        let Some(target) = self.bundle.parts().targets.get(&incident.target) else { return false };
        let is_asked = |check: &CheckState| {
            check.in_flight.is_some() && check.looked_at.is_none_or(|at| at < incident.opened.mono)
        };
        let mut needs = target.needs.iter().flat_map(|need| self.checks_of_itself(need));
        let mut causes = target.waits_for.iter().filter_map(|cause| self.checks.named(cause));
        needs.any(is_asked) || causes.any(is_asked)
    }

    /// Why nothing heals an incident without a person at this moment, when nothing does.
    pub(crate) fn with_a_person(self, incident: &Incident) -> Option<Text> {
        let held = || operator::hold_on(self, &incident.target).map(|hold| hold.why);
        let kept = || operator::maintenance_on(self, &incident.target).map(|(_, window)| window.why);
        match &incident.phase {
            Phase::Escalated { .. } if incident.healthy_since.is_some() => None,
            Phase::Escalated { why } => Some(Text::new(format!("a person must see to it: {why}"))),
            Phase::AwaitingApproval { .. } => Some(Text::new(format!("it waits for `ansai approve {}`", incident.id))),
            Phase::Remediating | Phase::Stabilizing { .. } | Phase::Resolved(_) => held().or_else(kept),
            Phase::Open => held().or_else(kept).or_else(|| match self.governed(incident) {
                _ if self.state.answers.contains_key(&incident.id) => None,
                Governed::By(rule) if matches!(rule.autonomy, Autonomy::Observe | Autonomy::Suggest) => {
                    Some(Text::new(format!("ansai does nothing about it (autonomy: {})", rule.autonomy.as_str())))
                }
                Governed::By(_) | Governed::NotNow(_) => None,
                Governed::Never => Some("no rule heals it".into()),
            }),
        }
    }

    /// Why nothing heals what fails of a target that another needs, when nothing does without a person.
    pub(crate) fn need_is_with_a_person(self, need: &TargetId) -> Option<Text> {
        let open = self.open_of(need).filter(|open| !open.kind.is_notify_only() && self.is_about_itself(open));
        let why = open.into_iter().find_map(|open| self.with_a_person(open));
        why.or_else(|| operator::hold_on(self, need).map(|hold| hold.why))
    }

    /// In words, for what an incident waits that is taken for a symptom.
    pub(crate) fn waits_for_its_cause(self, incident: &Incident) -> Option<Text> {
        let cause = self.incident(incident.symptom_of?)?;
        let (id, target) = (cause.id, &cause.target);
        let Some(why) = self.with_a_person(cause) else {
            return Some(Text::new(format!("it is taken for a symptom of {id}, which is healed first")));
        };
        let needs = self.bundle.parts().targets.get(&incident.target).is_some_and(|of| of.needs.contains(target));
        let patience = self.policy_of(incident).map_or(PATIENCE_DEFAULT, |policy| policy.dependency_wait);
        let left = Shown(incident.opened.mono.plus(patience).since(self.now.mono));
        let then = match needs {
            true => "nothing is done about this one before that is well".into(),
            false => format!("this one is seen to all the same in {left}"),
        };
        Some(Text::new(format!("it is taken for a symptom of {id} ({target}), with which a person is: {why}; {then}")))
    }

    /// The open incident of a target that the one of this incident needs.
    fn needed_that_failed(self, incident: &Incident) -> Option<&'a Incident> {
        let needs = &self.bundle.parts().targets.get(&incident.target)?.needs;
        // That it leaks, as long as it runs, is no reason for another to be down.
        let is_cause =
            |cause: &&Incident| is_primary(cause) && self.is_about_itself(cause) && self.explains(cause, incident);
        needs.iter().find_map(|need| self.open_of(need).find(is_cause))
    }

    /// Whether the failure of what it needs may be why an incident has opened: not when that was seen well again before the
    /// target itself went down. One that only answers wrongly, as without its connections, may still suffer from it, unless
    /// it has been found well since by more than the look that came just then.
    fn explains(self, cause: &Incident, incident: &Incident) -> bool {
        let (true, Some(mended)) = (matches!(cause.phase, Phase::Stabilizing { .. }), cause.healthy_since) else {
            return true;
        };
        if self.is_down(incident) {
            return incident.failing_since.mono < mended.mono;
        }
        let Some(check) = self.checks.named(&incident.check) else { return true };
        check.well_at.is_none_or(|well| well < mended.mono.plus(check.check.every))
    }

    /// The open incident of a check that this target waits for and that fails now.
    fn awaited_that_failed(self, target: &TargetId) -> Option<&'a Incident> {
        let causes = &self.bundle.parts().targets.get(target)?.waits_for;
        let failing = causes.iter().filter(|check| self.is_failing(check));
        failing
            .filter_map(|check| self.open_on(&TargetId::new(check.target()).ok()?, check))
            .find(|incident| is_primary(incident))
    }
}

fn is_primary(incident: &Incident) -> bool {
    incident.symptom_of.is_none() && !incident.kind.is_notify_only()
}
