//! A new configuration while something is going on.

use ansai_engine::{
    HostEngine, Input,
    state::{Depth, FORMER_TARGETS_MAX, PAST_MAX, PastIncident, TIMES_MAX, TargetMemory},
};
use ansai_model::{
    decision::Gate,
    hint::Hint,
    id::{CheckId, RuleId, TargetId},
    incident::Phase,
    observation::Observation,
    time::{MonoTime, Now},
};

use crate::host::{Host, PLAIN, bundle_of, changed, failed, secs, succeeded};

#[test]
fn a_check_that_is_taken_out_while_it_is_healed_ends_its_incident() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.apply(&changed("app.service: {}", "other.service: {}"));
    assert_eq!((host.phase("app.service"), host.engine.state().remediations.len()), ("none", 0));
    assert_eq!(host.last_step(1), "resolved: withdrawn: its check is no longer configured");
    assert_eq!(host.told(), ["Healed to nobody: it ended without an action of ours"]);
    // The action under way ends, and nothing follows from it.
    host.action_ends(failed());
    host.pass(secs(600));
    assert_eq!(host.begun.len(), 1);
    assert_eq!(host.engine.state().runs.len(), 0);
}

#[test]
fn what_is_taken_out_and_put_back_has_not_lost_its_limits() {
    let mut host = Host::new(&changed("actions: 6", "actions: 1"));
    host.fails("app.service#unit");
    host.apply(&changed("app.service: {}", "other.service: {}"));
    host.action_ends(succeeded());
    host.apply(&changed("actions: 6", "actions: 1"));
    host.pass(secs(60));
    assert_eq!(host.begun.len(), 1);
    assert!(host.last_step(2).starts_with("escalated: 1 of 1 actions on this target"), "{}", host.last_step(2));
}

#[test]
fn an_action_under_way_of_a_check_that_was_put_back_is_waited_for() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.apply(&changed("app.service: {}", "other.service: {}"));
    host.apply(PLAIN);
    host.pass(secs(1));
    let said = host.gate("app.service", Gate::Concurrency);
    assert!(said.ends_with("an action on it is still under way"), "{said}");
    assert_eq!(host.begun.len(), 1);
    host.action_ends(failed());
    host.pass(secs(1));
    assert_eq!(host.begun.len(), 2, "{:?}", host.story(2));
}

#[test]
fn a_remediation_keeps_the_runbook_and_the_limits_that_it_began_with() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    let other = "runbooks:\n  service/app.service:\n    - {name: other, steps: [{stop_unit: app.service}]}\n";
    host.apply(&(changed("attempts: 4", "attempts: 1") + other));
    host.action_ends(failed());
    host.pass(secs(6));
    assert_eq!(host.done(), ["restart app.service", "restart app.service"]);
}

#[test]
fn an_unchanged_check_keeps_its_state_and_a_changed_one_begins_unknown() {
    let probe = |port| {
        changed(
            "app.service: {}",
            &format!("app.service: {{autonomy: observe, probe: {{tcp: \"127.0.0.1:{port}\", fail_after: 3}}}}"),
        )
    };
    let failures = |host: &Host| host.explain("app.service").checks[0].failures.0;
    let mut host = Host::new(&probe(80));
    host.fails("app.service#tcp");
    assert_eq!(failures(&host), 1);
    host.apply(&probe(80));
    assert_eq!(failures(&host), 1);
    host.hanging.insert(crate::host::check("app.service#tcp"));
    host.apply(&probe(81));
    assert_eq!(failures(&host), 0);
    assert_eq!(host.summary("app.service"), "it has not been looked at yet");
}

#[test]
fn a_window_that_a_new_configuration_opens_stops_what_is_under_way() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    // A window of a week on every day is always open.
    let days = "[mon, tue, wed, thu, fri, sat, sun]";
    let window = format!("maintenance: [{{reason: night, scope: \"*\", days: {days}, at: \"00:00\", lasts: 24h}}]\n");
    host.apply(&(PLAIN.to_owned() + &window));
    host.action_ends(failed());
    host.pass(secs(60));
    assert_eq!(host.begun.len(), 1, "{:?}", host.story(1));
}

#[test]
fn of_instances_that_came_and_went_only_the_latest_are_remembered() {
    let mut host = Host::plain();
    let mut state = host.engine.state().clone();
    for number in 0..FORMER_TARGETS_MAX + 10 {
        let memory = TargetMemory { well_since: Some(MonoTime(number as i64)), ..TargetMemory::default() };
        state.targets.insert(TargetId::new(format!("service/old-{number}.service")).expect("valid"), memory);
    }
    host.engine = HostEngine::new(host.engine.bundle().clone(), state, host.now);
    let left = &host.engine.state().targets;
    assert_eq!(left.len(), FORMER_TARGETS_MAX);
    assert!(left.keys().all(|id| id.as_str() != "service/old-9.service"));
    assert!(left.keys().any(|id| id.as_str() == "service/old-10.service"));
}

