//! Certificates on Linux: looked at in files and in handshakes, renewed, put in place, put back and revoked.
//!
//! A look never changes the host. What is done is in files of their own; what it all means is
//! `ansai_model::domain::certificate`'s.

mod acme;
mod chain;
mod deploy;
mod dialog;
pub mod discover;
mod handshake;
mod history;
mod http;
mod kept;
mod key_kind;
mod listed;
pub(in crate::linux) mod pem;
mod place;
pub mod pretend;
mod read;
mod renew;
mod replace;
mod seen;
mod solver;
mod store;

use std::{path::Path, time::Duration};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::certificate::{
        Aspect, CertificateAction, CertificateProbe, Expectation, FileProbe, KeyMatch, KeyPlace, Sameness, ServedProbe,
        judge,
    },
    incident::{Evidence, EvidenceKind},
    observation::{Health, Observation},
    text::Text,
    time::WallTime,
};
use rustls::pki_types::CertificateDer;

use crate::linux::{
    LinuxHost,
    act::Planned,
    aside::{self, Kind, Work},
    clock::wall_now,
    probe::{self, Context},
};
use handshake::HandshakeError;
use key_kind::KeyKind;
use read::LoadError;

/// Observes once, within `timeout`.
pub(super) async fn observe(context: &Context, probe: &CertificateProbe, timeout: Duration) -> Observation {
    let root = context.root.clone();
    match probe {
        CertificateProbe::File(file) => {
            let file = file.clone();
            let work = Work::new(Kind::Look, &file.path).on_what_it_names(&file);
            probe::seen(aside::run(work, timeout, move || observe_file(&root, &file, wall_now())).await)
        }
        CertificateProbe::Served(served) => observe_served(&root, served, timeout).await,
    }
}

/// Observes at a file as of a moment.
fn observe_file(root: &Path, probe: &FileProbe, now: WallTime) -> Observation {
    let loaded = match read::certificates(root, &probe.path) {
        Ok(chain) => chain,
        // A certificate that is declared and is not there is due: the first one is issued like any other.
        Err(LoadError::Missing) => return absent(root, probe, now, "does not exist"),
        Err(LoadError::Empty) => return absent(root, probe, now, "is empty"),
        Err(LoadError::Unreadable(why)) => {
            return Observation::unknown(format!("{} cannot be read: {why}", probe.path));
        }
        // Its server may well read what we do not.
        Err(LoadError::NoCertificate(why)) => {
            return Observation::unknown(format!("{} holds no certificate that is understood here: {why}", probe.path));
        }
    };
    let key = match (&probe.expect.aspect, &probe.key) {
        (Aspect::EndInSteps(_), _) | (_, KeyPlace::Nowhere) => KeyMatch::NotAsked,
        (Aspect::Everything, KeyPlace::Apart(path)) => read::key_match(root, path, &loaded),
        (Aspect::Everything, KeyPlace::Inside) => read::key_match(root, &probe.path, &loaded),
    };
    judged(root, &probe.path, &probe.expect, &loaded, key, probe.same_as.as_deref(), now)
}

/// A copy that is missing is stale while what it is a copy of is good; anything else that is missing is due.
fn absent(root: &Path, probe: &FileProbe, now: WallTime, why: &str) -> Observation {
    let source = probe.same_as.as_ref().and_then(|file| read::certificates(root, file).ok());
    missing(&probe.path, why, source.is_some_and(|chain| !is_due(&chain, &probe.expect, now)))
}

fn missing(path: &str, why: &str, is_stale: bool) -> Observation {
    use ansai_model::condition::Value;
    Observation::failing(format!("{path} {why}"))
        .with_figure("certificate.expires_in", Value::Duration(Duration::ZERO))
        .with_figure("certificate.lifetime", Value::Duration(Duration::ZERO))
        .with_figure("certificate.is_due", Value::Bool(!is_stale))
        .with_figure("certificate.is_stale", Value::Bool(is_stale))
}

