//! The registry of domains: what ansai can watch and mend. One file a domain, one line here.

pub mod certificate;
pub mod disk;
pub mod memory;
pub mod service;

/// Every domain, as it is written before the `/` of a target.
pub const DOMAINS: &[&str] = &["service", "certificate", "disk"];
