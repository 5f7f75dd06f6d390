//! The memory of the fake machine's units: each holds the same always, and gives it back when asked in a way that it knows.

use ansai_model::{
    action::ActionOutcome,
    domain::{
        Deed,
        memory::{LimitKind, MemoryAction, MemoryLimit, MemoryProbe, MemorySnapshot, Release, ReleaseSignal, judge},
    },
    observation::Observation,
    units::ByteSize,
};

use crate::fake::{Machine, refused, succeeded};

/// What every unit holds in memory.
const HELD: ByteSize = ByteSize(64 << 20);

/// What a unit holds, looked at once.
pub(super) fn held(machine: &Machine, probe: &MemoryProbe) -> Observation {
    let Some(unit) = machine.snapshot(&probe.unit) else {
        return Observation::unknown("systemd does not answer on D-Bus: the connection was closed");
    };
    let seen = machine.runs(&probe.unit).then(|| MemorySnapshot {
        resident: HELD,
        used: HELD,
        limits: probe.limit.map(|at| MemoryLimit { at, kind: LimitKind::Declared }).into_iter().collect(),
        // The fake counts its runs.
        life: unit.invocation.as_ref().and_then(|run| u64::from_str_radix(run.as_str(), 16).ok()),
        ..MemorySnapshot::default()
    });
    judge(seen.as_ref())
}

/// What is done about it.
pub(super) fn give_back(machine: &mut Machine, action: &MemoryAction) -> Option<ActionOutcome> {
    let (MemoryAction::Release { unit, .. } | MemoryAction::Limit { unit, .. }) = action;
    machine.unit_action(unit, |machine, unit| match (machine.runs(unit), action) {
        (true, MemoryAction::Release { how: Release::Signal(ReleaseSignal::Winch), .. }) => {
            refused(format!("the main process of {unit} does not catch SIGWINCH, so it was not sent"))
        }
        (true, _) => succeeded(action.describe()),
        (false, _) => refused(format!("{unit} has no main process")),
    })
}
