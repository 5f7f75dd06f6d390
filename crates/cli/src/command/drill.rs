//! `ansai drill`: a failure on purpose. The agent's gates decide what may be broken. How one is ended: `undo`.

mod undo;

use std::time::{Duration, Instant};

use ansai_model::{
    action::ActionOutcome,
    id::TargetId,
    operator::{DrillKind, Operation},
    rule::Autonomy,
    text::Text,
    time::Shown,
};
use ansai_protocol::{Event, EventKind, Problem, SCHEMA, TargetStatus};
use serde_json::json;

pub(super) use self::undo::{undo, undone_there};
use super::{
    consent::{self, Proof},
    target,
};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show, usage,
};

/// Longest wait for the end of a drill; one of kind `loop` takes longest.
const OUTCOME_MAX: Duration = Duration::from_secs(40);
/// Most events that are heard meanwhile.
const EVENTS_MAX: usize = 100_000;

pub(super) fn drill(paths: &Paths, name: &str, kind: DrillKind, consent: ConsentArgs) -> Result<Code, Failure> {
    let status = client::status(paths)?;
    let name = target::among(&target::names(&status), name)?;
    let target = TargetId::new(&name).map_err(|error| Failure::new(Code::Usage, error.to_string(), ""))?;
    let known = status.targets.iter().find(|known| known.target == target);
    let unhealed = known.and_then(unhealed);
    let also = unhealed.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    let does = format!("which {}{also}", what_it_does(kind));
    let operation = Operation::Drill { target: target.clone(), kind };
    if consent.rehearsal.dry_run {
        let what = format!("drill {}, {does}", kind.as_str());
        return consent::rehearse(paths, &what, &[target.to_string()], operation);
    }
    if !consent.yes {
        // Nobody is asked about what would be refused, or without what a rehearsal warns of.
        let steps = consent::steps(&client::rehearse(paths, operation.clone())?);
        if !steps.is_empty() {
            show::note(steps.trim_start());
        }
    }
    consent::ask(&format!("drill on {target}, {does}"), &proof(&target, known), consent)?;
    // Whoever cannot listen still hears whether the drill was taken on.
    let events = client::events(paths).ok();
    let done = client::operate(paths, operation)?;
    let outcome = events.and_then(|events| outcome(events, &target, OUTCOME_MAX));
    let stands = || format!("`ansai explain {target}` says how it stands");
    let note = match outcome {
        None => done.text,
        Some(ActionOutcome::Succeeded { note } | ActionOutcome::NotNeeded { why: note }) => note,
        Some(ActionOutcome::Refused { why }) => return Err(Failure::refused(&Problem::refused(why, &target))),
        Some(ActionOutcome::Failed { why } | ActionOutcome::Lost { why }) => {
            let what = format!("the drill on {target} failed: {why}");
            return Err(Failure::new(Code::Failing, what, stands()));
        }
        Some(ActionOutcome::TimedOut { after }) => {
            let what = format!("the drill on {target} did not end within {}", Shown(after));
            return Err(Failure::new(Code::Failing, what, stands()));
        }
    };
    let text = Text::new(told(note.as_str(), &target, kind, unhealed.as_deref()));
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(text.as_str()),
    }
    Ok(Code::Ok)
}

/// What came of it, who mends it, and how it is ended before its time.
fn told(note: &str, target: &TargetId, kind: DrillKind, unhealed: Option<&str>) -> String {
    let does = match kind {
        DrillKind::Configuration => "puts it back and starts the service",
        DrillKind::Hang => "lets it go on",
        DrillKind::Crash | DrillKind::Exit | DrillKind::Port | DrillKind::Loop => "starts it again",
    };
    let undo = match (unhealed, kind) {
        (Some(why), _) => format!("; {why}: `ansai drill {target} --undo` {does}"),
        // What stays of these two is not mended by a remedy alone.
        (None, DrillKind::Hang | DrillKind::Configuration) => {
            format!(", or at once by `ansai drill {target} --undo`")
        }
        (None, DrillKind::Crash | DrillKind::Exit | DrillKind::Port | DrillKind::Loop) => String::new(),
    };
    format!("{note}{undo}; `ansai status {target} --watch` shows what becomes of it")
}

