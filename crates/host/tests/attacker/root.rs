//! Root's agent, where the service's own user, or a stranger, may write.

use ansai_host::linux::{drill, owned_path::Trusted};
use ansai_model::{
    action::{Action, ActionOutcome, EnvironmentKind},
    id::UnitName,
    probe::CommandLine,
};

use crate::bench::{APP, APP_NAME, Bench, STRANGER, STRANGER_NAME};

const FILE: EnvironmentKind = EnvironmentKind::File { create: true };
const FOLDER: EnvironmentKind = EnvironmentKind::Directory;

fn unit() -> UnitName {
    UnitName::new("app.service").expect("valid")
}

fn save(bench: &Bench, name: &str) -> Action {
    Action::SaveConfiguration {
        unit: unit(),
        paths: vec![bench.text(name)],
        validator: Box::new(CommandLine::new(["true"])),
    }
}

fn restore(bench: &Bench, name: &str) -> Action {
    Action::RestoreConfiguration { unit: unit(), paths: vec![bench.text(name)], validator: None }
}

#[test]
fn a_folder_is_not_made_and_given_away_below_a_link() {
    let bench = Bench::of_root();
    bench.link("app/shared", "victim", APP);
    let words = format!("{} is a symbolic link (owner {APP_NAME})", bench.text("app/shared"));
    bench.refuses(bench.entry("app/shared/log", FOLDER, Some(APP_NAME), None), &words);
    bench.refuses(bench.entry("app/shared/new/log", FOLDER, Some(APP_NAME), None), &words);
    bench.refuses(bench.entry("app/shared/hosts", FILE, Some(APP_NAME), None), &words);
    let link = EnvironmentKind::Symlink("/nowhere".to_owned());
    bench.refuses(bench.entry("app/shared/current", link, Some(APP_NAME), None), &words);
}

#[test]
fn a_link_at_the_end_is_not_gone_through_either() {
    let bench = Bench::of_root();
    bench.link("app/log", "victim/log", APP);
    bench.link("app/data", "victim/hosts", APP);
    bench.refuses(bench.entry("app/log", FOLDER, Some(APP_NAME), Some(0o777)), "app/log is a symbolic link");
    bench.refuses(bench.entry("app/data", FILE, Some(APP_NAME), Some(0o666)), "app/data is a symbolic link");
    bench.link("shared/data", "victim/hosts", STRANGER);
    bench.refuses(bench.entry("shared/data", FILE, Some(APP_NAME), None), "(owner bin)");
}

#[test]
fn a_link_of_roots_is_not_gone_through_where_others_can_have_put_it() {
    let bench = Bench::of_root();
    bench.link("app/shared", "victim", 0);
    bench.refuses(bench.entry("app/shared/log", FOLDER, Some(APP_NAME), None), "is a symbolic link (owner root)");
    // One that only root can put there is as good as the place itself.
    bench.make_folder("srv", 0, 0o755);
    bench.link("srv/app", "app", 0);
    bench.does(bench.entry("srv/app/log", FOLDER, Some(APP_NAME), None));
    assert_eq!(bench.owner("app/log"), APP);
}

#[test]
fn another_name_of_a_file_of_roots_is_not_given_away() {
    let bench = Bench::of_root();
    bench.hard_link("app/data", "victim/hosts");
    bench.refuses(bench.entry("app/data", FILE, Some(APP_NAME), None), "has 2 names");
    bench.hard_link("shared/data", "victim/secret");
    bench.refuses(bench.entry("shared/data", FILE, Some(APP_NAME), None), "has 2 names");
}

#[test]
fn a_secret_of_roots_in_a_folder_of_the_users_is_not_shown_to_it() {
    let bench = Bench::of_root();
    bench.make("app/key", "root's own\n", 0, 0o600);
    bench.refuses(bench.entry("app/key", FILE, Some(APP_NAME), None), "lies where others can have put it");
    assert_eq!(bench.owner("app/key"), 0);
    bench.make("shared/key", "root's own\n", 0, 0o600);
    bench.refuses(bench.entry("shared/key", FILE, None, Some(0o644)), "is not shown to others");
    // What the user could read before, as a log that a command of root's left behind, is only a slip.
    bench.make("app/log", "a line\n", 0, 0o644);
    bench.does(bench.entry("app/log", FILE, Some(APP_NAME), Some(0o640)));
    assert_eq!(bench.owner("app/log"), APP);
}

