//! A fleet on lab hosts: a network, a controller on it, and hosts with services that their own agents heal, which join it when
//! they are told to. What the controller and the hosts say of each other is asked as an operator would.
//!
//! It deliberately knows nothing of ansai but its commands and what `--json` prints.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

use crate::controller::Controller;
use crate::lan::{Cable, Lan};
use crate::{Host, HostOptions, agent, fixture};

/// How long any single thing that a test awaits may take on a machine that compiles at the same time.
const LIMIT: Duration = Duration::from_secs(60);
/// The number of the controller's host on the network; those of the others follow.
const CONTROLLER: u8 = 1;

/// A host of the fleet, before it is booted.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What the host is called.
    pub name: &'a str,
    /// The units of the fixture service on it, each with its port.
    pub units: &'a [(&'a str, u16)],
    /// What its agent is told by its own file; empty where no agent is installed.
    pub configuration: &'a str,
}

/// The network, the controller and the hosts. Dropping it ends all of them.
#[derive(Debug)]
pub struct Fleet {
    /// The network.
    pub lan: Lan,
    /// The controller, on a host of its own.
    pub controller: Controller,
    /// The other hosts, by their places in what the fleet was booted with.
    pub hosts: Vec<Host>,
}

/// The number on the network of the host at a place.
#[must_use]
pub fn number(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX).saturating_add(CONTROLLER + 1)
}

impl Fleet {
    /// Boots the controller and the hosts; an agent runs on each of them that is told anything, and none has joined.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn boot(members: &[Member<'_>]) -> Result<Self> {
        let lan = Lan::new()?;
        let host = Host::boot(&HostOptions::new("controller"))?;
        lan.join(&host, CONTROLLER)?;
        let controller = Controller::start(host, CONTROLLER)?;
        let mut hosts = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let host = member.boot()?;
            lan.join(&host, number(place))?;
            hosts.push(host);
        }
        Ok(Self { lan, controller, hosts })
    }

    /// The same, and all of them have joined by the token of `init`.
    ///
    /// # Errors
    /// When one of them does not come up, or is not taken in.
    pub fn boot_joined(members: &[Member<'_>]) -> Result<Self> {
        let fleet = Self::boot(members)?;
        fleet.hosts.iter().try_for_each(|host| fleet.controller.join(host))?;
        fleet.wait_connected()?;
        Ok(fleet)
    }

    /// Waits until the link of each host is up.
    ///
    /// # Errors
    /// When one does not come.
    pub fn wait_connected(&self) -> Result<()> {
        let names: Vec<&str> = self.hosts.iter().map(Host::name).collect();
        self.controller.wait_connected(&names)
    }

    /// Cuts the cable of the host at a place, or mends it.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn set(&self, place: usize, cable: Cable) -> Result<()> {
        self.lan.set(number(place), cable)
    }

    /// Cuts the controller's own cable, or mends it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn set_controller(&self, cable: Cable) -> Result<()> {
        self.lan.set(CONTROLLER, cable)
    }

    /// Kills the main process of a unit of the host at a place, waits until that incident is healed there, and returns its
    /// report.
    ///
    /// # Errors
    /// When it is not healed.
    pub fn kill_and_heal(&self, place: usize, unit: &str, incident: &str) -> Result<Value> {
        let host = &self.hosts[place];
        host.signal_main(unit, Signal::KILL)?;
        agent::wait_report(host, incident, "healed")
    }

    /// The controller's own incidents, newest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn own(&self) -> Result<Vec<Value>> {
        let all = self.controller.json(&["incidents", "--fleet"])?;
        let all = all["incidents"].as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|one| one["host"].is_null()).map(|one| one["incident"].clone()).collect())
    }

    /// Whether none of the controller's own incidents goes on.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn own_has_ended(&self) -> Result<bool> {
        Ok(self.own()?.iter().all(|one| !one["phase"]["resolved"].is_null()))
    }

    /// What the host at a place says of its link.
    ///
    /// # Errors
    /// When its agent does not answer.
    pub fn link(&self, place: usize) -> Result<Value> {
        Ok(agent::json(&self.hosts[place], &["status"])?["controller"].clone())
    }

    /// The phases of the incidents of the host at a place as the controller has them, by number.
    ///
    /// # Errors
    /// When the controller does not answer.
    pub fn phases(&self, place: usize) -> Result<Vec<(u64, Value)>> {
        let mut all = self.controller.incidents(self.hosts[place].name())?;
        all.reverse();
        let phase = |one: Value| Ok((one["id"].as_u64().context("a number")?, one["phase"].clone()));
        all.into_iter().map(phase).collect()
    }

    /// Whether the controller has so many incidents of the host at a place, all of them over.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn is_healed_there(&self, place: usize, incidents: usize) -> Result<bool> {
        let phases = self.phases(place)?;
        Ok(phases.len() == incidents && phases.iter().all(|(_, phase)| !phase["resolved"].is_null()))
    }

    /// The newest roll-out; null when there is none.
    ///
    /// # Errors
    /// When the controller does not answer.
    pub fn rollout(&self) -> Result<Value> {
        Ok(self.controller.json(&["fleet", "rollouts"])?["rollouts"][0].clone())
    }

    /// Waits until the newest roll-out is of this generation and stands so (`running`, `done`, `stopped`), and returns it.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_rollout(&self, generation: u64, state: &str) -> Result<Value> {
        // A controller that was killed does not answer for a moment.
        let newest = || self.rollout().unwrap_or_default();
        let is_so = |rollout: &Value| rollout["generation"] == generation && rollout["state"] == state;
        let what = format!("generation {generation} to be {state}");
        self.controller
            .host
            .wait_for(&what, 3 * LIMIT, || Ok(Some(newest()).filter(is_so)))
            .with_context(|| format!("{:#}", newest()))
    }

    /// Whether every host has the configuration that it is to have.
    ///
    /// # Errors
    /// When the controller does not answer.
    pub fn has_no_drift(&self) -> Result<bool> {
        Ok(self.controller.json(&["fleet", "drift"])?["drift"].as_array().is_some_and(Vec::is_empty))
    }
}

impl Member<'_> {
    fn boot(&self) -> Result<Host> {
        let host = Host::boot(&HostOptions::new(self.name))?;
        for (name, port) in self.units {
            let unit = format!("{name}.service");
            host.install_unit(&unit, &fixture::unit(name, *port))?;
            host.start(&unit)?;
        }
        if !self.configuration.is_empty() {
            agent::install(&host, self.configuration)?;
            agent::start(&host)?;
        }
        Ok(host)
    }
}
