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

fn trend(kind: TrendKind) -> Trend {
    let horizon = Duration::from_secs(24 * 3600);
    Trend { figure: "memory.anonymous".into(), limit: "memory.limit".into(), life: Some("life".into()), kind, horizon }
}

fn now(minute: u64) -> Now {
    Now { mono: MonoTime(0), wall: WallTime(BEGIN) }.plus(Duration::from_secs(minute * 60))
}

fn seen(used: u64, life: f64) -> Observation {
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
    assert!(words.starts_with("grows by 60."), "{words}");
    assert!(words.contains("an hour since 04:1") && words.contains("reaches its limit of 2.0 GiB in 5h4"), "{words}");
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
