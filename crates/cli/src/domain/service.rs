//! Services at the terminal: `ansai init` proposes to watch them by their unit, and by the look to which they answered.
//! What a socket starts is not asked, which would start it; a service and its socket are one target.

use std::{collections::BTreeMap, fmt::Write as _};

use ansai_config::Configuration;
use ansai_document::written;
use ansai_model::{
    action::Action,
    domain::service::DOMAIN,
    id::{TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    probe::{HttpProbe, Probe, Protocol},
    runbook::Step,
    unit::ActiveState,
    validators,
};

use super::Domain;
use crate::{
    command::{
        doctor::{self, Finding},
        init::{Found, quoted, shown},
    },
    show,
};

/// How often a server is looked at that may log each connection, and still soon enough for a hang to be seen in a minute.
const SELDOM: &str = "every: 30s";

/// What is said of a unit that is proposed and does not run.
const HAS_FAILED: &str = "  # has failed: watched by its unit alone";

/// Services, each by its unit.
pub(super) struct Services;

impl Domain for Services {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "services"
    }

    fn amiss(&self, watched: usize, _: &Inventory, _: bool) -> Option<Finding> {
        let todo = "write each under `services:`; ansai init --output - shows those that run here";
        (watched == 0).then(|| doctor::warn("no service is watched, so none is healed", todo))
    }

    fn is_for_everybody(&self) -> bool {
        true
    }

    fn counted(&self, found: &Found) -> Option<String> {
        Some(match found.units().count() + found.sockets().count() {
            0 => "no service but the system's own".to_owned(),
            many => show::count(many, "service"),
        })
    }

    fn propose(&self, found: &Found, text: &mut String) {
        proposal(found, text);
    }

    fn short<'a>(&self, name: &'a str) -> &'a str {
        name.strip_suffix(".service").unwrap_or(name)
    }
}

/// What a key of a service or of a declared process comes to by its probes, its name and its other keys, on a host that has it.
pub(super) fn deduced(configuration: &Configuration, key: &str) -> Option<String> {
    let named = key.strip_prefix("services.").or_else(|| key.strip_prefix("processes."))?;
    let (name, key) = named.rsplit_once('.')?;
    let id = TargetId::of(DOMAIN.key, name).ok()?;
    // It may be there by a pattern.
    let unit = UnitName::new(name).ok().map(|unit| UnitFacts::plain(unit, ActiveState::Active));
    let bundle =
        configuration.bundle(&Inventory { units: unit.into_iter().collect(), ..Inventory::default() }, 1).ok()?;
    let target = bundle.parts().targets.get(&id)?;
    let rule = bundle.parts().rules.values().find(|rule| rule.target == id)?;
    let flow = |words: &[String]| {
        format!("[{}]", words.iter().map(|word| written::quoted(word)).collect::<Vec<_>>().join(", "))
    };
    match key {
        "port" => target.port.map(|port| port.to_string()),
        "configuration" => Some(flow(&target.configuration)).filter(|_| !target.configuration.is_empty()),
        "notifier" => Some(target.is_notifier.to_string()),
        "severity" => serde_json::to_value(rule.severity).ok()?.as_str().map(str::to_owned),
        "validate" => {
            let rungs = &bundle.parts().runbooks.get(&rule.runbook)?.rungs;
            rungs.iter().flat_map(|rung| &rung.steps).find_map(|step| match step {
                Step::Act { action: Action::Validate { command }, .. } => Some(flow(&command.argv)),
                Step::Act { .. } | Step::Wait(_) => None,
            })
        }
        _ => None,
    }
}

