//! What certificates are to the list of domains.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::{
        Deed,
        certificate::{CertificateAction, CertificateProbe, Deployment, KeyPlace, Place, Renewal, Renewer, Solver},
    },
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
    probe::CommandLine,
    text::Text,
};
use futures_util::future::BoxFuture;

use crate::{
    fake::Machine,
    linux::{
        LinuxHost,
        ability::{
            Ability, MissingProgram,
            needs::{Collected, folder},
        },
        act::{self, Planned},
        aside::{self, Kind, Work},
        domain::{Acts, Observes},
        evidence,
        probe::Context,
        systemd::Bus,
    },
};

impl Observes for CertificateProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(super::observe(&host.inner.context, self, timeout))
    }

    fn gather<'a>(
        &'a self,
        context: &'a Context,
        _: Option<&'a Bus>,
        request: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        let (root, asked) = (context.root.clone(), self.clone());
        let work = Work::new(Kind::Gather, format!("the certificate of {}", request.target)).on_what_it_names(self);
        Box::pin(evidence::beside(work, move || super::gather(&root, &asked)))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        let Self::File(file) = self else { return };
        all.add(who, Ability::Read(file.path.clone()));
        if let KeyPlace::Apart(key) = &file.key {
            all.add(who, Ability::Read(key.clone()));
        }
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        machine.domains.certificates.look(self, machine.now())
    }
}

impl Acts for CertificateAction {
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome> {
        let (host, action, whole) = (host.clone(), self.clone(), run.clone());
        let perform = move || async move { super::perform(&host, &action, &whole).await };
        Box::pin(act::aside_future(run, perform))
    }

    fn plan<'a>(&'a self, host: &'a LinuxHost) -> BoxFuture<'a, Planned> {
        Box::pin(plan(host, self))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        match self {
            Self::Renew(renewal) => of_renewal(renewal, who, all),
            Self::Deploy(deployment) => of_deployment(deployment, who, all),
            Self::Replace(replacement) => {
                of_renewal(&replacement.renewal, who, all);
                of_deployment(&replacement.deployment, who, all);
            }
            Self::PutBack(_) | Self::Revoke(_) => {}
        }
    }

    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome> {
        let now = machine.now();
        Some(machine.domains.certificates.act(self, now))
    }
}

async fn plan(host: &LinuxHost, action: &CertificateAction) -> Planned {
    let work = Work::new(Kind::Gather, action.describe().to_string()).on_what_it_names(action);
    let (asked, does) = (host.clone(), action.clone());
    let users = match action {
        CertificateAction::Deploy(deployment) => host.users_of(&deployment.units).await,
        _ => Vec::new(),
    };
    let planned = aside::run(work, act::PLAN_TIME, move || super::plan(&asked, &does, &users)).await;
    planned.unwrap_or_else(|late| Ok(vec![Text::new(late.to_string())].into()))
}

fn of_renewal(renewal: &Renewal, who: &str, all: &mut Collected) {
    match &renewal.by {
        Renewer::Certbot { .. } => all.command(who, &CommandLine::new(["certbot"]), MissingProgram::Amiss),
        Renewer::Exec(command) => all.command(who, command, MissingProgram::Amiss),
        Renewer::Acme(issuer) => match &issuer.solver {
            Solver::Webroot { path } => all.add(who, Ability::Write(path.clone())),
            Solver::Listen { address } => all.add(who, Ability::Listen(address.clone())),
            Solver::Hook { set, clear, .. } => {
                std::iter::once(set).chain(clear).for_each(|command| all.command(who, command, MissingProgram::Amiss));
            }
        },
    }
}

fn of_deployment(deployment: &Deployment, who: &str, all: &mut Collected) {
    deployment.validators.iter().for_each(|command| all.command(who, command, MissingProgram::PassedOver));
    for Place { certificate, key, owner, group, .. } in std::iter::once(&deployment.source).chain(&deployment.copies) {
        all.add(who, Ability::Write(folder(certificate)));
        if let KeyPlace::Apart(key) = key {
            all.add(who, Ability::Write(folder(key)));
        }
        if owner.is_some() || group.is_some() {
            all.add(who, Ability::GiveAway);
        }
    }
}
