//! Each command of an operator is rehearsed in the words in which it is answered, whatever the state, and a rehearsal changes
//! nothing.

use ansai_engine::Input;
use ansai_model::{
    id::IncidentId,
    operator::{DrillKind, Operation},
    policy::Scope,
    time::WallTime,
    unit::{ActiveState, Intent},
};

use crate::host::{Host, PLAIN, changed, judged, only, secs, target, unit};

/// Every operation, about the app, about nothing that is there, and about everything.
fn operations() -> Vec<Operation> {
    let scopes = [only("app.service"), only("other.service"), Scope::All, Scope::Matching(Vec::new())];
    let of_scope = |scope: Scope| {
        let lasts = secs(3600);
        vec![
            Operation::Hold { scope: scope.clone(), reason: "moving".into(), until: None },
            Operation::Hold { scope: scope.clone(), reason: "moving".into(), until: Some(WallTime(1)) },
            Operation::Release { scope: scope.clone() },
            Operation::Silence { scope: scope.clone(), reason: "".into(), lasts },
            Operation::Unsilence { scope: scope.clone() },
            Operation::Maintenance { scope: scope.clone(), reason: "".into(), lasts },
            Operation::EndMaintenance { scope },
        ]
    };
    let of_incident = |incident: u64| {
        let incident = IncidentId(incident);
        vec![Operation::Approve { incident }, Operation::Reject { incident }]
    };
    let of_target = |name: &str| {
        let drills = DrillKind::ALL.map(|kind| Operation::Drill { target: target(name), kind });
        let mut all = vec![
            Operation::Heal { target: target(name) },
            Operation::Request { target: target(name), name: "renew".into() },
            Operation::EndDrill { target: target(name) },
        ];
        all.extend(drills);
        all
    };
    let scoped = scopes.into_iter().flat_map(of_scope);
    let targeted = ["app.service", "other.service"].into_iter().flat_map(of_target);
    scoped.chain([1, 2, 9].into_iter().flat_map(of_incident)).chain(targeted).collect()
}

/// Hosts in every state that bears on an answer, each with a word for it.
fn hosts() -> Vec<(&'static str, Host)> {
    let with = |what: &'static str, does: &dyn Fn(&mut Host)| {
        let mut host = Host::plain().mended_by("restart");
        does(&mut host);
        (what, host)
    };
    let mut asks = Host::new(&changed("autonomy: act", "autonomy: approve")).mended_by("restart");
    asks.fails("app.service#unit");
    asks.pass(secs(5));
    let mut offers = Host::new(&format!(
        "{PLAIN}targets:\n  service/app.service: {{requests: {{renew: {{reload_unit: app.service}}}}}}\n"
    ));
    offers.pass(secs(1));
    let restrained = |scope: Scope| {
        let reason = "".into();
        [
            Operation::Hold { scope: scope.clone(), reason, until: None },
            Operation::Silence { scope: scope.clone(), reason: "".into(), lasts: secs(9_000) },
            Operation::Maintenance { scope, reason: "".into(), lasts: secs(9_000) },
        ]
    };
    vec![
        with("well", &|_| {}),
        with("healed", &|host| {
            host.fails("app.service#unit");
            host.pass(secs(90));
        }),
        with("failing", &|host| {
            host.set_mending(None);
            host.fails("app.service#unit");
            host.pass(secs(600));
        }),
        with("stopped", &|host| host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Stopped)))),
        with("held by the file", &|host| host.hold_file(Some("no"))),
        with("restrained", &|host| {
            restrained(only("app.service")).into_iter().for_each(|operation| drop(host.operator(operation)));
        }),
        with("restrained as a whole", &|host| {
            restrained(Scope::All).into_iter().for_each(|operation| drop(host.operator(operation)));
        }),
        with("without a ledger", &|host| host.step(Input::Ledger(Some("full".into())))),
        ("awaiting an answer", asks),
        ("offering something", offers),
    ]
}

#[test]
fn what_is_rehearsed_is_what_is_answered_and_a_rehearsal_changes_nothing() {
    let mut answers = std::collections::BTreeSet::new();
    for operation in operations() {
        for (what, mut host) in hosts() {
            let (before, revision) = (host.engine.state().clone(), host.engine.revision());
            let rehearsed = host.rehearsed(operation.clone());
            assert_eq!((host.engine.state(), host.engine.revision()), (&before, revision), "{what}: {operation:?}");
            assert_eq!(host.operator(operation.clone()), rehearsed, "{what}: {operation:?}");
            answers.insert(rehearsed);
        }
    }
    let count = |begun: &str| answers.iter().filter(|answer| answer.starts_with(begun)).count();
    assert!(count("done") > 15 && count("refused") > 10 && count("not found") > 10, "{answers:#?}");
}
