//! The agent of somebody who is not root, where a stranger may write.

use std::fs;

use ansai_model::{
    action::{Action, ActionOutcome, EnvironmentKind},
    id::UnitName,
    probe::CommandLine,
};

use crate::bench::{APP, Bench, STRANGER};

const FILE: EnvironmentKind = EnvironmentKind::File { create: true };
const FOLDER: EnvironmentKind = EnvironmentKind::Directory;

fn configuration(bench: &Bench, name: &str) -> (Action, Action) {
    let unit = UnitName::new("app.service").expect("valid");
    let (paths, validator) = (vec![bench.text(name)], CommandLine::new(["true"]));
    let save = Action::SaveConfiguration { unit: unit.clone(), paths: paths.clone(), validator: Box::new(validator) };
    (save, Action::RestoreConfiguration { unit, paths, validator: None })
}

#[test]
fn a_strangers_links_are_not_gone_through() {
    let bench = Bench::of_user();
    bench.link("shared/run", "victim", STRANGER);
    bench
        .refuses(bench.entry("shared/run/log", FOLDER, None, Some(0o777)), "shared/run is a symbolic link (owner bin)");
    bench
        .refuses(bench.entry("shared/run/hosts", FILE, None, Some(0o666)), "shared/run is a symbolic link (owner bin)");
    bench.link("shared/data", "victim/hosts", STRANGER);
    bench.refuses(bench.entry("shared/data", FILE, None, Some(0o666)), "shared/data is a symbolic link");
    bench.refuses(bench.entry("shared/data", FOLDER, None, None), "shared/data is a symbolic link");
}

#[test]
fn a_strangers_folder_and_what_lies_in_it_is_refused() {
    let bench = Bench::of_user();
    bench.refuses(bench.entry("stranger/log", FOLDER, None, None), "belongs to bin");
    bench.give("stranger", STRANGER, 0o777);
    bench.refuses(bench.entry("stranger/log", FILE, None, None), "belongs to bin");
    bench.hard_link("shared/data", "victim/secret");
    bench.refuses(bench.entry("shared/data", FILE, None, Some(0o666)), "has 2 names");
    bench.make("shared/own", "a stranger's\n", STRANGER, 0o666);
    bench.refuses(bench.entry("shared/own", FILE, None, Some(0o600)), "belongs to bin");
}

#[test]
fn a_configuration_is_neither_read_nor_written_through_a_stranger() {
    let bench = Bench::of_user();
    bench.make("app/app.conf", "good\n", APP, 0o644);
    let (save, restore) = configuration(&bench, "app/app.conf");
    bench.does(save.clone());
    bench.make("app/app.conf", "broken\n", APP, 0o644);
    bench.does(restore.clone());
    assert_eq!((bench.read("app/app.conf").as_str(), bench.owner("app/app.conf")), ("good\n", APP));
    fs::rename(bench.path("app"), bench.path("stranger/app")).expect("moved");
    bench.link("app", "victim", STRANGER);
    bench.refuses(restore, "app is a symbolic link (owner bin)");
    bench.refuses(save, "app is a symbolic link (owner bin)");
    let (save, _) = configuration(&bench, "stranger/app/app.conf");
    bench.refuses(save, "stranger belongs to bin");
}

#[test]
fn what_the_agent_keeps_is_kept_where_only_it_may_write() {
    let bench = Bench::of_user();
    bench.make("app/app.conf", "good\n", APP, 0o644);
    let (save, _) = configuration(&bench, "app/app.conf");
    bench.give("state", STRANGER, 0o777);
    bench.refuses(save.clone(), "state belongs to bin");
    bench.give("state", APP, 0o770);
    std::os::unix::fs::chown(bench.path("state"), None, Some(STRANGER)).expect("given");
    bench.refuses(save.clone(), "the group bin, which bin belongs to");
    bench.give("state", APP, 0o700);
    bench.does(save);
}

#[test]
fn what_is_its_own_it_may_do() {
    let bench = Bench::of_user();
    bench.does(bench.entry("app/run/log", FOLDER, None, Some(0o750)));
    assert_eq!(bench.owner("app/run/log"), APP);
    bench.link("app/current", "app/run", APP);
    bench.does(bench.entry("app/current/data", FILE, None, None));
    let again = bench.perform(bench.entry("app/current/data", FILE, None, None));
    assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "{again}");
}
