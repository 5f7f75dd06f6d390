//! Whatever state a target is in, its explanation names the reason in one sentence.

use ansai_engine::Input;
use ansai_model::{
    observation::Observation,
    operator::Operation,
    policy::Scope,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, changed, check, failed, judged, only, secs, succeeded, target, unit};

/// What healing on request would do: why it is refused, and the rungs with why they are passed over.
fn plan(host: &Host) -> (Option<String>, Vec<String>) {
    let plan = host.engine.rehearse_heal(host.now, &target("app.service")).expect("a target");
    let rungs = plan.rungs.iter().map(|rung| {
        let why = rung.passed_over.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{} x{} ({} steps){why}", rung.rung, rung.attempts_max, rung.steps.len())
    });
    (plan.refused.map(|why| why.to_string()), rungs.collect())
}

#[test]
fn a_rehearsal_says_what_healing_would_do_and_does_nothing() {
    let mut host = Host::new(&(PLAIN.to_owned() + MORE));
    assert_eq!(plan(&host), (Some("nothing is known to be wrong with service/app.service".into()), vec![]));
    let instead =
        |host: &Host| host.engine.rehearse_heal(host.now, &target("app.service")).and_then(|plan| plan.suggestion);
    assert!(instead(&host).is_some_and(|text| text.as_str().starts_with("`ansai explain service/app.service` says")));
    host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: None });
    fails(&mut host);
    let ladder = ["restart x1 (1 steps)".to_owned(), "slow x1 (2 steps)".to_owned()].to_vec();
    let held = "nothing is done to service/app.service now: ann has held it since 2026-11-18T11:06:40Z (r)";
    assert_eq!(plan(&host), (Some(held.into()), ladder.clone()));
    let mut host = Host::new(&changed("attempts: 4", "attempts: 1"));
    fails(&mut host);
    host.action_ends(failed());
    let before = (host.engine.revision(), host.engine.state().clone(), host.done().len());
    let ladder = ["restart x2 (1 steps)".to_owned(), "kill-and-start x1 (2 steps)".to_owned()].to_vec();
    assert_eq!(plan(&host), (None, ladder));
    assert_eq!((host.engine.revision(), host.engine.state().clone(), host.done().len()), before);
    assert!(host.engine.next_deadline().is_none_or(|at| at > host.now.mono));
    let one_shot = UnitSnapshot { is_job: true, ..unit(ActiveState::Failed, Intent::ByItself) };
    host.sees("app.service#unit", judged(one_shot));
    let (refused, ladder) = plan(&host);
    assert_eq!((refused, ladder[0].as_str()), (None, "restart x2 (1 steps)"));
    assert_eq!(ladder[1], "kill-and-start x1 (2 steps): its unit is a one-shot, which is left to end");
}

#[test]
fn what_stops_it_says_when_it_ends() {
    let mut host = Host::new(&(PLAIN.to_owned() + MORE));
    let hour = secs(3600);
    let until = host.now.wall.plus(hour);
    host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: Some(until) });
    host.operator(Operation::Maintenance { scope: only("app.service"), reason: "r".into(), lasts: hour });
    let said = host.engine.explain(host.now, &target("app.service")).expect("a target");
    assert_eq!(said.hold_until.map(|end| end.wall), Some(until));
    assert_eq!(said.maintenance_until.map(|end| end.wall), Some(until));
    assert_eq!(said.silence_until, None);
    let words = [said.hold, said.maintenance].map(|text| text.map(|text| text.to_string()).unwrap_or_default());
    assert_eq!(
        words,
        [
            "ann has held it since 2026-11-18T11:06:40Z (r), until 2026-11-18T12:06:40Z; `ansai release app.service` ends that",
            "it is in a maintenance window that ann opened (r), until 2026-11-18T12:06:40Z; `ansai maintenance end \
         app.service` ends that",
        ]
    );
}

type Deed = fn(&mut Host);

/// What app needs, and a rung that can be taken back.
const MORE: &str = "\
runbooks:
  service/app.service:
    - {name: restart, steps: [{restart_unit: app.service}], undo: [{stop_unit: app.service}]}
    - {name: slow, steps: [{wait: 9s}, {start_unit: app.service}]}
";

fn fails(host: &mut Host) {
    host.fails("app.service#unit");
}

