//! An escalation is not the end: what it failed for is looked at, and healing is tried once more when that is gone, or
//! when time has passed.

use std::time::Duration;

use ansai_model::{
    action::ActionOutcome,
    condition::Value,
    observation::Observation,
    operator::Operation,
    policy::Scope,
    probe::Probe,
    retry::Obstacle,
    time::WallTime,
    unit::{ActiveState, Intent, LoadState, UnitSnapshot},
};

use crate::host::{Host, failed, judged, not_needed, only, secs, succeeded, target, unit};

/// The plain configuration, with what is shipped about trying again.
fn changed(from: &str, to: &str) -> String {
    crate::host::changed(from, to).replace("    retry: never\n", "")
}

const VALIDATED: &str = "app.service: {validate: [/bin/app, --check], port: 8080}";
/// The look at what the first incident waits for.
const LOOK: &str = "app.service#=again-i1";

fn no() -> Observation {
    Observation::failing("it said no")
}

/// A service whose validator says no: a person has it.
fn with_a_broken_configuration() -> Host {
    let mut host = Host::new(&changed("app.service: {}", VALIDATED));
    host.sees(LOOK, no());
    host.fails("app.service#unit");
    host.action_ends(failed());
    assert_eq!(host.phase("app.service"), "escalated");
    host
}

fn obstacle(host: &Host) -> Option<Obstacle> {
    host.open("app.service").and_then(|incident| incident.retry.clone()).and_then(|retry| retry.obstacle)
}

#[test]
fn when_the_validator_says_yes_again_it_is_healed_within_seconds_and_people_hear_that_it_recovered() {
    let mut host = with_a_broken_configuration();
    assert!(matches!(obstacle(&host), Some(Obstacle::Validator { .. })), "{:?}", obstacle(&host));
    host.pass(secs(100));
    let said = host.summary("app.service");
    assert!(said.contains("it is tried again as soon as `/bin/app --check` says yes, or in 3m"), "{said}");
    assert_eq!(host.done(), ["validate the configuration with `/bin/app --check`"], "no try while it says no");
    host.is_well(LOOK);
    let mut host = host.mended_by("restart");
    host.pass(secs(10));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
    assert!(host.story(1).iter().any(|step| step == "tried again: now `/bin/app --check` says yes"));
    host.pass(secs(60));
    assert_eq!(
        (host.phase("app.service"), host.told()),
        ("none", vec!["Escalated to 1".into(), "Recovered to 1".into()])
    );
}

/// A service that is started by hand when its configuration is mended, as the end of a drill does it: what its seldom probe saw
/// before is no reason to restart it.
#[test]
fn what_was_started_since_it_was_seen_to_fail_is_looked_at_before_it_is_tried_again() {
    let seldom =
        "app.service: {validate: [/bin/app, --check], probe: {tcp: '127.0.0.1:8080', every: 30s, every_soft: 30s}}";
    for is_well in [true, false] {
        let mut host = Host::new(&changed("app.service: {}", seldom));
        host.sees(LOOK, no());
        host.fails("app.service#tcp");
        host.fails("app.service#unit");
        host.action_ends(failed());
        host.pass(secs(100));
        assert_eq!(host.phase("app.service"), "escalated");
        let mut host = host.mended_by("restart");
        let up = UnitSnapshot { since: Some(host.now.wall), ..unit(ActiveState::Active, Intent::Unknown) };
        host.happens("app.service", judged(up));
        if is_well {
            host.is_well("app.service#tcp");
        }
        host.is_well(LOOK);
        host.pass(secs(10));
        let restarts = host.done().iter().filter(|action| action.starts_with("restart")).count();
        assert_eq!(restarts, usize::from(!is_well), "{is_well}: {:?}", host.story(1));
    }
}

