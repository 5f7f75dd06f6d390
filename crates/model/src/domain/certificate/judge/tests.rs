//! Table tests of what a look at a certificate means, on days before, at and after its end.

use alloc::vec;

use super::*;
use crate::observation::{Details, Health};

const DAY: i64 = 86_400_000;

fn seen(lifetime_days: i64) -> CertificateSeen {
    CertificateSeen {
        subject: "CN=api.example.com".into(),
        issuer: "CN=Test".into(),
        serial: "01".into(),
        not_before: WallTime(0),
        not_after: WallTime(lifetime_days * DAY),
        nearer_end: None,
        names: vec!["api.example.com".into(), "*.web.example.com".into(), "127.0.0.1".into()],
        strength: Strength::Strong,
        chain: ChainState::Trusted,
        key: KeyMatch::Matches,
        sameness: Sameness::Same,
    }
}

fn expect() -> Expectation {
    Expectation::of(vec!["api.example.com".into()])
}

fn told(days: &[u64]) -> Expectation {
    let steps = days.iter().map(|days| Duration::from_secs(days * 86_400)).collect();
    Expectation { aspect: Aspect::EndInSteps(steps), ..expect() }
}

#[track_caller]
fn check(expect: &Expectation, seen: &CertificateSeen, day: i64, health: Health, says: &str) -> Observation {
    let judged = judge("/a.pem", expect, seen, WallTime(day * DAY));
    assert_eq!(judged.health(), health, "{}", judged.summary());
    assert!(judged.summary().as_str().contains(says), "{}", judged.summary());
    judged
}

fn figure(observation: &Observation, name: &str) -> Option<Value> {
    match observation.details() {
        Details::Figures(figures) => figures.get(name).cloned(),
        Details::None | Details::Unit(_) => None,
    }
}

#[test]
fn its_end_is_judged_by_the_days_that_are_left() {
    let year = seen(365);
    check(&expect(), &year, 334, Health::Healthy, "good for 31d");
    check(&expect(), &year, 335, Health::Failing, "expires in 30d (it should be renewed 30d before its end)");
    check(&expect(), &year, 364, Health::Failing, "expires in 1d");
    check(&expect(), &year, 365, Health::Failing, "expired 0s ago");
    check(&expect(), &year, 367, Health::Failing, "expired 2d ago");
    let early = check(&expect(), &year, -1, Health::Failing, "is the clock of this host right?");
    assert_eq!(figure(&early, "certificate.is_due"), Some(Value::Bool(false)), "w18: no renewal sets a clock");
}

#[test]
fn w13_a_chain_is_as_near_its_end_as_its_nearest_certificate() {
    let nearer_end = |day| Some(NearerEnd { subject: "CN=Between".into(), not_after: WallTime(day * DAY) });
    let year = CertificateSeen { nearer_end: nearer_end(100), ..seen(365) };
    check(&expect(), &year, 60, Health::Healthy, "good for 40d, until CN=Between of its chain ends");
    let near = check(&expect(), &year, 95, Health::Failing, "expires in 5d, when CN=Between of its chain ends (it");
    assert_eq!(figure(&near, "certificate.is_due"), Some(Value::Bool(true)));
    assert_eq!(figure(&near, "certificate.expires_in"), Some(Value::Duration(Duration::from_secs(5 * 86_400))));
    check(&told(&[14, 7, 3, 1]), &year, 85, Health::Healthy, "good for 15d");
    let words = "expires in 5d, when CN=Between of its chain ends";
    assert_eq!(check(&told(&[14, 7, 3, 1]), &year, 95, Health::Failing, words).step(), 2.0);
    // Once it has ended, a chain that was followed says so; where nobody follows it, its end does.
    let ended = CertificateSeen { chain: ChainState::NotAsked, ..year.clone() };
    check(&expect(), &ended, 101, Health::Failing, "has a chain of which CN=Between expired 1d ago");
    check(&told(&[3, 1]), &year, 101, Health::Failing, "has a chain of which CN=Between expired 1d ago");
    let broken = CertificateSeen { chain: ChainState::Broken("CN=Between expired".into()), ..year };
    let judged = check(&expect(), &broken, 101, Health::Failing, "is not trusted: CN=Between expired");
    assert!(!judged.summary().as_str().contains("has a chain"), "said once: {}", judged.summary());
    let early = CertificateSeen { chain: ChainState::NotYet, ..seen(365) };
    let early = check(&expect(), &early, 1, Health::Failing, "is the clock of this host right?");
    assert_eq!(figure(&early, "certificate.is_due"), Some(Value::Bool(false)), "no renewal sets a clock");
}

