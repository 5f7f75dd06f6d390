//! What fails again after a remedy was verified is a new failure: what is cheap to ask is asked again, the cause is what is
//! seen now, and the ladder ends all the same.

use ansai_model::{
    decision::Gate,
    id::IncidentId,
    incident::{Evidence, EvidenceKind},
    observation::Observation,
    unit::{ActiveState, Exit, Intent, UnitResult, UnitSnapshot},
};

use crate::host::{Host, PLAIN, TWO_FAULT_DOMAINS, changed, check, failed, judged, not_needed, secs, succeeded, unit};

const CHECK: &str = "app.service#unit";
const VALIDATE: &str = "validate the configuration with `/bin/app-check`";
const RESTART: &str = "restart app.service";

fn killed() -> Observation {
    judged(unit(ActiveState::Failed, Intent::Unknown))
}

fn ended_with_an_error() -> Observation {
    let exit = Some(Exit::Code(1));
    let failed = unit(ActiveState::Failed, Intent::Unknown);
    judged(UnitSnapshot { result: UnitResult::ExitCode, exit, ..failed })
}

/// A service that was killed, restarted and verified, and is being watched; its story begins anew.
fn watched(restores: bool) -> Host {
    let service = format!(
        "app.service: {{validate: [/bin/app-check], configuration: [/etc/app.conf], restore_configuration: {restores}, port: 8080}}"
    );
    let mut host = Host::new(&changed("app.service: {}", &service));
    if restores {
        // The configuration is kept first.
        host.action_ends(succeeded());
    }
    let mut host = host.mended_by(RESTART);
    host.next_actions_end([succeeded(), not_needed()]);
    host.sees(CHECK, killed());
    assert_eq!((host.phase("app.service"), host.done().last()), ("stabilizing", Some(&RESTART)), "{:?}", host.story(1));
    assert_eq!(cause(&host), "killed");
    host.begun.clear();
    host
}

fn cause(host: &Host) -> String {
    let report = host.engine.report(host.now, IncidentId(1));
    let report = report.or_else(|| host.dispatches.last().map(|told| told.report.clone())).expect("a report");
    report.cause.map(|cause| cause.rule.to_string()).unwrap_or_default()
}

#[test]
fn a_configuration_that_breaks_while_a_remedy_is_watched_is_put_back_before_the_next_restart() {
    let mut host = watched(true);
    host.pass(secs(5));
    host.next_actions_end([failed(), succeeded(), not_needed(), succeeded()]);
    host.sees(CHECK, ended_with_an_error());
    let done = host.done();
    assert_eq!((done.first(), done.last(), done.len()), (Some(&VALIDATE), Some(&RESTART), 4), "{:?}", host.story(1));
    assert!(done[1].starts_with("put the last known good"), "{done:?}");
    assert_eq!((host.phase("app.service"), cause(&host).as_str()), ("stabilizing", "configuration-invalid"));
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), cause(&host).as_str()), ("none", "configuration-invalid"));
}

#[test]
fn a_validator_that_says_no_while_a_remedy_is_watched_hands_over_and_restarts_nothing() {
    let mut host = watched(false);
    host.next_actions_end([failed()]);
    host.sees(CHECK, ended_with_an_error());
    assert_eq!((host.phase("app.service"), host.done()), ("escalated", vec![VALIDATE]));
    assert_eq!(cause(&host), "configuration-invalid");
}

#[test]
fn what_fails_in_another_way_than_before_has_the_cause_that_is_seen_now() {
    let mut host = watched(true);
    host.sees(CHECK, ended_with_an_error());
    assert_eq!(cause(&host), "exit-code", "{:?}", host.story(1));
}

#[test]
fn what_fails_anew_each_time_is_asked_each_time_and_still_ends_with_a_person() {
    let mut host = watched(true);
    host.set_mending(Some(""));
    for _ in 0..10 {
        host.sees(CHECK, killed());
        while host.phase("app.service") == "remediating" {
            host.pass(secs(1));
        }
    }
    assert_eq!(host.phase("app.service"), "escalated", "{:?}", host.story(1));
    let (restarts, kills) = (count(&host, "restart"), count(&host, "kill"));
    assert_eq!((restarts, kills), (1, 1), "{:?}", host.done());
    assert_eq!(count(&host, "validate"), 3, "before each: {:?}", host.done());
}

