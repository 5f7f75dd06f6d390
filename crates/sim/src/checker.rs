//! What must hold whatever happens. It keeps its own books from the effects that it sees, and trusts no state of the
//! engine that it can count itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ansai_engine::{HostEngine, State, effect::Dispatch, invariant};
use ansai_model::{
    action::{ActionRun, Disruption},
    bundle::Bundle,
    id::{IncidentId, RunId, TargetId},
    incident::{Phase, Resolution},
    notify::NoticeKind,
    time::Now,
};

/// A target that has been down for this long has been looked at: its unit's changes are hinted at.
const SEEN_AFTER: Duration = Duration::from_secs(1);

/// Books on one engine.
#[derive(Debug, Default)]
pub struct Checker {
    actions: BTreeMap<TargetId, Vec<Now>>,
    /// Where it acts, and when it began if it disrupts.
    pending: BTreeMap<RunId, (TargetId, Option<Now>)>,
    all: Vec<Now>,
    last_run: u64,
    /// Incidents that were on disk.
    saved: BTreeSet<IncidentId>,
    /// Incidents whose end was told.
    ended: BTreeSet<IncidentId>,
    /// What was told, and by which dispatch.
    told: BTreeMap<(IncidentId, NoticeKind), u64>,
}

/// What the world knows that the engine must respect.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// A hold on everything is in force.
    pub is_held: bool,
    /// The ledger cannot be saved.
    pub is_ledger_broken: bool,
    /// The target was stopped by an operator, and the engine has seen it.
    pub is_stopped_on_request: bool,
    /// The ledger on disk already holds the decision.
    pub is_recorded: bool,
}

impl Checker {
    /// An action is about to begin.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn begins(&mut self, bundle: &Bundle, now: Now, run: &ActionRun, facts: Facts) -> Result<(), String> {
        let target = &run.target;
        if facts.is_held {
            return Err(format!("nothing_acts_in_hold: {run:?}"));
        }
        if facts.is_ledger_broken || !facts.is_recorded {
            return Err(format!("recorded_before_action: {run:?}"));
        }
        if facts.is_stopped_on_request {
            return Err(format!("intent_respected: {run:?}"));
        }
        if run.id.0 <= self.last_run {
            return Err(format!("no_run_twice: {run:?} after r{}", self.last_run));
        }
        self.last_run = run.id.0;
        if let Some((other, _)) = self.pending.iter().find(|(_, (pending, _))| pending == target) {
            return Err(format!("one_action_a_target: {run:?} while {other} is under way"));
        }
        let disrupts = run.action.disruption() > Disruption::None;
        self.pending.insert(run.id, (target.clone(), disrupts.then_some(now)));
        if disrupts {
            // What is simulated has this policy, or one that says nothing else about the budget.
            let policy = bundle.parts().policies.iter().find(|(id, _)| id.as_str() == "default");
            let (_, policy) = policy.ok_or("there is no policy `default`")?;
            let budget = policy.target_budget;
            let on_target = self.actions.entry(target.clone()).or_default();
            on_target.push(now);
            let used = on_target.iter().filter(|at| now.mono.since(at.mono) < budget.per).count();
            if used > budget.actions_max as usize {
                return Err(format!("target_budget_respected: {used} actions on {target}"));
            }
            let budget = bundle.parts().settings.host_budget;
            self.all.push(now);
            let used = self.all.iter().filter(|at| now.mono.since(at.mono) < budget.per).count();
            if used > budget.actions_max as usize {
                return Err(format!("host_budget_respected: {used} actions"));
            }
        }
        Ok(())
    }

    /// An action has ended; what did nothing is not counted.
    pub fn ended(&mut self, run: RunId, did_nothing: bool) {
        let Some((target, Some(begun))) = self.pending.remove(&run) else { return };
        if did_nothing {
            for times in [self.actions.entry(target).or_default(), &mut self.all] {
                times.iter().rposition(|at| *at == begun).map(|index| times.remove(index));
            }
        }
    }

    /// The agent was killed: what was under way goes on or not, and nobody waits for it.
    pub fn agent_killed(&mut self) {
        self.pending.clear();
    }

    /// The ledger was saved.
    pub fn saved(&mut self, state: &State) {
        self.saved.extend(state.incidents.keys());
    }

    /// A report of an end is handed over, whether the ledger knows of it or not.
    pub fn ended_with(&mut self, dispatch: &Dispatch) {
        if matches!(dispatch.report.phase, Phase::Resolved(_)) {
            self.ended.insert(dispatch.report.incident);
        }
    }

    /// A report that the ledger knows of is handed over; `down_for` is how long the target has been down, if it is.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn dispatched(&mut self, dispatch: &Dispatch, down_for: Option<Duration>) -> Result<(), String> {
        let id = dispatch.report.incident;
        // The same dispatch may come again after a restart, and then counts once.
        let before = self.told.insert((id, dispatch.kind), dispatch.id);
        if let Some(before) = before.filter(|before| *before != dispatch.id) {
            return Err(format!("told_once: {id} {:?} in dispatch {before} and {}", dispatch.kind, dispatch.id));
        }
        if let Phase::Resolved(resolution) = &dispatch.report.phase {
            let says_well = !matches!(resolution, Resolution::Withdrawn { .. });
            if says_well && down_for.is_some_and(|down| down > SEEN_AFTER) {
                return Err(format!("verified_before_healed: {id} is said to be over while its unit is down"));
            }
        }
        Ok(())
    }

    /// At the very end: no incident that was ever on disk is gone without a word.
    ///
    /// # Errors
    /// The incident that is lost.
    pub fn none_lost(&self, state: &State) -> Result<(), String> {
        match self.saved.iter().find(|id| !self.ended.contains(id) && !state.incidents.contains_key(id)) {
            Some(id) => Err(format!("no_incident_lost: {id} is neither open nor was its end told")),
            None => Ok(()),
        }
    }

    /// After each step.
    ///
    /// # Errors
    /// The invariant that is broken.
    pub fn after_step(&self, engine: &HostEngine) -> Result<(), String> {
        // The engine holds a target itself when it was about to break an invariant: fine for a host, a fault in it all
        // the same.
        if let Some(hold) = engine.state().holds.iter().find(|hold| hold.by.as_str() == "ansai itself") {
            return Err(hold.reason.to_string());
        }
        invariant::of_state(engine).map_err(|violation| format!("{}: {}", violation.invariant, violation.what))
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{action::Action, id::UnitName, time::MonoTime};

    use super::*;

    #[test]
    fn one_action_more_than_the_budget_of_a_target_is_noticed() {
        let bundle = crate::world::bundle();
        let unit = UnitName::new("db.service").expect("a name");
        let facts = Facts { is_held: false, is_ledger_broken: false, is_stopped_on_request: false, is_recorded: true };
        let mut checker = Checker::default();
        let mut begin = |number: i64| {
            let (mono, id) = (MonoTime(number * 60_000_000_000), RunId(u64::try_from(number).expect("small")));
            let target = TargetId::of("service", "db.service").expect("a name");
            let action = Action::RestartUnit { unit: unit.clone() };
            let run = ActionRun { id, incident: None, target, action, timeout: Duration::from_secs(1) };
            let begun = checker.begins(&bundle, Now { mono, ..Now::default() }, &run, facts);
            checker.ended(id, false);
            begun
        };
        assert!((1..=6).all(|number| begin(number).is_ok()));
        assert_eq!(begin(7), Err("target_budget_respected: 7 actions on service/db.service".to_owned()));
        // An hour after the first ones there is room again.
        assert_eq!(begin(63), Ok(()));
    }
}
