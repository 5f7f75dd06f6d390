//! The controller's own file: where it listens, what it is called, how patient it is. Each key is a line; the file that `init`
//! writes is made of the same lines.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_config::CHANNEL;
use ansai_document::{
    Diagnostics, Findings, Node, Source, Sources, place_of, read_all, text::cut, units, written::quoted,
};
use ansai_fleet::{PermitRules, RoleRule, Share};
use ansai_keys::{Key, Kind, Shape, Special, check, key};
use ansai_link::address::Address;
use ansai_model::{
    cluster::{Cluster, is_host_name},
    notify::Route,
};
use ansai_protocol::link::Short;

/// Most bytes of the file.
const BYTES_MAX: u64 = 256 << 10;
/// The least and the most patience with a host that says nothing; it says something each ten seconds.
const SILENT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(86_400));
/// The shortest and the longest time for which what has ended is kept.
const KEPT: (Duration, Duration) = (Duration::from_secs(86_400), Duration::from_secs(3_650 * 86_400));

const LISTEN: Special = Special {
    expected: "an address with its port",
    how: "write \"0.0.0.0:7443\", or \"[::]:7443\" for both families",
    example: "\"[::]:7443\"",
    beginnings: Vec::new,
    wrong: |text| match text.parse::<SocketAddr>() {
        Ok(_) => None,
        Err(_) => Some((format!("`{text}` is no address with a port"), "write \"[::]:7443\"".to_owned())),
    },
};

const ADDRESS: Special = Special {
    expected: "a name with or without a port",
    how: "write the name by which hosts reach it, as controller.example.com",
    example: "controller.example.com",
    beginnings: Vec::new,
    wrong: |text| match text.parse::<Address>() {
        Ok(_) => None,
        Err(error) => Some((error.to_string(), "write controller.example.com".to_owned())),
    },
};

const API_LISTEN: Special =
    Special { how: "write \"0.0.0.0:7444\", or \"[::]:7444\" for both families", example: "\"[::]:7444\"", ..LISTEN };

const API: Shape = Shape {
    title: "The API over the network",
    keys: &[
        key(
            "listen",
            Kind::Special(&API_LISTEN),
            "Where people and programs come to: an address of this host, and a port",
        )
        .example("\"[::]:7444\""),
        key(
            "certificate",
            Kind::Path,
            "A certificate to show in place of one of the controller's own CA, with its chain (PEM)",
        )
        .example("/etc/ansai/api.pem"),
        key("key", Kind::Path, "The key of that certificate (PEM)").example("/etc/ansai/api-key.pem"),
    ],
    beside: None,
};

/// A share of hosts, or a number of them.
fn share_of(text: &str) -> Option<Share> {
    match text.strip_suffix('%') {
        Some(_) => units::read_percent(text).map(Share::Percent),
        None => text.parse().ok().map(Share::Hosts),
    }
}

const SHARE: Special = Special {
    expected: "a number of hosts or a share",
    how: "write 2, or 70%",
    example: "70%",
    beginnings: Vec::new,
    wrong: |text| match share_of(text) {
        Some(_) => None,
        None => Some((format!("`{}` is neither a number nor a share", cut(text)), "write 2, or 70%".to_owned())),
    },
};

const OF_ROLE: &[Key] = &[
    key(
        "healthy_min",
        Kind::Special(&SHARE),
        "How many of its members must stay healthy; a share is rounded up. What is not known counts as not healthy",
    )
    .default("50%"),
    key("quorum", Kind::Truth, "Whether more than half of its members must stay healthy, whatever `healthy_min` says")
        .default("false"),
    key("members", Kind::Whole { min: 1, max: 20_000 }, "How many members it has, with those that have not joined")
        .otherwise("as many as have joined"),
    key(
        "disturbed_max",
        Kind::Special(&SHARE),
        "How many of its members may be disturbed at once; a share is rounded down, and one always may",
    )
    .default("10%"),
];

const ROLE: Shape = Shape::of("What of a role must stay", OF_ROLE);

