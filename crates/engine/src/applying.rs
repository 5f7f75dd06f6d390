//! A bundle comes into force: what it keeps of what was known, what is forgotten with it, and what a person has that is decided
//! anew since it has another remedy for that.

use alloc::{collections::BTreeMap, vec::Vec};

use ansai_model::{
    bundle::Bundle,
    id::{CheckId, IncidentId, TargetId, UnitName},
    incident::{Incident, IncidentKind, Phase, StepKind},
    observation::Health,
    probe::Probe,
    retry::Retrying,
    rule::{Autonomy, Rule},
    runbook::Runbook,
};

use crate::{
    check::CheckState,
    checks::TargetIndex,
    context::{Context, Wake},
    state::FORMER_TARGETS_MAX,
    view::View,
};

impl Context {
    /// Takes over a bundle; check states whose check is unchanged are kept.
    pub(crate) fn apply(&mut self, bundle: Bundle) {
        let before = self.view().remedies();
        let mut old: BTreeMap<CheckId, CheckState> =
            core::mem::take(&mut self.checks.states).into_iter().map(|state| (state.check.id.clone(), state)).collect();
        // Room for all at once: growing would leave as much again behind, and a map that grew in order is half empty.
        self.checks.states.reserve_exact(bundle.parts().checks.len());
        self.checks.slots = bundle.parts().checks.keys().cloned().zip(0..).collect();
        self.checks.targets = bundle.parts().targets.keys().map(|id| (id.clone(), TargetIndex::default())).collect();
        self.wakes.retain(|(_, wake)| matches!(wake, Wake::Incident(_)));
        let mut units: BTreeMap<UnitName, Vec<usize>> = BTreeMap::new();
        for (slot, (id, check)) in bundle.parts().checks.iter().enumerate() {
            let state = match old.remove(id) {
                Some(mut state) if state.check.probe == check.probe => {
                    state.check = check.clone();
                    state.rules = 0;
                    // What could be put back may be something else now, and its copy should not wait for the next one's time.
                    state.kept = None;
                    state
                }
                Some(_) | None => CheckState::new(check.clone(), self.now.mono),
            };
            // Only a unit's own check is woken by a hint about the unit: the other probes have their own pace.
            if let Probe::Unit { unit, .. } = &check.probe {
                units.entry(unit.clone()).or_default().push(slot);
            }
            self.wakes.insert((state.due, Wake::Check(slot)));
            self.checks.states.push(state);
            self.checks.targets.entry(check.target.clone()).or_default().checks.push(slot);
        }
        self.checks.units = units.into_iter().map(|(unit, slots)| (unit, slots.into_boxed_slice())).collect();
        self.checks.targets.values_mut().for_each(|index| index.checks.shrink_to_fit());
        let (generation, fingerprint) = (bundle.parts().generation, bundle.parts().fingerprint);
        let is_other = self.state.fingerprint != fingerprint;
        if (self.state.generation, self.state.fingerprint) != (generation, fingerprint) {
            // What begins with an older one than its state knows keeps the newer number, so that it is refused later.
            self.state.generation = self.state.generation.max(generation);
            self.state.fingerprint = fingerprint;
            self.changed();
        }
        self.bundle = bundle;
        self.divide_targets();
        self.forget_former_targets();
        self.forget_beyond_depth();
        let open = self.state.incidents.values();
        let open = open.map(|i| (i.id, i.target.clone(), i.check.clone(), i.failing_since, i.went()));
        for (id, target, check, since, went) in open.collect::<Vec<_>>() {
            self.checks.targets.entry(target).or_default().open.insert(id);
            if let Some(state) = self.checks.slot(&check).and_then(|slot| self.checks.states.get_mut(slot))
                && state.hard == Health::Unknown
                && !self.state.incidents.get(&id).is_some_and(|incident| incident.kind.is_notify_only())
            {
                state.resume_failing(since, went);
            }
            self.wake(self.now.mono, Wake::Incident(id));
        }
        // What was in force before the agent began is not known: there it is what is not to be tried again.
        match self.has_started {
            true => self.decide_anew(|incident, remedy| before.get(&incident.id) != Some(remedy)),
            false => self.decide_anew(|incident, _| is_other && incident.retry.is_none()),
        }
    }

