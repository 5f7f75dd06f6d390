//! The plan of an outbox, as tables.

use ansai_model::{notify::Channel, policy::Scope, probe::CommandLine, rule::Severity};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn id(name: &str) -> RouteId {
    RouteId::new(name).unwrap()
}

fn route(name: &str, fallback: Option<&str>, digest_after: u32) -> Route {
    Route {
        id: id(name),
        channel: Channel::Exec(CommandLine::new(["true"])),
        scope: Scope::All,
        severity_min: Severity::Week,
        tell_healed: true,
        fallback: fallback.map(id),
        digest_window: MINUTE,
        digest_after,
    }
}

fn queued(number: u64, route: &str) -> Queued {
    Queued {
        number,
        dispatch: number,
        route: id(route),
        origin: id(route),
        tried: vec![],
        incident: IncidentId(number),
        opened: WallTime(0),
        is_for_hosts: false,
        is_unrouted: false,
        is_elsewhere: false,
        kind: NoticeKind::Escalated,
        at: WallTime(0),
        failures: 0,
        is_in_flight: false,
        done: vec![],
        next_at: MonoTime::default(),
        storm: None,
    }
}

struct Scene {
    routes: BTreeMap<RouteId, Route>,
    states: BTreeMap<RouteId, RouteState>,
    queued: BTreeMap<u64, Queued>,
}

impl Scene {
    fn new(routes: Vec<Route>, queued: Vec<Queued>) -> Self {
        Self {
            routes: routes.into_iter().map(|route| (route.id.clone(), route)).collect(),
            states: BTreeMap::new(),
            queued: queued.into_iter().map(|queued| (queued.number, queued)).collect(),
        }
    }

    fn at(&self, seconds: u64) -> Plan {
        let now = Now::default().plus(Duration::from_secs(seconds));
        plan(now, &self.routes, &self.states, &self.queued)
    }

    fn sent_at(&mut self, route: &str, seconds: &[u64]) {
        let state = self.states.entry(id(route)).or_default();
        for second in seconds {
            state.succeeded(MonoTime::default().plus(Duration::from_secs(*second)));
        }
    }
}

fn send(number: u64, route: &str) -> Step {
    Step::Send { number, route: id(route) }
}

#[test]
fn messages_go_in_order_one_at_a_time_a_route_and_routes_beside_each_other() {
    let mut scene = Scene::new(
        vec![route("a", None, 9), route("b", None, 9)],
        vec![queued(1, "a"), queued(2, "a"), queued(3, "b")],
    );
    assert_eq!(scene.at(0).steps, [send(1, "a"), send(3, "b")]);
    scene.states.entry(id("a")).or_default().is_busy = true;
    scene.queued.get_mut(&1).unwrap().is_in_flight = true;
    assert_eq!(scene.at(0).steps, [send(3, "b")]);
}

#[test]
fn a_route_that_failed_rests_and_then_tries_its_oldest() {
    let mut scene = Scene::new(vec![route("a", None, 9)], vec![queued(1, "a"), queued(2, "a")]);
    let wait = scene.states.entry(id("a")).or_default().failed(MonoTime::default(), &id("a"), Failure::ForNow);
    assert_eq!(scene.at(5).steps, []);
    assert_eq!(scene.at(5).next_at, Some(MonoTime::default().plus(wait)));
    assert_eq!(scene.at(wait.as_secs() + 1).steps, [send(1, "a")]);
}

