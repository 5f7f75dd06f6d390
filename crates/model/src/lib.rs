//! The nouns of ansai, correct by construction: a value that exists is valid.
//!
//! Start at [`bundle::Bundle`], what an agent is told to keep well; then [`probe`] and [`observation`], how it looks;
//! [`action`] and [`runbook`], what it may do; [`policy`] and [`rule`], under which limits; and [`incident`] and
//! [`report`], what it says about it.
//! Nothing here decides, does IO, or knows of a clock: that is `engine`, `host` and `agent`.
#![no_std]

extern crate alloc;

pub mod action;
pub mod bundle;
pub mod check;
pub mod cluster;
pub mod columns;
pub mod condition;
pub mod decision;
pub mod domain;
pub mod fleet;
pub mod hint;
pub mod id;
pub mod incident;
pub mod inventory;
mod listed;
pub mod message;
pub mod notify;
pub mod observation;
pub mod operator;
pub mod order;
pub mod permit;
pub mod policy;
pub mod probe;
pub mod report;
pub mod retry;
pub mod rule;
pub mod runbook;
pub mod settings;
pub mod text;
pub mod time;
pub mod unit;
pub mod units;
pub mod validators;
