//! The keys of certificates: of their probes, of their actions, and of what both share with the short form.

use ansai_keys::{Key, Kind, Shape, count, joined, key};

use crate::{
    fill::choice::{alone, ways},
    keys::{
        PERIOD,
        shared::{AUTONOMIES, COMMAND_LINE, SEVERITIES},
    },
};

const NAMES: Key = key("names", Kind::Texts, "Names that it must cover").example("[api.example.com]");
pub(super) const TRUST: Key = key(
    "trust",
    Kind::Text,
    "Whose word its chain must lead to: `host`, a file of authorities (PEM), or `nobody` for one that signed itself",
)
.default("host");
pub(super) const RENEW_BEFORE: Key = key(
    "renew_before",
    Kind::Duration,
    "How long before its end it is renewed; of one that lives shorter than 90 days the same share of its life",
)
.default("30d");
const NAME: Key = key("name", Kind::Text, "The certificate's name").example("api.example.com");
const UNITS: Key = key("units", Kind::Texts, "Who uses it, and is reloaded when it changed").example("[nginx.service]");

const BUNDLE: Key = key("bundle", Kind::Truth, "Whether its key stands behind it in the same file").default("false");
pub(super) const USERS: Key =
    key("services", Kind::Texts, "Who uses it: validated, then reloaded, and only when it changed")
        .example("[nginx.service, postfix.service]");
pub(super) const EVERY: Key = key("every", PERIOD, "How often it is looked at").default("1h");

/// The section.
pub(crate) const SECTION: Key = key(
    "certificates",
    Kind::Named(const { &Kind::Shape(&CERTIFICATE) }),
    "Certificates to keep good, each by its name",
)
.example("{api.example.com: {file: /etc/nginx/ssl/api.pem, services: [nginx.service]}}");

pub(crate) static CERTIFICATE: Shape = Shape {
    title: "A certificate",
    keys: &[
        key("file", Kind::Path, "Its file, with its chain").example("/etc/nginx/ssl/api.pem"),
        key("key", Kind::Path, "The file of its key")
            .otherwise("where it lies by custom")
            .example("/etc/nginx/ssl/api.key"),
        BUNDLE,
        key("owner", Kind::Text, "The user of both files").otherwise("as it is, or root"),
        key("group", Kind::Text, "The group of both files").otherwise("as it is, or root"),
        key("mode", Kind::Mode, "The permission bits of both files; a key is never for all to read")
            .otherwise("as they are, or 0644, and 0600 of a key"),
        key("names", Kind::Texts, "Names that it must cover").otherwise("its name here").example("[api.example.com]"),
        key("endpoints", Kind::Texts, "Servers that show it: https, tls, smtp(s), imap(s) or postgresql")
            .example("[\"https://127.0.0.1\", \"smtp://127.0.0.1:25\"]"),
        key("server_name", Kind::Text, "The name that they are asked for").otherwise("the first of its names"),
        TRUST,
        RENEW_BEFORE,
        key(
            "tell_before",
            Kind::List(&Kind::Duration),
            "How long before its end people are told, each time more urgently",
        )
        .default("[14d, 7d, 3d, 1d]"),
        key("renew", Kind::Shape(&RENEWER), "Who renews it; nobody, and people are told, when it is absent")
            .example("{certbot: api.example.com}"),
        key("deploy", Kind::List(const { &Kind::Shape(&PLACE) }), "The other places where it is used")
            .example("[{certificate: /etc/postfix/certs/api.pem, key: /etc/postfix/certs/api.key, group: postfix}]"),
        USERS,
        key("validate", Kind::List(&COMMAND_LINE), "Asked before anything is reloaded")
            .otherwise("the known validators of the services")
            .example("[[nginx, -t]]"),
        EVERY,
        key("autonomy", AUTONOMIES, "How much may be done by itself").below("autonomy"),
        key("severity", SEVERITIES, "How soon a person must act when it cannot be renewed").default("day"),
    ],
};

pub(crate) static PROBE: Shape = Shape {
    title: "A look at a certificate",
    keys: &[
        key("file", Kind::Path, "The file that it is in: PEM or DER, with its chain").example("/etc/nginx/ssl/api.pem"),
        key("key", Kind::Path, "The file of its key").otherwise("the same file").example("/etc/nginx/ssl/api.key"),
        key("keyless", Kind::Truth, "Whether no key belongs to the file").default("false"),
        key("endpoint", Kind::Text, "A server that shows it: https, tls, smtp(s), imap(s) or postgresql")
            .example("https://127.0.0.1"),
        key("server_name", Kind::Text, "The name that the server is asked for").otherwise("its host"),
        NAMES,
        TRUST,
        RENEW_BEFORE,
        key(
            "tell_before",
            Kind::List(&Kind::Duration),
            "Judges nothing but its end, and tells of it at each of these times before it",
        )
        .example("[14d, 3d]"),
        key("same_as", Kind::Path, "A file that must hold the same certificate").example("/etc/nginx/ssl/api.pem"),
    ],
};

const ACTIONS: [Key; count(Doing::OWN)] = joined(Doing::OWN);
pub(crate) static ACTION: Shape = Shape { title: "Something about a certificate", keys: &ACTIONS };

ways! {
    /// What is done about a certificate.
    Doing {
        Renew: &[key("renew", Kind::Shape(&RENEWAL), "Gets a new one from its issuer")],
        Deploy: &[key("deploy", Kind::Shape(&DEPLOYMENT), "Puts the new one wherever it is used, validates, and reloads")],
        PutBack: &[key("put_back", Kind::Shape(&PUT_BACK), "Puts back what was replaced last, and reloads")],
        Revoke: &[key("revoke", Kind::Shape(&REVOCATION), "Has the one that was replaced last revoked by its issuer")],
        Replace: &[key(
            "replace",
            Kind::Shape(&REPLACEMENT),
            "Renews it, puts it in place and sees it on every server, or puts it back",
        )],
    };
    wrong |_| "this says not, or not clearly, what is done".to_owned();
    foreign alone;
}

