//! Documents that people write: YAML, TOML and JSON5 become one tree in which each value has its place, and a tree is
//! written out as YAML again.
//!
//! [`read()`] makes a tree of a text, [`merge()`] puts one over another, and [`Findings`] collects what is wrong with it, each
//! finding with the place, the line and a suggestion. Which keys there are and what they mean is for others to say.

mod access;
pub mod diagnostics;
mod findings;
mod json5;
mod merge;
mod nearest;
pub mod patterns;
mod read;
pub mod secrets;
mod sources;
pub mod text;
mod toml;
mod tree;
pub mod units;
pub mod written;
mod yaml;

pub use diagnostics::{Diagnostic, Diagnostics, Level};
pub use findings::{Findings, place_of};
pub use merge::merge;
pub use nearest::{nearest, nearest_name};
pub use read::{ENDINGS, Form, read, read_all};
pub use sources::{Source, Sources};
pub use tree::{ALL_NODES_MAX, Entry, FormError, Node, Place, Reading, Scalar, Value, line_of};