/// What is said after each deed begins so.
#[track_caller]
fn says(table: &[(Deed, &str)]) {
    for (deed, expected) in table {
        let mut host = Host::new(&(PLAIN.to_owned() + MORE));
        deed(&mut host);
        let summary = host.summary("app.service");
        assert!(summary.starts_with(expected), "{expected}\n{summary}");
    }
}

#[test]
fn every_stage_of_a_remediation_says_what_it_does_or_waits_for() {
    says(&[
        (|_| {}, "all checks are healthy"),
        (fails, "it is being healed (i1): `restart` has been under way for 0s"),
        (
            |host| {
                fails(host);
                host.action_ends(failed());
            },
            "it is being healed (i1): `restart` is being taken back",
        ),
        (
            |host| {
                fails(host);
                host.action_ends(failed());
                host.action_ends(succeeded());
            },
            "it is being healed (i1): the next attempt (`slow`) comes in 5s",
        ),
        (
            |host| {
                fails(host);
                host.action_ends(failed());
                host.action_ends(succeeded());
                host.pass(secs(7));
            },
            "it is being healed (i1): `slow` waits for another 7s",
        ),
        (
            |host| {
                fails(host);
                host.sees("app.service#unit", Observation::unknown("starting"));
                host.pass(secs(1));
                host.action_ends(succeeded());
            },
            "it is being healed (i1): `restart` is done, and its success is awaited for another 20s: unit: starting",
        ),
    ]);
}

#[test]
fn what_stands_in_the_way_is_named() {
    says(&[
        (
            |host| {
                host.hold_file(Some(""));
                fails(host);
            },
            "nothing is done: the HOLD file stops all action; it is over when /etc/ansai/HOLD is removed",
        ),
        (
            |host| {
                fails(host);
                host.hold_file(Some("stop"));
                host.action_ends(failed());
                host.pass(secs(20));
            },
            "nothing is done: the HOLD file stops all action (stop)",
        ),
        (
            |host| {
                host.step(Input::Ledger(Some("the disk is full".into())));
                fails(host);
            },
            "nothing is done: the ledger cannot be saved, so nothing may be done: the disk is full",
        ),
        (
            |host| {
                host.operator(Operation::Maintenance { scope: Scope::All, reason: "disks".into(), lasts: secs(60) });
                fails(host);
            },
            "nothing is done: it is in a maintenance window that ann opened (disks), until 2026-11-18T11:07:40Z",
        ),
        (
            |host| host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Stopped))),
            "nothing is done: stopped on request, not by a failure",
        ),
        (
            |host| host.sees("app.service#unit", Observation::unknown("the bus does not answer")),
            "nothing is done: the bus does not answer",
        ),
        (
            |host| {
                host.operator(Operation::Hold { scope: only("app.service"), reason: "me".into(), until: None });
                fails(host);
                host.is_well("app.service#unit");
                host.hanging.insert(check("app.service#unit"));
            },
            "it is well again since 2026-11-18T11:06:40Z, and watched until it has stayed so (i1)",
        ),
    ]);
}

#[test]
fn a_symptom_a_condition_and_a_service_without_a_rule_are_explained() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {needs: [db.service]}\n  db.service: {}"));
    host.fails("db.service#unit");
    fails(&mut host);
    let said = host.summary("app.service");
    assert!(said.contains("service/db.service"), "{said}");
    let when = "app.service: {when: host.memory_available > 10%}";
    let mut host = Host::new(&changed("app.service: {}", when));
    fails(&mut host);
    let said =
        "nothing is done: rule service/app.service does not apply: `host.memory_available > 10%` cannot be known";
    assert_eq!(host.summary("app.service"), said);
    assert_eq!(host.done(), Vec::<&str>::new(), "what cannot be known does not heal");
    assert!(host.engine.explain(host.now, &crate::host::target("nobody.service")).is_none());
}

#[test]
fn a_look_that_is_older_than_the_next_should_be_says_how_old() {
    let mut host = Host::plain();
    host.pass(secs(60));
    let age = |host: &Host| {
        let check = host.explain("app.service").checks.remove(0);
        check.age.filter(|_| check.is_old)
    };
    assert_eq!(age(&host), None);
    let fresh = host.explain("app.service").checks.remove(0).age;
    assert!(fresh.is_some_and(|age| age < secs(60)), "{fresh:?}");
    host.hanging.insert(check("app.service#unit"));
    let every = host.engine.bundle().parts().checks[&check("app.service#unit")].every;
    // A look that is given up is a look as well.
    let seen = (0..60).find_map(|_| {
        host.pass(secs(1));
        age(&host)
    });
    assert!(seen.is_some_and(|age| age > every), "{seen:?} {every:?}");
}

