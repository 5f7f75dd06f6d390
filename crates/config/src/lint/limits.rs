//! Limits that are none: what a policy, a budget or a period allows that nobody would want.

use std::time::Duration;

use ansai_document::{Findings, Node, Place, place_of, text::joined, units::shown_duration};

/// More attempts of one remediation are no limit.
const ATTEMPTS_MAX: u32 = 20;
/// More disruptive actions an hour than this are no limit.
const ACTIONS_PER_HOUR_MAX: f64 = 60.0;

/// Of a policy.
pub(crate) fn policy(findings: &mut Findings<'_>, node: &Node, key: &str) {
    if node.duration_at("cooldown").is_some_and(|cooldown| cooldown.is_zero()) {
        let what = "without a cooldown remedies follow each other without a pause";
        findings.warning(place_of(node, "cooldown"), &joined(key, "cooldown"), what, "write 10s or more".to_owned());
    }
    if node.duration_at("stable_for").is_some_and(|stable| stable.is_zero()) {
        let what = "without a time of stability a service that dies again counts as healed";
        findings.warning(
            place_of(node, "stable_for"),
            &joined(key, "stable_for"),
            what,
            "write 10s or more".to_owned(),
        );
    }
    if let Some(attempts) = node.count_at("attempts").filter(|attempts| *attempts > ATTEMPTS_MAX) {
        let what = format!("{attempts} attempts are no limit: a person is told too late");
        findings.warning(place_of(node, "attempts"), &joined(key, "attempts"), what, "write 10 or less".to_owned());
    }
    budget(findings, node, "budget", key);
}

/// Of a budget under this name.
pub(crate) fn budget(findings: &mut Findings<'_>, parent: &Node, name: &str, key: &str) {
    let Some(node) = parent.section(name) else { return };
    let (Some(actions), Some(per)) = (node.count_at("actions"), node.duration_at("per")) else { return };
    let hours = per.as_secs_f64() / 3_600.0;
    if f64::from(actions) > ACTIONS_PER_HOUR_MAX * hours {
        let what = format!("{actions} actions in {} are no limit", shown_duration(per));
        findings.warning(
            place_of(node, "actions"),
            &joined(key, name),
            what,
            "write as {actions: 6, per: 1h}".to_owned(),
        );
    }
}

/// A look that may take longer than its period.
pub(crate) fn too_slow(findings: &mut Findings<'_>, place: Place, key: &str, every: Duration, timeout: Duration) {
    if every < timeout {
        let [every, timeout] = [every, timeout].map(shown_duration);
        let what = format!("it looks every {every} and may wait {timeout} for one answer");
        findings.warning(place, key, what, format!("write timeout: {every}, or a longer period"));
    }
}
