//! `ansai drill`: a failure on purpose, and the end of one that stays. The agent's gates decide what may be broken.
//!
//! What a drill broke is put back without the agent, which may be what does not run.

use std::{io, path::PathBuf};

use ansai_host::linux::drill::{self, Remains};
use ansai_model::{
    bundle::Bundle,
    id::TargetId,
    operator::{DrillKind, Operation},
};
use ansai_protocol::SCHEMA;
use serde_json::json;

use super::{
    config,
    consent::{self, Proof},
    operate::run,
    target,
};
use crate::{
    ConsentArgs, Places, client,
    exit::{Code, Failure},
    show,
};

pub(super) fn drill(places: &Places, name: &str, kind: DrillKind, consent: ConsentArgs) -> Result<Code, Failure> {
    let target = target::target_id(places, name)?;
    let what = format!("inject a failure ({}) into {target}", kind.as_str());
    if consent.rehearsal.dry_run {
        return consent::rehearse(places, &what, &[target.to_string()]);
    }
    consent::ask(&what, &proof(places, &target)?, consent)?;
    run(places, Operation::Drill { target, kind })
}

/// A critical target is broken only by whoever writes its name out.
fn proof(places: &Places, target: &TargetId) -> Result<Proof, Failure> {
    let status = client::status(places)?;
    let is_critical = status.targets.iter().any(|status| status.target == *target && status.is_critical);
    Ok(if is_critical { Proof::Text(target.name().to_owned()) } else { Proof::Yes })
}

pub(super) fn undo(places: &Places, name: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let configuration = config::load(places)?;
    let bundle = configuration.bundle(&config::inventory(places)?, 1);
    let bundle = bundle.map_err(|wrong| Failure::new(Code::Usage, wrong.to_string(), ""))?;
    let all: Vec<String> = bundle.parts().targets.keys().map(ToString::to_string).collect();
    let name = target::among(&all, name)?;
    let mut found = Vec::new();
    for path in paths(&bundle, &name) {
        match drill::remains(&path).map_err(|error| failed(&path, &error))? {
            Remains::Nothing => {}
            remains => found.push((path, remains)),
        }
    }
    let lines: Vec<String> = found.iter().map(|(path, remains)| line(path, *remains)).collect();
    if found.is_empty() {
        told(places, &found, &format!("no drill has left a broken configuration of {name}"), &name);
        return Ok(Code::Ok);
    }
    if consent.rehearsal.dry_run {
        told(places, &found, &format!("{}\nnothing was changed (--dry-run)", lines.join("\n")), &name);
        return Ok(Code::Ok);
    }
    show::note(&lines.join("\n"));
    consent::ask(&format!("undo the drill on {name}"), &Proof::Yes, consent)?;
    for (path, _) in &found {
        drill::undo(path).map_err(|error| failed(path, &error))?;
    }
    told(places, &found, &format!("the drill is undone; `ansai heal {name}` heals it now, if it still fails"), &name);
    Ok(Code::Ok)
}

/// Where a drill may have broken something.
fn paths(bundle: &Bundle, name: &str) -> Vec<PathBuf> {
    let target = bundle.parts().targets.iter().find(|(id, _)| id.as_str() == name);
    target.map(|(_, target)| target.configuration.iter().map(PathBuf::from).collect()).unwrap_or_default()
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

fn told(places: &Places, found: &[(PathBuf, Remains)], text: &str, name: &str) {
    if !places.json {
        return show::print(text);
    }
    let word = |remains| if remains == Remains::Broken { "put-back" } else { "copy-removed" };
    let files = found.iter().map(|(path, remains)| json!({"path": path, "outcome": word(*remains)}));
    show::print_json(&json!({"schema": SCHEMA, "target": name, "files": files.collect::<Vec<_>>(), "text": text}));
}

fn failed(path: &std::path::Path, error: &io::Error) -> Failure {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(Code::Forbidden, what, "run it as root"),
        _ => Failure::new(Code::Failing, what, "compare the file with its copy, which ends in .ansai-drill"),
    }
}
