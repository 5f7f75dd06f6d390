//! The service domain's values: who can say whether a service's configuration is right before it is restarted.
//!
//! A service is a unit that people depend on. What systemd says of a unit, and what that means, is [`crate::unit`]'s.

pub mod validators;
