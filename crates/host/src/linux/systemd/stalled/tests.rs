//! When a unit is called hung, and when nothing is said of it.

use super::*;

fn status(state: char, switches: u64, tracer: u32) -> String {
    format!(
        "Name:\tState: x\nUmask:\t0022\nState:\t{state} (stopped)\nTgid:\t7\nTracerPid:\t{tracer}\nThreads:\t1\n\
         voluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t2\n"
    )
}

#[derive(Clone, Copy)]
struct Thread {
    pid: u32,
    id: u32,
    state: char,
    switches: u64,
    ticks: u64,
    tracer: u32,
}

impl Default for Thread {
    fn default() -> Self {
        Self { pid: 7, id: 7, state: 'S', switches: 1, ticks: 0, tracer: 0 }
    }
}

fn host_of(threads: &[Thread]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for Thread { pid, id, state, switches, ticks, tracer } in threads {
        let folder = root.path().join(format!("proc/{pid}/task/{id}"));
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("status"), status(*state, *switches, *tracer)).expect("written");
        let stat = format!("{id} (a) b) {state} 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 9 0 0");
        std::fs::write(folder.join("stat"), stat).expect("written");
    }
    root
}

fn host(processes: &[(u32, char, u64, u32)], is_frozen: bool) -> (tempfile::TempDir, Vec<u32>) {
    let root = tempfile::tempdir().expect("a folder");
    let write = |path: String, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    for (pid, state, switches, tracer) in processes {
        write(format!("proc/{pid}/status"), &status(*state, *switches, *tracer));
        write(format!("proc/{pid}/cgroup"), "0::/system.slice/app.service\n");
    }
    let frozen = if is_frozen { "populated 1\nfrozen 1\n" } else { "populated 1\nfrozen 0\n" };
    write("sys/fs/cgroup/system.slice/app.service/cgroup.events".into(), frozen);
    (root, processes.iter().map(|process| process.0).collect())
}

#[test]
fn only_a_unit_of_which_no_process_can_run_is_still() {
    let cases = [
        (vec![(7, 'T', 1, 0)], false, Some(Why::Stopped)),
        (vec![(7, 'T', 1, 0), (8, 'T', 1, 0), (9, 'Z', 1, 0)], false, Some(Why::Stopped)),
        (vec![(7, 'D', 1, 0), (8, 'D', 1, 0)], false, Some(Why::Waiting)),
        // A drill or a person stopped the master, and the workers answer.
        (vec![(7, 'T', 1, 0), (8, 'S', 1, 0)], false, Some(Why::MainStopped)),
        (vec![(7, 'T', 1, 0), (8, 'D', 1, 0)], false, Some(Why::MainStopped)),
        (vec![(7, 'S', 1, 0), (8, 'T', 1, 0)], false, None),
        (vec![(7, 'T', 1, 0), (8, 'S', 1, 4)], false, None),
        (vec![(7, 'S', 1, 0)], false, None),
        // Debugged, stopped between two steps or not.
        (vec![(7, 't', 1, 4)], false, Some(Why::Held)),
        (vec![(7, 't', 1, 4), (8, 'S', 1, 4)], false, Some(Why::Held)),
        (vec![(7, 'T', 1, 0), (8, 't', 1, 4)], false, None),
        (vec![(7, 'S', 1, 4)], false, None),
        (vec![(7, 'T', 1, 0), (8, 'T', 1, 4)], false, None),
        (vec![(7, 'T', 1, 0)], true, None),
        (vec![], false, None),
    ];
    for (processes, is_frozen, expected) in cases {
        let (root, pids) = host(&processes, is_frozen);
        let found = still(root.path(), &pids, Some(7));
        assert_eq!(found.map(|still| still.why), expected, "{processes:?} {is_frozen}");
    }
    // What the workers do in between does not let it go on.
    let before = host(&[(7, 'T', 1, 0), (8, 'S', 1, 0)], false);
    let later = host(&[(7, 'T', 1, 0), (8, 'R', 9, 0), (9, 'S', 1, 0)], false);
    let seen = |(root, pids): &(tempfile::TempDir, Vec<u32>)| still(root.path(), pids, Some(7)).expect("stopped");
    assert!(seen(&before).goes_on_as(&seen(&later)));
}

#[test]
fn a_unit_of_which_no_thread_runs_while_connections_wait_is_deaf() {
    let seen = |threads: &[Thread], pids: &[u32]| deaf(host_of(threads).path(), pids, true);
    let thread = |pid, id, switches| Thread { pid, id, switches, ..Thread::default() };
    let three = [thread(7, 7, 1), thread(7, 8, 1), thread(9, 9, 1)];
    let before = seen(&three, &[7, 9]);
    assert_eq!(before.as_ref().map(|still| still.marks.len()), Some(3));
    assert_eq!(seen(&three, &[7, 9]), before);
    // One thread has run, in whichever process.
    assert_ne!(seen(&[three[0], thread(7, 8, 2), three[2]], &[7, 9]), before);
    assert_eq!(seen(&[Thread { tracer: 4, ..three[0] }], &[7]), None, "debugged");
    assert_eq!(seen(&three[..1], &[7, 9]), None, "one is gone");
    assert_eq!(seen(&[], &[]), None);
}

