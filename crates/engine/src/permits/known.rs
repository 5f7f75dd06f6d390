//! What is known of permits beside the ledger, to be read by whoever gets a view. What is done with it stands in `permits`.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use ansai_model::{
    id::{IncidentId, PermitId, TargetId},
    permit::{LinkStanding, PermitsSaid},
    text::Text,
    time::MonoTime,
};

/// What is known of permits beside the ledger: it is known again after a restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permits {
    /// How it stands with the controller; none when the host has joined none.
    pub(crate) link: Option<LinkStanding>,
    pub(super) wants: BTreeMap<IncidentId, Want>,
    /// The newest permit that was heard of.
    pub(super) through: PermitId,
    /// The number of the last message.
    pub(super) number: u64,
    /// When the agent began to look; none once each check has been looked at.
    pub(super) looks_since: Option<MonoTime>,
    /// When the last messages were made, by their numbers.
    pub(super) made: VecDeque<(u64, MonoTime)>,
    /// What was said last, on which link, without its number and without how long things wait.
    pub(super) said: Option<(u64, PermitsSaid)>,
}

/// Something that waits to be allowed.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(super) target: TargetId,
    pub(super) what: Text,
    pub(super) since: MonoTime,
    /// How long its steps may take.
    pub(super) acts: Duration,
    /// Until it is known whether it helped.
    pub(super) lasts: Duration,
    /// Why it is not allowed, as the controller says.
    pub(super) why: Option<Text>,
}

impl Permits {
    /// Why the controller has not permitted it, when it has said so.
    pub(crate) fn reason(&self, id: IncidentId) -> Option<&Text> {
        self.wants.get(&id)?.why.as_ref()
    }

    /// Whether an incident waits for a permit.
    pub(crate) fn is_wanted(&self, id: IncidentId) -> bool {
        self.wants.contains_key(&id)
    }
}
