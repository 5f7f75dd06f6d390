//! Which messages of hosts have one cause, and the one message that is said for them. It remembers nothing.

use std::collections::BTreeSet;

use ansai_model::{
    id::{RouteId, RuleId, TargetId},
    message::{Hosts, MessageGiven},
    notify::{Notice, NoticeKind, Route},
    report::Report,
    rule::Severity,
    text::{Counted, Text},
    time::Now,
};
use ansai_protocol::record::MessageRecord;

use crate::messages::is_quiet;

/// Most characters of a symptom that tell causes apart.
const SYMPTOM_MAX: usize = 200;
/// Most hosts of which a message says what each of them had to say.
const EACH_MAX: usize = 40;
/// Most commands of a host that are handed on.
const COMMANDS_MAX: usize = 8;

/// What messages have in common that are told as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// They are of storms: much failed at once.
    Storm { kind: NoticeKind, is_drill: bool },
    /// The same rule found the same kind of thing with the same symptom, but for its figures.
    Alike { kind: NoticeKind, is_drill: bool, rule: Option<RuleId>, domain: String, symptom: String },
}

impl Cause {
    pub(crate) fn of(message: &MessageGiven) -> Self {
        let MessageGiven { kind, report, .. } = message;
        let (kind, is_drill) = (*kind, report.is_drill);
        match report.storm {
            Some(_) => Self::Storm { kind, is_drill },
            None => Self::Alike {
                kind,
                is_drill,
                rule: report.rule.clone(),
                domain: report.target.domain().to_owned(),
                symptom: without_figures(report.symptom.as_str()),
            },
        }
    }
}

/// A symptom with one mark for each figure in it.
fn without_figures(symptom: &str) -> String {
    let mut text = String::new();
    let mut was_figure = false;
    for c in symptom.chars().take(SYMPTOM_MAX) {
        let is_figure = c.is_ascii_digit() || was_figure && matches!(c, '.' | ',' | ':');
        if !is_figure {
            text.push(c);
        } else if !was_figure {
            text.push('#');
        }
        was_figure = is_figure;
    }
    text
}

/// Whether a route takes what is said so of a target.
pub(crate) fn wants(route: &Route, kind: NoticeKind, target: &TargetId, severity: Severity) -> bool {
    route.scope.holds(target) && severity >= route.severity_min && (route.tell_healed || !is_quiet(kind))
}

/// The one message for all of these; nothing for none of them.
pub(crate) fn notice(members: &[&MessageRecord], routes: &[Route], now: Now) -> Option<Notice> {
    let mut members = members.to_vec();
    members.sort_by_key(|one| (std::cmp::Reverse(one.message.report.severity), one.at, one.key()));
    let first = *members.first()?;
    let hosts = Hosts::of(members.iter().map(|one| Text::new(one.name.as_str())))?;
    let is_wanted = |route: &&Route| {
        members.iter().any(|one| {
            let MessageGiven { kind, report, .. } = &*one.message;
            wants(route, *kind, &report.target, report.severity)
        })
    };
    let wanted: Vec<RouteId> = routes.iter().filter(is_wanted).map(|route| route.id.clone()).collect();
    // It was taken when somebody wanted it, and must not go nowhere for that.
    let routes = if wanted.is_empty() { routes.iter().map(|route| route.id.clone()).collect() } else { wanted };
    Some(Notice {
        at: now,
        kind: first.message.kind,
        routes,
        report: report(&members, first, &hosts),
        hosts: Some(hosts),
    })
}

/// The report of the first of them, which stands for all.
fn report(members: &[&MessageRecord], first: &MessageRecord, hosts: &Hosts) -> Report {
    let report = &first.message.report;
    let own = format!("ansai report --host {} {}", first.name, report.incident);
    let all = (members.len() > 1).then(|| "ansai incidents --fleet --open".to_owned());
    // They are for another host than the one on which this is read.
    let theirs = report.commands.iter().take(COMMANDS_MAX).map(|command| format!("# on {}: {command}", first.name));
    let commands = [own].into_iter().chain(all).chain(theirs).collect();
    let is_storm = report.storm.is_some();
    let shared = report.storm.as_ref().and_then(|storm| storm.cause.clone());
    let mut said = Report { commands, cause: shared.or_else(|| report.cause.clone()), storm: None, ..report.clone() };
    if members.len() > 1 {
        let over = match hosts.count() {
            1 => first.name.to_string(),
            many => format!("{many} hosts"),
        };
        let what = match is_storm {
            true => format!("{} of what failed at once", Counted(members.len(), "message")),
            false => Counted(members.len(), "message").to_string(),
        };
        said.headline = Text::new(format!("{} ({what} from {over})", report.headline));
        said.advice.insert(0, each(members));
    }
    said
}

/// What each of the first hosts has to say, once.
fn each(members: &[&MessageRecord]) -> Text {
    let lines: BTreeSet<String> =
        members.iter().map(|one| format!("{}: {}", one.name, one.message.report.headline)).collect();
    let more = lines.len().saturating_sub(EACH_MAX);
    let mut text: Vec<String> = lines.into_iter().take(EACH_MAX).collect();
    text.extend((more > 0).then(|| format!("and {more} more")));
    Text::new(format!("it is the same on each of these: {}", text.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symptom_is_the_same_whatever_its_figures() {
        let same = |one: &str, other: &str| without_figures(one) == without_figures(other);
        assert!(same("/var is 97.3 % full", "/var is 9 % full"));
        assert!(same("exit 1 after 12:30:11", "exit 137 after 0:1"));
        assert!(!same("/var is 97 % full", "/srv is 97 % full"));
        assert!(!same("killed", "killed 9"));
        assert_eq!(without_figures("7"), "#");
        assert!(without_figures(&"ä1".repeat(10_000)).chars().count() <= SYMPTOM_MAX);
    }
}
