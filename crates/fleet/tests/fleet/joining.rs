//! How hosts come in, and how people let them, or not.

use ansai_fleet::FleetInput;
use ansai_model::fleet::FleetScope;
use ansai_protocol::{
    link::{Fingerprint, FromController, FromHost, HostId, JoinAnswer, Request, Short, TokenId},
    operation::{FleetAnswer, FleetOperation},
};

use crate::paper::{Paper, TOKEN, key, said, secret, secs, short};

#[test]
fn a_token_lets_as_many_in_as_it_says_and_a_lost_answer_costs_none() {
    let mut fleet = Paper::empty();
    fleet.token(2);
    let first = fleet.joins(1, "web-1", "web", true);
    let JoinAnswer::Joined(identity) = &first else { panic!("{first:?}") };
    // Its answer was lost: it asks again with the same key, and is the same host.
    let again = fleet.joins(1, "web-1", "web", true);
    assert!(matches!(&again, JoinAnswer::Joined(other) if other.host == identity.host), "{again:?}");
    assert!(matches!(fleet.joins(2, "web-2", "web", true), JoinAnswer::Joined(_)));
    let third = fleet.joins(3, "web-3", "web", true);
    assert!(matches!(&third, JoinAnswer::Refused { what, .. } if what.as_str().contains("used up")), "{third:?}");
    assert_eq!(fleet.engine.books().hosts.len(), 2);
    assert_eq!(fleet.engine.books().tokens[&TOKEN].uses_left, 0);
}

#[test]
fn what_is_wrong_with_a_token_is_told_to_nobody_without_its_secret() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    for token in [(TOKEN, Fingerprint([1; 32])), (TokenId([9; 6]), secret())] {
        let answer = fleet.joins_with(1, "web-1", "", Some(token));
        assert!(matches!(&answer, JoinAnswer::Refused { what, .. } if what.as_str().contains("knows no such token")));
    }
    fleet.operates(FleetOperation::RevokeToken { id: TOKEN });
    let answer = fleet.joins(1, "web-1", "", true);
    assert!(matches!(&answer, JoinAnswer::Refused { what, .. } if what.as_str().contains("was revoked")), "{answer:?}");
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.now = fleet.now.plus(secs(7_200));
    let answer = fleet.joins(1, "web-1", "", true);
    assert!(
        matches!(&answer, JoinAnswer::Refused { what, .. } if what.as_str().contains("ended 1h ago")),
        "{answer:?}"
    );
    assert!(fleet.engine.books().hosts.is_empty());
}

#[test]
fn a_host_without_a_token_waits_for_a_person() {
    let mut fleet = Paper::empty();
    let answer = fleet.joins(1, "web-1", "web", false);
    assert!(matches!(answer, JoinAnswer::Pending { fingerprint, .. } if fingerprint == key(1)));
    assert!(matches!(fleet.joins(1, "web-1", "web", false), JoinAnswer::Pending { .. }));
    assert_eq!(fleet.engine.books().pending.len(), 1);
    let few = fleet.operates(FleetOperation::Accept { fingerprint: "0101".into(), fresh: None });
    assert!(said(&few).contains("too few digits"), "{few:?}");
    let fresh = Some(ansai_protocol::link::HostId::of_chance([5; 16]));
    let accepted = fleet.operates(FleetOperation::Accept { fingerprint: "0101-0101".into(), fresh });
    assert!(said(&accepted).starts_with("done: web-1 is accepted"), "{accepted:?}");
    assert!(matches!(fleet.joins(1, "web-1", "web", false), JoinAnswer::Joined(_)));
    assert!(fleet.engine.books().pending.is_empty());
    // One that is rejected is told so, and is not asked about again.
    fleet.joins(2, "web-2", "web", false);
    fleet.operates(FleetOperation::Reject { fingerprint: key(2).to_string().as_str().into() });
    let answer = fleet.joins(2, "web-2", "web", false);
    assert!(matches!(&answer, JoinAnswer::Refused { what, .. } if what.as_str() == "ann has rejected this host"));
    // One that nobody decides about is forgotten.
    fleet.joins(3, "web-3", "web", false);
    fleet.now = fleet.now.plus(secs(86_401));
    fleet.step(ansai_fleet::FleetInput::Tick);
    assert!(fleet.engine.books().pending.is_empty());
}

