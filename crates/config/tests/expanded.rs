//! The long form says the same as the short one: what is expanded is accepted, and gives the same bundle.

use std::{fs, path::Path};

use ansai_config::{expanded, parse};
use ansai_model::{
    bundle::Bundle,
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    unit::ActiveState,
};

fn inventory() -> Inventory {
    let unit = |name: &str, is_oneshot| UnitFacts {
        is_oneshot,
        ..UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active)
    };
    let units = vec![unit("nginx.service", false), unit("worker@7.service", false), unit("worker@8.service", true)];
    Inventory { units, ..Inventory::default() }
}

#[track_caller]
fn check(name: &str, text: &str) -> Bundle {
    let read = |name: &str, text: &str| match parse(&[(name.into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}\n{text}"),
    };
    let short = read(name, text);
    let bundle = short.bundle(&inventory(), 7).expect("it fits together");
    let long = expanded(&bundle, short.host_settings());
    let read_again = read("expanded.yaml", &long);
    let again = read_again.bundle(&Inventory::default(), 7).expect("it fits together");
    assert_eq!((&again, read_again.host_settings()), (&bundle, short.host_settings()), "{long}");
    assert_eq!(expanded(&again, read_again.host_settings()), long);
    bundle
}

#[test]
fn every_key_survives_the_long_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/valid");
    for name in [
        "short.yaml",
        "long.yaml",
        "certificate.yaml",
        "certificates.yaml",
        "memory.yaml",
        "disk.yaml",
        "timesync.yaml",
        "container.yaml",
        "database.yaml",
    ] {
        let bundle = check(name, &fs::read_to_string(folder.join(name)).expect("a file"));
        assert!(bundle.parts().checks.len() >= 5, "{name}");
    }
}

#[test]
fn an_empty_configuration_has_a_long_form() {
    check("empty.yaml", "");
}

#[test]
fn what_is_written_in_the_long_form_wins_over_what_is_deduced() {
    let text = "services: {app.service: {}}\nrunbooks: {service/app.service: [{name: only, steps: [{reload_unit: app.service}]}]}\n";
    let bundle = check("own.yaml", text);
    let runbook = bundle.parts().runbooks.values().next().expect("one");
    assert_eq!(runbook.rungs.len(), 1);
}

#[test]
fn a_rule_for_a_unit_that_a_pattern_waits_for_holds_once_the_unit_is_there() {
    let text = "services: {worker@*.service: {}}\nrules: {w: {target: service/worker@7.service, checks: [unit], \
        runbook: service/app.service}}\n";
    let text = text.replace("service/app.service", "own") + "runbooks: {own: [{name: a, steps: [{wait: 1s}]}]}\n";
    assert!(check("pattern.yaml", &text).parts().rules.keys().any(|id| id.as_str() == "w"));
}

#[test]
fn when_a_check_flaps_is_said_once_for_every_domain() {
    let text = "flap: {changes: 9, within: 9m}\nservices: {app.service: {memory: true}}\ndisks: {/: {}}\n\
        certificates: {a.example.com: {file: /etc/a.pem}}\n";
    let bundle = check("flap.yaml", text);
    let checks = || bundle.parts().checks.values();
    for domain in ["service/", "disk/", "certificate/"] {
        assert!(checks().any(|check| check.id.as_str().starts_with(domain)), "{domain}");
    }
    for check in checks() {
        assert_eq!((check.flap.changes_max, check.flap.window.as_secs()), (9, 540), "{}", check.id);
    }
}
