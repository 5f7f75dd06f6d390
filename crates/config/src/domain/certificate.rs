//! Certificates in the configuration: what stands under `certificates:`, the checks and the ladder that are deduced from it,
//! and the long form of the probe and the actions.

pub(crate) mod keys;
mod ladder;
pub(crate) mod read;

use std::{sync::LazyLock, time::Duration};

use ansai_document::{
    Findings, Node, place_of,
    text::{cut, joined},
};
use ansai_keys::{Kind, key};
use ansai_model::{
    bundle::BundleParts,
    check::{Check, Flap},
    condition::Condition,
    domain::certificate::{
        Aspect, CertificateAction, CertificateProbe, Endpoint, Expectation, FileProbe, KeyPlace, Place, Renewer,
        ServedProbe, is_name, keys_beside,
    },
    id::{CheckId, TargetId, UnitName},
    inventory::Inventory,
    probe::CommandLine,
    rule::{Autonomy, Severity},
    validators,
};

use crate::{
    common::Common,
    fill::Filled,
    slice::{Domain, FaultDomain, LongAction, LongProbe, Slice, add, target},
};

use keys::Short;

pub(super) const SLICE: Slice = Slice { policy: include_str!("certificate/policy.yaml"), read };

/// The name of the policy, and that of the fault domain of everything that renewing, deploying or reloading mends.
const POLICY: &str = "certificate";
const MATTER: &str = "good";
/// The fault domain of its end, of which people are told, and its check.
const END: &str = "end";
const EVERY_SOFT: Duration = Duration::from_secs(2);
/// People are told how near the end is only when it is as near for a while: what is renewed at once is no news.
static TOLD_WHEN: LazyLock<Condition> =
    LazyLock::new(|| ansai_condition::parse("failing_for > 15m").expect("a condition on a field"));
const FILE_TIMEOUT: Duration = Duration::from_secs(5);
const SERVED_TIMEOUT: Duration = Duration::from_secs(10);
/// A server may be reloading when it is asked.
const SERVED_FAIL_AFTER: u32 = 3;
/// An issuer that looks at several names and waits for a record in the DNS takes its time.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(300);
/// All of it, and the servers seen to show it.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(480);
/// Validators and reloads.
const DEPLOYMENT_TIMEOUT: Duration = Duration::from_secs(100);

/// How long an action may take.
pub(super) fn timeout(action: &CertificateAction) -> Duration {
    match action {
        CertificateAction::Renew(_) | CertificateAction::Revoke(_) => RENEWAL_TIMEOUT,
        CertificateAction::Deploy(_) | CertificateAction::PutBack(_) => DEPLOYMENT_TIMEOUT,
        CertificateAction::Replace(_) => REPLACEMENT_TIMEOUT,
    }
}

/// A certificate as it is declared.
#[derive(Debug)]
struct Certificate {
    name: String,
    key: String,
    place: ansai_document::Place,
    /// The declared file, when there is one.
    source: Option<Place>,
    expect: Expectation,
    endpoints: Vec<Endpoint>,
    tell_before: Vec<Duration>,
    renewer: Option<Box<Renewer>>,
    copies: Vec<Place>,
    units: Vec<UnitName>,
    validators: Vec<CommandLine>,
    every: Duration,
    flap: Flap,
    autonomy: Option<Autonomy>,
    severity: Severity,
}

/// What stands under `certificates`.
#[derive(Debug)]
struct Certificates(Vec<Certificate>);

/// The long form of its looks.
pub(super) const LONG_PROBE: LongProbe = LongProbe {
    key: key("certificate", Kind::Shape(&keys::PROBE), "A certificate, in a file or as a server shows it")
        .example("{endpoint: \"https://127.0.0.1\"}")
        .beside(""),
    read: |findings, node, key| Some(read::probe(findings, node, key)?.into()),
};
/// And that of its actions.
pub(super) const LONG_ACTION: LongAction = LongAction {
    key: key(
        "certificate",
        Kind::Shape(&keys::ACTION),
        "Renews a certificate, puts it in place or back, or has it revoked",
    ),
    read: |findings, node, key| Some(CertificateAction::filled(findings, node, key, None)?.into()),
};

/// Everything under `certificates`.
fn read(findings: &mut Findings<'_>, tree: &Node, common: &Common) -> Box<dyn Domain> {
    let named = tree.named("certificates");
    let all = named.filter_map(|(name, place, node)| one(findings, name.to_owned(), (place, node), common.flap));
    Box::new(Certificates(all.collect()))
}

