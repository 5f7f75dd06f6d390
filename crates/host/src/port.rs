//! The port: what an agent may ask of its machine. No type of an OS library appears here.
//!
//! No method returns an error: not being able to look is an unknown observation, and an action always has an outcome.

use std::{future::Future, time::Duration};

use ansai_model::{
    action::{Action, ActionOutcome, ActionPlan, ActionRun},
    hint::Hint,
    incident::{Evidence, EvidenceRequest},
    inventory::Inventory,
    observation::Observation,
    probe::Probe,
};
use futures_util::Stream;

/// A machine that can be looked at and acted on. A clone is another handle to the same machine.
pub trait Host: Clone + Send + Sync + 'static {
    /// Observes once; never changes the host; ends within `timeout` (a look that does not end in time is unknown for a
    /// unit and failing for what has to answer).
    fn observe(&self, probe: &Probe, timeout: Duration) -> impl Future<Output = Observation> + Send;

    /// Performs an action once; ends within the run's time-out plus a short grace.
    fn perform(&self, run: &ActionRun) -> impl Future<Output = ActionOutcome> + Send;

    /// Says what an action would do, or why it would be refused, without doing it: it only reads.
    fn plan(&self, action: &Action) -> impl Future<Output = ActionPlan> + Send;

    /// Collects evidence, redacted and bounded; what could not be looked at is listed as missing.
    fn gather(&self, request: &EvidenceRequest) -> impl Future<Output = Vec<Evidence>> + Send;

    /// Says what the host is and has.
    fn inventory(&self) -> impl Future<Output = Inventory> + Send;

    /// Wake-ups, until the stream is dropped. When their source was away, it says [`Hint::Everything`].
    fn hints(&self) -> impl Stream<Item = Hint> + Send + Unpin;
}
