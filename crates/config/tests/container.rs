//! Containers, from the configuration: which are watched, what each needs, what is done, and what is another's.

use core::time::Duration;

use ansai_config::{Configuration, expanded, parse};
use ansai_model::{
    bundle::BundleParts,
    domain::container::{ContainerFacts, Owner},
    id::{RuleId, TargetId, UnitName},
    inventory::Inventory,
};

fn read(text: &str) -> Configuration {
    match parse(&[("ansai.yaml".into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    }
}

fn facts(name: &str, needs: &[&str]) -> ContainerFacts {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    ContainerFacts {
        name: name.into(),
        image: "example/app:1".into(),
        owner: Owner::Nobody,
        needs,
        settles_within: None,
    }
}

/// What follows on a host that has these.
fn parts(text: &str, containers: Vec<ContainerFacts>) -> BundleParts {
    let inventory = Inventory { containers, ..Inventory::default() };
    read(text).bundle(&inventory, 1).expect("it fits together").into_parts()
}

/// The containers that are watched, each with what it needs.
fn watched(parts: &BundleParts) -> Vec<String> {
    let said = |id: &TargetId, needs: &[TargetId]| {
        let needs: Vec<&str> = needs.iter().map(TargetId::name).collect();
        if needs.is_empty() { id.name().to_owned() } else { format!("{} needs {}", id.name(), needs.join(", ")) }
    };
    let of_domain = parts.targets.values().filter(|target| target.id.domain() == "container");
    of_domain.map(|target| said(&target.id, &target.needs)).collect()
}

/// Its one remedy with its policy, and how soon a person must act.
#[track_caller]
fn check(parts: &BundleParts, name: &str, remedy: &str) {
    let rule = &parts.rules[&RuleId::new(format!("container/{name}#health")).expect("valid")];
    let policy = &parts.policies[&rule.policy];
    let rungs = &parts.runbooks[&rule.runbook].rungs;
    let rungs: Vec<String> = rungs.iter().map(|rung| format!("{} {} times", rung.id, rung.attempts_max)).collect();
    let within = policy.verify_within.as_secs();
    let said =
        format!("{} under {} within {within}s, {:?}, {:?}", rungs.join(", "), policy.id, rule.autonomy, rule.severity);
    assert_eq!(said, remedy);
}

#[test]
fn every_container_of_the_host_is_watched_with_what_it_needs() {
    let all = || vec![facts("cache", &[]), facts("db", &[]), facts("web", &["cache", "db", "elsewhere"])];
    let of = |text: &str| watched(&parts(text, all()));
    assert_eq!(of("containers: {\"*\": {}}"), ["cache", "db", "web needs cache, db"]);
    assert_eq!(of("containers: {\"*\": true, cache: false}"), ["db", "web needs db"]);
    assert_eq!(of("containers: {\"*\": false, web: {}}"), ["web"]);
    // What is named is watched though it is not there, and what a pattern fits is not.
    assert_eq!(of("containers: {later: {}, w*: {}}"), ["later", "web"]);
    assert_eq!(of(""), [""; 0]);
}

#[test]
fn a_restart_is_all_that_is_done_and_nothing_is_done_to_what_is_another_s() {
    let of = |owner| ContainerFacts { owner, ..facts("web", &[]) };
    let text = "autonomy: act\ncontainers: {web: {severity: now}}\n";
    let remedy = "restart 2 times under container within 120s, Act, Now";
    check(&parts(text, vec![of(Owner::Nobody)]), "web", remedy);
    check(&parts(text, vec![of(Owner::Unit(UnitName::new("web.service").expect("valid")))]), "web", remedy);
    check(&parts(text, Vec::new()), "web", remedy);
    let others = parts(text, vec![of(Owner::Other("a swarm runs it".into()))]);
    check(&others, "web", " under container within 120s, Act, Now");
}

#[test]
fn a_slow_start_is_given_half_as_long_again() {
    let slow = ContainerFacts { settles_within: Some(Duration::from_secs(200)), ..facts("web", &[]) };
    let parts = parts("containers: {\"*\": {autonomy: approve}}", vec![slow]);
    check(&parts, "web", "restart 2 times under container/web#health within 300s, Approve, Day");
}

#[test]
fn a_service_waits_for_a_container_that_it_needs() {
    let text = "containers: {db: {}, \"w*\": {}}\nservices: {app.service: {needs: [container/db, container/web]}}\n";
    let parts = parts(text, vec![facts("db", &[])]);
    let app = TargetId::new("service/app.service").expect("valid");
    assert_eq!(parts.targets[&app].needs, [TargetId::new("container/db").expect("valid")]);
    let text = "containers: {db: false}\nservices: {app.service: {needs: [container/db]}}\n";
    let wrong = parse(&[("ansai.yaml".into(), text.to_owned())]).expect_err("refused").to_string();
    assert!(
        wrong.contains("nothing watches the container `db`") && wrong.contains("add `db: {}` under `containers:`"),
        "{wrong}"
    );
}

#[test]
fn what_is_no_name_of_a_container_is_refused_with_what_is_one() {
    let wrong =
        parse(&[("ansai.yaml".into(), "containers: {\"my web\": {}, a/b: {}}".to_owned())]).expect_err("refused");
    let wrong = wrong.to_string();
    assert!(wrong.contains("`my web` is no name of a container") && wrong.contains("`a/b` is no name"), "{wrong}");
    assert!(wrong.contains("letters, digits and _.- are fine"), "{wrong}");
}

#[test]
fn a_long_form_needs_no_host_any_more() {
    let read = read("containers: {\"*\": {}}\n");
    let containers = vec![facts("db", &[]), facts("web", &["db"])];
    let bundle = read.bundle(&Inventory { containers, ..Inventory::default() }, 1).expect("valid");
    let again = parts(&expanded(&bundle, read.host_settings()), Vec::new());
    assert_eq!(watched(&again), ["db", "web needs db"]);
    check(&again, "web", "restart 2 times under container within 120s, Observe, Day");
}
