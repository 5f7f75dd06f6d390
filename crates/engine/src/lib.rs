//! The engine decides; shells act; nothing else.
//!
//! [`HostEngine::step`] takes one [`Input`] at one moment and returns [`Effect`]s.
//! One way through and no way back: observation → check state ([`check`]) → incident ([`incident`]) → gates ([`gate`])
//! → decision → remediation ([`remediation`]) → verification → report ([`report`]).
//! What outlives the process is a [`State`]; gates, conditions and explanations get a [`View`] and can change nothing; what
//! changes is changed through one context, which collects the effects.
//! There is no clock, no IO, no chance, no async and no logging here: the same state and the same input always give the
//! same effects, so one engine serves the agent, `ansai test`, `ansai replay` and the simulator.
#![no_std]

extern crate alloc;

mod applying;
pub mod cause;
pub mod check;
mod checks;
pub mod condition;
mod context;
mod controller;
mod doubt;
pub mod effect;
mod evidence;
pub mod explain;
mod fault_domain;
pub mod gate;
pub mod host_engine;
pub mod incident;
pub mod input;
pub mod invariant;
mod last_known_good;
mod looking;
mod meaning;
pub mod notice;
pub mod operator;
mod order;
mod permits;
pub mod ramp;
pub mod remediation;
pub mod replaying;
pub mod report;
mod rules;
mod starting;
pub mod state;
pub mod storm;
pub mod trend;
pub mod verification;
pub mod view;

pub use effect::Effect;
pub use host_engine::HostEngine;
pub use input::Input;
pub use state::State;
pub use view::View;
