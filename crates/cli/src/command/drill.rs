//! `ansai drill`: a failure on purpose, and the end of one that stays. The agent's gates decide what may be broken.
//!
//! What a drill broke or stopped is put back without the agent, which may be what does not run.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use ansai_host::linux::drill::{
    self, Remains,
    ending::{Done, Lasting, lasting},
};
use ansai_model::{
    action::ActionOutcome,
    bundle::Bundle,
    id::TargetId,
    operator::{DrillKind, Operation},
    text::Text,
    time::Shown,
};
use ansai_protocol::{Event, EventKind, SCHEMA};
use serde_json::json;

use super::{
    config,
    consent::{self, Proof},
    target,
};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show,
};

/// Longest wait for the end of a drill; one of kind `loop` takes longest.
const OUTCOME_MAX: Duration = Duration::from_secs(40);
/// Most events that are heard meanwhile.
const EVENTS_MAX: usize = 100_000;

pub(super) fn drill(paths: &Paths, name: &str, kind: DrillKind, consent: ConsentArgs) -> Result<Code, Failure> {
    let target = target::target_id(paths, name)?;
    let does = what_it_does(kind);
    let operation = Operation::Drill { target: target.clone(), kind };
    if consent.rehearsal.dry_run {
        let what = format!("drill {}, {does}", kind.as_str());
        return consent::rehearse(paths, &what, &[target.to_string()], operation);
    }
    if !consent.yes {
        // Nobody is asked about what would be refused.
        client::rehearse(paths, operation.clone())?;
    }
    consent::ask(&format!("drill on {target}, {does}"), &proof(paths, &target)?, consent)?;
    // Whoever cannot listen still hears whether the drill was taken on.
    let events = client::events(paths).ok();
    let done = client::operate(paths, operation)?;
    let outcome = events.and_then(|events| outcome(events, &target, OUTCOME_MAX));
    let stands = || format!("`ansai explain {target}` says how it stands");
    let text = match outcome {
        None => done.text,
        Some(ActionOutcome::Succeeded { note } | ActionOutcome::NotNeeded { why: note }) => {
            Text::new(format!("{note}; `ansai status {target} --watch` shows what becomes of it"))
        }
        Some(ActionOutcome::Refused { why }) => {
            let what = format!("the drill on {target} was refused: {why}");
            return Err(Failure::new(Code::Refused, what, stands()));
        }
        Some(ActionOutcome::Failed { why } | ActionOutcome::Lost { why }) => {
            let what = format!("the drill on {target} failed: {why}");
            return Err(Failure::new(Code::Failing, what, stands()));
        }
        Some(ActionOutcome::TimedOut { after }) => {
            let what = format!("the drill on {target} did not end within {}", Shown(after));
            return Err(Failure::new(Code::Failing, what, stands()));
        }
    };
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(text.as_str()),
    }
    Ok(Code::Ok)
}

