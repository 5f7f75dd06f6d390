//! What is shipped, with its defaults: a host on which the package was installed and nothing else was done, and many things
//! at once. The configuration says what is watched and that the agent may act; the limits are those of the package.

use std::time::Duration;

use ansai_lab::fixture::{
    acme::{self, Authority},
    disk,
};
use ansai_lab::{Host, HostOptions, agent, fixture, package};
use anyhow::{Result, ensure};
use rustix::process::Signal;

/// Issuers and cleaning take their time while the machine compiles.
const LIMIT: Duration = Duration::from_secs(180);
const NAME: &str = "api.lab.test";
const NGINX: &str = "\
server { listen 80; root /var/www/acme; }
server { listen 443 ssl; ssl_certificate /etc/nginx/ssl/api.pem; ssl_certificate_key /etc/nginx/ssl/api.key; }
";

/// A disk, and a certificate. A host that is left alone for a month has the waits of the defaults; nothing is shortened.
const WATCHED: &str = "\
autonomy: act
disks:
  /data: {clean: {logs: [{path: /data/log, pattern: \"*.log\", older_than: 30d, strategy: delete}]}}
certificates:
  api.lab.test:
    file: /etc/nginx/ssl/api.pem
    trust: /etc/ansai/roots.pem
    endpoints: [\"https://127.0.0.1\"]
    renew: {acme: {directory: \"https://localhost:14000/dir\", trust: /etc/ansai/issuer.pem, webroot: /var/www/acme}}
    services: [nginx.service]
services:
  nginx.service: {}
";

/// nginx with a certificate one day from its end, a server that issues new ones, and a disk with old logs.
fn prepare(host: &Host) -> Result<()> {
    let authority = Authority::new()?;
    acme::install(host, &authority)?;
    let (certificate, key) = authority.pair(&[NAME], 1)?;
    host.write_file("/etc/nginx/ssl/api.pem", &certificate, 0o644)?;
    host.write_file("/etc/nginx/ssl/api.key", &key, 0o600)?;
    host.run_ok(&["mkdir", "-p", "/var/www/acme"])?;
    host.remove_file("/etc/nginx/sites-enabled/default")?;
    host.write_file("/etc/nginx/conf.d/lab.conf", NGINX, 0o644)?;
    host.start("nginx.service")?;
    disk::mount(host, "/data")?;
    disk::write_logs(host, "/data", 30)
}

fn serial(host: &Host) -> Result<String> {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    Ok(host.run(&["sh", "-c", &script])?.text().to_owned())
}

fn wait_disk(host: &Host) -> Result<()> {
    host.wait_until("the disk to be brought below its goal", LIMIT, || Ok(disk::share(host, "/data")? <= 80))
}

fn wait_certificate(host: &Host, old: &str) -> Result<()> {
    host.wait_until("nginx to serve a new certificate", LIMIT, || {
        let now = serial(host)?;
        Ok(now.starts_with("serial=") && now != old)
    })
}

#[test]
fn a_host_with_the_package_and_nothing_else_has_its_disk_certificate_and_memory_healed() -> Result<()> {
    let host = Host::boot(&package::built("installed")?)?;
    prepare(&host)?;
    // 2 MiB a second, towards the limit that its configuration names.
    let leak = fixture::unit("leak", 5000).replace("\nStateDirectory", " --do \"leak 2097152\"\nStateDirectory");
    host.install_unit("leak.service", &leak)?;
    host.start("leak.service")?;
    package::install(&host)?;
    host.wait_active(agent::UNIT, LIMIT)?;
    let (old, leaking) = (serial(&host)?, host.main_pid("leak.service")?);
    // One key is shorter than shipped: `every` of the memory. A look a minute sees this leak in a quarter of an hour.
    let memory = "  leak.service: {memory: {limit: 96MiB, every: 1s}}\n";
    host.write_file(agent::CONFIGURATION, format!("{WATCHED}{memory}"), 0o640)?;
    host.run_ok(&["systemctl", "reload", "ansai"])?;
    disk::fill(&host, "/data", "fill", 96)?;
    wait_disk(&host)?;
    wait_certificate(&host, &old)?;
    host.wait_until("the leak to be restarted", LIMIT, || {
        let pid = host.main_pid("leak.service")?;
        Ok(pid.is_some() && pid != leaking)
    })?;
    let doctor = agent::ansai(&host, &["doctor"])?;
    ensure!(doctor.stdout.contains("the agent may do all that the configuration needs"), "{}", doctor.stdout);
    ensure!(!doctor.stdout.contains("FAIL"), "{}", doctor.stdout);
    Ok(())
}

#[test]
fn with_the_defaults_many_things_at_once_are_healed_and_what_is_well_is_left_alone() -> Result<()> {
    let host = Host::boot(&HostOptions::new("defaults"))?;
    prepare(&host)?;
    let names: Vec<String> = (0..24).map(|number| format!("app{number}.service")).collect();
    for (number, unit) in (0_u16..).zip(&names) {
        let text = fixture::unit(unit.trim_end_matches(".service"), 5000 + number);
        host.write_file(format!("/etc/systemd/system/{unit}"), text, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for unit in &names {
        host.start(unit)?;
    }
    let old = serial(&host)?;
    let services: String = names.iter().map(|unit| format!("  {unit}: {{}}\n")).collect();
    agent::install(&host, &format!("{WATCHED}{services}"))?;
    agent::start(&host)?;
    for unit in &names {
        agent::wait_health(&host, unit, "healthy")?;
    }
    let pids = || names.iter().map(|unit| host.main_pid(unit)).collect::<Result<Vec<_>>>();
    let before = pids()?;
    disk::fill(&host, "/data", "fill", 96)?;
    let (killed, well) = names.split_at(20);
    for unit in killed {
        host.signal_main(unit, Signal::KILL)?;
    }
    for unit in killed {
        host.wait_until(&format!("{unit} to be back"), LIMIT, || host.is_active(unit))?;
    }
    wait_disk(&host)?;
    wait_certificate(&host, &old)?;
    let after = pids()?;
    let was_started = |index: usize| after[index] != before[index];
    ensure!((0..killed.len()).all(was_started), "{before:?} {after:?}");
    ensure!(!(killed.len()..killed.len() + well.len()).any(was_started), "what was well was restarted");
    let incidents = agent::incidents(&host)?;
    for unit in &names {
        let name = format!("service/{unit}");
        let of_it = incidents.iter().filter(|incident| incident["target"] == name.as_str()).count();
        let expected = usize::from(killed.contains(unit));
        ensure!(of_it == expected, "{unit}: {of_it} incidents, not {expected}: {incidents:#?}");
    }
    let escalated = incidents.iter().find(|incident| incident["phase"].get("escalated").is_some());
    ensure!(escalated.is_none(), "nothing here needs a person: {escalated:#?}");
    Ok(())
}