pub(super) static RENEWAL: Shape = Shape {
    title: "A renewal",
    keys: &[
        NAME,
        key("file", Kind::Path, "The file of the present one").example("/etc/nginx/ssl/api.pem"),
        key("key", Kind::Path, "The file of its key").otherwise("the same file"),
        NAMES,
        TRUST,
        RENEW_BEFORE,
        key("by", Kind::Shape(&RENEWER), "Who renews it").example("{certbot: api.example.com}"),
        key("asked", Kind::Truth, "Whether it is renewed though it is not due").default("false"),
    ],
};

const RENEWERS: [Key; count(By::OWN)] = joined(By::OWN);
pub(crate) static RENEWER: Shape = Shape { title: "Who renews a certificate", keys: &RENEWERS };

ways! {
    /// Who renews a certificate.
    By {
        Certbot: &[key("certbot", Kind::Text, "certbot, by its name of the certificate").example("api.example.com")],
        Exec: &[key("exec", COMMAND_LINE, "A command that writes the files itself").example("[/usr/local/bin/renew]")],
        Acme: &[key("acme", Kind::Shape(&ACME), "An issuer that speaks ACME, asked by ansai itself")],
    };
    wrong |_| "this says not, or not clearly, who renews it".to_owned();
    foreign alone;
    names "certbot: NAME, exec: [PROGRAM, …] and acme: {…}";
}

pub(super) const ACME_TRUST: Key =
    key("trust", Kind::Text, "Whose word its own HTTPS is taken on: `host`, or a file of authorities (PEM)")
        .default("host");

const SOLVERS: [Key; count(Proof::OWN)] = joined(Proof::OWN);
const ISSUER: &[&[Key]] = &[
    &[
        key("directory", Kind::Text, "The address of its directory")
            .default("https://acme-v02.api.letsencrypt.org/directory"),
        key("contact", Kind::Texts, "Mail addresses for its account").example("ops@example.com"),
        ACME_TRUST,
    ],
    &SOLVERS,
];
pub(super) static ACME: Shape = Shape { title: "An ACME issuer", keys: &joined::<{ count(ISSUER) }>(ISSUER) };

ways! {
    /// How names are shown to be ours.
    Proof {
        Webroot: &[key("webroot", Kind::Path, "A directory that a web server serves on port 80 of the names (HTTP-01)")
            .example("/var/www/acme")],
        Listen: &[key("listen", Kind::Text, "An address to answer on ourselves, reached by port 80 of the names (HTTP-01)")
            .example("0.0.0.0:80")],
        Dns: &[key("dns", Kind::Shape(&DNS), "Commands that set and remove a record (DNS-01)")],
    };
    wrong |_| "this says not, or not clearly, how the names are shown to be ours".to_owned();
    foreign alone;
    names "webroot: /PATH, listen: ADDRESS:80 and dns: {set: […]}";
}

pub(super) static DNS: Shape = Shape {
    title: "A record in the DNS",
    keys: &[
        key("set", COMMAND_LINE, "Sets the TXT record ANSAI_ACME_RECORD to ANSAI_ACME_VALUE")
            .example("[/usr/local/bin/dns-set]"),
        key("clear", COMMAND_LINE, "Removes it").example("[/usr/local/bin/dns-clear]"),
        key("wait", Kind::Duration, "How long it takes to be seen everywhere").default("30s"),
    ],
};

static DEPLOYMENT: Shape = Shape {
    title: "A deployment",
    keys: &[
        NAME,
        key("source", Kind::Shape(&PLACE), "The declared file").example("{certificate: /etc/nginx/ssl/api.pem}"),
        key("copies", Kind::List(const { &Kind::Shape(&PLACE) }), "The other places where it is used"),
        key("validators", Kind::List(&COMMAND_LINE), "Asked before anything is reloaded").example("[[nginx, -t]]"),
        UNITS,
    ],
};

pub(crate) static PLACE: Shape = Shape {
    title: "A place of a certificate",
    keys: &[
        key("certificate", Kind::Path, "The certificate with its chain").example("/etc/postfix/certs/api.pem"),
        key("key", Kind::Path, "Its key").example("/etc/postfix/certs/api.key"),
        BUNDLE,
        key("owner", Kind::Text, "The user of both").otherwise("as it is, or root").example("root"),
        key("group", Kind::Text, "The group of both").otherwise("as it is, or root").example("postfix"),
        key("mode", Kind::Mode, "The permission bits of both; a key is never for all to read")
            .otherwise("as they are, or 0644, and 0600 of a key")
            .example("\"0640\""),
    ],
};

static PUT_BACK: Shape = Shape { title: "What is put back", keys: &[NAME, UNITS] };

static REVOCATION: Shape = Shape {
    title: "A revocation",
    keys: &[NAME, key("by", Kind::Shape(&RENEWER), "Who issued it").example("{certbot: api.example.com}")],
};

pub(super) static REPLACEMENT: Shape = Shape {
    title: "A replacement",
    keys: &[
        key("renew", Kind::Shape(&RENEWAL), "Who renews it"),
        key("deploy", Kind::Shape(&DEPLOYMENT), "Where it goes"),
        key("endpoints", Kind::Texts, "Servers that must show it afterwards").example("[\"https://127.0.0.1\"]"),
        key("server_name", Kind::Text, "The name that they are asked for").otherwise("their host"),
        key("revokes", Kind::Truth, "Whether the one before is then revoked").default("false"),
    ],
};
