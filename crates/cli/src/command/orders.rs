//! What hosts of a fleet are to do now, once: the controller on this host is asked, and what each host has answered is shown. What
//! a host does is decided by its own gates; a host that is not reached is not told later.

use ansai_model::{
    fleet::FleetScope,
    order::{Deed, OrderOutcome, Subject},
    policy::Scope,
    text::Text,
};
use ansai_protocol::{
    SCHEMA,
    operation::{FleetAnswer, FleetOperation, HostTold},
    views::FleetOperate,
};
use serde_json::{Value, json};

use super::{
    consent::{self, Proof},
    explain, fleet, operate,
};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

/// What is ordered.
pub(super) struct Order {
    deed: Deed,
    over: FleetScope,
    to: Subject,
}

impl Order {
    /// For targets, as people write them.
    pub(super) fn of_target(deed: Deed, over: FleetScope, target: &str) -> Self {
        let to = Subject::Targets(Scope::Matching(fleet::patterns(&[target.to_owned()])));
        Self { deed, over, to }
    }

    /// For an incident by its number, or for what is open of targets.
    pub(super) fn of_incident(deed: Deed, over: FleetScope, word: &str) -> Self {
        Self { deed, over, to: subject(word) }
    }

    /// As a person says it.
    fn words(&self) -> String {
        let deed = match self.deed {
            Deed::Drill(kind) => format!("drill {}", kind.as_str()),
            deed => deed.as_str().to_owned(),
        };
        format!("{deed} {} on {}", self.to, self.over)
    }

    fn asks(&self, paths: &Paths, is_rehearsal: bool) -> Result<(Text, Vec<HostTold>), Failure> {
        let (deed, over, to) = (self.deed, self.over.clone(), self.to.clone());
        let operation = FleetOperation::Order { deed, over, to, is_rehearsal };
        let body = serde_json::to_value(FleetOperate { operation }).unwrap_or_default();
        match client::read(client::tell_controller(paths, "/v1/operate", &body)?)? {
            FleetAnswer::Ordered { text, hosts } => Ok((text, hosts)),
            _ => Err(Failure::new(
                Code::Failing,
                "the controller's answer is not understood",
                "restart the controller after an upgrade: systemctl restart ansai-controller",
            )),
        }
    }
}

/// An incident by its number, or targets as people write them.
pub(super) fn subject(word: &str) -> Subject {
    match operate::number(word) {
        Ok(incident) => Subject::Incident(incident),
        Err(_) => Subject::Targets(Scope::Matching(fleet::patterns(&[word.to_owned()]))),
    }
}

/// How many targets are meant on how many of the hosts that are there: each of them is asked. Nothing when the controller does not
/// answer, which the command itself will say.
pub(super) fn meant(paths: &Paths, over: &FleetScope, scope: &Scope) -> Option<(usize, usize)> {
    let order = Order { deed: Deed::Explain, over: over.clone(), to: Subject::Targets(scope.clone()) };
    order.asks(paths, true).ok().map(|(_, hosts)| would(&hosts))
}

/// Has it done, after a look at what each host would do.
pub(super) fn run(paths: &Paths, order: &Order, assent: ConsentArgs) -> Result<Code, Failure> {
    if assent.rehearsal.dry_run {
        let (text, hosts) = order.asks(paths, true)?;
        return Ok(shown(paths, &text, &hosts, Shown::Rehearsed));
    }
    if let Some(context) = paths.context() {
        // A person who works with several controllers sees which of them it is.
        show::note(&format!("context {context}: {}", order.words()));
    }
    let is_asked = matches!(order.deed, Deed::Heal | Deed::Drill(_));
    if is_asked && !assent.yes {
        let (text, hosts) = order.asks(paths, true)?;
        let (of_hosts, of_targets) = would(&hosts);
        if of_targets == 0 {
            // Nobody is asked about what would be refused.
            return Ok(shown(paths, &text, &hosts, Shown::Done));
        }
        let counted = format!("{}, {}", show::count(of_hosts, "host"), show::count(of_targets, "target"));
        let what = format!("{}: {counted}", order.words());
        let many = matches!(order.deed, Deed::Drill(_)) || of_hosts > 1;
        let proof = if many { Proof::Text(of_hosts.to_string()) } else { Proof::Yes };
        show::note(&table(&hosts).to_string());
        consent::ask(&what, &proof, assent)?;
    }
    let (text, hosts) = order.asks(paths, false)?;
    Ok(shown(paths, &text, &hosts, Shown::Done))
}

