//! A host without a route of its own, with a real directory: what it has to tell waits for its controller, and for nobody else.

use std::path::Path;

use ansai_model::{
    message::{MessageNews, MessageSaid},
    notify::NoticeKind,
};

use super::{
    super::{
        Fate, Outbox,
        duty::Taker,
        tests::{Channels, HOUR, Told, notice, run_until},
    },
    *,
};

fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, &[], Told::default().observer())
}

fn member() -> Member {
    Member { controller: "c".into(), host: "h".into() }
}

fn taker(session: u64, tells: bool) -> Option<Taker> {
    Some(Taker { member: member(), session, tells })
}

fn put(outbox: &Outbox, incident: u64) -> MessageKey {
    let notice = notice(incident, NoticeKind::Escalated, &[]);
    outbox.put(incident, &notice).unwrap();
    MessageKey { dispatch: incident, incident: notice.report.incident, opened: notice.report.opened.wall }
}

/// What is offered and given on a link within so long, by their numbers.
async fn said(outbox: &Outbox, session: u64, limit: Duration) -> Vec<u64> {
    let channels = Channels::default();
    run_until(outbox, &channels, limit, || false).await;
    assert!(channels.seen().is_empty(), "there is no route");
    let number = |said: &MessageSaid| match said {
        MessageSaid::Offered(offered) => offered.key.dispatch,
        MessageSaid::Given(given) => given.key.dispatch + 100,
    };
    outbox.says(session).iter().map(number).collect()
}

const SOON: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn it_waits_for_a_controller_that_tells_over_a_restart_too_and_is_given_to_it() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 7);
    let outbox = open(dir.path());
    let key = put(&outbox, 7);
    assert_eq!(outbox.len(), 1, "the same one");
    outbox.belongs_to(Some(&member()));
    assert_eq!(outbox.fates(key.incident, key.opened), [Fate::Waits]);
    outbox.link(taker(1, true));
    assert_eq!(said(&outbox, 1, SOON).await, [7]);
    outbox.hear(1, MessageNews::Wanted(key), MonoTime::default().plus(SOON));
    assert_eq!(said(&outbox, 1, SOON).await, [107]);
    outbox.hear(1, MessageNews::Taken(key), MonoTime::default());
    put(&outbox, 7);
    assert!(outbox.is_empty());
    assert_eq!(outbox.fates(key.incident, key.opened), [Fate::Taken("c".into())]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_offered_again_and_what_nobody_wants_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    outbox.link(taker(1, true));
    let key = put(&outbox, 7);
    assert_eq!(said(&outbox, 1, SOON).await, [7]);
    assert_eq!(said(&outbox, 1, Duration::from_secs(63)).await, [7], "once more");
    outbox.link(taker(2, true));
    assert_eq!(said(&outbox, 2, SOON).await, [7]);
    outbox.hear(1, MessageNews::Declined(key), MonoTime::default());
    assert_eq!(outbox.len(), 1, "that was said on another link");
    outbox.hear(2, MessageNews::Declined(key), MonoTime::default());
    assert!(outbox.is_empty() && open(dir.path()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_that_tells_nothing_is_kept() {
    let nobody: [fn(&Outbox); 3] =
        [|outbox| outbox.belongs_to(None), |outbox| outbox.link(taker(1, false)), |outbox| outbox.take_back(&member())];
    for nobody in nobody {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        put(&outbox, 7);
        nobody(&outbox);
        put(&outbox, 8);
        assert!(outbox.is_empty() && open(dir.path()).is_empty());
        outbox.belongs_to(Some(&member()));
        put(&outbox, 9);
        assert_eq!(outbox.len(), 1, "it has one again");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may_and_none_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let most = UNROUTED_MAX as u64;
    for incident in 1..=most + 1 {
        put(&outbox, incident);
    }
    assert_eq!((outbox.len(), outbox.fates(put(&outbox, 2).incident, put(&outbox, 2).opened)), (64, vec![Fate::Waits]));
    outbox.link(taker(1, true));
    let old = Now { wall: notice(1, NoticeKind::Escalated, &[]).at.wall.plus(73 * HOUR), ..Now::default() };
    assert!(!outbox.lock().offer_unrouted(old));
    assert!(outbox.is_empty());
}

#[test]
fn what_cannot_be_kept_is_to_be_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    std::fs::create_dir(dir.path().join("000000000001.tmp")).unwrap();
    let notice = notice(7, NoticeKind::Escalated, &[]);
    assert!(outbox.put(7, &notice).is_err() && outbox.is_empty());
    std::fs::remove_dir(dir.path().join("000000000001.tmp")).unwrap();
    put(&outbox, 7);
    assert_eq!(outbox.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_and_then_found_no_room_waits_and_is_offered_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let key = put(&outbox, 7);
    outbox.belongs_to(Some(&member()));
    outbox.link(taker(1, true));
    assert_eq!(said(&outbox, 1, SOON).await, [7]);
    outbox.hear(1, MessageNews::Wanted(key), MonoTime::default());
    outbox.hear(1, MessageNews::Declined(key), MonoTime::default());
    assert_eq!(outbox.len(), 1);
    outbox.link(taker(2, true));
    assert_eq!(said(&outbox, 2, SOON).await, [7]);
}