/// Whether a certificate would be called failing if it stood alone.
fn is_due(chain: &[CertificateDer<'static>], expect: &Expectation, now: WallTime) -> bool {
    let seen = seen::seen(chain, expect, now, KeyMatch::NotAsked, Sameness::NotAsked);
    seen.is_ok_and(|seen| judge("", expect, &seen, now).health() == Health::Failing)
}

/// The kind of key of the certificate that a server should show, when that is known: it may show others to others.
async fn kind_of_file(root: &Path, probe: &ServedProbe, timeout: Duration) -> Option<KeyKind> {
    let (root, file) = (root.to_owned(), probe.same_as.clone()?);
    let work = Work::new(Kind::Look, probe.endpoint.to_string()).on_what_it_names(probe);
    let reads = move || read::certificates(&root, &file).ok().and_then(|chain| KeyKind::of(&chain));
    aside::run(work, timeout, reads).await.ok().flatten()
}

async fn observe_served(root: &Path, probe: &ServedProbe, timeout: Duration) -> Observation {
    let endpoint = &probe.endpoint;
    let wanted = kind_of_file(root, probe, timeout).await;
    let chain = match handshake::shake_for(endpoint, wanted, timeout).await {
        Ok(chain) => chain,
        // A server that is down is its service's incident: no renewal would bring it back.
        Err(error @ (HandshakeError::Connect(_) | HandshakeError::TimedOut(_))) => {
            return Observation::unknown(format!("{endpoint}: {error}"));
        }
        Err(error @ (HandshakeError::Offer(_) | HandshakeError::Tls(_))) => {
            return Observation::failing(format!("{endpoint}: {error}"));
        }
    };
    let (root, place, probe) = (root.to_owned(), endpoint.to_string(), probe.clone());
    // What it is compared with lies in files.
    let work = Work::new(Kind::Look, &place).on_what_it_names(&probe);
    let judges =
        move || judged(&root, &place, &probe.expect, &chain, KeyMatch::NotAsked, probe.same_as.as_deref(), wall_now());
    probe::seen(aside::run(work, timeout, judges).await)
}

fn judged(
    root: &Path,
    place: &str,
    expect: &Expectation,
    chain: &[CertificateDer<'static>],
    key: KeyMatch,
    same_as: Option<&str>,
    now: WallTime,
) -> Observation {
    let sameness = match same_as {
        Some(file) if expect.is_of_everything() => sameness(root, file, chain, expect, now),
        Some(_) | None => Sameness::NotAsked,
    };
    match seen::seen(chain, expect, now, key, sameness) {
        Ok(seen) => judge(place, expect, &seen, now),
        Err(why) => Observation::unknown(format!("{place} is no certificate that is understood here: {why}")),
    }
}

fn sameness(
    root: &Path,
    file: &str,
    chain: &[CertificateDer<'static>],
    expect: &Expectation,
    now: WallTime,
) -> Sameness {
    match read::certificates(root, file) {
        Ok(other) if other.first() == chain.first() => Sameness::Same,
        Ok(other) => Sameness::Differs { file: file.into(), is_due: is_due(&other, expect, now) },
        Err(error) => Sameness::Unreadable(Text::new(format!("{file}: {error}"))),
    }
}

/// Does something about a certificate.
pub(super) async fn perform(host: &LinuxHost, action: &CertificateAction, run: &ActionRun) -> ActionOutcome {
    match action {
        CertificateAction::Renew(renewal) => Box::pin(renew::renew(host, renewal, run)).await,
        CertificateAction::Deploy(deployment) => Box::pin(deploy::deploy(host, deployment, run)).await,
        CertificateAction::PutBack(what) => Box::pin(deploy::put_back(host, what, run)).await,
        CertificateAction::Revoke(revocation) => Box::pin(renew::revoke(host, revocation, run)).await,
        CertificateAction::Replace(replacement) => Box::pin(replace::replace(host, replacement, run)).await,
    }
}

/// What an action would do besides what it says of itself, step by step, without doing it; the error is why it would be refused.
/// The files may belong to these users, besides root.
pub(super) fn plan(host: &LinuxHost, action: &CertificateAction, users: &[u32]) -> Planned {
    let steps = match action {
        CertificateAction::Renew(renewal) => renew::plan(host, renewal),
        CertificateAction::Deploy(deployment) => deploy::plan(host, deployment, users),
        CertificateAction::PutBack(what) => deploy::plan_put_back(host, what),
        CertificateAction::Revoke(_) => Ok(Vec::new()),
        CertificateAction::Replace(replacement) => replace::plan(host, replacement),
    };
    steps.map(|steps| steps.into_iter().map(Text::new).collect::<Vec<_>>().into()).map_err(Text::new)
}

/// The evidence of a certificate: whose it is, from when to when, for which names, and who signed it. The certificate
/// that it should be the same as stands beside it.
#[must_use]
pub(super) fn gather(root: &Path, probe: &CertificateProbe) -> Vec<Evidence> {
    let paths = match probe {
        CertificateProbe::File(file) => [Some(&file.path), file.same_as.as_ref()],
        CertificateProbe::Served(served) => [served.same_as.as_ref(), None],
    };
    let described = paths.into_iter().flatten().filter_map(|path| {
        let chain = read::certificates(root, path).ok()?;
        let text = seen::described(chain.first()?)?;
        Some(Evidence::new(path.as_str(), EvidenceKind::Unit, Text::new(text)))
    });
    described.collect()
}

#[cfg(test)]
mod tests;
