//! A process that writes is killed at any moment, many times over the same store: what it was answered is there, each save is
//! whole or not there, and the chain of what was done holds.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use ansai_protocol::record::Record;
use ansai_store::{
    Store,
    page::IncidentsOf,
    sqlite::{SqliteStore, examine},
};

use crate::{
    file::made,
    records::{Stands, audited, host, host_record, incident, kept, report},
};

/// How often it is killed.
const KILLS: u64 = 60;
/// Says to this test that it is the process to be killed, and where its store is.
const WRITER: &str = "ANSAI_STORE_WRITER";
/// How a line begins that says that a save was answered.
const ANSWERED: &str = "answered ";

/// What is saved together under one number; all of it bears that number.
fn saved_as(number: u64) -> Vec<Record> {
    let mut host_record = host_record(1);
    host_record.ahead_ms = i64::try_from(number).expect("small");
    vec![
        Record::Host(host_record),
        Record::Incident(incident(Some(host(1)), number, i64::try_from(number).expect("small"), Stands::Ended)),
        report(1, number, i64::try_from(number).expect("small"), &"long ".repeat(200)),
        Record::Kept(kept(1, number)),
        audited(&number.to_string()),
    ]
}

fn through(store: &SqliteStore) -> u64 {
    store.state().expect("read").kept.first().map_or(0, |kept| kept.through)
}

/// Saves one number after another, and says of each that it was answered, until it is killed.
fn write_for_ever(path: &Path) {
    let store = SqliteStore::open(path).expect("opened");
    for number in through(&store) + 1.. {
        store.save(saved_as(number)).expect("saved");
        let _ = writeln!(std::io::stdout(), "{ANSWERED}{number}");
    }
}

fn writer(path: &Path) -> Child {
    let this = std::env::current_exe().expect("this test");
    let arguments = ["--exact", "killed::what_was_answered_is_there_after_a_kill_at_any_moment", "--nocapture"];
    let child = Command::new(this).args(arguments).env(WRITER, path).stdout(Stdio::piped()).spawn();
    child.expect("started")
}

/// A sequence of numbers that looks like chance, from its seed.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn what_was_answered_is_there_after_a_kill_at_any_moment() {
    if let Some(path) = std::env::var_os(WRITER) {
        return write_for_ever(Path::new(&path));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let mut seed = 5;
    let mut answered = 0;
    for round in 0..KILLS {
        let mut child = writer(&path);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        // After some saves, and then somewhere within the next.
        let saves = next(&mut seed) % 12;
        let number = |line: String| line.split_once(ANSWERED)?.1.trim().parse::<u64>().ok();
        let last = lines.by_ref().filter_map(number).take(1 + usize::try_from(saves).expect("small")).last();
        (0..next(&mut seed) % 400_000).for_each(|spin| _ = std::hint::black_box(spin));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let said = lines.filter_map(number).last().or(last).expect("it wrote");
        assert!(said > answered);
        answered = said;
        let store = SqliteStore::open(&path).expect("opened after a kill");
        let through = through(&store);
        assert!(through >= answered, "round {round}: {answered} was answered, {through} is kept");
        assert!(through <= answered + 1, "round {round}: nothing comes of nothing");
        let state = store.state().expect("read");
        assert_eq!(state.hosts[0].ahead_ms, i64::try_from(through).expect("small"), "round {round}");
        drop(store);
        let found = examine(&path).expect("read");
        assert_eq!((found.done, found.wrong), (through, Vec::new()), "round {round}");
    }
    let store = SqliteStore::open(&path).expect("opened");
    let last = through(&store);
    let page = store.incidents(&IncidentsOf { most: 1_000, ..IncidentsOf::default() }).expect("read");
    let ids: Vec<u64> = page.incidents.iter().map(|one| one.incident.id.0).collect();
    assert!(ids.iter().copied().eq((1..=last).rev().take(1_000)), "each once, none missing");
    assert!(page.incidents.iter().all(|one| store.report(&host(1), one.incident.id).expect("read").is_some()));
}
