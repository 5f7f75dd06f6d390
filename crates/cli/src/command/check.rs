//! `ansai check`: everything that is wrong with a configuration, or dangerous in it, at once.

use std::path::PathBuf;

use ansai_document::Diagnostic;
use ansai_notify::channel::render;
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

pub(super) fn check(paths: &Paths, path: Option<PathBuf>, warnings: Warnings) -> Result<Code, Failure> {
    let path = path.unwrap_or_else(|| paths.config.clone());
    patience::read(&path, || super::config::permitted(&path))?;
    let configuration = match patience::read(&path, || ansai_agent::trust::load(&path)) {
        Ok(configuration) => configuration,
        Err(mut wrong) if paths.json => {
            owned(paths, &mut wrong.0);
            let answer = json!({"schema": ansai_protocol::SCHEMA, "errors": wrong.0, "warnings": []});
            show::print_json(&answer);
            return Ok(Code::Usage);
        }
        Err(wrong) => return Err(Failure::wrong(&wrong)),
    };
    let mut found = configuration.warnings().to_vec();
    // Another file may be another host's.
    if path == paths.config {
        found.extend(super::units::warnings(paths, &configuration));
    }
    owned(paths, &mut found);
    let code = if warnings == Warnings::Refused && !found.is_empty() { Code::Usage } else { Code::Ok };
    if paths.json {
        show::print_json(&json!({"schema": ansai_protocol::SCHEMA, "errors": [], "warnings": found}));
        return Ok(code);
    }
    for warning in &found {
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
    show::print(&format!("{} is valid ({files}{said})", path.display()));
    Ok(code)
}

/// What is suggested to somebody who looks after their own services is done with their own systemd.
fn owned(paths: &Paths, found: &mut [Diagnostic]) {
    for one in found.iter_mut().filter(|_| paths.user) {
        one.suggestion = one.suggestion.as_deref().map(render::for_user);
    }
}
