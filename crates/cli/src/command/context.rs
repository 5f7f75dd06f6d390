//! `ansai context`: controllers elsewhere, by names. A token is read from a file or the standard input and written into a file of
//! the person's own; it stands in no command line and in no answer.

use std::path::PathBuf;

use ansai_protocol::{SCHEMA, views::HostsAsked};
use serde_json::json;

use super::{consent, fleet, join};
use crate::{
    Paths, client,
    context::{Context, Contexts},
    exit::{Code, Failure},
    fleet::ContextCommand,
    show::{self, Cell},
};

pub(super) fn run(paths: &Paths, command: ContextCommand) -> Result<Code, Failure> {
    match command {
        ContextCommand::Add { name, address, token_file, ca, proxy, rehearsal } => {
            let token = join::read_token(
                &token_file,
                "`ansai token create --api viewer` on the controller prints one; write it into a file, or pipe it in",
            )?;
            let ca = ca.map(whole).transpose()?;
            let context = Context { name, address, token, ca, proxy };
            add(paths, &context, rehearsal.dry_run)
        }
        ContextCommand::List => list(paths),
        ContextCommand::Remove { name, consent: assent } => {
            let contexts = Contexts::own()?;
            // One that cannot be read can be forgotten all the same.
            if !contexts.file(&name)?.exists() {
                return contexts.named(&name).map(|_| Code::Ok);
            }
            let what = format!("forget the context {name}, with its token");
            if assent.rehearsal.dry_run {
                fleet::unchanged(paths, &what);
                return Ok(Code::Ok);
            }
            consent::ask(&what, &consent::Proof::Yes, assent)?;
            contexts.remove(&name)?;
            said(paths, &format!("{name} is forgotten here; its token is good until `ansai token revoke` or its end"));
            Ok(Code::Ok)
        }
    }
}

/// A file by a name that holds wherever a command is typed.
fn whole(path: PathBuf) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| {
        let what = format!("--ca {}: {}", path.display(), ansai_files::said(&error));
        Failure::new(Code::Usage, what, "name a file with the CA's certificate (PEM)")
    })
}

fn said(paths: &Paths, text: &str) {
    match paths.json {
        true => show::print_json(&json!({"schema": SCHEMA, "text": text})),
        false => show::print(text),
    }
}

fn add(paths: &Paths, context: &Context, is_rehearsed: bool) -> Result<Code, Failure> {
    let (contexts, name) = (Contexts::own()?, &context.name);
    if contexts.file(name)?.exists() {
        let what = format!("there is a context {name} already");
        return Err(Failure::new(
            Code::Usage,
            what,
            format!("choose another name, or `ansai context remove {name}` first"),
        ));
    }
    let at = context.route()?.controller;
    // It is known to work before it is kept.
    let one = serde_json::to_value(HostsAsked { limit: 1, ..HostsAsked::default() }).unwrap_or_default();
    client::by_context(context, "POST", "/v1/hosts", &one)?;
    let what = format!("context {name}: the controller at {at}");
    if is_rehearsed {
        fleet::unchanged(paths, &what);
        return Ok(Code::Ok);
    }
    contexts.keep(context)?;
    said(paths, &format!("{what}; it is asked with --context {name}, or ANSAI_CONTEXT={name}"));
    Ok(Code::Ok)
}

fn list(paths: &Paths) -> Result<Code, Failure> {
    let contexts = Contexts::own()?;
    let all: Vec<(String, Result<Context, Failure>)> =
        contexts.names().into_iter().map(|name| (name.clone(), contexts.named(&name))).collect();
    if paths.json {
        let all = all.iter().map(|(name, found)| match found {
            Ok(context) => {
                json!({"name": name, "address": context.address, "token": context.token.0.id, "ca": context.ca})
            }
            Err(failure) => json!({"name": name, "error": failure.what(), "suggestion": failure.suggestion()}),
        });
        show::print_json(&json!({"schema": SCHEMA, "contexts": all.collect::<Vec<_>>()}));
        return Ok(Code::Ok);
    }
    if all.is_empty() {
        show::print("there is no context; `ansai context add prod https://controller.example.com:7444` makes one");
        return Ok(Code::Ok);
    }
    let rows = all.iter().map(|(name, found)| match found {
        Ok(context) => {
            let known_by = context
                .ca
                .as_ref()
                .map_or_else(|| context.token.0.authority.short().to_string(), |ca| ca.display().to_string());
            vec![Cell::new(name), Cell::new(&context.address), Cell::new(context.token.0.id), Cell::new(known_by)]
        }
        Err(failure) => vec![Cell::new(name), Cell::new(failure.what()), Cell::new(""), Cell::new("")],
    });
    show::print(show::table(&["CONTEXT", "CONTROLLER", "TOKEN", "KNOWN BY"], &[3], rows));
    Ok(Code::Ok)
}
