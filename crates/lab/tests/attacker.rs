//! An attacker end to end: somebody who has taken over a service that ansai heals, and wants more than that.

use std::time::Duration;

use ansai_lab::{Host, HostOptions, agent, agent::QUICK, fixture};
use anyhow::{Result, ensure};

const LIMIT: Duration = Duration::from_secs(60);

const SERVICES: &str = "\
services:
  app.service:
    port: 5000
    configuration: [/srv/app/app.conf]
    validate: [grep, -q, good, /srv/app/app.conf]
    restore_configuration: true
    environment: [{directory: /srv/app/shared/log, owner: app}]
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

/// What must not change: who owns the host's own files, and what is in them.
fn victim(host: &Host) -> Result<String> {
    let stat = host.run_ok(&["stat", "-c", "%n %U %G %a", "/etc/passwd", "/etc/shadow", "/var/log", "/var"])?.stdout;
    Ok(stat + &host.run_ok(&["sha256sum", "/etc/passwd", "/etc/shadow"])?.stdout)
}

/// A service that runs as `app`, whose folders are its own, with its configuration kept.
fn begin(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.run_ok(&["useradd", "--system", "app"])?;
    host.run_ok(&["mkdir", "-p", "/srv/app/shared/log"])?;
    host.write_file("/srv/app/app.conf", "good\n", 0o644)?;
    host.run_ok(&["chown", "-R", "app:app", "/srv/app"])?;
    let unit = fixture::unit("app", 5000).replace("[Service]\n", "[Service]\nUser=app\n");
    ensure!(unit.contains("User=app"), "{unit}");
    host.install_unit("app.service", &unit)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}{SERVICES}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    host.wait_until("the configuration to be kept", LIMIT, || {
        Ok(host.exists("/var/lib/ansai/configurations/app.service/srv/app/app.conf"))
    })?;
    Ok(host)
}

fn as_app(host: &Host, script: &str) -> Result<()> {
    host.run_ok(&["setpriv", "--reuid", "app", "--regid", "app", "--clear-groups", "sh", "-ec", script]).map(drop)
}

#[test]
fn links_in_the_folder_of_a_configuration_give_nobody_roots_files() -> Result<()> {
    let host = begin("attacker-links")?;
    let before = victim(&host)?;
    as_app(
        &host,
        "cd /srv/app; for name in app.conf.ansai-new .app.conf.ansai-new; do
        ln -s /etc/passwd $name; done; echo 'attacker::0:0::/:/bin/sh' > app.conf",
    )?;
    host.run_ok(&["systemctl", "kill", "-s", "KILL", "app.service"])?;
    let report = agent::wait_report(&host, "i1", "resolved")?;
    ensure!(victim(&host)? == before, "{report:#}");
    Ok(())
}

/// What the attacker does, and how the report says that nothing is done through it.
fn check(name: &str, script: &str, words: &str) -> Result<()> {
    let host = begin(name)?;
    let before = victim(&host)?;
    as_app(&host, &format!("cd /srv/app; {script}"))?;
    host.run_ok(&["systemctl", "kill", "-s", "KILL", "app.service"])?;
    host.wait_until(&format!("the report to say `{words}`"), LIMIT, || {
        Ok(agent::report(&host, "i1").to_string().contains(words))
    })?;
    ensure!(victim(&host)? == before, "{:#}", agent::report(&host, "i1"));
    let kept = host.run(&["grep", "-r", "root:", "/var/lib/ansai/configurations"])?;
    ensure!(!kept.is_success(), "the passwords of the host were kept: {}", kept.stdout);
    Ok(())
}

#[test]
fn a_configuration_that_is_exchanged_for_a_link_is_refused_in_words() -> Result<()> {
    let words = "/srv/app/app.conf is a symbolic link (owner app)";
    check("attacker-file", "rm app.conf; ln -s /etc/shadow app.conf", words)
}

#[test]
fn a_link_where_the_broken_one_would_be_kept_is_refused_in_words() -> Result<()> {
    let words = "/srv/app/app.conf.ansai-broken is a symbolic link (owner app)";
    check("attacker-kept", "echo bad > app.conf; ln -s /etc/passwd app.conf.ansai-broken", words)
}

#[test]
fn a_folder_that_is_exchanged_for_a_link_is_refused_in_words() -> Result<()> {
    let words = "/srv/app/shared is a symbolic link (owner app)";
    check("attacker-folder", "mv shared aside; ln -s /var shared", words)
}
