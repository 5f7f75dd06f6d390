//! The subcommands: one file each, and here only which one is meant.

mod agent;
mod check;
mod cluster;
mod complete;
pub(crate) mod config;
pub(crate) mod consent;
mod context;
mod controller;
mod docs;
pub(crate) mod doctor;
pub(crate) mod drill;
mod explain;
mod fleet;
mod follow;
mod heal;
mod hosts;
mod import;
mod incidents;
pub(crate) mod init;
mod join;
mod maintenance;
mod operate;
mod orders;
mod over_ssh;
mod permits;
mod player;
mod replay;
mod report;
mod rollout;
mod said;
mod scenario;
mod status;
pub(crate) mod target;
mod test;
mod token;
mod units;

pub(crate) use self::agent::AgentArgs;
pub(crate) use self::complete::Completed;
pub(crate) use self::join::JoinArgs;
pub(crate) use self::over_ssh::AddArgs;
pub(crate) use self::rollout::canary;
use ansai_model::{
    fleet::{FleetScope, RestraintKind},
    operator::DrillKind,
    order::Deed,
};
use clap::ArgMatches;

use self::{
    fleet::Wanted,
    operate::{Ended, Opened},
    orders::Order,
};
use crate::{
    Command, ConfigCommand, ConsentArgs, ImportCommand, Paths,
    exit::{Code, Failure},
    fleet::WideScopeArgs,
    maintenance::MaintenanceCommand,
    paths, when,
};

/// Whether a subcommand reads files that may lie on a server that is away; the others ask the agent, or nobody.
pub(crate) fn reads_files(command: &Command) -> bool {
    match command {
        Command::Init { .. } | Command::Check { .. } | Command::Config { .. } | Command::Doctor { .. } => true,
        Command::Test { .. } | Command::Replay { .. } | Command::Import { .. } | Command::Drill { .. } => true,
        Command::OfDomain(_) | Command::Complete { what: Completed::Keys, .. } => true,
        // Root's own files, of which none lies on a server: a controller runs where its disk is.
        Command::Controller { .. } | Command::Token { .. } | Command::Hosts { .. } => false,
        Command::Permits { .. } | Command::Fleet { .. } => false,
        Command::Context { .. } => false,
        Command::Reload { .. }
        | Command::Agent(_)
        | Command::Status(_)
        | Command::Incidents { .. }
        | Command::Report { .. } => false,
        // What a runbook would do is found out from files.
        Command::Heal { consent, .. } => consent.rehearsal.dry_run,
        Command::Explain { .. } | Command::Approve { .. } | Command::Reject { .. } => false,
        Command::Acknowledge { .. } => false,
        Command::Hold { .. } | Command::Release { .. } | Command::Silence { .. } | Command::Unsilence { .. } => false,
        Command::Maintenance { .. } | Command::Completions { .. } | Command::Man { .. } | Command::Reference => false,
        Command::Complete { .. } | Command::Options => false,
        Command::Join(_) | Command::Leave { .. } => false,
    }
}

/// Whether it is about the controller on this host and about nothing else.
fn is_of_controller(command: &Command) -> bool {
    use Command::{Controller, Fleet, Hosts, Permits, Token};
    matches!(command, Controller { .. } | Token { .. } | Hosts { .. } | Permits { .. } | Fleet { .. })
}

/// The places of this host that a command has named, for the commands that are shown. A controller's are named by the
/// environment alone: it needs none of these, and the hosts that it is asked about are others.
pub(crate) fn places(command: &Command, given: &ArgMatches) -> Vec<String> {
    if let Some(context) = paths::given_context(given) {
        return if matches!(command, Command::Context { .. }) { Vec::new() } else { vec![context] };
    }
    if is_of_controller(command) { Vec::new() } else { paths::given(given) }
}

