//! Joining: by a token that names the controller's CA, and by one that names another.

use ansai_link::{Trouble, accept::Arrival, dial::Caller, joining::ask, key::Key};
use ansai_protocol::link::{
    Fingerprint, Identity, Join, JoinAnswer, Short, TokenId, TokenSecret, VERSION, VERSION_OLDEST,
};

use crate::world::{Controller, hello, host, now};

fn join(key: &Key) -> Join {
    Join {
        oldest: VERSION_OLDEST,
        newest: VERSION,
        token: Some((TokenId([5; 6]), TokenSecret::of_chance([6; 32]))),
        request: key.request().expect("a request"),
        name: "web-01".into(),
        machine_id: "c0ffee".into(),
        program: "1.5.0".into(),
        role: None,
        labels: Vec::new(),
        now_ms: now().0,
    }
}

impl Controller {
    /// Whoever comes with the token of these tests joins.
    async fn let_join(&self) -> Result<Join, Trouble> {
        let Arrival::Joining(mut link) = self.accept().await? else { panic!("it did not come to join") };
        let asked: Join = link.receive().await?;
        let signed = self.authority.sign_host(&asked.request, host(), now())?;
        let identity = Identity {
            host: host(),
            name: Short::new("web-01"),
            controller: self.id,
            certificate: signed.certificate,
            roots: self.authority.roots()?,
            now_ms: now().0,
        };
        link.send(&JoinAnswer::Joined(identity)).await?;
        link.close().await;
        Ok(asked)
    }
}

#[tokio::test]
async fn a_host_joins_and_dials_with_what_it_was_given() {
    let controller = Controller::new().await;
    let (route, key) = (controller.route(), Key::generate().expect("a key"));
    let wanted = join(&key);
    let (heard, answer) = tokio::join!(controller.let_join(), ask(&route, controller.authority.fingerprint(), &wanted));
    assert_eq!(heard.expect("heard"), wanted);
    let Ok(JoinAnswer::Joined(identity)) = answer else { panic!("{answer:?}") };
    let caller = Caller::new(&key, &identity.certificate, identity.controller, &identity.roots).expect("settings");
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert_eq!(dialed.expect("welcomed").1.host, identity.host);
    taken.expect("taken in");
}

#[tokio::test]
async fn the_secret_is_never_sent_to_another_ca_than_the_token_names() {
    let (controller, other) = (Controller::new().await, Controller::new().await);
    let (route, key) = (controller.route(), Key::generate().expect("a key"));
    let wanted = join(&key);
    for named in [other.authority.fingerprint(), Fingerprint([0; 32])] {
        let (heard, answer) = tokio::join!(controller.let_join(), ask(&route, named, &wanted));
        assert_eq!(answer, Err(Trouble::OtherAuthority { wanted: named }));
        assert!(heard.is_err(), "the handshake did not end, so nothing was sent");
    }
    let said = Trouble::OtherAuthority { wanted: Fingerprint([0; 32]) };
    assert!(said.suggestion().as_str().contains("nothing secret was sent"));
}

/// A host of the fleet has a certificate of the right CA, and is no controller.
#[tokio::test]
async fn a_host_that_poses_as_the_controller_gets_no_secret() {
    let controller = Controller::new().await;
    let key = Key::generate().expect("a key");
    let signed = controller.authority.sign_host(&key.request().expect("a request"), host(), now()).expect("signed");
    let roots = controller.authority.roots().expect("short");
    let pem = controller.authority.certificate_pem();
    let acceptor = ansai_link::accept::Acceptor::new(&key, &signed.certificate, pem, &roots).expect("settings");
    let posing = Controller { acceptor, ..Controller::new().await };
    let (route, wanted) = (posing.route(), join(&key));
    let (heard, answer) = tokio::join!(posing.accept(), ask(&route, controller.authority.fingerprint(), &wanted));
    assert!(answer.is_err() && heard.is_err(), "{answer:?}");
}

/// Without a certificate one may join, and nothing else.
#[tokio::test]
async fn a_stranger_has_no_link() {
    let controller = Controller::new().await;
    let stranger = Controller::new().await;
    let (caller, route) = (stranger.host(), controller.route());
    let (taken, dialed) = tokio::join!(controller.take_in(), caller.dial(&route, hello()));
    assert!(taken.is_err() && dialed.is_err());
}
