//! A scenario: what a configuration is tested with. A few lines say what happens when; below `---` stands what the
//! engine is expected to do.
//!
//! ```text
//! # A killed service is restarted.
//! config ansai.yaml
//! unit nginx.service
//! at 10s nginx.service#unit failing the main process was killed
//! mend restart
//! until 5m
//! ---
//! 00:00:10.000  i1  nginx.service  decided: …
//! ```

mod details;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ansai_engine::{Effect, HostEngine, Input, State};
use ansai_model::{
    action::ActionOutcome,
    bundle::Bundle,
    domain::OF_UNITS,
    id::{CheckId, TargetId, UnitName},
    observation::Observation,
    text::Text,
    time::WallTime,
};

use self::details::Fields;
use super::player::{Player, World, moment};

/// The line above what is expected.
const RULER: &str = "---";
/// How long a scenario lasts when it does not say.
const UNTIL: Duration = Duration::from_secs(600);
/// Longest that one may last.
const UNTIL_MAX: Duration = Duration::from_secs(7 * 86_400);
/// How long a look takes.
const LOOK: Duration = Duration::from_millis(1);
/// How long an action takes.
const ACTION: Duration = Duration::from_millis(20);
/// Most lines of a scenario.
const LINES_MAX: usize = 2_000;

/// What happens at one moment.
#[derive(Clone, Debug, PartialEq)]
struct ScriptedEvent {
    at: Duration,
    what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
enum What {
    /// A check sees something else.
    Seen { check: CheckId, word: Word, text: String },
    /// From now on the looks of a check hold these.
    Has { check: CheckId, fields: Fields },
    /// The host's figures are these.
    Host(Fields),
}

/// What a check sees from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Healthy,
    Failing,
    Unknown,
}

/// A scenario as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scenario {
    /// The configuration, relative to the scenario's folder; the program's own when it is left out.
    pub(super) config: Option<PathBuf>,
    /// The units that the host has.
    pub(super) units: Vec<UnitName>,
    events: Vec<ScriptedEvent>,
    mends: Vec<String>,
    until: Duration,
    /// What is expected, a line each.
    pub(super) expected: Vec<String>,
}

/// Reads a scenario.
///
/// # Errors
/// The first line that is not understood, with its number.
pub(super) fn parse(text: &str) -> Result<Scenario, String> {
    if text.lines().nth(LINES_MAX).is_some() {
        return Err(format!("it has more than {LINES_MAX} lines"));
    }
    let mut scenario = Scenario {
        config: None,
        units: Vec::new(),
        events: Vec::new(),
        mends: Vec::new(),
        until: UNTIL,
        expected: text.lines().skip_while(|line| *line != RULER).skip(1).map(str::to_owned).collect(),
    };
    for (index, line) in text.lines().take_while(|line| *line != RULER).enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            scenario.add(line).map_err(|wrong| format!("line {}: {wrong}", index + 1))?;
        }
    }
    scenario.events.sort_by_key(|event| event.at);
    Ok(scenario)
}

impl Scenario {
    fn add(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "config" => self.config = Some(rest.into()),
            "unit" => self.units.push(UnitName::new(rest).map_err(|error| error.to_string())?),
            "mend" if rest.is_empty() => return Err("write which action mends, as in `mend restart`".into()),
            "mend" => self.mends.push(rest.to_owned()),
            "until" => self.until = duration(rest)?,
            "at" => self.events.push(event(rest)?),
            other => return Err(format!("`{other}` is none of config, unit, at, mend, until")),
        }
        Ok(())
    }

    /// Plays it, and says what happened, a line each.
    pub(super) fn play(&self, bundle: Bundle) -> Result<Vec<String>, String> {
        let known = |check: &CheckId| bundle.parts().checks.contains_key(check);
        let named = self.events.iter().filter_map(|event| match &event.what {
            What::Seen { check, .. } | What::Has { check, .. } => Some(check),
            What::Host(_) => None,
        });
        if let Some(wrong) = named.into_iter().find(|check| !known(check)) {
            let checks: Vec<_> = bundle.parts().checks.keys().map(CheckId::as_str).collect();
            return Err(format!("there is no check `{wrong}`; there are: {}", checks.join(", ")));
        }
        let world = Script { sees: BTreeMap::new(), has: BTreeMap::new(), mends: self.mends.clone() };
        let mut player = Player::new(bundle, State::default(), moment(Duration::ZERO), world);
        player.feed(moment(Duration::ZERO), Input::Started);
        let mut figures = BTreeMap::new();
        for ScriptedEvent { at, what } in &self.events {
            player.pass_each(moment(*at));
            match what {
                What::Seen { check, word, text } => {
                    let observation = match word {
                        Word::Healthy => Observation::healthy(text.as_str()),
                        Word::Failing => Observation::failing(text.as_str()),
                        Word::Unknown => Observation::unknown(text.as_str()),
                    };
                    player.world.sees.insert(check.clone(), observation);
                    let observation = player.world.look(check);
                    player.feed(moment(*at), Input::Observed { check: check.clone(), observation });
                }
                What::Has { check, fields } => drop(player.world.has.insert(check.clone(), fields.clone())),
                What::Host(fields) => {
                    figures.extend(fields.iter().cloned());
                    player.feed(moment(*at), Input::Facts(figures.clone()));
                }
            }
        }
        player.pass_each(moment(self.until));
        let lines = player.take_lines();
        let lines = lines
            .iter()
            .map(|line| format!("{}  {}  {}  {}", clock(line.at.wall), line.incident, line.target.name(), line.text));
        Ok(lines.collect())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = ansai_document::units::duration(text)?;
    if duration > UNTIL_MAX { Err("a scenario lasts at most 7 days".into()) } else { Ok(duration) }
}

