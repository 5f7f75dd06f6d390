//! The keys of certificates, each with what it fills: of their looks, of what is done about them, and of what both share with
//! the short form.

use std::time::Duration;

use ansai_document::{
    Findings, Node, place_of,
    text::{cut, joined},
    written::{Fields, Written},
};
use ansai_keys::{Key, Kind, Shape, Special, key};
use ansai_model::{
    domain::certificate::{
        AcmeIssuer, Aspect, CertificateAction, Deployment, Endpoint, Expectation, KeyPlace, Pair, Place, PutBack,
        Renewal, RenewalReason, Renewer, Replacement, Revocation, Solver, Trust, is_name,
    },
    id::UnitName,
    probe::CommandLine,
    rule::{Autonomy, Severity},
};

use crate::{
    fill::{
        At, Filled, Held,
        choice::{alone, ways},
        field, fills, shape, with,
    },
    keys::{
        PERIOD,
        shared::{AUTONOMIES, COMMAND_LINE, SEVERITIES},
    },
};

/// The name of a certificate, and that under which certbot keeps one.
const NAMED: Kind = Kind::Special(&Special {
    wrong: |text| {
        let help = "letters, digits and .-_ are fine".to_owned();
        (!is_name(text)).then(|| (format!("`{}` is no name", cut(text)), help))
    },
    ..Special::TEXT
});
const LINEAGE: Kind = Kind::Special(&Special {
    wrong: |text| {
        let help = "`certbot certificates` lists them".to_owned();
        (!is_name(text)).then(|| (format!("`{}` is no name of a certificate", cut(text)), help))
    },
    ..Special::TEXT
});
/// Where an issuer says what it can do.
const DIRECTORY: Kind = Kind::Special(&Special {
    wrong: |text| {
        let is_one = text.starts_with("https://") && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let what = || format!("`{}` is no directory of an issuer", cut(text));
        (!is_one).then(|| (what(), "an issuer is asked by https:// only".to_owned()))
    },
    ..Special::TEXT
});
const LISTENING: Kind = Kind::Special(&Special {
    wrong: |text| {
        let is_one = text.parse::<std::net::SocketAddr>().is_ok();
        (!is_one).then(|| (format!("`{}` is no address with a port", cut(text)), "write 0.0.0.0:80".to_owned()))
    },
    ..Special::TEXT
});

const NAMES: Key = key("names", Kind::Texts, "Names that it must cover").example("[api.example.com]");
const RENEW_BEFORE: Key = key(
    "renew_before",
    Kind::Duration,
    "How long before its end it is renewed; of one that lives shorter than 90 days the same share of its life",
)
.default("30d");
const NAME: Key = key("name", NAMED, "The certificate's name")
    .example("api.example.com")
    .needed("`name` is missing", "write name: …");
const UNITS: Key = key("units", Kind::Texts, "Who uses it, and is reloaded when it changed").example("[nginx.service]");
const BUNDLE: Key = key("bundle", Kind::Truth, "Whether its key stands behind it in the same file").default("false");
const BY: Key = key("by", Kind::Shape(&RENEWER), "Who renews it")
    .example("{certbot: api.example.com}")
    .needed("`by` is missing", "write by: …");
/// Who uses it.
pub(super) const USERS: Key =
    key("services", Kind::Texts, "Who uses it: validated, then reloaded, and only when it changed")
        .example("[nginx.service, postfix.service]");

/// The section.
pub(crate) const SECTION: Key = key(
    "certificates",
    Kind::Named(const { &Kind::Shape(&CERTIFICATE) }),
    "Certificates to keep good, each by its name",
)
.example("{api.example.com: {file: /etc/nginx/ssl/api.pem, services: [nginx.service]}}");

pub(crate) static CERTIFICATE: Shape = shape::<Short>("A certificate").beside("file: /etc/nginx/ssl/api.pem");
pub(crate) static PROBE: Shape = shape::<Look>("A look at a certificate").beside("file: /etc/nginx/ssl/api.pem");
pub(crate) static ACTION: Shape = shape::<CertificateAction>("Something about a certificate");
static RENEWAL: Shape = shape::<Renewal>("A renewal");
pub(crate) static RENEWER: Shape = shape::<Renewer>("Who renews a certificate");
static ACME: Shape = shape::<AcmeIssuer>("An ACME issuer").beside("contact: ops@example.com, webroot: /var/www/acme");
static DNS: Shape =
    shape::<Hook>("A record in the DNS").beside("set: [/usr/local/bin/dns-set], clear: [/usr/local/bin/dns-clear]");
