//! What must hold whatever happens. It keeps its own books from the effects that it sees, and trusts no state of the
//! engine that it can count itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ansai_engine::{HostEngine, State, effect::Dispatch, invariant};
use ansai_model::{
    action::{Action, ActionRun, Disruption},
    bundle::Bundle,
    id::{IncidentId, RunId, TargetId},
    incident::{Phase, Resolution},
    notify::NoticeKind,
    policy::Budget,
    time::Now,
};

/// A target that has been down for this long has been looked at: its unit's changes are hinted at.
const SEEN_AFTER: Duration = Duration::from_secs(1);

/// An incident that opened so soon after a drill is its doing.
const NOTICED_WITHIN: Duration = Duration::from_secs(120);

/// What has been under way for so long holds up no other.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// Books on one engine.
#[derive(Debug, Default)]
pub struct Checker {
    /// What disrupted, by what it was for.
    real: Actions,
    drilled: Actions,
    pending: BTreeMap<RunId, Pending>,
    /// When each target was last broken on purpose.
    drills: BTreeMap<TargetId, Now>,
    last_run: u64,
    /// Incidents that were on disk.
    saved: BTreeSet<IncidentId>,
    /// Incidents whose end was told.
    ended: BTreeSet<IncidentId>,
    /// Incidents that are about no known failure.
    notify_only: BTreeSet<IncidentId>,
    /// What was told, and by which dispatch.
    told: BTreeMap<(IncidentId, NoticeKind), u64>,
}

/// An action under way.
#[derive(Debug)]
struct Pending {
    target: TargetId,
    /// When it began, if it disrupts.
    begun: Option<Now>,
    is_drilled: bool,
    is_repetition: bool,
    /// When it was begun for an incident, if it was.
    healing_since: Option<Now>,
}

/// Disruptive actions, by their target.
#[derive(Debug, Default)]
struct Actions {
    on: BTreeMap<TargetId, Vec<Now>>,
    /// Those that repeated one on the same target within the window of the host.
    repeated: Vec<Now>,
}

impl Actions {
    /// Counts one; says whether it repeats one on the same target, done since its cause was last seen to be gone.
    fn begin(
        &mut self,
        bundle: &Bundle,
        now: Now,
        target: &TargetId,
        gone: Option<Now>,
        of_books: fn(Budget) -> Budget,
    ) -> Result<bool, String> {
        let within = |times: &[Now], per: Duration| times.iter().filter(|at| now.mono.since(at.mono) < per).count();
        let host = of_books(bundle.parts().settings.host_budget);
        // What is simulated has this policy, or one that says nothing else about the budget.
        let policy = bundle.parts().policies.iter().find(|(id, _)| id.as_str() == "default");
        let budget = of_books(policy.ok_or("there is no policy `default`")?.1.target_budget);
        let on_target = self.on.entry(target.clone()).or_default();
        let is_since = |at: &Now| gone.is_none_or(|gone| gone.mono <= at.mono);
        let is_repetition = within(on_target, host.per) > 0 && on_target.last().is_some_and(is_since);
        if is_repetition {
            self.repeated.push(now);
        }
        on_target.push(now);
        let used = within(on_target, budget.per);
        if used > budget.actions_max as usize {
            return Err(format!("target_budget_respected: {used} actions on {target}"));
        }
        let used = within(&self.repeated, host.per);
        if used > host.actions_max as usize {
            return Err(format!("host_budget_respected: {used} repeated actions"));
        }
        Ok(is_repetition)
    }

    fn take_back(&mut self, pending: &Pending, begun: Now) {
        let on_target = self.on.entry(pending.target.clone()).or_default();
        for times in [Some(on_target), pending.is_repetition.then_some(&mut self.repeated)].into_iter().flatten() {
            times.iter().rposition(|at| *at == begun).map(|index| times.remove(index));
        }
    }
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
    /// When what the target's incident waits for was last shown to be gone.
    pub gone: Option<Now>,
    /// When the incident for which it is done opened, by the ledger, when that calls it a drill's.
    pub drilled: Option<Now>,
    /// The host itself says that what ended the target's unit last was a drill's signal.
    pub is_ended_by_drill: bool,
}