/// systemd has given it up after a row of starts: who starts it then begins a new row, and it is no loop any more.
#[test]
fn what_somebody_starts_after_systemd_gave_it_up_is_no_restart_loop() {
    let run = |active, restarts, invocation: &str| {
        judged(UnitSnapshot { restarts, invocation: Some(invocation.into()), ..unit(active, Intent::ByItself) })
    };
    // Nothing is done about it, since an action of ours begins a new row as well.
    let said = |row: [(ActiveState, u32, &str); 3]| {
        let mut host = Host::new(&changed("app.service: {}", "app.service: {autonomy: observe}"));
        for (active, restarts, invocation) in row {
            host.happens("app.service", run(active, restarts, invocation));
        }
        host.explain("app.service").checks[0].last.clone().expect("seen").2.to_string()
    };
    let (up, down) = (ActiveState::Active, ActiveState::Failed);
    let loops = said([(up, 0, "first"), (down, 9, "tenth"), (up, 10, "eleventh")]);
    assert!(loops.contains("restart loop"), "{loops}");
    let by_hand = said([(up, 0, "first"), (down, 9, "tenth"), (up, 0, "by hand")]);
    assert!(!by_hand.contains("restart loop"), "{by_hand}");
}

#[test]
fn a_person_who_is_asked_hears_first_what_keeps_it_broken() {
    let mut host = Host::new(&changed("app.service: {}", VALIDATED));
    host.sees(LOOK, no());
    host.fails("app.service#unit");
    let why = "`/bin/app --check` ended with code 1: app.conf:13: unknown directive\ntest failed";
    host.action_ends(ActionOutcome::Failed { why: why.into() });
    let headline = host.dispatches[0].report.headline.clone();
    assert_eq!(headline.as_str(), "app.service needs a person: app.conf:13: unknown directive");
    let mut host = Host::new(&changed("app.service: {}", "app.service: {port: 8080}"));
    host.sees(LOOK, Observation::healthy("somebody answers"));
    host.fails("app.service#unit");
    host.action_ends(ActionOutcome::Failed { why: "port 8080 is held by pid 7 (other)".into() });
    let headline = host.dispatches[0].report.headline.clone();
    assert_eq!(headline.as_str(), "app.service needs a person: port 8080 is held by pid 7 (other)");
}

#[test]
fn when_a_foreign_owner_leaves_the_port_it_is_healed_within_seconds() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {port: 8080}"));
    host.sees(LOOK, Observation::healthy("somebody answers"));
    host.fails("app.service#unit");
    host.action_ends(ActionOutcome::Failed { why: "held by pid 7".into() });
    assert_eq!((host.phase("app.service"), obstacle(&host)), ("escalated", Some(Obstacle::Port { port: 8080 })));
    host.pass(secs(60));
    assert_eq!(host.done().len(), 1);
    // Nobody could tell: that is not gone.
    host.sees(LOOK, Observation::unknown("no descriptors"));
    host.pass(secs(20));
    assert_eq!(host.done().len(), 1);
    let mut host = host.mended_by("restart");
    host.sees(LOOK, no());
    host.pass(secs(10));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
}

#[test]
fn without_a_known_cause_it_is_tried_once_after_5_15_and_30_minutes_and_each_hour() {
    let mut host = Host::new(&changed("actions: 6", "actions: 60")).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(240));
    assert_eq!(host.phase("app.service"), "escalated");
    assert!(
        host.summary("app.service")
            .contains("; it is tried again as soon as what app.service reads is changed, or in "),
        "{}",
        host.summary("app.service")
    );
    let handed_over = |host: &Host| host.story(1).iter().filter(|step| step.starts_with("tried again")).count();
    let before = host.done().len();
    let tries = [300, 900, 1_800, 3_600, 3_600].map(|wait| {
        host.pass(secs(wait + 60));
        handed_over(&host)
    });
    assert_eq!(tries, [1, 2, 3, 4, 5], "{:?}", host.story(1));
    assert_eq!(host.done().len() - before, 5, "one action each: {:?}", host.done());
    assert_eq!(host.told(), ["Escalated to 1"], "and nobody is told again");
    host.set_mending(Some("restart"));
    host.pass(secs(3_700));
    assert_eq!(host.phase("app.service"), "none", "{:?}", host.story(1));
}

