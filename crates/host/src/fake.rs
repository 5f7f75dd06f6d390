//! A small machine as ordinary compiled code: units, jobs, ports, faults; and the port to it.
//!
//! [`Machine`] is pure and gets its time handed in, so that a simulator can run thousands of them; [`FakeHost`] puts one
//! behind [`Host`] with tokio's clock, which a test may pause. It knows no processes and no files but by name.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::{
    action::{Action, ActionOutcome, ActionPlan, ActionRun},
    hint::Hint,
    incident::{Evidence, EvidenceKind, EvidencePart, EvidenceRequest},
    inventory::Inventory,
    observation::Observation,
    probe::Probe,
    text::Text,
};
use futures_util::Stream;
use tokio::{sync::Notify, time::Instant};

use crate::port::Host;

mod act;
mod look;
mod machine;
mod order;

pub(crate) use act::{refused, succeeded};
pub use machine::{Machine, UnitSpec};
pub use order::{Fault, Order};

/// A machine behind the port. A clone is another handle to it.
#[derive(Clone, Debug)]
pub struct FakeHost {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    machine: Mutex<Machine>,
    begun: Instant,
    changed: Notify,
}

impl FakeHost {
    /// Puts a machine behind the port; its time is what passes on tokio's clock from now on.
    ///
    /// # Panics
    /// Outside of a tokio runtime with a clock.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self { inner: Arc::new(Inner { machine: Mutex::new(machine), begun: Instant::now(), changed: Notify::new() }) }
    }

    /// Does something to the machine at this moment, and wakes whoever waits for it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let result = change(&mut self.machine());
        self.inner.changed.notify_waiters();
        result
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        let mut machine = self.inner.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.advance(self.inner.begun.elapsed());
        machine
    }

    /// Waits until `look` finds something; it looks again after every event of the machine.
    async fn wait<T>(&self, mut look: impl FnMut(&mut Machine) -> Option<T>) -> T {
        loop {
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change falls between the two.
            changed.as_mut().enable();
            let next = {
                let mut machine = self.machine();
                if let Some(found) = look(&mut machine) {
                    return found;
                }
                machine.next_event()
            };
            match next {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(self.inner.begun + at) => {}
                },
                None => changed.await,
            }
        }
    }
}

impl Host for FakeHost {
    async fn observe(&self, probe: &Probe, timeout: Duration) -> Observation {
        let takes = self.machine().look_takes(probe, timeout);
        tokio::time::sleep(takes).await;
        self.machine().observe(probe, timeout).with_took(takes)
    }

    async fn perform(&self, run: &ActionRun) -> ActionOutcome {
        self.with(|machine| machine.begin(run));
        self.wait(|machine| machine.ended(run.id)).await
    }

    async fn plan(&self, action: &Action) -> ActionPlan {
        ActionPlan {
            steps: vec![action.describe()],
            refusal: self.machine().objection(action),
            idle: None,
            disruption: action.disruption(),
        }
    }

    async fn gather(&self, request: &EvidenceRequest) -> Vec<Evidence> {
        let machine = self.machine();
        let evidence = |kind, text: String| Evidence::new("the fake", kind, Text::new(text));
        let mut found = Vec::new();
        if request.part == EvidencePart::Lasting {
            return found;
        }
        if let Some(unit) = request.unit.as_ref().filter(|_| request.is_running) {
            found.push(match machine.snapshot(unit).and_then(|unit| unit.main_pid) {
                Some(_) => evidence(EvidenceKind::Resources, "1 processes".to_owned()),
                None => evidence(EvidenceKind::Missing, format!("{unit} runs no process")),
            });
        }
        if let Some(port) = request.port {
            let owner = machine.port_owner(port).unwrap_or_else(|| "nobody".to_owned());
            found.push(evidence(EvidenceKind::Port, format!("{owner} listens on port {port}")));
        }
        found
    }

    async fn inventory(&self) -> Inventory {
        self.machine().inventory()
    }

    fn hints(&self) -> impl Stream<Item = Hint> + Send + Unpin {
        let host = self.clone();
        Box::pin(futures_util::stream::unfold(host, |host| async move {
            let hint = host.wait(Machine::next_hint).await;
            Some((hint, host))
        }))
    }
}
