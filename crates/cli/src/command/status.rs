//! `ansai status`: the agent and its targets. What stops it stands first, then how many targets are how, then what fails.

use std::{collections::BTreeSet, time::Duration};

use ansai_model::{observation::Health, rule::Autonomy, time::Shown, units::ByteSize};
use ansai_protocol::{Own, ScopeView, Status, TargetStatus};
use jiff::tz::TimeZone;

use super::target;
use crate::{
    Places, StatusArgs, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn status(places: &Places, shown: &StatusArgs) -> Result<Code, Failure> {
    let status = asked(places, shown)?;
    match places.json {
        true => show::print_json(&serde_json::to_value(&status).unwrap_or_default()),
        false => show::print(rendered(&status, &TimeZone::system())),
    }
    let is_failing = status.targets.iter().any(|target| target.health == Health::Failing);
    Ok(if is_failing { Code::Failing } else { Code::Ok })
}

/// Shows it again and again until it is interrupted, or the agent is gone.
pub(super) fn watch(places: &Places, shown: &StatusArgs) -> Result<Code, Failure> {
    loop {
        let status = asked(places, shown)?;
        if places.json {
            show::print_json_line(&serde_json::to_value(&status).unwrap_or_default());
        } else {
            show::next_picture();
            show::print(rendered(&status, &TimeZone::system()));
        }
        // Nothing is waited for: it is how often a person can look at a picture, and the agent be asked for one.
        std::thread::sleep(WATCH_EVERY);
    }
}

/// The status, with those of its targets that the person wants to see.
fn asked(places: &Places, shown: &StatusArgs) -> Result<Status, Failure> {
    let mut status = client::status(places)?;
    if let Some(role) = &shown.role
        && status.role.as_ref() != Some(role)
    {
        let has = status.role.as_ref().map_or("has no role".to_owned(), |has| format!("has the role `{has}`"));
        let todo = "leave --role out, or write `agent: {role: …}` into the configuration";
        return Err(Failure::new(Code::Usage, format!("{} {has}, not `{role}`", status.host), todo));
    }
    let names = target::names(&status);
    let wanted: Vec<Vec<String>> =
        shown.targets.iter().map(|name| target::holding(&names, name)).collect::<Result<_, _>>()?;
    let wanted: BTreeSet<&String> = wanted.iter().flatten().collect();
    status.targets.retain(|target| {
        let is_named = shown.targets.is_empty() || wanted.contains(&target.target.to_string());
        is_named && (!shown.failed || target.health != Health::Healthy)
    });
    Ok(status)
}

/// What people look for first: what fails and is critical, what fails, what is unknown, what is held.
fn rank(target: &TargetStatus) -> (u8, bool, bool) {
    let health = match target.health {
        Health::Failing => 0,
        Health::Unknown => 1,
        Health::Healthy => 2,
    };
    (health, !target.is_critical, !target.is_held)
}

/// What may be done by itself, and how many targets are how.
fn summary(targets: &[TargetStatus]) -> String {
    let count = |is_so: &dyn Fn(&TargetStatus) -> bool| targets.iter().filter(|target| is_so(target)).count();
    let words = [Autonomy::Act, Autonomy::Approve, Autonomy::Suggest, Autonomy::Observe]
        .map(|autonomy| (autonomy, count(&|target| target.autonomy.unwrap_or_default() == autonomy)));
    let modes: Vec<_> = words.into_iter().filter(|(_, count)| *count > 0).collect();
    let mode = match modes.as_slice() {
        [] => "nothing is watched".to_owned(),
        [(Autonomy::Observe, _)] => "observe: nothing is healed".to_owned(),
        [(only, _)] => only.as_str().to_owned(),
        several => {
            several.iter().map(|(mode, count)| format!("{} {count}", mode.as_str())).collect::<Vec<_>>().join(", ")
        }
    };
    let health = |health: Health| count(&|target| target.health == health);
    let mut line = format!(
        "mode {mode}; {} targets: {} failing, {} unknown, {} healthy",
        targets.len(),
        health(Health::Failing),
        health(Health::Unknown),
        health(Health::Healthy),
    );
    let held = count(&|target| target.is_held);
    if held > 0 {
        line.push_str(&format!("; {held} held"));
    }
    line
}

/// A hold, a silence or a maintenance window in a line.
fn restraint(name: &str, view: &ScopeView, zone: &TimeZone) -> String {
    let reason = if view.reason.is_empty() { String::new() } else { format!(": {}", view.reason) };
    let until = view.until_ms.map_or(String::new(), |until| format!(" until {}", show::moment(until, zone)));
    format!("{name} on {}{until}, by {}{reason}", view.scope, view.by)
}

fn rendered(status: &Status, zone: &TimeZone) -> show::Page {
    let uptime = Shown(Duration::from_secs(status.uptime_seconds));
    let Status { version, host, generation, .. } = status;
    let own = status.own.as_ref().map(own).unwrap_or_default();
    let mut lines = vec![
        format!("ansai {version} on {host}, up {uptime}, configuration {generation}{own}"),
        summary(&status.targets),
    ];
    let problems = [
        ("HELD", &status.held),
        ("THE LEDGER CANNOT BE SAVED, nothing is done", &status.ledger_error),
        ("THE NEW CONFIGURATION IS NOT APPLIED", &status.configuration_error),
    ];
    lines.extend(problems.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why.as_ref()?))));
    let restraints = [("hold", &status.holds), ("silence", &status.silences), ("maintenance", &status.maintenance)];
    for (name, views) in restraints {
        lines.extend(views.iter().map(|view| restraint(name, view, zone)));
    }
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {warning}")));
    if status.messages_waiting > 0 {
        lines.push(format!("{} messages wait to be delivered", status.messages_waiting));
    }
    lines.push(String::new());
    let mut targets: Vec<&TargetStatus> = status.targets.iter().collect();
    targets.sort_by_key(|target| rank(target));
    let rows = targets.into_iter().map(|target| {
        let incident = target.incident.map(|id| id.to_string()).unwrap_or_default();
        let text = if target.health == Health::Healthy { &target.summary } else { &target.explanation };
        vec![Cell::new(target.target.name()), show::health(target.health), Cell::new(incident), Cell::new(text)]
    });
    show::Page::lines(lines).above(&show::table(&["TARGET", "HEALTH", "INCIDENT", ""], rows))
}

