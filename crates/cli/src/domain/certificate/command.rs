//! `ansai certificate`: the certificates as they stand, and what an operator may ask for: a new one everywhere, and the
//! present one revoked besides. The agent does it, and its gates have the last word.

use std::time::Duration;

use ansai_model::{action::ActionOutcome, id::TargetId, operator::Operation, text::Text, time::Shown};
use ansai_protocol::{Problem, SCHEMA, TargetStatus};
use clap::Subcommand;
use serde_json::json;

use super::DOMAIN;
use crate::{
    ConsentArgs, Paths, client,
    command::{
        consent::{self, Proof},
        drill, target,
    },
    exit::{Code, Failure},
    show::{self, Cell},
};

/// Longest wait for the end of a replacement, above what the action itself may take.
const OUTCOME_MAX: Duration = Duration::from_secs(600);

/// What may be said of certificates.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the declared certificates as they stand.
    List {
        /// Only these: names or parts of them.
        names: Vec<String>,
    },
    /// Replace a certificate everywhere, though it may not be due: renewed, put in place, seen on every server.
    Renew {
        /// The certificate, by its name in the configuration.
        name: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Replace a certificate everywhere, and have the present one revoked by its issuer.
    Revoke {
        /// The certificate, by its name in the configuration.
        name: String,
        #[command(flatten)]
        consent: ConsentArgs,
    },
}

impl Command {
    /// Runs it.
    pub(crate) fn run(self, paths: &Paths) -> Result<Code, Failure> {
        match self {
            Self::List { names } => list(paths, &names),
            Self::Renew { name, consent } => ask(paths, Asked::Renew, &name, consent),
            Self::Revoke { name, consent } => ask(paths, Asked::Revoke, &name, consent),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A new one everywhere.
    Renew,
    /// And the present one revoked.
    Revoke,
}

impl Asked {
    fn as_str(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Revoke => "revoke",
        }
    }
}

fn list(paths: &Paths, names: &[String]) -> Result<Code, Failure> {
    let mut targets = client::status(paths)?.targets;
    targets.retain(|target| target.target.domain() == DOMAIN.key);
    let wanted = target::wanted(targets.iter().map(|target| target.target.to_string()), names)?;
    targets.retain(|target| wanted.is_empty() || wanted.contains(target.target.as_str()));
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "certificates": targets})),
        false if targets.is_empty() => show::print("no certificate is declared; `certificates:` declares them"),
        false => show::print(rendered(&targets)),
    }
    Ok(Code::Ok)
}

fn rendered(targets: &[TargetStatus]) -> show::Page {
    let rows = targets.iter().map(|target| {
        let incident = target.incident.map(|id| id.to_string()).unwrap_or_default();
        let summary = show::told(target.summary.as_str(), &show::terminal().zone);
        let (name, summary) = (Cell::new(target.target.name()), Cell::new(summary));
        vec![name, show::health(target.health), Cell::new(incident), summary]
    });
    show::table(&["CERTIFICATE", "HEALTH", "INCIDENT", "LAST LOOK"], &[2], rows)
}

/// Asks the agent for a new certificate, and waits for what comes of it.
fn ask(paths: &Paths, asked: Asked, name: &str, consent: ConsentArgs) -> Result<Code, Failure> {
    let target = certificate(paths, name)?;
    let operation = Operation::Request { target: target.clone(), name: asked.as_str().into() };
    if consent.rehearsal.dry_run {
        return consent::rehearse(paths, asked.as_str(), &[target.to_string()], operation);
    }
    if !consent.yes {
        // Nobody is asked about what would be refused.
        client::rehearse(paths, operation.clone())?;
    }
    let (what, proof) = match asked {
        Asked::Renew => (format!("replace the certificate {} everywhere", target.name()), Proof::Yes),
        Asked::Revoke => (
            format!("replace the certificate {} everywhere and have the present one revoked", target.name()),
            Proof::Text(target.name().to_owned()),
        ),
    };
    consent::ask(&what, &proof, consent)?;
    // Whoever cannot listen still hears whether it was taken on.
    let events = client::events(paths).ok();
    let done = client::operate(paths, operation)?;
    show::note(done.text.as_str());
    let failed =
        |what: String| Failure::new(Code::Failing, what, format!("`ansai explain {target}` says how it stands"));
    let text: Text = match events.and_then(|events| drill::outcome(events, &target, OUTCOME_MAX)) {
        None => done.text,
        Some(ActionOutcome::Succeeded { note } | ActionOutcome::NotNeeded { why: note }) => note,
        Some(ActionOutcome::Refused { why }) => return Err(Failure::refused(&Problem::refused(why, &target))),
        Some(ActionOutcome::Failed { why } | ActionOutcome::Lost { why }) => return Err(failed(why.to_string())),
        Some(ActionOutcome::TimedOut { after }) => {
            return Err(failed(format!("it did not end within {}", Shown(after))));
        }
    };
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(text.as_str()),
    }
    Ok(Code::Ok)
}

/// The certificate of the running agent that is meant.
fn certificate(paths: &Paths, name: &str) -> Result<TargetId, Failure> {
    let status = client::status(paths)?;
    let known = status.targets.iter().filter(|known| known.target.domain() == DOMAIN.key);
    let all: Vec<String> = known.map(|known| known.target.to_string()).collect();
    if all.is_empty() {
        let what = format!("no certificate is declared, so there is none by the name `{name}`");
        let instead = "`ansai config explain certificates.NAME` says how one is declared";
        return Err(Failure::new(Code::Usage, what, instead));
    }
    let found = target::among(&all, name).map_err(|failure| {
        let what = failure.what().replace("there is no target", "there is no certificate");
        let instead = failure.suggestion().replace("`ansai status` lists them", "`ansai certificate list` lists them");
        Failure::new(failure.code, what, instead)
    })?;
    TargetId::new(found).map_err(|error| Failure::new(Code::Usage, error.to_string(), ""))
}
