//! Tables of keys: what a mapping may hold, with each key in one line: its name, its kind with its bounds, its meaning, its
//! default and an example.
//!
//! From the lines come the check of a document's form ([`check()`]), a JSON schema ([`schema`]), a page for people
//! ([`page`]), a manual page ([`manual`]) and an example of each ([`example`]). Which keys there are, and what becomes of their values, is for others to say.

#[cfg(feature = "changed")]
pub mod changed;
mod check;
pub mod example;
pub mod kind;
pub mod manual;
pub mod page;
pub mod places;
pub mod schema;
mod table;

pub use check::{Meant, check};
pub use table::{DURATION_MAX, DURATION_MIN, Key, Kind, Shape, Special, Unwritten, count, joined, key};
