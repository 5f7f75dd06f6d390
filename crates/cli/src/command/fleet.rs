//! The verbs that exist, over many hosts: the controller on this host is asked, and what would be changed is counted before.

use ansai_model::{fleet::FleetScope, id::IncidentId, observation::Health, policy::Scope, text::Text, time::Shown};
use ansai_protocol::{
    IncidentSummary, SCHEMA,
    operation::{FleetAnswer, FleetOperation, Reached},
    views::{FleetIncidents, FleetOperate, FleetRehearsed, FleetStatus, HostView, IncidentsAsked, RestraintView},
};
use serde_json::json;

use super::{consent, hosts, report};
use crate::{
    ConsentArgs, Paths, StatusArgs, client,
    exit::{Code, Failure},
    fleet::WideScopeArgs,
    show::{self, Cell},
};

/// Most hosts that an answer names.
const NAMED_MAX: usize = 10;

/// Whether a host is meant.
fn is_over(over: &FleetScope, host: &HostView) -> bool {
    match over {
        FleetScope::Fleet => true,
        FleetScope::Role(role) => host.role.as_ref().is_some_and(|has| has.as_str() == role.as_str()),
        FleetScope::Host(name) => host.name.as_str() == name.as_str(),
        FleetScope::Label { key, value } => {
            host.labels.iter().any(|(has, is)| has.as_str() == key.as_str() && is.as_str() == value.as_str())
        }
    }
}

/// The hosts that are meant now; at least one, but of the whole fleet.
pub(super) fn meant(paths: &Paths, over: &FleetScope) -> Result<Vec<HostView>, Failure> {
    let all = hosts::all(paths)?.hosts;
    let found: Vec<HostView> = all.into_iter().filter(|host| is_over(over, host)).collect();
    if found.is_empty() && *over != FleetScope::Fleet {
        let what = format!("{over} is none: no host of the fleet is meant");
        return Err(Failure::new(Code::Usage, what, "`ansai hosts list` lists them with their roles"));
    }
    Ok(found)
}

/// Says what would be done, and that it was not.
pub(super) fn unchanged(paths: &Paths, what: &str) {
    let text = format!("{what}\nnothing was changed (--dry-run)");
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(&text),
    }
}

/// Does something that a person asked for by its one name.
pub(super) fn change(
    paths: &Paths,
    what: &str,
    operation: FleetOperation,
    consent: ConsentArgs,
) -> Result<Code, Failure> {
    if !consent.rehearsal.dry_run {
        if let Some(context) = paths.context() {
            let hosts = show::count(rehearsed(paths, operation.clone())?, "host");
            // A person who works with several controllers sees which of them it is.
            let hosts = if what.contains(&hosts) { String::new() } else { format!(": {hosts}") };
            show::note(&format!("context {context}: {what}{hosts}"));
        }
        return tell(paths, operation);
    }
    rehearsed(paths, operation)?;
    let context = paths.context().map_or_else(String::new, |context| format!("context {context}: "));
    unchanged(paths, &format!("{context}{what}"));
    Ok(Code::Ok)
}

/// How many hosts an operation means, when it would not be refused.
pub(super) fn rehearsed(paths: &Paths, operation: FleetOperation) -> Result<usize, Failure> {
    let body = serde_json::to_value(FleetOperate { operation }).unwrap_or_default();
    let rehearsed: FleetRehearsed = client::read(client::tell_controller(paths, "/v1/rehearse", &body)?)?;
    Ok(rehearsed.hosts)
}

/// The same, when a person must write `name` again.
pub(super) fn change_proven(
    paths: &Paths,
    what: &str,
    name: &str,
    operation: FleetOperation,
    assent: ConsentArgs,
) -> Result<Code, Failure> {
    if !assent.rehearsal.dry_run {
        consent::ask(what, &consent::Proof::Text(name.to_owned()), assent)?;
    }
    change(paths, what, operation, assent)
}

