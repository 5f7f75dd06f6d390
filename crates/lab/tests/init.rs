//! What `ansai init` finds on a host with real servers, and that an agent can begin with it as it is.

use std::time::Duration;

use ansai_lab::{
    Host, HostOptions,
    agent::{self, json},
    fixture::acme::Authority,
};
use anyhow::{Context as _, Result, ensure};

/// How long the agent may take on a machine that compiles at the same time.
const LIMIT: Duration = Duration::from_secs(60);

/// The second certificate is shown only to whom asks for its name.
const NGINX: &str = "\
server { listen 443 ssl; server_name api.lab.test;
         ssl_certificate /etc/nginx/ssl/api.pem; ssl_certificate_key /etc/nginx/ssl/api.key; }
server { listen 443 ssl; server_name shop.lab.test;
         ssl_certificate /etc/letsencrypt/live/shop.lab.test/fullchain.pem;
         ssl_certificate_key /etc/letsencrypt/live/shop.lab.test/privkey.pem; }
";
const POSTGRESQL: &str = "\
ssl = on
ssl_cert_file = '/etc/postgresql/tls/db.pem'
ssl_key_file = '/etc/postgresql/tls/db.key'
";

/// What is proposed for each of them, below its comment.
const PROPOSED: &[&str] = &[
    r#"
  "api.lab.test":
    file: "/etc/nginx/ssl/api.pem"
    endpoints: ["https://127.0.0.1"]
    trust: nobody  # or the file of its authority: /etc/ssl/company.pem
    services: ["nginx.service"]
    # Nobody is known who renews it"#,
    r#"
  "shop.lab.test":
    file: "/etc/letsencrypt/live/shop.lab.test/fullchain.pem"
    endpoints: ["https://127.0.0.1"]
    trust: nobody  # or the file of its authority: /etc/ssl/company.pem
    services: ["nginx.service"]
    renew: {certbot: "shop.lab.test"}
"#,
    r#"
  "db.lab.test":
    file: "/etc/postgresql/tls/db.pem"
    endpoints: ["postgresql://127.0.0.1:5432"]
    trust: nobody  # or the file of its authority: /etc/ssl/company.pem
    services: ["postgresql@15-main.service"]
"#,
];

fn boot() -> Result<Host> {
    let host = Host::boot(&HostOptions::new("proposed"))?;
    let authority = Authority::new()?;
    let live = "/etc/letsencrypt/live/shop.lab.test";
    for (name, file, key) in [
        ("api.lab.test", "/etc/nginx/ssl/api.pem", "/etc/nginx/ssl/api.key"),
        ("shop.lab.test", &format!("{live}/fullchain.pem"), &format!("{live}/privkey.pem")),
        ("db.lab.test", "/etc/postgresql/tls/db.pem", "/etc/postgresql/tls/db.key"),
    ] {
        let (certificate, private) = authority.pair(&[name], 60)?;
        host.write_file(file, certificate, 0o644)?;
        host.write_file(key, private, 0o600)?;
    }
    host.write_file("/etc/letsencrypt/renewal/shop.lab.test.conf", "version = 2.1.0\n", 0o644)?;
    host.run_ok(&["chown", "postgres", "/etc/postgresql/tls/db.key"])?;
    host.write_file("/etc/postgresql/15/main/conf.d/tls.conf", POSTGRESQL, 0o644)?;
    host.remove_file("/etc/nginx/sites-enabled/default")?;
    host.write_file("/etc/nginx/conf.d/lab.conf", NGINX, 0o644)?;
    host.start("nginx.service")?;
    host.start("postgresql@15-main.service")?;
    Ok(host)
}

#[test]
fn what_is_proposed_for_a_host_with_real_servers_is_what_an_agent_can_begin_with() -> Result<()> {
    let host = boot()?;
    agent::install(&host, "autonomy: observe\n")?;
    let written = agent::ansai(&host, &["init", "--force"])?.ok().context("nothing was proposed")?;
    ensure!(written.text().contains("3 certificates, 1 database, observed only"), "{}", written.text());
    let text = host.read_file(agent::CONFIGURATION)?;
    for entry in PROPOSED {
        ensure!(text.contains(entry), "{entry}\nis not in\n{text}");
    }
    ensure!(text.contains("\n  \"*\": {}\n") && text.contains("\nmemory: "), "{text}");
    agent::ansai(&host, &["check", "--strict"])?.ok().context("it is not free of warnings")?;

    agent::start(&host)?;
    for name in ["api.lab.test", "shop.lab.test", "db.lab.test"] {
        host.wait_until(&format!("the certificate of {name} to be seen well"), LIMIT, || {
            let explained = json(&host, &["explain", name]).unwrap_or_default();
            let is_meant = explained["target"] == format!("certificate/{name}").as_str();
            Ok(is_meant && explained["summary"] == "all checks are healthy")
        })
        .with_context(|| format!("{:#}", json(&host, &["explain", name]).unwrap_or_default()))?;
    }
    Ok(())
}
