//! Probes: how to look, from a short text or a mapping.

use std::time::Duration;

use ansai_model::{
    domain::service::UnitExpectation,
    id::UnitName,
    probe::{HttpProbe, Plugin, Probe, Protocol},
};

use super::statuses;
use crate::{
    deduce::is_local,
    diagnostics::{Findings, place_of},
    document::{Node, Place, Value},
    domain,
    form::{cut, how, joined},
    keys::Kind,
};

/// A probe with its schedule, as far as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) probe: Probe,
    pub(crate) schedule: Schedule,
    /// Where it is written.
    pub(crate) place: Place,
    pub(crate) key: String,
}

/// When to look, as far as it was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) every: Option<Duration>,
    pub(crate) every_soft: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) fail_after: Option<u32>,
    pub(crate) recover_after: Option<u32>,
}

/// The keys that say how to look.
const WAYS: &[&str] = &["http", "tcp", "unix", "exec", "nagios", "file", "executable", "unit", "process"];
/// Keys that belong to some ways only, and these.
const BELONGS: &[(&str, &[&str])] = &[
    ("method", &["http"]),
    ("headers", &["http"]),
    ("expect", &["http"]),
    ("insecure", &["http"]),
    ("ca", &["http"]),
    ("speaks", &["tcp", "unix"]),
    ("fail_on", &["nagios"]),
    ("age_max", &["file"]),
    ("size_max", &["file"]),
    ("count_min", &["executable"]),
    ("count_max", &["executable"]),
    ("state", &["unit"]),
];

