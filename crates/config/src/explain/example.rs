//! An example of every key, where the lines of the keys do not say it all: of the whole file, of what ends by itself, and of
//! what is valid in another place only. A test goes through all keys and reads each example.

use ansai_keys::{
    Key, Kind,
    example::{self, Part, row_of},
};

use crate::{
    domain::sections,
    keys::{action::STEP, config::CONFIG, long::RUNG},
};

/// Of the whole file.
const WHOLE: &str = "autonomy: act\nservices:\n  nginx.service: {probe: \"http://127.0.0.1/\"}\n";
/// Sections besides those of the domains in which a name stands for itself; in others it refers to something that must be
/// there.
const OWN_NAMES: &[&str] = &["notify", "policies"];

/// The example of a key, as lines of YAML.
pub(super) fn of(path: &[Part], kind: &Kind) -> String {
    let elsewhere = in_its_place(path);
    let path = elsewhere.as_deref().unwrap_or(path);
    let Some(section) = path.iter().find_map(row_of) else { return WHOLE.to_owned() };
    let is_own = |section: &Key| sections().chain(OWN_NAMES.iter().copied()).any(|own| own == section.name);
    let text = example::of(path, kind, &is_own);
    // What ends by itself may stand in one place only.
    if section.name == "expires" { format!("# layers/emergency.yaml\n{text}") } else { text }
}

/// Another way to a key that the table knows in a place where it is never valid: a service has a look at its own unit, or
/// process, already, so that another one has a name; and nobody asks for a wait, which stands in a runbook.
fn in_its_place(path: &[Part]) -> Option<Vec<Part>> {
    let Some(Part::Key(last, shape)) = path.last() else { return None };
    if last.name == "wait" && shape.title == STEP.title {
        let runbooks = Part::Key(CONFIG.key("runbooks")?, &CONFIG);
        let steps = Part::Key(RUNG.key("steps")?, &RUNG);
        return Some(vec![runbooks, Part::Name(None), Part::Item, steps, Part::Item, Part::Key(last, shape)]);
    }
    let (before, [Part::Key(probe, shape), look]) = path.split_last_chunk::<2>()? else { return None };
    let probes = shape.key("probes").filter(|_| probe.name == "probe")?;
    let own = ["unit", "state", "process"].contains(&last.name);
    let named = [Part::Key(probes, shape), Part::Name(Some("other".to_owned())), look.clone()];
    own.then(|| [before, &named].concat())
}

#[cfg(test)]
mod tests;
