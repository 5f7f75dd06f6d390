//! What the domains cost: the agent with two hundred services, and the same with filesystems, certificates, TLS sockets
//! and the memory of every service watched on top, at the default periods. Prints a table; judges nothing.

use std::{fmt::Write, time::Duration};

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result, ensure};

use super::{
    prepare, restarted, say,
    spent::{self, Usage},
};

const SERVICES: usize = 200;
const FILESYSTEMS: usize = 20;
const CERTIFICATES: usize = 200;
const SOCKETS: usize = 50;
/// The first looks are over by then.
const SETTLED: Duration = Duration::from_secs(20);
/// Two whole periods of what is looked at each minute.
const MEASURED: Duration = Duration::from_secs(120);
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_PORT: usize = 9_000;

const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let (host, services, domains) = watched()?;
    let seconds = (SETTLED + MEASURED).as_secs();
    say(&format!("each row is watched for {seconds} s from when everything is seen well"));
    say(&format!(
        "{:<58} {:>10} {:>12} {:>11} {:>11} {:>14}",
        "", "RSS", "anonymous", "of a core", "wake-ups", "first looks"
    ));
    let before = measure(&host, "200 services", &services)?;
    let after = measure(&host, "with 20 filesystems, 200 certificates, 50 sockets, memory", &domains)?;
    say(&format!(
        "{:<58} {:>7.1} MB {:>9.1} MB {:>9.2} % {:>9.1}/s {:>11.1} ms",
        "on top",
        after.0.rss - before.0.rss,
        after.0.anonymous - before.0.anonymous,
        after.0.share - before.0.share,
        after.0.woken - before.0.woken,
        (after.1 - before.1) * 1e3
    ));
    Ok(())
}

/// A host with all of it, the configuration that watches its services, and the one that watches the rest as well.
pub(crate) fn watched() -> Result<(Host, String, String)> {
    let options = (0..FILESYSTEMS)
        .fold(HostOptions::new("domains"), |options, number| options.tmpfs(&format!("/srv/fs-{number}"), "1M"));
    let host = Host::boot(&options)?;
    begin_services(&host)?;
    make_certificates(&host)?;
    serve(&host)?;
    let mut services = String::from("services:\n");
    for number in 0..SERVICES {
        writeln!(services, "  idle-{number}.service: {{}}")?;
    }
    let mut domains = services.clone() + "memory: true\ndisks:\n";
    for number in 0..FILESYSTEMS {
        writeln!(domains, "  /srv/fs-{number}: {{}}")?;
    }
    domains.push_str("certificates:\n");
    for number in 0..CERTIFICATES {
        let endpoint = match number < SOCKETS {
            true => format!(", endpoints: [\"https://127.0.0.1:{}\"]", FIRST_PORT + number),
            false => String::new(),
        };
        writeln!(
            domains,
            "  c{number}.example.com: {{file: /etc/bench/c{number}.pem, bundle: true, trust: nobody{endpoint}}}"
        )?;
    }
    Ok((host, services, domains))
}

fn begin_services(host: &Host) -> Result<()> {
    for number in 0..SERVICES {
        host.write_file(format!("/etc/systemd/system/idle-{number}.service"), SERVICE, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    let units: Vec<String> = (0..SERVICES).map(|number| format!("idle-{number}.service")).collect();
    let mut command = vec!["systemctl", "start"];
    command.extend(units.iter().map(String::as_str));
    host.run_ok(&command)?;
    Ok(())
}

/// One certificate for all of them, in files of their own.
fn make_certificates(host: &Host) -> Result<()> {
    let names: Vec<String> = (0..CERTIFICATES).map(|number| format!("DNS:c{number}.example.com")).collect();
    let names = format!("subjectAltName={}", names.join(","));
    host.run_ok(&["mkdir", "-p", "/etc/bench"])?;
    host.run_ok(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "365",
        "-subj",
        "/CN=bench",
        "-addext",
        &names,
        "-keyout",
        "/etc/bench/key.pem",
        "-out",
        "/etc/bench/cert.pem",
    ])?;
    let text = host.read_file("/etc/bench/cert.pem")? + &host.read_file("/etc/bench/key.pem")?;
    for number in 0..CERTIFICATES {
        host.write_file(format!("/etc/bench/c{number}.pem"), &text, 0o600)?;
    }
    Ok(())
}

fn serve(host: &Host) -> Result<()> {
    let mut text = String::from("events {}\nhttp {\n server {\n");
    for number in 0..SOCKETS {
        writeln!(text, "  listen 127.0.0.1:{} ssl;", FIRST_PORT + number)?;
    }
    text.push_str("  ssl_certificate /etc/bench/c0.pem;\n  ssl_certificate_key /etc/bench/c0.pem;\n }\n}\n");
    host.write_file("/etc/nginx/nginx.conf", text, 0o644)?;
    host.start("nginx.service")
}

/// What is not seen well, in a few lines.
fn unwell(host: &Host) -> String {
    let status = agent::json(host, &["status"]).unwrap_or_default();
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    let unwell = targets.into_iter().filter(|target| target["health"] != "healthy").take(3);
    unwell.map(|target| format!("{target:#}")).collect::<Vec<_>>().join("\n")
}

/// What the agent uses at rest, and the seconds of processor time until it was so.
fn measure(host: &Host, name: &str, configuration: &str) -> Result<(Usage, f64)> {
    agent::install(host, configuration)?;
    let pid = restarted(host)?;
    let is_well = || -> Result<bool> {
        let status = agent::json(host, &["status"])?;
        let targets = status["targets"].as_array().cloned().unwrap_or_default();
        Ok(targets.len() >= SERVICES && targets.iter().all(|target| target["health"] == "healthy"))
    };
    host.wait_until("everything to be seen well", LIMIT, is_well).with_context(|| unwell(host))?;
    std::thread::park_timeout(SETTLED);
    let first = spent::seconds(pid)?;
    let usage = spent::over(pid, MEASURED)?;
    ensure!(is_well()?, "something has failed meanwhile: {:#}", agent::json(host, &["incidents"])?);
    let Usage { rss, anonymous, share, woken, .. } = usage;
    say(&format!(
        "{name:<58} {rss:>7.1} MB {anonymous:>9.1} MB {share:>9.2} % {woken:>9.1}/s {:>11.1} ms",
        first * 1e3
    ));
    Ok((usage, first))
}
