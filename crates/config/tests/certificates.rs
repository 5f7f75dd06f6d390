//! What is deduced from a certificate's few lines: its looks, whom it tells and when, and its ladder.

use ansai_config::parse;
use ansai_model::{bundle::BundleParts, inventory::Inventory, rule::Severity, runbook::Step};

fn parts() -> BundleParts {
    let text = include_str!("valid/certificates.yaml").to_owned();
    let configuration = parse(&[("certificates.yaml".into(), text)]).expect("valid");
    configuration.bundle(&Inventory::default(), 1).expect("it fits together").into_parts()
}

fn checks(parts: &BundleParts, name: &str) -> Vec<String> {
    let of_it = |id: &&ansai_model::id::CheckId| id.target() == format!("certificate/{name}");
    parts.checks.keys().filter(of_it).map(|id| id.name().to_owned()).collect()
}

/// The rungs that apply only when something holds, with what that is.
fn conditions(parts: &BundleParts, name: &str) -> Vec<String> {
    let runbook = parts.runbooks.iter().find(|(id, _)| id.as_str() == format!("certificate/{name}#good"));
    let rungs = runbook.map(|(_, runbook)| runbook.rungs.as_slice()).unwrap_or_default();
    let said = |rung: &ansai_model::runbook::Rung| Some(format!("{}: {}", rung.id, rung.when.as_ref()?.source));
    rungs.iter().filter_map(said).collect()
}

fn ladder(parts: &BundleParts, name: &str) -> Vec<(String, Vec<String>)> {
    let (_, runbook) = parts
        .runbooks
        .iter()
        .find(|(id, _)| id.as_str() == format!("certificate/{name}#good"))
        .unwrap_or_else(|| panic!("{name} has no ladder"));
    let step = |step: &Step| match step {
        Step::Act { action, .. } => action.describe().to_string(),
        Step::Wait(_) => "wait".to_owned(),
    };
    runbook.rungs.iter().map(|rung| (rung.id.to_string(), rung.steps.iter().map(step).collect())).collect()
}

#[test]
fn files_copies_and_servers_are_looked_at_and_people_told_in_time() {
    let parts = parts();
    let mut expected = ["file", "copy-1", "copy-2", "copy-3", "end"].to_vec();
    expected.extend(["tls-127.0.0.1:443", "smtp-127.0.0.1:25", "postgresql-::1:5432"]);
    expected.sort_unstable();
    assert_eq!(checks(&parts, "api.example.com"), expected);
    assert_eq!(checks(&parts, "wild"), ["end", "file"]);
    assert_eq!(checks(&parts, "shop.example.com"), ["file"]);
    assert_eq!(checks(&parts, "partner"), ["end", "tls-partner.example.com:443"]);
    let told = parts.rules.values().filter(|rule| rule.checks[0].name() == "end");
    assert!(told.clone().count() == 4 && told.into_iter().all(|rule| rule.condition.is_some()), "not at once");
    let severities: Vec<_> = parts
        .rules
        .values()
        .filter(|rule| rule.target.as_str() == "certificate/live")
        .map(|rule| (rule.checks[0].name().to_owned(), rule.severity))
        .collect();
    let at = |name: &str| severities.iter().find(|(check, _)| check == name).map(|(_, severity)| *severity);
    assert_eq!((at("file"), at("end")), (Some(Severity::Day), Some(Severity::Day)),);
}

#[test]
fn what_is_renewed_is_only_taken_over_and_what_is_due_is_renewed() {
    let parts = parts();
    let names = |name: &str| ladder(&parts, name).into_iter().map(|(rung, _)| rung).collect::<Vec<_>>();
    assert_eq!(names("api.example.com"), ["deploy", "reload", "renew", "take-over", "renew-later"]);
    assert_eq!(names("live"), ["reload", "renew", "take-over", "renew-later"]);
    assert_eq!(names("shop.example.com"), ["renew", "take-over", "renew-later"]);
    assert!(names("partner").is_empty(), "people are told");
    let (stale, due) = ("figure.certificate.is_stale == true", "figure.certificate.is_due == true");
    assert_eq!(
        conditions(&parts, "api.example.com"),
        [format!("deploy: {stale}"), format!("reload: {stale}"), format!("renew: {due}")]
    );
    let steps = ladder(&parts, "api.example.com");
    assert_eq!(
        steps[1].1,
        [
            "validate the configuration with `nginx -t -q`",
            "validate the configuration with `postfix check`",
            "reload nginx.service",
            "reload postfix.service",
        ],
        "the known validators of its services"
    );
    assert_eq!(steps[2].1, ["renew the certificate api.example.com by ACME at https://acme.test/dir"]);
    assert_eq!(
        steps[3].1,
        ["put the certificate api.example.com in 4 places and reload nginx.service, postfix.service"]
    );
}
