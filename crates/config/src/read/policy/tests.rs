//! A weekly window follows the civil time of the host.

use super::*;
use ansai_document::{Form, Sources, read};

#[test]
fn a_weekly_window_follows_the_civil_time_of_the_host() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let at = |text: &str| WallTime(text.parse::<Timestamp>().expect("a moment").as_millisecond());
    let text = "maintenance: [{scope: '*', days: [sun, mon], at: '03:30', lasts: 2h}]";
    let root = read(text, Form::Yaml, 0).expect("valid");
    let offset = |now| {
        let sources = Sources::default();
        let windows = windows(&mut Findings::new(&sources), &root, &zone, now);
        match windows.first().map(|window| window.schedule) {
            Some(WindowSchedule::Weekly { days, from_minute, utc_offset_seconds, .. }) => {
                assert_eq!((days, from_minute), (0b100_0001, 210));
                (utc_offset_seconds, next_change(&zone, now))
            }
            other => panic!("{other:?}"),
        }
    };
    let (winter, summer) = (at("2026-01-10T00:00:00Z"), at("2026-07-10T00:00:00Z"));
    assert_eq!(offset(winter), (3_600, Some(at("2026-03-29T01:00:00Z"))));
    assert_eq!(offset(summer), (7_200, Some(at("2026-10-25T01:00:00Z"))));
    assert_eq!(next_change(&TimeZone::UTC, winter), None);
}
