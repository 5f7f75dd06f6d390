//! systemd over D-Bus: units are looked at, acted on, and their changes heard.

mod act;
mod bus;
mod inventory;
mod life;
mod names;
mod others;
mod queues;
mod sent;
mod sockets;
mod stalled;
mod standing;
mod surroundings;
mod told;
mod tracker;
mod unit;
mod usage;

pub use act::{
    drill::{Drill, may_perform as may_drill, perform as drill},
    perform, signal_main_if,
};
pub use bus::{Bus, CallError};
pub use inventory::inventory;
pub use life::{control_group, figure, invocation, is_started_with, set_until_boot, up_for};
pub use others::{is_wanted, unmet_condition};
pub use sockets::sockets;
pub use standing::standings;
pub use surroundings::run as run_as_started;
pub use unit::{active_state, is_up, names_of, needs_reload, object_path, observe, processes, state, user_of};
pub use usage::usage;
