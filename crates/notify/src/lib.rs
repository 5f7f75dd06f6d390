//! Telling people, for an agent as for a controller: the outbox that waits and groups, the channels by which a message
//! leaves the host, the secrets that they need, the heartbeat, and files that survive a crash. Whom to tell of what is the
//! engine's.

pub mod channel;
pub mod durable;
pub mod heartbeat;
pub mod outbox;
pub mod secrets;
