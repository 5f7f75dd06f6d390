//! Layers over layers: what holds, who set it, what it replaced, and when an emergency ends.

use std::{fs, path::Path};

use ansai_config::{Configuration, Explained, Layer, load_at, parse};
use ansai_document::Diagnostics;
use ansai_model::{inventory::Inventory, time::WallTime};
use proptest::prelude::*;

/// 2030-01-01T00:00:00Z.
const END: i64 = 1_893_456_000_000;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
}

fn loaded(files: &[(&str, &str)], now: i64) -> Result<Configuration, Diagnostics> {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), files);
    load_at(&folder.path().join("ansai.yaml"), WallTime(now))
}

const ALL: &[(&str, &str)] = &[
    (
        "ansai.yaml",
        "agent: {role: web}\nservices:\n  nginx.service:\n    probe: {http: \"http://127.0.0.1/\"}\n  worker@*.service: {}\n",
    ),
    (
        "layers/site.toml",
        "autonomy = \"act\"\n[policies.default]\ncooldown = \"1m\"\n[services.\"nginx.service\"]\nprobe = {every = \"20s\"}\n",
    ),
    (
        "layers/role-web.json5",
        "{policies: {default: {cooldown: '45s'}}, services: {\"nginx.service\": {probe: {every: '15s'}}}}",
    ),
    ("layers/role-db.yaml", "policies: {default: {cooldown: 9m}}\n"),
    ("layers/emergency/all.yaml", "autonomy: observe\nexpires: 2030-01-01T00:00:00Z\n"),
];

/// Each value as `key = value (layer file:line; weaker, …)`, and the key that holds in its place.
fn shown(explained: &Explained) -> String {
    let name =
        |file: &str| Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let values = explained.values.iter().map(|value| {
        let set = format!("{} {}:{}", value.set.layer.as_str(), name(&value.set.file), value.set.line);
        let weaker = value.shadowed.iter().map(|weaker| format!(", {} {}", weaker.layer.as_str(), weaker.value));
        format!("{} = {} ({set}{})", value.key, value.set.value, weaker.collect::<String>())
    });
    let values = values.collect::<Vec<_>>().join("; ");
    match (&explained.holds, &explained.default) {
        (Some(holds), _) => format!("{} -> {holds}: {values}", explained.key),
        (None, Some(default)) if values.is_empty() => format!("{}: {default}", explained.key),
        (None, _) => values,
    }
}

#[track_caller]
fn check(key: &str, expect: &str) {
    let configuration = loaded(ALL, END - 1).expect("valid");
    let said = match configuration.explain(key) {
        Ok(explained) => shown(&explained),
        Err(wrong) => format!("{}; {}", wrong.what, wrong.suggestion),
    };
    assert_eq!(said, expect);
}

#[test]
fn each_value_names_its_layer_and_line_and_what_it_replaced() {
    check("autonomy", "autonomy = observe (emergency all.yaml:1, site act, shipped observe)");
    check(
        "services.nginx.service.probe.every",
        "services.nginx.service.probe.every = 15s (role role-web.json5:1, site 20s)",
    );
    check("nginx", "there is no key `nginx`; ansai config explain services.nginx.service");
    check(
        "xyzzy",
        "there is no key `xyzzy`; known here: autonomy, services, processes, disks, certificates, memory, timesync, \
         containers, databases, notify, policies, maintenance, probe_defaults, flap, heartbeat, ansai_cluster, agent, targets, checks, rules, runbooks, generation, expires",
    );
}

#[test]
fn what_is_not_written_is_led_to_what_holds() {
    let cooldown = "policies.default.cooldown = 45s (role role-web.json5:1, site 1m, shipped 30s)";
    let said = format!("services.nginx.service.policy.cooldown -> policies.default.cooldown: {cooldown}");
    check("services.nginx.service.cooldown", &said);
    check("services.nginx.policy.cooldown", &said);
    let said = format!("services.worker@3.service.policy.cooldown -> policies.default.cooldown: {cooldown}");
    check("services.worker@3.service.cooldown", &said);
    check("services.worker@3.cooldown", &said);
    check("services.nginx.port", "services.nginx.service.port: the port of a probe on this host");
    check(
        "agent.host_budget",
        "agent.host_budget.actions = 20 (shipped the shipped defaults:12); \
         agent.host_budget.per = 1h (shipped the shipped defaults:12)",
    );
}

