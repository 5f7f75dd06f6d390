//! `bench kills`: a controller that is killed with SIGKILL many times, while agents tell what happens on them and an operator
//! speaks. What was acknowledged to either must be there at the end, and nothing twice.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use ansai_lab::poll;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    check, number,
    parts::{Folder, Swarm, ask},
    prepare,
};
use crate::bench::{say, table::Row};

const KILLS: usize = 1_000;
const AGENTS: usize = 50;
/// Each life is between so long, behind the moment at which the controller answers, and a little longer than an agent waits.
const LIFE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));
/// Agents come back sooner than real ones, so that something is under way in each life.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const INCIDENTS_EACH_SECOND: u32 = 50;
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than an incident goes on.
const ENDED: Duration = Duration::from_secs(2);
/// Between two tries of an operator who got no answer.
const AGAIN: Duration = Duration::from_millis(10);

/// What an operator has said, and was answered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spoken {
    /// The mark of each hold that was tried, and whether it was answered.
    held: BTreeMap<String, bool>,
    /// How many ends of holds were answered.
    ended: usize,
}

/// What is wrong with what was done, by the words of the store.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flaws {
    missing: usize,
    twice: usize,
}

/// Kills, and prints what came of it.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    check(options, &["--kills", "--agents"])?;
    let kills = number(options, "--kills")?.unwrap_or(KILLS);
    let agents = number(options, "--agents")?.unwrap_or(AGENTS);
    prepare()?;
    let folder = Folder::new("kills")?;
    let mut swarm = Swarm::make(&folder, agents, 0, LONGEST_PAUSE)?;
    swarm.tell("go")?;
    let first = folder.start()?;
    let socket = first.socket().to_owned();
    first.kill()?;
    let (is_over, begun) = (AtomicBool::new(false), Instant::now());
    let spoken = std::thread::scope(|scope| -> Result<Spoken> {
        let operator = scope.spawn(|| speak(&socket, &is_over));
        let killed = kill(&folder, &mut swarm, kills);
        is_over.store(true, Ordering::Relaxed);
        // The last life, in which everybody finishes.
        let last = folder.start()?;
        let spoken = operator.join().map_err(|_| anyhow::anyhow!("the operator broke off"))??;
        killed?;
        std::thread::park_timeout(ENDED);
        let is_told = || Ok((swarm.count("waiting")? == 0).then_some(()));
        poll::until("everything that was said to be kept", LIMIT, poll::INTERVAL, is_told)?;
        last.kill()?;
        Ok(spoken)
    })?;
    let found = swarm.tell("check")?;
    let rows = rows(kills, begun.elapsed(), &swarm.tell("state")?, &found, &spoken)?;
    rows.iter().for_each(|row| say(&row.to_string()));
    Ok(())
}

/// One life after another.
fn kill(folder: &Folder, swarm: &mut Swarm, kills: usize) -> Result<()> {
    let (mut seed, mut failing) = (5, Instant::now());
    for kill in 1..=kills {
        let controller = folder.start()?;
        if failing <= Instant::now() {
            swarm.tell(&format!("incidents {INCIDENTS_EACH_SECOND} 1"))?;
            failing = Instant::now() + Duration::from_secs(1);
        }
        let (shortest, longest) = LIFE;
        std::thread::park_timeout(shortest + (longest - shortest) * next(&mut seed) / 1_000);
        controller.kill().with_context(|| format!("kill {kill}"))?;
        if kill.is_multiple_of(100) {
            say(&format!("   {kill} of {kills} kills: {}", swarm.tell("state")?));
        }
    }
    Ok(())
}

/// A sequence of numbers below a thousand that looks like chance, from its seed.
fn next(seed: &mut u64) -> u32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from((*seed >> 33) % 1_000).unwrap_or_default()
}

/// Holds and releases, each time with a mark of its own, and goes on where it got no answer.
fn speak(socket: &Path, is_over: &AtomicBool) -> Result<Spoken> {
    let mut spoken = Spoken::default();
    for turn in 0_u32.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let mark = format!("mark-{turn:06}");
        let scope = json!({"matching": [mark]});
        let operate =
            |operation: Value| ask(socket, "POST", "/v1/operate", &json!({"operation": operation}).to_string());
        let hold = json!({"restrain": {"kind": "hold", "over": "fleet", "scope": scope, "reason": mark}});
        spoken.held.insert(mark, operate(hold).is_ok());
        let begun = Instant::now();
        loop {
            match operate(json!({"end": {"kind": "hold", "over": "fleet", "scope": scope}})) {
                Ok(_) => spoken.ended += 1,
                // It is ended already, or it never was.
                Err(error) if error.to_string().contains(" 404 ") => {}
                Err(error) => {
                    ensure!(begun.elapsed() < LIMIT, "the operator is not answered: {error:#}");
                    std::thread::park_timeout(AGAIN);
                    continue;
                }
            }
            break;
        }
    }
    Ok(spoken)
}

