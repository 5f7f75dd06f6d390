//! What programs keep is given up by their own tools: the journal, images of containers, and a volume that can grow.
//!
//! Tools that need more rights than the agent keeps for itself are started by systemd, in a unit of their own.

use std::{path::Path, time::Duration};

use ansai_model::{
    action::ActionOutcome, domain::disk::DiskUsage, domain::disk::Images, probe::CommandLine, text::Text,
    units::ByteSize,
};

use super::{Order, brought};
use crate::linux::{
    LinuxHost,
    command::{self, Ended, Finished},
};

/// Where the journal may lie.
const JOURNALS: &[&str] = &["/var/log/journal", "/run/log/journal"];
/// Container engines, and where they keep their images.
const ENGINES: &[(&str, &str)] = &[("podman", "/var/lib/containers/storage"), ("docker", "/var/lib/docker")];
/// Where programs are.
const FOLDERS: &[&str] = &["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// Shortens the journal.
pub(super) async fn journal(host: &LinuxHost, order: &Order<'_>, keep: ByteSize, within: Duration) -> ActionOutcome {
    let before = match usage_if(host, order, JOURNALS) {
        Ok(Some(usage)) => usage,
        Ok(None) => return not_needed(format!("the journal does not lie on {}", order.mount)),
        Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
    };
    let size = format!("--vacuum-size={}", keep.0);
    let command = CommandLine::new(["journalctl", "--quiet", "--rotate", size.as_str()]);
    let finished = command::run(&command, within).await;
    concluded(host, order, &before, &command, finished, within)
}

/// Gives up images that no container uses, of the engines that are here.
pub(super) async fn images(host: &LinuxHost, order: &Order<'_>, images: Images, within: Duration) -> ActionOutcome {
    let mut last = not_needed(format!("no container engine keeps its images on {}", order.mount));
    for (engine, store) in ENGINES {
        let before = match usage_if(host, order, &[*store]) {
            Ok(Some(usage)) if is_installed(&host.inner.options.root, engine) => usage,
            Ok(_) => continue,
            Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
        };
        let mut argv = vec![*engine, "image", "prune", "--force", "--filter", "until=24h"];
        if images == Images::Unused {
            argv.push("--all");
        }
        let command = CommandLine::new(argv);
        let finished = command::run(&apart(host, &command, within), within).await;
        last = concluded(host, order, &before, &command, finished, within);
        if !matches!(last, ActionOutcome::NotNeeded { .. }) {
            return last;
        }
    }
    last
}

/// Makes the filesystem larger with the declared command.
pub(super) async fn grow(
    host: &LinuxHost,
    order: &Order<'_>,
    command: &CommandLine,
    within: Duration,
) -> ActionOutcome {
    let before = match order.scope(host).and_then(|scope| scope.usage()) {
        Ok(usage) => usage,
        Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
    };
    let finished = command::run(&apart(host, command, within), within).await;
    let Some(failure) = failed(host, command, &finished, within) else {
        return match order.scope(host).and_then(|scope| scope.usage()) {
            Ok(after) if after.size > before.size => ActionOutcome::Succeeded {
                note: Text::new(format!(
                    "{} grew from {} to {}: {} → {} used",
                    order.mount,
                    before.size,
                    after.size,
                    before.used_share(),
                    after.used_share()
                )),
            },
            Ok(after) => ActionOutcome::Failed {
                why: Text::new(format!(
                    "`{}` ended well, and {} is as large as before, {}",
                    command.shown(),
                    order.mount,
                    after.size
                )),
            },
            Err(why) => ActionOutcome::Failed { why: Text::new(why) },
        };
    };
    failure
}

/// The usage, when one of the paths lies on this filesystem.
fn usage_if(host: &LinuxHost, order: &Order<'_>, paths: &[&str]) -> Result<Option<DiskUsage>, String> {
    let scope = order.scope(host)?;
    if paths.iter().any(|path| scope.holds(path)) { scope.usage().map(Some) } else { Ok(None) }
}

/// What a tool brought, by the filesystem's own word.
fn concluded(
    host: &LinuxHost,
    order: &Order<'_>,
    before: &DiskUsage,
    command: &CommandLine,
    finished: Finished,
    within: Duration,
) -> ActionOutcome {
    if let Some(failure) = failed(host, command, &finished, within) {
        return failure;
    }
    let after = match order.scope(host) {
        Ok(scope) => {
            scope.settle();
            scope.usage()
        }
        Err(why) => Err(why),
    };
    match after {
        Ok(after) if after.used < before.used => ActionOutcome::Succeeded {
            note: Text::new(format!("{}, by `{}`", brought(order.mount, before, &after), command.shown())),
        },
        Ok(_) => not_needed(format!("`{}` found nothing to give up", command.shown())),
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
    }
}

fn failed(host: &LinuxHost, command: &CommandLine, finished: &Finished, within: Duration) -> Option<ActionOutcome> {
    let said = host.inner.redactor.redact(&command::said(finished));
    let why = match &finished.ended {
        Ended::Code(0) => return None,
        Ended::Code(code) => format!("`{}` ended with code {code}: {said}", command.shown()),
        Ended::Signal(signal) => format!("`{}` was ended by signal {signal}: {said}", command.shown()),
        Ended::TimedOut => return Some(ActionOutcome::TimedOut { after: within }),
        Ended::Missing => return Some(not_needed(format!("there is no program for `{}` here", command.shown()))),
        Ended::Failed(why) => why.clone(),
    };
    Some(ActionOutcome::Failed { why: Text::new(why) })
}

fn not_needed(why: String) -> ActionOutcome {
    ActionOutcome::NotNeeded { why: Text::new(why) }
}

fn is_installed(root: &Path, program: &str) -> bool {
    FOLDERS.iter().any(|folder| root.join(folder).join(program).exists())
}

/// The command as systemd starts it in a unit of its own, with the rights of a service of root and for as long; as it is
/// where systemd does not run or the agent is not root.
fn apart(host: &LinuxHost, command: &CommandLine, within: Duration) -> CommandLine {
    if !host.has_systemd() || !rustix::process::geteuid().is_root() {
        return command.clone();
    }
    let mut argv = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"].map(str::to_owned).to_vec();
    argv.push(format!("--property=RuntimeMaxSec={}", within.as_secs().max(1)));
    argv.push(format!("--working-directory={}", command.directory.as_deref().unwrap_or("/")));
    argv.extend(command.user.iter().map(|user| format!("--uid={user}")));
    argv.extend(command.environment.iter().map(|(name, value)| format!("--setenv={name}={value}")));
    argv.push("--".into());
    argv.extend(command.argv.iter().cloned());
    CommandLine::new(argv)
}
