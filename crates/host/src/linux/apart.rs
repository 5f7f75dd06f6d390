//! Programs that need more rights than the agent keeps for itself: systemd starts them, in a unit of their own. It runs none.

use std::{path::Path, time::Duration};

use ansai_model::probe::CommandLine;

use super::LinuxHost;

/// Where programs are.
const FOLDERS: &[&str] = &["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// Whether a program lies in one of the usual folders.
pub(super) fn is_installed(root: &Path, program: &str) -> bool {
    FOLDERS.iter().any(|folder| root.join(folder).join(program).exists())
}

/// The command as systemd starts it in a unit of its own, with the rights of a service of root and for as long; as it is
/// where systemd does not run or the agent is not root.
pub(super) fn apart(host: &LinuxHost, command: &CommandLine, within: Duration) -> CommandLine {
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
