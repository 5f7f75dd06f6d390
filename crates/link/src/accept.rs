//! A controller accepts: one port, on which hosts of the fleet come with their certificates and others come to join. Which of
//! the two it is says the TLS handshake. Whether the host is still allowed, and what it says then, is for who calls.

use std::{sync::Arc, time::Duration};

use ansai_model::time::WallTime;
use ansai_protocol::link::{ALPN, ALPN_JOIN, Certificate, Fingerprint, HostId, Roots};
use rustls::{
    ServerConfig,
    server::{Acceptor as Greeting, NoServerSessionStorage},
    version::TLS13,
};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use crate::{
    Trouble,
    certificate::{Facts, Owner, Serial, ders},
    dial::Link,
    frames::{Frames, hear_out},
    key::Key,
    provider,
    road::Road,
    trouble::{of_stream, settings},
    trust::HostVerifier,
};

/// Longest that a handshake may take, from the first byte on.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Takes connections. A clone is another handle; to take others from now on, make a new one.
#[derive(Clone)]
pub struct Acceptor {
    link: Arc<ServerConfig>,
    joining: Arc<ServerConfig>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Who came.
#[derive(Debug)]
pub enum Arrival {
    /// A host with a certificate of ours.
    Host(Box<Arrived>),
    /// Somebody who wants to join.
    Joining(Box<Link>),
}

/// A host that has proven that it has the key of a certificate of ours. Whether that certificate is still allowed, by its
/// serial, is to be asked before anything is believed.
#[derive(Debug)]
pub struct Arrived {
    /// Who it is.
    pub host: HostId,
    /// Which of its certificates.
    pub serial: Serial,
    /// The digest of its key.
    pub key: Fingerprint,
    /// Whether the certificate has expired: then it may renew, and nothing else.
    pub is_expired: bool,
    /// What is said.
    pub link: Link,
}

impl Acceptor {
    /// A controller with its key and certificate, the CA that signed it (which those who join want to see), and the CAs of its
    /// hosts.
    ///
    /// # Errors
    /// When these do not belong together or are no certificates.
    pub fn new(key: &Key, own: &Certificate, authority_pem: &str, roots: &Roots) -> Result<Self, Trouble> {
        let mut chain = ders(own.as_str())?;
        chain.extend(ders(authority_pem)?);
        let builder =
            || ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(settings);
        let verified = builder()?.with_client_cert_verifier(Arc::new(HostVerifier::of(roots)?));
        let link = verified.with_single_cert(chain.clone(), key.der()).map_err(settings)?;
        let joining = builder()?.with_no_client_auth().with_single_cert(chain, key.der()).map_err(settings)?;
        Ok(Self { link: finished(link, ALPN), joining: finished(joining, ALPN_JOIN) })
    }

    /// Shakes hands. It takes ten seconds at most.
    ///
    /// # Errors
    /// When what comes is no TLS, speaks another protocol, or has no certificate of ours.
    pub async fn accept(&self, stream: impl Into<Road>) -> Result<Arrival, Trouble> {
        timeout(SHAKEN_WITHIN, self.shake(stream.into())).await.unwrap_or(Err(Trouble::Silent(SHAKEN_WITHIN)))
    }

    async fn shake(&self, stream: Road) -> Result<Arrival, Trouble> {
        stream.hurry();
        let greeted = LazyConfigAcceptor::new(Greeting::default(), stream).await.map_err(|error| of_stream(&error))?;
        let is_joining =
            greeted.client_hello().alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ALPN_JOIN));
        let config = if is_joining { &self.joining } else { &self.link };
        let stream = match greeted.into_stream(Arc::clone(config)).into_fallible().await {
            Ok(stream) => stream,
            Err((error, mut stream)) => {
                // Whoever is refused reads why before the socket goes.
                if stream.shutdown().await.is_ok() {
                    hear_out(&mut stream).await;
                }
                return Err(of_stream(&error));
            }
        };
        if stream.get_ref().1.alpn_protocol().is_none() {
            return Err(Trouble::NoMessage("who comes does not say what it speaks".into()));
        }
        if is_joining {
            return Ok(Arrival::Joining(Box::new(Frames::of_joining(TlsStream::from(stream)))));
        }
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let facts = shown.and_then(|der| Facts::of_der(der)).ok_or(Trouble::SomebodyElse)?;
        let Some(Owner::Host(host)) = facts.owner else { return Err(Trouble::SomebodyElse) };
        let is_expired = facts.not_after < now();
        let link = Frames::of_link(TlsStream::from(stream));
        Ok(Arrival::Host(Box::new(Arrived { host, serial: facts.serial, key: facts.key, is_expired, link })))
    }
}

/// As the handshake has it.
fn now() -> WallTime {
    let now = rustls::pki_types::UnixTime::now().as_secs();
    WallTime(i64::try_from(now).unwrap_or(i64::MAX).saturating_mul(1000))
}

fn finished(mut config: ServerConfig, alpn: &[u8]) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed session asks nobody whether a certificate is still good.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}
