//! The keys of limits: policies with their parts, quiet hours, and when a check counts as flapping.

use std::time::Duration;

use ansai_document::{Node, units::shown_duration, written::Written};
use ansai_keys::{DURATION_MIN, Key, Kind, Shape, key};
use ansai_model::{
    check::Flap,
    id::PolicyId,
    policy::{Backoff, Breaker, Budget, Policy, QuietHours, Scope, WindowSchedule},
    retry::Retrying,
    time::WallTime,
};

use super::{ANY, COUNT, DAYS};
use crate::fill::{At, Filled, Held, fills, shape, words::word};

/// The longest that a weekly window stays open.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Bit 0 is Monday.
const EVERY_DAY: u8 = 0x7f;

pub(crate) static POLICY: Shape = shape::<Policy>("A policy");
pub(crate) static BUDGET: Shape = shape::<Budget>("A budget");
static BREAKER: Shape = shape::<Breaker>("A circuit breaker");
static BACKOFF: Shape = shape::<Backoff>("A back-off");
pub(crate) static FLAP: Shape = shape::<Flap>("Flapping");
static QUIET: Shape = shape::<Quiet>("Quiet hours");
pub(super) static WINDOW: Shape =
    shape::<Window>("A maintenance window").beside("scope: \"*\", days: [sun], at: \"03:00\", lasts: 2h");

/// Quiet hours: a word, or when they are.
pub(crate) const QUIET_HOURS: Kind = Kind::Short(&Kind::Word("quiet hours", &["learned", "none"]), &QUIET);

fills! {
    Policy {
        cooldown: key("cooldown", Kind::Duration, "The wait before a target is healed again that failed again soon after; not the first time, and twice as long each time")
            .default("30s"),
        target_budget: key("budget", Kind::Shape(&BUDGET), "Most disruptive actions on one target")
            .default("{actions: 6, per: 1h}"),
        breaker: key("breaker", Kind::Shape(&BREAKER), "When healing a target is stopped for a while"),
        backoff: key("backoff", Kind::Shape(&BACKOFF), "The wait between attempts"),
        attempts_max: key("attempts", COUNT, "Most attempts of one remediation before a person is told").default("4"),
        verify_within: key("verify_within", Kind::Duration, "How long after a remedy every check may take to become healthy")
            .default("30s"),
        stable_for: key("stable_for", Kind::Duration, "How long all checks must then stay healthy").default("30s"),
        approval_expires: key("approval_expires", Kind::Duration, "How long a decision waits for `ansai approve`").default("1h"),
        dependency_wait: key("dependency_wait", Kind::Duration, "How long it waits for a failed dependency before a person is told")
            .default("5m"),
        tell_unknown_after: key("tell_unknown_after", Kind::Duration, "How long something may be unknown before a person is told")
            .otherwise_of("{} for what is critical, {} for the rest", &[|| shown_duration(Policy::PATIENCE_CRITICAL), || shown_duration(Policy::PATIENCE)]),
        quiet: key("quiet", QUIET_HOURS, "When disruptive actions are least felt; what is foreseen and can wait is done then")
            .default("none").example("{at: \"02:00\", lasts: 2h}"),
        retry: key("retry", word::<Retrying>(), "Whether it is tried again after a person was told: when what it failed for is gone, else after 5, 15 and 30 minutes and each hour")
            .default("growing"),
        loud_after: key("loud_after", COUNT, "How many healed incidents a day are told only when asked for").default("3"),
    } besides {
        id: PolicyId::new("default").expect("a valid name"),
    }
}

fills! {
    Budget {
        actions_max: key("actions", Kind::Whole { min: 1, max: ANY }, "Most disruptive actions within the time").example("6"),
        per: key("per", Kind::Duration, "The time, a window that moves along").example("1h"),
    }
}

fills! {
    Breaker {
        failures_max: key("failures", COUNT, "Failed remediations that open it").default("3"),
        window: key("within", Kind::Duration, "The time in which they are counted").default("1h"),
        open_for: key("open_for", Kind::Duration, "How long nothing is tried then").default("30m"),
    }
}

fills! {
    Backoff {
        initial: key("initial", Kind::Duration, "The wait before the second attempt").default("5s"),
        factor: key("factor", COUNT, "How it grows with each attempt").default("2"),
        wait_max: key("max", Kind::Duration, "The longest wait").default("5m"),
        jitter_percent: key("jitter", Kind::Whole { min: 0, max: 100 }, "The most that chance adds, in percent").default("20"),
        reset_after: key("reset_after", Kind::Duration, "After so long in health it begins anew").default("10m"),
    }
}

