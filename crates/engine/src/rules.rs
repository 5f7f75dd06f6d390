//! Which rules are for a target and for an incident, which of them applies now, and under which policy.

use alloc::format;

use ansai_model::{
    id::TargetId,
    incident::Incident,
    policy::Policy,
    rule::{Autonomy, Rule},
    text::Text,
};

use crate::{condition, view::View};

/// What becomes of an incident for which a rule is sought.
pub(crate) enum Governed<'a> {
    By(&'a Rule),
    /// A rule covers it, but its condition does not hold or cannot be known.
    NotNow(Text),
    Never,
}

impl<'a> View<'a> {
    /// The rules of a target, in the order of their names.
    pub(crate) fn rules_of(self, target: &TargetId) -> impl Iterator<Item = &'a Rule> {
        let rules = self.checks.targets.get(target).into_iter().flat_map(|index| &index.rules);
        rules.filter_map(move |rule| self.bundle.parts().rules.get(rule))
    }

    /// The rules that cover the check of an incident.
    pub(crate) fn rules_for(self, incident: &Incident) -> impl Iterator<Item = &'a Rule> {
        self.rules_of(&incident.target).filter(|rule| rule.checks.contains(&incident.check))
    }

    /// The rule for an incident: the first, by name, that covers its check and whose condition holds.
    pub(crate) fn governed(self, incident: &Incident) -> Governed<'a> {
        let mut not_now = None;
        for rule in self.rules_for(incident) {
            let Some(condition) = &rule.condition else { return Governed::By(rule) };
            let Some(check) = self.checks.named(&incident.check) else { continue };
            match condition::holds(condition, self.scene(check)) {
                Some(true) => return Governed::By(rule),
                Some(false) => {
                    not_now.get_or_insert_with(|| {
                        format!("rule {} does not apply: `{}` does not hold", rule.id, condition.source)
                    });
                }
                None => {
                    not_now.get_or_insert_with(|| {
                        format!("rule {} does not apply: `{}` cannot be known", rule.id, condition.source)
                    });
                }
            }
        }
        not_now.map_or(Governed::Never, |why| Governed::NotNow(Text::new(why)))
    }

    /// Whether a rule has a remedy: of what none is declared for people are told, however freely it may act.
    pub(crate) fn has_remedy(self, rule: &Rule) -> bool {
        self.bundle.parts().runbooks.get(&rule.runbook).is_some_and(|runbook| !runbook.rungs.is_empty())
    }

    /// Whether an incident is only observed: nothing is done about it and nobody is told, however long it lasts.
    pub(crate) fn is_only_observed(self, incident: &Incident) -> bool {
        let is_observed = |rule: &Rule| rule.autonomy == Autonomy::Observe && self.has_remedy(rule);
        let is_asked_for = self.state.answers.contains_key(&incident.id);
        !is_asked_for
            && !incident.kind.is_notify_only()
            && !self.state.remediations.contains_key(&incident.id)
            && matches!(self.governed(incident), Governed::By(rule) if is_observed(rule))
    }

    /// The policy of an incident: that of its remediation, or of its rule.
    pub(crate) fn policy_of(self, incident: &Incident) -> Option<&'a Policy> {
        if let Some(remediation) = self.state.remediations.get(&incident.id) {
            return Some(&remediation.policy);
        }
        let rule = match &incident.rule {
            Some(rule) => self.bundle.parts().rules.get(rule),
            None => self.rules_for(incident).next(),
        }?;
        self.bundle.parts().policies.get(&rule.policy)
    }
}
