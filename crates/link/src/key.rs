//! A key pair: of a host, of a controller, of a CA. P-256, made here and written as PKCS#8. It never leaves who made it: what
//! goes out is a request that it has signed.

use std::fmt;

use ansai_protocol::link::{Fingerprint, Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{Trouble, digest, trouble::settings};

/// A key pair. It is not printed.
pub struct Key(pub(crate) KeyPair);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.fingerprint().short())
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, Trouble> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(settings)
    }

    /// One that was written down.
    ///
    /// # Errors
    /// When it is no P-256 key in PKCS#8. The error holds nothing of the text.
    pub fn from_pem(pem: &str) -> Result<Self, Trouble> {
        let refused = || Trouble::Settings("this is no P-256 key (PKCS#8, PEM)".into());
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256).map(Self).map_err(|_| refused())
    }

    /// To be written where only its owner reads it.
    #[must_use]
    pub fn expose_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The digest of its public half.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        digest(&self.0.subject_public_key_info())
    }

    /// A request for a certificate. It says nothing but the key: who the host is says the controller.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn request(&self) -> Result<Request, Trouble> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(settings)?;
        Request::new(STANDARD.encode(request.der())).ok_or_else(|| Trouble::Settings("the request is too long".into()))
    }

    /// As TLS wants it.
    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_never_printed() {
        let key = Key::generate().unwrap();
        let pem = key.expose_pem();
        assert_eq!(Key::from_pem(&pem).unwrap().fingerprint(), key.fingerprint());
        let middle = pem.lines().nth(1).unwrap();
        assert!(!format!("{key:?}").contains(middle));
        let wrong = Key::from_pem(&pem.replace(middle, "AAAA")).unwrap_err().to_string();
        assert!(!wrong.contains("AAAA"), "{wrong}");
    }
}
