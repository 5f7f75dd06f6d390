//! Configurations of hosts with thousands of services and disks: they are understood, by a thread with the usual stack, and
//! what is wrong with them is told in a bounded number of words. How long it takes is no test's; where it grows with the
//! square of the size, nobody waits for these to end.

use std::fmt::Write;

use ansai_config::{Configuration, parse};
use ansai_document::Diagnostics;
use ansai_model::{
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    unit::ActiveState,
};

/// Most findings that are told, and one that says how many more there are.
const TOLD_MAX: usize = 201;

fn read(text: String) -> Result<Configuration, Diagnostics> {
    parse(&[("a.yaml".into(), text)])
}

fn lines(section: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(format!("{section}:\n"), |mut text, number| {
        writeln!(text, "  {}", line(number)).expect("text");
        text
    })
}

fn refused(text: String) -> Diagnostics {
    read(text).expect_err("it is wrong")
}

#[test]
fn a_chain_of_needs_is_as_long_as_a_host_is_large() {
    let chain = |last: &str| {
        let line = |number| format!("s{number}.service: {{needs: [s{}.service]}}", number + 1);
        lines("services", 15_000, line) + &format!("  s15000.service: {{{last}}}\n")
    };
    let bundle = read(chain("")).and_then(|known| known.bundle(&Inventory::default(), 1)).expect("valid");
    assert_eq!(bundle.parts().targets.len(), 15_001);
    let wrong = refused(chain("needs: [s0.service]"));
    assert!(wrong.0.len() == TOLD_MAX && wrong.0[0].what.contains("needs itself"), "{}", wrong.0[0].what);
}

#[test]
fn each_service_may_need_a_disk_of_its_own() {
    let disks = lines("disks", 1_500, |number| format!("/srv/d{number}: {{}}"));
    let text =
        disks + &lines("services", 1_500, |number| format!("s{number}.service: {{needs: [disk//srv/d{number}]}}"));
    let bundle = read(text).and_then(|known| known.bundle(&Inventory::default(), 1)).expect("valid");
    let waits = |target: &ansai_model::bundle::Target| !target.waits_for.is_empty();
    assert_eq!(bundle.parts().targets.values().filter(|target| waits(target)).count(), 1_500);
    // So many checks no bundle has; that is said, and soon.
    let wrong = refused(lines("disks", 10_000, |number| format!("/srv/d{number}: {{}}")));
    assert!(wrong.0[0].what.contains("the limit is 20000"), "{}", wrong.0[0].what);
}

#[test]
fn thousands_of_units_find_their_patterns() {
    let text = lines("services", 3_000, |number| format!("\"s{number}-*.service\": {{}}"));
    let configuration = read(text).expect("valid");
    let units = (0..6_000).map(|number| format!("s{}-{number}.service", number / 2));
    let plain = |name: String| UnitFacts::plain(UnitName::new(name).expect("valid"), ActiveState::Active);
    let inventory = Inventory { units: units.map(plain).collect(), ..Inventory::default() };
    assert!(configuration.concerns("s7-a.service") && !configuration.concerns("s7.service"));
    assert_eq!(configuration.bundle(&inventory, 1).expect("valid").parts().targets.len(), 6_000);
}

#[test]
fn thousands_of_mistakes_are_told_in_a_bounded_number_of_words() {
    let missing =
        refused(lines("services", 15_000, |number| format!("s{number}.service: {{needs: [x{number}.service]}}")));
    let unknown = refused(lines("services", 15_000, |number| format!("s{number}.service: {{key{number}: 1}}")));
    let both = lines("services", 15_000, |number| format!("s{number}.service: {{critical: true}}"));
    let twice = parse(&[("a.yaml".into(), both.clone()), ("b.yaml".into(), both)]).expect_err("it is wrong");
    for wrong in [missing, unknown, twice] {
        assert_eq!(wrong.0.len(), TOLD_MAX);
        assert!(wrong.0.iter().any(|found| found.what == "14800 more findings are not shown"), "{wrong}");
    }
}

#[test]
fn an_error_is_told_among_any_number_of_warnings() {
    let slow = lines("services", 1_000, |number| format!("s{number}: {{probe: {{tcp: \"127.0.0.1:1\", every: 1s}}}}"));
    let circle = "  a: {needs: [b]}\n  b: {needs: [a]}\n";
    assert_eq!(read(slow.clone()).expect("valid").warnings().len(), TOLD_MAX - 1);
    let wrong = refused(slow + circle);
    let told: Vec<&str> = wrong.0.iter().map(|found| found.what.as_str()).collect();
    assert!(told.iter().filter(|what| what.contains("needs itself")).count() == 2, "{told:?}");
}