/// Why something is done on other hosts, or not.
pub(super) fn explain(paths: &Paths, over: FleetScope, target: &str) -> Result<Code, Failure> {
    let (text, hosts) = Order::of_target(Deed::Explain, over, target).asks(paths, false)?;
    if paths.json {
        return Ok(shown(paths, &text, &hosts, Shown::Done));
    }
    let zone = &show::terminal().zone;
    let mut pages = Vec::new();
    for host in &hosts {
        for told in &host.told {
            let document = told.document.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let Some(document) = document {
                let page = explain::explanation(&document, zone);
                pages.push(format!("{}: {page}", host.host));
            }
        }
    }
    if !pages.is_empty() {
        show::print(&pages.join("\n\n"));
    }
    let silent: Vec<HostTold> =
        hosts.iter().filter(|host| host.told.iter().any(|told| told.document.is_none())).cloned().collect();
    if !silent.is_empty() {
        show::note(&table(&silent).to_string());
    }
    Ok(if pages.is_empty() { code(&hosts) } else { Code::Ok })
}

/// On how many hosts something would be done, and to how many targets.
fn would(hosts: &[HostTold]) -> (usize, usize) {
    let of = |host: &HostTold| host.told.iter().filter(|told| told.outcome == OrderOutcome::Done).count();
    let counts: Vec<usize> = hosts.iter().map(of).filter(|count| *count > 0).collect();
    (counts.len(), counts.iter().sum())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Done,
    Rehearsed,
}

fn shown(paths: &Paths, text: &Text, hosts: &[HostTold], how: Shown) -> Code {
    let is_rehearsed = how == Shown::Rehearsed;
    if paths.json {
        let (of_hosts, of_targets) = would(hosts);
        show::print_json(&json!({
            "schema": SCHEMA, "text": text, "is_rehearsal": is_rehearsed, "hosts": hosts,
            "done_hosts": of_hosts, "done_targets": of_targets,
        }));
        return code(hosts);
    }
    show::print(table(hosts));
    let text = show::told(text.as_str(), &show::terminal().zone);
    match is_rehearsed {
        true => show::note(&format!("{text}\nnothing was changed (--dry-run)")),
        false => show::note(&text),
    }
    code(hosts)
}

fn table(hosts: &[HostTold]) -> show::Page {
    let zone = &show::terminal().zone;
    let rows = hosts.iter().flat_map(|host| host.told.iter().map(move |told| (host, told))).map(|(host, told)| {
        let suggestion =
            if told.suggestion.as_str().is_empty() { String::new() } else { format!("; {}", told.suggestion) };
        vec![
            Cell::new(&host.host),
            Cell::new(told.of.as_str()),
            Cell::new(told.outcome.as_str()),
            Cell::new(show::told(&format!("{}{suggestion}", told.text), zone)),
        ]
    });
    show::table(&["HOST", "OF", "OUTCOME", "WHY"], &[], rows)
}

/// What was refused counts before who was not reached, and both before that there was nothing to do anywhere.
fn code(hosts: &[HostTold]) -> Code {
    let has = |outcome| hosts.iter().flat_map(|host| &host.told).any(|told| told.outcome == outcome);
    match () {
        () if has(OrderOutcome::Refused) => Code::Refused,
        () if has(OrderOutcome::Unreached) || has(OrderOutcome::Unanswered) => Code::Unreachable,
        () if has(OrderOutcome::Done) => Code::Ok,
        () => Code::Failing,
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::order::Told;

    use super::*;

    fn host(name: &str, outcomes: &[OrderOutcome]) -> HostTold {
        let told = |outcome: &OrderOutcome| Told {
            of: "service/app.service".into(),
            outcome: *outcome,
            text: "as it is".into(),
            suggestion: "".into(),
            document: None,
        };
        HostTold { host: name.into(), told: outcomes.iter().map(told).collect() }
    }

    #[test]
    fn the_exit_code_tells_that_some_refused_or_were_not_reached() {
        use OrderOutcome::{Done, Nothing, Refused, Unanswered, Unreached};
        for (outcomes, expected) in [
            (&[Done, Nothing][..], Code::Ok),
            (&[Done, Refused, Unreached], Code::Refused),
            (&[Done, Unreached], Code::Unreachable),
            (&[Done, Unanswered], Code::Unreachable),
            (&[Nothing], Code::Failing),
        ] {
            let hosts: Vec<HostTold> = outcomes.iter().map(|outcome| host("web-01", &[*outcome])).collect();
            assert_eq!(code(&hosts), expected, "{outcomes:?}");
        }
        assert_eq!(would(&[host("a", &[Done, Done]), host("b", &[Refused]), host("c", &[Done])]), (2, 3));
    }

    #[test]
    fn what_is_approved_is_an_incident_or_what_is_open_of_a_target() {
        let over = FleetScope::Host("web-01".into());
        let order = Order::of_incident(Deed::Approve, over.clone(), "i7");
        assert!(matches!(order.to, Subject::Incident(id) if id.0 == 7));
        let order = Order::of_incident(Deed::Approve, over, "nginx");
        assert_eq!(order.words(), "approve nginx, nginx.service on host web-01");
    }
}
