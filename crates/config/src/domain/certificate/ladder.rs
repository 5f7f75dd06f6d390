//! The ladder of a certificate. What is renewed already is only taken over: put in place, or read anew by who serves it.
//! What is due is renewed, put in place and verified on every declared server, and put back when that fails.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use ansai_model::{
    action::{AS_DECLARED, Action},
    bundle::Request,
    condition::Condition,
    domain::certificate::{
        CertificateAction, Deployment, KeyPlace, Pair, Place, PutBack, Renewal, RenewalReason, Renewer, Replacement,
    },
    id::RungId,
    runbook::{Entry, OnFailure, Rung, Step, Then},
};

use super::{Certificate, timeout};
use crate::slice::LOCAL_TIMEOUT;

static STALE: LazyLock<Condition> = LazyLock::new(|| condition("figure.certificate.is_stale == true"));
static DUE: LazyLock<Condition> = LazyLock::new(|| condition("figure.certificate.is_due == true"));
/// How often an issuer is asked before a person is: with the policy's back-off that is about a day.
const RENEWALS_MAX: u32 = 7;
/// Longer than an issuer is left alone after a first failure.
const RENEWAL_WAIT: Duration = Duration::from_secs(360);

fn condition(text: &str) -> Condition {
    ansai_condition::parse(text).expect("a condition on a figure")
}

pub(super) fn rungs(certificate: &Certificate) -> Vec<Rung> {
    let Some(source) = &certificate.source else { return Vec::new() };
    let deploy = CertificateAction::Deploy(deployment(certificate, source));
    let (stale, due) = (Some(STALE.clone()), Some(DUE.clone()));
    let mut rungs = Vec::new();
    if !certificate.copies.is_empty() {
        let steps = vec![act(deploy.clone())];
        rungs.extend(rung("deploy", steps, 1, put_back(certificate)).map(|rung| Rung { when: stale.clone(), ..rung }));
    }
    if !certificate.units.is_empty() {
        let steps = reload(certificate);
        rungs.extend(rung("reload", steps, 1, Vec::new()).map(|rung| Rung { when: stale, ..rung }));
    }
    if let Some(renew) = renewal(certificate, source).map(CertificateAction::Renew) {
        rungs.extend(renewed(due, renew, deploy, &put_back(certificate)));
    }
    rungs
}

fn act(action: CertificateAction) -> Step {
    Step::Act { timeout: timeout(&action), action: action.into() }
}

fn rung(name: &str, steps: Vec<Step>, attempts_max: u32, undo: Vec<Action>) -> Option<Rung> {
    let (entry, then, on_failure) = (Entry::InOrder, Then::Verify, OnFailure::NextRung);
    Some(Rung { id: RungId::new(name).ok()?, when: None, entry, steps, then, on_failure, attempts_max, undo })
}

/// An issuer that gives none is asked again, later and later. A new certificate that does not work where it is used is put
/// back and a person asked at once: another one from the same issuer would not work either.
fn renewed(
    due: Option<Condition>,
    renew: CertificateAction,
    deploy: CertificateAction,
    undo: &[Action],
) -> impl Iterator<Item = Rung> {
    let later = RungId::new("renew-later").ok();
    let first = rung("renew", vec![act(renew.clone())], 1, Vec::new()).zip(later).map(|(rung, later)| Rung {
        when: due,
        then: Then::Continue,
        on_failure: OnFailure::Rung(later),
        ..rung
    });
    let taken_over = rung("take-over", vec![act(deploy.clone())], 1, undo.to_vec());
    let taken_over = taken_over.map(|rung| Rung { on_failure: OnFailure::Escalate, ..rung });
    let steps = vec![Step::Wait(RENEWAL_WAIT), act(renew), act(deploy)];
    let later = rung("renew-later", steps, RENEWALS_MAX, undo.to_vec()).map(|rung| Rung {
        entry: Entry::OnlyByName,
        on_failure: OnFailure::Escalate,
        ..rung
    });
    first.into_iter().chain(taken_over).chain(later)
}

fn put_back(certificate: &Certificate) -> Vec<Action> {
    let (name, units) = (certificate.name.clone(), certificate.units.clone());
    vec![CertificateAction::PutBack(PutBack { name, units }).into()]
}

fn reload(certificate: &Certificate) -> Vec<Step> {
    let validate = certificate.validators.iter().map(|command| Action::Validate { command: Box::new(command.clone()) });
    let validate = validate.map(|action| Step::Act { action, timeout: LOCAL_TIMEOUT });
    let reload = certificate.units.iter().map(|unit| Action::ReloadUnit { unit: unit.clone() });
    validate.chain(reload.map(|action| Step::Act { action, timeout: AS_DECLARED })).collect()
}

fn deployment(certificate: &Certificate, source: &Place) -> Deployment {
    Deployment {
        name: certificate.name.clone(),
        source: source.clone(),
        copies: certificate.copies.clone(),
        validators: certificate.validators.clone(),
        units: certificate.units.clone(),
    }
}

/// What an operator may ask for: a new one everywhere, and the present one revoked besides.
pub(super) fn requests(certificate: &Certificate) -> BTreeMap<String, Request> {
    let Some(source) = &certificate.source else { return BTreeMap::new() };
    let Some(renewal) = renewal(certificate, source) else { return BTreeMap::new() };
    let renewal = Renewal { reason: RenewalReason::Asked, ..renewal };
    let request = |name: &str, revokes| {
        let (deployment, endpoints) = (deployment(certificate, source), certificate.endpoints.clone());
        let replacement = Replacement { renewal: renewal.clone(), deployment, endpoints, revokes };
        let action = CertificateAction::Replace(Box::new(replacement));
        let request = Request { timeout: timeout(&action), action: action.into() };
        (name.to_owned(), request)
    };
    let revoke = match certificate.renewer.as_deref() {
        // Only the issuer can revoke it, and a command does not say who that is.
        Some(Renewer::Exec(_)) | None => None,
        Some(Renewer::Certbot { .. } | Renewer::Acme(_)) => Some(request("revoke", true)),
    };
    std::iter::once(request("renew", false)).chain(revoke).collect()
}

fn renewal(certificate: &Certificate, source: &Place) -> Option<Renewal> {
    let key = match &source.key {
        KeyPlace::Apart(path) => Some(path.clone()),
        KeyPlace::Inside | KeyPlace::Nowhere => None,
    };
    Some(Renewal {
        name: certificate.name.clone(),
        current: Pair { certificate: source.certificate.clone(), key },
        expect: certificate.expect.clone(),
        by: certificate.renewer.as_deref()?.clone(),
        reason: RenewalReason::Due,
    })
}
