//! An escalation is not the end, under the shipped defaults: what it failed for is gone, and the service is back by itself.

use std::time::Duration;

use ansai_lab::agent::wait_report;
use ansai_lab::{Host, HostOptions, agent, fixture};
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