fn tell(paths: &Paths, operation: FleetOperation) -> Result<Code, Failure> {
    let body = serde_json::to_value(FleetOperate { operation }).unwrap_or_default();
    let value = client::tell_controller(paths, "/v1/operate", &body)?;
    if paths.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    match client::read(value)? {
        FleetAnswer::Done { text, reached } => {
            let text = show::told(text.as_str(), &show::terminal().zone);
            let beyond: Vec<String> = reached.iter().flat_map(|reached| beyond(reached, &text)).collect();
            show::print(show::Page::lines(std::iter::once(text).chain(beyond)));
            Ok(Code::Ok)
        }
        // Orders are asked for elsewhere.
        FleetAnswer::Ordered { text, .. } => {
            show::print(text.as_str());
            Ok(Code::Ok)
        }
        FleetAnswer::Refused { why, suggestion } => {
            Err(Failure::new(Code::Refused, why.to_string(), suggestion.to_string()))
        }
        FleetAnswer::NotFound { what, suggestion } => {
            Err(Failure::new(Code::Failing, what.to_string(), suggestion.to_string()))
        }
    }
}

/// Who has not said that it obeys, and what goes on all the same, as far as the text does not name them: it names the first few.
fn beyond(reached: &Reached, text: &str) -> Vec<String> {
    let missing = reached.missing.iter().filter(|one| !names(text, &format!("{} ({})", one.host, one.why)));
    let going = reached.under_way.iter().filter(|one| !names(text, &format!("{} on {}", one.target, one.host)));
    let missing = missing.map(|one| format!("  {}: {}", one.host, one.why));
    missing.chain(going.map(|one| format!("  {}: {} was begun before and goes on", one.host, one.target))).collect()
}

/// Whether a text lists an entry, and not only one in which it is contained: `db-1` is no part of `prod-db-1` or `db-10`.
fn names(text: &str, entry: &str) -> bool {
    let is_whole = |(at, _): (usize, &str)| {
        let (before, after) = (&text[..at], &text[at + entry.len()..]);
        let begins = before.chars().next_back().is_none_or(char::is_whitespace);
        begins && after.chars().next().is_none_or(|next| next.is_whitespace() || ",;".contains(next))
    };
    text.match_indices(entry).any(is_whole)
}

/// The targets that are meant on each of the hosts.
pub(super) fn scope(args: &WideScopeArgs) -> Scope {
    if args.targets.is_empty() { Scope::All } else { Scope::Matching(patterns(&args.targets)) }
}

/// Names as people write them, as patterns: what targets other hosts have is not known here, so a word is also the name of a
/// service.
pub(super) fn patterns(words: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        let is_word = !word.is_empty() && !word.contains(['*', '?', '/']) && !word.ends_with(".service");
        let both = std::iter::once(word.clone()).chain(is_word.then(|| format!("{word}.service")));
        both.for_each(|pattern| {
            if !all.contains(&pattern) {
                all.push(pattern)
            }
        });
    }
    all
}

fn on(over: &FleetScope, scope: &Scope) -> String {
    match scope {
        Scope::All => over.to_string(),
        Scope::Matching(_) => format!("{scope} on {over}"),
    }
}

/// How many hosts are meant, with the first of their names.
pub(super) fn counted(what: &str, over: &FleetScope, scope: &Scope, hosts: &[HostView]) -> String {
    let mut names: Vec<String> = hosts.iter().take(NAMED_MAX).map(|host| host.name.to_string()).collect();
    if hosts.len() > NAMED_MAX {
        names.push(format!("and {} more", hosts.len() - NAMED_MAX));
    }
    let colon = if names.is_empty() { "" } else { ": " };
    format!("{what} {}: {}{colon}{}", on(over, scope), show::count(hosts.len(), "host"), names.join(", "))
}

/// What is asked of incidents.
pub(super) struct Wanted {
    pub(super) over: FleetScope,
    pub(super) targets: Vec<String>,
    pub(super) open: bool,
    pub(super) limit: usize,
}

