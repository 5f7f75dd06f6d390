//! Observations followed over time: what is added to them, and when a healthy one fails.

use std::time::Duration;

use ansai_engine::trend::{Series, follow};
use ansai_model::{
    check::{Trend, TrendKind},
    condition::Value,
    observation::{Details, Health, Observation},
    time::{MonoTime, Now, WallTime},
    units::ByteSize,
};

const MIB: u64 = 1 << 20;
/// 2026-11-21, 04:10 UTC.
const BEGIN: i64 = 1_795_234_200_000;

pub(crate) fn trend(kind: TrendKind) -> Trend {
    let horizon = Duration::from_secs(24 * 3600);
    Trend { figure: "memory.anonymous".into(), limit: "memory.limit".into(), life: Some("life".into()), kind, horizon }
}

fn now(minute: u64) -> Now {
    Now { mono: MonoTime(0), wall: WallTime(BEGIN) }.plus(Duration::from_secs(minute * 60))
}

pub(crate) fn seen(used: u64, life: f64) -> Observation {
    Observation::healthy("fine")
        .with_figure("memory.anonymous", Value::Bytes(ByteSize(used)))
        .with_figure("memory.limit", Value::Bytes(ByteSize(2048 * MIB)))
        .with_figure("life", Value::Number(life))
}

fn figure(observation: &Observation, name: &str) -> Option<Value> {
    match observation.details() {
        Details::Figures(figures) => figures.get(name).cloned(),
        Details::None | Details::Unit(_) => None,
    }
}

/// The last observation of so many minutes of growth by 1 MiB a minute from 900 MiB on.
fn grown(trend: &Trend, series: &mut Series, minutes: u64) -> Observation {
    let mut last = Observation::unknown("nothing yet");
    for minute in 0..=minutes {
        last = follow(trend, series, now(minute), seen((900 + minute) * MIB, 1.0));
    }
    last
}

#[test]
fn a_leak_fails_before_its_limit_and_says_when_and_since_when() {
    let observation = grown(&trend(TrendKind::Leak), &mut Series::new(), 800);
    assert_eq!(observation.health(), Health::Failing);
    let words = observation.summary().as_str();
    assert!(words.starts_with("reaches its limit of 2.0 GiB at about 2026-11-21T23:1"), "{words}");
    assert!(words.contains("; grows by 60.") && words.contains("an hour since 2026-11-21T04:1"), "{words}");
    assert!(
        matches!(figure(&observation, "forecast.in"), Some(Value::Duration(time)) if time.as_secs().abs_diff(348 * 60) < 120)
    );
    assert!(figure(&observation, "memory.anonymous").is_some(), "what was seen stays");
}

#[test]
fn a_leak_that_reaches_its_limit_after_the_horizon_is_told_but_does_not_fail() {
    let trend = Trend { horizon: Duration::from_secs(3600), ..trend(TrendKind::Leak) };
    let observation = grown(&trend, &mut Series::new(), 800);
    assert_eq!(observation.health(), Health::Healthy);
    assert!(figure(&observation, "forecast.in").is_some());
}

#[test]
fn a_restart_begins_a_new_life_without_a_leak() {
    let (trend, mut series) = (trend(TrendKind::Leak), Series::new());
    assert_eq!(grown(&trend, &mut series, 800).health(), Health::Failing);
    let after = follow(&trend, &mut series, now(801), seen(900 * MIB, 2.0));
    assert_eq!((after.health(), figure(&after, "forecast.in")), (Health::Healthy, None));
    assert_eq!(series.past().len(), 1);
}

#[test]
fn unknown_stays_unknown_and_failing_keeps_its_words() {
    let (trend, mut series) = (trend(TrendKind::Leak), Series::new());
    let _ = grown(&trend, &mut series, 800);
    let unknown = follow(&trend, &mut series, now(801), Observation::unknown("no permission"));
    assert_eq!(unknown, Observation::unknown("no permission"));
    let details = seen(1700 * MIB, 1.0).details().clone();
    let unknown =
        follow(&trend, &mut series, now(801), Observation::unknown("half seen").with_details(details.clone()));
    assert_eq!((unknown.health(), unknown.summary().as_str()), (Health::Unknown, "half seen"));
    let failing = follow(&trend, &mut series, now(802), Observation::failing("killed").with_details(details));
    assert_eq!((failing.health(), failing.summary().as_str()), (Health::Failing, "killed"));
    assert!(figure(&failing, "forecast.in").is_some());
}

#[test]
fn a_disk_that_fills_fails_within_the_horizon() {
    let observation = grown(&trend(TrendKind::Fill), &mut Series::new(), 300);
    assert_eq!(observation.health(), Health::Failing, "{observation:?}");
    assert!(
        matches!(figure(&observation, "forecast.in"), Some(Value::Duration(time)) if time.as_secs().abs_diff(848 * 60) < 120)
    );
}

