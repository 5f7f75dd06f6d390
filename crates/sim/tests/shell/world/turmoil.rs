//! What happens to a host while agents live and die on it, and how it is left in peace at the end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use ansai_engine::Input;
use ansai_host::fake::{Fault, Order};
use ansai_model::{
    bundle::Bundle,
    id::{TargetId, UnitName},
    operator::{DrillKind, Operation, OperatorCommand},
    policy::Scope,
};
use tokio::sync::oneshot;

use super::{Alive, Life, World, survived};

/// How long a hold is that ends by itself.
const HOLD_LASTS: Duration = Duration::from_secs(400 * 86_400);

impl World {
    pub(super) async fn something_happens(&mut self, life: &mut Life) -> Result<Alive, String> {
        let_begun_reach_host().await;
        if life.host.killed().is_cancelled() {
            return Ok(Alive::No);
        }
        let name = self.units[usize::try_from(self.random.below(self.units.len() as u64)).unwrap_or(0)].clone();
        let what = self.below(32);
        self.books().note(|| format!("event {what} at {name}"));
        match what {
            0..8 => self.inject(Fault::Crash { unit: name, signal: 9 }),
            // What stops everything does not last long, or nothing else would be seen.
            8..16 if self.bus_is_gone => {
                self.bus_is_gone = false;
                self.inject(Fault::BusBack);
            }
            8 => self.inject(Fault::Exit { unit: name, code: 0 }),
            9 | 10 => self.inject(Fault::Hang(name)),
            11 => {
                let after = Duration::from_millis(self.random.below(20_000));
                let times = self.below(4);
                self.inject(Fault::Loop { unit: name, after, times });
            }
            12 => self.inject(Fault::LosesNextOutcome),
            13 => self.fake.with(|machine| machine.order(Order::Stop(name))),
            14 => self.fake.with(|machine| machine.order(Order::Start(name))),
            15 => {
                self.bus_is_gone = true;
                self.inject(Fault::BusGone);
            }
            16 | 17 if self.disk_is_full => self.fill_disk(false),
            16 => self.fill_disk(true),
            // By hours, as somebody sets it; by years, as a host does whose battery is empty.
            17 => {
                let hours = i64::try_from(self.random.below(14_400_000)).unwrap_or(0) - 7_200_000;
                self.time.jump(if self.random.chance(50) { hours } else { 8_766 * hours });
            }
            18..21 if self.hold_file().exists() => self.turn_hold_file(),
            18 => self.turn_hold_file(),
            19 => return self.turn_hold(life).await,
            20 => {
                let slow = Duration::from_millis(self.random.below(3_000));
                self.inject(Fault::Slow(slow));
            }
            21 | 22 if self.is_port_taken => self.take_port(false),
            21 => self.inject(Fault::Slow(Duration::ZERO)),
            22 => self.take_port(true),
            24 => self.inject(Fault::InvalidConfiguration(name)),
            23 => self.fake.with(|machine| machine.order(Order::MendConfiguration(name))),
            26 => self.inject(Fault::Crash { unit: name, signal: 11 }),
            27 => self.inject(Fault::WrongAnswer { unit: name, status: 500 }),
            28 => self.fake.with(|machine| machine.order(Order::BeginPackages)),
            25 | 29 => self.fake.with(|machine| machine.order(Order::EndPackages)),
            30 => return self.apply_other_configuration(life),
            _ => return self.ask_for(life, &name),
        }
        Ok(Alive::Yes)
    }

    /// The configuration is read anew, and a target has left it or is there again. Somebody who is behind sends the one
    /// before as well, which changes nothing.
    fn apply_other_configuration(&mut self, life: &mut Life) -> Result<Alive, String> {
        let before = self.bundle.clone();
        let mut next = if self.has_mail { self.bundles.1.clone() } else { self.bundles.0.clone() }.into_parts();
        next.generation = before.parts().generation + 1;
        self.bundle = Bundle::new(next).map_err(|errors| format!("{errors:?}"))?;
        self.has_mail = !self.has_mail;
        if self.step(life, vec![Input::Apply(Box::new(self.bundle.clone()))])? == Alive::No {
            return Ok(Alive::No);
        }
        let is_alive = self.step(life, vec![Input::Apply(Box::new(before))])?;
        match life.shell.engine().bundle() == &self.bundle {
            true => Ok(is_alive),
            false => Err("an older configuration came into force".to_owned()),
        }
    }

