//! The host as one life of the agent sees it: the fake, which outlives it. Every action is written into the books when
//! it begins, and the agent may be killed just before or just after.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_agent::clock::Clock;
use ansai_host::{fake::FakeHost, port::Host};
use ansai_model::{
    action::{Action, ActionOutcome, ActionPlan, ActionRun},
    hint::Hint,
    incident::{Evidence, EvidenceRequest},
    inventory::Inventory,
    observation::{Health, Observation},
    probe::Probe,
};
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use crate::books::Books;

/// When the agent is killed on the host's side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KillPoint {
    /// An action was asked for, after so many, and has not begun.
    BeforeAction(u32),
    /// It has just begun.
    InAction(u32),
    /// A look has ended, after so many, and nobody was told.
    Look(u32),
}

/// The fake for one life.
#[derive(Clone, Debug)]
pub(crate) struct SimHost {
    fake: FakeHost,
    clock: Clock,
    books: Arc<Mutex<Books>>,
    moment: Arc<Mutex<Option<KillPoint>>>,
    killed: CancellationToken,
}

impl SimHost {
    pub(crate) fn new(fake: FakeHost, clock: Clock, books: Arc<Mutex<Books>>, moment: Option<KillPoint>) -> Self {
        Self { fake, clock, books, moment: Arc::new(Mutex::new(moment)), killed: CancellationToken::new() }
    }

    /// Cancelled when the agent is dead.
    pub(crate) fn killed(&self) -> &CancellationToken {
        &self.killed
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the moment; counts down otherwise.
    fn is_it(&self, left: impl FnOnce(&mut KillPoint) -> Option<&mut u32>) -> bool {
        let mut moment = self.moment.lock().unwrap_or_else(PoisonError::into_inner);
        match moment.as_mut().and_then(left) {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn lost(&self) -> ActionOutcome {
        self.killed.cancel();
        ActionOutcome::Lost { why: "nobody is there to be told".into() }
    }
}

impl Host for SimHost {
    async fn observe(&self, probe: &Probe, timeout: Duration) -> Observation {
        let observation = tokio::select! {
            biased;
            () = self.killed.cancelled() => return Observation::unknown("nobody is there to be told"),
            observation = self.fake.observe(probe, timeout) => observation,
        };
        if self.is_it(|moment| if let KillPoint::Look(left) = moment { Some(left) } else { None }) {
            self.killed.cancel();
        }
        let mut books = self.books();
        if observation.health() != Health::Healthy {
            books.note(|| format!("{:?}: {:?}: {}", probe, observation.health(), observation.summary()));
        }
        books.looked(&observation, probe);
        // Only what an incident waits for is looked at with so much time.
        if let (Probe::Tcp { port, .. }, true) = (probe, timeout >= Duration::from_secs(10)) {
            books.shown_port(self.clock.now(), *port, &observation);
        }
        observation
    }

    async fn perform(&self, run: &ActionRun) -> ActionOutcome {
        if self.killed.is_cancelled()
            || self.is_it(|moment| if let KillPoint::BeforeAction(left) = moment { Some(left) } else { None })
        {
            return self.lost();
        }
        self.books().begins(self.clock.now(), run);
        let action = self.fake.perform(run);
        tokio::pin!(action);
        if self.is_it(|moment| if let KillPoint::InAction(left) = moment { Some(left) } else { None }) {
            // The machine hears of it at the first poll, and goes on without us.
            let _ = futures_util::poll!(action.as_mut());
            return self.lost();
        }
        tokio::select! {
            biased;
            () = self.killed.cancelled() => self.lost(),
            outcome = action => {
                self.books().ended(run.id, &outcome);
                outcome
            }
        }
    }

    async fn plan(&self, action: &Action) -> ActionPlan {
        self.fake.plan(action).await
    }

    async fn gather(&self, request: &EvidenceRequest) -> Vec<Evidence> {
        self.fake.gather(request).await
    }

    async fn inventory(&self) -> Inventory {
        self.fake.inventory().await
    }

    fn hints(&self) -> impl Stream<Item = Hint> + Send + Unpin {
        self.fake.hints()
    }
}
