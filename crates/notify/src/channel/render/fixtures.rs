//! Reports as they come from the engine, for tests.

use std::time::Duration;

use ansai_model::{
    action::ActionOutcome,
    decision::{Choice, Decision, Gate, GateResult, Verdict},
    id::{CheckId, IncidentId, RouteId, RuleId, RunId, RungId, TargetId},
    incident::{Evidence, EvidenceKind, Phase, Resolution, SinceBy, Step, StepKind},
    notify::{Notice, NoticeKind},
    report::{Cause, History, Report},
    text::Text,
    time::{MonoTime, Now, WallTime},
};

/// 2026-11-21 02:04:05 UTC, later by some milliseconds.
pub(crate) fn at(millis: i64) -> Now {
    Now { mono: MonoTime(millis * 1_000_000), wall: WallTime(1_795_226_645_000 + millis) }
}

fn step(millis: i64, kind: StepKind) -> Step {
    Step { at: at(millis), kind }
}

pub(crate) fn report(incident: u64, phase: Phase) -> Report {
    let target = TargetId::new("service/nginx.service").unwrap();
    let check = CheckId::of(&target, "unit").unwrap();
    Report {
        rule: Some(RuleId::new("nginx").unwrap()),
        headline: Text::new("nginx.service was killed and is running again"),
        symptom: Text::new("the main process was killed by SIGKILL"),
        failing_since: at(0),
        since_by: SinceBy::Systemd,
        opened: at(2),
        commands: vec![format!("ansai report i{incident}")],
        ..Report::bare(IncidentId(incident), target, check, at(1500), phase)
    }
}

/// A service that was killed, restarted and verified.
pub(crate) fn healed() -> Report {
    let rung = RungId::new("restart").unwrap();
    Report {
        steps: vec![
            step(2, StepKind::Skipped { rung: RungId::new("port").unwrap(), why: Text::new("port 80 is free") }),
            step(
                3,
                StepKind::Started {
                    rung: rung.clone(),
                    run: RunId(12),
                    what: Text::new("restart nginx.service"),
                    is_harmless: false,
                },
            ),
            step(
                31,
                StepKind::Ended {
                    rung: rung.clone(),
                    run: RunId(12),
                    outcome: ActionOutcome::Succeeded { note: Text::new("job 812 is done") },
                    took: Duration::from_millis(28),
                },
            ),
            step(
                40,
                StepKind::Verified {
                    rung: rung.clone(),
                    seen: Text::new("active (running), HTTP 200 in 3 ms"),
                    after: Duration::from_millis(9),
                },
            ),
        ],
        evidence: vec![Evidence::new(
            "journalctl -u nginx.service",
            EvidenceKind::Log,
            "nginx.service: Main process exited, code=killed, status=9/KILL\n\x1b[31m<b>&\x07",
        )],
        cause: Some(Cause {
            text: Text::new("Somebody or something sent SIGKILL to the main process."),
            rule: Text::new("killed-by-signal"),
            seen_in: Text::new("the unit's exit status"),
        }),
        verified_by: Some(Text::new("unit active, HTTP 200 in 3 ms, stable for 30s")),
        downtime: Some(Duration::from_millis(40)),
        history: History {
            incidents: 2,
            outages: 2,
            by_others: 1,
            healed: 2,
            downtime: Duration::from_secs(3),
            last: Some(at(-86_400_000)),
        },
        advice: vec![Text::new("Find out who sends the signal: `ausearch -k kill` when auditd runs.")],
        ..report(7, Phase::Resolved(Resolution::Healed { rung }))
    }
}

/// A service that was not touched since a hold and a cooldown are in the way.
pub(crate) fn escalated() -> Report {
    let why = Text::new("the operator holds all action, and a person must see to it");
    let gate = |gate, verdict, why: &str| GateResult { gate, verdict, why: Text::new(why) };
    Report {
        headline: Text::new("nginx.service is down and ansai may not act"),
        decision: Some(Decision {
            at: at(2),
            proposal: Text::new("restart nginx.service"),
            choice: Choice::Escalate,
            until: None,
            gates: vec![
                gate(Gate::Hold, Verdict::Deny, "held by root since 01:00: migration"),
                gate(Gate::Cooldown, Verdict::Defer { until: Some(at(60_000)) }, "healed 4m ago, cooldown 5m"),
                gate(Gate::TargetBudget, Verdict::Allow, "1 of 5 within 1h"),
            ],
        }),
        steps: vec![step(3, StepKind::Escalated { why: why.clone() })],
        ..report(8, Phase::Escalated { why })
    }
}

/// A message about a report, on the routes named.
pub(crate) fn notice(kind: NoticeKind, report: Report, routes: &[&str]) -> Notice {
    let routes = routes.iter().map(|route| RouteId::new(route).unwrap()).collect();
    Notice { at: report.at, kind, routes, report, hosts: None }
}
