//! Exit codes and expected errors: each says what, and what to do.

use std::process::ExitCode;

use ansai_document::Diagnostics;
use ansai_model::text::Text;
use ansai_notify::channel::render;
use ansai_protocol::{Problem, SCHEMA};
use serde_json::json;

use crate::show;

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

impl Code {
    /// Every code, with its meaning and when it is met.
    pub(crate) const ALL: &[(Self, &str, &str)] = &[
        (Self::Ok, "well", "it was done; what was asked about is well"),
        (
            Self::Failing,
            "something is failing, or went wrong",
            "`status` found a failing target (what warns, is unknown or is stopped is none), `doctor` something amiss, \
             `test` a difference, `import` something left to do; a drill failed; there is no such incident or restraint",
        ),
        (
            Self::Usage,
            "wrong usage or configuration",
            "an argument is missing or not understood; the configuration or a file is wrong; no target has this name; \
             with `check --strict` a warning",
        ),
        (Self::Unreachable, "the agent cannot be reached", "it does not run, or gives no answer"),
        (
            Self::Refused,
            "a gate refused, or nobody confirmed",
            "a hold, a maintenance window or another gate is in the way; a question was answered with no, or nobody was \
             there to answer it and `--yes` is missing",
        ),
        (Self::Forbidden, "not permitted", "the socket, the configuration or a place to write belongs to others"),
    ];
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// How the shell shows a program that was ended since nobody read on: 128 and the number of SIGPIPE.
pub(crate) const GONE: u8 = 128 + 13;

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

    /// What the agent, or its host, refuses.
    pub(crate) fn refused(problem: &Problem) -> Self {
        let told = |text: &Text| show::told(text.as_str(), &show::terminal().zone);
        Self::new(Code::Refused, told(&problem.what), told(&problem.suggestion))
    }

    /// Everything that is wrong with a configuration, in its own words.
    pub(crate) fn wrong(diagnostics: &Diagnostics) -> Self {
        let mut diagnostics = diagnostics.clone();
        // It has its suggestions within, and breaks its lines itself.
        show::suggested(&mut diagnostics.0);
        Self::new(Code::Usage, diagnostics.text(show::terminal().error_columns), "")
    }

    /// The same to somebody who looks after their own services, before anything is known of what they chose: what is to be done
    /// is done with their own systemd.
    pub(crate) fn for_user(self) -> Self {
        let suggestion = match self.code {
            Code::Forbidden if self.suggestion.contains("root") || self.suggestion.contains("sudo") => {
                "it should be your own: see who owns it with ls -l".to_owned()
            }
            _ => render::for_user(&self.suggestion),
        };
        Self { suggestion, ..self }
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
            false => format!("{name}{}\n  help: {}", self.what, self.suggestion),
        }
    }

    /// The same for programs, in the shape in which the agent says what went wrong.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({"schema": SCHEMA, "what": self.what, "suggestion": show::commands(&self.suggestion)})
    }

    /// Says it to the person at the terminal.
    pub(crate) fn print(&self) {
        show::aside(&self.text());
    }
}
