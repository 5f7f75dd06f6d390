//! Exit codes and expected errors: each says what, and what to do.

use std::process::ExitCode;

use ansai_config::Diagnostics;
use ansai_protocol::SCHEMA;
use serde_json::json;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// All is well.
    Ok = 0,
    /// Something is failing, or went wrong.
    Failing = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The agent cannot be reached.
    Unreachable = 3,
    /// A gate refused, or nobody confirmed.
    Refused = 4,
    /// The socket's permissions refuse.
    Forbidden = 5,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// An expected error.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    what: String,
    suggestion: String,
}

impl Failure {
    pub(crate) fn new(code: Code, what: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { code, what: what.into(), suggestion: suggestion.into() }
    }

    /// Everything that is wrong with a configuration, in its own words.
    pub(crate) fn wrong(diagnostics: &Diagnostics) -> Self {
        Self::new(Code::Usage, diagnostics.to_string(), "")
    }

    /// What went wrong.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    pub(crate) fn suggestion(&self) -> &str {
        &self.suggestion
    }

    /// The lines for a person.
    pub(crate) fn text(&self) -> String {
        // Diagnostics say by themselves what they are.
        let name = if self.what.starts_with("error: ") { "" } else { "ansai: " };
        match self.suggestion.is_empty() {
            true => format!("{name}{}", self.what),
            false => format!("{name}{}\n  try: {}", self.what, self.suggestion),
        }
    }

    /// The same for programs, in the shape in which the agent says what went wrong.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({"schema": SCHEMA, "what": self.what, "suggestion": self.suggestion})
    }

    /// Says it to the person at the terminal.
    #[expect(clippy::print_stderr, reason = "this is where the program speaks of its errors")]
    pub(crate) fn print(&self) {
        eprintln!("{}", self.text());
    }
}