#[test]
fn a_known_name_with_a_new_key_is_one_approval_and_keeps_its_history() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    let before = fleet.identity(1);
    // It was installed anew: another key under the same name, whatever token it has.
    let answer = fleet.joins(2, "web-1", "web", true);
    assert!(matches!(answer, JoinAnswer::Pending { .. }), "{answer:?}");
    assert_eq!(fleet.engine.books().pending[&key(2)].replaces, Some(before.host));
    assert_eq!(fleet.closed, []);
    fleet.operates(FleetOperation::Accept { fingerprint: key(2).to_string().as_str().into(), fresh: None });
    assert_eq!(fleet.closed.len(), 1, "the old key is good for nothing any more");
    let answer = fleet.joins(2, "web-1", "web", true);
    assert!(matches!(&answer, JoinAnswer::Joined(identity) if identity.host == before.host), "{answer:?}");
    fleet.connects(7, 1);
    assert!(
        fleet.closed.iter().any(|(session, why)| *session == 7 && why.contains("taken back")),
        "{:?}",
        fleet.closed
    );
    fleet.connects(8, 2);
    assert!(fleet.sent.iter().any(|(session, _)| *session == 8));
}

#[test]
fn one_who_has_not_seen_what_is_replaced_is_asked_again() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.joins(2, "web-1", "web", false);
    fleet.joins(1, "web-1", "web", true);
    let accept = FleetOperation::Accept { fingerprint: key(2).to_string().as_str().into(), fresh: None };
    let answer = fleet.operates(accept.clone());
    assert!(said(&answer).contains("has joined meanwhile"), "{answer:?}");
    assert!(said(&fleet.operates(accept)).starts_with("done"));
}

#[test]
fn no_more_wait_than_may() {
    let mut fleet = Paper::empty();
    for number in 0..=u8::MAX {
        fleet.joins(number, &format!("h{number}"), "", false);
    }
    assert_eq!(fleet.engine.books().pending.len(), ansai_fleet::limits::PENDING_MAX);
    let mut joins = fleet.joins(1, "h1", "", false);
    assert!(matches!(joins, JoinAnswer::Pending { .. }), "who waits already goes on");
    fleet.operates(FleetOperation::Reject { fingerprint: key(1).to_string().as_str().into() });
    joins = fleet.joins(2, "h2", "", false);
    assert!(matches!(joins, JoinAnswer::Pending { .. }));
}

#[test]
fn a_removed_host_is_out_at_once_and_a_renamed_one_stays() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("web-2", "web")]);
    let taken = fleet.operates(FleetOperation::Rename { host: "web-1".into(), name: short("web-2") });
    assert!(matches!(taken, FleetAnswer::Refused { .. }));
    let wrong = fleet.operates(FleetOperation::Rename { host: "web-1".into(), name: short("a b") });
    assert!(matches!(wrong, FleetAnswer::Refused { .. }));
    fleet.operates(FleetOperation::Rename { host: "web-1".into(), name: short("www") });
    assert!(fleet.engine.books().host_named("www").is_some() && fleet.engine.books().host_named("web-1").is_none());
    let missing = fleet.operates(FleetOperation::Remove { host: "web-1".into() });
    assert!(matches!(missing, FleetAnswer::NotFound { .. }));
    let identity = fleet.identity(1);
    fleet.operates(FleetOperation::Remove { host: "www".into() });
    assert_eq!(fleet.closed, [(1, "this host was removed from the fleet".to_owned())]);
    assert!(!fleet.engine.books().is_member(identity.host, &identity.serial));
}

