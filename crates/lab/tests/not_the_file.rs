//! One symptom is not the file's fault, on a real nginx: a configuration that is invalid for another reason, a certificate
//! of the other kind of key, a chain that ends before its certificate, and forms that only OpenSSL was known to read.
//! The names carry the numbers of the bug reports that the cases come from.

use std::time::Duration;

use ansai_lab::{
    Host, HostOptions,
    agent::{self, QUICK, json, wait_report},
};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "a.lab.test";
const HOSTS: &str = "127.0.0.1 localhost\n";

/// A host whose nginx serves this.
fn boot(name: &str, prepare: &str, nginx: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.run_ok(&["sh", "-ec", prepare])?;
    host.remove_file("/etc/nginx/sites-enabled/default")?;
    host.write_file("/etc/nginx/conf.d/a.conf", nginx, 0o644)?;
    host.start("nginx.service")?;
    Ok(host)
}

fn wait_well(host: &Host, target: &str) -> Result<()> {
    let look = || json(host, &["explain", target]).unwrap_or_default();
    host.wait_until(&format!("{target} to be well"), LIMIT, || Ok(look()["summary"] == "all checks are healthy"))
        .with_context(|| format!("{:#}", look()))
}

fn proxied(header: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:8081; {header} location / {{ proxy_pass http://backend.lab.test:9000; }} \
         location = /a {{ return 200 a; }} }}\n"
    )
}

