//! The lab tested by itself: hosts boot, stay apart, fail as told, and leave nothing behind.
//!
//! It deliberately needs no ansai: when these tests fail, no other end-to-end test means anything.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ansai_lab::lan::{Cable, Lan};
use ansai_lab::{Host, HostOptions, fixture, mail, poll};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(20);

const SERVICE: &str = "\
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app
StateDirectory=app
";

fn boot(name: &str) -> Result<Host> {
    Host::boot(&HostOptions::new(name))
}

fn boot_with_service(name: &str) -> Result<Host> {
    let host = boot(name)?;
    host.install_unit("app.service", SERVICE)?;
    host.start("app.service")?;
    Ok(host)
}

fn ask(host: &Host, path: &str) -> Result<u16> {
    Ok(host.http("127.0.0.1:5000", "GET", path, "")?.status)
}

#[test]
fn a_host_boots_runs_commands_and_keeps_files() -> Result<()> {
    let host = boot("first")?;
    assert_eq!(host.run_ok(&["hostname"])?.text(), "first");
    assert_eq!(host.run(&["false"])?.code, 1);
    assert_eq!(host.run_with_input(&["cat"], b"through")?.text(), "through");
    host.write_file("/var/run/deep/er/file", "one", 0o640)?;
    assert_eq!(host.run_ok(&["stat", "-c", "%a %U", "/run/deep/er/file"])?.text(), "640 root");
    assert_eq!(host.read_file("/run/deep/er/file")?, "one");
    assert!(!Path::new("/run/deep/er/file").exists(), "the machine itself was written to");
    host.remove_file("/run/deep/er/file")?;
    assert!(!host.exists("/run/deep/er/file"));
    assert!(host.dbus_socket().exists());
    Ok(())
}

#[test]
fn a_killed_unit_is_seen_dead() -> Result<()> {
    let host = boot_with_service("killed")?;
    assert_eq!(ask(&host, "/")?, 200);
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("app.service to have failed", LIMIT, || {
        Ok(host.unit_property("app.service", "ActiveState")? == "failed")
    })?;
    assert_eq!(host.unit_property("app.service", "Result")?, "signal");
    assert_eq!(host.main_pid("app.service")?, None);
    assert!(host.journal("app.service")?.contains("code=killed, status=9/KILL"));
    Ok(())
}

#[test]
fn two_hosts_live_at_once_and_apart() -> Result<()> {
    let (one, two) = (boot_with_service("one")?, boot_with_service("two")?);
    assert_eq!(one.unit_processes("app.service")?.len(), 1);
    one.stop("app.service")?;
    assert!(!one.is_active("app.service")?);
    assert!(two.is_active("app.service")?);
    assert_eq!(ask(&two, "/")?, 200);
    assert!(one.connect("127.0.0.1:5000").is_err());
    Ok(())
}

#[test]
fn an_expired_wait_carries_the_evidence() -> Result<()> {
    let host = boot("evidence")?;
    host.install_unit("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")?;
    host.run(&["systemctl", "start", "bad.service"])?;
    let error = host.wait_until("a miracle", Duration::from_millis(50), || Ok(false)).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("waited 0.1 s for a miracle") && text.contains("bad.service"), "{text}");
    Ok(())
}

#[test]
fn a_small_disk_can_be_filled() -> Result<()> {
    let host = Host::boot(&HostOptions::new("small").tmpfs("/var/lib/ansai", "1M"))?;
    let filled = host.run(&["dd", "if=/dev/zero", "of=/var/lib/ansai/fill", "bs=64k"])?;
    assert!(filled.stderr.contains("No space left"), "{}", filled.stderr);
    Ok(())
}

#[test]
fn the_service_fails_as_told() -> Result<()> {
    let host = boot_with_service("fixture")?;
    ask(&host, "/control/error/503")?;
    host.wait_until("503", LIMIT, || Ok(ask(&host, "/")? == 503))?;
    ask(&host, "/control/slow/300")?;
    host.wait_until("slowness", LIMIT, || {
        let started = std::time::Instant::now();
        Ok(ask(&host, "/")? == 200 && started.elapsed() >= Duration::from_millis(300))
    })?;
    ask(&host, "/control/exit/3")?;
    host.wait_until("exit 3", LIMIT, || Ok(host.unit_property("app.service", "ExecMainStatus")? == "3"))?;
    host.write_file("/var/lib/app/commands", "error 501\n", 0o644)?;
    host.start("app.service")?;
    host.wait_until("501 after a restart", LIMIT, || Ok(ask(&host, "/").is_ok_and(|status| status == 501)))
}

#[test]
fn a_hanging_service_loses_its_watchdog() -> Result<()> {
    let host = boot("watchdog")?;
    host.install_unit("app.service", &format!("{SERVICE}WatchdogSec=1\n"))?;
    host.start("app.service")?;
    ask(&host, "/control/hang")?;
    host.wait_until("the watchdog to bite", LIMIT, || Ok(host.unit_property("app.service", "Result")? == "watchdog"))
}

