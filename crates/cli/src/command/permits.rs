//! `ansai permits`: who may disturb what serves, who waits for that and why. Who gets a permit is decided by the controller.

use ansai_model::id::PermitId;
use ansai_protocol::{
    link::Short,
    operation::FleetOperation,
    views::{FleetPermits, PermitView, RoleView, WaitingView},
};

use super::fleet;
use crate::{
    Paths, client,
    exit::{Code, Failure},
    fleet::PermitsCommand,
    show::{self, Cell},
};

pub(super) fn run(paths: &Paths, command: PermitsCommand) -> Result<Code, Failure> {
    match command {
        PermitsCommand::List => list(paths),
        PermitsCommand::Free { id, consent } => {
            let permit: PermitId = id.parse().map_err(|_| {
                let what = format!("`{id}` is no number of a permit");
                Failure::new(Code::Usage, what, "`ansai permits list` shows them, as p7")
            })?;
            let what = format!("free the permit {permit}; what has begun under it goes on, and others may have one");
            fleet::change(paths, &what, FleetOperation::FreePermit { id: permit }, consent)
        }
    }
}

fn list(paths: &Paths) -> Result<Code, Failure> {
    let permits: FleetPermits = client::read(client::of_controller(paths, "/v1/permits")?)?;
    match paths.json {
        true => show::print_json(&serde_json::to_value(&permits).unwrap_or_default()),
        false => show::print(picture(&permits, jiff::Timestamp::now().as_millisecond())),
    }
    Ok(Code::Ok)
}

fn picture(permits: &FleetPermits, now_ms: i64) -> show::Page {
    let held = match permits.permits.as_slice() {
        [] => show::Page::lines(["nobody holds a permit"]),
        held => held_table(held, now_ms),
    };
    let mut page = match &permits.none_is_given {
        Some(why) => show::Page::lines([why.as_str()]).above(&held),
        None => held,
    };
    if !permits.waiting.is_empty() {
        page = page.above(&show::Page::lines([String::new()])).above(&waiting_table(&permits.waiting, now_ms));
    }
    if !permits.roles.is_empty() {
        page = page.above(&show::Page::lines([String::new()])).above(&roles_table(&permits.roles));
    }
    page
}

fn of(role: Option<&Short>) -> String {
    role.map_or_else(|| "(none)".to_owned(), ToString::to_string)
}

fn held_table(held: &[PermitView], now_ms: i64) -> show::Page {
    let zone = &show::terminal().zone;
    let rows = held.iter().map(|permit| {
        vec![
            Cell::new(permit.id),
            Cell::new(&permit.host),
            Cell::new(of(permit.role.as_ref())),
            Cell::new(show::moment_in_row(permit.since_ms, now_ms, zone)),
            Cell::new(show::moment_in_row(permit.until_ms, now_ms, zone)),
            Cell::new(&permit.what),
        ]
    });
    show::table(&["PERMIT", "HELD BY", "ROLE", "SINCE", "UNTIL", "FOR"], &[5], rows)
}

fn waiting_table(waiting: &[WaitingView], now_ms: i64) -> show::Page {
    let zone = &show::terminal().zone;
    let rows = waiting.iter().map(|waiting| {
        vec![
            Cell::new(&waiting.host),
            Cell::new(of(waiting.role.as_ref())),
            Cell::new(show::moment_in_row(waiting.since_ms, now_ms, zone)),
            Cell::new(&waiting.what),
            Cell::new(waiting.why.as_ref().map(ToString::to_string).unwrap_or_default()),
        ]
    });
    show::table(&["WAITS", "ROLE", "SINCE", "FOR", "WHY"], &[3, 4], rows)
}

fn roles_table(roles: &[RoleView]) -> show::Page {
    let rows = roles.iter().map(|role| {
        vec![
            Cell::new(of(role.role.as_ref())),
            Cell::new(role.members),
            Cell::new(role.healthy),
            Cell::new(role.healthy_min),
            Cell::new(role.disturbed_max),
        ]
    });
    show::table(&["ROLE", "MEMBERS", "HEALTHY", "MUST STAY", "AT ONCE"], &[0], rows)
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{IncidentId, TargetId},
        rule::Severity,
    };

    use super::*;

    #[test]
    fn who_holds_and_who_waits_stand_there_with_the_reason() {
        let target = TargetId::of("service", "app.service").expect("a target");
        let permits = FleetPermits {
            schema: 1,
            none_is_given: None,
            permits: vec![PermitView {
                id: PermitId(7),
                host: "web-01".into(),
                role: Some("web".into()),
                incident: IncidentId(3),
                target: target.clone(),
                what: "restart app.service".into(),
                since_ms: 0,
                until_ms: 60_000,
            }],
            waiting: vec![WaitingView {
                host: "web-02".into(),
                role: None,
                incident: IncidentId(4),
                target,
                what: "restart app.service".into(),
                severity: Severity::Day,
                since_ms: 0,
                why: Some("p7 of web-01".into()),
            }],
            roles: vec![RoleView {
                role: Some("web".into()),
                members: 3,
                healthy: 2,
                healthy_min: 2,
                disturbed_max: 1,
            }],
        };
        let text = picture(&permits, 1_000).to_string();
        for word in ["p7", "web-01", "web-02", "p7 of web-01", "MUST STAY", "(none)"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let none = FleetPermits { permits: Vec::new(), waiting: Vec::new(), roles: Vec::new(), ..permits };
        assert_eq!(picture(&none, 0).to_string().trim(), "nobody holds a permit");
    }
}
