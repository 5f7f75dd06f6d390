//! How incidents are asked for a page at a time: which of them, from where on. Work for one page is bounded, whatever matches.

use std::{fmt, str::FromStr};

use ansai_model::{id::IncidentId, report::Report, time::WallTime};
use ansai_protocol::{link::HostId, record::HostIncident};

/// Most incidents of one page.
pub const PAGE_MAX: usize = 1_000;
/// Most incidents that are looked at for one page: what matches seldom is found over several.
pub const SCANNED_MAX: usize = 20_000;

/// Which incidents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentsOf {
    /// Of these hosts; of all, and the controller's own, when none is given.
    pub hosts: Option<Vec<HostId>>,
    /// Only those whose target's name has one of these parts; any when there is none.
    pub targets: Vec<String>,
    /// Whether those that have ended count.
    pub which: Which,
    /// Those behind this place, which is where the page before ended.
    pub after: Option<Cursor>,
    /// At most this many, and at most [`PAGE_MAX`].
    pub most: usize,
}

/// Which incidents by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// Those that have not ended.
    Open,
}

impl IncidentsOf {
    /// Whether one is asked for, but for its place.
    pub(crate) fn wants(&self, place: &Cursor, target: &str) -> bool {
        let is_of_host = |hosts: &Vec<HostId>| hosts.iter().any(|host| Some(host) == place.host.as_ref());
        self.hosts.as_ref().is_none_or(is_of_host)
            && (self.targets.is_empty() || self.targets.iter().any(|part| target.contains(part.as_str())))
    }

    pub(crate) fn most(&self) -> usize {
        self.most.clamp(1, PAGE_MAX)
    }
}

/// Incidents, newest first, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentPage {
    /// Those found.
    pub incidents: Vec<HostIncident>,
    /// Where to go on; nothing when there are no more. A page may be short, or empty, and still go on.
    pub next: Option<Cursor>,
}

/// A place in the order of incidents: when it was opened, then its host, then its number. As text it is
/// `opened/number/host`, which stays right when newer incidents come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When it was opened.
    pub opened: WallTime,
    /// Its host; none for one of the controller's own.
    pub host: Option<HostId>,
    /// Its number.
    pub id: IncidentId,
}

impl Cursor {
    /// The place of an incident.
    #[must_use]
    pub fn of(incident: &HostIncident) -> Self {
        Self { opened: WallTime(incident.incident.opened_ms), host: incident.host, id: incident.incident.id }
    }

    /// The place of the incident that a report is about.
    #[must_use]
    pub fn of_report(host: HostId, report: &Report) -> Self {
        Self { opened: report.opened.wall, host: Some(host), id: report.incident }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.opened.0, self.id.0, host_key(self.host.as_ref()))
    }
}

/// A host as a part of a key; empty where there is none.
pub(crate) fn host_key(host: Option<&HostId>) -> String {
    host.map(ToString::to_string).unwrap_or_default()
}

/// The host of a key; nothing when it is none.
#[expect(clippy::option_option, reason = "no host is a host of its own here")]
pub(crate) fn host_of(key: &str) -> Option<Option<HostId>> {
    if key.is_empty() { Some(None) } else { key.parse().ok().map(Some) }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a list; take `next` of the page before as it is")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;
    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.splitn(3, '/');
        let (Some(opened), Some(id), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoCursor);
        };
        let host = host_of(host).ok_or(NoCursor)?;
        let opened = WallTime(opened.parse().map_err(|_| NoCursor)?);
        Ok(Self { opened, host, id: IncidentId(id.parse().map_err(|_| NoCursor)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written_and_nothing_else_is() {
        for host in ["", "6f1c1e9c-0f5e-4a1e-8a53-0d4c5b0f2f11"] {
            let cursor = Cursor { opened: WallTime(-5), host: host_of(host).expect("valid"), id: IncidentId(7) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in ["", "1", "1/2", "x/2/a", "1/i2/a", "1/2/a b", "1/99999999999999999999/a", "1/2/\u{1b}"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(NoCursor), "{wrong}");
        }
    }
}
