//! Validators that are asked as their unit would be started, directories that packages declare below `/run`, and validators
//! that are wrong: real servers, the unit that is shipped.

use std::time::Duration;

use ansai_lab::agent::{QUICK_TO_GIVE_UP, steps, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A host on which these services and the agent run.
fn boot(name: &str, units: &[(&str, &str)], services: &str, watched: &[&str]) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (unit, text) in units {
        host.install_unit(unit, text)?;
    }
    for unit in watched {
        host.start(unit)?;
    }
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services:\n{services}"))?;
    agent::start(&host)?;
    for unit in watched {
        wait_health(&host, unit, "healthy")?;
    }
    Ok(host)
}

/// What the steps of one rung came to, in their order.
fn outcomes(report: &Value, rung: &str) -> Vec<Value> {
    let of_rung = steps(report, "ended").into_iter().filter(|step| step["rung"] == rung);
    of_rung.map(|step| step["outcome"].clone()).collect()
}

/// The app is killed under an agent that watches `services`: its validator says yes each time, and it is healed.
fn is_content_and_healed(host: &Host, services: &str) -> Result<()> {
    agent::install(host, &format!("{QUICK_TO_GIVE_UP}services:\n{services}"))?;
    agent::start(host)?;
    wait_health(host, "app.service", "healthy")?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(host, "i1", "healed")?;
    let said = outcomes(&report, "validate");
    assert!(said.iter().all(|outcome| outcome.get("succeeded").is_some()) && !said.is_empty(), "{report:#}");
    Ok(())
}

/// sshd's runtime directory goes with it, and `sshd -t` calls it missing: the start makes it, so that is no "no".
#[test]
fn an_sshd_that_was_ended_is_back_though_its_directory_went_with_it() -> Result<()> {
    let host = boot("sshd-ended", &[], "  ssh.service: {}\n", &["ssh.service"])?;
    host.signal_main("ssh.service", Signal::TERM)?;
    let report = wait_report(&host, "i1", "healed")?;
    let said = outcomes(&report, "validate");
    assert!(said.iter().all(|outcome| outcome.get("succeeded").is_some()) && !said.is_empty(), "{report:#}");
    host.wait_active("ssh.service", LIMIT)?;
    host.run_ok(&["test", "-d", "/run/sshd"])?;

    host.write_file("/etc/ssh/sshd_config", "Prot 2\n", 0o644)?;
    host.signal_main("ssh.service", Signal::KILL)?;
    let report = wait_report(&host, "i2", "escalated")?;
    let said = outcomes(&report, "validate");
    assert!(said.iter().any(|outcome| outcome.to_string().contains("Bad configuration option: Prot")), "{report:#}");
    Ok(())
}

