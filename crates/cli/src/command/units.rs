//! What this host says of the units that its configuration names: for `check` and `doctor`. A host on which no
//! systemd answers is told nothing: a guess would be wrong elsewhere.

use ansai_config::Configuration;
use ansai_document::Diagnostic;

use crate::Paths;

/// Units that do not exist here, with the nearest name, and those that are watched by two names.
pub(super) fn warnings(paths: &Paths, configuration: &Configuration) -> Vec<Diagnostic> {
    // Root is answered by the system's manager, everybody else by their own.
    let is_asked = rustix::process::geteuid().is_root() != paths.user;
    let named = configuration.units();
    if !is_asked || named.is_empty() {
        return Vec::new();
    }
    match super::config::standings(paths, &named) {
        Some((standings, known)) => configuration.unit_warnings(&standings, &known),
        None => Vec::new(),
    }
}
