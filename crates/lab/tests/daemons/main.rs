//! Real daemons of Debian under what `ansai init` writes for them and the shipped defaults: each is killed, hung, stopped by its
//! operator, given a broken configuration and a mended one, robbed of its port and given it back, and upgraded. What comes of
//! it is printed in one table of daemons and deeds, and compared with what is right.
//!
//! Which daemons, and what is right for each, stands in `list.rs`; what is done to one and awaited, in `deed.rs` and
//! `course.rs`. Seconds are printed and never compared, but for the minute within which a hang must be seen.
//! It deliberately changes no key of the configuration but `autonomy`: the file is the one that the package wrote.

mod bench;
mod course;
mod deed;
mod list;
mod table;

use std::sync::{Mutex, PoisonError};
use std::thread;

use ansai_lab::{HostOptions, package, progress};
use anyhow::{Context as _, Result, ensure};

use bench::Bench;
use deed::Deed;
use list::{Daemon, Placement};
use table::Cell;

/// Done in turn on one host: in each round every daemon suffers another of them.
const IN_TURN: &[Deed] = &[Deed::Killed, Deed::Hung, Deed::Stopped, Deed::Upgraded];

/// Each done on hosts of its own at the same time: where nobody knows what to look at, the next try after an escalation is
/// five minutes away.
const APART: &[&[Deed]] = &[&[Deed::Misconfigured], &[Deed::Robbed]];

/// So many of one host at a time: what fails again and again uses up the host's budget, and then waits for an hour.
const APART_AT_ONCE: usize = 6;

/// Held by a host that is being made ready: forty daemons and six package managers that start at once want a load of
/// twenty, and then whoever waits for one of them waits for all.
static READYING: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];

#[test]
fn real_daemons_are_healed_or_left_alone_as_is_right() -> Result<()> {
    list::check()?;
    let options = package::built("daemons")?;
    let cells: Vec<Cell> = thread::scope(|scope| {
        let options = &options;
        let hosts = list::PLACEMENTS.iter().filter(|placement| is_wanted(placement));
        let suffering = hosts.flat_map(|placement| {
            let some = placement.daemons.chunks(APART_AT_ONCE);
            let apart = some.flat_map(move |daemons| APART.iter().map(move |deeds| (placement, daemons, *deeds)));
            apart.chain([(placement, placement.daemons, IN_TURN)])
        });
        let running: Vec<_> = suffering
            .zip(READYING.iter().cycle())
            .map(|((placement, daemons, deeds), turn)| {
                scope.spawn(move || suffer(options, placement, daemons, deeds, turn))
            })
            .collect();
        running.into_iter().flat_map(|host| host.join().unwrap_or_default()).collect()
    });
    // Not by `println!`, which a passing test keeps to itself.
    progress::say(&table::of(&cells));
    let suffered = list::PLACEMENTS.iter().filter(|placement| is_wanted(placement));
    let wrong = table::wrong(&cells, suffered.flat_map(|placement| placement.daemons));
    ensure!(wrong.is_empty(), "{} of {} cells are not as is right:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
    Ok(())
}

/// Who works on one host by hand names it in `ANSAI_DAEMONS`.
fn is_wanted(placement: &Placement) -> bool {
    std::env::var("ANSAI_DAEMONS").map_or(true, |names| names.split(',').any(|name| name == placement.name))
}

/// All that happens to the daemons of one host. Where that cannot go on, the cells until then stay, and one says so.
fn suffer(
    options: &HostOptions,
    placement: &'static Placement,
    daemons: &'static [Daemon],
    deeds: &[Deed],
    turn: &Mutex<()>,
) -> Vec<Cell> {
    let mut cells = Vec::new();
    if let Err(error) = all_rounds(options, placement, daemons, deeds, turn, &mut cells) {
        progress::say(&format!("lab: {}: {error:#}", placement.name));
        let text = "WRONG: the rounds could not go on".to_owned();
        cells.push(Cell { unit: placement.name, deed: None, text, reason: None, wrong: Some(format!("{error:#}")) });
    }
    cells
}

fn all_rounds(
    options: &HostOptions,
    placement: &'static Placement,
    daemons: &'static [Daemon],
    deeds: &[Deed],
    turn: &Mutex<()>,
    cells: &mut Vec<Cell>,
) -> Result<()> {
    let readying = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let bench =
        Bench::boot(options, placement, daemons).with_context(|| format!("preparing the host `{}`", placement.name))?;
    drop(readying);
    if deeds == IN_TURN {
        cells.extend(bench.looks());
    }
    for round in 0..deeds.len() {
        let come = bench.round(deeds, round).with_context(|| format!("round {round} on `{}`", placement.name))?;
        for cell in come.iter().filter(|cell| cell.wrong.is_some()) {
            progress::say(&format!("lab: {}: {}: {}", placement.name, cell.unit, cell.text));
        }
        cells.extend(come);
    }
    Ok(())
}
