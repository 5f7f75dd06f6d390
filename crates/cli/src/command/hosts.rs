//! `ansai hosts`: who is in the fleet, who waits, and what a person says of both.

use ansai_model::{observation::Health, text::Text, time::Shown};
use ansai_protocol::{
    link::Short,
    operation::FleetOperation,
    views::{FleetHosts, HostView, PendingView},
};

use super::{fleet, over_ssh};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    fleet::HostsCommand,
    show::{self, Cell},
};

pub(super) fn run(paths: &Paths, command: HostsCommand) -> Result<Code, Failure> {
    match command {
        HostsCommand::List { names, role } => list(paths, &names, role.as_deref()),
        HostsCommand::Add(args) => over_ssh::add(paths, args),
        HostsCommand::Accept { fingerprint, consent } => {
            let waits = pending(paths, &fingerprint)?;
            let fingerprint = Text::new(waits.fingerprint.to_string());
            let operation = FleetOperation::Accept { fingerprint, fresh: None };
            fleet::change(paths, &format!("accept {}", named(&waits)), operation, consent)
        }
        HostsCommand::Reject { fingerprint, consent } => {
            let waits = pending(paths, &fingerprint)?;
            let fingerprint = Text::new(waits.fingerprint.to_string());
            fleet::change(paths, &format!("reject {}", named(&waits)), FleetOperation::Reject { fingerprint }, consent)
        }
        HostsCommand::Rename { host, name, consent } => {
            let host = member(paths, &host)?.name;
            let what = format!("rename {host} to {name}");
            let operation = FleetOperation::Rename { host: Text::new(host.as_str()), name: Short::new(&name) };
            fleet::change(paths, &what, operation, consent)
        }
        HostsCommand::Remove { host, consent } => remove(paths, &host, consent),
    }
}

/// Its certificates end, so a person says the name again where nobody has said yes.
fn remove(paths: &Paths, host: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let host = member(paths, host)?;
    let about = if host.is_connected { "it is connected" } else { "it is not connected" };
    let what = format!("remove {} from the fleet ({about}; it comes back only by joining anew)", host.name);
    let operation = FleetOperation::Remove { host: Text::new(host.name.as_str()) };
    fleet::change_proven(paths, &what, host.name.as_str(), operation, consent)
}

pub(super) fn all(paths: &Paths) -> Result<FleetHosts, Failure> {
    client::read(client::of_controller(paths, "/v1/hosts")?)
}

/// A host that waits, as a person means it.
fn pending(paths: &Paths, fingerprint: &str) -> Result<PendingView, Failure> {
    let all = all(paths)?.pending;
    let digits = |text: &str| text.replace('-', "").to_lowercase();
    let wanted = digits(fingerprint);
    let is_meant = |waits: &&PendingView| !wanted.is_empty() && waits.fingerprint.to_string().starts_with(&wanted);
    let found: Vec<&PendingView> = all.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(
            Code::Usage,
            format!("no host with the fingerprint `{fingerprint}` waits"),
            "`ansai hosts list` shows those that do; the host itself prints its own when it joins",
        )),
        several => Err(Failure::new(
            Code::Usage,
            format!("`{fingerprint}` begins the fingerprints of {}", show::count(several.len(), "host")),
            "write more of it",
        )),
    }
}

fn named(waits: &PendingView) -> String {
    let replaces = waits.replaces.as_ref().map_or_else(String::new, |name| format!(", in place of the member {name}"));
    format!("{} ({}, from {}){replaces}", waits.name, waits.fingerprint.short(), waits.address)
}

/// A member of the fleet, by its name.
fn member(paths: &Paths, name: &str) -> Result<HostView, Failure> {
    let all = all(paths)?.hosts;
    if let Some(found) = all.iter().find(|host| host.name.as_str() == name || host.id.to_string() == name) {
        return Ok(found.clone());
    }
    let names: Vec<String> = all.iter().map(|host| host.name.to_string()).collect();
    let near = ansai_document::nearest_name(name, names.iter().map(String::as_str));
    let todo = near.map_or_else(
        || "`ansai hosts list` lists them".to_owned(),
        |near| format!("did you mean `{near}`? `ansai hosts list` lists them"),
    );
    Err(Failure::new(Code::Usage, format!("no host of the fleet is called `{name}`"), todo))
}

