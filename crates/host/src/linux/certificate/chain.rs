//! Follows a chain to an authority that is trusted. Names and the end are judged elsewhere.

use std::time::Duration;

use ansai_model::domain::certificate::{ChainState, Trust};
use rustls::{
    CertificateError,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};

use crate::linux::tls;

/// Whether the chain leads to an authority that is trusted, at a second since 1970.
pub(super) fn follow(chain: &[CertificateDer<'static>], trust: &Trust, at: u64) -> ChainState {
    let roots = match trust {
        Trust::Nobody => return ChainState::NotAsked,
        Trust::Host => tls::roots(None),
        Trust::File(path) => tls::roots_of_file(path).map(std::sync::Arc::new),
    };
    let roots = match roots {
        Ok(roots) => roots,
        Err(error) => return ChainState::Unreadable(error.to_string().into()),
    };
    let Some((own, others)) = chain.split_first() else { return ChainState::Broken("there is no certificate".into()) };
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let verified = ParsedCertificate::try_from(own)
        .and_then(|own| verify_server_cert_signed_by_trust_anchor(&own, &roots, others, at, algorithms));
    match verified {
        Ok(()) => ChainState::Trusted,
        Err(error) => ChainState::Broken(in_words(&error, others.len()).into()),
    }
}

fn in_words(error: &rustls::Error, others: usize) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) if others == 0 => {
            "it stands alone, and no trusted authority signed it itself; is its chain missing?".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its chain leads to no trusted authority".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "a certificate of its chain has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(error) => error.to_string(),
        other => other.to_string(),
    }
}
