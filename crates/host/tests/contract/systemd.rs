//! A real systemd as a bench of the contract: this machine's, which therefore is a lab host.
//!
//! It deliberately asks `systemctl` rather than the bus: a bench must not share the code that it tests.

use std::{collections::BTreeSet, fs, process::Command, sync::Mutex};

use ansai_host::linux::{LinuxHost, Options};
use ansai_model::{id::UnitName, probe::CommandLine};
use tokio_util::task::TaskTracker;

use crate::checks::{Bench, Deed, Kind};

/// Ends with code 0 on USR2 and with code 3 on USR1.
const DAEMON: &str = r#"Type=exec
ExecStart=/bin/sh -c "trap 'exit 3' USR1; trap 'exit 0' USR2; while :; do sleep 1000 & wait; done"
"#;
const NEVER_READY: &str = "Type=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n";
const FAILS_TO_START: &str = "ExecStartPre=/bin/false\nExecStart=/bin/sleep infinity\n";

pub(crate) struct SystemdBench {
    host: LinuxHost,
    units: Mutex<BTreeSet<UnitName>>,
}

fn systemctl(arguments: &[&str]) {
    let status = Command::new("systemctl").args(arguments).status().expect("systemctl runs");
    assert!(status.success(), "systemctl {}", arguments.join(" "));
}

impl SystemdBench {
    pub(crate) fn new() -> Self {
        let options = Options::this_machine("/var/lib/contract".into());
        Self { host: LinuxHost::new(options, &TaskTracker::new()), units: Mutex::default() }
    }
}

impl Bench for SystemdBench {
    type Host = LinuxHost;

    fn host(&self) -> &LinuxHost {
        &self.host
    }

    fn install(&self, unit: &UnitName, kind: Kind) {
        let text = match kind {
            Kind::Daemon => DAEMON,
            Kind::NeverReady => NEVER_READY,
            Kind::FailsToStart => FAILS_TO_START,
        };
        // Not in /etc, where it could not be masked.
        fs::write(format!("/run/systemd/system/{unit}"), format!("[Unit]\nStartLimitIntervalSec=0\n[Service]\n{text}"))
            .expect("written");
        systemctl(&["daemon-reload"]);
        if kind == Kind::Daemon {
            systemctl(&["start", unit.as_str()]);
        }
        let mut units = self.units.lock().expect("no panic before");
        units.insert(unit.clone());
        self.host.watch(units.clone(), Vec::new());
    }

    fn watch_missing(&self, unit: &UnitName) {
        let mut units = self.units.lock().expect("no panic before");
        units.insert(unit.clone());
        self.host.watch(units.clone(), Vec::new());
    }

    fn do_now(&self, unit: &UnitName, deed: Deed) {
        let kill = |signal| systemctl(&["kill", "--kill-who=main", "-s", signal, unit.as_str()]);
        match deed {
            Deed::Crash => kill("KILL"),
            Deed::Exit { code: 0 } => kill("USR2"),
            Deed::Exit { .. } => kill("USR1"),
            Deed::Start => systemctl(&["start", unit.as_str()]),
            Deed::Stop => systemctl(&["stop", unit.as_str()]),
            Deed::Restart => systemctl(&["restart", unit.as_str()]),
            Deed::Mask => systemctl(&["mask", "--now", unit.as_str()]),
        }
    }

    fn cut_bus(&self) {
        systemctl(&["kill", "-s", "KILL", "dbus.service"]);
    }

    fn restore_bus(&self) {
        systemctl(&["start", "dbus.service"]);
    }

    fn has_job(&self, unit: &UnitName) -> bool {
        let jobs = Command::new("systemctl").args(["list-jobs", "--no-legend"]).output().expect("systemctl runs");
        String::from_utf8_lossy(&jobs.stdout).contains(unit.as_str())
    }

    fn failing_command(&self) -> CommandLine {
        CommandLine::new(["false"])
    }
}