#[test]
fn what_is_asked_for_by_its_name_is_answered_by_that_name_also_where_a_pattern_holds() {
    let text = "services:\n  '*.service': {port: 80}\n  'web*.service': {needs: [db], port: 81}\n  db.service: {needs: web1}\n\
                disks:\n  '*': {act_at: 90%}\n";
    let configuration = parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
    let said = |key: &str| shown(&configuration.explain(key).unwrap_or_else(|wrong| panic!("{key}: {wrong:?}")));
    assert_eq!(said("disks./var"), "disks./var -> disks.*: disks.*.act_at = 90% (host ansai.yaml:6)");
    assert_eq!(
        said("disks./var.act_at"),
        "disks./var.act_at -> disks.*.act_at: disks.*.act_at = 90% (host ansai.yaml:6)"
    );
    assert_eq!(said("disks.*.act_at"), "disks.*.act_at = 90% (host ansai.yaml:6)");
    // The pattern that says most of a name holds.
    let web =
        "services.web1.service.port -> services.web*.service.port: services.web*.service.port = 81 (host ansai.yaml:3)";
    assert_eq!(said("services.web1.service.port"), web);
    assert_eq!(said("services.web1.port"), web);
    // One of several, also where one stands alone.
    let needs = "services.web1.service.needs[0] -> services.web*.service.needs[0]: services.web*.service.needs[0] = db";
    assert!(said("services.web1.needs[0]").starts_with(needs), "{}", said("services.web1.needs[0]"));
    assert_eq!(said("services.db.needs[0]"), "services.db.service.needs[0] = web1 (host ansai.yaml:4)");
    assert!(
        configuration.explain("services.db.needs[1]").is_err() && configuration.explain("services.db.needs[x").is_err()
    );
    configuration.explain("services.db.validate[0]").expect("it may be written");
}

#[test]
fn a_key_that_stands_elsewhere_is_pointed_to() {
    let led = |key: &str| loaded(ALL, END - 1).expect("valid").explain(key).expect_err("it is none").suggestion;
    for (key, place) in [
        ("cooldown", "services.NAME.cooldown"),
        ("when", "services.NAME.when"),
        ("act_at", "disks.NAME.act_at"),
        ("host_budget", "agent.host_budget"),
        ("services.nginx.every", "services.nginx.service.probe.every"),
    ] {
        let said = led(key);
        assert!(
            said.starts_with("it stands in ") && said.ends_with(&format!(": ansai config explain {place}")),
            "{said}"
        );
        // What is advised is answered.
        loaded(ALL, END - 1).expect("valid").explain(place).expect("a key");
    }
}

#[test]
fn an_unknown_key_gets_the_nearest_one() {
    check(
        "services.nginx.service.colldown",
        "there is no key `services.nginx.service.colldown`; ansai config explain services.nginx.service.cooldown",
    );
    check(
        "services.ngnx.service",
        "there is no `ngnx.service` under `services`; ansai config explain services.nginx.service",
    );
    check("autonomy.x", "`autonomy` is a single value, without `x`; ansai config explain autonomy");
}

#[test]
fn an_emergency_ends_by_itself_and_that_is_said() {
    let before = loaded(ALL, END - 1).expect("valid");
    assert_eq!((before.holds_until(), before.warnings().len()), (Some(WallTime(END)), 0));
    let after = loaded(ALL, END).expect("valid");
    assert_eq!(after.holds_until(), None);
    // What acts again has nobody to tell, which is said as well.
    let warnings: Vec<_> = after.warnings().iter().map(ToString::to_string).collect();
    let warning = warnings.iter().find(|warning| warning.contains("ignored")).expect("a warning");
    assert!(warning.contains("ended at 2030-01-01T00:00:00Z and is ignored"), "{warning}");
    assert!(warning.contains("2 | expires: 2030"), "{warning}");
    let ignored: Vec<_> =
        after.layers().iter().filter(|found| found.ignored.is_some()).map(|found| found.layer).collect();
    assert_eq!(ignored, [Layer::Role, Layer::Emergency]);
}

#[track_caller]
fn check_error(files: &[(&str, &str)], expect: &[&str]) {
    let wrong = loaded(files, 0).expect_err("it is wrong").to_string();
    for part in expect {
        assert!(wrong.contains(part), "{wrong}");
    }
}

