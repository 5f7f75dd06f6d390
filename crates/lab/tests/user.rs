//! A person's own services end to end: `ansai --user` as somebody who is not root, under their own systemd, and beside
//! somebody else who wants what is hers.
//!
//! The host has no logind, so a unit of root's starts the person's systemd as logind would for somebody who lingers.

use std::time::Duration;

use ansai_lab::agent::QUICK;
use ansai_lab::host::BINARIES;
use ansai_lab::{Host, HostOptions, Output, fixture};
use anyhow::{Context as _, Result, ensure};

const LIMIT: Duration = Duration::from_secs(30);
const HOME: &str = "/home/maria";

const LINGERING: &str = "\
[Service]
User=maria
Type=notify
Environment=XDG_RUNTIME_DIR=/run/user/1000
RuntimeDirectory=user/1000
RuntimeDirectoryMode=0700
ExecStart=/lib/systemd/systemd --user
Delegate=yes
KillMode=mixed
";
const BUS_SOCKET: &str = "[Socket]\nListenStream=%t/bus\n";
const BUS: &str = "\
[Unit]
Requires=dbus.socket
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only
";
const APP: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// A host on which maria's own systemd runs her app and her agent, which was told what it is about her app; eve has an
/// account as well, and prepares something before.
fn boot(name: &str, app: &str, eve_prepares: &str) -> Result<Host> {
    fixture::binary("ansai")?;
    let host = Host::boot(&HostOptions::new(name))?;
    host.run_ok(&["useradd", "--create-home", "--uid", "1000", "maria"])?;
    host.run_ok(&["useradd", "--create-home", "--uid", "1001", "eve"])?;
    host.run_ok(&[
        "sh",
        "-ec",
        "mkdir /srv/shared; chmod 1777 /srv/shared; mkdir -m 755 /srv/eve; chown eve: /srv/eve",
    ])?;
    eve(&host, eve_prepares)?;
    host.write_file("/etc/systemd/user/dbus.socket", BUS_SOCKET, 0o644)?;
    host.write_file("/etc/systemd/user/dbus.service", BUS, 0o644)?;
    let units = format!("{HOME}/.config/systemd/user");
    // The unit of the package and the program, where the package has them.
    let agent = include_str!("../../../packaging/ansai.user.service");
    host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai"), "/usr/bin/ansai"])?;
    host.write_file(format!("{units}/app.service"), APP, 0o644)?;
    host.write_file("/usr/lib/systemd/user/ansai.service", agent, 0o644)?;
    let configuration = format!("{QUICK}services:\n  app.service: {{{app}}}\n");
    host.write_file(format!("{HOME}/.config/ansai/ansai.yaml"), configuration, 0o600)?;
    host.run_ok(&["chown", "-R", "maria:maria", HOME])?;
    host.install_unit("maria.service", LINGERING)?;
    host.start("maria.service")?;
    maria(&host, &["systemctl", "--user", "start", "dbus.socket", "dbus.service"])?.ok()?;
    maria(&host, &["systemctl", "--user", "start", "app.service"])?.ok()?;
    Ok(host)
}

fn begin(host: &Host) -> Result<()> {
    maria(host, &["systemctl", "--user", "enable", "--now", "ansai.service"])?.ok()?;
    says(host, &["status"], "active (running)")
}

fn eve(host: &Host, script: &str) -> Result<()> {
    host.run_ok(&["setpriv", "--reuid", "eve", "--regid", "eve", "--clear-groups", "sh", "-ec", script]).map(drop)
}

/// What is maria's own: each name below her home but what her agent keeps, with its owner, mode and bytes.
fn hers(host: &Host) -> Result<String> {
    let script =
        "cd /home/maria/private; find . -printf '%p %U %m %l\\n' | sort; find . -type f -exec sha256sum {} + | sort";
    Ok(host.run_ok(&["sh", "-ec", script])?.stdout)
}

/// Runs a command as maria.
fn maria(host: &Host, command: &[&str]) -> Result<Output> {
    let mut whole = vec!["runuser", "-u", "maria", "--", "env", "-i", "HOME=/home/maria", "PATH=/usr/bin:/bin"];
    whole.extend(["XDG_RUNTIME_DIR=/run/user/1000", "NO_COLOR=1"]);
    whole.extend(command);
    host.run(&whole)
}

fn says(host: &Host, arguments: &[&str], words: &str) -> Result<()> {
    let mut command = vec!["ansai", "--user"];
    command.extend(arguments);
    let said = || maria(host, &command).map(|output| format!("{}{}", output.stdout, output.stderr));
    host.wait_until(&format!("{arguments:?} to say `{words}`"), LIMIT, || Ok(said()?.contains(words)))
        .with_context(|| said().unwrap_or_default())
}

