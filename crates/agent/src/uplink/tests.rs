//! The agent's end against a controller on loopback that is played here: what is told and told again, what is obeyed, what is
//! renewed.

use std::time::Duration;

use ansai_link::{
    accept::{Acceptor, Arrival, Arrived},
    authority::Authority,
    dial::Route,
};
use ansai_model::{
    fleet::{Acknowledged, RestraintSet},
    id::{CheckId, IncidentId, TargetId},
    incident::Phase,
    report::Report,
    time::{MonoTime, Now},
};
use ansai_protocol::link::{Configured, ControllerId, FeedId, Held, HostBundle, HostId, Identity, Welcome};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use super::*;
use crate::{
    clock::TimeSource,
    uplink::{line::Kept, membership::Joined},
};

const LONG: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 86_400_000;

struct World {
    _state: tempfile::TempDir,
    authority: Authority,
    acceptor: Acceptor,
    listener: TcpListener,
    controller: ControllerId,
    host: HostId,
    folder: Folder,
    reports: Reports,
    outbox: Outbox,
    line: Line,
    inputs: mpsc::Receiver<Input>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

fn clock() -> Clock {
    Clock::continuing(TimeSource::system(), Now::default(), None)
}

/// A host whose certificate was signed so many days ago, and its task that runs.
async fn joined(days_ago: i64) -> World {
    let now = clock().now().wall;
    let signed = WallTime(now.0 - days_ago * DAY_MS);
    let authority = Authority::create(WallTime(now.0 - 365 * DAY_MS)).unwrap();
    let (controller, host) = (ControllerId::of_chance([1; 16]), HostId::of_chance([2; 16]));
    let key = Key::generate().unwrap();
    let roots = authority.roots().unwrap();
    let own = authority.sign_controller(&key, controller, now).unwrap();
    let acceptor = Acceptor::new(&key, &own.certificate, authority.certificate_pem(), &roots).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::of(state.path());
    let key = folder.joining_key().unwrap();
    let certificate = authority.sign_host(&key.request().unwrap(), host, signed).unwrap().certificate;
    let identity = Identity { host, name: "web-01".into(), controller, certificate, roots, now_ms: now.0 };
    let route = Route::new(&listener.local_addr().unwrap().to_string(), None).unwrap();
    folder.keep(&key, &Joined::new(&route, &identity, now), &identity).unwrap();
    let reports = Reports::open(&state.path().join("reports"));
    let outbox = Outbox::open(&state.path().join("outbox"), &[], Arc::new(|_| {}));
    let line = Line::new(FeedId::of_chance([3; 16]));
    let (sender, inputs) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let uplink = Uplink {
        folder: folder.clone(),
        line: line.clone(),
        reports: reports.clone(),
        outbox: outbox.clone(),
        claims: Claims {
            name: "web-01".into(),
            boot_id: "b".into(),
            role: Some("web".into()),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            started: now,
        },
        clock: clock(),
        inputs: sender,
        stop: stop.clone(),
        carried: None,
    };
    let mut task = JoinSet::new();
    task.spawn(uplink.run());
    World {
        _state: state,
        authority,
        acceptor,
        listener,
        controller,
        host,
        folder,
        reports,
        outbox,
        line,
        inputs,
        stop,
        task,
    }
}

impl World {
    async fn arrived(&self) -> Box<Arrived> {
        let stream = timeout(LONG, self.listener.accept()).await.expect("it dials").unwrap().0;
        match self.acceptor.accept(stream).await {
            Ok(Arrival::Host(arrived)) => arrived,
            other => panic!("{other:?}"),
        }
    }

    /// The link after the welcome, with what the host said first.
    async fn linked(&self, kept: Option<(FeedId, u64)>) -> (Link, Hello) {
        self.linked_to(VERSION, kept, false).await
    }

    /// To a controller of this version, which may send messages to people.
    async fn linked_to(&self, version: u32, kept: Option<(FeedId, u64)>, tells: bool) -> (Link, Hello) {
        let mut link = self.arrived().await.link;
        let FromHost::Hello(hello) = link.receive().await.unwrap() else { panic!("no hello") };
        let welcome = Welcome {
            version,
            controller: self.controller,
            epoch: 1,
            host: self.host,
            name: "web-01".into(),
            now_ms: clock().now().wall.0,
            kept,
            tells,
        };
        link.send(&FromController::Welcome(Box::new(welcome))).await.unwrap();
        (link, *hello)
    }

