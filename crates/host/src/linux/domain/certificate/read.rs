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
        pem::{Error::NoItemsFound, PemObject},
    },
    sign::CertifiedKey,
};

use super::pem;

/// Why a file gives no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// It does not exist.
    #[error("it does not exist")]
    Missing,
    /// It exists, but cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It holds nothing at all.
    #[error("it is empty")]
    Empty,
    /// It was read, and no certificate was found in it: others may read it otherwise.
    #[error("no certificate was found in it: {0}")]
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
    parse(&bytes(&below(root, path))?)
}

/// The certificates in the bytes of a file, as for [`certificates`].
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    if is_blank(bytes) {
        return Err(LoadError::Empty);
    }
    if !pem::is_framed(bytes) {
        let alone = pem::first(bytes).map(|certificate| vec![certificate]);
        return alone.ok_or_else(|| LoadError::NoCertificate("neither PEM nor DER".into()));
    }
    match pem::ders(bytes, CHAIN_MAX) {
        Ok(chain) if chain.is_empty() => Err(LoadError::NoCertificate("PEM of another kind".into())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(LoadError::NoCertificate(format!("its PEM is damaged: {error}"))),
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.trim_ascii().is_empty()
}

/// The private key in the bytes of a file; the error says why there is none.
pub(super) fn parse_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, KeyError> {
    if is_blank(bytes) {
        return Err(KeyError::None);
    }
    if !pem::is_framed(bytes) {
        let other = |_| KeyError::Other("neither PEM nor DER".into());
        return PrivateKeyDer::try_from(bytes.to_vec()).map_err(other);
    }
    let keys = pem::keys(&pem::text(bytes));
    match PrivateKeyDer::from_pem_slice(keys.as_bytes()) {
        _ if keys.is_empty() => Err(KeyError::None),
        _ if ["ENCRYPTED PRIVATE KEY", "4,ENCRYPTED"].iter().any(|mark| keys.contains(mark)) => {
            Err(KeyError::Encrypted)
        }
        Ok(key) => Ok(key),
        Err(NoItemsFound) => Err(KeyError::Other("a key of another kind".into())),
        Err(error) => Err(KeyError::Other(error.to_string())),
    }
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
    /// It cannot be parsed here; others may be able to.
    #[error("{0}")]
    Other(String),
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
        Err(error @ (KeyError::Encrypted | KeyError::Other(_))) => {
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
