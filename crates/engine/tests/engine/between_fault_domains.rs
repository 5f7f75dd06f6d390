//! What one fault domain of a target must not do to another: keep it waiting, use up its tries, or stop what needs the target.

use ansai_engine::Input;
use ansai_model::{condition::Value, decision::Gate, observation::Observation};

use crate::host::{Host, PLAIN, QUIET, TWO_FAULT_DOMAINS, failed, secs, succeeded};

const RESTART: &str = "restart app.service";

fn yaml() -> String {
    PLAIN.replace("notify:", QUIET) + TWO_FAULT_DOMAINS
}

fn grows(earliest: u64) -> Observation {
    Observation::failing("grows by 50 MiB an hour").with_figure("forecast.earliest", Value::Duration(secs(earliest)))
}

/// A host whose service leaks slowly: release did not help, and the restart waits for the quiet hours.
fn waits_for_quiet_hours(yaml: &str) -> Host {
    let mut host = Host::new(yaml);
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`"]);
    host
}

#[test]
fn a_rung_that_stands_still_halfway_keeps_no_crashed_service_down() {
    let halfway = "
    - {name: all, steps: [{exec: [/bin/release], disruption: none}, {restart_unit: app.service}], then: verify}
";
    let at = TWO_FAULT_DOMAINS.find("\n    - {name: release").expect("the ladder");
    let mut host = Host::new(&(PLAIN.replace("notify:", QUIET) + &TWO_FAULT_DOMAINS[..at] + halfway));
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(succeeded());
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`"]);
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`", RESTART], "{:?}", host.story(2));
}

#[test]
fn what_began_to_wait_while_a_restart_was_watched_keeps_no_service_down_that_fails_again() {
    let mut host = Host::new(&yaml());
    host.fails("app.service#unit");
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    assert_eq!(host.phase("app.service"), "stabilizing");
    host.sees("app.service#memory", grows(30 * 3_600));
    host.pass(secs(20));
    host.under_way.clear();
    let run = host.engine.state().runs.keys().copied().next();
    if let Some(run) = run {
        host.step(Input::ActionEnded { run, outcome: failed() });
    }
    host.pass(secs(8));
    assert_eq!(host.phase("app.service"), "stabilizing");
    host.fails("app.service#unit");
    host.pass(secs(600));
    assert!(host.done().iter().filter(|done| **done == RESTART).count() > 1, "{:?} {:?}", host.done(), host.story(1));
}

#[test]
fn a_look_that_failed_does_not_end_the_wait_for_quiet_hours() {
    let mut host = waits_for_quiet_hours(&yaml());
    host.sees("app.service#memory", Observation::unknown("the probe gave no answer"));
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`"], "{}", host.gate_said("app.service", Gate::Quiet));
    host.sees("app.service#memory", grows(300));
    assert_eq!(host.done(), ["run `/bin/release`", RESTART]);
}

