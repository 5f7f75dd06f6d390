//! The fleet's figures in Prometheus' text format, and the fleet's hosts as Prometheus finds what to scrape. Labels are bounded:
//! words of ours, and the names of so many hosts; a target's name is never one. It counts what the engine knows and decides
//! nothing.

use std::{collections::BTreeMap, fmt::Write};

use ansai_model::{fleet::RestraintKind, observation::Health, rule::Severity, text::visible_line, time::WallTime};
use ansai_protocol::{link::Short, record::RolloutState};
use serde::Serialize;

use crate::{answer::Reading, rollouts, views};

/// Most hosts that have figures of their own; the others are counted with the rest.
const HOSTS_MAX: usize = 2_000;
/// The port of an agent's own figures, as the documents write it, when none is asked for.
pub(crate) const AGENT_PORT: u16 = 9_560;

const SEVERITIES: [(Severity, &str); 3] = [(Severity::Now, "now"), (Severity::Day, "day"), (Severity::Week, "week")];
const STATES: [&str; 3] = ["connected", "silent", "away"];
const HEALTHS: [&str; 3] = ["healthy", "failing", "unknown"];
const ROLLOUTS: [&str; 3] = ["running", "done", "stopped"];

/// A host of its own on the page.
#[derive(Clone, Debug)]
struct HostFigures {
    name: String,
    role: String,
    program: String,
    is_connected: bool,
    heard_seconds: Option<f64>,
    targets: usize,
    failing: usize,
    open: usize,
}

/// What is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    hosts: Vec<HostFigures>,
    hosts_beyond: usize,
    states: [usize; STATES.len()],
    pending: usize,
    expected: usize,
    twins: usize,
    targets: [usize; HEALTHS.len()],
    incidents: [usize; SEVERITIES.len()],
    own_incidents: usize,
    restraints: [usize; RestraintKind::ALL.len()],
    missing: usize,
    rollouts: [usize; ROLLOUTS.len()],
    generation: u64,
    drifting: usize,
    sessions: usize,
    epoch: u64,
    uptime_seconds: u64,
    is_writable: bool,
}

impl Figures {
    /// As it stands.
    pub(crate) fn of(reading: &Reading<'_>, sessions: usize) -> Self {
        let books = reading.engine.books();
        let mut figures = Self {
            pending: views::pending(reading).len(),
            expected: views::expected(reading).len(),
            own_incidents: books.open_of(None).count(),
            generation: books.bundles.keys().next_back().copied().unwrap_or(0),
            drifting: rollouts::drift(reading).drift.len(),
            sessions,
            epoch: reading.epoch,
            uptime_seconds: reading.uptime.as_secs(),
            is_writable: reading.store.plight().is_none(),
            ..Self::default()
        };
        for host in reading.engine.hosts(reading.now) {
            figures.count(reading, &host);
        }
        for (restraint, reached) in reading.engine.restraints() {
            let kind = RestraintKind::ALL.iter().position(|kind| *kind == restraint.kind);
            kind.and_then(|kind| figures.restraints.get_mut(kind)).into_iter().for_each(|count| *count += 1);
            figures.missing += (reached.meant - reached.acknowledged.min(reached.meant)) as usize;
        }
        for rollout in books.rollouts.values() {
            let state = match rollout.state {
                RolloutState::Running => 0,
                RolloutState::Done => 1,
                RolloutState::Stopped { .. } => 2,
            };
            figures.rollouts[state] += 1;
        }
        figures
    }

    fn count(&mut self, reading: &Reading<'_>, host: &ansai_fleet::standing::HostStanding<'_>) {
        let is_connected = host.connected.is_some() && !host.is_silent;
        let state = match (is_connected, host.is_silent) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        self.states[state] += 1;
        self.twins += usize::from(host.are_twins);
        let unwell = reading.unwell.of(host.record.id);
        let failing = unwell.iter().filter(|target| target.status.health == Health::Failing).count();
        // What a host told that is not heard any more is not known to be so now.
        let [healthy, of_failing, unknown] = match is_connected {
            true => [host.targets.saturating_sub(unwell.len()), failing, unwell.len() - failing],
            false => [0, 0, host.targets],
        };
        self.targets.iter_mut().zip([healthy, of_failing, unknown]).for_each(|(all, own)| *all += own);
        for open in reading.engine.books().open_of(Some(host.record.id)) {
            let severity = SEVERITIES.iter().position(|(severity, _)| *severity == open.severity);
            severity.and_then(|at| self.incidents.get_mut(at)).into_iter().for_each(|count| *count += 1);
        }
        if self.hosts.len() >= HOSTS_MAX {
            self.hosts_beyond += 1;
            return;
        }
        let record = host.record;
        self.hosts.push(HostFigures {
            name: record.name.to_string(),
            role: record.role.as_ref().map(ToString::to_string).unwrap_or_default(),
            program: record.program.to_string(),
            is_connected,
            #[expect(clippy::cast_precision_loss, reason = "a time in seconds, to the millisecond for ages to come")]
            heard_seconds: host.heard.map(|WallTime(ms)| ms as f64 / 1000.0),
            targets: host.targets,
            failing,
            open: host.open,
        });
    }