static DEPLOYMENT: Shape = shape::<Deployment>("A deployment")
    .beside("name: api.example.com, source: {certificate: /etc/nginx/ssl/api.pem}, units: [nginx.service]");
pub(crate) static PLACE: Shape = shape::<Place>("A place of a certificate")
    .beside("certificate: /etc/postfix/certs/api.pem, key: /etc/postfix/certs/api.key");
static PUT_BACK: Shape = shape::<PutBack>("What is put back").beside("name: api.example.com, units: [nginx.service]");
static REVOCATION: Shape = shape::<Revocation>("A revocation");
static REPLACEMENT: Shape = shape::<Replacement>("A replacement").beside("renew: {name: api.example.com, file: /etc/nginx/ssl/api.pem, by: {certbot: api.example.com}}, deploy: {name: api.example.com, source: {certificate: /etc/nginx/ssl/api.pem}, units: [nginx.service]}");

/// A certificate in the short form, as far as it is written.
#[derive(Clone)]
pub(super) struct Short {
    pub(super) file: Option<String>,
    pub(super) key: Option<String>,
    pub(super) bundle: bool,
    pub(super) owner: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<u32>,
    pub(super) names: Vec<String>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) server_name: Option<String>,
    pub(super) expect: Expectation,
    pub(super) tell_before: Vec<Duration>,
    pub(super) renew: Option<Renewer>,
    pub(super) deploy: Vec<Place>,
    pub(super) users: Vec<UnitName>,
    pub(super) validate: Option<Vec<CommandLine>>,
    pub(super) every: Duration,
    pub(super) autonomy: Option<Autonomy>,
    pub(super) severity: Severity,
}

fills! {
    Short {
        file: key("file", Kind::Path, "Its file, with its chain").example("/etc/nginx/ssl/api.pem"),
        key: key("key", Kind::Path, "The file of its key")
            .otherwise("where it lies by custom").example("/etc/nginx/ssl/api.key"),
        bundle: BUNDLE,
        owner: key("owner", Kind::Text, "The user of both files").otherwise("as it is, or root"),
        group: key("group", Kind::Text, "The group of both files").otherwise("as it is, or root"),
        mode: key("mode", Kind::Mode, "The permission bits of both files; a key is never for all to read")
            .otherwise("as they are, or 0644, and 0600 of a key"),
        names: NAMES.otherwise("its name here"),
        endpoints: key("endpoints", Kind::Texts, "Servers that show it: https, tls, smtp(s), imap(s) or postgresql")
            .example("[\"https://127.0.0.1\", \"smtp://127.0.0.1:25\"]"),
        server_name: key("server_name", Kind::Text, "The name that they are asked for").otherwise("the first of its names").also("endpoints: [\"https://127.0.0.1\"]"),
        ..expect: Expectation,
        tell_before: key("tell_before", Kind::List(&Kind::Duration), "How long before its end people are told, each time more urgently")
            .default("[14d, 7d, 3d, 1d]"),
        renew: key("renew", Kind::Shape(&RENEWER), "Who renews it; nobody, and people are told, when it is absent")
            .example("{certbot: api.example.com}"),
        deploy: key("deploy", Kind::List(const { &Kind::Shape(&PLACE) }), "The other places where it is used")
            .example("[{certificate: /etc/postfix/certs/api.pem, key: /etc/postfix/certs/api.key, group: postfix}]"),
        users: USERS,
        validate: key("validate", Kind::List(&COMMAND_LINE), "Asked before anything is reloaded")
            .otherwise("the known validators of the services").example("[[nginx, -t]]"),
        every: key("every", PERIOD, "How often it is looked at").default("1h"),
        autonomy: key("autonomy", AUTONOMIES, "How much may be done by itself").below("autonomy"),
        severity: key("severity", SEVERITIES, "How soon a person must act when it cannot be renewed").default("day"),
    }
}

