//! Whose certificate is taken: a host takes its controller's, by its id and the CAs that it trusts, or by the CA that a token
//! names; a controller takes those of its hosts. Whether a host is still allowed is asked after the handshake.

use std::{sync::Arc, time::Duration};

use ansai_protocol::link::{ControllerId, Fingerprint, Roots};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{
    Trouble,
    certificate::{Facts, Owner, store},
    digest, provider,
    trouble::settings,
};

/// Most certificates beside its own that a controller shows.
const OTHERS_MAX: usize = 4;

/// By what a host knows a controller.
#[derive(Debug)]
pub(crate) enum Known {
    /// By the CAs that it was given when it joined, and by its id.
    By(RootCertStore, ControllerId),
    /// By the digest of its CA, before it has joined.
    Digest(Fingerprint),
}

/// Takes the certificate of a known controller.
#[derive(Debug)]
pub(crate) struct ControllerVerifier {
    known: Known,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ControllerVerifier {
    pub(crate) fn of(controller: ControllerId, roots: &Roots) -> Result<Self, Trouble> {
        Ok(Self::new(Known::By(store(roots)?, controller)))
    }

    pub(crate) fn new(known: Known) -> Self {
        Self { known, algorithms: provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for ControllerVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let named;
        let roots = match &self.known {
            Known::By(roots, _) => roots,
            Known::Digest(wanted) => {
                let others = others.iter().take(OTHERS_MAX);
                let Some(root) = others.into_iter().find(|other| digest(other) == *wanted) else {
                    return Err(CertificateError::UnknownIssuer.into());
                };
                let mut roots = RootCertStore::empty();
                roots.add(root.clone().into_owned())?;
                named = roots;
                &named
            }
        };
        let parsed = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, &[], now, self.algorithms.all)?;
        let is_it = match (&self.known, Facts::of_der(own).and_then(|facts| facts.owner)) {
            (Known::By(_, controller), Some(Owner::Controller(shown))) => shown == *controller,
            (Known::Digest(_), Some(Owner::Controller(_))) => true,
            (_, Some(Owner::Host(_)) | None) => false,
        };
        match is_it {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes the certificates of a controller's hosts. One that has expired is taken as the proof that it is: whoever slept for
/// months still has its key, and may renew and do nothing else. Who accepts is told that it has expired.
#[derive(Debug)]
pub(crate) struct HostVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl HostVerifier {
    pub(crate) fn of(roots: &Roots) -> Result<Self, Trouble> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store(roots)?), provider());
        // Hosts have one certificate and need no hint.
        builder.clear_root_hint_subjects().build().map(|inner| Self { inner }).map_err(settings)
    }
}

impl ClientCertVerifier for HostVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let facts = Facts::of_der(own);
        let facts = facts.filter(|facts| matches!(facts.owner, Some(Owner::Host(_))));
        let Some(facts) = facts else { return Err(CertificateError::ApplicationVerificationFailure.into()) };
        // As it was in the last second of its life, when that is over.
        let end = u64::try_from(facts.not_after.0 / 1000).unwrap_or(0);
        let then = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().min(end)));
        self.inner.verify_client_cert(own, others, then)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