fn one(
    findings: &mut Findings<'_>,
    name: String,
    (at, node): (ansai_document::Place, &Node),
    flap: Flap,
) -> Option<Certificate> {
    let key = format!("certificates.{name}");
    if !is_name(&name) {
        let help = "letters, digits and .-_ are fine; write the certificate's names under `names:`".to_owned();
        findings.error(at, &key, format!("`{}` is no name of a certificate", cut(&name)), help);
        return None;
    }
    let said = Short::filled(findings, node, &key, None)?;
    let mut expect = Expectation { names: said.names.clone(), ..said.expect.clone() };
    if expect.names.is_empty() && name.contains('.') {
        expect.names.push(name.clone());
    }
    let source = source(findings, node, &key, &said);
    let first = || expect.names.iter().find(|name| !name.starts_with('*')).cloned();
    let server_name = said.server_name.or_else(first);
    let endpoints = said.endpoints.into_iter();
    let endpoints: Vec<_> =
        endpoints.map(|endpoint| Endpoint { server_name: server_name.clone(), ..endpoint }).collect();
    if source.is_none() && endpoints.is_empty() && !node.has("file") && !node.has("endpoints") {
        let help = "write file: /PATH, or endpoints: [\"https://HOST\"]".to_owned();
        findings.nothing(at, &key, "there is nothing to look at", help);
        return None;
    }
    let of_a_file = ["renew", "deploy", keys::USERS.name, "validate"];
    for name in of_a_file.into_iter().filter(|name| !node.has("file") && node.has(name)) {
        let what = format!("`{name}` needs the file of the certificate");
        findings.error(place_of(node, name), &joined(&key, name), what, "write file: /PATH".to_owned());
    }
    names_for_acme(findings, node, &key, &expect, said.renew.as_ref());
    Some(Certificate {
        copies: said.deploy,
        every: said.every,
        flap,
        autonomy: said.autonomy,
        severity: said.severity,
        place: at,
        name,
        key,
        source,
        expect,
        endpoints,
        tell_before: read::in_steps(said.tell_before),
        renewer: said.renew.map(Box::new),
        validators: said.validate.unwrap_or_else(|| known_validators(&said.users)),
        units: said.users,
    })
}

/// The declared file with its key.
fn source(findings: &mut Findings<'_>, node: &Node, key: &str, said: &Short) -> Option<Place> {
    let certificate = said.file.clone()?;
    let beside = KeyPlace::Apart(keys_beside(&certificate).swap_remove(0));
    let written = (said.key.clone(), said.bundle);
    let key_place = keys::key_place(findings, node, key, written, beside)?;
    let (owner, group) = (said.owner.clone(), said.group.clone());
    let place = Place { certificate, key: key_place, owner, group, mode: said.mode };
    keys::private_mode(findings, node, key, &place);
    Some(place)
}

/// An issuer must be told for which names.
fn names_for_acme(findings: &mut Findings<'_>, node: &Node, key: &str, expect: &Expectation, by: Option<&Renewer>) {
    use ansai_model::domain::certificate::Solver;
    let Some(Renewer::Acme(issuer)) = by else { return };
    if expect.names.is_empty() {
        let help = "write names: [api.example.com]".to_owned();
        findings.error(place_of(node, "renew"), &joined(key, "renew"), "an issuer needs names to sign", help);
    }
    let wildcard = expect.names.iter().find(|name| name.starts_with("*."));
    if let (Some(name), Solver::Webroot { .. } | Solver::Listen { .. }) = (wildcard, &issuer.solver) {
        let what = format!("`{}` can only be proven by a record in the DNS", cut(name));
        findings.error(place_of(node, "renew"), &joined(key, "renew"), what, "write dns: {set: […]}".to_owned());
    }
}

fn known_validators(units: &[UnitName]) -> Vec<CommandLine> {
    let known = units.iter().filter_map(|unit| validators::for_unit(unit.as_str()));
    let mut lines: Vec<CommandLine> = known.map(|known| CommandLine::new(known.argv.iter().copied())).collect();
    lines.dedup();
    lines
}

impl Domain for Certificates {
    fn is_watching(&self) -> bool {
        !self.0.is_empty()
    }