/// As `Restart=always` would: what a start brings back each time is not left down for want of another remedy.
#[test]
fn what_dies_again_after_each_verified_start_is_started_again_after_a_wait() {
    let start = "start app.service";
    for ladder in [
        "",
        "runbooks:\n  service/app.service: [{name: only, steps: [{start_unit: app.service}], then: verify}]",
        "runbooks:\n  service/app.service: [{name: first, steps: [{start_unit: app.service}], then: verify}, \
         {name: other, entry: only-by-name, steps: [{exec: [/bin/other]}]}]",
    ] {
        let mut host = Host::new(&format!("{PLAIN}{ladder}"));
        for death in 1..=4 {
            host.sees(CHECK, killed());
            for _ in 0..60 {
                while let Some(run) = host.under_way.first() {
                    let what = run.action.describe();
                    host.pass(secs(1));
                    let starts = what.as_str() == start || what.as_str() == RESTART;
                    if starts {
                        host.is_mended("app.service");
                    }
                    host.action_ends(if what.as_str().starts_with("kill") { not_needed() } else { succeeded() });
                }
                if host.phase("app.service") == "stabilizing" {
                    break;
                }
                host.pass(secs(1));
            }
            assert_eq!(host.phase("app.service"), "stabilizing", "{ladder}: death {death}: {:?}", host.story(1));
        }
        // The attempts of the policy bound it all the same.
        host.sees(CHECK, killed());
        host.pass(secs(1));
        assert_eq!(host.phase("app.service"), "escalated", "{:?}", host.story(1));
    }
}

fn count(host: &Host, what: &str) -> usize {
    host.done().iter().filter(|done| done.starts_with(what)).count()
}

/// What keeps a service down may be another thing than what took it down: a change that came with the failure.
#[test]
fn what_a_remedy_finds_to_keep_it_broken_is_the_cause_that_is_told() {
    let mut host = Host::plain().actions_end(succeeded());
    host.sees(CHECK, killed());
    assert_eq!(cause(&host), "killed");
    for _ in 0..10 {
        host.sees(CHECK, ended_with_an_error());
        host.pass(secs(60));
    }
    assert_eq!((host.phase("app.service"), cause(&host).as_str()), ("escalated", "exit-code"), "{:?}", host.story(1));
    let report = host.engine.report(host.now, IncidentId(1)).expect("a report");
    let seen = ended_with_an_error().summary().clone();
    assert_eq!(report.headline.as_str(), format!("app.service needs a person: {seen}"));
    assert_eq!(report.symptom.as_str(), format!("{}; seen last: {seen}", killed().summary()));
}

#[test]
fn what_a_person_has_and_is_well_again_is_said_to_be_and_told_anew_when_it_fails_once_more() {
    let mut host = Host::plain().actions_end(failed());
    host.fails(CHECK);
    host.pass(secs(600));
    assert_eq!(host.phase("app.service"), "escalated");
    host.is_well(CHECK);
    host.pass(secs(10));
    let told = |host: &Host| host.engine.report(host.now, IncidentId(1)).expect("a report");
    let (headline, down) = (told(&host).headline, told(&host).downtime);
    assert!(headline.as_str().starts_with("app.service is well again, and watched"), "{headline}");
    assert!(
        down.is_some() && host.summary("app.service").starts_with("it is well again since "),
        "{}",
        host.summary("app.service")
    );
    let well_since = told(&host).well_since;
    let explained = host.explain("app.service").incidents.remove(0);
    assert!(well_since.is_some() && explained.is_well_again, "{explained:?}");
    assert_eq!(explained.well_since, well_since);
    // Neither time nor a restart of the agent makes it longer.
    host.restart(None);
    host.pass(secs(5));
    assert_eq!((told(&host).downtime, told(&host).well_since), (down, well_since), "{:?}", host.story(1));
    let asked = host.requests.len();
    host.sees(CHECK, Observation::failing("full again"));
    host.pass(secs(1));
    let report = told(&host);
    assert_eq!((report.downtime, report.headline.as_str()), (None, "app.service needs a person: full again"));
    assert_eq!((report.well_since, host.explain("app.service").incidents[0].is_well_again), (None, false));
    assert!(report.symptom.as_str().ends_with("; seen last: full again"), "{}", report.symptom);
    assert!(host.requests.len() > asked, "it is looked into once more");
}