#[test]
fn a_layer_that_is_none_and_an_emergency_without_end_are_refused() {
    check_error(
        &[
            ("ansai.yaml", "expires: 2030-01-01T00:00:00Z\n"),
            ("layers/emergency.yaml", "autonomy: act\n"),
            ("layers/siet.yaml", ""),
        ],
        &[
            "only an emergency layer expires",
            "must say when it ends",
            "there is no layer `siet`",
            "did you mean `site`?",
        ],
    );
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    check_error(
        &[
            ("ansai.yaml", "autonomy: akt\nservices: {a.service: {needs: [b]}}\n"),
            ("layers/site.yaml", "polices: {}\n"),
            ("layers/role-x.json5", "{autonomy: }"),
        ],
        &[
            "did you mean `act`?",
            "there is no service `b.service`",
            "did you mean `policies`?",
            "role-x.json5:1:12",
            "4 errors",
        ],
    );
}

#[test]
fn files_of_one_layer_are_joined_and_nothing_is_said_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let window = "maintenance: [{scope: a, from: 2030-01-01T00:00:00Z, until: 2030-01-02T00:00:00Z}]\n";
    write(folder.path(), &[("1.yaml", &format!("services: {{a.service: {{}}}}\n{window}")), ("2.yaml", window)]);
    write(folder.path(), &[("3.toml", "[services.\"b.service\"]\n"), ("notes.txt", "no configuration")]);
    let configuration = load_at(folder.path(), WallTime(0)).expect("valid");
    let bundle = configuration.bundle(&Inventory::default(), 1).expect("valid");
    assert_eq!((bundle.parts().targets.len(), bundle.parts().maintenance.len()), (2, 2));
    assert_eq!(configuration.files().len(), 3);
    write(folder.path(), &[("4.yaml", "services: {a.service: {}}\n")]);
    let wrong = load_at(folder.path(), WallTime(0)).expect_err("twice").to_string();
    assert!(wrong.contains("`services.a.service` is configured in two files of one layer"), "{wrong}");
    assert!(wrong.contains("1.yaml:1 says it already"), "{wrong}");
}

#[test]
fn whatever_has_a_name_stands_in_one_file_of_a_layer() {
    let parse = |one: &str, two: &str| parse(&[("1.yaml".into(), one.to_owned()), ("2.yaml".into(), two.to_owned())]);
    for (one, two, twice) in [
        ("disks: {/var: {act_at: 85%}}", "disks: {/var: {goal: 50%}}", "disks./var"),
        ("certificates: {a: {file: /a}}", "certificates: {a: {every: 1m}}", "certificates.a"),
        ("processes: {a: {start: [/a]}}", "processes: {a: {port: 1}}", "processes.a"),
    ] {
        let wrong = parse(one, two).expect_err("twice").to_string();
        assert!(wrong.contains(&format!("`{twice}` is configured in two files of one layer")), "{wrong}");
    }
    parse("memory: {every: 1m}", "memory: {horizon: 2d}").expect("what has no names is put together");
}

#[test]
fn a_file_that_is_no_mapping_is_said_to_be_none_and_repeats_nothing() {
    for (first, second, errors) in
        [("", "just text\n", 1), ("[1]\n", "just text\n", 2), ("autonomy: act\n", "[1]\n", 1)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &[("1.yaml", first), ("2.yaml", second)]);
        let wrong = load_at(folder.path(), WallTime(0)).expect_err("no mapping");
        assert_eq!(wrong.0.len(), errors, "{wrong}");
        assert!(wrong.0.iter().all(|one| one.what.contains("a mapping is expected here")), "{wrong}");
    }
}

#[test]
fn a_change_in_a_layer_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ansai.yaml");
    assert_eq!(ansai_config::changed_at(&path), None);
    write(folder.path(), &[("ansai.yaml", ""), ("layers/emergency/a.yaml", "")]);
    let file = fs::File::options().append(true).open(folder.path().join("layers/emergency/a.yaml")).expect("a file");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    file.set_modified(later).expect("a time");
    assert_eq!(ansai_config::changed_at(&path), Some(later));
}

