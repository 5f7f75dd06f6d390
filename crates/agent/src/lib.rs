//! Runs the engine on one host: loop, ledger, journal, local API. It decides nothing.

pub mod agent;
mod answer;
pub mod api;
pub mod ceiling;
pub mod clock;
mod deliveries;
pub mod events;
pub mod hold_file;
pub mod journal;
pub mod ledger;
pub mod metrics;
mod probe_queue;
pub mod program;
pub mod recorder;
pub mod reports;
pub mod selfwatch;
pub mod shell;
pub mod sources;
pub mod telemetry;
pub mod trends;
mod trial;
pub mod trust;
pub mod uplink;
pub mod warnings;

pub use agent::{Options, in_force_instead_of, run};
