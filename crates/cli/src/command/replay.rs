//! `ansai replay`: steps through what a journal recorded; with another configuration, says which decisions it would
//! have made differently. It touches no host and no agent.
//!
//! What the world would have answered to actions that were never done is not known: under another configuration, only
//! the decisions tell, not what followed from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_agent::{
    journal::{Entry, Item},
    program::program,
    recorder::{Recorded, Records, Snapshot},
};
use ansai_config::Configuration;
use ansai_engine::{Effect, HostEngine, Input};
use ansai_model::{
    bundle::Bundle,
    id::{CheckId, TargetId},
    inventory::{Inventory, UnitFacts},
    observation::{Health, Observation},
    time::{Now, WallTime},
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

/// Most programs that are named, and most characters of each.
const PROGRAMS_MAX: usize = 4;
const PROGRAM_CHARACTERS_MAX: usize = 64;
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
    /// Which programs recorded it; nothing for one that did not say.
    programs: BTreeSet<Option<String>>,
    lines: Vec<Line>,
    inputs: u64,
    flaws: Vec<String>,
    /// Whether not one line of it was an entry.
    is_empty: bool,
}

pub(super) fn replay(paths: &Paths, journal: &Path, with: Option<PathBuf>) -> Result<Code, Failure> {
    // What another configuration would have done is due at no time that was recorded, and like is compared with like.
    let time = if with.is_some() { Time::Inferred } else { Time::AsRecorded };
    let recorded = patience::read(journal, || play(journal, None, time))?;
    if recorded.is_empty && !recorded.flaws.is_empty() {
        let what = format!("{} is no journal: nothing in it is understood", journal.display());
        return Err(Failure::new(Code::Usage, what, NAME_ONE));
    }
    if let Some(others) = by_others(&recorded.programs, &program()) {
        show::note(&others);
    }
    let Some(path) = with else {
        return Ok(show_story(paths, &recorded));
    };
    let other = patience::read(&path, || ansai_config::load(&path));
    let other = other.map_err(|wrong| Failure::wrong(&wrong))?;
    let other = patience::read(journal, || play(journal, Some(&other), time))?;
    Ok(show_difference(paths, &recorded, &other))
}

/// That a journal was recorded by other programs than this, whose decisions are told: said once, whatever the number of segments.
fn by_others(programs: &BTreeSet<Option<String>>, own: &str) -> Option<String> {
    let others = programs.iter().filter(|program| program.as_deref() != Some(own));
    let named = |other: &Option<String>| match other {
        Some(other) => format!("ansai {}", other.chars().take(PROGRAM_CHARACTERS_MAX).collect::<String>()),
        None => "an ansai that did not say which it is".to_owned(),
    };
    let others: Vec<String> = others.map(named).take(PROGRAMS_MAX).collect();
    (!others.is_empty()).then(|| {
        format!(
            "warning: recorded by {}, and replayed by ansai {own}: what is told here is what this program decides, which may be \
             other than what was done",
            others.join(", ")
        )
    })
}

/// When what is due by itself is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// When it was, where the record tells that.
    AsRecorded,
    /// As soon as it was due.
    Inferred,
}

