//! What the TLS library says, in words for people: its own are names of its code.

use rustls::{CertificateError, Error};

/// What went wrong on a connection.
#[must_use]
pub fn io_in_words(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.map_or_else(|| error.to_string(), in_words)
}

/// What went wrong with TLS.
#[must_use]
pub(in crate::linux) fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("its certificate is not accepted: {}", refusal_in_words(error)),
        Error::AlertReceived(alert) => format!("it refuses: {}", spelled(alert)),
        Error::InvalidMessage(_) => "its answer is no TLS".into(),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::PeerIncompatible(why) => format!("it speaks another kind of TLS: {}", spelled(why)),
        Error::PeerMisbehaved(why) => format!("it breaks the rules of TLS: {}", spelled(why)),
        other => other.to_string(),
    }
}

/// What is wrong with a certificate or its chain.
#[must_use]
pub(in crate::linux) fn refusal_in_words(error: &CertificateError) -> String {
    use CertificateError as E;
    let words = match error {
        E::UnknownIssuer => "its chain leads to no trusted authority",
        E::BadEncoding => "a certificate of its chain is damaged, or of a form that is not understood here",
        E::Expired | E::ExpiredContext { .. } => "it, or a certificate of its chain, has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it, or a certificate of its chain, is not valid yet",
        E::BadSignature => {
            "a signature of its chain is wrong: who signed has another key than the certificate of that name"
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "it, or an authority of its chain, is not for servers",
        E::UnhandledCriticalExtension => "it has a critical extension that is not understood here",
        E::NotValidForName => "it is for another name",
        // With the names.
        E::NotValidForNameContext { .. } => return error.to_string(),
        E::Other(other) => return of_its_library(&other.to_string()),
        other => return spelled(other),
    };
    words.to_owned()
}

/// The certificate library has words of its own for what is rare.
fn of_its_library(name: &str) -> String {
    let words = match name.split(['(', ' ', '{']).next().unwrap_or_default() {
        "CaUsedAsEndEntity" => "it is the certificate of an authority, not of a server",
        "EndEntityUsedAsCa" => "it is signed by a certificate that is no authority's",
        "PathLenConstraintViolated" => "an authority of its chain may not have another one below it",
        "NameConstraintViolation" => "an authority of its chain may not sign for its names",
        "UnsupportedCertVersion" => "it, or a certificate of its chain, is of an old version of X.509",
        _ => return spelled(&name),
    };
    words.to_owned()
}

/// `HandshakeFailure(…)` as "handshake failure".
fn spelled(name: &impl std::fmt::Debug) -> String {
    let name = format!("{name:?}");
    let name = name.trim_matches('"').split(['(', ' ', '{']).next().unwrap_or_default();
    let mut words = String::new();
    for c in name.chars().take(80) {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::*;

    #[test]
    fn what_the_library_says_is_put_into_words() {
        let refused = Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert_eq!(in_words(&refused), "it refuses: handshake failure");
        assert_eq!(io_in_words(&std::io::Error::other(refused)), "it refuses: handshake failure");
        assert_eq!(
            in_words(&CertificateError::UnknownIssuer.into()),
            "its certificate is not accepted: its chain leads to no trusted authority"
        );
        assert_eq!(of_its_library("MaximumPathDepthExceeded"), "maximum path depth exceeded");
        assert_eq!(
            of_its_library("UnsupportedCertVersion"),
            "it, or a certificate of its chain, is of an old version of X.509"
        );
        assert_eq!(refusal_in_words(&CertificateError::Revoked), "revoked");
    }
}
