//! systemd over D-Bus: units are looked at, acted on, and their changes heard.

mod act;
mod bus;
mod inventory;
mod told;
mod tracker;
mod unit;
mod usage;

pub use act::perform;
pub use bus::{Bus, CallError};
pub use inventory::inventory;
pub use unit::{active_state, is_up, object_path, observe};
pub use usage::usage;
