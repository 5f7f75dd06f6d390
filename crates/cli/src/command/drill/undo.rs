//! `ansai drill --undo`: the end of a drill before its time. What it stopped goes on, what it broke is put back, and what it
//! took down is started again.
//!
//! It goes without the agent, which may be what does not run; of drills that leave nothing on the disk only the agent knows.

use std::{io, path::PathBuf};

use ansai_host::linux::drill::{
    self, Remains,
    ending::{Done, Lasting, Process, lasting},
};
use ansai_model::{
    action::{AS_DECLARED, Action, ActionOutcome, ActionRun},
    bundle::Bundle,
    fleet::FleetScope,
    id::{RunId, TargetId, UnitName},
    incident::Phase,
    operator::Operation,
    unit::ActiveState,
};
use ansai_protocol::{Incidents, SCHEMA};
use serde_json::json;

use super::super::{config, target};
use crate::{
    ConsentArgs, Paths, client,
    exit::{Code, Failure},
    show,
};

/// Ends no drill of another host: what it left lies there.
pub(in crate::command) fn undone_there(over: &FleetScope) -> Failure {
    let what = format!("a drill is undone on its own host, and not from here on {over}");
    Failure::new(
        Code::Usage,
        what,
        "`ansai drill TARGET --undo` there; what is left of a drill ends by itself in two minutes",
    )
}

pub(in crate::command) fn undo(paths: &Paths, name: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    // What a drill broke is put back also while a mistake stands in the configuration.
    let configuration = config::load(paths).or_else(|refused| config::in_force(paths).ok_or(refused))?;
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
        if let Some(failure) = left.not_undone() {
            show::note(&format!("{}\nnothing was changed (--dry-run)", lines.join("\n")));
            return Err(failure);
        }
        left.told(paths, &format!("{}\nnothing was changed (--dry-run)", lines.join("\n")), &name);
        return Ok(Code::Ok);
    }
    show::note(&lines.join("\n"));
    // Nobody is asked: it ends what would end by itself, and puts back what was there.
    for lasting in left.lasting.iter().filter(|lasting| !left.is_kept(lasting)) {
        lasting.end(&paths.state_dir).map_err(|error| failed(&paths.state_dir, &error))?;
    }
    for (path, _) in left.files.iter().filter(|(path, remains)| remains.why_kept(path).is_none()) {
        drill::undo(path).map_err(|error| failed(path, &error))?;
    }
    if let Some(failure) = left.not_undone() {
        return Err(failure);
    }
    // It is told when it is so, and before the start, which is not somebody else's. An agent that does not run hears of it no more.
    if let Ok(target) = TargetId::new(&name) {
        let _ = client::operate(paths, Operation::EndDrill { target });
    }
    // What is down is seen once more: it may have failed, or be back, since the first look.
    let next = match left.down(paths, &name) {
        Some(unit) => {
            start(paths, &name, &unit)?;
            format!("{unit} is started; `ansai explain {name}` says how it stands")
        }
        None => next(paths, &name),
    };
    left.told(paths, &format!("the drill is undone; {next}"), &name);
    Ok(Code::Ok)
}

/// What a person may do next; what is not known to fail would not be healed.
fn next(paths: &Paths, name: &str) -> String {
    let heal = TargetId::new(name).map(|target| Operation::Heal { target });
    match heal.is_ok_and(|heal| client::rehearse(paths, heal).is_ok()) {
        true => format!("`ansai heal {name}` heals it now"),
        false => format!("`ansai explain {name}` says how it stands"),
    }
}

/// Starts what a drill took down, as an operator would who has put its configuration back.
fn start(paths: &Paths, name: &str, unit: &UnitName) -> Result<(), Failure> {
    let target = TargetId::new(name).map_err(|error| Failure::new(Code::Usage, error.to_string(), ""))?;
    let action = Action::StartUnit { unit: unit.clone() };
    let run = ActionRun { id: RunId(0), incident: None, target, action, timeout: AS_DECLARED };
    let why = match config::performed(paths, &run)? {
        ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. } => return Ok(()),
        other => other,
    };
    let what = format!("the drill is undone, but {unit} could not be started: {why}");
    Err(Failure::new(Code::Failing, what, format!("systemctl status {unit}")))
}

/// What drills have left of a target: by their notes, by the copies beside its files, and by what the agent knows.
struct Left {
    lasting: Vec<Lasting>,
    /// The processes that they stopped, as they are now.
    processes: Vec<(i32, Process)>,
    files: Vec<(PathBuf, Remains)>,
    unit: Option<UnitName>,
    /// Its unit, when a drill took it down and it was down at the first look.
    down: Option<UnitName>,
}

