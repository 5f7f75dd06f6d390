//! What simulated agents say of themselves: as long as what real ones say, and made of the same types.

use ansai_model::{
    id::{CheckId, IncidentId, RungId, TargetId},
    incident::{Evidence, EvidenceKind, Phase, Resolution},
    observation::Health,
    report::Report,
    rule::Severity,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{IncidentSummary, TargetStatus, link::Change};

/// What all of them are for.
pub(crate) const ROLE: &str = "web";
/// How many targets each of them has.
pub(crate) const TARGETS: u64 = 5;
/// What a service said before it fell: as much as a report holds at the most often.
const LOG_LINES: usize = 20;

/// Where an incident stands, as far as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A service has fallen.
    Failed,
    /// It is back, and is watched.
    Back,
    /// It has stayed well.
    Over,
}

impl Stage {
    /// What follows it, if anything does.
    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::Failed => Some(Self::Back),
            Self::Back => Some(Self::Over),
            Self::Over => None,
        }
    }
}

/// The time on the wall.
pub(crate) fn now() -> WallTime {
    WallTime::default().plus(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
}

fn at(wall: WallTime) -> Now {
    Now { mono: MonoTime(wall.0.saturating_mul(1_000_000)), wall }
}

fn target(number: u64) -> TargetId {
    TargetId::new(format!("service/app-{}.service", number % TARGETS)).expect("a name")
}

fn phase(opened: WallTime, stage: Stage) -> Phase {
    match stage {
        Stage::Failed => Phase::Remediating,
        Stage::Back => Phase::Stabilizing { until: at(opened) },
        Stage::Over => Phase::Resolved(Resolution::Healed { rung: RungId::new("restart").expect("a name") }),
    }
}

/// An incident in a line.
pub(crate) fn incident(number: u64, opened: WallTime, stage: Stage) -> IncidentSummary {
    let target = target(number);
    IncidentSummary {
        id: IncidentId(number),
        check: CheckId::of(&target, "unit").expect("a name"),
        severity: Severity::Now,
        phase: phase(opened, stage),
        headline: format!("{target} was killed by SIGKILL and is restarted").into(),
        target,
        is_drill: false,
        opened_ms: opened.0,
        downtime_ms: (stage != Stage::Failed).then_some(23),
        is_well_again: stage == Stage::Back,
        is_kept: false,
        well_since_ms: (stage != Stage::Failed).then_some(opened.0 + 23),
        seen_to: None,
        told: None,
    }
}

/// A target as it stands.
pub(crate) fn status(number: u64, incident: Option<IncidentId>, health: Health) -> TargetStatus {
    TargetStatus {
        target: target(number),
        health,
        summary: "active (running)".into(),
        incident,
        explanation: "it is well, and so are its checks".into(),
        is_critical: false,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    }
}

fn report(number: u64, opened: WallTime) -> Report {
    let target = target(number);
    let check = CheckId::of(&target, "unit").expect("a name");
    let log = format!("{opened} app[4711]: connection from 192.0.2.17 accepted, 3 of 64 in use\n").repeat(LOG_LINES);
    let evidence = Evidence::new(format!("journalctl -u {target}"), EvidenceKind::Log, log);
    let bare = Report::bare(IncidentId(number), target, check, at(opened), phase(opened, Stage::Over));
    Report { headline: "it was killed by SIGKILL and was healed by restart".into(), evidence: vec![evidence], ..bare }
}

/// What is told of an incident when it comes to a stage.
pub(crate) fn changes(number: u64, opened: WallTime, stage: Stage) -> Vec<Change> {
    let summary = Change::Incident(Box::new(incident(number, opened, stage)));
    let status = |health| Change::Target(Box::new(status(number, Some(IncidentId(number)), health)));
    match stage {
        Stage::Failed => vec![status(Health::Failing), summary],
        Stage::Back => vec![status(Health::Healthy), summary],
        Stage::Over => vec![summary, Change::Report(Box::new(report(number, opened)))],
    }
}

/// All that there is, when nothing fails.
pub(crate) fn everything() -> Vec<Change> {
    let targets = (0..TARGETS).map(|number| Change::Target(Box::new(status(number, None, Health::Healthy))));
    std::iter::once(Change::Anew).chain(targets).chain([Change::Told]).collect()
}
