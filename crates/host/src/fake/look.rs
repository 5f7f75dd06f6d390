//! How the fake machine answers to looks.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    condition::Value,
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    observation::Observation,
    probe::{CommandLine, HttpProbe, Probe},
    unit::{ActiveState, judge},
    units::Percent,
};

use super::machine::{Machine, Unit};
use crate::linux::domain;

/// Who answers on a port.
enum Answers {
    Nobody,
    Foreign,
    Unit { is_hung: bool, status: u16 },
}

impl Machine {
    /// How long a look takes: nothing, unless the machine is slow or what is asked hangs.
    #[must_use]
    pub fn look_takes(&self, probe: &Probe, timeout: Duration) -> Duration {
        let is_hung = match probe {
            Probe::Http(http) => matches!(self.answers(port_of(&http.url)), Answers::Unit { is_hung: true, .. }),
            _ => false,
        };
        if is_hung { timeout } else { self.slow.min(timeout) }
    }

    /// Observes once, at this moment.
    #[must_use]
    pub fn observe(&self, probe: &Probe, timeout: Duration) -> Observation {
        let is_late = self.slow >= timeout && self.slow > Duration::ZERO;
        match probe {
            Probe::Unit { .. } if is_late => Observation::unknown("systemd did not answer in time"),
            Probe::Unit { unit, expect } => match self.snapshot(unit) {
                Some(snapshot) => judge(*expect, snapshot),
                None => Observation::unknown("systemd does not answer on D-Bus: the connection was closed"),
            },
            Probe::Domain(_) if is_late => Observation::unknown("systemd did not answer in time"),
            _ if is_late => Observation::failing("no answer in time"),
            Probe::Tcp { port, .. } => match self.answers(Some(*port)) {
                Answers::Nobody => Observation::failing(format!("nothing listens on port {port}")),
                Answers::Foreign | Answers::Unit { .. } => Observation::healthy(format!("port {port} is open")),
            },
            Probe::Http(http) => self.http(http),
            Probe::Exec(command) => self.command(command),
            Probe::Nagios(plugin) => self.command(&plugin.command),
            Probe::Process { name } => match self.processes.contains(name) {
                true => Observation::healthy("running"),
                false => Observation::failing(format!("the process {name} does not run")),
            },
            Probe::Domain(probe) => domain::looks(probe).pretend(self),
            Probe::UnixSocket { .. } | Probe::ProcessCount { .. } | Probe::File { .. } | Probe::UnitFiles { .. } => {
                Observation::unknown("the fake machine has no files and no executables")
            }
        }
    }

    fn command(&self, command: &CommandLine) -> Observation {
        match self.failing_commands.get(&command.argv.join(" ")) {
            Some(said) => Observation::failing(said.as_str()),
            None => Observation::healthy("ended with code 0"),
        }
    }

    fn http(&self, http: &HttpProbe) -> Observation {
        let status = match self.answers(port_of(&http.url)) {
            Answers::Nobody => return Observation::failing("the connection was refused"),
            Answers::Unit { is_hung: true, .. } => return Observation::failing("no answer in time"),
            Answers::Unit { status, .. } => status,
            Answers::Foreign => 404,
        };
        match http.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
            true => Observation::healthy(format!("answered {status}")),
            false => Observation::failing(format!("answered {status}")),
        }
    }

    fn answers(&self, port: Option<u16>) -> Answers {
        let Some(port) = port else { return Answers::Nobody };
        let holds = |unit: &&Unit| {
            let has_process = matches!(unit.active, ActiveState::Active | ActiveState::Deactivating);
            unit.spec.port == Some(port) && has_process
        };
        match self.units.values().find(holds) {
            Some(unit) => Answers::Unit { is_hung: unit.is_hung, status: unit.status },
            None if self.taken_ports.contains(&port) => Answers::Foreign,
            None => Answers::Nobody,
        }
    }

    /// Who has a port, in words.
    #[must_use]
    pub fn port_owner(&self, port: u16) -> Option<String> {
        let has = |(_, unit): &(&UnitName, &Unit)| {
            unit.spec.port == Some(port) && (unit.leaves_port || unit.active == ActiveState::Active)
        };
        if self.taken_ports.contains(&port) {
            return Some("pid 4711 (squatter, no unit)".to_owned());
        }
        self.units.iter().find(has).map(|(name, _)| name.as_str().to_owned())
    }

    /// What the machine says that it is and has.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let facts = |(name, unit): (&UnitName, &Unit)| UnitFacts {
            description: "a unit of the fake".into(),
            ..UnitFacts::plain(name.clone(), unit.active)
        };
        let units = if self.is_bus_gone { Vec::new() } else { self.units.iter().map(facts).collect() };
        let uptime: (Box<str>, Value) = ("host.uptime".into(), Value::Duration(self.now));
        let available: (Box<str>, Value) = ("host.memory_available".into(), Value::Percent(Percent::of(1, 2)));
        let mut inventory = Inventory {
            hostname: "fake".into(),
            boot_id: "00000000-0000-0000-0000-000000000001".into(),
            units,
            facts: BTreeMap::from([uptime, available]),
            ..Inventory::default()
        };
        self.domains.tell(&mut inventory);
        inventory
    }
}

/// The port of a URL with a numeric port, or the scheme's own.
fn port_of(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None => Some(if scheme == "https" { 443 } else { 80 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_urls() {
        assert_eq!(port_of("http://127.0.0.1:5000/x"), Some(5000));
        assert_eq!(port_of("https://example.org/x"), Some(443));
        assert_eq!(port_of("nonsense"), None);
    }
}