#[test]
fn a_unit_that_works_is_not_deaf_however_long_it_lets_others_wait() {
    let seen = |thread: Thread| deaf(host_of(&[thread]).path(), &[7], false);
    let at_first = Thread { pid: 7, id: 7, switches: 1, ticks: 500, ..Thread::default() };
    let before = seen(at_first).expect("it sleeps");
    // It has a processor for itself, so that nobody made it give it up in between.
    let later = seen(Thread { ticks: 501, ..at_first }).expect("it sleeps");
    assert!(!before.goes_on_as(&later));
    for state in ['R', 'D'] {
        assert_eq!(seen(Thread { state, ..at_first }), None, "{state}");
    }
    assert_eq!(ticks_in("7 (a) b 9 9) S 1 2 3 4 5 6 7 8 9 10 400 100 0"), Some(500));
    assert_eq!(ticks_in("7 (app) S 1 2"), None);
}

#[tokio::test]
async fn the_files_of_its_processes_are_not_read_on_the_loop() {
    let (root, pids) = host(&[(7, 'T', 1, 0)], false);
    let unit = UnitName::new("app.service").expect("valid");
    // However soon another thread begins, it does not end before the loop has gone on.
    let (went_on, goes_on) = std::sync::mpsc::sync_channel(1);
    let held = move |root: &Path, pids: &[u32]| {
        let _ = goes_on.recv_timeout(Duration::from_secs(5));
        still(root, pids, None)
    };
    let mut read = Box::pin(aside_of(&unit, root.path(), pids, held));
    assert!(futures_util::FutureExt::now_or_never(&mut read).is_none(), "the loop waited for it");
    let _ = went_on.send(());
    assert_eq!(read.await.map(|still| still.why), Some(Why::Stopped));
}

#[test]
fn a_process_that_is_gone_or_torn_is_not_judged() {
    assert_eq!(parse(""), None);
    assert_eq!(parse("State:\nTracerPid:\tx\n"), None);
    let (root, _) = host(&[(7, 'T', 1, 0)], false);
    assert_eq!(still(root.path(), &[7, 8], Some(7)), None);
}

#[test]
fn nothing_is_judged_by_one_look_nor_by_two_between_which_it_ran() {
    let unit = UnitName::new("app.service").expect("valid");
    let still = |why, switches| Some(Still { why, marks: vec![Mark { id: 7, switches, ticks: 0 }] });
    let begun = Instant::now();
    let at = |seconds| begun + Duration::from_secs(seconds);
    let (mut stalls, none) = (Stalls::default(), Duration::ZERO);
    assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(0)), Verdict::InDoubt(Why::Stopped, none));
    let lasts = Duration::from_secs(4);
    assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(4)), Verdict::InDoubt(Why::Stopped, lasts));
    let lasts = Duration::from_secs(10);
    assert_eq!(stalls.saw(&unit, still(Why::Stopped, 1), at(10)), Verdict::Stalled(Why::Stopped, lasts));
    // It was let go of for a moment.
    assert_eq!(stalls.saw(&unit, still(Why::Stopped, 2), at(12)), Verdict::InDoubt(Why::Stopped, none));
    assert_eq!(stalls.saw(&unit, None, at(13)), Verdict::Runs);
    assert_eq!(stalls.saw(&unit, still(Why::Waiting, 3), at(20)), Verdict::InDoubt(Why::Waiting, none));
    assert_eq!(stalls.saw(&unit, still(Why::Waiting, 4), at(90)), Verdict::InDoubt(Why::Waiting, none));
    let lasts = Duration::from_secs(60);
    assert_eq!(stalls.saw(&unit, still(Why::Waiting, 4), at(150)), Verdict::Stalled(Why::Waiting, lasts));
    let (room, full) = (Why::Deaf { is_full: false }, Why::Deaf { is_full: true });
    assert_eq!(stalls.saw(&unit, still(room, 4), at(160)), Verdict::InDoubt(room, none));
    // Meanwhile there is room for no other, and it counts from when the first one waited.
    let lasts = Duration::from_secs(35);
    assert_eq!(stalls.saw(&unit, still(full, 4), at(195)), Verdict::Stalled(full, lasts));
    assert_eq!(stalls.saw(&unit, still(full, 5), at(200)), Verdict::InDoubt(full, none));
}
