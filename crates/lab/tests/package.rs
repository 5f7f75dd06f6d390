//! The package end to end: installed on a host, hardened and healing, upgraded with its state kept, removed, purged.

use std::time::Duration;

use ansai_lab::{Host, package};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);

const APP: &str = "\
[Service]
Type=notify
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app
StateDirectory=app
";

const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {stable_for: 2s, verify_within: 5s}
services:
  app.service: {}
";

fn status(host: &Host) -> Result<serde_json::Value> {
    let output = host.run(&["ansai", "status", "--json"])?;
    serde_json::from_str(&output.stdout).with_context(|| format!("{}{}", output.stdout, output.stderr))
}

fn wait_health(host: &Host, health: &str) -> Result<()> {
    host.wait_until(&format!("app.service to be {health}"), LIMIT, || {
        Ok(status(host).unwrap_or_default()["targets"][0]["health"] == health)
    })
    .with_context(|| host.evidence())
}

#[test]
fn a_package_installs_heals_upgrades_with_its_state_and_goes() -> Result<()> {
    let host = Host::boot(&package::built("package")?)?;
    host.install_unit("app.service", APP)?;
    host.start("app.service")?;

    let said = package::install(&host)?;
    assert!(said.contains("ansai observes this host now") && said.contains("docs/start.md"), "{said}");
    for document in [
        "systemd/user/ansai.service",
        "doc/ansai/docs/start.md",
        "doc/ansai/changelog.gz",
        "man/man5/ansai.yaml.5.gz",
        "man/man1/ansai.1.gz",
    ] {
        assert!(host.run_ok(&["dpkg", "--listfiles", "ansai"])?.stdout.contains(document), "{document} is missing");
    }
    host.wait_active("ansai.service", LIMIT).with_context(|| host.evidence())?;
    assert!(host.read_file("/etc/ansai/ansai.yaml")?.contains("autonomy: observe"), "a first start only observes");
    assert_eq!(host.run_ok(&["systemctl", "is-enabled", "ansai.service"])?.text(), "enabled");
    assert_eq!(host.run_ok(&["stat", "-c", "%a %U %G", "/run/ansai/api.sock"])?.text(), "660 root ansai");
    assert_eq!(host.run_ok(&["stat", "-c", "%a", "/var/lib/ansai"])?.text(), "750");

    // Under all its hardening it still heals.
    host.write_file("/etc/ansai/ansai.yaml", CONFIGURATION, 0o640)?;
    host.run_ok(&["systemctl", "reload", "ansai"])?;
    assert_eq!(status(&host)?["targets"][0]["autonomy"], "act", "a reload ends when the configuration is in force");
    // One that is refused fails the reload, and nothing else.
    host.write_file("/etc/ansai/ansai.yaml", "autonomy: akt\n", 0o640)?;
    assert_ne!(host.run(&["systemctl", "reload", "ansai"])?.code, 0);
    let said = host.run(&["ansai", "reload"])?;
    assert!(said.code == 2 && said.stderr.contains("did you mean `act`?"), "{}", said.stderr);
    assert!(host.is_active("ansai.service")? && status(&host)?["targets"][0]["autonomy"] == "act");
    host.write_file("/etc/ansai/ansai.yaml", CONFIGURATION, 0o640)?;
    host.run_ok(&["systemctl", "reload", "ansai"])?;
    wait_health(&host, "healthy")?;
    let before = host.main_pid("app.service")?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("app.service to be healed", LIMIT, || {
        let pid = host.main_pid("app.service")?;
        Ok(pid.is_some() && pid != before)
    })
    .with_context(|| host.evidence())?;
    let incidents = || host.run_ok(&["ansai", "incidents", "--json"]);
    host.wait_until("the incident to be resolved", LIMIT, || Ok(incidents()?.stdout.contains("healed")))?;

    // The flight recorder tells the same, and nothing keeps ansai from working.
    let told = || host.run_ok(&["ansai", "replay", "/var/lib/ansai/journal"]);
    host.wait_until("the journal to be written", LIMIT, || Ok(told()?.stdout.contains("resolved: healed")))?;
    let told = told()?.stdout;
    assert!(told.contains("decided: run service/app.service") && !told.contains("flaw"), "{told}");
    let doctor = host.run(&["ansai", "doctor"])?;
    assert!(!doctor.stdout.contains("FAIL"), "{}", doctor.stdout);

    // An upgrade keeps configuration and state, and the agent runs afterwards.
    let agent = host.main_pid("ansai.service")?;
    let said = package::install(&host)?;
    assert!(!said.contains("ansai observes this host now"), "who upgrades is told again: {said}");
    host.wait_active("ansai.service", LIMIT)?;
    assert_ne!(host.main_pid("ansai.service")?, agent, "the new program runs");
    assert_eq!(host.read_file("/etc/ansai/ansai.yaml")?, CONFIGURATION);
    assert!(incidents()?.stdout.contains("healed"), "what was healed before is still known");

    host.run_ok(&["dpkg", "--remove", "ansai"])?;
    assert!(!host.exists("/usr/bin/ansai") && !host.exists("/run/ansai/api.sock"));
    assert!(host.is_active("app.service")?, "what it kept well stays");
    assert!(host.exists("/var/lib/ansai") && host.exists("/etc/ansai/ansai.yaml"), "a removal keeps state");
    host.run_ok(&["dpkg", "--purge", "ansai"])?;
    assert!(!host.exists("/var/lib/ansai") && !host.exists("/etc/ansai"), "a purge takes it");
    Ok(())
}
