//! Everything as code: files to diagnostics or a validated bundle.
//!
//! [`load`] reads one file, or every file of a folder in the order of their names, over the shipped defaults;
//! [`Configuration::bundle`] deduces checks, rules, runbooks and policies for the units that a host has.
//! Nothing half-valid passes: wrong configuration gives [`Diagnostics`] and no configuration.

pub mod condition;
mod convert;
mod deduce;
mod diagnostics;
mod load;
mod notify;
mod raw;
pub mod units;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use load::{Configuration, load, parse};
