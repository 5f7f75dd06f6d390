//! A policy: the limits under which automation may act.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{id::PolicyId, retry::Retrying, time::WallTime};

/// Limits. Every field has a default in the shipped configuration layer; none can mean "unlimited".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The name of the policy.
    pub id: PolicyId,
    /// Least time between the end of one remediation of a target and the start of the next.
    pub cooldown: Duration,
    /// Most disruptive actions on one target.
    pub target_budget: Budget,
    /// When healing this target is stopped for a while.
    pub breaker: Breaker,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// Most attempts (disruptive rungs) of one remediation before it is escalated.
    pub attempts_max: u32,
    /// How long after an action every check of the target may take to become healthy.
    pub verify_within: Duration,
    /// How long all checks must then stay healthy until the incident is resolved.
    pub stable_for: Duration,
    /// How long a decision waits for `ansai approve`.
    pub approval_expires: Duration,
    /// How long a failing target waits for a failed dependency before it is escalated.
    pub dependency_wait: Duration,
    /// How long something may be unknown before a person is told; [`Policy::PATIENCE`] or [`Policy::PATIENCE_CRITICAL`]
    /// when it is not said.
    #[serde(default)]
    pub tell_unknown_after: Option<Duration>,
    /// When disruptive actions are welcome, for failures that are foreseen and can wait.
    #[serde(default)]
    pub quiet: Option<QuietHours>,
    /// Whether what was handed to a person is tried again.
    #[serde(default)]
    pub retry: Retrying,
    /// When more healed incidents than this within a day make a healed one loud.
    pub loud_after: u32,
}

impl Policy {
    /// How long what is critical may be unknown before a person is told, when no policy says.
    pub const PATIENCE_CRITICAL: Duration = Duration::from_secs(120);
    /// The same of the rest.
    pub const PATIENCE: Duration = Duration::from_secs(600);
}

/// When a disruptive action is least felt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuietHours {
    /// As declared.
    Declared(WindowSchedule),
    /// The hour in which the host has had the least load, once that is known (`host.quiet_hour`).
    Learned,
}

/// Most disruptive actions within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Most actions; at least 1.
    pub actions_max: u32,
    /// The sliding window.
    pub per: Duration,
}

impl Budget {
    /// How many times as much drills may take: whoever tries out a host breaks one service several ways within an hour.
    pub const DRILLS_FACTOR: u32 = 4;

    /// The budget of drills and of what they broke, which are counted in books of their own.
    #[must_use]
    pub fn for_drills(self) -> Self {
        Self { actions_max: self.actions_max.saturating_mul(Self::DRILLS_FACTOR), ..self }
    }
}

/// After `failures_max` remediations of a target failed within `window`, nothing is done for `open_for`; then one
/// remediation may try (half-open), and its outcome closes the breaker or opens it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Failed remediations that open it; at least 1.
    pub failures_max: u32,
    /// The window in which they are counted.
    pub window: Duration,
    /// How long it stays open.
    pub open_for: Duration,
}

/// Wait `initial × factor^(attempt − 1)`, at most `wait_max`, lengthened by up to `jitter_percent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt.
    pub initial: Duration,
    /// Growth, at least 1.
    pub factor: u32,
    /// Longest wait.
    pub wait_max: Duration,
    /// Most that is added, in percent of the wait; 0 to 100.
    pub jitter_percent: u32,
    /// A target that stayed healthy this long starts again from `initial`.
    pub reset_after: Duration,
}

/// Planned time in which a scope is neither healed nor notified about; it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceWindow {
    /// Who or what it is for.
    pub reason: String,
    /// The targets that it covers.
    pub scope: Scope,
    /// When it is open.
    pub schedule: WindowSchedule,
}

/// When a maintenance window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowSchedule {
    /// Once.
    Once {
        /// First moment.
        from: WallTime,
        /// First moment after it.
        until: WallTime,
    },
    /// On some days of the week, from a minute of the day, in civil time of the host; the shell gives the offset.
    Weekly {
        /// Bit 0 is Monday.
        days: u8,
        /// Minute of the day at which it opens, 0 to 1439.
        from_minute: u16,
        /// How long it stays open.
        lasts: Duration,
        /// Seconds east of UTC that the host's civil time is ahead, refreshed by the shell.
        utc_offset_seconds: i32,
    },
}