// Writing to a string cannot fail, so the results are dropped throughout.
fn proposal(found: &Found, text: &mut String) {
    text.push_str(
        "# Each is looked at in the way in which it answered now; seldom, where a server\n# logs each connection.\n",
    );
    let looks: BTreeMap<&str, String> =
        found.inventory.answering.iter().map(|one| (one.unit.as_str(), look(&one.probe))).collect();
    let is_empty = found.units().next().is_none() && found.sockets().next().is_none();
    text.push_str(if is_empty { "services: {}\n" } else { "services:\n" });
    for unit in found.units() {
        let name = unit.name.as_str();
        let _ = writeln!(text, "  # {}", shown(unit.description.as_str()));
        let validator =
            validators::for_unit(name).map(|validator| format!("  # validated with `{}`", validator.argv.join(" ")));
        let validator = validator.unwrap_or_default();
        let quoted = quoted(name);
        let sockets = found.sockets_of(&unit.name);
        let look = looks.get(name).filter(|look| !look.is_empty() && sockets.is_none());
        let sockets = sockets.map(|sockets| format!("  # {sockets} watched with it")).unwrap_or_default();
        let failed = if unit.active == ActiveState::Failed { HAS_FAILED } else { "" };
        let _ = match look {
            Some(look) => writeln!(text, "  {quoted}: {{probe: {look}}}{validator}"),
            None => writeln!(text, "  {quoted}: {{}}{validator}{sockets}{failed}"),
        };
    }
    for socket in found.sockets() {
        let _ = writeln!(text, "  # {}", shown(socket.description.as_str()));
        let service = socket.starts.as_ref();
        let name = quoted(service.unwrap_or(&socket.name).as_str());
        let _ = match service.and_then(|service| found.sockets_of(service)) {
            Some(sockets) => writeln!(text, "  {name}: {{}}  # rests until somebody asks; {sockets} watched with it"),
            None => writeln!(text, "  {name}: {{}}  # starts an instance for each connection"),
        };
    }
}

/// A look as it is written shortest; empty for what is no look at an answer.
fn look(probe: &Probe) -> String {
    match probe {
        Probe::Tcp { host, port, speaks } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let is_logged = |protocol: &Protocol| protocol.manner().is_logged;
            match speaks {
                Some(protocol) if !is_logged(protocol) => quoted(&format!("{}://{host}:{port}", protocol.name())),
                Some(protocol) => {
                    format!("{{tcp: {}, speaks: {}, {SELDOM}}}", quoted(&format!("{host}:{port}")), protocol.name())
                }
                None => format!("{{tcp: {}, {SELDOM}}}", quoted(&format!("{host}:{port}"))),
            }
        }
        Probe::UnixSocket { path, speaks: Some(protocol) } => {
            format!("{{unix: {}, speaks: {}}}", quoted(path), protocol.name())
        }
        Probe::Http(http) => web(http),
        Probe::UnixSocket { speaks: None, .. }
        | Probe::Unit { .. }
        | Probe::Exec(_)
        | Probe::Nagios(_)
        | Probe::Process { .. }
        | Probe::ProcessCount { .. }
        | Probe::File { .. }
        | Probe::UnitFiles { .. }
        | Probe::Domain(_) => String::new(),
    }
}

fn web(http: &HttpProbe) -> String {
    let usual = HttpProbe::get("");
    let mut keys = Vec::new();
    if http.statuses != usual.statuses {
        let statuses: Vec<String> = http.statuses.iter().map(|(from, to)| format!("{from}-{to}")).collect();
        keys.push(format!("expect: {{status: {}}}", statuses.join(", ")));
    }
    if !http.verify_certificate {
        keys.push("insecure: true".to_owned());
    }
    let url = quoted(&http.url);
    if keys.is_empty() { url } else { format!("{{http: {url}, {}}}", keys.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deduced_is_told_as_it_would_be_written() {
        let text = "services:\n  nginx.service: {probe: \"http://127.0.0.1:8080/\"}\n  'php*.service': {probe: \"tcp://127.0.0.1:9000\"}\n  \
                    b.service: {critical: true, port: 5}\n";
        let configuration = ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
        let expected = [
            ("services.nginx.service.port", Some("8080")),
            ("services.nginx.service.validate", Some("[nginx, \"-t\", \"-q\"]")),
            ("services.nginx.service.configuration", Some("[/etc/nginx]")),
            ("services.php-fpm.service.port", Some("9000")),
            ("services.b.service.validate", None),
            ("services.b.service.severity", Some("now")),
            ("services.c.service.port", None),
            ("services.NAME.port", None),
            ("disks./var.severity", None),
        ];
        for (key, value) in expected {
            assert_eq!(deduced(&configuration, key).as_deref(), value, "{key}");
        }
    }
}