/// That ansai does not mend what a drill breaks, and why; nothing when it does, as far as its rules go.
fn unhealed(known: &TargetStatus) -> Option<String> {
    let why = match known.autonomy {
        Some(Autonomy::Act) => return None,
        Some(Autonomy::Approve) => "ansai will not heal that before somebody approves (`autonomy: approve`)".to_owned(),
        Some(mode) => format!("ansai will not heal that, since it is under `autonomy: {}`", mode.as_str()),
        None => "ansai will not heal that, since no remedy is declared for it".to_owned(),
    };
    Some(why)
}

/// What the command is for, and what each kind of failure is.
pub(crate) fn about() -> String {
    // What else there is to know of one stands in the question.
    let briefly = |kind| what_it_does(kind).split(';').next().unwrap_or_default();
    let kinds = DrillKind::ALL.map(|kind| format!("- `{}`: {}", kind.as_str(), briefly(kind)));
    format!("Inject a failure on purpose, to see the healing work. Its kinds:\n\n{}", kinds.join("\n"))
}

/// The kind that a person means.
pub(crate) fn kind(text: &str) -> Result<DrillKind, String> {
    // What people call a crash as well, and the first word of a configuration.
    let text = match text {
        "kill" => "crash",
        "config" => "configuration",
        text => text,
    };
    let words = DrillKind::ALL.map(|kind| kind.as_str().to_owned());
    let found = DrillKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| usage::one_of(text, &words))
}

/// What will happen, before it does.
fn what_it_does(kind: DrillKind) -> &'static str {
    match kind {
        DrillKind::Crash => "kills its main process",
        DrillKind::Hang => "stops its main process with SIGSTOP, for two minutes at most",
        DrillKind::Exit => "ends its main process with SIGTERM, past systemd",
        DrillKind::Port => {
            "kills it and holds its port for 15 seconds; no remedy takes a port from others, so people are told that it needs \
             them, and when it is back"
        }
        DrillKind::Configuration => {
            "breaks its configuration and kills it; what is left is put back after two minutes, or by `--undo`"
        }
        DrillKind::Loop => "kills it twice: at once, and after its next start",
    }
}

/// How something that an operator asked for ended, as the agent tells it; nothing when that was not heard in time.
pub(crate) fn outcome(
    events: impl Iterator<Item = Event>,
    target: &TargetId,
    longest: Duration,
) -> Option<ActionOutcome> {
    let begun = Instant::now();
    let mut drill = None;
    for event in events.take(EVENTS_MAX).take_while(|_| begun.elapsed() < longest) {
        match event.event {
            EventKind::ActionBegun { run, incident: None, target: of, .. } if of == *target => drill = Some(run),
            EventKind::ActionEnded { run, outcome, .. } if drill == Some(run) => return Some(outcome),
            _ => {}
        }
    }
    None
}

/// A critical target is broken only by whoever writes its name out.
fn proof(target: &TargetId, known: Option<&TargetStatus>) -> Proof {
    match known.is_some_and(|known| known.is_critical) {
        true => Proof::Text(target.name().to_owned()),
        false => Proof::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(autonomy: Option<Autonomy>) -> TargetStatus {
        let autonomy = autonomy.map(Autonomy::as_str);
        let known = json!({"target": "service/app.service", "health": "healthy", "summary": "", "incident": null,
            "explanation": "", "autonomy": autonomy});
        serde_json::from_value(known).expect("a target")
    }

    #[test]
    fn a_drill_on_what_nothing_heals_says_so_and_how_it_is_undone() {
        let target = TargetId::new("service/app.service").expect("valid");
        for (autonomy, words) in [
            (Some(Autonomy::Observe), "ansai will not heal that, since it is under `autonomy: observe`"),
            (Some(Autonomy::Suggest), "ansai will not heal that, since it is under `autonomy: suggest`"),
            (Some(Autonomy::Approve), "ansai will not heal that before somebody approves (`autonomy: approve`)"),
            (None, "ansai will not heal that, since no remedy is declared for it"),
        ] {
            let unhealed = unhealed(&known(autonomy));
            assert_eq!(unhealed.as_deref(), Some(words));
            let told = told("drill `crash` injected", &target, DrillKind::Crash, unhealed.as_deref());
            assert!(
                told.contains(&format!("; {words}: `ansai drill service/app.service --undo` starts it again; ")),
                "{told}"
            );
        }
        assert_eq!(unhealed(&known(Some(Autonomy::Act))), None);
        let healed = |kind| told("drill injected; what is left of it ends by itself in 2m", &target, kind, None);
        assert!(!healed(DrillKind::Crash).contains("--undo"));
        assert!(healed(DrillKind::Hang).contains("in 2m, or at once by `ansai drill service/app.service --undo`; "));
    }
}
