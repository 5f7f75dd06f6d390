//! From single looks to hard states: thresholds, hysteresis, flapping, loops. What is done about them is not here.

use ansai_model::{
    observation::{Health, Observation},
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, check, judged, secs, succeeded, unit};

/// A service with an address that is believed after 3 failing and 2 healthy looks.
fn with_probe() -> Host {
    let probe = "probe: {tcp: \"127.0.0.1:80\", every: 10s, every_soft: 1s, fail_after: 3, recover_after: 2}";
    Host::new(&PLAIN.replace("app.service: {}", &format!("app.service: {{{probe}, autonomy: observe}}")))
}

fn hard(host: &Host, name: &str) -> Health {
    let explanation = host.explain("app.service");
    explanation.checks.iter().find(|check| check.id.name() == name).expect("the check").hard
}

#[test]
fn two_failing_looks_are_soft_and_the_third_is_an_incident() {
    let mut host = with_probe();
    host.fails("app.service#tcp");
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Healthy, "none"));
    assert!(host.summary("app.service").contains("failed 1 time in a row; an incident opens at 3"));
    host.pass(secs(1));
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Healthy, "none"));
    host.pass(secs(2));
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Failing, "open"));
}

#[test]
fn a_healthy_look_in_between_begins_the_row_anew_and_an_unknown_one_does_not() {
    let mut host = with_probe();
    let row = [
        (Observation::failing("no"), 1),
        (Observation::failing("no"), 2),
        (Observation::healthy("yes"), 0),
        (Observation::failing("no"), 1),
        (Observation::unknown("?"), 1),
        (Observation::failing("no"), 2),
    ];
    for (observation, failures) in row {
        host.sees("app.service#tcp", observation);
        let explanation = host.explain("app.service");
        assert_eq!(
            explanation.checks.iter().find(|check| check.id.name() == "tcp").expect("it").failures,
            (failures, 3)
        );
    }
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn one_healthy_look_is_not_believed_after_a_failure() {
    let mut host = with_probe();
    host.fails("app.service#tcp");
    host.pass(secs(5));
    assert_eq!(hard(&host, "tcp"), Health::Failing);
    host.is_well("app.service#tcp");
    assert_eq!(hard(&host, "tcp"), Health::Failing, "hysteresis");
    host.pass(secs(2));
    assert_eq!(hard(&host, "tcp"), Health::Healthy);
    // And not before it has stayed so is the incident over.
    assert_eq!(host.phase("app.service"), "open");
    host.pass(secs(31));
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn unknown_closes_nothing_and_triggers_no_action_and_is_told_when_it_lasts() {
    let mut host = with_probe();
    for name in ["app.service#unit", "app.service#tcp"] {
        host.sees(name, Observation::unknown("the bus does not answer"));
    }
    host.pass(secs(599));
    assert_eq!((host.phase("app.service"), host.begun.len()), ("none", 0));
    assert_eq!(host.summary("app.service"), "nothing is done: the bus does not answer");
    host.pass(secs(3000));
    assert_eq!((host.told(), host.begun.len()), (vec!["Escalated to 1".to_owned()], 0));
    host.is_well("app.service#unit");
    host.fails("app.service#tcp");
    host.pass(secs(10));
    assert_eq!(host.phase("app.service"), "open");
    host.sees("app.service#tcp", Observation::unknown("no answer"));
    host.pass(secs(500));
    assert_eq!(host.phase("app.service"), "open");
    host.pass(secs(3600));
    assert_eq!((host.phase("app.service"), host.begun.len()), ("escalated", 0));
}

#[test]
fn a_look_that_never_answers_is_unknown_and_is_made_again() {
    let mut host = with_probe();
    host.hanging.insert(crate::host::check("app.service#unit"));
    host.pass(secs(120));
    assert_eq!(host.summary("app.service"), "nothing is done: the probe gave no answer");
    host.hanging.clear();
    host.pass(secs(60));
    assert_eq!(host.summary("app.service"), "all checks are healthy");
}

#[test]
fn a_probe_of_a_unit_that_is_starting_or_stopped_on_request_is_not_believed() {
    for state in [unit(ActiveState::Activating, Intent::Ours), unit(ActiveState::Inactive, Intent::Stopped)] {
        let mut host = with_probe();
        host.sees("app.service#unit", judged(state));
        host.fails("app.service#tcp");
        host.pass(secs(60));
        assert_eq!(host.phase("app.service"), "none");
        assert_eq!(hard(&host, "tcp"), Health::Healthy, "unknown changes nothing");
    }
}

/// A unit that goes up and down every five seconds, and nobody mends it.
fn flapping() -> Host {
    let mut host = Host::new(&PLAIN.replace("app.service: {}", "app.service: {autonomy: observe}"));
    for _ in 0..4 {
        host.fails("app.service#unit");
        host.pass(secs(5));
        host.is_well("app.service#unit");
        host.pass(secs(5));
    }
    host
}

#[test]
fn a_flapping_target_keeps_its_one_incident_until_it_has_calmed_down() {
    let mut host = flapping();
    assert!(host.explain("app.service").checks[0].is_flapping);
    assert_eq!((hard(&host, "unit"), host.phase("app.service")), (Health::Healthy, "open"));
    // It stays well for longer than `stable_for`, but not long enough to be called calm.
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "open");
    host.pass(secs(60));
    assert!(!host.explain("app.service").checks[0].is_flapping);
    assert_eq!(host.phase("app.service"), "none");
    assert_eq!(host.engine.state().incidents_counted, 1);
}

#[test]
fn flapping_is_set_above_the_limit_and_cleared_at_half_of_it() {
    let mut host = flapping();
    // Eight changes in 40 seconds; the limit is 5 within 2 minutes, so it is cleared when 2 are left.
    for second in 41..=160 {
        host.pass(secs(1));
        host.is_well("app.service#unit");
        let left = (0..8).filter(|change| change * 5 + 120 > second).count();
        assert_eq!(host.explain("app.service").checks[0].is_flapping, left > 2, "{left} left after {second} s");
    }
}

#[test]
fn a_unit_that_systemd_restarts_again_and_again_fails_though_every_look_finds_it_running() {
    let mut host = Host::plain();
    let restarted = |restarts| {
        let mut unit = unit(ActiveState::Active, Intent::ByItself);
        unit.restarts = restarts;
        judged(unit)
    };
    for restarts in 0..=5 {
        host.sees("app.service#unit", restarted(restarts));
        assert_eq!(host.phase("app.service"), "none");
    }
    host.sees("app.service#unit", restarted(6));
    assert_eq!(host.done(), ["restart app.service"]);
    let seen = host.open("app.service").expect("open").observation.summary().to_string();
    assert_eq!(seen, "restart loop: systemd restarted it 6 times within 2m");
    // A remedy begins the count anew: what systemd counted before is not held against it.
    host.sees("app.service#unit", restarted(0));
    host.action_ends(succeeded());
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn restarts_spread_over_hours_are_no_loop_not_even_a_slow_one() {
    let mut host = Host::plain();
    for restarts in 0..40 {
        let mut unit = unit(ActiveState::Active, Intent::ByItself);
        unit.restarts = restarts;
        host.sees("app.service#unit", judged(unit));
        host.pass(secs(480));
    }
    assert_eq!((host.phase("app.service"), host.begun.len()), ("none", 0));
}

#[test]
fn what_could_not_be_seen_of_a_stopped_service_is_looked_at_as_soon_as_it_runs() {
    let memory =
        "\nchecks:\n  'service/app.service#memory': {probe: {exec: [/bin/mem]}, every: 60s, every_soft: 60s}\n";
    let mut host = Host::new(&format!("{PLAIN}{memory}"));
    let up = |host: &Host, run: &str| {
        let invocation = Some(run.into());
        judged(UnitSnapshot { invocation, since: Some(host.now.wall), ..unit(ActiveState::Active, Intent::ByItself) })
    };
    let first = up(&host, "a");
    host.sees("app.service#unit", first);
    host.sees.insert(check("app.service#memory"), Observation::unknown("it does not run, so it has no memory"));
    host.sees("app.service#unit", judged(unit(ActiveState::Inactive, Intent::Stopped)));
    host.pass(secs(70));
    assert!(host.summary("app.service").starts_with("nothing is done"), "{}", host.summary("app.service"));
    host.sees.remove(&check("app.service#memory"));
    let second = up(&host, "b");
    host.happens("app.service", second);
    assert_eq!(host.summary("app.service"), "all checks are healthy");
    // What cannot be seen of it though it runs keeps its own pace.
    host.sees("app.service#memory", Observation::unknown("no descriptors are left"));
    let looks = host.looks;
    let again = host.sees[&check("app.service#unit")].clone();
    host.happens("app.service", again);
    assert_eq!(host.looks, looks + 1);
}
