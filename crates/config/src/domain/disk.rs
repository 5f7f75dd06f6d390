//! Disks: the short form (which filesystems are watched, and how room is made on them), and the long form of their probes
//! and actions.

mod write;

use std::time::Duration;

pub(crate) use write::{written_action, written_probe};

/// How long one cleaning may take where nothing else is written: millions of files are.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15 * 60);
