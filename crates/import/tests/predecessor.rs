//! Files of the predecessor and what they become; wrong ones and what is said; and that nothing is lost or panics.

use std::{collections::BTreeSet, fs, path::PathBuf};

use ansai_config::parse;
use ansai_document::{Form, line_of, read};
use ansai_import::{BYTES_MAX, Fate, Imported, predecessor};
use ansai_model::inventory::Inventory;
use proptest::prelude::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

/// Every file of the predecessor that the tests have, with its name.
fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).expect("the folder").map(|entry| entry.expect("an entry").path());
    let yaml = entries.filter(|path| path.extension().is_some_and(|ending| ending == "yml"));
    let mut files: Vec<_> = yaml
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("text"))
        })
        .collect();
    files.sort();
    files
}

fn import(name: &str, text: &str) -> Imported {
    predecessor(name.as_ref(), text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

/// What we would apply: it is valid, and a host with no units takes it.
fn check(imported: &Imported) {
    let text = &imported.configuration;
    let read = parse(&[("ansai.yaml".into(), text.clone())]).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    read.bundle(&Inventory::default(), 1).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
}

#[test]
fn each_file_becomes_a_valid_configuration() {
    let files = files();
    assert!(files.len() >= 8);
    for (name, text) in files {
        let imported = import(&name, &text);
        check(&imported);
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => folder(), omit_expression => true}, {
            insta::assert_snapshot!(name.trim_end_matches(".yml"), imported.configuration);
        });
    }
}

#[test]
fn every_key_is_carried_over_or_has_a_note_with_its_line() {
    for (name, text) in files() {
        let imported = import(&name, &text);
        let root = read(&text, Form::Yaml, 0).expect("valid");
        for (key, entry) in root.map().expect("a mapping") {
            let line = line_of(&text, entry.key.start);
            let is_noted = imported.notes.iter().any(|note| note.key.starts_with(key.as_str()) && note.line >= line);
            let is_nothing = entry.node.is_null() || entry.node.text() == Some("");
            let plain = entry.node.text().is_some_and(|text| imported.configuration.contains(text));
            let is_translated = matches!(
                key.as_str(),
                "self_healing_enabled"
                    | "check_interval"
                    | "healthcheck_interval"
                    | "alert_method"
                    | "monitored_services"
                    | "owner_email"
                    | "alert_on_success"
                    | "disk_monitoring"
                    | "disk_cleanup_rules"
                    | "managed_certificates"
            );
            assert!(is_noted || is_nothing || plain || is_translated, "{name}: {key} is lost");
        }
    }
}

#[test]
fn secrets_are_repeated_nowhere() {
    for (name, text) in files() {
        let imported = import(&name, &text);
        let notes = format!("{:?}", imported.notes);
        for secret in
            ["hunter2", "correct horse", "hooks.slack", "hc-ping", "6f1c2f1e", "sk-not-to-be-repeated", "vault_"]
        {
            assert!(!imported.configuration.contains(secret) && !notes.contains(secret), "{name}: {secret}");
        }
    }
}

#[test]
fn what_a_person_must_see_to_is_told_apart_from_what_only_changed() {
    let told = |text: &str| import("x.yml", text).is_incomplete();
    assert!(!told("owner_email: ops@example.com\nmonitored_services: [{name: nginx}]\n"));
    assert!(!told(
        "self_healing_enabled: true\nmonitored_services: [{name: app, port: 1, healing_strategies: [port_conflict]}]\n"
    ));
    assert!(told("owner_email: ops@example.com\nsmtp_user: a\nsmtp_password: b\n"));
    let fates: BTreeSet<Fate> =
        files().iter().flat_map(|(name, text)| import(name, text).notes).map(|note| note.fate).collect();
    assert_eq!(fates.len(), 4);
}

