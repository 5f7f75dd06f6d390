//! Records for the tests, each told from others by a number.

use ansai_model::{
    fleet::{FleetScope, Restraint, RestraintKind},
    id::{CheckId, IncidentId, RestraintId, TargetId},
    incident::{Phase, Resolution},
    observation::Health,
    policy::Scope,
    report::Report,
    rule::Severity,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{
    IncidentSummary, TargetStatus,
    link::{ControllerId, FeedId, Fingerprint, Held, HostId, Request, RestraintsAt, TokenId},
    record::{Audited, HostIncident, HostRecord, HostTarget, IdentityRecord, Kept, PendingRecord, Record, TokenRecord},
};

pub(crate) fn controller() -> ControllerId {
    ControllerId::of_chance([9; 16])
}

pub(crate) fn host(number: u8) -> HostId {
    HostId::of_chance([number; 16])
}

pub(crate) fn host_record(number: u8) -> HostRecord {
    HostRecord {
        id: host(number),
        name: format!("web-{number:02}").as_str().into(),
        role: Some("web".into()),
        labels: [("zone".into(), "a".into())].into(),
        machine_id: "m".into(),
        boot_id: "b".into(),
        program: "1.0.0".into(),
        address: "192.0.2.1".into(),
        joined: WallTime(1_000),
        heard: None,
        ahead_ms: -3,
        acknowledged: RestraintsAt { epoch: 1, generation: 2 },
        under_way: vec![TargetId::new("service/nginx.service").expect("valid")],
        configuration: Held { epoch: 1, generation: 2, name: "web-01".into(), role: Some("web".into()) },
        refused: None,
        over_ssh: None,
    }
}

pub(crate) fn identity(number: u8, serial: &str) -> Record {
    Record::Identity(IdentityRecord {
        serial: serial.into(),
        host: host(number),
        fingerprint: Fingerprint([number; 32]),
        since: WallTime(1),
        until: WallTime(2),
        revoked: None,
    })
}

pub(crate) fn token(number: u8, uses_left: u32) -> Record {
    Record::Token(TokenRecord {
        id: TokenId([number; 6]),
        secret: Fingerprint([number; 32]),
        role: None,
        uses_left,
        until: WallTime(5),
        by: "ada".into(),
        made: WallTime(1),
        used: None,
        revoked: None,
        access: None,
    })
}

pub(crate) fn pending(number: u8) -> Record {
    Record::Pending(PendingRecord {
        fingerprint: Fingerprint([number; 32]),
        name: "new".into(),
        machine_id: "m".into(),
        program: "1.0.0".into(),
        address: "192.0.2.7".into(),
        role: Some("web".into()),
        labels: [("zone".into(), "a".into())].into(),
        request: Request::new("MIIB").expect("short"),
        since: WallTime(1),
        until: WallTime(9),
        replaces: Some(host(1)),
        accepted: None,
    })
}

pub(crate) fn restraint(id: u64) -> Record {
    Record::Restraint(Restraint {
        id: RestraintId(id),
        kind: RestraintKind::Hold,
        over: FleetScope::Fleet,
        scope: Scope::All,
        reason: "moving".into(),
        by: "ada".into(),
        since: WallTime(1),
        until: None,
    })
}

pub(crate) fn target(number: u8, name: &str, health: Health) -> HostTarget {
    let status = TargetStatus {
        target: TargetId::new(format!("service/{name}.service")).expect("valid"),
        health,
        summary: "as seen".into(),
        incident: None,
        explanation: "all is well".into(),
        is_critical: false,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    };
    HostTarget { host: host(number), at: WallTime(7), status }
}

/// How an incident of the tests stands.
#[derive(Clone, Copy)]
pub(crate) enum Stands {
    Open,
    Ended,
}

pub(crate) fn incident(of: Option<HostId>, id: u64, opened_ms: i64, stands: Stands) -> HostIncident {
    let target = TargetId::new(format!("service/app-{}.service", id % 3)).expect("valid");
    let phase = match stands {
        Stands::Open => Phase::Open,
        Stands::Ended => Phase::Resolved(Resolution::ByItself),
    };
    let incident = IncidentSummary {
        id: IncidentId(id),
        check: CheckId::of(&target, "unit").expect("valid"),
        target,
        severity: Severity::Now,
        phase,
        headline: "it failed".into(),
        is_drill: false,
        opened_ms,
        downtime_ms: None,
        is_well_again: false,
        is_kept: false,
        well_since_ms: None,
        seen_to: None,
        told: None,
    };
    HostIncident { host: of, incident }
}

pub(crate) fn report(number: u8, id: u64, opened_ms: i64, headline: &str) -> Record {
    let target = TargetId::new("service/app.service").expect("valid");
    let check = CheckId::of(&target, "unit").expect("valid");
    let at = Now { mono: MonoTime(1), wall: WallTime(opened_ms) };
    let report = Report::bare(IncidentId(id), target, check, at, Phase::Open);
    Record::Report { host: host(number), report: Box::new(Report { headline: headline.into(), ..report }) }
}

pub(crate) fn kept(number: u8, through: u64) -> Kept {
    Kept { host: host(number), feed: FeedId::of_chance([1; 16]), through }
}

pub(crate) fn audited(what: &str) -> Record {
    Record::Audit(Audited { at: WallTime(5), by: "ada".into(), what: what.into(), hosts: 3 })
}