#[test]
fn what_people_have_set_during_a_back_off_is_told_while_it_lasts() {
    let text = crate::host::changed("initial: 5s, factor: 2, max: 1m", "initial: 1m, factor: 1, max: 1m");
    type Set = fn(&mut Host);
    let restraints: [(Set, &str); 3] = [
        (
            |host| drop(host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: None })),
            "ann has held it since",
        ),
        (|host| host.hold_file(Some("stop")), "the HOLD file stops all action"),
        (
            |host| {
                let (scope, lasts) = (only("app.service"), secs(3_600));
                drop(host.operator(Operation::Maintenance { scope, reason: "r".into(), lasts }));
            },
            "it is in a maintenance window that ann opened",
        ),
    ];
    for (restrain, words) in restraints {
        let mut host = Host::new(&text);
        host.fails("app.service#unit");
        host.action_ends(failed());
        assert!(host.summary("app.service").starts_with("it is being healed"), "{}", host.summary("app.service"));
        restrain(&mut host);
        let said = host.summary("app.service");
        assert!(said.starts_with(&format!("nothing is done: {words}")), "{said}");
        let id = host.open("app.service").expect("open").id;
        let report = host.engine.report(host.now, id).expect("open");
        assert!(report.headline.as_str().contains("is kept from being healed now"), "{}", report.headline);
        let objects = report.decision.iter().flat_map(|decision| decision.objections());
        assert!(objects.into_iter().any(|objection| objection.why.as_str().starts_with(words)), "{report:#?}");
        // What is under way is told as that, though nothing more will be done.
        let done = host.done().len();
        host.pass(secs(120));
        assert_eq!(host.done().len(), done, "it is obeyed");
    }
    let mut host = Host::new(&text);
    host.fails("app.service#unit");
    host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: None });
    assert!(host.summary("app.service").contains("has been under way"), "{}", host.summary("app.service"));
}

#[test]
fn a_look_from_before_a_stop_or_a_start_says_how_long_ago_it_was() {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", every: 1m}}";
    let ages = |state: ActiveState, intent: Intent| {
        let mut host = Host::new(&changed("app.service: {}", look));
        host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
        host.pass(secs(7));
        host.happens("app.service", judged(UnitSnapshot { since: Some(host.now.wall), ..unit(state, intent) }));
        host.pass(secs(3));
        let age = host.explain("app.service").checks.iter().map(|check| check.is_old).collect::<Vec<_>>();
        host.pass(secs(70));
        assert!(host.explain("app.service").checks.iter().all(|check| !check.is_old), "they are looked at again");
        age
    };
    assert_eq!(ages(ActiveState::Inactive, Intent::Stopped), [true, false], "its port, and its unit");
    assert_eq!(ages(ActiveState::Active, Intent::ByItself), [true, false], "another run of it");
}

/// The end of a certificate is told by a rule that applies later; what nobody can mend is told at once and stands first.
#[test]
fn what_people_were_told_of_stands_before_what_no_rule_applies_to_yet() {
    let certificate = "certificates: {partner: {file: /a.pem, trust: nobody}}\n";
    let mut host = Host::new(&(PLAIN.to_owned() + certificate));
    let partner = ansai_model::id::TargetId::new("certificate/partner").expect("a name");
    let standing = |host: &Host| {
        let standing = host.engine.standing(host.now, &partner).expect("a target");
        let foremost = standing.foremost().expect("open").0;
        (foremost, standing.summary.to_string(), standing.incidents.len())
    };
    let expired = || Observation::failing("/a.pem: expired 668d ago");
    host.sees("certificate/partner#end", expired());
    let (first, said, _) = standing(&host);
    assert!(first == 1 && said.contains("`failing_for > 15m` does not hold"), "{said}");
    host.sees("certificate/partner#file", expired());
    let (first, said, count) = standing(&host);
    assert!((first, count) == (2, 2) && said.starts_with("a person must see to it: nothing heals"), "{said}");
}
