//! Every command that a bundle may run, with who names it, so that whoever can change one of them is found.

use alloc::{format, string::String, vec::Vec};

use super::Bundle;
use crate::{
    action::{Action, ProcessDeclaration},
    notify::Channel,
    probe::{CommandLine, Probe},
    runbook::Step,
};

impl Bundle {
    /// Every command, each behind who names it, as "check service/app/probe". One may be named more than once.
    #[must_use]
    pub fn commands(&self) -> Vec<(String, &CommandLine)> {
        let parts = self.parts();
        let mut found = Vec::new();
        for (id, check) in &parts.checks {
            named(&mut found, &format!("check {id}"), of_probe(&check.probe));
        }
        for (id, runbook) in &parts.runbooks {
            for rung in &runbook.rungs {
                let acts = rung.steps.iter().filter_map(|step| match step {
                    Step::Act { action, .. } => Some(action),
                    Step::Wait(_) => None,
                });
                named(&mut found, &format!("runbook {id}"), acts.chain(&rung.undo).flat_map(of_action).collect());
            }
        }
        for (id, target) in &parts.targets {
            let own = target.process.iter().flat_map(|process| of_process(process));
            let asked = target.requests.values().flat_map(|request| of_action(&request.action));
            named(&mut found, id.as_str(), own.chain(asked).collect());
        }
        for (id, route) in &parts.routes {
            named(&mut found, &format!("route {id}"), of_channel(&route.channel));
        }
        found
    }
}

fn named<'b>(found: &mut Vec<(String, &'b CommandLine)>, holder: &str, commands: Vec<&'b CommandLine>) {
    found.extend(commands.into_iter().map(|command| (holder.into(), command)));
}

fn of_probe(probe: &Probe) -> Vec<&CommandLine> {
    match probe {
        Probe::Exec(command) => Vec::from([&**command]),
        Probe::Nagios(plugin) => Vec::from([&plugin.command]),
        Probe::Unit { .. } | Probe::Tcp { .. } | Probe::Http(_) | Probe::UnixSocket { .. } => Vec::new(),
        Probe::Process { .. } | Probe::ProcessCount { .. } | Probe::File { .. } => Vec::new(),
        Probe::UnitFiles { .. } => Vec::new(),
        Probe::Domain(_) => Vec::new(),
    }
}

fn of_channel(channel: &Channel) -> Vec<&CommandLine> {
    match channel {
        Channel::Exec(command) => Vec::from([command]),
        Channel::Email(_) | Channel::Webhook(_) => Vec::new(),
    }
}

fn of_process(process: &ProcessDeclaration) -> Vec<&CommandLine> {
    core::iter::once(&process.start).chain(&process.stop).collect()
}

fn of_action(action: &Action) -> Vec<&CommandLine> {
    match action {
        Action::Validate { command } | Action::Exec { command, .. } => Vec::from([&**command]),
        Action::SaveConfiguration { validator, .. } => Vec::from([&**validator]),
        Action::StartProcess { process } | Action::StopProcess { process } => of_process(process),
        Action::Domain(action) => action.deed().commands(),
        Action::RestoreConfiguration { validator, .. } => validator.iter().map(|validator| &**validator).collect(),
        Action::FreePort { .. } => Vec::new(),
        Action::EnsureEnvironment { .. } | Action::ResetFailed { .. } | Action::StartUnit { .. } => Vec::new(),
        Action::RestartUnit { .. } | Action::ReloadUnit { .. } | Action::StopUnit { .. } => Vec::new(),
        Action::KillUnit { .. } | Action::Drill { .. } => Vec::new(),
    }
}