fn pages(paths: &Paths, wanted: Wanted) -> Result<FleetIncidents, Failure> {
    let over = Some(wanted.over).filter(|over| *over != FleetScope::Fleet);
    let mut asked =
        IncidentsAsked { over, targets: wanted.targets, open: wanted.open, limit: wanted.limit, after: None };
    let mut found = FleetIncidents { schema: SCHEMA, incidents: Vec::new(), next: None };
    // Each page goes further, so this ends where the incidents do.
    loop {
        asked.limit = wanted.limit - found.incidents.len();
        let body = serde_json::to_value(&asked).unwrap_or_default();
        let page: FleetIncidents = client::read(client::tell_controller(paths, "/v1/incidents", &body)?)?;
        found.incidents.extend(page.incidents);
        found.next = page.next;
        asked.after.clone_from(&found.next);
        if found.incidents.len() >= wanted.limit || found.next.is_none() {
            return Ok(found);
        }
    }
}

pub(super) fn incidents(paths: &Paths, wanted: Wanted) -> Result<Code, Failure> {
    let (is_open, over) = (wanted.open, wanted.over.clone());
    let found = if wanted.limit == 0 { None } else { Some(pages(paths, wanted)?) };
    let found = found.unwrap_or(FleetIncidents { schema: SCHEMA, incidents: Vec::new(), next: None });
    if found.incidents.is_empty() && over != FleetScope::Fleet {
        // Of hosts that there are not, nothing is known; that is not to say that nothing happened there.
        meant(paths, &over)?;
    }
    match paths.json {
        true => show::print_json(&serde_json::to_value(&found).unwrap_or_default()),
        false if found.incidents.is_empty() && is_open => show::print("no incident is open"),
        false if found.incidents.is_empty() => show::print("there has been no incident"),
        false => show::print(rows(&found, jiff::Timestamp::now().as_millisecond())),
    }
    Ok(Code::Ok)
}

fn rows(found: &FleetIncidents, now_ms: i64) -> show::Page {
    let zone = &show::terminal().zone;
    let rows = found.incidents.iter().map(|one| {
        let incident = &one.incident;
        let drill = if incident.is_drill { "drill: " } else { "" };
        let downtime = incident.downtime_ms.map(|ms| Shown(std::time::Duration::from_millis(ms)).to_string());
        vec![
            Cell::new(one.host.as_deref().unwrap_or("(controller)")),
            Cell::new(incident.id),
            Cell::new(show::moment_in_row(incident.opened_ms, now_ms, zone)),
            Cell::new(show::state(incident)),
            Cell::new(downtime.unwrap_or_default()),
            Cell::new(format!("{drill}{}{}{}", incident.headline, seen_to(incident), told(incident))),
        ]
    });
    show::table(&["HOST", "INCIDENT", "OPENED", "STATE", "DOWN", "WHAT"], &[4, 2], rows)
}

/// Who sees to it, in a clause.
fn seen_to(incident: &IncidentSummary) -> String {
    let Some(seen_to) = incident.seen_to.as_ref().filter(|_| incident.is_open()) else { return String::new() };
    let reason = if seen_to.reason.as_str().is_empty() { String::new() } else { format!(": {}", seen_to.reason) };
    format!(" ({} sees to it{reason})", seen_to.by)
}

/// Who has told people of it at this controller, in a clause; where nobody has, its host does.
fn told(incident: &IncidentSummary) -> String {
    let told = incident.told.as_ref().filter(|_| incident.is_open());
    told.map(|by| format!(" (told by {by})")).unwrap_or_default()
}

/// The report on an incident of a host, or on its latest, of all or of one target.
pub(super) fn report(paths: &Paths, host: &str, incident: Option<&str>) -> Result<Code, Failure> {
    let number = incident.and_then(|text| text.parse::<IncidentId>().ok());
    let incident = match number {
        Some(number) => number.to_string(),
        None => {
            let over = FleetScope::Host(Text::new(host));
            let targets: Vec<String> = incident.map(str::to_owned).into_iter().collect();
            let wanted = Wanted { over: over.clone(), targets, open: false, limit: 1 };
            let latest = pages(paths, wanted)?.incidents.first().map(|one| one.incident.id.to_string());
            let Some(latest) = latest else {
                meant(paths, &over)?;
                let what = format!("there has been no incident on {host}");
                return Err(Failure::new(Code::Failing, what, "`ansai status --fleet` says how it is now"));
            };
            latest
        }
    };
    report::print(paths, client::of_controller(paths, &format!("/v1/reports/{host}/{incident}"))?)
}