#[test]
fn w11_a_good_configuration_is_not_put_back_for_want_of_a_name() -> Result<()> {
    let named = format!("{HOSTS}127.0.0.1 backend.lab.test\n");
    let host = boot("w11", &format!("printf '{HOSTS}127.0.0.1 backend.lab.test\n' >/etc/hosts"), &proxied(""))?;
    let service = "services:\n  nginx.service: {probe: {http: \"http://127.0.0.1:8081/a\", every: 1s}, restore_configuration: true}\n";
    agent::install(&host, &format!("{QUICK}{service}"))?;
    agent::start(&host)?;
    let kept = "/var/lib/ansai/configurations/nginx.service/etc/nginx/conf.d/a.conf";
    host.wait_until("the configuration to be kept", LIMIT, || Ok(host.exists(kept)))?;
    let newer = proxied("add_header X-Fix 1;");
    host.write_file("/etc/nginx/conf.d/a.conf", &newer, 0o640)?;
    host.run_ok(&["systemctl", "reload", "nginx.service"])?;
    host.write_file("/etc/hosts", HOSTS, 0o644)?;
    host.signal_main("nginx.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let said = report.to_string();
    assert!(said.contains("is not valid now either, so something else is wrong; what was there is back"), "{report:#}");
    assert!(said.contains("host not found in upstream"), "with what the validator says: {report:#}");
    assert_eq!(host.read_file("/etc/nginx/conf.d/a.conf")?, newer);
    assert_eq!(host.run_ok(&["stat", "-c", "%a", "/etc/nginx/conf.d/a.conf"])?.text(), "640");
    assert!(!host.exists("/etc/nginx/conf.d/a.conf.ansai-broken"), "nothing is left beside it");
    // The same file is put back when it is what is wrong.
    host.write_file("/etc/hosts", named, 0o644)?;
    wait_report(&host, "i1", "healed").context("it is not tried again when the name is back")?;
    assert_eq!(host.read_file("/etc/nginx/conf.d/a.conf")?, newer, "nginx runs with what its operator wrote");
    host.write_file("/etc/nginx/conf.d/a.conf", "no directive;\n", 0o644)?;
    host.signal_main("nginx.service", Signal::KILL)?;
    host.wait_until("the last known good configuration to be back", LIMIT, || {
        Ok(host.is_active("nginx.service")? && host.exists("/etc/nginx/conf.d/a.conf.ansai-broken"))
    })?;
    assert!(host.read_file("/etc/nginx/conf.d/a.conf")?.contains("proxy_pass"));
    let told = agent::report(&host, "i2").to_string();
    assert!(told.contains("what was there is kept as /etc/nginx/conf.d/a.conf.ansai-broken"), "{told}");
    Ok(())
}

/// An added file is no change of an old one: putting the copy back would not help, and whose it is must be told.
#[test]
fn a_file_that_was_added_is_named_and_the_service_is_back_when_it_is_moved_away() -> Result<()> {
    let host = boot("added", "true", "server { listen 127.0.0.1:8081; location = /a { return 200 a; } }\n")?;
    let service = "services:\n  nginx.service: {probe: {http: \"http://127.0.0.1:8081/a\", every: 1s}, restore_configuration: true}\n";
    agent::install(&host, &format!("{QUICK}{service}"))?;
    agent::start(&host)?;
    let kept = "/var/lib/ansai/configurations/nginx.service/etc/nginx/conf.d/a.conf";
    host.wait_until("the configuration to be kept", LIMIT, || Ok(host.exists(kept)))?;
    let added = "/etc/nginx/conf.d/b.conf";
    host.write_file(added, "no_directive;\n", 0o644)?;
    host.signal_main("nginx.service", Signal::KILL)?;
    let said = wait_report(&host, "i1", "escalated")?.to_string();
    assert!(said.contains(&format!("new since it was kept: {added}; mend what is wrong in it")), "{said}");
    assert!(said.contains("The validator says: ") && said.contains("no_directive"), "{said}");
    assert!(host.exists(added) && !host.exists("/etc/nginx/conf.d/a.conf.ansai-broken"), "nothing is touched");
    host.remove_file(added)?;
    wait_report(&host, "i1", "healed").context("it is not tried again when the file has gone")?;
    Ok(())
}

const TWO_KINDS: &str = "
mkdir -p /etc/nginx/ssl && cd /etc/nginx/ssl
make() { openssl req -x509 -nodes -subj /CN=a.lab.test -addext subjectAltName=DNS:a.lab.test \"$@\"; }
make -newkey rsa:2048 -keyout rsa.key -out rsa.pem -days 80
make -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout ecdsa.key -out ecdsa.pem -days 80
cat >/usr/local/bin/renew <<'EOF'
#!/bin/sh
cd /etc/nginx/ssl
openssl req -x509 -nodes -subj /CN=a.lab.test -addext subjectAltName=DNS:a.lab.test \
    -newkey rsa:2048 -keyout rsa.key -out rsa.pem -days 90
echo renewed >>/run/renewals
EOF
chmod 755 /usr/local/bin/renew";

fn both(extra: &str) -> String {
    let pair =
        |kind| format!("ssl_certificate /etc/nginx/ssl/{kind}.pem; ssl_certificate_key /etc/nginx/ssl/{kind}.key; ");
    format!(
        "server {{ listen 127.0.0.1:443 ssl; server_name {NAME}; {extra} {}{}return 200 ok; }}\n",
        pair("rsa"),
        pair("ecdsa")
    )
}

#[test]
fn w12_a_server_with_an_rsa_and_an_ecdsa_certificate_is_asked_for_each() -> Result<()> {
    for (name, extra) in [("w12-tls13", ""), ("w12-tls12", "ssl_protocols TLSv1.2;")] {
        let host = boot(name, TWO_KINDS, &both(extra))?;
        let entry = |kind: &str| {
            format!(
                "  site-{kind}: {{file: /etc/nginx/ssl/{kind}.pem, names: [{NAME}], endpoints: [\"https://127.0.0.1\"], \
                 trust: nobody, every: 1s, renew: {{exec: [/usr/local/bin/renew]}}, services: [nginx.service]}}\n"
            )
        };
        let policy = "  certificate: {cooldown: 1s, verify_within: 20s, stable_for: 2s, backoff: {initial: 1s}}\n";
        agent::install(&host, &format!("{QUICK}{policy}certificates:\n{}{}", entry("rsa"), entry("ecdsa")))?;
        let proposed = agent::ansai(&host, &["init", "--output", "-"])?.ok()?.stdout;
        for kind in ["rsa", "ecdsa"] {
            assert!(proposed.contains(&format!("    file: \"/etc/nginx/ssl/{kind}.pem\"\n")), "{proposed}");
        }
        agent::start(&host)?;
        wait_well(&host, "site-rsa")?;
        wait_well(&host, "site-ecdsa")?;
        assert!(agent::incidents(&host)?.is_empty());
        assert!(!host.exists("/run/renewals"), "nothing was due");
        // One that is due is renewed, seen on its server, and stays.
        let due = "cd /etc/nginx/ssl; openssl req -x509 -nodes -subj /CN=b -addext subjectAltName=DNS:b.lab.test \
                   -key rsa.key -out rsa.pem -days 80; systemctl reload nginx";
        host.run_ok(&["sh", "-ec", due])?;
        host.wait_until("the RSA certificate to be renewed", LIMIT, || Ok(host.exists("/run/renewals")))?;
        wait_well(&host, "site-rsa")?;
        assert_eq!(host.read_file("/run/renewals")?, "renewed\n", "once");
        assert!(agent::incidents(&host)?.iter().all(|incident| !agent::is_in(incident, "escalated")));
    }
    Ok(())
}

const CHAIN: &str = "
mkdir -p /pki && cd /pki
key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
key root; key between; key leaf
printf 'basicConstraints=critical,CA:TRUE\n' >ca.ext
printf 'subjectAltName=DNS:a.lab.test\n' >leaf.ext
openssl req -x509 -new -key root.key -subj /CN=Root -days 900 -out root.pem
openssl req -new -key between.key -subj /CN=Between -out between.csr
openssl x509 -req -in between.csr -CA root.pem -CAkey root.key -CAcreateserial -days 5 -extfile ca.ext -out between.pem
openssl req -new -key leaf.key -subj /CN=a.lab.test -out leaf.csr
openssl x509 -req -in leaf.csr -CA between.pem -CAkey between.key -CAcreateserial -days 80 -extfile leaf.ext -out leaf.pem
cat leaf.pem between.pem >chain.pem
cat between.pem leaf.pem >turned.pem
printf '\\357\\273\\277' | cat - leaf.pem between.pem >marked.pem
openssl x509 -in root.pem -trustout -addtrust serverAuth -out trusted.pem";

#[test]
fn w13_w17_an_intermediate_that_ends_first_is_told_in_time_and_by_name() -> Result<()> {
    let nginx =
        "server { listen 127.0.0.1:443 ssl; ssl_certificate /pki/marked.pem; ssl_certificate_key /pki/leaf.key; }\n";
    let host = boot("w13", CHAIN, nginx)?;
    let entry = |name: &str, file: &str| {
        format!(
            "  {name}: {{file: /pki/{file}, key: /pki/leaf.key, names: [{NAME}], trust: /pki/trusted.pem, every: 1s}}\n"
        )
    };
    let served =
        format!("  served: {{endpoints: [\"https://127.0.0.1\"], names: [{NAME}], trust: /pki/root.pem, every: 1s}}\n");
    let entries = [entry("soon", "chain.pem"), entry("turned", "turned.pem"), entry("marked", "marked.pem"), served];
    agent::install(&host, &format!("{QUICK}certificates:\n{}", entries.concat()))?;
    agent::start(&host)?;
    for (name, says) in [
        ("soon", "expires in 4d23h, when CN=Between of its chain ends"),
        ("marked", "expires in 4d23h, when CN=Between of its chain ends"),
        ("served", "expires in 4d23h, when CN=Between of its chain ends"),
        ("turned", "the first is the authority's (CN=Between)"),
    ] {
        let listed = || json(&host, &["certificate", "list"]).unwrap_or_default().to_string();
        let target = format!("certificate/{name}");
        let is_told = || {
            let told = agent::incidents(&host)?;
            Ok(told.iter().any(|incident| incident["target"] == target.as_str() && incident.to_string().contains(says)))
        };
        host.wait_until(&format!("{name} to be told"), LIMIT, is_told).with_context(listed)?;
    }
    Ok(())
}

const FORMS: &str = "
mkdir -p /pki && cd /pki
openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=a.lab.test -addext subjectAltName=DNS:a.lab.test -keyout a.key -out a.pem -days 80
printf '\\357\\273\\277' | cat - a.pem >marked.pem
openssl x509 -in a.pem -trustout -addtrust serverAuth -out trusted.pem
sed 's/$/\\r/' a.pem >windows.pem
printf '#!/bin/sh\\necho run >>/run/renewals\\n' >/usr/local/bin/renew; chmod 755 /usr/local/bin/renew";

#[test]
fn w17_what_openssl_reads_is_read_and_nothing_is_renewed() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w17"))?;
    host.run_ok(&["sh", "-ec", FORMS])?;
    let entry = |form: &str| {
        format!(
            "  {form}: {{file: /pki/{form}.pem, key: /pki/a.key, names: [{NAME}], trust: nobody, every: 1s, \
             renew: {{exec: [/usr/local/bin/renew]}}}}\n"
        )
    };
    let forms = ["marked", "trusted", "windows"];
    agent::install(&host, &format!("{QUICK}certificates:\n{}", forms.map(entry).concat()))?;
    agent::start(&host)?;
    for form in forms {
        wait_well(&host, form)?;
    }
    assert!(agent::incidents(&host)?.is_empty());
    assert!(!host.exists("/run/renewals"), "a file that is good for 80 days was renewed");
    Ok(())
}

/// A careless hand takes a key away after its operator has changed the configuration for good: the key is put back, and the
/// change stays. What is put back over a change keeps it beside, and the report says where.
#[test]
fn what_is_missing_beside_a_changed_configuration_is_all_that_is_put_back() -> Result<()> {
    let page = |header: &str| {
        format!(
            "server {{ listen 127.0.0.1:443 ssl; {header} ssl_certificate /etc/nginx/ssl/rsa.pem; \
             ssl_certificate_key /etc/nginx/ssl/rsa.key; location = /a {{ return 200 a; }} }}\n"
        )
    };
    let host = boot("beside", TWO_KINDS, &page(""))?;
    let service = "services:\n  nginx.service: {port: 443, restore_configuration: true}\n";
    agent::install(&host, &format!("{QUICK}{service}"))?;
    agent::start(&host)?;
    let file = "/etc/nginx/conf.d/a.conf";
    let kept = format!("/var/lib/ansai/configurations/nginx.service{file}");
    host.wait_until("the configuration to be kept", LIMIT, || Ok(host.exists(&kept)))?;
    let newer = page("add_header X-Fix 1;");
    host.write_file(file, &newer, 0o644)?;
    host.run_ok(&["systemctl", "reload", "nginx.service"])?;
    host.remove_file("/etc/nginx/ssl/rsa.key")?;
    host.signal_main("nginx.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    assert!(host.exists("/etc/nginx/ssl/rsa.key"));
    assert_eq!(host.read_file(file)?, newer, "the operator's change is lost: {report:#}");
    assert!(!host.exists(format!("{file}.ansai-broken")), "{report:#}");
    assert!(report.to_string().contains("put back: /etc/nginx/ssl/rsa.key (which was missing)"), "{report:#}");
    Ok(())
}

/// A validator that is not there, may not be run, or is killed says nothing of the file.
#[test]
fn a_validator_that_cannot_be_asked_is_no_verdict() -> Result<()> {
    let host = Host::boot(&HostOptions::new("no-verdict"))?;
    let cases =
        [("gone", "[/usr/local/bin/gone]"), ("refused", "[/etc/hosts]"), ("killed", "[sh, -c, \"kill -9 $$\"]")];
    let mut services = String::new();
    for (name, validate) in cases {
        host.write_file(format!("/etc/{name}.conf"), "first\n", 0o644)?;
        host.install_unit(&format!("{name}.service"), "[Service]\nExecStart=/bin/sleep infinity\n")?;
        host.start(&format!("{name}.service"))?;
        services += &format!(
            "  {name}.service: {{configuration: [/etc/{name}.conf], validate: {validate}, restore_configuration: true}}\n"
        );
    }
    agent::install(&host, &format!("{QUICK}services:\n{services}"))?;
    agent::start(&host)?;
    for (name, _) in cases {
        agent::wait_health(&host, &format!("{name}.service"), "healthy")?;
        host.write_file(format!("/etc/{name}.conf"), "second\n", 0o644)?;
        host.signal_main(&format!("{name}.service"), Signal::KILL)?;
    }
    for (index, (name, _)) in cases.into_iter().enumerate() {
        host.wait_active(&format!("{name}.service"), LIMIT)
            .with_context(|| format!("{:#}", agent::report(&host, &format!("i{}", index + 1))))?;
        assert_eq!(host.read_file(format!("/etc/{name}.conf"))?, "second\n", "the file was put back");
    }
    Ok(())
}
