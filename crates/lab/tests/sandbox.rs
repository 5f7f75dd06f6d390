//! The shipped unit's sandbox: with it, the agent may do all that it is for. Each line that would take something away is put
//! in by hand, one at a time; the agent says so at its start, `ansai doctor` has it tried from inside the unit, and what it
//! cannot look at any more is unknown: nothing is restarted because of it.

use std::path::Path;
use std::time::Duration;

use ansai_lab::agent::{edit, json, steps, wait_health};
use ansai_lab::fixture::disk;
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Something of each kind that needs more than a look at a unit.
const CONFIGURATION: &str = "\
autonomy: act
disks:
  /data: {clean: {logs: [{path: /data/log, pattern: \"*.log\", older_than: 30d, strategy: delete}]}}
certificates:
  api.lab.test: {file: /srv/tls/api.pem}
services:
  app.service:
    port: 5000
    environment: [{directory: /usr/local/app/log, owner: nobody, mode: \"2750\"}]
  pinged.service: {probe: {exec: [ping, -n, -c, \"1\", -W, \"1\", 127.0.0.1]}}
  others.service: {probe: {exec: {argv: [ping, -n, -c, \"1\", -W, \"1\", 127.0.0.1], user: nobody}}}
";
const SERVICES: [&str; 3] = ["app.service", "pinged.service", "others.service"];

/// A line of the unit, and what the agent may not do with it, as `ansai doctor` says it.
const LINES: &[(&str, &[&str])] = &[
    ("RestrictSUIDSGID=yes", &["open files beneath a directory", "set the bit that gives files to the group"]),
    ("NoNewPrivileges=yes", &["send raw ICMP, as ping does as nobody, which service/others.service needs"]),
    ("ProtectSystem=yes", &["write at /usr/local/app, which service/app.service needs: "]),
    ("CapabilityBoundingSet=~CAP_NET_RAW", &["send raw ICMP, as ping does, which service/pinged.service needs"]),
    ("CapabilityBoundingSet=~CAP_SYS_PTRACE", &["see what other processes run and which ports they hold"]),
    ("CapabilityBoundingSet=~CAP_LEASE", &["learn whether anybody has a file open"]),
    ("CapabilityBoundingSet=~CAP_CHOWN", &["give files to other users"]),
    ("CapabilityBoundingSet=~CAP_SETUID", &["run ping as nobody"]),
    ("CapabilityBoundingSet=~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH", &["read /srv/tls/api.pem"]),
    ("RestrictAddressFamilies=~AF_INET", &["send raw ICMP, as ping does, which service/pinged.service needs"]),
    ("SystemCallFilter=~openat2", &["open files beneath a directory"]),
];

fn boot(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    disk::mount(&host, "/data")?;
    disk::write_logs(&host, "/data", 30)?;
    host.copy_in(Path::new("/usr/bin/ping"), "/usr/local/bin/ping", 0o755)?;
    // As it comes where files have no capabilities.
    host.run_ok(&["chmod", "4755", "/usr/local/bin/ping"])?;
    let made = "mkdir -p /srv/tls && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=api.lab.test -addext \
                subjectAltName=DNS:api.lab.test -days 365 -keyout /srv/tls/api.pem -out /srv/tls/only.pem && \
                cat /srv/tls/only.pem >> /srv/tls/api.pem && chmod 600 /srv/tls/api.pem && chown nobody /srv/tls/api.pem";
    host.run_ok(&["sh", "-c", made])?;
    for (index, unit) in SERVICES.iter().enumerate() {
        let text = fixture::unit(unit.trim_end_matches(".service"), 5000 + u16::try_from(index)?);
        host.install_unit(unit, &text)?;
        host.start(unit)?;
    }
    agent::install(&host, CONFIGURATION)?;
    Ok(host)
}

/// What `ansai doctor` has to say against it.
fn amiss(host: &Host) -> Result<Vec<String>> {
    let findings = json(host, &["doctor"])?["findings"].as_array().cloned().context("findings")?;
    let bad = findings.iter().filter(|finding| finding["level"] == "fail");
    Ok(bad.filter_map(|finding| finding["what"].as_str().map(str::to_owned)).collect())
}

/// The warning of the status about what may not be done.
fn warned(host: &Host) -> Result<Option<String>> {
    let warnings = json(host, &["status"])?["warnings"].as_array().cloned().unwrap_or_default();
    let texts = warnings.iter().filter_map(Value::as_str);
    Ok(texts.filter(|text| text.starts_with("the agent may not ")).map(str::to_owned).next())
}

#[test]
fn each_line_that_takes_an_ability_away_is_noticed_at_the_start_and_nothing_is_restarted_for_it() -> Result<()> {
    let host = boot("sandbox")?;
    agent::start(&host)?;
    for unit in SERVICES {
        wait_health(&host, unit, "healthy")?;
    }
    ensure!(amiss(&host)?.is_empty() && warned(&host)?.is_none(), "as shipped: {:#?}", amiss(&host)?);
    let pids: Vec<_> = SERVICES.iter().map(|unit| host.main_pid(unit)).collect::<Result<_>>()?;
    for (line, cannot) in LINES {
        edit(&host, line)?;
        host.run_ok(&["systemctl", "restart", agent::UNIT])?;
        let said = amiss(&host)?;
        for words in *cannot {
            ensure!(said.iter().any(|what| what.contains(words)), "{line}: doctor says {said:#?}, not `{words}`");
        }
        host.wait_until(&format!("{line}: the agent to warn"), LIMIT, || Ok(warned(&host)?.is_some()))?;
        if line.contains("CAP_NET_RAW") {
            wait_health(&host, "pinged.service", "unknown")?;
            let target = agent::target(&host, "pinged.service");
            ensure!(target["summary"].as_str().is_some_and(|text| text.contains("could not look")), "{target:#}");
        }
    }
    let after: Vec<_> = SERVICES.iter().map(|unit| host.main_pid(unit)).collect::<Result<_>>()?;
    ensure!(after == pids, "something was restarted: {:#?}", agent::incidents(&host)?);
    let of_services = |incident: &Value| incident["target"].as_str().is_some_and(|name| name.starts_with("service/"));
    let opened: Vec<Value> = agent::incidents(&host)?.into_iter().filter(of_services).collect();
    ensure!(opened.is_empty(), "{opened:#?}");
    Ok(())
}

#[test]
fn without_the_kernels_own_way_of_opening_no_file_of_a_full_disk_goes_and_a_person_hears_why() -> Result<()> {
    let host = boot("uncleaned")?;
    edit(&host, "RestrictSUIDSGID=yes")?;
    disk::fill(&host, "/data", "fill", 96)?;
    let before = host.run_ok(&["sh", "-c", "ls -lR /data/log"])?.stdout;
    agent::start(&host)?;
    let refused = || {
        let reports = agent::incidents(&host)?.into_iter().filter(|incident| incident["target"] == "disk//data");
        let mut reports = reports.map(|incident| agent::report(&host, &format!("i{}", incident["id"])));
        Ok(reports.find(|report| format!("{:?}", steps(report, "ended")).contains("RestrictSUIDSGID")))
    };
    let report = host.wait_for("cleaning to be refused with words", LIMIT, refused)?;
    ensure!(report["phase"]["resolved"].is_null(), "{report:#}");
    ensure!(host.run_ok(&["sh", "-c", "ls -lR /data/log"])?.stdout == before, "something has gone");
    Ok(())
}
