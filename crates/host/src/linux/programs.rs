//! Who may change the programs that are run: whoever can is obeyed as if they had the user that runs them.
//!
//! A program, and the script that it is to read, belongs to root, to the agent's own user, or to the user that it is
//! declared to run as, and so does each folder on the way. One that does not exist cannot be changed.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ansai_model::probe::CommandLine;

use super::{
    command,
    owned_path::{self, Refused, Trusted, number},
};

/// Programs that run what their first argument names.
const INTERPRETERS: &[&str] =
    &["sh", "ash", "bash", "dash", "ksh", "zsh", "busybox", "env", "perl", "php", "ruby", "node", "lua", "Rscript"];

/// A program that somebody else may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changeable {
    /// Which.
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
    let user = line.user.as_deref();
    let trusted = Trusted::own().and(user.and_then(|name| number("/etc/passwd", name)));
    let judged = programs(line).into_iter().filter_map(|program| {
        let why = owned_path::is_settled(&program, &trusted).err()?;
        Some(Changeable { program, holder: holder.to_owned(), user: line.user.clone(), why })
    });
    judged.collect()
}

/// The files that a command runs: its program, programs among its arguments, and the script of an interpreter.
fn programs(line: &CommandLine) -> Vec<PathBuf> {
    let Some((program, arguments)) = line.argv.split_first() else { return Vec::new() };
    let folder = Path::new(line.directory.as_deref().unwrap_or("/"));
    let mut found: Vec<PathBuf> = if program.contains('/') {
        vec![folder.join(program)]
    } else {
        // The first is the one that runs.
        command::FOLDERS
            .iter()
            .map(|searched| Path::new(searched).join(program))
            .find(|path| path.is_file())
            .into_iter()
            .collect()
    };
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_interpreter = INTERPRETERS.contains(&name) || name.starts_with("python");
    let script = arguments.iter().find(|argument| !argument.starts_with('-') && !argument.contains('='));
    found.extend(script.filter(|_| is_interpreter).map(|script| folder.join(script)));
    found.extend(arguments.iter().map(PathBuf::from).filter(|path| path.is_absolute() && is_program(path)));
    found.retain(|path| path.is_file());
    found
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
