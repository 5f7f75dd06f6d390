//! From files to a configuration: `files` finds them, `stack` makes one tree of them, and here it is understood.

mod files;
pub(crate) mod resting;
mod stack;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use ansai_document::{Diagnostics, Findings, Sources};
use ansai_model::{inventory::Inventory, time::WallTime};

use self::stack::{Stack, stack};
use crate::{
    common::Common,
    configuration::Configuration,
    domain,
    layer::{Input, Layer},
    lint,
    read::{long, policy},
    shipped,
};

/// Reads a file, or the files of a folder, and the layers beside it, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path) -> Result<Configuration, Diagnostics> {
    load_over(path, Vec::new())
}

/// The same over weaker texts, the weakest first, as those of the host's fleet.
///
/// # Errors
/// Everything that is wrong.
pub fn load_over(path: &Path, weaker: Vec<Input>) -> Result<Configuration, Diagnostics> {
    let (inputs, mut unreadable) = files::inputs(path)?;
    if weaker.is_empty() && inputs.is_empty() && unreadable.0.is_empty() {
        unreadable.0.push(files::nothing_in(path));
    }
    read(weaker.into_iter().chain(inputs).collect(), unreadable, wall_now())
}

/// The same at a given time, which decides whether an emergency layer still holds.
///
/// # Errors
/// Everything that is wrong.
pub fn load_at(path: &Path, now: WallTime) -> Result<Configuration, Diagnostics> {
    let (inputs, unreadable) = files::inputs(path)?;
    read(inputs, unreadable, now)
}

/// When a file or folder of a configuration was last changed, so that it is read anew; nothing when none is there.
#[must_use]
pub fn changed_at(path: &Path) -> Option<SystemTime> {
    files::changed_at(path)
}

/// Reads texts with the names of their files as the host's layer, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Configuration, Diagnostics> {
    let input = |(file, text): &(PathBuf, String)| {
        let (layer, file, text) = (Layer::Host, file.clone(), text.clone());
        Input { layer, role: None, file, text }
    };
    parse_layers(texts.iter().map(input).collect())
}

/// Reads texts in their layers, the weakest first, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn parse_layers(texts: Vec<Input>) -> Result<Configuration, Diagnostics> {
    read(texts, Diagnostics(Vec::new()), wall_now())
}

fn wall_now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_millisecond())
}

fn read(own: Vec<Input>, unreadable: Diagnostics, now: WallTime) -> Result<Configuration, Diagnostics> {
    let mut inputs = own.clone();
    let (file, text) = (PathBuf::from(shipped::NAME), shipped::text());
    inputs.insert(0, Input { layer: Layer::Shipped, role: None, file, text });
    let sources = stack::sources(&inputs);
    let mut findings = Findings::new(&sources);
    unreadable.0.into_iter().for_each(|diagnostic| findings.push(diagnostic));
    let Stack { tree, files } = stack(&mut findings, &sources, &inputs, now);
    let zone = ansai_files::zone::system().zone;
    let common = Common::read(&mut findings, &tree);
    let mut configuration = Configuration {
        generation: tree.whole_at("generation"),
        long: long::long(&mut findings, &tree, &common),
        domains: domain::read(&mut findings, &tree, &common),
        maintenance: policy::windows(&mut findings, &tree, &zone, now),
        common,
        tree,
        files,
        inputs: own.into(),
        sources: Sources::default(),
        warnings: Vec::new(),
        civil_change: None,
    };
    configuration.place_in_civil_time(&zone, now);
    // What depends on several keys is checked against a host without units.
    let parts = configuration.assemble(&mut findings, &Inventory::default(), 1);
    if findings.is_valid() {
        lint::lint(&mut findings, &configuration, &configuration.tree);
        configuration.fit(&mut findings, parts);
    }
    configuration.warnings = findings.finish()?;
    configuration.sources = sources;
    Ok(configuration)
}
