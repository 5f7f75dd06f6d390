//! Looks at certificates: what several keys of one can be wrong in together, and what is made of it. What each key fills
//! stands with the keys.

use std::time::Duration;

use ansai_document::{Findings, Node, place_of, text::joined, written::Fields};
use ansai_model::domain::certificate::{
    Aspect, CertificateProbe, Endpoint, Expectation, FileProbe, KeyPlace, ServedProbe,
};

use super::keys::Look;
use crate::fill::Filled;

/// A look at a certificate.
pub(super) fn probe(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<CertificateProbe> {
    node.map()?;
    let look = Look::filled(findings, node, key, None)?;
    let steps = in_steps(look.tell_before);
    if steps.is_empty() && node.has("tell_before") {
        let help = "write when people are told, as [14d, 3d]; without the key everything is judged".to_owned();
        let what = "a look that tells of the end at no time tells nothing";
        findings.error(place_of(node, "tell_before"), &joined(key, "tell_before"), what, help);
    }
    let aspect = if steps.is_empty() { Aspect::Everything } else { Aspect::EndInSteps(steps.into()) };
    let (expect, same_as) = (Expectation { aspect, ..look.expect }, look.same_as);
    match (look.file, node.has("endpoint")) {
        (Some(path), false) => {
            if look.server_name.is_some() {
                let help = "it belongs to `endpoint`; delete it".to_owned();
                let what = "`server_name` says nothing about a file";
                findings.error(place_of(node, "server_name"), &joined(key, "server_name"), what, help);
            }
            let key = match (look.key, look.keyless) {
                (Some(_), true) => {
                    let help = "write either key: /PATH or keyless: true".to_owned();
                    let key = joined(key, "keyless");
                    findings.error(place_of(node, "keyless"), &key, "it has a key or none", help);
                    return None;
                }
                (Some(path), false) => KeyPlace::Apart(path),
                (None, true) => KeyPlace::Nowhere,
                (None, false) => KeyPlace::Inside,
            };
            Some(CertificateProbe::File(FileProbe { path, key, expect, same_as }))
        }
        (None, true) => {
            let endpoint = Endpoint { server_name: look.server_name, ..look.endpoint? };
            Some(CertificateProbe::Served(ServedProbe { endpoint, expect, same_as }))
        }
        // Of a file that is none was told.
        (None, false) if node.has("file") => None,
        (_, is_served) => {
            let help = "write one of file: /PATH and endpoint: https://HOST".to_owned();
            match is_served {
                true => findings.error(node.place, key, "a look is at a file or at a server", help),
                false => findings.nothing(node.place, key, "it does not say where to look", help),
            }
            None
        }
    }
}

/// When people are told of the end: the longest time before it first, each once.
pub(super) fn in_steps(mut before: Vec<Duration>) -> Vec<Duration> {
    before.sort_unstable_by(|a, b| b.cmp(a));
    before.dedup();
    before
}

/// A look, as it is written.
pub(crate) fn written(probe: &CertificateProbe) -> Fields {
    let (expect, same_as) = match probe {
        CertificateProbe::File(file) => (file.expect.clone(), file.same_as.clone()),
        CertificateProbe::Served(served) => (served.expect.clone(), served.same_as.clone()),
    };
    let tell_before = match &expect.aspect {
        Aspect::Everything => Vec::new(),
        Aspect::EndInSteps(steps) => steps.to_vec(),
    };
    let (file, key, keyless, endpoint, server_name) = (None, None, false, None, None);
    let look = Look { file, key, keyless, endpoint, server_name, expect, tell_before, same_as };
    match probe {
        CertificateProbe::File(file) => {
            let key = if let KeyPlace::Apart(path) = &file.key { Some(path.clone()) } else { None };
            Look { file: Some(file.path.clone()), key, keyless: file.key == KeyPlace::Nowhere, ..look }
        }
        CertificateProbe::Served(ServedProbe { endpoint, .. }) => {
            Look { endpoint: Some(endpoint.clone()), server_name: endpoint.server_name.clone(), ..look }
        }
    }
    .fields()
}
