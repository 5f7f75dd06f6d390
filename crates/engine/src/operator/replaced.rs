//! What a hold, a silence or a maintenance window replaces on exactly its scope, and how that is said: whoever repeats one
//! must not lose a reason or an end unawares. Which of them is replaced is decided in `operator`.

use alloc::{format, string::String};

use ansai_model::{
    text::Text,
    time::{Now, Shown},
};

/// A restraint in force whose place another takes.
pub(super) struct Replaced {
    /// What it is called.
    pub(super) what: &'static str,
    /// Whoever began it.
    pub(super) by: Text,
    /// Why; empty when that was not said.
    pub(super) reason: Text,
    /// When it would have ended by itself, if ever.
    pub(super) end: Option<Now>,
}

/// The reason of a new one: that of before goes on when none is given.
pub(super) fn reason(given: Text, before: Option<&Replaced>) -> Text {
    match before {
        Some(before) if given.as_str().is_empty() => before.reason.clone(),
        _ => given,
    }
}

impl Replaced {
    /// What is told of it beside the new one: whose it was, until when, what became of its reason, and an end that comes
    /// earlier.
    pub(super) fn told(&self, reason: &Text, end: Option<Now>) -> String {
        let Self { what, by, .. } = self;
        let until = self.end.map_or_else(|| " without an end".into(), |end| format!(" until {}", end.wall));
        let why = match (self.reason.as_str(), self.reason == *reason) {
            ("", _) => String::new(),
            (old, true) => format!(", and its reason stays: {old}"),
            (old, false) => format!(", whose reason was: {old}"),
        };
        let earlier = match (self.end, end) {
            (Some(old), Some(new)) if new.mono < old.mono => {
                format!("; it ends {} earlier than that", Shown(old.mono.since(new.mono)))
            }
            (None, Some(_)) => "; it ends earlier than that".into(),
            _ => String::new(),
        };
        format!("; this replaces the {what} by {by}{until}{why}{earlier}")
    }
}