impl Checker {
    /// An action is about to begin.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn begins(&mut self, bundle: &Bundle, now: Now, run: &ActionRun, facts: Facts) -> Result<(), String> {
        let target = &run.target;
        if let Some(id) = run.incident.filter(|id| self.notify_only.contains(id)) {
            return Err(format!("nothing_acts_on_unknown: {run:?} for {id}"));
        }
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
        if let Some((other, _)) = self.pending.iter().find(|(_, pending)| pending.target == *target) {
            return Err(format!("one_action_a_target: {run:?} while {other} is under way"));
        }
        // What was killed is started again, however much is under way.
        let is_second_half = matches!(run.action, Action::StartUnit { .. });
        let is_young =
            |pending: &&Pending| pending.healing_since.is_some_and(|at| now.mono.since(at.mono) < SLOW_AFTER);
        let (count, most) =
            (self.pending.values().filter(is_young).count(), bundle.parts().settings.remediations_at_once_max);
        if run.incident.is_some() && !is_second_half && count >= most as usize {
            return Err(format!("at_once_respected: {run:?} while {count} are under way"));
        }
        let disrupts = run.action.disruption() > Disruption::None;
        let is_drill = matches!(run.action, Action::Drill { .. });
        if is_drill {
            self.drills.insert(target.clone(), now);
        }
        // What a drill broke is noticed soon after it, or known for that by what ended it, however late it is looked at.
        let broken = facts.drilled.zip(self.drills.get(target));
        let is_soon = |opened: Now, at: &Now| opened.mono.since(at.mono) <= NOTICED_WITHIN || facts.is_ended_by_drill;
        let is_drilled = is_drill || broken.is_some_and(|(opened, at)| *at <= opened && is_soon(opened, at));
        let (books, of_books): (_, fn(Budget) -> Budget) = match is_drilled {
            true => (&mut self.drilled, Budget::for_drills),
            false => (&mut self.real, std::convert::identity),
        };
        let counted = if disrupts { books.begin(bundle, now, target, facts.gone, of_books) } else { Ok(false) };
        let is_repetition = *counted.as_ref().unwrap_or(&false);
        let (target, begun) = (target.clone(), disrupts.then_some(now));
        let pending = Pending { target, begun, is_drilled, is_repetition, healing_since: run.incident.map(|_| now) };
        self.pending.insert(run.id, pending);
        counted.map(|_| ())
    }

    /// An action has ended; what did nothing is not counted.
    pub fn ended(&mut self, run: RunId, did_nothing: bool) {
        let Some(pending) = self.pending.remove(&run) else { return };
        if let Some(begun) = pending.begun.filter(|_| did_nothing) {
            let books = if pending.is_drilled { &mut self.drilled } else { &mut self.real };
            books.take_back(&pending, begun);
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
        if dispatch.report.kind.is_notify_only() {
            self.notify_only.insert(id);
        }
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
        invariant::of_state(engine.bundle(), engine.state())
            .map_err(|violation| format!("{}: {}", violation.invariant, violation.what))
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
        let facts = Facts {
            is_held: false,
            is_ledger_broken: false,
            is_stopped_on_request: false,
            is_recorded: true,
            gone: None,
            drilled: None,
            is_ended_by_drill: false,
        };
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

    #[test]
    fn only_repetition_is_counted_against_the_budget_of_the_host_and_it_is_counted() {
        let bundle = crate::world::bundle();
        let mut actions = Actions::default();
        let mut begin = |minute: i64, name: &str| {
            let now = Now { mono: MonoTime(minute * 60_000_000_000), ..Now::default() };
            let gone = (minute == 5).then_some(now);
            actions.begin(&bundle, now, &TargetId::of("service", name).expect("a name"), gone, std::convert::identity)
        };
        for round in 1..=3 {
            assert!(('a'..='e').all(|name| begin(round, &format!("{name}.service")) == Ok(round > 1)), "{round}");
        }
        // Ten repetitions by now; the first on another target is none.
        assert_eq!(begin(4, "f.service"), Ok(false));
        // Nor is the first after its cause has gone; the next one is.
        assert_eq!(begin(5, "a.service"), Ok(false));
        assert_eq!(begin(6, "a.service"), Err("host_budget_respected: 11 repeated actions".to_owned()));
    }
}