impl WindowSchedule {
    /// Whether the window is open at `now`, and until when.
    #[must_use]
    pub fn open_until(&self, now: WallTime) -> Option<WallTime> {
        const DAY: i64 = 86_400_000;
        match *self {
            Self::Once { from, until } => (from <= now && now < until).then_some(until),
            Self::Weekly { days, from_minute, lasts, utc_offset_seconds } => {
                let local = now.0.saturating_add(i64::from(utc_offset_seconds) * 1000);
                let today = local.div_euclid(DAY);
                let lasts = i64::try_from(lasts.as_millis()).unwrap_or(DAY * 7).min(DAY * 7);
                // A window may have opened on an earlier day and still be open.
                (0..=lasts / DAY + 1).find_map(|back| {
                    let day = today - back;
                    // 1970-01-01 was a Thursday, the day with index 3.
                    let weekday = (day + 3).rem_euclid(7);
                    let opens = day * DAY + i64::from(from_minute) * 60_000;
                    let is_open = days >> weekday & 1 == 1 && opens <= local && local < opens + lasts;
                    is_open.then(|| WallTime(opens + lasts - i64::from(utc_offset_seconds) * 1000))
                })
            }
        }
    }
}

/// A set of targets. Empty selects nothing; everything is written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every target of the host.
    All,
    /// The targets that match one of these patterns (`*` and `?`), tried on the whole id and on the name after `/`.
    Matching(Vec<String>),
}

impl Scope {
    /// Whether a target is in it.
    #[must_use]
    pub fn holds(&self, target: &crate::id::TargetId) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => {
                patterns.iter().any(|pattern| matches(pattern, target.as_str()) || matches(pattern, target.name()))
            }
        }
    }
}

impl Scope {
    /// As the arguments of a command that is about exactly this scope.
    #[must_use]
    pub fn arguments(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
        // Whoever has written it may be somebody else than who copies it into a shell.
        let quoted = |pattern: &String| match pattern.chars().all(is_plain) {
            true => pattern.clone(),
            false => alloc::format!("'{}'", pattern.replace('\'', "'\\''")),
        };
        match self {
            Self::All => "--all".into(),
            Self::Matching(patterns) => patterns.iter().map(quoted).collect::<Vec<_>>().join(" "),
        }
    }
}

impl core::fmt::Display for Scope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::All => f.write_str("all targets"),
            Self::Matching(patterns) if patterns.is_empty() => f.write_str("no target"),
            Self::Matching(patterns) => f.write_str(&patterns.join(", ")),
        }
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters and `?` for one; linear in both.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::id::TargetId;

    #[test]
    fn an_empty_scope_holds_nothing_and_patterns_match_names() {
        let target = TargetId::new("service/worker@7.service").expect("valid");
        assert!(!Scope::Matching(vec![]).holds(&target));
        assert!(Scope::All.holds(&target));
        assert!(Scope::Matching(vec!["worker@*.service".into()]).holds(&target));
        assert!(!Scope::Matching(vec!["worker".into()]).holds(&target));
        assert!(matches("a*b?d", "aXXbcd") && !matches("a*b?d", "abd") && matches("*", ""));
    }

    #[test]
    fn a_weekly_window_opens_on_its_day_and_ends_itself() {
        // Sunday 23:00 for two hours, at UTC+1.
        let window = WindowSchedule::Weekly {
            days: 1 << 6,
            from_minute: 23 * 60,
            lasts: Duration::from_secs(7200),
            utc_offset_seconds: 3600,
        };
        // 2026-11-22 is a Sunday; 22:30 UTC is 23:30 there.
        let sunday = 1_795_386_600_000;
        assert_eq!(window.open_until(WallTime(sunday)), Some(WallTime(sunday + 90 * 60_000)));
        assert_eq!(window.open_until(WallTime(sunday + 90 * 60_000)), None);
        assert_eq!(window.open_until(WallTime(sunday - 31 * 60_000)), None);
    }
}
