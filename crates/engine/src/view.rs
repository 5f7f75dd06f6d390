//! What may be looked at: gates, conditions, explanations and invariants get this and cannot change anything with it.
//! Each question that it answers stands beside what it is about, as an `impl View` there.

use alloc::{boxed::Box, collections::BTreeMap};

use ansai_model::{
    bundle::Bundle,
    condition::Value,
    id::{IncidentId, TargetId},
    incident::Incident,
    text::Text,
    time::{MonoTime, Now},
};

use crate::{
    checks::Checks,
    permits::known::Permits,
    state::{Depth, State, TargetMemory},
};

/// Everything that is known at one moment, to be read. It is `Copy`, so it can hold nothing by which it could be changed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(crate) now: Now,
    pub(crate) bundle: &'a Bundle,
    pub(crate) state: &'a State,
    pub(crate) checks: &'a Checks,
    pub(crate) outside: &'a Outside,
}

/// What the shell says of the host, beside what the checks see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    pub(crate) facts: BTreeMap<Box<str>, Value>,
    pub(crate) hold_file: Option<Text>,
    pub(crate) ledger_trouble: Option<Text>,
    /// Why the controller has the host begin nothing, and until when.
    pub(crate) stands_back: Option<(Text, MonoTime)>,
    /// What is wanted of the controller, and how it stands with it.
    pub(crate) permits: Permits,
}

impl<'a> View<'a> {
    /// An open incident.
    pub(crate) fn incident(self, id: IncidentId) -> Option<&'a Incident> {
        self.state.incidents.get(&id)
    }

    /// What is remembered of a target across incidents.
    pub(crate) fn memory(self, target: &TargetId) -> Option<&'a TargetMemory> {
        self.state.targets.get(target)
    }

    /// How much of each target is remembered under this bundle.
    pub(crate) fn depth(self) -> Depth {
        Depth::of(self.bundle.parts().checks.len())
    }
}