    /// The page. It is written beside the loop.
    pub(crate) fn text(&self) -> String {
        let mut page = Page(String::with_capacity(8192 + 512 * self.hosts.len()));
        page.by("ansai_fleet_hosts", "Hosts by whether they are heard.", "state", &STATES, &self.states);
        page.one("ansai_fleet_hosts_pending", "Hosts that wait for a person.", self.pending);
        page.one("ansai_fleet_hosts_expected", "Hosts that are to join and have not.", self.expected);
        page.one("ansai_fleet_hosts_twins", "Hosts whose identity another one has as well.", self.twins);
        page.one("ansai_fleet_hosts_beyond", "Hosts that have no figures of their own here.", self.hosts_beyond);
        page.by(
            "ansai_fleet_targets",
            "Targets by health; unknown on hosts not heard.",
            "health",
            &HEALTHS,
            &self.targets,
        );
        let severities = SEVERITIES.map(|(_, word)| word);
        page.by("ansai_fleet_incidents_open", "Open incidents of hosts.", "severity", &severities, &self.incidents);
        page.one("ansai_fleet_own_incidents_open", "Open incidents that the controller found.", self.own_incidents);
        let kinds = RestraintKind::ALL
            .map(|kind| if kind == RestraintKind::Maintenance { "maintenance" } else { kind.as_str() });
        page.by("ansai_fleet_restraints", "What was said for many and is in force.", "kind", &kinds, &self.restraints);
        page.one("ansai_fleet_restraints_missing", "Acknowledgements of them that are missing.", self.missing);
        page.by("ansai_fleet_rollouts", "Configurations by how far they came.", "state", &ROLLOUTS, &self.rollouts);
        page.one("ansai_fleet_configuration_generation", "The newest configuration.", self.generation);
        page.one("ansai_fleet_hosts_drifting", "Hosts with another configuration.", self.drifting);
        page.one("ansai_fleet_link_sessions", "Links of hosts that are up.", self.sessions);
        page.one("ansai_fleet_controller_epoch", "The controller's life.", self.epoch);
        page.one("ansai_fleet_controller_uptime_seconds", "Since the controller runs.", self.uptime_seconds);
        page.one("ansai_fleet_store_writable", "Whether anything new is kept.", u8::from(self.is_writable));
        page.hosts(&self.hosts);
        page.0
    }
}

struct Page(String);

