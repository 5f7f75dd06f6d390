//! One configuration for many: the canary first, then waves; it stops by itself, never goes back, and goes on after a start.

use ansai_fleet::{FleetEngine, FleetInput, input::SessionId};
use ansai_model::{
    id::{CheckId, IncidentId},
    incident::Phase,
    rule::Severity,
};
use ansai_protocol::{
    IncidentSummary,
    link::{Change, Configured, FleetFile, FleetLayer, FromHost, Held, HostBundle, RefusedBundle, RestraintsAt},
    operation::{Canary, FleetAnswer, FleetOperation},
    record::{FleetState, HostRollout, Progress, Record, RolloutRecord, RolloutState},
};

use crate::paper::{Paper, empty, said, secs, target};

const SOAK: u64 = 30;

fn file(layer: FleetLayer, text: &str) -> FleetFile {
    FleetFile { layer, name: "f.yaml".into(), text: text.into() }
}

fn site(text: &str) -> Vec<FleetFile> {
    vec![file(FleetLayer::Site, text)]
}

fn apply(files: Vec<FleetFile>) -> FleetOperation {
    FleetOperation::Configure { files, canary: Canary::Hosts(1), soak: secs(SOAK) }
}

fn four() -> Paper {
    Paper::of(&[("web-1", "web"), ("web-2", "web"), ("web-3", "web"), ("db-1", "db")])
}

impl Paper {
    /// The newest configuration that was given on a session.
    fn given_to(&self, session: u64) -> Option<HostBundle> {
        self.given.iter().rev().find(|(to, _)| *to == session).map(|(_, bundle)| bundle.clone())
    }

