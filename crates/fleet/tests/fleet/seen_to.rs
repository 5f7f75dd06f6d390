//! Who sees to what is open: it ends with the incident, and lapses when that gets worse.

use ansai_model::{
    fleet::FleetScope,
    id::{CheckId, IncidentId, TargetId},
    incident::{Phase, Resolution},
    order::Subject,
    policy::Scope,
    rule::Severity,
    text::Text,
};
use ansai_protocol::{
    IncidentSummary, SeenTo,
    link::Change,
    operation::{FleetAnswer, FleetOperation},
};

use crate::paper::{Paper, said, secs};

fn incident(id: u64, phase: Phase, severity: Severity) -> Change {
    let target = TargetId::new("service/app.service").expect("valid");
    Change::Incident(Box::new(IncidentSummary {
        id: IncidentId(id),
        check: CheckId::of(&target, "unit").expect("valid"),
        target,
        severity,
        phase,
        headline: "app is down".into(),
        is_drill: false,
        opened_ms: 5,
        downtime_ms: None,
        is_well_again: false,
        is_kept: false,
        well_since_ms: None,
        // A host has no say in it.
        seen_to: Some(Box::new(SeenTo { by: "the host".into(), at_ms: 1, reason: "".into() })),
        told: None,
    }))
}

fn sees(over: FleetScope, to: Subject, is_undone: bool) -> FleetOperation {
    FleetOperation::SeeTo { over, to, reason: "a new disk comes".into(), is_undone }
}

fn web_1() -> FleetScope {
    FleetScope::Host("web-1".into())
}

/// Who sees to what is open on the first host.
fn by(fleet: &Paper) -> Vec<Option<Text>> {
    let host = fleet.identity(1).host;
    let open = fleet.engine.books().open_of(Some(host));
    open.map(|one| one.seen_to.as_ref().map(|seen_to| seen_to.by.clone())).collect()
}

fn one() -> Paper {
    let mut fleet = Paper::of(&[("web-1", "web"), ("web-2", "web")]);
    fleet.changes(1, 1, vec![Change::Anew, incident(7, Phase::Open, Severity::Day), Change::Told]);
    assert_eq!(by(&fleet), [None]);
    fleet
}

#[test]
fn it_stays_while_the_incident_goes_on_and_ends_with_it() {
    let mut fleet = one();
    let answer = fleet.operates(sees(web_1(), Subject::Incident(IncidentId(7)), false));
    assert_eq!(said(&answer), "done: ann sees to 1 incident on 1 host, until each is over or gets worse");
    fleet.changes(1, 4, vec![incident(7, Phase::Remediating, Severity::Day)]);
    assert_eq!(by(&fleet), [Some("ann".into())]);
    // It is kept.
    fleet.is_killed();
    fleet.connects(11, 1);
    let gone = Phase::Resolved(Resolution::ByItself);
    fleet.changes(11, 5, vec![incident(7, gone, Severity::Day), incident(8, Phase::Open, Severity::Day)]);
    assert_eq!(by(&fleet), [None], "another incident is not seen to");
}

#[test]
fn it_lapses_when_the_incident_gets_worse() {
    let escalated = || Phase::Escalated { why: "nothing helped".into() };
    for worse in [incident(7, Phase::Open, Severity::Now), incident(7, escalated(), Severity::Day)] {
        let mut fleet = one();
        fleet.operates(sees(web_1(), Subject::Incident(IncidentId(7)), false));
        fleet.changes(1, 4, vec![worse]);
        assert_eq!(by(&fleet), [None]);
    }
    let mut fleet = one();
    fleet.changes(1, 4, vec![incident(7, escalated(), Severity::Day)]);
    fleet.operates(sees(web_1(), Subject::Incident(IncidentId(7)), false));
    fleet.changes(1, 5, vec![incident(7, escalated(), Severity::Day)]);
    assert_eq!(by(&fleet), [Some("ann".into())], "it was seen as bad as it is");
}

#[test]
fn it_is_said_by_target_and_taken_back() {
    let mut fleet = one();
    let app = || Subject::Targets(Scope::Matching(vec!["app.service".into()]));
    let web = || FleetScope::Role("web".into());
    let nothing = fleet.operates(sees(web(), app(), true));
    assert!(matches!(nothing, FleetAnswer::NotFound { .. }), "{nothing:?}");
    assert!(said(&fleet.operates(sees(web(), app(), false))).contains("1 incident on 1 host"));
    assert_eq!(by(&fleet), [Some("ann".into())]);
    assert!(said(&fleet.operates(sees(web(), app(), true))).contains("nobody sees to 1 incident"));
    assert_eq!(by(&fleet), [None]);
    let wrong = fleet.operates(sees(web(), Subject::Incident(IncidentId(7)), false));
    assert!(said(&wrong).contains("i7 is another incident on each host"), "{wrong:?}");
    let long = FleetOperation::SeeTo { over: web(), to: app(), reason: "x".repeat(501).into(), is_undone: false };
    assert!(matches!(fleet.operates(long), FleetAnswer::Refused { .. }));
}

#[test]
fn the_controllers_own_is_seen_to_until_it_is_about_more_hosts() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("web-2", "web"), ("web-3", "web")]);
    fleet.disconnects(1);
    fleet.passes(secs(70), &[2, 3]);
    let own = |fleet: &Paper| -> Vec<(IncidentId, bool)> {
        fleet.engine.books().open_of(None).map(|one| (one.id, one.seen_to.is_some())).collect()
    };
    let (id, is_seen_to) = own(&fleet)[0];
    assert!(!is_seen_to);
    fleet.operates(sees(FleetScope::Fleet, Subject::Incident(id), false));
    fleet.passes(secs(5), &[2, 3]);
    assert_eq!(own(&fleet), [(id, true)]);
}