#[test]
fn somebody_who_is_not_root_has_their_own_services_healed() -> Result<()> {
    let host = boot("user", "", "true")?;
    begin(&host)?;
    let kill = ["systemctl", "--user", "kill", "-s", "KILL", "app.service"];
    maria(&host, &kill)?.ok()?;
    says(&host, &["report", "i1"], "app.service restarted")?;
    maria(&host, &["systemctl", "--user", "is-active", "app.service"])?.ok()?;
    maria(&host, &["systemctl", "--user", "reload", "ansai.service"])?.ok()?;
    // What the unit forbids is nothing that her agent needs.
    let doctor = maria(&host, &["ansai", "--user", "doctor"])?;
    ensure!(doctor.stdout.contains("ok    the agent may do all that the configuration needs"), "{}", doctor.stdout);
    let limits = ["systemctl", "--user", "show", "-p", "NoNewPrivileges,WatchdogUSec", "ansai.service"];
    let limits = maria(&host, &limits)?.ok()?.stdout;
    ensure!(limits.contains("NoNewPrivileges=yes") && limits.contains("WatchdogUSec=30s"), "{limits}");
    for place in ["/run/user/1000/ansai/api.sock", "/home/maria/.local/state/ansai/ledger.a"] {
        ensure!(host.exists(place), "{place} is not there");
    }
    // Her HOLD is hers, and the host's agent is not there to be asked.
    maria(&host, &["touch", "/home/maria/.config/ansai/HOLD"])?.ok()?;
    says(&host, &["status"], "HELD: the file /home/maria/.config/ansai/HOLD")?;
    maria(&host, &kill)?.ok()?;
    says(&host, &["explain", "app"], "HOLD")?;
    ensure!(maria(&host, &["systemctl", "--user", "is-active", "app.service"])?.code != 0, "it was healed in hold");
    maria(&host, &["rm", "/home/maria/.config/ansai/HOLD"])?.ok()?;
    host.wait_until("app.service to be healed", LIMIT, || {
        Ok(maria(&host, &["systemctl", "--user", "is-active", "app.service"])?.code == 0)
    })
}

/// What eve does, what maria's agent is told of it, and how it says that it does nothing through it; her own files are as
/// they were.
fn refuses(name: &str, eve_prepares: &str, app: &str, words: &str) -> Result<()> {
    let host = boot(name, app, eve_prepares)?;
    let private = "mkdir -m 700 private; echo hers > private/key; chmod 600 private/key; echo good > private/app.conf";
    maria(&host, &["sh", "-ec", &format!("cd /home/maria; {private}")])?.ok()?;
    let before = hers(&host)?;
    begin(&host)?;
    maria(&host, &["systemctl", "--user", "kill", "-s", "KILL", "app.service"])?.ok()?;
    says(&host, &["report", "i1", "--json"], words)?;
    host.wait_until("app.service to be healed all the same", LIMIT, || {
        Ok(maria(&host, &["systemctl", "--user", "is-active", "app.service"])?.code == 0)
    })?;
    ensure!(hers(&host)? == before, "it was {before}, and is {}", hers(&host)?);
    Ok(())
}

#[test]
fn a_link_of_somebody_else_in_a_folder_for_all_leads_her_agent_nowhere() -> Result<()> {
    refuses(
        "user-link",
        "ln -s /home/maria/private /srv/shared/app",
        "environment: [{directory: /srv/shared/app/log, mode: '0777'}]",
        "/srv/shared/app is a symbolic link (owner eve)",
    )
}

#[test]
fn a_file_of_somebody_else_with_the_name_of_hers_is_not_written_to() -> Result<()> {
    refuses(
        "user-folder",
        "mkdir -m 777 /srv/eve/app",
        "environment: [{file: /srv/eve/app/key, create: true, mode: '0644'}]",
        "/srv/eve belongs to eve",
    )
}

#[test]
fn a_program_that_somebody_else_could_make_is_run_neither_at_the_start_nor_later() -> Result<()> {
    // It is not there yet: who could make it is who would be obeyed.
    let host = boot("user-program", "probe: {exec: [/srv/shared/check]}", "true")?;
    let refused = maria(&host, &["ansai", "--user", "check"])?;
    ensure!(refused.code == 2 && refused.stderr.contains("others can change it"), "{}", refused.stderr);
    // One that becomes so while the agent runs.
    let host = boot("user-later", "probe: {exec: [/home/maria/bin/check], every: 1s}", "true")?;
    maria(&host, &["sh", "-ec", "cd /home/maria; mkdir bin; printf '#!/bin/sh\\n' > bin/check; chmod 755 bin/check"])?
        .ok()?;
    begin(&host)?;
    maria(&host, &["sh", "-ec", "chmod 755 /home/maria; chmod 777 /home/maria/bin"])?.ok()?;
    eve(
        &host,
        "cd /home/maria/bin; rm check; printf '#!/bin/sh\\ntouch /home/maria/eves\\n' > check; chmod 755 check",
    )?;
    says(&host, &["explain", "app"], "is not run, since others can change it")?;
    ensure!(!host.exists("/home/maria/eves"), "what eve wrote was run");
    Ok(())
}
