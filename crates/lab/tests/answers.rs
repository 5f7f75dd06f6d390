//! Servers that are well and answer in ways of their own: each is looked at as the most lenient client would, by the unit
//! that is shipped and with the defaults of a probe but for its period.
//!
//! It deliberately tests no server that fails: that is every other test's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_lab::agent::{QUICK, ansai, incidents, json, wait_health};
use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a server on the host that runs `answer` for each connection in a process of its own, as `inetd` does: `$c` is
/// the connection.
fn serve(host: &Host, name: &str, address: &str, answer: &str) -> Result<()> {
    let script = format!(
        "use strict; use IO::Socket::IP; $SIG{{CHLD}} = 'IGNORE'; $SIG{{PIPE}} = 'IGNORE';\n\
         my ($host, $port) = ('{address}' =~ /^(.*):(\\d+)$/);\n\
         my $s = IO::Socket::IP->new(LocalHost => $host, LocalPort => $port, Listen => 64, ReuseAddr => 1, V6Only => 1) or die $@;\n\
         while (1) {{ my $c = $s->accept or next; if (fork) {{ close $c; next }} $c->autoflush(1);\n{answer}\nexit 0 }}\n"
    );
    host.write_file(format!("/usr/local/lib/{name}.pl"), script, 0o644)?;
    let unit = format!("[Service]\nExecStart=/usr/bin/perl /usr/local/lib/{name}.pl\n");
    host.install_unit(&format!("{name}.service"), &unit)?;
    host.start(&format!("{name}.service"))?;
    let look = ["sh", "-c", &format!("ss -Htln 'sport = :{}' | grep -q .", address.rsplit(':').next().unwrap_or("0"))];
    host.wait_until(&format!("{name} to listen"), LIMIT, || Ok(host.run(&look)?.is_success()))
}

/// Watches services, each with a look, and waits until each is well by all of its looks, and has been for a while.
fn are_well(host: &Host, looks: &[(&str, &str)]) -> Result<()> {
    let entry = |(name, look): &(&str, &str)| format!("  {name}.service: {{probe: {look}}}\n");
    let services: String = looks.iter().map(entry).collect();
    agent::install(host, &format!("{QUICK}probe_defaults: {{every: 1s}}\nservices:\n{services}"))?;
    agent::start(host)?;
    for (name, _) in looks {
        wait_health(host, &format!("{name}.service"), "healthy")?;
        let said = || json(host, &["explain", &format!("{name}.service")]).unwrap_or_default();
        host.wait_until(&format!("{name} to be well"), LIMIT, || Ok(said()["summary"] == "all checks are healthy"))
            .with_context(|| format!("{:#}", said()))?;
    }
    let incidents = incidents(host)?;
    assert_eq!(incidents.len(), 0, "{:#}", agent::report(host, "i1"));
    Ok(())
}

#[test]
fn w18_a_stream_without_an_end_and_a_long_head_are_answers() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w18"))?;
    let stream = "while (<$c>) { last if /^\\r?$/ }\n\
         print $c \"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\ndata: ready\\n\\n\";\n\
         while (print $c \"data: tick\\n\\n\") { select undef, undef, undef, 0.5 }";
    let head = "while (<$c>) { last if /^\\r?$/ }\n\
         print $c \"HTTP/1.1 200 OK\\r\\n\", (map { \"X-Line-$_: \" . ('a' x 195) . \"\\r\\n\" } 1..150), \"Content-Length: 2\\r\\n\\r\\nok\";";
    serve(&host, "stream", "127.0.0.1:8001", stream)?;
    serve(&host, "head", "127.0.0.1:8002", head)?;
    are_well(
        &host,
        &[
            ("stream", "{http: \"http://127.0.0.1:8001/\", expect: {body: \"data: ready\"}}"),
            ("head", "{http: \"http://127.0.0.1:8002/\", expect: {body: ok}}"),
        ],
    )
}

