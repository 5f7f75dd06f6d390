//! The controller's shell as its contract has it: what a step changes is saved first, and what else it returned is done when
//! that and everything before it is durable. Saves take a while, fail when the disk is full, and a kill may come between.

use std::{collections::VecDeque, time::Duration};

use ansai_fleet::{FleetEffect, FleetEngine, FleetInput};
use ansai_model::{
    id::RouteId,
    notify::{Channel, Route},
    policy::Scope,
    probe::CommandLine,
    rule::Severity,
    time::Now,
};
use ansai_protocol::record::Record;
use ansai_store::volatile::Records;

use crate::random::Random;

/// Whom there is to tell: of everything.
fn route() -> Route {
    Route {
        id: RouteId::new("people").expect("a name"),
        channel: Channel::Exec(CommandLine::new(["true"])),
        scope: Scope::All,
        severity_min: Severity::Week,
        tell_healed: true,
        fallback: None,
        digest_window: Duration::from_secs(60),
        digest_after: 5,
    }
}

/// A save that is not durable yet, and what waits for it.
#[derive(Debug)]
struct Waiting {
    number: u64,
    records: Vec<Record>,
    effects: Vec<FleetEffect>,
}

/// A controller that runs, or is dead for a moment.
pub(super) struct Controller {
    pub(super) engine: FleetEngine,
    pub(super) disk: Records,
    /// A copy of its disk from some time ago.
    pub(super) copy: Option<Records>,
    pub(super) is_up: bool,
    pub(super) disk_is_full: bool,
    waiting: VecDeque<Waiting>,
    pub(super) unsaved: u64,
}

/// What comes of a step or a save.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Done now.
    pub(super) effects: Vec<FleetEffect>,
    /// A save was begun.
    pub(super) has_begun_save: bool,
}

impl Controller {
    pub(super) fn new(disk: Records, now: Now) -> Self {
        let engine = FleetEngine::new(disk.state(), now).telling_by(vec![route()]);
        let waiting = VecDeque::new();
        Self { engine, disk, copy: None, is_up: true, disk_is_full: false, waiting, unsaved: 0 }
    }

    pub(super) fn step(&mut self, now: Now, input: FleetInput) -> Output {
        let mut output = Output::default();
        for effect in self.engine.step(now, input) {
            match effect {
                FleetEffect::Save { number, records } => {
                    self.waiting.push_back(Waiting { number, records, effects: Vec::new() });
                    output.has_begun_save = true;
                }
                // It may say what an earlier step has changed.
                effect => match self.waiting.back_mut() {
                    Some(last) => last.effects.push(effect),
                    None => output.effects.push(effect),
                },
            }
        }
        output
    }

    /// Whether everything that was changed is durable.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest save has ended.
    pub(super) fn save_ends(&mut self, now: Now) -> Output {
        if self.disk_is_full {
            let Some(first) = self.waiting.front() else { return Output::default() };
            let from = first.number;
            self.waiting.clear();
            self.unsaved += 1;
            return self.step(now, FleetInput::NotSaved { from, why: "disk full".into() });
        }
        let Some(first) = self.waiting.pop_front() else { return Output::default() };
        self.disk.keep(first.records);
        let mut output = self.step(now, FleetInput::Saved { through: first.number });
        output.effects = first.effects.into_iter().chain(output.effects).collect();
        output
    }

    /// It is killed: of what was being saved the first ones may have reached the disk, and nothing that waited is done.
    pub(super) fn is_killed(&mut self, random: &mut Random) {
        self.is_up = false;
        for waiting in std::mem::take(&mut self.waiting) {
            if self.disk_is_full || random.chance(50) {
                break;
            }
            self.disk.keep(waiting.records);
        }
    }

    pub(super) fn starts(&mut self, now: Now) {
        self.is_up = true;
        self.engine = FleetEngine::new(self.disk.state(), now).telling_by(vec![route()]);
    }
}
