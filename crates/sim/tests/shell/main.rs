//! The production shell under seeded faults, killed at any moment: amid a save, between a decision and its action, amid
//! an action, between two inputs. Everything but the disk and the host is dropped, and a new agent continues from them.
//! One seed gives one run; a failure prints it. `ANSAI_SEED=N` runs that one alone, `ANSAI_SEED=N..M` all of these.

use std::ops::Range;

mod books;
mod disk;
mod host;
mod world;

use world::{Totals, World};

/// Hosts, each with so many lives of an agent that 10,000 are killed in all.
const HOSTS: u64 = 540;

fn host(seed: u64) -> Result<Totals, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async { World::new(seed).run().await }).map_err(|broken| format!("seed {seed}: {broken}"))
}

fn hosts(seeds: Range<u64>) -> Result<Totals, String> {
    let mut totals = Totals::default();
    for seed in seeds {
        totals.add(&host(seed)?);
    }
    Ok(totals)
}

/// `7` or `7..9`.
fn range(text: &str) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    match text.split_once("..") {
        Some((from, until)) => number(from)..number(until),
        None => number(text)..number(text) + 1,
    }
}

#[test]
fn killed_ten_thousand_times_it_loses_no_incident_and_repeats_no_action_unseen() {
    if let Ok(seeds) = std::env::var("ANSAI_SEED") {
        println!("{:#?}", hosts(range(&seeds)).unwrap_or_else(|broken| panic!("{broken}")));
        return;
    }
    let half = HOSTS / 2;
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| hosts(0..half));
        let other = scope.spawn(|| hosts(half..HOSTS));
        (one.join().expect("no panic"), other.join().expect("no panic"))
    });
    let mut totals = one.unwrap_or_else(|broken| panic!("{broken}"));
    totals.add(&other.unwrap_or_else(|broken| panic!("{broken}")));
    println!("{totals:#?}");
    assert!(totals.killed >= 10_000, "{totals:?}");
    assert!(totals.killed_in_save > 1_000 && totals.killed_in_action > 500, "{totals:?}");
    assert!(totals.torn > 300 && totals.interrupted > 500, "{totals:?}");
    assert!(totals.actions > 2_000 && totals.incidents > 2_000 && totals.stopped > 100, "{totals:?}");
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    assert_eq!(host(7), host(7));
}