    /// What the loop hears next, but how it stands with the controller.
    async fn hears(&mut self) -> Option<Input> {
        loop {
            match timeout(LONG, self.inputs.recv()).await.expect("in time") {
                Some(Input::Linked(_)) => {}
                heard => return heard,
            }
        }
    }

    async fn stops(&mut self) {
        self.stop.cancel();
        timeout(LONG, self.task.join_next()).await.expect("it ends").expect("one task").expect("it did not panic");
    }
}

/// The next changes, with the number of the first.
async fn changes(link: &mut Link) -> (u64, Vec<Change>) {
    loop {
        match timeout(LONG, link.receive()).await.expect("in time").expect("a message") {
            FromHost::Changes { first, changes } => return (first, changes),
            FromHost::Beat { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn report(incident: u64) -> Report {
    let target = TargetId::of("service", "app").unwrap();
    let check = CheckId::of(&target, "unit").unwrap();
    let at = Now { mono: MonoTime(1), wall: clock().now().wall };
    Report::bare(IncidentId(incident), target, check, at, Phase::Open)
}

fn target(name: &str) -> Item {
    Item::TargetGone(TargetId::of("service", name).unwrap())
}

fn gone(name: &str) -> Change {
    Change::TargetGone(TargetId::of("service", name).unwrap())
}

#[tokio::test]
async fn everything_is_told_first_then_what_changed_and_what_was_not_kept_again() {
    let mut world = joined(1).await;
    let old = report(1);
    world.reports.save(&old).unwrap();
    let (mut link, hello) = world.linked(None).await;
    assert_eq!((hello.name.as_str(), hello.role), ("web-01", Some("web".into())));
    while !world.line.wants_all() {
        tokio::task::yield_now().await;
    }
    world.line.tell_all([target("a")]);
    let mut told = Vec::new();
    while told.len() < 5 {
        let (first, changes) = changes(&mut link).await;
        assert_eq!(usize::try_from(first).unwrap(), told.len() + 1);
        told.extend(changes);
    }
    assert_eq!(told[..3], [Change::Anew, gone("a"), Change::Told]);
    assert!(matches!(&told[3], Change::Incident(summary) if summary.id == old.incident), "{:?}", told[3]);
    assert_eq!(told[4], Change::Report(Box::new(old)));
    link.send(&FromController::Kept { through: 5 }).await.unwrap();
    world.line.note(target("b"));
    assert_eq!(changes(&mut link).await, (6, vec![gone("b")]));
    // It is gone before it has kept that.
    drop(link);
    world.line.note(target("c"));
    let (mut link, again) = world.linked(Some((hello.feed, 5))).await;
    assert_eq!(again.feed, hello.feed);
    let (first, mut told) = changes(&mut link).await;
    if told.len() < 2 {
        told.extend(changes(&mut link).await.1);
    }
    assert_eq!((first, told), (6, vec![gone("b"), gone("c")]), "and nothing else");
    assert!(world.line.view().connected_since_ms.is_some());
    world.stops().await;
}

#[tokio::test]
async fn what_the_controller_has_is_not_told_to_it_by_the_next_process() {
    let mut world = joined(1).await;
    let (mut link, _) = world.linked(None).await;
    while !world.line.wants_all() {
        tokio::task::yield_now().await;
    }
    world.line.tell_all([]);
    world.reports.save(&report(1)).unwrap();
    world.line.note_report(report(1), Kept::Yes);
    let mut through = 0;
    while through < 4 {
        let (first, changes) = changes(&mut link).await;
        through = first + u64::try_from(changes.len()).unwrap() - 1;
    }
    link.send(&FromController::Kept { through }).await.unwrap();
    while world.line.view().waiting > 0 {
        tokio::task::yield_now().await;
    }
    world.stops().await;
    let told = world.folder.told().expect("written down");
    assert!(told.controller == world.controller && told.epoch == 1 && told.reports_ms > 0);
}

#[tokio::test]
async fn restraints_reach_the_loop_and_what_is_obeyed_is_said_in_each_session() {
    let mut world = joined(1).await;
    let (mut link, hello) = world.linked(None).await;
    assert_eq!(hello.restraints, Default::default());
    let set = RestraintSet {
        controller: world.controller.to_string().into(),
        epoch: 1,
        generation: 4,
        at: WallTime(1),
        restraints: Vec::new(),
    };
    link.send(&FromController::Restraints(Box::new(set.clone()))).await.unwrap();
    assert_eq!(world.hears().await, Some(Input::Restraints(Box::new(set))));
    link.send(&FromController::StandBack { why: "twins".into(), lasts_ms: 30_000 }).await.unwrap();
    let heard = world.hears().await;
    assert_eq!(heard, Some(Input::StandBack { why: "twins".into(), lasts: Duration::from_secs(30) }));
    let acknowledged = Acknowledged {
        controller: world.controller.to_string().into(),
        epoch: 1,
        generation: 4,
        under_way: Vec::new(),
        refused: None,
    };
    world.line.acknowledge(acknowledged.clone());
    let expected = FromHost::Restrained(Box::new(acknowledged));
    assert_eq!(timeout(LONG, link.receive()).await.expect("in time"), Ok(expected.clone()));
    drop(link);
    let (mut link, hello) = world.linked(None).await;
    assert_eq!((hello.restraints.epoch, hello.restraints.generation), (1, 4));
    assert_eq!(timeout(LONG, link.receive()).await.expect("in time"), Ok(expected));
    // What another controller has said is nothing to this one.
    drop(link);
    world.line.acknowledge(Acknowledged {
        controller: "another".into(),
        epoch: 7,
        generation: 9,
        under_way: Vec::new(),
        refused: None,
    });
    let (_link, hello) = world.linked(None).await;
    assert_eq!(hello.restraints, Default::default());
    world.stops().await;
}

/// The certificate that it comes with next is the new one.
async fn renewed(world: &World, link: &mut Link) {
    let FromHost::Renew { request } = timeout(LONG, link.receive()).await.expect("in time").unwrap() else {
        panic!("nothing is renewed")
    };
    let signed = world.authority.sign_host(&request, world.host, clock().now().wall).unwrap();
    let roots = world.authority.roots().unwrap();
    link.send(&FromController::Renewed { certificate: signed.certificate, roots }).await.unwrap();
    let key = signed.facts.key;
    timeout(LONG, async {
        while world.folder.read().unwrap().unwrap().facts.key != key {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is kept");
}

#[tokio::test]
async fn a_certificate_is_renewed_at_a_third_of_its_life_and_the_link_stays() {
    let mut world = joined(11).await;
    let (mut link, _) = world.linked(None).await;
    renewed(&world, &mut link).await;
    world.line.tell_all([]);
    assert_eq!(changes(&mut link).await, (1, vec![Change::Anew, Change::Told]));
    world.stops().await;
}

#[tokio::test]
async fn whoever_has_expired_renews_and_says_nothing_else_before_it_comes_again() {
    let mut world = joined(90).await;
    world.line.note(target("a"));
    let mut arrived = world.arrived().await;
    assert!(arrived.is_expired);
    let FromHost::Hello(_) = arrived.link.receive().await.unwrap() else { panic!("no hello") };
    let welcome = Welcome {
        version: VERSION,
        controller: world.controller,
        epoch: 1,
        host: world.host,
        name: "web-01".into(),
        now_ms: clock().now().wall.0,
        kept: None,
        tells: false,
    };
    arrived.link.send(&FromController::Welcome(Box::new(welcome))).await.unwrap();
    while !world.line.wants_all() {
        tokio::task::yield_now().await;
    }
    world.line.tell_all([target("a")]);
    renewed(&world, &mut arrived.link).await;
    assert!(arrived.link.receive::<FromHost>().await.is_err(), "it has gone, and told nothing");
    let arrived = world.arrived().await;
    assert!(!arrived.is_expired);
    drop(arrived);
    world.stops().await;
}

/// Without the renewal at a third, nothing is asked for.
#[tokio::test]
async fn a_young_certificate_is_left_alone() {
    let mut world = joined(9).await;
    let (mut link, _) = world.linked(None).await;
    while !world.line.wants_all() {
        tokio::task::yield_now().await;
    }
    world.line.tell_all([]);
    assert_eq!(changes(&mut link).await, (1, vec![Change::Anew, Change::Told]));
    world.stops().await;
}

#[tokio::test]
async fn why_there_is_no_link_is_told_and_no_identity_is_given_up() {
    let mut world = joined(1).await;
    let mut arrived = world.arrived().await;
    let FromHost::Hello(_) = arrived.link.receive().await.unwrap() else { panic!("no hello") };
    let closing = FromController::Closing {
        why: "this host was removed".into(),
        suggestion: "join again".into(),
        again_after_ms: Some(1),
        is_removed: false,
    };
    arrived.link.send(&closing).await.unwrap();
    arrived.link.close().await;
    timeout(LONG, async {
        while world.line.view().trouble.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it hears why");
    let view = world.line.view();
    assert_eq!(view.trouble.map(|why| why.to_string()), Some("this host was removed".into()));
    assert_eq!(view.suggestion.map(|todo| todo.to_string()), Some("join again".into()));
    assert!(world.folder.read().unwrap().is_some());
    let (_link, _) = world.linked(None).await;
    world.stops().await;
}

#[test]
fn a_message_is_what_its_type_reads_and_holds_no_more_than_it_may() {
    let mut message = super::Message::new(7);
    message.add(&serde_json::to_vec(&gone("a")).unwrap());
    message.add(&vec![b' '; FRAME_BYTES_MAX]);
    message.add(b"");
    message.add(&serde_json::to_vec(&Change::Told).unwrap());
    let read = <FromHost as ansai_protocol::link::Message>::read(&message.ended());
    let lost = || Change::Lost { count: 1 };
    let expected = FromHost::Changes { first: 7, changes: vec![gone("a"), lost(), lost(), Change::Told] };
    assert_eq!(read, Ok(Some(expected)));
}

#[tokio::test]
async fn a_configuration_is_offered_to_the_loop_when_it_is_good_and_refused_with_why_when_it_is_not() {
    let mut world = joined(1).await;
    let (mut link, hello) = world.linked(None).await;
    assert_eq!(hello.configuration, Held::default());
    let bundle = |generation| HostBundle {
        controller: world.controller,
        host: world.host,
        held: Held { epoch: 1, generation, name: "web-01".into(), role: None },
        files: Vec::new(),
    };
    let sent = |generation| FromController::Bundle(Box::new(world.authority.sign_bundle(&bundle(generation)).unwrap()));
    link.send(&sent(4)).await.unwrap();
    let offered = loop {
        match world.line.take_offered() {
            Some(offered) => break offered,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(offered.bundle, bundle(4));
    world.folder.keep_bundle(&offered.signed).unwrap();
    world.line.has_configuration(offered.bundle.held.clone());
    let held = bundle(4).held;
    let said = timeout(LONG, link.receive()).await.expect("in time");
    assert_eq!(said, Ok(FromHost::Configured(Box::new(Configured { held: held.clone(), refused: None }))));
    // An older one, and one of another CA.
    link.send(&sent(3)).await.unwrap();
    let other = Authority::create(clock().now().wall).unwrap().sign_bundle(&bundle(5)).unwrap();
    for (message, generation, word) in
        [(None, 3, "is older than generation 4"), (Some(FromController::Bundle(Box::new(other))), 0, "no CA")]
    {
        if let Some(message) = message {
            link.send(&message).await.unwrap();
        }
        let Ok(FromHost::Configured(said)) = timeout(LONG, link.receive()).await.expect("in time") else { panic!() };
        let refused = said.refused.expect("refused");
        assert_eq!((said.held, refused.generation), (held.clone(), generation));
        assert!(refused.why.as_str().contains(word), "{}", refused.why);
    }
    assert!(world.line.take_offered().is_none());
    drop(link);
    // In the next session it says at once what it has.
    let (_link, hello) = world.linked(None).await;
    assert_eq!(hello.configuration, held);
    world.stops().await;
}

mod messages;
