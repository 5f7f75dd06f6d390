//! What an agent may ask of its machine: the port, the Linux adapters, the fake.
//!
//! [`port::Host`] is the port; [`linux::LinuxHost`] asks a real machine, [`fake::FakeHost`] is a small made-up one.
//! Nothing here decides: a probe never changes the host, and an action does what its plan said or says what it did
//! instead.

pub mod fake;
pub mod linux;
pub mod port;
