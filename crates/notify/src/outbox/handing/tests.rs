//! Messages that are handed to a controller, with a real directory: at each moment one of the two sends it, whatever breaks.

use std::{path::Path, time::Duration};

use ansai_model::{notify::NoticeKind, text::Text};

use super::{
    super::tests::{Channels, HOUR, Told, notice, route, run_until},
    *,
};

fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, &[route("a", None), route("b", None)], Told::default().observer())
}

fn member(controller: &str, host: &str) -> Member {
    Member { controller: controller.into(), host: host.into() }
}

fn taker(controller: &str, session: u64) -> Option<Taker> {
    Some(Taker { member: member(controller, "h"), session, tells: true })
}

/// The same controller, which tells no more.
fn silent(session: u64) -> Option<Taker> {
    Some(Taker { member: member("c", "h"), session, tells: false })
}

/// A message that was offered, wanted and given.
fn given(dir: &Path, incident: u64) -> (Outbox, MessageKey) {
    let (outbox, key) = offering(dir, incident);
    outbox.hear(1, MessageNews::Wanted(key), at(10));
    assert_eq!(said(&outbox, 1).last(), Some(&("given", incident)));
    (outbox, key)
}

/// An outbox with a link to a controller, on which this message is offered, on two routes.
fn offering(dir: &Path, incident: u64) -> (Outbox, MessageKey) {
    let outbox = open(dir);
    outbox.link(taker("c", 1));
    let key = put(&outbox, incident);
    (outbox, key)
}

fn put(outbox: &Outbox, incident: u64) -> MessageKey {
    let notice = notice(incident, NoticeKind::Escalated, &["a", "b"]);
    outbox.put(incident, &notice).unwrap();
    MessageKey { dispatch: incident, incident: notice.report.incident, opened: notice.report.opened.wall }
}

fn at(ms: u64) -> MonoTime {
    MonoTime::default().plus(Duration::from_millis(ms))
}

/// What is said on a link, in a word each.
fn said(outbox: &Outbox, session: u64) -> Vec<(&'static str, u64)> {
    let word = |said: &MessageSaid| match said {
        MessageSaid::Offered(offered) => ("offered", offered.key.dispatch),
        MessageSaid::Given(given) => ("given", given.key.dispatch),
    };
    outbox.says(session).iter().map(word).collect()
}

async fn sends(outbox: &Outbox, limit: Duration) -> Vec<(String, Vec<u64>)> {
    let channels = Channels::default();
    run_until(outbox, &channels, limit, || false).await;
    channels.seen()
}

const BOTH: usize = 2;