/// A value of a label, as the format wants it.
fn escaped(value: &str) -> String {
    visible_line(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Page {
    fn head(&mut self, name: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn one(&mut self, name: &str, help: &str, figure: impl std::fmt::Display) {
        self.head(name, help);
        let _ = writeln!(self.0, "{name} {figure}");
    }

    fn by(&mut self, name: &str, help: &str, label: &str, words: &[&str], figures: &[usize]) {
        self.head(name, help);
        for (word, figure) in words.iter().zip(figures) {
            let _ = writeln!(self.0, "{name}{{{label}=\"{word}\"}} {figure}");
        }
    }

    fn hosts(&mut self, hosts: &[HostFigures]) {
        self.head("ansai_fleet_host_info", "What a host is for, and its agent.");
        for host in hosts {
            let (name, role, program) = (escaped(&host.name), escaped(&host.role), escaped(&host.program));
            let _ =
                writeln!(self.0, "ansai_fleet_host_info{{host=\"{name}\",role=\"{role}\",version=\"{program}\"}} 1");
        }
        let mut each = |name: &str, help: &str, of: &dyn Fn(&HostFigures) -> Option<f64>| {
            self.head(name, help);
            for host in hosts {
                if let Some(figure) = of(host) {
                    let _ = writeln!(self.0, "{name}{{host=\"{}\"}} {figure}", escaped(&host.name));
                }
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "a host has far fewer than 2^52 of anything")]
        let count = |count: usize| Some(count as f64);
        each("ansai_fleet_host_connected", "Whether a host is heard.", &|host| count(usize::from(host.is_connected)));
        each("ansai_fleet_host_heard_timestamp_seconds", "When a host was last heard.", &|host| host.heard_seconds);
        each("ansai_fleet_host_targets", "Targets of a host.", &|host| count(host.targets));
        each("ansai_fleet_host_targets_failing", "Those that failed as it told last.", &|host| count(host.failing));
        each("ansai_fleet_host_incidents_open", "Open incidents of a host.", &|host| count(host.open));
    }
}

/// A host as Prometheus finds it (`http_sd_configs`).
#[derive(Debug, Serialize)]
pub(crate) struct Scraped {
    targets: [String; 1],
    labels: BTreeMap<String, String>,
}

/// Every host that has an address, at this port.
pub(crate) fn scraped(reading: &Reading<'_>, port: u16) -> Vec<Scraped> {
    let hosts = reading.engine.hosts(reading.now);
    let with_address = hosts.filter(|host| !host.record.address.as_str().is_empty());
    with_address
        .map(|host| {
            let record = host.record;
            let meta = |name: &str, value: String| (format!("__meta_ansai_{name}"), value);
            let own = [
                meta("host", record.name.to_string()),
                meta("host_id", record.id.to_string()),
                meta("role", record.role.as_ref().map(ToString::to_string).unwrap_or_default()),
                meta("connected", (host.connected.is_some() && !host.is_silent).to_string()),
            ];
            let labels =
                record.labels.iter().map(|(key, value)| meta(&format!("label_{}", word(key)), value.to_string()));
            Scraped { targets: [at(&record.address, port)], labels: own.into_iter().chain(labels).collect() }
        })
        .collect()
}

/// What a label's name may be.
fn word(key: &Short) -> String {
    key.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn at(address: &Short, port: u16) -> String {
    if address.as_str().contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rules of the text format: a head before each family, names and labels of its characters, no series twice.
    fn check(page: &str) -> BTreeMap<String, f64> {
        let (mut series, mut families, mut family) = (BTreeMap::new(), BTreeSet::new(), String::new());
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                rest.split(' ').next().unwrap_or_default().clone_into(&mut family);
                assert!(families.insert(family.clone()), "{family} comes twice");
                continue;
            }
            if line.starts_with("# TYPE ") {
                assert_eq!(line, format!("# TYPE {family} gauge"));
                continue;
            }
            let (name, figure) = line.rsplit_once(' ').expect("a figure");
            let plain = name.split('{').next().unwrap_or_default();
            assert_eq!(plain, family, "{line}");
            assert!(plain.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            if let Some(labels) = name.strip_prefix(plain).filter(|labels| !labels.is_empty()) {
                let inner = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("labels");
                let bare = inner.replace("\\\\", "").replace("\\\"", "");
                assert!(bare.matches('"').count().is_multiple_of(2), "{line}");
            }
            let figure = figure.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(series.insert(name.to_owned(), figure).is_none(), "{name} comes twice");
        }
        series
    }

    fn host(name: &str) -> HostFigures {
        HostFigures {
            name: name.to_owned(),
            role: "web".into(),
            program: "1.0.0".into(),
            is_connected: true,
            heard_seconds: Some(1_700_000_000.25),
            targets: 3,
            failing: 1,
            open: 1,
        }
    }

    #[test]
    fn the_page_is_as_prometheus_reads_it_whatever_hosts_are_called() {
        let names = ["web-01", "a\"b", "c\\", "d\n{e=\"f\"} 1\n", "ü\u{202e}", ""];
        let hosts: Vec<HostFigures> = names.map(host).into();
        let figures = Figures { hosts, states: [6, 0, 1], is_writable: true, ..Figures::default() };
        let series = check(&figures.text());
        assert_eq!(series["ansai_fleet_hosts{state=\"connected\"}"], 6.0);
        assert_eq!(series["ansai_fleet_store_writable"], 1.0);
        assert_eq!(series["ansai_fleet_host_heard_timestamp_seconds{host=\"web-01\"}"], 1_700_000_000.25);
        assert_eq!(series.keys().filter(|name| name.starts_with("ansai_fleet_host_info{")).count(), names.len());
        check(&Figures::default().text());
    }

    #[test]
    fn a_host_is_scraped_at_its_address() {
        assert_eq!(at(&"10.0.0.7".into(), 9100), "10.0.0.7:9100");
        assert_eq!(at(&"fd00::7".into(), 9100), "[fd00::7]:9100");
        assert_eq!(word(&"rack.id-2/ä".into()), "rack_id_2__");
    }
}
