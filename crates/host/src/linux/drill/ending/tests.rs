//! How drills end: by themselves, when somebody has mended what they broke, and when the agent stops.

use std::process::{Child, Command};

use super::*;

fn sleeper() -> Child {
    Command::new("/bin/sleep").arg("600").spawn().expect("it starts")
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn is_stopped(child: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it is there");
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

fn stop(child: &Child) {
    rustix::process::kill_process(pid(child), Signal::STOP).expect("stopped");
    // The signal is taken at once by whoever sleeps; what is not yet stopped is about to be.
    while !is_stopped(child) {
        std::thread::yield_now();
    }
}

#[test]
fn what_was_stopped_goes_on_even_when_another_life_of_the_agent_ends_the_drill() {
    let state = tempfile::tempdir().expect("a folder");
    let mut child = sleeper();
    let drill = Lasting::stopping("a.service", pid(&child)).expect("it runs");
    drill.keep(state.path()).expect("kept");
    stop(&child);
    let kept = lasting(state.path()).expect("readable");
    assert_eq!(kept, [drill]);
    assert_eq!(kept[0].end(state.path()).expect("ended"), Ended::Resumed);
    assert!(!is_stopped(&child));
    assert_eq!(lasting(state.path()).expect("readable"), []);
    child.kill().expect("ended");
    child.wait().expect("waited for");
}

#[tokio::test]
async fn an_agent_that_stops_ends_every_drill_before_its_time() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("app.conf");
    fs::write(&path, "listen 80\n").expect("written");
    let mut child = sleeper();
    let hang = Lasting::stopping("a.service", pid(&child)).expect("it runs");
    hang.keep(state.path()).expect("kept");
    stop(&child);
    Lasting::breaking("b.service", path.clone()).keep(state.path()).expect("kept");
    super::super::break_file(&path, &super::super::Trusted::own()).expect("broken");
    end_all(state.path()).await;
    assert!(!is_stopped(&child));
    assert_eq!(fs::read_to_string(&path).expect("text"), "listen 80\n");
    assert_eq!(lasting(state.path()).expect("readable"), []);
    child.kill().expect("ended");
    child.wait().expect("waited for");
}

#[tokio::test]
async fn a_drill_whose_doing_is_mended_leaves_nothing_beside_the_file() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("app.conf");
    let copy = super::super::copy_of(&path);
    let begin = || {
        fs::write(&path, "listen 80\n").expect("written");
        Lasting::breaking("a.service", path.clone()).keep(state.path()).expect("kept");
        super::super::break_file(&path, &super::super::Trusted::own()).expect("broken");
    };
    begin();
    end_what_is_mended("a.service", state.path()).await;
    assert!(copy.exists(), "it is still broken, and so the drill goes on");
    fs::write(&path, "listen 80\n").expect("put back");
    end_what_is_mended("b.service", state.path()).await;
    assert!(copy.exists(), "it is the drill of another");
    end_what_is_mended("a.service", state.path()).await;
    assert!(!copy.exists());
    assert_eq!(lasting(state.path()).expect("readable"), []);
    // The agent was stopped after the file had been put back.
    begin();
    fs::write(&path, "listen 8080\n").expect("mended by hand");
    let left = lasting(state.path()).expect("readable").remove(0);
    let over = Lasting { until: WallTime(0), ..left.clone() };
    over.keep(state.path()).expect("kept");
    over.end_in_time(state.path().to_owned()).await;
    assert!(!copy.exists() && lasting(state.path()).expect("readable").is_empty());
    assert_eq!(fs::read_to_string(&path).expect("text"), "listen 8080\n");
}

#[test]
fn nobody_else_is_woken() {
    let state = tempfile::tempdir().expect("a folder");
    let mut child = sleeper();
    let drill = Lasting::stopping("a.service", pid(&child)).expect("it runs");
    stop(&child);
    let Done::Stopped { pid, started, boot } = drill.done.clone() else { panic!("{drill:?}") };
    let others = [
        Done::Stopped { pid, started: started + 1, boot: boot.clone() },
        Done::Stopped { pid, started, boot: "another boot".to_owned() },
        Done::Stopped { pid: 0, started, boot: boot.clone() },
        Done::Stopped { pid: i32::MAX, started, boot },
    ];
    for done in others {
        let other = Lasting { done, ..drill.clone() };
        assert_eq!(other.end(state.path()).expect("ended"), Ended::Nothing, "{other:?}");
    }
    assert!(is_stopped(&child));
    child.kill().expect("ended");
    child.wait().expect("waited for");
}

#[test]
fn what_is_left_of_a_stopped_process_is_known() {
    let mut child = sleeper();
    let drill = Lasting::stopping("a.service", pid(&child)).expect("it runs");
    let left = || drill.process().map(|(_, left)| left);
    stop(&child);
    assert_eq!(left(), Some(Process::Stopped));
    rustix::process::kill_process(pid(&child), Signal::CONT).expect("sent");
    while is_stopped(&child) {
        std::thread::yield_now();
    }
    assert_eq!(left(), Some(Process::Runs));
    child.kill().expect("ended");
    // Nobody has waited for it yet: it is a zombie, or about to be one.
    while left() == Some(Process::Runs) {
        std::thread::yield_now();
    }
    assert_eq!(left(), Some(Process::Ended));
    child.wait().expect("waited for");
    assert_eq!(left(), Some(Process::Ended));
    assert_eq!(Lasting::breaking("a.service", PathBuf::from("/x")).process(), None);
}

#[test]
fn a_file_is_put_back_once_and_a_clock_that_was_set_back_prolongs_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("app.conf");
    fs::write(&path, "listen 80\n").expect("written");
    let drill = Lasting::breaking("a.service", path.clone());
    drill.keep(state.path()).expect("kept");
    super::super::break_file(&path, &super::super::Trusted::own()).expect("broken");
    assert_eq!(drill.end(state.path()).expect("ended"), Ended::PutBack);
    assert_eq!(drill.end(state.path()).expect("again"), Ended::Nothing);
    assert_eq!(fs::read_to_string(&path).expect("text"), "listen 80\n");
    let later = Lasting { until: WallTime(i64::MAX), ..drill };
    assert_eq!(later.rest(), LASTS);
}
