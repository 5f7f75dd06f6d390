//! Which failures a drill has made: what fails while it lasts, in the way in which it breaks its unit. It begins and ends
//! no incident; what a drill itself does is the host's.

use alloc::{boxed::Box, format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::ActionOutcome,
    id::{IncidentId, TargetId},
    incident::{Incident, Resolution, StepKind},
    notify::NoticeKind,
    observation::Health,
    operator::DrillKind,
    text::Text,
    time::{Shown, WallTime},
    unit::{ActiveState, Exit, UnitResult, UnitSnapshot},
};

use crate::{
    check::{Change, CheckState},
    context::Context,
    effect::Answer,
    remediation::Stage,
    state::{Drill, PendingRun},
    view::View,
};

/// What is told as taken back when a drill has ended by itself, or was ended by somebody.
const OVER: &str = "the drill, which is over";
const BY_HAND: &str = "the drill, before its time";
/// How long after somebody has said that they end a drill its unit may be started for that.
const STARTED_WITHIN: Duration = Duration::from_secs(90);
/// How soon after a drill was ended by hand its target is looked at.
const LOOK_AFTER_END: Duration = Duration::from_secs(1);
/// How long a hang is known from the drill alone: a stopped process is judged only when it has been so for ten seconds.
const HANG_UNSEEN: Duration = Duration::from_secs(15);
/// How long after a drill an incident may be its doing.
const DRILL_WINDOW: Duration = Duration::from_secs(120);
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Context {
    /// Notes that a drill begins.
    pub(crate) fn remember_drill(&mut self, target: &TargetId, kind: DrillKind) {
        let run = self.view().unit_of(target).and_then(|unit| unit.invocation.clone());
        let memory = self.state.targets.entry(target.clone()).or_default();
        let before = memory.drilled.zip(memory.drill.take());
        let before = before.map(|(at, drill)| (at, Box::new(Drill { before: None, ..*drill })));
        memory.drilled = Some(self.now.mono);
        memory.drill = Some(Box::new(Drill { kind, run, runs_anew: None, is_ended: false, before }));
        self.changed();
    }

    /// The failure of a drill has been injected. What was seen before its end says nothing of what came of it.
    pub(crate) fn drill_is_injected(&mut self, ended: &PendingRun) {
        let memory = self.state.targets.get_mut(&ended.target).filter(|_| is_injection(ended));
        if let Some(drill) = memory.and_then(|memory| memory.drill.as_mut()) {
            (drill.runs_anew, drill.before) = (None, None);
        }
    }

    /// A drill is over when its target is seen well in another run than the last one that it broke: by looks at all of it
    /// that were begun after that run was seen, and after its failure was injected.
    pub(crate) fn follow_drill(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let target = &check.check.target;
        let Some(drill) = self.state.targets.get(target).and_then(|memory| memory.drill.as_ref()) else { return };
        let Some(unit) = self.view().unit_of(target) else { return };
        if unit.is_ended_by_drill() && unit.invocation.is_some() && unit.invocation != drill.run {
            let (target, run) = (target.clone(), unit.invocation.clone());
            return self.drill_broke(&target, run);
        }
        let is_same = unit.invocation.is_none() || unit.invocation == drill.run;
        let is_under_way = || self.state.runs.values().any(|run| is_injection(run) && run.target == *target);
        if check.hard != Health::Healthy || drill.run.is_none() || is_same || is_under_way() {
            return;
        }
        let runs_anew = drill.runs_anew;
        let is_well = |check: &CheckState| {
            let is_since = check.looked_at.zip(runs_anew).is_some_and(|(at, since)| at >= since);
            let is_healthy = check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Healthy);
            is_since && is_healthy && check.hard == Health::Healthy
        };
        let is_over = self.view().checks_of_itself(target).all(is_well);
        let target = target.clone();
        if is_over {
            self.drill_is_over(&target);
        } else if runs_anew.is_none()
            && let Some(drill) = self.state.targets.get_mut(&target).and_then(|memory| memory.drill.as_mut())
        {
            drill.runs_anew = Some(self.now.mono);
        } else {
            return;
        }
        self.changed();
    }

    /// A drill has broken one more run of its unit.
    fn drill_broke(&mut self, target: &TargetId, run: Option<Text>) {
        if let Some(drill) = self.state.targets.get_mut(target).and_then(|memory| memory.drill.as_mut()) {
            (drill.run, drill.runs_anew) = (run, None);
            self.changed();
        }
    }

    /// A drill has ended by itself: what is better from now on may be so for that.
    pub(crate) fn drill_took_back(&mut self, target: &TargetId, what: &Text) {
        self.drill_is_ended(target);
        let drilled = |id: &IncidentId| self.state.incidents.get(id).is_some_and(|incident| incident.is_drill);
        for id in self.checks.open_of(target).filter(drilled).collect::<Vec<_>>() {
            let outcome = ActionOutcome::Succeeded { note: what.clone() };
            self.record(id, StepKind::Undone { what: OVER.into(), outcome });
        }
    }

    /// Somebody has ended a drill before its time, past the agent: what they start for that is the end of the drill, and nobody
    /// else's start.
    pub(crate) fn drill_ended_by_hand(&mut self, target: &TargetId, by: &Text) -> Answer {
        self.drill_is_ended(target);
        // Nothing tells of a process that goes on.
        self.look_within(target, LOOK_AFTER_END);
        let drilled = |id: &IncidentId| self.state.incidents.get(id).is_some_and(|incident| incident.is_drill);
        let open: Vec<_> = self.checks.open_of(target).filter(drilled).collect();
        if open.is_empty() {
            let why = Text::new(format!("no incident of {target} is open that a drill has made"));
            let suggestion = Text::new(format!("`ansai explain {target}` says how it stands"));
            return Answer::Refused { why, suggestion };
        }
        for id in open {
            let note = Text::new(format!("{by} has asked for that"));
            self.record(id, StepKind::Undone { what: BY_HAND.into(), outcome: ActionOutcome::Succeeded { note } });
        }
        Answer::Done(Text::new(format!("the drill on {target} is told as ended by {by}")))
    }

    fn drill_is_ended(&mut self, target: &TargetId) {
        if let Some(drill) = self.state.targets.get_mut(target).and_then(|memory| memory.drill.as_mut()) {
            drill.is_ended = true;
            self.changed();
        }
    }

    /// What a drill broke has been seen mended by a remedy: it is over, but for one that breaks several runs.
    pub(crate) fn drill_is_mended(&mut self, id: IncidentId) {
        let Some(target) = self.state.incidents.get(&id).filter(|of| of.is_drill).map(|of| of.target.clone()) else {
            return;
        };
        let drill = self.state.targets.get(&target).and_then(|memory| memory.drill.as_ref());
        if drill.is_none_or(|of| of.kind != DrillKind::Loop) {
            self.drill_is_over(&target);
            self.changed();
        }
    }

    /// Ends a drill's incident that a failure after the drill would fall into: what was seen well since and fails once
    /// more is a failure of its own, with its own cause, books and ladder.
    pub(crate) fn end_outlived_drill(&mut self, slot: usize) {
        let (view, check) = (self.view(), &self.checks[slot]);
        let covering = view.open_on(&check.check.target, &check.check.id);
        let Some(incident) = covering.filter(|incident| incident.is_drill && !incident.kind.is_notify_only()) else {
            return;
        };
        let remediation = self.state.remediations.get(&incident.id);
        let stands = remediation.is_none_or(|of| matches!(of.stage, Stage::Stabilizing { .. }));
        let is_over = self.state.targets.get(&incident.target).is_some_and(|memory| memory.drilled.is_none());
        let since_it_opened = check.well_at.filter(|at| is_over && *at > incident.opened.mono);
        let was_well = incident.healthy_since.map(|at| at.mono).or(since_it_opened);
        let Some(was_well) = was_well.filter(|_| stands && check.is_known_to_fail()) else { return };
        if view.drill_behind(slot).is_some() {
            return;
        }
        let id = incident.id;
        let healed = remediation.filter(|of| of.has_changed);
        let rung = healed.and_then(|of| of.current()).map(|rung| rung.id.clone());
        let lasted = Shown(self.now.mono.since(was_well));
        let what =
            format!("it failed again {lasted} after it was well: that is no drill, and has an incident of its own");
        self.record(id, StepKind::Interrupted { what: Text::new(what) });
        let was_notified = self.state.notified.contains(&(id, NoticeKind::Escalated));
        let by_itself = if was_notified { Resolution::AfterEscalation } else { Resolution::ByItself };
        let resolution = rung.map_or(by_itself, |rung| Resolution::Healed { rung });
        self.end(id, resolution, if was_notified { NoticeKind::Recovered } else { NoticeKind::Healed });
    }

    /// A drill that was not begun, or that did nothing, breaks nothing, and the one before it lasts as it did.
    pub(crate) fn drill_did_nothing(&mut self, pending: &PendingRun) {
        let memory = self.state.targets.get_mut(&pending.target).filter(|_| is_injection(pending));
        if let Some(memory) = memory {
            let before = memory.drill.take().and_then(|drill| drill.before);
            (memory.drilled, memory.drill) = before.unzip();
        }
    }

    /// From now on no failure of a target is a drill's.
    pub(super) fn drill_is_over(&mut self, target: &TargetId) {
        if let Some(memory) = self.state.targets.get_mut(target) {
            memory.drilled = None;
            memory.drill = None;
        }
    }
}

