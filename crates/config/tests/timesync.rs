//! Whether the clock is synchronized, from the configuration: which unit is meant, where it is looked at, and what is done.

use ansai_config::{Configuration, expanded, parse};
use ansai_model::{
    bundle::BundleParts,
    id::{PolicyId, RuleId, RunbookId, TargetId, UnitName},
    inventory::Inventory,
};

fn read(text: &str) -> Configuration {
    match parse(&[("ansai.yaml".into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    }
}

/// What follows on a host on which this unit synchronizes the clock.
fn parts(text: &str, unit: Option<&str>) -> BundleParts {
    let timesync = unit.map(|unit| UnitName::new(unit).expect("valid"));
    let inventory = Inventory { timesync, ..Inventory::default() };
    read(text).bundle(&inventory, 1).expect("it fits together").into_parts()
}

/// The checks of a target, its one remedy with its policy, and how soon a person must act.
#[track_caller]
fn check(parts: &BundleParts, target: &str, checks: &[&str], remedy: &str) {
    let id = TargetId::new(target).expect("valid");
    assert!(parts.targets[&id].unit.is_some(), "an operator's word on the unit holds");
    let of_target = parts.checks.values().filter(|check| check.target == id);
    assert_eq!(of_target.map(|check| check.id.name()).collect::<Vec<_>>(), checks);
    let name = format!("{target}#synchronized");
    let rule = &parts.rules[&RuleId::new(&name).expect("valid")];
    let policy = &parts.policies[&rule.policy];
    let rungs = &parts.runbooks[&RunbookId::new(&name).expect("valid")].rungs;
    let rungs: Vec<String> = rungs.iter().map(|rung| format!("{} {} times", rung.id, rung.attempts_max)).collect();
    let within = policy.verify_within.as_secs() / 60;
    let said =
        format!("{} under {} within {within}m, {:?}, {:?}", rungs.join(", "), policy.id, rule.autonomy, rule.severity);
    assert_eq!(said, remedy);
}

#[test]
fn the_clock_is_a_target_of_its_own_where_nobody_keeps_its_unit_well() {
    let parts = parts("autonomy: act\ntimesync: true\n", Some("chrony.service"));
    let remedy = "restart 1 times under timesync within 15m, Act, Day";
    check(&parts, "timesync/clock", &["synchronized", "unit"], remedy);
    assert_eq!(parts.policies[&PolicyId::new("timesync").expect("valid")].attempts_max, 1);
}

#[test]
fn it_is_looked_at_on_the_service_that_is_kept_well() {
    let text = "services: {chrony.service: {}}\ntimesync: {settle: 30m, autonomy: approve, severity: now}\n";
    let parts = parts(text, Some("chrony.service"));
    assert_eq!(parts.targets.len(), 1);
    let remedy = "restart 1 times under service/chrony.service#synchronized within 45m, Approve, Now";
    check(&parts, "service/chrony.service", &["synchronized", "unit"], remedy);
}

#[test]
fn what_is_named_stands_over_what_is_found_and_without_either_nothing_is_watched() {
    let of = |text: &str, found| {
        parts(text, found).targets.into_values().filter_map(|target| target.unit).collect::<Vec<_>>()
    };
    let named = |unit: &str| vec![UnitName::new(unit).expect("valid")];
    assert_eq!(of("timesync: {unit: ptp.service}", Some("chrony.service")), named("ptp.service"));
    assert_eq!(of("timesync: {unit: ptp.service}", None), named("ptp.service"));
    assert_eq!(of("timesync: true", Some("chrony.service")), named("chrony.service"));
    assert_eq!(of("timesync: true", None), []);
    assert_eq!(of("timesync: false", Some("chrony.service")), []);
    assert_eq!(of("", Some("chrony.service")), []);
}

#[test]
fn what_is_no_time_to_synchronize_in_is_warned_of() {
    let warned = |text: &str| read(text).warnings().iter().map(ToString::to_string).collect::<String>();
    let said = warned("timesync: {settle: 10s}\n");
    assert!(said.contains("10s after its start no synchronizer trusts its servers"), "{said}");
    assert_eq!(warned("timesync: {settle: 2m}\n"), "");
}

#[test]
fn two_checks_of_one_name_are_one_too_many() {
    let text = "services: {chrony.service: {probes: {synchronized: {tcp: \"127.0.0.1:323\"}}}}\ntimesync: true\n";
    let timesync = UnitName::new("chrony.service").ok();
    let wrong = read(text).bundle(&Inventory { timesync, ..Inventory::default() }, 1).expect_err("refused").to_string();
    assert!(wrong.contains("error: service/chrony.service has another check `synchronized`"), "{wrong}");
}

#[test]
fn a_long_form_needs_no_host_any_more() {
    let timesync = UnitName::new("chrony.service").ok();
    let read = read("timesync: true\n");
    let bundle = read.bundle(&Inventory { timesync, ..Inventory::default() }, 1).expect("valid");
    let again = parts(&expanded(&bundle, read.host_settings()), None);
    let remedy = "restart 1 times under timesync within 15m, Observe, Day";
    check(&again, "timesync/clock", &["synchronized", "unit"], remedy);
}
