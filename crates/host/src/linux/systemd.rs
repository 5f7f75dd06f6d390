//! systemd over D-Bus: units are looked at, acted on, and their changes heard.

mod act;
mod bus;
mod describe;
mod inventory;
mod tracker;
mod unit;

pub use act::perform;
pub use bus::{Bus, CallError};
pub use describe::describe;
pub use inventory::inventory;
pub use unit::{active_state, is_up, object_path, observe};
