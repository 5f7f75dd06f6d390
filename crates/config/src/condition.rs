//! The condition language: from the text that stands under `when:` to the tree that the engine evaluates.
//! It is small, typed and bounded. It evaluates nothing, and knows no host: `docs/conditions.md` describes it.

mod lexer;
mod parser;

use std::fmt;

use ansai_model::{condition::Condition, text::Text};

/// Longest text of a condition, in bytes.
pub const BYTES_MAX: usize = 1024;

/// What is wrong with a condition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// Where it begins in the text, in bytes; at most the length of the text.
    pub offset: usize,
    /// How many bytes it spans; 0 when something is missing at that place.
    pub length: usize,
    /// What is wrong, as a fragment in lower case.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for ConditionError {}

/// Reads a condition.
///
/// # Errors
/// The first thing that is wrong: its place, what it is, and what to write instead.
pub fn parse(text: &str) -> Result<Condition, ConditionError> {
    if text.len() > BYTES_MAX {
        return Err(ConditionError {
            offset: 0,
            length: text.len(),
            message: format!("the condition has {} bytes, and at most {BYTES_MAX} are read", text.len()),
            suggestion: Some("make several rules of it".into()),
        });
    }
    let expression = parser::parse(text)?;
    Ok(Condition { source: Text::new(text), expression: expression.into() })
}

#[cfg(test)]
mod tests;
