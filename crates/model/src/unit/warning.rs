//! What a person should know of a unit though it is well. It judges nothing.

use alloc::format;

use super::{ActiveState, UnitSnapshot};
use crate::text::Text;

/// What is said of a main process that a signal has stopped, and that a signal lets go on.
pub const MAIN_STOPPED: &str = "is stopped (state T)";

impl UnitSnapshot {
    /// What a person should know of it though it may be well: nobody looks after its workers, and no reload reaches it; or it
    /// would not come back with the configuration that it would read now.
    #[must_use]
    pub fn warning(&self) -> Option<Text> {
        if let Some(why) = self.next_start_may_fail() {
            return Some(why);
        }
        let pid = self.main_pid.filter(|_| self.is_main_stopped && self.active == ActiveState::Active)?;
        Some(Text::new(format!("its main process {pid} {MAIN_STOPPED}, though others of it run")))
    }

    /// That it runs with what it has read before, and would not with what it would read now; of this people are told.
    #[must_use]
    pub fn next_start_may_fail(&self) -> Option<Text> {
        const NEXT: &str = "it may not come back when it is started next";
        if self.active != ActiveState::Active {
            return None;
        }
        match (&self.invalid, self.has_failed_to_reload) {
            (Some(why), true) => Some(Text::new(format!("its last reload failed, so that {NEXT}: {why}"))),
            (Some(why), false) => {
                Some(Text::new(format!("its configuration was changed and is not valid, so that {NEXT}: {why}")))
            }
            (None, true) => Some(Text::new(format!("its last reload failed, so that {NEXT}"))),
            (None, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::{UnitExpectation, judge};

    #[test]
    fn what_runs_with_a_broken_configuration_on_the_disk_is_well_and_people_are_told() {
        let seen = |active, has_failed_to_reload, invalid: Option<&str>| {
            let unit =
                UnitSnapshot { has_failed_to_reload, invalid: invalid.map(Text::new), ..UnitSnapshot::plain(active) };
            judge(UnitExpectation::Running, unit)
        };
        let of = |has_failed, invalid| {
            let seen = seen(ActiveState::Active, has_failed, invalid);
            (seen.is_warning(), format!("{}", seen.summary()))
        };
        assert_eq!(of(false, None), (false, "active (running)".into()));
        let next = "so that it may not come back when it is started next";
        assert_eq!(of(true, None), (true, format!("active (running), but its last reload failed, {next}")));
        let said = format!("active (running), but its last reload failed, {next}: line 7");
        assert_eq!(of(true, Some("line 7")), (true, said));
        let said = format!("active (running), but its configuration was changed and is not valid, {next}: line 7");
        assert_eq!(of(false, Some("line 7")), (true, said));
        assert!(!seen(ActiveState::Failed, true, Some("line 7")).is_warning());
    }
}
