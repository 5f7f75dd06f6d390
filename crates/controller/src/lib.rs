//! The second shell: it runs the fleet's engine. Agents come over the link, people over a socket of this host
//! or, by tokens, over the network; the loop receives,
//! steps, saves and only then acts. It decides nothing.

mod answer;
mod api;
mod carrier;
mod figures;
pub mod home;
mod keeper;
mod links;
mod listening;
mod network;
mod permits;
mod rollouts;
pub mod settings;
mod shell;
mod start;
mod telling;
mod tries;
mod unwell;
mod views;

pub use start::{Options, run};
