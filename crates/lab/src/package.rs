//! The Debian package of the built program: made once a test, shown to a host, and installed there by dpkg, which runs the
//! package's own scripts. Nothing else is done to the host.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{Host, HostOptions, fixture, process};

/// How long packing or unpacking the program may take.
pub const LIMIT: Duration = Duration::from_secs(300);
/// Packages as the host sees them.
const PACKAGES: &str = "/opt/packages";

/// Builds the package in a folder of this name, and returns the folder.
///
/// The name is that of one test: tests run side by side, and what one is still writing another would install.
pub fn folder(name: &str) -> Result<PathBuf> {
    let folder = fixture::bin_dir().join("package-test").join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/deb/build");
    let mut command = Command::new(script);
    // Packing a build with its debug information takes longer than the whole rest.
    command.arg(fixture::binary("ansai")?).arg(&folder).env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    process::run(&mut command, None, LIMIT)?.ok()?;
    Ok(folder)
}

/// Builds the package in a folder of the host's name, and shows it to that host.
pub fn built(name: &str) -> Result<HostOptions> {
    Ok(HostOptions::new(name).bind_read_only(&folder(name)?, PACKAGES))
}

/// Installs it, or upgrades to it; what it says.
pub fn install(host: &Host) -> Result<String> {
    let script = format!("DEBIAN_FRONTEND=noninteractive dpkg --install {PACKAGES}/ansai_*.deb");
    // Its scripts may wait for whatever the host has: what they waited for says the list of processes.
    let evidence = || host.evidence();
    Ok(host.run_within(LIMIT, &["sh", "-c", &script])?.ok().with_context(evidence)?.stdout)
}