const KEYS: &[Key] = &[
    key("listen", Kind::Special(&LISTEN), "Where agents come to: an address of this host, and a port")
        .default("\"[::]:7443\""),
    key("address", Kind::Special(&ADDRESS), "By which name hosts reach it; it stands in the commands that join them")
        .otherwise("the host's name"),
    key(
        "api",
        Kind::Shape(&API),
        "Where people and programs ask over the network, by tokens; nowhere when it is left out",
    )
    .example("{listen: \"[::]:7444\"}"),
    key("expected_hosts", Kind::Texts, "The hosts that are to join, by name: those that have not are listed")
        .example("[web-01.example.com, db-01.example.com]"),
    key(
        "notify",
        Kind::Named(const { &Kind::Shape(&CHANNEL) }),
        "Whom to tell of silent hosts, twins and a full store, and how; each route by its name",
    )
    .example("{email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}"),
    key(
        "tells_for_hosts",
        Kind::Truth,
        "Whether hosts hand over what they have to tell people, so that one cause on many hosts is one message",
    )
    .default("true"),
    key(
        "silent_after",
        Kind::Between { min: SILENT.0, max: SILENT.1 },
        "A host of which nothing was heard for so long is an incident",
    )
    .default("60s"),
    key(
        "incidents_kept_for",
        Kind::Between { min: KEPT.0, max: KEPT.1 },
        "For how long incidents that have ended are kept, with their reports",
    )
    .default("400d"),
    key(
        "roles",
        Kind::Named(const { &Kind::Shape(&ROLE) }),
        "How much of each role may be disturbed by what is mended before it fails; what is down is mended at once",
    )
    .otherwise("half of each role must stay healthy")
    .example("{web: {healthy_min: 70%}, db: {quorum: true, members: 3}}"),
    key(
        "disturbed_max",
        Kind::Special(&SHARE),
        "How many of the hosts without a role may be disturbed at once; a share is rounded down, and one always may",
    )
    .default("10%"),
];

const SHAPE: Shape = Shape { title: "The controller", keys: KEYS, beside: None };

/// Where the API is asked over the network, and with which certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Where people and programs come to.
    pub listen: SocketAddr,
    /// The files of a certificate with its chain and of its key, in place of one of the controller's own CA.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where agents come to.
    pub listen: SocketAddr,
    /// By which name they reach it, when the file says so.
    pub address: Option<Address>,
    /// Where the API is asked over the network; nowhere when the file does not say.
    pub api: Option<ApiSettings>,
    /// The names of the hosts that are to join.
    pub expected_hosts: Vec<String>,
    /// Whom to tell, and how.
    pub routes: Vec<Route>,
    /// Whether it tells for hosts as well.
    pub tells_for_hosts: bool,
    /// How long a host may say nothing.
    pub silent_after: Duration,
    /// For how long what has ended is kept.
    pub incidents_kept_for: Duration,
    /// How much may be disturbed at once.
    pub permits: PermitRules,
}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn of(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let text = ansai_files::text(path, BYTES_MAX).map_err(|error| {
            let help = "`ansai controller init` writes one";
            Diagnostics(vec![ansai_document::Diagnostic::of_file(name.clone(), error.to_string(), help)])
        })?;
        Self::read(&name, &text)
    }

    /// Reads a text; `name` is how it is called in messages.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let sources = Sources(vec![Source { name: name.to_owned(), text: text.to_owned(), rank: 0 }]);
        let mut findings = Findings::new(&sources);
        let Some(node) = findings.read(0, read_all(text, ansai_document::Form::Yaml, 0)) else {
            findings.finish()?;
            return Err(Diagnostics(Vec::new()));
        };
        check(&mut findings, &node, &Kind::Shape(&SHAPE), "", &|_, _| None);
        let settings = Self::filled(&node, &mut findings);
        findings.finish()?;
        Ok(settings)
    }

    fn filled(node: &Node, findings: &mut Findings<'_>) -> Self {
        let text = |name: &str| node.text_at(name).or_else(|| default(name));
        let duration = |name: &str| text(name).and_then(units::read_duration).unwrap_or_default();
        let listen = text("listen").and_then(|text| text.parse().ok());
        if listen.is_none() && findings.is_valid() {
            findings.error(place_of(node, "listen"), "listen", "it listens nowhere", LISTEN.how.to_owned());
        }
        for (name, place) in node.texts_at("expected_hosts").into_iter().filter(|(name, _)| !is_host_name(name)) {
            let what = format!("`{}` is no name of a host", cut(&name));
            findings.error(place, "expected_hosts", what, "write web-01.example.com".to_owned());
        }
        let expected_hosts = node.strings_at("expected_hosts");
        if expected_hosts.len() > Cluster::HOSTS_MAX {
            let what =
                format!("{} hosts are named, and at most {} are expected", expected_hosts.len(), Cluster::HOSTS_MAX);
            findings.error(place_of(node, "expected_hosts"), "expected_hosts", what, "name fewer".to_owned());
        }
        Self {
            expected_hosts,
            routes: ansai_config::routes(findings, node).into_values().collect(),
            listen: listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], ansai_protocol::link::PORT))),
            address: node.text_at("address").and_then(|text| text.parse().ok()),
            api: api(node, findings),
            tells_for_hosts: text("tells_for_hosts").is_some_and(|text| text == "true"),
            silent_after: duration("silent_after"),
            incidents_kept_for: duration("incidents_kept_for"),
            permits: permits(node),
        }
    }
}

