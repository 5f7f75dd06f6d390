//! From the engine's state to the shapes of the local API. Pure but for reading kept reports.

use std::collections::BTreeMap;

use ansai_engine::{HostEngine, effect::Answer, explain::CheckView};
use ansai_host::port::Host;
use ansai_model::{
    bundle::Target,
    fleet::RestraintKind,
    id::{IncidentId, RouteId, TargetId},
    incident::Phase,
    observation::Health,
    policy::Scope,
    report::Report,
    rule::Autonomy,
    text::Text,
    time::{Now, WallTime},
};
use ansai_notify::outbox::{Fate, Outbox};
use ansai_protocol::{
    Done, IncidentSummary, Incidents, Problem, ReportAnswer, SCHEMA, ScopeView, StoppedView, TargetStatus,
};
use hyper::StatusCode;
use serde::Serialize;

use crate::{api::Reply, ledger::Store, reports::Reports, shell::Shell};

/// Most incidents in one list.
const INCIDENTS_MAX: usize = 200;

pub(crate) fn json(value: &impl Serialize) -> Reply {
    serde_json::to_value(value).map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, Problem::new(error.to_string(), "please report this as a bug"))
    })
}

/// What came of an operator's command.
pub(crate) fn of_operator(answer: Answer) -> Reply {
    match answer {
        Answer::Done(text) => json(&Done { schema: SCHEMA, text }),
        Answer::Refused { why, suggestion } => Err((StatusCode::CONFLICT, Problem::new(why, suggestion))),
        Answer::NotFound { what, suggestion } => Err((StatusCode::NOT_FOUND, Problem::new(what, suggestion))),
    }
}

/// Every target as it stands; all are held when everything is.
pub(crate) fn targets(engine: &HostEngine, now: Now, is_all_held: bool) -> Vec<TargetStatus> {
    let rank = |health: Health| match health {
        Health::Failing => 2,
        Health::Unknown => 1,
        Health::Healthy => 0,
    };
    // What cannot be seen now is not shown as healthy because it once was.
    let shown = |check: &CheckView| match check.last {
        Some((_, Health::Unknown, _)) if check.hard == Health::Healthy => Health::Unknown,
        Some(_) | None => check.hard,
    };
    // Of a filesystem that is well people want to know how full it is.
    let is_telling = |check: &CheckView| check.id.as_str().ends_with("#space");
    let mut autonomies: BTreeMap<&TargetId, Autonomy> = BTreeMap::new();
    for rule in engine.bundle().parts().rules.values() {
        let most = autonomies.entry(&rule.target).or_default();
        *most = rule.autonomy.max(*most);
    }
    let holds: Vec<_> = engine.state().holds.iter().filter(|hold| hold.is_on(now)).collect();
    let from = engine.state().controller.as_ref();
    let is_held_from = |id: &TargetId| from.is_some_and(|from| from.on(now, RestraintKind::Hold, id).next().is_some());
    let targets = engine.bundle().parts().targets.iter();
    let status = |(id, target): (&TargetId, &Target)| {
        let standing = engine.standing(now, id)?;
        // What a unit says of itself says more than what its other checks cannot see.
        let says_why = |check: &CheckView| rank(shown(check)) == 1 && check.probe == "unit";
        let worst = standing.checks.iter();
        let worst = worst.max_by_key(|check| (rank(shown(check)), says_why(check), is_telling(check)));
        let summary = worst.and_then(|check| check.last.as_ref()).map(|(_, _, text)| text.clone());
        Some(TargetStatus {
            health: worst.map(shown).unwrap_or_default(),
            summary: summary.unwrap_or_else(|| "not looked at yet".into()),
            incident: standing.foremost(),
            explanation: standing.summary,
            is_critical: target.is_critical,
            autonomy: autonomies.get(id).copied(),
            is_held: is_all_held || holds.iter().any(|hold| hold.scope.holds(id)) || is_held_from(id),
            stopped: standing
                .stopped
                .map(|stopped| StoppedView { why: stopped.why, since_ms: stopped.since.map(|since| since.0) }),
            warning: standing.warning,
            target: id.clone(),
        })
    };
    targets.filter_map(status).collect()
}

