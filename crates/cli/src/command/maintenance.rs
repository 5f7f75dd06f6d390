//! `ansai maintenance list`: the windows that are open. Opening and ending them stands in `operate.rs`.

use ansai_model::id::TargetId;
use ansai_protocol::{SCHEMA, ScopeView};
use jiff::tz::TimeZone;
use serde_json::json;

use super::target;
use crate::{
    Paths, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

pub(super) fn list(paths: &Paths, targets: &[String]) -> Result<Code, Failure> {
    let status = client::status(paths)?;
    let wanted = target::wanted(target::names(&status), targets)?;
    let mut windows = status.maintenance;
    windows.retain(|window| wanted.is_empty() || wanted.iter().any(|name| is_in(name, &window.scope)));
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "maintenance": windows})),
        false if windows.is_empty() => show::print("no maintenance window is open"),
        false => show::print(rendered(&windows, &show::terminal().zone)),
    }
    Ok(Code::Ok)
}

/// Whether a target is in a scope, by the words in which the agent tells it.
fn is_in(name: &str, scope: &str) -> bool {
    TargetId::new(name).is_ok_and(|target| target::scope_in_words(scope).holds(&target))
}

fn rendered(windows: &[ScopeView], zone: &TimeZone) -> show::Page {
    let rows = windows.iter().map(|window| {
        let until = window.until_ms.map(|until| show::moment(until, zone)).unwrap_or_default();
        vec![Cell::new(&window.scope), Cell::new(until), Cell::new(&window.by), Cell::new(&window.reason)]
    });
    show::table(&["SCOPE", "UNTIL", "OPENED BY", "REASON"], &[2], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_a_line_each() {
        let window = |scope: &str, by: &str, reason: &str| ScopeView {
            scope: scope.into(),
            by: by.into(),
            reason: reason.into(),
            until_ms: Some(1_700_000_000_000),
            ended_by: None,
        };
        let windows = [window("*", "configuration", "backup"), window("service/app.service", "root", "")];
        let expected = [
            " SCOPE                UNTIL                    OPENED BY      REASON",
            " *                    2023-11-14 22:13:20 UTC  configuration  backup",
            " service/app.service  2023-11-14 22:13:20 UTC  root",
        ];
        assert_eq!(rendered(&windows, &TimeZone::UTC).to_string(), expected.join("\n"));
    }
}