    /// An operator wants something healed, or broken, now.
    fn ask_for(&mut self, life: &mut Life, unit: &UnitName) -> Result<Alive, String> {
        let target = TargetId::new(format!("service/{unit}")).map_err(|error| error.to_string())?;
        let operation = match self.random.chance(50) {
            true => Operation::Heal { target },
            false => Operation::Drill { target, kind: DrillKind::Crash },
        };
        Ok(operate(life, operation)?.0)
    }

    fn take_port(&mut self, is_taken: bool) {
        self.is_port_taken = is_taken;
        self.inject(if is_taken { Fault::PortTaken(5432) } else { Fault::PortReleased(5432) });
    }

    fn fill_disk(&mut self, is_full: bool) {
        self.disk_is_full = is_full;
        self.disk.set_full(is_full);
    }

    fn inject(&self, fault: Fault) {
        self.fake.with(|machine| machine.inject(fault));
    }

    fn hold_file(&self) -> std::path::PathBuf {
        self.folder.path().join("HOLD")
    }

    fn turn_hold_file(&self) {
        let file = self.hold_file();
        match file.exists() {
            true => std::fs::remove_file(&file).expect("it is there"),
            false => std::fs::write(&file, "sim").expect("a file"),
        }
        self.tell_held();
    }

    fn tell_held(&self) {
        let has_file = self.hold_file().exists();
        let mut books = self.books();
        books.is_held = books.has_acknowledged_hold || has_file;
    }

    /// An operator holds everything, or releases it; only what is answered with "done" counts.
    async fn turn_hold(&mut self, life: &mut Life) -> Result<Alive, String> {
        if self.books().has_acknowledged_hold {
            return self.release(life);
        }
        // Longer than all lives together: whatever the wall clock is set to, it does not end before it is released.
        let until = self.random.chance(50).then(|| self.time.wall_time().plus(HOLD_LASTS));
        let hold = Operation::Hold { scope: Scope::All, reason: "sim".into(), until };
        let (alive, is_done) = operate(life, hold)?;
        let_begun_reach_host().await;
        if is_done {
            self.books().has_acknowledged_hold = true;
            self.tell_held();
        }
        Ok(alive)
    }

    pub(super) fn release(&mut self, life: &mut Life) -> Result<Alive, String> {
        self.books().has_acknowledged_hold = false;
        self.tell_held();
        let (alive, _) = operate(life, Operation::Release { scope: Scope::All })?;
        Ok(alive)
    }

    pub(super) async fn between_lives(&mut self) {
        if self.random.chance(60) {
            tokio::time::advance(Duration::from_secs(self.random.below(1_200))).await;
        }
        if self.random.chance(8) {
            self.time.reboot();
        }
    }

    /// All faults end, everything is started by hand, and nothing is held.
    pub(super) async fn make_peace(&mut self) {
        self.fill_disk(false);
        self.fake.with(|machine| machine.order(Order::EndPackages));
        for unit in self.units.clone() {
            self.fake.with(|machine| machine.order(Order::MendConfiguration(unit)));
        }
        let faults = [Fault::BusBack, Fault::Slow(Duration::ZERO), Fault::PortReleased(5432)];
        faults.into_iter().for_each(|fault| self.inject(fault));
        if self.hold_file().exists() {
            std::fs::remove_file(self.hold_file()).expect("it is there");
        }
        self.tell_held();
        // Whoever dies again and again has done so by then.
        for _ in 0..8 {
            for unit in self.units.clone() {
                self.fake.with(|machine| machine.order(Order::Restart(unit)));
                tokio::time::advance(Duration::from_secs(30)).await;
            }
        }
    }
}

/// An operator asks for something; says whether it is done, and saved.
fn operate(life: &mut Life, operation: Operation) -> Result<(Alive, bool), String> {
    let (reply, mut answer) = oneshot::channel();
    let command = OperatorCommand { by: "sim".into(), operation };
    let alive = survived(catch_unwind(AssertUnwindSafe(|| life.shell.operate(command, reply))))?;
    Ok((alive, matches!(answer.try_recv(), Ok(Ok(_)))))
}

/// What was begun in a step before is no new action.
async fn let_begun_reach_host() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}
