//! What fails again after a remedy was verified is a new failure: what is cheap to ask is asked again, the cause is what is
//! seen now, and the ladder ends all the same.

use ansai_model::{
    domain::service::{ActiveState, Exit, Intent, UnitResult, UnitSnapshot},
    id::IncidentId,
    observation::Observation,
};

use crate::host::{Host, changed, failed, judged, not_needed, secs, succeeded, unit};

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
    assert_eq!(count(&host, "validate"), 2, "before each: {:?}", host.done());
}

fn count(host: &Host, what: &str) -> usize {
    host.done().iter().filter(|done| done.starts_with(what)).count()
}
