//! Hosts over SSH: a person adds them, the controller alone gets them certificates, and an agent of their own takes their place.

use ansai_protocol::{
    link::{HostId, JoinAnswer},
    operation::{FleetAnswer, FleetOperation},
    ssh::OverSsh,
};

use crate::paper::{Paper, key, said, secs, short};

fn over(destination: &str) -> OverSsh {
    OverSsh { destination: destination.into(), sudo: true, known: vec!["web-1 ssh-ed25519 AAAA".into()] }
}

fn add(name: &str, over: OverSsh, chance: u8) -> FleetOperation {
    let fresh = Some(HostId::of_chance([chance; 16]));
    FleetOperation::AddOverSsh { name: short(name), role: Some(short("web")), over, fresh }
}

fn carried(fleet: &Paper) -> Vec<HostId> {
    fleet.engine.over_ssh().map(|(host, _)| host).collect()
}

#[test]
fn a_host_over_ssh_is_a_member_and_each_connection_has_a_certificate() {
    let mut fleet = Paper::empty();
    let rehearsed = fleet.engine.rehearse(&add("web-1", over("root@web-1"), 5));
    assert!(rehearsed == Ok(1) && carried(&fleet).is_empty());
    let added = fleet.operates(add("web-1", over("root@web-1"), 5));
    assert!(said(&added).contains("web-1 is added over SSH, as root@web-1"), "{added:?}");
    let [host] = carried(&fleet)[..] else { panic!("one") };
    for number in 1..4 {
        fleet.carried = Some(host);
        let joined = fleet.joins(number, "localhost", "", false);
        assert!(
            matches!(&joined, JoinAnswer::Joined(one) if one.host == host && one.name == short("web-1")),
            "{joined:?}"
        );
        fleet.carried = None;
        fleet.connects(number.into(), number);
        assert!(fleet.sent.iter().any(|(session, _)| *session == u64::from(number)), "its link is up");
        fleet.disconnects(number.into());
    }
    assert_eq!(fleet.engine.books().host_named("web-1").and_then(|host| host.role.clone()), Some(short("web")));
    fleet.is_killed();
    assert_eq!(carried(&fleet), [host], "how it is reached is kept");
    let removed = fleet.operates(FleetOperation::Remove { host: "web-1".into() });
    assert!(said(&removed).contains("nothing heals it"), "{removed:?}");
    fleet.carried = Some(host);
    assert!(matches!(fleet.joins(9, "localhost", "", true), JoinAnswer::Refused { .. }));
}

#[test]
fn nobody_gets_the_certificate_of_a_host_with_an_agent_of_its_own() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.carried = Some(fleet.identity(1).host);
    let answer = fleet.joins(9, "web-1", "", false);
    assert!(
        matches!(&answer, JoinAnswer::Refused { what, .. } if what.as_str().contains("no agent is carried")),
        "{answer:?}"
    );
}

#[test]
fn what_makes_no_sense_is_not_added() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.operates(add("web-2", over("root@web-2"), 5));
    let without = OverSsh { known: Vec::new(), ..over("x") };
    let two_lines = OverSsh { known: vec!["web-1 ssh-ed25519 AAAA\n* ssh-ed25519 BBBB".into()], ..over("x") };
    for (name, over, word) in [
        ("web-1", over("x"), "called web-1 already"),
        ("web 3", over("x"), "no name of a host"),
        ("web-3", over("root@web-2"), "web-2 is reached as root@web-2 already"),
        ("web-3", without, "by no key"),
        ("web-3", two_lines, "by no key"),
    ] {
        let operation = add(name, over, 6);
        let rehearsed = fleet.engine.rehearse(&operation).expect_err(word);
        let refused = fleet.operates(operation);
        assert!(matches!(refused, FleetAnswer::Refused { .. }) && said(&refused).contains(word), "{refused:?}");
        assert_eq!(rehearsed, refused);
    }
    assert_eq!(carried(&fleet).len(), 1);
}

#[test]
fn an_agent_that_is_installed_there_takes_the_place_of_the_carried_one() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.operates(add("web-1", over("root@web-1"), 5));
    let [host] = carried(&fleet)[..] else { panic!("one") };
    assert!(matches!(fleet.joins(2, "web-1", "web", true), JoinAnswer::Pending { .. }));
    fleet.operates(FleetOperation::Accept { fingerprint: key(2).to_string().as_str().into(), fresh: None });
    let joined = fleet.joins(2, "web-1", "web", true);
    assert!(matches!(&joined, JoinAnswer::Joined(one) if one.host == host), "{joined:?}");
    assert!(carried(&fleet).is_empty());
}

#[test]
fn of_a_silent_host_over_ssh_nobody_says_that_it_heals_alone() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.operates(add("web-2", over("root@web-2"), 5));
    fleet.carried = carried(&fleet).first().copied();
    fleet.joins(2, "web-2", "", false);
    fleet.connects(2, 2);
    fleet.disconnects(2);
    fleet.passes(secs(90), &[1]);
    let own = fleet.own();
    assert!(
        own.iter().any(|one| one.starts_with("web-2 is not heard") && one.contains("nobody heals there")),
        "{own:?}"
    );
}