#[test]
fn quiet_hours_that_are_not_learned_yet_are_waited_for_while_there_is_time() {
    let mut host = Host::new(&yaml().replace("{at: '09:00', lasts: 1h}", "learned"));
    host.sees("app.service#memory", grows(5 * 86_400));
    host.action_ends(failed());
    host.pass(secs(3_600));
    host.sees("app.service#memory", Observation::unknown("the probe gave no answer"));
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`"]);
    host.sees("app.service#memory", grows(23 * 3_600));
    assert_eq!(host.done(), ["run `/bin/release`", RESTART]);
}

const NEEDED: &str = "  app.service: {}\n  web.service: {needs: [app.service]}";

#[test]
fn a_target_that_leaks_but_runs_keeps_nobody_down_that_needs_it() {
    let mut host = waits_for_quiet_hours(&yaml().replace("  app.service: {}", NEEDED));
    host.fails("web.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done(), ["run `/bin/release`", "restart web.service"], "{:?}", host.story(2));
}

#[test]
fn a_leak_that_a_person_was_told_of_keeps_nobody_down_that_needs_the_target() {
    let yaml = yaml().replace("  app.service: {}", NEEDED) + "  nothing: []\n";
    let mut host = Host::new(&yaml.replace("runbook: memory", "runbook: nothing"));
    host.sees("app.service#memory", grows(30 * 3_600));
    assert_eq!(host.phase("app.service"), "escalated");
    host.fails("web.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart web.service"], "{:?}", host.story(2));
}

#[test]
fn a_matter_that_could_not_be_healed_does_not_stop_the_healing_of_a_crash() {
    let yaml = yaml().replace("leak: {", "leak: {attempts: 1, breaker: {failures: 1, within: 1d, open_for: 12h}, ");
    let mut host = Host::new(&yaml);
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    assert_eq!(host.phase("app.service"), "escalated");
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["run `/bin/release`", RESTART], "{:?}", host.story(2));
    // Its own breaker is open all the same.
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(60));
    host.is_well("app.service#memory");
    host.pass(secs(700));
    host.sees("app.service#memory", grows(30 * 3_600));
    assert_eq!(host.phase("app.service"), "escalated");
    assert_eq!(host.done(), ["run `/bin/release`", RESTART]);
}

#[test]
fn a_matter_that_comes_and_goes_gives_a_crash_loop_no_more_tries() {
    let yaml = yaml().replace("  leak: {", "  leak: {cooldown: 0s, ").replace("stable_for: 10m", "stable_for: 1s");
    let mut host = Host::new(&yaml).actions_end(succeeded());
    host.fails("app.service#unit");
    for _ in 0..40 {
        host.sees("app.service#memory", grows(30 * 3_600));
        host.pass(secs(2));
        host.is_well("app.service#memory");
        host.pass(secs(3));
    }
    assert!(host.done().iter().filter(|done| **done == RESTART).count() <= 4, "{:?}", host.begun);
}

#[test]
fn a_service_that_crashes_now_and_then_does_not_begin_the_ladder_of_its_leak_anew() {
    let mut host = waits_for_quiet_hours(&yaml());
    for _ in 0..5 {
        host.fails("app.service#unit");
        host.is_well("app.service#unit");
        host.action_ends(succeeded());
        host.pass(secs(3_600));
        if !host.under_way.is_empty() {
            host.action_ends(failed());
        }
        host.pass(secs(600));
    }
    assert_eq!(host.done().iter().filter(|done| **done == "run `/bin/release`").count(), 1, "{:?}", host.begun);
}

#[test]
fn what_was_stopped_in_the_quiet_hours_is_started_again_after_them() {
    let at = TWO_FAULT_DOMAINS.find("\n    - {name: release").expect("the ladder");
    let ladder = "
    - {name: all, steps: [{stop_unit: app.service}, {wait: 30m}, {restart_unit: app.service}], then: verify}
";
    // They are open from 10:30 to 11:30, and it is 11:06.
    let yaml = PLAIN.replace("notify:", QUIET).replace("'09:00'", "'10:30'") + &TWO_FAULT_DOMAINS[..at] + ladder;
    let mut host = Host::new(&yaml).actions_end(succeeded());
    host.sees("app.service#memory", grows(30 * 3_600));
    assert_eq!(host.done(), ["stop app.service"]);
    host.pass(secs(3_600));
    assert_eq!(host.done(), ["stop app.service", RESTART], "{}", host.gate_said("app.service", Gate::Quiet));
}

#[test]
fn leaks_that_wait_for_quiet_hours_halfway_keep_no_other_target_waiting() {
    let at = TWO_FAULT_DOMAINS.find("\n    - {name: release").expect("the ladder");
    let ladder = "
    - {name: all, steps: [{exec: [/bin/release], disruption: none}, {restart_unit: app.service}], then: verify}
agent: {remediations_at_once: 1}
";
    let yaml = PLAIN.replace("notify:", QUIET).replace("app.service: {}", "app.service: {}\n  other.service: {}");
    let mut host = Host::new(&(yaml + &TWO_FAULT_DOMAINS[..at] + ladder)).actions_end(succeeded());
    host.sees("app.service#memory", grows(30 * 3_600));
    host.pass(secs(60));
    host.fails("other.service#unit");
    assert_eq!(host.done(), ["run `/bin/release`", "restart other.service"]);
}