#[test]
fn a_policy_may_say_never() {
    let mut host = Host::plain().actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(200));
    let before = host.done().len();
    host.pass(secs(86_400));
    assert_eq!((host.phase("app.service"), host.done().len()), ("escalated", before));
    assert_eq!(host.open("app.service").and_then(|incident| incident.retry.clone()), None);
}

#[test]
fn nothing_is_tried_in_a_hold_and_at_once_when_it_ends() {
    let mut host = with_a_broken_configuration();
    host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: None });
    host.is_well(LOOK);
    host.pass(secs(7_200));
    assert_eq!((host.done().len(), host.phase("app.service")), (1, "escalated"));
    host.operator(Operation::Release { scope: Scope::All });
    host.pass(secs(6));
    assert_eq!(host.done().len(), 2, "{}", host.summary("app.service"));
}

#[test]
fn the_agent_may_be_restarted_meanwhile() {
    let mut host = with_a_broken_configuration();
    host.pass(secs(30));
    host.restart(None);
    host.fails("app.service#unit");
    assert_eq!(host.phase("app.service"), "escalated");
    host.is_well(LOOK);
    host.pass(secs(10));
    assert_eq!(host.done().len(), 2, "{:?}", host.story(1));
}

#[test]
fn a_target_whose_need_is_well_again_and_a_unit_that_is_there_again_are_tried_at_once() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {needs: [db.service]}\n  db.service: {}"));
    host.operator(Operation::Hold { scope: only("app.service"), reason: "r".into(), until: None });
    host.operator(Operation::Hold { scope: only("db.service"), reason: "r".into(), until: None });
    host.fails("app.service#unit");
    host.fails("db.service#unit");
    host.operator(Operation::Release { scope: only("app.service") });
    host.pass(secs(301));
    assert_eq!((host.phase("app.service"), obstacle(&host)), ("escalated", Some(Obstacle::Needs)));
    host.pass(secs(60));
    assert_eq!(host.done(), [""; 0]);
    host.is_well("db.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart app.service"]);

    let mut host = Host::new(&changed("attempts: 4", "attempts: 3"));
    let mut missing = unit(ActiveState::Inactive, Intent::ByItself);
    missing.load = LoadState::NotFound;
    host.sees("app.service#unit", judged(missing));
    assert_eq!((host.phase("app.service"), obstacle(&host)), ("escalated", Some(Obstacle::Unit)));
    // It is there, and whether it should run nobody can know: a person still has it.
    host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Unknown)));
    host.pass(secs(600));
    assert_eq!((host.phase("app.service"), host.done().len()), ("escalated", 0));
    host.sees("app.service#unit", judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(6));
    assert_eq!(host.done(), ["restart app.service"], "{}", host.summary("app.service"));
}

#[test]
fn tries_after_an_escalation_stay_within_the_budget() {
    let mut host = Host::new(&changed("actions: 6", "actions: 2")).actions_end(succeeded());
    host.fails("app.service#unit");
    for _ in 0..48 {
        host.pass(secs(1_800));
        assert!(host.engine.state().targets[&target("app.service")].actions.len() <= 256);
    }
    let at: Vec<u64> = host.begun.iter().map(|(at, _)| at.as_secs()).collect();
    for (index, at_first) in at.iter().enumerate() {
        let within = at[index..].iter().filter(|at| **at < at_first + 3_600).count();
        assert!(within <= 2, "{at:?}");
    }
    assert!(at.len() > 10, "and it goes on: {at:?}");
}

#[test]
fn a_validator_that_says_yes_here_and_no_in_the_runbook_is_not_asked_all_the_time() {
    let mut host = with_a_broken_configuration().actions_end(failed());
    host.is_well(LOOK);
    host.pass(secs(3_600));
    let tries = host.done().len();
    assert!((4..80).contains(&tries), "{tries} tries in an hour");
    assert_eq!(host.told(), ["Escalated to 1"]);
}

