//! Commands that change something: each previews its targets, and the agent's gates have the last word.
//!
//! A hold asks nothing: it only stops action, and an emergency must not wait for an answer.

use ansai_model::{
    fleet::RestraintKind, id::IncidentId, operator::Operation, policy::Scope, text::Text, time::WallTime,
};
use ansai_protocol::{Done, Incidents, SCHEMA, ScopeView, Status};
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
    let incident = number(incident)?;
    answered(paths, incident, Operation::Approve { incident }, assent)
}

pub(super) fn reject(paths: &Paths, incident: &str, assent: ConsentArgs) -> Result<Code, Failure> {
    let incident = number(incident)?;
    answered(paths, incident, Operation::Reject { incident }, assent)
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
