//! Benches on lab hosts: they print tables with the peers beside us in the same run, and judge nothing.

mod connections;
mod domains;
mod fleet;
mod footprint;
mod heal;
mod hosts;
mod joined;
mod spent;
mod storm;
mod table;

use std::time::Duration;

use ansai_lab::{Host, agent};
use anyhow::{Context, Result};

use crate::cargo;

pub(crate) use domains::{run as domains, watched as every_domain};
pub(crate) use fleet::{kills, run as fleet};
pub(crate) use footprint::{many_services, run as footprint};
pub(crate) use heal::run as heal;
pub(crate) use hosts::run as hosts;
pub(crate) use joined::run as joined;
pub(crate) use storm::run as storm;

/// The lab with the release program: what is measured is what is shipped.
fn prepare() -> Result<()> {
    ansai_lab::setup::prepare(ansai_lab::image::Kind::Base)?;
    cargo::run(&["build", "--release", "-p", "ansai-cli", "-p", "ansai-lab"])
}

/// The head of monit's control file: one look a second, its own files out of the way.
const MONIT: &str = "\
set daemon 1
set log /run/monit.log
set pidfile /run/monit.pid
set idfile /run/monit.id
set statefile /run/monit.state
";

/// Starts the agent anew; its process, as outside.
pub(crate) fn restarted(host: &Host) -> Result<i32> {
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    agent::start(host)?;
    let inner = host.main_pid(agent::UNIT)?.context("the agent runs")?;
    Ok(host.outer_pid(inner)?.as_raw_nonzero().get())
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// The smallest of `sorted` that at least `share` percent do not exceed.
fn quantile(sorted: &[Duration], share: usize) -> Duration {
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let at = |share| quantile(&sorted, share).as_millis();
        assert_eq!((at(50), at(90), at(99), at(100)), (50, 90, 99, 100));
        assert_eq!(quantile(&[], 50), Duration::ZERO);
    }
}