impl<'a> View<'a> {
    /// The drill because of which a check fails now, when one is why; its kind, when that is known.
    pub(super) fn drill_behind(self, slot: usize) -> Option<Option<DrillKind>> {
        let check = &self.checks[slot].check;
        let memory = self.state.targets.get(&check.target)?;
        let own = self.own_slot(&check.target).map(|own| &self.checks[own].check.id);
        // A drill breaks the unit, and not what is a fault domain beside it.
        if own.is_some_and(|own| !self.are_together(&check.target, own, &check.id)) {
            return None;
        }
        if self.unit_of(&check.target).is_some_and(UnitSnapshot::is_ended_by_drill) {
            return Some(memory.drill.as_ref().map(|drill| drill.kind));
        }
        if memory.drilled.is_none_or(|at| self.now.mono.since(at) > DRILL_WINDOW) {
            return None;
        }
        let Some(drill) = &memory.drill else { return Some(None) };
        let is_its_way = self.unit_of(&check.target).is_none_or(|unit| is_its_doing(drill, unit));
        is_its_way.then_some(Some(drill.kind))
    }

    /// That a drill hangs a target at this moment, in words: since it has begun, and as long as its unit is seen to stand still in
    /// the run that it has stopped.
    pub(crate) fn hung_by_drill(self, target: &TargetId) -> Option<Text> {
        let memory = self.state.targets.get(target)?;
        let drill = memory.drill.as_ref().filter(|drill| drill.kind == DrillKind::Hang && !drill.is_ended)?;
        let age = self.now.mono.since(memory.drilled?);
        let unit = self.unit_of(target).filter(|unit| age <= DRILL_WINDOW && unit.active == ActiveState::Active)?;
        let is_still = unit.is_main_stopped || unit.still_for.is_some() || age <= HANG_UNSEEN;
        (is_still && is_its_doing(drill, unit))
            .then(|| Text::new(format!("a drill hangs it on purpose, and `ansai drill {target} --undo` lets it go on")))
    }