#[test]
fn what_does_not_grow_has_no_forecast() {
    let (trend, mut series) = (trend(TrendKind::Fill), Series::new());
    for minute in 0..500 {
        let observation = follow(&trend, &mut series, now(minute), seen(900 * MIB, 1.0));
        assert_eq!((observation.health(), figure(&observation, "forecast.in")), (Health::Healthy, None));
    }
}

#[test]
fn what_is_given_back_ends_the_incident_at_once_and_what_only_comes_and_goes_does_not() {
    let (trend, mut series) = (trend(TrendKind::Leak), Series::new());
    assert_eq!(grown(&trend, &mut series, 800).health(), Health::Failing);
    let mut unsure = series.clone();
    let lower = follow(&trend, &mut unsure, now(801), seen(1400 * MIB, 1.0));
    assert_eq!(lower.health(), Health::Failing, "some of it went, most did not");
    let released = follow(&trend, &mut series, now(801), seen(950 * MIB, 1.0));
    assert_eq!((released.health(), figure(&released, "forecast.in")), (Health::Healthy, None));
}

/// The health after 900 minutes of growth to `to` MiB on a straight line, in the given life.
fn filled(trend: &Trend, series: &mut Series, (begin, life): (u64, f64), to: u64) -> Health {
    let mut last = Health::Unknown;
    for minute in 0..=900 {
        let used = 100 + (to - 100) * minute / 900;
        last = follow(trend, series, now(begin + minute), seen(used * MIB, life)).health();
    }
    last
}

#[test]
fn what_an_earlier_life_needed_is_no_leak_of_the_next() {
    let (trend, mut series) = (trend(TrendKind::Leak), Series::new());
    assert_eq!(filled(&trend, &mut series, (0, 1.0), 1500), Health::Failing, "nobody knows better yet");
    for minute in 901..9000 {
        let _ = follow(&trend, &mut series, now(minute), seen(1500 * MIB, 1.0));
    }
    assert_eq!(filled(&trend, &mut series, (9000, 2.0), 1500), Health::Healthy, "the cache is as large as before");
    assert_eq!(filled(&trend, &mut series, (10_000, 3.0), 1980), Health::Failing, "this is more than before");
    assert_eq!(filled(&trend, &mut series, (11_000, 4.0), 1980), Health::Failing, "that one ended by its growth");
}

#[test]
fn a_disk_that_was_cleaned_is_healthy_at_once() {
    let (trend, mut series) = (trend(TrendKind::Fill), Series::new());
    assert_eq!(grown(&trend, &mut series, 300).health(), Health::Failing);
    let cleaned = follow(&trend, &mut series, now(301), seen(100 * MIB, 1.0));
    assert_eq!(cleaned.health(), Health::Healthy, "{cleaned:?}");
}

#[test]
fn a_limit_at_the_edge_of_the_horizon_does_not_come_and_go() {
    let (trend, mut series) = (trend(TrendKind::Fill), Series::new());
    let mut changes = 0;
    let mut before = Health::Healthy;
    for minute in 0..1400u64 {
        // It grows in bursts, so the time that is left goes up and down around the horizon before it is clearly within.
        let used = 900 + minute / 80 * 40;
        let health = follow(&trend, &mut series, now(minute), seen(used * MIB, 1.0)).health();
        changes += usize::from(health != before);
        before = health;
    }
    assert_eq!((changes, before), (1, Health::Failing));
}

#[test]
fn any_values_at_any_times_are_followed_without_a_panic() {
    let values = proptest::collection::vec((proptest::num::i64::ANY, proptest::num::u64::ANY, 0u8..3), 0..120);
    let kinds = [TrendKind::Fill, TrendKind::Leak];
    let config = proptest::test_runner::Config { failure_persistence: None, cases: 64, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&values, |values| {
        for kind in kinds {
            let (trend, mut series) = (trend(kind), Series::new());
            for (at, used, life) in &values {
                let now = Now { mono: MonoTime(*at), wall: WallTime(*at) };
                let _ = follow(&trend, &mut series, now, seen(*used, f64::from(*life)));
            }
            let stored = serde_json::to_string(&series).expect("it is written");
            let read: Series = serde_json::from_str(&stored).expect("it is read");
            assert_eq!(read, series);
        }
        Ok(())
    });
    result.expect("no panic");
}

#[test]
fn a_series_that_was_tampered_with_does_no_harm() {
    let mut series = Series::new();
    let _ = grown(&trend(TrendKind::Leak), &mut series, 300);
    let stored = serde_json::to_string(&series).expect("it is written");
    let spoilt = stored.replace("\"shift\":7", "\"shift\":255").replace("\"at\":1", "\"at\":4");
    let mut series: Series = serde_json::from_str(&spoilt).expect("it is read");
    for kind in [TrendKind::Fill, TrendKind::Leak] {
        let _ = grown(&trend(kind), &mut series, 300);
    }
}
