//! What operators say at the controller of a simulated fleet, and what they are answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ansai_fleet::FleetInput;
use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    id::RestraintId,
    operator::DrillKind,
    order::{Deed, Order, Subject},
    policy::Scope,
    time::WallTime,
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
    /// The restraint or the order that a question made, when it made one.
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
        if self.random.chance(25) {
            let order = self.an_order();
            return self.asks(order);
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
        let over = self.some_hosts();
        let scope = if self.random.chance(60) { Scope::All } else { Scope::Matching(vec!["app.service".into()]) };
        let lasts = Duration::from_secs(3 + self.random.below(60));
        let is_endless = kind == RestraintKind::Hold && self.random.chance(50);
        FleetOperation::Restrain { kind, over, scope, reason: "sim".into(), lasts: (!is_endless).then_some(lasts) }
    }

    fn some_hosts(&mut self) -> FleetScope {
        match self.random.below(10) {
            0..4 => FleetScope::Fleet,
            4..7 => FleetScope::Role(if self.random.chance(50) { "web" } else { "db" }.into()),
            _ => self.one_host(),
        }
    }

    fn one_host(&mut self) -> FleetScope {
        let index = self.random.below(self.hosts.len() as u64);
        FleetScope::Host(format!("host-{index}").into())
    }

    fn an_order(&mut self) -> FleetOperation {
        let deed = if self.random.chance(70) { Deed::Drill(DrillKind::Crash) } else { Deed::Heal };
        // A drill on more than one of a role is refused.
        let is_of_one = deed != Deed::Heal && self.random.chance(80);
        let over = if is_of_one { self.one_host() } else { self.some_hosts() };
        let to = Subject::Targets(Scope::Matching(vec!["app.service".into()]));
        FleetOperation::Order { deed, over, to, is_rehearsal: self.random.chance(10) }
    }

    /// Says something to the controller.
    pub(super) fn asks(&mut self, operation: FleetOperation) -> Result<(), String> {
        if matches!(operation, FleetOperation::End { .. }) {
            self.calm_since = self.now.mono;
        }
        let is_restraint = matches!(operation, FleetOperation::Restrain { .. } | FleetOperation::Order { .. });
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

    /// A host hears an order. Whatever it travels over may bring it again, much later, and beside a newer one.
    pub(super) fn is_ordered(&mut self, index: usize, order: Order, at_ms: i64) -> Result<(), String> {
        let late = self.now.wall.since(WallTime(at_ms));
        if self.random.chance(30) {
            let again = Duration::from_millis(self.random.below(30_000));
            self.after(again, Event::OrderAgain(index, Box::new(order.clone())));
        }
        self.on_host(index, |host, now, random| host.is_ordered(order, late, now, random))
    }

    /// A host hears it again, as if it had just been given.
    pub(super) fn is_ordered_again(&mut self, index: usize, order: Order) -> Result<(), String> {
        self.on_host(index, |host, now, random| host.is_ordered(order, Duration::ZERO, now, random))
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
        if let (FleetAnswer::Ordered { hosts, .. }, Some(RestraintId(number))) = (&answer, made) {
            self.totals.ordered += 1;
            let age = (self.controller.disk.epoch, number);
            let is_known = !self.operators.numbers_are_ambiguous;
            return if is_known { checks::answered_means_done(age, hosts, &self.hosts) } else { Ok(()) };
        }
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
