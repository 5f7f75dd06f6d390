//! What every host promises: one list of checks, run against the fake and against a real systemd in a lab host.
//!
//! The second run is this program once more, inside a lab host, since what is tested acts on its own machine. It needs
//! root and the lab's image; where these are missing it fails.

use ansai_lab::{Host as LabHost, HostOptions, fixture};
use anyhow::{Context, Result};

mod checks;
mod fake;
mod systemd;

/// Set in the environment of the run inside the lab host.
const INSIDE: &str = "ANSAI_CONTRACT_INSIDE";

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_contract() {
    checks::all(&fake::FakeBench::new()).await;
}

#[test]
fn a_real_systemd_keeps_the_contract() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { checks::all(&systemd::SystemdBench::new()).await });
        return Ok(());
    }
    let host = LabHost::boot(&HostOptions::new("contract"))?;
    let program = std::env::current_exe()?;
    let inside =
        program.strip_prefix(fixture::bin_dir()).context("this program is not in the folder of the built ones")?;
    let inside = format!("/usr/local/lib/ansai-lab/{}", inside.display());
    let variable = format!("{INSIDE}=1");
    let test = ["env", &variable, &inside, "--exact", "a_real_systemd_keeps_the_contract", "--nocapture"];
    let output = host.run_within(std::time::Duration::from_secs(120), &test)?;
    println!("{}{}", output.stdout, output.stderr);
    output.ok().with_context(|| host.evidence())?;
    Ok(())
}
