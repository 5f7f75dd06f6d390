//! Every command that a bundle may run, with who names it, so that whoever can change one of them is found.

use alloc::{format, string::String, vec::Vec};

use super::Bundle;
use crate::{
    action::{Action, ProcessDeclaration},
    domain::{
        certificate::{CertificateAction, Deployment, Renewer, Solver},
        disk::{Cleaning, DiskAction},
        memory::{MemoryAction, Release},
    },
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
        Probe::Exec(command) | Probe::Nagios(command) => Vec::from([&**command]),
        Probe::Unit { .. } | Probe::Tcp { .. } | Probe::Http(_) | Probe::UnixSocket { .. } => Vec::new(),
        Probe::Process { .. } | Probe::ProcessCount { .. } | Probe::File { .. } => Vec::new(),
        Probe::Certificate(_) | Probe::Disk(_) | Probe::Memory(_) => Vec::new(),
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
        Action::Validate { command } | Action::Exec { command, .. } => Vec::from([command]),
        Action::SaveConfiguration { validator, .. } => Vec::from([validator]),
        Action::StartProcess { process } | Action::StopProcess { process } => of_process(process),
        Action::Certificate(action) => of_certificate(action),
        Action::Disk(DiskAction::Clean { what: Cleaning::Grow { command }, .. }) => Vec::from([command]),
        Action::Memory(MemoryAction::Release { how: Release::Command(command), .. }) => Vec::from([command]),
        Action::RestoreConfiguration { validator, .. } => validator.iter().collect(),
        Action::Disk(_) | Action::Memory(_) | Action::FreePort { .. } => Vec::new(),
        Action::EnsureEnvironment { .. } | Action::ResetFailed { .. } | Action::StartUnit { .. } => Vec::new(),
        Action::RestartUnit { .. } | Action::ReloadUnit { .. } | Action::StopUnit { .. } => Vec::new(),
        Action::KillUnit { .. } | Action::Drill { .. } => Vec::new(),
    }
}

fn of_certificate(action: &CertificateAction) -> Vec<&CommandLine> {
    match action {
        CertificateAction::Renew(renewal) => of_renewer(&renewal.by),
        CertificateAction::Revoke(revocation) => of_renewer(&revocation.by),
        CertificateAction::Deploy(deployment) => of_deployment(deployment),
        CertificateAction::PutBack(_) => Vec::new(),
        CertificateAction::Replace(replacement) => {
            let renewer = of_renewer(&replacement.renewal.by).into_iter();
            renewer.chain(of_deployment(&replacement.deployment)).collect()
        }
    }
}

fn of_renewer(by: &Renewer) -> Vec<&CommandLine> {
    match by {
        Renewer::Exec(command) => Vec::from([command]),
        Renewer::Certbot { .. } => Vec::new(),
        Renewer::Acme(issuer) => match &issuer.solver {
            Solver::Hook { set, clear, .. } => core::iter::once(set).chain(clear).collect(),
            Solver::Webroot { .. } | Solver::Listen { .. } => Vec::new(),
        },
    }
}

fn of_deployment(deployment: &Deployment) -> Vec<&CommandLine> {
    deployment.validators.iter().collect()
}