    fn deduce(&self, findings: &mut Findings<'_>, common: &Common, _: &Inventory, parts: &mut BundleParts) {
        for certificate in &self.0 {
            if let Err(error) = add_one(common, certificate, parts) {
                findings.name(certificate.place, &certificate.key, &error);
            }
        }
    }
}

fn add_one(
    common: &Common,
    certificate: &Certificate,
    parts: &mut BundleParts,
) -> Result<(), ansai_model::id::NameError> {
    let id = TargetId::of("certificate", &certificate.name)?;
    let files = certificate.source.iter().chain(&certificate.copies).map(|place| place.certificate.clone());
    let made = ansai_model::bundle::Target {
        configuration: files.collect(),
        requests: ladder::requests(certificate),
        ..target(id.clone())
    };
    parts.targets.insert(id.clone(), made);
    let autonomy = certificate.autonomy.unwrap_or(common.autonomy);
    let severity = certificate.severity;
    let fault_domain = FaultDomain {
        name: MATTER,
        checks: checks(certificate, &id)?,
        rungs: ladder::rungs(certificate),
        policy: POLICY,
        condition: None,
        autonomy,
        severity,
    };
    add(common, parts, &id, fault_domain)?;
    if certificate.tell_before.is_empty() {
        return Ok(());
    }
    let fault_domain = FaultDomain {
        name: END,
        checks: vec![told(certificate, &id)?],
        rungs: Vec::new(),
        policy: POLICY,
        condition: Some(TOLD_WHEN.clone()),
        autonomy,
        severity,
    };
    add(common, parts, &id, fault_domain)
}

fn check(certificate: &Certificate, id: CheckId, target: &TargetId, probe: CertificateProbe) -> Check {
    let (timeout, fail_after) = match &probe {
        CertificateProbe::File(_) => (FILE_TIMEOUT, 1),
        CertificateProbe::Served(_) => (SERVED_TIMEOUT, SERVED_FAIL_AFTER),
    };
    Check {
        id,
        target: target.clone(),
        probe: probe.into(),
        every: certificate.every,
        every_soft: EVERY_SOFT.min(certificate.every),
        timeout,
        fail_after,
        recover_after: 1,
        flap: certificate.flap,
        trend: None,
    }
}

/// The file, its copies, and the servers that show it.
fn checks(certificate: &Certificate, target: &TargetId) -> Result<Vec<Check>, ansai_model::id::NameError> {
    let mut checks = Vec::new();
    let mut push =
        |name: &str, probe| CheckId::of(target, name).map(|id| checks.push(check(certificate, id, target, probe)));
    let file = |place: &Place, same_as| {
        let (path, key, expect) = (place.certificate.clone(), place.key.clone(), certificate.expect.clone());
        CertificateProbe::File(FileProbe { path, key, expect, same_as })
    };
    let source = certificate.source.as_ref().map(|source| source.certificate.clone());
    if let Some(place) = &certificate.source {
        push("file", file(place, None))?;
    }
    for (index, place) in certificate.copies.iter().enumerate() {
        push(&format!("copy-{}", index + 1), file(place, source.clone()))?;
    }
    for endpoint in &certificate.endpoints {
        let name = format!("{}-{}:{}", endpoint.protocol.as_str(), endpoint.host.replace('%', "-"), endpoint.port);
        let (endpoint, expect) = (endpoint.clone(), certificate.expect.clone());
        push(&name, CertificateProbe::Served(ServedProbe { endpoint, expect, same_as: source.clone() }))?;
    }
    Ok(checks)
}

/// A look that only tells people how near the end is: at the file, or else at the first server.
fn told(certificate: &Certificate, target: &TargetId) -> Result<Check, ansai_model::id::NameError> {
    let aspect = Aspect::EndInSteps(certificate.tell_before.as_slice().into());
    let expect = Expectation { aspect, names: Vec::new(), ..certificate.expect.clone() };
    let probe = match (&certificate.source, certificate.endpoints.first()) {
        (None, Some(endpoint)) => {
            CertificateProbe::Served(ServedProbe { endpoint: endpoint.clone(), expect, same_as: None })
        }
        (Some(place), _) => {
            let (path, key) = (place.certificate.clone(), KeyPlace::Nowhere);
            CertificateProbe::File(FileProbe { path, key, expect, same_as: None })
        }
        // A certificate without both is refused where it is read.
        (None, None) => return Err(ansai_model::id::NameError::Empty),
    };
    Ok(check(certificate, CheckId::of(target, END)?, target, probe))
}
