//! Commands that change something: each previews its targets, and the agent's gates have the last word.

use std::io::{IsTerminal, Write};

use ansai_model::{
    id::{IncidentId, TargetId},
    operator::Operation,
    policy::Scope,
    text::Text,
};

use super::read::resolve;
use crate::{
    Command, Places, ScopeArgs, client,
    exit::{Code, Failure},
    show,
};

pub(super) fn run(places: &Places, command: Command) -> Result<Code, Failure> {
    let operation = match command {
        Command::Approve { incident } => Operation::Approve { incident: number(&incident)? },
        Command::Reject { incident } => Operation::Reject { incident: number(&incident)? },
        Command::Hold { scope, reason } => {
            Operation::Hold { scope: scope_of(places, &scope)?, reason: Text::new(reason), until: None }
        }
        Command::Release { scope } => Operation::Release { scope: plain_scope(&scope) },
        Command::Silence { scope, lasts, reason } => {
            let (scope, lasts) = (scope_of(places, &scope)?, duration(&lasts)?);
            Operation::Silence { scope, reason: Text::new(reason), lasts }
        }
        Command::Unsilence { scope } => Operation::Unsilence { scope: plain_scope(&scope) },
        Command::Maintenance { scope, lasts, reason } => match duration(&lasts)? {
            lasts if lasts.is_zero() => Operation::EndMaintenance { scope: plain_scope(&scope) },
            lasts => Operation::Maintenance { scope: scope_of(places, &scope)?, reason: Text::new(reason), lasts },
        },
        Command::Heal { target, dry_run } => {
            let target = target_id(places, &target)?;
            if dry_run {
                return super::read::explain(places, target.as_str());
            }
            Operation::Heal { target }
        }
        Command::Drill { target, kind, yes } => {
            let target = target_id(places, &target)?;
            confirm(&format!("inject a failure ({}) into {target}", kind.as_str()), yes)?;
            Operation::Drill { target, kind }
        }
        Command::Agent | Command::Init { .. } | Command::Check { .. } | Command::Status | Command::Incidents => {
            return Ok(Code::Ok);
        }
        Command::Report { .. } | Command::Explain { .. } | Command::Doctor => return Ok(Code::Ok),
        Command::Completions { .. } | Command::Man => return Ok(Code::Ok),
    };
    let done = client::operate(places, operation)?;
    match places.json {
        true => show::print_json(&serde_json::to_value(&done).unwrap_or_default()),
        false => show::print(done.text.as_str()),
    }
    Ok(Code::Ok)
}

fn number(text: &str) -> Result<IncidentId, Failure> {
    let wrong = |_| {
        Failure::new(
            Code::Usage,
            format!("`{text}` is no incident"),
            "write its number as i7; `ansai incidents` lists them",
        )
    };
    text.parse().map_err(wrong)
}

fn duration(text: &str) -> Result<std::time::Duration, Failure> {
    ansai_config::units::duration(text).map_err(|error| Failure::new(Code::Usage, error, ""))
}

fn target_id(places: &Places, name: &str) -> Result<TargetId, Failure> {
    let name = resolve(places, name)?;
    TargetId::new(&name).map_err(|error| Failure::new(Code::Usage, error.to_string(), "`ansai status` lists them"))
}

fn plain_scope(args: &ScopeArgs) -> Scope {
    if args.all { Scope::All } else { Scope::Matching(args.targets.clone()) }
}

/// The scope, which must hold something: a misspelled one would stop nothing.
fn scope_of(places: &Places, args: &ScopeArgs) -> Result<Scope, Failure> {
    let written = plain_scope(args);
    let status = client::status(places)?;
    let holds = |scope: &Scope| status.targets.iter().filter(|target| scope.holds(&target.target)).count();
    if holds(&written) > 0 || args.all {
        return Ok(written);
    }
    let with_suffix = Scope::Matching(args.targets.iter().map(|name| format!("{name}.service")).collect());
    if holds(&with_suffix) > 0 {
        return Ok(with_suffix);
    }
    let what = format!("{written} holds none of the {} targets", status.targets.len());
    Err(Failure::new(Code::Usage, what, "`ansai status` lists them; --all is every one"))
}

#[expect(clippy::print_stderr, reason = "a question to the person at the terminal")]
fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Code::Usage,
            format!("ansai would {what}, and nobody is there to confirm it"),
            "add --yes",
        ));
    }
    eprint!("ansai will {what}. Go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Refused, "nothing was done", "")),
    }
}
