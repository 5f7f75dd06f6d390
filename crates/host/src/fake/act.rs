//! What is done to the fake machine: our actions, the faults, and people's orders.

use std::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    hint::Hint,
    id::{RunId, UnitName},
    operator::DrillKind,
    probe::CommandLine,
    text::Text,
    unit::{ActiveState, Exit, HostActivity, Intent, LoadState, OwnSignal, Sender, UnitResult},
};

use super::{
    machine::{Event, Loops, Machine},
    order::{Fault, Order},
};
use crate::linux::domain;

/// The limit of every unit for its own start and stop.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long a drill keeps a port taken.
const PORT_DRILL: Duration = Duration::from_secs(15);

fn is_down(active: ActiveState) -> bool {
    matches!(active, ActiveState::Inactive | ActiveState::Failed)
}

pub(crate) fn succeeded(note: impl Into<Text>) -> Option<ActionOutcome> {
    Some(ActionOutcome::Succeeded { note: note.into() })
}

fn not_needed(why: impl Into<Text>) -> Option<ActionOutcome> {
    Some(ActionOutcome::NotNeeded { why: why.into() })
}

fn failed(why: impl Into<Text>) -> Option<ActionOutcome> {
    Some(ActionOutcome::Failed { why: why.into() })
}

pub(crate) fn refused(why: impl Into<Text>) -> Option<ActionOutcome> {
    Some(ActionOutcome::Refused { why: why.into() })
}

impl Machine {
    /// Begins an action; [`Machine::ended`] says when it has ended, as time passes.
    pub fn begin(&mut self, run: &ActionRun) {
        if std::mem::take(&mut self.loses_next) {
            self.lost.insert(run.id);
        }
        if let Some(outcome) = self.perform(run) {
            self.finish(run.id, outcome);
        }
    }

    /// How an action ended, once, when it has.
    pub fn ended(&mut self, run: RunId) -> Option<ActionOutcome> {
        self.outcomes.remove(&run)
    }

    /// The outcome, unless it comes later.
    fn perform(&mut self, run: &ActionRun) -> Option<ActionOutcome> {
        match &run.action {
            Action::Validate { command } => self.run_command(command, "the configuration is valid"),
            Action::Exec { command, .. } => self.run_command(command, "ran"),
            Action::SaveConfiguration { unit, .. } => self.save(unit),
            Action::RestoreConfiguration { unit, .. } => self.restore(unit),
            Action::FreePort { unit, port } => self.free_port(unit, *port),
            Action::EnsureEnvironment { .. } => not_needed("all is as declared"),
            Action::ResetFailed { unit } => self.unit_action(unit, Machine::reset_failed),
            Action::StartUnit { unit } => self.job(unit, run, Machine::begin_start),
            Action::RestartUnit { unit } => self.job(unit, run, Machine::begin_restart),
            Action::ReloadUnit { unit } => self.unit_action(unit, |machine, unit| match machine.active(unit) {
                ActiveState::Active => succeeded(format!("{unit} reloaded")),
                _ => failed("systemd's job ended with `failed`"),
            }),
            Action::StopUnit { unit } => self.job(unit, run, Machine::begin_stop),
            Action::KillUnit { unit } => self.unit_action(unit, |machine, unit| {
                if is_down(machine.active(unit)) {
                    return not_needed("nothing to kill");
                }
                machine.change(unit, |unit| unit.gets = Some(OwnSignal { signal: 9, by: Sender::Remedy }));
                machine.end(unit, Exit::Signal(9));
                succeeded(format!("all processes of {unit} killed"))
            }),
            Action::Domain(action) => domain::acts(action).pretend(self),
            Action::StartProcess { process } => {
                self.processes.insert(process.name.clone());
                succeeded(format!("{} started", process.name))
            }
            Action::StopProcess { process } => match self.processes.remove(&process.name) {
                true => succeeded(format!("{} stopped", process.name)),
                false => not_needed("it does not run"),
            },
            Action::Drill { unit, kind, port, .. } => {
                let (kind, port) = (*kind, *port);
                match self.unit_action(unit, |machine, unit| machine.drill_action(unit, kind, port)) {
                    // Nothing was there to be broken.
                    Some(ActionOutcome::Failed { why }) => refused(why),
                    outcome => outcome,
                }
            }
        }
    }

    pub(crate) fn runs(&self, unit: &UnitName) -> bool {
        self.active(unit) == ActiveState::Active
    }