    /// Decides anew on what a person has and has another remedy now: it waits for that more than for a time.
    fn decide_anew(&mut self, is_other: impl Fn(&Incident, &Runbook) -> bool) {
        let (view, remedies) = (self.view(), self.view().remedies());
        let remedies = remedies.iter().filter_map(|(id, remedy)| Some((view.incident(*id)?, remedy)));
        let others = remedies.filter(|(incident, remedy)| is_other(incident, remedy));
        for id in others.map(|(incident, _)| incident.id).collect::<Vec<_>>() {
            self.stop_watching(id);
            self.record(id, StepKind::TriedAgain { why: "the configuration has another remedy for it now".into() });
            self.change_incident(id, |incident| incident.retry = None);
            self.set_phase(id, Phase::Open);
        }
    }

    /// Instances come and go: of targets that are configured no more only the latest are remembered.
    fn forget_former_targets(&mut self) {
        let configured = &self.bundle.parts().targets;
        let former = self.state.targets.iter().filter(|(id, _)| !configured.contains_key(*id));
        let mut former: Vec<_> = former.map(|(id, memory)| (memory.last_event(), id.clone())).collect();
        let too_many = former.len().saturating_sub(FORMER_TARGETS_MAX);
        if too_many == 0 {
            return;
        }
        former.sort();
        for (_, id) in former.into_iter().take(too_many) {
            self.state.targets.remove(&id);
        }
        self.changed();
    }

    /// More checks than before leave less room for each.
    fn forget_beyond_depth(&mut self) {
        let depth = self.view().depth();
        let forgot = self.state.targets.values_mut().map(|memory| memory.forget_beyond(depth));
        if forgot.fold(false, |all, one| all | one) {
            self.changed();
        }
    }

    /// Notes the rules of each target, and of those that more than one rule divides which rules cover which checks; of the
    /// others, which are nearly all, nothing has to be asked.
    fn divide_targets(&mut self) {
        let mut rules: BTreeMap<&TargetId, Vec<&Rule>> = BTreeMap::new();
        for rule in self.bundle.parts().rules.values() {
            rules.entry(&rule.target).or_default().push(rule);
        }
        for (target, rules) in rules {
            let Some(index) = self.checks.targets.get_mut(target) else { continue };
            index.rules = rules.iter().map(|rule| rule.id.clone()).collect();
            if rules.len() < 2 {
                continue;
            }
            index.is_divided = true;
            for slot in &index.checks {
                let Some(state) = self.checks.states.get_mut(*slot) else { continue };
                let covers = |rule: &&Rule| rule.checks.contains(&state.check.id);
                // Beyond the last bit all rules are one: what is not told apart is healed together.
                let bits = rules.iter().enumerate().filter(|(_, rule)| covers(rule)).map(|(bit, _)| 1 << bit.min(63));
                state.rules = bits.fold(0, |all, bit: u64| all | bit);
            }
        }
    }
}

impl View<'_> {
    /// The remedies of what a person has, where one may be tried without asking anybody.
    fn remedies(self) -> BTreeMap<IncidentId, Runbook> {
        let left = |incident: &&Incident| {
            incident.kind == IncidentKind::Failure && matches!(incident.phase, Phase::Escalated { .. })
        };
        let left = self.state.incidents.values().filter(left);
        left.filter_map(|incident| Some((incident.id, self.remedy(incident)?.clone()))).collect()
    }

    fn remedy(&self, incident: &Incident) -> Option<&Runbook> {
        let parts = self.bundle.parts();
        let rule = self.rules_for(incident).find(|rule| rule.autonomy == Autonomy::Act)?;
        let (runbook, policy) = parts.runbooks.get(&rule.runbook).zip(parts.policies.get(&rule.policy))?;
        let is_notifier = parts.targets.get(&incident.target).is_some_and(|target| target.is_notifier);
        let is_tried = policy.retry != Retrying::Never && self.has_rung_for(&incident.target, runbook);
        (is_tried && !is_notifier).then_some(runbook)
    }
}