#[test]
fn a_step_that_a_stranger_owns_is_refused() {
    let bench = Bench::of_root();
    let words = format!("belongs to {STRANGER_NAME} (mode 0755), and may only belong to root or {APP_NAME}");
    bench.refuses(bench.entry("stranger/log", FOLDER, Some(APP_NAME), None), &words);
    bench.make_folder("app/inner", STRANGER, 0o755);
    bench.refuses(bench.entry("app/inner/log", FOLDER, Some(APP_NAME), None), &words);
    bench.refuses(bench.entry("app/inner", FOLDER, Some(APP_NAME), None), &words);
    // Whom an entry is for is said by its owner, and nobody else's folder is gone through.
    bench.refuses(bench.entry("app/log", FOLDER, None, None), "may only belong to root: `chown root ");
    bench.refuses(bench.entry("app/log", FOLDER, Some("root"), None), "may only belong to root");
}

#[test]
fn a_step_that_others_may_write_is_refused() {
    let bench = Bench::of_root();
    bench.make_folder("open", 0, 0o777);
    bench.refuses(bench.entry("open/log", FOLDER, Some(APP_NAME), None), "by everybody: `chmod o-w ");
    bench.make_folder("team", 0, 0o775);
    std::os::unix::fs::chown(bench.path("team"), None, Some(STRANGER)).expect("given");
    bench.refuses(bench.entry("team/log", FOLDER, Some(APP_NAME), None), "the group bin, which bin belongs to");
    std::os::unix::fs::chown(bench.path("team"), None, Some(APP)).expect("given");
    bench.does(bench.entry("team/log", FOLDER, Some(APP_NAME), None));
    // In a folder as /tmp each only moves what is its own.
    bench.does(bench.entry("shared/log", FOLDER, Some(APP_NAME), None));
    assert_eq!(bench.owner("shared/log"), APP);
}

#[test]
fn nothing_is_made_to_run_as_somebody_who_did_not_write_it() {
    let bench = Bench::of_root();
    bench.make_folder("bin", 0, 0o755);
    bench.make("bin/tool", "#!/bin/sh\n", APP, 0o755);
    let before = bench.read("bin/tool");
    let outcome = bench.perform(bench.entry("bin/tool", FILE, Some("root"), Some(0o4755)));
    assert!(
        matches!(&outcome, ActionOutcome::Failed { why } if why.as_str().contains("would run as its owner")),
        "{outcome}"
    );
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(bench.path("bin/tool")).expect("there"));
    assert_eq!((mode & 0o6000, bench.read("bin/tool")), (0, before));
}

/// The first way to root that was walked: a link in a folder of configuration that belongs to the service's user.
#[test]
fn a_configuration_is_not_put_back_where_somebody_else_may_write() {
    let bench = Bench::of_root();
    bench.make_folder("etc", 0, 0o755);
    bench.make("etc/app.conf", "good\n", 0, 0o644);
    bench.does(save(&bench, "etc/app.conf"));
    bench.make("etc/app.conf", "broken\n", 0, 0o644);
    bench.give("etc", APP, 0o755);
    for name in ["app.conf.ansai-new", "app.conf.ansai-broken", ".app.conf.ansai-new"] {
        bench.link(&format!("etc/{name}"), "victim/hosts", APP);
    }
    bench.refuses(restore(&bench, "etc/app.conf"), "etc belongs to daemon");
    bench.refuses(save(&bench, "etc/app.conf"), "etc belongs to daemon");
    // Root's own folder, with a link as a step of the way.
    bench.give("etc", 0, 0o755);
    std::fs::rename(bench.path("etc"), bench.path("app/etc")).expect("moved");
    bench.link("etc", "app/etc", STRANGER);
    bench.refuses(restore(&bench, "etc/app.conf"), "etc is a symbolic link (owner bin)");
    assert_eq!(bench.read("app/etc/app.conf"), "broken\n");
}

