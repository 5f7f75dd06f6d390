//! Two fault domains of one target: each fails, is healed and is verified for itself. And what a target waits for.

use ansai_engine::Input;
use ansai_model::{condition::Value, decision::Gate, observation::Observation, operator::Operation};

use crate::host::{Host, PLAIN, QUIET, TWO_FAULT_DOMAINS, failed, secs, succeeded, target};

fn with_memory() -> Host {
    // The clock of the test stands at 2026-11-18T11:06:40Z.
    Host::new(&(PLAIN.replace("notify:", QUIET) + TWO_FAULT_DOMAINS))
}

fn grows(earliest: u64) -> Observation {
    Observation::failing("grows by 50 MiB an hour").with_figure("forecast.earliest", Value::Duration(secs(earliest)))
}

#[test]
fn each_matter_of_a_target_is_an_incident_and_is_verified_for_itself() {
    let mut host = with_memory();
    host.sees("app.service#memory", grows(60));
    assert_eq!(host.done(), ["run `/bin/release`"]);
    host.action_ends(failed());
    host.pass(secs(10));
    assert_eq!(host.done(), ["run `/bin/release`", "restart app.service"]);
    host.is_well("app.service#memory");
    host.action_ends(succeeded());
    host.pass(secs(1));
    assert_eq!(host.phase("app.service"), "stabilizing");
    // Its process dies while its memory is still watched: that is another fault domain, and it does not wait.
    host.fails("app.service#unit");
    assert_eq!(host.engine.state().incidents.len(), 2);
    host.pass(secs(31));
    assert_eq!(host.done().last(), Some(&"restart app.service"));
    assert_eq!(host.begun.len(), 3, "{:?}", host.begun);
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(40));
    assert_eq!(host.last_step(2), "resolved: healed by `restart`, and it has stayed well");
    assert_eq!(host.phase("app.service"), "stabilizing", "the other fault domain is still watched");
}

#[test]
fn what_can_wait_is_done_in_the_quiet_hours_and_what_cannot_is_done_now() {
    let mut host = with_memory();
    // The quiet hours are 21 h 53 min away.
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    host.pass(secs(60));
    assert_eq!(host.done(), ["run `/bin/release`"]);
    let said = host.gate_said("app.service", Gate::Quiet);
    assert!(said.starts_with("defer 21h52m: it waits for the quiet hours, in 21h52m"), "{said}");
    // It grows faster than was thought.
    host.sees("app.service#memory", grows(20 * 3_600));
    assert_eq!(host.done(), ["run `/bin/release`", "restart app.service"]);
}

#[test]
fn the_quiet_hours_come() {
    let mut host = with_memory();
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    // The clock of the figure stands still in this test, and its time is counted from the last look.
    host.pass(secs(21 * 3_600));
    assert_eq!(host.begun.len(), 1);
    host.pass(secs(3_300));
    assert_eq!(host.done(), ["run `/bin/release`", "restart app.service"]);
}

