//! Making a fresh Debian machine ready for lab hosts: packages by apt when root, otherwise the exact list of what is missing.
//!
//! It deliberately changes nothing but installed packages and the lab's cache folder, and removes nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::image::{self, Kind};
use crate::process;
use crate::progress::Step;

/// A program that the lab runs, and the Debian package that it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("chroot", "coreutils"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("pebble", "pebble"),
    ("ping", "iputils-ping"),
];

const APT_LIMIT: Duration = Duration::from_secs(600);

/// Everything that a lab host needs and this machine lacks, as sentences; empty when hosts of the wanted image can be booted.
pub fn missing(wanted: Kind) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    if !is_root() {
        findings.push("root: lab hosts need it (namespaces and mounts); run the same command with sudo".to_owned());
    }
    let packages = missing_packages();
    if !packages.is_empty() {
        findings.push(format!("packages: apt-get install --no-install-recommends {}", packages.join(" ")));
    }
    let kinds = [
        (Kind::Base, "the base image"),
        (Kind::Daemons, "the image of the daemons"),
        (Kind::Engines, "the image of the container engines"),
    ];
    for (kind, name) in kinds {
        if (kind == Kind::Base || wanted == kind) && !image::is_built(kind)? {
            findings.push(format!("{name}: cargo xtask setup (as root)"));
        }
    }
    Ok(findings)
}

/// Makes the machine ready: installs missing packages and builds the wanted image. Does nothing when all is there.
pub fn prepare(wanted: Kind) -> Result<()> {
    let findings = missing(wanted)?;
    if findings.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!(
            "the lab is not ready on this machine, and only root can make it so; missing:\n  {}",
            findings.join("\n  ")
        );
    }
    install(&missing_packages())?;
    image::build(wanted)
}

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Installs Debian packages, after a fresh look at what the mirrors have.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let step = Step::start(&format!("apt-get install {}", packages.join(" ")));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command, None, APT_LIMIT)?.ok()
    };
    apt(&["update"]).context("asking the package mirrors: is the network there?")?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)?;
    step.done();
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Looks beside `PATH` in the folders that a user's path may lack.
fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    path.split(':').any(|folder| !folder.is_empty() && Path::new(folder).join(program).is_file())
}
