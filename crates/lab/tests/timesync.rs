//! Whether the clock is synchronized, end to end: a real chrony, which may set no clock here (`-x`, and no host has the
//! capability), beside a kernel that says of this machine's clock what it says. What it says nobody may change, so that the
//! tests ask it first and hold ansai to that.

use std::time::Duration;

use ansai_lab::agent::{QUICK, is_in, steps};
use ansai_lab::image::Kind;
use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result};
use serde_json::Value;

const CHRONY: &str = "chrony.service";
const LIMIT: Duration = Duration::from_secs(90);
/// Seconds where there are minutes.
const CLOCK: &str = "  timesync: {stable_for: 2s, verify_within: 8s, cooldown: 1s}\n\
                     timesync: {settle: 4s, every: 500ms}\n";
/// Asks the kernel as adjtimex(2) does, with nothing to set; prints its answer and its status bits.
const ASK: &str = r#"my $number = (`uname -m` =~ /x86_64/) ? 159 : 171; my $answer = "\0" x 512;
    my $state = syscall($number, $answer); print $state, " ", unpack("x40 l", $answer)"#;

/// A host on which chrony runs, without touching the clock.
fn host(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name).with_a_clock().of_image(Kind::Daemons, name))?;
    host.write_file(format!("/etc/systemd/system/{CHRONY}.d/lab.conf"), "[Unit]\nConditionCapability=\n", 0o644)?;
    host.write_file("/etc/default/chrony", "DAEMON_OPTS=\"-F 0 -x\"\n", 0o644)?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    host.run_ok(&["systemctl", "enable", "--now", CHRONY])?;
    Ok(host)
}

/// Whether the kernel says that its clock is synchronized: neither TIME_ERROR nor STA_UNSYNC.
fn is_synchronized(host: &Host) -> Result<bool> {
    let said = host.run(&["perl", "-e", ASK])?.stdout;
    let said: Vec<i32> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    anyhow::ensure!(said.len() == 2 && said[0] >= 0, "the kernel says {said:?}");
    Ok(said[0] != 5 && said[1] & 0x40 == 0)
}

/// What the agent says of the clock.
fn clock(host: &Host) -> Value {
    let status = agent::json(host, &["status"]).unwrap_or_default();
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == "timesync/clock").unwrap_or_default()
}

fn wait_says(host: &Host, words: &str) -> Result<()> {
    let said = || agent::ansai(host, &["explain", "timesync/clock"]).map(|said| said.stdout);
    host.wait_until(&format!("the clock to be said to be `{words}`"), LIMIT, || Ok(said()?.contains(words)))
        .with_context(|| format!("ansai says: {}", said().unwrap_or_default()))
}

#[test]
fn a_clock_is_what_the_kernel_says_and_its_synchronizer_is_restarted_once() -> Result<()> {
    let host = host("clock")?;
    let first = host.main_pid(CHRONY)?;
    let proposed = {
        agent::install(&host, &format!("{QUICK}{CLOCK}"))?;
        agent::ansai(&host, &["init", "--output", "-"])?.stdout
    };
    assert!(proposed.contains("# chrony.service synchronizes the clock") && proposed.contains("\ntimesync: true\n"));
    agent::start(&host)?;
    let mut incidents = 1;
    if is_synchronized(&host)? {
        wait_says(&host, "synchronized by chrony.service")?;
    } else {
        let report = agent::wait_report(&host, "i1", "escalated")?;
        let symptom = report["symptom"].as_str().unwrap_or_default();
        let words = "the clock is not synchronized, says the kernel, though chrony.service has run for longer than 4s";
        assert!(symptom.contains(words), "{report:#}");
        assert_eq!(steps(&report, "started").len(), 1, "{report:#}");
        assert_ne!(host.main_pid(CHRONY)?, first, "it was restarted");
        let evidence = report["evidence"].to_string();
        assert!(evidence.contains("not synchronized; estimated error"), "{report:#}");
        assert!(evidence.contains("chrony.service was started"), "{report:#}");
        incidents += 1;
    }
    // That it is down is another matter, which is mended whatever the clock is.
    let before = host.main_pid(CHRONY)?;
    host.run_ok(&["systemctl", "kill", "-s", "KILL", CHRONY])?;
    let healed = format!("i{incidents}");
    let report = agent::wait_report(&host, &healed, "healed")?;
    assert!(is_in(&report, "healed") && host.main_pid(CHRONY)?.is_some_and(|pid| Some(pid) != before), "{report:#}");
    assert_eq!(agent::incidents(&host)?.len(), incidents, "{:#?}", agent::incidents(&host)?);
    // What an operator stops stays stopped.
    host.run_ok(&["systemctl", "stop", CHRONY])?;
    host.wait_until("the clock to be unknown", LIMIT, || Ok(clock(&host)["health"] == "unknown"))?;
    wait_says(&host, "stopped on request")?;
    assert_eq!(host.main_pid(CHRONY)?, None);
    Ok(())
}

#[test]
fn a_clock_that_may_not_be_asked_or_is_another_s_is_unknown_and_never_fails() -> Result<()> {
    let host = host("asked")?;
    let named = CLOCK.replace("settle", "unit: chrony.service, settle");
    agent::install(&host, &format!("{QUICK}{named}"))?;
    agent::edit(&host, "SystemCallFilter=~adjtimex clock_adjtime clock_adjtime64")?;
    agent::start(&host)?;
    wait_says(&host, "the kernel does not say whether the clock is synchronized: it refuses the question")?;
    assert_eq!(agent::incidents(&host)?, Vec::<Value>::new());
    // Unless it is named, nothing is watched that could never be known.
    agent::install(&host, &format!("{QUICK}{CLOCK}"))?;
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    host.wait_until("the clock to be nobody's", LIMIT, || Ok(clock(&host).is_null()))?;
    // As it is shipped it needs the capability, which no container has.
    host.run_ok(&["rm", &format!("/etc/systemd/system/{CHRONY}.d/lab.conf")])?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    host.run_ok(&["systemctl", "stop", CHRONY])?;
    host.run_ok(&["systemctl", "start", CHRONY])?;
    assert_eq!(host.main_pid(CHRONY)?, None, "it was passed over");
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    host.wait_until("the clock to be nobody's", LIMIT, || {
        let doctor = agent::ansai(&host, &["doctor"])?;
        Ok(doctor.stdout.contains("clocks: 0") && clock(&host).is_null())
    })?;
    agent::install(&host, &format!("{QUICK}{named}"))?;
    agent::ansai(&host, &["reload"])?;
    wait_says(&host, "systemd passes chrony.service over here, as a condition of it does not hold")?;
    assert_eq!(agent::incidents(&host)?, Vec::<Value>::new());
    Ok(())
}
