//! Each message is read as it is written; what is strange, too long or cut is passed over or refused, and panics never.

use ansai_model::{
    fleet::{FleetScope, Restraint, RestraintKind},
    id::{CheckId, IncidentId, PermitId, RestraintId},
    incident::Phase,
    message::{MessageGiven, MessageKey, MessageOffered},
    notify::NoticeKind,
    observation::Health,
    operator::DrillKind,
    order::{Deed, OrderOutcome, Subject, Told},
    permit::{PermitGranted, PermitWanted},
    policy::Scope,
    rule::Severity,
    time::{Now, WallTime},
};
use proptest::prelude::*;

use super::*;

fn hello() -> FromHost {
    FromHost::Hello(Box::new(Hello {
        oldest: 1,
        newest: 1,
        program: "1.5.0".into(),
        name: "web-01".into(),
        machine_id: "c0ffee".into(),
        boot_id: "b007".into(),
        started_ms: 1_800_000_000_000,
        now_ms: 1_800_000_001_000,
        feed: FeedId::of_chance([7; 16]),
        restraints: RestraintsAt { epoch: 1, generation: 4 },
        configuration: Held { epoch: 1, generation: 2, name: "web-01".into(), role: Some("web".into()) },
        role: Some("web".into()),
        labels: vec![("rack".into(), "7".into())],
    }))
}

fn target() -> TargetId {
    TargetId::new("service/app.service").expect("valid")
}

fn check() -> CheckId {
    CheckId::of(&target(), "unit").expect("valid")
}

fn changes() -> Vec<Change> {
    let phase = Phase::Open;
    let status = TargetStatus {
        target: target(),
        health: Health::Failing,
        summary: "failed".into(),
        incident: Some(IncidentId(3)),
        explanation: "is being healed".into(),
        is_critical: true,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    };
    let summary = IncidentSummary {
        id: IncidentId(3),
        target: target(),
        check: check(),
        severity: Severity::Now,
        phase: phase.clone(),
        headline: "app is down".into(),
        is_drill: false,
        opened_ms: 5,
        downtime_ms: None,
        is_well_again: false,
        is_kept: false,
        well_since_ms: None,
        seen_to: None,
        told: None,
    };
    vec![
        Change::Anew,
        Change::Target(Box::new(status)),
        Change::TargetGone(target()),
        Change::Incident(Box::new(summary)),
        Change::Report(Box::new(Report::bare(IncidentId(3), target(), check(), Now::default(), phase))),
        Change::Lost { count: 2 },
        Change::Told,
    ]
}

fn message_key() -> MessageKey {
    MessageKey { dispatch: 9, incident: IncidentId(3), opened: WallTime(5) }
}

fn from_host() -> Vec<FromHost> {
    let request = Request::new("MIIB").expect("short");
    vec![
        hello(),
        FromHost::Beat { now_ms: -1 },
        FromHost::Changes { first: 17, changes: changes() },
        FromHost::Restrained(Box::new(Acknowledged {
            controller: "c".into(),
            epoch: 1,
            generation: 5,
            under_way: vec![target()],
            refused: None,
        })),
        FromHost::Renew { request },
        FromHost::Configured(Box::new(Configured {
            held: Held { epoch: 1, generation: 2, name: "web-01".into(), role: None },
            refused: Some(RefusedBundle { epoch: 1, generation: 3, why: "line 4: there is no key `servces`".into() }),
        })),
        FromHost::Ordered(Box::new(Ordered {
            request: 3,
            epoch: 1,
            number: 6,
            told: vec![Told {
                of: "service/app.service".into(),
                outcome: OrderOutcome::Refused,
                text: "it is held".into(),
                suggestion: "release it".into(),
                document: None,
            }],
        })),
        FromHost::Permits(Box::new(PermitsSaid {
            number: 4,
            through: PermitId(2),
            is_well: true,
            wants: vec![PermitWanted {
                incident: IncidentId(3),
                target: target(),
                what: "restart app.service".into(),
                severity: Severity::Day,
                waits_ms: 10_000,
                lasts_ms: 60_000,
                is_approved: false,
            }],
            holds: vec![PermitId(2)],
        })),
        FromHost::Message(MessageSaid::Offered(MessageOffered {
            key: message_key(),
            kind: NoticeKind::Escalated,
            target: target(),
            severity: Severity::Now,
        })),
        FromHost::Message(MessageSaid::Given(Box::new(MessageGiven {
            key: message_key(),
            kind: NoticeKind::Healed,
            report: Report::bare(IncidentId(3), target(), check(), Now::default(), Phase::Open),
        }))),
    ]
}

fn restraints() -> RestraintSet {
    let restraint = Restraint {
        id: RestraintId(9),
        kind: RestraintKind::Hold,
        over: FleetScope::Fleet,
        scope: Scope::Matching(vec!["app*".into()]),
        reason: "moving".into(),
        by: "root at ctl".into(),
        since: WallTime(1),
        until: Some(WallTime(2)),
    };
    RestraintSet { controller: "c".into(), epoch: 1, generation: 5, at: WallTime(3), restraints: vec![restraint] }
}