fills! {
    Flap {
        changes_max: key("changes", COUNT, "Most changes of the state that are not flapping").default("5"),
        window: key("within", Kind::Duration, "The time in which they are counted").default("2m"),
    }
}

/// Quiet hours that are declared.
#[derive(Clone)]
struct Quiet {
    at: TimeOfDay,
    lasts: Duration,
    days: Days,
}

fills! {
    Quiet {
        at: key("at", Kind::TimeOfDay, "When they begin, in the host's civil time")
            .example("\"02:00\"").needed("quiet hours need `at`", "write at: \"02:00\"").also("lasts: 2h"),
        lasts: key("lasts", Kind::Duration, "How long they last").default("2h"),
        days: key("days", Kind::List(&Kind::Word("day", DAYS)), "On which days").otherwise("every day").example("[sat, sun]"),
    }
}

/// A maintenance window, as far as it is written: one that opens once or each week.
#[derive(Clone)]
pub(crate) struct Window {
    pub(crate) scope: Scope,
    pub(crate) reason: Option<String>,
    pub(crate) from: Option<WallTime>,
    pub(crate) until: Option<WallTime>,
    pub(crate) days: Option<Days>,
    pub(crate) at: Option<TimeOfDay>,
    pub(crate) lasts: Option<Duration>,
}

fills! {
    Window {
        scope: key("scope", Kind::Texts, "Which targets, patterns with * and ?; all is every one").example("\"*\"")
            .needed("a maintenance window needs `scope`", "write scope: \"*\" for every target"),
        reason: key("reason", Kind::Text, "What it is for"),
        from: key("from", Kind::Moment, "The first moment, of a window that opens once").example("2030-01-31T08:00:00Z").beside("scope: \"*\", from: 2030-01-31T08:00:00Z, until: 2030-01-31T10:00:00Z"),
        until: key("until", Kind::Moment, "The first moment after it").example("2030-01-31T10:00:00Z").beside("scope: \"*\", from: 2030-01-31T08:00:00Z, until: 2030-01-31T10:00:00Z"),
        days: key("days", Kind::List(&Kind::Word("day", DAYS)), "The days, of a window that opens each week").example("[sat, sun]"),
        at: key("at", Kind::TimeOfDay, "When it opens, in the host's civil time").example("\"03:00\""),
        lasts: key("lasts", Kind::Between { min: DURATION_MIN, max: WEEK }, "How long it stays open").example("2h"),
    }
}

/// Read in UTC; whoever knows the host's civil time puts them there.
impl Held for QuietHours {
    const NOTHING: Option<&'static str> = Some("none");

    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        if node.text() == Some("learned") {
            return Some(Self::Learned);
        }
        let Quiet { at: TimeOfDay(from_minute), lasts, days: Days(days) } = Quiet::read(at, node, None)?;
        let (days, lasts) = (if days == 0 { EVERY_DAY } else { days }, lasts.min(WEEK));
        Some(Self::Declared(WindowSchedule::Weekly { days, from_minute, lasts, utc_offset_seconds: 0 }))
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        match *self {
            Self::Declared(WindowSchedule::Weekly { days, from_minute, lasts, .. }) => {
                Some(Quiet { at: TimeOfDay(from_minute), lasts, days: Days(days) }.fields().done())
            }
            // No configuration can ask for quiet hours that come once.
            Self::Declared(WindowSchedule::Once { .. }) => None,
            Self::Learned => Some(Written::text("learned")),
        }
    }
}

/// Minutes after midnight, as `03:30`.
#[derive(Clone, Copy)]
pub(crate) struct TimeOfDay(pub(crate) u16);

impl Held for TimeOfDay {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        ansai_document::units::read_time_of_day(node.text()?).map(Self)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::Text(format!("{:02}:{:02}", self.0 / 60, self.0 % 60)))
    }
}

/// Days of the week; bit 0 is Monday.
#[derive(Clone, Copy)]
pub(crate) struct Days(pub(crate) u8);

impl Held for Days {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let named = node.list()?.iter().filter_map(|day| DAYS.iter().position(|known| Some(*known) == day.text()));
        Some(Self(named.fold(0, |bits, day| bits | 1 << day)))
    }

    fn unwritten() -> Option<Self> {
        Some(Self(0))
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        let days = DAYS.iter().enumerate().filter(|(day, _)| self.0 >> day & 1 == 1).map(|(_, name)| name);
        Some(Written::texts(days))
    }
}
