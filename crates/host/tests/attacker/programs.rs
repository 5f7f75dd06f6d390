//! Programs that a stranger has, could make, or has changed since the configuration was read: they are not begun.

use ansai_model::{
    action::{Action, ActionOutcome, Disruption},
    probe::CommandLine,
};

use crate::bench::{APP, Bench, STRANGER};

const SCRIPT: &str = "#!/bin/sh\nexit 0\n";

fn outcome(bench: &Bench, argv: &[&str]) -> ActionOutcome {
    let command = CommandLine::new(argv.iter().copied());
    bench.perform(Action::Exec { command: Box::new(command), disruption: Disruption::None })
}

#[track_caller]
fn check_not_begun(bench: &Bench, argv: &[&str]) {
    let outcome = outcome(bench, argv);
    let ActionOutcome::Failed { why } = &outcome else { panic!("{argv:?}: {outcome}") };
    assert!(why.as_str().contains("is not run, since others can change it"), "{argv:?}: {why}");
}

#[track_caller]
fn check_begun(bench: &Bench, argv: &[&str]) {
    let outcome = outcome(bench, argv);
    assert!(matches!(outcome, ActionOutcome::Succeeded { .. }), "{argv:?}: {outcome}");
}

#[test]
fn whatever_a_stranger_could_have_run_is_not_begun_by_roots_agent_nor_by_a_users() {
    for bench in [Bench::of_root(), Bench::of_user()] {
        bench.make("stranger/check", SCRIPT, STRANGER, 0o755);
        let theirs = bench.text("stranger/check");
        // It is not there, and whoever makes it first is obeyed.
        let missing = bench.text("shared/check");
        for path in [&theirs, &missing] {
            check_not_begun(&bench, &[path]);
            check_not_begun(&bench, &["sh", path]);
            check_not_begun(&bench, &["env", "A=b", "timeout", "5", path]);
            check_not_begun(&bench, &["sh", "-c", &format!("true && {path} --quick")]);
        }
        // What a text only reads is no program.
        check_begun(&bench, &["sh", "-c", &format!("test ! -e {missing}")]);
    }
}

#[test]
fn a_program_that_becomes_a_strangers_is_not_begun_any_more() {
    let bench = Bench::of_root();
    bench.make_folder("tools", 0, 0o755);
    bench.make("tools/check", SCRIPT, 0, 0o755);
    let program = bench.text("tools/check");
    check_begun(&bench, &[&program]);
    for (name, owner, mode) in [("tools/check", 0, 0o777), ("tools/check", APP, 0o755), ("tools", STRANGER, 0o755)] {
        bench.give(name, owner, mode);
        check_not_begun(&bench, &[&program]);
        bench.give("tools", 0, 0o755);
        bench.give("tools/check", 0, 0o755);
        check_begun(&bench, &[&program]);
    }
}
