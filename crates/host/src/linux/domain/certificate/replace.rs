//! A certificate replaced everywhere because an operator asks: renewed, put in place, seen on every declared server, and
//! put back when one does not show it. The one before is revoked only when the new one is shown everywhere.

use std::time::{Duration, Instant};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::certificate::{Endpoint, PutBack, Replacement, Revocation},
    text::Text,
    time::Shown,
};
use rustls::pki_types::CertificateDer;

use super::{deploy, handshake, key_kind::KeyKind, read, renew};
use crate::linux::LinuxHost;

/// How long the servers have to show the new one; a quarter of the action's time when that is shorter.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
const ASKED_EVERY: Duration = Duration::from_millis(500);
const ASKED_FOR: Duration = Duration::from_secs(5);

/// Replaces a certificate.
pub(super) async fn replace(host: &LinuxHost, replacement: &Replacement, run: &ActionRun) -> ActionOutcome {
    let begun = Instant::now();
    // The half of the time is the issuer's: what is left must do to put everything back.
    let within =
        |share: u32| ActionRun { timeout: (run.timeout / share).saturating_sub(begun.elapsed()), ..run.clone() };
    let renewed = match renew::renew(host, &replacement.renewal, &within(2)).await {
        ActionOutcome::Succeeded { note } => note,
        other => return other,
    };
    let deployed = match deploy::deploy(host, &replacement.deployment, &within(1)).await {
        ActionOutcome::Succeeded { note } => note,
        ActionOutcome::NotNeeded { why } => why,
        other => return other,
    };
    if let Err(why) = shown_everywhere(host, replacement, SHOWN_WITHIN.min(run.timeout / 4)).await {
        let what = PutBack { name: replacement.renewal.name.clone(), units: replacement.deployment.units.clone() };
        let back = deploy::put_back(host, &what, &within(1)).await;
        return ActionOutcome::Failed { why: Text::new(format!("{why}; the earlier certificate: {back}")) };
    }
    let mut note = format!("{renewed}; {deployed}; shown by {} servers", replacement.endpoints.len());
    if replacement.revokes {
        let revocation = Revocation { name: replacement.renewal.name.clone(), by: replacement.renewal.by.clone() };
        match renew::revoke(host, &revocation, &within(1)).await {
            ActionOutcome::Succeeded { note: revoked } => note.push_str(&format!("; {revoked}")),
            other => {
                let why = format!("{note}; but the one before is NOT revoked, {other}");
                return ActionOutcome::Failed { why: Text::new(why) };
            }
        }
    }
    ActionOutcome::Succeeded { note: Text::new(note) }
}

/// Whether every server shows what is in the declared file, within its time.
async fn shown_everywhere(host: &LinuxHost, replacement: &Replacement, within: Duration) -> Result<(), String> {
    let path = &replacement.deployment.source.certificate;
    let new = read::certificates(&host.inner.options.root, path).map_err(|error| format!("{path}: {error}"))?;
    let begun = Instant::now();
    for endpoint in &replacement.endpoints {
        loop {
            let Err(why) = shows(endpoint, &new).await else { break };
            if begun.elapsed() >= within {
                return Err(format!("{endpoint} {why}, {} after it was reloaded", Shown(within)));
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }
    Ok(())
}

async fn shows(endpoint: &Endpoint, new: &[CertificateDer<'static>]) -> Result<(), String> {
    match handshake::shake_for(endpoint, KeyKind::of(new), ASKED_FOR).await {
        Ok(chain) if chain.first() == new.first() => Ok(()),
        Ok(_) => Err("still shows another certificate".into()),
        Err(error) => Err(format!("cannot be asked ({error})")),
    }
}

/// What a replacement would do.
pub(super) fn plan(host: &LinuxHost, replacement: &Replacement) -> Result<Vec<String>, String> {
    let mut steps = renew::plan(host, &replacement.renewal)?;
    let deployment = &replacement.deployment;
    let places = std::iter::once(&deployment.source).chain(&deployment.copies);
    steps.extend(places.map(|place| format!("put the new one into {}, keeping what is there", place.certificate)));
    steps.extend(deployment.validators.iter().map(|line| format!("run `{}`", line.shown())));
    steps.extend(deployment.units.iter().map(|unit| format!("reload {unit}, when it runs")));
    steps.extend(
        replacement.endpoints.iter().map(|endpoint| format!("see it on {endpoint}, or put the earlier one back")),
    );
    if replacement.revokes {
        steps.push(format!("have the one before revoked by {}", replacement.renewal.by.shown()));
    }
    Ok(steps)
}