/// A validator that is asked while the unit runs takes nothing from under it.
#[test]
fn an_nginx_that_was_killed_is_validated_as_it_is_started() -> Result<()> {
    let host = boot("nginx-killed", &[], "  nginx.service: {port: 80}\n", &["nginx.service"])?;
    host.signal_main("nginx.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    let said = outcomes(&report, "validate");
    assert!(said.iter().all(|outcome| outcome.get("succeeded").is_some()) && !said.is_empty(), "{report:#}");
    let journal = host.run_ok(&["systemctl", "list-units", "--all", "--plain", "--no-legend", "ansai-asks-*"])?.stdout;
    assert!(journal.trim().is_empty(), "what was asked is still there: {journal}");
    Ok(())
}

/// The user, the environment and the directories are the unit's; `$` reaches the command as it was written.
#[test]
fn a_declared_validator_sees_what_the_unit_would_see() -> Result<()> {
    let unit = fixture::unit("app", 5000)
        + "User=www-data\nEnvironment=\"MODE=very strict\"\nRuntimeDirectory=app-run\nPrivateTmp=yes\nStateDirectory=app\n";
    let asks =
        "test $(id -un) = www-data && test \"$MODE\" = 'very strict' && test -w /run/app-run && ! test -e /tmp/outside";
    let services = format!(
        "  app.service:\n    port: 5000\n    configuration: [/etc/app.conf]\n    validate: [sh, -c, '{}']\n",
        asks.replace('\'', "''")
    );
    let host = Host::boot(&HostOptions::new("surroundings"))?;
    host.write_file("/tmp/outside", "", 0o644)?;
    host.install_unit("app.service", &unit)?;
    host.start("app.service")?;
    is_content_and_healed(&host, &services)
}

/// What a package declares below `/run` is made at boot only: gone, it is made again from its own line, and said.
#[test]
fn a_directory_that_a_package_declares_is_made_again_before_the_start() -> Result<()> {
    let unit = fixture::unit("app", 5000) + "ExecStartPre=/usr/bin/test -d /run/app\n";
    let host = Host::boot(&HostOptions::new("declared"))?;
    host.write_file("/usr/lib/tmpfiles.d/app.conf", "d /run/app 2750 www-data adm -\n", 0o644)?;
    host.write_file("/usr/lib/tmpfiles.d/other.conf", "d /run/other 0755 root root -\n", 0o644)?;
    host.run_ok(&["mkdir", "/run/app"])?;
    host.install_unit("app.service", &unit)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services:\n  app.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    host.run_ok(&["rmdir", "/run/app"])?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    let restarted = outcomes(&report, "restart").first().context("no restart")?.to_string();
    assert!(restarted.contains("made /run/app again, as /usr/lib/tmpfiles.d/app.conf declares it"), "{restarted}");
    let seen = host.run_ok(&["stat", "-c", "%a %U %G", "/run/app"])?.stdout;
    assert_eq!(seen.trim(), "2750 www-data adm");
    host.run_ok(&["test", "!", "-e", "/run/other"])?;
    Ok(())
}

/// A validator says no to what the unit runs with: that is found out when somebody starts it, told, and the next failure
/// is healed without asking it.
#[test]
fn a_validator_that_a_start_has_refuted_is_not_believed_again() -> Result<()> {
    let services = "  app.service:\n    configuration: [/etc/app.conf]\n    validate: [sh, -c, 'echo never; exit 1']\n";
    let host = boot("refuted", &[("app.service", &fixture::unit("app", 5000))], services, &["app.service"])?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "escalated")?;
    host.start("app.service")?;
    host.wait_for("the disagreement to be told", LIMIT, || {
        let report = agent::report(&host, "i1");
        Ok(report.to_string().contains("it is not believed until").then_some(()))
    })?;
    host.wait_for("the incident to be over", LIMIT, || {
        let phase = agent::report(&host, "i1")["phase"].to_string();
        Ok(phase.contains("resolved").then_some(()))
    })?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_active("app.service", LIMIT)?;
    Ok(())
}

/// A unit's secrets and its own search path are there for its validator as they are for its start.
#[test]
fn a_validator_sees_the_credentials_and_the_search_path_of_its_unit() -> Result<()> {
    let host = Host::boot(&HostOptions::new("surroundings-secrets"))?;
    host.write_file("/etc/secret", "open barley", 0o600)?;
    host.run_ok(&["mkdir", "-p", "/opt/app/bin"])?;
    host.write_file("/opt/app/bin/app-helper", "#!/bin/sh\necho helped\n", 0o755)?;
    let unit = fixture::unit("app", 5000)
        + "User=www-data\nLoadCredential=loaded:/etc/secret\nSetCredential=set:plain words\n\
           ExecSearchPath=/opt/app/bin:/usr/bin:/bin\n";
    host.install_unit("app.service", &unit)?;
    host.start("app.service")?;
    let asks = "set -e; test $(id -un) = www-data; test \"$(cat $CREDENTIALS_DIRECTORY/loaded)\" = \"open barley\"; \
                test \"$(cat $CREDENTIALS_DIRECTORY/set)\" = \"plain words\"; test $(app-helper) = helped";
    let services = format!("  app.service:\n    configuration: [/etc/app.conf]\n    validate: [sh, -c, '{asks}']\n");
    is_content_and_healed(&host, &services)
}
