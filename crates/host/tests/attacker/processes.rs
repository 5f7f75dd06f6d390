//! Pid files that somebody else than root may write: whom they name is neither taken for the service nor ended.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use ansai_model::{
    action::{Action, ActionOutcome, ProcessDeclaration},
    probe::CommandLine,
};

use crate::bench::{APP, APP_NAME, Bench, STRANGER};

/// A process of somebody's that has nothing to do with the service; ended with this.
struct Foreign(Child);

impl Foreign {
    fn of(uid: u32) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").uid(uid).gid(uid).stdout(Stdio::null());
        Self(command.spawn().expect("begun"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("known").is_none()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn daemon(bench: &Bench, name: &str, script: &str, user: Option<&str>) -> ProcessDeclaration {
    let start = CommandLine { user: user.map(str::to_owned), ..CommandLine::new(["sh", "-c", script]) };
    ProcessDeclaration { name: "worker".into(), start, stop: None, pid_file: Some(bench.text(name)) }
}

/// The start is refused in these words, and a stop then ends nobody.
#[track_caller]
fn is_left_alone(bench: &Bench, foreign: &mut Foreign, process: ProcessDeclaration, words: &str) {
    let process = Box::new(process);
    bench.refuses(Action::StartProcess { process: process.clone() }, words);
    let stopped = bench.perform(Action::StopProcess { process });
    assert!(matches!(stopped, ActionOutcome::NotNeeded { .. }), "{stopped}");
    assert!(foreign.lives(), "a foreign process was ended");
}

#[test]
fn a_process_of_roots_is_not_believed_to_be_the_service() {
    let bench = Bench::of_root();
    let mut foreign = Foreign::of(0);
    bench.make("app/worker.pid", &format!("{}\n", foreign.0.id()), APP, 0o644);
    let words = format!("which is root's, while {APP_NAME} may write the file");
    is_left_alone(&bench, &mut foreign, daemon(&bench, "app/worker.pid", "true", None), &words);
    // A file of root's that the user of the folder may have put there is not believed either.
    bench.give("app/worker.pid", 0, 0o644);
    is_left_alone(&bench, &mut foreign, daemon(&bench, "app/worker.pid", "true", None), &words);
    bench.make_folder("run", 0, 0o755);
    bench.make("run/worker.pid", &format!("{}\n", foreign.0.id()), APP, 0o644);
    is_left_alone(&bench, &mut foreign, daemon(&bench, "run/worker.pid", "true", None), &words);
}

#[test]
fn a_process_of_the_users_own_that_was_there_before_is_not_believed() {
    let bench = Bench::of_root();
    let mut foreign = Foreign::of(APP);
    bench.make("app/worker.pid", &format!("{}\n", foreign.0.id()), APP, 0o644);
    // The kernel tells the age of a process in hundredths of a second: this one is older than the command by some.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(30) {
        std::thread::yield_now();
    }
    let process = daemon(&bench, "app/worker.pid", "true", Some(APP_NAME));
    is_left_alone(&bench, &mut foreign, process, "which ran before the command that was to start it");
    let bench = Bench::of_user();
    bench.make("app/worker.pid", &format!("{}\n", foreign.0.id()), APP, 0o644);
    let process = daemon(&bench, "app/worker.pid", "true", None);
    is_left_alone(&bench, &mut foreign, process, "which ran before the command that was to start it");
    let mut foreign = Foreign::of(STRANGER);
    bench.make("app/worker.pid", &format!("{}\n", foreign.0.id()), APP, 0o644);
    let process = daemon(&bench, "app/worker.pid", "true", None);
    is_left_alone(&bench, &mut foreign, process, "which is bin's, while daemon may write the file");
}

#[test]
fn a_pid_file_is_read_through_no_link_and_out_of_no_open_folder() {
    let bench = Bench::of_root();
    let mut foreign = Foreign::of(0);
    bench.make("victim/other.pid", &format!("{}\n", foreign.0.id()), 0, 0o644);
    bench.link("app/worker.pid", "victim/other.pid", APP);
    is_left_alone(
        &bench,
        &mut foreign,
        daemon(&bench, "app/worker.pid", "true", None),
        "is a symbolic link (owner daemon)",
    );
    bench.make_folder("open", 0, 0o777);
    bench.make("open/worker.pid", &format!("{}\n", foreign.0.id()), 0, 0o644);
    is_left_alone(&bench, &mut foreign, daemon(&bench, "open/worker.pid", "true", None), "by everybody: `chmod o-w ");
}

#[test]
fn the_service_itself_is_found_and_stopped() {
    let bench = Bench::of_root();
    let file = bench.text("app/worker.pid");
    let script = format!("sleep 1000 >/dev/null 2>&1 & echo $! > {file}");
    let process = Box::new(daemon(&bench, "app/worker.pid", &script, Some(APP_NAME)));
    bench.does(Action::StartProcess { process: process.clone() });
    bench.does(Action::StopProcess { process });
}
