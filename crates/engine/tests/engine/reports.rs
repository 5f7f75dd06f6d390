//! What a report says of the failure is of the moment of the failure, and blames only what can have been why.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    id::IncidentId,
    incident::{Changed, Evidence, EvidenceKind, EvidencePart},
    observation::Observation,
    operator::{DrillKind, Operation},
    report::Report,
    time::WallTime,
    unit::{ActiveState, Exit, Intent, UnitResult, UnitSnapshot},
};

use crate::host::{ACTION, Host, PLAIN, changed, failed, judged, secs, succeeded, target, unit};

/// A host whose service is up and does not answer.
fn hung(has_evidence: bool) -> Host {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look)).actions_end(succeeded());
    host.has_evidence = has_evidence;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(60));
    host.sees("app.service#tcp", Observation::failing("nobody answers"));
    host
}

/// Time passes until the failure is an incident.
fn until_open(host: &mut Host) {
    for _ in 0..1_000 {
        if host.open("app.service").is_some() {
            return;
        }
        host.pass(Duration::from_millis(100));
    }
    panic!("no incident was opened");
}

fn opened(host: &Host) -> IncidentId {
    host.open("app.service").expect("open").id
}

#[test]
fn a_service_that_is_up_is_looked_at_before_a_remedy_takes_its_traces() {
    let mut host = hung(false);
    until_open(&mut host);
    assert_eq!(host.done(), [""; 0], "its processes and its port are looked at first");
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![] });
    assert_eq!(host.done(), ["free port 5000 from leftovers of app.service", "restart app.service"]);
}

#[test]
fn traces_that_do_not_come_keep_nothing_down() {
    let mut host = hung(false);
    until_open(&mut host);
    host.pass(secs(1));
    assert_eq!(host.done(), ["free port 5000 from leftovers of app.service", "restart app.service"]);
}

/// The report on a service that was well half a minute before, and in whose evidence is a change.
fn report_with(changed_ago: u64, is_own: bool) -> Report {
    let mut host = Host::plain().actions_end(succeeded());
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(600));
    host.sees("app.service#unit", Observation::failing("it does not run"));
    until_open(&mut host);
    let opened_at = host.open("app.service").expect("open").opened.wall.0;
    let at = WallTime(opened_at - i64::try_from(changed_ago * 1000).expect("short"));
    let changed = Some(Changed::once(at, is_own));
    let found = Evidence { changed, ..Evidence::new("unit files", EvidenceKind::Change, "it was changed") };
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![found] });
    host.engine.report(host.now, incident).expect("open")
}

#[test]
fn a_change_is_blamed_when_it_is_the_targets_and_younger_than_when_all_was_well() {
    let blamed = |ago, is_own| report_with(ago, is_own).cause.map(|cause| cause.rule.as_str().to_owned());
    assert_eq!(blamed(0, true).as_deref(), Some("recent-change"));
    assert_eq!(blamed(120, true), None, "it was well with it");
    assert_eq!(blamed(0, false), None, "it is none of its own");
}

/// The cause of a service that ends with an error of its own in a run, after runs of which each was well for so many seconds, when
/// its unit file was changed so many seconds before.
fn cause_after(runs: &[(&str, u64)], failed_in: &str, changed_ago: u64) -> Option<String> {
    let mut host = Host::plain().actions_end(succeeded());
    host.has_evidence = false;
    for (run, lasts) in runs {
        let up = UnitSnapshot { invocation: Some((*run).into()), ..unit(ActiveState::Active, Intent::ByItself) };
        host.sees("app.service#unit", judged(UnitSnapshot { since: Some(host.now.wall), ..up }));
        host.pass(secs(*lasts));
    }
    let down = unit(ActiveState::Failed, Intent::ByItself);
    let (invocation, result, exit) = (Some(failed_in.into()), UnitResult::ExitCode, Some(Exit::Code(3)));
    host.sees("app.service#unit", judged(UnitSnapshot { invocation, result, exit, ..down }));
    let opened_at = host.open("app.service").expect("open").opened.wall.0;
    let at = WallTime(opened_at - i64::try_from(changed_ago * 1000).expect("short"));
    let changed = Some(Changed::once(at, true));
    let found = Evidence { changed, ..Evidence::new("unit files", EvidenceKind::Change, "it was changed") };
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![found] });
    let report = host.engine.report(host.now, incident).expect("open");
    report.cause.map(|cause| cause.rule.as_str().to_owned())
}

