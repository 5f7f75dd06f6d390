//! Asks an ACME issuer (RFC 8555): an account whose key stays in the state directory, an order, the proof that the names
//! are ours, and a certificate for a new key. The protocol is `instant-acme`'s.

use std::{path::Path, time::Duration};

use ansai_model::{
    domain::certificate::{AcmeIssuer, Solver},
    time::Shown,
};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use sha2::Digest;

use super::{
    http::Client,
    read,
    solver::{Proof, Proofs},
    store,
};
use crate::linux::LinuxHost;

/// Most names of one certificate; what Let's Encrypt takes.
const NAMES_MAX: usize = 100;

/// A new certificate for these names with its chain, and its new key, both PEM.
pub(super) async fn order(
    host: &LinuxHost,
    issuer: &AcmeIssuer,
    names: &[String],
    timeout: Duration,
) -> Result<(String, String), String> {
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(format!("an order is for 1 to {NAMES_MAX} names, and these are {}", names.len()));
    }
    let state_dir = &host.inner.options.state_dir;
    match tokio::time::timeout(timeout, Box::pin(ordered(host, state_dir, issuer, names))).await {
        Ok(ordered) => ordered,
        Err(_) => Err(format!("{} gave no certificate within {}", issuer.directory, Shown(timeout))),
    }
}

async fn ordered(
    host: &LinuxHost,
    state_dir: &Path,
    issuer: &AcmeIssuer,
    names: &[String],
) -> Result<(String, String), String> {
    let account = account(state_dir, issuer).await?;
    let identifiers: Vec<Identifier> = names.iter().map(|name| identifier(name)).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| words(issuer, &error))?;
    let proofs = proofs(issuer, &mut order).await?;
    if !proofs.is_empty() {
        prove(host, issuer, &mut order, proofs).await?;
    }
    let key = KeyPair::generate().map_err(|error| format!("no key could be made: {error}"))?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(|error| error.to_string())?;
    order.finalize_csr(request.der()).await.map_err(|error| words(issuer, &error))?;
    let chain = order.poll_certificate(&patience()).await.map_err(|error| words(issuer, &error))?;
    Ok((chain, key.serialize_pem()))
}

fn identifier(name: &str) -> Identifier {
    name.parse().map_or_else(|_| Identifier::Dns(name.to_owned()), Identifier::Ip)
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(240))
}

fn words(issuer: &AcmeIssuer, error: &instant_acme::Error) -> String {
    let mut text = format!("{}: {error}", issuer.directory);
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// What must be shown, for each name that is not known to be ours yet.
async fn proofs(issuer: &AcmeIssuer, order: &mut Order) -> Result<Vec<Proof>, String> {
    let kind = challenge_type(&issuer.solver);
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words(issuer, &error))?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                return Err(format!("{}: the authorization is {:?}", issuer.directory, authorization.status));
            }
        }
        let name = authorization.identifier().to_string();
        let Some(challenge) = authorization.challenge(kind.clone()) else {
            return Err(format!("{} does not take this kind of proof for {name}", issuer.directory));
        };
        let answer = challenge.key_authorization();
        proofs.push(Proof {
            name: name.strip_prefix("*.").unwrap_or(&name).to_owned(),
            token: challenge.token.clone(),
            answer: answer.as_str().to_owned(),
            record: answer.dns_value(),
        });
    }
    Ok(proofs)
}

fn challenge_type(solver: &Solver) -> ChallengeType {
    match solver {
        Solver::Webroot { .. } | Solver::Listen { .. } => ChallengeType::Http01,
        Solver::Hook { .. } => ChallengeType::Dns01,
    }
}

/// Shows the proofs for as long as the issuer looks, and takes them away again.
async fn prove(host: &LinuxHost, issuer: &AcmeIssuer, order: &mut Order, proofs: Vec<Proof>) -> Result<(), String> {
    let proofs = Proofs::show(&host.inner.redactor, &issuer.solver, proofs).await?;
    let proven = proofs.while_shown(validated(issuer, order)).await;
    let taken_away = proofs.take_away().await;
    proven?;
    if let Err(why) = taken_away {
        // The certificate is not in danger by what is left, and a person should know of it.
        tracing::warn!(why, "a proof for an ACME issuer could not be taken away");
    }
    Ok(())
}

async fn validated(issuer: &AcmeIssuer, order: &mut Order) -> Result<(), String> {
    let kind = challenge_type(&issuer.solver);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words(issuer, &error))?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(kind.clone()) {
            challenge.set_ready().await.map_err(|error| words(issuer, &error))?;
        }
    }
    match order.poll_ready(&patience()).await.map_err(|error| words(issuer, &error))? {
        OrderStatus::Ready | OrderStatus::Valid => Ok(()),
        status => Err(format!("{}: the order is {status:?}{}", issuer.directory, refusals(order).await)),
    }
}

/// What the issuer says of each name that it did not take.
async fn refusals(order: &mut Order) -> String {
    let mut text = String::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        for problem in state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            text.push_str(&format!("; {problem}"));
        }
    }
    text
}

/// Has a certificate revoked, as one whose key may be known to others.
pub(super) async fn revoke(
    host: &LinuxHost,
    issuer: &AcmeIssuer,
    chain: &[CertificateDer<'static>],
    timeout: Duration,
) -> Result<(), String> {
    let certificate = chain.first().ok_or("there is no certificate")?;
    let request = RevocationRequest { certificate, reason: Some(RevocationReason::KeyCompromise) };
    let asked = async {
        let account = account(&host.inner.options.state_dir, issuer).await?;
        account.revoke(&request).await.map_err(|error| words(issuer, &error))
    };
    match tokio::time::timeout(timeout, Box::pin(asked)).await {
        Ok(revoked) => revoked,
        Err(_) => Err(format!("{} did not answer within {}", issuer.directory, Shown(timeout))),
    }
}

/// The account at an issuer; made, and its key kept, when there is none.
async fn account(state_dir: &Path, issuer: &AcmeIssuer) -> Result<Account, String> {
    let folder = state_dir.join("certificates").join(".accounts");
    let digest = sha2::Sha256::digest(issuer.directory.as_bytes());
    let name: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(format!("{name}.json"));
    let client = || Client::new(&issuer.trust).map(|client| Account::builder_with_http(Box::new(client)));
    match read::bytes(&path) {
        Ok(bytes) => {
            let kept: AccountCredentials =
                serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            return client()?.from_credentials(kept).await.map_err(|error| words(issuer, &error));
        }
        Err(read::LoadError::Missing) => {}
        Err(error) => return Err(format!("{}: {error}", path.display())),
    }
    let contacts: Vec<String> = issuer.contacts.iter().map(|contact| format!("mailto:{contact}")).collect();
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
    let made = client()?.create(&new, issuer.directory.clone(), None).await;
    let (account, credentials) = made.map_err(|error| words(issuer, &error))?;
    store::private_dir(&folder)?;
    let bytes = serde_json::to_vec(&credentials).map_err(|error| error.to_string())?;
    store::write_private(&path, &bytes)?;
    Ok(account)
}
