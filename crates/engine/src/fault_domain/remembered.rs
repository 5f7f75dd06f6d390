//! What is remembered of each fault domain: a leak that could not be healed opens the circuit breaker of the leak, and not that
//! of the service, which is healed all the same when it crashes. Budgets stay those of the whole target.

use ansai_model::{
    id::{IncidentId, RuleId, TargetId},
    incident::Incident,
};

use crate::{
    context::Context,
    state::{FAULT_DOMAINS_MAX, TargetMemory},
    view::View,
};

impl Context {
    /// What is remembered of an incident's fault domain, to be changed where something is remembered already.
    pub(crate) fn known_memory_of_mut(&mut self, id: IncidentId) -> Option<&mut TargetMemory> {
        let (target, fault_domain) = self.view().fault_domain_of(self.view().incident(id)?);
        let memory = self.state.targets.get_mut(&target)?;
        match fault_domain {
            Some(rule) => memory.fault_domains.get_mut(&rule),
            None => Some(memory),
        }
    }

    /// The same, begun when there is nothing yet; nothing when the incident is unknown.
    pub(crate) fn memory_of_mut(&mut self, id: IncidentId) -> Option<&mut TargetMemory> {
        let (target, fault_domain) = self.view().fault_domain_of(self.view().incident(id)?);
        let memory = self.state.targets.entry(target).or_default();
        let Some(rule) = fault_domain else { return Some(memory) };
        if memory.fault_domains.len() >= FAULT_DOMAINS_MAX && !memory.fault_domains.contains_key(&rule) {
            memory.fault_domains.pop_first();
        }
        Some(memory.fault_domains.entry(rule).or_default())
    }
}

impl<'a> View<'a> {
    /// What is remembered of an incident's fault domain, if anything is.
    pub(crate) fn memory_of(self, incident: &Incident) -> Option<&'a TargetMemory> {
        let (target, fault_domain) = self.fault_domain_of(incident);
        let memory = self.memory(&target)?;
        match fault_domain {
            Some(rule) => memory.fault_domains.get(&rule),
            None => Some(memory),
        }
    }

    /// The target of an incident, and the rule by which its fault domain is told from the target itself.
    fn fault_domain_of(self, incident: &Incident) -> (TargetId, Option<RuleId>) {
        let is_divided = self.checks.targets.get(&incident.target).is_some_and(|index| index.is_divided);
        if !is_divided || (self.own_check(&incident.target).is_some() && self.is_about_itself(incident)) {
            return (incident.target.clone(), None);
        }
        let rule = incident.rule.clone().or_else(|| self.rules_for(incident).next().map(|rule| rule.id.clone()));
        (incident.target.clone(), rule)
    }
}
