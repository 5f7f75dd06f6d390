//! What the agent may do: it is asked to try, since only it is inside its unit. Where no agent runs, this program tries
//! itself, and says that it did so outside of the unit.

use ansai_host::linux::{LinuxHost, Options, ability};
use ansai_model::bundle::Bundle;
use tokio_util::task::TaskTracker;

use super::{Finding, fail, ok, warn};
use crate::{Paths, client};

/// Most targets that are named.
const NAMED_MAX: usize = 3;

/// By the agent that runs.
pub(super) fn inside(paths: &Paths) -> Vec<Finding> {
    let abilities = match client::abilities(paths) {
        Ok(answer) => answer.abilities,
        Err(failure) => {
            let what = format!("the agent did not try what it may do: {}", failure.what());
            return vec![warn(what, "restart the agent when it is an older version: systemctl restart ansai")];
        }
    };
    let missing = abilities.iter().filter_map(|trial| {
        let what = in_words(trial.what.as_str(), &trial.needed_by, trial.error.as_ref()?.as_str());
        Some(fail(format!("the agent may not {what}"), trial.suggestion.as_str()))
    });
    let missing: Vec<Finding> = missing.collect();
    match missing.is_empty() {
        true => vec![ok(format!(
            "the agent may do all that the configuration needs: it has just tried {} things",
            abilities.len()
        ))],
        false => missing,
    }
}

/// By this program, with the rights of whoever asks.
pub(super) fn outside(paths: &Paths, bundle: &Bundle) -> Vec<Finding> {
    if !paths.user && !rustix::process::geteuid().is_root() {
        return vec![warn(
            "what the agent may do was not tried: no agent runs here",
            "start the agent, or run this as root",
        )];
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let tried = runtime.block_on(async {
        let host = LinuxHost::new(Options::this_machine(paths.state_dir.clone()), &TaskTracker::new());
        ability::try_all(&host, ability::needs(bundle, &paths.state_dir)).await
    });
    runtime.shutdown_background();
    let missing = tried.iter().filter_map(|tried| {
        let needed_by: Vec<String> = tried.needed_by.iter().cloned().collect();
        let what = in_words(&tried.ability.to_string(), &needed_by, tried.error.as_ref()?);
        Some(warn(format!("this program may not {what}"), tried.ability.suggestion()))
    });
    let missing: Vec<Finding> = missing.collect();
    let count = tried.len() - missing.len();
    let what = format!(
        "no agent runs here, so what it needs was tried outside of its unit: {count} of {} can be done",
        tried.len()
    );
    let todo = "ask again while the agent runs: its unit may allow less";
    std::iter::once(warn(what, todo)).chain(missing).collect()
}

fn in_words(what: &str, needed_by: &[String], why: &str) -> String {
    let named = needed_by.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match needed_by.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{what}, which {named}{more} needs: {why}")
}
