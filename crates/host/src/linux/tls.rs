//! The TLS settings for looking at HTTPS: the host's own authorities, loaded once, when first needed.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::CertificateDer,
};
use rustls_native_certs::ErrorKind;

use super::{domain::certificate::pem, probe::is_of_this_host};

mod words;

pub use words::io_in_words;
pub(super) use words::{in_words, refusal_in_words};

/// Most bytes and certificates of a file of authorities that are read: those of a whole system are a tenth of it.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const AUTHORITIES_MAX: usize = 2_000;

/// Why no TLS connection could be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An authority's file could not be read.
    #[error("cannot read the authority {path}: {why}")]
    Authority {
        /// The path of the file.
        path: String,
        /// The reason, as people read it.
        why: String,
    },
    /// The host's authorities could not be read now.
    #[error("cannot read the authorities that this host trusts: {0}")]
    Unread(String),
    /// There is nobody to vouch for anyone.
    #[error("this host trusts no authority (is ca-certificates installed?)")]
    Nobody,
    /// The library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(#[from] rustls::Error),
}

static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
static SYSTEM_ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// The host's authorities, loaded once there are any, and those of `ca_file` when given; never none.
///
/// # Errors
/// When `ca_file` cannot be read, this host lacks what reading takes, or there are none.
pub fn roots(ca_file: Option<&str>) -> Result<Arc<RootCertStore>, TlsError> {
    match (system_roots(), ca_file) {
        (system, None) => system,
        (Ok(system), Some(path)) => Ok(Arc::new(add_file(RootCertStore::clone(&system), path)?)),
        (Err(TlsError::Nobody), Some(path)) => Ok(Arc::new(roots_of_file(path)?)),
        (Err(error), Some(_)) => Err(error),
    }
}

fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    if let Some(known) = SYSTEM_ROOTS.get() {
        return Ok(Arc::clone(known));
    }
    let found = rustls_native_certs::load_native_certs();
    // What is missing now, for want of a descriptor, would be missing until the agent is started anew.
    let lacking = found.errors.iter().find(|error| match &error.kind {
        ErrorKind::Io { inner, .. } => is_of_this_host(inner),
        _ => false,
    });
    if let Some(lacking) = lacking {
        return Err(TlsError::Unread(lacking.to_string()));
    }
    let mut roots = RootCertStore::empty();
    // Single authorities that cannot be parsed are passed over, as every TLS client does.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        // They may yet be installed.
        return Err(TlsError::Nobody);
    }
    Ok(Arc::clone(SYSTEM_ROOTS.get_or_init(|| Arc::new(roots))))
}

/// The authorities of a file alone.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn roots_of_file(path: &str) -> Result<RootCertStore, TlsError> {
    add_file(RootCertStore::empty(), path)
}

fn add_file(mut roots: RootCertStore, path: &str) -> Result<RootCertStore, TlsError> {
    let unreadable = |why: String| TlsError::Authority { path: path.to_owned(), why };
    let bytes =
        ansai_files::bytes(Path::new(path), FILE_BYTES_MAX).map_err(|error| unreadable(error.why.to_string()))?;
    let certificates = pem::ders(&bytes, AUTHORITIES_MAX).map_err(|error| unreadable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("it holds no certificate".into()));
    }
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Settings that verify against the host's authorities and `ca_file` when given.
///
/// # Errors
/// When `ca_file` or the host's authorities cannot be read, there are none, or the library refuses.
pub fn verifying(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, TlsError> {
    if let (None, Some(config)) = (ca_file, SYSTEM.get()) {
        return Ok(config.clone());
    }
    let config = trusting(roots(ca_file)?)?;
    Ok(if ca_file.is_none() { SYSTEM.get_or_init(|| config).clone() } else { config })
}

/// Settings that verify against these authorities and no others.
///
/// # Errors
/// When the library refuses.
pub fn trusting(roots: impl Into<Arc<RootCertStore>>) -> Result<Arc<ClientConfig>, TlsError> {
    Ok(Arc::new(builder(default_provider())?.with_root_certificates(roots).with_no_client_auth()))
}

/// What every connection of ansai begins with: the safe protocol versions.
pub(super) fn builder(
    provider: CryptoProvider,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()
}

/// Settings that accept any certificate, for probes whose operator said so: nothing is sent that is secret.
///
/// # Errors
/// When the library refuses.
pub fn trusting_anything() -> Result<Arc<ClientConfig>, TlsError> {
    let config = builder(default_provider())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_vouches_for_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").expect("written");
        let path = path.to_str().expect("text");
        for refused in [roots_of_file(path).err(), verifying(Some(path)).err()] {
            assert!(refused.is_some_and(|why| why.to_string().contains("it holds no certificate")));
        }
    }
}
