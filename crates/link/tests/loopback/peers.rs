//! Peers that speak something else, too much, too slowly, or another version.

use std::time::Duration;

use ansai_link::{Trouble, dial::Caller};
use ansai_protocol::link::{FRAME_BYTES_MAX, FromController, FromHost, Hello, SILENT_AFTER, VERSION, agreed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{Controller, hello};

async fn both(controller: &Controller, caller: &Caller) -> (ansai_link::dial::Link, ansai_link::dial::Link) {
    let route = controller.route();
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    (taken.expect("taken in").0, dialed.expect("welcomed").0)
}

#[tokio::test]
async fn garbage_is_no_handshake_for_either_side() {
    let controller = Controller::new().await;
    let address = controller.listener.local_addr().expect("bound");
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 5000], b"\x16\x03\x01\xff\xff"] {
        let speaking = async {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(garbage).await.expect("sent");
            stream.shutdown().await.expect("shut down");
        };
        let (accepted, ()) = tokio::join!(controller.accept(), speaking);
        assert!(accepted.is_err());
        let answering = async {
            let mut stream = controller.tcp().await;
            // What it answers counts, and not what it was asked.
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(garbage).await;
        };
        let (caller, route) = (controller.host(), controller.route());
        let (dialed, ()) = tokio::join!(caller.dial(&route, hello()), answering);
        let trouble = dialed.expect_err("no controller");
        assert!(!matches!(trouble, Trouble::Untrusted(_)), "{trouble:?}");
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_link() {
    let controller = Controller::new().await;
    let (mut theirs, ours) = both(&controller, &controller.host()).await;
    let mut raw = ours.into_stream();
    let length = u32::try_from(FRAME_BYTES_MAX + 1).expect("small").to_be_bytes();
    raw.write_all(&length).await.expect("sent");
    raw.flush().await.expect("sent");
    assert_eq!(theirs.receive::<FromHost>().await, Err(Trouble::TooLarge(FRAME_BYTES_MAX)));
}

#[tokio::test]
async fn garbage_under_tls_ends_the_link() {
    let controller = Controller::new().await;
    let (mut theirs, mut ours) = both(&controller, &controller.host()).await;
    ours.send_frame(&b"\xff\xff\xff"[..]).await.expect("sent");
    assert!(matches!(theirs.receive::<FromHost>().await, Err(Trouble::NoMessage(_))));
    theirs.send_frame(&b"[[[["[..]).await.expect("sent");
    assert!(matches!(ours.receive::<FromController>().await, Err(Trouble::NoMessage(_))));
}

/// The clock stands still until nothing moves any more, and then goes to the next deadline.
#[tokio::test]
async fn a_link_on_which_nothing_comes_is_given_up() {
    let controller = Controller::new().await;
    let (mut theirs, _ours) = both(&controller, &controller.host()).await;
    tokio::time::pause();
    assert_eq!(theirs.receive::<FromHost>().await, Err(Trouble::Silent(SILENT_AFTER)));
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_is_let_go() {
    let controller = Controller::new().await;
    let address = controller.listener.local_addr().expect("bound");
    let _silent = TcpStream::connect(address).await.expect("connected");
    let stream = controller.tcp().await;
    tokio::time::pause();
    assert!(matches!(controller.acceptor.accept(stream).await, Err(Trouble::Silent(_))));
}

#[tokio::test]
async fn a_controller_that_takes_the_connection_and_says_nothing_is_given_up() {
    let controller = Controller::new().await;
    let (caller, route) = (controller.host(), controller.route());
    let silent = async {
        let stream = controller.tcp().await;
        tokio::time::pause();
        stream
    };
    let (_stream, dialed) = tokio::join!(silent, caller.dial(&route, hello()));
    assert!(matches!(dialed, Err(Trouble::Silent(within)) if within == Duration::from_secs(10)));
}

#[tokio::test]
async fn a_newer_host_is_taken_in_by_the_older_version_and_a_much_newer_one_is_not() {
    let controller = Controller::new().await;
    let (caller, route) = (controller.host(), controller.route());
    let newer = Hello { newest: VERSION + 5, ..hello() };
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, newer));
    let heard = taken.expect("taken in").1;
    assert_eq!((agreed(heard.oldest, heard.newest), dialed.expect("welcomed").1.version), (Some(VERSION), VERSION));
    assert_eq!(agreed(VERSION + 1, VERSION + 5), None);
}

/// A controller of another version that takes everybody in is found out by the host.
#[tokio::test]
async fn a_welcome_in_a_version_that_is_not_spoken_is_no_welcome() {
    let controller = Controller::new().await;
    let (caller, route) = (controller.host(), controller.route());
    for version in [0, VERSION + 1] {
        let welcoming = async {
            let mut arrived = controller.accept_host().await.expect("a host");
            let mut welcome = controller.welcome(arrived.host);
            welcome.version = version;
            arrived.link.send(&FromController::Welcome(Box::new(welcome))).await.expect("sent");
            arrived.link.close().await;
        };
        let ((), dialed) = tokio::join!(welcoming, caller.dial(&route, hello()));
        assert_eq!(dialed.err(), Some(Trouble::Version { oldest: version, newest: version }));
    }
}