    fn active(&self, unit: &UnitName) -> ActiveState {
        self.units.get(unit).map_or(ActiveState::Inactive, |unit| unit.active)
    }

    /// An action that goes over the bus.
    pub(crate) fn unit_action(
        &mut self,
        unit: &UnitName,
        act: impl FnOnce(&mut Self, &UnitName) -> Option<ActionOutcome>,
    ) -> Option<ActionOutcome> {
        if self.is_bus_gone {
            return Some(ActionOutcome::Lost { why: "the connection was closed".into() });
        }
        if self.units.get(unit).is_some_and(|unit| unit.vanishes) {
            self.units.remove(unit);
        }
        match self.units.get(unit).map(|unit| unit.load) {
            None => failed(format!("systemd says: Unit {unit} not found.")),
            Some(LoadState::Masked) => failed(format!("systemd says: Unit {unit} is masked.")),
            Some(_) => act(self, unit),
        }
    }

    /// An action that is a job, which has a deadline.
    fn job(
        &mut self,
        unit: &UnitName,
        run: &ActionRun,
        begin: fn(&mut Self, &UnitName, RunId) -> Option<ActionOutcome>,
    ) -> Option<ActionOutcome> {
        let outcome = self.unit_action(unit, |machine, unit| begin(machine, unit, run.id));
        if outcome.is_none() {
            self.waiting.insert(run.id, unit.clone());
            let within = run.timeout.min(START_LIMIT);
            self.plan(within, Event::Deadline(run.id, within));
        }
        outcome
    }

    fn begin_start(&mut self, unit: &UnitName, run: RunId) -> Option<ActionOutcome> {
        if self.active(unit) == ActiveState::Active {
            return succeeded(format!("{unit} started"));
        }
        self.supersede(unit);
        self.start(unit, Some(run));
        None
    }

    fn begin_restart(&mut self, unit: &UnitName, run: RunId) -> Option<ActionOutcome> {
        self.supersede(unit);
        self.start(unit, Some(run));
        None
    }

    fn begin_stop(&mut self, unit: &UnitName, run: RunId) -> Option<ActionOutcome> {
        if is_down(self.active(unit)) {
            return succeeded(format!("{unit} stopped"));
        }
        self.supersede(unit);
        self.stop(unit, Some(run));
        None
    }

    /// A new job takes the place of the one before, which is canceled.
    fn supersede(&mut self, unit: &UnitName) {
        let job = self.units.get_mut(unit).and_then(|unit| unit.job.take());
        if let Some(run) = job.and_then(|job| job.run) {
            self.finish(run, ActionOutcome::Failed { why: "systemd's job ended with `canceled`".into() });
        }
    }

    fn reset_failed(&mut self, unit: &UnitName) -> Option<ActionOutcome> {
        if self.active(unit) == ActiveState::Failed {
            self.set(unit, ActiveState::Inactive, "dead");
            if let Some(unit) = self.units.get_mut(unit) {
                unit.result = UnitResult::Success;
            }
        }
        succeeded(format!("failed state of {unit} reset"))
    }

    fn run_command(&self, command: &CommandLine, done: &str) -> Option<ActionOutcome> {
        let broken =
            self.units.iter().find(|(_, unit)| unit.spec.validator.as_ref() == Some(command) && !unit.is_valid);
        if let Some((unit, _)) = broken {
            return failed(format!("`{}` ended with code 1: the configuration of {unit} is invalid", command.shown()));
        }
        match self.failing_commands.get(&command.argv.join(" ")) {
            Some(said) => failed(format!("`{}` ended with code 1: {said}", command.shown())),
            None => succeeded(done),
        }
    }

    fn save(&mut self, name: &UnitName) -> Option<ActionOutcome> {
        let unit = self.units.get_mut(name)?;
        unit.has_saved = true;
        succeeded(format!("the configuration of {name} is kept"))
    }

    fn restore(&mut self, name: &UnitName) -> Option<ActionOutcome> {
        let Some(unit) = self.units.get_mut(name).filter(|unit| unit.has_saved) else {
            return not_needed("no configuration was kept");
        };
        unit.is_valid = true;
        succeeded(format!("the last known good configuration of {name} is back"))
    }