impl Left {
    fn of(paths: &Paths, bundle: &Bundle, name: &str) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in drill::left_behind(&declared(bundle, name)) {
            let remains = drill::remains(&path).map_err(|error| failed(&path, &error))?;
            files.push((path, remains));
        }
        let unit = unit_of(bundle, name);
        let mut lasting = lasting(&paths.state_dir).map_err(|error| failed(&paths.state_dir, &error))?;
        lasting.retain(|drill| unit.as_ref().is_some_and(|unit| drill.unit == unit.as_str()));
        let processes = lasting.iter().filter_map(Lasting::process).collect();
        let mut left = Self { lasting, processes, files, unit, down: None };
        left.down = left.down(paths, name);
        Ok(left)
    }

    /// Its unit, when a drill took it down and it is down at this moment.
    fn down(&self, paths: &Paths, name: &str) -> Option<UnitName> {
        let has_left = !self.files.is_empty() || !self.lasting.is_empty();
        let is_down =
            |unit: &&UnitName| is_its_doing(config::activity(paths, unit), has_left, || has_open_drill(paths, name));
        self.unit.as_ref().filter(is_down).cloned()
    }

    /// Whether it broke a file that is left as it is.
    fn is_kept(&self, lasting: &Lasting) -> bool {
        let Done::Broken { path } = &lasting.done else { return false };
        self.files.iter().any(|(file, remains)| file == path && remains.why_kept(file).is_some())
    }

    /// What a person has to do first, where the drill's line cannot be told from what somebody wrote.
    fn not_undone(&self) -> Option<Failure> {
        let whys: Vec<_> = self.files.iter().filter_map(|(path, remains)| remains.why_kept(path)).collect();
        let what = format!("the drill is not ended: {}", whys.join("; "));
        (!whys.is_empty()).then(|| Failure::new(Code::Failing, what, "then give the same command again"))
    }

    /// The processes that are to go on.
    fn stopped(&self) -> impl Iterator<Item = i32> {
        let left = self.processes.iter().filter(|(_, left)| *left == Process::Stopped);
        left.map(|(pid, _)| *pid)
    }

    fn lines(&self) -> Vec<String> {
        let processes = self.processes.iter().filter_map(|(pid, left)| process_line(*pid, *left));
        let others = self.lasting.iter().filter_map(|drill| match drill.done {
            Done::Taken { port } => Some(format!("give port {port} back")),
            Done::Kills => Some(format!("no longer kill {} when it comes back", drill.unit)),
            // These are told of their processes and files.
            Done::Stopped { .. } | Done::Broken { .. } => None,
        });
        let processes = processes.chain(others);
        let files = self.files.iter().map(|(path, remains)| line(path, *remains));
        // What is still broken is not started.
        let down = self.down.iter().filter(|_| self.not_undone().is_none());
        let down = down.map(|unit| format!("start {unit}, which is down"));
        processes.chain(files).chain(down).collect()
    }

    fn told(&self, paths: &Paths, text: &str, name: &str) {
        if !paths.json {
            return show::print(text);
        }
        let word = |remains| match remains {
            Remains::Broken => "put-back",
            Remains::Edited => "line-removed",
            // Where the copy stays, it fails instead.
            Remains::Mended | Remains::Copy | Remains::Nothing | Remains::Entangled | Remains::Gone => "copy-removed",
        };
        let files = self.files.iter().map(|(path, remains)| json!({"path": path, "outcome": word(*remains)}));
        let (files, processes): (Vec<_>, Vec<_>) = (files.collect(), self.stopped().collect());
        show::print_json(&json!({
            "schema": SCHEMA, "target": name, "files": files, "processes": processes, "starts": self.down, "text": text,
        }));
    }
}

/// Whether a unit is down for a drill. One that failed while a drill lasts is; of what has only ended, as what somebody stopped
/// has, only the agent knows that it was the drill.
fn is_its_doing(active: Option<ActiveState>, has_left: bool, has_open_drill: impl FnOnce() -> bool) -> bool {
    match active {
        Some(ActiveState::Failed) => has_left || has_open_drill(),
        Some(ActiveState::Inactive) => has_open_drill(),
        Some(_) | None => false,
    }
}

