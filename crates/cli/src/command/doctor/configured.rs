//! What is to be said of the configuration and of the units in it: what `check` says, once, and what the agent warns of besides.

use ansai_agent::warnings::{CHECK_SAYS, DOCTOR_SAYS};
use ansai_config::{NOBODY_TO_TELL, NOTHING_WATCHED};
use ansai_document::Diagnostic;
use ansai_model::text::Text;

use super::{
    super::{cluster, config, units},
    Finding, INDENT, answer_of, fail, ok, warn,
};
use crate::{Paths, show};

/// Most warnings of the configuration that are told one by one.
const WARNINGS_SAID_MAX: usize = 10;

/// Whether the configuration can be read and is right, and each thing that `check` warns of.
pub(super) fn file(paths: &Paths) -> Vec<Finding> {
    let config = &paths.config;
    let path = config.display();
    if let Err(failure) = config::permitted(config) {
        return vec![warn(failure.what(), failure.suggestion())];
    }
    if !config.exists() {
        return vec![fail(format!("there is no configuration {path}"), "write one from what runs here: ansai init")];
    }
    let read = config::of_fleet(paths, config).and_then(|of_fleet| ansai_agent::trust::load(config, of_fleet));
    match read {
        Ok(configuration) => {
            let valid = ok(format!("the configuration {path} is valid"));
            std::iter::once(valid).chain(warned(configuration.warnings())).collect()
        }
        Err(wrong) => {
            let columns = show::terminal().columns.map(|columns| columns.saturating_sub(INDENT.len()));
            let wrong = wrong.text(columns);
            vec![fail(format!("the configuration {path} is not valid\n{wrong}"), "mend it; ansai check")]
        }
    }
}

/// What `check` warns of, but for what is looked at here more closely: whether anybody is told, and what is watched.
fn warned(warnings: &[Diagnostic]) -> Vec<Finding> {
    let is_said_here = |one: &&Diagnostic| ![NOBODY_TO_TELL, NOTHING_WATCHED].contains(&one.what.as_str());
    let own: Vec<&Diagnostic> = warnings.iter().filter(is_said_here).collect();
    let more = own.len().saturating_sub(WARNINGS_SAID_MAX);
    let said = own.iter().take(WARNINGS_SAID_MAX).map(|one| {
        let todo = one.suggestion.clone().unwrap_or_else(|| "ansai check".to_owned());
        warn(one.in_a_line(), todo)
    });
    let rest = (more > 0)
        .then(|| warn(format!("the configuration has {}", show::count(more, "further warning")), "ansai check"));
    said.chain(rest).collect()
}

/// What the agent warns of, but for what points to what has been said here: of the configuration in force, when this program
/// could read it, and of its abilities, which it was asked for.
pub(super) fn standing(warnings: &[Text], has_read: bool) -> Vec<Finding> {
    let is_said =
        |text: &&Text| (has_read && text.as_str().ends_with(CHECK_SAYS)) || text.as_str().ends_with(DOCTOR_SAYS);
    let new = warnings.iter().filter(|text| !is_said(text));
    new.map(|text| warn(text.to_string(), "journalctl -u ansai says since when")).collect()
}

/// Units that are configured and that this host does not have, and what it is in the fleet that is named.
pub(super) fn of_this_host(paths: &Paths) -> Vec<Finding> {
    let asked = paths.clone();
    let Some(Some(configuration)) = answer_of(move || config::read(&asked).ok()) else { return Vec::new() };
    let found = units::warnings(paths, &configuration).into_iter();
    let units = found.map(|found| warn(found.in_a_line(), found.suggestion.unwrap_or_default()));
    units.chain(cluster::findings(paths, &configuration)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_check_and_the_agent_warn_of_is_said_once() {
        let read = |text: &str| ansai_config::parse(&[("ansai.yaml".into(), text.to_owned())]).expect("valid");
        let acting = read("autonomy: act\nservices: {app.service: {policy: {cooldown: 0s}}}\n");
        let own = warned(acting.warnings());
        assert!(acting.warnings().iter().any(|one| one.what == NOBODY_TO_TELL), "{:?}", acting.warnings());
        assert!(own.iter().all(|finding| !finding.what.contains(NOBODY_TO_TELL)), "it has a finding of its own");
        assert_eq!(own.len(), acting.warnings().len() - 1);
        assert!(own.iter().all(|finding| finding.what.contains("(ansai.yaml:2:") && !finding.todo.is_empty()));
        let of_agent = ["torn".to_owned(), format!("a; b{CHECK_SAYS}"), format!("may not{DOCTOR_SAYS}")];
        let of_agent = of_agent.map(Text::new);
        let said = |has_read| standing(&of_agent, has_read).into_iter().map(|finding| finding.what).collect::<Vec<_>>();
        assert_eq!(said(true), ["torn"]);
        assert_eq!(said(false), ["torn".to_owned(), format!("a; b{CHECK_SAYS}")]);
    }
}
