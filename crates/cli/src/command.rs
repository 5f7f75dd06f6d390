//! The subcommands: one file each, and here only which one is meant.

mod agent;
mod check;
mod config;
mod consent;
mod docs;
mod doctor;
mod explain;
mod incidents;
mod init;
mod operate;
mod player;
mod replay;
mod report;
mod scenario;
mod status;
mod target;
mod test;

use self::operate::{Ended, Opened};
use crate::{
    Command, ConfigCommand, Places,
    exit::{Code, Failure},
};

/// Runs a subcommand.
pub(crate) fn run(places: &Places, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Agent => agent::agent(places),
        Command::Init { output, force, dry_run } => init::init(places, output, force, dry_run),
        Command::Check { path } => check::check(places, path),
        Command::Config { show: ConfigCommand::Show { expanded: false } } => config::show(places),
        Command::Config { show: ConfigCommand::Show { expanded: true } } => config::expanded(places),
        Command::Config { show: ConfigCommand::Layers } => config::layers(places),
        Command::Status { watch: true } => status::watch(places),
        Command::Status { watch: false } => status::status(places),
        Command::Incidents { open, limit } => incidents::incidents(places, open, limit),
        Command::Report { incident } => report::report(places, &incident),
        Command::Explain { target } => explain::explain(places, &target),
        Command::Test { path, bless: true } => test::bless(places, path),
        Command::Test { path, bless: false } => test::test(places, path),
        Command::Replay { journal, with } => replay::replay(places, &journal, with),
        Command::Doctor => doctor::doctor(places),
        Command::Completions { shell } => docs::completions(shell),
        Command::Man { out } => docs::man(out),
        Command::Reference => docs::reference(),
        Command::Approve { incident } => operate::approve(places, &incident),
        Command::Reject { incident } => operate::reject(places, &incident),
        Command::Hold { scope, reason, until } => operate::hold(places, &scope, reason, until),
        Command::Release { scope, consent } => operate::end(places, Ended::Hold, &scope, consent),
        Command::Unsilence { scope } => operate::end(places, Ended::Silence, &scope, crate::ConsentArgs { yes: true }),
        Command::Silence { scope, lasts, reason, consent } => {
            operate::silence(places, Opened { scope, lasts, reason, consent })
        }
        Command::Maintenance { scope, lasts, reason, consent } => {
            operate::maintenance(places, Opened { scope, lasts, reason, consent })
        }
        Command::Heal { target, dry_run, consent } => operate::heal(places, &target, dry_run, consent),
        Command::Drill { target, kind, consent } => operate::drill(places, &target, kind, consent),
    }
}
