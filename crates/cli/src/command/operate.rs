//! Commands that change something: each previews its targets, and the agent's gates have the last word.
//!
//! A hold asks nothing: it only stops action, and an emergency must not wait for an answer.

use ansai_model::{
    fleet::RestraintKind,
    id::{IncidentId, TargetId},
    incident::Phase,
    operator::Operation,
    policy::Scope,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{Done, IncidentSummary, Incidents, SCHEMA, ScopeView, Status};
use serde_json::json;

use super::{check, consent, heal, target};
use crate::{
    ConsentArgs, Paths, RehearsalArgs, ScopeArgs, client,
    exit::{Code, Failure},
    show, when,
};

/// Asks the agent to do it, and says what came of it.
pub(super) fn run(paths: &Paths, operation: Operation) -> Result<Code, Failure> {
    Ok(said(paths, &client::operate(paths, operation)?))
}

/// Has the agent read its configuration, and says whether it is in force, or whether it would be, and what is dangerous in it:
/// whoever reloads has not always asked `ansai check` before.
pub(super) fn reload(paths: &Paths, rehearsal: RehearsalArgs) -> Result<Code, Failure> {
    let done = if rehearsal.dry_run { client::rehearse_reload(paths)? } else { client::reload(paths)? };
    let found = check::warnings(paths);
    if paths.json {
        show::print_json(&json!({"schema": SCHEMA, "text": done.text, "warnings": found}));
        return Ok(Code::Ok);
    }
    for warning in &found {
        show::note(&format!("{}\n", warning.text(show::terminal().error_columns)));
    }
    let text = show::told(done.text.as_str(), &show::terminal().zone);
    let unchanged = if rehearsal.dry_run { "\nnothing was changed (--dry-run)" } else { "" };
    show::print(&format!("{text}{unchanged}"));
    Ok(Code::Ok)
}

fn said(paths: &Paths, done: &Done) -> Code {
    match paths.json {
        true => show::print_json(&serde_json::to_value(done).unwrap_or_default()),
        false => show::print(&show::told(done.text.as_str(), &show::terminal().zone)),
    }
    Code::Ok
}

pub(super) fn hold(
    paths: &Paths,
    scope: &ScopeArgs,
    reason: String,
    until: Option<String>,
    assent: ConsentArgs,
) -> Result<Code, Failure> {
    let until = until.map(|text| when::when(&text)).transpose()?.map(|when| when.until);
    // What is wrong with it in any case is said before anybody is asked.
    permitted(&Operation::Hold { scope: Scope::All, reason: Text::new(&reason), until })?;
    let (scope, targets) = target::scope(paths, scope).map_err(|failure| match failure.code {
        // Whoever wants everything to stop is not sent to start something.
        Code::Unreachable => {
            let file = paths.hold_file.display();
            let instead = match failure.what().starts_with(client::NO_AGENT) {
                true => format!("nothing is done while no agent runs; touch {file} holds the next"),
                false => format!("touch {file} holds everything without asking the agent"),
            };
            Failure::new(Code::Unreachable, failure.what(), instead)
        }
        _ => failure,
    })?;
    let operation = Operation::Hold { scope, reason: Text::new(reason), until };
    if assent.rehearsal.dry_run {
        return consent::rehearse(paths, "hold", &targets, operation);
    }
    // An emergency waits for no answer.
    announced(paths, "hold", &targets, ConsentArgs { yes: true, ..assent }, operation)
}

/// Does it, and says on which targets. Nothing is announced that is refused, and nobody is asked about it.
fn announced(
    paths: &Paths,
    what: &str,
    targets: &[String],
    consent: ConsentArgs,
    operation: Operation,
) -> Result<Code, Failure> {
    if consent::is_asked(targets, consent) {
        client::rehearse(paths, operation.clone())?;
        consent::announce(what, targets, consent)?;
        return run(paths, operation);
    }
    let done = client::operate(paths, operation)?;
    show::note(&consent::preview(what, targets));
    Ok(said(paths, &done))
}

/// By whom the agent calls a window that the configuration plans: no command ends it.
pub(super) const PLANNED: &str = "configuration";

/// Which restraint is ended.
#[derive(Clone, Copy)]
pub(super) enum Ended {
    /// A hold.
    Hold,
    /// A silence.
    Silence,
    /// A maintenance window.
    Maintenance,
}

impl Ended {
    /// What it is of.
    pub(super) fn kind(self) -> RestraintKind {
        match self {
            Self::Hold => RestraintKind::Hold,
            Self::Silence => RestraintKind::Silence,
            Self::Maintenance => RestraintKind::Maintenance,
        }
    }

    /// What is there that could be ended.
    fn those_on(self, status: &Status) -> &[ScopeView] {
        match self {
            Self::Hold => &status.holds,
            Self::Silence => &status.silences,
            Self::Maintenance => &status.maintenance,
        }
    }

    /// Its scope and targets, when exactly this one is there, whatever its patterns would mean to a person: somebody else may
    /// have written it otherwise, through the API.
    fn as_written(self, status: &Status, args: &ScopeArgs) -> Option<(Scope, Vec<String>)> {
        let scope = Scope::Matching(args.targets.clone());
        let words = scope.to_string();
        self.those_on(status).iter().find(|view| !args.all && view.scope == words)?;
        let held = status.targets.iter().filter(|target| scope.holds(&target.target));
        let held = held.map(|target| target.target.to_string()).collect();
        Some((scope, held))
    }

    /// The targets on which something ends: those of `all` that are under one that such a scope ends. Where it ends none here, all
    /// of them: why is the agent's to say.
    fn really(self, status: &Status, scope: &Scope, all: Vec<String>) -> Vec<String> {
        let words = scope.to_string();
        let here = self.those_on(status).iter().filter(|view| view.ended_by.is_none() && view.by != PLANNED);
        let ended: Vec<Scope> = here
            .filter(|view| *scope == Scope::All || view.scope == words)
            .map(|view| target::scope_in_words(&view.scope))
            .collect();
        if ended.is_empty() {
            return all;
        }
        let is_under = |name: &String| {
            TargetId::new(name.as_str()).is_ok_and(|target| ended.iter().any(|scope| scope.holds(&target)))
        };
        all.into_iter().filter(is_under).collect()
    }
}

pub(super) fn end(paths: &Paths, ended: Ended, scope: &ScopeArgs, consent: ConsentArgs) -> Result<Code, Failure> {
    let what = match ended {
        Ended::Hold => "release",
        Ended::Silence => "end silences on",
        Ended::Maintenance => "end maintenance of",
    };
    let mut misspelled = None;
    let status = client::status(paths)?;
    let found = ended.as_written(&status, scope).map_or_else(|| target::scope(paths, scope), Ok);
    let (scope, targets) = match found {
        Ok(found) => found,
        // A target that has gone may have left a restraint behind: what was written is tried as it is.
        Err(failure) if failure.code == Code::Usage => {
            misspelled = Some(failure);
            (Scope::Matching(scope.targets.clone()), scope.targets.clone())
        }
        Err(failure) => return Err(failure),
    };
    let targets = ended.really(&status, &scope, targets);
    let operation = match ended {
        Ended::Hold => Operation::Release { scope },
        Ended::Silence => Operation::Unsilence { scope },
        Ended::Maintenance => Operation::EndMaintenance { scope },
    };
    let done = match consent.rehearsal.dry_run {
        true => consent::rehearse(paths, what, &targets, operation),
        false => {
            // What was only written as it is may be nothing.
            match misspelled {
                None => announced(paths, what, &targets, consent, operation),
                Some(_) => run(paths, operation),
            }
        }
    };
    done.map_err(|failure| misspelled.filter(|_| failure.code != Code::Unreachable).unwrap_or(failure))
}

/// How a silence or a maintenance window is opened.
pub(super) struct Opened {
    /// Which targets.
    pub(super) scope: ScopeArgs,
    /// For how long, as written.
    pub(super) lasts: String,
    /// Why.
    pub(super) reason: String,
    /// Whether to ask.
    pub(super) consent: ConsentArgs,
}

pub(super) fn silence(paths: &Paths, opened: Opened) -> Result<Code, Failure> {
    let lasts = when::lasting(&opened.lasts)?;
    permitted(&Operation::Silence { scope: Scope::All, reason: Text::new(&opened.reason), lasts })?;
    let (scope, targets) = target::scope(paths, &opened.scope)?;
    let operation = Operation::Silence { scope, reason: Text::new(opened.reason), lasts };
    if opened.consent.rehearsal.dry_run {
        return consent::rehearse(paths, "silence", &targets, operation);
    }
    announced(paths, "silence", &targets, opened.consent, operation)
}

pub(super) fn maintenance(paths: &Paths, opened: Opened) -> Result<Code, Failure> {
    let lasts = when::lasting(&opened.lasts)?;
    permitted(&Operation::Maintenance { scope: Scope::All, reason: Text::new(&opened.reason), lasts })?;
    let (scope, targets) = target::scope(paths, &opened.scope)?;
    let operation = Operation::Maintenance { scope, reason: Text::new(opened.reason), lasts };
    if opened.consent.rehearsal.dry_run {
        return consent::rehearse(paths, "open maintenance of", &targets, operation);
    }
    announced(paths, "open maintenance of", &targets, opened.consent, operation)
}

/// Nobody is asked: to approve is to answer a question.
pub(super) fn approve(paths: &Paths, incident: &str, assent: ConsentArgs) -> Result<Code, Failure> {
    let incident = asked(paths, incident)?;
    answered(paths, incident, Operation::Approve { incident }, assent)
}

pub(super) fn reject(paths: &Paths, incident: &str, assent: ConsentArgs) -> Result<Code, Failure> {
    let incident = asked(paths, incident)?;
    answered(paths, incident, Operation::Reject { incident }, assent)
}

/// The incident that is answered, by its number or by the name of its target.
fn asked(paths: &Paths, word: &str) -> Result<IncidentId, Failure> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    let names = target::names(&client::status(paths)?);
    asked_of(&list.incidents, &target::among(&names, word)?)
}