fills! {
    Expectation {
        names: NAMES,
        trust: key("trust", Kind::Text, "Whose word its chain must lead to: `host`, a file of authorities (PEM), or `nobody` for one that signed itself")
            .default("host"),
        renew_before: RENEW_BEFORE,
    } besides {
        aspect: Aspect::Everything,
    }
}

/// A look at a certificate, as far as it is written.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) file: Option<String>,
    pub(super) key: Option<String>,
    pub(super) keyless: bool,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) server_name: Option<String>,
    pub(super) expect: Expectation,
    pub(super) tell_before: Vec<Duration>,
    pub(super) same_as: Option<String>,
}

fills! {
    Look {
        file: key("file", Kind::Path, "The file that it is in: PEM or DER, with its chain").example("/etc/nginx/ssl/api.pem").also("names: [api.example.com]"),
        key: key("key", Kind::Path, "The file of its key").otherwise("the same file").example("/etc/nginx/ssl/api.key"),
        keyless: key("keyless", Kind::Truth, "Whether no key belongs to the file").default("false"),
        endpoint: key("endpoint", Kind::Text, "A server that shows it: https, tls, smtp(s), imap(s) or postgresql")
            .example("https://127.0.0.1").beside("names: [api.example.com]"),
        server_name: key("server_name", Kind::Text, "The name that the server is asked for").otherwise("its host").beside("endpoint: \"https://127.0.0.1\""),
        ..expect: Expectation,
        tell_before: key("tell_before", Kind::List(&Kind::Duration), "Judges nothing but its end, and tells of it at each of these times before it")
            .example("[14d, 3d]"),
        same_as: key("same_as", Kind::Path, "A file that must hold the same certificate").example("/etc/nginx/ssl/api.pem"),
    }
}

ways! {
    /// What is done about a certificate.
    Doing of CertificateAction {
        Renew { (renewal): key("renew", Kind::Shape(&RENEWAL), "Gets a new one from its issuer") }
            => (CertificateAction::Renew(renewal)),
        Deploy { (deployment): key("deploy", Kind::Shape(&DEPLOYMENT), "Puts the new one wherever it is used, validates, and reloads") }
            => (CertificateAction::Deploy(deployment)),
        PutBack { (put_back): key("put_back", Kind::Shape(&PUT_BACK), "Puts back what was replaced last, and reloads") }
            => (CertificateAction::PutBack(put_back)),
        Revoke { (revocation): key("revoke", Kind::Shape(&REVOCATION), "Has the one that was replaced last revoked by its issuer") }
            => (CertificateAction::Revoke(revocation)),
        Replace { (replacement): key("replace", Kind::Shape(&REPLACEMENT), "Renews it, puts it in place and sees it on every server, or puts it back") }
            => (CertificateAction::Replace(replacement)),
    };
    wrong |_| "this says not, or not clearly, what is done".to_owned();
    foreign alone;
}

fills! {
    Pair {
        certificate: key("file", Kind::Path, "The file of the present one")
            .example("/etc/nginx/ssl/api.pem").needed("`file` is missing", "write file: …"),
        key: key("key", Kind::Path, "The file of its key").otherwise("the same file"),
    }
}

fills! {
    Renewal {
        name: NAME,
        ..current: Pair,
        ..expect: Expectation,
        by: BY,
        reason: key("asked", Kind::Truth, "Whether it is renewed though it is not due").default("false"),
    }
}

ways! {
    /// Who renews a certificate.
    By of Renewer {
        Certbot { (lineage): key("certbot", LINEAGE, "certbot, by its name of the certificate").example("api.example.com") }
            => (Renewer::Certbot { lineage }),
        Exec { (line): key("exec", COMMAND_LINE, "A command that writes the files itself").example("[/usr/local/bin/renew]") }
            => (Renewer::Exec(line)),
        Acme { (issuer): key("acme", Kind::Shape(&ACME), "An issuer that speaks ACME, asked by ansai itself") }
            => (Renewer::Acme(issuer)),
    };
    wrong |_| "this says not, or not clearly, who renews it".to_owned();
    foreign alone;
    names "certbot: NAME, exec: [PROGRAM, …] and acme: {…}";
}

