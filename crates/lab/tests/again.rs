//! An escalation is not the end, under the shipped defaults: what it failed for is gone, and the service is back by itself.

use std::time::Duration;

use ansai_lab::agent::{QUICK_TO_GIVE_UP, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture, host::BINARIES};
use anyhow::{Result, ensure};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_broken_nginx_configuration_that_is_mended_by_hand_brings_nginx_back_by_itself() -> Result<()> {
    let host = Host::boot(&HostOptions::new("again-nginx"))?;
    host.start("nginx.service")?;
    agent::install(&host, "autonomy: act\nservices:\n  nginx.service: {}\n")?;
    agent::start(&host)?;
    agent::wait_health(&host, "nginx.service", "healthy")?;
    host.write_file("/etc/nginx/conf.d/broken.conf", "server { listen 80 default\n", 0o644)?;
    host.signal_main("nginx.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    ensure!(report["retry"]["obstacle"]["validator"].is_object(), "{report:#}");
    let explained = agent::ansai(&host, &["explain", "nginx.service"])?.stdout;
    ensure!(explained.contains("it is tried again as soon as `"), "{explained}");
    ensure!(!host.is_active("nginx.service")?, "it was started with a broken configuration");
    // It outlives the agent.
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    agent::wait_says(&host, "nginx.service", "it is tried again as soon as")?;
    host.remove_file("/etc/nginx/conf.d/broken.conf")?;
    host.wait_active("nginx.service", LIMIT)?;
    let report = wait_report(&host, "i1", "healed")?;
    ensure!(agent::steps(&report, "tried-again").len() == 1, "{report:#}");
    Ok(())
}

#[test]
fn a_foreign_owner_that_leaves_the_port_lets_the_service_back_by_itself() -> Result<()> {
    let host = Host::boot(&HostOptions::new("again-port"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, "autonomy: act\nservices:\n  app.service: {port: 5000}\n")?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    agent::ansai(&host, &["hold", "app.service", "--reason", "test"])?;
    host.signal_main("app.service", Signal::KILL)?;
    agent::wait_health(&host, "app.service", "failing")?;
    host.install_unit("other.service", &fixture::unit("other", 5000))?;
    host.start("other.service")?;
    agent::ansai(&host, &["release", "app.service"])?;
    let report = wait_report(&host, "i1", "escalated")?;
    ensure!(report["retry"]["obstacle"]["port"]["port"] == 5000, "{report:#}");
    ensure!(host.is_active("other.service")?, "the foreign owner lives");
    host.stop("other.service")?;
    host.wait_active("app.service", LIMIT)?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

/// systemd starts it again and again, so that it is active for moments: it is not taken for one that runs and has its port.
#[test]
fn a_port_that_was_taken_from_a_service_with_a_restart_of_its_own_lets_it_back_when_it_is_free() -> Result<()> {
    let host = Host::boot(&HostOptions::new("again-loop"))?;
    let restarts = "Restart=always\nRestartSec=200ms\n";
    host.install_unit("app.service", &(fixture::unit("app", 5000).replace("=notify", "=exec") + restarts))?;
    host.start("app.service")?;
    agent::install(&host, "autonomy: act\nservices:\n  app.service: {port: 5000}\n")?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    // It asks for the port until it has it, which is between a death and the next start.
    let squatter = format!("[Service]\nType=notify\nExecStart={BINARIES}/ansai-lab-squatter 5000\n");
    host.install_unit("squatter.service", &squatter)?;
    host.run_ok(&["systemctl", "start", "--no-block", "squatter.service"])?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_active("squatter.service", LIMIT)?;
    let report = wait_report(&host, "i1", "escalated")?;
    ensure!(report["retry"]["obstacle"]["port"]["port"] == 5000, "{report:#}");
    ensure!(host.is_active("squatter.service")?, "the foreign owner lives");
    host.stop("squatter.service")?;
    host.wait_active("app.service", LIMIT)?;
    wait_report(&host, "i1", "healed")?;
    Ok(())
}

/// What it needs was broken and is mended by hand, and a unit file was away and is there again: what hangs on either is back
/// by itself, without a person's second thought of it. The tries of what cannot succeed are quick, since they are awaited.
#[test]
fn what_a_person_mends_elsewhere_brings_back_what_depends_on_it() -> Result<()> {
    let host = Host::boot(&HostOptions::new("again-elsewhere"))?;
    let db = "[Service]\nExecStart=/bin/sh -c 'test ! -e /run/broken && exec sleep infinity'\n";
    // It ends when what it needs has gone, and cannot start without.
    let app = "[Unit]\nAfter=db.service\n[Service]\nExecStartPre=/bin/systemctl -q is-active db.service\nExecStart=/bin/sleep infinity\n";
    let plain = "[Service]\nExecStart=/bin/sleep infinity\n";
    for (unit, text) in [("db.service", db), ("app.service", app), ("file.service", plain)] {
        host.install_unit(unit, text)?;
        host.start(unit)?;
    }
    let services = "services:\n  db.service: {}\n  app.service: {needs: [db.service]}\n  file.service: {}\n";
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{services}"))?;
    agent::start(&host)?;
    let units = ["db.service", "app.service", "file.service"];
    for unit in units {
        agent::wait_health(&host, unit, "healthy")?;
    }
    host.write_file("/run/broken", "", 0o644)?;
    host.remove_file("/etc/systemd/system/file.service")?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for unit in units {
        host.signal_main(unit, Signal::KILL)?;
    }
    for unit in ["db.service", "file.service"] {
        host.wait_until(&format!("{unit} to be handed over"), LIMIT, || {
            let told = agent::incidents(&host)?;
            let target = format!("service/{unit}");
            Ok(told.iter().any(|incident| incident["target"] == target.as_str() && agent::is_in(incident, "escalated")))
        })?;
    }
    ensure!(!host.is_active("app.service")?, "it was started without what it needs");
    host.remove_file("/run/broken")?;
    host.install_unit("file.service", plain)?;
    host.wait_active("file.service", LIMIT)?;
    // Nobody can look whether its cause is gone, so that a person says that it is: what needs it follows by itself.
    host.start("db.service")?;
    host.wait_active("app.service", LIMIT)?;
    Ok(())
}
