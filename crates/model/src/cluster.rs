//! A fleet in the words of the predecessor: which host manages it, and which are managed. It says who is expected; who is taken
//! in is decided by tokens and people, never by a name.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use serde::{Deserialize, Serialize};

/// How a fleet is managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterMode {
    /// By one controller, to which every host comes.
    Centralized,
}

/// The hosts of a fleet, as the configuration of each of them says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// How it is managed, where that is said; there is one way.
    pub mode: Option<ClusterMode>,
    /// The host with the controller, as the others reach it.
    pub management_node: String,
    /// The hosts that are expected to join it.
    pub managed_hosts: Vec<String>,
}

/// What a host is in a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The one with the controller; it may be managed as well.
    Manages,
    /// One of those that are managed.
    IsManaged,
    /// Neither.
    None,
}

impl Cluster {
    /// Most hosts that are expected by name.
    pub const HOSTS_MAX: usize = 1_000;

    /// What the host is that calls itself so.
    #[must_use]
    pub fn part_of(&self, host: &str) -> Part {
        if means(&self.management_node, host) {
            return Part::Manages;
        }
        let is_managed = self.managed_hosts.iter().any(|name| means(name, host));
        if is_managed { Part::IsManaged } else { Part::None }
    }
}

/// Whether this can be the name or the address of a host.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.len() <= 253 && text.chars().all(is_fine) && !text.starts_with(['-', '.'])
}

/// The expected hosts that no member is, by name. A name without a domain means any with one, and each member is one of the
/// expected at most.
pub fn missing<'a>(expected: &'a [String], members: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if expected.is_empty() {
        return Vec::new();
    }
    let mut by_label: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in members.into_iter().map(plain) {
        by_label.entry(label(&name).into()).or_default().insert(name);
    }
    let mut is_there = |name: &&str| {
        let name = plain(name);
        by_label.get_mut(label(&name)).is_some_and(|members| members.remove(&name))
    };
    let mut left: Vec<&str> = expected.iter().map(String::as_str).filter(|name| !is_there(name)).collect();
    // Those that are called just so are taken by now: what is left of them cannot be meant by another name.
    left.retain(|name| {
        let name = plain(name);
        let label = label(&name);
        let Some(members) = by_label.get_mut(label) else { return true };
        let found = if label == name { members.pop_first() } else { members.take(label) };
        found.is_none()
    });
    left
}

/// Whether a written name means the host that calls itself so: it is the same, or one of the two has no domain.
fn means(written: &str, host: &str) -> bool {
    let (written, host) = (plain(written), plain(host));
    let label = label(&host);
    written == host || written == label || (host == label && self::label(&written) == label)
}

/// A name in one spelling.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    #[test]
    fn a_host_finds_itself_with_and_without_its_domain() {
        let cluster = Cluster {
            mode: None,
            management_node: "ctl.example.com".to_string(),
            managed_hosts: vec!["web-01.example.com".to_string(), "db-01".to_string()],
        };
        let parts = [
            ("ctl", Part::Manages),
            ("CTL.example.com.", Part::Manages),
            ("web-01", Part::IsManaged),
            ("web-01.example.com", Part::IsManaged),
            ("db-01.other.net", Part::IsManaged),
            ("web-01.other.net", Part::None),
            ("web", Part::None),
            ("", Part::None),
        ];
        for (host, part) in parts {
            assert_eq!(cluster.part_of(host), part, "{host}");
        }
    }

    #[test]
    fn a_member_is_one_of_the_expected_at_most() {
        let check = |expected: &[&str], members: &[&'static str], left: &[&str]| {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let members: Vec<String> = members.iter().map(ToString::to_string).collect();
            assert_eq!(missing(&expected, members.iter().map(String::as_str)), left, "{expected:?} {members:?}");
        };
        check(&["web-01.a.net", "web-02.a.net"], &["web-01"], &["web-02.a.net"]);
        check(&["web-01.a.net", "web-01.b.net"], &["web-01"], &["web-01.b.net"]);
        check(&["web-01.a.net", "web-01.b.net"], &["web-01.b.net", "web-01"], &[]);
        check(&["web-01"], &["web-01.a.net"], &[]);
        check(&["web-01", "web-01.a.net"], &["web-01.a.net"], &["web-01"]);
        check(&["web-01.a.net"], &["web-01.b.net"], &["web-01.a.net"]);
        check(&["DB-01"], &["db-01"], &[]);
        check(&[], &["db-01"], &[]);
        check(&["db-01"], &[], &["db-01"]);
    }
}