#[test]
fn an_orphan_keeps_the_port() -> Result<()> {
    let host = boot("orphan")?;
    host.install_unit("app.service", &format!("{SERVICE}KillMode=process\n"))?;
    host.start("app.service")?;
    ask(&host, "/control/orphan")?;
    host.wait_until("app.service to have failed", LIMIT, || {
        Ok(host.unit_property("app.service", "ActiveState")? == "failed")
    })?;
    assert!(!host.run(&["systemctl", "start", "app.service"])?.is_success());
    assert!(host.journal("app.service")?.contains("Address already in use"));
    Ok(())
}

#[test]
fn a_broken_configuration_is_refused_with_its_line() -> Result<()> {
    let host = boot("configuration")?;
    host.write_file("/etc/app.conf", "port = 5000\ngreetnig = hi\n", 0o644)?;
    let check =
        host.run(&["/usr/local/lib/ansai-lab/ansai-lab-service", "--config", "/etc/app.conf", "--check-config"])?;
    assert_eq!((check.code, check.stderr.trim()), (78, "/etc/app.conf:2: unknown key `greetnig`"));
    Ok(())
}

#[test]
fn the_sink_records_and_refuses_at_first() -> Result<()> {
    let host = boot("sink")?;
    let program = "/usr/local/lib/ansai-lab/ansai-lab-sink";
    let _sink =
        host.spawn(&[program, "--listen", "127.0.0.1:9000", "--record", "/run/sink.jsonl", "--fail-first", "1"])?;
    host.wait_until("the sink to listen", LIMIT, || {
        Ok(host.exists("/run/sink.jsonl") && host.connect("127.0.0.1:9000").is_ok())
    })?;
    assert_eq!(host.http("127.0.0.1:9000", "POST", "/hook", "{\"a\":1}")?.status, 500);
    assert_eq!(host.http("127.0.0.1:9000", "POST", "/hook", "two")?.status, 200);
    let record = host.read_file("/run/sink.jsonl")?;
    assert!(record.lines().count() == 2 && record.contains(r#""body":"{\"a\":1}","answered":500"#), "{record}");
    Ok(())
}

#[test]
fn mail_arrives_in_the_mailbox() -> Result<()> {
    let host = boot("mail")?;
    mail::start(&host)?;
    host.run_with_input(&["sendmail", "-f", "ansai@lab.test", mail::RECIPIENT], b"Subject: healed\n\nall is well\n")?
        .ok()?;
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    assert!(messages[0].contains("Subject: healed"), "{}", messages[0]);
    Ok(())
}

#[test]
fn the_real_servers_start() -> Result<()> {
    let host = boot("servers")?;
    host.start("nginx.service")?;
    assert_eq!(host.http("127.0.0.1:80", "GET", "/", "")?.status, 200);
    host.start("postgresql@15-main.service")?;
    let answer = host.run_ok(&["runuser", "-u", "postgres", "--", "psql", "-Atc", "select 6*7"])?;
    assert_eq!(answer.text(), "42");
    Ok(())
}

#[test]
fn a_host_ends_with_the_process_that_booted_it_even_when_that_is_killed() -> Result<()> {
    let mut command = Command::new(fixture::binary("ansai-lab")?);
    let mut booter = command.arg("boot").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(booter.stdout.take().context("no output")?).read_line(&mut line)?;
    let leader = line.trim().strip_prefix("leader ").context("no leader")?.to_owned();
    assert!(Path::new("/proc").join(&leader).exists());
    booter.kill()?;
    booter.wait()?;
    poll::until("the host's process 1 to be gone", LIMIT, poll::INTERVAL, || {
        Ok((!Path::new("/proc").join(&leader).join("root").exists()).then_some(()))
    })
}

/// Whether one host reaches another's address with one packet.
fn reaches(host: &Host, number: u8) -> Result<bool> {
    let found = host.run(&["bash", "-c", &format!("echo > /dev/tcp/{}/7", Lan::address(number))]);
    // Nobody listens there: a refusal has come over the network, and silence has not.
    Ok(found?.stderr.contains("refused"))
}

#[test]
fn hosts_on_one_network_reach_each_other_until_a_cable_is_cut() -> Result<()> {
    let (one, two) = (Host::boot(&HostOptions::new("one"))?, Host::boot(&HostOptions::new("two"))?);
    let lan = Lan::new()?;
    lan.join(&one, 1)?;
    lan.join(&two, 2)?;
    assert!(lan.join(&two, 0).is_err() && lan.join(&two, 1).is_err(), "a number is out of bounds, and one is taken");
    one.wait_until("host two to be reached", LIMIT, || reaches(&one, 2))?;
    lan.set(2, Cable::Cut)?;
    let silent = one.run(&["timeout", "1", "bash", "-c", &format!("echo > /dev/tcp/{}/7", Lan::address(2))])?;
    assert_eq!(silent.code, 124, "{silent:?}");
    lan.set(2, Cable::Plugged)?;
    one.wait_until("host two to be reached again", LIMIT, || reaches(&one, 2))?;
    let outside = std::fs::read_to_string("/proc/net/dev")?;
    assert!(!outside.contains("br0") && !outside.contains("host1:"), "the machine sees nothing of it: {outside}");
    Ok(())
}
