//! ansai on a lab host: the built program installed as its package would, run as a systemd unit, and asked through its command line.
//!
//! It deliberately knows nothing of ansai but its paths, its unit and its commands.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::fixture;
use crate::host::BINARIES;
use crate::{Host, Output};

/// The unit that runs the agent.
pub const UNIT: &str = "ansai.service";

/// The configuration file that the agent reads.
pub const CONFIGURATION: &str = "/etc/ansai/ansai.yaml";

const PROGRAM: &str = "/usr/bin/ansai";
const READY_LIMIT: Duration = Duration::from_secs(20);

const UNIT_TEXT: &str = "\
[Unit]
Description=ansai agent (lab)
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/bin/ansai agent
StateDirectory=ansai
RuntimeDirectory=ansai
WatchdogSec=30
Restart=always
RestartSec=100ms

[Install]
WantedBy=multi-user.target
";

/// Puts the built program, the unit and a configuration on the host, and starts nothing.
///
/// The program is a link into the folder of built binaries, so that a host starts in no time; the package test installs the real thing.
pub fn install(host: &Host, configuration: &str) -> Result<()> {
    fixture::binary("ansai")?;
    host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai"), PROGRAM])?;
    host.write_file(CONFIGURATION, configuration, 0o640)?;
    host.install_unit(UNIT, UNIT_TEXT)
}

/// Starts the agent and waits until it says that it is ready.
pub fn start(host: &Host) -> Result<()> {
    let started = host.run(&["systemctl", "start", UNIT])?;
    started.ok().with_context(|| format!("starting the agent\n{}", host.evidence()))?;
    host.wait_active(UNIT, READY_LIMIT)
}

/// Runs an `ansai` command on the host.
pub fn ansai(host: &Host, arguments: &[&str]) -> Result<Output> {
    let mut command = vec![PROGRAM];
    command.extend(arguments);
    host.run(&command)
}