fills! {
    AcmeIssuer {
        directory: key("directory", DIRECTORY, "The address of its directory")
            .default("https://acme-v02.api.letsencrypt.org/directory"),
        contacts: key("contact", Kind::Texts, "Mail addresses for its account").example("ops@example.com"),
        trust: key("trust", Kind::Text, "Whose word its own HTTPS is taken on: `host`, or a file of authorities (PEM)")
            .default("host"),
        ..solver: Solver,
    }
}

ways! {
    /// How names are shown to be ours.
    Proof of Solver {
        Webroot { (path): key("webroot", Kind::Path, "A directory that a web server serves on port 80 of the names (HTTP-01)").example("/var/www/acme") }
            => (Solver::Webroot { path }),
        Listen { (address): key("listen", LISTENING, "An address to answer on ourselves, reached by port 80 of the names (HTTP-01)").example("0.0.0.0:80").beside("contact: ops@example.com") }
            => (Solver::Listen { address }),
        Dns { (Hook { set, clear, wait }): key("dns", Kind::Shape(&DNS), "Commands that set and remove a record (DNS-01)").beside("contact: ops@example.com") }
            => (Solver::Hook { set, clear, wait }),
    };
    wrong |_| "this says not, or not clearly, how the names are shown to be ours".to_owned();
    foreign alone;
    names "webroot: /PATH, listen: ADDRESS:80 and dns: {set: […]}";
}

/// Commands for a record in the DNS.
#[derive(Clone)]
struct Hook {
    set: CommandLine,
    clear: Option<CommandLine>,
    wait: Duration,
}

fills! {
    Hook {
        set: key("set", COMMAND_LINE, "Sets the TXT record ANSAI_ACME_RECORD to ANSAI_ACME_VALUE")
            .example("[/usr/local/bin/dns-set]").needed("`set` is missing", "write set: …"),
        clear: key("clear", COMMAND_LINE, "Removes it").example("[/usr/local/bin/dns-clear]"),
        wait: key("wait", Kind::Duration, "How long it takes to be seen everywhere").default("30s"),
    }
}

fills! {
    Deployment {
        name: NAME,
        source: key("source", Kind::Shape(&PLACE), "The declared file")
            .example("{certificate: /etc/nginx/ssl/api.pem}").needed("`source` is missing", "write source: …"),
        copies: key("copies", Kind::List(const { &Kind::Shape(&PLACE) }), "The other places where it is used"),
        validators: key("validators", Kind::List(&COMMAND_LINE), "Asked before anything is reloaded").example("[[nginx, -t]]"),
        units: UNITS,
    }
}

fills! {
    Place {
        certificate: key("certificate", Kind::Path, "The certificate with its chain")
            .example("/etc/postfix/certs/api.pem").needed("`certificate` is missing", "write certificate: …"),
        ..key: KeyPlace,
        owner: key("owner", Kind::Text, "The user of both").otherwise("as it is, or root").example("root"),
        group: key("group", Kind::Text, "The group of both").otherwise("as it is, or root").example("postfix"),
        mode: key("mode", Kind::Mode, "The permission bits of both; a key is never for all to read")
            .otherwise("as they are, or 0644, and 0600 of a key").example("\"0640\""),
    } checked private_mode
}

fills! { PutBack { name: NAME, units: UNITS } }

fills! {
    Revocation {
        name: NAME,
        by: key("by", Kind::Shape(&RENEWER), "Who issued it")
            .example("{certbot: api.example.com}").needed("`by` is missing", "write by: …"),
    }
}

/// Servers, all asked for one name.
type Endpoints = Vec<Endpoint>;

fills! {
    Replacement {
        renewal: key("renew", Kind::Shape(&RENEWAL), "Who renews it").needed("`renew` is missing", "write renew: …"),
        deployment: key("deploy", Kind::Shape(&DEPLOYMENT), "Where it goes").needed("`deploy` is missing", "write deploy: …"),
        ..endpoints: Endpoints,
        revokes: key("revokes", Kind::Truth, "Whether the one before is then revoked").default("false"),
    }
}