fn event(text: &str) -> Result<ScriptedEvent, String> {
    let form = "write `at 10s nginx.service#unit failing why`";
    let mut words = text.splitn(4, char::is_whitespace);
    let (Some(at), Some(check), Some(word)) = (words.next(), words.next(), words.next()) else {
        return Err(form.into());
    };
    let (at, rest) = (duration(at)?, words.next());
    if check == "host" {
        return host(word, rest.unwrap_or_default()).map(|fields| ScriptedEvent { at, what: What::Host(fields) });
    }
    let check = CheckId::new(check).or_else(|_| CheckId::new(format!("{OF_UNITS}/{check}")));
    let check = check.map_err(|error| error.to_string())?;
    let word = match word {
        "has" => {
            let fields = details::parse(rest.unwrap_or_default())?;
            return match fields.iter().find(|(name, _)| name.starts_with("host.")) {
                Some((name, _)) => Err(format!("`{name}` is the host's: write `at 10s host has {name} == …`")),
                None => Ok(ScriptedEvent { at, what: What::Has { check, fields } }),
            };
        }
        "healthy" => Word::Healthy,
        "failing" => Word::Failing,
        "unknown" => Word::Unknown,
        other => return Err(format!("`{other}` is none of healthy, failing, unknown, has: {form}")),
    };
    let text = rest.unwrap_or("as the scenario says").to_owned();
    Ok(ScriptedEvent { at, what: What::Seen { check, word, text } })
}

/// The host's figures, as in `host has host.load == 5`.
fn host(word: &str, rest: &str) -> Result<Fields, String> {
    let form = "write `at 10s host has host.load == 5`";
    if word != "has" {
        return Err(form.into());
    }
    let fields = details::parse(rest)?;
    match fields.iter().find(|(name, _)| !name.starts_with("host.")) {
        Some((name, _)) => Err(format!("`{name}` is no figure of the host: {form}")),
        None => Ok(fields),
    }
}

/// The time since the beginning, as a clock shows it.
fn clock(at: WallTime) -> String {
    let (seconds, millis) = (at.0 / 1000, at.0 % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The world of a scenario: each check sees what was last said of it, and each action succeeds.
struct Script {
    sees: BTreeMap<CheckId, Observation>,
    has: BTreeMap<CheckId, Fields>,
    mends: Vec<String>,
}

impl Script {
    fn mend(&mut self, target: &TargetId) {
        let prefix = format!("{target}#");
        self.sees.retain(|check, _| !check.as_str().starts_with(&prefix));
        self.has.retain(|check, _| !check.as_str().starts_with(&prefix));
    }

    fn look(&self, check: &CheckId) -> Observation {
        let seen = self.sees.get(check).cloned().unwrap_or_else(|| Observation::healthy("well"));
        match self.has.get(check) {
            Some(fields) => details::with(seen, fields),
            None => seen,
        }
    }
}

impl World for Script {
    fn answer(&mut self, effect: &Effect, _engine: &HostEngine) -> Option<(Duration, Input)> {
        match effect {
            Effect::Observe(check) => {
                Some((LOOK, Input::Observed { check: check.clone(), observation: self.look(check) }))
            }
            Effect::Perform(run) => {
                let what = run.action.describe();
                if self.mends.iter().any(|mend| what.as_str() == mend || what.as_str().starts_with(&format!("{mend} ")))
                {
                    self.mend(&run.target);
                }
                let outcome = ActionOutcome::Succeeded { note: Text::new("as the scenario says") };
                Some((ACTION, Input::ActionEnded { run: run.id, outcome }))
            }
            Effect::Gather(request) => {
                let (incident, request) = (request.incident, Some(request.number));
                Some((LOOK, Input::Gathered { incident, request, evidence: Vec::new() }))
            }
            Effect::Dispatch(dispatch) => Some((Duration::ZERO, Input::Dispatched { dispatch: dispatch.id })),
            Effect::Answer { .. } | Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let cases = [
            ("unit a.service\nmned restart", "line 2: `mned` is none of config, unit, at, mend, until"),
            ("at 10s", "line 1: write `at 10s nginx.service#unit failing why`"),
            (
                "at 1s a.service#unit broken",
                "line 1: `broken` is none of healthy, failing, unknown, has: write `at 10s nginx.service#unit failing why`",
            ),
            ("mend", "line 1: write which action mends, as in `mend restart`"),
            ("at 1s host load 5", "line 1: write `at 10s host has host.load == 5`"),
            (
                "at 1s host has unit.signal == 9",
                "line 1: `unit.signal` is no figure of the host: write `at 10s host has host.load == 5`",
            ),
            (
                "at 1s a.service#unit has host.load == 5",
                "line 1: `host.load` is the host's: write `at 10s host has host.load == …`",
            ),
            (
                "at 1s a.service#unit has unit.restarts == 5s",
                "line 1: `unit.restarts` is a number, but `5s` is a duration: write a number, as 3 or 0.5",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text), expected);
        }
    }

    #[test]
    fn events_are_in_the_order_of_time_and_expectations_below_the_ruler() {
        let text = "at 20s a.service#unit healthy\nat 10s a.service#unit failing it died\nuntil 1m\n---\nx\n\ny\n";
        let scenario = parse(text).expect("valid");
        assert!(matches!(&scenario.events[0].what, What::Seen { text, .. } if text == "it died"));
        assert_eq!(scenario.until, Duration::from_secs(60));
        assert_eq!(scenario.expected, ["x", "", "y"]);
        assert_eq!(clock(WallTime(3_723_004)), "01:02:03.004");
    }
}