#[test]
fn its_end_is_told_in_steps_of_which_the_last_is_urgent() {
    let (year, told) = (seen(365), told(&[7, 3]));
    let at = |day, health, says| {
        let judged = check(&told, &year, day, health, says);
        (judged.step(), judged.is_last_step())
    };
    assert_eq!(at(350, Health::Healthy, "good for 15d"), (0.0, false));
    assert_eq!(at(358, Health::Failing, "expires in 7d"), (1.0, false));
    assert_eq!(at(361, Health::Failing, "expires in 4d"), (1.0, false));
    assert_eq!(at(362, Health::Failing, "expires in 3d"), (2.0, true));
    assert_eq!(at(366, Health::Failing, "expired 1d ago"), (2.0, true));
}

#[test]
fn a_short_life_is_renewed_after_two_thirds_of_it() {
    check(&expect(), &seen(6), 3, Health::Healthy, "good for 3d");
    check(&expect(), &seen(6), 4, Health::Failing, "expires in 2d (it should be renewed 2d before its end)");
    check(&expect(), &seen(90), 59, Health::Healthy, "");
    check(&expect(), &seen(90), 60, Health::Failing, "30d before");
    check(&told(&[14]), &seen(6), 5, Health::Healthy, "good for 1d");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let wrong = CertificateSeen {
        names: vec!["old.example.com".into()],
        strength: Strength::Weak("signed with SHA-1".into()),
        chain: ChainState::Broken("unknown issuer".into()),
        key: KeyMatch::Differs,
        ..seen(365)
    };
    let judged = check(&expect(), &wrong, 364, Health::Failing, "expires in 1d");
    for words in ["does not belong to its key", "does not cover api.example.com (it covers old", "SHA-1", "not trusted"]
    {
        assert!(judged.summary().as_str().contains(words), "{}", judged.summary());
    }
    assert_eq!(figure(&judged, "certificate.is_due"), Some(Value::Bool(true)));
    assert_eq!(figure(&judged, "certificate.is_stale"), Some(Value::Bool(false)));
    assert_eq!(figure(&judged, "certificate.expires_in"), Some(Value::Duration(Duration::from_secs(86_400))));
    check(&told(&[1]), &wrong, 300, Health::Healthy, "");
}

#[test]
fn a_copy_that_differs_is_stale_and_not_due() {
    let differs = |is_due| Sameness::Differs { file: "/b.pem".into(), is_due };
    let stale = CertificateSeen { sameness: differs(false), ..seen(365) };
    let judged = check(&expect(), &stale, 364, Health::Failing, "not the certificate in /b.pem");
    assert_eq!(figure(&judged, "certificate.is_due"), Some(Value::Bool(false)));
    assert_eq!(figure(&judged, "certificate.is_stale"), Some(Value::Bool(true)));
    let judged =
        check(&expect(), &CertificateSeen { sameness: differs(true), ..seen(365) }, 1, Health::Failing, "not the");
    assert_eq!(figure(&judged, "certificate.is_due"), Some(Value::Bool(true)), "taking it over would mend nothing");
    assert_eq!(figure(&judged, "certificate.is_stale"), Some(Value::Bool(false)));
}

#[test]
fn what_cannot_be_told_is_unknown_but_hides_no_failure() {
    let unreadable = CertificateSeen { key: KeyMatch::Unreadable("no leave".into()), ..seen(365) };
    check(&expect(), &unreadable, 1, Health::Unknown, "no leave");
    check(&expect(), &unreadable, 365, Health::Failing, "expired");
    let unreadable = CertificateSeen { sameness: Sameness::Unreadable("gone".into()), ..seen(365) };
    check(&expect(), &unreadable, 1, Health::Unknown, "gone");
    let unreadable = CertificateSeen { chain: ChainState::Unreadable("no roots".into()), ..seen(365) };
    check(&expect(), &unreadable, 1, Health::Unknown, "no roots");
}

#[test]
fn a_wildcard_stands_for_one_label() {
    let names = seen(1).names;
    for (wanted, is_covered) in [
        ("API.example.com", true),
        ("api.example.com.", true),
        ("a.web.example.com", true),
        ("*.web.example.com", true),
        ("a.b.web.example.com", false),
        ("web.example.com", false),
        (".web.example.com", false),
        ("*.example.com", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
    ] {
        assert_eq!(covers(&names, wanted), is_covered, "{wanted}");
    }
}
