//! What follows from a few lines about disks: which are watched, what they tell and clean, and who waits for them.

use ansai_config::parse;
use ansai_model::{
    bundle::BundleParts,
    id::{CheckId, TargetId},
    inventory::{Inventory, MountFacts},
    runbook::{Step, Then},
    units::ByteSize,
};

/// What follows on a host with these filesystems.
fn parts_on(text: &str, mounts: &[&str]) -> BundleParts {
    let mount = |path: &&str| MountFacts {
        path: (*path).to_owned(),
        source: "/dev/vda".into(),
        kind: "ext4".into(),
        is_read_only: false,
        size: ByteSize(1 << 30),
    };
    let inventory = Inventory { mounts: mounts.iter().map(mount).collect(), ..Inventory::default() };
    let configuration = match parse(&[("ansai.yaml".into(), text.to_owned())]) {
        Ok(configuration) => configuration,
        Err(wrong) => panic!("{wrong}"),
    };
    configuration.bundle(&inventory, 1).expect("it fits together").into_parts()
}

fn targets(parts: &BundleParts) -> Vec<&str> {
    parts.targets.keys().map(TargetId::as_str).collect()
}

/// The rungs of a fault domain, each with what it does.
fn ladder(parts: &BundleParts, fault_domain: &str) -> Vec<String> {
    let found = parts.runbooks.iter().find(|(id, _)| id.as_str() == fault_domain);
    let (_, runbook) = found.unwrap_or_else(|| panic!("there is no {fault_domain}"));
    let words = |step: &Step| match step {
        Step::Act { action, .. } => action.describe().to_string(),
        Step::Wait(_) => "wait".to_owned(),
    };
    let rung = |rung: &ansai_model::runbook::Rung| {
        let steps: Vec<_> = rung.steps.iter().map(words).collect();
        format!("{}: {}", rung.id, steps.join(", "))
    };
    runbook.rungs.iter().map(rung).collect()
}

/// Who waits for room, and where.
fn waits(parts: &BundleParts, service: &str) -> Vec<String> {
    let target = parts.targets.get(&TargetId::of("service", service).expect("valid")).expect("it is there");
    target.waits_for.iter().map(ToString::to_string).collect()
}

#[test]
fn every_real_filesystem_is_watched_and_what_is_named_stands_over_a_pattern() {
    let text = "disks: {'*': {}, '/mnt/*': false, '/mnt/iso/*': {act_at: 99%}, /: false, /named: {}}";
    let parts = parts_on(text, &["/", "/var", "/mnt/a", "/mnt/iso/b", "/srv/old data"]);
    assert_eq!(targets(&parts), ["disk//mnt/iso/b", "disk//named", "disk//var"]);
    let checks = parts.checks.keys().filter(|id| id.target() == "disk//var").map(CheckId::name);
    let expected = [
        "errors",
        "forecast",
        "full",
        "inodes",
        "read-only",
        "space",
        "urgent",
        "urgent-inodes",
        "warn",
        "warn-inodes",
    ];
    assert_eq!(checks.collect::<Vec<_>>(), expected);
}

#[test]
fn a_mount_that_cannot_be_named_is_said() {
    let configuration = parse(&[("a.yaml".into(), "disks: {'*': {}}".to_owned())]).expect("valid");
    let mount = |path: &str| MountFacts {
        path: path.into(),
        source: String::new(),
        kind: "xfs".into(),
        is_read_only: false,
        size: ByteSize(1),
    };
    let inventory = Inventory { mounts: vec![mount("/srv/old data"), mount("/srv/new")], ..Inventory::default() };
    assert_eq!(configuration.nameless(&inventory), ["the disk \"/srv/old data\""]);
}

