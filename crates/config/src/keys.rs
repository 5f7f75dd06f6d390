//! Every key that a configuration may hold, one line each: its name, its kind with its bounds, its meaning, its default, an
//! example, and, where [`crate::fill`] makes a value of it, the field that it fills.
//!
//! From that line come the check of the form ([`ansai_keys::check()`]), the reader, the writer, the JSON schema, the reference page,
//! the shipped layer and what `explain` says of a key that is not written.
//! What the values mean together stands in `read/` and with the domains.

pub(crate) mod action;
pub(crate) mod agent;
pub(crate) mod config;
pub(crate) mod limits;
pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod probe;
pub(crate) mod shared;

use ansai_keys::{DURATION_MAX, DURATION_MIN, Kind};
use ansai_model::check::Check;

pub(crate) const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub(crate) const ANY: u64 = u32::MAX as u64;
/// A period in which something is looked at.
pub(crate) const PERIOD: Kind = Kind::Between { min: Check::EVERY_MIN, max: DURATION_MAX };
/// A time in which something can be answered.
pub(crate) const PATIENCE: Kind = Kind::Between { min: DURATION_MIN, max: DURATION_MAX };
/// A count of which at least one is needed.
pub(crate) const COUNT: Kind = Kind::Whole { min: 1, max: ANY };
pub(crate) const PORT: Kind = Kind::Whole { min: 1, max: 65_535 };

#[cfg(test)]
mod tests;
