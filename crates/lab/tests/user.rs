//! A person's own services end to end: `ansai --user` as somebody who is not root, under their own systemd.
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

/// A host on which maria's own systemd runs her app and her agent.
fn boot() -> Result<Host> {
    fixture::binary("ansai")?;
    let host = Host::boot(&HostOptions::new("user"))?;
    host.run_ok(&["useradd", "--create-home", "--uid", "1000", "maria"])?;
    host.write_file("/etc/systemd/user/dbus.socket", BUS_SOCKET, 0o644)?;
    host.write_file("/etc/systemd/user/dbus.service", BUS, 0o644)?;
    let units = format!("{HOME}/.config/systemd/user");
    // The unit that the page gives her, with the program where the package has it.
    let page = include_str!("../../../docs/start.md");
    let agent = page.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next()).context("a unit")?;
    host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai"), "/usr/bin/ansai"])?;
    host.write_file(format!("{units}/app.service"), APP, 0o644)?;
    host.write_file(format!("{units}/ansai.service"), agent, 0o644)?;
    let configuration = format!("{QUICK}services:\n  app.service: {{}}\n");
    host.write_file(format!("{HOME}/.config/ansai/ansai.yaml"), configuration, 0o600)?;
    host.run_ok(&["chown", "-R", "maria:maria", HOME])?;
    host.install_unit("maria.service", LINGERING)?;
    host.start("maria.service")?;
    maria(&host, &["systemctl", "--user", "start", "dbus.socket", "dbus.service"])?.ok()?;
    maria(&host, &["systemctl", "--user", "start", "app.service", "ansai.service"])?.ok()?;
    Ok(host)
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
    host.wait_until(&format!("{arguments:?} to say `{words}`"), LIMIT, || {
        let output = maria(host, &command)?;
        Ok(format!("{}{}", output.stdout, output.stderr).contains(words))
    })
}

#[test]
fn somebody_who_is_not_root_has_their_own_services_healed() -> Result<()> {
    let host = boot()?;
    says(&host, &["status"], "active (running)")?;
    let kill = ["systemctl", "--user", "kill", "-s", "KILL", "app.service"];
    maria(&host, &kill)?.ok()?;
    says(&host, &["report", "i1"], "app.service restarted")?;
    maria(&host, &["systemctl", "--user", "is-active", "app.service"])?.ok()?;
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
