//! Runs the engine on one host: loop, ledger, journal, outbox, local API. It decides nothing.

pub mod durable;
pub mod heartbeat;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod notify;
pub mod outbox;
pub mod reports;
pub mod secrets;
pub mod selfwatch;
