//! One TLS handshake, to see which certificate a server shows. The server's proof that it has the key is verified; whether
//! the certificate is good is judged elsewhere. Nothing is sent after the handshake.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ansai_model::{
    domain::certificate::{CHAIN_MAX, Endpoint, EndpointProtocol},
    time::Shown,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{dialog, key_kind::KeyKind};
use crate::linux::{
    probe::{Why, addresses, to_any},
    tls,
};

/// Why no certificate was seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// Nobody answered; the certificate is not to blame.
    #[error("{0}")]
    Connect(String),
    /// It took too long.
    #[error("no certificate within {}", Shown(*.0))]
    TimedOut(Duration),
    /// The server answered, and offers no TLS.
    #[error("{0}")]
    Offer(String),
    /// The handshake failed.
    #[error("the TLS handshake fails: {0}")]
    Tls(String),
}

/// The chain that the server shows, its own certificate first; never empty. Asked for a kind of key, it is its certificate of
/// that kind, or whatever it has when it has none.
///
/// # Errors
/// When nobody answers, no TLS is offered, or the handshake fails.
pub(super) async fn shake_for(
    endpoint: &Endpoint,
    wanted: Option<KeyKind>,
    timeout: Duration,
) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    match shake(endpoint, wanted, timeout).await {
        Err(HandshakeError::Tls(_)) if wanted.is_some() => shake(endpoint, None, timeout).await,
        shaken => shaken,
    }
}

/// As [`shake_for`], but fails where the server has none of that kind.
pub(super) async fn shake(
    endpoint: &Endpoint,
    wanted: Option<KeyKind>,
    timeout: Duration,
) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    match tokio::time::timeout(timeout, Box::pin(connect(endpoint, wanted, timeout))).await {
        Ok(result) => result,
        Err(_) => Err(HandshakeError::TimedOut(timeout)),
    }
}

async fn connect(
    endpoint: &Endpoint,
    wanted: Option<KeyKind>,
    timeout: Duration,
) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    let host = endpoint.host.as_str();
    let unreached = |(Why::Theirs(why) | Why::Ours(why))| HandshakeError::Connect(why);
    let addresses = addresses(host, endpoint.port, timeout).await.map_err(unreached)?;
    let mut stream = to_any(&addresses).await.map_err(unreached)?;
    match endpoint.protocol {
        EndpointProtocol::Tls => {}
        EndpointProtocol::Smtp => dialog::smtp(&mut stream).await.map_err(HandshakeError::Offer)?,
        EndpointProtocol::Imap => dialog::imap(&mut stream).await.map_err(HandshakeError::Offer)?,
        EndpointProtocol::Postgresql => dialog::postgresql(&mut stream).await.map_err(HandshakeError::Offer)?,
    }
    let name = endpoint.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(|error| HandshakeError::Tls(error.to_string()))?;
    let witness = Arc::new(Witness::new(wanted));
    let config = tls::builder(witness.provider.clone()).map_err(|error| HandshakeError::Tls(error.to_string()))?;
    let mut config: ClientConfig =
        config.dangerous().with_custom_certificate_verifier(Arc::clone(&witness) as _).with_no_client_auth();
    // Each look is a whole handshake, in which the server has to show what it has now.
    config.resumption = rustls::client::Resumption::disabled();
    let shaken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let chain = std::mem::take(&mut *witness.chain.lock().unwrap_or_else(PoisonError::into_inner));
    match shaken {
        Ok(_) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(HandshakeError::Tls("the server showed no certificate".into())),
        // A server that asks clients for a certificate of their own has shown and proven its own before it refuses ours;
        // TLS 1.2 refuses with any alert that its library fancies.
        Err(error) if !chain.is_empty() && witness.has_proof() && is_refusal(&error) => Ok(chain),
        Err(error) => Err(HandshakeError::Tls(tls::io_in_words(&error))),
    }
}

/// Whether the server ended the handshake with an alert of its own.
fn is_refusal(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// Keeps the chain that it is shown, and verifies only that the server has its key.
#[derive(Debug)]
struct Witness {
    provider: CryptoProvider,
    /// The only kind of key that it says it can verify.
    wanted: Option<KeyKind>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
    /// Whether the server has signed with the key of the certificate that it showed.
    has_proof: AtomicBool,
}

impl Witness {
    fn new(wanted: Option<KeyKind>) -> Self {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        if let Some(kind) = wanted {
            kind.limits(&mut provider);
        }
        Self { provider, wanted, chain: Mutex::new(Vec::new()), has_proof: AtomicBool::new(false) }
    }

    fn has_proof(&self) -> bool {
        self.has_proof.load(Ordering::Relaxed)
    }

    /// Notes a signature that was found to be right.
    fn proven(&self, valid: HandshakeSignatureValid) -> HandshakeSignatureValid {
        self.has_proof.store(true, Ordering::Relaxed);
        valid
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(own).chain(others).take(CHAIN_MAX);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) =
            shown.map(|certificate| certificate.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms).map(|valid| self.proven(valid))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms).map(|valid| self.proven(valid))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.retain(|scheme| self.wanted.is_none_or(|kind| kind.signs(*scheme)));
        schemes
    }
}
