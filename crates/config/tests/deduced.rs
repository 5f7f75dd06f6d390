//! What follows from the short form, where an operator said little.

use ansai_config::parse;
use ansai_model::{
    action::Action,
    bundle::{BundleParts, Target},
    id::{CheckId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    policy::Scope,
    probe::{Probe, Protocol},
    rule::Severity,
    runbook::{Rung, Step},
    unit::ActiveState,
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
    let when = |rung: &Rung| rung.when.as_ref().map(|when| format!(" if {}", when.source)).unwrap_or_default();
    rungs
        .map(|rung| {
            format!("{}{}: {}", rung.id, when(rung), rung.steps.iter().map(words).collect::<Vec<_>>().join(", "))
        })
        .collect()
}

#[test]
fn an_address_in_brackets_is_the_one_within() {
    let parts = parts("services: {db.service: {probe: 'tcp://[::1]:5432'}}");
    let probes: Vec<_> = parts.checks.values().map(|check| &check.probe).collect();
    let expected = Probe::Tcp { host: "::1".into(), port: 5432, speaks: None };
    assert!(probes.contains(&&expected), "{probes:?}");
}

#[test]
fn a_protocol_that_is_spoken_has_its_usual_port_and_names_its_check() {
    let seen = |probe: &str| {
        let parts = parts(&format!("services: {{a.service: {{probe: {probe}}}}}"));
        let found = parts.checks.iter().find(|(id, _)| !id.as_str().ends_with("#unit")).expect("a check");
        (found.0.as_str().to_owned(), found.1.probe.clone())
    };
    let tcp = |host: &str, port, speaks| Probe::Tcp { host: host.into(), port, speaks: Some(speaks) };
    let check = |probe: &str, name: &str, expect: Probe| {
        assert_eq!(seen(probe), (format!("service/a.service#{name}"), expect), "{probe}");
    };
    check("'redis://127.0.0.1'", "redis", tcp("127.0.0.1", 6379, Protocol::Redis));
    check("'redis://[::1]'", "redis", tcp("::1", 6379, Protocol::Redis));
    check("'smtp://mail.example.com:2525'", "smtp", tcp("mail.example.com", 2525, Protocol::Smtp));
    check("{tcp: '[::1]:5433', speaks: postgresql}", "postgresql", tcp("::1", 5433, Protocol::Postgresql));
    check("{tcp: localhost, speaks: mysql}", "mysql", tcp("localhost", 3306, Protocol::Mysql));
    let unix = Probe::UnixSocket { path: "/run/fpm.sock".into(), speaks: Some(Protocol::Fastcgi) };
    check("{unix: /run/fpm.sock, speaks: fastcgi}", "fastcgi", unix);
}

#[test]
fn programs_have_ten_seconds_and_greetings_eight_unless_their_own_time_is_written() {
    let timeout = |defaults: &str, probe: &str| {
        let parts = parts(&format!("probe_defaults: {{{defaults}}}\nservices: {{a.service: {{probe: {probe}}}}}"));
        let found = parts.checks.iter().find(|(id, _)| !id.as_str().ends_with("#unit")).expect("a check");
        found.1.timeout.as_secs()
    };
    assert_eq!(timeout("", "{exec: [/bin/true]}"), 10);
    assert_eq!(timeout("", "{nagios: [/bin/true]}"), 10);
    assert_eq!(timeout("timeout: 20s", "{nagios: [/bin/true]}"), 20);
    assert_eq!(timeout("timeout: 1s", "{exec: [/bin/true]}"), 10);
    assert_eq!(timeout("", "{exec: [/bin/true], timeout: 2s}"), 2);
    assert_eq!(timeout("", "'tcp://127.0.0.1:80'"), 3);
    assert_eq!(timeout("", "'smtp://127.0.0.1'"), 8);
    assert_eq!(timeout("", "{unix: /run/mysqld/mysqld.sock, speaks: mysql}"), 8);
    assert_eq!(timeout("timeout: 9s", "'ftp://127.0.0.1'"), 9);
    assert_eq!(timeout("", "{tcp: '127.0.0.1:25', speaks: smtp, timeout: 2s}"), 2);
    assert_eq!(timeout("", "'redis://127.0.0.1'"), 3);
}

#[test]
fn a_plugins_warning_fails_only_where_that_is_written() {
    let fails = |probe: &str| {
        let parts = parts(&format!("services: {{a.service: {{probe: {probe}}}}}"));
        let probes = parts.checks.values().map(|check| &check.probe);
        let plugins = probes.filter_map(|probe| if let Probe::Nagios(plugin) = probe { Some(plugin) } else { None });
        plugins.map(|plugin| plugin.fails_on_warning).collect::<Vec<_>>()
    };
    assert_eq!(fails("{nagios: [/bin/check]}"), [false]);
    assert_eq!(fails("{nagios: [/bin/check], fail_on: critical}"), [false]);
    assert_eq!(fails("{nagios: [/bin/check], fail_on: warning}"), [true]);
}

#[test]
fn what_cannot_be_spoken_is_refused_with_what_to_write() {
    let refused = |probe: &str, says: &str| {
        let read = parse(&[("ansai.yaml".into(), format!("services: {{a.service: {{probe: {probe}}}}}"))]);
        let wrong = read.map(|_| ()).expect_err(probe).to_string();
        assert!(wrong.contains(says), "{probe}: {wrong}");
    };
    refused("'fastcgi://127.0.0.1'", "write HOST:PORT");
    refused("'redis://127.0.0.1:none'", "`127.0.0.1:none` is no address");
    refused("'redis://user@127.0.0.1'", "is no address");
    refused("'gopher://127.0.0.1'", "redis://HOST or another protocol");
    refused("'mysql://10.0.0.1'", "shuts out hosts");
    refused("{tcp: '127.0.0.1:80', speaks: gopher}", "postgresql");
    refused("{http: 'http://127.0.0.1/', speaks: redis}", "it belongs to `tcp` and `unix`");
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
        "kill-and-start: kill the processes of nginx.service, start nginx.service",
    ];
    assert_eq!(ladder(&parts, "nginx.service"), of_nginx);
    let second = ladder(&parts, "haproxy.service").swap_remove(1);
    assert_eq!(second, "restore-configuration: put the last known good configuration of haproxy.service back");
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

/// When a service is restarted for its memory.
const GROWS: &str = "figure.memory.killed_lately == false and (figure.memory.near_limit == false or \
                     figure.forecast.confidence >= 50%)";

/// The memory of a service: how it is looked at, its ladder, its policy's quiet hours, its autonomy and severity.
fn memory_of(parts: &BundleParts, name: &str) -> Option<String> {
    let id = CheckId::new(format!("service/{name}#memory")).expect("valid");
    let check = parts.checks.get(&id)?;
    let rule = parts.rules.values().find(|rule| rule.checks.contains(&id)).expect("a rule of its own");
    let trend = check.trend.as_ref().expect("it is followed");
    let policy = parts.policies.get(&rule.policy).expect("it is there");
    let quiet = if policy.quiet.is_some() { "quiet" } else { "any time" };
    let (autonomy, severity) = (rule.autonomy.as_str(), rule.severity.as_str());
    let (every, horizon) = (check.every.as_secs(), trend.horizon.as_secs() / 3600);
    let ladder = ladder(parts, &format!("{name}#memory")).join("; ");
    Some(format!("{every}s {horizon}h {}, {quiet}, {autonomy}, {severity}: {ladder}", rule.policy))
}

#[test]
fn a_service_s_memory_is_a_matter_of_its_own() {
    let text = "services: {app.service: {autonomy: act, memory: {limit: 1GiB, release: SIGUSR1, high: 900MiB}}, b.service: {}}";
    let parts = parts(text);
    let said = "60s 24h memory, quiet, act, act today: release: ask app.service to give memory back, by SIGUSR1; \
                restart if {grows}: restart app.service; limit: set MemoryHigh=900.0 MiB on app.service until the next boot";
    assert_eq!(memory_of(&parts, "app.service"), Some(said.replace("{grows}", GROWS)));
    assert_eq!(memory_of(&parts, "b.service"), None);
    let of_unit = parts.rules.values().find(|rule| rule.id.as_str() == "service/app.service").expect("one");
    assert!(of_unit.checks.iter().all(|check| check.name() == "unit"), "{:?}", of_unit.checks);
}

#[test]
fn what_is_said_of_all_memory_holds_for_services_that_stay_and_say_nothing_else() {
    let text = "memory: {horizon: 2d, quiet: {at: '02:00'}, autonomy: suggest}\nservices: {a.service: {autonomy: act}, \
                b.service: {memory: {every: 5s, quiet: none}, critical: true}, c.service: {memory: false}, \
                d.service: {expect: not-failed}, 'w@*.service': {}}\n";
    let parts = parts_on(text, &["w@1.service"]);
    let table = [
        ("a.service", "60s 48h service/a.service#memory, quiet, suggest, act today: {restart} a.service"),
        ("b.service", "5s 48h service/b.service#memory, any time, suggest, act now: {restart} b.service"),
        ("w@1.service", "60s 48h service/w@1.service#memory, quiet, suggest, act today: {restart} w@1.service"),
    ];
    for (name, said) in table {
        let said = said.replace("{restart}", &format!("restart if {GROWS}: restart"));
        assert_eq!(memory_of(&parts, name), Some(said));
    }
    assert_eq!([memory_of(&parts, "c.service"), memory_of(&parts, "d.service")], [None, None]);
}

#[test]
fn what_a_thousand_services_have_in_common_is_kept_once() {
    let parts = parts_on("services: {a.service: {}, b.service: {}}", &["a.service"]);
    let ladders: Vec<Vec<*const u8>> =
        parts.runbooks.values().map(|one| one.rungs.iter().map(|rung| rung.id.as_str().as_ptr()).collect()).collect();
    assert!(!ladders[0].is_empty() && ladders[0] == ladders[1], "the names of rungs");
    for (rule, target) in parts.rules.values().zip(parts.targets.keys()) {
        let names = [rule.id.as_str(), rule.runbook.as_str()].map(str::as_ptr);
        assert_eq!(names, [target.as_str().as_ptr(); 2], "the name of {target}");
    }
}
