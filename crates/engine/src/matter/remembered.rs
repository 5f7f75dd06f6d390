//! What is remembered of each matter: a leak that could not be healed opens the circuit breaker of the leak, and not that
//! of the service, which is healed all the same when it crashes. Budgets stay those of the whole target.

use ansai_model::{
    id::{IncidentId, RuleId, TargetId},
    incident::Incident,
};

use crate::{
    context::Context,
    state::{MATTERS_MAX, TargetMemory},
    view::View,
};

impl Context {
    /// What is remembered of an incident's matter, to be changed where something is remembered already.
    pub(crate) fn known_memory_of_mut(&mut self, id: IncidentId) -> Option<&mut TargetMemory> {
        let (target, matter) = self.view().matter_of(self.view().incident(id)?);
        let memory = self.state.targets.get_mut(&target)?;
        match matter {
            Some(rule) => memory.matters.get_mut(&rule),
            None => Some(memory),
        }
    }

    /// The same, begun when there is nothing yet; nothing when the incident is unknown.
    pub(crate) fn memory_of_mut(&mut self, id: IncidentId) -> Option<&mut TargetMemory> {
        let (target, matter) = self.view().matter_of(self.view().incident(id)?);
        let memory = self.state.targets.entry(target).or_default();
        let Some(rule) = matter else { return Some(memory) };
        if memory.matters.len() >= MATTERS_MAX && !memory.matters.contains_key(&rule) {
            memory.matters.pop_first();
        }
        Some(memory.matters.entry(rule).or_default())
    }
}

impl<'a> View<'a> {
    /// What is remembered of an incident's matter, if anything is.
    pub(crate) fn memory_of(self, incident: &Incident) -> Option<&'a TargetMemory> {
        let (target, matter) = self.matter_of(incident);
        let memory = self.memory(&target)?;
        match matter {
            Some(rule) => memory.matters.get(&rule),
            None => Some(memory),
        }
    }

    /// The target of an incident, and the rule by which its matter is told from the target itself.
    fn matter_of(self, incident: &Incident) -> (TargetId, Option<RuleId>) {
        let is_divided = self.checks.targets.get(&incident.target).is_some_and(|index| index.is_divided);
        if !is_divided || (self.own_check(&incident.target).is_some() && self.is_about_itself(incident)) {
            return (incident.target.clone(), None);
        }
        let rule = incident.rule.clone().or_else(|| self.rules_for(incident).next().map(|rule| rule.id.clone()));
        (incident.target.clone(), rule)
    }
}
