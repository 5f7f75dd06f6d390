//! A host without a certificate asks for one. It looks whether the controller's certificate leads to the CA that it was told
//! of before it sends anything: a secret is never sent to somebody else.

use std::{sync::Arc, time::Duration};

use ansai_protocol::link::{ALPN_JOIN, Fingerprint, Join, JoinAnswer};

use crate::{
    Trouble, Whose,
    dial::{Route, builder, finished, shake},
    frames::Frames,
    trust::{ControllerVerifier, Known},
};

/// Longest wait for the controller's answer: it saves before it answers.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Asks once.
///
/// # Errors
/// When the controller cannot be reached, or leads to another CA: nothing was sent then.
pub async fn ask(route: &Route, authority: Fingerprint, join: &Join) -> Result<JoinAnswer, Trouble> {
    let verifier = ControllerVerifier::new(Known::Digest(authority));
    let config = finished(builder(Arc::new(verifier))?.with_no_client_auth(), ALPN_JOIN);
    let stream = shake(&Arc::new(config), route).await.map_err(|trouble| match trouble {
        Trouble::Untrusted(Whose::Theirs) | Trouble::SomebodyElse => Trouble::OtherAuthority { wanted: authority },
        trouble => trouble,
    })?;
    let mut frames = Frames::of_joining(stream);
    frames.send(join).await?;
    let answer = frames.receive_within(ANSWERED_WITHIN).await?;
    frames.close().await;
    Ok(answer)
}
