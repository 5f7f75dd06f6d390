//! The predecessor's services: a name, what may be looked at, and what was tried when it failed.

use std::{collections::BTreeMap, fmt::Write as _};

use ansai_document::{Findings, Node, Place};
use ansai_model::{cluster::is_host_name, validators};

use crate::{
    notes::{Fate, Notes},
    reader::{Reader, one_of},
    words::{duration, quoted, shown},
};

/// The key that holds them.
pub(super) const KEY: &str = "monitored_services";
/// Most services of one file.
const SERVICES_MAX: usize = 1_000;
const KEYS: &[&str] = &["name", "port", "domain", "critical", "socket_activated", "healing_strategies"];
const STRATEGIES: &[&str] =
    &["service_restart", "config_validation", "port_conflict", "database_check", "environment_check"];
/// Units that are databases, by the beginning of their names.
const DATABASES: &[&str] = &["postgresql", "mysql", "mariadb", "redis", "mongod", "valkey"];

/// A service, as far as it has a counterpart.
#[derive(Debug)]
pub(super) struct Service {
    unit: String,
    line: usize,
    port: Option<u64>,
    /// Where its pages are, as a web address.
    url: Option<String>,
    is_critical: bool,
    is_socket_activated: bool,
    /// Whether it was healed without being restarted, which is not repeated unasked.
    is_only_suggested: bool,
}

impl Service {
    pub(super) fn has_probe(&self) -> bool {
        self.port.is_some() || self.url.is_some()
    }

    /// Its line and the web address of its pages, when it has some.
    pub(super) fn page(&self) -> Option<(usize, &str)> {
        Some((self.line, self.url.as_deref()?))
    }
}

/// When probes look, and when they are judged.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// How long after a start they are not judged, in seconds.
    pub(crate) start_period: Option<u64>,
    /// Their period in seconds.
    pub(crate) every: Option<u64>,
    /// Failures before one is failing.
    pub(crate) fail_after: Option<u64>,
}

/// Reads `monitored_services`; `heals` says whether the whole file asks for healing.
pub(super) fn all(findings: &mut Findings<'_>, notes: &mut Notes<'_>, root: &Node, heals: bool) -> Vec<Service> {
    let Some(node) = root.get(KEY).filter(|node| !node.is_null()) else { return Vec::new() };
    let Some(list) = node.list() else {
        let what = format!("`{KEY}` is {}, and must be a list", node.kind());
        findings.error(node.place, KEY, what, "write `- name: nginx`".to_owned());
        return Vec::new();
    };
    if list.len() > SERVICES_MAX {
        let what = format!("there are {} services, and at most {SERVICES_MAX} are read", list.len());
        findings.error(node.place, KEY, what, "import them in several files".to_owned());
        return Vec::new();
    }
    let mut services: Vec<Service> = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for (index, node) in list.iter().enumerate() {
        let Some(service) = one(findings, notes, node, &format!("{KEY}[{index}]"), heals) else { continue };
        if let Some(line) = lines.get(&service.unit) {
            let what = format!("{} is there twice", service.unit);
            findings.error(node.place, KEY, what, format!("it stands in line {line} already; keep one of the two"));
            continue;
        }
        lines.insert(service.unit.clone(), service.line);
        services.push(service);
    }
    services
}

fn one(findings: &mut Findings<'_>, notes: &mut Notes<'_>, node: &Node, key: &str, heals: bool) -> Option<Service> {
    if node.map().is_none() {
        let what = format!("a service is a mapping, and this is {}", node.kind());
        findings.error(node.place, key, what, "write `- name: nginx`".to_owned());
        return None;
    }
    let mut reader = Reader { findings, node, prefix: format!("{key}.") };
    reader.strangers(notes, KEYS.iter().copied(), |_| false);
    let unit = unit(&mut reader);
    let (port, url) = (reader.number("port", 65_535), url(&mut reader));
    let is_socket_activated = reader.truth("socket_activated").unwrap_or_default();
    let is_critical = reader.truth("critical").unwrap_or_default();
    let strategies = strategies(&mut reader);
    let mut service = Service {
        unit: unit?,
        line: notes.line(node.place),
        port,
        url,
        is_critical,
        is_socket_activated,
        is_only_suggested: false,
    };
    if let Some(port) = service.port.filter(|_| service.is_socket_activated) {
        let why = format!("systemd holds port {port} for it, and whoever connects to the port starts it");
        let instead = "nothing; its socket is systemd's to watch";
        notes.add(Fate::Changed, reader.key_place("port"), &format!("{key}.port"), why, instead);
        service.port = None;
    }
    if let Some((strategies, place)) = strategies {
        service.is_only_suggested = heals && !strategies.contains(&"service_restart");
        let key = format!("{key}.healing_strategies");
        tried(notes, &key, place, &service, &strategies);
    }
    Some(service)
}

fn unit(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let Some(name) = reader.text("name") else {
        if reader.value("name").is_none() {
            reader.wrong(reader.node.place.beginning(), "name", "a service needs a name", "write `name: nginx`");
        }
        return None;
    };
    let place = reader.value("name").map_or(reader.node.place, |node| node.place);
    reader.unit_name("name", &name, place)
}

