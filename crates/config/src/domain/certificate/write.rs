//! The long form of looks at certificates and of what is done about them, as it is written out.

use ansai_document::written::{Fields, Written, time};
use ansai_model::domain::certificate::{
    AcmeIssuer, Aspect, CertificateAction, CertificateProbe, Deployment, Expectation, KeyPlace, Place, Renewal,
    RenewalReason, Renewer, Solver, Trust,
};

use super::keys::{By, Doing, Proof};
use crate::fill::{choice::Choice, simple::command};

fn trust(trust: &Trust) -> Written {
    match trust {
        Trust::Host => Written::text("host"),
        Trust::File(path) => Written::text(path),
        Trust::Nobody => Written::text("nobody"),
    }
}

fn expectation(fields: Fields, expect: &Expectation) -> Fields {
    fields
        .maybe("names", (!expect.names.is_empty()).then(|| Written::texts(&expect.names)))
        .put("trust", trust(&expect.trust))
        .time("renew_before", expect.renew_before)
        .maybe(
            "tell_before",
            match &expect.aspect {
                Aspect::Everything => None,
                Aspect::EndInSteps(steps) => Some(Written::List(steps.iter().map(|before| time(*before)).collect())),
            },
        )
}

fn key(fields: Fields, key: &KeyPlace) -> Fields {
    match key {
        KeyPlace::Apart(path) => fields.put("key", Written::text(path)),
        KeyPlace::Inside => fields,
        KeyPlace::Nowhere => fields.only_if("keyless", true),
    }
}

/// A look.
pub(crate) fn probe(probe: &CertificateProbe) -> Fields {
    let fields = Fields::default();
    let written = match probe {
        CertificateProbe::File(file) => {
            let fields = key(fields.put("file", Written::text(&file.path)), &file.key);
            expectation(fields, &file.expect).maybe("same_as", file.same_as.as_ref().map(Written::text))
        }
        CertificateProbe::Served(served) => {
            let fields = fields
                .put("endpoint", Written::text(&served.endpoint))
                .maybe("server_name", served.endpoint.server_name.as_ref().map(Written::text));
            expectation(fields, &served.expect).maybe("same_as", served.same_as.as_ref().map(Written::text))
        }
    };
    Fields::default().put("certificate", written.done())
}

/// An action.
pub(crate) fn action(action: &CertificateAction) -> Fields {
    let named = Fields::default().put("name", Written::text(action.name()));
    let fields = Fields::default();
    let written = match action {
        CertificateAction::Renew(renewal) => fields.put(Doing::Renew.name(), renewed(renewal)),
        CertificateAction::Deploy(deployment) => fields.put(Doing::Deploy.name(), deployed(deployment)),
        CertificateAction::PutBack(put_back) => {
            let written = named.maybe("units", list(put_back.units.iter().map(Written::text)));
            fields.put(Doing::PutBack.name(), written.done())
        }
        CertificateAction::Revoke(revocation) => {
            fields.put(Doing::Revoke.name(), named.put("by", renewer(&revocation.by)).done())
        }
        CertificateAction::Replace(replacement) => {
            let server_name = replacement.endpoints.first().and_then(|endpoint| endpoint.server_name.as_ref());
            let written = Fields::default()
                .put("renew", renewed(&replacement.renewal))
                .put("deploy", deployed(&replacement.deployment))
                .maybe("endpoints", list(replacement.endpoints.iter().map(Written::text)))
                .maybe("server_name", server_name.map(Written::text))
                .only_if("revokes", replacement.revokes);
            fields.put(Doing::Replace.name(), written.done())
        }
    };
    Fields::default().put("certificate", written.done())
}

fn renewed(renewal: &Renewal) -> Written {
    let fields = Fields::default()
        .put("name", Written::text(&renewal.name))
        .put("file", Written::text(&renewal.current.certificate))
        .maybe("key", renewal.current.key.as_ref().map(Written::text));
    let fields = expectation(fields, &renewal.expect).put("by", renewer(&renewal.by));
    fields.only_if("asked", renewal.reason == RenewalReason::Asked).done()
}

fn deployed(deployment: &Deployment) -> Written {
    Fields::default()
        .put("name", Written::text(&deployment.name))
        .put("source", place(&deployment.source))
        .maybe("copies", list(deployment.copies.iter().map(place)))
        .maybe("validators", list(deployment.validators.iter().map(command)))
        .maybe("units", list(deployment.units.iter().map(Written::text)))
        .done()
}

fn list(items: impl Iterator<Item = Written>) -> Option<Written> {
    let items: Vec<Written> = items.collect();
    (!items.is_empty()).then_some(Written::List(items))
}

fn place(place: &Place) -> Written {
    let fields = Fields::default().put("certificate", Written::text(&place.certificate));
    let fields = match &place.key {
        KeyPlace::Apart(path) => fields.put("key", Written::text(path)),
        KeyPlace::Inside => fields.only_if("bundle", true),
        KeyPlace::Nowhere => fields,
    };
    fields
        .maybe("owner", place.owner.as_ref().map(Written::text))
        .maybe("group", place.group.as_ref().map(Written::text))
        .maybe("mode", place.mode.map(|mode| Written::Text(format!("0{mode:o}"))))
        .done()
}

fn renewer(by: &Renewer) -> Written {
    let fields = Fields::default();
    match by {
        Renewer::Certbot { lineage } => fields.put(By::Certbot.name(), Written::text(lineage)),
        Renewer::Exec(line) => fields.put(By::Exec.name(), command(line)),
        Renewer::Acme(issuer) => fields.put(By::Acme.name(), acme(issuer)),
    }
    .done()
}

fn acme(issuer: &AcmeIssuer) -> Written {
    let fields = Fields::default()
        .put("directory", Written::text(&issuer.directory))
        .maybe("contact", (!issuer.contacts.is_empty()).then(|| Written::texts(&issuer.contacts)))
        .put("trust", trust(&issuer.trust));
    match &issuer.solver {
        Solver::Webroot { path } => fields.put(Proof::Webroot.name(), Written::text(path)),
        Solver::Listen { address } => fields.put(Proof::Listen.name(), Written::text(address)),
        Solver::Hook { set, clear, wait } => {
            let dns = Fields::default()
                .put("set", command(set))
                .maybe("clear", clear.as_ref().map(command))
                .put("wait", time(*wait));
            fields.put(Proof::Dns.name(), dns.done())
        }
    }
    .done()
}
