//! Reads certificate and key files: PEM or DER, bundles, a key beside or inside. Bounded; never waits for a pipe.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ansai_files::Why;
pub(super) use ansai_model::domain::certificate::FILE_BYTES_MAX;
use ansai_model::{
    domain::certificate::{CHAIN_MAX, KeyMatch},
    text::Text,
};
use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};

/// Why a file gives no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// It does not exist.
    #[error("it does not exist")]
    Missing,
    /// It exists, but cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It was read, and there is no certificate in it.
    #[error("no certificate in it: {0}")]
    NoCertificate(String),
}

/// A path as it is found below a root.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.strip_prefix('/').unwrap_or(path))
}

/// A whole regular file of at most [`FILE_BYTES_MAX`] bytes.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, LoadError> {
    ansai_files::bytes(path, FILE_BYTES_MAX as u64).map_err(|error| match &error.why {
        Why::Io(_) if error.is_missing() => LoadError::Missing,
        Why::TooLarge(_) => LoadError::Unreadable("it is larger than 1 MiB".into()),
        Why::NotRegular(_) => LoadError::Unreadable("it is no regular file".into()),
        Why::Io(_) | Why::NotText(_) => LoadError::Unreadable(error.why.to_string()),
    })
}

/// The certificates of a file, the server's own first; never empty, at most [`CHAIN_MAX`].
pub(super) fn certificates(root: &Path, path: &str) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    parse(bytes(&below(root, path))?)
}

/// The certificates in the bytes of a file, as for [`certificates`].
pub(super) fn parse(bytes: Vec<u8>) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    if !is_pem(&bytes) {
        return match x509_parser::parse_x509_certificate(&bytes) {
            Ok(_) => Ok(vec![CertificateDer::from(bytes)]),
            Err(_) => Err(LoadError::NoCertificate("neither PEM nor DER".into())),
        };
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).take(CHAIN_MAX).collect();
    match read {
        Ok(chain) if chain.is_empty() => Err(LoadError::NoCertificate("PEM of another kind".into())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(LoadError::NoCertificate(error.to_string())),
    }
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// The private key in the bytes of a file; the error says why there is none.
pub(super) fn parse_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, KeyError> {
    if !is_pem(bytes) {
        return PrivateKeyDer::try_from(bytes.to_vec()).map_err(|_| KeyError::None);
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if contains(bytes, b"ENCRYPTED PRIVATE KEY") => Err(KeyError::Encrypted),
        Err(pem::Error::NoItemsFound) => Err(KeyError::None),
        Err(error) => Err(KeyError::Broken(error.to_string())),
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Why bytes give no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// There is none.
    #[error("no key in it")]
    None,
    /// It needs a passphrase.
    #[error("it is encrypted")]
    Encrypted,
    /// It cannot be parsed.
    #[error("{0}")]
    Broken(String),
}

/// Whether the key in a file belongs to the first certificate.
pub(super) fn key_match(root: &Path, path: &str, chain: &[CertificateDer<'static>]) -> KeyMatch {
    let bytes = match bytes(&below(root, path)) {
        Ok(bytes) => bytes,
        Err(LoadError::Missing) => return KeyMatch::Missing(Text::new(format!("{path} does not exist"))),
        Err(error) => return KeyMatch::Unreadable(Text::new(format!("{path}: {error}"))),
    };
    match parse_key(&bytes) {
        Ok(key) => belongs(key, chain).unwrap_or_else(|why| KeyMatch::Unreadable(Text::new(format!("{path}: {why}")))),
        Err(KeyError::None) => KeyMatch::Missing(Text::new(format!("{path} holds no key"))),
        Err(error @ (KeyError::Encrypted | KeyError::Broken(_))) => {
            KeyMatch::Unreadable(Text::new(format!("{path}: {error}")))
        }
    }
}

/// Whether a key belongs to the first certificate; the error says why it cannot be told.
pub(super) fn belongs(key: PrivateKeyDer<'static>, chain: &[CertificateDer<'static>]) -> Result<KeyMatch, String> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    match CertifiedKey::new(chain.to_vec(), Arc::clone(&key)).keys_match() {
        Ok(()) => Ok(KeyMatch::Matches),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Ok(KeyMatch::Differs),
        Err(error) => Err(error.to_string()),
    }
}
