//! Many services of one host that fail at once: how fast they are mended, what they cost, and what is told of them.

use ansai_engine::Input;
use ansai_model::{
    decision::Gate,
    id::IncidentId,
    incident::{Changed, Evidence, EvidenceKind},
    notify::NoticeKind,
    time::WallTime,
    unit::{ActiveState, Intent, UnitResult},
};

use crate::host::{ACTION, Host, failed, judged, secs, succeeded, unit};

/// The shipped defaults.
fn host(services: usize) -> Host {
    let mut yaml =
        "autonomy: act\nnotify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\", healed: true}}\nservices:\n"
            .to_owned();
    for number in 0..services {
        yaml.push_str(&format!("  s{number:03}.service: {{}}\n"));
    }
    Host::new(&yaml)
}

fn all_fail(host: &mut Host, services: usize) {
    (0..services).for_each(|number| host.sees_only(&format!("s{number:03}.service#unit")));
}

/// The oldest action under way ends well, and its unit runs.
fn one_is_mended(host: &mut Host) {
    let run = host.under_way.remove(0);
    host.now = host.now.plus(ACTION);
    host.is_mended(run.target.name());
    host.step(Input::ActionEnded { run: run.id, outcome: succeeded() });
}

#[test]
fn as_many_are_mended_at_once_as_the_ramp_allows_which_opens_with_each_success() {
    let mut host = host(40);
    all_fail(&mut host, 40);
    assert_eq!(host.under_way.len(), 4);
    let said = host.gate("s004.service", Gate::Concurrency);
    assert!(
        said.contains(
            "4 remedies of others are under way; at most 4 at once (4 at first, one more with each that succeeds"
        ),
        "{said}"
    );
    let mut at_once = Vec::new();
    while !host.under_way.is_empty() {
        at_once.push(host.under_way.len());
        for _ in 0..host.under_way.len() {
            one_is_mended(&mut host);
        }
    }
    assert_eq!(at_once, [4, 8, 16, 12]);
    assert_eq!(host.done().len(), 40, "each once, before anything was watched for long");
    assert_eq!(host.done()[..2], ["restart s000.service", "restart s001.service"]);
    let state = host.engine.state();
    assert_eq!(state.host_actions.len(), 0, "the first action on each target repeats nothing");
    host.pass(secs(60));
    assert!(host.engine.state().incidents.is_empty() && host.engine.state().storms.is_empty());
}

#[test]
fn what_is_only_watched_holds_nothing_back() {
    let mut host = host(3);
    all_fail(&mut host, 2);
    one_is_mended(&mut host);
    one_is_mended(&mut host);
    assert_eq!(host.phase("s000.service"), "stabilizing");
    host.fails("s002.service#unit");
    assert_eq!(host.done().last(), Some(&"restart s002.service"));
}

#[test]
fn the_ramp_closes_as_tries_fail_and_what_is_under_way_for_long_holds_up_nothing() {
    let mut host = host(20);
    all_fail(&mut host, 20);
    assert_eq!(host.under_way.len(), 4);
    // Four that fail: now one at a time.
    for _ in 0..4 {
        let run = host.under_way.remove(0).id;
        host.step(Input::ActionEnded { run, outcome: failed() });
    }
    assert_eq!(host.under_way.len(), 1, "{:?}", host.under_way);
    host.pass(secs(1));
    assert_eq!(host.under_way.len(), 1);
    // It hangs: it keeps its own target, and no other.
    host.pass(secs(2));
    assert_eq!(host.under_way.len(), 2);
}

#[test]
fn twenty_that_are_healed_are_one_storm_and_the_last_of_them_says_that_it_is_over() {
    let mut host = host(20);
    all_fail(&mut host, 20);
    while !host.under_way.is_empty() {
        one_is_mended(&mut host);
    }
    host.pass(secs(60));
    let healed: Vec<_> = host.dispatches.iter().filter(|dispatch| dispatch.kind == NoticeKind::Healed).collect();
    assert_eq!(healed.len(), 20);
    let storms: Vec<_> = healed.iter().map(|dispatch| dispatch.report.storm.clone().expect("one")).collect();
    assert!(storms.iter().all(|storm| storm.first == IncidentId(1) && storm.incidents == 20), "{storms:?}");
    let undecided: Vec<_> = storms.iter().map(|storm| storm.undecided).collect();
    assert_eq!(undecided, (0..20).rev().collect::<Vec<_>>());
    assert_eq!(storms[0].cause, None, "nothing was seen");
}

