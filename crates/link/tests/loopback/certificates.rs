//! Certificates that are good and that are not: of another CA, of somebody else, too old, too new, revoked.

use ansai_link::{Trouble, Whose, dial::Caller, key::Key};
use ansai_protocol::link::{ControllerId, FromController, FromHost};
use rustls::HandshakeKind;

use crate::world::{Controller, DAY, HOUR, ago, hello, host, to_come};

#[tokio::test]
async fn a_host_of_the_fleet_is_welcomed_and_both_speak() {
    let controller = Controller::new().await;
    let caller = controller.host();
    let route = controller.route();
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    let ((mut theirs, heard), (mut ours, welcome)) = (taken.expect("taken in"), dialed.expect("welcomed"));
    assert_eq!((heard.name.as_str(), welcome.host), ("web-01", host()));
    ours.send(&FromHost::Beat { now_ms: 5 }).await.expect("sent");
    assert_eq!(theirs.receive().await, Ok(FromHost::Beat { now_ms: 5 }));
    theirs.send(&FromController::Kept { through: 7 }).await.expect("sent");
    assert_eq!(ours.receive().await, Ok(FromController::Kept { through: 7 }));
    theirs.close().await;
    assert_eq!(ours.receive::<FromController>().await, Err(Trouble::Ended));
}

/// A resumed session would ask nobody whether the certificate is still good.
#[tokio::test]
async fn each_session_is_a_whole_handshake() {
    let controller = Controller::new().await;
    let caller = controller.host();
    let route = controller.route();
    for _ in 0..3 {
        let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
        let (mut theirs, mut ours) = (taken.expect("taken in").0, dialed.expect("welcomed").0);
        theirs.send(&FromController::Beat { now_ms: 1 }).await.expect("sent");
        ours.receive::<FromController>().await.expect("whatever tickets there are have come");
        assert_eq!(ours.stream().get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_host_of_another_ca_is_refused_and_hears_so() {
    let (controller, other) = (Controller::new().await, Controller::new().await);
    let key = Key::generate().expect("a key");
    let signed = other.authority.sign_host(&key.request().expect("a request"), host(), ago(HOUR)).expect("signed");
    let caller = controller.caller(&key, &signed);
    let route = controller.route();
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert_eq!(taken.err(), Some(Trouble::Untrusted(Whose::Theirs)));
    let heard = dialed.expect_err("refused");
    assert_eq!(heard, Trouble::Untrusted(Whose::Ours));
    assert!(heard.suggestion().as_str().contains("join"));
}

#[tokio::test]
async fn a_controller_of_another_ca_or_another_controller_is_refused() {
    let (controller, other) = (Controller::new().await, Controller::new().await);
    let route = controller.route();
    let (taken, dialed) = tokio::join!(controller.take_in(), async { other.host().dial(&route, hello()).await });
    assert_eq!(dialed.err(), Some(Trouble::Untrusted(Whose::Theirs)));
    assert!(taken.is_err());
    let key = Key::generate().expect("a key");
    let signed = controller.authority.sign_host(&key.request().expect("a request"), host(), ago(HOUR)).expect("signed");
    let roots = controller.authority.roots().expect("short");
    let caller = Caller::new(&key, &signed.certificate, ControllerId::of_chance([9; 16]), &roots).expect("settings");
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert_eq!(dialed.err(), Some(Trouble::SomebodyElse), "the same CA, and another id");
    assert!(taken.is_err());
}

/// Whoever slept for months still has its key: it comes in as one that may renew.
#[tokio::test]
async fn a_hosts_certificate_that_has_expired_is_told_as_such() {
    let controller = Controller::new().await;
    let route = controller.route();
    for (at, is_expired) in [(ago(29 * DAY), false), (ago(31 * DAY), true), (ago(200 * DAY), true)] {
        let (caller, signed) = controller.host_at(at);
        let (arrived, dialed) = tokio::join!(
            async {
                let mut arrived = controller.accept_host().await?;
                let welcome = controller.welcome(arrived.host);
                arrived.link.send(&FromController::Welcome(Box::new(welcome))).await.map(|()| arrived)
            },
            caller.dial(&route, hello())
        );
        let arrived = arrived.expect("it has the key");
        assert_eq!(
            (arrived.is_expired, arrived.serial, arrived.key),
            (is_expired, signed.facts.serial, signed.facts.key)
        );
        dialed.expect("welcomed");
    }
}

#[tokio::test]
async fn a_hosts_certificate_that_is_not_valid_yet_is_refused_for_its_time() {
    let controller = Controller::new().await;
    let route = controller.route();
    let (caller, _) = controller.host_at(to_come(2 * HOUR));
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert!(matches!(taken, Err(Trouble::Time { whose: Whose::Theirs, from: Some(_), .. })));
    let heard = dialed.expect_err("refused");
    assert!(matches!(heard, Trouble::Time { whose: Whose::Ours, .. }), "{heard:?}");
    assert!(heard.suggestion().as_str().contains("clocks"));
}

#[tokio::test]
async fn clocks_that_are_apart_by_less_than_an_hour_do_no_harm() {
    let controller = Controller::signed_at(to_come(HOUR / 2)).await;
    let route = controller.route();
    let (caller, _) = controller.host_at(to_come(HOUR / 2));
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert!(taken.is_ok() && dialed.is_ok());
}

#[tokio::test]
async fn a_controllers_certificate_out_of_its_time_is_refused_with_both_times() {
    for (at, words) in [(to_come(3 * HOUR), "it becomes valid at"), (ago(31 * DAY), "it ended at")] {
        let controller = Controller::signed_at(at).await;
        let route = controller.route();
        let caller = controller.host();
        let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
        assert!(taken.is_err());
        let said = dialed.expect_err("refused").to_string();
        assert!(said.contains("this host's clock says") && said.contains(words), "{said}");
    }
}

/// The handshake of a revoked one succeeds; who accepts asks by its serial, and the host hears why.
#[tokio::test]
async fn a_revoked_host_hears_why_it_is_not_taken_in() {
    let controller = Controller::new().await;
    let route = controller.route();
    let (caller, signed) = controller.host_at(ago(HOUR));
    let allowed = [controller.host_at(ago(HOUR)).1.facts.serial];
    let refusing = async {
        let mut arrived = controller.accept_host().await.expect("it has a certificate of ours");
        assert_eq!(arrived.serial, signed.facts.serial);
        assert!(!allowed.contains(&arrived.serial));
        let (why, suggestion) = ("this host was removed".into(), "join again".into());
        arrived
            .link
            .send(&FromController::Closing { why, suggestion, again_after_ms: Some(60_000), is_removed: false })
            .await
            .expect("sent");
        arrived.link.close().await;
    };
    let ((), dialed) = tokio::join!(refusing, caller.dial(&route, hello()));
    let heard = dialed.expect_err("refused");
    assert_eq!((heard.to_string().as_str(), heard.suggestion().as_str()), ("this host was removed", "join again"));
    assert_eq!(heard.again_after(), Some(std::time::Duration::from_secs(60)));
}
