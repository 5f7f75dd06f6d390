//! A configuration at rest answers as the one that was read.

use std::path::PathBuf;

use super::*;
use crate::parse;

#[test]
fn what_was_laid_to_rest_is_the_same_when_it_wakes() {
    let text = "services: {app.service: {probe: \"tcp://127.0.0.1:80\"}, \"job@*\": {}}\n\
                disks: {\"/srv/*\": {}}\nagent: {role: web, memory_max: 50MB}\n";
    let configuration = parse(&[(PathBuf::from("ansai.yaml"), text.to_owned())]).expect("valid");
    let inventory = Inventory::default();
    let bundle = configuration.bundle(&inventory, 1).expect("a bundle");
    let (settings, patterns) = (configuration.host_settings().clone(), configuration.patterns());
    let units = ["app.service", "app", "job@1.service", "job@1", "other.service", "app.timer"];
    let concerned = units.map(|unit| configuration.concerns(unit));
    let resting = configuration.rest(&inventory);
    assert_eq!((units.map(|unit| resting.concerns(unit)), concerned[0], concerned[4]), (concerned, true, false));
    assert_eq!((resting.host_settings(), resting.patterns()), (&settings, &*patterns));
    let awake = resting.wake().expect("still valid");
    assert_eq!(awake.bundle(&inventory, 1).expect("a bundle").parts(), bundle.parts());
    assert_eq!(awake.rest(&inventory).inputs, resting.inputs);
}

#[test]
fn a_warning_whose_place_is_not_shown_says_what_it_concerns() {
    let text = "services: {app.service: {critical: true, policy: {cooldown: 0s}}}\n";
    let configuration = crate::parse(&[("ansai.yaml".into(), text.to_owned())]);
    let resting = configuration.map(|configuration| configuration.rest(&Inventory::default()));
    let warnings = resting.map(|resting| resting.warnings().join("\n")).unwrap_or_else(|wrong| wrong.to_string());
    for key in ["services.app.service.critical: ", "services.app.service.policy.cooldown: "] {
        assert!(warnings.contains(key), "{warnings}");
    }
}
