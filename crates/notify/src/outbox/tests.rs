//! The outbox with a real directory and a channel that fails as it is told; time is tokio's, paused.

use ansai_model::{
    incident::Phase,
    notify::Channel,
    policy::Scope,
    probe::CommandLine,
    rule::Severity,
    time::{MonoTime, WallTime},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::channel::render::fixtures;

fn id(name: &str) -> RouteId {
    RouteId::new(name).unwrap()
}

pub(super) fn route(name: &str, fallback: Option<&str>) -> Route {
    Route {
        id: id(name),
        channel: Channel::Exec(CommandLine::new(["true"])),
        scope: Scope::All,
        severity_min: Severity::Week,
        tell_healed: true,
        fallback: fallback.map(id),
        digest_window: Duration::from_secs(60),
        digest_after: 100,
    }
}

/// What was handed to the channel, and what the channel answers.
#[derive(Default)]
pub(super) struct Channels {
    seen: Mutex<Vec<(String, Vec<u64>)>>,
    answers: Mutex<BTreeMap<RouteId, DeliverError>>,
    /// What is answered first, instead, and of whom nothing was left to do each time.
    receipts: Mutex<Vec<Receipt>>,
    done: Mutex<Vec<Vec<String>>>,
}

impl Channels {
    fn answer(&self, route: &str, error: Option<DeliverError>) {
        let mut answers = self.answers.lock().unwrap();
        match error {
            Some(error) => answers.insert(id(route), error),
            None => answers.remove(&id(route)),
        };
    }

    pub(super) fn seen(&self) -> Vec<(String, Vec<u64>)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Deliver for Channels {
    async fn deliver(&self, route: &Route, message: &Message, done: &[String]) -> Result<Receipt, DeliverError> {
        let incidents = match message {
            Message::One(notice) => vec![notice.report.incident.0],
            Message::Digest(notices) => notices.iter().map(|notice| notice.report.incident.0).collect(),
            Message::Test(_) => vec![],
        };
        if let Some(error) = self.answers.lock().unwrap().get(&route.id) {
            return Err(error.clone());
        }
        self.seen.lock().unwrap().push((route.id.to_string(), incidents));
        self.done.lock().unwrap().push(done.to_vec());
        Ok(self.receipts.lock().unwrap().pop().unwrap_or_default())
    }
}

pub(super) fn notice(incident: u64, kind: NoticeKind, routes: &[&str]) -> Notice {
    let mut notice = fixtures::notice(kind, fixtures::report(incident, Phase::Open), routes);
    notice.at = Now::default();
    notice
}

#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<Delivery>>>);

impl Told {
    pub(super) fn observer(&self) -> Observer {
        let told = self.0.clone();
        Arc::new(move |delivery| told.lock().unwrap().push(delivery.clone()))
    }

    fn words(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(Delivery::word).collect()
    }
}

/// Runs the worker until `until` says so or `limit` has passed, in paused time.
pub(super) async fn run_until(outbox: &Outbox, channels: &Channels, limit: Duration, until: impl Fn() -> bool) {
    let begun = Instant::now();
    let clock = move || {
        let passed = begun.elapsed();
        Now { mono: MonoTime::default().plus(passed), wall: WallTime::default().plus(passed) }
    };
    let stop = CancellationToken::new();
    let watch = async {
        while begun.elapsed() < limit && !until() {
            tokio::time::sleep(limit / 1000).await;
        }
        stop.cancel();
    };
    tokio::join!(run(outbox.clone(), channels, clock, stop.clone()), watch);
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_message_is_kept_over_a_restart_and_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    let open = || Outbox::open(dir.path(), &[route("a", None), route("b", None)], told.observer());
    open().put(1, &notice(7, NoticeKind::Escalated, &["a", "b"])).unwrap();
    // Killed and started again; the engine dispatches it again since it does not know.
    let outbox = open();
    outbox.put(1, &notice(7, NoticeKind::Escalated, &["a", "b"])).unwrap();
    assert_eq!(outbox.len(), 2);
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    assert_eq!(channels.seen(), [("a".into(), vec![7]), ("b".into(), vec![7])]);
    // And once more after it was delivered.
    open().put(1, &notice(7, NoticeKind::Escalated, &["a", "b"])).unwrap();
    assert!(open().is_empty());
    // Another message about the same incident is another message.
    open().put(2, &notice(7, NoticeKind::Escalated, &["a"])).unwrap();
    assert_eq!(open().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_newer_message_takes_the_place_of_one_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &[route("a", None)], Told::default().observer());
    for dispatch in 1..5 {
        outbox.put(dispatch, &notice(7, NoticeKind::Healed, &["a"])).unwrap();
        outbox.put(dispatch, &notice(7, NoticeKind::Escalated, &["a"])).unwrap();
    }
    assert_eq!(outbox.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_down_is_tried_again_until_it_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    let outbox = Outbox::open(dir.path(), &[route("a", None)], told.observer());
    channels.answer("a", Some(DeliverError::Later("connection refused".into())));
    outbox.put(1, &notice(1, NoticeKind::Escalated, &["a"])).unwrap();
    outbox.put(2, &notice(2, NoticeKind::Escalated, &["a"])).unwrap();
    run_until(&outbox, &channels, HOUR, || told.words().len() >= 4).await;
    assert!(told.words().iter().all(|word| *word == "retrying"));
    assert_eq!(outbox.len(), 2);
    channels.answer("a", None);
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    assert_eq!(channels.seen(), [("a".into(), vec![1]), ("a".into(), vec![2])]);
}

#[tokio::test(start_paused = true)]
async fn the_fallback_has_what_the_route_cannot_deliver() {
    let later = DeliverError::Later("down".into());
    let never = DeliverError::Never("no such mailbox".into());
    for (error, words) in [
        (later, &["retrying", "retrying", "retrying", "rerouted", "delivered"][..]),
        (never, &["rerouted", "delivered"][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (channels, told) = (Channels::default(), Told::default());
        let routes = [route("a", Some("b")), route("b", None)];
        let outbox = Outbox::open(dir.path(), &routes, told.observer());
        channels.answer("a", Some(error));
        outbox.put(1, &notice(1, NoticeKind::Escalated, &["a"])).unwrap();
        run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
        assert_eq!(told.words(), words);
        assert_eq!(channels.seen(), [("b".into(), vec![1])]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_has_the_same_message_is_not_told_it_again() {
    let later = DeliverError::Later("down".into());
    let never = DeliverError::Never("no such mailbox".into());
    // Which routes a message is put on, and what the routes take while `a` and `b` are down.
    let scenes: [(&[&str], &[&str]); 3] = [(&["a", "c"], &["c"]), (&["c", "a"], &["c"]), (&["a", "b"], &["c"])];
    for (error, (put_on, told_on)) in [later, never].iter().flat_map(|error| scenes.map(|scene| (error, scene))) {
        let dir = tempfile::tempdir().unwrap();
        let (channels, told) = (Channels::default(), Told::default());
        let routes = [route("a", Some("c")), route("b", Some("c")), route("c", None)];
        let outbox = Outbox::open(dir.path(), &routes, told.observer());
        channels.answer("a", Some(error.clone()));
        channels.answer("b", Some(error.clone()));
        let message = notice(1, NoticeKind::Escalated, put_on);
        outbox.put(1, &message).unwrap();
        run_until(&outbox, &channels, HOUR, || false).await;
        let seen: Vec<String> = channels.seen().into_iter().map(|(route, _)| route).collect();
        assert_eq!((seen, outbox.len()), (told_on.iter().map(|on| (*on).to_owned()).collect(), 1), "{put_on:?}");
        // What is known of it is known after a restart, and the route that was down has its own once it is up.
        let outbox = Outbox::open(dir.path(), &routes, told.observer());
        run_until(&outbox, &channels, HOUR, || false).await;
        assert_eq!((channels.seen().len(), outbox.len()), (1, 1), "{put_on:?}");
        channels.answer("a", None);
        channels.answer("b", None);
        run_until(&outbox, &channels, 2 * HOUR, || outbox.is_empty()).await;
        assert_eq!((channels.seen().len(), outbox.len()), (2, 0), "{put_on:?}");
        // The next message is another one.
        let outbox = Outbox::open(dir.path(), &routes, told.observer());
        outbox.put(2, &notice(2, NoticeKind::Escalated, &["a"])).unwrap();
        channels.answer("a", Some(error.clone()));
        run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
        assert_eq!(channels.seen().last(), Some(&("c".to_owned(), vec![2])), "{put_on:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_become_of_a_message_names_the_route_that_took_it() {
    let dir = tempfile::tempdir().unwrap();
    let channels = Channels::default();
    let routes = [route("a", Some("c")), route("b", None), route("c", None)];
    let open = || Outbox::open(dir.path(), &routes, Told::default().observer());
    let outbox = open();
    channels.answer("a", Some(DeliverError::Never("no such mailbox".into())));
    channels.answer("b", Some(DeliverError::Later("down".into())));
    let message = notice(1, NoticeKind::Escalated, &["a", "b"]);
    outbox.put(1, &message).unwrap();
    let fates = |outbox: &Outbox| outbox.fates(message.report.incident, message.report.opened.wall);
    assert_eq!(fates(&outbox), [Fate::Waits]);
    run_until(&outbox, &channels, HOUR, || false).await;
    let on = vec![ToldOn { route: id("c"), instead_of: Some(id("a")) }];
    assert_eq!(fates(&outbox), [Fate::Told { on: on.clone(), waiting: vec![id("b")] }]);
    let outbox = open();
    channels.answer("b", None);
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    let on = on.into_iter().chain([ToldOn { route: id("b"), instead_of: None }]).collect();
    assert_eq!(fates(&outbox), [Fate::Told { on, waiting: vec![] }]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_put_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    std::fs::write(dir.path().join("000000000001.json"), b"{torn").unwrap();
    let outbox = Outbox::open(dir.path(), &[route("a", None)], told.observer());
    assert_eq!((told.words(), outbox.len()), (vec!["dead"], 0));
    channels.answer("a", Some(DeliverError::Later("down".into())));
    outbox.put(1, &notice(2, NoticeKind::Escalated, &["a"])).unwrap();
    run_until(&outbox, &channels, 100 * HOUR, || outbox.is_empty()).await;
    assert_eq!(told.words().last(), Some(&"dead"));
    assert_eq!(std::fs::read_dir(dir.path().join("dead")).unwrap().count(), 1);
}

#[test]
fn a_full_outbox_drops_healed_notices_first_and_an_escalation_never() {
    let dir = tempfile::tempdir().unwrap();
    let told = Told::default();
    let outbox = Outbox::open(dir.path(), &[], told.observer());
    // The limit itself would be a thousand synced files: the state is filled without them.
    {
        let mut state = outbox.lock();
        for number in 1..=MESSAGES_MAX as u64 {
            let kind = match number {
                500 => NoticeKind::Healed,
                1 => NoticeKind::Recovered,
                _ => NoticeKind::Escalated,
            };
            let stored = Stored {
                dispatch: number,
                route: id("a"),
                tried: vec![],
                failures: 0,
                done: vec![],
                notice: notice(number, kind, &["a"]),
            };
            state.queued.insert(number, Queued::of(number, &stored));
        }
        state.next_number = 5000;
    }
    for incident in [2001, 2002] {
        outbox.put(incident, &notice(incident, NoticeKind::Escalated, &["a"])).unwrap();
    }
    let dropped: Vec<u64> = told
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|delivery| match delivery {
            Delivery::Dropped { incident, .. } => incident.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(dropped, [500, 1]);
    assert!(matches!(outbox.put(2003, &notice(2003, NoticeKind::Escalated, &["a"])), Err(PutError::Full)));
    assert_eq!(outbox.len(), MESSAGES_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_kept_is_told_from_memory_and_once() {
    let dir = tempfile::tempdir().unwrap();
    // Something lies where the directory should be, as a full disk refuses to make it.
    let place = dir.path().join("outbox");
    std::fs::write(&place, "").unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    let outbox = Outbox::open(&place, &[route("a", None)], told.observer());
    let put = || outbox.put(1, &notice(1, NoticeKind::Escalated, &["a"]));
    for _ in 0..3 {
        let error = put().unwrap_err().to_string();
        assert!(error.contains("the message cannot be kept"), "{error}");
    }
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    assert_eq!(channels.seen(), [("a".into(), vec![1])]);
    // The engine still offers it, since it was not kept: it is done.
    put().unwrap();
    assert!(outbox.is_empty());
}

/// W10: who is refused never keeps a message from the others, and who must wait has it later, alone.
#[tokio::test(start_paused = true)]
async fn who_is_refused_or_must_wait_keeps_nobody_else_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    let outbox = Outbox::open(dir.path(), &[route("a", None)], told.observer());
    let because = |who: &str, why: &str| vec![(who.to_owned(), why.to_owned())];
    channels.receipts.lock().unwrap().push(Receipt {
        served: vec!["alice".into()],
        refused: because("gone", "550"),
        waiting: because("slow", "450"),
    });
    outbox.put(1, &notice(1, NoticeKind::Escalated, &["a"])).unwrap();
    outbox.put(2, &notice(2, NoticeKind::Escalated, &["a"])).unwrap();
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    let seen: Vec<_> = channels.seen().into_iter().map(|(_, incidents)| incidents).collect();
    assert_eq!(seen, [vec![1], vec![2], vec![1]], "the second message waits for nobody");
    assert_eq!(*channels.done.lock().unwrap(), [vec![], vec![], vec!["alice".to_owned(), "gone".to_owned()]]);
    let refused = |delivery: &Delivery| match delivery {
        Delivery::Refused { recipients, .. } => Some(recipients.len()),
        _ => None,
    };
    let named: Vec<_> = told.0.lock().unwrap().iter().filter_map(refused).collect();
    assert_eq!(named, [2, 0], "named once, and once that all have it");
}

#[tokio::test(start_paused = true)]
async fn who_has_a_message_is_not_told_again_though_that_cannot_be_written_down() {
    const MESSAGES: u64 = 80;
    let dir = tempfile::tempdir().unwrap();
    let (channels, told) = (Channels::default(), Told::default());
    let outbox = Outbox::open(dir.path(), &[route("a", None)], told.observer());
    for number in 1..=MESSAGES {
        let waiting = vec![("slow".to_owned(), "450".to_owned())];
        channels.receipts.lock().unwrap().push(Receipt { served: vec!["alice".into()], waiting, ..Receipt::default() });
        outbox.put(number, &notice(number, NoticeKind::Escalated, &["a"])).unwrap();
    }
    // Something lies where each file is written first, as a full disk refuses to take it.
    for file in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::create_dir(file.unwrap().path().with_extension("tmp")).unwrap();
    }
    run_until(&outbox, &channels, HOUR, || outbox.is_empty()).await;
    let done = channels.done.lock().unwrap();
    let (first, again): (Vec<_>, Vec<_>) = done.iter().partition(|done| done.is_empty());
    // What waits may go together then.
    assert_eq!(first.len() as u64, MESSAGES, "{done:?}");
    assert!(!again.is_empty() && again.iter().all(|done| *done == &["alice"]), "{again:?}");
}

#[test]
fn how_far_each_message_has_come_is_known_though_its_file_cannot_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = kept::Kept::open(dir.path());
    let stored = |number: u64, done: &[&str]| kept::Stored {
        dispatch: number,
        route: id("a"),
        tried: Vec::new(),
        failures: 0,
        done: done.iter().map(|who| (*who).to_owned()).collect(),
        notice: notice(number, NoticeKind::Escalated, &["a"]),
    };
    // More than are kept whole in memory.
    for number in 0..80 {
        disk.write(number, &stored(number, &[])).unwrap();
        std::fs::create_dir(dir.path().join(format!("{number:012}.tmp"))).unwrap();
        disk.write(number, &stored(number, &["alice"])).unwrap_err();
    }
    for number in 0..80 {
        assert_eq!(disk.read(number).unwrap().done, ["alice"], "{number}");
    }
}

#[test]
fn no_more_is_told_from_memory_than_a_few() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("outbox");
    std::fs::write(&place, "").unwrap();
    let outbox = Outbox::open(&place, &[route("a", None)], Told::default().observer());
    for number in 0..200 {
        outbox.put(number, &notice(number, NoticeKind::Escalated, &["a"])).unwrap_err();
    }
    assert_eq!(outbox.len(), 64);
}