#[test]
fn a_change_is_blamed_for_a_run_that_has_read_it_though_the_one_before_was_well() {
    let blamed = Some("recent-change".to_owned());
    let other = Some("exit-code".to_owned());
    assert_eq!(cause_after(&[("a", 3600)], "b", 1200), blamed, "what ran had read nothing since");
    assert_eq!(cause_after(&[("a", 3600)], "b", 3700), other, "it ran with it for an hour");
    assert_eq!(cause_after(&[("a", 3600)], "a", 1200), other, "the run that failed has not read it");
    assert_eq!(cause_after(&[("a", 3600), ("b", 20)], "b", 1200), blamed, "it was hardly well");
    assert_eq!(cause_after(&[("a", 3600), ("b", 1800)], "b", 2400), other, "it was well with it");
}

#[test]
fn what_other_checks_have_seen_of_a_target_is_counted_too() {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look)).actions_end(succeeded());
    let history = |host: &Host| {
        let history = host.engine.report(host.now, opened(host)).expect("open").history;
        (history.incidents, history.by_others)
    };
    host.fails("app.service#tcp");
    until_open(&mut host);
    assert_eq!(history(&host), (0, 0));
    host.sees("app.service#tcp", Observation::healthy("well"));
    host.pass(secs(3600));
    host.fails("app.service#unit");
    until_open(&mut host);
    assert_eq!(history(&host), (0, 1));
}

#[test]
fn a_service_all_of_whose_processes_are_stopped_was_stopped_by_somebody() {
    let mut host = hung(false);
    until_open(&mut host);
    let incident = opened(&host);
    let seen = "3 processes; all stopped (state T); memory 12 MiB";
    let evidence = vec![Evidence::new("processes of app.service", EvidenceKind::Resources, seen)];
    host.step(Input::Gathered { request: None, incident, evidence });
    let cause = host.engine.report(host.now, incident).and_then(|report| report.cause).expect("a cause");
    assert_eq!(
        (cause.rule.as_str(), cause.seen_in.as_str()),
        ("stopped", "processes of app.service: 3 processes; all stopped (state T); memory 12 MiB")
    );
}

/// A service that has just died, its restart under way, and that had been seen at its port a moment before.
fn died() -> Host {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}\nrunbooks:\n  service/app.service: \
                [{name: restart, steps: [{restart_unit: app.service}], then: verify}]";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look));
    host.has_evidence = false;
    let run = |active| judged(UnitSnapshot { invocation: Some("one".into()), ..unit(active, Intent::ByItself) });
    host.sees("app.service#tcp", Observation::healthy("accepts within 1 ms"));
    host.sees("app.service#unit", run(ActiveState::Active));
    host.pass(Duration::from_millis(60_500));
    host.happens("app.service", run(ActiveState::Failed));
    host
}

