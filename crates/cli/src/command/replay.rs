//! `ansai replay`: steps through what a journal recorded; with another configuration, says which decisions it would
//! have made differently. It touches no host and no agent.
//!
//! What the world would have answered to actions that were never done is not known: under another configuration, only
//! the decisions tell, not what followed from them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_agent::{
    journal::{Entry, Item},
    recorder::{Records, Snapshot},
};
use ansai_config::Configuration;
use ansai_engine::{Effect, HostEngine, Input};
use ansai_model::{
    bundle::Bundle,
    id::{CheckId, TargetId},
    inventory::{Inventory, UnitFacts},
    observation::{Health, Observation},
    time::WallTime,
    unit::ActiveState,
};
use ansai_protocol::SCHEMA;
use serde_json::json;

use super::player::{Line, Player, World};
use crate::{
    Paths,
    exit::{Code, Failure},
    patience, show,
};

/// Most lines of a story; a journal of gigabytes is told from its beginning.
const LINES_MAX: usize = 100_000;

const NAME_ONE: &str = "name a journal's folder, as /var/lib/ansai/journal, or one file of it";

/// The world as it was recorded: what said nothing new and no incident waited for was left out, and is filled in.
#[derive(Default)]
struct Recording {
    last: BTreeMap<CheckId, Observation>,
}

impl World for Recording {
    fn answer(&mut self, effect: &Effect, engine: &HostEngine) -> Option<(Duration, Input)> {
        let Effect::Observe(check) = effect else { return None };
        let observation = self.last.get(check).filter(|_| !engine.bears_on_incident(check))?.clone();
        Some((Duration::ZERO, Input::Observed { check: check.clone(), observation }))
    }
}

/// What a journal tells.
struct Told {
    lines: Vec<Line>,
    inputs: u64,
    flaws: Vec<String>,
    /// Whether not one line of it was an entry.
    is_empty: bool,
}

pub(super) fn replay(paths: &Paths, journal: &Path, with: Option<PathBuf>) -> Result<Code, Failure> {
    let recorded = patience::read(journal, || play(journal, None))?;
    if recorded.is_empty && !recorded.flaws.is_empty() {
        let what = format!("{} is no journal: nothing in it is understood", journal.display());
        return Err(Failure::new(Code::Usage, what, NAME_ONE));
    }
    let Some(path) = with else {
        return Ok(show_story(paths, &recorded));
    };
    let other = patience::read(&path, || ansai_config::load(&path));
    let other = other.map_err(|wrong| Failure::wrong(&wrong))?;
    let other = patience::read(journal, || play(journal, Some(&other)))?;
    Ok(show_difference(paths, &recorded, &other))
}

fn play(journal: &Path, other: Option<&Configuration>) -> Result<Told, Failure> {
    let records = Records::open(journal).map_err(|error| {
        let what = format!("{}: {}", journal.display(), ansai_files::said(&error));
        Failure::new(Code::Usage, what, NAME_ONE)
    })?;
    let mut told = Told { lines: Vec::new(), inputs: 0, flaws: Vec::new(), is_empty: true };
    let mut player: Option<Player<Recording>> = None;
    let mut latest = None;
    let (mut facts, mut hold) = (None, None);
    for item in records {
        told.is_empty &= !matches!(item, Item::Entry(_));
        match item {
            Item::Entry(Entry::Snapshot(snapshot)) if player.is_none() => player = Some(begin(snapshot, other)?),
            // Later segments go on where the one before ended, unless the agent was started in between.
            Item::Entry(Entry::Snapshot(snapshot)) => (latest, hold) = (Some(snapshot), None),
            Item::Entry(Entry::Record(record)) => {
                let Some(player) = player.as_mut() else { continue };
                told.inputs += 1;
                match record.input {
                    // The other configuration stays in force.
                    Input::Apply(_) if other.is_some() => player.pass(record.at),
                    Input::Facts(known) => {
                        facts = Some(known.clone());
                        player.feed(record.at, Input::Facts(known));
                    }
                    Input::HoldFile(text) => {
                        hold.clone_from(&text);
                        player.feed(record.at, Input::HoldFile(text));
                    }
                    Input::Started => {
                        if let Some(Snapshot { at, bundle, state }) = latest.take().filter(|_| other.is_none()) {
                            player.restart(bundle, state, at);
                            player.feed(at, Input::HoldFile(hold.clone()));
                            player.feed(at, Input::Facts(facts.clone().unwrap_or_default()));
                        }
                        player.feed(record.at, Input::Started);
                    }
                    input => feed(player, record.at, input),
                }
                told.lines.extend(player.take_lines());
            }
            Item::Torn { path, line } => told.flaws.push(format!("{}:{line} does not end", path.display())),
            Item::Unreadable { path, line, why } => {
                told.flaws
                    .push(format!("{}:{line} is no entry of a journal that this version knows: {why}", path.display()));
            }
        }
        if told.lines.len() > LINES_MAX {
            told.flaws.push(format!("only the first {LINES_MAX} steps are told"));
            break;
        }
    }
    Ok(told)
}

