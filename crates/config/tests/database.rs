//! Servers of databases, from the configuration: which checks follow, what is done, and what is another's.

use ansai_config::{Configuration, expanded, parse};
use ansai_model::{
    bundle::BundleParts,
    domain::database::DatabaseFacts,
    id::{RuleId, TargetId},
    inventory::Inventory,
};

fn read(text: &str) -> Configuration {
    match parse(&[("ansai.yaml".into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    }
}

/// What follows on a host whose server is this one's.
fn parts(text: &str, owner: Option<&str>) -> BundleParts {
    let postgresql = "/var/run/postgresql".to_owned();
    let databases = vec![DatabaseFacts { postgresql, owner: owner.map(Into::into) }];
    let inventory = Inventory { databases, ..Inventory::default() };
    read(text).bundle(&inventory, 1).expect("it fits together").into_parts()
}

/// A check with its remedy.
#[track_caller]
fn check(parts: &BundleParts, name: &str, expected: &str) {
    let rule = &parts.rules[&RuleId::new(name).expect("valid")];
    let rungs = parts.runbooks.get(&rule.runbook).map(|runbook| runbook.rungs.as_slice()).unwrap_or_default();
    let rungs: Vec<String> = rungs.iter().map(|rung| format!("{} {} times", rung.id, rung.attempts_max)).collect();
    let said = format!("[{}] under {}, {:?}, {:?}", rungs.join(", "), rule.policy, rule.autonomy, rule.severity);
    assert_eq!(said, expected);
}

const MAIN: &str = "autonomy: act\ndatabases: {main: {postgresql: /var/run/postgresql}}\n";

#[test]
fn a_server_is_asked_and_only_who_blocks_others_may_be_ended() {
    let parts = parts(MAIN, None);
    check(&parts, "database/main#answers", "[] under database, Act, Now");
    check(&parts, "database/main#locks", "[end-idle 2 times] under database, Act, Now");
    assert_eq!(parts.checks.len(), 2);
}

#[test]
fn nothing_is_done_to_what_is_another_s() {
    let of = |path: &str| {
        let text = format!("autonomy: act\ndatabases: {{main: {{postgresql: {path}}}}}\n");
        parts(&text, Some("Patroni runs here"))
    };
    for path in ["/var/run/postgresql", "/run/postgresql/"] {
        check(&of(path), "database/main#locks", "[] under database, Act, Now");
    }
}

#[test]
fn a_server_that_is_named_twice_is_refused() {
    let of = |other: &str| {
        let text = format!("databases: {{one: {{postgresql: /var/run/postgresql}}, two: {{postgresql: {other}}}}}");
        parse(&[("ansai.yaml".into(), text)]).map(|_| ()).map_err(|wrong| wrong.to_string())
    };
    for same in ["/run/postgresql/", "/run/postgresql/.s.PGSQL.5432"] {
        assert!(of(same).is_err_and(|wrong| wrong.contains("is configured twice")), "{same}");
    }
    assert_eq!(of("/run/postgresql/.s.PGSQL.5433"), Ok(()));
}

#[test]
fn a_service_waits_until_a_database_answers_that_it_needs() {
    let text = format!("{MAIN}services: {{app.service: {{needs: [database/main]}}}}\n");
    let parts = parts(&text, None);
    let app = TargetId::new("service/app.service").expect("valid");
    let waits: Vec<String> = parts.targets[&app].waits_for.iter().map(ToString::to_string).collect();
    assert_eq!(waits, ["database/main#answers"]);
    let text = format!("{MAIN}services: {{app.service: {{needs: [database/other]}}}}\n");
    let wrong = parse(&[("ansai.yaml".into(), text)]).expect_err("refused").to_string();
    assert!(wrong.contains("nothing watches the database `other`"), "{wrong}");
}

#[test]
fn what_is_no_place_of_a_socket_is_refused() {
    let wrong = |text: &str| parse(&[("ansai.yaml".into(), text.to_owned())]).expect_err("refused").to_string();
    let relative = wrong("databases: {main: {postgresql: run/postgresql}}");
    assert!(relative.contains("`run/postgresql` is no absolute path"), "{relative}");
    let probe = "services: {a.service: {}}\nchecks: {service/a.service#b: {probe: {database: {postgresql: /run/postgresql, locks: 0s}}}}";
    let action = "services: {a.service: {}}\nrunbooks: {b: [{name: end, steps: [{database: {end_idle: /run/postgresql, patience: 999ms}}]}]}";
    for hasty in ["databases: {main: {postgresql: /run/postgresql, patience: 0s}}", probe, action] {
        let said = wrong(hasty);
        assert!(said.contains("1s"), "{said}");
    }
    let missing = wrong("databases: {main: {}}");
    assert!(missing.contains("`postgresql` is missing"), "{missing}");
}

#[test]
fn a_long_form_needs_no_host_any_more() {
    let read = read(MAIN);
    let bundle = read.bundle(&Inventory::default(), 1).expect("valid");
    let again = parts(&expanded(&bundle, read.host_settings()), Some("Patroni runs here"));
    check(&again, "database/main#locks", "[end-idle 2 times] under database, Act, Now");
}