    /// That a drill has broken a target that fails at this moment, in words.
    pub(crate) fn broken_by_drill(self, target: &TargetId) -> Option<Text> {
        let memory = self.state.targets.get(target)?;
        let at = memory.drilled.filter(|_| memory.drill.as_ref().is_none_or(|drill| !drill.is_ended))?;
        let is_its_doing = |incident: &Incident| {
            let fails = || self.checks_of(incident).into_iter().any(CheckState::is_known_to_fail);
            incident.is_drill && drill_over(incident).is_none() && fails()
        };
        (self.now.mono.since(at) <= DRILL_WINDOW && self.open_of(target).any(is_its_doing))
            .then(|| Text::new(format!("a drill broke it on purpose, and `ansai drill {target} --undo` ends that")))
    }

    /// Whether a drill is why a check fails now, or was why it has failed until now.
    pub(crate) fn is_by_drill(self, slot: usize, change: Change) -> bool {
        let check = &self.checks[slot].check;
        match change {
            Change::Failed => self.drill_behind(slot).is_some(),
            Change::Recovered => self.open_on(&check.target, &check.id).is_some_and(|incident| incident.is_drill),
            Change::None => false,
        }
    }

    /// The unit of a target as it was last seen.
    pub(crate) fn unit_of(self, target: &TargetId) -> Option<&'a UnitSnapshot> {
        self.checks[self.own_slot(target)?].last.as_ref()?.1.unit()
    }
}

/// When the drill that made an incident was over, as far as that was told.
pub(crate) fn drill_over(incident: &Incident) -> Option<WallTime> {
    let ended =
        |kind: &StepKind| matches!(kind, StepKind::Undone { what, .. } if [OVER, BY_HAND].contains(&what.as_str()));
    incident.steps.iter().rev().find(|step| incident.is_drill && ended(&step.kind)).map(|step| step.at.wall)
}

/// Whether a unit was started at this moment to end the drill that made an incident.
pub(super) fn is_end_of_drill(incident: &Incident, started: WallTime) -> bool {
    let is_by_hand = |kind: &StepKind| matches!(kind, StepKind::Undone { what, .. } if what.as_str() == BY_HAND);
    let mut ends = incident.steps.iter().filter(|step| incident.is_drill && is_by_hand(&step.kind));
    ends.any(|step| step.at.wall <= started && started <= step.at.wall.plus(STARTED_WITHIN))
}

/// Whether an action is a drill's own, and no remedy of what it broke.
fn is_injection(run: &PendingRun) -> bool {
    run.is_drill && run.incident.is_none()
}

/// Whether a unit is as a drill in it makes it, of which it is not known whether a signal of the drill ended it. A death is
/// the drill's in the run that it broke, when it may have been of its signal, and no other.
fn is_its_doing(drill: &Drill, unit: &UnitSnapshot) -> bool {
    let is_same = drill.run.is_none() || unit.invocation == drill.run;
    let is_signaled = matches!(unit.exit, Some(Exit::Signal(_) | Exit::Dumped(_)));
    let may_be_killed = !is_signaled || unit.exit == Some(Exit::Signal(SIGKILL));
    match drill.kind {
        DrillKind::Hang => unit.result == UnitResult::Watchdog || (unit.active == ActiveState::Active && is_same),
        // It may not answer yet in the run after it.
        DrillKind::Crash | DrillKind::Loop | DrillKind::Exit if !unit.active.is_down() => true,
        DrillKind::Crash | DrillKind::Loop => is_same && may_be_killed,
        DrillKind::Exit => is_same && (!is_signaled || unit.exit == Some(Exit::Signal(SIGTERM))),
        // With its port taken, or a broken configuration, each further run ends by itself.
        DrillKind::Port | DrillKind::Configuration => !is_signaled || (is_same && may_be_killed),
    }
}
