//! The link between a host's agent and its controller: who is who ([`key`], [`authority`], [`certificate`]), one TLS stream
//! on which both are known ([`dial`], [`accept`]), and messages on it ([`frames`]). How a host comes by its certificate is
//! [`joining`], how a configuration is signed for it [`bundle`]. People and programs come by [`https`].
//!
//! It keeps no file, knows no store, and decides nothing: whether a certificate is still allowed, and what a message means,
//! is for who calls. It logs nothing: what goes wrong is [`Trouble`], in words with a suggestion.

pub mod accept;
pub mod address;
pub mod authority;
pub mod bundle;
pub mod certificate;
pub mod dial;
pub mod frames;
pub mod https;
pub mod joining;
pub mod key;
pub mod pause;
pub mod road;
mod trouble;
mod trust;

use std::sync::Arc;

use ansai_protocol::link::Fingerprint;
use rustls::crypto::CryptoProvider;
use sha2::{Digest, Sha256};

pub use trouble::{Trouble, Whose};

/// The one provider of cryptography; every setting names it, so that nobody's default counts.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Bytes by chance that nobody can guess.
///
/// # Errors
/// When the system gives none.
pub fn chance<const BYTES: usize>() -> Result<[u8; BYTES], Trouble> {
    let mut bytes = [0; BYTES];
    let filled = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| Trouble::Settings("the system gives no random bytes".into()))
}

/// The SHA-256 of bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(bytes).into())
}