fn feed(player: &mut Player<Recording>, at: ansai_model::time::Now, input: Input) {
    if let Input::Observed { check, observation } = &input {
        match observation.health() {
            Health::Healthy | Health::Unknown => player.world.last.insert(check.clone(), observation.clone()),
            Health::Failing => player.world.last.remove(check),
        };
    }
    player.feed(at, input);
}

fn begin(snapshot: Snapshot, other: Option<&Configuration>) -> Result<Player<Recording>, Failure> {
    let bundle = match other {
        None => snapshot.bundle,
        Some(other) => {
            let bundle = other.bundle(&inventory(&snapshot.bundle), snapshot.bundle.parts().generation);
            bundle.map_err(|wrong| Failure::wrong(&wrong))?
        }
    };
    Ok(Player::new(bundle, snapshot.state, snapshot.at, Recording::default()))
}

/// The recorded host, as far as its bundle tells: its units.
fn inventory(bundle: &Bundle) -> Inventory {
    let units = bundle.parts().targets.values().filter_map(|target| target.unit.clone());
    Inventory { units: units.map(running).collect(), ..Inventory::default() }
}

/// A running service of which nothing else is known.
pub(super) fn running(name: ansai_model::id::UnitName) -> UnitFacts {
    UnitFacts::plain(name, ActiveState::Active)
}

fn shown(at: WallTime) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    at.to_zoned(show::terminal().zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f %Z").to_string()
}

fn line(line: &Line) -> String {
    let text = show::told(&line.text, &show::terminal().zone);
    format!("{}  {}  {}  {text}", shown(line.at.wall), line.incident, line.target.name())
}

fn as_json(lines: &[Line]) -> serde_json::Value {
    let lines = lines.iter().map(|line| {
        json!({
            "at_ms": line.at.wall.0,
            "incident": line.incident,
            "target": line.target,
            "text": line.text,
        })
    });
    lines.collect::<Vec<_>>().into()
}

fn show_story(paths: &Paths, told: &Told) -> Code {
    if paths.json {
        let (inputs, flaws) = (told.inputs, &told.flaws);
        show::print_json(&json!({"schema": SCHEMA, "inputs": inputs, "flaws": flaws, "steps": as_json(&told.lines)}));
        return Code::Ok;
    }
    let mut lines: Vec<String> = told.lines.iter().map(line).collect();
    lines.extend(told.flaws.iter().map(|flaw| format!("flaw: {flaw}")));
    lines.push(format!("{} inputs, {} steps", told.inputs, told.lines.len()));
    show::print(show::Page::lines(lines));
    Code::Ok
}

/// The decisions about each target, in order, without those that only repeat the one before.
fn decisions(lines: &[Line]) -> BTreeMap<TargetId, Vec<String>> {
    let mut found: BTreeMap<TargetId, Vec<String>> = BTreeMap::new();
    for line in lines {
        let Some(decision) = line.text.strip_prefix("decided: ") else { continue };
        let list = found.entry(line.target.clone()).or_default();
        if list.last().is_none_or(|last| last != decision) {
            list.push(decision.to_owned());
        }
    }
    found
}

fn show_difference(paths: &Paths, recorded: &Told, other: &Told) -> Code {
    let (before, after) = (decisions(&recorded.lines), decisions(&other.lines));
    let mut targets: Vec<&TargetId> = before.keys().chain(after.keys()).collect();
    targets.sort();
    targets.dedup();
    targets.retain(|target| before.get(*target) != after.get(*target));
    let list = |of: &BTreeMap<TargetId, Vec<String>>, target: &TargetId| of.get(target).cloned().unwrap_or_default();
    if paths.json {
        let differences = targets
            .iter()
            .map(|target| json!({"target": target, "recorded": list(&before, target), "other": list(&after, target)}));
        let differences: Vec<_> = differences.collect();
        show::print_json(&json!({"schema": SCHEMA, "inputs": recorded.inputs, "differences": differences}));
        return Code::Ok;
    }
    if targets.is_empty() {
        show::print(&format!("{} inputs; no decision would have been different", recorded.inputs));
        return Code::Ok;
    }
    for target in targets {
        let side = |sign: &str, of| {
            let told = |decision: String| show::told(&decision, &show::terminal().zone);
            let lines = list(of, target).into_iter().map(|decision| format!("  {sign} {}", told(decision)));
            lines.collect::<Vec<_>>().join("\n")
        };
        show::print(&format!("{target}\n{}\n{}", side("-", &before), side("+", &after)));
    }
    Code::Ok
}
