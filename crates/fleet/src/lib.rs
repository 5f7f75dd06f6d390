//! The fleet engine decides for many hosts, as the host engine does for one: a shell receives, steps, saves, acts.
//!
//! [`FleetEngine::step`] takes one [`FleetInput`] at one moment and returns [`FleetEffect`]s. What must outlive the process is
//! a [`FleetEffect::Save`] before everything else that a step returns; the shell does the rest of that step only when it is
//! durable. There is no clock, no IO, no chance and no cryptography here: ids and digests come with the inputs that need
//! them, certificates are signed by the shell. A host heals alone whatever happens here: nothing that this crate decides is
//! needed for that.

pub mod acknowledged;
mod agentless;
mod books;
mod causes;
mod changes;
mod configuration;
pub mod effect;
mod fleet_engine;
mod hosts;
mod identities;
mod incidents;
pub mod input;
pub mod invariant;
mod joining;
pub mod limits;
mod messages;
mod orders;
mod permits;
mod restraints;
mod rollouts;
mod saving;
mod seen_to;
mod sessions;
mod silent;
pub mod standing;
mod tokens;
mod twins;
mod words;

pub use books::Books;
pub use configuration::Drift;
pub use effect::FleetEffect;
pub use fleet_engine::FleetEngine;
pub use input::FleetInput;
pub use permits::{
    Waiting,
    members::RoleStanding,
    rules::{PermitRules, RoleRule, Share},
};
pub use rollouts::Planned;