/// Runs a subcommand.
pub(crate) fn run(paths: &Paths, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Agent(args) => agent::agent(paths, args),
        Command::Init { output, force, dry_run } => init::init(paths, output, force, dry_run),
        Command::Check { path, strict } => check::check(paths, path, check::Warnings::when(strict)),
        Command::Reload { rehearsal } => operate::reload(paths, rehearsal),
        Command::Config { show } => of_config(paths, show),
        Command::Status(shown) if shown.watch => status::watch(paths, &shown),
        Command::Status(shown) => match shown.over().scope()? {
            Some(over) => fleet::status(paths, &over, &shown),
            None => status::status(paths, &shown),
        },
        Command::Incidents { watch: true, targets, .. } => follow::follow(paths, &targets),
        Command::Incidents { targets, open, limit, watch: false, over } => match over.scope()? {
            Some(over) => fleet::incidents(paths, Wanted { over, targets, open, limit }),
            None => incidents::incidents(paths, &targets, open, limit),
        },
        Command::Report { incident, host: Some(host) } => fleet::report(paths, &host, incident.as_deref()),
        Command::Report { incident, host: None } => report::report(paths, incident.as_deref()),
        Command::Explain { target, over } => explained(paths, &target, over.scope()?),
        Command::Test { path, bless: true } => test::bless(paths, path),
        Command::Test { path, bless: false } => test::test(paths, path),
        Command::Replay { journal, with } => replay::replay(paths, &journal, with),
        Command::Import { from: ImportCommand::Ansai { file, output, force } } => {
            import::predecessor(paths, &file, output, force)
        }
        Command::Doctor { send_test: false } => doctor::doctor(paths),
        Command::Doctor { send_test: true } => doctor::send_test(paths),
        Command::Completions { shell } => docs::completions(shell),
        Command::Complete { what, begun, of } => complete::complete(paths, what, &begun, of.as_deref()),
        Command::Man { out } => docs::man(out),
        Command::Options => docs::options(),
        Command::Reference => docs::reference(),
        Command::Approve { incident, over, consent } => match over.scope()? {
            Some(over) => orders::run(paths, &Order::of_incident(Deed::Approve, over, &incident), consent),
            None => operate::approve(paths, &incident, consent),
        },
        Command::Acknowledge { incident, over, reason, undo, consent } => {
            let over = over.scope()?.ok_or_else(said::of_no_host)?;
            said::see_to(paths, said::SeenTo { over, word: &incident, reason: &reason, is_undone: undo }, consent)
        }
        Command::Reject { incident, over, consent } => match over.scope()? {
            Some(over) => orders::run(paths, &Order::of_incident(Deed::Reject, over, &incident), consent),
            None => operate::reject(paths, &incident, consent),
        },
        Command::Hold { scope, reason, until, consent } => hold(paths, scope, reason, until, consent),
        Command::Release { scope, consent } => end(paths, Ended::Hold, scope, consent),
        Command::Controller { what } => paths.is_here().and_then(|()| controller::run(paths, what)),
        Command::Context { what } => context::run(paths, what),
        Command::Token { what } => token::run(paths, what),
        Command::Permits { what } => permits::run(paths, what),
        Command::Hosts { what } => hosts::run(paths, what),
        Command::Fleet { what } => rollout::run(paths, what),
        Command::Unsilence { scope, consent } => {
            // An end of silence is never too much to ask for.
            end(paths, Ended::Silence, scope, ConsentArgs { yes: true, ..consent })
        }
        Command::Silence { scope, lasts, reason, consent } => {
            open(paths, RestraintKind::Silence, scope, Lasting { lasts, reason, consent })
        }
        Command::Maintenance { what } => of_maintenance(paths, what),
        Command::OfDomain(command) => command.run(paths),
        Command::Join(args) => join::join(paths, args),
        Command::Leave { consent } => join::leave(paths, consent),
        Command::Heal { target, over, consent } => match over.scope()? {
            Some(over) => orders::run(paths, &Order::of_target(Deed::Heal, over, &target), consent),
            None => heal::heal(paths, &target, consent),
        },
        Command::Drill { target, kind, over, consent, undo: _ } => {
            drilled(paths, &target, kind, over.scope()?, consent)
        }
    }
}

