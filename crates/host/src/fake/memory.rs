//! The memory of the fake machine's units: each holds the same always, and gives it back when asked in a way that it knows.

use ansai_model::{
    action::ActionOutcome,
    domain::{
        Deed,
        memory::{self, LimitKind, MemoryAction, MemoryLimit, MemoryProbe, MemorySnapshot, Release, ReleaseSignal},
    },
    observation::Observation,
    units::ByteSize,
};

use super::{
    act::{refused, succeeded},
    machine::Machine,
};

/// What every unit holds in memory.
const HELD: ByteSize = ByteSize(64 << 20);

impl Machine {
    /// What a unit holds, looked at once.
    pub(crate) fn held(&self, probe: &MemoryProbe) -> Observation {
        if self.is_bus_gone {
            return Observation::unknown("systemd does not answer on D-Bus: the connection was closed");
        }
        let seen = self.units.get(&probe.unit).filter(|_| self.runs(&probe.unit)).map(|unit| MemorySnapshot {
            resident: HELD,
            used: HELD,
            limits: probe.limit.map(|at| MemoryLimit { at, kind: LimitKind::Declared }).into_iter().collect(),
            life: Some(u64::from(unit.runs)),
            ..MemorySnapshot::default()
        });
        memory::judge(seen.as_ref())
    }

    /// What is done about it.
    pub(crate) fn give_back(&mut self, action: &MemoryAction) -> Option<ActionOutcome> {
        let (MemoryAction::Release { unit, .. } | MemoryAction::Limit { unit, .. }) = action;
        self.unit_action(unit, |machine, unit| match (machine.runs(unit), action) {
            (true, MemoryAction::Release { how: Release::Signal(ReleaseSignal::Winch), .. }) => {
                refused(format!("the main process of {unit} does not catch SIGWINCH, so it was not sent"))
            }
            (true, _) => succeeded(action.describe()),
            (false, _) => refused(format!("{unit} has no main process")),
        })
    }
}
