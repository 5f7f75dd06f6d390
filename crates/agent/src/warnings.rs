//! What an operator should know of the agent and what stops nothing: said once in the log and to whoever listens, and
//! shown in the status for as long as it lasts. It decides nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ansai_model::{text::Text, time::WallTime};
use ansai_protocol::EventKind;

use crate::events::{Events, short};

/// How a warning ends of which `ansai check` says more, and where.
pub const CHECK_SAYS: &str = " (in the configuration; `ansai check` shows where)";
/// How a warning ends of which `ansai doctor` says more, and what to do.
pub const DOCTOR_SAYS: &str = "; `ansai doctor` says what to do";

/// What a warning is about; there is one of each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The newest state of the ledger could not be read at the start.
    Ledger,
    /// An agent before this one was killed, and has not ended.
    Predecessor,
    /// The agent takes more memory than it should.
    Memory,
    /// The agent takes more processor time than it should.
    Processor,
    /// The wall clock jumped.
    Clock,
    /// A report cannot be kept, or a message not be queued.
    Reports,
    /// Recipients of messages that do not get them.
    Recipients,
    /// The socket of the local API cannot be made.
    Socket,
    /// The flight recorder records nothing.
    Journal,
    /// The dead-man's switch cannot be pinged.
    Heartbeat,
    /// The metrics cannot be served.
    Metrics,
    /// The agent may not do something that the configuration needs.
    Abilities,
    /// Something in the configuration is allowed and dangerous, or has expired.
    Configuration,
}

/// The warnings in force. A clone is another handle.
#[derive(Clone, Debug)]
pub struct Warnings {
    standing: Arc<Mutex<BTreeMap<Topic, Text>>>,
    events: Events,
}

impl Warnings {
    /// None yet; new ones are told to `events`.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { standing: Arc::default(), events }
    }

    /// Takes the place of the warning on the same topic; the same words again are no news.
    pub fn raise(&self, at: WallTime, topic: Topic, text: impl Into<Text>) {
        let text = text.into();
        if self.lock().insert(topic, text.clone()).as_ref() == Some(&text) {
            return;
        }
        tracing::warn!("{text}");
        self.events.tell(at, EventKind::Warning { text: short(&text) });
    }

    /// It is over; says whether there was one.
    pub fn end(&self, topic: Topic) -> bool {
        self.lock().remove(&topic).is_some()
    }

    /// What stands.
    #[must_use]
    pub fn all(&self) -> Vec<Text> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Topic, Text>> {
        // Every change is one insert or remove.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_warning_a_topic_until_it_ends() {
        let warnings = Warnings::new(Events::new());
        for text in ["much", "more"] {
            warnings.raise(WallTime(0), Topic::Memory, text);
        }
        warnings.raise(WallTime(0), Topic::Ledger, "torn");
        assert_eq!(warnings.all(), ["torn", "more"].map(Text::from));
        assert!(warnings.end(Topic::Memory) && !warnings.end(Topic::Memory));
        assert_eq!(warnings.all(), ["torn"].map(Text::from));
    }
}
