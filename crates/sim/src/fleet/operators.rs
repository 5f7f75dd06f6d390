//! What operators say at the controller of a simulated fleet, and what they are answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ansai_fleet::FleetInput;
use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    id::RestraintId,
    policy::Scope,
};
use ansai_protocol::operation::{FleetAnswer, FleetOperation};

use super::{
    checks,
    world::{Event, World},
};

/// Questions that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Operators {
    asked: u64,
    /// The restraint that a question made, when it made one.
    waiting: BTreeMap<u64, Option<RestraintId>>,
    /// A controller was brought back from a copy, and no new epoch was begun: numbers mean two things.
    pub(super) numbers_are_ambiguous: bool,
}

impl World {
    /// Somebody says something, and somebody else a while later.
    pub(super) fn operator(&mut self) -> Result<(), String> {
        if !self.is_in_turmoil {
            return Ok(());
        }
        let wait = Duration::from_millis(300 + self.random.below(9_000));
        self.after(wait, Event::Operator);
        if !self.controller.is_up {
            return Ok(());
        }
        let operation = if self.random.chance(40) { self.an_end() } else { None };
        let operation = operation.unwrap_or_else(|| self.a_restraint());
        self.asks(operation)
    }

    fn an_end(&mut self) -> Option<FleetOperation> {
        let known: Vec<_> = self.controller.engine.books().restraints.values().cloned().collect();
        let index = usize::try_from(self.random.below(known.len().max(1) as u64)).ok()?;
        let one = known.get(index)?;
        Some(FleetOperation::End { kind: one.kind, over: one.over.clone(), scope: one.scope.clone() })
    }

    fn a_restraint(&mut self) -> FleetOperation {
        let kind = match self.random.below(10) {
            0..7 => RestraintKind::Hold,
            7..9 => RestraintKind::Maintenance,
            _ => RestraintKind::Silence,
        };
        let over = match self.random.below(10) {
            0..4 => FleetScope::Fleet,
            4..7 => FleetScope::Role(if self.random.chance(50) { "web" } else { "db" }.into()),
            _ => {
                let index = self.random.below(self.hosts.len() as u64);
                FleetScope::Host(format!("host-{index}").into())
            }
        };
        let scope = if self.random.chance(60) { Scope::All } else { Scope::Matching(vec!["app.service".into()]) };
        let lasts = Duration::from_secs(3 + self.random.below(60));
        let is_endless = kind == RestraintKind::Hold && self.random.chance(50);
        FleetOperation::Restrain { kind, over, scope, reason: "sim".into(), lasts: (!is_endless).then_some(lasts) }
    }

    /// Says something to the controller.
    pub(super) fn asks(&mut self, operation: FleetOperation) -> Result<(), String> {
        if matches!(operation, FleetOperation::End { .. }) {
            self.calm_since = self.now.mono;
        }
        let is_restraint = matches!(operation, FleetOperation::Restrain { .. });
        self.operators.asked += 1;
        let request = self.operators.asked;
        self.operators.waiting.insert(request, None);
        let before = self.controller.engine.books().generation;
        self.controls(FleetInput::Operator { request, by: "sim".into(), operation })?;
        let after = self.controller.engine.books().generation;
        if let Some(made) = self.operators.waiting.get_mut(&request).filter(|_| is_restraint && after > before) {
            *made = Some(RestraintId(after));
        }
        Ok(())
    }

    /// The controller was killed: nobody answers any more.
    pub(super) fn nobody_answers(&mut self) {
        self.operators.waiting.clear();
    }

    /// Somebody is answered, exactly once.
    pub(super) fn is_answered(&mut self, request: u64, answer: FleetAnswer) -> Result<(), String> {
        let Some(made) = self.operators.waiting.remove(&request) else {
            return Err(format!("answered_once: request {request} is answered, and nobody waits: {answer:?}"));
        };
        let FleetAnswer::Done { reached: Some(reached), .. } = answer else { return Ok(()) };
        self.totals.answered += 1;
        let disk = &self.controller.disk;
        match made.and_then(|id| disk.restraints.get(&id)) {
            Some(restraint) if !self.operators.numbers_are_ambiguous => {
                checks::answered_means_obeyed(restraint, disk.epoch, &reached, &self.hosts)
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody waits for an answer.
    pub(super) fn somebody_waits(&self) -> bool {
        !self.operators.waiting.is_empty()
    }
}