fn url(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let (text, place) = (reader.text("domain")?, reader.value("domain")?.place);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let (host, path) = rest.unwrap_or(&text).split_once('/').unwrap_or((rest.unwrap_or(&text), ""));
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let is_fine = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '@');
    if is_host_name(name) && host.chars().all(is_fine) && path.chars().all(is_fine) {
        return Some(if rest.is_some() { text } else { format!("https://{text}/") });
    }
    reader.wrong(place, "domain", format!("`{}` is no domain", shown(&text)), "write app.example.com");
    None
}

/// What was tried when it failed, when that was said.
fn strategies(reader: &mut Reader<'_, '_, '_>) -> Option<(Vec<&'static str>, Place)> {
    let key = "healing_strategies";
    let node = reader.value(key)?;
    let place = reader.key_place(key);
    let Some(list) = node.list() else {
        let what = format!("`{key}` is {}, and must be a list", node.kind());
        reader.wrong(node.place, key, what, "write [service_restart]");
        return None;
    };
    let mut found = Vec::new();
    for item in list.iter().take(SERVICES_MAX) {
        let text = item.text().unwrap_or_default();
        match STRATEGIES.iter().find(|strategy| **strategy == text) {
            Some(strategy) => found.push(*strategy),
            None => {
                let what = format!("there is no healing strategy `{}`", shown(text));
                reader.wrong(item.place, key, what, one_of(text, STRATEGIES));
            }
        }
    }
    Some((found, place))
}

/// What a strategy needs to be as good here as it was there.
fn tried(notes: &mut Notes<'_>, key: &str, place: Place, service: &Service, strategies: &[&str]) {
    let unit = &service.unit;
    if service.is_only_suggested {
        let why = format!("{unit} was healed without service_restart, and ansai's ladder ends with a restart");
        let instead = "read `ansai explain`, then write `autonomy: act` when a restart is right";
        notes.add(Fate::Changed, place, key, why, instead);
    }
    if strategies.contains(&"config_validation") && validators::for_unit(unit).is_none() {
        let why = format!("config_validation: no program is known that validates the configuration of {unit}");
        notes.add(Fate::Wanted, place, key, why, "name one: `validate: [PROGRAM, ARGUMENT]`");
    }
    if strategies.contains(&"port_conflict") && service.port.is_none() && !service.is_socket_activated {
        let why = format!("port_conflict: the port of {unit} is not said");
        notes.add(Fate::Wanted, place, key, why, "write `port: NUMBER`");
    }
    if strategies.contains(&"database_check") {
        let why = format!("database_check: which database {unit} needs is not said");
        notes.add(Fate::Wanted, place, key, why, format!("name its unit: `needs: [{}]`", database(notes, unit)));
    }
    if strategies.contains(&"environment_check") {
        let why = format!("environment_check: which files and directories {unit} needs is not said");
        let instead = "list them: `environment: [{directory: /PATH, owner: USER}]`";
        notes.add(Fate::Wanted, place, key, why, instead);
    }
}

/// The name of a database for an example: one of the file's, when it has one.
fn database(notes: &Notes<'_>, unit: &str) -> String {
    let words = notes.text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.@".contains(c))).take(100_000);
    let is_database = |word: &&str| DATABASES.iter().any(|name| word.starts_with(name)) && !unit.starts_with(*word);
    match words.into_iter().find(is_database) {
        Some(name) if name.ends_with(".service") => name.to_owned(),
        Some(name) => format!("{name}.service"),
        None => "postgresql.service".to_owned(),
    }
}

/// Writes the section. Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn write(text: &mut String, services: &[Service], timing: &Timing) {
    if services.is_empty() {
        text.push_str("\n# The old file watches no service; `ansai init` finds those of this host.\nservices: {}\n");
        return;
    }
    text.push_str("\n# Units are heard of through systemd; probes look besides.\nservices:\n");
    for service in services {
        let _ = writeln!(text, "  {}:  # line {}", quoted(&service.unit), service.line);
        let keys = keys(service, timing);
        match keys.is_empty() {
            true => text.push_str("    {}\n"),
            false => keys.iter().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            }),
        }
    }
}

fn keys(service: &Service, timing: &Timing) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(validator) = validators::for_unit(&service.unit) {
        lines.push(format!("# validated with `{}` before each restart", validator.argv.join(" ")));
    }
    if service.is_critical {
        lines.push("critical: true".to_owned());
    }
    if service.is_only_suggested {
        lines.push("autonomy: suggest  # service_restart was not among its strategies".to_owned());
    }
    if service.is_socket_activated {
        lines.push("expect: not-failed  # socket_activated: it may rest until somebody connects".to_owned());
    }
    lines.extend(service.port.map(|port| format!("port: {port}")));
    if let Some(period) = timing.start_period.filter(|_| service.has_probe()) {
        lines.push(format!("start_period: {}  # healthcheck_grace", duration(period)));
    }
    if service.has_probe() {
        let every = timing.every.map_or(String::new(), |every| format!(", every: {}", duration(every)));
        let fail_after = timing.fail_after.map_or(String::new(), |count| format!(", fail_after: {count}"));
        lines.push("probes:".to_owned());
        let port = service.port.map(|port| format!("  port: {{tcp: \"127.0.0.1:{port}\"{every}{fail_after}}}"));
        lines.extend(port);
        let url = service.url.as_deref().map(quoted);
        lines.extend(url.map(|url| format!("  domain: {{http: {url}{every}{fail_after}}}")));
    }
    // A comment alone is no value.
    if lines.iter().all(|line| line.starts_with('#')) && !lines.is_empty() {
        lines.push("{}".to_owned());
    }
    lines
}
