//! Many services of one host that fail at once: how fast they are mended, what they cost, and what is told of them.

use ansai_engine::Input;
use ansai_model::{
    decision::Gate,
    domain::service::{ActiveState, Intent, UnitResult},
    id::IncidentId,
    incident::{Evidence, EvidenceKind},
    notify::NoticeKind,
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
        said.ends_with("4 remedies of others are under way; at most 4 at once, and more as they succeed"),
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

#[test]
fn one_line_in_one_log_is_not_the_cause_of_a_storm_and_the_same_in_a_third_of_them_is() {
    let line = |host: &mut Host, incident: u64| {
        let text = "write: No space left on device".into();
        let evidence = vec![Evidence { source: "journal".into(), kind: EvidenceKind::Log, text }];
        host.step(Input::Gathered { incident: IncidentId(incident), evidence });
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
