//! Probes: how to look, from a short text or a mapping.

use std::time::Duration;

use ansai_document::{
    Findings, Node, Place, Value, place_of,
    text::{cut, joined},
    units::read_statuses,
    written::Written,
};
use ansai_keys::{Key, kind::how};
use ansai_model::{
    check::{Check, Flap},
    id::{CheckId, TargetId, UnitName},
    probe::{HttpProbe, Plugin, Probe, Protocol},
};

use crate::{
    domain::long,
    fill::{
        At, Filled, Held, HeldUnder,
        choice::Choice,
        simple::command_of,
        words::{FailsOn, Words},
    },
    keys::{
        agent::{ProbeDefaults, Schedule},
        probe::{Beginning, EXPECT, PROBE, PROBE_TEXT, UNIX, Way, begun},
    },
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

/// The least that a program has that does not say otherwise: plugins ask others, and are written for ten seconds.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);

/// The least that a server has that speaks first: some keep a client waiting on purpose (sendmail 5 s, postscreen 6 s), others
/// look for its name before. Three such looks, begun half a minute after a hang, still end within the minute.
const GREETING_TIMEOUT: Duration = Duration::from_secs(8);

impl ProbeDefaults {
    /// Period and longest look of a probe.
    pub(crate) fn times(&self, schedule: &Schedule) -> (Duration, Duration) {
        (schedule.every.unwrap_or(self.every), schedule.timeout.unwrap_or(self.timeout))
    }

    /// The check that follows from a probe.
    pub(crate) fn check(&self, id: CheckId, target: TargetId, look: &Look, flap: Flap) -> Check {
        let schedule = look.schedule;
        let every = schedule.every.unwrap_or(self.every);
        let least = match &look.probe {
            Probe::Exec(_) | Probe::Nagios(_) => PROGRAM_TIMEOUT,
            Probe::Tcp { speaks: Some(protocol), .. } | Probe::UnixSocket { speaks: Some(protocol), .. }
                if protocol.manner().opens.is_empty() =>
            {
                GREETING_TIMEOUT
            }
            _ => Duration::ZERO,
        };
        Check {
            id,
            target,
            probe: look.probe.clone(),
            every,
            every_soft: schedule.every_soft.unwrap_or(self.every_soft).min(every),
            timeout: schedule.timeout.unwrap_or(self.timeout.max(least)),
            fail_after: schedule.fail_after.unwrap_or(self.fail_after),
            recover_after: schedule.recover_after.unwrap_or(self.recover_after),
            flap,
            trend: None,
        }
    }
}

pub(crate) fn look(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Look> {
    let place = node.place;
    let made = |probe, schedule| Look { probe, schedule, place, key: key.to_owned() };
    match &node.value {
        Value::Scalar(_) => short(findings, node, key).map(|probe| made(probe, Schedule::default())),
        Value::Map(_) => {
            let probe = long(findings, node, key);
            let schedule = Schedule::filled(findings, node, key, None).unwrap_or_default();
            Some(made(probe?, schedule))
        }
        Value::List(_) => None,
    }
}

fn short(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Probe> {
    let text = node.text()?;
    match begun(text) {
        Some((Beginning::Web, _)) => return http(findings, node, key, text),
        Some((Beginning::Tcp(protocol), rest)) => return tcp(findings, node.place, key, rest, protocol),
        None => {}
    }
    if let Some(path) = text.strip_prefix(UNIX) {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') {
            return Some(Probe::UnixSocket { path: path.to_owned(), speaks: None });
        }
        let help = format!("write unix:/…/{}", cut(path));
        findings.error(node.place, key, format!("`{}` is no absolute path", cut(path)), help);
        return None;
    }
    findings.error(node.place, key, format!("`{}` is no probe", cut(text)), how(&PROBE_TEXT));
    None
}

fn long(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Probe> {
    let way = Way::one(findings, node, key)?;
    let name = way.name();
    let (value, place, around, key) = (node.get(name)?, place_of(node, name), key, joined(key, name));
    let text = || value.text().map(str::to_owned);
    let path = || text().filter(|path| path.starts_with('/'));
    Some(match way {
        Way::Http => return http(findings, node, &key, value.text()?),
        Way::Tcp => return tcp(findings, place, &key, value.text()?, Words::at(node, "speaks")),
        Way::Unix => Probe::UnixSocket { path: path()?, speaks: Words::at(node, "speaks") },
        Way::Exec => Probe::Exec(Box::new(command_of(value)?)),
        Way::Nagios => {
            let fails_on_warning = PROBE.held::<FailsOn>(node, "fail_on") == FailsOn::Warning;
            Probe::Nagios(Box::new(Plugin { command: command_of(value)?, fails_on_warning }))
        }
        Way::File => {
            Probe::File { path: path()?, age_max: node.duration_at("age_max"), size_max: node.size_at("size_max") }
        }
        Way::Executable => Probe::ProcessCount {
            executable: path()?,
            count_min: PROBE.held(node, "count_min"),
            count_max: node.whole_at("count_max").unwrap_or(u32::MAX),
        },
        Way::Unit => {
            let unit: Option<UnitName> = PROBE.heard(findings, node, around, name);
            Probe::Unit { unit: unit?, expect: PROBE.held(node, "state") }
        }
        Way::Process => Probe::Process { name: text()? },
        Way::Domain(at) => return (long::probe(at)?.read)(findings, value, &key),
    })
}

/// Whether this is the host itself, by name or by address.
pub(crate) fn is_local(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "localhost" | "::1" | "[::1]")
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

/// The status codes that are healthy, each a range; none at all is nobody's word.
#[derive(Clone)]
struct Statuses(Vec<(u16, u16)>);

impl Held for Statuses {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let texts: Vec<String> = Held::read(at, node, None)?;
        let found: Vec<_> = texts.iter().filter_map(|text| read_statuses(text)).collect();
        (!found.is_empty()).then_some(Self(found))
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        let one = |(from, to): &(u16, u16)| match from == to {
            true => Written::plain(from),
            false => Written::Text(format!("{from}-{to}")),
        };
        Some(Written::List(self.0.iter().map(one).collect()))
    }
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
    let nothing = Node::null(place);
    let Statuses(statuses) = EXPECT.held(expect.unwrap_or(&nothing), "status");
    Some(Probe::Http(Box::new(HttpProbe {
        url: url.to_owned(),
        method: PROBE.held(node, "method"),
        headers: node.table_at("headers"),
        statuses,
        body_contains: expect.and_then(|expect| expect.string_at("body")),
        answer_headers: expect.map(|expect| expect.table_at("header")).unwrap_or_default(),
        within: expect.and_then(|expect| expect.duration_at("within")),
        verify_certificate: !PROBE.held::<bool>(node, "insecure"),
        ca_file: node.path_at("ca"),
    })))
}
