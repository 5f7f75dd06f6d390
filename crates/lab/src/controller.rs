//! A controller on a lab host, and hosts that have joined it: installed as the package would, made and asked through the
//! command line.
//!
//! It deliberately knows nothing of ansai but its paths, its unit, its commands and what `--json` prints.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

use crate::lan::Lan;
use crate::{Host, agent, fixture, host::BINARIES};

/// The unit that runs the controller.
pub const UNIT: &str = "ansai-controller.service";
/// Where it listens, on each of its host's addresses.
pub const PORT: u16 = 7443;

const UNIT_TEXT: &str = include_str!("../../../packaging/ansai-controller.service");
const GROUP_TEXT: &str = include_str!("../../../packaging/ansai.sysusers");
/// How long any single thing that a test awaits may take on a machine that compiles at the same time.
const LIMIT: Duration = Duration::from_secs(60);

/// A controller that runs.
#[derive(Debug)]
pub struct Controller {
    /// The host that it runs on.
    pub host: Host,
    number: u8,
    /// The token that `ansai controller init` has made.
    token: String,
}

impl Controller {
    /// Makes and starts a controller on a host of the network that has this number there.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: Host, number: u8) -> Result<Self> {
        Self::start_with(host, number, &["--address", &Lan::address(number)])
    }

    /// The same with other words for `ansai controller init`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(host: Host, number: u8, words: &[&str]) -> Result<Self> {
        fixture::binary("ansai")?;
        host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai"), "/usr/bin/ansai"])?;
        host.write_file("/usr/lib/sysusers.d/ansai.conf", GROUP_TEXT, 0o644)?;
        host.run_ok(&["systemd-sysusers", "ansai.conf"])?;
        host.run_ok(&["mkdir", "-p", "-m", "0750", "/etc/ansai"])?;
        host.write_file(format!("/usr/lib/systemd/system/{UNIT}"), UNIT_TEXT, 0o644)?;
        host.run_ok(&["systemctl", "daemon-reload"])?;
        let made = agent::json(&host, &[&["controller", "init"], words].concat())?;
        let token = made["token"].as_str().with_context(|| format!("no token in {made}"))?.to_owned();
        let controller = Self { host, number, token };
        let started = controller.host.run(&["systemctl", "start", UNIT])?;
        started.ok().with_context(|| format!("starting the controller\n{}", controller.host.evidence()))?;
        controller.host.wait_active(UNIT, LIMIT)?;
        Ok(controller)
    }

    /// The token of `init`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where hosts of the network reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{PORT}", Lan::address(self.number))
    }

    /// Has a host join by the token of `init`.
    ///
    /// # Errors
    /// When it is not taken in.
    pub fn join(&self, host: &Host) -> Result<()> {
        self.join_by(host, &self.token)
    }

    /// The same by another token.
    ///
    /// # Errors
    /// When it is not taken in.
    pub fn join_by(&self, host: &Host, token: &str) -> Result<()> {
        let command = ["ansai", "join", &self.url(), "--token-file", "-"];
        let said = host.run_with_input(&command, token.as_bytes())?;
        said.ok().with_context(|| format!("the controller:\n{}", self.host.evidence()))?;
        Ok(())
    }

    /// Gives it the program that it carries over SSH, as the package would: without what only a debugger reads.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn has_carried(&self) -> Result<()> {
        let (built, stripped) = (fixture::binary("ansai")?, fixture::bin_dir().join("ansai-carried"));
        let changed = |path: &std::path::Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        if changed(&stripped) < changed(&built) {
            // Another test may make it at the same time.
            let fresh = stripped.with_extension(std::process::id().to_string());
            let mut strip = std::process::Command::new("strip");
            crate::process::run(strip.arg("-o").arg(&fresh).arg(&built), None, LIMIT)?.ok()?;
            std::fs::rename(&fresh, &stripped).context("putting the stripped program in its place")?;
        }
        let folder = "/usr/lib/ansai/carried";
        self.host.run_ok(&["mkdir", "-p", folder])?;
        let place = format!("{folder}/ansai-{}", std::env::consts::ARCH);
        self.host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai-carried"), &place])?;
        Ok(())
    }

    /// A host lets the controller in over SSH, on which it listens from then on, behind a shell that talks; returns as what it
    /// is reached.
    ///
    /// # Errors
    /// When it does not.
    pub fn is_let_in(&self, host: &Host, number: u8) -> Result<String> {
        self.has_carried()?;
        listens_for_ssh(host)?;
        let destination = format!("root@{}", Lan::address(number));
        // The controller makes its key when it is first needed, and says what the host must know.
        let refused = self.host.run(&["ansai", "hosts", "add", "--ssh", &destination, "--dry-run"])?.stderr;
        let key = refused.lines().find_map(|line| line.find("ssh-ed25519 ").map(|at| line[at..].trim()));
        let key = key.with_context(|| format!("it says no key: {refused}"))?;
        let append = "umask 077; mkdir -p /root/.ssh; cat >> /root/.ssh/authorized_keys";
        host.run_with_input(&["sh", "-c", append], format!("{key}\n").as_bytes())?.ok()?;
        Ok(destination)
    }

    /// Has a host kept well over SSH that lets the controller in; returns what was said.
    ///
    /// # Errors
    /// When the host is not added.
    pub fn add_over_ssh(&self, host: &Host, number: u8, words: &[&str]) -> Result<String> {
        let destination = self.is_let_in(host, number)?;
        let command = ["ansai", "hosts", "add", "--ssh", &destination, "--name", host.name(), "--yes"];
        let added = self.host.run(&[&command, words].concat())?;
        let said = format!("{}{}", added.stderr, added.stdout);
        added.ok().with_context(|| format!("the host:\n{}", host.evidence()))?;
        Ok(said)
    }

    /// Starts it anew, as after a change of its file.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&self) -> Result<()> {
        self.host.run_ok(&["systemctl", "restart", UNIT])?;
        self.host.wait_active(UNIT, LIMIT)
    }

    /// Kills it with SIGKILL and returns which process it was; systemd brings it back as another one.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<i32> {
        let pid = self.host.main_pid(UNIT)?.context("the controller does not run")?;
        self.host.signal(self.host.outer_pid(pid)?, Signal::KILL)?;
        Ok(pid)
    }

    /// Waits until it is back as another process than this one.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn wait_back(&self, killed: i32) -> Result<()> {
        self.host.wait_until("the controller to be back", LIMIT, || {
            let is_another = self.host.main_pid(UNIT)?.is_some_and(|pid| pid != killed);
            Ok(is_another && self.host.is_active(UNIT)?)
        })
    }

    /// What an `ansai` command says here with `--json`.
    ///
    /// # Errors
    /// When it says no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        agent::json(&self.host, arguments)
    }

    /// A host of the fleet as `ansai hosts list` shows it; null when there is none of that name.
    #[must_use]
    pub fn sees(&self, host: &str) -> Value {
        let hosts = self.json(&["hosts", "list"]).unwrap_or_default();
        let found = hosts["hosts"].as_array().into_iter().flatten().find(|one| one["name"] == host);
        found.cloned().unwrap_or_default()
    }

    /// The incidents of a host that the controller knows, newest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn incidents(&self, host: &str) -> Result<Vec<Value>> {
        let said = self.json(&["incidents", "--host", host])?;
        let all = said["incidents"].as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().map(|one| one["incident"].clone()).collect())
    }

    /// Waits until something is seen here.
    ///
    /// # Errors
    /// When it is not seen in a minute, with what stands in the journals.
    pub fn wait_until(&self, what: &str, look: impl FnMut() -> Result<bool>) -> Result<()> {
        let evidence =
            || self.host.run(&["journalctl", "--no-pager", "-u", UNIT, "-n", "60"]).map(|output| output.stdout);
        self.host
            .wait_until(what, LIMIT, look)
            .with_context(|| format!("the controller's journal:\n{}", evidence().unwrap_or_default()))
    }

    /// Waits until the link of each of these hosts is up.
    ///
    /// # Errors
    /// When one does not come.
    pub fn wait_connected(&self, hosts: &[&str]) -> Result<()> {
        let is_up = |host: &&str| self.sees(host)["is_connected"] == true;
        self.wait_until(&format!("{hosts:?} to be connected"), || Ok(hosts.iter().all(is_up)))
    }
}

/// The host's own sshd runs, with keys of its own, behind a shell that talks at each login.
///
/// # Errors
/// When it does not start.
pub fn listens_for_ssh(host: &Host) -> Result<()> {
    host.write_file("/root/.bashrc", "echo 'the password of this host is changed each month'\n", 0o644)?;
    host.run_ok(&["ssh-keygen", "-A"])?;
    host.start("ssh.service")?;
    host.wait_active("ssh.service", LIMIT)
}