/// The one incident of a target that waits for an answer, or, where none does, the one that is open: why nothing is asked of it
/// is the agent's to say.
fn asked_of(list: &[IncidentSummary], target: &str) -> Result<IncidentId, Failure> {
    let open = list.iter().filter(|incident| incident.target.as_str() == target && incident.is_open());
    let (waiting, others): (Vec<_>, Vec<_>) = open.partition(|incident| waits(incident));
    let found = if waiting.is_empty() { others } else { waiting };
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => {
            let what = format!("nothing is open of {target}, so nothing waits for an answer");
            Err(Failure::new(Code::Usage, what, "`ansai incidents --open` lists what is"))
        }
        several => {
            let ids: Vec<String> = several.iter().map(|incident| incident.id.to_string()).collect();
            let what = format!("of {target} it could be {}", ids.join(" or "));
            Err(Failure::new(Code::Usage, what, "write the number; `ansai incidents --open` says what each is about"))
        }
    }
}

/// Whether it waits for an answer.
pub(super) fn waits(incident: &IncidentSummary) -> bool {
    matches!(incident.phase, Phase::AwaitingApproval { .. })
}

fn answered(paths: &Paths, incident: IncidentId, operation: Operation, assent: ConsentArgs) -> Result<Code, Failure> {
    if !assent.rehearsal.dry_run {
        return run(paths, operation);
    }
    let is_approved = matches!(operation, Operation::Approve { .. });
    let would = client::rehearse(paths, operation)?;
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    let target = list.incidents.into_iter().find(|about| about.id == incident).map(|about| about.target);
    let plan = target.as_ref().filter(|_| is_approved).map(|target| heal::plan(paths, target)).transpose()?;
    if paths.json {
        let rungs = plan.map(|mut plan| plan["rungs"].take());
        let text = would.text;
        show::print_json(
            &json!({"schema": SCHEMA, "incident": incident, "target": target, "text": text, "rungs": rungs}),
        );
        return Ok(Code::Ok);
    }
    let about = target.map(|target| format!("{incident} is about {target}"));
    let answer = format!("the answer would be: {}", show::told(would.text.as_str(), &show::terminal().zone));
    let rungs = plan.map(|plan| heal::ladder(&plan, &show::terminal().zone)).unwrap_or_default();
    show::print(show::Page::lines(about.into_iter().chain([answer]).chain(rungs)));
    show::note("\nnothing was changed (--dry-run)");
    Ok(Code::Ok)
}

