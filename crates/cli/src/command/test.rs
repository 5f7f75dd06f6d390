//! `ansai test`: runs scenarios against a configuration and compares what the engine does with what is expected.

use std::path::{Path, PathBuf};

use ansai_model::inventory::Inventory;
use ansai_protocol::SCHEMA;
use serde_json::json;

use super::{replay::running, scenario};
use crate::{
    Paths,
    exit::{Code, Failure},
    patience, show,
};

/// How the files of scenarios end.
const ENDING: &str = "scenario";
/// Largest scenario that is read, in bytes.
const BYTES_MAX: u64 = 1 << 20;
/// Most scenarios of one folder.
const FILES_MAX: usize = 1_000;

const READ: &str = "see who may read it: ls -ld";
const WRITTEN: &str = "see who may write it: ls -l";

/// What came of one scenario.
struct Outcome {
    path: PathBuf,
    text: String,
    expected: Vec<String>,
    result: Result<Vec<String>, String>,
}

impl Outcome {
    fn is_well(&self) -> bool {
        self.result.as_ref().is_ok_and(|happened| *happened == self.expected)
    }
}

pub(super) fn test(paths: &Paths, path: Option<PathBuf>) -> Result<Code, Failure> {
    let outcomes = outcomes(paths, path)?;
    let failed = outcomes.iter().filter(|outcome| !outcome.is_well()).count();
    if paths.json {
        let tests = outcomes.iter().map(|outcome| {
            let (happened, error) = match &outcome.result {
                Ok(happened) => (happened.as_slice(), None),
                Err(error) => (&[][..], Some(error)),
            };
            json!({"path": outcome.path, "ok": outcome.is_well(), "happened": happened, "error": error})
        });
        show::print_json(&json!({"schema": SCHEMA, "tests": tests.collect::<Vec<_>>()}));
    } else {
        outcomes.iter().for_each(|outcome| show::print(&rendered(outcome)));
        show::print(&format!("{} passed, {failed} failed", outcomes.len() - failed));
    }
    Ok(if failed == 0 { Code::Ok } else { Code::Failing })
}

/// Writes what happens now as what is expected.
pub(super) fn bless(paths: &Paths, path: Option<PathBuf>) -> Result<Code, Failure> {
    for outcome in outcomes(paths, path)? {
        let shown = outcome.path.display();
        let happened = outcome.result.as_ref().map_err(|error| {
            Failure::new(
                Code::Usage,
                format!("{shown}: {error}"),
                "mend it; /usr/share/doc/ansai/docs/scenarios.md says how one is written",
            )
        })?;
        if outcome.is_well() {
            continue;
        }
        let story: Vec<&str> = outcome.text.lines().take_while(|line| *line != "---").collect();
        let text = format!("{}\n---\n{}\n", story.join("\n"), happened.join("\n"));
        std::fs::write(&outcome.path, text)
            .map_err(|error| Failure::new(Code::Failing, format!("{shown}: {}", ansai_files::said(&error)), WRITTEN))?;
        show::print(&format!("blessed {shown}; read it before you commit it"));
    }
    Ok(Code::Ok)
}

fn outcomes(paths: &Paths, path: Option<PathBuf>) -> Result<Vec<Outcome>, Failure> {
    let is_folder = || patience::read(&paths.config, || paths.config.is_dir());
    let path = path.unwrap_or_else(|| match is_folder() {
        true => paths.config.clone(),
        false => paths.config.parent().unwrap_or(Path::new(".")).to_owned(),
    });
    let files = patience::read(&path, || files(&path))?;
    if files.is_empty() {
        let what = format!("there is no .{ENDING} file in {}", path.display());
        return Err(Failure::new(Code::Usage, what, "/usr/share/doc/ansai/docs/scenarios.md says how one is written"));
    }
    Ok(files.into_iter().map(|path| outcome(paths, path)).collect())
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if let Err(error) = path.metadata() {
        let what = format!("{}: {}", path.display(), ansai_files::said(&error));
        return Err(Failure::new(Code::Usage, what, format!("name a .{ENDING} file, or a folder of them")));
    }
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| {
        Failure::new(Code::Usage, format!("{}: {}", path.display(), ansai_files::said(&error)), READ)
    })?;
    let is_scenario = |path: &PathBuf| path.extension().is_some_and(|ending| ending == ENDING);
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_scenario).take(FILES_MAX).collect();
    files.sort();
    Ok(files)
}

fn outcome(paths: &Paths, path: PathBuf) -> Outcome {
    let mut outcome = Outcome { path, text: String::new(), expected: Vec::new(), result: Ok(Vec::new()) };
    outcome.result = run(paths, &mut outcome);
    outcome
}

fn run(paths: &Paths, outcome: &mut Outcome) -> Result<Vec<String>, String> {
    let text = patience::read(&outcome.path, || ansai_files::text(&outcome.path, BYTES_MAX));
    outcome.text = text.map_err(|error| error.why.to_string())?;
    let scenario = scenario::parse(&outcome.text)?;
    outcome.expected.clone_from(&scenario.expected);
    let folder = outcome.path.parent().unwrap_or(Path::new("."));
    let config = scenario.config.as_ref().map_or_else(|| paths.config.clone(), |config| folder.join(config));
    let configuration = patience::read(&config, || ansai_config::load(&config)).map_err(|wrong| wrong.to_string())?;
    let units = scenario.units.iter().cloned().map(running).collect();
    let inventory = Inventory { units, ..Inventory::default() };
    let bundle = configuration.bundle(&inventory, 1).map_err(|wrong| wrong.to_string())?;
    scenario.play(bundle)
}

/// A passed test in a line; a failed one with the lines that differ.
fn rendered(outcome: &Outcome) -> String {
    let shown = outcome.path.display();
    match &outcome.result {
        Ok(_) if outcome.is_well() => format!("ok    {shown}"),
        Ok(happened) => {
            let same = happened.iter().zip(&outcome.expected).take_while(|(now, then)| now == then).count();
            let mut lines = vec![format!("FAIL  {shown}: it differs from line {} of what is expected", same + 1)];
            lines.extend(outcome.expected.iter().skip(same).map(|line| format!("  - {line}")));
            lines.extend(happened.iter().skip(same).map(|line| format!("  + {line}")));
            lines.join("\n")
        }
        Err(error) => format!("FAIL  {shown}: {error}"),
    }
}
