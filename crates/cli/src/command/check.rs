//! `ansai check`: everything that is wrong with a configuration, or dangerous in it, at once.

use std::path::{Path, PathBuf};

use ansai_config::Configuration;
use ansai_document::{Diagnostic, Diagnostics};
use serde_json::json;

use crate::{
    Paths,
    exit::{Code, Failure},
    patience, show,
};

/// What a warning means for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warnings {
    /// They are said.
    Said,
    /// They are as bad as errors.
    Refused,
}

impl Warnings {
    /// As `--strict` was given or not.
    pub(super) fn when(is_strict: bool) -> Self {
        if is_strict { Self::Refused } else { Self::Said }
    }
}

pub(super) fn check(paths: &Paths, path: Option<PathBuf>, warnings: Warnings) -> Result<Code, Failure> {
    let path = path.unwrap_or_else(|| paths.config.clone());
    patience::read(&path, || super::config::permitted(&path))?;
    let configuration = match patience::read(&path, || load(paths, &path)) {
        Ok(configuration) => configuration,
        Err(mut wrong) if paths.json => {
            show::suggested(&mut wrong.0);
            let answer = json!({"schema": ansai_protocol::SCHEMA, "errors": wrong.0, "warnings": []});
            show::print_json(&answer);
            return Ok(Code::Usage);
        }
        Err(wrong) => return Err(Failure::wrong(&wrong)),
    };
    let mut found = configuration.warnings().to_vec();
    let mut here = of_this_host(paths, &path, &configuration);
    show::suggested(&mut found);
    show::suggested(&mut here);
    // What this host lacks is no fault of a file that may be another's.
    if path == paths.config {
        found.append(&mut here);
    }
    let code = if warnings == Warnings::Refused && !found.is_empty() { Code::Usage } else { Code::Ok };
    if paths.json {
        let schema = ansai_protocol::SCHEMA;
        show::print_json(&json!({"schema": schema, "errors": [], "warnings": found, "on_this_host": here}));
        return Ok(code);
    }
    for warning in found.iter().chain(&here) {
        show::note(&format!("{}\n", warning.text(show::terminal().error_columns)));
    }
    if code == Code::Usage {
        let what = format!("{}: --strict allows no warnings, and there are {}", path.display(), found.len());
        return Err(Failure::new(code, what, "mend them, or leave --strict out"));
    }
    let files = match configuration.files().len() {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    };
    let said = match found.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    let of_host = match here.len() {
        0 => String::new(),
        many => format!("; for this host {}", show::count(many, "warning")),
    };
    show::print(&format!("{} is valid ({files}{said}{of_host})", path.display()));
    Ok(code)
}

/// What is allowed and dangerous in this host's configuration, for whoever has had it brought into force: what is in force is
/// no error, so what cannot be read here, as by somebody who may not, is no more said.
pub(super) fn warnings(paths: &Paths) -> Vec<Diagnostic> {
    if super::config::permitted(&paths.config).is_err() {
        return Vec::new();
    }
    let read = patience::read(&paths.config, || load(paths, &paths.config));
    let found = |configuration: Configuration| {
        let mut found = configuration.warnings().to_vec();
        found.extend(of_this_host(paths, &paths.config, &configuration));
        show::suggested(&mut found);
        found
    };
    read.map(found).unwrap_or_default()
}

fn load(paths: &Paths, path: &Path) -> Result<Configuration, Diagnostics> {
    ansai_agent::trust::load(path, super::config::of_fleet(paths, path)?)
}

/// What this host lacks of what a configuration names, whether it is the one in force or is to become it.
fn of_this_host(paths: &Paths, path: &Path, configuration: &Configuration) -> Vec<Diagnostic> {
    let mut found = super::units::warnings(paths, configuration);
    found.extend(super::cluster::warnings(path, configuration));
    found
}