/// What the agent would refuse whatever it looks after.
fn permitted(operation: &Operation) -> Result<(), Failure> {
    match operation.objection(now()) {
        None => Ok(()),
        Some(objection) => Err(Failure::new(Code::Usage, objection.what, objection.suggestion)),
    }
}

fn now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_millisecond())
}

pub(super) fn number(text: &str) -> Result<IncidentId, Failure> {
    text.parse().map_err(|_| {
        let what = format!("`{text}` is no incident");
        Failure::new(Code::Usage, what, "write its number as i7; `ansai incidents` lists them")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What the agent tells of a host with six targets, two of which are held by one hold and one by the controller.
    fn held() -> Status {
        let target = |name: &str| {
            json!({"target": format!("service/{name}.service"), "health": "healthy", "summary": "", "incident": null,
            "explanation": ""})
        };
        let view = |scope: &str, by: &str, ended_by: Option<&str>| json!({"scope": scope, "by": by, "reason": "", "ended_by": ended_by});
        let targets: Vec<_> = ["a", "b1", "b2", "c", "d", "e"].into_iter().map(target).collect();
        let holds = [view("service/b*", "ann", None), view("service/e.service", "bo at the controller", Some("there"))];
        let maintenance = [view("*", PLANNED, None), view("service/c.service", "ann", None)];
        serde_json::from_value(
            json!({"schema": SCHEMA, "version": "1", "pid": 1, "host": "h", "uptime_seconds": 1, "generation": 1,
            "configuration_error": null, "ledger_error": null, "held": null, "messages_waiting": 0, "targets": targets,
            "holds": holds, "silences": [], "maintenance": maintenance}),
        )
        .expect("a status")
    }

    #[test]
    fn what_is_released_are_the_targets_that_are_held() {
        let status = held();
        let all = target::names(&status);
        let really = |ended: Ended, scope: Scope| ended.really(&status, &scope, all.clone());
        assert_eq!(really(Ended::Hold, Scope::All), ["service/b1.service", "service/b2.service"]);
        assert_eq!(really(Ended::Maintenance, Scope::All), ["service/c.service"], "no command ends what is planned");
        assert_eq!(really(Ended::Hold, Scope::Matching(vec!["service/b*".into()])).len(), 2);
        assert_eq!(really(Ended::Silence, Scope::All), all, "the agent says that there is none");
    }

    #[test]
    fn a_request_is_answered_by_the_name_of_its_target_when_it_is_the_only_one() {
        let incident = |id: u64, target: &str, phase: serde_json::Value| -> IncidentSummary {
            serde_json::from_value(json!({"id": id, "target": format!("service/{target}.service"), "check": format!("service/{target}.service#unit"),
                "severity": "day", "phase": phase, "headline": "", "opened_ms": 0, "downtime_ms": null}))
            .expect("an incident")
        };
        let asks = || json!({"awaiting-approval": {"expires": {"mono": 0, "wall": 0}}});
        let list = [
            incident(1, "a", json!("open")),
            incident(2, "a", asks()),
            incident(3, "b", asks()),
            incident(4, "b", asks()),
            incident(5, "c", json!("open")),
        ];
        let of = |target: &str| asked_of(&list, &format!("service/{target}.service"));
        assert_eq!(of("a").ok(), Some(IncidentId(2)));
        assert_eq!(of("c").ok(), Some(IncidentId(5)), "why it is not asked about is told");
        let several = of("b").expect_err("two");
        assert!(several.what().ends_with("it could be i3 or i4"), "{}", several.what());
        assert!(of("d").expect_err("none").what().starts_with("nothing is open of service/d.service"));
    }

    #[test]
    fn what_is_wrong_in_any_case_is_said_before_the_agent_is_asked() {
        let silence = |reason: &str, lasts| Operation::Silence { scope: Scope::All, reason: reason.into(), lasts };
        assert!(permitted(&silence("moving", Duration::from_secs(60))).is_ok());
        for wrong in [silence("", Duration::ZERO), silence("", Duration::from_secs(400 * 86_400))] {
            assert_eq!(permitted(&wrong).expect_err("refused").code, Code::Usage);
        }
        let until = when::when("4000d").expect("a length").until;
        assert!(permitted(&Operation::Hold { scope: Scope::All, reason: "".into(), until: Some(until) }).is_err());
    }
}
