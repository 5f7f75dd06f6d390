//! Certificates end to end: a real nginx, PostgreSQL and postfix serve them, and a real ACME server, Debian's pebble, renews them.

use std::time::Duration;

use ansai_lab::agent::{QUICK, json, wait_report};
use ansai_lab::{
    Host, HostOptions, agent,
    fixture::acme::{self, Authority},
    mail,
};
use anyhow::{Context as _, Result, ensure};

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "api.lab.test";

const NGINX: &str = "\
server { listen 80; root /var/www/acme; }
server { listen 443 ssl; ssl_certificate /etc/nginx/ssl/api.pem; ssl_certificate_key /etc/nginx/ssl/api.key; }
";

/// A host with an ACME server, and with nginx serving a certificate one day from its end.
fn boot(name: &str, nginx: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    let authority = Authority::new()?;
    acme::install(&host, &authority)?;
    let (certificate, key) = authority.pair(&[NAME], 1)?;
    for folder in ["/etc/nginx/ssl", "/etc/other"] {
        host.write_file(format!("{folder}/api.pem"), &certificate, 0o644)?;
        host.write_file(format!("{folder}/api.key"), &key, 0o600)?;
    }
    host.run_ok(&["mkdir", "-p", "/var/www/acme"])?;
    host.remove_file("/etc/nginx/sites-enabled/default")?;
    host.write_file("/etc/nginx/conf.d/lab.conf", nginx, 0o644)?;
    host.start("nginx.service")?;
    Ok(host)
}