#[test]
fn twenty_that_cannot_be_healed_are_handed_over_as_one_storm_and_tried_no_more_than_the_policy_allows() {
    let mut host = host(20).actions_end(succeeded());
    all_fail(&mut host, 20);
    // What is told waits for its evidence, which comes late for some.
    host.has_evidence = false;
    host.pass(secs(200));
    let told: Vec<_> = host.dispatches.iter().filter(|dispatch| dispatch.kind == NoticeKind::Escalated).collect();
    assert_eq!(told.len(), 20);
    assert!(
        told.iter().all(|dispatch| dispatch.report.storm.as_ref().is_some_and(|storm| storm.first == IncidentId(1)))
    );
    let undecided = told.iter().map(|dispatch| dispatch.report.storm.as_ref().map(|storm| storm.undecided));
    let last: Vec<_> = undecided.collect();
    assert_eq!(last.last(), Some(&Some(0)));
    assert_eq!(last.iter().filter(|undecided| **undecided == Some(0)).count(), 1, "only the last: {last:?}");
}

/// By default nobody is told of what is healed: the one message, about the last that is not, tells the storm.
#[test]
fn the_one_of_a_storm_that_cannot_be_healed_says_that_the_others_are_well() {
    let mut yaml =
        "autonomy: act\nnotify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\"}}\nservices:\n".to_owned();
    (0..8).for_each(|number| yaml.push_str(&format!("  s{number:03}.service: {{}}\n")));
    let mut host = Host::new(&yaml);
    all_fail(&mut host, 8);
    while !host.under_way.is_empty() {
        if host.under_way[0].target.name() == "s000.service" {
            let run = host.under_way.remove(0).id;
            host.now = host.now.plus(ACTION);
            host.step(Input::ActionEnded { run, outcome: failed() });
        } else {
            one_is_mended(&mut host);
        }
    }
    for _ in 0..8 {
        host.pass(secs(60));
        while !host.under_way.is_empty() {
            let run = host.under_way.remove(0).id;
            host.step(Input::ActionEnded { run, outcome: failed() });
        }
    }
    let told: Vec<_> = host.dispatches.iter().filter(|dispatch| dispatch.kind == NoticeKind::Escalated).collect();
    assert_eq!(told.len(), 1);
    let storm = told[0].report.storm.as_ref().expect("it is of the storm");
    assert_eq!((storm.incidents, storm.well, storm.undecided), (8, 7, 0));
}

#[test]
fn four_at_once_or_five_one_after_another_are_no_storm() {
    let mut host = host(5);
    all_fail(&mut host, 4);
    host.pass(secs(6));
    host.fails("s004.service#unit");
    assert!(host.engine.state().storms.is_empty());
    assert_eq!(host.open("s004.service").and_then(|incident| incident.storm), None);
}

#[test]
fn what_is_seen_behind_a_storm_stands_in_each_of_its_reports() {
    let oom = || {
        let mut down = unit(ActiveState::Failed, Intent::ByItself);
        down.result = UnitResult::OomKill;
        judged(down)
    };
    let mut host = host(6);
    all_fail(&mut host, 5);
    host.sees("s005.service#unit", oom());
    let report = host.engine.report(host.now, IncidentId(2)).expect("open");
    let cause = report.storm.and_then(|storm| storm.cause).expect("seen");
    assert_eq!(cause.rule.as_str(), "storm-memory");
    assert_eq!(report.cause.expect("the same").rule.as_str(), "storm-memory");
}

