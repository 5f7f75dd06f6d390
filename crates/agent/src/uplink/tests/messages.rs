//! Messages to people on the link, against a controller that is played here: offered, given, given again, and taken back when nobody
//! answers for them any more.

use ansai_model::{
    id::RouteId,
    message::{MessageKey, MessageNews, MessageSaid},
    notify::{Notice, NoticeKind},
};
use ansai_notify::outbox::Fate;

use super::*;

/// The next that is said of a message.
async fn of_a_message(link: &mut Link) -> MessageSaid {
    loop {
        if let FromHost::Message(said) = timeout(LONG, link.receive()).await.expect("said").unwrap() {
            return said;
        }
    }
}

/// Puts a message into the outbox, as the loop does.
fn put_message(outbox: &Outbox, dispatch: u64) -> MessageKey {
    let report = report(dispatch);
    let key = MessageKey { dispatch, incident: report.incident, opened: report.opened.wall };
    // A busy machine must not make it late.
    let at = clock().now().plus(Duration::from_secs(3_600));
    let routes = vec![RouteId::new("desk").unwrap()];
    outbox.put(dispatch, &Notice { at, kind: NoticeKind::Escalated, routes, report, hosts: None }).unwrap();
    key
}

async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, so).await.expect("in time");
}

/// A host that has given a message to a controller, on a link that is up.
async fn has_given(world: &World, dispatch: u64) -> (Link, MessageKey) {
    let (mut link, _) = world.linked_to(VERSION, None, true).await;
    until(|| world.outbox.has_taker()).await;
    let key = put_message(&world.outbox, dispatch);
    let MessageSaid::Offered(offered) = of_a_message(&mut link).await else { panic!("not offered") };
    assert_eq!((offered.key, offered.kind), (key, NoticeKind::Escalated));
    link.send(&FromController::Message(MessageNews::Wanted(key))).await.unwrap();
    let MessageSaid::Given(given) = of_a_message(&mut link).await else { panic!("not given") };
    assert_eq!((given.key, given.report.incident), (key, IncidentId(dispatch)));
    (link, key)
}

#[tokio::test]
async fn messages_are_handed_to_a_controller_that_sends_any_and_given_again_until_they_are_taken() {
    let world = joined(1).await;
    let (link, key) = has_given(&world, 1).await;
    drop(link);
    // One that sends none any more says whether it has it.
    for tells in [true, false] {
        let (mut link, _) = world.linked_to(VERSION, None, tells).await;
        let MessageSaid::Given(given) = of_a_message(&mut link).await else { panic!("not given again") };
        assert_eq!((given.key, world.outbox.has_taker()), (key, tells));
        if !tells {
            link.send(&FromController::Message(MessageNews::Taken(key))).await.unwrap();
            until(|| world.outbox.is_empty()).await;
        }
    }
    // One of an older version, or without anybody to tell, is offered nothing.
    for (version, tells) in [(2, true), (VERSION, false)] {
        let (_link, _) = world.linked_to(version, None, tells).await;
        until(|| world.line.view().connected_since_ms.is_some() && !world.outbox.has_taker()).await;
        put_message(&world.outbox, u64::from(version) + 10);
        assert!(!world.outbox.has_taker());
    }
}

#[tokio::test]
async fn what_was_given_is_taken_back_from_a_controller_that_is_older_now_or_has_removed_the_host() {
    for is_older in [true, false] {
        let world = joined(1).await;
        let (link, key) = has_given(&world, 1).await;
        let fates = || world.outbox.fates(key.incident, key.opened);
        drop(link);
        assert_eq!(fates(), [Fate::Given(world.controller.to_string().into())]);
        let link = match is_older {
            true => world.linked_to(2, None, false).await.0,
            false => {
                let mut link = world.arrived().await.link;
                let FromHost::Hello(_) = link.receive().await.unwrap() else { panic!("no hello") };
                let (why, suggestion) = ("this host is no member any more".into(), "join again".into());
                let closing = FromController::Closing { why, suggestion, again_after_ms: None, is_removed: true };
                link.send(&closing).await.unwrap();
                link
            }
        };
        until(|| fates() == [Fate::Waits]).await;
        drop(link);
    }
}