#[test]
fn of_a_crash_it_is_told_what_was_seen_before_and_the_log_of_the_run_that_died() {
    let mut host = died();
    assert_eq!(host.done(), ["restart app.service"], "it waits for nothing");
    let asked = |host: &Host, at: usize| host.requests.get(at).map(|asked| (asked.part, asked.port, asked.is_running));
    assert_eq!(asked(&host, 0), Some((EvidencePart::Passing, None, false)), "nobody has the port of what is dead");
    let before = opened(&host);
    let looks = |host: &Host| {
        let incident = host.open("app.service").expect("open");
        let looks = incident.evidence.iter().filter(|found| found.kind == EvidenceKind::Look);
        looks.map(|found| (found.source.to_string(), found.text.to_string(), found.seen)).collect::<Vec<_>>()
    };
    let seen = looks(&host);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(
        (seen[0].0.as_str(), seen[0].1.as_str()),
        ("last look of service/app.service#tcp", "accepts within 1 ms")
    );
    let since = host.open("app.service").expect("open").failing_since.wall;
    assert!(seen[0].2.is_some_and(|at| at < since), "{seen:?}");
    host.step(Input::Gathered { request: None, incident: before, evidence: vec![] });
    assert_eq!(host.requests.len(), 1, "the log waits, while the restart does not");
    // It runs anew, and what is asked for now is still of the run that died.
    host.sees(
        "app.service#unit",
        judged(UnitSnapshot { invocation: Some("two".into()), ..unit(ActiveState::Active, Intent::Ours) }),
    );
    host.pass(ACTION);
    host.action_ends(succeeded());
    assert_eq!(asked(&host, 1).map(|asked| asked.0), Some(EvidencePart::Lasting));
    assert_eq!(host.requests[1].run.as_ref().map(ToString::to_string).as_deref(), Some("one"));
    assert!(host.requests.iter().all(|asked| asked.failed <= host.now.wall));
    host.pass(secs(60));
    assert!(host.requests[2..].iter().all(|asked| asked.part == EvidencePart::Lasting), "{:?}", host.requests);
}

#[test]
fn what_is_seen_of_a_service_after_its_remedy_has_begun_is_no_evidence_of_its_failure() {
    let found = |at: WallTime, text: &str| Evidence::seen_at(at, "processes", EvidenceKind::Resources, text);
    let told = |is_late: bool| {
        let mut host = hung(false);
        until_open(&mut host);
        let incident = opened(&host);
        let before = host.now.wall;
        host.pass(secs(2));
        assert!(!host.done().is_empty(), "it does not wait for longer");
        let at = if is_late { host.now.wall } else { before };
        host.step(Input::Gathered { request: None, incident, evidence: vec![found(at, "3 processes")] });
        let report = host.engine.report(host.now, incident).expect("open");
        let told = report.evidence.iter().filter(|found| found.kind == EvidenceKind::Resources);
        told.map(|found| found.source.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(false), ["processes"]);
    assert_eq!(told(true), [""; 0], "these are the processes of the remedied service");
}

#[test]
fn who_takes_over_is_told_how_it_is_now_and_that_this_is_after_a_remedy() {
    let mut host = died();
    host.has_evidence = true;
    for _ in 0..20 {
        if host.phase("app.service") == "escalated" {
            break;
        }
        if !host.under_way.is_empty() {
            host.action_ends(failed());
        }
        host.pass(secs(30));
    }
    let incident = opened(&host);
    let report = host.engine.report(host.now, incident).expect("open");
    assert!(host.requests.last().is_some_and(|asked| asked.part == EvidencePart::Lasting));
    let port = report.evidence.iter().find(|found| found.kind == EvidenceKind::Port);
    assert_eq!(port.map(|found| found.source.to_string()).as_deref(), Some("sockets (after restart)"), "{report:#?}");
}

#[test]
fn a_change_that_was_made_after_the_failure_is_not_why() {
    let mut host = died();
    host.pass(ACTION);
    let changed = Some(Changed::once(host.now.wall, true));
    let found = Evidence { changed, ..Evidence::new("configuration", EvidenceKind::Change, "it was put back") };
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![found] });
    let cause = host.engine.report(host.now, incident).expect("open").cause.expect("a cause");
    assert_eq!(cause.rule.as_str(), "killed");
}

