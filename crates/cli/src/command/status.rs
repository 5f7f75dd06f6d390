//! `ansai status`: the agent and its targets. What stops it stands first, then how many targets are how, then what fails.

use std::{collections::BTreeSet, time::Duration};

use ansai_model::{id::TargetId, observation::Health};
use ansai_protocol::{ScopeView, Status, TargetStatus};
use jiff::tz::TimeZone;

use super::{join, operate::PLANNED, target};
use crate::{
    Paths, StatusArgs, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

mod head;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Rows of a terminal that stay free for what is said of the rest, and for what the person types next.
const ROWS_BELOW: usize = 2;

pub(super) fn status(paths: &Paths, shown: &StatusArgs) -> Result<Code, Failure> {
    let Asked { status, head } = asked(paths, shown)?;
    match paths.json {
        true => show::print_json(&serde_json::to_value(&status).unwrap_or_default()),
        false => show::print(rendered(&status, &head, &show::terminal().zone, rows(shown))),
    }
    let is_failing = status.targets.iter().any(|target| target.health == Health::Failing);
    Ok(if is_failing { Code::Failing } else { Code::Ok })
}

/// Shows it again and again until it is interrupted, or the agent is gone.
pub(super) fn watch(paths: &Paths, shown: &StatusArgs) -> Result<Code, Failure> {
    let mut is_first = true;
    while show::ended().is_none() {
        let Asked { status, head } = asked(paths, shown)?;
        if paths.json {
            show::print_json_line(&serde_json::to_value(&status).unwrap_or_default());
        } else {
            show::next_picture(std::mem::take(&mut is_first));
            show::print(rendered(&status, &head, &show::terminal().zone, rows(shown)));
        }
        // Nothing is waited for: it is how often a person can look at a picture, and the agent be asked for one.
        std::thread::sleep(WATCH_EVERY);
    }
    Ok(Code::Ok)
}

/// The status, with those of its targets that the person wants to see.
struct Asked {
    status: Status,
    /// How all targets are, also those that are not shown.
    head: Vec<String>,
}

/// On how many rows of a terminal what matters must stand; none when all is to be shown, or nobody looks.
fn rows(shown: &StatusArgs) -> Option<usize> {
    let is_whole = shown.all || !shown.targets.is_empty();
    show::terminal().rows.filter(|_| !is_whole)
}

/// A host that only runs a controller has an answer all the same.
fn of_controllers_host(paths: &Paths, failure: Failure) -> Failure {
    let is_without_agent = failure.code == Code::Unreachable && failure.what().starts_with(client::NO_AGENT);
    if !is_without_agent || !client::has_controller(paths) {
        return failure;
    }
    let todo = "a controller runs here: `ansai status --fleet` shows its hosts; systemctl start ansai watches this one";
    Failure::new(Code::Unreachable, failure.what(), todo)
}

fn asked(paths: &Paths, shown: &StatusArgs) -> Result<Asked, Failure> {
    let mut status = client::status(paths).map_err(|failure| of_controllers_host(paths, failure))?;
    if let Some(role) = &shown.role
        && status.role.as_ref() != Some(role)
    {
        let has = status.role.as_ref().map_or("has no role".to_owned(), |has| format!("has the role `{has}`"));
        let todo = "leave --role out, or write `agent: {role: …}` into the configuration";
        return Err(Failure::new(Code::Usage, format!("{} {has}, not `{role}`", status.host), todo));
    }
    if !shown.targets.is_empty() {
        let wanted = target::wanted(target::names(&status), &shown.targets)?;
        narrow(&mut status, &wanted);
    }
    let mut head = head::summary(&status.targets);
    status.targets.retain(|target| !shown.failed || target.health != Health::Healthy || warns(target));
    if status.targets.is_empty() && shown.failed {
        head.push("nothing of what was asked for fails, warns or is unknown".to_owned());
    }
    Ok(Asked { status, head })
}

/// Leaves only what is about these targets, and what is about the agent itself.
fn narrow(status: &mut Status, wanted: &BTreeSet<String>) {
    status.targets.retain(|target| wanted.contains(&target.target.to_string()));
    let named: Vec<TargetId> = status.targets.iter().map(|target| target.target.clone()).collect();
    for views in [&mut status.holds, &mut status.silences, &mut status.maintenance] {
        views.retain(|view| {
            let scope = target::scope_in_words(&view.scope);
            named.iter().any(|target| scope.holds(target))
        });
    }
    status.idle_patterns.clear();
}

/// What people look for first: what fails and is critical, what fails, what is unknown, what is held.
fn rank(target: &TargetStatus) -> (u8, bool, bool, bool) {
    let health = match target.health {
        Health::Failing => 0,
        Health::Unknown => 1,
        Health::Healthy => 2,
    };
    (health, is_calm(target), !target.is_critical, !target.is_held)
}

/// What somebody wants left alone: which targets, who, until when, why, and how it is ended.
#[derive(Clone, Copy)]
enum Restraint {
    Hold,
    Silence,
    Window,
}

impl Restraint {
    fn line(self, view: &ScopeView, zone: &TimeZone) -> String {
        let ScopeView { scope, by, reason, until_ms, ended_by } = view;
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let until = until_ms.map_or(String::new(), |until| format!(" until {}", show::moment(until, zone)));
        let arguments = target::scope_in_words(scope).arguments();
        if let Some(command) = ended_by {
            let what = match self {
                Self::Hold => "held",
                Self::Silence => "silenced",
                Self::Window => "in maintenance",
            };
            return format!("{what} by {by}{until}{reason}: {scope}; `{command}` on the controller ends that");
        }
        match self {
            Self::Hold => format!("held by {by}{until}{reason}: {scope}; `ansai release {arguments}` ends that"),
            Self::Silence => {
                format!("silenced by {by}{until}{reason}: {scope}; `ansai unsilence {arguments}` ends that")
            }
            Self::Window if by == PLANNED => {
                format!("in planned maintenance{until}{reason}: {scope}; `maintenance:` in the configuration says when")
            }
            Self::Window => {
                format!("in maintenance by {by}{until}{reason}: {scope}; `ansai maintenance end {arguments}` ends that")
            }
        }
    }
}

fn rendered(status: &Status, head: &[String], zone: &TimeZone, rows: Option<usize>) -> show::Page {
    let mut lines = head::agent(status);
    lines.extend(head.iter().cloned());
    let problems = [("HELD", &status.held), ("THE LEDGER CANNOT BE SAVED, nothing is done", &status.ledger_error)];
    lines.extend(problems.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why.as_ref()?))));
    if let Some(why) = &status.configuration_error {
        lines.push("THE NEW CONFIGURATION IS NOT APPLIED, the one before it stays in force:".to_owned());
        lines.extend(show::brief(why).into_iter().map(|line| format!("  {line}")));
    }
    lines.extend(status.controller.iter().map(|view| join::line(view, zone)));
    let restraints = [
        (Restraint::Hold, &status.holds),
        (Restraint::Silence, &status.silences),
        (Restraint::Window, &status.maintenance),
    ];
    for (restraint, views) in restraints {
        lines.extend(views.iter().map(|view| restraint.line(view, zone)));
    }
    lines.extend(status.idle_patterns.iter().map(|pattern| format!("{pattern}: no unit has such a name yet")));
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {}", show::told(warning.as_str(), zone))));
    if status.messages_waiting > 0 {
        lines.push(format!("{}; `ansai doctor` says why", waiting(status.messages_waiting)));
    }
    let mut targets: Vec<&TargetStatus> = status.targets.iter().collect();
    if targets.is_empty() {
        return show::Page::lines(lines);
    }
    targets.sort_by_key(|target| rank(target));
    lines.push(String::new());
    let above = show::Page::lines(lines);
    let whole = above.clone().above(&table(&targets, zone));
    let Some(rows) = rows.map(|rows| rows.saturating_sub(ROWS_BELOW)) else { return whole };
    let length = whole.to_string().lines().count();
    // What wants attention is shown in any case, and of the rest as much as there is room for.
    let calm = targets.iter().filter(|target| is_calm(target)).count();
    let folded = length.saturating_sub(rows).min(calm);
    if folded == 0 {
        return whole;
    }
    let (seen, _) = targets.split_at(targets.len() - folded);
    let be = if folded == 1 { "is" } else { "are" };
    let rest = format!("… and {folded} more that {be} healthy: `ansai status --all`");
    above.above(&table(seen, zone)).above(&show::Page::lines([rest]))
}