/// Each wrong file, and all that is said of it.
#[test]
fn wrong_files_are_refused_with_every_place() {
    let wrong = [
        "monitored_services:\n  - name: app\n    healing_strategies: [service_restrat, reboot]\n    prot: 80\n",
        "monitored_services:\n  - name: app\n    port: http\n  - port: 70000\n  - nginx\n  - name: a b\n  - name: app\n  - name: app\n",
        "smtp_sever: mail.example.com\nowner_email: ops\nsmtp_server: \"mail example\"\nsmtp_port: 0\n",
        "alert_method: mail\nwebhook_format: slak\nself_healing_enabled: maybe\ncheck_interval: soon\n",
        "owner_email: \"{{ owner }}\"\nmonitored_services:\n  - name: \"{{ item }}\"\n    domain: \"not a domain\"\n",
        "monitored_services: {nginx: 80}\n",
        "owner_email: ops@example.com\n  smtp_port: 25\n",
        "owner_email: a@b.c\nowner_email: d@e.f\n",
        "- hosts: all\n  tasks: []\n",
        "replicas: 3\nimage: nginx\n",
        "disk_monitoring:\n  thresholds: {warning: 90, critical: 80, emergency: 101}\n  auto_cleanup: {logs_older_then: 3d, temp_files_older_than: a while, package_cache: perhaps, docker_images: unsued, journal_size: 100T}\n",
        "disk_cleanup_rules:\n  - {path: /, strategy: delete_all, age: 7}\n  - {path: /a/../b, pattern: a/b, strategy: agressive_delete, threshold_percent: 0}\n  - {pattern: \"*\"}\n  - /tmp\n",
        "disk_monitoring: [80, 90]\ndisk_cleanup_rules: {path: /tmp}\nmanaged_certificates: api.example.com\n",
        "managed_certificates:\n  - {domain: api.example.com, provider: letsencrpyt, services: [a b], deploy_to: [etc/ssl]}\n  - {domain: localhost, services: {nginx: 1}}\n  - {provider: letsencrypt}\n  - api.example.com\n  - {domain: x.example.com, provider: letsencrypt}\n  - {domain: \"*.x.example.com\", provider: letsencrypt}\n",
        "ansai_cluster: {mode: centralised, management_nodes: ctl, management_node: \"a b\", managed_hosts: [web-01, \"-x\", [db]]}\n",
        "ansai_cluster: {management_node: ctl, managed_hosts: web-01}\n",
        "ansai_cluster: centralized\n",
        "",
    ];
    let said: Vec<String> = wrong
        .iter()
        .map(|text| match predecessor("old.yml".as_ref(), text) {
            Ok(imported) => panic!("understood:\n{text}\n{}", imported.configuration),
            Err(wrong) => wrong.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"),
        })
        .collect();
    insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => folder(), omit_expression => true}, {
        insta::assert_snapshot!("wrong", said.join("\n\n────\n\n"));
    });
}

#[test]
fn what_is_too_much_is_refused() {
    let large = "x".repeat(BYTES_MAX + 1);
    assert!(predecessor("old.yml".as_ref(), &large).is_err());
    let many = format!("monitored_services: [{}]\n", "{name: a}, ".repeat(1_001));
    let wrong = predecessor("old.yml".as_ref(), &many).expect_err("too many");
    assert!(wrong.to_string().contains("at most 1000"), "{wrong}");
}

/// A part of a file that may be cut, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let full = fs::read_to_string(folder().join("full.yml")).expect("text");
    let length = full.len();
    let insert = prop_oneof!["\\PC{0,12}", "[\\[\\]{}:,&*!|>'\"%@#\\- \n\t0-9]{0,6}"];
    (0..length, 0usize..40, insert).prop_map(move |(at, cut, insert)| {
        let floor = |mut at: usize| {
            while !full.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(at), floor((at + cut).min(length)));
        format!("{}{insert}{}", &full[..start], &full[end..])
    })
}

proptest! {
    #[test]
    fn whatever_is_written_gives_a_valid_configuration_or_an_error(
        text in prop_oneof![
            "\\PC{0,200}",
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            mutated(),
        ]
    ) {
        if let Ok(imported) = predecessor("old.yml".as_ref(), &text) {
            check(&imported);
        }
    }
}