/// What is blamed while it fails, and once it is well, when a service that ended with 3 was changed after that and then fails anew
/// with this code.
fn blamed_of_a_later_change(code: i32) -> (String, String) {
    let ended = |code| {
        let (result, exit) = (UnitResult::ExitCode, Some(Exit::Code(code)));
        judged(UnitSnapshot { result, exit, ..unit(ActiveState::Failed, Intent::ByItself) })
    };
    let mut host = Host::plain().actions_end(succeeded());
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(600));
    host.sees("app.service#unit", ended(3));
    host.pass(secs(5));
    let changed = Some(Changed::once(host.now.wall, true));
    let found = Evidence { changed, ..Evidence::new("unit files", EvidenceKind::Change, "it was changed") };
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![found] });
    host.is_well("app.service#unit");
    host.pass(secs(10));
    host.sees("app.service#unit", ended(code));
    host.pass(secs(60));
    let blamed = |host: &Host| {
        let cause = host.engine.report(host.now, incident).and_then(|report| report.cause);
        cause.map(|cause| cause.rule.to_string()).unwrap_or_default()
    };
    let failing = blamed(&host);
    host.is_well("app.service#unit");
    host.pass(secs(10));
    (failing, blamed(&host))
}

#[test]
fn a_change_that_was_made_while_it_failed_is_no_cause_of_the_same_failure_nor_of_its_end() {
    let own = "exit-code".to_owned();
    assert_eq!(blamed_of_a_later_change(3), (own.clone(), own.clone()));
    assert_eq!(blamed_of_a_later_change(4), ("changed-while-failing".to_owned(), own));
}

#[test]
fn what_a_drill_did_is_blamed_on_the_drill() {
    let drill = |kind| {
        let mut host = Host::plain().actions_end(succeeded());
        host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
        host.pass(secs(60));
        assert!(host.operator(Operation::Drill { target: target("app.service"), kind }).starts_with("done"));
        host.sees("app.service#unit", judged(unit(ActiveState::Failed, Intent::ByItself)));
        host
    };
    let blamed = |host: &Host| {
        let cause = host.engine.report(host.now, opened(host)).and_then(|report| report.cause).expect("a cause");
        (cause.rule.to_string(), cause.text.to_string())
    };
    let crash = blamed(&drill(DrillKind::Crash));
    let words = "a drill of ansai did this on purpose: it killed the main process";
    assert_eq!((crash.0.as_str(), crash.1.as_str()), ("drill", words));
    // What a drill does not do is why the service stayed down after it.
    let mut host = drill(DrillKind::Crash);
    let incident = opened(&host);
    let full = Evidence::new("journal", EvidenceKind::Log, "write: no space left on device");
    host.step(Input::Gathered { request: None, incident, evidence: vec![full] });
    assert_eq!(blamed(&host).0, "drill");
    for _ in 0..100 {
        if host.phase("app.service") == "escalated" {
            break;
        }
        host.pass(secs(10));
    }
    assert_eq!((host.phase("app.service"), blamed(&host).0.as_str()), ("escalated", "disk-full"));
}