fn of_config(paths: &Paths, show: ConfigCommand) -> Result<Code, Failure> {
    match show {
        ConfigCommand::Show { expanded: false } => config::show(paths),
        ConfigCommand::Show { expanded: true } => config::expanded(paths),
        ConfigCommand::Layers => config::layers(paths),
        ConfigCommand::Explain { key } => config::explain(paths, &key),
        ConfigCommand::Schema => config::schema(),
        ConfigCommand::Reference => docs::keys(),
    }
}

fn of_maintenance(paths: &Paths, what: MaintenanceCommand) -> Result<Code, Failure> {
    match what {
        MaintenanceCommand::Start { scope, lasts, reason, consent } => {
            open(paths, RestraintKind::Maintenance, scope, Lasting { lasts, reason, consent })
        }
        MaintenanceCommand::End { scope, consent } => end(paths, Ended::Maintenance, scope, consent),
        MaintenanceCommand::List { targets } => maintenance::list(paths, &targets),
    }
}

/// Explains a target of this host, or of others.
fn explained(paths: &Paths, target: &str, over: Option<FleetScope>) -> Result<Code, Failure> {
    match over {
        Some(over) => orders::explain(paths, over, target),
        None => explain::explain(paths, target),
    }
}

/// Begins a drill on a target of this host, or of others, or ends it here.
fn drilled(
    paths: &Paths,
    target: &str,
    kind: Option<DrillKind>,
    over: Option<FleetScope>,
    consent: ConsentArgs,
) -> Result<Code, Failure> {
    match (kind, over) {
        (Some(kind), Some(over)) => orders::run(paths, &Order::of_target(Deed::Drill(kind), over, target), consent),
        (Some(kind), None) => drill::drill(paths, target, kind, consent),
        (None, Some(over)) => Err(drill::undone_there(&over)),
        (None, None) => drill::undo(paths, target, consent),
    }
}

/// Holds targets of this host, or of others.
fn hold(
    paths: &Paths,
    scope: WideScopeArgs,
    reason: String,
    until: Option<String>,
    consent: ConsentArgs,
) -> Result<Code, Failure> {
    match scope.over().scope()? {
        Some(over) => {
            let lasts = until.map(|until| when::when(&until)).transpose()?.map(|when| when.lasts);
            let said = said::Said { kind: RestraintKind::Hold, reason: &reason, lasts };
            said::restrain(paths, over, &scope, &said, consent)
        }
        None => operate::hold(paths, &scope.here(), reason, until, consent),
    }
}

/// A silence or a maintenance window, as it is written.
struct Lasting {
    lasts: String,
    reason: String,
    consent: ConsentArgs,
}

/// Silences targets of this host or of others, or opens maintenance of them.
fn open(paths: &Paths, kind: RestraintKind, scope: WideScopeArgs, said: Lasting) -> Result<Code, Failure> {
    let Lasting { lasts, reason, consent } = said;
    if let Some(over) = scope.over().scope()? {
        let said = said::Said { kind, reason: &reason, lasts: Some(when::lasting(&lasts)?) };
        return said::restrain(paths, over, &scope, &said, consent);
    }
    let opened = Opened { scope: scope.here(), lasts, reason, consent };
    match kind {
        RestraintKind::Maintenance => operate::maintenance(paths, opened),
        _ => operate::silence(paths, opened),
    }
}

/// Ends what was said of targets of this host, or of others.
fn end(paths: &Paths, ended: Ended, scope: WideScopeArgs, consent: ConsentArgs) -> Result<Code, Failure> {
    match scope.over().scope()? {
        Some(over) => said::end(paths, ended.kind(), over, &scope, consent),
        None => operate::end(paths, ended, &scope.here(), consent),
    }
}