/// What the file says of the API. Nothing is asked over the network that nobody has opened.
fn api(node: &Node, findings: &mut Findings<'_>) -> Option<ApiSettings> {
    let said = node.get("api")?;
    let path = |name: &str| said.text_at(name).map(PathBuf::from);
    let certificate = match (path("certificate"), path("key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let what = "a certificate is given with its key, and a key with its certificate";
            findings.error(
                place_of(node, "api"),
                "api",
                what,
                "write both certificate: and key:, or neither".to_owned(),
            );
            None
        }
    };
    let listen = said.text_at("listen").and_then(|text| text.parse().ok());
    if listen.is_none() && findings.is_valid() {
        findings.error(place_of(node, "api"), "api", "it listens nowhere", API_LISTEN.how.to_owned());
    }
    listen.map(|listen| ApiSettings { listen, certificate })
}

/// How much may be disturbed at once.
fn permits(node: &Node) -> PermitRules {
    let share = |node: &Node, name: &str, otherwise: Share| node.text_at(name).and_then(share_of).unwrap_or(otherwise);
    let usual = RoleRule::default();
    let roles = node.named("roles").map(|(name, _, role)| {
        let rule = RoleRule {
            healthy_min: share(role, "healthy_min", usual.healthy_min),
            is_quorum: role.truth_at("quorum").unwrap_or(usual.is_quorum),
            members: role.count_at("members").unwrap_or(usual.members),
            disturbed_max: share(role, "disturbed_max", usual.disturbed_max),
        };
        (Short::new(name), rule)
    });
    PermitRules { roles: roles.collect(), disturbed_max: share(node, "disturbed_max", usual.disturbed_max) }
}

/// What holds for a key that is not written, without quotes.
fn default(name: &str) -> Option<&'static str> {
    SHAPE.key(name).and_then(Key::value).map(|value| value.trim_matches('"'))
}