    fn free_port(&mut self, name: &UnitName, port: u16) -> Option<ActionOutcome> {
        if self.is_bus_gone {
            return refused(format!("it is not known whether {name} is running"));
        }
        if self.taken_ports.contains(&port) {
            return refused(format!("port {port} is held by pid 4711 (squatter, no unit), so it was not touched"));
        }
        match self.units.get_mut(name) {
            Some(unit) if unit.leaves_port && unit.spec.port == Some(port) => {
                unit.leaves_port = false;
                succeeded(format!("port {port} freed from leftovers of {name}"))
            }
            Some(_) | None => not_needed(format!("nothing listens on port {port}")),
        }
    }

    /// Why an action would be refused now.
    pub(super) fn objection(&self, action: &Action) -> Option<Text> {
        match action {
            Action::Drill { unit, kind, port, .. } => self.objection_to_drill(unit, *kind, *port),
            _ => None,
        }
    }

    fn objection_to_drill(&self, unit: &UnitName, kind: DrillKind, port: Option<u16>) -> Option<Text> {
        let has_port = port.or(self.units.get(unit).and_then(|unit| unit.spec.port)).is_some();
        match kind {
            _ if self.active(unit) != ActiveState::Active => Some(Text::new(format!("{unit} is not active"))),
            DrillKind::Port if !has_port => Some(Text::new(format!("{unit} declares no port"))),
            _ => None,
        }
    }

    fn drill_action(&mut self, unit: &UnitName, kind: DrillKind, port: Option<u16>) -> Option<ActionOutcome> {
        if let Some(why) = self.objection_to_drill(unit, kind, port) {
            return refused(why);
        }
        let signal = if kind == DrillKind::Exit { 15 } else { 9 };
        let by_drill = Some(OwnSignal { signal, by: Sender::Drill });
        self.change(unit, |unit| unit.gets = by_drill.filter(|_| kind != DrillKind::Hang));
        self.drill(unit, kind);
        succeeded(format!("drill `{}` injected into {unit}", kind.as_str()))
    }

    fn drill(&mut self, name: &UnitName, kind: DrillKind) {
        let port = self.units.get(name).and_then(|unit| unit.spec.port);
        match kind {
            DrillKind::Hang => return self.change(name, |unit| unit.is_hung = true),
            DrillKind::Exit => return self.end(name, Exit::Code(0)),
            DrillKind::Port => self.taken_ports.extend(port),
            DrillKind::Configuration => self.change(name, |unit| unit.is_valid = false),
            DrillKind::Loop => self.change(name, |unit| {
                unit.loops = Some(Loops { after: Duration::from_millis(20), times: 1, by: unit.gets });
            }),
            DrillKind::Crash => {}
        }
        self.end(name, Exit::Signal(9));
        if let (DrillKind::Port, Some(port)) = (kind, port) {
            self.plan(PORT_DRILL, Event::PortReleased(port));
        }
    }

    fn change(&mut self, name: &UnitName, change: impl FnOnce(&mut super::machine::Unit)) {
        if let Some(unit) = self.units.get_mut(name) {
            change(unit);
        }
    }

