//! What can make many services of one host fail at once, and by what it is seen in one of them.
//! Like the causes of one incident it guesses nothing: a storm in whose members nothing is seen has no cause.

use alloc::{collections::BTreeSet, string::String, vec::Vec};

use ansai_model::{
    domain::Signs,
    id::{CheckId, IncidentId},
    incident::{Evidence, Incident},
    report::Cause,
    text::Text,
    unit::UnitResult,
};

use super::{changes::came_before, logged, unit};
use crate::view::View;

/// A cause that one incident of a storm speaks for.
pub(crate) struct Found {
    pub(crate) cause: Cause,
    /// Whether one incident is enough to say so.
    pub(crate) is_sure: bool,
}

/// What is asked when a cause is looked for in one incident: the view and the members of its storm.
struct Asked<'a> {
    view: View<'a>,
    members: &'a BTreeSet<IncidentId>,
}

struct Rule {
    name: &'static str,
    text: &'static str,
    /// What is the cause itself: one of them is enough.
    is_it: fn(&Asked<'_>, &Incident) -> Option<String>,
    /// What follows from it, and may have another reason.
    follows: fn(&Incident) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "storm-memory",
        text: "the memory of the host ran out",
        is_it: |_, i| {
            let lately = || Signs::is_killed(&i.observation).then(|| itself(i));
            unit(i, |u| u.result == UnitResult::OomKill).or_else(lately)
        },
        follows: |i| logged(i, &["out of memory", "cannot allocate memory", "oom-kill"]),
    },
    Rule {
        name: "storm-disk",
        text: "a filesystem is full, or can no longer be written to",
        is_it: |asked, i| is_where_they_write(asked, i).then(|| itself(i)),
        follows: |i| logged(i, &["no space left on device", "read-only file system", "disk quota exceeded"]),
    },
    Rule {
        name: "storm-bus",
        text: "the message bus went away, and what needs it ended",
        is_it: |_, i| is_named(i, &["dbus.service", "dbus-broker.service"]),
        follows: |i| {
            let words = ["connection to bus", "connection to the bus", "connect to bus", "system bus", "d-bus"];
            logged(i, &words)
        },
    },
    Rule {
        name: "storm-network",
        text: "the network went away",
        is_it: |_, i| is_named(i, &["systemd-networkd.service", "NetworkManager.service", "networking.service"]),
        follows: |i| {
            let words = ["network is unreachable", "no route to host", "temporary failure in name resolution"];
            logged(i, &words).or_else(|| logged(i, &["network is down", "cannot assign requested address"]))
        },
    },
    Rule {
        name: "storm-packages",
        text: "packages were changed just before",
        is_it: |_, _| None,
        follows: |i| {
            let is_of_packages = |found: &&Evidence| found.source.as_str().starts_with(Evidence::PACKAGES);
            let lines = i
                .evidence
                .iter()
                .filter(is_of_packages)
                .flat_map(|found| found.changes().map(move |(change, line)| (found, change, line)));
            let (found, _, line) =
                lines.filter(|(_, change, _)| came_before(i, change.at)).max_by_key(|(_, c, _)| c.at)?;
            Some(alloc::format!("{}: {line}", found.source))
        },
    },
];

/// The causes of a storm of these members that an incident of it speaks for, the surest first.
pub(crate) fn seen_in(view: View<'_>, members: &BTreeSet<IncidentId>, incident: &Incident) -> Vec<Found> {
    let asked = Asked { view, members };
    let found = |rule: &Rule| {
        let sure = (rule.is_it)(&asked, incident);
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

/// Whether this is a place where nothing can be written any more, and where a third of the members keep files at least. One
/// that is only filling up, or that nobody of them uses, makes no service fail.
fn is_where_they_write(asked: &Asked<'_>, incident: &Incident) -> bool {
    let place = &incident.target;
    let Some(unwritable) = Signs::unwritable(place) else { return false };
    let (view, members) = (asked.view, asked.members);
    let mut checks = unwritable.iter().filter_map(|name| CheckId::of(place, name).ok());
    if !checks.any(|check| view.is_failing(&check)) {
        return false;
    }
    let lives_on_it = |id: &&IncidentId| {
        let member = view.incident(**id);
        member
            .and_then(|member| view.bundle.parts().targets.get(&member.target))
            .is_some_and(|target| target.waits_on(place))
    };
    members.iter().filter(lives_on_it).count() * 3 >= members.len()
}
