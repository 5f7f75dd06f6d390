//! What follows from the short form, where an operator said little.

use ansai_config::parse;
use ansai_model::{
    action::Action,
    bundle::{BundleParts, Target},
    domain::service::ActiveState,
    id::{CheckId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    policy::Scope,
    rule::Severity,
    runbook::Step,
};

fn parts(text: &str) -> BundleParts {
    parts_on(text, &[])
}

/// What follows on a host with these units.
fn parts_on(text: &str, units: &[&str]) -> BundleParts {
    let name = |name: &&str| UnitName::new(name).expect("valid");
    let units = units.iter().map(|unit| UnitFacts::plain(name(unit), ActiveState::Active));
    let inventory = Inventory { units: units.collect(), ..Inventory::default() };
    let configuration = match parse(&[("ansai.yaml".into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    };
    configuration.bundle(&inventory, 1).expect("it fits together").into_parts()
}

fn target(parts: &BundleParts, name: &str) -> Target {
    parts.targets.get(&TargetId::of("service", name).expect("valid")).expect("it is there").clone()
}

/// The rungs of a target's runbook, each with its actions.
fn ladder(parts: &BundleParts, name: &str) -> Vec<String> {
    let runbook =
        parts.runbooks.iter().find(|(id, _)| id.as_str() == format!("service/{name}")).expect("it is there").1;
    let words = |step: &Step| match step {
        Step::Act { action: Action::Validate { .. }, .. } => "validate".to_owned(),
        Step::Act { action, .. } => action.describe().as_str().to_owned(),
        Step::Wait(_) => "wait".to_owned(),
    };
    let rungs = runbook.rungs.iter();
    rungs.map(|rung| format!("{}: {}", rung.id, rung.steps.iter().map(words).collect::<Vec<_>>().join(", "))).collect()
}

#[test]
fn the_mail_server_that_carries_our_mail_is_a_notifier() {
    let services = "services: {postfix.service: {}, exim4: {notifier: false}, app.service: {}}\n";
    let of = |smtp: &str| {
        let parts = parts(&format!("notify: {{mail: {{to: a@b, smtp: \"{smtp}\"}}}}\n{services}"));
        ["postfix.service", "exim4.service", "app.service"].map(|name| target(&parts, name).is_notifier)
    };
    assert_eq!(of("smtp://127.0.0.1:25"), [true, false, false]);
    assert_eq!(of("smtp://localhost"), [true, false, false]);
    assert_eq!(of("smtps://mail.example.com"), [false, false, false]);
}

#[test]
fn a_declared_process_is_kept_running_without_a_unit() {
    let parts = parts(
        "processes: {worker: {start: [/usr/bin/worker], port: 7000, critical: true, environment: [{directory: /run/w}]}}",
    );
    let worker = target(&parts, "worker");
    assert_eq!((worker.unit, worker.port), (None, Some(7000)));
    assert_eq!(worker.process.map(|process| process.start.argv), Some(vec!["/usr/bin/worker".to_owned()]));
    assert!(parts.checks.contains_key(&CheckId::new("service/worker#process").expect("valid")));
    let restart = "restart: stop the process worker, start the process worker";
    assert_eq!(ladder(&parts, "worker"), ["environment: put 1 declared paths right", restart]);
    assert_eq!(parts.rules.values().next().map(|rule| rule.severity), Some(Severity::Now));
}

#[test]
fn the_ladder_begins_gently_and_restores_only_when_told_to() {
    let parts = parts("services: {nginx: {probe: \"http://127.0.0.1:8080/\"}, haproxy: {restore_configuration: true}}");
    let of_nginx = [
        "validate: validate",
        "free-port: free port 8080 from leftovers of nginx.service",
        "restart: restart nginx.service",
        "kill-and-start: kill all processes of nginx.service, start nginx.service",
    ];
    assert_eq!(ladder(&parts, "nginx.service"), of_nginx);
    let second = ladder(&parts, "haproxy.service").swap_remove(1);
    assert_eq!(
        second,
        "restore-configuration: put the last known good configuration of haproxy.service back, validate"
    );
}

#[test]
fn defaults_of_probes_and_flapping_are_overridden_from_the_outside_in() {
    let parts = parts(
        "probe_defaults: {every: 20s, fail_after: 7}\nflap: {changes: 9}\n\
         services: {a: {probe: \"tcp://db:1\", flap: {within: 1h}}, b: {probe: {tcp: \"db:1\", every: 500ms, fail_after: 1}}}\n",
    );
    let check = |name: &str| {
        let check = &parts.checks[&CheckId::new(name).expect("valid")];
        let [every, soft, flap] = [check.every, check.every_soft, check.flap.window].map(|time| time.as_millis());
        (every, soft, check.fail_after, check.recover_after, check.flap.changes_max, flap)
    };
    assert_eq!(check("service/a.service#tcp"), (20_000, 1_000, 7, 2, 9, 3_600_000));
    assert_eq!(check("service/b.service#tcp"), (500, 500, 1, 2, 9, 120_000));
    assert_eq!(check("service/b.service#unit"), (30_000, 250, 1, 1, 9, 120_000));
}

#[test]
fn a_condition_is_read_and_kept_with_its_text() {
    let parts = parts("services: {a: {when: unit.restarts < 3}}");
    let rule = parts.rules.values().next().expect("one");
    assert_eq!(rule.condition.as_ref().map(|condition| condition.source.as_str()), Some("unit.restarts < 3"));
}

#[test]
fn of_several_patterns_the_one_that_says_most_of_a_name_wins_and_a_name_wins_over_all() {
    let text = "services: {\"*.service\": {port: 1}, worker@*.service: {port: 2}, \"worker@?.service\": {port: 3}, worker@9: {port: 4}}";
    let units = ["app.service", "worker@12.service", "worker@7.service", "worker@9.service"];
    let parts = parts_on(text, &units);
    // Two patterns say as much of worker@7: the first by name is the one with the star.
    assert_eq!(units.map(|name| target(&parts, name).port), [Some(1), Some(2), Some(2), Some(4)]);
    assert_eq!(parts.targets.len(), 4);
}

#[test]
fn three_forms_say_the_same() {
    let of = |name: &str, text: &str| match parse(&[(name.into(), text.to_owned())]) {
        Ok(configuration) => configuration.bundle(&Inventory::default(), 1).expect("it fits together"),
        Err(wrong) => panic!("{wrong}"),
    };
    let yaml = of(
        "a.yaml",
        "autonomy: act\nservices: {app: {port: 5000, probe: {tcp: \"db:1\", every: 5s}, environment: [{file: /x, mode: \"0640\"}]}}\n",
    );
    let toml = of(
        "a.toml",
        "autonomy = 'act'\n[services.app]\nport = 0x1388\nprobe = {tcp = 'db:1', every = '5s'}\nenvironment = [{file = '/x', mode = 0o640}]\n",
    );
    let json5 = of(
        "a.json5",
        "{autonomy: 'act', services: {app: {port: 0x1388, probe: {tcp: 'db:1', every: '5s'}, environment: [{file: '/x', mode: '0640'}]}}}",
    );
    assert_eq!(yaml, toml);
    assert_eq!(yaml, json5);
}

#[test]
fn a_window_for_all_is_one_for_every_target() {
    let window = |scope: &str| {
        let text = format!(
            "services: {{app: {{}}}}\nmaintenance:\n  - {{scope: {scope}, days: [sun], at: \"03:00\", lasts: 2h}}\n"
        );
        parts(&text).maintenance.remove(0).scope
    };
    assert_eq!(window("all"), Scope::All);
    assert_eq!(window("\"*\""), Scope::All);
    assert_eq!(window("\"web*\""), Scope::Matching(vec!["web*".to_owned()]));
}
