//! Each key of the table has an example that is valid where it says that it stands, and that holds the key.

use std::fs;

use ansai_document::Diagnostic;
use ansai_model::inventory::Inventory;

use super::*;
use crate::{Configuration, load, parse};
use ansai_keys::example::COLUMNS;

/// Every way through the table, with any name and the first item where those are.
fn every_key() -> Vec<String> {
    fn below(key: &str, kind: &Kind, found: &mut Vec<String>) {
        match kind {
            Kind::Shape(shape) | Kind::Short(_, shape) => {
                for inner in shape.keys {
                    let path = ansai_document::text::joined(key, inner.name);
                    found.push(path.clone());
                    below(&path, &inner.kind, found);
                }
            }
            Kind::Named(inner) | Kind::List(inner) => {
                let path = if matches!(kind, Kind::Named(_)) { format!("{key}.NAME") } else { format!("{key}[0]") };
                found.push(path.clone());
                below(&path, inner, found);
            }
            _ => {}
        }
    }
    let mut found = vec![String::new()];
    below("", &Kind::Shape(&CONFIG), &mut found);
    found
}

/// Of what warnings tell that are about the rest of a file: an example is a piece of one.
const ELSEWHERE: &[&str] = &["nothing is watched", "nobody to tell"];

/// What is wrong with an example, or dangerous in it, as whoever copies it would hear.
fn read(key: &str, text: &str) -> Result<Configuration, String> {
    let read = if key == "expires" {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("layers/emergency.yaml");
        fs::create_dir_all(folder.path().join("layers")).expect("made");
        fs::write(folder.path().join("ansai.yaml"), "").expect("written");
        fs::write(file, text).expect("written");
        load(folder.path().join("ansai.yaml").as_path())
    } else {
        parse(&[("ansai.yaml".into(), text.to_owned())])
    };
    let read = read.map_err(|wrong| wrong.to_string())?;
    let is_of_it = |warning: &&Diagnostic| !ELSEWHERE.iter().any(|part| warning.what.contains(part));
    if let Some(warning) = read.warnings().iter().find(is_of_it) {
        return Err(warning.to_string());
    }
    read.bundle(&Inventory::default(), 1).map_err(|wrong| wrong.to_string())?;
    Ok(read)
}

#[test]
fn every_key_has_an_example_that_is_valid_in_its_place() {
    let empty = parse(&[]).expect("valid");
    let keys = every_key();
    assert!(keys.len() > 300, "{}", keys.len());
    let mut wrong = Vec::new();
    for key in keys {
        let explained = empty.explain(&key).unwrap_or_else(|wrong| panic!("{key}: {wrong}"));
        let text = &explained.may.example;
        if let Some(line) = text.lines().find(|line| line.chars().count() > COLUMNS && line.contains(", ")) {
            wrong.push(format!("{key}: `{line}` is too long"));
        }
        match read(&key, text) {
            Err(why) => wrong.push(format!("{key}: {why}\n{text}")),
            Ok(_) if key.is_empty() || key == "expires" => {}
            Ok(found) => {
                // The example says what stands under the names that it has chosen itself.
                let last = key.trim_end_matches(']').rsplit(['.', '[']).next().unwrap_or_default();
                let is_there = last == "NAME" || last == "0" || text.contains(&format!("{last}:"));
                if !is_there || found.files().is_empty() {
                    wrong.push(format!("{key}: it is not in its example\n{text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[track_caller]
fn check(written: &str, key: &str, expect: &str) {
    let configuration = parse(&[("ansai.yaml".into(), written.to_owned())]).expect("valid");
    assert_eq!(configuration.explain(key).expect("a key").may.example, expect);
}

#[test]
fn an_example_stands_below_the_name_that_was_asked_for() {
    let policy = "services:\n  app.service:\n    policy:\n      cooldown: 30s\n";
    check("services: {app.service: {}}", "services.app.cooldown", policy);
    check("", "notify.night", "notify:\n  night: {smtp: \"smtp://127.0.0.1:25\", to: ops@example.com}\n");
    let days = "maintenance:\n  - scope: \"*\"\n    days: [sat, sun]\n    at: \"03:00\"\n    lasts: 2h\n";
    check("", "maintenance[0].days", days);
}

#[test]
fn what_holds_is_said_of_a_name_that_nobody_has_written() {
    let file = "memory: {every: 9m}\npolicies: {default: {cooldown: 7s}, careful: {attempts: 2}}\nservices: {app.service: {policy: careful}}\n";
    let configuration = parse(&[("ansai.yaml".into(), file.to_owned())]).expect("valid");
    for (key, expect) in [
        ("services.NAME.policy.cooldown", Some("policies.default.cooldown")),
        ("services.nginx.policy.cooldown", Some("policies.default.cooldown")),
        ("services.app.policy.attempts", Some("policies.careful.attempts")),
        ("disks./var.policy.attempts", Some("policies.disk.attempts")),
        ("disks./var.attempts", Some("policies.disk.attempts")),
        ("services.NAME.memory.every", Some("memory.every")),
        ("checks.NAME.fail_after", Some("probe_defaults.fail_after")),
        ("checks.NAME.flap.within", Some("flap.within")),
        ("rules.NAME.autonomy", Some("autonomy")),
        ("services.app.policy.cooldown", Some("policies.default.cooldown")),
        ("services.nginx.probe.timeout", Some("probe_defaults.timeout")),
        ("services.NAME.flap.changes", Some("flap.changes")),
        ("policies.other.cooldown", Some("policies.default.cooldown")),
        ("disks./var.autonomy", Some("autonomy")),
        ("certificates.NAME.autonomy", Some("autonomy")),
        ("processes.NAME.autonomy", Some("autonomy")),
        ("services.NAME.critical", None),
        ("notify.NAME", None),
        ("policies.default.cooldown", None),
    ] {
        assert_eq!(configuration.explain(key).expect("a key").holds.as_deref(), expect, "{key}");
    }
}