pub(crate) fn look(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Look> {
    let place = node.place;
    let made = |probe, schedule| Look { probe, schedule, place, key: key.to_owned() };
    match &node.value {
        Value::Scalar(_) => short(findings, node, key).map(|probe| made(probe, Schedule::default())),
        Value::Map(_) => {
            let probe = long(findings, node, key)?;
            Some(made(probe, schedule(findings, node, key)))
        }
        Value::List(_) => None,
    }
}

/// When to look.
pub(crate) fn schedule(findings: &mut Findings<'_>, node: &Node, key: &str) -> Schedule {
    for name in ["every", "every_soft"] {
        if node.duration_at(name).is_some_and(|every| every < ansai_model::check::Check::EVERY_MIN) {
            let help = "write 100ms or more".to_owned();
            findings.error(place_of(node, name), &joined(key, name), "the period is too short", help);
        }
    }
    if node.duration_at("timeout").is_some_and(|timeout| timeout.is_zero()) {
        let help = "write a time in which an answer can come, as 3s".to_owned();
        findings.error(place_of(node, "timeout"), &joined(key, "timeout"), "a look needs some time", help);
    }
    Schedule {
        every: node.duration_at("every"),
        every_soft: node.duration_at("every_soft"),
        timeout: node.duration_at("timeout"),
        fail_after: node.count_at("fail_after"),
        recover_after: node.count_at("recover_after"),
    }
}

fn short(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Probe> {
    let text = node.text()?;
    if text.starts_with("http://") || text.starts_with("https://") {
        return http(findings, node, key, text);
    }
    if let Some(text) = text.strip_prefix("tcp://") {
        return tcp(findings, node.place, key, text, None);
    }
    let spoken = text.split_once("://").and_then(|(name, rest)| Some((Protocol::named(name)?, rest)));
    if let Some((protocol, text)) = spoken {
        return tcp(findings, node.place, key, text, Some(protocol));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') {
            return Some(Probe::UnixSocket { path: path.to_owned(), speaks: None });
        }
        let help = format!("write unix:/…/{}", cut(path));
        findings.error(node.place, key, format!("`{}` is no absolute path", cut(path)), help);
        return None;
    }
    findings.error(node.place, key, format!("`{}` is no probe", cut(text)), how(&Kind::ProbeText));
    None
}

fn long(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Probe> {
    let all = || WAYS.iter().copied().chain(domain::PROBE_KEYS.iter().map(|key| key.name));
    let ways: Vec<&str> = all().filter(|way| node.has(way)).collect();
    let [way] = ways[..] else {
        let what = match ways.as_slice() {
            [] => "it does not say how to look".to_owned(),
            several => format!("a probe looks in one way; this one has {}", several.join(" and ")),
        };
        let help = format!("name exactly one of {}", all().collect::<Vec<_>>().join(", "));
        findings.error(ways.get(1).map_or(node.place, |way| place_of(node, way)), key, what, help);
        return None;
    };
    for (name, owners) in BELONGS.iter().filter(|(name, owners)| node.has(name) && !owners.contains(&way)) {
        let what = format!("`{name}` says nothing about a probe by `{way}`");
        let help = format!("it belongs to `{}`; delete it", owners.join("` and `"));
        findings.error(place_of(node, name), &joined(key, name), what, help);
    }
    let (value, place, key) = (node.get(way)?, place_of(node, way), joined(key, way));
    if let Some(long) = domain::long(way) {
        return (long.probe)(findings, value, &key);
    }
    let text = || value.text().map(str::to_owned);
    let path = || text().filter(|path| path.starts_with('/'));
    let speaks = || node.text_at("speaks").and_then(Protocol::named);
    Some(match way {
        "http" => return http(findings, node, &key, value.text()?),
        "tcp" => return tcp(findings, place, &key, value.text()?, speaks()),
        "unix" => Probe::UnixSocket { path: path()?, speaks: speaks() },
        "exec" => Probe::Exec(Box::new(node.command_at(way)?)),
        "nagios" => {
            let fails_on_warning = node.text_at("fail_on") == Some("warning");
            Probe::Nagios(Box::new(Plugin { command: node.command_at(way)?, fails_on_warning }))
        }
        "file" => {
            Probe::File { path: path()?, age_max: node.duration_at("age_max"), size_max: node.size_at("size_max") }
        }
        "executable" => Probe::ProcessCount {
            executable: path()?,
            count_min: node.whole_at("count_min").unwrap_or(1),
            count_max: node.whole_at("count_max").unwrap_or(u32::MAX),
        },
        "process" => Probe::Process { name: text()? },
        _ => Probe::Unit { unit: unit(findings, value, &key)?, expect: expectation(node.text_at("state")) },
    })
}

pub(crate) fn expectation(text: Option<&str>) -> UnitExpectation {
    match text {
        Some("not-failed") => UnitExpectation::NotFailed,
        Some(_) | None => UnitExpectation::Running,
    }
}

/// The name of a unit.
pub(crate) fn unit(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<UnitName> {
    let made = UnitName::new(node.text()?);
    made.map_err(|error| findings.name(node.place, key, &error)).ok()
}

fn tcp(findings: &mut Findings<'_>, place: Place, key: &str, text: &str, speaks: Option<Protocol>) -> Option<Probe> {
    let Some((host, port)) = address(text, speaks.and_then(|protocol| protocol.manner().port)) else {
        let help = "write HOST:PORT, as in 127.0.0.1:5432".to_owned();
        findings.error(place, key, format!("`{}` is no address", cut(text)), help);
        return None;
    };
    // A server of MySQL takes no notice of looks from loopback, and shuts out every other host after a hundred of them.
    if speaks == Some(Protocol::Mysql) && !is_local(&host) {
        let help = "write 127.0.0.1, or its unix socket; for another host use tcp".to_owned();
        findings.error(place, key, "a MySQL server shuts out hosts whose connections end before a login", help);
        return None;
    }
    Some(Probe::Tcp { host, port, speaks })
}

/// A host with its port, or with the usual one where there is one. An address of the newer protocol may stand in brackets,
/// as in a web address.
fn address(text: &str, usual: Option<u16>) -> Option<(String, u16)> {
    let is_whole = |host: &str| !host.contains(':') || host.ends_with(']');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if usual.is_none() || is_whole(host) => (host, port.parse().ok()?),
        Some(_) | None => (text, usual?),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !bare.is_empty() && !bare.contains(['/', '@', ' ']);
    (is_host && port != 0).then(|| (bare.to_owned(), port))
}

/// Why the probe cannot ask this address, which is read as it will read it.
fn unaskable(url: &str) -> Option<String> {
    let uri = match url.parse::<http::Uri>() {
        Ok(uri) => uri,
        Err(error) => return Some(error.to_string()),
    };
    let (host, all) = (uri.host().unwrap_or_default(), uri.authority().map_or("", |all| all.as_str()));
    if host.is_empty() {
        return Some("it names no host".to_owned());
    }
    let has_port = uri.port_u16().is_some_and(|port| port != 0);
    (!has_port && !all.ends_with(host)).then(|| "its port is none from 1 to 65535".to_owned())
}

/// Whether the probe can send this: the address, the method and the headers are read as it will read them.
fn can_be_sent(findings: &mut Findings<'_>, node: &Node, place: Place, key: &str, url: &str) -> bool {
    let why = unaskable(url);
    if let Some(why) = &why {
        let help = "write http://HOST:PORT/PATH, a name as xn--… and other characters as %XX".to_owned();
        findings.error(place, key, format!("`{}` is no web address: {why}", cut(url)), help);
    }
    let around = key.strip_suffix(".http").unwrap_or(key);
    let method = node.string_at("method").unwrap_or_default();
    let is_method = method.is_empty() || http::Method::from_bytes(method.as_bytes()).is_ok();
    if !is_method {
        let what = format!("`{}` is no method", cut(&method));
        findings.error(
            place_of(node, "method"),
            &joined(around, "method"),
            what,
            "write GET, HEAD or OPTIONS".to_owned(),
        );
    }
    let headers = node.table_at("headers");
    let is_header = |name: &str, value: &str| {
        http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
    };
    let odd = headers.iter().find(|(name, value)| !is_header(name, value)).map(|(name, _)| name);
    if let Some(name) = odd {
        // The value may be a secret.
        let what = format!("`{}` with its value is no header", cut(name));
        let help = "write a name of letters, digits and -, and a value of one line of ASCII".to_owned();
        findings.error(place_of(node, "headers"), &joined(around, "headers"), what, help);
    }
    why.is_none() && is_method && odd.is_none()
}

/// The probe of a web address; `node` is the mapping around it, or the text itself.
fn http(findings: &mut Findings<'_>, node: &Node, key: &str, url: &str) -> Option<Probe> {
    let place = place_of(node, "http");
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
        findings.error(
            place,
            key,
            format!("`{}` is no web address", cut(url)),
            "write http://HOST/… or https://HOST/…".to_owned(),
        );
        return None;
    };
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        findings.error(place, key, "a web address holds no blanks", "write %20 for a blank".to_owned());
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        let help = "leave the password out; a probe needs an address that answers without one".to_owned();
        findings.error(place, key, "a password must not stand in the configuration", help);
        return None;
    }
    if !can_be_sent(findings, node, place, key, url) {
        return None;
    }
    let expect = node.section("expect");
    let found: Vec<_> = expect.map(|expect| expect.strings_at("status")).unwrap_or_default();
    let found: Vec<_> = found.iter().filter_map(|text| statuses(text)).collect();
    Some(Probe::Http(Box::new(HttpProbe {
        url: url.to_owned(),
        method: node.string_at("method").unwrap_or_else(|| "GET".into()),
        headers: node.table_at("headers"),
        statuses: if found.is_empty() { vec![(200, 399)] } else { found },
        body_contains: expect.and_then(|expect| expect.string_at("body")),
        answer_headers: expect.map(|expect| expect.table_at("header")).unwrap_or_default(),
        within: expect.and_then(|expect| expect.duration_at("within")),
        verify_certificate: !node.truth_at("insecure").unwrap_or_default(),
        ca_file: node.path_at("ca"),
    })))
}