#[test]
fn what_has_expired_says_nothing_of_the_role_and_nulls_say_nothing_at_all() {
    let files = [
        ("ansai.yaml", "agent: {role: web}\nservices: {a.service: , b.service: {port: 80}}\n"),
        ("layers/site.yaml", "services: {a.service: {port: 81}, b.service: {port: 82}}\n"),
        ("layers/role-web.yaml", "autonomy: act\n"),
        ("layers/role-db.yaml", "autonomy: approve\n"),
        ("layers/emergency.yaml", "expires: 2030-01-01T00:00:00Z\nagent: {role: db}\n"),
    ];
    let said = |now, key| shown(&loaded(&files, now).expect("valid").explain(key).expect("a key"));
    assert_eq!(said(END - 1, "autonomy"), "autonomy = approve (role role-db.yaml:1, shipped observe)");
    assert_eq!(said(END, "autonomy"), "autonomy = act (role role-web.yaml:1, shipped observe)");
    assert_eq!(said(END, "services.a.port"), "services.a.service.port = 81 (site site.yaml:1)");
    assert_eq!(said(END, "services.b.port"), "services.b.service.port = 80 (host ansai.yaml:2, site 82)");
}

#[test]
fn what_is_written_with_nothing_in_it_is_written() {
    let text = "disks: {\"*\": {}}\nservices: {\"app@*\": {}}\n";
    let configuration = loaded(&[("ansai.yaml", text)], 0).expect("valid");
    let said = |key| shown(&configuration.explain(key).expect("a key"));
    assert_eq!(said("disks"), "disks.* = {} (host ansai.yaml:1)");
    assert_eq!(said("disks./var"), "disks./var -> disks.*: disks.* = {} (host ansai.yaml:1)");
    for name in ["services", "services.app@1", "services.app@1.service"] {
        assert!(said(name).ends_with(" = {} (host ansai.yaml:2)"), "{}", said(name));
    }
}

#[test]
fn an_explanation_repeats_no_secret() {
    let hook = "notify: {a: {webhook: \"https://example.com/\", headers: {Authorization: Bearer 0123}}}\n";
    let configuration = loaded(&[("ansai.yaml", hook)], 0).expect("valid");
    let said = shown(&configuration.explain("notify.a.headers").expect("a key"));
    assert_eq!(said, "notify.a.headers.Authorization = ****** **** (host ansai.yaml:1)");
}

#[test]
fn what_is_too_large_or_no_text_is_refused_together_with_all_other_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = format!("# {}\n", "x".repeat(1 << 20));
    write(folder.path(), &[("large.yaml", &large), ("wrong.yaml", "autonomy: akt\n")]);
    fs::write(folder.path().join("latin.yaml"), b"autonomy: act\n# \xe4\n").expect("written");
    fs::create_dir(folder.path().join("folder.yaml")).expect("made");
    let wrong = load_at(folder.path(), WallTime(0)).expect_err("wrong").to_string();
    for part in ["more than 1048576 bytes", "line 2 is not written in UTF-8", "did you mean `act`?", "3 errors"] {
        assert!(wrong.contains(part), "{wrong}");
    }
    let wrong = load_at(&folder.path().join("none.yaml"), WallTime(0)).expect_err("nothing").to_string();
    assert!(wrong.contains("`ansai init` writes one"), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_key_is_explained_or_refused(
        key in "((services|policies|checks|maintenance|nginx|app|service|policy|probes?|every|flap|worker@7|\\*|default|ä|0|1)|[.\\[\\]]){0,12}",
    ) {
        let text = include_str!("valid/short.yaml").to_owned();
        let configuration = parse(&[("short.yaml".into(), text)]).expect("valid");
        match configuration.explain(&key) {
            Ok(explained) => prop_assert!(explained.values.iter().all(|value| value.set.line > 0)),
            Err(wrong) => prop_assert!(!wrong.what.is_empty() && !wrong.suggestion.is_empty()),
        }
    }
}

#[test]
fn a_folder_without_a_file_of_a_configuration_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = |folder: &Path| ansai_config::load(folder).expect_err("nothing is there").to_string();
    let said = wrong(folder.path());
    assert!(said.contains("the folder holds no file of a configuration") && said.contains(".yaml"), "{said}");
    write(folder.path(), &[("ansai.conf", "services: {}\n"), ("inner/ansai.yaml", "services: {}\n")]);
    assert!(wrong(folder.path()).contains("holds no file"), "those are not read");
    // Layers alone are a configuration, and so is what the fleet of a host says.
    write(folder.path(), &[("layers/site.yaml", "services: {a.service: {}}\n")]);
    ansai_config::load(folder.path()).expect("valid");
}
