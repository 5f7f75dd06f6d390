//! Hosts that are not heard.

use ansai_model::rule::Severity;

use crate::paper::{Paper, secs};

fn four() -> Paper {
    Paper::of(&[("web-1", "web"), ("web-2", "web"), ("web-3", "web"), ("db-1", "db")])
}

#[test]
fn a_host_that_is_not_heard_for_a_minute_is_an_incident_that_ends_when_it_is_heard() {
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.disconnects(1);
    fleet.passes(secs(55), &[2, 3, 4]);
    assert_eq!(fleet.own(), Vec::<String>::new());
    fleet.passes(secs(20), &[2, 3, 4]);
    assert_eq!(fleet.own(), ["web-1 is not heard any more; as far as anybody knows it heals alone"]);
    // Whoever ended before it was told finds it, as the same, when it begins again.
    assert_eq!((fleet.engine.open_notices().len(), fleet.told.len()), (1, 0), "others may fall silent with it");
    fleet.passes(secs(20), &[2, 3, 4]);
    assert_eq!(fleet.engine.open_notices(), fleet.told);
    let standing = fleet.engine.host(fleet.now, fleet.identity(1).host).expect("a member");
    assert!(standing.is_silent && standing.connected.is_none());
    fleet.connects(9, 1);
    fleet.passes(secs(1), &[]);
    assert_eq!(fleet.own(), Vec::<String>::new());
    let told: Vec<_> = fleet.told.iter().map(|notice| notice.is_over).collect();
    assert_eq!(told, [false, true]);
    assert!(fleet.engine.open_notices().is_empty());
    assert_eq!((fleet.told[0].incident, fleet.told[0].opened), (fleet.told[1].incident, fleet.told[1].opened));
}

#[test]
fn many_that_fall_silent_at_once_are_one_incident_and_everybody_makes_the_controller_suspect() {
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.passes(secs(80), &[4]);
    assert_eq!(fleet.own().len(), 1);
    assert!(fleet.own()[0].starts_with("web-1, web-2 and web-3 are not heard"), "{:?}", fleet.own());
    fleet.passes(secs(80), &[]);
    // One that falls silent later is another matter.
    assert_eq!(fleet.own().len(), 2);
    let suspicion = "the controller's own network is suspected, and none of them is blamed";
    assert!(fleet.own()[1].starts_with("db-1 is not heard") && fleet.own()[1].contains(suspicion), "{:?}", fleet.own());
    assert!(!fleet.own()[0].contains(suspicion), "what was silent before has its own reason: {:?}", fleet.own());
}

#[test]
fn hosts_are_named_in_the_order_of_their_names_whatever_their_identities_are() {
    let mut fleet = Paper::of(&[("web-3", "web"), ("db-1", "db"), ("web-2", "web"), ("web-1", "web")]);
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.passes(secs(80), &[2]);
    assert!(fleet.own()[0].starts_with("web-1, web-2 and web-3 are not heard"), "{:?}", fleet.own());
}

#[test]
fn nobody_is_called_silent_because_the_controller_was_not_there() {
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.now = fleet.now.plus(secs(3_600));
    let mut again = Paper::of(&[("web-1", "web")]);
    again.passes(secs(59), &[]);
    assert_eq!(again.own(), Vec::<String>::new());
    again.passes(secs(2), &[]);
    assert_eq!(again.own().len(), 1);
}

#[test]
fn how_long_a_host_may_say_nothing_is_the_configurations() {
    let mut fleet = four();
    fleet.engine = fleet.engine.clone().silent_after(secs(300));
    fleet.passes(secs(310), &[1, 2, 3, 4]);
    fleet.disconnects(1);
    fleet.passes(secs(290), &[2, 3, 4]);
    assert_eq!(fleet.own(), Vec::<String>::new());
    fleet.passes(secs(20), &[2, 3, 4]);
    assert_eq!(fleet.own().len(), 1);
}

#[test]
fn a_controller_that_hears_nobody_suspects_itself_from_the_first_on_and_blames_no_host() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("web-2", "web"), ("db-1", "db")]);
    // One is on the controller's own machine, which needs no network.
    fleet.disconnects(3);
    fleet.is_beside = true;
    fleet.connects(4, 3);
    fleet.passes(secs(70), &[1, 2, 4]);
    fleet.passes(secs(4), &[]);
    fleet.beats(2);
    for _ in 0..58 {
        fleet.passes(secs(1), &[4]);
        fleet.beats(4);
        assert!(
            fleet.own().iter().all(|own| own.contains("the controller's own network is suspected")),
            "{:?}",
            fleet.own()
        );
    }
    assert_eq!(fleet.own().len(), 1, "{:?}", fleet.own());
    let told: Vec<_> = fleet.told.iter().map(|notice| notice.severity).collect();
    assert_eq!(told, [Severity::Now]);
    // They come back one after another, and none is told of as one more.
    fleet.connects(11, 1);
    fleet.passes(secs(40), &[4, 11]);
    assert_eq!(fleet.own(), ["web-2 is not heard any more; as far as anybody knows it heals alone"]);
    fleet.connects(12, 2);
    fleet.passes(secs(30), &[4, 11, 12]);
    assert_eq!((fleet.own().len(), fleet.told.len()), (0, 2));
    // Of one host alone nobody knows which side is cut off.
    let mut fleet = Paper::of(&[("web-1", "web")]);
    fleet.passes(secs(130), &[]);
    assert_eq!(fleet.own(), ["web-1 is not heard any more; as far as anybody knows it heals alone"]);
}

#[test]
fn after_a_restart_an_open_incident_is_about_those_that_were_silent_then() {
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.disconnects(1);
    fleet.passes(secs(80), &[2, 3, 4]);
    assert_eq!(fleet.own().len(), 1);
    fleet.is_killed();
    // Two come back; one has gone with the controller.
    fleet.connects(12, 2);
    fleet.connects(13, 3);
    fleet.passes(secs(70), &[12, 13]);
    let names: Vec<_> =
        fleet.own().iter().map(|own| own.split(" is not").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(names, ["web-1", "db-1"], "{:?}", fleet.own());
    fleet.connects(11, 1);
    fleet.passes(secs(2), &[12, 13]);
    assert!(fleet.own().len() == 1 && fleet.own()[0].starts_with("db-1"), "{:?}", fleet.own());
}

#[test]
fn people_are_told_of_all_that_fall_silent_together_and_of_nothing_that_was_only_a_moment() {
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.passes(secs(15), &[2, 3, 4]);
    fleet.passes(secs(15), &[3, 4]);
    fleet.passes(secs(65), &[4]);
    let told: Vec<_> = fleet.told.iter().map(|notice| notice.headline.to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("web-1, web-2 and web-3 are not heard"), "{told:?}");
    let mut fleet = four();
    fleet.passes(secs(70), &[1, 2, 3, 4]);
    fleet.passes(secs(70), &[2, 3, 4]);
    assert_eq!(fleet.own().len(), 1);
    fleet.passes(secs(20), &[1, 2, 3, 4]);
    fleet.passes(secs(60), &[1, 2, 3, 4]);
    assert_eq!((fleet.own().len(), fleet.told.len()), (0, 0));
}
