//! The certificate domain's values: how a certificate is looked at, what a look means, and what is done about it.
//!
//! Reading files, shaking hands and asking an issuer is `host::linux::domain::certificate`'s work. [`judge`] has no clock: the
//! time is an argument, so that tests and replays see tomorrow.

mod action;
mod endpoint;
mod judge;

pub use action::{
    AcmeIssuer, CertificateAction, Deployment, KeyPlace, Pair, Place, PutBack, Renewal, RenewalReason, Renewer,
    Replacement, Revocation, Solver,
};
pub use endpoint::{Endpoint, EndpointError, EndpointProtocol};
pub use judge::{
    Aspect, CertificateSeen, ChainState, Expectation, KeyMatch, NearerEnd, Sameness, Strength, covers, judge,
};

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    condition::ValueType,
    domain::{Domain, Look, Signs},
    observation::Observation,
};

/// The domain. Its targets are certificates, each by its name in the configuration.
pub const DOMAIN: Domain = Domain {
    key: "certificate",
    has_targets: true,
    figures: FIGURES,
    is_down: false,
    by_hand: BY_HAND,
    signs: Signs::NONE,
};
const BY_HAND: &[&str] = &["ansai certificate list {}"];

const DAY: Duration = Duration::from_secs(86_400);

/// How long before its end a certificate should be renewed, when nothing else is declared.
pub const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// Most bytes of a certificate or key file that are read.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Most certificates of one file or handshake that are looked at.
pub const CHAIN_MAX: usize = 16;

/// One way of looking at a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateProbe {
    /// A file: PEM or DER, alone, with its chain, or with its key.
    File(FileProbe),
    /// What a server shows in a handshake.
    Served(ServedProbe),
}

/// A look at a certificate in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileProbe {
    /// Absolute path.
    pub path: String,
    /// Where its key is.
    pub key: KeyPlace,
    /// What it must be.
    pub expect: Expectation,
    /// Another file that must hold the same certificate: this one is a copy of it.
    pub same_as: Option<String>,
}

/// A look at a certificate in a handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedProbe {
    /// Who is asked.
    pub endpoint: Endpoint,
    /// What it must be.
    pub expect: Expectation,
    /// The file that must hold the same certificate; otherwise the server has not read its renewed one.
    pub same_as: Option<String>,
}

/// Whose word a chain must lead to.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// One of the authorities that the host trusts.
    #[default]
    Host,
    /// One of the authorities in this file (PEM).
    File(String),
    /// Nobody's: for self-signed certificates.
    Nobody,
}

/// What a look reports; the last two only of what is told in steps.
const FIGURES: &[(&str, ValueType)] = &[
    ("certificate.expires_in", ValueType::Duration),
    ("certificate.is_due", ValueType::Bool),
    ("certificate.is_stale", ValueType::Bool),
    ("certificate.lifetime", ValueType::Duration),
    (Observation::IS_LAST_STEP, ValueType::Bool),
    (Observation::STEP, ValueType::Number),
];

impl Look for CertificateProbe {
    /// The kind, in one word, as in the configuration.
    fn kind(&self) -> &'static str {
        "certificate"
    }

    /// The figures that it reports, as conditions name them behind `figure.`.
    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        let (Self::File(FileProbe { expect, .. }) | Self::Served(ServedProbe { expect, .. })) = self;
        if expect.is_of_everything() { &FIGURES[..4] } else { FIGURES }
    }
}

impl CertificateProbe {
    /// What is looked at, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::File(file) => file.path.clone(),
            Self::Served(served) => format!("{}", served.endpoint),
        }
    }
}

/// Whether a text can name a declared certificate: a name becomes a folder of the state directory, so it must not lead
/// anywhere else.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(is_fine)
}

/// Where the key of a certificate file lies by custom, the likeliest first.
#[must_use]
pub fn keys_beside(certificate: &str) -> Vec<String> {
    let (folder, name) = certificate.rsplit_once('/').unwrap_or(("", certificate));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let in_folder = |name: &str| format!("{folder}/{name}");
    match stem {
        // What certbot and the ACME clients after it write.
        "fullchain" | "cert" | "chain" => ["privkey.pem", "key.pem"].map(in_folder).into(),
        stem => {
            let mut places = Vec::from([in_folder(&format!("{stem}.key"))]);
            if let Some(parent) = folder.strip_suffix("/certs") {
                // What Debian's ssl-cert does.
                places.push(format!("{parent}/private/{stem}.key"));
            }
            places.extend([in_folder(&format!("{stem}-key.pem")), in_folder(&format!("{stem}.key.pem"))]);
            places
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_looked_for_where_they_are_kept() {
        assert_eq!(keys_beside("/etc/nginx/ssl/api.pem")[0], "/etc/nginx/ssl/api.key");
        assert_eq!(keys_beside("/etc/letsencrypt/live/a/fullchain.pem")[0], "/etc/letsencrypt/live/a/privkey.pem");
        assert!(
            keys_beside("/etc/ssl/certs/ssl-cert-snakeoil.pem")
                .contains(&String::from("/etc/ssl/private/ssl-cert-snakeoil.key"))
        );
    }
}
