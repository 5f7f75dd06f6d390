//! Hosts with a real systemd, booted in half a second and thrown away: for end-to-end tests, the demo and benchmarks.
//!
//! It drives programs from outside, as an operator would, and knows nothing of ansai's insides: it links no other ansai crate.
//! It deliberately does not isolate hostile code: a lab host is a namespace run by root, not a security boundary.
//!
//! The way through it: [`setup::prepare`] makes the machine and the base image ready (once), [`Host::boot`] boots a host over that image,
//! [`Host`]'s methods break and inspect it, [`Host::wait_until`] awaits what should follow, and dropping the [`Host`] ends it.

pub mod agent;
pub mod controller;
pub mod fixture;
pub mod fleet;
pub mod host;
pub mod image;
pub mod lan;
pub mod mail;
pub mod package;
pub mod poll;
pub mod process;
pub mod progress;
pub mod setup;
pub mod sources;

pub use host::{Host, HostOptions};
pub use process::Output;