/// A memory of which little is left in a dead service is looked at as often as that of one that lives.
#[test]
fn what_is_seen_of_a_service_that_has_died_is_no_last_look_at_it() {
    let memory = "\nchecks:\n  'service/app.service#memory': {probe: {exec: [/bin/mem]}, every: 2s, every_soft: 2s}\n";
    let told = |is_told_in_time: bool| {
        let mut host = Host::new(&format!("{PLAIN}{memory}"));
        host.sees("app.service#memory", Observation::healthy("50 MiB"));
        host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
        host.pass(Duration::from_millis(60_500));
        let died = WallTime(host.now.wall.0 - 1);
        // systemd is about to restart it by itself, and gives up later.
        if is_told_in_time {
            let waits = UnitSnapshot { sub: "auto-restart".into(), ..unit(ActiveState::Activating, Intent::Unknown) };
            host.happens("app.service", judged(waits));
        }
        host.sees.insert(crate::host::check("app.service#memory"), Observation::healthy("832 KiB"));
        host.pass(secs(5));
        let failed = UnitSnapshot { left_active: Some(died), ..unit(ActiveState::Failed, Intent::ByItself) };
        host.happens("app.service", judged(failed));
        let incident = host.open("app.service").expect("open");
        let looks = incident.evidence.iter().filter(|found| found.kind == EvidenceKind::Look);
        looks.map(|found| found.text.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(true), ["50 MiB"]);
    assert_eq!(told(false), [""; 0], "rather none than one from after its death");
}

/// A validator looks at files only: what a service has while it hangs is still there after it, and is waited for.
#[test]
fn what_only_looks_takes_no_traces_away() {
    let look = "app.service: {validate: [/bin/check], probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", look));
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(60));
    host.sees("app.service#tcp", Observation::failing("nobody answers"));
    until_open(&mut host);
    host.pass(Duration::from_millis(50));
    host.action_ends(succeeded());
    assert_eq!(host.done().len(), 1, "its traces are waited for: {:?}", host.done());
    let (incident, seen) = (opened(&host), "3 processes; all stopped (state T); memory 12 MiB");
    let found = Evidence::seen_at(host.now.wall, "processes of app.service", EvidenceKind::Resources, seen);
    host.step(Input::Gathered { request: None, incident, evidence: vec![found] });
    assert_eq!(host.done().len(), 2, "{:?}", host.done());
    let report = host.engine.report(host.now, incident).expect("open");
    assert_eq!(report.cause.map(|cause| cause.rule.to_string()).as_deref(), Some("stopped"));
    // Whoever had it stopped is found in its log.
    let line = "systemd[1]: app.service: Sent signal SIGSTOP to main process 4711 (app) on client request.";
    let log = Evidence::new("journalctl", EvidenceKind::Log, line);
    host.step(Input::Gathered { request: None, incident, evidence: vec![log] });
    let report = host.engine.report(host.now, incident).expect("open");
    assert_eq!(report.cause.map(|cause| cause.rule.to_string()).as_deref(), Some("signal-on-request"));
}

/// A service whose main process 4711 ended so, and what systemd has logged of its run.
fn blamed(exit: Option<Exit>, logged: &str) -> Option<String> {
    let mut host = Host::plain();
    host.has_evidence = false;
    host.sees("app.service#unit", judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(60));
    let seen = match exit {
        Some(_) => judged(UnitSnapshot { exit, ended_pid: Some(4711), ..unit(ActiveState::Failed, Intent::ByItself) }),
        None => Observation::failing("it hangs: its process has been stopped (state T) for 10s")
            .with_details(judged(unit(ActiveState::Active, Intent::Unknown)).details().clone()),
    };
    host.sees("app.service#unit", seen);
    let (incident, log) = (opened(&host), Evidence::new("journalctl", EvidenceKind::Log, logged));
    host.step(Input::Gathered { request: None, incident, evidence: vec![log] });
    host.engine.report(host.now, incident).expect("open").cause.map(|cause| cause.rule.to_string())
}

#[test]
fn whoever_had_systemd_send_the_signal_is_blamed_and_nobody_else_is_looked_for() {
    let sent = |signal: &str, pid: u32| {
        format!("systemd[1]: app.service: Sent signal {signal} to main process {pid} (app) on client request.")
    };
    let cases = [
        (Some(Exit::Signal(9)), sent("SIGKILL", 4711), Some("signal-on-request")),
        (Some(Exit::Dumped(6)), sent("SIGABRT", 4711), Some("signal-on-request")),
        (Some(Exit::Code(0)), sent("SIGTERM", 4711), Some("signal-on-request")),
        (None, sent("SIGSTOP", 4711), Some("signal-on-request")),
        // Not why: another process, another signal, one that asks for no end, or a program that says so of itself.
        (Some(Exit::Signal(9)), sent("SIGKILL", 812), Some("killed")),
        (Some(Exit::Signal(9)), sent("SIGTERM", 4711), Some("killed")),
        (Some(Exit::Code(0)), sent("SIGHUP", 4711), None),
        (None, format!("{}\n{}", sent("SIGSTOP", 4711), sent("SIGCONT", 4711)), Some("stopped")),
        (Some(Exit::Signal(9)), "app[4711]: Sent signal SIGKILL to main process".to_owned(), Some("killed")),
        (None, "nothing".to_owned(), Some("stopped")),
    ];
    for (exit, logged, expected) in cases {
        assert_eq!(blamed(exit, &logged).as_deref(), expected, "{exit:?} {logged}");
    }
}

