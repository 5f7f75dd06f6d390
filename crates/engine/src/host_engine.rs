//! The engine itself: how an input goes through it, what may be read of it, and when it wants to be woken.
//! What it decides stands in the modules named after each stage.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use ansai_model::{
    action::Action,
    bundle::Bundle,
    fleet::Acknowledged,
    id::{CheckId, IncidentId, RunId, TargetId},
    operator::OperatorCommand,
    probe::Probe,
    report::Report,
    time::{MonoTime, Now},
};

use crate::{
    check::CheckState,
    checks::Checks,
    context::Context,
    effect::{Answer, Effect},
    explain::{Explanation, Standing},
    input::Input,
    operator::rehearsal::Rehearsal,
    state::State,
    view::{Outside, View},
};

/// Decides for one host. See the crate's page for its contract.
#[derive(Clone, Debug)]
pub struct HostEngine {
    pub(crate) context: Context,
}

impl HostEngine {
    /// An engine that continues from `state` under `bundle`. It decides nothing before [`Input::Started`].
    #[must_use]
    pub fn new(bundle: Bundle, mut state: State, now: Now) -> Self {
        state.settle_ends();
        let mut context = Context {
            now,
            bundle: Bundle::empty(bundle.parts().settings.clone()),
            state,
            checks: Checks::default(),
            outside: Outside::default(),
            wakes: BTreeSet::new(),
            effects: Vec::new(),
            gathering: BTreeMap::new(),
            watches: BTreeMap::new(),
            held_back: BTreeSet::new(),
            revision: 0,
            has_started: false,
        };
        context.apply(bundle);
        Self { context }
    }

    /// Takes one input in and says what is to be done.
    ///
    /// When [`HostEngine::revision`] has changed, the shell saves [`HostEngine::state`] before it begins an effect.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.context.now = now;
        self.context.take_in(input);
        if self.context.has_started {
            self.context.do_what_is_due();
            self.context.tend_permits();
        }
        core::mem::take(&mut self.context.effects)
    }

    /// What may be read of it, at this moment.
    #[must_use]
    pub fn view(&self, now: Now) -> View<'_> {
        self.context.view_at(now)
    }

    /// When the engine wants its next [`Input::Tick`], if ever.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.context.wakes.first().map(|(at, _)| *at)
    }

    /// The durable state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.context.state
    }

    /// Grows whenever the durable state has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.context.revision
    }

    /// The bundle in force.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.context.bundle
    }

    /// The check states, in the order of their names.
    pub fn check_states(&self) -> impl Iterator<Item = &CheckState> {
        let checks = &self.context.checks;
        checks.slots.values().filter_map(|slot| checks.states.get(*slot))
    }

    /// The probe of a check and its time-out, when the bundle has it, or an incident waits for what it sees.
    #[must_use]
    pub fn probe(&self, check: &CheckId) -> Option<(&Probe, Duration)> {
        let configured = self.bundle().parts().checks.get(check).map(|check| (&check.probe, check.timeout));
        configured.or_else(|| self.context.watch_probe(check))
    }

    /// Whether an open incident waits for what a check says next: it is about the check's target, or about one that waits on
    /// it. For every other a look that says what the last one said changes nothing.
    #[must_use]
    pub fn bears_on_incident(&self, check: &CheckId) -> bool {
        let Some(check) = self.bundle().parts().checks.get(check) else {
            // What no check looks at is looked at for an incident.
            return self.context.watch_probe(check).is_some();
        };
        let targets = &self.bundle().parts().targets;
        let waits = |target: &TargetId| targets.get(target).is_some_and(|target| target.waits_on(&check.target));
        self.state().incidents.values().any(|incident| incident.target == check.target || waits(&incident.target))
    }

    /// How a target stands; `None` when there is no such target.
    #[must_use]
    pub fn standing(&self, now: Now, target: &TargetId) -> Option<Standing> {
        self.view(now).standing(target)
    }

    /// Everything that bears on a target; `None` when there is no such target.
    #[must_use]
    pub fn explain(&self, now: Now, target: &TargetId) -> Option<Explanation> {
        self.view(now).explain(target)
    }

    /// The report on an open incident as it stands at `now`.
    #[must_use]
    pub fn report(&self, now: Now, id: IncidentId) -> Option<Report> {
        let view = self.view(now);
        Some(view.report(view.incident(id)?))
    }

    /// What the controller's operators have in force here, and what was begun before and goes on; none when nothing was ever
    /// said. The controller may be told once the ledger holds the state.
    #[must_use]
    pub fn acknowledged(&self, now: Now) -> Option<Acknowledged> {
        self.view(now).acknowledged()
    }

    /// Whether the host is in a fleet, as the engine was told.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.context.outside.permits.link.is_some()
    }

    /// From when on a run must not begin any more: the permit for it ends. None when it needs none.
    #[must_use]
    pub fn begins_before(&self, run: RunId) -> Option<MonoTime> {
        self.state().runs.get(&run)?.begins_before
    }

    /// What an operator's command would be answered now, and the action of its own that it would begin, which the host may
    /// refuse. It is tried on a copy, and nothing is begun.
    #[must_use]
    pub fn rehearse(&self, now: Now, command: OperatorCommand) -> (Answer, Option<Action>) {
        let mut copy = self.context.clone();
        copy.now = now;
        copy.rehearse(command)
    }

    /// What healing a target on request would do now; `None` when there is no such target. It is tried on a copy, and
    /// nothing is begun.
    #[must_use]
    pub fn rehearse_heal(&self, now: Now, target: &TargetId) -> Option<Rehearsal> {
        let mut copy = self.context.clone();
        copy.now = now;
        copy.rehearse_heal(target)
    }
}