/// Whether the agent, when it can be asked, has an incident open that a drill made.
fn has_open_drill(paths: &Paths, name: &str) -> bool {
    let list = client::get(paths, "/v1/incidents").and_then(client::read::<Incidents>);
    let is_its = |incident: &ansai_protocol::IncidentSummary| {
        incident.is_drill && incident.target.as_str() == name && !matches!(incident.phase, Phase::Resolved(_))
    };
    list.is_ok_and(|list| list.incidents.iter().any(is_its))
}

fn unit_of(bundle: &Bundle, name: &str) -> Option<UnitName> {
    bundle.parts().targets.iter().find(|(id, _)| id.as_str() == name)?.1.unit.clone()
}

/// Where a drill may have broken something.
fn declared(bundle: &Bundle, name: &str) -> Vec<String> {
    let target = bundle.parts().targets.iter().find(|(id, _)| id.as_str() == name);
    target.map(|(_, target)| target.configuration.clone()).unwrap_or_default()
}

/// Nothing is to be done about a process that has ended, as one that was restarted has.
fn process_line(pid: i32, left: Process) -> Option<String> {
    match left {
        Process::Stopped => Some(format!("let process {pid} go on")),
        Process::Runs => Some(format!("leave process {pid} as it is, for it goes on already")),
        Process::Ended => None,
    }
}

fn line(path: &std::path::Path, remains: Remains) -> String {
    if let Some(why) = remains.why_kept(path) {
        return format!("leave it as it is: {why}");
    }
    let (file, copy) = (path.display(), drill::copy_of(path));
    let copy = copy.display();
    match remains {
        Remains::Broken => format!("put back {file} from {copy}"),
        Remains::Mended => format!("remove {copy}: {file} is as it was before"),
        Remains::Edited => {
            format!("take the drill's line out of {file}, and leave what has been changed since; remove {copy}")
        }
        Remains::Copy | Remains::Nothing | Remains::Entangled | Remains::Gone => {
            format!("leave {file} as it is, for it has been changed since; remove {copy}")
        }
    }
}

fn failed(path: &std::path::Path, error: &io::Error) -> Failure {
    let what = format!("{}: {}", path.display(), ansai_files::said(error));
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
        _ => Failure::new(Code::Failing, what, "compare the file with its copy, which ends in .ansai-drill"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_is_not_said_to_go_on() {
        let processes = vec![(7, Process::Ended), (8, Process::Runs), (9, Process::Stopped)];
        let left = Left { lasting: Vec::new(), processes, files: Vec::new(), unit: None, down: None };
        assert_eq!(left.stopped().collect::<Vec<_>>(), [9]);
        // There is nothing to be done about the first.
        assert_eq!(left.lines(), ["leave process 8 as it is, for it goes on already", "let process 9 go on"]);
    }

    #[test]
    fn what_cannot_be_undone_is_not_said_to_be_and_nothing_is_started_with_it() {
        let (path, unit) = (PathBuf::from("/etc/a.conf"), UnitName::new("a.service").ok());
        let left = |remains| {
            let files = vec![(path.clone(), remains)];
            Left { lasting: Vec::new(), processes: Vec::new(), files, unit: unit.clone(), down: unit.clone() }
        };
        for remains in [Remains::Entangled, Remains::Gone] {
            let left = left(remains);
            let failure = left.not_undone().expect("refused");
            assert!(failure.what().contains("not ended") && failure.what().contains("/etc/a.conf.ansai-drill"));
            assert!(left.lines().len() == 1 && left.lines()[0].starts_with("leave it as it is: /etc/a.conf"));
            assert!(left.is_kept(&Lasting::breaking("a.service", path.clone())));
        }
        let left = left(Remains::Edited);
        assert!(left.not_undone().is_none() && !left.is_kept(&Lasting::breaking("a.service", path.clone())));
        assert!(left.lines()[0].starts_with("take the drill's line out of /etc/a.conf"), "{:?}", left.lines());
        assert_eq!(left.lines()[1], "start a.service, which is down");
    }

    #[test]
    fn what_a_drill_took_down_is_told_from_what_somebody_stopped() {
        let is_started = |active, has_left, is_open| is_its_doing(Some(active), has_left, || is_open);
        assert!(is_started(ActiveState::Failed, true, false), "also without an agent");
        assert!(is_started(ActiveState::Failed, false, true));
        assert!(is_started(ActiveState::Inactive, false, true), "ended by SIGTERM");
        assert!(!is_started(ActiveState::Inactive, true, false), "somebody stopped it meanwhile");
        assert!(!is_started(ActiveState::Failed, false, false), "no drill has to do with it");
        assert!(!is_started(ActiveState::Active, true, true) && !is_its_doing(None, true, || true));
    }
}