#[test]
fn without_a_word_only_what_can_be_had_again_is_given_up_and_only_where_it_lies() {
    let parts = parts_on("autonomy: act\ndisks: {'*': {}}", &["/", "/var/log", "/srv"]);
    let of_root = [
        "packages: clean the package caches, until at most 80.0 % of / is used",
        "cleaning: look whether less than 90.0 % of / is used",
    ];
    assert_eq!(ladder(&parts, "disk//#space"), of_root);
    let of_logs = [
        "journal: shorten the journal to 95.3 MiB, until at most 80.0 % of /var/log is used",
        "rotated: clean rotations that their owners do not keep, until at most 80.0 % of /var/log is used",
        "cleaning: look whether less than 90.0 % of /var/log is used",
    ];
    assert_eq!(ladder(&parts, "disk//var/log#space"), of_logs);
    assert_eq!(ladder(&parts, "disk//srv#space"), [""; 0]);
    // What is only told has no ladder anywhere.
    for fault_domain in ["warn", "urgent", "read-only", "errors", "forecast-told"] {
        assert_eq!(ladder(&parts, &format!("disk//#{fault_domain}")), [""; 0]);
    }
}

#[test]
fn the_ladder_is_gentlest_first_adds_up_and_is_verified_at_its_end() {
    let parts = parts_on(include_str!("valid/disk.yaml"), &[]);
    let expected = [
        "journal: shorten the journal to 476.8 MiB, until at most 70.0 % of /var is used",
        "rotated: clean rotations that their owners do not keep, until at most 70.0 % of /var is used",
        "logs: clean old logs, until at most 70.0 % of /var is used",
        "temporary: clean old temporary files, until at most 70.0 % of /var is used",
        "containers: clean container images that nothing uses, until at most 70.0 % of /var is used",
        "grow: make /var larger with `/usr/sbin/lvextend --resizefs -L +5G vg/var`, unless at most 85.5 % is used",
        "cleaning: look whether less than 85.5 % of /var is used",
    ];
    assert_eq!(ladder(&parts, "disk//var#space"), expected);
    let runbook = parts.runbooks.iter().find(|(id, _)| id.as_str() == "disk//var#space").expect("it is there").1;
    let (last, others) = runbook.rungs.split_last().expect("some");
    assert!(last.then == Then::Verify && others.iter().all(|rung| rung.then == Then::Accumulate));
    assert_eq!(ladder(&parts, "disk//srv/data#space"), [""; 0]);
}

#[test]
fn what_is_foreseen_is_cleaned_only_where_cleaning_is_allowed_and_told_in_any_case() {
    let rules = |text: &str| {
        let parts = parts_on(text, &[]);
        let rules = parts.rules.values().filter(|rule| rule.checks.iter().any(|check| check.name() == "forecast"));
        let shown = |rule: &ansai_model::rule::Rule| {
            let condition = rule.condition.as_ref().map_or("", |condition| condition.source.as_str());
            format!("{} {condition}", rule.id)
        };
        rules.map(shown).collect::<Vec<_>>()
    };
    let told = "disk//#forecast-told ";
    assert_eq!(rules("autonomy: act\ndisks: {/: {}}"), ["disk//#forecast figure.disk.used > 80%", told]);
    assert_eq!(rules("autonomy: approve\ndisks: {/: {}}"), [told]);
    assert_eq!(rules("autonomy: act\ndisks: {/: {clean: false}}"), [told]);
}

#[test]
fn services_wait_for_the_disks_that_they_live_on() {
    let text = "disks: {'*': {}, /tmp: false}\nservices: {a.service: {}, b.service: {configuration: [/etc/b, /srv/b], \
                needs: [disk//data, disk//later]}}\n";
    let parts = parts_on(text, &["/", "/var", "/tmp", "/srv", "/data", "/elsewhere"]);
    assert_eq!(waits(&parts, "a.service"), ["disk//#full", "disk//var#full"]);
    let of_b = ["disk//data#full", "disk//#full", "disk//srv#full", "disk//var#full"];
    assert_eq!(waits(&parts, "b.service"), of_b);
}
