//! Messages to people that a host hands to its controller, so that one cause on many hosts is one message: which one is meant, how
//! it is offered and given, and what is answered. Who has the duty to send decides the outbox of the host; neither that nor
//! sending stands here.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    id::{IncidentId, TargetId},
    notify::NoticeKind,
    report::Report,
    rule::Severity,
    text::Text,
    time::WallTime,
};

/// Most messages that a host has given to its controller and of which it has not heard that they are kept there. The next ones
/// it sends itself.
pub const GIVEN_MAX: usize = 32;

/// Which message of a host is meant. Numbers begin again when a ledger was moved away, so the opening is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageKey {
    /// The number under which the host's engine dispatched it.
    pub dispatch: u64,
    /// The incident that it is about.
    pub incident: IncidentId,
    /// When that was opened, by the host's clock.
    pub opened: WallTime,
}

/// What a host says of its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageSaid {
    /// Would the controller send it? The host still has the duty.
    Offered(MessageOffered),
    /// The host never sends it from now on: that is on its disk. It is said again until it is known to be kept.
    Given(Box<MessageGiven>),
}

/// Enough of a message to know whether anybody is to be told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageOffered {
    /// Which one.
    pub key: MessageKey,
    /// Why people are told.
    pub kind: NoticeKind,
    /// What it is about.
    pub target: TargetId,
    /// How soon a person must act.
    pub severity: Severity,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageGiven {
    /// Which one.
    pub key: MessageKey,
    /// Why people are told.
    pub kind: NoticeKind,
    /// About what.
    pub report: Report,
}

/// What a controller says of a host's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageNews {
    /// It would send it, and waits to be given it.
    Wanted(MessageKey),
    /// It does not send it and never did: the duty is the host's.
    Declined(MessageKey),
    /// It has it on its disk, and sends it: the host may forget it.
    Taken(MessageKey),
}

/// The hosts that one message of a controller is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosts {
    /// Some of them by name, at most [`Hosts::NAMED_MAX`]; never none.
    pub named: Vec<Text>,
    /// How many more there are.
    pub more: u32,
}

impl Hosts {
    /// Most that are named.
    pub const NAMED_MAX: usize = 12;

    /// Of these names, each once; nothing of none.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = Text>) -> Option<Self> {
        let mut named: Vec<Text> = names.into_iter().collect();
        named.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        named.dedup();
        let more = u32::try_from(named.len().saturating_sub(Self::NAMED_MAX)).unwrap_or(u32::MAX);
        named.truncate(Self::NAMED_MAX);
        (!named.is_empty()).then_some(Self { named, more })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.named.len()).unwrap_or(u32::MAX).saturating_add(self.more)
    }

    /// At most so many of them by name, and how many more: `web-01, web-02 and 28 more`.
    #[must_use]
    pub fn in_words(&self, named_max: usize) -> String {
        let shown = &self.named[..self.named.len().min(named_max.max(1))];
        let hidden = self.count().saturating_sub(u32::try_from(shown.len()).unwrap_or(u32::MAX));
        let names = |names: &[Text]| names.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
        match (shown, hidden) {
            ([one], 0) => one.as_str().into(),
            ([most @ .., last], 0) => format!("{} and {last}", names(most)),
            (shown, hidden) => format!("{} and {hidden} more", names(shown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(count: usize) -> Option<Hosts> {
        Hosts::of((0..count).rev().map(|number| Text::new(format!("web-{number:02}"))))
    }

    #[test]
    fn hosts_are_named_in_order_and_the_rest_is_counted() {
        assert_eq!(hosts(0), None);
        let words = |count, named| hosts(count).map(|hosts| hosts.in_words(named)).unwrap_or_default();
        assert_eq!((words(1, 2), words(2, 2)), ("web-00".into(), "web-00 and web-01".into()));
        assert_eq!((words(3, 2), words(3, 0)), ("web-00, web-01 and 1 more".into(), "web-00 and 2 more".into()));
        let many = hosts(40).unwrap();
        assert_eq!((many.named.len(), many.more, many.count()), (12, 28, 40));
        assert!(many.in_words(99).ends_with("web-11 and 28 more"), "{}", many.in_words(99));
        let twice = Hosts::of(["a".into(), "a".into()]).unwrap();
        assert_eq!(twice.in_words(5), "a");
    }
}
