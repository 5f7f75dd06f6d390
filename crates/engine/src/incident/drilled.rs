//! Which failures a drill has made: what fails while it lasts, in the way in which it breaks its unit. It begins and ends
//! no incident; what a drill itself does is the host's.

use alloc::{boxed::Box, format};
use core::time::Duration;

use ansai_model::{
    domain::service::{ActiveState, UnitResult, UnitSnapshot},
    id::{IncidentId, TargetId},
    incident::{Resolution, StepKind},
    notify::NoticeKind,
    observation::Health,
    operator::DrillKind,
    text::Text,
    time::Shown,
};

use crate::{
    check::CheckState,
    context::Context,
    remediation::Stage,
    state::{Drill, PendingRun},
    view::View,
};

/// How long after a drill an incident may be its doing.
const DRILL_WINDOW: Duration = Duration::from_secs(120);

impl Context {
    /// Notes that a drill begins.
    pub(crate) fn remember_drill(&mut self, target: &TargetId, kind: DrillKind) {
        let run = self.view().unit_of(target).and_then(|unit| unit.invocation.clone());
        let memory = self.state.targets.entry(target.clone()).or_default();
        memory.drilled = Some(self.now.mono);
        memory.drill = Some(Box::new(Drill { kind, run, runs_anew: None }));
        self.changed();
    }

    /// A drill is over when its target is seen well in another run than the one that it broke: by looks at all of it that
    /// were begun after that run was seen. One that breaks several runs is over with its incident.
    pub(crate) fn follow_drill(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let target = &check.check.target;
        let Some(memory) = self.state.targets.get(target) else { return };
        let Some(drill) = memory.drill.as_ref().filter(|drill| drill.kind != DrillKind::Loop) else { return };
        let is_same = |unit: &UnitSnapshot| unit.invocation.is_none() || unit.invocation == drill.run;
        if drill.run.is_none() || self.view().unit_of(target).is_none_or(is_same) {
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

    /// What a drill broke has been seen mended by a remedy: it is over, but for one that breaks several runs.
    pub(crate) fn drill_is_mended(&mut self, id: IncidentId) {
        let Some(target) = self.state.incidents.get(&id).filter(|of| of.is_drill).map(|of| of.target.clone()) else {
            return;
        };
        let memory = self.state.targets.get(&target);
        let breaks_several =
            memory.is_some_and(|memory| memory.drill.as_ref().is_some_and(|of| of.kind == DrillKind::Loop));
        if !breaks_several {
            self.drill_is_over(&target);
            self.changed();
        }
    }

    /// Ends a drill's incident that a failure after the drill would fall into: what was seen well since and fails once
    /// more is a failure of its own, with its own cause, books and ladder.
    pub(crate) fn end_outlived_drill(&mut self, slot: usize) {
        let (view, check) = (self.view(), &self.checks[slot]);
        let covering = view.open_on(&check.check.target, &check.check.id);
        let Some(incident) = covering.filter(|incident| incident.is_drill && !incident.kind.is_told_only()) else {
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
        let rung = remediation.and_then(|of| of.current()).map(|rung| rung.id.clone());
        let lasted = Shown(self.now.mono.since(was_well));
        let what =
            format!("it failed again {lasted} after it was well: that is no drill, and has an incident of its own");
        self.record(id, StepKind::Interrupted { what: Text::new(what) });
        let was_told = self.state.told.contains(&(id, NoticeKind::Escalated));
        let by_itself = if was_told { Resolution::AfterEscalation } else { Resolution::ByItself };
        let resolution = rung.map_or(by_itself, |rung| Resolution::Healed { rung });
        self.end(id, resolution, if was_told { NoticeKind::Recovered } else { NoticeKind::Healed });
    }

    /// A drill that was not begun, or that did nothing, breaks nothing.
    pub(crate) fn drill_did_nothing(&mut self, pending: &PendingRun) {
        if pending.is_drill && pending.incident.is_none() {
            self.drill_is_over(&pending.target);
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
        if memory.drilled.is_none_or(|at| self.now.mono.since(at) > DRILL_WINDOW) {
            return None;
        }
        let own = self.own_slot(&check.target).map(|own| &self.checks[own].check.id);
        // A drill breaks the unit, and not what is a matter beside it.
        if own.is_some_and(|own| !self.are_together(&check.target, own, &check.id)) {
            return None;
        }
        let Some(drill) = &memory.drill else { return Some(None) };
        let is_its_way = self.unit_of(&check.target).is_none_or(|unit| match drill.kind {
            DrillKind::Hang => {
                let is_same = drill.run.is_none() || unit.invocation == drill.run;
                unit.result == UnitResult::Watchdog || (unit.active == ActiveState::Active && is_same)
            }
            DrillKind::Crash | DrillKind::Exit | DrillKind::Loop => true,
            DrillKind::Port | DrillKind::Configuration => true,
        });
        is_its_way.then_some(Some(drill.kind))
    }

    /// The unit of a target as it was last seen.
    pub(crate) fn unit_of(self, target: &TargetId) -> Option<&'a UnitSnapshot> {
        self.checks[self.own_slot(target)?].last.as_ref()?.1.unit()
    }
}