/// What is only observed is open, not handed over; and what changes too often is not called over for long.
#[test]
fn what_is_open_and_well_is_said_to_be_also_while_it_is_only_observed_or_changes_too_often() {
    let told = |host: &Host| host.engine.report(host.now, IncidentId(1)).expect("a report");
    let mut host = Host::new("autonomy: observe\nservices:\n  app.service: {}\n");
    host.fails(CHECK);
    host.pass(secs(5));
    assert_eq!((host.phase("app.service"), told(&host).well_since), ("open", None));
    host.is_well(CHECK);
    host.pass(secs(5));
    let report = told(&host);
    assert!(report.well_since.is_some() && report.downtime.is_some(), "{report:?}");
    assert!(report.headline.as_str().starts_with("app.service is well again, and watched"), "{}", report.headline);
    assert!(host.summary("app.service").starts_with("it is well again since "), "{}", host.summary("app.service"));

    let mut host = Host::plain().actions_end(failed());
    host.fails(CHECK);
    host.pass(secs(600));
    for _ in 0..8 {
        host.is_well(CHECK);
        host.pass(secs(5));
        host.fails(CHECK);
        host.pass(secs(5));
    }
    host.is_well(CHECK);
    host.pass(secs(5));
    assert!(host.explain("app.service").checks[0].is_flapping, "{:?}", host.explain("app.service").checks);
    assert!(told(&host).well_since.is_some() && host.explain("app.service").incidents[0].is_well_again);
    assert!(told(&host).downtime.is_some());
}

#[test]
fn a_rule_that_may_only_observe_by_now_is_said_to_while_an_attempt_waits() {
    let mut host = Host::plain().actions_end(failed());
    host.fails(CHECK);
    assert!(host.summary("app.service").contains("the next attempt"), "{}", host.summary("app.service"));
    host.apply(&changed("app.service: {}", "app.service: {autonomy: observe}"));
    let said = host.summary("app.service");
    assert_eq!(said, "nothing is done: the rule may only observe (autonomy: observe)");
}

#[test]
fn a_full_disk_is_told_with_what_takes_its_room_and_why_it_is_not_healed() {
    let mut host = Host::new("autonomy: act\ndisks:\n  /data: {}\n");
    let check = ansai_model::id::CheckId::new("disk//data#space").expect("a name");
    for _ in 0..3 {
        host.sees.insert(check.clone(), Observation::failing("95.0 % used"));
        host.step(ansai_engine::input::Input::Hint(ansai_model::hint::Hint::Everything));
    }
    // The figures of the host are no reason, whenever they come.
    let figures = || Evidence::new("/proc", EvidenceKind::Resources, "memory: 2.0 GiB of 4.0 GiB available");
    host.step(ansai_engine::input::Input::Gathered {
        request: None,
        incident: IncidentId(1),
        evidence: vec![figures()],
    });
    assert_eq!(host.engine.report(host.now, IncidentId(1)).expect("a report").cause, None);
    let files = Evidence::new("folders of /data", EvidenceKind::Resources, "largest files: 19.0 MiB /data/fill");
    host.step(ansai_engine::input::Input::Gathered {
        request: None,
        incident: IncidentId(1),
        evidence: vec![files, figures()],
    });
    let report = host.engine.report(host.now, IncidentId(1)).expect("a report");
    let told = report.cause.expect("a cause");
    assert_eq!(
        (told.rule.as_str(), told.seen_in.as_str()),
        ("disk-filled", "folders of /data: largest files: 19.0 MiB /data/fill")
    );
    assert_eq!(host.story(1)[0], "decided: no remedy is declared for it");
    let target = ansai_model::id::TargetId::new("disk//data").expect("a name");
    let answer = host.operator(ansai_model::operator::Operation::Heal { target });
    assert!(answer.starts_with("refused: no remedy is declared for it"), "{answer}");
    host.sees.remove(&check);
    host.pass(secs(90));
    let target = ansai_model::id::TargetId::new("disk//data").expect("a name");
    let said = host.engine.explain(host.now, &target).expect("a target").summary;
    assert!(said.as_str().starts_with("it is well again since ") && said.as_str().contains(", and watched"), "{said}");
    host.pass(secs(3600));
    assert!(host.engine.state().incidents.is_empty(), "it is over: {:?}", host.story(1));
}

#[test]
fn what_somebody_has_started_meanwhile_is_looked_at_before_the_next_try() {
    let probe = "app.service: {probe: {exec: [/bin/ask], every: 30s, fail_after: 1}}";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", probe)).actions_end(failed());
    host.sees.insert(check("app.service#exec"), Observation::failing("no answer"));
    host.sees("app.service#unit", judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(1));
    let tries = host.begun.len();
    assert!(tries > 0 && host.phase("app.service") == "remediating", "{:?}", host.story(1));
    // A person mends and starts it; the probe looks only each half minute.
    let up = UnitSnapshot { since: Some(host.now.wall), ..unit(ActiveState::Active, Intent::ByItself) };
    host.sees.remove(&check("app.service#exec"));
    host.happens("app.service", judged(up));
    host.pass(secs(60));
    assert_eq!((host.begun.len(), host.phase("app.service")), (tries, "none"), "{:?}", host.story(1));
}