#[tokio::test(start_paused = true)]
async fn what_is_given_is_sent_by_nobody_here_over_a_restart_too_and_is_done_when_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    assert_eq!((said(&outbox, 2), said(&outbox, 1)), (vec![], vec![("offered", 7)]));
    outbox.hear(1, MessageNews::Wanted(key), at(100));
    assert_eq!(said(&outbox, 1), [("given", 7)]);
    assert_eq!(outbox.fates(key.incident, key.opened), [Fate::Given("c".into())]);
    assert!(sends(&outbox, HOUR).await.is_empty());
    // Killed: what is on the disk counts, also when the engine dispatches it again.
    let outbox = open(dir.path());
    put(&outbox, 7);
    assert!(sends(&outbox, 100 * HOUR).await.is_empty(), "not even when it is old");
    outbox.link(taker("c", 5));
    assert_eq!(said(&outbox, 5), [("given", 7)]);
    outbox.hear(4, MessageNews::Taken(key), at(0));
    assert_eq!(outbox.len(), BOTH, "that was said on another link");
    outbox.hear(5, MessageNews::Taken(key), at(0));
    assert_eq!((outbox.len(), outbox.fates(key.incident, key.opened)), (0, vec![Fate::Taken("c".into())]));
    let outbox = open(dir.path());
    put(&outbox, 7);
    assert!(outbox.is_empty() && sends(&outbox, HOUR).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_in_time_is_sent_from_here_once() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    assert!(sends(&outbox, Duration::from_millis(1_900)).await.is_empty(), "it is waited for the controller");
    assert_eq!(sends(&outbox, Duration::from_millis(2_100)).await.len(), BOTH);
    outbox.hear(1, MessageNews::Wanted(key), at(3_000));
    assert_eq!(said(&outbox, 1), []);
    let told = |route: &str| ToldOn { route: RouteId::new(route).unwrap(), instead_of: None };
    let told = Fate::Told { on: vec![told("a"), told("b")], waiting: vec![] };
    assert_eq!(outbox.fates(key.incident, key.opened), [told]);
    assert!(sends(&outbox, HOUR).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_changes_nothing_though_it_was_not_sent_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    outbox.hear(1, MessageNews::Wanted(key), at(2_000));
    assert_eq!(said(&outbox, 1), []);
    assert_eq!(sends(&outbox, HOUR).await.len(), BOTH);
}

#[tokio::test(start_paused = true)]
async fn what_is_declined_or_loses_its_link_is_sent_at_once() {
    for lose in [0, 1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, key) = offering(dir.path(), 7);
        said(&outbox, 1);
        match lose {
            0 => outbox.hear(1, MessageNews::Declined(key), at(10)),
            1 => outbox.unlink(1),
            // Another link is up before it was seen that the first one is gone.
            _ => {
                outbox.link(taker("c", 2));
                outbox.unlink(1);
                outbox.hear(2, MessageNews::Wanted(key), at(10));
            }
        }
        assert_eq!(sends(&outbox, Duration::from_millis(500)).await.len(), BOTH);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_given_and_never_was_taken_may_be_declined_and_is_sent_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    outbox.hear(1, MessageNews::Wanted(key), at(10));
    outbox.hear(1, MessageNews::Declined(key), at(20));
    let outbox = open(dir.path());
    assert_eq!(sends(&outbox, HOUR).await.len(), BOTH);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_as_given_is_sent_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    // Something lies where the file is written first, as a full disk refuses to take it.
    std::fs::create_dir(dir.path().join("given.tmp")).unwrap();
    outbox.hear(1, MessageNews::Wanted(key), at(10));
    assert_eq!(said(&outbox, 1), []);
    assert_eq!(sends(&outbox, HOUR).await.len(), BOTH);
}

#[tokio::test(start_paused = true)]
async fn what_is_declined_or_left_is_sent_from_here_though_that_cannot_be_written_down() {
    for is_left in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, key) = offering(dir.path(), 7);
        outbox.hear(1, MessageNews::Wanted(key), at(10));
        std::fs::create_dir(dir.path().join("given.tmp")).unwrap();
        match is_left {
            false => outbox.hear(1, MessageNews::Declined(key), at(20)),
            true => outbox.belongs_to(None),
        }
        assert_eq!(sends(&outbox, HOUR).await.len(), BOTH);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_no_longer_the_member_that_gave_a_message_takes_it_back() {
    let gone: [fn(&Outbox); 6] = [
        // It has left.
        |outbox| outbox.belongs_to(None),
        // It has left and joined another, or joined the same one anew, before anybody saw it.
        |outbox| outbox.belongs_to(Some(&member("another", "h"))),
        |outbox| outbox.belongs_to(Some(&member("c", "as another"))),
        |outbox| outbox.link(taker("another", 2)),
        // It was removed, or an older controller stands in the place of the one that took it.
        |outbox| outbox.take_back(&member("c", "h")),
        // A controller that tells no more, and says that it never had it.
        |outbox| {
            outbox.link(silent(2));
            let [MessageSaid::Given(given)] = &outbox.says(2)[..] else { panic!("not given again") };
            outbox.hear(2, MessageNews::Declined(given.key), at(20));
        },
    ];
    for gone in gone {
        let dir = tempfile::tempdir().unwrap();
        let (outbox, _) = given(dir.path(), 7);
        outbox.unlink(1);
        outbox.belongs_to(Some(&member("c", "h")));
        outbox.take_back(&member("c", "as another"));
        assert!(sends(&outbox, HOUR).await.is_empty());
        gone(&outbox);
        assert_eq!(said(&outbox, 2), []);
        assert_eq!(sends(&open(dir.path()), HOUR).await.len(), BOTH);
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_tells_no_more_is_offered_nothing_and_says_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = given(dir.path(), 7);
    outbox.link(silent(2));
    put(&outbox, 8);
    assert_eq!((outbox.has_taker(), said(&outbox, 2)), (false, vec![("given", 7)]));
    assert_eq!(sends(&outbox, Duration::from_millis(100)).await.len(), BOTH, "the other one, at once");
    outbox.hear(2, MessageNews::Taken(key), at(20));
    assert!(sends(&outbox, HOUR).await.is_empty());
    assert_eq!(outbox.fates(key.incident, key.opened), [Fate::Taken("c".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_comes_to_it_when_a_newer_one_is_up_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.link(taker("c", 2));
    let key = put(&outbox, 7);
    outbox.hear(2, MessageNews::Wanted(key), at(10));
    outbox.link(taker("another", 1));
    assert_eq!(said(&outbox, 2), [("given", 7)]);
    assert!(sends(&outbox, HOUR).await.is_empty());
}

/// The file of the first message that waits.
fn first_file(dir: &Path) -> std::path::PathBuf {
    dir.join("000000000001.json")
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_anew_while_it_is_given_is_not_sent_from_here() {
    let dir = tempfile::tempdir().unwrap();
    given(dir.path(), 7);
    // One of its files is lost, and the engine dispatches it again, since nobody has said that it was handed over.
    std::fs::remove_file(first_file(dir.path())).unwrap();
    let outbox = open(dir.path());
    assert_eq!(outbox.len(), 1);
    put(&outbox, 7);
    assert_eq!(outbox.len(), BOTH);
    assert!(sends(&outbox, HOUR).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_stays_so_when_it_cannot_be_read_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, _) = given(dir.path(), 7);
    let files = [first_file(dir.path()), dir.path().join("000000000002.json")];
    let whole = files.each_ref().map(|file| std::fs::read(file).unwrap());
    files.iter().for_each(|file| std::fs::write(file, "not now").unwrap());
    outbox.link(taker("c", 2));
    assert_eq!((said(&outbox, 2), outbox.has_says(2)), (vec![], true), "it is asked for again");
    files.iter().zip(whole).for_each(|(file, whole)| std::fs::write(file, whole).unwrap());
    assert_eq!(said(&outbox, 2), [("given", 7)]);
    assert!(sends(&outbox, HOUR).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_done_though_it_cannot_be_read_at_that_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = given(dir.path(), 7);
    let whole = std::fs::read(first_file(dir.path())).unwrap();
    std::fs::write(first_file(dir.path()), "not now").unwrap();
    outbox.hear(1, MessageNews::Taken(key), at(20));
    if first_file(dir.path()).exists() {
        std::fs::write(first_file(dir.path()), whole).unwrap();
    }
    let outbox = open(dir.path());
    put(&outbox, 7);
    assert!(outbox.is_empty() && sends(&outbox, HOUR).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_newer_takes_the_place_of_nothing_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, key) = offering(dir.path(), 7);
    outbox.hear(1, MessageNews::Wanted(key), at(10));
    outbox.unlink(1);
    let newer = notice(7, NoticeKind::Escalated, &["a", "b"]);
    outbox.put(8, &newer).unwrap();
    assert_eq!(outbox.len(), 2 * BOTH);
    assert_eq!(sends(&outbox, HOUR).await.len(), BOTH, "the newer one, by the host");
    outbox.link(taker("c", 2));
    assert_eq!(said(&outbox, 2), [("given", 7)]);
}

#[test]
fn only_what_the_engine_has_dispatched_and_a_frame_takes_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.link(taker("c", 1));
    let mut of_the_agent = notice(0, NoticeKind::Escalated, &["a"]);
    outbox.put(0, &of_the_agent).unwrap();
    let long = Text::new("x".repeat(Text::BYTES_MAX));
    of_the_agent.report.advice = vec![long; 2 * MESSAGE_BYTES_MAX / Text::BYTES_MAX];
    outbox.put(1, &of_the_agent).unwrap();
    assert_eq!(said(&outbox, 1), []);
    put(&outbox, 3);
    assert_eq!(said(&outbox, 1), [("offered", 3)]);
}