#[test]
fn the_wait_doubles_up_to_a_minute_or_an_hour_with_a_little_more() {
    let waits = |how| -> Vec<u64> { (1..12).map(|failures| retry_wait(failures, &id("a"), how).as_secs()).collect() };
    let limits = [
        (Failure::ForNow, [10, 20, 40, 60, 60, 60, 60, 60, 60, 60, 60]),
        (Failure::ForGood, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
    ];
    for (how, least) in limits {
        let waits = waits(how);
        assert!(waits.iter().zip(least).all(|(wait, least)| (least..=least + least / 10).contains(wait)), "{waits:?}");
    }
    assert_ne!(retry_wait(8, &id("a"), Failure::ForNow), retry_wait(8, &id("b"), Failure::ForNow));
}

#[test]
fn after_three_failures_the_fallback_has_the_messages_once() {
    let mut scene = Scene::new(vec![route("a", Some("b"), 9), route("b", Some("a"), 9)], vec![queued(1, "a")]);
    let state = scene.states.entry(id("a")).or_default();
    for _ in 0..2 {
        state.failed(MonoTime::default(), &id("a"), Failure::ForNow);
    }
    assert_eq!(scene.at(1).steps, []);
    scene.states.get_mut(&id("a")).unwrap().failed(MonoTime::default(), &id("a"), Failure::ForNow);
    assert_eq!(scene.at(1).steps, [Step::Reroute { number: 1, to: id("b") }]);
    // A message that was on the fallback already does not go round in a circle.
    scene.queued.get_mut(&1).unwrap().tried = vec![id("b")];
    assert_eq!(scene.at(1).steps, []);
}

#[test]
fn a_message_is_given_up_after_three_days_and_waits_for_a_route_that_is_gone() {
    let scene = Scene::new(vec![], vec![queued(1, "gone")]);
    assert_eq!(scene.at(0).steps, []);
    assert!(scene.at(0).next_at.is_some());
    let step = scene.at(3 * 86_400).steps.remove(0);
    assert!(matches!(step, Step::Bury { number: 1, .. }));
}

#[test]
fn more_than_the_route_allows_is_sent_as_one() {
    let many: Vec<Queued> = (1..=5).map(|number| queued(number, "a")).collect();
    // A backlog: all at once.
    let scene = Scene::new(vec![route("a", None, 3)], many.clone());
    assert_eq!(scene.at(0).steps, [Step::Digest { numbers: vec![1, 2, 3, 4, 5], route: id("a") }]);
    // The window is used up: they are gathered until it ends, and then sent as one.
    let mut scene = Scene::new(vec![route("a", None, 3)], many);
    scene.sent_at("a", &[10, 20, 30]);
    assert_eq!(scene.at(40), Plan { steps: vec![], next_at: Some(MonoTime::default().plus(Duration::from_secs(70))) });
    assert!(matches!(&scene.at(71).steps[..], [Step::Digest { numbers, .. }] if numbers.len() == 5));
}

#[test]
fn one_message_is_never_a_digest_and_a_digest_has_a_limit() {
    for digest_after in [0, 1, 3] {
        let scene = Scene::new(vec![route("a", None, digest_after)], vec![queued(1, "a")]);
        assert_eq!(scene.at(0).steps, [send(1, "a")], "{digest_after}");
    }
    let mut scene = Scene::new(vec![route("a", None, 1)], vec![queued(1, "a")]);
    scene.sent_at("a", &[10]);
    assert_eq!(scene.at(20).steps, []);
    assert_eq!(scene.at(71).steps, [send(1, "a")]);
    let scene = Scene::new(vec![route("a", None, 3)], (1..=200).map(|number| queued(number, "a")).collect());
    assert!(matches!(&scene.at(0).steps[..], [Step::Digest { numbers, .. }] if numbers.len() == DIGEST_MAX));
}

#[test]
fn no_queue_is_left_without_a_step_or_a_time_to_look_again() {
    for digest_after in 0..4 {
        for count in 1..6u64 {
            for sent in [&[][..], &[1], &[1, 2], &[1, 2, 3], &[1, 2, 3, 4]] {
                let messages = (1..=count).map(|number| queued(number, "a")).collect();
                let mut scene = Scene::new(vec![route("a", None, digest_after)], messages);
                scene.sent_at("a", sent);
                let plan = scene.at(5);
                assert!(!plan.steps.is_empty() || plan.next_at.is_some(), "{digest_after} {count} {sent:?}");
                let later = plan.next_at.map_or(5, |at| at.since(MonoTime::default()).as_secs());
                assert!(!plan.steps.is_empty() || !scene.at(later + 60).steps.is_empty());
            }
        }
    }
}

#[test]
fn a_message_that_never_arrives_holds_no_other_up() {
    let mut scene = Scene::new(vec![route("a", None, 9)], vec![queued(1, "a"), queued(2, "a")]);
    scene.queued.get_mut(&1).unwrap().failures = 1;
    assert_eq!(scene.at(0).steps, [send(2, "a")]);
}

#[test]
fn what_some_have_already_goes_by_itself_and_keeps_nothing_waiting() {
    let mut scene = Scene::new(vec![route("a", None, 1)], (1..=6).map(|number| queued(number, "a")).collect());
    for (number, done) in [(2, "alice"), (5, "bob"), (6, "alice")] {
        let rest = scene.queued.get_mut(&number).unwrap();
        (rest.done, rest.next_at) = (vec![done.to_owned()], MonoTime::default().plus(MINUTE));
    }
    let before = scene.at(0);
    assert_eq!(before.steps, [Step::Digest { numbers: vec![1, 3, 4], route: id("a") }]);
    assert_eq!(before.next_at, Some(MonoTime::default().plus(MINUTE)));
    assert_eq!(scene.at(60).steps, [Step::Digest { numbers: vec![2, 6], route: id("a") }]);
    scene.queued.retain(|number, _| ![2, 6].contains(number));
    assert_eq!(scene.at(60).steps, [send(5, "a")]);
}

/// A message about the storm that began with incident 1, after which so many may follow.
fn of_storm(number: u64, kind: NoticeKind, undecided: u32) -> Queued {
    Queued { kind, storm: Some((IncidentId(1), undecided)), ..queued(number, "a") }
}

#[test]
fn a_storm_is_told_in_one_message_once_its_last_incident_is_decided_whatever_the_digest_allows() {
    let healed = |number: u64| of_storm(number, NoticeKind::Healed, 20 - u32::try_from(number).unwrap());
    let mut scene = Scene::new(vec![route("a", None, 99)], (1..=19).map(healed).collect());
    let wait = MonoTime::default().plus(storms::WAIT_MAX);
    assert_eq!(scene.at(5), Plan { steps: vec![], next_at: Some(wait) });
    // What belongs to no storm does not wait for it.
    scene.queued.insert(30, queued(30, "a"));
    assert_eq!(scene.at(5).steps, [send(30, "a")]);
    scene.queued.insert(20, healed(20));
    let all = |plan: Plan| match &plan.steps[..] {
        [Step::Digest { numbers, .. }] => numbers.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(all(scene.at(5)), (1..=20).collect::<Vec<_>>());
    // More than a digest of other messages has: it is one storm.
    let scene = Scene::new(
        vec![route("a", None, 3)],
        (1..=200).map(|number| of_storm(number, NoticeKind::Escalated, u32::from(number < 200))).collect(),
    );
    assert_eq!(all(scene.at(0)).len(), 200);
}

#[test]
fn a_storm_of_which_one_is_never_decided_is_told_all_the_same_and_sooner_when_it_asks() {
    for (kind, patience) in [(NoticeKind::Healed, storms::WAIT_MAX), (NoticeKind::Escalated, storms::ASKING_WAIT_MAX)] {
        let scene = Scene::new(vec![route("a", None, 99)], (1..=3).map(|number| of_storm(number, kind, 2)).collect());
        assert_eq!(scene.at(patience.as_secs() - 1).steps, [], "{kind:?}");
        assert_eq!(scene.at(patience.as_secs() - 1).next_at, Some(MonoTime::default().plus(patience)), "{kind:?}");
        assert!(
            matches!(&scene.at(patience.as_secs()).steps[..], [Step::Digest { numbers, .. }] if numbers.len() == 3)
        );
    }
    // A clock that was set back.
    let mut early = of_storm(1, NoticeKind::Healed, 2);
    early.at = WallTime(1_000_000_000);
    assert_eq!(Scene::new(vec![route("a", None, 99)], vec![early]).at(0).steps.len(), 1);
}