fn bundle() -> HostBundle {
    let file = |layer, name: &str| FleetFile { layer, name: name.into(), text: "autonomy: act\n".into() };
    HostBundle {
        controller: ControllerId::of_chance([1; 16]),
        host: HostId::of_chance([2; 16]),
        held: Held { epoch: 1, generation: 3, name: "web-01".into(), role: Some("web".into()) },
        files: vec![file(FleetLayer::Site, "site.yaml"), file(FleetLayer::Role("web".into()), "role-web/app.toml")],
    }
}

fn from_controller() -> Vec<FromController> {
    vec![
        FromController::Welcome(Box::new(Welcome {
            version: 1,
            controller: ControllerId::of_chance([1; 16]),
            epoch: 1,
            host: HostId::of_chance([2; 16]),
            name: "web-01".into(),
            now_ms: 3,
            kept: Some((FeedId::of_chance([7; 16]), 16)),
            tells: false,
        })),
        FromController::Kept { through: u64::MAX },
        FromController::Restraints(Box::new(restraints())),
        FromController::StandBack { why: "two hosts have its identity".into(), lasts_ms: 30_000 },
        FromController::Order {
            order: Box::new(Order {
                request: 3,
                controller: "c".into(),
                epoch: 1,
                number: 6,
                by: "ann".into(),
                deed: Deed::Drill(DrillKind::Crash),
                to: Subject::Targets(Scope::Matching(vec!["app*".into()])),
                is_rehearsal: false,
            }),
            at_ms: 4,
        },
        FromController::Renewed {
            certificate: Certificate::new("-----BEGIN").expect("short"),
            roots: Roots::new("-----BEGIN").expect("short"),
        },
        FromController::Beat { now_ms: 0 },
        FromController::Closing {
            why: "too old".into(),
            suggestion: "upgrade".into(),
            again_after_ms: None,
            is_removed: false,
        },
        FromController::Bundle(Box::new(SignedBundle {
            text: Whole::new(bundle().text()).expect("short"),
            signature: Whole::new("MEUC").expect("short"),
        })),
        FromController::Permit(PermitNews::Granted(PermitGranted {
            id: PermitId(3),
            epoch: 1,
            incident: IncidentId(3),
            number: 4,
            lasts_ms: 60_000,
        })),
        FromController::Message(MessageNews::Taken(message_key())),
        FromController::Message(MessageNews::Declined(message_key())),
    ]
}

#[test]
fn each_message_is_read_as_it_is_written() {
    for message in from_host() {
        assert_eq!(FromHost::read(&message.write()), Ok(Some(message)));
    }
    for message in from_controller() {
        assert_eq!(FromController::read(&message.write()), Ok(Some(message)));
    }
    let join = Join {
        oldest: 1,
        newest: 1,
        token: Some((TokenId([1; 6]), TokenSecret::of_chance([2; 32]))),
        request: Request::new("MIIB").expect("short"),
        name: "web-01".into(),
        machine_id: "".into(),
        program: "1.5.0".into(),
        role: None,
        labels: vec![("rack".into(), "7".into())],
        now_ms: 0,
    };
    assert_eq!(Join::read(&join.write()), Ok(Some(join)));
    let refused = JoinAnswer::Refused { what: "used up".into(), suggestion: "make another".into() };
    let pending = JoinAnswer::Pending { fingerprint: Fingerprint([3; 32]), again_after_ms: 2000, until_ms: 9 };
    for answer in [refused, pending] {
        assert_eq!(JoinAnswer::read(&answer.write()), Ok(Some(answer)));
    }
}

/// Each kind is in the list by which a kind of a newer peer is told from rubbish.
#[test]
fn the_lists_of_kinds_are_whole() {
    fn name(frame: &[u8]) -> String {
        kind(&serde_json::from_slice(frame).expect("JSON")).expect("a kind").to_owned()
    }
    let named: Vec<String> = from_host().iter().map(|message| name(&message.write())).collect();
    // One kind may have several forms.
    let once = |mut named: Vec<String>| {
        named.dedup();
        named
    };
    let named = once(named);
    assert_eq!(named, FromHost::KINDS);
    let named: Vec<String> = from_controller().iter().map(|message| name(&message.write())).collect();
    assert_eq!(once(named), FromController::KINDS);
}

/// What this version sends, every later one must read.
#[test]
fn the_first_words_stay_as_they_are() {
    let written = String::from_utf8(hello().write()).expect("text");
    let expected = r#"{"hello":{"oldest":1,"newest":1,"program":"1.5.0","name":"web-01","machine_id":"c0ffee","boot_id":"b007","started_ms":1800000000000,"now_ms":1800000001000,"feed":"07070707-0707-4707-8707-070707070707","restraints":{"epoch":1,"generation":4},"configuration":{"epoch":1,"generation":2,"name":"web-01","role":"web"},"role":"web","labels":{"rack":"7"}}}"#;
    assert_eq!(written, expected);
}

