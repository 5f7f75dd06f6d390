//! Follows a chain to an authority that is trusted, and finds which of its certificates ends first. Names, and what an end
//! means, are judged elsewhere.

use std::time::Duration;

use ansai_model::{
    domain::certificate::{ChainState, NearerEnd, Trust},
    text::Text,
    time::{Shown, WallTime},
};
use rustls::{
    CertificateError, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::certificate::X509Certificate;

use super::seen::parse;
use crate::linux::tls;

/// What following a chain has shown.
pub(super) struct Followed {
    /// Whether it leads to an authority that is trusted.
    pub(super) state: ChainState,
    /// What of it ends before the server's own certificate, which is the first one.
    pub(super) nearer_end: Option<NearerEnd>,
}

/// Follows a chain as of a moment. That the server's own certificate has ended or has not begun is no fault of its chain.
pub(super) fn follow(chain: &[CertificateDer<'static>], trust: &Trust, now: WallTime) -> Followed {
    let by_name = |state| Followed { state, nearer_end: nearest_by_name(chain) };
    let Some((own, others)) = chain.split_first() else {
        return by_name(ChainState::Broken("there is no certificate".into()));
    };
    let roots = match trust {
        Trust::Nobody => return by_name(ChainState::NotAsked),
        Trust::Host => tls::roots(None),
        Trust::File(path) => tls::roots_of_file(path).map(std::sync::Arc::new),
    };
    let roots = match roots {
        Ok(roots) => roots,
        Err(error) => return by_name(ChainState::Unreadable(error.to_string().into())),
    };
    let at = within(own, now);
    match verify(own, others, &roots, at) {
        Ok(()) => Followed { state: ChainState::Trusted, nearer_end: nearest_needed(own, others, &roots, at) },
        // What is an authority of its own vouches for itself, also where it is shown by a server.
        Err(_) if out_of_order(chain).is_none() && is_among(own, &roots) => {
            Followed { state: ChainState::Trusted, nearer_end: None }
        }
        Err(error) => by_name(broken(&error, chain, now)),
    }
}

fn verify(
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'static>],
    roots: &RootCertStore,
    at: u64,
) -> Result<(), rustls::Error> {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let own = ParsedCertificate::try_from(own)?;
    verify_server_cert_signed_by_trust_anchor(&own, roots, others, at, algorithms)
}

/// The nearest second to now at which the certificate itself is valid: that it has ended is said once, not twice.
fn within(own: &CertificateDer<'_>, now: WallTime) -> u64 {
    let now = now.0.div_euclid(1000);
    let seconds = parse(own)
        .map_or(now, |own| now.min(own.validity().not_after.timestamp()).max(own.validity().not_before.timestamp()));
    u64::try_from(seconds).unwrap_or(0)
}

fn is_among(own: &CertificateDer<'static>, roots: &RootCertStore) -> bool {
    let mut alone = RootCertStore::empty();
    alone.add(own.clone()).is_ok() && alone.roots.iter().all(|root| roots.roots.contains(root))
}

fn end(certificate: &X509Certificate<'_>) -> i64 {
    certificate.validity().not_after.timestamp()
}

fn nearer_end(certificate: &X509Certificate<'_>) -> NearerEnd {
    let subject = Text::new(certificate.subject().to_string());
    NearerEnd { subject, not_after: WallTime(end(certificate).saturating_mul(1000)) }
}

/// The certificate with whose end a chain that is trusted now ceases to be: one that another path goes around does not count.
fn nearest_needed(
    own: &CertificateDer<'static>,
    others: &[CertificateDer<'static>],
    roots: &RootCertStore,
    at: u64,
) -> Option<NearerEnd> {
    let last = end(&parse(own).ok()?);
    let mut ending: Vec<X509Certificate<'_>> = others.iter().filter_map(|other| parse(other).ok()).collect();
    ending.retain(|other| end(other) < last && u64::try_from(end(other)).is_ok_and(|end| end >= at));
    ending.sort_by_key(end);
    let is_needed = |other: &&X509Certificate<'_>| {
        let after = u64::try_from(end(other)).map_or(0, |end| end.saturating_add(1));
        verify(own, others, roots, after).is_err()
    };
    ending.iter().find(is_needed).map(nearer_end)
}

/// The nearest end on the way from issuer to issuer by their names, where nobody says whose word is taken. The topmost of
/// several counts for nothing: it may be cross-signed, and its clients trust the key in it by another certificate.
fn nearest_by_name(chain: &[CertificateDer<'static>]) -> Option<NearerEnd> {
    let parsed: Vec<X509Certificate<'_>> = chain.iter().filter_map(|der| parse(der).ok()).collect();
    let own = parsed.first()?;
    let mut way: Vec<&X509Certificate<'_>> = vec![own];
    while let Some(below) = way.last()
        && way.len() < parsed.len()
        && below.issuer() != below.subject()
    {
        let signers = parsed.iter().filter(|other| other.subject() == below.issuer());
        // Of two with one name and one key, clients take the one that is still good.
        let Some(signer) = signers.max_by_key(|signer| end(signer)) else { break };
        way.push(signer);
    }
    let mut signers: Vec<&X509Certificate<'_>> =
        way.into_iter().skip(1).filter(|signer| signer.issuer() != signer.subject()).collect();
    if signers.len() > 1 {
        signers.pop();
    }
    let nearest = signers.into_iter().min_by_key(|signer| end(signer))?;
    (end(nearest) < end(own)).then(|| nearer_end(nearest))
}

fn broken(error: &rustls::Error, chain: &[CertificateDer<'static>], now: WallTime) -> ChainState {
    if let Some(why) = out_of_order(chain) {
        return ChainState::Broken(Text::new(why));
    }
    let rustls::Error::InvalidCertificate(invalid) = error else {
        return ChainState::Broken(Text::new(tls::in_words(error)));
    };
    let words = match invalid {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => return ChainState::NotYet,
        CertificateError::UnknownIssuer if chain.len() == 1 => {
            "it stands alone, and no trusted authority signed it itself; is its chain missing?".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let ended = nearest_by_name(chain).filter(|nearer| nearer.not_after <= now);
            ended.map_or_else(
                || "a certificate of its chain has expired".to_owned(),
                |nearer| format!("{} of its chain expired {} ago", nearer.subject, Shown(now.since(nearer.not_after))),
            )
        }
        other => tls::refusal_in_words(other),
    };
    ChainState::Broken(Text::new(words))
}

/// A server shows its own certificate first; where an authority's stands there and the own one behind it, in words.
fn out_of_order(chain: &[CertificateDer<'static>]) -> Option<String> {
    let parsed: Vec<X509Certificate<'_>> = chain.iter().filter_map(|der| parse(der).ok()).collect();
    let (first, others) = parsed.split_first().filter(|(first, _)| first.is_ca())?;
    let place = others.iter().position(|other| !other.is_ca())?;
    Some(format!(
        "its certificates stand in the wrong order: the first is the authority's ({}), and that of the server ({}) is number {}, where it has to be the first",
        first.subject(),
        others[place].subject(),
        place + 2,
    ))
}
