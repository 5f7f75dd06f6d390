//! What each part of a configuration needs of its agent. Pure; a new probe or action is asked for by the compiler.

use std::path::Path;

use ansai_model::{
    action::Action,
    bundle::Bundle,
    notify::{Channel, SecretRef},
    probe::{CommandLine, Probe},
    runbook::Step,
};

use super::{Ability, MissingProgram, Needs};
use crate::linux::domain;

/// Programs that send raw ICMP, and plugins that run them.
const ICMP: &[&str] =
    &["ping", "ping6", "fping", "fping6", "check_ping", "check_icmp", "check_host", "check_fping", "mtr"];

/// All of it.
pub(super) fn of(bundle: &Bundle, state_dir: &Path) -> Needs {
    let parts = bundle.parts();
    let mut all = Collected(Needs::new());
    all.add("the agent itself", Ability::Write(state_dir.display().to_string()));
    for check in parts.checks.values() {
        all.probe(&check.target.to_string(), &check.probe);
    }
    for rule in parts.rules.values() {
        let target = rule.target.to_string();
        for rung in parts.runbooks.get(&rule.runbook).into_iter().flat_map(|runbook| &runbook.rungs) {
            let steps = rung.steps.iter().filter_map(|step| match step {
                Step::Act { action, .. } => Some(action),
                Step::Wait(_) => None,
            });
            steps.chain(&rung.undo).for_each(|action| all.action(&target, action));
        }
    }
    for target in parts.targets.values() {
        target.requests.values().for_each(|request| all.action(&target.id.to_string(), &request.action));
    }
    for route in parts.routes.values() {
        all.channel(&format!("the route {}", route.id), &route.channel);
    }
    all.0
}

/// What is needed so far, and by whom.
pub(crate) struct Collected(Needs);

impl Collected {
    pub(in crate::linux) fn add(&mut self, who: &str, ability: Ability) {
        self.0.entry(ability).or_default().insert(who.to_owned());
    }

    fn probe(&mut self, who: &str, probe: &Probe) {
        match probe {
            Probe::Unit { .. } => {
                self.add(who, Ability::Bus);
                self.add(who, Ability::Journal);
            }
            Probe::Exec(command) => self.command(who, command, MissingProgram::Amiss),
            Probe::Nagios(plugin) => self.command(who, &plugin.command, MissingProgram::Amiss),
            Probe::ProcessCount { .. } => self.add(who, Ability::SeeProcesses),
            Probe::Domain(probe) => domain::looks(probe).needs(who, self),
            // The look itself says whether it may look.
            Probe::Tcp { .. } | Probe::Http(_) | Probe::UnixSocket { .. } => {}
            Probe::File { .. } | Probe::UnitFiles { .. } | Probe::Process { .. } => {}
        }
    }

    fn action(&mut self, who: &str, action: &Action) {
        match action {
            Action::Validate { command } => self.command(who, command, MissingProgram::PassedOver),
            Action::SaveConfiguration { paths, validator, .. } => {
                self.command(who, validator, MissingProgram::PassedOver);
                paths.iter().for_each(|path| self.add(who, Ability::Read(path.clone())));
            }
            Action::RestoreConfiguration { paths, validator, .. } => {
                validator.iter().for_each(|validator| self.command(who, validator, MissingProgram::PassedOver));
                paths.iter().for_each(|path| self.add(who, Ability::Write(path.clone())));
            }
            Action::FreePort { .. } => self.add(who, Ability::SeeProcesses),
            Action::EnsureEnvironment { entries } => {
                for entry in entries {
                    self.add(who, Ability::Write(folder(&entry.path)));
                    if entry.owner.is_some() || entry.group.is_some() {
                        self.add(who, Ability::GiveAway);
                    }
                    if entry.mode.is_some_and(|mode| mode & 0o6000 != 0) {
                        self.add(who, Ability::GroupBit);
                    }
                }
            }
            Action::ResetFailed { .. } | Action::StartUnit { .. } | Action::RestartUnit { .. } => {
                self.add(who, Ability::Bus);
            }
            Action::ReloadUnit { .. } | Action::StopUnit { .. } | Action::KillUnit { .. } => {
                self.add(who, Ability::Bus)
            }
            Action::StartProcess { process } | Action::StopProcess { process } => {
                self.command(who, &process.start, MissingProgram::Amiss);
                process.stop.iter().for_each(|command| self.command(who, command, MissingProgram::Amiss));
            }
            // A drill is asked for by a person, who sees what comes of it.
            Action::Drill { .. } => {}
            Action::Exec { command, .. } => self.command(who, command, MissingProgram::Amiss),
            Action::Domain(action) => domain::acts(action).needs(who, self),
        }
    }