/// An agent of before fleets had configurations said nothing of one.
#[test]
fn the_words_of_an_older_agent_are_understood() {
    let written = String::from_utf8(hello().write()).expect("text");
    let older = written.replace(r#""configuration":{"epoch":1,"generation":2,"name":"web-01","role":"web"},"#, "");
    assert_ne!(older, written);
    let Ok(Some(FromHost::Hello(hello))) = FromHost::read(older.as_bytes()) else { panic!("{older}") };
    assert_eq!(hello.configuration, Held::default());
}

#[test]
fn a_bundle_is_read_as_it_is_signed_and_is_for_whom_its_files_are() {
    assert_eq!(HostBundle::read(&bundle().text()), Ok(bundle()));
    assert!(HostBundle::read("{}").is_err());
    assert!(bundle().fits());
    let many = HostBundle { files: vec![bundle().files[0].clone(); FILES_MAX + 1], ..bundle() };
    assert!(HostBundle::read(&many.text()).is_err());
    let large = FleetFile { text: "\u{1}".repeat(FILES_BYTES_MAX), ..bundle().files[0].clone() };
    assert!(!HostBundle { files: vec![large], ..bundle() }.fits(), "it would not go into a frame");
    let is_for = |layer: FleetLayer, role: Option<&str>| layer.is_for(&"web-01".into(), role.map(Short::new).as_ref());
    for role in [None, Some("web"), Some("db")] {
        assert!(is_for(FleetLayer::Site, role));
        assert_eq!(is_for(FleetLayer::Role("web".into()), role), role == Some("web"));
        assert!(is_for(FleetLayer::Host("web-01".into()), role) && !is_for(FleetLayer::Host("web-02".into()), role));
    }
}

#[test]
fn a_newer_peer_is_understood_as_far_as_it_can_be() {
    let newer = br#"{"beat":{"now_ms":5,"mood":"good"}}"#;
    assert_eq!(FromHost::read(newer), Ok(Some(FromHost::Beat { now_ms: 5 })), "a field more");
    assert_eq!(FromHost::read(br#"{"wish":{"for":"rain"}}"#), Ok(None), "a kind of message more");
    assert_eq!(FromController::read(br#""farewell""#), Ok(None));
    let gone = serde_json::to_string(&Change::TargetGone(target())).expect("JSON");
    let changes =
        format!(r#"{{"changes":{{"first":4,"changes":[{gone},{{"smell":1}},{{"target-gone":"dream/x"}},{gone}]}}}}"#);
    let gone = || Change::TargetGone(target());
    let read = FromHost::Changes { first: 4, changes: vec![gone(), Change::Unknown, Change::Unknown, gone()] };
    assert_eq!(FromHost::read(changes.as_bytes()), Ok(Some(read)), "each keeps its number");
    for (oldest, newest, expected) in
        [(1, 1, Some(1)), (1, 2, Some(2)), (1, 9, Some(3)), (4, 9, None), (0, 0, None), (9, 1, None)]
    {
        assert_eq!(agreed(oldest, newest), expected, "{oldest} to {newest}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let changes = vec![Change::Told; CHANGES_MAX + 1];
    assert!(FromHost::read(&FromHost::Changes { first: 1, changes }.write()).is_err());
    let unknown = vec![r#"{"smell":1}"#; CHANGES_MAX + 1].join(",");
    assert!(FromHost::read(format!(r#"{{"changes":{{"first":1,"changes":[{unknown}]}}}}"#).as_bytes()).is_err());
    let labels: Vec<String> = (0..=LABELS_MAX).map(|label| format!(r#""{label}":"""#)).collect();
    let FromHost::Hello(hello) = hello() else { panic!("no hello") };
    let text = serde_json::to_string(&FromHost::Hello(hello)).expect("JSON");
    let labelled = text.replace(r#""rack":"7""#, &labels.join(","));
    assert!(FromHost::read(labelled.as_bytes()).is_err());
    let request = format!(r#"{{"renew":{{"request":"{}"}}}}"#, "A".repeat(9 << 10));
    assert!(FromHost::read(request.as_bytes()).is_err());
}

#[test]
fn rubbish_is_refused_however_deep_it_is() {
    let deep = [vec![b'['; 100_000], br#"{"changes":"#.repeat(10_000)];
    let texts: [&[u8]; 5] = [b"", b"null", b"{}", b"\xff\xfe", br#"{"beat":{}}"#];
    for rubbish in texts.into_iter().chain(deep.iter().map(Vec::as_slice)) {
        assert!(FromHost::read(rubbish).is_err());
        assert!(FromController::read(rubbish).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (FromHost::read(&frame), FromController::read(&frame), Join::read(&frame), JoinAnswer::read(&frame));
    }

    /// A message that lost, gained or changed bytes on the way is read or refused.
    #[test]
    fn no_changed_message_panics(which in 0_usize..5, place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = from_host()[which].write();
        let place = place.index(frame.len());
        frame[place] = byte;
        let _ = FromHost::read(&frame);
        frame.truncate(place);
        prop_assert!(FromHost::read(&frame).is_err());
    }
}
