//! A lab host: a booted systemd with its own processes, network and file system changes, ended when dropped.
//!
//! Its methods are what a test does to a host; how the container is run stands in [`container`].
//! It deliberately holds no state of what runs inside: every question is asked anew.

mod commands;
mod container;
mod files;
mod network;
mod units;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

pub use commands::Background;

use crate::image::{self, Image, Kind};
use crate::{fixture, poll, setup};
use container::Container;

/// Where the folder of the built binaries is seen inside a host, read-only.
pub const BINARIES: &str = "/usr/local/lib/ansai-lab";

/// How long a boot may take on a machine that compiles at the same time.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// What a host is booted with.
#[derive(Debug, Clone)]
pub struct HostOptions {
    name: String,
    image: Kind,
    arguments: Vec<String>,
    is_unified: bool,
}

impl HostOptions {
    /// A host whose hostname is `name`; the folder of the built binaries is bound at [`BINARIES`].
    #[must_use]
    pub fn new(name: &str) -> Self {
        let options = Self { name: name.to_owned(), image: Kind::Base, arguments: Vec::new(), is_unified: false };
        options.bind_read_only(&fixture::bin_dir(), BINARIES)
    }

    /// The same for a host of another name and image.
    #[must_use]
    pub fn of_image(self, image: Kind, name: &str) -> Self {
        Self { name: name.to_owned(), image, ..self }
    }

    /// Shows a folder or file of the machine inside the host, read-only.
    #[must_use]
    pub fn bind_read_only(mut self, machine: &Path, host: &str) -> Self {
        self.arguments.push(format!("--bind-ro={}:{host}", machine.display()));
        self
    }

    /// Shares a folder or file of the machine with the host, writable.
    #[must_use]
    pub fn bind(mut self, machine: &Path, host: &str) -> Self {
        self.arguments.push(format!("--bind={}:{host}", machine.display()));
        self
    }

    /// Lets the host's programs ask the kernel about its clock. It is the machine's clock, and nobody in a host can set it:
    /// that takes a capability which hosts do not have.
    #[must_use]
    pub fn with_a_clock(mut self) -> Self {
        self.arguments.push("--system-call-filter=adjtimex clock_adjtime".to_owned());
        self
    }

    /// Lets container engines run in the host: their runtime needs cgroups of the second version and a few calls more; layers
    /// of images lie in memory, since one overlay cannot lie on another.
    #[must_use]
    pub fn with_engines(mut self, name: &str) -> Self {
        self.arguments.push("--system-call-filter=add_key keyctl request_key bpf".to_owned());
        self.is_unified = true;
        self.of_image(Kind::Engines, name).tmpfs("/var/lib/docker", "1G").tmpfs("/var/lib/containers", "1G")
    }

    /// Mounts a file system of limited size (`64M`), so that a disk can be filled without filling the machine's.
    #[must_use]
    pub fn tmpfs(mut self, host: &str, size: &str) -> Self {
        self.arguments.push(format!("--tmpfs={host}:size={size},mode=0755"));
        self
    }
}

/// A booted host. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Host {
    name: String,
    booted_in: Duration,
    container: Container,
    _image: Image,
}

impl Host {
    /// Boots a host and waits until its systemd says that it is up.
    ///
    /// Makes the machine ready first where that is possible (as root); otherwise the error says what is missing.
    pub fn boot(options: &HostOptions) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        setup::prepare(options.image)?;
        let image = image::open(options.image)?;
        let started = Instant::now();
        let machine = format!("ansai-lab-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let container = Container::start(image.root(), &machine, options)?;
        let mut host = Self { name: options.name.clone(), booted_in: Duration::ZERO, container, _image: image };
        host.await_systemd()
            .with_context(|| format!("booting lab host `{}`\n{}", host.name, host.container.console()))?;
        host.run_ok(&["ip", "link", "set", "lo", "up"])?;
        host.booted_in = started.elapsed();
        Ok(host)
    }

    fn await_systemd(&self) -> Result<()> {
        poll::until("systemd to listen", BOOT_LIMIT, poll::INTERVAL, || {
            self.container.check_alive()?;
            Ok(self.exists("/run/systemd/private").then_some(()))
        })?;
        poll::until("systemd to be up", BOOT_LIMIT, poll::INTERVAL, || {
            self.container.check_alive()?;
            let state = self.run(&["systemctl", "is-system-running"])?;
            Ok(matches!(state.text(), "running" | "degraded").then_some(()))
        })
    }

    /// The hostname.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the boot took.
    #[must_use]
    pub fn booted_in(&self) -> Duration {
        self.booted_in
    }

    /// The host's process 1 as this machine numbers it.
    #[must_use]
    pub fn leader(&self) -> Pid {
        self.container.leader()
    }

    /// Where the host's system bus answers from outside.
    #[must_use]
    pub fn dbus_socket(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run/dbus/system_bus_socket", self.leader().as_raw_nonzero()))
    }

    /// The command by which a person enters the host.
    #[must_use]
    pub fn enter_command(&self) -> String {
        format!("nsenter -t {} -m -u -i -n -p -- bash", self.leader().as_raw_nonzero())
    }

    /// Polls until `look` is true; when `limit` passes first, the error holds what was awaited and the host's evidence.
    pub fn wait_until(&self, what: &str, limit: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
        self.wait_for(what, limit, || Ok(look()?.then_some(())))
    }

    /// Polls until `look` gives a value; when `limit` passes first, the error holds what was awaited and the host's evidence.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        poll::until(what, limit, poll::INTERVAL, look)
            .with_context(|| format!("on lab host `{}`\n{}", self.name, self.evidence()))
    }

    /// What a person would look at first after a failed test: failed units, and the end of the agent's and the host's journal.
    #[must_use]
    pub fn evidence(&self) -> String {
        let questions: [(&str, &[&str]); 4] = [
            ("processes", &["ps", "--no-headers", "-eo", "pid,ppid,stat,etimes,wchan:20,args", "--forest"]),
            ("failed units", &["systemctl", "--failed", "--no-legend", "--plain"]),
            (
                "journal of ansai.service",
                &["journalctl", "--no-pager", "-o", "short-precise", "-u", "ansai.service", "-n", "60"],
            ),
            ("journal of the host", &["journalctl", "--no-pager", "-o", "short-precise", "-n", "30"]),
        ];
        let answers = questions.iter().map(|(title, command)| {
            let answer = self.run(command).map_or_else(|error| format!("{error:#}"), |output| output.stdout);
            format!("── {title} ──\n{}", answer.trim_end())
        });
        answers.collect::<Vec<_>>().join("\n")
    }
}