/// The file that says what holds by itself, with each key explained, this address, and the hosts that are to join.
#[must_use]
pub fn file(address: &Address, expected: &[String]) -> String {
    let mut text = "# The controller of a fleet. `systemctl restart ansai-controller` applies a change.\n\
                    # `ansai controller doctor` says what is wrong with it.\n"
        .to_owned();
    for key in KEYS {
        let own = match key.name {
            "address" => Some(address.to_string()),
            "expected_hosts" if !expected.is_empty() => {
                let names: Vec<String> = expected.iter().map(|name| quoted(name)).collect();
                Some(format!("[{}]", names.join(", ")))
            }
            _ => None,
        };
        // What holds anyway is written as a comment, so that a later version may know better.
        let mark = if own.is_some() { "" } else { "# " };
        let value = own.unwrap_or_else(|| key.value().unwrap_or(key.example).to_owned());
        text += &format!("\n# {}.\n{mark}{}: {value}\n", key.meaning, key.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        "controller.example.com".parse().expect("an address")
    }

    #[test]
    fn the_file_that_is_written_first_says_what_holds_by_itself() {
        let text = file(&address(), &[]);
        let written = Settings::read("controller.yaml", &text).expect("valid");
        let all = text.replace("\n# listen", "\nlisten").replace("\n# silent", "\nsilent").replace("\n# inc", "\ninc");
        assert_ne!(all, text);
        assert_eq!(Settings::read("controller.yaml", &all).expect("valid"), written);
        assert_eq!(written.address, Some(address()));
        assert_eq!((written.listen.port(), written.silent_after), (7443, Duration::from_secs(60)));
        assert_eq!(Settings::read("controller.yaml", "").expect("valid"), Settings { address: None, ..written });
    }

    #[test]
    fn what_the_pages_have_written_into_this_file_is_valid() {
        let pages = concat!(
            include_str!("../../../docs/fleet/api.md"),
            include_str!("../../../docs/fleet/permits.md"),
            include_str!("../../../docs/fleet/troubleshooting.md"),
        );
        let blocks: Vec<&str> =
            pages.split("\n```yml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect();
        assert!(blocks.len() >= 2, "{}", blocks.len());
        for block in blocks {
            Settings::read("controller.yaml", block).expect(block);
        }
    }

    #[test]
    fn the_api_is_asked_over_the_network_only_where_the_file_says_so() {
        let read = |text: &str| Settings::read("controller.yaml", text);
        assert_eq!(read("").expect("valid").api, None);
        let api = read("api: {listen: \"[::]:7444\"}").expect("valid").api.expect("open");
        assert_eq!((api.listen.port(), api.certificate), (7444, None));
        let text = "api:\n  listen: 127.0.0.1:1\n  certificate: /a\n  key: /b\n";
        let api = read(text).expect("valid").api.expect("open");
        assert_eq!(api.certificate, Some(("/a".into(), "/b".into())));
        for wrong in
            ["api: {}", "api: {listen: 7444}", "api: {listen: \"[::]:1\", key: /b}", "api: [::]:7444", "api: on"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_with_its_place() {
        let text = "listen: 7443\nadress: a\nsilent_after: 1s\nincidents_kept_for: soon\naddress: \"a b\"\n";
        let wrong = Settings::read("controller.yaml", text).expect_err("refused").text(None);
        for (line, word) in [(1, "listen"), (2, "address"), (3, "silent_after"), (4, "duration"), (5, "a b")] {
            assert!(
                wrong.contains(&format!("controller.yaml:{line}:")) && wrong.contains(word),
                "{line} {word}: {wrong}"
            );
        }
        assert!(Settings::read("controller.yaml", "[").is_err());
    }

    #[test]
    fn what_of_a_role_must_stay_is_a_number_or_a_share() {
        let text = "roles:\n  web: {healthy_min: 70%, disturbed_max: 2}\n  db: {quorum: true, members: 3}\n\
                    disturbed_max: 3\n";
        let permits = Settings::read("controller.yaml", text).expect("valid").permits;
        let (web, db) = (permits.of(&"web".into()), permits.of(&"db".into()));
        assert_eq!((web.healthy_min(10), web.disturbed_max), (7, Share::Hosts(2)));
        assert_eq!((db.healthy_min(3), db.members), (2, 3));
        assert_eq!(permits.disturbed_max, Share::Hosts(3));
        assert_eq!(permits.of(&"cache".into()), RoleRule::default());
        for default in OF_ROLE.iter().filter(|key| ["healthy_min", "disturbed_max"].contains(&key.name)) {
            let written = default.value().and_then(share_of);
            assert!([RoleRule::default().healthy_min, RoleRule::default().disturbed_max].map(Some).contains(&written));
        }
        let wrong = Settings::read("controller.yaml", "roles: {web: {healthy_min: most}}\ndisturbed_max: 10 %x\n");
        let wrong = wrong.expect_err("refused").text(None);
        assert!(wrong.contains("`most`") && wrong.contains("controller.yaml:2:"), "{wrong}");
    }
}
