//! Runs the engine on one host: loop, ledger, journal, outbox, local API. It decides nothing.

pub mod agent;
mod answer;
pub mod api;
pub mod clock;
mod deliveries;
pub mod durable;
pub mod events;
pub mod heartbeat;
pub mod hold_file;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod notify;
pub mod outbox;
mod probe_queue;
pub mod recorder;
pub mod reports;
pub mod secrets;
pub mod selfwatch;
pub mod shell;
pub mod sources;
pub mod telemetry;
pub mod trends;
pub mod trust;
pub mod warnings;

pub use agent::{Options, run};
