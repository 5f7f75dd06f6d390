//! The time by the host's clock, as what is kept in files and said to people has it.

use std::time::SystemTime;

use ansai_model::time::WallTime;

/// Now.
pub(super) fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