#[test]
fn members_are_listed_by_name_from_behind_a_name_on_whoever_is_called_so() {
    let fleet = Paper::of(&[("web-2", "web"), ("db-1", "db"), ("web-1", "web"), ("web-3", "web")]);
    let listed = |over: Option<&FleetScope>, after: Option<&str>| {
        let after = after.map(Short::from);
        let hosts = fleet.engine.hosts_of(fleet.now, over, after.as_ref());
        hosts.map(|host| host.record.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    let web = FleetScope::Role("web".into());
    assert_eq!(listed(None, None), "db-1 web-1 web-2 web-3");
    assert_eq!(listed(None, Some("web-1")), "web-2 web-3");
    assert_eq!(listed(Some(&web), None), "web-1 web-2 web-3");
    // A name that nobody has any more is a place all the same.
    assert_eq!(listed(Some(&web), Some("web-1b")), "web-2 web-3");
    assert_eq!(listed(Some(&web), Some("web-3")), "");
}

#[test]
fn what_a_host_is_for_is_known_from_the_join_on() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.joins(1, "web-1", "web", true);
    fleet.joins(2, "db-1", "db", false);
    let waits = &fleet.engine.books().pending[&key(2)];
    assert_eq!((waits.role.clone(), waits.labels.len()), (Some(short("db")), 1));
    let fresh = Some(HostId::of_chance([5; 16]));
    fleet.operates(FleetOperation::Accept { fingerprint: key(2).to_string().as_str().into(), fresh });
    for (name, role) in [("web-1", "web"), ("db-1", "db")] {
        let host = fleet.engine.books().host_named(name).expect("a member");
        assert_eq!(
            (host.role.clone(), host.labels.get(&short("zone"))),
            (Some(short(role)), Some(&short("a"))),
            "{name}"
        );
    }
}

const DAY: u64 = 86_400;

/// So many days go by at once.
fn days_pass(fleet: &mut Paper, days: u64) {
    fleet.now = fleet.now.plus(secs(days * DAY));
    fleet.step(FleetInput::Tick);
}

fn renews(fleet: &mut Paper, session: u64) {
    fleet.hears(session, FromHost::Renew { request: Request::new("request").expect("short") });
}

fn serials(fleet: &Paper) -> Vec<String> {
    fleet.engine.books().identities.keys().map(ToString::to_string).collect()
}

#[test]
fn what_has_ended_is_remembered_for_a_month() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    days_pass(&mut fleet, 29);
    assert_eq!(fleet.engine.books().tokens.len(), 1, "it has ended, and people may ask why");
    days_pass(&mut fleet, 2);
    assert!(fleet.engine.books().tokens.is_empty());
    // A key that another has replaced.
    fleet.token(1);
    fleet.joins(2, "web-1", "web", true);
    fleet.operates(FleetOperation::Accept { fingerprint: key(2).to_string().as_str().into(), fresh: None });
    fleet.joins(2, "web-1", "web", true);
    assert_eq!(serials(&fleet), ["s1", "s2"]);
    days_pass(&mut fleet, 31);
    assert_eq!(serials(&fleet), ["s2"]);
}

#[test]
fn the_newest_certificate_that_a_host_has_shown_is_good_for_renewal_however_long_it_slept() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    days_pass(&mut fleet, 10);
    // The answer may be lost: it has shown the first one only.
    renews(&mut fleet, 1);
    days_pass(&mut fleet, 300);
    assert_eq!(serials(&fleet), ["s1", "s2"]);
    fleet.disconnects(1);
    days_pass(&mut fleet, 300);
    assert_eq!(serials(&fleet), ["s1", "s2"]);
    // It shows the second, and nobody needs the first any more.
    fleet.connects(2, 1);
    days_pass(&mut fleet, 1);
    assert_eq!(serials(&fleet), ["s2"]);
    assert!(fleet.sent.iter().any(|(session, said)| *session == 2 && matches!(said, FromController::Welcome(_))));
}

#[test]
fn a_host_that_renews_again_and_again_takes_no_room_and_keeps_what_it_is_here_with() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    for _ in 0..50 {
        renews(&mut fleet, 1);
    }
    let serials = serials(&fleet);
    assert_eq!(serials.len(), 1 + ansai_fleet::limits::IDENTITIES_OF_HOST_MAX, "{serials:?}");
    assert!(serials.contains(&"s1".to_owned()) && serials.contains(&"s51".to_owned()), "{serials:?}");
}
