//! What is allowed and dangerous in services and processes.

use ansai_document::{Findings, Node, place_of, text::joined};
use ansai_model::rule::Autonomy;

use super::short::{Service, Services};
use crate::{
    common::Common,
    lint::{figures, limits::too_slow},
};

pub(super) fn lint(services: &Services, findings: &mut Findings<'_>, common: &Common, root: &Node) {
    for (name, service) in &services.units {
        let stem = name.trim_end_matches(".service");
        if stem.chars().all(|c| matches!(c, '*' | '?')) {
            let what = format!("`{name}` watches every service of the host");
            let help = "name the services, or a part of their names".to_owned();
            findings.warning(service.place, &service.key, what, help);
        }
        if stem.ends_with('@') {
            let what = format!("`{name}` is a template, and no unit that could run");
            let help = format!("name an instance, as `{stem}1.service`, or all that there are: `{stem}*.service`");
            findings.warning(service.place, &service.key, what, help);
        }
    }
    for (section, known) in [("services", &services.units), ("processes", &services.processes)] {
        for (name, _, node) in root.named(section) {
            if let Some(found) = known.get(name) {
                one(findings, common, found, node);
            }
        }
    }
}

fn one(findings: &mut Findings<'_>, common: &Common, service: &Service, node: &Node) {
    let autonomy = service.autonomy.unwrap_or(common.autonomy);
    if service.is_critical && autonomy == Autonomy::Observe {
        let help = "write autonomy: act or approve here, or leave critical out".to_owned();
        let what = "it is critical, and nothing is done when it fails: its autonomy is `observe`";
        findings.warning(place_of(node, "critical"), &joined(&service.key, "critical"), what, help);
    }
    if let Some(condition) = &service.condition {
        let probes = service.looks.iter().map(|(_, look)| &look.probe);
        figures::check(findings, node, &service.key, condition, probes);
    }
    for (_, look) in &service.looks {
        let (every, timeout) = common.probe_defaults.times(&look.schedule);
        too_slow(findings, look.place, &look.key, every, timeout);
    }
}
