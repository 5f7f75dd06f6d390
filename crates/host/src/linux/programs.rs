//! Who may change the programs that are run: whoever can is obeyed as if they had the user that runs them.
//!
//! A program, and the script that it is to read, belongs to root, to the agent's own user, or to the user that it is
//! declared to run as, and so does each folder on the way. One that does not exist is as bad as one that can be changed
//! where somebody else could make it. What a command line names is found in [`named`]; what a program begins of its own
//! accord is its own matter.

mod named;
mod pieces;

use std::{collections::BTreeSet, path::PathBuf};

use ansai_model::probe::CommandLine;

use super::owned_path::{self, Refused, Trusted, number};

/// A program that somebody else may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changeable {
    /// The path of the program.
    pub program: PathBuf,
    /// Who names it, as "check service/app/probe".
    pub holder: String,
    /// The user that it is declared to run as; the agent's own when absent.
    pub user: Option<String>,
    /// Who may change it, and what mends that.
    pub why: Refused,
}

/// The programs of a command, named by `holder`, that others than root, or whom it runs as, may change.
#[must_use]
pub fn changeable(holder: &str, line: &CommandLine) -> Vec<Changeable> {
    let programs: BTreeSet<PathBuf> = named::paths(line).into_iter().filter_map(named::Named::program).collect();
    let judged = judged(line, programs);
    let found =
        judged.map(|(program, why)| Changeable { program, holder: holder.to_owned(), user: line.user.clone(), why });
    found.collect()
}

/// Those of these programs that others may change, and how.
fn judged(line: &CommandLine, programs: impl IntoIterator<Item = PathBuf>) -> impl Iterator<Item = (PathBuf, Refused)> {
    let user = line.user.as_deref();
    let trusted = Trusted::own().and(user.and_then(|name| number("/etc/passwd", name)));
    programs.into_iter().filter_map(move |program| {
        let why = owned_path::is_settled(&program, &trusted).err()?;
        Some((program, why))
    })
}

/// Whether a program of this name is a shell, or another that runs what it is given to read.
pub(super) fn is_shell(name: &str) -> bool {
    named::is_interpreter(name)
}

/// What a command begins for sure. What it is only given is its own to read.
pub fn begun_by(line: &CommandLine) -> impl Iterator<Item = PathBuf> {
    named::paths(line).into_iter().filter_map(named::Named::begun)
}

/// Why a command is not begun now: others may change what it begins. Whoever asks may hang, as on any file.
#[must_use]
pub fn why_not_run(line: &CommandLine) -> Option<String> {
    let (program, why) = judged(line, begun_by(line)).next()?;
    Some(format!("{} is not run, since others can change it: {why}", program.display()))
}
