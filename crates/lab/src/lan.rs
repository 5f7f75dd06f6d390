//! A network that lab hosts have in common: a bridge in a network namespace of its own, and a cable to each host.
//!
//! It deliberately has no way out: nothing in it reaches the machine or the world, and it ends with its owner.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;
use crate::process::{self, pid_of};
use crate::{poll, setup};

/// The addresses of hosts begin so; a host's number follows.
const PREFIX: &str = "10.77.0";
/// The highest number that a host can have.
pub const NUMBER_MAX: u8 = 250;

const LIMIT: Duration = Duration::from_secs(20);

/// Becomes a process that does nothing, in a network namespace of its own, and ends with the thread that started it.
const KEEP: [&str; 7] = ["--pdeathsig", "KILL", "--", "unshare", "--net", "sleep", "infinity"];

/// The network. Dropping it cuts every cable.
#[derive(Debug)]
pub struct Lan {
    keeper: Child,
}

/// How a cable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// Packets pass.
    Plugged,
    /// Nothing passes, and nobody is told: what has gone is noticed by silence alone.
    Cut,
}

impl Lan {
    /// Makes an empty network.
    ///
    /// # Errors
    /// When this machine cannot make network namespaces; the error says what is missing.
    pub fn new() -> Result<Self> {
        ensure!(setup::is_root(), "a network of lab hosts needs root");
        let mut command = Command::new("setpriv");
        command.args(KEEP).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = process::spawn_for_life(command).context("starting the keeper of a network")?;
        let lan = Self { keeper };
        lan.await_namespace()?;
        lan.ip(&["link", "add", "br0", "type", "bridge"])?;
        lan.ip(&["link", "set", "br0", "up"])?;
        Ok(lan)
    }

    fn await_namespace(&self) -> Result<()> {
        let own = std::fs::read_link("/proc/self/ns/net").context("reading the machine's network namespace")?;
        let file = format!("/proc/{}/ns/net", self.keeper.id());
        poll::until("a network namespace", LIMIT, poll::INTERVAL_FAST, || {
            Ok(std::fs::read_link(&file).is_ok_and(|theirs| theirs != own).then_some(()))
        })
    }

    /// The address of the host with this number.
    #[must_use]
    pub fn address(number: u8) -> String {
        format!("{PREFIX}.{number}")
    }

    /// Plugs a host in: its `lan0` has the address of `number` from then on.
    ///
    /// # Errors
    /// When the number is taken or out of bounds, or the host has ended.
    pub fn join(&self, host: &Host, number: u8) -> Result<()> {
        ensure!((1..=NUMBER_MAX).contains(&number), "hosts have numbers from 1 to {NUMBER_MAX}, not {number}");
        let cable = cable(number);
        let leader = host.leader().as_raw_nonzero().to_string();
        self.ip(&["link", "add", &cable, "type", "veth", "peer", "name", "lan0", "netns", &leader])?;
        self.ip(&["link", "set", &cable, "master", "br0", "up"])?;
        let address = format!("{}/24", Self::address(number));
        host.run_ok(&["ip", "address", "add", &address, "dev", "lan0"])?;
        host.run_ok(&["ip", "link", "set", "lan0", "up"])?;
        Ok(())
    }

    /// Cuts the cable of the host with this number, or mends it. The host's own end stays up, as behind a switch.
    ///
    /// # Errors
    /// When no host has the number.
    pub fn set(&self, number: u8, state: Cable) -> Result<()> {
        // Taken off the bridge and not taken down: a host whose link goes down is told, and one behind a dead switch is not.
        let cable = cable(number);
        match state {
            Cable::Plugged => self.ip(&["link", "set", &cable, "master", "br0"]),
            Cable::Cut => self.ip(&["link", "set", &cable, "nomaster"]),
        }
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.keeper.id().to_string()).args(["-n", "ip"]).args(arguments);
        process::run(&mut command, None, LIMIT)?.ok()?;
        Ok(())
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        if let Ok(pid) = pid_of(&self.keeper) {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
        self.keeper.wait().ok();
    }
}

fn cable(number: u8) -> String {
    format!("host{number}")
}