fn play(journal: &Path, other: Option<&Configuration>, time: Time) -> Result<Told, Failure> {
    let records = Records::open(journal).map_err(|error| {
        let what = format!("{}: {}", journal.display(), ansai_files::said(&error));
        Failure::new(Code::Usage, what, NAME_ONE)
    })?;
    let mut told = Told { programs: BTreeSet::new(), lines: Vec::new(), inputs: 0, flaws: Vec::new(), is_empty: true };
    let mut story = Story { other, time, player: None, is_exact: false, begun: None };
    for item in records {
        told.is_empty &= !matches!(item, Item::Entry(_));
        match item {
            Item::Entry(Entry::Snapshot(snapshot)) => {
                story.settle(false)?;
                told.programs.insert(snapshot.program.clone());
                story.begun = Some(Begun { snapshot, before: Vec::new() });
            }
            Item::Entry(Entry::Record(record)) => {
                told.inputs += u64::from(story.begun.is_some() || story.player.is_some());
                story.record(record)?;
                told.lines.extend(story.player.iter_mut().flat_map(Player::take_lines));
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
    story.settle(false)?;
    told.lines.extend(story.player.iter_mut().flat_map(Player::take_lines));
    Ok(told)
}

/// A record as it is stepped through.
struct Story<'a> {
    other: Option<&'a Configuration>,
    time: Time,
    player: Option<Player<Recording>>,
    /// Whether the record tells all from which something follows.
    is_exact: bool,
    /// A segment of which it is not known yet whether an agent was started with it.
    begun: Option<Begun>,
}

/// The beginning of a segment.
struct Begun {
    snapshot: Snapshot,
    /// What an agent that starts is told before anything else.
    before: Vec<Recorded>,
}

impl Story<'_> {
    fn record(&mut self, record: Recorded) -> Result<(), Failure> {
        match (&mut self.begun, &record.input) {
            (Some(begun), Input::Facts(_) | Input::HoldFile(_)) => begun.before.push(record),
            (Some(_), input) => {
                self.settle(matches!(input, Input::Started))?;
                self.feed(record);
            }
            (None, _) => self.feed(record),
        }
        Ok(())
    }

    /// Takes the beginning of a segment over. Where an agent was started, the one before had ended, and nothing that it would have
    /// done since has happened. Elsewhere it goes on from the segment before, or from its own state where there is none.
    fn settle(&mut self, is_start: bool) -> Result<(), Failure> {
        let Some(Begun { snapshot, before }) = self.begun.take() else { return Ok(()) };
        let Snapshot { at, program: _, bundle, state, is_exact, kept } = snapshot;
        self.is_exact = is_exact && self.time == Time::AsRecorded;
        match &mut self.player {
            Some(player) if is_start && self.other.is_none() => player.restart(bundle, state, at),
            Some(_) => {}
            None => {
                let bundle = in_force(bundle, self.other)?;
                let world = Recording::default();
                self.player = Some(match is_start {
                    true => Player::new(bundle, state, at, world),
                    false => Player::going_on(bundle, state, at, &kept, world),
                });
            }
        }
        before.into_iter().for_each(|record| self.feed(record));
        Ok(())
    }

    fn feed(&mut self, record: Recorded) {
        let Some(player) = self.player.as_mut() else { return };
        let at = record.at;
        match record.input {
            _ if self.is_exact => player.feed_exactly(record),
            // The other configuration stays in force.
            Input::Apply(_) if self.other.is_some() => player.pass(at),
            input => feed(player, at, input),
        }
    }
}

fn feed(player: &mut Player<Recording>, at: Now, input: Input) {
    if let Input::Observed { check, observation } = &input {
        match observation.health() {
            Health::Healthy | Health::Unknown => player.world.last.insert(check.clone(), observation.clone()),
            Health::Failing => player.world.last.remove(check),
        };
    }
    player.feed(at, input);
}

/// The bundle that is in force: the recorded one, or that of another configuration.
fn in_force(recorded: Bundle, other: Option<&Configuration>) -> Result<Bundle, Failure> {
    let Some(other) = other else { return Ok(recorded) };
    let bundle = other.bundle(&inventory(&recorded), recorded.parts().generation);
    bundle.map_err(|wrong| Failure::wrong(&wrong))
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
        show::print_json(
            &json!({"schema": SCHEMA, "programs": told.programs, "inputs": inputs, "flaws": flaws, "steps": as_json(&told.lines)}),
        );
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
        show::print_json(
            &json!({"schema": SCHEMA, "programs": recorded.programs, "inputs": recorded.inputs, "differences": differences}),
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_build_recorded_is_said_once_and_of_its_own_nothing_is() {
        let own = "1.0.0 (build 54bc)";
        let of = |programs: &[Option<&str>]| {
            let programs = programs.iter().map(|program| program.map(str::to_owned)).collect();
            by_others(&programs, own)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Some(own), Some(own)]), None);
        let said = of(&[Some(own), Some("1.0.0 (build 77)"), None]).expect("others");
        assert!(said.contains("by an ansai that did not say which it is, ansai 1.0.0 (build 77), and replayed by ansai 1.0.0 (build 54bc): "), "{said}");
    }
}