    fn channel(&mut self, who: &str, channel: &Channel) {
        let secret = match channel {
            Channel::Email(email) => &email.password,
            Channel::Webhook(webhook) => &webhook.secret,
            Channel::Exec(command) => return self.command(who, command, MissingProgram::Amiss),
        };
        if let Some(SecretRef::File(path)) = secret {
            self.add(who, Ability::Read(path.clone()));
        }
    }

    pub(in crate::linux) fn command(&mut self, who: &str, command: &CommandLine, missing: MissingProgram) {
        let Some(program) = command.argv.first().cloned() else { return };
        let user = command.user.clone();
        let words = command.argv.iter().flat_map(|argument| argument.split_whitespace());
        if words.map(|word| word.rsplit('/').next().unwrap_or(word)).any(|word| ICMP.contains(&word)) {
            self.add(who, Ability::RawIcmp { user: user.clone() });
        }
        self.add(who, Ability::Run { program, user, missing });
    }
}

/// The folder that something lies in.
pub(in crate::linux) fn folder(path: &str) -> String {
    Path::new(path).parent().unwrap_or(Path::new("/")).display().to_string()
}

#[cfg(test)]
mod tests {
    use ansai_model::domain::disk::{Cleaning, DiskAction};

    use super::*;

    /// What is needed by a command of a probe.
    fn of_command(command: CommandLine) -> Vec<String> {
        let mut all = Collected(Needs::new());
        all.probe("service/app.service", &Probe::Exec(Box::new(command)));
        all.0.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_needs_its_program_and_a_ping_in_it_raw_icmp() {
        let as_nagios = CommandLine { user: Some("nagios".into()), ..CommandLine::new(["/usr/lib/check_icmp", "gw"]) };
        assert_eq!(
            of_command(as_nagios),
            ["send raw ICMP, as ping does as nagios", "run /usr/lib/check_icmp as nagios"]
        );
        let in_shell = CommandLine::new(["sh", "-c", "/bin/ping -c1 gw | grep ttl"]);
        assert_eq!(of_command(in_shell), ["send raw ICMP, as ping does", "run sh"]);
        assert_eq!(of_command(CommandLine::new(["pg_isready", "--ping-me"])), ["run pg_isready"]);
    }

    #[test]
    fn cleaning_needs_what_the_kernel_must_allow_and_a_declared_folder_its_place() {
        let mut all = Collected(Needs::new());
        let entry = ansai_model::action::EnvironmentEntry {
            path: "/srv/app/log".into(),
            kind: ansai_model::action::EnvironmentKind::Directory,
            mode: Some(0o2750),
            owner: Some("app".into()),
            group: None,
        };
        all.action("service/app.service", &Action::EnsureEnvironment { entries: vec![entry] });
        let clean = DiskAction::Clean {
            mount: "/".into(),
            goal: ansai_model::units::Percent::of(80, 100),
            what: Cleaning::PackageCache,
            protect: Vec::new(),
        };
        all.action("disk//", &clean.into());
        let wanted = [
            Ability::OpenBeneath,
            Ability::Leases,
            Ability::Write("/srv/app".into()),
            Ability::GiveAway,
            Ability::GroupBit,
        ];
        assert!(all.0.keys().eq(&wanted), "{:?}", all.0);
        assert!(all.0[&Ability::OpenBeneath].contains("disk//"));
    }
}