/// A server of TLS 1.2 wants a certificate of the client, and one file is not valid yet: no clock is mended by renewing it.
#[test]
fn w18_a_server_that_wants_the_clients_certificate_shows_its_own_and_what_begins_later_is_not_renewed() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w18-tls"))?;
    let day = |ahead: u64| -> Result<String> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + ahead * 86_400;
        Ok(host.run_ok(&["date", "-u", "-d", &format!("@{at}"), "+%Y%m%d000000Z"])?.text().to_owned())
    };
    let prepare = format!(
        "mkdir -p /pki/ca && cd /pki && touch ca/index.txt && echo 01 >ca/serial
         openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=a.lab.test -addext subjectAltName=DNS:a.lab.test -keyout a.key -out a.pem -days 80
         openssl req -nodes -newkey rsa:2048 -subj /CN=b.lab.test -keyout b.key -out b.csr
         printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=ca/index.txt\\nserial=ca/serial\\nnew_certs_dir=ca\\ndefault_md=sha256\\npolicy=p\\nx509_extensions=e\\n[p]\\ncommonName=supplied\\n[e]\\nsubjectAltName=DNS:b.lab.test\\n' >ca.cnf
         openssl ca -batch -config ca.cnf -selfsign -keyfile b.key -in b.csr -startdate {} -enddate {} -out b.pem -notext
         printf '#!/bin/sh\\necho run >>/run/renewals\\nexit 1\\n' >/usr/local/bin/renew; chmod 755 /usr/local/bin/renew",
        day(2)?,
        day(90)?
    );
    host.run_ok(&["sh", "-ec", &prepare])?;
    let server = "[Service]\nExecStart=/usr/bin/openssl s_server -tls1_2 -Verify 1 -accept 127.0.0.1:4433 -cert /pki/a.pem -key /pki/a.key -quiet\n";
    host.install_unit("wants.service", server)?;
    host.start("wants.service")?;
    let certificates = "  shown: {endpoints: [\"tls://127.0.0.1:4433\"], names: [a.lab.test], trust: nobody, every: 1s}
  later: {file: /pki/b.pem, key: /pki/b.key, names: [b.lab.test], trust: nobody, every: 1s, renew: {exec: [/usr/local/bin/renew]}}\n";
    agent::install(&host, &format!("{QUICK}services: {{wants.service: {{}}}}\ncertificates:\n{certificates}"))?;
    agent::start(&host)?;
    let said = |name: &str| ansai(&host, &["explain", &format!("certificate/{name}")]).map(|output| output.stdout);
    host.wait_until("the certificate to be seen", LIMIT, || Ok(said("shown")?.contains("healthy")))
        .with_context(|| said("shown").unwrap_or_default())?;
    host.wait_until("a person to be asked for the clock", LIMIT, || {
        let told = incidents(&host)?;
        let is_it = |incident: &Value| incident["target"] == "certificate/later" && agent::is_in(incident, "escalated");
        Ok(told.iter().any(is_it) && said("later")?.contains("is the clock of this host right?"))
    })
    .with_context(|| said("later").unwrap_or_default())?;
    assert!(!host.exists("/run/renewals"), "it was renewed: {}", said("later")?);
    Ok(())
}

/// Servers that keep a client waiting before their greeting, tell it in many lines, answer at one family of addresses only,
/// or speak before they are asked.
#[test]
fn late_early_and_one_sided_servers_are_well() -> Result<()> {
    let host = Host::boot(&HostOptions::new("answers"))?;
    host.run_ok(&["sh", "-c", "printf '127.0.0.1 localhost\\n::1 localhost\\n' >/etc/hosts"])?;
    serve(&host, "late", "127.0.0.1:2501", "sleep 5; print $c \"220 late ESMTP\\r\\n\"; <$c>;")?;
    let teaser = "print $c \"220-mx ESMTP\\r\\n\"; sleep 4; print $c \"220 mx ESMTP\\r\\n\"; <$c>;";
    serve(&host, "teaser", "127.0.0.1:2502", teaser)?;
    let page = "while (<$c>) { last if /^\\r?$/ } print $c \"HTTP/1.0 200 OK\\r\\n\\r\\nok\";";
    serve(&host, "six", "::1:8006", page)?;
    serve(&host, "six-named", "::1:8007", page)?;
    serve(&host, "six-port", "::1:8008", page)?;
    serve(&host, "early", "127.0.0.1:8009", "print $c \"HTTP/1.0 200 OK\\r\\n\\r\\nok\";")?;
    are_well(
        &host,
        &[
            ("late", "\"smtp://127.0.0.1:2501\""),
            ("teaser", "\"smtp://127.0.0.1:2502\""),
            ("six", "\"http://[::1]:8006/\""),
            ("six-named", "\"http://localhost:8007/\""),
            ("six-port", "\"tcp://localhost:8008\""),
            ("early", "{http: \"http://127.0.0.1:8009/\", expect: {body: ok}}"),
        ],
    )
}