/// Whether nobody has to look at it.
fn is_calm(target: &TargetStatus) -> bool {
    target.health == Health::Healthy && target.incident.is_none() && !target.is_held && !warns(target)
}

/// Whether it works, so that nothing is healed, and a person should know something of it all the same. It is counted and shown
/// apart from what is healthy, and never makes the exit code.
fn warns(target: &TargetStatus) -> bool {
    target.health == Health::Healthy && target.warning.is_some()
}

/// Whether somebody wants it down, so that nobody has to find out why it does not run.
fn is_stopped(target: &TargetStatus) -> bool {
    target.health == Health::Unknown && target.stopped.is_some()
}

/// Who stopped it and when, when somebody did.
fn stopped(target: &TargetStatus, zone: &TimeZone) -> Option<String> {
    let stopped = target.stopped.as_ref().filter(|_| is_stopped(target))?;
    let since = stopped.since_ms.map(|since| format!(" since {}", show::moment(since, zone))).unwrap_or_default();
    let back = if stopped.why.as_str().starts_with("masked") { "unmasked and started" } else { "started" };
    Some(format!("{}{since}; nothing is done until it is {back}", stopped.why))
}

fn table(targets: &[&TargetStatus], zone: &TimeZone) -> show::Page {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let rows = targets.iter().map(|target| {
        let incident = target.incident.map(|id| id.to_string()).unwrap_or_default();
        let stopped = stopped(target, zone);
        let health = match target.health {
            _ if stopped.is_some() => show::stopped(),
            _ if warns(target) => show::warning(),
            health => show::health(health),
        };
        let text = match target.health {
            _ if stopped.is_some() && target.incident.is_none() => stopped.unwrap_or_default(),
            // That it is well again says why it has an incident.
            Health::Healthy if target.incident.is_some() => target.explanation.to_string(),
            Health::Healthy => target.warning.as_ref().unwrap_or(&target.summary).to_string(),
            // How bad it is matters more than what is done.
            Health::Failing if target::has_degrees(&target.target) => {
                format!("{}; {}", target.summary, target.explanation)
            }
            Health::Failing | Health::Unknown => target.explanation.to_string(),
        };
        // Its name stands before it.
        let name = target.target.name();
        let text = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
        vec![Cell::new(name), health, Cell::new(incident), Cell::new(show::told_in_row(text, now_ms, zone))]
    });
    let told = "`ansai explain TARGET` says the rest";
    show::brief_table(&["TARGET", "HEALTH", "INCIDENT", "DETAIL"], &[2], rows, show::DETAIL_LINES_MAX, told)
}

