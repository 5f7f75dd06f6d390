//! The kinds of keys: a server can have a certificate of each for one name, and shows the one that its client can verify.

use rustls::{SignatureScheme, SupportedCipherSuite, crypto::CryptoProvider, pki_types::CertificateDer};

use super::seen;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// RSA, also restricted to PSS.
    Rsa,
    /// On an elliptic curve of NIST's.
    Ecdsa,
    /// Ed25519 and Ed448.
    Eddsa,
}

impl KeyKind {
    /// The kind of the first certificate of a chain, when it is known.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let own = seen::parse(chain.first()?).ok()?;
        match own.public_key().algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => Some(Self::Rsa),
            "1.2.840.10045.2.1" => Some(Self::Ecdsa),
            "1.3.101.112" | "1.3.101.113" => Some(Self::Eddsa),
            _ => None,
        }
    }

    /// Whether keys of this kind sign so.
    pub(super) fn signs(self, scheme: SignatureScheme) -> bool {
        use SignatureScheme as S;
        let kind = match scheme {
            S::RSA_PKCS1_SHA1
            | S::RSA_PKCS1_SHA256
            | S::RSA_PKCS1_SHA384
            | S::RSA_PKCS1_SHA512
            | S::RSA_PSS_SHA256
            | S::RSA_PSS_SHA384
            | S::RSA_PSS_SHA512 => Self::Rsa,
            S::ECDSA_SHA1_Legacy | S::ECDSA_NISTP256_SHA256 | S::ECDSA_NISTP384_SHA384 | S::ECDSA_NISTP521_SHA512 => {
                Self::Ecdsa
            }
            S::ED25519 | S::ED448 => Self::Eddsa,
            _ => return false,
        };
        kind == self
    }

    /// A client that can use keys of this kind only: TLS 1.2 chooses by the cipher suite as well.
    pub(super) fn limits(self, provider: &mut CryptoProvider) {
        provider.cipher_suites.retain(|suite| match suite {
            SupportedCipherSuite::Tls12(suite) => suite.sign.iter().any(|scheme| self.signs(*scheme)),
            SupportedCipherSuite::Tls13(_) => true,
        });
    }
}
