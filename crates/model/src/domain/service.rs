//! The service domain's values: its name.
//!
//! A service is a unit that people depend on. What systemd says of a unit, and what that means, is [`crate::unit`]'s; it has
//! no looks and no actions but those that every domain may use.

use crate::domain::{Domain, Signs};

/// The domain. Its targets are units, each by its name; and declared processes where no systemd runs.
pub const DOMAIN: Domain =
    Domain { key: "service", has_targets: true, figures: &[], is_down: true, by_hand: &[], signs: Signs::NONE };