/// Compares what was said with what was done.
fn flaws(spoken: &Spoken, done: &[&str]) -> Flaws {
    let mut flaws = Flaws::default();
    let begun: Vec<&&str> = done.iter().filter(|what| what.starts_with("held: ")).collect();
    for (mark, was_answered) in &spoken.held {
        match begun.iter().filter(|what| what.contains(mark.as_str())).count() {
            0 if *was_answered => flaws.missing += 1,
            0 | 1 => {}
            _ => flaws.twice += 1,
        }
    }
    let ended = done.iter().filter(|what| what.ends_with(" ended")).count();
    flaws.missing += spoken.ended.saturating_sub(ended);
    flaws.twice += ended.saturating_sub(begun.len());
    flaws
}

fn rows(kills: usize, lasted: Duration, state: &Value, found: &Value, spoken: &Spoken) -> Result<Vec<Row>> {
    let count = |count: usize| count as f64;
    let number = |of: &Value, what: &str| of[what].as_f64().with_context(|| format!("no `{what}` in {of}"));
    let list = |what: &str| found[what].as_array().with_context(|| format!("no `{what}` in {found}"));
    let done: Vec<&str> = list("done")?.iter().filter_map(Value::as_str).collect();
    let flaws = flaws(spoken, &done);
    let answered = spoken.held.values().filter(|answered| **answered).count() + spoken.ended;
    Ok(vec![
        Row::new("the controller was killed", count(kills), "times"),
        Row::new("… within", lasted.as_secs_f64(), "s"),
        Row::new("links that came up", number(state, "links")?, ""),
        Row::new("incidents whose end and report agents were told is kept", number(found, "promised")?, ""),
        Row::new("… of these missing", number(found, "missing")?, "").at_most(0.0),
        Row::new("… of these there twice", number(found, "doubled")?, "").at_most(0.0),
        Row::new("words of operators that were answered", count(answered), ""),
        Row::new("… of these missing in what was done", count(flaws.missing), "").at_most(0.0),
        Row::new("… done twice", count(flaws.twice), "").at_most(0.0),
        Row::new("holds in force that were released", count(list("holds")?.len()), "").at_most(0.0),
        Row::new("hosts that were told older restraints than they had", number(state, "older")?, "").at_most(0.0),
        Row::new("what is wrong with the store", count(list("wrong")?.len()), "").at_most(0.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken() -> Spoken {
        let held = [("mark-1", true), ("mark-2", false), ("mark-3", true)];
        Spoken { held: held.map(|(mark, answered)| (mark.to_owned(), answered)).into(), ended: 2 }
    }

    #[test]
    fn what_was_answered_and_is_not_there_is_missing() {
        let held = |mark: &str| format!("held: every host, {mark}; until `ansai release`");
        let (one, three, ended) = (held("mark-1"), held("mark-3"), "1 hold for every host ended");
        assert_eq!(flaws(&spoken(), &[&one, ended, &three, ended]), Flaws::default());
        assert_eq!(flaws(&spoken(), &[&one, ended, ended]), Flaws { missing: 1, twice: 1 });
        assert_eq!(flaws(&spoken(), &[&one, ended, &three]), Flaws { missing: 1, twice: 0 });
    }

    #[test]
    fn what_is_done_twice_is_counted_answered_or_not() {
        let held = |mark: &str| format!("held: every host, {mark}; until `ansai release`");
        let (one, two, three, ended) = (held("mark-1"), held("mark-2"), held("mark-3"), "1 hold for every host ended");
        let twice = |done: &[&str]| flaws(&spoken(), done);
        assert_eq!(twice(&[&one, &two, &two, &three, ended, ended]), Flaws { missing: 0, twice: 1 });
        assert_eq!(twice(&[&one, &three, ended, ended, ended]), Flaws { missing: 0, twice: 1 });
    }

    #[test]
    fn a_life_is_within_its_bounds() {
        let mut seed = 5;
        assert!((0..1_000).all(|_| next(&mut seed) < 1_000));
    }
}