/// What a remedy has logged of the run that hangs is none of its failure, and what a dead run has logged last may come late.
#[test]
fn the_log_of_a_run_that_was_up_ends_where_its_remedy_begins() {
    let mut host = hung(false);
    until_open(&mut host);
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![] });
    let began = host.begun.first().map(|(after, _)| *after).expect("a remedy");
    let asked = host.requests.iter().find(|asked| asked.part == EvidencePart::Lasting).expect("the log is asked for");
    let until = asked.until.expect("it ends");
    let start = host.now.wall.0 - i64::try_from(host.since_start().as_millis()).expect("short");
    assert_eq!(until.0 - start, i64::try_from(began.as_millis()).expect("short"));
    let mut host = died();
    let incident = opened(&host);
    host.step(Input::Gathered { request: None, incident, evidence: vec![] });
    host.pass(ACTION);
    host.action_ends(succeeded());
    let asked = host.requests.iter().find(|asked| asked.part == EvidencePart::Lasting).expect("the log is asked for");
    assert_eq!(asked.until, None);
}

const NEEDS: &str =
    "app.service: {needs: [db.service], probe: {exec: [/bin/ask], fail_after: 1, every: 1s}}\n  db.service: {}";

#[test]
fn an_incident_that_was_over_before_is_no_cause() {
    let cause_of = |is_well_in_between: bool| {
        let mut host = Host::new(&changed("app.service: {}", NEEDS)).mended_by("restart db.service");
        if !is_well_in_between {
            host.hanging.insert(crate::host::check("app.service#exec"));
        }
        host.pass(secs(60));
        host.fails("db.service#unit");
        host.pass(secs(5));
        assert_eq!(host.phase("db.service"), "stabilizing");
        host.sees_only("app.service#exec");
        host.story(2).iter().any(|step| step.contains("cause"))
    };
    assert!(!cause_of(true), "it was found well after what it needs had been mended");
    assert!(cause_of(false), "it may suffer since then");
}

#[test]
fn a_look_at_what_it_needs_is_no_step_unless_it_takes_long() {
    let mut host = Host::new(&changed("app.service: {}", NEEDS));
    host.pass(secs(60));
    host.fails("app.service#unit");
    host.pass(Duration::from_millis(100));
    assert_eq!(host.done(), ["restart app.service"]);
    assert!(host.story(1)[0].starts_with("decided: run"), "{:?}", host.story(1));
    let mut host = Host::new(&changed("app.service: {}", NEEDS));
    host.pass(secs(60));
    host.hanging.insert(crate::host::check("db.service#unit"));
    host.fails("app.service#unit");
    host.pass(secs(2));
    assert!(host.story(1)[0].contains("it needs service/db.service, which is looked at first"), "{:?}", host.story(1));
}

#[test]
fn what_got_a_signal_of_its_own_is_no_symptom_of_what_it_needs() {
    let is_symptom = |exit: Exit, result: UnitResult| {
        let mut host = Host::new(&changed("app.service: {}", NEEDS));
        host.pass(secs(60));
        host.fails("db.service#unit");
        let down = UnitSnapshot { exit: Some(exit), result, ..unit(ActiveState::Failed, Intent::ByItself) };
        host.sees("app.service#unit", judged(down));
        host.story(2).iter().any(|step| step.starts_with("cause"))
    };
    assert!(!is_symptom(Exit::Signal(9), UnitResult::Signal), "somebody killed it");
    assert!(!is_symptom(Exit::Signal(9), UnitResult::OomKill), "its memory ran out");
    assert!(is_symptom(Exit::Code(1), UnitResult::ExitCode), "it may have ended for lack of it");
    assert!(is_symptom(Exit::Dumped(6), UnitResult::CoreDump), "so may what aborts");
    assert!(is_symptom(Exit::Signal(9), UnitResult::Timeout), "systemd did, since it did not stop");
}
