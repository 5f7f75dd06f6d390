//! Certificates in the configuration: their keys, and the long form of their probes and actions.

pub(crate) mod keys;
pub(crate) mod read;
pub(crate) mod write;

use std::time::Duration;

use ansai_model::domain::certificate::CertificateAction;

/// An issuer that looks at several names and waits for a record in the DNS takes its time.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(300);
/// Validators and reloads.
const DEPLOYMENT_TIMEOUT: Duration = Duration::from_secs(100);

/// How long an action may take.
pub(crate) fn timeout(action: &CertificateAction) -> Duration {
    match action {
        CertificateAction::Renew(_) | CertificateAction::Revoke(_) => RENEWAL_TIMEOUT,
        CertificateAction::Deploy(_) | CertificateAction::PutBack(_) => DEPLOYMENT_TIMEOUT,
    }
}
