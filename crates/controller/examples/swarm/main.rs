//! Many agents in one process, for the benches of the fleet: each has a key, a certificate and a link of its own, and speaks as
//! an agent does. It is told what to do on its standard input, a line at a time, and answers each with a line of JSON.
//!
//! It heals nothing, keeps no ledger, and judges nothing. What it saves of a hold is in memory: ten thousand hosts have ten
//! thousand disks, this machine has one.

mod agent;
mod made;
mod said;
mod tally;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ansai_controller::home::Home;
use ansai_link::{chance, dial::Route};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::task::TaskTracker;

use crate::{agent::Agent, made::Made, tally::Tally};

const USAGE: &str = "swarm FOLDER CONTROLLER AGENTS INCIDENTS LONGEST_PAUSE_MS";

/// Most orders that wait for an agent, and most lines that wait for this process.
const WAITING_MAX: usize = 64;

/// Tells an agent that something fails there.
type Orders = mpsc::Sender<()>;

#[expect(clippy::print_stdout, reason = "its standard output is what it answers")]
fn answer(value: &Value) {
    println!("{value}");
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, controller, agents, incidents, pause] = arguments.as_slice() else { bail!("{USAGE}") };
    let folder = PathBuf::from(folder);
    let home = Home { state_dir: folder.join("state"), settings: folder.join("controller.yaml") };
    let made = Made::new(&home, agents.parse().context("AGENTS")?, incidents.parse().context("INCIDENTS")?)?;
    answer(&json!({"made": made.members.len()}));
    let longest = Duration::from_millis(pause.parse().context("LONGEST_PAUSE_MS")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&home, made, Arc::new(Route::new(controller, None)?), longest))
}

/// The lines of the standard input, which nothing else waits for.
fn lines() -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || {
        // Nobody listens any more when the process is about to end.
        let _ = std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| said.blocking_send(line));
    });
    heard
}

/// Does what it is told until its standard input ends.
async fn serve(home: &Home, made: Made, route: Arc<Route>, longest: Duration) -> Result<()> {
    let (tally, tasks) = (Tally::default(), TaskTracker::new());
    let mut orders: Vec<Orders> = Vec::new();
    let mut agents: Vec<Agent> = Vec::new();
    for member in made.members {
        let (order, ordered) = mpsc::channel(WAITING_MAX);
        agents.push(Agent::new(member, route.clone(), longest, tally.clone(), ordered)?);
        orders.push(order);
    }
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words.as_slice() {
            ["go"] => {
                std::mem::take(&mut agents).into_iter().for_each(|agent| drop(tasks.spawn(agent.run())));
                json!({})
            }
            ["state"] => tally.state(),
            ["round"] => {
                tally.begin_round();
                json!({})
            }
            ["obeyed"] => json!({"at_ns": tally.obeyed()}),
            ["kept"] => json!({"micros": tally.kept_after()}),
            ["incidents", per_second, seconds] => {
                let (per_second, seconds) = (per_second.parse()?, seconds.parse()?);
                tasks.spawn(fail(orders.clone(), per_second, Duration::from_secs(seconds)));
                json!({})
            }
            ["check"] => made::check(home, &tally)?,
            _ => bail!("`{line}` is no command"),
        };
        answer(&said);
    }
    Ok(())
}

/// Has so many things fail each second, each on a host by chance.
async fn fail(orders: Vec<Orders>, per_second: u32, lasts: Duration) -> Result<()> {
    ensure!(per_second > 0 && !orders.is_empty(), "nothing fails");
    let mut beat = interval(Duration::from_secs(1) / per_second);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = Instant::now() + lasts;
    while beat.tick().await < until {
        let place = usize::try_from(u64::from_le_bytes(chance()?) % u64::try_from(orders.len())?)?;
        // One that has as many to come has enough.
        let _ = orders.get(place).map(|order| order.try_send(()));
    }
    Ok(())
}