#[test]
fn what_keeps_it_broken_is_told_as_it_is_seen_though_that_is_seen_after_the_try_and_so_is_what_began_it() {
    let mut host = Host::plain();
    host.sees(CHECK, killed());
    // The job fails, and why is seen only afterwards.
    host.action_ends(failed());
    assert_eq!(cause(&host), "killed");
    host.sees(CHECK, ended_with_an_error());
    assert_eq!(cause(&host), "exit-code", "{:?}", host.story(1));
    let began = |host: &Host| {
        let report = host.engine.report(host.now, IncidentId(1)).expect("open");
        report.began_by.map(|cause| cause.rule.to_string())
    };
    assert_eq!(began(&host).as_deref(), Some("killed"));
    let mut host = watched(false);
    host.next_actions_end([failed()]);
    host.sees(CHECK, ended_with_an_error());
    assert_eq!((cause(&host).as_str(), began(&host).as_deref()), ("configuration-invalid", Some("killed")));
    // What ends with an error and has a broken configuration began with that.
    let mut host = Host::new(&changed("app.service: {}", "app.service: {validate: [/bin/app-check]}"));
    host.sees(CHECK, ended_with_an_error());
    host.action_ends(failed());
    assert_eq!((cause(&host).as_str(), began(&host)), ("configuration-invalid", None));
}

/// A healed failure that is followed by another within its incident was there all the same.
#[test]
fn a_second_failure_does_not_erase_what_the_first_was_caused_by() {
    let told = |host: &Host| {
        let report = host.engine.report(host.now, IncidentId(1)).expect("open");
        let rule = |cause: Option<ansai_model::report::Cause>| cause.map(|cause| cause.rule.to_string());
        (rule(report.began_by), rule(report.cause))
    };
    let some = |rule: &str| Some(rule.to_owned());
    // An end with an error, mended, and then a kill.
    let mut host = Host::plain().mended_by(RESTART);
    host.sees(CHECK, ended_with_an_error());
    assert_eq!((host.phase("app.service"), told(&host)), ("stabilizing", (None, some("exit-code"))));
    host.pass(secs(5));
    host.next_actions_end([failed()]);
    host.sees(CHECK, killed());
    assert_eq!(told(&host), (some("exit-code"), some("killed")), "{:?}", host.story(1));
    // What it fails for as at first is told once.
    host.sees(CHECK, ended_with_an_error());
    assert_eq!(told(&host), (None, some("exit-code")));
    // The same once more is told once.
    let mut host = watched(false);
    host.pass(secs(5));
    host.next_actions_end([succeeded(), not_needed(), succeeded()]);
    host.sees(CHECK, killed());
    assert_eq!(told(&host), (None, some("killed")), "{:?}", host.story(1));
}

/// What is only told of has no remedy that a rule could keep from being run: no gate is asked about nothing.
#[test]
fn what_has_no_remedy_is_not_told_as_kept_from_one() {
    for autonomy in ["observe", "act"] {
        let mut host = Host::new(&format!("autonomy: {autonomy}\ndisks:\n  /data: {{}}\n"));
        let target = ansai_model::id::TargetId::new("disk//data").expect("a name");
        for (name, is_told) in [("disk//data#read-only", true), ("disk//data#warn", false)] {
            host.sees(name, Observation::failing("/data: it is so"));
            host.sees(name, Observation::failing("/data: it is so"));
            let incident = host.engine.state().incidents.values().find(|open| open.check.as_str() == name);
            let id = incident.expect("open").id;
            let report = host.engine.report(host.now, id).expect("open");
            let decision = report.decision.expect("a decision");
            let words = if is_told { "no remedy is declared for it" } else { "rule disk//data#warn does not apply" };
            assert!(decision.gates.is_empty() && decision.proposal.as_str().starts_with(words), "{decision:?}");
            let explained = host.engine.explain(host.now, &target).expect("a target").incidents;
            let explained = explained.into_iter().find(|open| open.id == id).and_then(|open| open.decision);
            assert!(explained.is_some_and(|said| said.gates.is_empty()), "{name}");
        }
    }
}

/// A rule whose condition does not hold yet is judged as the one that it is.
#[test]
fn a_rule_that_does_not_apply_yet_is_as_free_as_it_says() {
    let late = "runbook: memory, policy: default, when: failing_for > 5m";
    let mut host = Host::new(&(PLAIN.to_owned() + &TWO_FAULT_DOMAINS.replace("runbook: memory, policy: leak", late)));
    host.sees("app.service#memory", Observation::failing("it grows"));
    let explained = host.explain("app.service");
    assert!(explained.incidents[0].no_rule.is_some(), "{explained:?}");
    assert_eq!(host.gate("app.service", Gate::Autonomy), "allow: the rule may act");
}
