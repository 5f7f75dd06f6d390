//! The fake as a bench of the contract. Its clock is paused, so that waiting takes no time.

use ansai_host::fake::{FakeHost, Fault, Machine, Order, UnitSpec};
use ansai_model::{id::UnitName, probe::CommandLine, units::ByteSize};

use crate::checks::{Bench, Deed, Kind};

pub(crate) struct FakeBench {
    host: FakeHost,
}

impl FakeBench {
    pub(crate) fn new() -> Self {
        let mut machine = Machine::new();
        machine.domains().filesystems.mount("/", ByteSize(1 << 30));
        Self { host: FakeHost::new(machine) }
    }
}

impl Bench for FakeBench {
    type Host = FakeHost;

    fn host(&self) -> &FakeHost {
        &self.host
    }

    fn install(&self, unit: &UnitName, kind: Kind) {
        self.host.with(|machine| {
            machine.add(UnitSpec::new(unit.clone()));
            match kind {
                Kind::Daemon => {}
                Kind::NeverReady => machine.inject(Fault::NeverReady(unit.clone())),
                Kind::FailsToStart => {
                    machine.inject(Fault::InvalidConfiguration(unit.clone()));
                    machine.inject(Fault::Crash { unit: unit.clone(), signal: 9 });
                }
            }
        });
    }

    fn watch_missing(&self, _unit: &UnitName) {}

    fn do_now(&self, unit: &UnitName, deed: Deed) {
        let unit = unit.clone();
        self.host.with(|machine| match deed {
            Deed::Crash => machine.inject(Fault::Crash { unit, signal: 9 }),
            Deed::Exit { code } => machine.inject(Fault::Exit { unit, code }),
            Deed::Start => machine.order(Order::Start(unit)),
            Deed::Stop => machine.order(Order::Stop(unit)),
            Deed::Restart => machine.order(Order::Restart(unit)),
            Deed::Mask => machine.order(Order::Mask(unit)),
        });
    }

    fn cut_bus(&self) {
        self.host.with(|machine| machine.inject(Fault::BusGone));
    }

    fn restore_bus(&self) {
        self.host.with(|machine| machine.inject(Fault::BusBack));
    }

    fn has_job(&self, unit: &UnitName) -> bool {
        self.host.with(|machine| machine.has_job(unit))
    }

    fn failing_command(&self) -> CommandLine {
        let command = CommandLine::new(["false"]);
        self.host.with(|machine| machine.fail_command(&command, "no"));
        command
    }
}
