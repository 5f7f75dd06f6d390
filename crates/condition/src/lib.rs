//! The condition language: from the text that stands under `when:` to the tree that the engine evaluates.
//! It is small, typed and bounded. It evaluates nothing, and knows no host: `docs/conditions.md` describes it.

mod error;
mod lexer;
mod parser;

use ansai_model::{condition::Condition, text::Text};

pub use error::ConditionError;

/// Longest text of a condition, in bytes.
pub const BYTES_MAX: usize = 1024;

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
