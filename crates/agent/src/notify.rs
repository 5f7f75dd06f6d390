//! Telling people: what is said, and by which channel it leaves the host. When it is said is the outbox's.

pub mod render;