#[test]
fn a_need_that_is_only_being_healed_is_waited_for_and_nothing_is_tried_meanwhile() {
    let mut host = Host::new(&changed(
        "app.service: {}",
        "app.service: {needs: [db.service]}\n  db.service: {probe: {exec: [/bin/ask], timeout: 3s}}",
    ));
    host.operator(Operation::Hold { scope: Scope::All, reason: "r".into(), until: None });
    host.fails("app.service#unit");
    host.fails("db.service#unit");
    host.pass(secs(301));
    host.operator(Operation::Release { scope: Scope::All });
    assert_eq!(host.phase("app.service"), "escalated");
    // The need runs again and nobody has seen yet that it is well.
    host.hanging.insert(crate::host::check("db.service#exec"));
    host.is_well("db.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(15));
    assert_eq!(host.phase("db.service"), "remediating");
    assert!(!host.story(1).iter().any(|step| step.starts_with("tried again")), "{:?}", host.story(1));
    host.hanging.clear();
    host.pass(secs(20));
    assert_eq!(host.done(), ["restart db.service", "restart app.service"]);
}

/// What a look at the files of a unit sees.
fn files(print: f64) -> Observation {
    Observation::healthy("5 files").with_figure(Probe::PRINT, Value::Number(print))
}

#[test]
fn a_changed_file_of_what_a_unit_reads_is_a_reason_to_try_at_once() {
    let mut host = Host::new(&changed("attempts: 4", "attempts: 1")).actions_end(failed());
    host.sees(LOOK, files(1.0));
    host.fails("app.service#unit");
    assert!(matches!(obstacle(&host), Some(Obstacle::Files { .. })), "{:?}", obstacle(&host));
    host.pass(secs(100));
    let said = host.summary("app.service");
    assert!(said.contains("it is tried again as soon as what app.service reads is changed, or in 3m"), "{said}");
    // Half of it was mended, and the other half after that was tried.
    host.sees(LOOK, files(2.0));
    host.pass(secs(6));
    assert_eq!((host.done().len(), host.phase("app.service")), (2, "escalated"), "{:?}", host.story(1));
    host.restart(None);
    host.fails("app.service#unit");
    host.sees(LOOK, files(3.0));
    let mut host = host.mended_by("restart");
    host.pass(secs(12));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
    host.pass(secs(60));
    assert_eq!(host.told(), ["Escalated to 1", "Recovered to 1"]);
}

/// The same, when the last of the files was changed at this moment.
fn files_of(print: f64, changed: WallTime) -> Observation {
    let changed = Duration::from_millis(u64::try_from(changed.0).expect("after 1970"));
    files(print).with_figure(Probe::CHANGED, Value::Duration(changed))
}

#[test]
fn what_was_mended_after_the_last_try_and_before_it_was_looked_at_is_a_reason_to_try_at_once() {
    // How often it is tried when a file was changed so many milliseconds after the try began, which lasts for 20.
    let tries = |edited_after: i64| {
        let mut host = Host::new(&changed("attempts: 4", "attempts: 1")).actions_end(failed());
        let edited = WallTime(host.now.wall.0 + edited_after);
        host.hanging.insert(crate::host::check(LOOK));
        host.fails("app.service#unit");
        assert_eq!(host.phase("app.service"), "escalated");
        host.sees(LOOK, files_of(1.0, edited));
        host.pass(secs(1));
        host.hanging.clear();
        host.pass(secs(60));
        host.done().len()
    };
    assert_eq!(tries(500), 2, "once, for it does not help here");
    assert_eq!(tries(-1_000), 1, "before the try");
    assert_eq!((tries(10), tries(20)), (1, 1), "what a start writes is no mending");
    assert_eq!(tries(3_600_000), 1, "the clock was set back");
}

#[test]
fn a_service_that_writes_its_own_files_when_it_starts_is_not_tried_again_for_that() {
    let mut host = Host::new(&changed("attempts: 4", "attempts: 1"));
    host.sees(LOOK, files_of(1.0, host.now.wall));
    host.fails("app.service#unit");
    host.action_ends(failed());
    host.pass(secs(310));
    assert_eq!((host.done().len(), host.under_way.len()), (2, 1), "time has passed: {:?}", host.story(1));
    let written = host.now.wall;
    host.pass(secs(1));
    host.sees.insert(crate::host::check(LOOK), files_of(2.0, written));
    host.action_ends(failed());
    host.pass(secs(120));
    assert_eq!((host.done().len(), host.phase("app.service")), (2, "escalated"), "{:?}", host.story(1));
    // What a person takes away is no younger than what it wrote.
    host.sees(LOOK, files_of(3.0, written));
    host.pass(secs(12));
    assert_eq!(host.done().len(), 3, "{:?}", host.story(1));
}

#[test]
fn an_edited_unit_file_is_no_reason_to_try_before_systemd_has_read_it() {
    let mut host = Host::new(&changed("attempts: 4", "attempts: 1")).actions_end(failed());
    let down = |needs_reload| judged(UnitSnapshot { needs_reload, ..unit(ActiveState::Failed, Intent::ByItself) });
    host.sees(LOOK, files(1.0));
    host.sees("app.service#unit", down(false));
    host.pass(secs(30));
    assert_eq!((host.done().len(), host.phase("app.service")), (1, "escalated"), "{:?}", host.story(1));
    host.sees(LOOK, files(2.0));
    host.sees("app.service#unit", down(true));
    host.pass(secs(60));
    assert_eq!(host.done().len(), 1, "{:?}", host.story(1));
    host.sees("app.service#unit", down(false));
    host.pass(secs(15));
    assert_eq!(host.done().len(), 2, "{:?}", host.story(1));
}

#[test]
fn who_edits_the_files_of_what_runs_is_left_alone() {
    let probe = "app.service: {probe: {http: \"http://app.example/\", every: 1s, fail_after: 1}}";
    let mut host =
        Host::new(&changed("app.service: {}", probe).replace("attempts: 4", "attempts: 1")).actions_end(failed());
    host.sees(LOOK, files(1.0));
    host.fails("app.service#http");
    host.pass(secs(30));
    assert_eq!((host.phase("app.service"), obstacle(&host)), ("escalated", None));
}

/// Whatever was misconfigured at once is back within seconds after it was mended.
fn are_back_once_mended(count: usize) {
    let names: Vec<String> = (0..count).map(|number| format!("app{number}.service")).collect();
    let services: String = names.iter().map(|name| format!("  {name}: {{}}\n")).collect();
    let text = changed("  app.service: {}\n", &services);
    let mut host = Host::new(&text).actions_end(failed());
    for name in &names {
        host.fails(&format!("{name}#unit"));
    }
    host.pass(secs(240));
    let phases: Vec<_> = names.iter().map(|name| host.phase(name)).collect();
    assert!(phases.iter().all(|phase| *phase == "escalated"), "{phases:?}");
    let look = |host: &Host, name: &str| format!("{name}#=again-{}", host.open(name).expect("open").id);
    let looks: Vec<_> = names.iter().map(|name| look(&host, name)).collect();
    looks.iter().for_each(|look| host.sees(look, files(1.0)));
    host.pass(secs(61));
    let mut host = host.mended_by("restart");
    looks.iter().for_each(|look| host.sees(look, files(2.0)));
    host.pass(secs(15));
    for name in &names {
        assert_eq!(host.phase(name), "stabilizing", "{name}: {}", host.summary(name));
    }
    host.pass(secs(60));
    // What worked and fails again is a repetition as ever.
    assert!(names.iter().all(|name| host.open(name).is_none()));
}

#[test]
fn nine_and_twenty_daemons_that_were_misconfigured_at_once_are_back_within_seconds_after_they_were_mended() {
    are_back_once_mended(9);
    are_back_once_mended(20);
}

#[test]
fn what_has_nothing_to_kill_is_not_started_again_in_the_name_of_killing() {
    let mut host = Host::plain();
    host.next_actions_end([failed(), failed(), not_needed()]);
    host.fails("app.service#unit");
    host.pass(secs(120));
    assert_eq!(host.done(), ["restart app.service", "restart app.service", "kill the processes of app.service"]);
    assert_eq!(host.phase("app.service"), "escalated");
}