impl Context {
    fn take_in(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Started => self.started(),
            Input::Hint(hint) => self.hinted(&hint),
            Input::Observed { check, observation } => self.observed(&check, observation),
            Input::ActionEnded { run, outcome } => self.action_ended(run, outcome),
            Input::NotStarted { run, why } => self.action_not_started(run, why),
            Input::Gathered { incident, request, evidence } => self.gathered(incident, request, evidence),
            Input::Dispatched { dispatch } => {
                if self.state.dispatches.remove(&dispatch).is_some() {
                    self.changed();
                }
            }
            Input::Operator { request, command } => self.operate(request, command),
            Input::Restraints(set) => self.restrain(*set),
            Input::Order { order, late } => self.order(&order, late),
            Input::StandBack { why, lasts } => self.stand_back(why, lasts),
            Input::LeftController => self.left_controller(),
            Input::Linked(standing) => self.linked(standing),
            Input::Permit(news) => self.hears_of_permits(news),
            Input::Apply(bundle) => {
                // Whoever sends bundles may be behind, as a controller that was restored from a backup is.
                if bundle.parts().generation >= self.state.generation {
                    self.apply(*bundle);
                    self.withdraw_unknown_targets();
                    self.reconcile_all();
                }
            }
            Input::Facts(facts) => {
                self.outside.facts = facts;
                // A rule whose condition did not hold may apply now.
                self.reconcile_all();
            }
            Input::HoldFile(hold) => {
                if self.outside.hold_file != hold {
                    self.outside.hold_file = hold;
                    self.reconcile_all();
                }
            }
            Input::Ledger(trouble) => {
                let changed = self.outside.ledger_trouble.is_some() != trouble.is_some();
                self.outside.ledger_trouble = trouble;
                if changed {
                    self.reconcile_all();
                }
                if changed && self.outside.ledger_trouble.is_none() {
                    self.acknowledge_again();
                }
            }
        }
    }

    fn do_what_is_due(&mut self) {
        self.run_due();
        if !self.gathering.is_empty() {
            self.ask_for_due_evidence();
        }
    }

    fn started(&mut self) {
        self.has_started = true;
        self.forgets_unused_permits();
        let dispatches: Vec<_> = self.state.dispatches.values().cloned().collect();
        self.effects.extend(dispatches.into_iter().map(|dispatch| Effect::Dispatch(Box::new(dispatch))));
        self.resume_evidence();
        self.resume();
    }
}