#[test]
fn a_host_with_very_many_checks_remembers_less_of_each_and_the_newest() {
    let (small, large) = (Depth::of(2_000), Depth::of(20_000));
    assert_eq!((small.times, small.past), (TIMES_MAX, PAST_MAX));
    assert!(large.times >= 20 && large.past >= 5 && 20_000 * large.past <= 1 << 17, "{large:?}");
    assert_eq!(Depth::of(0), Depth::of(1));
    // A state of an older version holds more than this one would.
    let mut host = Host::plain();
    let mut state = host.engine.state().clone();
    let id = TargetId::new("service/app.service").expect("valid");
    let check = CheckId::new("service/app.service#unit").expect("valid");
    let moments = || (0..1_000).map(MonoTime);
    let past = moments().map(|mono| PastIncident {
        opened: Now { mono, ..host.now },
        was_healed: true,
        downtime: secs(1),
        again: 0,
    });
    let mut memory = TargetMemory { actions: moments().collect(), failures: moments().collect(), ..Default::default() };
    memory.past.insert(check.clone(), past.collect());
    memory.fault_domains.insert(RuleId::new("other").expect("valid"), memory.clone());
    state.targets.insert(id.clone(), memory);
    host.engine = HostEngine::new(host.engine.bundle().clone(), state, host.now);
    let whole = &host.engine.state().targets[&id];
    for memory in [whole, &whole.fault_domains[&RuleId::new("other").expect("valid")]] {
        assert_eq!((memory.actions.len(), memory.actions.back()), (TIMES_MAX, Some(&MonoTime(999))));
        assert_eq!(memory.failures.len(), TIMES_MAX);
        let past = &memory.past[&check];
        assert_eq!((past.len(), past[PAST_MAX - 1].opened.mono), (PAST_MAX, MonoTime(999)));
    }
}

#[test]
fn an_older_generation_is_refused_also_after_a_restart() {
    let mut host = Host::plain();
    let sends = |host: &mut Host, yaml: &str, generation| {
        host.step(Input::Apply(Box::new(bundle_of(yaml, generation))));
        host.engine.bundle().parts().targets.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    let other = changed("app.service: {}", "other.service: {}");
    let of_others = sends(&mut host, &other, 7);
    assert!(of_others.contains(&"service/other.service".to_owned()), "{of_others:?}");
    assert_eq!(sends(&mut host, PLAIN, 6), of_others);
    // The same generation again is no older one: the host has other units now, say.
    let plain = sends(&mut host, PLAIN, 7);
    assert_ne!(plain, of_others);
    host.restart(None);
    assert_eq!(sends(&mut host, &other, 6), plain);
    assert_eq!(sends(&mut host, &other, 8), of_others);
    assert_eq!(host.engine.state().generation, 8);
}

/// A disk for which no remedy is declared, or one, when it may be used so.
fn disk(clean: &str, autonomy: &str) -> String {
    format!("autonomy: {autonomy}\ndisks:\n  /data: {{{clean}}}\n")
}

/// The same after it has filled up and a person has it.
fn with_a_full_disk(yaml: &str) -> Host {
    let mut host = Host::new(yaml);
    host.sees.insert(CheckId::new("disk//data#space").expect("a name"), Observation::failing("95.0 % used"));
    for _ in 0..3 {
        host.step(Input::Hint(Hint::Everything));
    }
    host.pass(secs(10));
    let first = host.engine.state().incidents.values().next();
    let is_left = first.is_some_and(|incident| matches!(incident.phase, Phase::Escalated { .. }));
    assert!(is_left && host.begun.is_empty(), "{:?}", host.story(1));
    host
}

const CLEAN: &str = "clean: {logs: [{path: /data/log, pattern: '*.log', older_than: 1d}]}";

#[test]
fn what_a_person_has_is_decided_anew_as_soon_as_a_remedy_is_declared_for_it() {
    let mut host = with_a_full_disk(&disk("", "act"));
    host.apply(&disk("", "act"));
    host.pass(secs(60));
    assert!(host.begun.is_empty(), "nothing is new: {:?}", host.story(1));
    host.apply(&disk(CLEAN, "act"));
    host.pass(secs(5));
    assert!(!host.begun.is_empty(), "{:?}", host.story(1));
    // It is declared before the agent is started anew.
    let mut host = with_a_full_disk(&disk("", "act"));
    let state = host.engine.state().clone();
    host.engine = HostEngine::new(bundle_of(&disk(CLEAN, "act"), 1).made_of(7), state, host.now);
    host.step(Input::Started);
    host.pass(secs(60));
    assert!(!host.begun.is_empty(), "{:?}", host.story(1));
}

#[test]
fn a_remedy_that_failed_is_not_repeated_for_a_configuration_that_has_no_other() {
    let yaml = PLAIN.replace("    retry: never\n", "");
    let mut host = Host::new(&yaml).actions_end(failed());
    host.fails("app.service#unit");
    host.pass(secs(120));
    let tries = host.begun.len();
    assert_eq!(host.phase("app.service"), "escalated");
    host.apply(&yaml.replace("stable_for: 30s", "stable_for: 40s"));
    host.pass(secs(5));
    assert_eq!((host.phase("app.service"), host.begun.len()), ("escalated", tries), "{:?}", host.story(1));
    host.apply(&yaml.replace("app.service: {}", "app.service: {validate: [/bin/app-check]}"));
    host.pass(secs(5));
    assert!(host.begun.len() > tries, "{:?}", host.story(1));
}
