//! What is wrong with the text of a condition.

use std::fmt;

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