/// What the agent takes, at the end of a line.
fn own(own: &Own) -> String {
    let load = own.cpu_percent.map(|percent| format!(", {percent:.1} % of a core"));
    format!(", {} of memory{}", ByteSize(own.memory_bytes), load.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ansai_model::id::{IncidentId, TargetId};
    use ansai_protocol::{SCHEMA, TargetStatus};

    use super::*;

    fn target(name: &str, health: Health, incident: Option<u64>) -> TargetStatus {
        TargetStatus {
            target: TargetId::new(name).expect("valid"),
            health,
            summary: "active (running)".into(),
            incident: incident.map(IncidentId),
            explanation: "waits 3s before the next attempt".into(),
            is_critical: false,
            autonomy: Some(Autonomy::Act),
            is_held: false,
        }
    }

    #[test]
    fn what_fails_stands_on_the_first_screen_of_hundreds() {
        let mut status = status();
        status.targets = (0..300).map(|n| target(&format!("service/a{n}.service"), Health::Healthy, None)).collect();
        status.targets.push(target("service/z.service", Health::Failing, Some(1)));
        status.targets[7].is_held = true;
        status.targets[8].health = Health::Unknown;
        status.targets[9].autonomy = Some(Autonomy::Observe);
        let text = rendered(&status, &TimeZone::UTC).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "mode act 300, observe 1; 301 targets: 1 failing, 1 unknown, 299 healthy; 1 held");
        let table = lines.iter().position(|line| line.starts_with(" TARGET")).expect("a table");
        let first = |at: usize| lines[table + at].split_whitespace().next();
        assert_eq!([1, 2, 3].map(first), ["z.service", "a8.service", "a7.service"].map(Some));
    }

    fn status() -> Status {
        let view = |reason: &str, until_ms| ScopeView {
            scope: "nginx.service".into(),
            by: "root".into(),
            reason: reason.into(),
            until_ms,
        };
        Status {
            schema: SCHEMA,
            version: "1.0.0".into(),
            pid: 1,
            host: "web1".into(),
            role: None,
            uptime_seconds: 3700,
            generation: 2,
            configuration_error: None,
            ledger_error: Some("no space left".into()),
            held: None,
            holds: vec![view("moving", None)],
            silences: vec![view("", Some(1_700_000_000_000))],
            maintenance: vec![],
            messages_waiting: 2,
            warnings: vec!["the wall clock was set back by 5h".into()],
            own: Some(Own { memory_bytes: 8 << 20, memory_bytes_max: 64 << 20, cpu_ms: 900, cpu_percent: Some(0.04) }),
            targets: vec![
                target("service/app.service", Health::Failing, Some(3)),
                target("service/nginx.service", Health::Healthy, None),
            ],
        }
    }

    #[test]
    fn what_stops_it_stands_above_the_targets() {
        let expected = [
            "ansai 1.0.0 on web1, up 1h1m, configuration 2, 8.0 MiB of memory, 0.0 % of a core",
            "mode act; 2 targets: 1 failing, 0 unknown, 1 healthy",
            "THE LEDGER CANNOT BE SAVED, nothing is done: no space left",
            "hold on nginx.service, by root: moving",
            "silence on nginx.service until 2023-11-14 22:13:20, by root",
            "warning: the wall clock was set back by 5h",
            "2 messages wait to be delivered",
            "",
            " TARGET         HEALTH   INCIDENT",
            " app.service    FAILING  i3        waits 3s before the next attempt",
            " nginx.service  healthy            active (running)",
        ];
        assert_eq!(rendered(&status(), &TimeZone::UTC).to_string(), expected.join("\n"));
    }
}