fn list(paths: &Paths, names: &[String], role: Option<&str>) -> Result<Code, Failure> {
    let mut all = all(paths)?;
    let is_named = |name: &Short| names.is_empty() || names.iter().any(|part| name.as_str().contains(part.as_str()));
    all.hosts.retain(|host| {
        is_named(&host.name) && role.is_none_or(|role| host.role.as_ref().is_some_and(|has| has.as_str() == role))
    });
    all.pending.retain(|waits| is_named(&waits.name) && role.is_none());
    all.expected.retain(|name| is_named(&Short::new(name)) && role.is_none());
    if paths.json {
        show::print_json(&serde_json::to_value(&all).unwrap_or_default());
        return Ok(Code::Ok);
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let members = match all.hosts.is_empty() {
        true => show::Page::from("no host has joined; `ansai token create` makes a token to join one by"),
        false => table(&all.hosts, now),
    };
    let troubles = all
        .hosts
        .iter()
        .filter(|host| !host.is_connected)
        .filter_map(|host| host.ssh_trouble.as_ref().map(|trouble| format!("{}: {trouble}", host.name)));
    let troubles: Vec<String> = troubles.collect();
    let members = match troubles.is_empty() {
        true => members,
        false => members.above(&show::Page::lines(std::iter::once(String::new()).chain(troubles))),
    };
    let page = if all.expected.is_empty() { members } else { members.above(&expected(&all.expected)) };
    let page = if all.pending.is_empty() { page } else { page.above(&waiting(&all.pending)) };
    show::print(page);
    Ok(Code::Ok)
}

/// How long ago something was, in a word.
pub(super) fn ago(at_ms: i64, now_ms: i64) -> String {
    let passed = u64::try_from(now_ms.saturating_sub(at_ms)).unwrap_or(0);
    format!("{} ago", Shown(std::time::Duration::from_millis(passed)))
}

/// Whether a host is heard, and since when not.
fn link(host: &HostView, now_ms: i64) -> String {
    match (host.is_connected, host.heard_ms) {
        (true, _) if host.over_ssh.is_some() && !host.is_twin => "up, over SSH".to_owned(),
        (false, Some(heard)) if host.over_ssh.is_some() => format!("silent, heard {}, over SSH", ago(heard, now_ms)),
        (false, None) if host.over_ssh.is_some() => "never heard, over SSH".to_owned(),
        (true, _) if host.is_twin => "TWINS".to_owned(),
        (true, _) => "up".to_owned(),
        (false, Some(heard)) => format!("silent, heard {}", ago(heard, now_ms)),
        (false, None) => "never heard".to_owned(),
    }
}

pub(super) fn table(hosts: &[HostView], now_ms: i64) -> show::Page {
    // Most fleets have none.
    let has_labels = hosts.iter().any(|host| !host.labels.is_empty());
    let mut head = vec!["HOST", "ROLE", "HEALTH", "TARGETS", "LINK", "CLOCK", "AGENT"];
    let mut spare = vec![6, 5];
    if has_labels {
        spare.push(head.len());
        head.push("LABELS");
    }
    let rows = hosts.iter().map(|host| {
        let health = if host.is_connected { host.health } else { Health::Unknown };
        let failing = if host.failing > 0 { format!(", {} failing", host.failing) } else { String::new() };
        let labels = has_labels.then(|| Cell::new(labels(host)));
        let row = [
            Cell::new(&host.name),
            Cell::new(host.role.as_ref().map(ToString::to_string).unwrap_or_default()),
            show::health(health),
            Cell::new(format!("{}{failing}", show::count(host.targets, "target"))),
            Cell::new(link(host, now_ms)),
            Cell::new(skew(host.ahead_ms)),
            Cell::new(&host.program),
        ];
        row.into_iter().chain(labels).collect()
    });
    show::table(&head, &spare, rows)
}

fn labels(host: &HostView) -> String {
    host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// How far a clock is off, when that is worth a word.
fn skew(ahead_ms: i64) -> String {
    let off = Shown(std::time::Duration::from_millis(ahead_ms.unsigned_abs()));
    match ahead_ms {
        ..=-2_000 => format!("{off} behind"),
        2_000.. => format!("{off} ahead"),
        _ => String::new(),
    }
}

fn waiting(pending: &[PendingView]) -> show::Page {
    let rows = pending.iter().map(|waits| {
        let replaces = waits.replaces.as_ref().map_or_else(String::new, |name| format!("replaces {name}?"));
        vec![
            Cell::new(waits.fingerprint.short()),
            Cell::new(&waits.name),
            Cell::new(waits.role.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::new(&waits.address),
            Cell::new(&waits.program),
            Cell::new(replaces),
        ]
    });
    let table = show::table(&["WAITS", "CALLS ITSELF", "ROLE", "FROM", "AGENT", ""], &[], rows);
    show::Page::from("\nto be accepted, when the host itself shows the same: ansai hosts accept WAITS").above(&table)
}

/// Who is to join, by the controller's configuration, and has not.
fn expected(names: &[String]) -> show::Page {
    let table = show::table(
        &["EXPECTED", "LINK"],
        &[],
        names.iter().map(|name| vec![Cell::new(name), Cell::new("not joined")]),
    );
    show::Page::from("\nto be joined there, with a token: ansai join --token-file FILE").above(&table)
}

#[cfg(test)]
mod tests {
    use ansai_protocol::link::{Fingerprint, HostId};

    use super::*;

    fn host(name: &str) -> HostView {
        HostView {
            id: HostId::of_chance([1; 16]),
            name: name.into(),
            role: Some("web".into()),
            labels: [].into(),
            program: "1.0.0".into(),
            address: "192.0.2.1".into(),
            is_connected: true,
            heard_ms: Some(1_000),
            ahead_ms: 0,
            joined_ms: 0,
            is_twin: false,
            health: Health::Healthy,
            targets: 3,
            failing: 0,
            open: 0,
            over_ssh: None,
            ssh_trouble: None,
        }
    }

    #[test]
    fn a_host_that_is_not_heard_is_unknown_however_well_it_was() {
        let silent = HostView { is_connected: false, ahead_ms: 3_600_000, ..host("web-02") };
        let failing = HostView { health: Health::Failing, failing: 1, is_twin: true, ..host("web-03") };
        let text = table(&[host("web-01"), silent, failing], 61_000).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("healthy") && lines[1].contains("up"), "{text}");
        assert!(lines[2].contains("unknown") && lines[2].contains("silent, heard 1m ago"), "{text}");
        assert!(lines[2].contains("1h ahead"), "{text}");
        assert!(lines[3].contains("FAILING") && lines[3].contains("3 targets, 1 failing"), "{text}");
        assert!(lines[3].contains("TWINS"), "{text}");
        assert!(!text.contains("LABELS"), "{text}");
        let labelled = HostView { labels: [("zone".into(), "a".into())].into(), ..host("web-04") };
        let text = table(&[host("web-01"), labelled], 61_000).to_string();
        assert!(text.contains("LABELS") && text.contains("zone=a"), "{text}");
    }

    #[test]
    fn who_is_expected_is_shown_with_the_way_in() {
        let text = expected(&["web-02.example.com".to_owned()]).to_string();
        let lines: Vec<&str> = text.trim().lines().collect();
        assert!(lines[0].contains("ansai join --token-file"), "{text}");
        assert!(lines[2].contains("web-02.example.com") && lines[2].contains("not joined"), "{text}");
    }

    #[test]
    fn who_waits_is_shown_with_what_a_person_compares() {
        let waits = PendingView {
            fingerprint: Fingerprint([0x3f; 32]),
            name: "new".into(),
            address: "192.0.2.7".into(),
            machine_id: "m".into(),
            program: "1.0.0".into(),
            role: Some("web".into()),
            labels: [].into(),
            since_ms: 0,
            until_ms: 9,
            replaces: Some("web-01".into()),
        };
        let text = waiting(&[waits]).to_string();
        for word in ["3f3f-3f3f-3f3f", "new", "web", "192.0.2.7", "replaces web-01?", "ansai hosts accept"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