#[test]
fn what_waits_for_a_quiet_hour_does_not_keep_a_crashed_service_down() {
    let mut host = with_memory();
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    host.pass(secs(60));
    host.fails("app.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done(), ["run `/bin/release`", "restart app.service"]);
    assert!(host.story(1).iter().any(|step| step.starts_with("interrupted: another failure of the same target")));
}

#[test]
fn a_remedy_that_is_watched_for_hours_keeps_no_other_from_being_healed() {
    let yaml = (PLAIN.replace("notify:", QUIET) + TWO_FAULT_DOMAINS).replace("stable_for: 10m", "stable_for: 6h");
    let yaml = yaml.replace("app.service: {}", "app.service: {}\n  other.service: {}");
    let mut host = Host::new(&(yaml + "agent: {remediations_at_once: 1}\n"));
    host.sees("app.service#memory", grows(60));
    host.is_well("app.service#memory");
    host.action_ends(succeeded());
    host.pass(secs(61));
    assert_eq!(host.phase("app.service"), "stabilizing");
    host.fails("other.service#unit");
    assert_eq!(host.done().last(), Some(&"restart other.service"), "{:?}", host.done());
}

#[test]
fn an_operator_does_not_wait_for_quiet_hours() {
    let mut host = with_memory();
    host.sees("app.service#memory", grows(30 * 3_600));
    host.action_ends(failed());
    host.pass(secs(60));
    host.apply(&(PLAIN.replace("notify:", QUIET) + TWO_FAULT_DOMAINS));
    let said = host.operator(Operation::Heal { target: target("app.service") });
    assert!(said.starts_with("refused"), "it is being healed already: {said}");
}

/// A service that waits for another's check, as for a full filesystem.
const WAITS: &str = "
targets:
  service/app.service: {unit: app.service, waits_for: ['service/disk.service#full']}
  service/disk.service: {unit: disk.service}
checks:
  'service/disk.service#full': {probe: {exec: [/bin/full]}, every: 60s, every_soft: 1s, fail_after: 1, recover_after: 1}
rules:
  disk: {target: service/disk.service, checks: ['service/disk.service#full'], runbook: disk, policy: default, autonomy: act}
runbooks:
  disk: [{name: clean, steps: [{exec: [/bin/clean], disruption: brief}]}]
";

fn with_a_disk() -> Host {
    Host::new(&(PLAIN.to_owned() + WAITS))
}

#[test]
fn a_service_waits_for_what_explains_its_failure_and_is_healed_after_it_in_one_report() {
    let mut host = with_a_disk();
    host.hanging.insert(crate::host::check("disk.service#full"));
    host.pass(secs(1));
    host.sees("disk.service#full", Observation::failing("full"));
    host.fails("app.service#unit");
    let said = host.gate("app.service", Gate::Dependency);
    assert!(said.starts_with("defer 5m: service/disk.service#full is looked at first"), "{said}");
    host.hanging.clear();
    let (check, observation) = (crate::host::check("disk.service#full"), Observation::failing("full"));
    host.step(Input::Observed { check, observation });
    host.pass(secs(1));
    assert_eq!(host.done(), ["run `/bin/clean`"]);
    host.is_well("disk.service#full");
    host.action_ends(succeeded());
    host.pass(secs(2));
    assert_eq!(host.done(), ["run `/bin/clean`", "restart app.service"]);
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(40));
    let told = host.dispatches.iter().find(|told| told.report.target == target("app.service")).expect("a report");
    let causes: Vec<_> =
        told.report.steps.iter().map(crate::words::step).filter(|step| step.starts_with("cause i2")).collect();
    assert_eq!(
        causes,
        [
            "cause i2: service/disk.service: full",
            "cause i2: clean: done: done",
            "cause i2: clean: verified: full: well"
        ]
    );
}

#[test]
fn what_it_waits_for_never_keeps_it_down_for_good() {
    let mut host = with_a_disk().actions_end(failed());
    host.sees("disk.service#full", Observation::failing("full"));
    host.fails("app.service#unit");
    host.pass(secs(290));
    assert_eq!(host.done().iter().filter(|done| **done == "restart app.service").count(), 0);
    host.pass(secs(20));
    assert!(host.done().contains(&"restart app.service"), "{:?}", host.done());
}

#[test]
fn a_runbook_without_rungs_only_tells() {
    let yaml = PLAIN.to_owned() + TWO_FAULT_DOMAINS + "  nothing: []\n";
    let mut host = Host::new(&yaml.replace("runbook: memory, policy: leak", "runbook: nothing, policy: default"));
    host.sees("app.service#memory", grows(60));
    assert_eq!((host.phase("app.service"), host.done().len()), ("escalated", 0));
    assert_eq!(host.last_step(1), "escalated: nothing heals this by itself");
    // It is told once, and the service is healed all the same.
    host.fails("app.service#unit");
    assert_eq!(host.done(), ["restart app.service"]);
}