/// How many messages have not reached anybody.
pub(super) fn waiting(count: usize) -> String {
    match count {
        0 => "no message waits to be delivered".to_owned(),
        1 => "1 message waits to be delivered".to_owned(),
        many => format!("{many} messages wait to be delivered"),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{IncidentId, TargetId},
        rule::Autonomy,
        text::Text,
    };
    use ansai_protocol::{Own, SCHEMA, StoppedView, TargetStatus};

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
            stopped: None,
            warning: None,
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
        let of = |rows| rendered(&status, &head::summary(&status.targets), &TimeZone::UTC, rows).to_string();
        let text = of(None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "mode act 300, observe 1; 301 targets: 1 failing, 1 unknown, 299 healthy; 1 held");
        let table = lines.iter().position(|line| line.starts_with(" TARGET")).expect("a table");
        let first = |at: usize| lines[table + at].split_whitespace().next();
        assert_eq!([1, 2, 3].map(first), ["z.service", "a8.service", "a7.service"].map(Some));
        let screen = of(Some(24));
        assert_eq!(screen.lines().count(), 23, "{screen}");
        assert!(screen.ends_with("\n… and 289 more that are healthy: `ansai status --all`"), "{screen}");
        assert!(screen.contains(" z.service ") && screen.contains(" a7.service"), "{screen}");
        // What wants attention is never folded.
        assert_eq!(of(Some(1)).lines().count(), lines.len() - 298 + 1);
        assert_eq!(of(Some(400)), text);
    }

    /// A forecast names four moments; in a row of 80 columns they leave room for what else there is to say.
    #[test]
    fn a_forecast_is_told_briefly_in_a_row() {
        let minute = jiff::ToSpan::minutes(1);
        let now = jiff::Timestamp::now().round(jiff::Unit::Hour).expect("an hour");
        let at = |minutes: i64| now.checked_add(minute * minutes).expect("a time").to_string();
        let mut growing = target("service/app.service", Health::Failing, Some(1));
        growing.explanation = Text::new(format!(
            "reaches its limit of 2.0 GiB at about {} (between {} and {}); grows by 50.0 MiB an hour since {}",
            at(300),
            at(240),
            at(360),
            at(-300)
        ));
        let text = table(&[&growing], &TimeZone::UTC).to_string();
        let row = text.lines().last().expect("a row");
        let detail = row.split_once("reaches").expect("a detail").1;
        // Of a moment that is not today its day is said too, which is six more for each.
        let most = 115 + 4 * "12-02 ".len();
        assert!(detail.len() < most && detail.matches("UTC").count() == 1 && !detail.contains(":00:00"), "{row}");
    }

    #[test]
    fn what_has_degrees_says_first_how_bad_it_is() {
        let mut full = target("disk//var", Health::Failing, Some(1));
        full.summary = "97.2 % used".into();
        let text = table(&[&full], &TimeZone::UTC).to_string();
        assert!(text.ends_with("97.2 % used; waits 3s before the next attempt"), "{text}");
        let mut expired = target("certificate/partner", Health::Failing, Some(13));
        expired.summary = "partner: expired 668d ago".into();
        expired.explanation = "a person must see to it: no remedy is declared for it".into();
        let text = table(&[&expired], &TimeZone::UTC).to_string();
        assert!(text.ends_with("expired 668d ago; a person must see to it: no remedy is declared for it"), "{text}");
    }

    #[test]
    fn what_is_well_again_says_so_and_since_when() {
        let mut well = target("disk//var", Health::Healthy, Some(1));
        well.explanation =
            "it is well again since 2023-11-14T22:13:20Z, and watched until it has stayed so (i1)".into();
        let text = table(&[&well], &TimeZone::UTC).to_string();
        assert!(
            text.ends_with("it is well again since 2023-11-14 22:13:20 UTC, and watched until it has stayed so (i1)")
        );
        well.incident = None;
        well.summary = "/var: 60.0 % used".into();
        let text = table(&[&well], &TimeZone::UTC).to_string();
        assert!(text.ends_with(" /var    healthy            60.0 % used"), "its name stands once: {text}");
    }

    #[test]
    fn what_an_operator_stopped_is_shown_and_counted_as_such() {
        let mut down = target("service/app.service", Health::Unknown, None);
        down.stopped = Some(StoppedView { why: "stopped by an operator".into(), since_ms: Some(1_700_000_000_000) });
        let text = table(&[&down], &TimeZone::UTC).to_string();
        let words = "stopped            stopped by an operator since 2023-11-14 22:13:20 UTC; nothing is done until";
        assert!(text.contains(words), "{text}");
        let other = target("service/other.service", Health::Unknown, None);
        let counted = head::summary(&[down, other]).join(" ");
        assert!(counted.ends_with("0 failing, 1 unknown, 0 healthy, 1 stopped by an operator"), "{counted}");
    }

    #[test]
    fn what_is_well_and_has_a_warning_is_never_folded() {
        let mut half = target("service/app.service", Health::Healthy, None);
        half.warning = Some("its main process 7 is stopped".into());
        let text = table(&[&half], &TimeZone::UTC).to_string();
        assert!(text.ends_with(" app.service  warning            its main process 7 is stopped"), "{text}");
        assert!(!is_calm(&half) && rank(&half) < rank(&target("service/a.service", Health::Healthy, None)));
    }

    #[test]
    fn what_warns_is_counted_as_such_where_it_is_well_and_as_failing_where_it_fails() {
        let warning =
            |health| TargetStatus { warning: Some("slow".into()), ..target("service/b.service", health, None) };
        let well = target("service/a.service", Health::Healthy, None);
        let counted = head::summary(&[well.clone(), warning(Health::Healthy), warning(Health::Failing)]).join(" ");
        assert!(counted.ends_with("3 targets: 1 failing, 1 warning, 0 unknown, 1 healthy"), "{counted}");
        let counted =
            head::summary(&[warning(Health::Healthy), warning(Health::Healthy), warning(Health::Unknown)]).join(" ");
        assert!(counted.ends_with("3 targets: 0 failing, 2 warnings, 1 unknown, 0 healthy"), "{counted}");
        let text = table(&[&well, &warning(Health::Failing)], &TimeZone::UTC).to_string();
        assert!(text.contains(" healthy ") && text.contains(" FAILING ") && !text.contains("warning"), "{text}");
    }

    pub(super) fn status() -> Status {
        let view = |reason: &str, until_ms| ScopeView {
            scope: "nginx.service".into(),
            by: "root".into(),
            reason: reason.into(),
            until_ms,
            ended_by: None,
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
            idle_patterns: vec!["app@*.service".into()],
            controller: None,
            targets: vec![
                target("service/app.service", Health::Failing, Some(3)),
                target("service/nginx.service", Health::Healthy, None),
            ],
        }
    }

    #[test]
    fn what_stops_it_stands_above_the_targets() {
        let expected = [
            "ansai 1.0.0 on web1, up 1h1m, 8.0 MiB, 0.0 % CPU, configuration 2",
            "mode act; 2 targets: 1 failing, 0 unknown, 1 healthy",
            "THE LEDGER CANNOT BE SAVED, nothing is done: no space left",
            "held by root (moving): nginx.service; `ansai release nginx.service` ends that",
            "silenced by root until 2023-11-14 22:13:20 UTC: nginx.service; `ansai unsilence nginx.service` ends that",
            "app@*.service: no unit has such a name yet",
            "warning: the wall clock was set back by 5h",
            "2 messages wait to be delivered; `ansai doctor` says why",
            "",
            " TARGET         HEALTH   INCIDENT  DETAIL",
            " app.service    FAILING  i3        waits 3s before the next attempt",
            " nginx.service  healthy            active (running)",
        ];
        let status = status();
        let text = rendered(&status, &head::summary(&status.targets), &TimeZone::UTC, Some(24)).to_string();
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn a_configuration_that_is_refused_is_told_in_lines_of_their_own() {
        let mut status = status();
        let read = ansai_config::parse(&[("ansai.yaml".into(), "servces: {}\nautonomy: akt\n".to_owned())]);
        status.configuration_error = read.err().map(|wrong| wrong.to_string());
        let text = rendered(&status, &[], &TimeZone::UTC, None).to_string();
        let told = "THE NEW CONFIGURATION IS NOT APPLIED, the one before it stays in force:\n  \
                    error: there is no key `servces` here\n    --> ansai.yaml:1:1\n  \
                    1 more error: `ansai check` shows both\nheld by";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn of_what_was_not_asked_for_nothing_is_counted_or_told() {
        let mut status = status();
        status.holds.push(ScopeView { scope: "service/app.service".into(), ..status.holds[0].clone() });
        narrow(&mut status, &BTreeSet::from(["service/app.service".to_owned()]));
        let text = rendered(&status, &head::summary(&status.targets), &TimeZone::UTC, None).to_string();
        assert!(text.contains("\nmode act; 1 target: 1 failing, 0 unknown, 0 healthy\n"), "{text}");
        assert!(text.contains("`ansai release service/app.service`") && !text.contains("nginx"), "{text}");
        assert!(!text.contains("app@") && text.contains("THE LEDGER CANNOT BE SAVED"), "{text}");
    }

    #[test]
    fn where_nothing_is_shown_no_table_is() {
        let mut status = status();
        let head = head::summary(&status.targets);
        status.targets.clear();
        status.messages_waiting = 1;
        let text = rendered(&status, &head, &TimeZone::UTC, None).to_string();
        assert!(text.ends_with("\n1 message waits to be delivered; `ansai doctor` says why"), "{text}");
        assert!(text.contains("mode act; 2 targets: 1 failing"), "{text}");
    }
}