    /// Which hosts were given this generation, by their sessions.
    fn were_given(&self, generation: u64) -> Vec<u64> {
        let given = self.given.iter().filter(|(_, bundle)| bundle.held.generation == generation);
        let mut sessions: Vec<u64> = given.map(|(session, _)| *session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// A host has what it was given last in force.
    fn takes(&mut self, session: u64) {
        let held = self.given_to(session).expect("it was given something").held;
        self.hears(session, FromHost::Configured(Box::new(Configured { held, refused: None })));
    }

    fn refuses(&mut self, session: u64, why: &str) {
        let Held { epoch, generation, .. } = self.given_to(session).expect("it was given something").held;
        let refused = Some(RefusedBundle { epoch, generation, why: why.into() });
        self.hears(session, FromHost::Configured(Box::new(Configured { held: Held::default(), refused })));
    }

    fn newest(&self) -> &RolloutRecord {
        self.engine.books().rollouts.values().next_back().expect("there is one")
    }

    fn why_stopped(&self) -> String {
        match &self.newest().state {
            RolloutState::Stopped { why } => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// It comes to all hosts, whose sessions are these.
    fn brings(&mut self, operation: FleetOperation, sessions: &[u64]) {
        let answer = self.operates(operation);
        assert!(matches!(answer, FleetAnswer::Done { .. }), "{answer:?}");
        let generation = self.newest().generation;
        for _ in 0..10 {
            for session in self.were_given(generation) {
                self.takes(session);
            }
            self.passes(secs(SOAK + 1), sessions);
        }
        assert_eq!((self.newest().state.clone(), self.newest().generation), (RolloutState::Done, generation));
    }

    fn opens(&mut self, session: u64, number: u64) {
        let check = CheckId::of(&target("app"), "http").expect("valid");
        let incident = IncidentSummary {
            id: IncidentId(number),
            target: target("app"),
            check,
            severity: Severity::Now,
            phase: Phase::Open,
            headline: "app gives no answer".into(),
            is_drill: false,
            opened_ms: self.now.wall.0,
            downtime_ms: None,
            is_well_again: false,
            is_kept: false,
            well_since_ms: None,
            seen_to: None,
            told: None,
        };
        self.changes(session, number, vec![Change::Incident(Box::new(incident))]);
    }
}

#[test]
fn the_canary_comes_first_and_the_next_wave_when_it_was_well_for_a_while() {
    let mut fleet = four();
    let answer = fleet.operates(apply(site("autonomy: act\n")));
    assert!(
        said(&answer).contains("generation 1 of the configuration is on its way to 4 hosts in 3 waves"),
        "{answer:?}"
    );
    assert_eq!(fleet.were_given(1).len(), 1, "the canary alone");
    let canary = fleet.were_given(1)[0];
    fleet.passes(secs(SOAK + 10), &[1, 2, 3, 4]);
    assert_eq!(fleet.were_given(1), [canary], "it has not said that it has it");
    fleet.takes(canary);
    fleet.passes(secs(SOAK - 1), &[1, 2, 3, 4]);
    assert_eq!(fleet.were_given(1), [canary], "it is watched first");
    fleet.passes(secs(2), &[1, 2, 3, 4]);
    let second = fleet.were_given(1);
    assert_eq!(second.len(), 3, "then twice as many");
    second.iter().filter(|session| **session != canary).for_each(|session| fleet.takes(*session));
    fleet.passes(secs(SOAK + 1), &[1, 2, 3, 4]);
    assert_eq!(fleet.were_given(1), [1, 2, 3, 4]);
    assert_eq!(fleet.newest().state, RolloutState::Running);
    let last = (1..=4).find(|session| !second.contains(session)).expect("one is left");
    fleet.takes(last);
    fleet.passes(secs(SOAK + 1), &[1, 2, 3, 4]);
    assert_eq!(fleet.newest().state, RolloutState::Done);
    assert_eq!(fleet.engine.drift().count(), 0);
    assert_eq!(
        said(&fleet.operates(apply(site("autonomy: act\n")))),
        "refused: generation 1 says exactly this already"
    );
}

#[test]
fn each_host_gets_what_is_for_it_and_those_for_whom_nothing_changes_come_last() {
    let mut fleet = four();
    fleet.brings(apply(site("a: 1\n")), &[1, 2, 3, 4]);
    let mut files = site("a: 1\n");
    files.push(file(FleetLayer::Role("db".into()), "b: 2\n"));
    files.push(file(FleetLayer::Host("web-2".into()), "c: 3\n"));
    let plan = fleet.engine.plan(&files, Canary::Hosts(1)).expect("a plan");
    let changed: Vec<bool> = plan.iter().map(|planned| planned.is_changed).collect();
    assert_eq!(changed, [true, false, true, false], "db-1, web-1, web-2, web-3");
    fleet.brings(apply(files), &[1, 2, 3, 4]);
    let texts = |session| {
        let bundle = fleet.given_to(session).expect("given");
        bundle.files.into_iter().map(|file| file.text).collect::<Vec<_>>()
    };
    assert_eq!(
        (texts(1), texts(2), texts(4)),
        (vec!["a: 1\n".into()], vec!["a: 1\n".into(), "c: 3\n".into()], vec!["a: 1\n".to_owned(), "b: 2\n".to_owned()])
    );
    assert_eq!(fleet.newest().waves.last().map(Vec::len), Some(2), "for two nothing changes");
}

#[test]
fn it_stops_at_a_host_that_refuses_it_and_nobody_else_gets_it() {
    let mut fleet = four();
    fleet.brings(apply(site("a: 1\n")), &[1, 2, 3, 4]);
    fleet.operates(apply(site("wrong\n")));
    let canary = fleet.were_given(2)[0];
    fleet.refuses(canary, "line 1: no mapping");
    fleet.passes(secs(200), &[1, 2, 3, 4]);
    assert_eq!(fleet.were_given(2), [canary]);
    assert!(fleet.why_stopped().contains("refuses it: line 1: no mapping"), "{}", fleet.why_stopped());
    assert!(
        fleet.own()[0].contains("generation 2 of the configuration went to 1 host and no further"),
        "{:?}",
        fleet.own()
    );
    let drift: Vec<String> = fleet.engine.drift().map(|one| one.why.to_string()).collect();
    assert_eq!(drift, ["it refuses it: line 1: no mapping"]);
    // What was there before comes back as a newer one.
    let answer = fleet.operates(FleetOperation::RollBack);
    assert!(
        said(&answer).contains("generation 3 of the configuration, which is generation 1 again, is on its way"),
        "{answer:?}"
    );
    for _ in 0..3 {
        fleet.were_given(3).into_iter().for_each(|session| fleet.takes(session));
        fleet.passes(secs(2), &[1, 2, 3, 4]);
    }
    assert_eq!(fleet.newest().state, RolloutState::Done);
    assert_eq!((fleet.were_given(3), fleet.engine.drift().count(), fleet.own().len()), (vec![1, 2, 3, 4], 0, 0));
    assert_eq!(fleet.given_to(canary).map(|given| given.files), Some(site("a: 1\n")));
}

#[test]
fn it_stops_when_a_host_does_not_answer_is_not_heard_or_has_a_new_incident() {
    // It does not answer.
    let mut fleet = four();
    fleet.operates(apply(site("a: 1\n")));
    fleet.passes(secs(61), &[1, 2, 3, 4]);
    assert!(fleet.why_stopped().contains("has not taken it within 1m"), "{}", fleet.why_stopped());
    assert_eq!(fleet.were_given(1).len(), 1);
    // It has it, and is gone.
    let mut fleet = four();
    fleet.operates(FleetOperation::Configure { files: site("a: 1\n"), canary: Canary::Hosts(1), soak: secs(300) });
    let canary = fleet.were_given(1)[0];
    fleet.takes(canary);
    fleet.disconnects(canary);
    let others: Vec<u64> = (1..=4).filter(|session| *session != canary).collect();
    fleet.passes(secs(70), &others);
    assert!(fleet.why_stopped().contains("is not heard any more"), "{}", fleet.why_stopped());
    // It has an incident that it had not.
    let mut fleet = four();
    fleet.opens(4, 1);
    fleet.operates(apply(site("a: 1\n")));
    let canary = fleet.were_given(1)[0];
    assert_ne!(canary, 4, "one that is not well shows nothing");
    fleet.takes(canary);
    fleet.opens(canary, 1);
    fleet.passes(secs(SOAK + 5), &[1, 2, 3, 4]);
    assert!(fleet.why_stopped().contains("app gives no answer"), "{}", fleet.why_stopped());
    assert_eq!(fleet.were_given(1), [canary]);
}

#[test]
fn an_incident_that_was_open_before_stops_nothing() {
    let mut fleet = four();
    (1..=4).for_each(|session| fleet.opens(session, 1));
    fleet.brings(apply(site("a: 1\n")), &[1, 2, 3, 4]);
}

#[test]
fn who_is_not_there_gets_it_when_it_is_back_and_never_anything_older() {
    let mut fleet = four();
    fleet.disconnects(2);
    fleet.passes(secs(70), &[1, 3, 4]);
    fleet.brings(apply(site("a: 1\n")), &[1, 3, 4]);
    assert_eq!(fleet.were_given(1), [1, 3, 4]);
    assert_eq!(fleet.engine.drift().count(), 1);
    fleet.connects(12, 2);
    assert_eq!(fleet.given_to(12).map(|given| given.held.generation), Some(1));
    fleet.takes(12);
    assert_eq!(fleet.engine.drift().count(), 0);
    // It comes with something newer than this controller has: it is left alone.
    fleet.disconnects(12);
    let before = fleet.given.len();
    let newer = Held { epoch: 1, generation: 9, name: "web-2".into(), role: Some("web".into()) };
    let hello = fleet.hello(2, RestraintsAt::default());
    fleet.connects_with(13, 2, ansai_protocol::link::Hello { configuration: newer, ..hello });
    fleet.passes(secs(5), &[1, 3, 4, 13]);
    assert_eq!(fleet.given.len(), before);
    let why: Vec<String> = fleet.engine.drift().map(|one| one.why.to_string()).collect();
    assert!(why[0].contains("a newer one than this controller knows"), "{why:?}");
}

#[test]
fn who_is_for_something_else_by_now_gets_other_files() {
    let mut fleet = four();
    let mut files = site("a: 1\n");
    files.push(file(FleetLayer::Role("db".into()), "b: 2\n"));
    fleet.brings(apply(files), &[1, 2, 3, 4]);
    fleet.disconnects(1);
    let held = Held { epoch: 1, generation: 1, name: "web-1".into(), role: Some("web".into()) };
    let hello = fleet.hello(1, RestraintsAt::default());
    let hello = ansai_protocol::link::Hello { role: Some("db".into()), configuration: held, ..hello };
    fleet.connects_with(11, 1, hello);
    fleet.passes(secs(2), &[2, 3, 4, 11]);
    let given = fleet.given_to(11).expect("it gets what is for it now");
    assert_eq!((given.files.len(), given.held.role), (2, Some("db".into())));
}

/// What a store gives an engine that begins after these records.
fn restarted(fleet: &Paper) -> FleetState {
    let books = fleet.engine.books();
    FleetState {
        hosts: books.hosts.values().cloned().collect(),
        identities: books.identities.values().cloned().collect(),
        tokens: books.tokens.values().cloned().collect(),
        bundles: books.bundles.values().cloned().collect(),
        rollouts: books.rollouts.values().cloned().collect(),
        ..empty()
    }
}

#[test]
fn a_controller_that_is_killed_goes_on_where_it_was_and_skips_nobody_who_is_about_to_be_back() {
    let mut fleet = four();
    fleet.operates(apply(site("a: 1\n")));
    let canary = fleet.were_given(1)[0];
    fleet.takes(canary);
    fleet.passes(secs(5), &[1, 2, 3, 4]);
    fleet.engine = FleetEngine::new(restarted(&fleet), fleet.now);
    fleet.given.clear();
    // The soak is over before anybody is back: nobody is passed over.
    fleet.passes(secs(SOAK + 5), &[]);
    assert_eq!((fleet.newest().wave, fleet.newest().state.clone()), (0, RolloutState::Running));
    for number in 1..=4_u8 {
        let session = 20 + u64::from(number);
        let mut hello = fleet.hello(number, RestraintsAt::default());
        if u64::from(number) == canary {
            hello.configuration = Held { epoch: 1, generation: 1, name: hello.name.clone(), role: hello.role.clone() };
        }
        fleet.connects_with(session, number, hello);
    }
    fleet.passes(secs(2), &[21, 22, 23, 24]);
    assert_eq!(fleet.were_given(1).len(), 2, "the second wave");
    for _ in 0..4 {
        fleet.were_given(1).into_iter().for_each(|session| fleet.takes(session));
        fleet.passes(secs(SOAK + 1), &[21, 22, 23, 24]);
    }
    assert_eq!((fleet.newest().state.clone(), fleet.were_given(1).len()), (RolloutState::Done, 3));
}

#[test]
fn what_could_not_be_kept_is_given_to_nobody() {
    let mut fleet = four();
    fleet.disk_is_full = true;
    let answer = fleet.operates(apply(site("a: 1\n")));
    assert!(said(&answer).contains("nothing was changed"), "{answer:?}");
    assert!(
        fleet.given.is_empty() && fleet.engine.books().rollouts.is_empty() && fleet.engine.books().bundles.is_empty()
    );
}

#[test]
fn what_cannot_be_brought_is_refused_with_why() {
    let mut fleet = Paper::empty();
    assert!(said(&fleet.operates(apply(site("a: 1\n")))).contains("no hosts"));
    assert!(said(&fleet.operates(FleetOperation::RollBack)).contains("no configuration yet"));
    let mut fleet = four();
    let large = "x".repeat(300 << 10);
    assert!(said(&fleet.operates(apply(site(&large)))).contains("too many"));
    let long = FleetOperation::Configure { files: site("a: 1\n"), canary: Canary::Hosts(1), soak: secs(8 * 86_400) };
    assert!(said(&fleet.operates(long)).contains("at most 7d"));
    fleet.operates(apply(site("a: 1\n")));
    assert!(said(&fleet.operates(apply(site("b: 1\n")))).contains("generation 1 is on its way"));
    for session in 1..=4 {
        fleet.disconnects(session);
    }
    fleet.passes(secs(70), &[]);
    assert!(said(&fleet.operates(apply(site("b: 1\n")))).contains("no canary"));
}

#[test]
fn a_rollback_of_one_that_is_under_way_goes_first_to_those_that_have_it() {
    let mut fleet = four();
    fleet.brings(apply(site("a: 1\n")), &[1, 2, 3, 4]);
    fleet.operates(apply(site("a: 2\n")));
    let canary = fleet.were_given(2)[0];
    fleet.takes(canary);
    fleet.operates(FleetOperation::RollBack);
    assert_eq!(fleet.were_given(3), [canary]);
    let before = &fleet.engine.books().rollouts[&2].state;
    assert!(matches!(before, RolloutState::Stopped { why } if why.as_str().contains("ann brought back")), "{before:?}");
}

#[test]
fn the_oldest_are_forgotten_and_the_newest_never() {
    let mut fleet = Paper::of(&[("web-1", "web")]);
    for number in 0..30 {
        fleet.brings(
            FleetOperation::Configure {
                files: site(&format!("a: {number}\n")),
                canary: Canary::Hosts(1),
                soak: secs(0),
            },
            &[1],
        );
    }
    let kept: Vec<u64> = fleet.engine.books().bundles.keys().copied().collect();
    assert_eq!((kept.len(), kept.last()), (20, Some(&30)));
    let told: Vec<&HostRollout> = fleet.newest().hosts.values().collect();
    assert!(told.iter().all(|told| told.progress == Progress::InForce));
    assert!(fleet.kept.contains(&Record::RolloutGone(1)));
    fleet.step(FleetInput::Disconnected { session: SessionId(1) });
}