/// The fleet at a glance.
pub(super) fn status(paths: &Paths, over: &FleetScope, shown: &StatusArgs) -> Result<Code, Failure> {
    let mut status: FleetStatus = client::read(client::of_controller(paths, "/v1/status")?)?;
    status.hosts.retain(|host| is_over(over, host));
    if status.hosts.is_empty() && *over != FleetScope::Fleet {
        let what = format!("{over} is none: no host of the fleet is meant");
        return Err(Failure::new(Code::Usage, what, "`ansai hosts list` lists them with their roles"));
    }
    let names: Vec<&str> = status.hosts.iter().map(|host| host.name.as_str()).collect();
    let is_named =
        |target: &str| shown.targets.is_empty() || shown.targets.iter().any(|part| target.contains(part.as_str()));
    status.unwell.retain(|one| names.contains(&one.host.as_str()) && is_named(one.status.target.as_str()));
    let is_failing = status.unwell.iter().any(|one| one.status.health == Health::Failing);
    match paths.json {
        true => show::print_json(&serde_json::to_value(&status).unwrap_or_default()),
        false => show::print(picture(&status, jiff::Timestamp::now().as_millisecond())),
    }
    Ok(if is_failing { Code::Failing } else { Code::Ok })
}

fn picture(status: &FleetStatus, now_ms: i64) -> show::Page {
    let mut head = Vec::new();
    if let Some(why) = &status.store_error {
        head.push(format!("NOTHING NEW IS KEPT: {why}"));
    }
    if status.untold > 0 {
        let messages = show::count(status.untold, "message");
        head.push(format!(
            "NOBODY IS TOLD of {messages} that hosts gave to this controller; `ansai controller doctor` helps"
        ));
    }
    let zone = &show::terminal().zone;
    let own = status.own.iter().map(|own| (show::moment_in_row(own.opened_ms, now_ms, zone), own));
    head.extend(own.map(|(since, own)| format!("{} (since {since}){}", own.headline, seen_to(own))));
    head.extend(status.restraints.iter().map(|restraint| restraint_line(restraint, now_ms)));
    let up = status.hosts.iter().filter(|host| host.is_connected).count();
    let failing = status.hosts.iter().filter(|host| host.is_connected && host.failing > 0).count();
    let waits = if status.pending > 0 {
        format!("; {} to be accepted (`ansai hosts list`)", status.pending)
    } else {
        String::new()
    };
    let expected = match status.expected {
        0 => String::new(),
        hosts => format!("; {hosts} expected and not joined (`ansai hosts list`)"),
    };
    head.push(format!(
        "{}: {up} connected, {failing} with something failing{waits}{expected}",
        show::count(status.hosts.len(), "host")
    ));
    let mut page = show::Page::lines(head);
    if !status.hosts.is_empty() {
        page = page.above(&hosts::table(&status.hosts, now_ms));
    }
    if status.unwell.is_empty() {
        return page;
    }
    let rows = status.unwell.iter().map(|one| {
        let told = if one.is_connected { String::new() } else { hosts::ago(one.told_ms, now_ms) };
        vec![
            Cell::new(&one.host),
            Cell::new(&one.status.target),
            show::health(one.status.health),
            Cell::new(told),
            Cell::new(&one.status.explanation),
        ]
    });
    page.above(&show::table(&["HOST", "TARGET", "HEALTH", "TOLD", "WHAT"], &[3], rows))
}

/// What holds over many, and who has not said that it obeys.
fn restraint_line(restraint: &RestraintView, now_ms: i64) -> String {
    let RestraintView { kind, over, scope, reason, by, missing, hosts, .. } = restraint;
    let reason = if reason.as_str().is_empty() { String::new() } else { format!(": {reason}") };
    let until = restraint
        .until_ms
        .map_or_else(String::new, |at| format!(", until {}", show::moment_in_row(at, now_ms, &show::terminal().zone)));
    let obeyed = match missing.len() {
        0 => format!("all of {hosts} obey"),
        count => {
            let names: Vec<&str> = missing.iter().take(NAMED_MAX).map(|name| name.as_str()).collect();
            format!("{} of {hosts} obey; not {}", hosts.saturating_sub(count), names.join(", "))
        }
    };
    format!("{} on {scope}, {over}, by {by}{until}{reason} ({obeyed}; {})", kind.as_str().to_uppercase(), restraint.end)
}