/// Holds and silences in words.
pub(crate) fn scopes(engine: &HostEngine, now: Now) -> (Vec<ScopeView>, Vec<ScopeView>) {
    let state = engine.state();
    let view = |scope: &Scope, by: &Text, reason: &Text, until: Option<WallTime>| ScopeView {
        scope: scope.to_string(),
        by: by.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        until_ms: until.map(|until| until.0),
        ended_by: None,
    };
    let holds = state.holds.iter().filter(|hold| hold.is_on(now));
    let silences = state.silences.iter().filter_map(|silence| Some((silence, silence.end(now)?.wall)));
    let holds = holds.map(|hold| view(&hold.scope, &hold.by, &hold.reason, hold.end(now).map(|end| end.wall)));
    let silences = silences.map(|(silence, end)| view(&silence.scope, &silence.by, &silence.reason, Some(end)));
    (
        holds.chain(at_controller(engine, now, RestraintKind::Hold)).collect(),
        silences.chain(at_controller(engine, now, RestraintKind::Silence)).collect(),
    )
}

/// What the controller's operators have said of this host.
fn at_controller(engine: &HostEngine, now: Now, kind: RestraintKind) -> impl Iterator<Item = ScopeView> {
    let from = engine.state().controller.iter();
    from.flat_map(move |from| {
        let of_kind = from.in_force(now).filter(move |restraint| restraint.kind == kind);
        of_kind.map(move |restraint| ScopeView {
            scope: restraint.scope.to_string(),
            by: format!("{} at the controller", restraint.by),
            reason: restraint.reason.as_str().to_owned(),
            until_ms: from.end(now, restraint).map(|end| end.wall.0),
            ended_by: Some(restraint.end_command()),
        })
    })
}

/// The maintenance windows in force: those of the configuration, then those that operators opened.
pub(crate) fn maintenance(engine: &HostEngine, now: Now) -> Vec<ScopeView> {
    let view = |scope: &Scope, by: &str, reason: &str, until: WallTime| ScopeView {
        scope: scope.to_string(),
        by: by.to_owned(),
        reason: reason.to_owned(),
        until_ms: Some(until.0),
        ended_by: None,
    };
    let planned = engine.bundle().parts().maintenance.iter().filter_map(|window| {
        Some(view(&window.scope, "configuration", &window.reason, window.schedule.open_until(now.wall)?))
    });
    let opened = engine.state().maintenance.iter().filter_map(|window| {
        let (by, reason) = window.author();
        Some(view(&window.scope, by, reason, window.end(now)?.wall))
    });
    planned.chain(opened).chain(at_controller(engine, now, RestraintKind::Maintenance)).collect()
}