/// Packages that were installed before all was seen well made nothing fail, however short a time ago that was.
#[test]
fn packages_are_the_cause_of_a_storm_only_when_they_were_changed_since_all_was_well() {
    let cause = |ago: i64| {
        let mut host = host(6);
        host.has_evidence = false;
        host.pass(secs(60));
        (0..6).for_each(|number| host.is_well(&format!("s{number:03}.service#unit")));
        host.pass(secs(10));
        let at = WallTime(host.now.wall.0 - ago * 1_000);
        all_fail(&mut host, 6);
        for incident in 1..=6 {
            let changed = Some(Changed::once(at, false));
            let source = format!("{}, other packages", Evidence::PACKAGES);
            let found = Evidence { changed, ..Evidence::new(source, EvidenceKind::Change, "upgrade libc6 1 2") };
            host.step(Input::Gathered { request: None, incident: IncidentId(incident), evidence: vec![found] });
        }
        host.engine.state().storms[&IncidentId(1)].cause.clone().map(|cause| cause.rule.as_str().to_owned())
    };
    assert_eq!(cause(5).as_deref(), Some("storm-packages"));
    assert_eq!(cause(30), None);
}

#[test]
fn one_line_in_one_log_is_not_the_cause_of_a_storm_and_the_same_in_a_third_of_them_is() {
    let line = |host: &mut Host, incident: u64| {
        let text = "write: No space left on device";
        let evidence = vec![Evidence::new("journal", EvidenceKind::Log, text)];
        host.step(Input::Gathered { request: None, incident: IncidentId(incident), evidence });
    };
    let mut host = host(6);
    host.has_evidence = false;
    all_fail(&mut host, 6);
    let cause = |host: &Host| host.engine.state().storms[&IncidentId(1)].cause.clone();
    line(&mut host, 3);
    line(&mut host, 3);
    assert_eq!(cause(&host), None);
    line(&mut host, 4);
    assert_eq!(cause(&host).expect("seen in two").rule.as_str(), "storm-disk");
    // It outlives the agent.
    host.restart(None);
    assert_eq!(cause(&host).expect("kept").rule.as_str(), "storm-disk");
}

#[test]
fn a_disk_is_behind_a_storm_when_nothing_can_be_written_to_it_and_the_members_live_on_it() {
    let cause = |needed: &str, fails: &str| {
        let mut yaml = "autonomy: observe\ndisks: {/data: {}, /media: {}}\nservices:\n".to_owned();
        for number in 0..6 {
            yaml.push_str(&format!("  s{number:03}.service: {{needs: [{needed}]}}\n"));
        }
        let mut host = Host::new(&yaml);
        host.sees_only(fails);
        // What is confirmed by a second look is looked at again.
        host.sees_only(fails);
        host.sees_only(fails);
        all_fail(&mut host, 6);
        let storms = &host.engine.state().storms;
        assert_eq!((storms.len(), storms[&IncidentId(1)].members.len()), (1, 7), "{needed} {fails}");
        storms[&IncidentId(1)].cause.as_ref().map(|cause| cause.rule.as_str().to_owned())
    };
    for look in ["full", "read-only"] {
        assert_eq!(cause("disk//data", &format!("disk//data#{look}")).as_deref(), Some("storm-disk"), "{look}");
    }
    assert_eq!(cause("disk//data", "disk//data#space"), None, "there is room left on it");
    assert_eq!(cause("disk//data", "disk//media#full"), None, "nobody lives there");
}

#[test]
fn whoever_fails_late_joins_the_storm_that_the_one_before_is_in() {
    let mut host = host(12);
    all_fail(&mut host, 6);
    host.pass(secs(4));
    host.fails("s006.service#unit");
    host.pass(secs(4));
    host.fails("s007.service#unit");
    assert_eq!(host.engine.state().storms[&IncidentId(1)].members.len(), 8);
    host.pass(secs(6));
    (8..12).for_each(|number| host.sees_only(&format!("s{number:03}.service#unit")));
    let storms = &host.engine.state().storms;
    assert_eq!((storms.len(), storms[&IncidentId(1)].members.len()), (1, 8), "four after a pause are none of it");
}