#[cfg(test)]
mod tests {
    use ansai_model::{fleet::RestraintKind, id::RestraintId};
    use ansai_protocol::{
        link::ControllerId,
        operation::{Missing, UnderWay},
    };

    use super::*;

    fn restraint(missing: &[&str]) -> RestraintView {
        RestraintView {
            id: RestraintId(3),
            kind: RestraintKind::Hold,
            over: "every host".into(),
            scope: "all targets".into(),
            reason: "moving".into(),
            by: "ada".into(),
            since_ms: 0,
            until_ms: None,
            hosts: 3,
            missing: missing.iter().map(|name| (*name).into()).collect(),
            end: "ansai release --fleet".into(),
        }
    }

    #[test]
    fn a_hold_says_who_has_not_heard_of_it() {
        let all = restraint_line(&restraint(&[]), 0);
        assert_eq!(all, "HOLD on all targets, every host, by ada: moving (all of 3 obey; ansai release --fleet)");
        let some = restraint_line(&restraint(&["web-01", "db-02"]), 0);
        assert!(some.contains("1 of 3 obey; not web-01, db-02"), "{some}");
        let reached = Reached {
            meant: 2,
            acknowledged: 1,
            missing: vec![Missing { host: "db-02".into(), why: "its link is down".into() }],
            under_way: vec![UnderWay {
                host: "web-01".into(),
                target: ansai_model::id::TargetId::new("service/app.service").expect("valid"),
            }],
        };
        let lines = beyond(&reached, "1 of 2 hold");
        assert_eq!(lines[0], "  db-02: its link is down");
        assert!(lines[1].contains("web-01: service/app.service was begun before"), "{lines:?}");
        let said = "1 of 2 hold; not reached: db-02 (its link is down); still under way: service/app.service on web-01";
        assert_eq!(beyond(&reached, said), [""; 0], "nothing is said twice");
        let others = "1 of 2 hold; not reached: prod-db-02 (its link is down), 1 more; begun before and still under way: \
                      service/app.service on web-010 and other-service/app.service on web-01";
        assert_eq!(beyond(&reached, others), lines, "who is named there is another one");
    }

    #[test]
    fn a_word_is_also_the_name_of_a_service() {
        let all = |words: &[&str]| patterns(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(all(&["nginx"]), ["nginx", "nginx.service"]);
        assert_eq!(all(&["nginx", "nginx.service", "nginx"]), ["nginx", "nginx.service"], "as it is told to be ended");
        assert_eq!(all(&["web*", "/var", "service/app.service", "shop.example.com"]).len(), 5);
    }

    #[test]
    fn a_controller_that_keeps_nothing_says_so_first() {
        let status = FleetStatus {
            schema: SCHEMA,
            version: "1.0.0".into(),
            controller: ControllerId::of_chance([1; 16]),
            epoch: 1,
            uptime_seconds: 5,
            store_error: Some("its filesystem is full".into()),
            untold: 1,
            pending: 2,
            expected: 3,
            own: Vec::new(),
            restraints: vec![restraint(&[])],
            hosts: Vec::new(),
            unwell: Vec::new(),
        };
        let text = picture(&status, 0).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NOTHING NEW IS KEPT: its filesystem is full");
        assert!(lines[1].starts_with("NOBODY IS TOLD of 1 message that hosts gave"), "{text}");
        assert!(lines[2].starts_with("HOLD on all targets"), "{text}");
        let expected = "0 hosts: 0 connected, 0 with something failing; 2 to be accepted (`ansai hosts list`); \
                        3 expected and not joined (`ansai hosts list`)";
        assert_eq!(lines[3], expected);
    }
}
