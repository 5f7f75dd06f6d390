//! What is remembered of incidents that are over.

use core::time::Duration;

use ansai_model::time::Now;
use serde::{Deserialize, Serialize};

/// What an incident that ended cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastIncident {
    /// When it was opened.
    pub opened: Now,
    /// Whether ansai healed it.
    pub was_healed: bool,
    /// How long the target was down.
    pub downtime: Duration,
    /// How often it failed again in it, after it had been well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}