/// What will happen, before it does.
fn what_it_does(kind: DrillKind) -> &'static str {
    match kind {
        DrillKind::Crash => "which kills its main process",
        DrillKind::Hang => "which stops its main process with SIGSTOP, for two minutes at most",
        DrillKind::Exit => "which ends its main process with SIGTERM, past systemd",
        DrillKind::Port => "which kills it and holds its port for 15 seconds",
        DrillKind::Configuration => {
            "which breaks its configuration and kills it; what is left is put back after two minutes, or by `--undo`"
        }
        DrillKind::Loop => "which kills it three times, after each start",
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
fn proof(paths: &Paths, target: &TargetId) -> Result<Proof, Failure> {
    let status = client::status(paths)?;
    let is_critical = status.targets.iter().any(|status| status.target == *target && status.is_critical);
    Ok(if is_critical { Proof::Text(target.name().to_owned()) } else { Proof::Yes })
}

pub(super) fn undo(paths: &Paths, name: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let configuration = config::load(paths)?;
    let bundle = configuration.bundle(&config::inventory(paths)?, 1);
    let bundle = bundle.map_err(|wrong| Failure::wrong(&wrong))?;
    let all: Vec<String> = bundle.parts().targets.keys().map(ToString::to_string).collect();
    let name = target::among(&all, name)?;
    let left = Left::of(paths, &bundle, &name)?;
    let lines = left.lines();
    if lines.is_empty() {
        left.told(paths, &format!("no drill has left anything of {name}"), &name);
        return Ok(Code::Ok);
    }
    if consent.rehearsal.dry_run {
        left.told(paths, &format!("{}\nnothing was changed (--dry-run)", lines.join("\n")), &name);
        return Ok(Code::Ok);
    }
    show::note(&lines.join("\n"));
    // Nobody is asked: it ends what would end by itself, and puts back what was there.
    for lasting in &left.lasting {
        lasting.end(&paths.state_dir).map_err(|error| failed(&paths.state_dir, &error))?;
    }
    for (path, _) in &left.files {
        drill::undo(path).map_err(|error| failed(path, &error))?;
    }
    // What is not known to fail would not be healed.
    let heal = TargetId::new(name.as_str()).map(|target| Operation::Heal { target });
    let next = match heal.is_ok_and(|heal| client::rehearse(paths, heal).is_ok()) {
        true => format!("`ansai heal {name}` heals it now"),
        false => format!("`ansai explain {name}` says how it stands"),
    };
    left.told(paths, &format!("the drill is undone; {next}"), &name);
    Ok(Code::Ok)
}

/// What drills have left of a target: by their notes, and by the copies beside its files.
struct Left {
    lasting: Vec<Lasting>,
    files: Vec<(PathBuf, Remains)>,
}

impl Left {
    fn of(paths: &Paths, bundle: &Bundle, name: &str) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in drill::left_behind(&declared(bundle, name)) {
            let remains = drill::remains(&path).map_err(|error| failed(&path, &error))?;
            files.push((path, remains));
        }
        let mut lasting = lasting(&paths.state_dir).map_err(|error| failed(&paths.state_dir, &error))?;
        lasting.retain(|drill| unit_of(bundle, name).is_some_and(|unit| drill.unit == unit));
        Ok(Self { lasting, files })
    }

    fn stopped(&self) -> impl Iterator<Item = i32> {
        self.lasting.iter().filter_map(|drill| match drill.done {
            Done::Stopped { pid, .. } => Some(pid),
            Done::Broken { .. } => None,
        })
    }

    fn lines(&self) -> Vec<String> {
        let processes = self.stopped().map(|pid| format!("let process {pid} go on"));
        processes.chain(self.files.iter().map(|(path, remains)| line(path, *remains))).collect()
    }

    fn told(&self, paths: &Paths, text: &str, name: &str) {
        if !paths.json {
            return show::print(text);
        }
        let word = |remains| if remains == Remains::Broken { "put-back" } else { "copy-removed" };
        let files = self.files.iter().map(|(path, remains)| json!({"path": path, "outcome": word(*remains)}));
        let (files, processes): (Vec<_>, Vec<_>) = (files.collect(), self.stopped().collect());
        show::print_json(
            &json!({"schema": SCHEMA, "target": name, "files": files, "processes": processes, "text": text}),
        );
    }
}

fn unit_of(bundle: &Bundle, name: &str) -> Option<String> {
    let target = bundle.parts().targets.iter().find(|(id, _)| id.as_str() == name)?.1;
    target.unit.as_ref().map(ToString::to_string)
}

/// Where a drill may have broken something.
fn declared(bundle: &Bundle, name: &str) -> Vec<String> {
    let target = bundle.parts().targets.iter().find(|(id, _)| id.as_str() == name);
    target.map(|(_, target)| target.configuration.clone()).unwrap_or_default()
}

fn line(path: &std::path::Path, remains: Remains) -> String {
    let (file, copy) = (path.display(), drill::copy_of(path));
    match remains {
        Remains::Broken => format!("put back {file} from {}", copy.display()),
        Remains::Copy | Remains::Nothing => {
            format!("leave {file} as it is, for it has been changed since; remove {}", copy.display())
        }
    }
}

fn failed(path: &std::path::Path, error: &io::Error) -> Failure {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
        _ => Failure::new(Code::Failing, what, "compare the file with its copy, which ends in .ansai-drill"),
    }
}
