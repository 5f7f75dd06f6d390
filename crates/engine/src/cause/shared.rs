//! What can make many services of one host fail at once, and by what it is seen in one of them.
//! Like the causes of one incident it guesses nothing: a storm in whose members nothing is seen has no cause.

use alloc::{string::String, vec::Vec};

use ansai_model::{
    condition::Value,
    domain::{memory::KILLED_LATELY, service::UnitResult},
    incident::{Evidence, EvidenceKind, Incident},
    report::Cause,
    text::Text,
};

use super::{first_line, logged, unit};

/// A cause that one incident of a storm speaks for.
pub(crate) struct Found {
    pub(crate) cause: Cause,
    /// Whether one incident is enough to say so.
    pub(crate) is_sure: bool,
}

struct Rule {
    name: &'static str,
    text: &'static str,
    /// What is the cause itself: one of them is enough.
    is_it: fn(&Incident) -> Option<String>,
    /// What follows from it, and may have another reason.
    follows: fn(&Incident) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "storm-memory",
        text: "the memory of the host ran out",
        is_it: |i| {
            let lately = i.observation.figure(KILLED_LATELY) == Some(&Value::Bool(true));
            unit(i, |u| u.result == UnitResult::OomKill).or_else(|| lately.then(|| itself(i)))
        },
        follows: |i| logged(i, &["out of memory", "cannot allocate memory", "oom-kill"]),
    },
    Rule {
        name: "storm-disk",
        text: "a filesystem is full, or can no longer be written to",
        is_it: |i| (i.target.domain() == "disk").then(|| itself(i)),
        follows: |i| logged(i, &["no space left on device", "read-only file system", "disk quota exceeded"]),
    },
    Rule {
        name: "storm-bus",
        text: "the message bus went away, and what needs it ended",
        is_it: |i| is_named(i, &["dbus.service", "dbus-broker.service"]),
        follows: |i| {
            let words = ["connection to bus", "connection to the bus", "connect to bus", "system bus", "d-bus"];
            logged(i, &words)
        },
    },
    Rule {
        name: "storm-network",
        text: "the network went away",
        is_it: |i| is_named(i, &["systemd-networkd.service", "NetworkManager.service", "networking.service"]),
        follows: |i| {
            let words = ["network is unreachable", "no route to host", "temporary failure in name resolution"];
            logged(i, &words).or_else(|| logged(i, &["network is down", "cannot assign requested address"]))
        },
    },
    Rule {
        name: "storm-packages",
        text: "packages were changed just before",
        is_it: |_| None,
        follows: |i| {
            let found = i.evidence.iter().filter(|evidence| evidence.kind == EvidenceKind::Change);
            let mut lately = found.filter(|evidence| evidence.text.as_str().starts_with(Evidence::JUST_NOW));
            lately.next().map(|evidence| alloc::format!("{}: {}", evidence.source, first_line(evidence.text.as_str())))
        },
    },
];

/// The causes of a storm that an incident of it speaks for, the surest first.
pub(crate) fn seen_in(incident: &Incident) -> Vec<Found> {
    let found = |rule: &Rule| {
        let sure = (rule.is_it)(incident);
        let is_sure = sure.is_some();
        let seen_in = Text::new(sure.or_else(|| (rule.follows)(incident))?);
        Some(Found { cause: Cause { text: rule.text.into(), rule: rule.name.into(), seen_in }, is_sure })
    };
    RULES.iter().filter_map(found).collect()
}

fn itself(incident: &Incident) -> String {
    alloc::format!("{}: {}", incident.target, incident.observation.summary())
}

fn is_named(incident: &Incident, names: &[&str]) -> Option<String> {
    names.contains(&incident.target.name()).then(|| itself(incident))
}