    /// Something goes wrong now.
    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { unit, signal } => self.end(&unit, Exit::Signal(signal)),
            Fault::Exit { unit, code } => self.end(&unit, Exit::Code(code)),
            Fault::Hang(unit) => self.change(&unit, |unit| unit.is_hung = true),
            Fault::WrongAnswer { unit, status } => self.change(&unit, |unit| unit.status = status),
            Fault::Loop { unit, after, times } => {
                self.change(&unit, |unit| unit.loops = Some(Loops { after, times, by: None }));
            }
            Fault::NeverReady(unit) => self.change(&unit, |unit| unit.never_ready = true),
            Fault::PortTaken(port) => {
                self.taken_ports.insert(port);
            }
            Fault::Leftover(unit) => self.change(&unit, |unit| unit.leaves_port = true),
            Fault::PortReleased(port) => {
                self.taken_ports.remove(&port);
            }
            Fault::InvalidConfiguration(unit) => self.change(&unit, |unit| unit.is_valid = false),
            Fault::BusGone => self.lose_bus(),
            Fault::BusBack => {
                self.is_bus_gone = false;
                self.push_hint(Hint::Everything);
            }
            Fault::Slow(slow) => self.slow = slow,
            Fault::VanishesInAction(unit) => self.change(&unit, |unit| unit.vanishes = true),
            Fault::LosesNextOutcome => self.loses_next = true,
            Fault::Drill { unit, kind } => self.drill(&unit, kind),
        }
    }

    /// What was seen of intents is forgotten, and who waits for a job is told.
    fn lose_bus(&mut self) {
        self.is_bus_gone = true;
        self.units.values_mut().for_each(|unit| unit.intent = Intent::Unknown);
        let waiting: Vec<RunId> = self.waiting.keys().copied().collect();
        for run in waiting {
            self.finish(run, ActionOutcome::Lost { why: "the connection was closed".into() });
        }
        for unit in self.units.values_mut() {
            if let Some(job) = &mut unit.job {
                job.run = None;
            }
        }
    }

    /// A person does something now.
    pub fn order(&mut self, order: Order) {
        match order {
            Order::Start(unit) => {
                if self.active(&unit) != ActiveState::Active {
                    self.order_job(&unit, Self::start);
                }
            }
            Order::Restart(unit) => self.order_job(&unit, Self::start),
            Order::Stop(unit) => self.order_stop(&unit),
            Order::Mask(unit) => {
                self.order_stop(&unit);
                self.change(&unit, |unit| unit.load = LoadState::Masked);
            }
            Order::Unmask(unit) => self.change(&unit, |unit| unit.load = LoadState::Loaded),
            Order::MendConfiguration(unit) => self.change(&unit, |unit| unit.is_valid = true),
            Order::BeginPackages => self.activity = HostActivity::ChangingPackages,
            Order::EndPackages => {
                self.activity = HostActivity::Normal;
                self.push_hint(Hint::Units);
            }
            Order::ShutDown => {
                self.activity = HostActivity::ShuttingDown;
                let units: Vec<UnitName> = self.units.keys().cloned().collect();
                units.iter().for_each(|unit| self.order_stop(unit));
            }
        }
    }

    fn order_job(&mut self, unit: &UnitName, begin: fn(&mut Self, &UnitName, Option<RunId>)) {
        if self.units.get(unit).is_some_and(|unit| unit.load == LoadState::Loaded) {
            self.supersede(unit);
            begin(self, unit, None);
        }
    }

    /// A stop of what is down is a wish as well.
    fn order_stop(&mut self, unit: &UnitName) {
        if !is_down(self.active(unit)) {
            return self.order_job(unit, Self::stop);
        }
        let is_heard = !self.is_bus_gone;
        self.change(unit, |unit| unit.intent = if is_heard { Intent::Stopped } else { Intent::Unknown });
        self.push_hint(Hint::Unit(unit.clone()));
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{observation::Health, probe::Probe, unit::UnitExpectation};

    use super::*;
    use crate::fake::UnitSpec;

    #[test]
    fn the_same_orders_give_the_same_machine_however_time_is_cut() {
        let name = UnitName::new("a.service").expect("valid");
        let story = |cut: Duration| {
            let mut machine = Machine::new();
            machine.add(UnitSpec::new(name.clone()).port(80).restarts_on_failure());
            machine.inject(Fault::Loop { unit: name.clone(), after: Duration::from_millis(70), times: 3 });
            machine.inject(Fault::Crash { unit: name.clone(), signal: 9 });
            let end = Duration::from_secs(1);
            while machine.now() < end {
                machine.advance((machine.now() + cut).min(end));
            }
            machine.snapshot(&name).expect("the bus is there")
        };
        let whole = story(Duration::from_secs(9));
        assert_eq!(whole.restarts, 4);
        assert_eq!(story(Duration::from_millis(1)), whole);
    }

    #[test]
    fn a_bus_that_is_gone_is_unknown_and_nothing_is_told() {
        let name = UnitName::new("a.service").expect("valid");
        let mut machine = Machine::new();
        machine.add(UnitSpec::new(name.clone()));
        while machine.next_hint().is_some() {}
        machine.inject(Fault::BusGone);
        machine.inject(Fault::Exit { unit: name.clone(), code: 0 });
        let probe = Probe::Unit { unit: name.clone(), expect: UnitExpectation::Running };
        assert_eq!(machine.observe(&probe, Duration::from_secs(1)).health(), Health::Unknown);
        assert_eq!(machine.next_hint(), None);
        machine.inject(Fault::BusBack);
        assert_eq!(machine.next_hint(), Some(Hint::Everything));
        assert_eq!(machine.observe(&probe, Duration::from_secs(1)).health(), Health::Unknown);
    }
}
