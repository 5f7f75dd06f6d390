//! What the demo breaks: the services of its host, their configuration, and the failures one after another.

use ansai_lab::{
    Host,
    fixture::acme::{Authority, DIRECTORY, ISSUER, ROOTS},
};
use anyhow::Result;
use rustix::process::Signal;

pub(super) fn unit(name: &str, port: u16) -> String {
    format!(
        "[Service]\nType=notify\nNotifyAccess=all\nKillMode=process\nStateDirectory={name}\n\
         ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port {port} --state /var/lib/{name}\n"
    )
}

/// The name that the shop's certificate is for, where it lies, and what serves it.
const NAME: &str = "shop.lab.test";
const CERTIFICATE: &str = "/etc/ssl/shop/shop.pem";
pub(super) const NGINX: &str = "\
server { listen 443 ssl; ssl_certificate /etc/ssl/shop/shop.pem; ssl_certificate_key /etc/ssl/shop/shop.key; }
";
/// The filesystem that fills up.
pub(super) const DATA: &str = "/srv/data";

/// What the agent is told.
pub(super) fn configuration() -> String {
    format!(
        "\
autonomy: act
policies:
  default: {{cooldown: 1s, stable_for: 2s, verify_within: 10s, budget: {{actions: 20}}, backoff: {{initial: 1s, max: 5s}}}}
  memory: {{cooldown: 1s, stable_for: 2s, verify_within: 15s}}
  disk: {{cooldown: 1s, stable_for: 2s}}
  certificate: {{cooldown: 1s, stable_for: 2s, verify_within: 20s}}
agent: {{host_budget: {{actions: 60}}}}
services:
  nginx.service: {{probe: {{http: \"http://127.0.0.1/\", every: 1s, fail_after: 2}}, restore_configuration: true}}
  shop.service: {{probe: {{http: \"http://127.0.0.1:5000/\", expect: {{status: 200}}, every: 1s, timeout: 1s, fail_after: 2}}}}
  mailer.service: {{probe: {{http: \"http://127.0.0.1:5001/\", expect: {{status: 200}}, every: 1s, timeout: 1s, fail_after: 2}}, critical: true}}
  worker.service: {{memory: {{limit: 96MiB, every: 500ms, horizon: 10m}}}}
disks:
  {DATA}: {{every: 1s, clean: {{logs: [{{path: {DATA}/logs, pattern: \"*.log\", older_than: 30d}}]}}}}
certificates:
  {NAME}:
    file: {CERTIFICATE}
    trust: {ROOTS}
    endpoints: \"https://127.0.0.1\"
    renew: {{acme: {{directory: \"{DIRECTORY}\", trust: {ISSUER}, webroot: /var/www/html}}}}
    services: [nginx.service]
    every: 2s
"
    )
}

/// Whatever check it is.
pub(super) const ANY: &[&str] = &[""];

/// What is broken, and how.
pub(super) struct Failure {
    pub(super) what: &'static str,
    /// The unit that is active again afterwards.
    pub(super) unit: &'static str,
    /// How the checks that may say so end, where other checks of the target tell something else.
    pub(super) checks: &'static [&'static str],
    pub(super) break_it: fn(&Host) -> Result<()>,
}

pub(super) const FAILURES: &[Failure] = &[
    Failure {
        what: "the shop is killed (SIGKILL)",
        unit: "shop.service",
        checks: ANY,
        break_it: |h| h.signal_main("shop.service", Signal::KILL),
    },
    Failure {
        what: "the mailer ends by itself with code 0",
        unit: "mailer.service",
        checks: ANY,
        break_it: |h| tell(h, 5001, "exit/0"),
    },
    Failure {
        what: "the shop hangs (SIGSTOP)",
        unit: "shop.service",
        checks: ANY,
        break_it: |h| h.signal_main("shop.service", Signal::STOP),
    },
    Failure {
        what: "the mailer answers 500",
        unit: "mailer.service",
        checks: ANY,
        break_it: |h| tell(h, 5001, "error/500"),
    },
    Failure {
        what: "nginx: configuration broken, then killed",
        unit: "nginx.service",
        checks: ANY,
        break_it: break_nginx,
    },
    Failure {
        what: "the shop dies, a leftover keeps its port",
        unit: "shop.service",
        checks: ANY,
        break_it: |h| tell(h, 5000, "orphan"),
    },
    Failure { what: "a filesystem is filled to 96 %", unit: "shop.service", checks: &["#space"], break_it: fill },
    Failure {
        what: "the shop's certificate has one day left",
        unit: "nginx.service",
        checks: &["#file", ":443"],
        break_it: age_certificate,
    },
    Failure {
        what: "the worker leaks 2 MiB a second",
        unit: "worker.service",
        checks: ANY,
        break_it: |h| tell(h, 5002, "leak/2097152"),
    },
];

/// Old logs where logs may go, and beside them a file that nobody declared; made elsewhere, so that all come at once.
fn fill(host: &Host) -> Result<()> {
    let script = format!(
        "mkdir -p /var/tmp/fill/logs && cd /var/tmp/fill && head -c 34000000 /dev/urandom > precious && \
         for n in 1 2 3 4 5 6 7; do yes 'GET /cart 200' | head -c 4300000 > logs/$n.log && touch -d '40 days ago' logs/$n.log; \
         done && cp -a . {DATA}/"
    );
    host.run_ok(&["sh", "-c", &script]).map(drop)
}

/// The certificate of the same name that ends tomorrow is served.
fn age_certificate(host: &Host) -> Result<()> {
    host.run_ok(&["cp", "-r", "/etc/ssl/old/.", "/etc/ssl/shop/"])?;
    host.run_ok(&["systemctl", "reload", "nginx.service"]).map(drop)
}

/// A certificate for the shop, and beside it another one that is at its end.
pub(super) fn put_certificates(host: &Host, authority: &Authority) -> Result<()> {
    for (folder, days) in [("/etc/ssl/shop", 90), ("/etc/ssl/old", 1)] {
        let (certificate, key) = authority.pair(&[NAME], days)?;
        host.write_file(format!("{folder}/shop.pem"), certificate, 0o644)?;
        host.write_file(format!("{folder}/shop.key"), key, 0o600)?;
    }
    Ok(())
}

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
