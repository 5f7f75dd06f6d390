//! What the demo breaks: the services of its host, their configuration, and the failures one after another.

use ansai_lab::Host;
use anyhow::Result;
use rustix::process::Signal;

pub(super) fn unit(name: &str, port: u16) -> String {
    format!(
        "[Service]\nType=notify\nNotifyAccess=all\nKillMode=process\nStateDirectory={name}\n\
         ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port {port} --state /var/lib/{name}\n"
    )
}

pub(super) const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {cooldown: 1s, stable_for: 2s, verify_within: 10s, budget: {actions: 20}, backoff: {initial: 1s, max: 5s}}
agent: {host_budget: {actions: 60}}
services:
  nginx.service: {probe: {http: \"http://127.0.0.1/\", every: 1s, fail_after: 2}, restore_configuration: true}
  shop.service: {probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}}
  mailer.service: {probe: {http: \"http://127.0.0.1:5001/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}, critical: true}
";

/// What is broken, and how.
pub(super) struct Failure {
    pub(super) what: &'static str,
    /// The unit that is active again afterwards.
    pub(super) unit: &'static str,
    pub(super) break_it: fn(&Host) -> Result<()>,
}

pub(super) const FAILURES: &[Failure] = &[
    Failure {
        what: "the shop is killed (SIGKILL)",
        unit: "shop.service",
        break_it: |h| h.signal_main("shop.service", Signal::KILL),
    },
    Failure {
        what: "the mailer ends by itself with code 0",
        unit: "mailer.service",
        break_it: |h| tell(h, 5001, "exit/0"),
    },
    Failure {
        what: "the shop hangs (SIGSTOP)",
        unit: "shop.service",
        break_it: |h| h.signal_main("shop.service", Signal::STOP),
    },
    Failure { what: "the mailer answers 500", unit: "mailer.service", break_it: |h| tell(h, 5001, "error/500") },
    Failure { what: "nginx: configuration broken, then killed", unit: "nginx.service", break_it: break_nginx },
    Failure {
        what: "the shop dies, a leftover keeps its port",
        unit: "shop.service",
        break_it: |h| tell(h, 5000, "orphan"),
    },
];

/// Commands that end the service cannot be answered, so no answer is expected.
fn tell(host: &Host, port: u16, command: &str) -> Result<()> {
    drop(host.http(&format!("127.0.0.1:{port}"), "GET", &format!("/control/{command}"), ""));
    Ok(())
}

fn break_nginx(host: &Host) -> Result<()> {
    let text = host.read_file("/etc/nginx/nginx.conf")?;
    host.write_file("/etc/nginx/nginx.conf", format!("{text}\nlisten 80 somewhere;\n"), 0o644)?;
    host.signal_main("nginx.service", Signal::KILL)
}
