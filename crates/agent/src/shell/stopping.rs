//! How a shell ends: what is under way may end, what came of it is saved, and nothing new is begun.

use std::time::Duration;

use ansai_engine::{Effect, Input};
use ansai_host::port::Host;
use tokio::sync::mpsc;

use super::{Shell, not_started};
use crate::ledger::Store;

impl<H: Host, S: Store> Shell<H, S> {
    /// No new effects for at most `wait`; what is under way may end, and its outcome is saved. A kill at any moment is
    /// safe too.
    pub async fn wind_down(&mut self, mut results: mpsc::Receiver<Input>, wait: Duration) {
        let deadline = tokio::time::Instant::now() + wait;
        while !self.engine.state().runs.is_empty() {
            match tokio::time::timeout_at(deadline, results.recv()).await {
                Ok(Some(input @ Input::ActionEnded { .. })) => self.settle(input),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if let Err(error) = self.trends.save(&self.engine) {
            tracing::warn!("what the figures were is not kept over this stop: {error}");
        }
        // The journal's last words; the status is not asked any more.
        let _ = self.recorder.flush(self.clock.now());
    }

    /// Takes an outcome in while stopping: the state is saved, and nothing new is begun. What the engine decided anew is
    /// found pending by the next start, which observes before it acts.
    fn settle(&mut self, input: Input) {
        let now = self.clock.now();
        // What an action came to is never left out.
        drop(self.recorder.record(now, &input, &self.engine));
        self.telemetry.sees(now, &input, &self.engine);
        let effects = self.engine.step(now, input);
        let runs = effects.into_iter().filter_map(|effect| match effect {
            Effect::Perform(run) => Some(run.id),
            Effect::Observe(_) | Effect::Gather(_) | Effect::Dispatch(_) => None,
            Effect::Answer { .. } | Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } => None,
        });
        for run in runs.collect::<Vec<_>>() {
            // Nothing is lost by it: the decision is taken back and made again after the start.
            let (now, input) = (self.clock.now(), not_started(run, "the agent is stopping".into()));
            drop(self.recorder.record(now, &input, &self.engine));
            drop(self.engine.step(now, input));
        }
        self.save(&mut Vec::new());
    }
}
