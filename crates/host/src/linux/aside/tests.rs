//! What hangs, as a thread that waits for the test: it is told, is not begun twice, and takes nothing from the others.

use std::sync::mpsc;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn look(name: &str) -> Work {
    Work::new(Kind::Look, name)
}

/// Work that waits until the sender is dropped.
fn hanging() -> (mpsc::SyncSender<()>, impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::sync_channel::<()>(0);
    (sender, move || {
        // It only ever ends.
        let _ = receiver.recv();
    })
}

async fn ended(name: &str) {
    let waits = async {
        while under_way().works.contains_key(&format!("Look {name}")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waits).await.expect("it ends");
}

#[tokio::test]
async fn what_hangs_is_told_is_not_begun_twice_and_is_asked_again_when_it_has_answered() {
    let (hold, work) = hanging();
    let told = run(look("/hangs"), SHORT, work).await.expect_err("it hangs");
    assert!(told.to_string().starts_with("/hangs has not answered for "), "{told}");
    let told = run(look("/hangs"), SHORT, || panic!("begun twice")).await.expect_err("it hangs still");
    assert!(matches!(told, Late::NotBegun { .. }), "{told:?}");
    assert_eq!(run(look("/another"), LONG, || 7).await.expect("it does not hang"), 7);
    drop(hold);
    ended("/hangs").await;
    assert_eq!(run(look("/hangs"), LONG, || 8).await.expect("it has answered"), 8);
}

#[tokio::test]
async fn whoever_wants_the_place_of_what_hangs_is_told_at_once() {
    let (hold, work) = hanging();
    let told = run(look("/long"), PATIENCE, work).await;
    assert!(told.is_err());
    // It has hours, and is told before another is.
    let another = tokio::time::timeout(LONG, run(look("/long"), LONG * 1000, || ()));
    assert!(another.await.expect("it does not wait for its whole time").is_err());
    drop(hold);
}

#[tokio::test]
async fn whoever_comes_while_another_is_about_to_end_waits_for_it() {
    let (hold, work) = hanging();
    let first = run(look("/short"), LONG, work);
    let second = async {
        tokio::task::yield_now().await;
        drop(hold);
        run(look("/short"), LONG, || 9).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok());
    assert_eq!(second.expect("its turn came"), 9);
}

#[tokio::test]
async fn a_mount_that_hangs_takes_its_own_places_only() {
    let shares = |mount: &str| vec![Share::AllMounts, Share::Mount(mount.into(), "look")];
    let dead = shares("/dead");
    let places: Vec<Ticket> = (0..Share::Mount(String::new(), "look").places())
        .map(|index| take_place(&look(&format!("/dead/{index}")), &dead).map_err(|_| ()).expect("a place"))
        .collect();
    let in_the_way = take_place(&look("/dead/one-more"), &dead).err().expect("no place");
    assert_eq!(in_the_way.what, "the mount /dead");
    assert!(take_place(&look("/alive/file"), &shares("/alive")).is_ok());
    assert!(take_place(&look("/etc/file"), &[Share::Root]).is_ok());
    drop(places);
    assert!(take_place(&look("/dead/one-more"), &dead).is_ok());
}

#[test]
fn the_paths_of_a_value_are_found_wherever_they_stand() {
    let value = serde_json::json!({"a": {"file": "/etc/a"}, "b": ["/srv/b", "no path", 7], "/key": null});
    let work = Work::new(Kind::Act, "x").on_what_it_names(&value);
    assert_eq!(work.paths, [PathBuf::from("/etc/a"), PathBuf::from("/srv/b")]);
}

#[tokio::test]
async fn work_that_nobody_waits_for_is_told_so() {
    assert!(is_awaited());
    let (hold, work) = hanging();
    let (sender, receiver) = mpsc::sync_channel(1);
    let asked = run(look("/given-up"), SHORT, move || {
        let before = is_awaited();
        work();
        sender.send((before, is_awaited())).expect("the test listens");
    });
    assert!(asked.await.is_err());
    drop(hold);
    assert_eq!(receiver.recv_timeout(LONG), Ok((true, false)));
}

#[tokio::test]
async fn a_future_has_its_own_runtime_and_ends_when_nobody_waits() {
    let sleeps = || async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        5
    };
    assert_eq!(run_future(look("future"), LONG, sleeps).await.expect("it ends"), 5);
    let never = run_future(look("endless"), SHORT, std::future::pending::<()>);
    assert!(never.await.is_err());
    ended("endless").await;
}

#[tokio::test]
async fn work_that_panics_leaves_its_place() {
    let told = run(look("/broken"), LONG, || panic!("on purpose")).await;
    assert!(matches!(told, Err::<(), _>(Late::Broke { .. })), "{told:?}");
    assert_eq!(run(look("/broken"), LONG, || 3).await.expect("its place is free"), 3);
}