/// A report in a line.
pub(crate) fn summary(report: &Report) -> IncidentSummary {
    let is_over = matches!(report.phase, Phase::Resolved(_));
    IncidentSummary {
        check: report.check.clone(),
        id: report.incident,
        target: report.target.clone(),
        severity: report.severity,
        phase: report.phase.clone(),
        headline: report.headline.clone(),
        is_drill: report.is_drill,
        opened_ms: report.opened.wall.0,
        is_well_again: report.well_since.is_some() && !is_over,
        is_kept: report.is_kept(),
        well_since_ms: report.well_since.map(|since| since.wall.0),
        seen_to: None,
        told: None,
        // Of what is no outage there is none to be told.
        downtime_ms: report
            .downtime
            .filter(|_| report.is_outage)
            .map(|downtime| u64::try_from(downtime.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Who told people of an incident, or is to, of each message in a line, the oldest first.
fn told_of(outbox: &Outbox, incident: IncidentId, opened: WallTime) -> Vec<Text> {
    outbox.fates(incident, opened).iter().map(fate_in_words).map(Text::from).collect()
}

fn fate_in_words(fate: &Fate) -> String {
    match fate {
        Fate::Waits => "waits on this host to be told".to_owned(),
        Fate::Told { on, waiting } => {
            let on: Vec<String> = on.iter().map(ToString::to_string).collect();
            let waiting: Vec<&str> = waiting.iter().map(RouteId::as_str).collect();
            let told = format!("told by this host on {}", on.join(", "));
            if waiting.is_empty() { told } else { format!("{told}; it waits to be told on {}", waiting.join(", ")) }
        }
        Fate::Given(_) => "given to the controller, which has not said that it has it".to_owned(),
        Fate::Taken(_) => "told by the controller".to_owned(),
    }
}

/// Open incidents and kept reports, newest first.
pub(crate) fn incidents(engine: &HostEngine, reports: &Reports, outbox: &Outbox, now: Now) -> Reply {
    let open: Vec<IncidentId> = engine.state().incidents.keys().rev().copied().collect();
    let mut incidents: Vec<IncidentSummary> =
        open.iter().filter_map(|id| engine.report(now, *id)).map(|report| summary(&report)).collect();
    let kept = reports.newest(INCIDENTS_MAX);
    incidents.extend(kept.iter().filter(|report| !open.contains(&report.incident)).map(summary));
    incidents.sort_by_key(|incident| core::cmp::Reverse(incident.id));
    incidents.truncate(INCIDENTS_MAX);
    for incident in &mut incidents {
        incident.told = told_of(outbox, incident.id, WallTime(incident.opened_ms)).pop();
    }
    json(&Incidents { schema: SCHEMA, incidents })
}

impl<H: Host, S: Store> Shell<H, S> {
    /// The report on an incident: as it stands while it is open, as it was kept afterwards.
    pub(crate) fn report_on(&self, id: IncidentId, host: &str) -> Reply {
        let kept = || self.reports().get(id).ok().flatten();
        match self.engine().report(self.now(), id).or_else(kept) {
            Some(report) => json(&ReportAnswer { schema: SCHEMA, host: host.to_owned(), report }),
            None => {
                let problem = Problem::new(format!("there is no incident {id}"), "`ansai incidents` lists them");
                Err((StatusCode::NOT_FOUND, problem))
            }
        }
    }

    /// Everything about a target.
    pub(crate) fn explain(&self, target: &TargetId) -> Reply {
        let mut said = about(target, self.engine().explain(self.now(), target))?;
        let incidents = said["incidents"].as_array_mut().into_iter().flatten();
        for incident in incidents {
            let open = incident["id"].as_u64().and_then(|id| self.state().incidents.get(&IncidentId(id)));
            if let Some(open) = open {
                incident["told"] = serde_json::json!(told_of(self.outbox(), open.id, open.opened.wall));
            }
        }
        Ok(said)
    }

    /// What is acknowledged is durable: a command that could not be saved is not answered with "done".
    pub(crate) fn acknowledged(&self, answer: Answer) -> Reply {
        let answer = match (self.ledger_error(), answer) {
            (Some(why), Answer::Done(text)) => Answer::Refused {
                why: Text::new(format!(
                    "{text}; but that could not be saved ({why}) and is forgotten when the agent restarts"
                )),
                suggestion:
                    "free space on the ledger's filesystem; a hold that needs no ledger is the file /etc/ansai/HOLD"
                        .into(),
            },
            (Some(_) | None, answer) => answer,
        };
        of_operator(answer)
    }
}

/// What there is to say of a target, when there is such a target.
pub(crate) fn about(target: &TargetId, said: Option<impl serde::Serialize>) -> Reply {
    match said {
        Some(said) => json(&said).map(|mut value| {
            value["schema"] = SCHEMA.into();
            value
        }),
        None => {
            let problem = Problem::new(format!("there is no target {target}"), "`ansai status` lists them");
            Err((StatusCode::NOT_FOUND, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::id::CheckId;
    use ansai_notify::outbox::ToldOn;

    use super::*;

    #[test]
    fn who_told_names_only_the_routes_that_took_it() {
        let route = |name: &str| RouteId::new(name).expect("valid");
        let email = ToldOn { route: route("email"), instead_of: None };
        let file = ToldOn { route: route("file"), instead_of: Some(route("email")) };
        let says = |on: &[&ToldOn], waiting: &[&str]| {
            let waiting = waiting.iter().map(|name| route(name)).collect();
            fate_in_words(&Fate::Told { on: on.iter().map(|on| (*on).clone()).collect(), waiting })
        };
        assert_eq!(says(&[&email], &[]), "told by this host on email");
        assert_eq!(says(&[&file], &[]), "told by this host on file (instead of email)");
        assert_eq!(
            says(&[&email, &file], &["pager"]),
            "told by this host on email, file (instead of email); it waits to be told on pager"
        );
    }

    #[test]
    fn what_is_no_outage_has_no_downtime_in_the_list() {
        let (target, check) =
            (TargetId::new("disk//var").expect("valid"), CheckId::new("disk//var#forecast").expect("valid"));
        let bare = Report::bare(IncidentId(1), target, check, Now::default(), Phase::Open);
        let report = Report { downtime: Some(Duration::ZERO), ..bare };
        assert_eq!(summary(&report).downtime_ms, Some(0), "a moment");
        assert_eq!(summary(&Report { is_outage: false, ..report }).downtime_ms, None);
    }
}
