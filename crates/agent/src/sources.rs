//! What the loop waits for besides people and signals: results of what it began, hints of the host, and time.
//! Whoever drives a shell, the agent or the simulator, waits here.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::hint::Hint;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::{sync::mpsc, task::coop::unconstrained};

/// Most inputs that are taken in together: what people ask waits for no more than these.
const TOGETHER_MAX: usize = 64;

/// Where inputs come from.
#[derive(Debug)]
pub struct Sources<S> {
    results: mpsc::Receiver<Input>,
    /// None when the host hints no more.
    hints: Option<S>,
}

impl<S: Stream<Item = Hint> + Unpin> Sources<S> {
    /// Results of tasks, and the host's hints.
    #[must_use]
    pub fn new(results: mpsc::Receiver<Input>, hints: S) -> Self {
        Self { results, hints: Some(hints) }
    }

    /// The next input; [`Input::Tick`] when there is none for `wait`. Nothing is lost when it is dropped.
    pub async fn next(&mut self, wait: Duration) -> Input {
        loop {
            // Hints first: they are few, they are what hurries, and one that waits costs a look at most. Every arm only
            // receives, so nothing is lost when another one is chosen.
            tokio::select! {
                biased;
                hint = hinted(&mut self.hints) => match hint {
                    Some(hint) => return Input::Hint(hint),
                    None => self.hints = None,
                },
                Some(input) = self.results.recv() => return input,
                () = tokio::time::sleep(wait) => return Input::Tick,
            }
        }
    }

    /// An input with those that have come meanwhile, in the same order: when many things fail at once, all that is known of them
    /// by now is decided on together, and saved once. It does not wait. Since none of them costs what the runtime grants one
    /// turn, whoever calls again and again yields in between. An order ends it: what it did is known before anything else is
    /// judged.
    pub fn with_waiting(&mut self, first: Input) -> Vec<Input> {
        let mut all = vec![first];
        while all.len() < TOGETHER_MAX && !matches!(all.last(), Some(Input::Order { .. })) {
            // Whoever calls may have used up what the runtime grants one turn: a queue would then say that nothing is there.
            let hint = match unconstrained(hinted(&mut self.hints)).now_or_never() {
                Some(None) => {
                    self.hints = None;
                    None
                }
                hint => hint.flatten(),
            };
            match hint.map(Input::Hint).or_else(|| self.results.try_recv().ok()) {
                Some(input) => all.push(input),
                None => break,
            }
        }
        all
    }

    /// Only results from now on: what is under way may end.
    #[must_use]
    pub fn into_results(self) -> mpsc::Receiver<Input> {
        self.results
    }
}

/// The hints that are there already.
pub fn waiting<S: Stream<Item = Hint> + Unpin>(hints: &mut S) -> Vec<Hint> {
    // Whoever calls may have used up what the runtime grants one turn: a queue would then say that nothing is there.
    let next = || unconstrained(hints.next()).now_or_never().flatten();
    std::iter::from_fn(next).collect()
}

async fn hinted<S: Stream<Item = Hint> + Unpin>(hints: &mut Option<S>) -> Option<Hint> {
    match hints {
        Some(hints) => hints.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hints_come_first_results_next_and_time_last() {
        let (tx, rx) = mpsc::channel(4);
        let mut sources = Sources::new(rx, stream::iter([Hint::Everything]));
        tx.send(Input::Started).await.unwrap();
        let mut next = Vec::new();
        for _ in 0..3 {
            next.push(sources.next(Duration::from_secs(1)).await);
        }
        assert_eq!(next, [Input::Hint(Hint::Everything), Input::Started, Input::Tick]);
        drop(tx);
        assert_eq!(sources.next(Duration::from_secs(1)).await, Input::Tick);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_meanwhile_is_taken_along_as_far_as_there_is_room() {
        let (tx, rx) = mpsc::channel(2 * TOGETHER_MAX);
        let mut sources = Sources::new(rx, stream::iter([Hint::Everything, Hint::Units]));
        tx.send(Input::Started).await.unwrap();
        tx.send(Input::Tick).await.unwrap();
        let first = sources.next(Duration::ZERO).await;
        let all = [Input::Hint(Hint::Everything), Input::Hint(Hint::Units), Input::Started, Input::Tick];
        assert_eq!(sources.with_waiting(first), all);
        assert_eq!(sources.with_waiting(Input::Started), [Input::Started], "it does not wait");
        for _ in 0..=TOGETHER_MAX {
            tx.send(Input::Started).await.unwrap();
        }
        assert_eq!(sources.with_waiting(Input::Tick).len(), TOGETHER_MAX);
        assert_eq!(sources.with_waiting(Input::Tick).len(), 3, "the rest comes with the next");
    }

    #[tokio::test]
    async fn what_is_there_is_heard_by_a_caller_whose_turn_is_used_up() {
        let (tx, rx) = mpsc::channel(4);
        tx.send(Hint::Everything).await.unwrap();
        tx.send(Hint::Units).await.unwrap();
        let mut hints = Box::pin(stream::unfold(rx, |mut rx| async { rx.recv().await.map(|hint| (hint, rx)) }));
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().now_or_never();
        }
        assert_eq!(waiting(&mut hints), [Hint::Everything, Hint::Units]);
        assert_eq!(waiting(&mut hints), [], "it does not wait");
    }
}
