//! The keys of probes: each way to look with what belongs to it.

use ansai_keys::{Key, Kind, Shape, Special, count, joined, key};
use ansai_model::{probe::Protocol, unit::UnitExpectation};

use super::{ANY, agent::Schedule, shared::COMMAND_LINE};
use crate::{
    domain::long::PROBE_KEYS,
    fill::{
        Filled,
        choice::ways,
        words::{FailsOn, word, words},
    },
};

words! {
    UnitExpectation, "expectation": Running = "running", NotFailed = "not-failed";
}

const OWN: [Key; count(Way::OWN)] = joined(Way::OWN);
const PROBES: &[&[Key]] = &[&OWN, Schedule::KEYS];

pub(crate) static PROBE: Shape =
    Shape::of("A probe", &joined::<{ count(PROBES) }>(PROBES)).beside("http: \"http://127.0.0.1/health\"");

const SPEAKS: Key = key("speaks", word::<Protocol>(), "The protocol that must be answered there")
    .otherwise("none: an accepted connection is enough")
    .beside("tcp: \"127.0.0.1:6379\"");

ways! {
    /// How a probe looks.
    Way {
        Http: &[
            key("http", Kind::Text, "A web address that must answer").example("https://127.0.0.1/health"),
            key("method", Kind::Text, "The method of the request").default("GET"),
            key("headers", Kind::Named(&Kind::Text), "Headers to send").example("{Host: shop.example.com}"),
            key("expect", Kind::Shape(&EXPECT), "What the answer must be"),
            key("insecure", Kind::Truth, "Whether a certificate that cannot be verified is accepted").default("false").beside("http: \"https://127.0.0.1/health\""),
            key("ca", Kind::Path, "A certificate authority to trust besides the host's own, a PEM file").beside("http: \"https://127.0.0.1/health\""),
        ],
        Tcp: &[key("tcp", Kind::Text, "An address that must accept a connection").example("127.0.0.1:5432").beside(""), SPEAKS],
        Unix: &[key("unix", Kind::Path, "A socket that must accept a connection").example("/run/app.sock").beside(""), SPEAKS],
        Exec: &[key("exec", COMMAND_LINE, "A command that ends with 0 when all is well").example("[/usr/bin/pg_isready]").beside("")],
        Nagios: &[
            key("nagios", COMMAND_LINE, "A Nagios-compatible plugin").example("[/usr/lib/nagios/plugins/check_load]").beside(""),
            key("fail_on", word::<FailsOn>(), "From which word of the plugin on it fails and is healed; of a warning before that people are told")
                .default("critical").beside("nagios: [/usr/lib/nagios/plugins/check_load]"),
        ],
        File: &[
            key("file", Kind::Path, "A file that must be there").example("/var/backups/latest").beside(""),
            key("age_max", Kind::Duration, "The oldest that the file may be").example("26h").beside("file: /var/backups/latest"),
            key("size_max", Kind::Size, "The largest that the file may be").example("1GiB").beside("file: /var/backups/latest"),
        ],
        Executable: &[
            key("executable", Kind::Path, "A program, counted by its path").example("/usr/sbin/nginx").beside(""),
            key("count_min", Kind::Whole { min: 0, max: ANY }, "The fewest processes of the program").default("1").beside("executable: /usr/sbin/nginx"),
            key("count_max", Kind::Whole { min: 0, max: ANY }, "The most processes of the program").otherwise("no limit").beside("executable: /usr/sbin/nginx"),
        ],
        Unit: &[
            key("unit", Kind::Text, "A unit, asked over D-Bus").example("app.service").beside(""),
            key("state", word::<UnitExpectation>(), "When the unit counts as well").default("running").beside("unit: app.service"),
        ],
        Process: &[key("process", Kind::Text, "A declared process").example("worker").beside("").elsewhere("processes: {worker: {start: [/usr/bin/worker]}}")],
    } or Domain = PROBE_KEYS;
    wrong |several| match several {
        [] => "it does not say how to look".to_owned(),
        several => format!("a probe looks in one way; this one has {}", several.join(" and ")),
    };
    foreign |name, way, owners| {
        (format!("`{name}` says nothing about a probe by `{way}`"), format!("it belongs to `{owners}`; delete it"))
    };
}

pub(crate) static EXPECT: Shape = Shape::of(
    "What an answer must be",
    &[
        key("status", Kind::Statuses, "Its status: a code, a range, or a list of these")
            .default("200-399")
            .example("[200, 204]"),
        key("body", Kind::Text, "A text that its first 64 KiB hold").example("ok"),
        key("within", Kind::Duration, "The slowest that is healthy").example("500ms"),
        key("header", Kind::Named(&Kind::Text), "Headers that it has, with their values"),
    ],
);

/// A probe in one text.
pub(crate) const PROBE_TEXT: Kind = Kind::Special(&Special {
    expected: "a probe",
    how: "write http://…, https://…, tcp://HOST:PORT, redis://HOST or another protocol, unix:/PATH, or a mapping as {exec: \
          [...]}",
    example: "\"http://127.0.0.1/\"",
    beginnings: || {
        let plain = SCHEMES.iter().map(|(scheme, _)| *scheme);
        plain.chain(Protocol::NAMES.iter().copied()).map(|name| format!("{name}://")).chain([UNIX.to_owned()]).collect()
    },
    ..Special::TEXT
});

/// What a probe in one text is, by how it begins.
#[derive(Clone, Copy)]
pub(crate) enum Beginning {
    Web,
    Tcp(Option<Protocol>),
}

/// What stands before the `://`, but for the protocols, which have names of their own.
const SCHEMES: [(&str, Beginning); 3] =
    [("http", Beginning::Web), ("https", Beginning::Web), ("tcp", Beginning::Tcp(None))];
/// How a unix socket in one text begins.
pub(crate) const UNIX: &str = "unix:";

/// How a text begins, and what follows.
pub(crate) fn begun(text: &str) -> Option<(Beginning, &str)> {
    let (name, rest) = text.split_once("://")?;
    let plain = SCHEMES.iter().find(|(scheme, _)| *scheme == name).map(|(_, beginning)| *beginning);
    let beginning = plain.or_else(|| Some(Beginning::Tcp(Some(Protocol::named(name)?))))?;
    Some((beginning, rest))
}