fn configuration(endpoints: &str) -> String {
    format!(
        "{QUICK}  certificate: {{cooldown: 1s, verify_within: 20s, stable_for: 2s, backoff: {{initial: 1s}}}}\n\
certificates:
  {NAME}:
    file: /etc/nginx/ssl/api.pem
    trust: /etc/ansai/roots.pem
    endpoints: {endpoints}
    renew: {{acme: {{directory: \"https://localhost:14000/dir\", trust: /etc/ansai/issuer.pem, webroot: /var/www/acme}}}}
    deploy: [{{certificate: /etc/postfix/certs/api.pem, key: /etc/postfix/certs/api.key, group: postfix, mode: \"0640\"}}]
    services: [nginx.service]
    every: 10s
"
    )
}

/// The serial number of the certificate that a port shows.
fn serial(host: &Host, port: u16) -> Result<String> {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername {NAME} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    Ok(host.run_ok(&["sh", "-c", &script])?.text().to_owned())
}

fn serial_of_file(host: &Host, path: &str) -> Result<String> {
    Ok(host.run_ok(&["openssl", "x509", "-noout", "-serial", "-in", path])?.text().to_owned())
}

/// What the agent says of a certificate.
fn target(host: &Host, name: &str) -> serde_json::Value {
    let status = json(host, &["status"]).unwrap_or_default();
    let name = format!("certificate/{name}");
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == name.as_str()).unwrap_or_default()
}

/// Waits for an incident after `last` to stand in a phase, or to be resolved in a way. That which only tells how near the end is
/// may have been opened before it or after: their looks are made beside each other.
fn wait_mended(host: &Host, last: u64, phase: &str) -> Result<serde_json::Value> {
    let is_it = |incident: &serde_json::Value| {
        incident["id"].as_u64().is_some_and(|id| id > last)
            && !incident["check"].as_str().is_some_and(|check| check.ends_with("#end"))
    };
    let found = || Ok(agent::incidents(host)?.into_iter().find(is_it).and_then(|incident| incident["id"].as_u64()));
    let id = host.wait_for("an incident", LIMIT, found)?;
    wait_report(host, &format!("i{id}"), phase)
}

/// The report on the incident that only tells how near the end is.
fn told_end(host: &Host) -> Result<serde_json::Value> {
    let is_it = |incident: &serde_json::Value| incident["check"].as_str().is_some_and(|check| check.ends_with("#end"));
    let found = agent::incidents(host)?.into_iter().find(is_it).context("nothing is told of its end")?;
    Ok(agent::report(host, &format!("i{}", found["id"])))
}

#[test]
fn a_certificate_one_day_from_its_end_is_renewed_put_in_place_and_verified_on_its_socket() -> Result<()> {
    let host = boot("renewed", NGINX)?;
    for kind in ["pem", "key"] {
        let text = host.read_file(format!("/etc/other/api.{kind}"))?;
        host.write_file(format!("/etc/postfix/certs/api.{kind}"), text, 0o600)?;
    }
    let old = serial(&host, 443)?;
    let worker = host.main_pid("nginx.service")?;
    agent::install(&host, &configuration("[\"https://127.0.0.1\"]"))?;
    agent::start(&host)?;
    let report = wait_mended(&host, 0, "healed")?;
    assert!(report["symptom"].as_str().is_some_and(|text| text.contains("expires in 23h")), "{report:#}");
    let new = serial(&host, 443)?;
    assert_ne!(new, old, "nginx serves the new one");
    for file in ["/etc/nginx/ssl/api.pem", "/etc/postfix/certs/api.pem"] {
        assert_eq!(serial_of_file(&host, file)?, new, "{file}");
    }
    assert_eq!(host.main_pid("nginx.service")?, worker, "it was reloaded, not restarted");
    let listed = host.run_ok(&["stat", "-c", "%a %G", "/etc/postfix/certs/api.key", "/etc/nginx/ssl/api.key"])?;
    assert_eq!(listed.text(), "640 postfix\n600 root");
    let verified = agent::steps(&report, "verified");
    assert!(format!("{verified:?}").contains("tls-127.0.0.1:443"), "{report:#}");
    // What is renewed behind our back is only taken over.
    host.write_file("/etc/postfix/certs/api.pem", host.read_file("/etc/other/api.pem")?, 0o640)?;
    let report = wait_mended(&host, 2, "healed")?;
    assert!(report["symptom"].as_str().is_some_and(|text| text.contains("is not the certificate in")), "{report:#}");
    // The other incident only waited to tell how near the end was, and ended with the first.
    assert!(agent::is_in(&told_end(&host)?, "by-itself"));
    assert_eq!(serial_of_file(&host, "/etc/postfix/certs/api.pem")?, new, "the same one, without asking the issuer");
    // A key that others may know: nobody confirms, then somebody does.
    let refused = agent::ansai(&host, &["certificate", "revoke", NAME])?;
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let plan = agent::ansai(&host, &["certificate", "revoke", NAME, "--dry-run"])?.ok()?;
    assert!(plan.stdout.contains("- see it on tls://127.0.0.1:443, or put the earlier one back"), "{}", plan.stdout);
    assert_eq!(serial(&host, 443)?, new, "a plan changes nothing");
    let revoked = agent::ansai(&host, &["certificate", "revoke", NAME, "--yes"])?.ok()?;
    assert!(revoked.stdout.contains("shown by 1 servers; the replaced certificate is revoked"), "{}", revoked.stdout);
    let replaced = serial(&host, 443)?;
    assert_ne!(replaced, new);
    assert_eq!(serial_of_file(&host, "/etc/postfix/certs/api.pem")?, replaced);
    let listed = json(&host, &["certificate", "list"])?;
    assert_eq!(listed["certificates"][0]["target"], format!("certificate/{NAME}"), "{listed:#}");
    Ok(())
}

#[test]
fn a_renewed_certificate_that_a_server_does_not_take_is_put_back_and_escalated() -> Result<()> {
    // The second server reads another file, which nobody declared: it never shows the new certificate.
    let other =
        "server { listen 8443 ssl; ssl_certificate /etc/other/api.pem; ssl_certificate_key /etc/other/api.key; }\n";
    let host = boot("putback", &format!("{NGINX}{other}"))?;
    host.run_ok(&["mkdir", "-p", "/etc/postfix/certs"])?;
    let old = serial(&host, 443)?;
    agent::install(&host, &configuration("[\"https://127.0.0.1\", \"https://127.0.0.1:8443\"]"))?;
    agent::start(&host)?;
    let report = wait_mended(&host, 0, "escalated")?;
    let undone = agent::steps(&report, "undone");
    assert!(format!("{undone:?}").contains("put back: /etc/nginx/ssl/api"), "{report:#}");
    let why = agent::steps(&report, "not-verified");
    assert!(format!("{why:?}").contains("tls-127.0.0.1:8443"), "{report:#}");
    assert_eq!(serial_of_file(&host, "/etc/nginx/ssl/api.pem")?, old);
    host.wait_until("nginx to serve the earlier certificate", LIMIT, || Ok(serial(&host, 443)? == old))?;
    assert!(!host.exists("/etc/postfix/certs/api.pem"), "where nothing was, nothing is left");
    Ok(())
}

#[test]
fn postgresql_that_has_not_read_its_renewed_certificate_reads_it() -> Result<()> {
    let host = Host::boot(&HostOptions::new("pgtls"))?;
    let authority = Authority::new()?;
    host.write_file("/etc/ansai/roots.pem", authority.pem(), 0o644)?;
    let put = || -> Result<()> {
        let (certificate, key) = authority.pair(&[NAME], 200)?;
        host.write_file("/etc/postgresql/tls/db.pem", certificate, 0o644)?;
        host.write_file("/etc/postgresql/tls/db.key", key, 0o600)?;
        host.run_ok(&["chown", "postgres", "/etc/postgresql/tls/db.key"]).map(drop)
    };
    put()?;
    let settings =
        "ssl = on\nssl_cert_file = '/etc/postgresql/tls/db.pem'\nssl_key_file = '/etc/postgresql/tls/db.key'\n";
    host.write_file("/etc/postgresql/15/main/conf.d/tls.conf", settings, 0o644)?;
    host.start("postgresql@15-main.service")?;
    let text = format!(
        "{QUICK}  certificate: {{cooldown: 1s, verify_within: 20s, stable_for: 2s}}\n\
certificates:
  {NAME}:
    file: /etc/postgresql/tls/db.pem
    trust: /etc/ansai/roots.pem
    endpoints: \"postgresql://127.0.0.1\"
    services: [postgresql@15-main.service]
    every: 1s
"
    );
    agent::install(&host, &text)?;
    agent::start(&host)?;
    host.wait_until("the certificate to be healthy", LIMIT, || Ok(target(&host, NAME)["health"] == "healthy"))
        .with_context(|| format!("{:#}", target(&host, NAME)))?;
    put()?;
    let report = wait_report(&host, "i1", "healed")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    ensure!(symptom.contains("postgresql://127.0.0.1:5432 is not the certificate in"), "{report:#}");
    Ok(())
}

#[test]
fn a_mail_server_is_seen_by_starttls_and_by_tls() -> Result<()> {
    let host = Host::boot(&HostOptions::new("mailtls"))?;
    mail::start(&host)?;
    let text = format!(
        "{QUICK}certificates:
  mail:
    file: /etc/ssl/lab/server.pem
    trust: nobody
    endpoints: [\"smtp://127.0.0.1:587\", \"smtps://127.0.0.1\"]
    every: 1s
"
    );
    agent::install(&host, &text)?;
    agent::start(&host)?;
    host.wait_until("the certificate to be healthy", LIMIT, || Ok(target(&host, "mail")["health"] == "healthy"))
        .with_context(|| format!("{:#}", target(&host, "mail")))?;
    // What is read anew by nobody, and not declared to be read by anybody, is told.
    let (certificate, key) = Authority::new()?.pair(&["lab.test"], 200)?;
    host.write_file("/etc/ssl/lab/server.key", key, 0o600)?;
    host.write_file("/etc/ssl/lab/server.pem", certificate, 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(report["symptom"].as_str().is_some_and(|text| text.contains("is not the certificate in")), "{report:#}");
    Ok(())
}