impl Filled for Endpoints {
    const KEYS: &'static [Key] = &[
        key("endpoints", Kind::Texts, "Servers that must show it afterwards").example("[\"https://127.0.0.1\"]"),
        key("server_name", Kind::Text, "The name that they are asked for").otherwise("their host"),
    ];

    fn filled(findings: &mut Findings<'_>, node: &Node, path: &str, _: Option<&Self>) -> Option<Self> {
        let [endpoints, name] = Self::KEYS else { return None };
        let endpoints: Self = field(findings, node, path, endpoints, None)?;
        let name: Option<String> = field(findings, node, path, name, None)?;
        Some(endpoints.into_iter().map(|endpoint| Endpoint { server_name: name.clone(), ..endpoint }).collect())
    }

    fn fields(&self) -> Fields {
        let [endpoints, name] = Self::KEYS else { return Fields::default() };
        let asked = self.first().and_then(|endpoint| endpoint.server_name.clone());
        with(with(Fields::default(), self, endpoints), &asked, name)
    }
}

/// Beside the certificate in a file of its own, behind it in the same one, or nowhere.
impl Filled for KeyPlace {
    const KEYS: &'static [Key] = &[
        key("key", Kind::Path, "Its key").example("/etc/postfix/certs/api.key"),
        BUNDLE.beside("certificate: /etc/postfix/certs/api.pem"),
    ];

    fn filled(findings: &mut Findings<'_>, node: &Node, path: &str, _: Option<&Self>) -> Option<Self> {
        let [apart, bundle] = Self::KEYS else { return None };
        let written = (field(findings, node, path, apart, None)?, field(findings, node, path, bundle, None)?);
        key_place(findings, node, path, written, Self::Nowhere)
    }

    fn fields(&self) -> Fields {
        let [apart, bundle] = Self::KEYS else { return Fields::default() };
        let path = if let Self::Apart(path) = self { Some(path.clone()) } else { None };
        with(with(Fields::default(), &path, apart), &(*self == Self::Inside), bundle)
    }
}

/// Where the key of a certificate lies, by `key` and `bundle`, or where it does when neither is written.
pub(super) fn key_place(
    findings: &mut Findings<'_>,
    node: &Node,
    path: &str,
    (apart, is_bundle): (Option<String>, bool),
    unwritten: KeyPlace,
) -> Option<KeyPlace> {
    match (apart, is_bundle) {
        (Some(_), true) => {
            let help = "write either key: /PATH or bundle: true".to_owned();
            findings.error(place_of(node, BUNDLE.name), path, "the key cannot be in two places", help);
            None
        }
        (Some(path), false) => Some(KeyPlace::Apart(path)),
        (None, true) => Some(KeyPlace::Inside),
        (None, false) => Some(unwritten),
    }
}

/// The permission bits of a key must not be for all.
pub(super) fn private_mode(findings: &mut Findings<'_>, node: &Node, path: &str, place: &Place) {
    if place.mode.is_some_and(|mode| mode & 0o7 != 0) && place.key != KeyPlace::Nowhere {
        let help = "write \"0640\", and give the group leave".to_owned();
        findings.error(place_of(node, "mode"), &joined(path, "mode"), "a key must not be for all to read", help);
    }
}

impl Held for RenewalReason {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        Some(if bool::read(at, node, None)? { Self::Asked } else { Self::Due })
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        (*self == Self::Asked).write(key)
    }
}

impl Held for Trust {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        match node.text()? {
            "host" => Some(Self::Host),
            "nobody" => Some(Self::Nobody),
            path if path.starts_with('/') => Some(Self::File(path.to_owned())),
            other => {
                let help = "write host, nobody, or a file of authorities as /etc/ssl/company.pem";
                at.error(node.place, format!("`{}` is nobody whose word can be taken", cut(other)), help);
                None
            }
        }
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(match self {
            Self::Host => Written::text("host"),
            Self::File(path) => Written::text(path),
            Self::Nobody => Written::text("nobody"),
        })
    }
}

/// The server alone; the name that it is asked for has a key of its own.
impl Held for Endpoint {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        let what = || format!("`{}` is no endpoint", cut(text));
        text.parse().map_err(|error| at.error(node.place, what(), format!("it {error}"))).ok()
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}
