//! Fields that hold one of some words: each list of words stands once, and is checked, read and written from there.

use ansai_document::Node;
use ansai_keys::Kind;
use ansai_model::{
    action::Disruption,
    check::TrendKind,
    cluster::ClusterMode,
    notify::WebhookFormat,
    probe::Protocol,
    retry::Retrying,
    rule::{Autonomy, Severity},
    runbook::{Entry, Then},
};

/// A type with a word for each of its values.
pub(crate) trait Words: Copy + 'static {
    /// What the words are together.
    const WHAT: &'static str;
    const WORDS: &'static [&'static str];

    fn named(word: &str) -> Option<Self>;

    fn word(self) -> &'static str;

    /// The word under a key of a mapping.
    fn at(node: &Node, name: &str) -> Option<Self> {
        node.text_at(name).and_then(Self::named)
    }
}

/// The kind of a key under which one of a type's words stands.
pub(crate) const fn word<T: Words>() -> Kind {
    Kind::Word(T::WHAT, T::WORDS)
}

/// Gives each value of a type its word. No value can be forgotten: the writer has no wildcard.
macro_rules! words {
    ($($type:ident, $what:literal: $($value:ident = $word:literal),* ;)*) => {$(
        impl $crate::fill::words::Words for $type {
            const WHAT: &'static str = $what;
            const WORDS: &'static [&'static str] = &[$($word),*];

            fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$value),)*
                    _ => None,
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)*
                }
            }
        }

        $crate::fill::words::held_by_words! { $type }
    )*};
}

macro_rules! held_by_words {
    ($type:ident) => {
        impl $crate::fill::Held for $type {
            fn read(_: &mut $crate::fill::At<'_, '_>, node: &ansai_document::Node, _: Option<&Self>) -> Option<Self> {
                <Self as $crate::fill::words::Words>::named(node.text()?)
            }

            fn write(&self, _: &'static ansai_keys::Key) -> Option<ansai_document::written::Written> {
                Some(ansai_document::written::Written::text($crate::fill::words::Words::word(*self)))
            }
        }
    };
}
pub(crate) use held_by_words;
pub(crate) use words;

/// From which word of a plugin on its check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailsOn {
    Critical,
    Warning,
}

words! {
    FailsOn, "plugin's word": Critical = "critical", Warning = "warning";
    Autonomy, "autonomy": Observe = "observe", Suggest = "suggest", Approve = "approve", Act = "act";
    Severity, "severity": Now = "now", Day = "day", Week = "week";
    ClusterMode, "mode": Centralized = "centralized";
    Retrying, "retry": Growing = "growing", Never = "never";
    TrendKind, "kind of growth": Fill = "fill", Leak = "leak";
    WebhookFormat, "format": Generic = "generic", Slack = "slack", Discord = "discord";
    Entry, "entry": InOrder = "in-order", OnlyByName = "only-by-name";
    Then, "follow-up": Verify = "verify", Continue = "continue", Accumulate = "accumulate";
    Disruption, "disruption": None = "none", Brief = "brief", Full = "full";
}

/// The model has the table of the protocols.
impl Words for Protocol {
    const WHAT: &'static str = "protocol";
    const WORDS: &'static [&'static str] = Self::NAMES;

    fn named(word: &str) -> Option<Self> {
        Self::named(word)
    }

    fn word(self) -> &'static str {
        self.name()
    }
}
held_by_words! { Protocol }