#[test]
fn what_is_put_back_goes_into_no_link_and_keeps_nothing_of_anothers() {
    let bench = Bench::of_root();
    bench.make_folder("etc", 0, 0o755);
    bench.make("etc/app.conf", "good\n", 0, 0o644);
    bench.does(save(&bench, "etc/app.conf"));
    bench.make("etc/app.conf", "broken\n", 0, 0o644);
    for name in ["app.conf.ansai-new", ".app.conf.ansai-new"] {
        bench.link(&format!("etc/{name}"), "victim/hosts", 0);
    }
    bench.does(restore(&bench, "etc/app.conf"));
    assert_eq!(
        (bench.read("etc/app.conf"), bench.read("etc/app.conf.ansai-broken")),
        ("good\n".into(), "broken\n".into())
    );
    // A file that has become another name of the victim's by a stranger's hand.
    bench.hard_link("shared/app.conf", "victim/secret");
    bench.refuses(save(&bench, "shared/app.conf"), "has 2 names");
    bench.make("shared/own.conf", "text\n", STRANGER, 0o644);
    bench.refuses(save(&bench, "shared/own.conf"), "belongs to bin");
}

#[test]
fn what_the_agent_keeps_is_kept_where_only_it_may_write() {
    let bench = Bench::of_root();
    bench.make_folder("etc", 0, 0o755);
    bench.make("etc/app.conf", "good\n", 0, 0o644);
    bench.give("state", APP, 0o755);
    bench.refuses(save(&bench, "etc/app.conf"), "state belongs to daemon");
    bench.give("state", 0, 0o777);
    bench.refuses(save(&bench, "etc/app.conf"), "can be written by everybody");
    bench.give("state", 0, 0o700);
    bench.make("etc/key", "root's own\n", 0, 0o600);
    bench.does(save(&bench, "etc/key"));
    let mode = |name: &str| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(bench.path(name)).expect("there"));
    assert_eq!(mode("state/configurations") & 0o777, 0o700, "a copy of a secret is nobody else's to read");
}

#[test]
fn a_drill_writes_through_no_link_and_into_no_file_of_anothers() {
    let bench = Bench::of_root();
    let trusted = Trusted::own().and([APP]);
    let before = bench.victim();
    let breaks = |name: &str| drill::break_file(&bench.path(name), &trusted).map_err(|why| why.to_string());
    let refused = |name: &str, words: &str| {
        let why = breaks(name).expect_err("refused");
        assert!(why.contains(words), "`{words}` is not in: {why}");
        assert_eq!(bench.victim(), before);
    };
    bench.link("app/app.conf", "victim/hosts", APP);
    refused("app/app.conf", "app/app.conf is a symbolic link");
    bench.link("app/shared", "victim", APP);
    refused("app/shared/hosts", "app/shared is a symbolic link");
    bench.hard_link("app/other.conf", "victim/hosts");
    refused("app/other.conf", "has 2 names");
    bench.make("stranger/app.conf", "fine\n", STRANGER, 0o644);
    refused("stranger/app.conf", "belongs to bin");
    bench.make("app/own.conf", "fine\n", APP, 0o644);
    bench.link("app/own.conf.ansai-drill", "victim/hosts", APP);
    refused("app/own.conf", "own.conf.ansai-drill is a symbolic link");
    // A copy that somebody else has made is not put back.
    std::fs::remove_file(bench.path("app/own.conf.ansai-drill")).expect("removed");
    breaks("app/own.conf").expect("broken");
    bench.give("app/own.conf.ansai-drill", APP, 0o644);
    let why = drill::undo(&bench.path("app/own.conf")).expect_err("refused").to_string();
    assert!(why.contains("may only belong to who made the drill"), "{why}");
    bench.give("app/own.conf.ansai-drill", 0, 0o600);
    drill::undo(&bench.path("app/own.conf")).expect("undone");
    assert_eq!((bench.read("app/own.conf").as_str(), bench.owner("app/own.conf")), ("fine\n", APP));
    assert_eq!(bench.victim(), before);
}
